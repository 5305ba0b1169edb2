//! A Socket.IO client over long polling, by hand.

use std::collections::VecDeque;
use std::time::Instant;

use serde_json::{Value as Json, json};

use super::server::{PATIENCE, Server, send};

/// As much of a Socket.IO client over long polling as tests without Node need. It sees every
/// packet in order, so "nothing came in between" can be told without waiting.
pub struct Polling {
    url: String,
    session: String,
    namespace: String,
    inbox: VecDeque<Packet>,
    acks: u64,
}

/// A packet of a namespace.
#[derive(Debug, Clone)]
pub struct Packet {
    /// The digit of its type: `0` connect, `1` disconnect, `2` event, `3` ack, `4` refused.
    pub kind: char,
    pub ack: Option<u64>,
    pub data: Json,
}

impl Polling {
    /// A connected socket.
    pub fn connect(server: &Server, namespace: &str, token: Option<&str>) -> Self {
        Self::try_connect(&server.url, namespace, token)
            .unwrap_or_else(|message| panic!("refused: {message}"))
    }

    /// A connected socket, or the message of its refusal.
    pub fn try_connect(url: &str, namespace: &str, token: Option<&str>) -> Result<Self, String> {
        let auth = token.map_or_else(String::new, |token| json!({ "token": token }).to_string());
        Self::try_connect_with(url, namespace, &auth)
    }

    /// The same with this as `auth`; empty: none.
    pub fn try_connect_with(url: &str, namespace: &str, auth: &str) -> Result<Self, String> {
        let opened = send(url, "GET", "/socket.io/?EIO=4&transport=polling", &[], b"");
        assert_eq!(opened.status, 200, "{}", opened.body);
        let opened: Json = serde_json::from_str(&opened.body[1..]).unwrap();
        let session = opened["sid"].as_str().unwrap().to_owned();
        let inbox = VecDeque::new();
        let mut socket =
            Self { url: url.to_owned(), session, namespace: namespace.to_owned(), inbox, acks: 0 };
        socket.post(&format!("40{namespace},{auth}"));
        let packet = socket.packet();
        match packet.kind {
            '0' => Ok(socket),
            _ => Err(packet.data["message"].as_str().unwrap_or_default().to_owned()),
        }
    }

    /// What it shows to speak for its session.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// Emits without an ack.
    pub fn emit(&self, event: &str, payload: &Json) {
        self.post(&format!("42{},{}", self.namespace, json!([event, payload])));
    }

    /// Emits with an ack; gives back the ack. Packets that came before it stay to be read.
    pub fn ask(&mut self, event: &str, payload: &Json) -> Json {
        self.acks += 1;
        let number = self.acks;
        self.post(&format!("42{},{number}{}", self.namespace, json!([event, payload])));
        self.take(|packet| packet.kind == '3' && packet.ack == Some(number)).data[0].clone()
    }

    /// Emits and waits for the outcome: the data of `ws:result` or `ws:error`.
    pub fn run(&mut self, event: &str, payload: &Json) -> Json {
        let ack = self.ask(event, payload);
        assert_eq!(ack["accepted"], true, "{event}: {ack}");
        let is_outcome = |packet: &Packet| {
            matches!(packet.data[0].as_str(), Some("ws:result" | "ws:error"))
                && packet.data[1]["requestId"] == ack["requestId"]
        };
        self.take(is_outcome).data[1].clone()
    }

    /// What comes with the next event of this name. Packets that came before it stay to be read.
    pub fn wait_for(&mut self, event: &str) -> Json {
        self.take(|packet| packet.kind == '2' && packet.data[0] == event).data[1].clone()
    }

    /// The next packet.
    pub fn packet(&mut self) -> Packet {
        self.take(|_| true)
    }

    /// What has arrived and was not taken.
    pub fn unread(&self) -> Vec<Packet> {
        self.inbox.iter().cloned().collect()
    }

    /// Takes the first packet that matches, polling until it is there.
    fn take(&mut self, matches: impl Fn(&Packet) -> bool) -> Packet {
        let start = Instant::now();
        loop {
            if let Some(at) = self.inbox.iter().position(&matches) {
                return self.inbox.remove(at).unwrap();
            }
            // Pings end a poll for as long as one waits.
            assert!(start.elapsed() < PATIENCE, "not in {PATIENCE:?}; came: {:?}", self.inbox);
            self.poll();
        }
    }

    fn poll(&mut self) {
        let answer = send(&self.url, "GET", &self.path(), &[], b"");
        assert_eq!(answer.status, 200, "{}", answer.body);
        for packet in answer.body.split('\u{1e}') {
            match packet.chars().next() {
                Some('2') => self.post("3"),
                Some('4') => self.inbox.extend(self.parse(&packet[1..])),
                _ => {}
            }
        }
    }

    fn post(&self, packet: &str) {
        assert!(self.try_post(packet), "{packet} is not taken");
    }

    /// Sends a packet as it is; whether the server took it.
    pub fn try_post(&self, packet: &str) -> bool {
        let plain = [("content-type", "text/plain")];
        send(&self.url, "POST", &self.path(), &plain, packet.as_bytes()).status == 200
    }

    fn path(&self) -> String {
        format!("/socket.io/?EIO=4&transport=polling&sid={}", self.session)
    }

    fn parse(&self, packet: &str) -> Option<Packet> {
        let kind = packet.chars().next()?;
        let rest = &packet[1..];
        let rest =
            rest.strip_prefix(&self.namespace).map_or(rest, |rest| rest.strip_prefix(',').unwrap_or(rest));
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let data = if rest[digits..].is_empty() {
            Json::Null
        } else {
            serde_json::from_str(&rest[digits..]).unwrap()
        };
        Some(Packet { kind, ack: rest[..digits].parse().ok(), data })
    }
}
