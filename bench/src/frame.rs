//! The part of RFC 6455 a load generator needs: writing masked client frames and reading
//! unmasked server frames out of a byte buffer. Knows nothing of Socket.IO and does no I/O.

use anyhow::{Result, bail};

pub const TEXT: u8 = 0x1;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;

/// Frames waiting to be written, so that all answers to one read leave in one write.
pub struct Outbox {
    bytes: Vec<u8>,
    key: u32,
}

impl Outbox {
    pub fn new() -> Self {
        Self { bytes: Vec::new(), key: 0x9E37_79B9 }
    }

    /// Appends one unfragmented frame whose payload is `parts` in a row.
    pub fn push(&mut self, opcode: u8, parts: &[&[u8]]) {
        let payload_bytes = parts.iter().map(|part| part.len()).sum();
        self.push_header(opcode, payload_bytes);
        // A new key per frame, as the protocol wants; it need not be a secret here.
        self.key = self.key.wrapping_mul(0x915F_77F5).wrapping_add(1);
        let key = self.key.to_be_bytes();
        self.bytes.extend_from_slice(&key);
        let payload_start = self.bytes.len();
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        for (at, byte) in self.bytes[payload_start..].iter_mut().enumerate() {
            *byte ^= key[at & 3];
        }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    fn push_header(&mut self, opcode: u8, payload_bytes: usize) {
        const FIN: u8 = 0x80;
        const MASKED: u8 = 0x80;
        self.bytes.push(FIN | opcode);
        match (u8::try_from(payload_bytes), u16::try_from(payload_bytes)) {
            (Ok(short @ 0..=125), _) => self.bytes.push(MASKED | short),
            (_, Ok(medium)) => {
                self.bytes.push(MASKED | 126);
                self.bytes.extend_from_slice(&medium.to_be_bytes());
            }
            _ => {
                self.bytes.push(MASKED | 127);
                self.bytes.extend_from_slice(&(payload_bytes as u64).to_be_bytes());
            }
        }
    }
}

/// One frame of the server, borrowed from the read buffer.
#[derive(Debug, PartialEq)]
pub struct Frame<'a> {
    pub opcode: u8,
    pub payload: &'a [u8],
    /// Bytes of the buffer the frame took, header included.
    pub used_bytes: usize,
}

/// Reads the first frame of `buffer`; `None` while it is not complete.
///
/// # Errors
/// Masked and fragmented frames: no server tested here sends them, so they mean a framing bug.
pub fn read(buffer: &[u8]) -> Result<Option<Frame<'_>>> {
    let [first, second, rest @ ..] = buffer else {
        return Ok(None);
    };
    if first & 0x80 == 0 || first & 0x0F == 0 {
        bail!("the server sent a fragmented WebSocket frame, which this client does not read");
    }
    if second & 0x80 != 0 {
        bail!("the server sent a masked WebSocket frame, which RFC 6455 forbids");
    }
    let (header_bytes, payload_bytes) = match (second, rest) {
        (126, [a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
        (127, [a, b, c, d, e, f, g, h, ..]) => {
            let long = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
            (10, usize::try_from(long)?)
        }
        (126 | 127, _) => return Ok(None),
        (short, _) => (2, usize::from(*short)),
    };
    let used_bytes = header_bytes + payload_bytes;
    Ok(buffer.get(header_bytes..used_bytes).map(|payload| Frame {
        opcode: first & 0x0F,
        payload,
        used_bytes,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns the client frame in `outbox` into what a server would send.
    fn unmask(outbox: &Outbox, header_bytes: usize) -> Vec<u8> {
        let bytes = outbox.as_bytes();
        let mut frame = bytes[..header_bytes].to_vec();
        frame[1] &= 0x7F;
        let (key, payload) = bytes[header_bytes..].split_at(4);
        frame.extend(payload.iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k));
        frame
    }

    fn check(payload_bytes: usize, header_bytes: usize) {
        let payload = vec![b'x'; payload_bytes];
        let (head, tail) = payload.split_at(payload_bytes / 3);
        let mut outbox = Outbox::new();
        outbox.push(TEXT, &[head, tail]);
        let frame = unmask(&outbox, header_bytes);
        let read_back = read(&frame).unwrap().unwrap();
        assert_eq!(read_back.payload, payload);
        assert_eq!(read_back.used_bytes, frame.len());
        for cut in [0, 1, header_bytes - 1, frame.len() - 1] {
            assert_eq!(read(&frame[..cut]).unwrap(), None, "{payload_bytes}: {cut}");
        }
    }

    #[test]
    fn frames_of_every_length_form_come_back() {
        check(3, 2);
        check(125, 2);
        check(126, 4);
        check(65_535, 4);
        check(65_536, 10);
    }

    #[test]
    fn masked_and_fragmented_frames_are_refused() {
        assert!(read(&[0x81, 0x80, 0, 0, 0, 0]).is_err());
        assert!(read(&[0x01, 0x00]).is_err());
    }
}
