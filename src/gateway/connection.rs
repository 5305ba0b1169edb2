//! One socket in one namespace.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gatewright_core::auth::{AppKey, SignedIn, User, UserId};
use gatewright_core::queue::Lane;
use gatewright_core::run::Job;
use gatewright_core::store::{self, Time};
use parking_lot::{Mutex, RwLock};
use socketioxide::extract::{AckSender, SocketRef};
use socketioxide::{SendError, SocketError};

use super::guard::Session;
use super::handshake::Handshake;
use super::hub::{Hub, Seat};
use super::limits::Rate;
use super::namespace::Namespace;
use super::packets::Packet;

/// A socket's id, as clients know it.
pub type SocketId = socketioxide::socket::Sid;

/// The stages of a connection, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stage {
    /// Its connection script has not succeeded yet.
    Connecting = 0,
    /// Its events run.
    Open = 1,
    /// Its connection script failed: its events are dropped.
    Rejected = 2,
}

/// One socket in one namespace.
pub struct Connection {
    /// Unique among all sockets, shared by the namespaces of one transport.
    pub id: SocketId,
    /// The same as text.
    pub id_text: Arc<str>,
    /// Where it is connected.
    pub namespace: Arc<Namespace>,
    /// The name by which it came: the gateway's path or an alias.
    pub entrance: Arc<str>,
    /// Its jobs.
    pub lane: Arc<Lane<Job>>,
    /// When it connected.
    pub connected_at: Time,
    /// How fast it sends.
    pub rate: Arc<Mutex<Rate>>,
    /// Its transport's, which other namespaces may share.
    pub session: Arc<Session>,
    /// What a guest is known by from one connection to the next: `auth.clientKey`.
    pub client_key: Option<Box<str>>,
    /// Whether a newer token of its user is being looked at.
    pub is_refreshing: AtomicBool,
    hub: Arc<Hub>,
    /// Where its durable events are, once there are any.
    job_shard: OnceLock<i32>,
    /// Set once it is connected; cut from the socket's side when it goes, since each holds the other.
    socket: OnceLock<SocketRef>,
    identity: RwLock<Option<SignedIn>>,
    app_key: RwLock<Option<Arc<AppKey>>>,
    has_gone: Mutex<bool>,
    values: Mutex<Option<Box<Values>>>,
    stage: AtomicU8,
    is_ending: AtomicBool,
    is_ended_by_server: AtomicBool,
    is_leaving: AtomicBool,
    seat: Mutex<Option<Seat>>,
}

/// JSON by key.
type Values = HashMap<String, Arc<str>>;

/// Values that a script keeps with a connection, at most.
const VALUES_MAX: usize = 100;
/// Bytes of all of them together.
const VALUES_BYTES_MAX: usize = 1 << 20;

/// How often, and how many times, a slow client is tried to be told goodbye; by then its missed
/// ping has ended it.
const GOODBYE_EVERY: Duration = Duration::from_millis(100);
const GOODBYES_MAX: u32 = 600;

impl Connection {
    /// A connection that has not been let in yet.
    pub fn new(
        id: SocketId,
        hub: Arc<Hub>,
        (namespace, entrance): (Arc<Namespace>, Arc<str>),
        lane: Arc<Lane<Job>>,
        (identity, app_key): (Option<SignedIn>, Option<Arc<AppKey>>),
        session: Arc<Session>,
        seat: Seat,
    ) -> Self {
        Self {
            id,
            id_text: id.to_string().into(),
            hub,
            rate: session.event_rate(&namespace.path),
            session,
            client_key: None,
            job_shard: OnceLock::new(),
            is_refreshing: AtomicBool::new(false),
            namespace,
            entrance,
            lane,
            connected_at: store::now(),
            socket: OnceLock::new(),
            identity: RwLock::new(identity),
            app_key: RwLock::new(app_key),
            has_gone: Mutex::new(false),
            values: Mutex::default(),
            stage: AtomicU8::new(Stage::Connecting as u8),
            is_ending: AtomicBool::new(false),
            is_ended_by_server: AtomicBool::new(false),
            is_leaving: AtomicBool::new(false),
            seat: Mutex::new(Some(seat)),
        }
    }

    /// The same, of a client that brings a key of its own.
    pub fn with_client_key(self, client_key: Option<Box<str>>) -> Self {
        Self { client_key, ..self }
    }

    /// The hub that it belongs to.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// The part of the jobs that its durable events are in.
    pub fn job_shard(&self) -> i32 {
        *self.job_shard.get_or_init(|| self.hub.runner.jobs.shard_for_socket())
    }

    /// Connects it with its socket; false when it has gone before that.
    pub fn attach(&self, socket: SocketRef) -> bool {
        let has_gone = self.has_gone.lock();
        let is_attached = !*has_gone && self.socket.set(socket).is_ok();
        drop(has_gone);
        if is_attached && self.is_ended_by_server() {
            // It was to end before there was a socket to end.
            self.end();
        }
        is_attached
    }

    /// Notes that its socket has gone; whether it was connected with it.
    pub fn detach(&self) -> bool {
        let mut has_gone = self.has_gone.lock();
        *has_gone = true;
        self.socket.get().is_some()
    }

    /// Gives its place among all connections back.
    pub fn give_seat_back(&self) {
        self.seat.lock().take();
    }

    /// The user, as far as anyone is signed in.
    pub fn signed_in_user(&self) -> Option<Arc<User>> {
        self.identity.read().as_ref().map(|identity| identity.user.clone())
    }

    /// The user's id.
    pub fn user_id(&self) -> Option<UserId> {
        self.identity.read().as_ref().map(|identity| identity.user.id.clone())
    }

    /// Who is signed in, and until when.
    pub fn identity(&self) -> Option<SignedIn> {
        self.identity.read().clone()
    }

