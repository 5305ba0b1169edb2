//! The rules for packets, as far as a packet's first bytes show: its types, its namespace, how many
//! attachments it announces, and its event's name. Of the rest only the bytes are counted.
//!
//! Nothing is kept but counts, and nothing here knows what carries the packets.

use super::name::{BadName, Name};

/// The limits of packets.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Bytes of a namespace.
    pub namespace_bytes: usize,
    /// Bytes of a packet that connects, with what it brings to sign in.
    pub connect_bytes: usize,
    /// Attachments of one packet.
    pub attachments: u32,
    /// Bytes of them together.
    pub attachment_bytes: usize,
}

/// Packets whose number in a second is limited here. Events have limits of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rated {
    Connect,
    /// Disconnects, acks, pings, and what is no packet at all.
    Other,
}

/// The rule that a client broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    ConnectRate,
    PacketRate,
    Namespace,
    ConnectTooLarge,
    Attachments,
    AttachmentsTooLarge,
    /// Binary that nothing announced: how the msgpack parser begins.
    Binary,
    EventName,
    /// A packet that was begun and not finished in time.
    Unfinished,
}

impl Broken {
    /// For the metrics and the log.
    pub fn reason(self) -> &'static str {
        match self {
            Self::ConnectRate => "connect_rate",
            Self::PacketRate => "packet_rate",
            Self::Namespace => "namespace_too_long",
            Self::ConnectTooLarge => "connect_too_large",
            Self::Attachments => "attachments",
            Self::AttachmentsTooLarge => "attachments_too_large",
            Self::Binary => "binary_without_packet",
            Self::EventName => "event_name",
            Self::Unfinished => "unfinished_packet",
        }
    }

    /// For the log: what is likely the matter.
    pub fn hint(self) -> &'static str {
        match self {
            Self::ConnectRate => "more connects than limits.connects_per_second",
            Self::PacketRate => "more packets that are no events than limits.packets_per_second",
            Self::Namespace => "a namespace longer than limits.name_bytes",
            Self::ConnectTooLarge => "a connect larger than limits.message_bytes",
            Self::Attachments => "more attachments than limits.attachments, or a packet between them",
            Self::AttachmentsTooLarge => "attachments larger than limits.packet_bytes",
            Self::Binary => "binary that no packet announced: a client with the msgpack parser?",
            Self::EventName => "an event name that is no text, or holds C1 control characters",
            Self::Unfinished => "a packet that was not finished within limits.handshake_timeout_ms",
        }
    }
}

impl From<BadName> for Broken {
    fn from(_: BadName) -> Self {
        Self::EventName
    }
}

/// What is watched over the whole of a session, whatever carries its packets.
#[derive(Debug)]
pub struct Watch<R> {
    rules: Rules,
    /// Whether the rate lets another of these pass.
    allow: R,
    /// Text packets so far.
    packets: u64,
    /// Attachments that the last packet announced and that are still to come.
    awaited: u32,
    /// Bytes of those that have come.
    attachment_bytes: usize,
}

impl<R: FnMut(Rated) -> bool> Watch<R> {
    /// A session that has sent nothing.
    pub fn new(rules: Rules, allow: R) -> Self {
        Self { rules, allow, packets: 0, awaited: 0, attachment_bytes: 0 }
    }

    /// Counts something that is no packet, such as a ping of the transport.
    pub fn other(&mut self) -> Result<(), Broken> {
        if (self.allow)(Rated::Other) { Ok(()) } else { Err(Broken::PacketRate) }
    }

    /// Which packet is waiting for attachments.
    pub fn awaiting(&self) -> Option<u64> {
        (self.awaited > 0).then_some(self.packets)
    }

    /// How many text packets have begun.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    fn connect(&mut self) -> Result<(), Broken> {
        if (self.allow)(Rated::Connect) { Ok(()) } else { Err(Broken::ConnectRate) }
    }
}

/// One packet, from its first byte to its last.
#[derive(Debug)]
pub struct Packet {
    place: Place,
    is_connect: bool,
    has_name: bool,
    is_binary: bool,
    bytes: usize,
}

/// Where in a packet the next byte stands.
#[derive(Debug)]
enum Place {
    EngineType,
    SocketType,
    /// The number of attachments, so far.
    Attachments(u32),
    AfterType,
    /// How many bytes of the namespace there were.
    Namespace(usize),
    Ack,
    BeforeName,
    Name(Name),
    /// Behind the bytes that matter.
    Rest,
}

impl Packet {
    /// A packet begins.
    pub fn begin<R: FnMut(Rated) -> bool>(watch: &mut Watch<R>, is_binary: bool) -> Result<Self, Broken> {
        let mut place = Place::EngineType;
        if is_binary {
            watch.awaited = watch.awaited.checked_sub(1).ok_or(Broken::Binary)?;
            place = Place::Rest;
        } else {
            watch.packets += 1;
        }
        Ok(Self { place, is_connect: false, has_name: false, is_binary, bytes: 0 })
    }

