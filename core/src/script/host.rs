//! What a script can do to the world. One of the two trait borders of the product: the live host
//! stands at the edge, the recorded one ([`super::RecordedHost`]) beside this file.

use std::sync::Arc;

use super::macros::cache::Cache;
use crate::error::Failure;
use crate::store::Time;

/// What leaves a run: JSON text, and the blobs that its `{"_placeholder":true,"num":n}` stand for
/// (the form of Socket.IO's binary packets).
#[derive(Debug, Clone, PartialEq)]
pub struct Payload {
    /// Complete JSON.
    pub json: String,
    /// In the order of their numbers.
    pub attachments: Vec<Vec<u8>>,
}

impl Payload {
    /// The JSON as a tree, for answers over HTTP; blobs become base64 text.
    pub fn to_value(&self) -> serde_json::Value {
        let mut value = serde_json::from_str(&self.json).unwrap_or_default();
        if !self.attachments.is_empty() {
            self.inline(&mut value);
        }
        value
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> usize {
        self.json.len() + self.attachments.iter().map(Vec::len).sum::<usize>()
    }

    fn inline(&self, value: &mut serde_json::Value) {
        use base64::Engine;
        use serde_json::Value as Json;
        match value {
            Json::Object(map) if map.get("_placeholder") == Some(&Json::Bool(true)) => {
                let number = map.get("num").and_then(Json::as_u64).unwrap_or_default() as usize;
                if let Some(blob) = self.attachments.get(number) {
                    *value = base64::engine::general_purpose::STANDARD.encode(blob).into();
                }
            }
            Json::Object(map) => map.values_mut().for_each(|value| self.inline(value)),
            Json::Array(array) => array.iter_mut().for_each(|value| self.inline(value)),
            _ => {}
        }
    }
}

/// To whom an emit goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// The triggering client.
    Reply,
    /// A room of this gateway without the sender.
    RoomWithoutSender(&'a str),
    /// A room of this gateway.
    CurrentRoom(&'a str),
    /// The rooms of this name in all gateways.
    RoomOfAll(&'a str),
    /// A room of one gateway.
    RoomOf(&'a str, &'a str),
    /// All sockets of a user, in all gateways.
    User(&'a str),
    /// One socket.
    Socket(&'a str),
    /// All sockets of a gateway.
    Gateway(&'a str),
    /// Every socket of every gateway.
    All,
}

/// Who is in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The socket.
    pub socket_id: String,
    /// Its user, if it is signed in.
    pub user_id: Option<String>,
    /// When it joined.
    pub joined_at: Time,
}

/// What a script can do to the world. Calls come from a script thread and may block it.
/// A failure ends the run with its code, unless the script catches it.
pub trait Host: Send + Sync {
    /// The triggering socket's id; none where no socket triggered the run.
    fn socket_id(&self) -> Option<&str>;
    /// Sends an event.
    fn emit(&self, target: Target<'_>, event: &str, data: Payload) -> Result<(), Failure>;
    /// Puts the triggering socket into a room.
    fn join(&self, room: &str) -> Result<(), Failure>;
    /// Takes the triggering socket out of a room.
    fn leave(&self, room: &str);
    /// The rooms of the triggering socket.
    fn rooms(&self) -> Vec<String>;
    /// Who is in a room of this gateway; of all gateways where no socket triggered the run.
    fn members(&self, room: &str) -> Vec<Member>;
    /// How many are in a room of this gateway; of all where no socket triggered the run.
    fn room_size(&self, room: &str) -> usize;
    /// Ends the triggering socket's connection once what was emitted before has been sent.
    fn disconnect(&self);
    /// Ends the connections of a user.
    fn disconnect_user(&self, user_id: &str);
    /// Ends one connection.
    fn disconnect_socket(&self, socket_id: &str);
    /// A value of the triggering connection, as JSON.
    fn get(&self, key: &str) -> Option<Arc<str>>;
    /// Keeps a value with the triggering connection.
    fn set(&self, key: &str, json: String) -> Result<(), Failure>;
    /// What `@CACHE` reads and writes.
    fn cache(&self) -> &Cache;
    /// Whether effects that cannot be recorded (an HTTP request that writes) may happen.
    fn is_live(&self) -> bool;
}