    /// Replaces who is signed in, e.g. by the same user with a newer token.
    pub fn set_identity(&self, identity: SignedIn) {
        *self.identity.write() = Some(identity);
    }

    /// How far it is.
    pub fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Connecting,
            1 => Stage::Open,
            _ => Stage::Rejected,
        }
    }

    /// Takes it to the next stage.
    pub fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
    }

    /// The app key that it showed.
    pub fn app_key(&self) -> Option<Arc<AppKey>> {
        self.app_key.read().clone()
    }

    /// Replaces that by what the key is now.
    pub fn set_app_key(&self, app_key: Arc<AppKey>) {
        *self.app_key.write() = Some(app_key);
    }

    /// Sends an event; false when the client does not keep up. To a socket that has gone, or is
    /// being ended, nothing is sent: after a packet that was lost there is no other.
    fn send<T: Packet>(&self, event: &str, data: &T) -> bool {
        let Some(socket) = self.socket.get() else { return true };
        if self.is_ending.load(Ordering::Relaxed) {
            return true;
        }
        if !self.has_room_for(event.len() + data.bytes()) {
            return false;
        }
        match socket.emit(event, data) {
            Ok(()) => true,
            Err(SendError::Socket(SocketError::InternalChannelFull)) => false,
            Err(SendError::Socket(SocketError::Closed)) => true,
            Err(SendError::Serialize(error)) => {
                tracing::error!(%error, event, "a packet could not be encoded");
                true
            }
        }
    }

    /// Sends an event, and ends a client that does not keep up.
    pub fn send_or_end<T: Packet>(&self, event: &str, data: &T) {
        if !self.send(event, data) {
            self.end_as_slow();
        }
    }

    /// Sends an ack, and ends a client that does not keep up.
    pub fn acknowledge<T: Packet>(&self, ack: AckSender, data: &T) {
        let is_full = || matches!(ack.send(data), Err(SendError::Socket(SocketError::InternalChannelFull)));
        if !self.has_room_for(data.bytes()) || is_full() {
            self.end_as_slow();
        }
    }

    /// Whether so many bytes more may wait for the client; they count from here on.
    fn has_room_for(&self, bytes: usize) -> bool {
        let most = self.hub.runner.config.limits.outgoing_bytes;
        self.session.backlog.add(bytes) <= most || most == 0
    }

    /// Ends the connection after what was sent before.
    pub fn end(&self) {
        self.is_ended_by_server.store(true, Ordering::SeqCst);
        let Some(socket) = self.socket.get() else { return };
        // socketioxide spawns a task, and the caller may be a script's thread.
        let _in_runtime = self.hub.runtime.enter();
        if let Err(SocketError::InternalChannelFull) = socket.clone().disconnect() {
            self.end_as_slow();
        }
    }

    /// Whether the server ended it, whatever the transport says: a quick client closes its side
    /// before socketioxide gives its reason.
    pub fn is_ended_by_server(&self) -> bool {
        self.is_ended_by_server.load(Ordering::SeqCst)
    }

    /// Ends a connection that does not read: there is no room for a goodbye, so its TCP
    /// connection is cut. One that polls has none; it gets its goodbye when it next polls.
    pub fn end_as_slow(&self) {
        if self.is_ending.swap(true, Ordering::SeqCst) {
            return;
        }
        tracing::info!(gateway = %self.namespace.path, socket_id = %self.id, "disconnected: it does not read");
        self.hub.runner.metrics.slow_disconnects.inc();
        let Some(socket) = self.socket.get() else { return };
        if let Some(handle) = self.session.transport() {
            handle.cut();
        }
        self.hub.runtime.spawn(say_goodbye(socket.clone()));
    }

    /// The address that it came from; none before it is connected.
    pub fn address(&self) -> Option<IpAddr> {
        let socket = self.socket.get()?;
        socket.req_parts().extensions.get::<Arc<Handshake>>().map(|handshake| handshake.ip)
    }

    /// Whether it has no WebSocket.
    pub fn is_polling(&self) -> bool {
        self.session.transport().is_none()
    }

    /// Whether its client polls right now, as far as one knows for nothing.
    pub fn is_polled_in_vain(&self) -> bool {
        self.session.is_polled() && self.session.backlog.waiting() == 0
    }

    /// Ends its transport, once what waits is written, in the way that lets a stock client reconnect.
    pub fn leave(&self) {
        self.is_leaving.store(true, Ordering::SeqCst);
        self.session.leave();
    }

    /// Whether it was told to come back later, as the server stops.
    pub fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::SeqCst)
    }

    /// A value that a script keeps here.
    pub fn value(&self, key: &str) -> Option<Arc<str>> {
        self.values.lock().as_ref()?.get(key).cloned()
    }

    /// Keeps a value, or forgets it when it is null; false when there is no room for it.
    pub fn set_value(&self, key: &str, json: String) -> bool {
        let mut values = self.values.lock();
        let values = values.get_or_insert_default();
        if json == "null" {
            values.remove(key);
            return true;
        }
        let bytes: usize = values.iter().filter(|(name, _)| *name != key).map(|(_, value)| value.len()).sum();
        let is_new = !values.contains_key(key);
        if (is_new && values.len() >= VALUES_MAX) || bytes + json.len() > VALUES_BYTES_MAX {
            return false;
        }
        values.insert(key.to_owned(), json.into());
        true
    }
}

/// Tries to send the goodbye until there is room for it, or the transport has gone.
async fn say_goodbye(socket: SocketRef) {
    for _ in 0..GOODBYES_MAX {
        if !socket.connected() || socket.clone().disconnect().is_ok() {
            return;
        }
        tokio::time::sleep(GOODBYE_EVERY).await;
    }
}
