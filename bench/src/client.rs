//! One Socket.IO connection over a raw WebSocket. Reads and writes whole batches, answers the
//! heartbeat, and hands every other packet to its caller; it keeps no count of events itself.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::frame::{self, Outbox};
use crate::packet::{self, Packet};

/// The namespace every server under test offers.
pub const NAMESPACE: &str = "/bench";
/// The namespace of Gatewright alone whose events work with rows.
pub const ROWS_NAMESPACE: &str = "/rows";

/// The namespace of Gatewright alone whose events are durable.
pub const DURABLE_NAMESPACE: &str = "/durable";

/// A server that sends a frame larger than this is broken, not busy.
const INBOX_BYTES_MAX: usize = 16 << 20;

/// Sockets per source address: well below the 28,000 local ports Linux gives one address.
const SOCKETS_PER_ADDRESS: usize = 5_000;

/// Where and how to connect.
#[derive(Clone)]
pub struct Endpoint {
    pub address: SocketAddr,
    pub namespace: Arc<str>,
    /// Sent as `auth.token`; `None` connects as a guest.
    pub token: Option<String>,
    /// How long a handshake may take.
    pub patience: Duration,
    /// Handshakes under way at a time.
    pub connecting: usize,
}

pub struct Client {
    stream: TcpStream,
    inbox: Vec<u8>,
    filled_bytes: usize,
    outbox: Outbox,
}

impl Client {
    /// Connects socket number `index`, up to the namespace's answer.
    ///
    /// # Errors
    /// When the server refuses, closes, or takes longer than the endpoint's patience.
    pub async fn connect(endpoint: &Endpoint, index: usize) -> Result<Self> {
        timeout(endpoint.patience, Self::handshake(endpoint, index))
            .await
            .unwrap_or_else(|_| bail!("no answer within {:?}", endpoint.patience))
            .with_context(|| format!("socket {index} could not connect to {}", endpoint.address))
    }

    async fn handshake(endpoint: &Endpoint, index: usize) -> Result<Self> {
        let mut client = Self {
            stream: open(endpoint.address, index).await?,
            inbox: vec![0; 1024],
            filled_bytes: 0,
            outbox: Outbox::new(),
        };
        client.upgrade(endpoint.address).await?;
        client.join(&endpoint.namespace, endpoint.token.as_deref()).await?;
        Ok(client)
    }

    /// Joins a namespace, up to its answer.
    pub async fn join(&mut self, namespace: &str, token: Option<&str>) -> Result<()> {
        let auth = match token {
            Some(token) => serde_json::json!({ "token": token }).to_string(),
            None => "{}".to_owned(),
        };
        let connect = format!("40{namespace},{auth}");
        self.outbox.push(frame::TEXT, &[connect.as_bytes()]);
        let mut connected = false;
        while !connected {
            self.flush().await?;
            self.fill().await?;
            self.drain(|packet, _| {
                connected |= packet == Packet::Connected;
                Ok(())
            })?;
        }
        Ok(())
    }

