//! The TCP connection under a socket, as far as it has to be ended from outside: a socket that
//! does not read takes no goodbye packet either. Also what waits to be written to it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// Ends a TCP connection from anywhere.
#[derive(Clone, Default)]
pub struct TransportHandle(Arc<State>);

#[derive(Default)]
struct State {
    stage: AtomicU8,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

/// Nothing is to be ended.
const OPEN: u8 = 0;
/// Reading fails; what waits is still written.
const LEAVING: u8 = 1;
/// Nothing is read or written any more.
const CUT: u8 = 2;

impl TransportHandle {
    /// Ends the connection at once: whoever reads from or writes to it gets an error.
    pub fn cut(&self) {
        self.end_at(CUT);
    }

    /// Ends the connection by an error of reading, so that what waits is written first: after an end of
    /// the stream, which is what a client's closing looks like, tungstenite would write nothing more. The
    /// client gets no Socket.IO packet of it, so a stock one reconnects by itself.
    pub fn leave(&self) {
        self.end_at(LEAVING);
    }

    fn end_at(&self, stage: u8) {
        self.0.stage.fetch_max(stage, Ordering::SeqCst);
        self.0.reader.wake();
        self.0.writer.wake();
    }

    fn stage(&self) -> u8 {
        self.0.stage.load(Ordering::SeqCst)
    }
}

/// Marks a request that comes when the server has all the connections that it can hold.
#[derive(Debug, Clone, Copy)]
pub struct BeyondCapacity;

/// Bytes of payloads that were handed over for a session and have not left its connection. All that is
/// written counts as having left, frames and pings too, and of what is handed over no more than what is
/// written of it at least: so this errs on the side of less, and a client that reads all comes back to
/// nothing, however long it stays. It never goes below nothing.
#[derive(Debug, Default)]
pub struct Backlog(AtomicUsize);

impl Backlog {
    /// So many more wait; how many that are now.
    pub fn add(&self, bytes: usize) -> usize {
        self.0.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// So many have left.
    pub fn sent(&self, bytes: usize) {
        let less = |waiting: usize| Some(waiting.saturating_sub(bytes));
        // The closure always gives a value.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

/// A TCP connection that its handle can end, and that ends itself when its client takes nothing for
/// too long.
pub struct Endable<P> {
    stream: TcpStream,
    handle: TransportHandle,
    write_timeout: Duration,
    /// Since when nothing could be written; none while all goes well.
    blocked: Option<Pin<Box<Sleep>>>,
    /// What it holds of the listener, for as long as it is open.
    _place: P,
}

impl<P: Unpin> Endable<P> {
    /// The connection and its handle.
    pub fn new(stream: TcpStream, write_timeout: Duration, place: P) -> (Self, TransportHandle) {
        let handle = TransportHandle::default();
        (Self { stream, handle: handle.clone(), write_timeout, blocked: None, _place: place }, handle)
    }

    /// What becomes of a write: nothing after a cut, and an end to one that waits too long.
    fn after_write(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if polled.is_ready() {
            self.blocked = None;
        } else {
            self.handle.0.writer.register(cx.waker());
            let timeout = self.write_timeout;
            let blocked = self.blocked.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
            if blocked.as_mut().poll(cx).is_ready() {
                self.handle.cut();
            }
        }
        if self.handle.stage() == CUT {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        polled
    }
}

impl<P: Unpin> AsyncRead for Endable<P> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.handle.stage() != OPEN {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if polled.is_pending() {
            self.handle.0.reader.register(cx.waker());
        }
        // It was ended between the two looks, and may not be woken again.
        if polled.is_pending() && self.handle.stage() != OPEN {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        polled
    }
}

impl<P: Unpin> AsyncWrite for Endable<P> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.after_write(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.after_write(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
