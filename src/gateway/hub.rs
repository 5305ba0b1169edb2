//! All that is live: namespaces, connections, users.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use gatewright_admin_api::{Live, LivePage, LiveRoom, LiveSocket, RoomQuery, SocketFigures, SocketQuery};
use gatewright_core::auth::{Accounts, UserId};
use gatewright_core::broker::{Action, Publication, Room, Sockets, Target};
use gatewright_core::config::Config;
use gatewright_core::run::Runner;
use parking_lot::{Mutex, RwLock};
use socketioxide::{SocketIo, SocketIoBuilder};
use tokio::sync::Notify;

use super::admin::{self, Admins};
use super::connection::{Connection, SocketId};
use super::guard::Sessions;
use super::handshake::AddressRates;
use super::namespace::Namespace;
use super::rooms;
use super::survey::{LastLook, live_socket};
use super::tokens::Expiries;
use super::topics::Topic;

/// Bytes that a WebSocket reads at once; each connection keeps a buffer of that size.
const READ_BUFFER_BYTES: usize = 1024;

/// How long a stop waits at least for clients to take their last packets, however late it is.
const LAST_PACKETS_MIN: Duration = Duration::from_secs(1);
/// The same of those that poll: each takes a request of its own.
const LAST_POLLS_MAX: Duration = Duration::from_secs(5);

/// Namespaces by path: read by every emit, so readers never wait.
pub type Namespaces = HashMap<Arc<str>, Arc<Namespace>>;