    async fn upgrade(&mut self, address: SocketAddr) -> Result<()> {
        let request = format!(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n\
             Host: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        self.stream.write_all(request.as_bytes()).await?;
        loop {
            self.fill().await?;
            let response = &self.inbox[..self.filled_bytes];
            if let Some(end) = memchr::memmem::find(response, b"\r\n\r\n") {
                let status = String::from_utf8_lossy(&response[..response.len().min(60)]);
                ensure!(
                    status.starts_with("HTTP/1.1 101"),
                    "the server did not switch to WebSocket: {status}"
                );
                self.consume(end + 4);
                return Ok(());
            }
        }
    }

    /// Puts one event with an ack into the outbox. `event` is its JSON array.
    pub fn emit(outbox: &mut Outbox, namespace: &str, ack_id: u64, event: &[u8]) {
        let mut prefix = [0; 40];
        let mut cursor = &mut prefix[..];
        write!(cursor, "42{namespace},{ack_id}").expect("namespace and number fit in 40 bytes");
        let prefix_bytes = 40 - cursor.len();
        outbox.push(frame::TEXT, &[&prefix[..prefix_bytes], event]);
    }

    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// Writes everything in the outbox at once.
    pub async fn flush(&mut self) -> Result<()> {
        if !self.outbox.as_bytes().is_empty() {
            self.stream.write_all(self.outbox.as_bytes()).await?;
            self.outbox.clear();
        }
        Ok(())
    }

    /// Waits for more bytes. Safe to cancel: nothing that was read is lost.
    pub async fn fill(&mut self) -> Result<()> {
        if self.filled_bytes == self.inbox.len() {
            let grown_bytes = self.inbox.len() * 2;
            ensure!(
                grown_bytes <= INBOX_BYTES_MAX,
                "the server sent a frame of over {INBOX_BYTES_MAX} bytes"
            );
            self.inbox.resize(grown_bytes, 0);
        }
        let read_bytes = self.stream.read(&mut self.inbox[self.filled_bytes..]).await?;
        ensure!(read_bytes > 0, "the server closed the connection");
        self.filled_bytes += read_bytes;
        Ok(())
    }

    /// Gives every complete packet that was read to `each`, and queues the heartbeat's answers,
    /// so flush before the next [`fill`](Self::fill): some servers ping right after connecting.
    pub fn drain(&mut self, mut each: impl FnMut(Packet<'_>, &mut Outbox) -> Result<()>) -> Result<()> {
        let mut used_bytes = 0;
        while let Some(frame) = frame::read(&self.inbox[used_bytes..self.filled_bytes])? {
            used_bytes += frame.used_bytes;
            match (frame.opcode, frame.payload) {
                (frame::TEXT, [b'4', packet @ ..]) => each(Packet::read(packet)?, &mut self.outbox)?,
                (frame::TEXT, [b'2', ..]) => self.outbox.push(frame::TEXT, &[b"3"]),
                (frame::TEXT, [b'0' | b'6', ..]) => {}
                (frame::PING, payload) => self.outbox.push(frame::PONG, &[payload]),
                (frame::CLOSE, _) | (frame::TEXT, [b'1', ..]) => bail!("the server said goodbye"),
                (opcode, _) => bail!("the server sent an unexpected frame (opcode {opcode})"),
            }
        }
        self.consume(used_bytes);
        Ok(())
    }

    /// Sends one event to its namespace and waits for its ack and its result.
    pub async fn call(&mut self, namespace: &str, event: &[u8]) -> Result<()> {
        Self::emit(&mut self.outbox, namespace, 0, event);
        let (mut acked, mut finished) = (false, false);
        while !(acked && finished) {
            self.flush().await?;
            self.fill().await?;
            self.drain(|packet, _| {
                match packet {
                    Packet::Ack { body, .. } => acked = packet::accepted(body).map(|_| true)?,
                    Packet::Event(event) => finished |= packet::succeeded(event)?.is_some(),
                    Packet::Connected => {}
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Does nothing but answer the heartbeat; returns only with an error.
    pub async fn stay(mut self) -> Result<()> {
        loop {
            self.flush().await?;
            self.fill().await?;
            self.drain(|_, _| Ok(()))?;
        }
    }

    fn consume(&mut self, used_bytes: usize) {
        self.inbox.copy_within(used_bytes..self.filled_bytes, 0);
        self.filled_bytes -= used_bytes;
    }
}

/// Connects `count` sockets, as many at a time as the endpoint says.
pub async fn connect_many(endpoint: &Endpoint, count: usize) -> Result<Vec<Client>> {
    let at_once = endpoint.connecting;
    let mut lanes = JoinSet::new();
    for lane in 0..at_once {
        let endpoint = endpoint.clone();
        lanes.spawn(async move {
            let mut clients = Vec::new();
            for index in (lane..count).step_by(at_once) {
                clients.push(Client::connect(&endpoint, index).await?);
            }
            anyhow::Ok(clients)
        });
    }
    let mut clients = Vec::with_capacity(count);
    while let Some(lane) = lanes.join_next().await {
        clients.extend(lane??);
    }
    Ok(clients)
}

/// Opens the TCP connection, from another loopback address for every few thousand sockets.
async fn open(address: SocketAddr, index: usize) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4().context("cannot open a socket; is `ulimit -n` too low?")?;
    socket.set_nodelay(true)?;
    if let Ok(block @ 1..) = u8::try_from(index / SOCKETS_PER_ADDRESS)
        && address.ip().is_loopback()
    {
        let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1 + block.min(250)));
        socket.bind(SocketAddr::new(source, 0))?;
    }
    Ok(socket.connect(address).await?)
}
