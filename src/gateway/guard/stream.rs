//! The bytes of a WebSocket, between the connection and the library.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::frames::Frames;
use super::packets::Broken;
use super::session::{Session, Transport};
use crate::gateway::connection::SocketId;

/// The library's ping, as the one frame that it is.
const PING: &[u8] = &[0x81, 1, b'2'];
/// The answer to it, as a client would send it.
const PONG: &[u8] = &[0x81, 0x81, 0, 0, 0, 0, b'3'];
/// The bytes before the id in the packet that opens a session.
const BEFORE_ID: &[u8] = b"0{\"sid\":\"";

/// A WebSocket's bytes.
pub(super) struct Guarded {
    stream: TokioIo<Upgraded>,
    transport: Arc<Transport>,
    frames: Frames,
    /// Bytes that were read and did not fit.
    spill: Vec<u8>,
    /// When the packet of this number must be finished; set when a packet comes in pieces.
    deadline: Option<(u64, Pin<Box<Sleep>>)>,
    outgoing: Outgoing,
    /// Wakes the reader while there is nothing to read.
    reader: Option<Waker>,
}

/// The state of the bytes that are written.
#[derive(Default)]
struct Outgoing {
    /// The id that the session was opened with here.
    id: Option<SocketId>,
    /// Bytes left of the current frame.
    left: usize,
    /// Whether the library waits for an answer to the ping that its client did not get.
    owes_pong: bool,
}

impl Guarded {
    pub fn new(stream: Upgraded, transport: Arc<Transport>) -> Self {
        Self {
            stream: TokioIo::new(stream),
            transport,
            frames: Frames::default(),
            spill: Vec::new(),
            deadline: None,
            outgoing: Outgoing::default(),
            reader: None,
        }
    }

    fn session(&self) -> &Session {
        &self.transport.session
    }

    fn end(&self, rule: Broken) -> io::Error {
        self.session().broke(rule, self.outgoing.id);
        io::ErrorKind::ConnectionAborted.into()
    }

    /// Whether the packet that is being read is late; else wakes the reader when it is.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let unfinished = {
            let watch = self.transport.session.watch.lock();
            let is_unfinished = self.frames.is_unfinished() || watch.awaiting().is_some();
            is_unfinished.then(|| watch.packets())
        };
        let Some(number) = unfinished else { return false };
        let deadline = match &mut self.deadline {
            Some((of, deadline)) if *of == number => deadline,
            Some((of, deadline)) => {
                *of = number;
                deadline.as_mut().reset(Instant::now() + self.transport.session.packet_time());
                deadline
            }
            none => {
                let sleep = Box::pin(tokio::time::sleep(self.transport.session.packet_time()));
                &mut none.insert((number, sleep)).1
            }
        };
        deadline.as_mut().poll(cx).is_ready()
    }

    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = polled {
            self.transport.session.backlog.sent(written);
        }
        polled
    }

    /// Puts bytes that need no read of the connection into `buffer`; whether there were any.
    fn take_waiting(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        if !self.spill.is_empty() {
            let count = self.spill.len().min(buffer.remaining());
            buffer.put_slice(&self.spill[..count]);
            self.spill.drain(..count);
            return true;
        }
        if self.outgoing.owes_pong && !self.frames.is_unfinished() && buffer.remaining() >= PONG.len() {
            buffer.put_slice(PONG);
            self.outgoing.owes_pong = false;
            return true;
        }
        false
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.take_waiting(buffer) {
                return Poll::Ready(Ok(()));
            }
            let before = buffer.filled().len();
            let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
            if polled.is_pending() {
                if this.is_late(cx) {
                    return Poll::Ready(Err(this.end(Broken::Unfinished)));
                }
                this.reader = Some(cx.waker().clone());
            }
            ready!(polled)?;
            let chunk = &mut buffer.filled_mut()[before..];
            if chunk.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let read = this.frames.read(&mut this.transport.session.watch.lock(), chunk, &mut this.spill);
            match read {
                // All of it was held back: read on, since an empty read would mean the end.
                Ok(0) => buffer.set_filled(before),
                Ok(count) => {
                    buffer.set_filled(before + count);
                    return Poll::Ready(Ok(()));
                }
                Err(rule) => {
                    buffer.set_filled(before);
                    return Poll::Ready(Err(this.end(rule)));
                }
            }
        }
    }
}

impl Outgoing {
    /// How many of the next bytes may be written at once; none of a frame that is kept back.
    fn next(&mut self, session: &Session, bytes: &[u8]) -> usize {
        if self.left == 0 {
            if bytes.starts_with(PING) {
                session.had_first_ping.store(true, Ordering::Relaxed);
                self.owes_pong = true;
                return 0;
            }
            let (header, length) = frame_of(bytes);
            if let Some(id) = bytes.get(header..).and_then(|open| open.strip_prefix(BEFORE_ID)) {
                self.id = id.get(..16).and_then(|id| std::str::from_utf8(id).ok()?.parse().ok());
            }
            self.left = header + length;
        }
        self.left.min(bytes.len())
    }
}

/// The lengths of a server's frame: the header's and the payload's. The library writes whole frames.
fn frame_of(bytes: &[u8]) -> (usize, usize) {
    let number = |range| {
        let bytes: &[u8] = bytes.get::<std::ops::Range<usize>>(range).unwrap_or_default();
        bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    match bytes.get(1).map(|length| length & 0x7f) {
        None => (bytes.len(), 0),
        Some(126) => (4, number(2..4)),
        Some(127) => (10, number(2..10)),
        Some(length) => (2, usize::from(length)),
    }
}

impl AsyncWrite for Guarded {
    /// The library pings at once, which no other server does: a client that counts the time to its
    /// first ping, or tests that it does not come too early, would be surprised. So that ping is
    /// answered here.
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.transport.session.had_first_ping.load(Ordering::Relaxed) && this.outgoing.left == 0 {
            return this.write(cx, bytes);
        }
        let count = this.outgoing.next(&this.transport.session, bytes);
        if count == 0 && !bytes.is_empty() {
            if let Some(reader) = this.reader.take() {
                reader.wake();
            }
            return Poll::Ready(Ok(PING.len()));
        }
        let written = ready!(this.write(cx, &bytes[..count]))?;
        this.outgoing.left -= written;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
