//! The TCP connection under a socket, as far as it has to be ended from outside: a socket that
//! does not read takes no goodbye packet either.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Ends a TCP connection from anywhere.
#[derive(Clone, Default)]
pub struct TransportHandle(Arc<State>);

#[derive(Default)]
struct State {
    is_ended: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl TransportHandle {
    /// Ends the connection: whoever reads from or writes to it gets an error.
    pub fn end(&self) {
        self.0.is_ended.store(true, Ordering::SeqCst);
        self.0.reader.wake();
        self.0.writer.wake();
    }

    fn check(&self) -> io::Result<()> {
        if self.0.is_ended.load(Ordering::SeqCst) {
            Err(io::ErrorKind::ConnectionAborted.into())
        } else {
            Ok(())
        }
    }
}

/// A TCP connection that its handle can end.
pub struct Endable {
    stream: TcpStream,
    handle: TransportHandle,
}

impl Endable {
    /// The connection and its handle.
    pub fn new(stream: TcpStream) -> (Self, TransportHandle) {
        let handle = TransportHandle::default();
        (Self { stream, handle: handle.clone() }, handle)
    }
}

impl AsyncRead for Endable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if polled.is_pending() {
            self.handle.0.reader.register(cx.waker());
        }
        self.handle.check()?;
        polled
    }
}

impl AsyncWrite for Endable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if polled.is_pending() {
            self.handle.0.writer.register(cx.waker());
        }
        self.handle.check()?;
        polled
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
        if polled.is_pending() {
            self.handle.0.writer.register(cx.waker());
        }
        self.handle.check()?;
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
