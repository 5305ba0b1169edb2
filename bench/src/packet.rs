//! Reading Socket.IO packets as far as counting needs it: kind, ack id and the JSON as bytes.
//! The JSON is searched, not parsed: the client must stay cheaper than the server it measures.

use std::sync::LazyLock;

use anyhow::{Context, Result, bail, ensure};
use memchr::memmem::{self, Finder};

/// A request id in its text form, to tell that an ack and a result belong together.
pub type RequestId = [u8; 36];

#[derive(Debug, PartialEq)]
pub enum Packet<'a> {
    Connected,
    Event(&'a [u8]),
    Ack { id: u64, body: &'a [u8] },
}

impl<'a> Packet<'a> {
    /// Reads a packet of protocol 5, without the `4` of Engine.IO before it.
    ///
    /// # Errors
    /// A refused connection, a disconnect and binary packets: none belongs in a benchmark run.
    pub fn read(text: &'a [u8]) -> Result<Self> {
        let (kind, rest) = text.split_first().context("the server sent an empty packet")?;
        let rest = match rest {
            [b'/', ..] => memchr::memchr(b',', rest).map_or(&[][..], |comma| &rest[comma + 1..]),
            _ => rest,
        };
        match kind {
            b'0' => Ok(Self::Connected),
            b'2' => Ok(Self::Event(rest)),
            b'3' => {
                let (id, body) = split_number(rest).context("the server sent an ack without id")?;
                Ok(Self::Ack { id, body })
            }
            b'4' => bail!("the server refused the connection: {}", shown(rest)),
            _ => bail!("the server sent an unexpected packet: {}", shown(text)),
        }
    }
}

/// Checks that `body` is an ack that accepts the event; gives its request id.
pub fn accepted(body: &[u8]) -> Result<RequestId> {
    static ACCEPTED: LazyLock<Finder> = LazyLock::new(|| Finder::new(br#""accepted":true"#));
    ensure!(ACCEPTED.find(body).is_some(), "the server refused an event: {}", shown(body));
    request_id(body)
}

/// Gives the request id when `event` is a `ws:result`, and `None` for any other event.
///
/// # Errors
/// A `ws:error`, and a result that says it failed.
pub fn succeeded(event: &[u8]) -> Result<Option<RequestId>> {
    static SUCCESS: LazyLock<Finder> = LazyLock::new(|| Finder::new(br#""success":true"#));
    if event.starts_with(br#"["ws:result","#) {
        ensure!(SUCCESS.find(event).is_some(), "an event failed: {}", shown(event));
        return request_id(event).map(Some);
    }
    ensure!(
        !event.starts_with(br#"["ws:error","#) && !event.starts_with(br#"["rate_limited""#),
        "an event failed: {}",
        shown(event)
    );
    Ok(None)
}

/// Finds the number after `"seq":`.
pub fn sequence(event: &[u8]) -> Result<u64> {
    static SEQ: LazyLock<Finder> = LazyLock::new(|| Finder::new(br#""seq":"#));
    SEQ.find(event)
        .and_then(|at| split_number(&event[at + 6..]))
        .map(|(number, _)| number)
        .with_context(|| format!("a delivery without its number: {}", shown(event)))
}

fn request_id(json: &[u8]) -> Result<RequestId> {
    static KEY: LazyLock<Finder> = LazyLock::new(|| memmem::Finder::new(br#""requestId":""#));
    KEY.find(json)
        .and_then(|at| json[at + 13..].first_chunk())
        .copied()
        .with_context(|| format!("no requestId in {}", shown(json)))
}

fn split_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(digits);
    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
    Some((number, rest))
}

/// The first 300 bytes, for an error message.
fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(300)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0190a0b0-0000-7000-8000-000000000001";

    #[test]
    fn packets_are_told_apart() {
        let check = |text: &'static str, expected| {
            assert_eq!(Packet::read(text.as_bytes()).unwrap(), expected, "{text}");
        };
        check(r#"0/bench,{"sid":"x"}"#, Packet::Connected);
        check(r#"2/bench,["tick",1]"#, Packet::Event(br#"["tick",1]"#));
        check(r#"2["tick"]"#, Packet::Event(br#"["tick"]"#));
        let body = br#"[{"a":1}]"#;
        check(r#"3/bench,42[{"a":1}]"#, Packet::Ack { id: 42, body });
        for bad in ["", "1/bench,", r#"4/bench,{"message":"no"}"#, "3/bench,[]"] {
            assert!(Packet::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn answers_give_their_request_id() {
        let ack = format!(r#"[{{"queued":true,"accepted":true,"requestId":"{ID}"}}]"#);
        assert_eq!(accepted(ack.as_bytes()).unwrap(), ID.as_bytes());
        let refused = br#"[{"accepted":false,"error":{"code":"QUEUE_FULL"}}]"#;
        assert!(accepted(refused).is_err());
        let result = format!(r#"["ws:result",{{"requestId":"{ID}","success":true}}]"#);
        let id = succeeded(result.as_bytes()).unwrap().unwrap();
        assert_eq!(id, ID.as_bytes());
        assert_eq!(succeeded(br#"["tick",{"seq":1}]"#).unwrap(), None);
        assert!(succeeded(br#"["ws:error",{"success":false}]"#).is_err());
    }

    #[test]
    fn a_delivery_gives_its_number() {
        assert_eq!(sequence(br#"["tick",{"pad":"","seq":17}]"#).unwrap(), 17);
        assert!(sequence(br#"["tick",{}]"#).is_err());
    }
}