/// A connection's place among all; given back when dropped.
pub struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn take(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What the process has of Socket.IO.
pub struct Hub {
    pub runner: Arc<Runner>,
    pub accounts: Arc<Accounts>,
    pub(super) addresses: AddressRates,
    pub(super) sessions: Arc<Sessions>,
    pub(super) expiries: Expiries,
    /// The sockets of `/@admin`.
    pub(super) admins: Admins,
    pub(super) last_look: LastLook,
    /// Told when the sessions of sockets are to be looked at.
    pub(super) check_sessions: Notify,
    /// Itself, for the connections that it makes.
    pub(super) this: Weak<Self>,
    /// For what a worker thread has to leave to a task.
    pub(super) runtime: tokio::runtime::Handle,
    io: OnceLock<SocketIo>,
    namespaces: ArcSwap<Namespaces>,
    /// The names under which clients reach them, with the gateway's path of each.
    pub(super) served: Mutex<HashMap<Arc<str>, Arc<str>>>,
    users: RwLock<HashMap<UserId, Vec<Arc<Connection>>>>,
    connection_count: Arc<AtomicUsize>,
}

impl Hub {
    /// A hub with the gateways of the runner's catalog, to whose sockets its broker delivers.
    pub fn start(runner: Arc<Runner>, accounts: Arc<Accounts>) -> Arc<Self> {
        let limits = &runner.config.limits;
        let (library, io) = socket_io(&runner.config).build_layer();
        let hub = Arc::new_cyclic(|this| Self {
            this: this.clone(),
            check_sessions: Notify::new(),
            admins: Admins::default(),
            last_look: LastLook::default(),
            addresses: AddressRates::new(limits),
            sessions: Sessions::new(&library, limits.clone(), runner.metrics.clone()),
            accounts,
            expiries: Expiries::default(),
            runtime: tokio::runtime::Handle::current(),
            io: OnceLock::new(),
            namespaces: ArcSwap::default(),
            served: Mutex::default(),
            users: RwLock::default(),
            connection_count: Arc::default(),
            runner: runner.clone(),
        });
        // The hub is made once, so the cell is empty.
        admin::serve(&io, hub.this.clone());
        let _ = hub.io.set(io);
        hub.follow();
        hub
    }

    /// From now on hears of what changes, and of what is for its sockets.
    fn follow(&self) {
        let this = self.this.clone();
        self.runner.catalog.on_change(move || {
            if let Some(hub) = this.upgrade() {
                hub.reconcile();
                hub.admins.definitions_changed();
            }
        });
        self.reconcile();
        self.runner.broker.attach(self.this.clone());
        let broker = self.runner.broker.clone();
        self.accounts.on_change(move || {
            let check = Publication { target: Target::All, action: Action::CheckSession };
            if let Err(failure) = broker.publish(check) {
                tracing::debug!(%failure, "other nodes look at sessions a moment later");
            }
        });
    }

    pub(super) fn io(&self) -> &SocketIo {
        self.io.get().expect("set when the hub is made")
    }

    /// A namespace by its path.
    pub fn namespace(&self, path: &str) -> Option<Arc<Namespace>> {
        self.namespaces.load().get(path).cloned()
    }

    /// All namespaces by path.
    pub fn namespaces(&self) -> Arc<Namespaces> {
        self.namespaces.load_full()
    }

    pub(super) fn change_namespaces(&self, change: impl Fn(&mut Namespaces)) {
        self.namespaces.rcu(|namespaces| {
            let mut changed = Namespaces::clone(namespaces);
            change(&mut changed);
            changed
        });
    }

    /// Adds a connection that was let in; false when its transport has one to its gateway already.
    pub(super) fn add(&self, connection: &Arc<Connection>) -> bool {
        if !connection.namespace.add(connection) {
            return false;
        }
        if let Some(user) = connection.user_id() {
            self.users.write().entry(user).or_default().push(connection.clone());
        }
        true
    }

    /// Forgets a connection; gives back the rooms it was in.
    pub(super) fn remove(&self, connection: &Arc<Connection>) -> Vec<String> {
        connection.give_seat_back();
        if let Some(user) = connection.user_id() {
            let mut users = self.users.write();
            if let Some(connections) = users.get_mut(&user) {
                connections.retain(|other| !Arc::ptr_eq(other, connection));
                if connections.is_empty() {
                    users.remove(&user);
                }
            }
        }
        connection.namespace.remove(connection)
    }

    /// All connections of the user with this id.
    pub fn connections_of(&self, user_id: &str) -> Vec<Arc<Connection>> {
        self.users.read().get(user_id).cloned().unwrap_or_default()
    }

    /// How many connections the user with this id has.
    pub(super) fn connection_count_of(&self, user_id: &str) -> usize {
        self.users.read().get(user_id).map_or(0, Vec::len)
    }

    /// So many connections of a user to one gateway, by id, behind this one.
    pub(super) fn connections_of_user_behind(
        &self,
        user_id: &str,
        path: &str,
        behind: Option<SocketId>,
        most: usize,
    ) -> Vec<Arc<Connection>> {
        let users = self.users.read();
        let mut nearest = BTreeMap::new();
        for connection in users.get(user_id).into_iter().flatten() {
            if *connection.namespace.path == *path && behind.is_none_or(|behind| connection.id > behind) {
                nearest.insert(connection.id, connection);
                if nearest.len() > most {
                    nearest.pop_last();
                }
            }
        }
        nearest.into_values().cloned().collect()
    }

    /// All connections of users who are signed in.
    pub(super) fn signed_in_connections(&self) -> Vec<Arc<Connection>> {
        self.users.read().values().flatten().cloned().collect()
    }

    /// A socket's connections, one for each namespace that it is in.
    pub fn connections_of_socket(&self, socket_id: &str) -> Vec<Arc<Connection>> {
        let Ok(id) = socket_id.parse::<SocketId>() else { return Vec::new() };
        self.namespaces().values().filter_map(|namespace| namespace.rooms.connection(id)).collect()
    }

    /// Those of a gateway's rooms, or of all gateways', that are meant.
    pub(super) fn rooms(&self, room: Room<'_>) -> impl Iterator<Item = Arc<rooms::Room>> {
        let namespaces = self.namespace_or_all(room.gateway).into_iter();
        namespaces.filter_map(move |namespace| namespace.rooms.room(room.name))
    }

    /// The topics of this name of a gateway, or of all.
    pub(super) fn topics(&self, gateway: Option<&str>, name: &str) -> impl Iterator<Item = Arc<Topic>> {
        let namespaces = self.namespace_or_all(gateway).into_iter();
        namespaces.filter_map(move |namespace| namespace.rooms.topic(name))
    }

    fn namespace_or_all(&self, path: Option<&str>) -> Vec<Arc<Namespace>> {
        match path {
            Some(path) => self.namespace(path).into_iter().collect(),
            None => self.namespaces().values().cloned().collect(),
        }
    }

    /// A place for another connection; none when the server is full.
    pub(super) fn take_seat(&self) -> Option<Seat> {
        let seat = Seat::take(&self.connection_count);
        let most = self.runner.config.limits.connections;
        (most == 0 || self.connection_count() <= most).then_some(seat)
    }

    /// Whether there is no place for another connection.
    pub(super) fn is_full(&self) -> bool {
        let most = self.runner.config.limits.connections;
        most > 0 && self.connection_count() >= most
    }

    /// Whether the server is stopping.
    pub fn is_draining(&self) -> bool {
        !self.runner.queue.is_open()
    }

    /// All connections that showed an app key.
    pub(super) fn connections_with_app_key(&self) -> Vec<Arc<Connection>> {
        let namespaces = self.namespaces();
        let all = namespaces.values().flat_map(|namespace| namespace.rooms.connections());
        all.filter(|connection| connection.app_key().is_some()).collect()
    }

    /// How many connections there are.
    pub fn connection_count(&self) -> usize {
        self.connection_count.load(Ordering::Relaxed)
    }

    /// Whether this address may open another connection; else how long it has to wait.
    pub(super) fn check_address(&self, address: IpAddr) -> Result<(), Duration> {
        let checked = self.addresses.check(address);
        if checked.is_err() {
            self.runner.metrics.rate_limited.inc();
        }
        checked
    }

    /// Lets nobody in any more, and refuses events.
    pub fn begin_drain(&self) {
        self.runner.queue.close();
        self.runner.jobs.begin_drain();
    }

    /// Finishes accepted jobs and ends all connections, spread over what is left of the time.
    pub async fn drain(&self) {
        let start = tokio::time::Instant::now();
        let limit = Duration::from_millis(self.runner.config.queue.drain_ms);
        if !self.runner.queue.drained(limit).await {
            tracing::warn!(jobs = self.runner.queue.depth(), "not all jobs were done in time");
        }
        let left = limit.saturating_sub(start.elapsed());
        self.leave_all(left).await;
        self.runner.queue.drained(limit.saturating_sub(start.elapsed())).await;
        self.runner.queue.stop();
    }

    /// Ends all transports in the way that lets stock clients reconnect. A crowd that is sent away at
    /// once comes back at once: small batches with pauses.
    async fn leave_all(&self, within: Duration) {
        const BATCH: usize = 100;
        self.admins.sockets().iter().for_each(|admin| admin.leave());
        let connections = self.namespaces();
        let connections = connections.values().flat_map(|namespace| namespace.rooms.connections());
        let (polling, sockets): (Vec<_>, Vec<_>) = connections.partition(|one| one.is_polling());
        let batches = sockets.chunks(BATCH);
        let pause = within / (2 * batches.len().max(1) as u32);
        for (number, batch) in batches.enumerate() {
            if number > 0 {
                tokio::time::sleep(pause).await;
            }
            batch.iter().for_each(|connection| connection.leave());
        }
        let begun = tokio::time::Instant::now();
        let last_polls = begun + within.min(LAST_POLLS_MAX);
        // What waits for one that polls goes with its next request. A poll that is seen once may be about to leave with
        // a part of it; one that is seen twice has nothing to take along.
        let mut polling: Vec<_> = polling.into_iter().map(|one| (one, false)).collect();
        while !polling.is_empty() {
            let is_late = tokio::time::Instant::now() >= last_polls;
            let is_done = |(one, was_idle): &mut (Arc<Connection>, bool)| {
                let is_idle = one.is_polled_in_vain();
                let was_idle = std::mem::replace(was_idle, is_idle);
                is_late || is_idle && was_idle
            };
            for (connection, _) in polling.extract_if(.., is_done) {
                connection.leave();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // A WebSocket's connection is gone when all is written; one that takes nothing is cut by its listener.
        let deadline = (begun + within).max(tokio::time::Instant::now() + LAST_PACKETS_MIN);
        while self.connection_count() > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // The last answers to polls leave before the process does.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Live for Hub {
    fn connections(&self) -> BTreeMap<String, usize> {
        Sockets::connections(self)
    }

    fn sockets_of(&self, user_id: &str) -> Vec<LiveSocket> {
        self.connections_of(user_id).iter().map(live_socket).collect()
    }

    fn sockets_with_id(&self, id: &str) -> Vec<LiveSocket> {
        self.connections_of_socket(id).iter().map(live_socket).collect()
    }

    fn sockets(&self, query: &SocketQuery) -> LivePage<LiveSocket> {
        self.sockets_page(query)
    }

    fn rooms(&self, query: &RoomQuery) -> LivePage<LiveRoom> {
        self.rooms_page(query)
    }

    fn socket_figures(&self) -> SocketFigures {
        self.figures_of_sockets()
    }

    fn queue_depth(&self) -> usize {
        self.runner.queue.depth()
    }
}

fn socket_io(config: &Config) -> SocketIoBuilder {
    let limits = &config.limits;
    SocketIo::builder()
        .max_payload(u64::from(limits.packet_bytes))
        .ws_max_message_size(limits.packet_bytes as usize)
        .ws_max_frame_size(limits.packet_bytes as usize)
        .ws_read_buffer_size(READ_BUFFER_BYTES)
        .max_buffer_size(limits.outgoing_packets)
        .ping_interval(Duration::from_millis(limits.ping_interval_ms))
        .ping_timeout(Duration::from_millis(limits.ping_timeout_ms))
        .connect_timeout(Duration::from_millis(limits.handshake_timeout_ms))
}