    /// Whether the next byte has to be looked at.
    pub fn is_watched(&self) -> bool {
        !matches!(self.place, Place::Rest)
    }

    /// Counts bytes that need not be looked at.
    pub fn skip<R>(&mut self, watch: &mut Watch<R>, count: usize) -> Result<(), Broken> {
        self.bytes = self.bytes.saturating_add(count);
        if self.is_connect && self.bytes > watch.rules.connect_bytes {
            return Err(Broken::ConnectTooLarge);
        }
        if self.is_binary {
            watch.attachment_bytes = watch.attachment_bytes.saturating_add(count);
            if watch.attachment_bytes > watch.rules.attachment_bytes {
                return Err(Broken::AttachmentsTooLarge);
            }
        }
        Ok(())
    }

    /// Looks at the next byte; `put` gets what goes on in its place. Over a packet that is as
    /// many bytes as came, and at no time more.
    pub fn look<R: FnMut(Rated) -> bool>(
        &mut self,
        watch: &mut Watch<R>,
        byte: u8,
        put: &mut impl FnMut(u8),
    ) -> Result<(), Broken> {
        self.skip(watch, 1)?;
        if let Place::Name(name) = &mut self.place {
            if name.look(byte, put)? {
                self.place = Place::Rest;
            }
            return Ok(());
        }
        put(byte);
        self.place = match self.place {
            Place::EngineType => engine_type(watch, byte)?,
            Place::SocketType => self.socket_type(watch, byte)?,
            Place::Attachments(count) => attachments(watch, count, byte)?,
            Place::AfterType if byte == b'/' => Place::Namespace(1),
            Place::AfterType | Place::Ack => self.before_payload(byte),
            Place::Namespace(_) if byte == b',' => Place::Ack,
            Place::Namespace(bytes) if bytes >= watch.rules.namespace_bytes => return Err(Broken::Namespace),
            Place::Namespace(bytes) => Place::Namespace(bytes + 1),
            Place::BeforeName if byte == b'"' => Place::Name(Name::default()),
            Place::BeforeName if byte.is_ascii_whitespace() => Place::BeforeName,
            Place::BeforeName | Place::Name(_) | Place::Rest => Place::Rest,
        };
        Ok(())
    }

    /// The packet ends, or a piece of it: no byte may be held back then.
    pub fn pause(&self) -> Result<(), Broken> {
        match &self.place {
            Place::Name(name) if name.owes() => Err(Broken::EventName),
            _ => Ok(()),
        }
    }

    fn socket_type<R: FnMut(Rated) -> bool>(
        &mut self,
        watch: &mut Watch<R>,
        byte: u8,
    ) -> Result<Place, Broken> {
        if watch.awaited > 0 {
            return Err(Broken::Attachments);
        }
        match byte {
            b'0' => {
                self.is_connect = true;
                watch.connect()?;
            }
            b'2' | b'5' => self.has_name = true,
            _ => watch.other()?,
        }
        Ok(if matches!(byte, b'5' | b'6') { Place::Attachments(0) } else { Place::AfterType })
    }

    fn before_payload(&self, byte: u8) -> Place {
        match byte {
            b'0'..=b'9' => Place::Ack,
            b'[' if self.has_name => Place::BeforeName,
            _ => Place::Rest,
        }
    }
}

fn engine_type<R: FnMut(Rated) -> bool>(watch: &mut Watch<R>, byte: u8) -> Result<Place, Broken> {
    if byte == b'4' {
        return Ok(Place::SocketType);
    }
    watch.other()?;
    Ok(Place::Rest)
}

