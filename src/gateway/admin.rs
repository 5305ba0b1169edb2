//! `/@admin`: what admins see of the running server, live. A namespace of the product itself: its events
//! never wait in the queue of scripts, so it works while that is full, and its sockets are no connections
//! of a gateway. What they are sent is `admin_feed.rs`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use gatewright_admin_api::RunQuery;
use gatewright_core::auth::{SignedIn, User};
use gatewright_core::catalog::{GatewayLimits, Limits};
use gatewright_core::run::{RunCursor, RunFilter};
use gatewright_core::script::event_name;
use gatewright_core::store::now;
use gatewright_core::{ErrorCode, Failure};
use parking_lot::{Mutex, RwLock};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use socketioxide::SocketIo;
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::{AckSender, SocketRef, TryData};
use socketioxide::handler::{ConnectHandler, FromMessageParts, MessageHandler};
use socketioxide::socket::{DisconnectReason, Socket};
use socketioxide_core::Value;
use time::format_description::well_known::Rfc3339;
use tokio::sync::Notify;
use uuid::Uuid;

use super::connect::{UNAVAILABLE, authenticate};
use super::guard::Session;
use super::guard::name::restored;
use super::handshake::Handshake;
use super::hub::Hub;
use super::packets::{self, ConnectError, ErrorBody, Packet, TokenTime};

/// No gateway can have it: `@` is in no path.
const NAMESPACE: &str = "/@admin";
/// Sockets at once.
const SOCKETS_MAX: usize = 64;
/// A packet of an admin, at most: a token is the longest that there is.
const PACKET_BYTES_MAX: usize = 64 << 10;
/// Bytes that wait for one admin; what is beyond is left out.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// All sockets of admins.
#[derive(Default)]
pub struct Admins {
    sockets: RwLock<Vec<Arc<AdminSocket>>>,
    /// Told when one has come.
    pub(super) came: Notify,
    definitions: AtomicU64,
}

/// The socket of an admin.
pub struct AdminSocket {
    hub: Arc<Hub>,
    session: Arc<Session>,
    /// Set once it is connected.
    socket: OnceLock<SocketRef>,
    identity: RwLock<SignedIn>,
    /// What it watches.
    pub(super) topics: Mutex<Topics>,
    is_refreshing: AtomicBool,
}

/// What an admin watches.
#[derive(Default)]
pub struct Topics {
    pub(super) stats: bool,
    pub(super) runs: Option<RunsTopic>,
    pub(super) jobs: bool,
    pub(super) sockets: bool,
    /// The number of the last change that it was told of.
    pub(super) catalog: Option<u64>,
}

/// Which runs an admin watches, and how far they were sent.
pub struct RunsTopic {
    pub(super) filter: RunFilter,
    pub(super) cursor: RunCursor,
}

/// A socket between the middleware that lets it in and the handler that opens it.
#[derive(Clone)]
struct LetIn(Arc<AdminSocket>);

/// Takes every event of one socket. The socket holds it, so it does not hold the socket.
struct AdminEvents(Weak<AdminSocket>);

/// Marks [`AdminEvents`] among socketioxide's message handlers.
struct AllEvents;

/// Serves the namespace.
pub fn serve(io: &SocketIo, hub: Weak<Hub>) {
    let let_in = move |socket: SocketRef, TryData(auth): TryData<Json>| {
        let hub = hub.clone();
        async move {
            let hub = hub.upgrade().ok_or(UNAVAILABLE)?;
            let_in(hub, socket, auth.unwrap_or_default()).await
        }
    };
    let open = |socket: SocketRef| {
        open(&socket);
        async {}
    };
    io.ns(NAMESPACE, open.with(let_in));
}

async fn let_in(hub: Arc<Hub>, socket: SocketRef, auth: Json) -> Result<(), ConnectError> {
    let extensions = &socket.req_parts().extensions;
    let handshake = extensions.get::<Arc<Handshake>>().cloned().unwrap_or_default();
    let session = extensions.get::<Arc<Session>>().cloned().ok_or(UNAVAILABLE)?;
    if !handshake.is_for_admins {
        return Err(ConnectError::new(ErrorCode::Forbidden, "Admins connect where `admin.listen` says"));
    }
    let token = auth.get("token").and_then(Json::as_str).filter(|token| !token.is_empty());
    // A cookie counts from the own origin alone, as in the admin API.
    let cookie = || handshake.cookie_token.as_deref().filter(|_| handshake.cookie_counts(&[]));
    let token = token.or(handshake.bearer.as_deref()).or_else(cookie);
    let token = token.ok_or(ConnectError::new(ErrorCode::AuthRequired, "Authentication token required"))?;
    let identity = authenticate(&hub, token).await?;
    if !identity.user.is_admin() {
        return Err(ConnectError::new(ErrorCode::Forbidden, "This needs the role admin"));
    }
    if hub.is_draining() || hub.admins.sockets.read().len() >= SOCKETS_MAX {
        return Err(UNAVAILABLE);
    }
    let admin = Arc::new(AdminSocket {
        hub,
        session,
        socket: OnceLock::new(),
        identity: RwLock::new(identity),
        topics: Mutex::default(),
        is_refreshing: AtomicBool::new(false),
    });
    socket.on_fallback(AdminEvents(Arc::downgrade(&admin)));
    let leaving = Arc::downgrade(&admin);
    socket.on_disconnect(move |_: SocketRef, _: DisconnectReason| {
        if let Some(admin) = leaving.upgrade() {
            admin.hub.admins.remove(&admin);
        }
        async {}
    });
    socket.extensions.insert(LetIn(admin));
    Ok(())
}

