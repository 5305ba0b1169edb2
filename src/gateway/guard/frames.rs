//! The frames of a WebSocket, as its client sends them: where packets begin and end in a stream
//! of bytes. [`super::packets`] knows what the bytes mean; the library refuses frames that break the
//! WebSocket protocol.

use super::packets::{Broken, Packet, Rated, Watch};

/// The longest header: two bytes, eight of length, four of mask.
const HEADER_MAX: usize = 14;

/// A client's frames, as far as they were read.
#[derive(Debug, Default)]
pub struct Frames {
    header: [u8; HEADER_MAX],
    /// How many bytes of the header have been read.
    header_bytes: usize,
    /// How many bytes of the frame are still to be read.
    left: u64,
    mask: [u8; 4],
    /// Where in the frame the next byte is that is read, and the next that is passed on.
    came: usize,
    went: usize,
    is_control: bool,
    is_final: bool,
    /// The packet that the frames are pieces of.
    packet: Option<Packet>,
}

/// The bytes of a chunk that are passed on, written into the chunk itself as long as they fit.
struct Out<'a> {
    chunk: &'a mut [u8],
    at: usize,
    /// How much of the chunk was read, and may be written over.
    read: usize,
    spill: &'a mut Vec<u8>,
}

impl Out<'_> {
    fn put(&mut self, byte: u8) {
        if self.spill.is_empty() && self.at < self.read {
            self.chunk[self.at] = byte;
            self.at += 1;
        } else {
            self.spill.push(byte);
        }
    }

    /// Passes the next bytes of the chunk on as they are.
    fn pass(&mut self, count: usize) {
        let end = self.read + count;
        if self.spill.is_empty() {
            if self.at < self.read {
                self.chunk.copy_within(self.read..end, self.at);
            }
            self.at += count;
        } else {
            self.spill.extend_from_slice(&self.chunk[self.read..end]);
        }
        self.read = end;
    }
}

impl Frames {
    /// Whether a packet has begun and not ended.
    pub fn is_unfinished(&self) -> bool {
        !self.is_between_frames() || self.packet.is_some()
    }

    fn is_between_frames(&self) -> bool {
        self.header_bytes == 0
    }

    /// Reads the next bytes; returns how many bytes of the chunk are passed on. Bytes that were held
    /// back go first; what then no longer fits into the chunk is put in `spill`, which must be empty.
    pub fn read<R: FnMut(Rated) -> bool>(
        &mut self,
        watch: &mut Watch<R>,
        chunk: &mut [u8],
        spill: &mut Vec<u8>,
    ) -> Result<usize, Broken> {
        let mut out = Out { chunk, at: 0, read: 0, spill };
        while out.read < out.chunk.len() {
            if !self.has_header() {
                let byte = out.chunk[out.read];
                out.pass(1);
                self.take_header(watch, byte)?;
                continue;
            }
            let here = (out.chunk.len() - out.read) as u64;
            let count = here.min(self.left) as usize;
            self.take_payload(watch, &mut out, count)?;
        }
        Ok(out.at)
    }

