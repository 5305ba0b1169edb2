//! What the handlers work with.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use gatewright_core::audit::Audit;
use gatewright_core::auth::{Accounts, User};
use gatewright_core::backups::Backups;
use gatewright_core::catalog::{BuiltInPaths, Catalog};
use gatewright_core::config::{Config, Setting};
use gatewright_core::jobs::Jobs;
use gatewright_core::pack::Pack;
use gatewright_core::run::{Captures, History, RunLog, Runner};
use gatewright_core::store::Time;
use uuid::Uuid;

use crate::sockets::SocketFigures;

/// What the admin API needs to know of the running gateway: one of the two trait borders.
pub trait Live: Send + Sync {
    /// Open connections by gateway path.
    fn connections(&self) -> BTreeMap<String, usize>;
    /// The sockets of a user.
    fn sockets_of(&self, user_id: &str) -> Vec<LiveSocket>;
    /// The sockets with this id: one for each gateway that a transport is connected to.
    fn sockets_with_id(&self, id: &str) -> Vec<LiveSocket>;
    /// The sockets that are asked for, by gateway and id. However many there are, it looks at a bounded number
    /// of them: a page may have fewer than its limit, and be followed by more.
    fn sockets(&self, query: &SocketQuery) -> LivePage<LiveSocket>;
    /// The rooms that are asked for, by gateway and name; bounded as [`Self::sockets`].
    fn rooms(&self, query: &RoomQuery) -> LivePage<LiveRoom>;
    /// What all sockets and rooms come to.
    fn socket_figures(&self) -> SocketFigures;
    /// Jobs that wait or run.
    fn queue_depth(&self) -> usize;
}

/// A socket in a gateway.
#[derive(Debug)]
pub struct LiveSocket {
    /// Its id, as clients know it.
    pub socket_id: String,
    /// The path of its gateway.
    pub gateway: String,
    /// The user who is signed in; none: a guest.
    pub user: Option<Arc<User>>,
    /// The session whose token it shows; none: the token is of another issuer.
    pub session_id: Option<Uuid>,
    /// Where it came from.
    pub address: Option<IpAddr>,
    /// Whether it has no WebSocket.
    pub is_polling: bool,
    /// The first of its rooms.
    pub rooms: Vec<String>,
    /// How many rooms it is in.
    pub room_count: usize,
    /// Bytes that wait to be sent to it.
    pub queued_bytes: usize,
    /// Events of it that wait for their scripts.
    pub queued_events: usize,
    /// When it connected.
    pub connected_at: Time,
}

/// A room that somebody is in.
#[derive(Debug)]
pub struct LiveRoom {
    /// Its name.
    pub name: String,
    /// The path of its gateway.
    pub gateway: String,
    /// How many sockets are in it.
    pub members: usize,
}

/// Which sockets; what is none is any.
#[derive(Debug, Default)]
pub struct SocketQuery {
    /// The path of their gateway.
    pub gateway: Option<String>,
    /// The id of their user.
    pub user_id: Option<String>,
    /// A room that they are in.
    pub room: Option<String>,
    /// What is in their id, their address or the id, e-mail or name of their user; in lower case.
    pub text: Option<String>,
    /// Behind which one.
    pub behind: Option<Cursor>,
    /// How many at most.
    pub limit: usize,
}

/// Which rooms; what is none is any.
#[derive(Debug, Default)]
pub struct RoomQuery {
    /// The path of their gateway.
    pub gateway: Option<String>,
    /// What is in their name; in lower case.
    pub text: Option<String>,
    /// Behind which one.
    pub behind: Option<Cursor>,
    /// How many at most.
    pub limit: usize,
}

/// A part of what was asked for.
#[derive(Debug)]
pub struct LivePage<T> {
    /// What was found.
    pub found: Vec<T>,
    /// Where it goes on; none: that was all.
    pub next: Option<Cursor>,
}

/// A place in the order of gateways, and of sockets by id or rooms by name within one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The path of the gateway.
    pub gateway: String,
    /// The id or the name that was the last.
    pub last: String,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No path has a space.
        write!(f, "{} {}", self.gateway, self.last)
    }
}

impl Cursor {
    /// The cursor that was written so.
    pub fn parse(text: &str) -> Option<Self> {
        let (gateway, last) = text.split_once(' ')?;
        gateway.starts_with('/').then(|| Self { gateway: gateway.to_owned(), last: last.to_owned() })
    }
}

/// What the handlers work with.
#[derive(Clone)]
pub struct AdminState {
    /// The effective configuration.
    pub config: Arc<Config>,
    /// The same as people read it, with the origin of each value.
    pub settings: Arc<Vec<Setting>>,
    /// Who did what.
    pub audit: Arc<Audit>,
    /// Users and their tokens.
    pub accounts: Arc<Accounts>,
    /// Gateways, events and their scripts.
    pub catalog: Arc<Catalog>,
    /// Writes rows, with the hooks that belong to them, and reaches sockets.
    pub runner: Arc<Runner>,
    /// The last runs.
    pub runs: Arc<RunLog>,
    /// Whose payloads are kept for a while.
    pub captures: Arc<Captures>,
    /// How the server has fared.
    pub history: Arc<History>,
    /// Durable events, and jobs for later.
    pub jobs: Arc<Jobs>,
    /// The running gateway.
    pub live: Arc<dyn Live>,
    /// The packs that can be installed.
    pub packs: Arc<Vec<Pack>>,
    /// Copies of the database.
    pub backups: Arc<Backups>,
    /// What no route can have.
    pub built_in_paths: BuiltInPaths,
}