fn open(socket: &SocketRef) {
    let Some(LetIn(admin)) = socket.extensions.remove::<LetIn>() else { return };
    // It is opened once, so the cell is empty.
    let _ = admin.socket.set(socket.clone());
    admin.hub.admins.add(admin.clone());
    // What ended between its sign-in and now nobody has told it.
    tokio::spawn(async move {
        let session = admin.identity().session_id;
        if let Ok(live) = admin.hub.accounts.live_sessions(session.as_slice()).await {
            admin.follow_session(&live);
        }
    });
}

impl Admins {
    fn add(&self, admin: Arc<AdminSocket>) {
        self.sockets.write().push(admin);
        self.came.notify_one();
    }

    fn remove(&self, admin: &Arc<AdminSocket>) {
        self.sockets.write().retain(|other| !Arc::ptr_eq(other, admin));
    }

    /// All of them.
    pub fn sockets(&self) -> Vec<Arc<AdminSocket>> {
        self.sockets.read().clone()
    }

    /// Forgets those that have gone before they were added; whether any are left.
    pub(super) fn forget_gone(&self) -> bool {
        let mut sockets = self.sockets.write();
        sockets.retain(|admin| admin.socket.get().is_some_and(|socket| socket.connected()));
        !sockets.is_empty()
    }

    /// Notes that what admins define has changed.
    pub fn definitions_changed(&self) {
        self.definitions.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of the last change of what admins define.
    pub(super) fn definitions(&self) -> u64 {
        self.definitions.load(Ordering::Relaxed)
    }
}

impl AdminSocket {
    /// Who is signed in, and until when.
    pub fn identity(&self) -> SignedIn {
        self.identity.read().clone()
    }

    /// Ends it unless its session still counts and its user is still an admin.
    pub fn follow_session(&self, live: &HashMap<Uuid, Arc<User>>) {
        let identity = self.identity();
        // A token of another issuer has no session: it counts until it expires.
        let Some(session_id) = identity.session_id else { return };
        match live.get(&session_id).filter(|user| user.is_admin()) {
            Some(user) => *self.identity.write() = SignedIn { user: user.clone(), ..identity },
            None => self.end(),
        }
    }

    /// Ends it when its token has run out.
    pub(super) fn check_expiry(&self) {
        let expires_at = self.identity().expires_at;
        if expires_at <= now() {
            let text = expires_at.format(&Rfc3339).unwrap_or_default();
            self.offer(packets::TOKEN_EXPIRED, &TokenTime::ExpiredAt(&text));
            self.end();
        }
    }

    /// Ends its transport, in the way that lets a stock client come back.
    pub fn leave(&self) {
        self.session.leave();
    }

    fn end(&self) {
        let Some(socket) = self.socket.get() else { return };
        if socket.clone().disconnect().is_err() {
            // There is no room for a goodbye.
            self.session.end();
        }
    }

    /// Sends an event, if there is room for it.
    pub(super) fn offer<T: Packet>(&self, event: &str, data: &T) -> bool {
        let Some(socket) = self.socket.get() else { return false };
        let bytes = event.len() + data.bytes();
        if !self.take_room(bytes) {
            return false;
        }
        let is_sent = socket.emit(event, data).is_ok();
        if !is_sent {
            self.session.backlog.sent(bytes);
        }
        is_sent
    }

    /// Whether so many bytes more may wait; they count from here on. Sockets of gateways may share the
    /// session, and are not to be ended for what an admin does not read.
    fn take_room(&self, bytes: usize) -> bool {
        let most = match self.hub.runner.config.limits.outgoing_bytes {
            0 => WAITING_BYTES_MAX,
            bytes => WAITING_BYTES_MAX.min(bytes / 2),
        };
        let has_room = self.session.backlog.add(bytes) <= most;
        if !has_room {
            self.session.backlog.sent(bytes);
        }
        has_room
    }

    fn acknowledge(&self, ack: Option<AckSender>, done: &Result<(), Failure>) {
        let Some(ack) = ack else { return };
        let answer = AdminAck { ok: done.is_ok(), error: done.as_ref().err().map(ErrorBody::of) };
        // Who reads no answers has no use for more.
        if !self.take_room(answer.bytes()) || ack.send(&answer).is_err() {
            self.end();
        }
    }

    fn check_rate(&self) -> Result<(), Failure> {
        let limits = Limits::new(&GatewayLimits::default(), &self.hub.runner.config);
        let rate = self.session.event_rate(&NAMESPACE.into());
        let Err(over) = rate.lock().check(limits) else { return Ok(()) };
        if over.disconnect {
            self.end();
        }
        Err(Failure::new(ErrorCode::RateLimited, "Too many events in a second; send fewer"))
    }

