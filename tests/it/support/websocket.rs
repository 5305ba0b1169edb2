//! A WebSocket by hand, for what no Socket.IO client would send: raw frames, packets out of turn.

use std::io;
use std::net::TcpStream;
use std::time::Instant;

use tungstenite::{Message, WebSocket};

use super::server::PATIENCE;

/// A WebSocket to `/socket.io`. The frames are the test's own business.
pub struct RawSocket {
    /// The socket, for frames that [`Self::send`] cannot make.
    pub socket: WebSocket<TcpStream>,
}

impl RawSocket {
    /// Opens a transport; nothing is connected yet. `query`: after `EIO=4&transport=websocket`.
    pub fn open(url: &str, query: &str) -> Self {
        Self::try_open(url, query).unwrap()
    }

    /// The same, or how it was refused.
    pub fn try_open(url: &str, query: &str) -> Result<Self, tungstenite::Error> {
        let host = url.strip_prefix("http://").unwrap();
        let stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let request = format!("ws://{host}/socket.io/?EIO=4&transport=websocket{query}");
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(tungstenite::HandshakeError::Failure(error)) => Err(error),
            Err(tungstenite::HandshakeError::Interrupted(_)) => {
                Err(io::Error::from(io::ErrorKind::TimedOut).into())
            }
        }
    }

    /// A socket that is connected to a namespace of a public gateway.
    pub fn connect(url: &str, namespace: &str) -> Self {
        let mut socket = Self::open(url, "");
        socket.send(&format!("40{namespace},"));
        let answer = socket.wait_for(&format!("{namespace},"));
        assert!(answer.starts_with("40"), "refused: {answer}");
        socket
    }

    /// Sends one text message; that the server has gone is not an error here.
    pub fn send(&mut self, text: &str) {
        let _ = self.try_send(Message::text(text));
    }

    /// Sends any message.
    pub fn try_send(&mut self, message: Message) -> Result<(), tungstenite::Error> {
        self.socket.send(message)
    }

    /// The next text or binary message; pings of Engine.IO are answered. None when it has ended.
    pub fn next(&mut self) -> Option<Message> {
        let start = Instant::now();
        loop {
            // Pings come for as long as one waits.
            assert!(start.elapsed() < PATIENCE, "nothing came in {PATIENCE:?}");
            match self.socket.read() {
                Ok(Message::Text(text)) if text.as_str() == "2" => self.send("3"),
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => return Some(message),
                Ok(Message::Close(_)) => return None,
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) if is_timeout(&error) => {
                    panic!("nothing came in {PATIENCE:?}")
                }
                Err(_) => return None,
            }
        }
    }

    /// The next text that contains `part`; panics when the connection ends before.
    pub fn wait_for(&mut self, part: &str) -> String {
        self.wait_for_any(&[part])
    }

    /// The same of several parts.
    pub fn wait_for_any(&mut self, parts: &[&str]) -> String {
        loop {
            match self.next() {
                Some(Message::Text(text)) if parts.iter().any(|part| text.contains(part)) => {
                    return text.to_string();
                }
                Some(_) => {}
                None => panic!("the connection ended before {parts:?}"),
            }
        }
    }

    /// Reads until the server ends the connection; all the texts that came before.
    pub fn until_end(&mut self) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(message) = self.next() {
            texts
                .push(message.into_text().map_or_else(|_| String::from("(binary)"), |text| text.to_string()));
        }
        texts
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