fn attachments<R>(watch: &mut Watch<R>, count: u32, byte: u8) -> Result<Place, Broken> {
    match byte {
        b'0'..=b'9' => {
            let count = count.saturating_mul(10).saturating_add(u32::from(byte - b'0'));
            if count > watch.rules.attachments {
                Err(Broken::Attachments)
            } else {
                Ok(Place::Attachments(count))
            }
        }
        b'-' => {
            (watch.awaited, watch.attachment_bytes) = (count, 0);
            Ok(Place::AfterType)
        }
        _ => Ok(Place::Rest),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: Rules =
        Rules { namespace_bytes: 8, connect_bytes: 32, attachments: 3, attachment_bytes: 100 };

    fn watch() -> Watch<impl FnMut(Rated) -> bool> {
        Watch::new(RULES, |_| true)
    }

    fn text<R: FnMut(Rated) -> bool>(watch: &mut Watch<R>, packet: &[u8]) -> Result<Vec<u8>, Broken> {
        let mut out = Vec::new();
        let mut reading = Packet::begin(watch, false)?;
        for (at, &byte) in packet.iter().enumerate() {
            if reading.is_watched() {
                reading.look(watch, byte, &mut |byte| out.push(byte))?;
                assert!(out.len() <= at + 1, "more than came");
            } else {
                reading.skip(watch, 1)?;
                out.push(byte);
            }
        }
        reading.pause()?;
        Ok(out)
    }

    fn same(packet: &str) {
        assert_eq!(text(&mut watch(), packet.as_bytes()).as_deref(), Ok(packet.as_bytes()), "{packet}");
    }

    #[test]
    fn ordinary_packets_pass_as_they_are() {
        for packet in [
            "2",
            "3",
            "2probe",
            "5",
            "1",
            "",
            "40",
            "40/chat,{\"token\":\"x\"}",
            "41/chat,",
            "42[\"e\"]",
            "42/chat,12[\"e\",{\"a\":\"\\u0041\"}]",
            "43/chat,1[]",
            "42/chat,[ \"é\" ,1]",
            "42{}",
            "44",
            "4",
            "42",
            "451-/chat,[\"e\",{\"_placeholder\":true,\"num\":0}]",
        ] {
            same(packet);
        }
    }

    #[test]
    fn names_are_spelled_out_in_their_place() {
        let packet = r#"42/a,1["\u00e9\ud83e\udd80\"\\\n\/",{"b":"\u00e9"}]"#;
        let out = String::from_utf8(text(&mut watch(), packet.as_bytes()).unwrap()).unwrap();
        let expected = "42/a,1[\"é🦀\u{80}\u{378}\u{8a}/\"             ,{\"b\":\"\\u00e9\"}]";
        assert_eq!(out, expected);
        assert_eq!(out.len(), packet.len());
    }

    #[test]
    fn rules() {
        for (packet, broken) in [
            ("40/123456789,", Broken::Namespace),
            ("42/123456789", Broken::Namespace),
            ("40/a,{\"token\":\"0123456789abcdefghij\"}", Broken::ConnectTooLarge),
            ("454-[\"e\"]", Broken::Attachments),
            ("4599999999999999999999-", Broken::Attachments),
            ("42[\"\\x\"]", Broken::EventName),
            ("42[\"\\u00\"]", Broken::EventName),
            ("42[\"\\u0000\"]", Broken::EventName),
            ("42[\"\\u0085\"]", Broken::EventName),
            ("42[\"\u{85}\"]", Broken::EventName),
            ("42[\"\u{378}\"]", Broken::EventName),
        ] {
            assert_eq!(text(&mut watch(), packet.as_bytes()), Err(broken), "{packet}");
        }
    }

    #[test]
    fn attachments_are_announced_and_counted() {
        let mut watch = watch();
        assert_eq!(Packet::begin(&mut watch, true).err(), Some(Broken::Binary));
        text(&mut watch, b"452-[\"e\"]").unwrap();
        assert_eq!(watch.awaiting(), Some(1));
        let mut first = Packet::begin(&mut watch, true).unwrap();
        first.skip(&mut watch, 60).unwrap();
        text(&mut watch, b"3").expect("a pong may come in between");
        assert_eq!(text(&mut watch, b"42[\"e\"]"), Err(Broken::Attachments));
        let mut second = Packet::begin(&mut watch, true).unwrap();
        assert_eq!(second.skip(&mut watch, 60), Err(Broken::AttachmentsTooLarge));
        assert_eq!(watch.awaiting(), None);
    }

    #[test]
    fn what_is_no_event_is_rated() {
        let mut seen = Vec::new();
        let mut watch = Watch::new(RULES, |rated| {
            seen.push(rated);
            true
        });
        for packet in ["40/a,", "41/a,", "43/a,1[]", "42/a,[\"e\"]", "2", "9", "450-[\"e\"]", "460-1[]"] {
            text(&mut watch, packet.as_bytes()).unwrap();
        }
        use Rated::{Connect, Other};
        assert_eq!(seen, [Connect, Other, Other, Other, Other, Other]);
        let mut none = Watch::new(RULES, |_| false);
        assert_eq!(text(&mut none, b"40"), Err(Broken::ConnectRate));
        assert_eq!(text(&mut none, b"41"), Err(Broken::PacketRate));
        assert!(text(&mut none, b"42[\"e\"]").is_ok());
    }

    proptest! {
        /// Any bytes: as many come out as went in, or a rule is broken.
        #[test]
        fn any_bytes(packet in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(out) = text(&mut watch(), &packet) {
                prop_assert_eq!(out.len(), packet.len());
            }
        }

        /// Any name, as JSON escapes it all, comes out as the library reads it.
        #[test]
        fn any_name(name in "[^\u{0}\u{80}-\u{9f}\u{378}]{0,40}", ascii in any::<bool>()) {
            let mut json = serde_json::json!([name, "rest"]).to_string();
            if ascii {
                let units = |c: char| c.encode_utf16(&mut [0; 2]).iter().map(|u| format!("\\u{u:04x}")).collect();
                json = json.chars().map(|c| if c.is_ascii() { c.to_string() } else { units(c) }).collect();
            }
            let out = text(&mut watch(), format!("42{json}").as_bytes()).unwrap();
            let packet = std::str::from_utf8(&out[2..]).unwrap();
            let (read, rest): (&str, &str) = serde_json::from_str(packet).unwrap();
            prop_assert_eq!(super::super::name::restored(read.into()), name);
            prop_assert_eq!(rest, "rest");
        }
    }
}