    /// Does what an event asks for, but for a newer token.
    fn take(&self, name: &str, packet: &str) -> Result<(), Failure> {
        let invalid = |message: String| Failure::new(ErrorCode::InvalidPayload, message);
        if !matches!(name, WATCH | UNWATCH) {
            let message = "Events here are watch {topic, filter?}, unwatch {topic} and token_refresh {token}";
            return Err(Failure::new(ErrorCode::NoHandler, message));
        }
        let asked = serde_json::from_str::<(IgnoredAny, Asked)>(packet)
            .map_err(|error| invalid(format!("Send {{topic, filter?}}: {error}")))?;
        let (_, Asked { topic, filter }) = asked;
        if filter.is_some() && (name, &*topic) != (WATCH, RUNS) {
            return Err(invalid("Only runs are watched with a filter".to_owned()));
        }
        let is_on = name == WATCH;
        let mut topics = self.topics.lock();
        match &*topic {
            STATS => topics.stats = is_on,
            JOBS => topics.jobs = is_on,
            SOCKETS => topics.sockets = is_on,
            CATALOG => topics.catalog = is_on.then(|| self.hub.admins.definitions()),
            RUNS if is_on => {
                let filter = filter.unwrap_or_default().filter()?;
                topics.runs = Some(RunsTopic { filter, cursor: self.hub.runner.log.follow() });
            }
            RUNS => topics.runs = None,
            other => {
                return Err(invalid(format!(
                    "topic is {STATS}, {RUNS}, {SOCKETS}, {JOBS} or {CATALOG}, not {other}"
                )));
            }
        }
        Ok(())
    }

    /// Takes a newer token of the same admin.
    async fn refresh(&self, packet: &str) -> Result<(), Failure> {
        #[derive(Deserialize)]
        struct Fields {
            token: String,
        }
        let (_, Fields { token }) = serde_json::from_str::<(IgnoredAny, Fields)>(packet)
            .map_err(|_| Failure::new(ErrorCode::InvalidPayload, "token_refresh takes {token}"))?;
        let renewed = self.hub.accounts.authenticate_socket(&token).await;
        let renewed = renewed.map_err(gatewright_core::Error::into_failure)?;
        let mut identity = self.identity.write();
        if renewed.user.id != identity.user.id || !renewed.user.is_admin() {
            return Err(Failure::new(
                ErrorCode::AuthInvalid,
                "The token is not of the admin who is connected",
            ));
        }
        *identity = renewed;
        Ok(())
    }
}

const WATCH: &str = "watch";
const UNWATCH: &str = "unwatch";
/// What is going on, once a second.
pub(super) const STATS: &str = "stats";
/// What has run.
pub(super) const RUNS: &str = "runs";
/// How many jobs there are.
pub(super) const JOBS: &str = "jobs";
/// What all sockets and rooms come to, once a second.
pub(super) const SOCKETS: &str = "sockets";
/// That what admins define has changed.
pub(super) const CATALOG: &str = "catalog";

/// What `watch` and `unwatch` take.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    topic: String,
    filter: Option<RunQuery>,
}

/// The answer to each event.
#[derive(Serialize)]
struct AdminAck<'a> {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody<'a>>,
}

impl Packet for AdminAck<'_> {
    fn bytes(&self) -> usize {
        "{\"ok\":true}".len()
    }
}

impl MessageHandler<LocalAdapter, AllEvents> for AdminEvents {
    fn call(&self, socket: Arc<Socket<LocalAdapter>>, mut value: Value, ack_id: Option<i64>) {
        let Some(admin) = self.0.upgrade() else { return };
        let Ok(ack) = AckSender::from_message_parts(&socket, &mut value, &ack_id);
        let ack = ack_id.map(|_| ack);
        let Value::Str(packet, _) = value else { return };
        // What is no JSON array that begins with a name is no event: the protocol has no answer.
        let Ok(name) = event_name(&packet).map(restored) else { return };
        let checked = admin.check_rate().and_then(|()| match packet.len() > PACKET_BYTES_MAX {
            true => Err(Failure::new(ErrorCode::PayloadTooLarge, "The payload is too large")),
            false => Ok(()),
        });
        if checked.is_ok() && name == packets::TOKEN_REFRESH && admin.session.may_sign_in() {
            if admin.is_refreshing.swap(true, Ordering::SeqCst) {
                let again = Failure::new(ErrorCode::RateLimited, "One token_refresh at a time");
                return admin.acknowledge(ack, &Err(again));
            }
            let packet = packet.to_string();
            tokio::spawn(async move {
                let done = admin.refresh(&packet).await;
                admin.is_refreshing.store(false, Ordering::SeqCst);
                admin.acknowledge(ack, &done);
            });
            return;
        }
        let done = checked.and_then(|()| admin.take(&name, &packet));
        let is_watching = done.is_ok() && name == WATCH;
        admin.acknowledge(ack, &done);
        if is_watching {
            super::admin_feed::send_figures(&admin.hub, std::slice::from_ref(&admin));
        }
    }
}