    fn header_length(&self) -> usize {
        let extended = match self.header[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + extended + if self.header[1] & 0x80 != 0 { 4 } else { 0 }
    }

    fn has_header(&self) -> bool {
        self.header_bytes >= 2 && self.header_bytes == self.header_length()
    }

    fn take_header<R: FnMut(Rated) -> bool>(&mut self, watch: &mut Watch<R>, byte: u8) -> Result<(), Broken> {
        self.header[self.header_bytes] = byte;
        self.header_bytes += 1;
        if !self.has_header() {
            return Ok(());
        }
        let header = &self.header[..self.header_bytes];
        let (length, mask) = match header[1] & 0x7f {
            126 => (u64::from(u16::from_be_bytes([header[2], header[3]])), &header[4..]),
            127 => {
                let mut length = [0; 8];
                length.copy_from_slice(&header[2..10]);
                (u64::from_be_bytes(length), &header[10..])
            }
            short => (u64::from(short), &header[2..]),
        };
        self.mask = mask.try_into().unwrap_or_default();
        (self.left, self.came, self.went) = (length, 0, 0);
        self.is_final = header[0] & 0x80 != 0;
        let kind = header[0] & 0x0f;
        self.is_control = kind >= 8;
        if self.is_control || (kind == 0 && length == 0) {
            watch.other()?;
        }
        if matches!(kind, 1 | 2) {
            self.packet = Some(Packet::begin(watch, kind == 2)?);
        }
        if length == 0 { self.end_frame() } else { Ok(()) }
    }

    fn take_payload<R: FnMut(Rated) -> bool>(
        &mut self,
        watch: &mut Watch<R>,
        out: &mut Out<'_>,
        count: usize,
    ) -> Result<(), Broken> {
        match self.packet.as_mut().filter(|_| !self.is_control) {
            Some(packet) if packet.is_watched() => {
                let byte = out.chunk[out.read] ^ self.mask[self.came % 4];
                out.read += 1;
                let (mask, went) = (self.mask, &mut self.went);
                packet.look(watch, byte, &mut |byte| {
                    out.put(byte ^ mask[*went % 4]);
                    *went += 1;
                })?;
                self.left -= 1;
                self.came += 1;
            }
            packet => {
                if let Some(packet) = packet {
                    packet.skip(watch, count)?;
                }
                out.pass(count);
                self.left -= count as u64;
            }
        }
        if self.left == 0 { self.end_frame() } else { Ok(()) }
    }

    fn end_frame(&mut self) -> Result<(), Broken> {
        self.header_bytes = 0;
        if let Some(packet) = self.packet.as_ref().filter(|_| !self.is_control) {
            packet.pause()?;
            if self.is_final {
                self.packet = None;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::packets::Rules;
    use super::*;

    const RULES: Rules =
        Rules { namespace_bytes: 256, connect_bytes: 1000, attachments: 3, attachment_bytes: 1000 };

    fn frame(first: u8, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            short @ 0..126 => frame.push(0x80 | short as u8),
            length => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
        frame
    }

    /// What goes on of a stream that comes in pieces.
    fn read(stream: &[u8], pieces: &[usize]) -> Result<Vec<u8>, Broken> {
        let mut watch = Watch::new(RULES, |_| true);
        let (mut frames, mut out, mut at) = (Frames::default(), Vec::new(), 0_usize);
        for piece in pieces.iter().copied().chain([usize::MAX]) {
            let end = at.saturating_add(piece).min(stream.len());
            let (mut chunk, mut spill) = (stream[at..end].to_vec(), Vec::new());
            let count = frames.read(&mut watch, &mut chunk, &mut spill)?;
            out.extend_from_slice(&chunk[..count]);
            out.extend(spill);
            at = end;
        }
        assert!(!frames.is_unfinished());
        Ok(out)
    }

    #[test]
    fn a_packet_in_pieces_with_a_ping_in_between() {
        let mask = [1, 2, 3, 4];
        let stream =
            [frame(0x01, mask, b"42/a,[\"na"), frame(0x89, mask, b"hi"), frame(0x80, mask, b"me\"]")]
                .concat();
        assert_eq!(read(&stream, &[3, 4, 5]).unwrap(), stream);
        let stream = [frame(0x01, mask, b"42/a,[\"\\u00e"), frame(0x80, mask, b"9\"]")].concat();
        assert_eq!(read(&stream, &[]), Err(Broken::EventName), "an escape may not be cut");
    }

    proptest! {
        /// However the bytes come, a name goes on spelled out, in frames of the same length.
        #[test]
        fn in_any_pieces(
            mask in any::<[u8; 4]>(),
            pieces in prop::collection::vec(1..9_usize, 0..40),
            tail in "[a-z]{0,200}",
        ) {
            let packet = format!("42/a,7[\"\\u00e9\\\"\\ud83e\\udd80x\",\"{tail}\"]");
            let spelled = format!("42/a,7[\"é\u{80}🦀x\"            ,\"{tail}\"]");
            let around = frame(0x81, mask, b"3");
            let stream = [around.clone(), frame(0x81, mask, packet.as_bytes()), around.clone()].concat();
            let expected = [around.clone(), frame(0x81, mask, spelled.as_bytes()), around].concat();
            prop_assert_eq!(read(&stream, &pieces).unwrap(), expected);
        }

        /// Any bytes: nothing panics, nothing is added.
        #[test]
        fn any_bytes(stream in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut watch = Watch::new(RULES, |_| true);
            let (mut frames, mut chunk, mut spill) = (Frames::default(), stream.clone(), Vec::new());
            if let Ok(count) = frames.read(&mut watch, &mut chunk, &mut spill) {
                prop_assert!(count + spill.len() <= stream.len());
            }
        }
    }
}
