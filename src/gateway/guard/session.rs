//! A client's session of Engine.IO, from its first request until its last transport has gone.
//!
//! A session's id is also the id of its sockets, which is no secret. So a client has to show the id
//! with a keyed check behind it.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatewright_core::config;
use gatewright_core::metrics::Metrics;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::Sha256;
use socketioxide::layer::SocketIoLayer;
use socketioxide::service::SocketIoService;
use tower::{Layer, Service};

use super::packets::{Broken, Rated, Rules, Watch};
use crate::gateway::connection::SocketId;
use crate::gateway::limits::Rate;
use crate::http::{Backlog, TransportHandle};

/// Bytes of the check behind an id; more than anyone can guess.
const CHECK_BYTES: usize = 16;
/// Characters of an id of Engine.IO.
const ID_CHARS: usize = 16;

/// The library's own service, with nothing behind it.
pub(super) type Library = SocketIoService<Router>;

/// The watch over a session's packets.
type SessionWatch = Watch<Box<dyn FnMut(Rated) -> bool + Send>>;

/// The rate of events in one namespace.
type EventRate = (Arc<str>, Arc<Mutex<Rate>>);

/// All sessions that poll or have polled: only those can be named by a request.
pub struct Sessions {
    library: Library,
    limits: config::Limits,
    metrics: Arc<Metrics>,
    /// Random for each process: a session does not outlive it.
    key: [u8; 32],
    by_id: Mutex<HashMap<SocketId, Weak<Session>>>,
}

impl Sessions {
    /// Unset until the library has given one.
    pub fn new(library: &SocketIoLayer, limits: config::Limits, metrics: Arc<Metrics>) -> Arc<Self> {
        let library = library.layer(Router::new());
        Arc::new(Self { library, limits, metrics, key: rand::random(), by_id: Mutex::default() })
    }

    /// The library, behind the guard.
    pub(super) fn library(&self) -> Library {
        self.library.clone()
    }

    /// What a client has to show to act for this session.
    pub(super) fn secret(&self, id: SocketId) -> String {
        let check = self.mac(id.as_str()).finalize().into_bytes();
        format!("{id}{}", URL_SAFE_NO_PAD.encode(&check[..CHECK_BYTES]))
    }

    /// The session whose secret this is.
    pub(super) fn find(&self, shown: &str) -> Option<Arc<Session>> {
        let (id, check) = shown.split_at_checked(ID_CHARS)?;
        let check = URL_SAFE_NO_PAD.decode(check).ok().filter(|check| check.len() == CHECK_BYTES)?;
        self.mac(id).verify_truncated_left(&check).ok()?;
        let session = self.by_id.lock().get(&id.parse().ok()?)?.upgrade()?;
        (!session.is_ended()).then_some(session)
    }

    fn mac(&self, id: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(id.as_bytes());
        mac
    }
}

/// One client's session. engineioxide keeps it, with the request that opened it, for as long as
/// the session lives.
pub struct Session {
    sessions: Weak<Sessions>,
    id: OnceLock<SocketId>,
    /// The WebSocket that it has opened or moved to.
    transport: Mutex<Weak<Transport>>,
    is_ended: AtomicBool,
    /// What waits to be written to it.
    pub backlog: Arc<Backlog>,
    pub(super) is_posting: AtomicBool,
    /// Whether a poll of its client waits for packets, or is about to be answered with some.
    pub(super) is_polled: AtomicBool,
    /// Whether the library's first ping was kept from the client.
    pub(super) had_first_ping: AtomicBool,
    rates: Arc<PacketRates>,
    pub(super) watch: Mutex<SessionWatch>,
    /// How fast it sends events, by namespace: leaving one and coming back changes nothing.
    event_rates: Mutex<Vec<EventRate>>,
}

/// The WebSocket of a session, for as long as it is open.
pub(super) struct Transport {
    pub session: Arc<Session>,
    handle: TransportHandle,
}

impl Session {
    /// A session that has no id yet.
    pub(super) fn new(sessions: &Arc<Sessions>) -> Arc<Self> {
        let rates = Arc::new(PacketRates::new(&sessions.limits));
        let watched = rates.clone();
        let watch =
            Watch::new(rules(&sessions.limits), Box::new(move |rated| watched.allow(rated)) as Box<_>);
        Arc::new(Self {
            sessions: Arc::downgrade(sessions),
            id: OnceLock::new(),
            transport: Mutex::default(),
            is_ended: AtomicBool::new(false),
            backlog: Arc::default(),
            is_posting: AtomicBool::new(false),
            is_polled: AtomicBool::new(false),
            had_first_ping: AtomicBool::new(false),
            rates,
            watch: Mutex::new(watch),
            event_rates: Mutex::default(),
        })
    }

    /// Takes the id that the library gave it; from here on a request can name it.
    pub(super) fn identify(self: &Arc<Self>, id: SocketId) {
        if let (Ok(()), Some(sessions)) = (self.id.set(id), self.sessions.upgrade()) {
            sessions.by_id.lock().insert(id, Arc::downgrade(self));
        }
    }

    /// Its id, when it has polled.
    pub fn id(&self) -> Option<SocketId> {
        self.id.get().copied()
    }

    /// Opens its WebSocket; none when it has one.
    pub(super) fn open_transport(self: &Arc<Self>, handle: TransportHandle) -> Option<Arc<Transport>> {
        let mut current = self.transport.lock();
        if current.strong_count() > 0 {
            return None;
        }
        let transport = Arc::new(Transport { session: self.clone(), handle });
        *current = Arc::downgrade(&transport);
        Some(transport)
    }

    /// The TCP connection of its WebSocket.
    pub fn transport(&self) -> Option<TransportHandle> {
        self.transport.lock().upgrade().map(|transport| transport.handle.clone())
    }

    /// Whether it may sign in once more, by connecting or with a newer token.
    pub fn may_sign_in(&self) -> bool {
        self.rates.allow(Rated::Connect)
    }

    /// How fast it sends events in this namespace.
    pub fn event_rate(&self, namespace: &Arc<str>) -> Arc<Mutex<Rate>> {
        let mut rates = self.event_rates.lock();
        if let Some((_, rate)) = rates.iter().find(|(path, _)| path == namespace) {
            return rate.clone();
        }
        let rate = Arc::<Mutex<Rate>>::default();
        rates.push((namespace.clone(), rate.clone()));
        rate
    }

    /// Whether its client polls right now: what it has not been sent goes with the answer.
    pub fn is_polled(&self) -> bool {
        self.is_polled.load(Ordering::SeqCst)
    }

    /// How long a packet may take from its first byte to its last attachment.
    pub(super) fn packet_time(&self) -> Duration {
        let sessions = self.sessions.upgrade();
        Duration::from_millis(sessions.map_or(0, |sessions| sessions.limits.handshake_timeout_ms))
    }

    /// Ends it, because its client broke a rule.
    pub(super) fn broke(&self, rule: Broken, id: Option<SocketId>) {
        let id = id.or_else(|| self.id()).map(|id| id.to_string());
        tracing::info!(socket_id = id, reason = rule.reason(), hint = rule.hint(), "ended by the guard");
        if let Some(sessions) = self.sessions.upgrade() {
            sessions.metrics.guard.with_label_values(&[rule.reason()]).inc();
        }
        self.end();
    }

    /// Whether it was ended by the server.
    pub(super) fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::SeqCst)
    }

    /// Ends it without a packet of Socket.IO: its client sees that the transport is closed, and
    /// comes back by itself.
    pub fn end(&self) {
        self.is_ended.store(true, Ordering::SeqCst);
        match self.transport() {
            Some(transport) => transport.cut(),
            None => self.close_polling(),
        }
    }

    /// The same, once what waits for its client is on its way.
    pub fn leave(&self) {
        match self.transport() {
            Some(transport) => transport.leave(),
            None => self.close_polling(),
        }
    }

    /// The library ends a session that polls when it is told so, as by its client.
    fn close_polling(&self) {
        if let (Some(&id), Some(sessions)) = (self.id.get(), self.sessions.upgrade())
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                let close = polling_request(Method::POST, id, Body::from("1"));
                let _ = sessions.library().call(close).await;
            });
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let (Some(id), Some(sessions)) = (self.id.get(), self.sessions.upgrade()) {
            sessions.by_id.lock().remove(id);
        }
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        // The library would wait for the new transport of a session that failed to move for ever.
        if self.session.id.get().is_some() {
            self.session.end();
        }
    }
}

/// The rate of packets that are no events; none: not limited.
struct PacketRates {
    connects: Option<DefaultDirectRateLimiter>,
    others: Option<DefaultDirectRateLimiter>,
}

impl PacketRates {
    fn new(limits: &config::Limits) -> Self {
        let limiter = |rate, burst| {
            let rate = NonZeroU32::new(rate)?;
            Some(RateLimiter::direct(
                Quota::per_second(rate).allow_burst(NonZeroU32::new(burst).unwrap_or(rate)),
            ))
        };
        Self {
            connects: limiter(limits.connects_per_second, limits.connects_burst),
            others: limiter(limits.packets_per_second, limits.packets_burst),
        }
    }

    fn allow(&self, rated: Rated) -> bool {
        let limiter = match rated {
            Rated::Connect => &self.connects,
            Rated::Other => &self.others,
        };
        limiter.as_ref().is_none_or(|limiter| limiter.check().is_ok())
    }
}

fn rules(limits: &config::Limits) -> Rules {
    let packet_bytes = limits.packet_bytes as usize;
    let connect_bytes = match limits.message_bytes as usize {
        0 => packet_bytes,
        bytes => bytes + limits.name_bytes,
    };
    Rules {
        namespace_bytes: limits.name_bytes,
        connect_bytes,
        attachments: limits.attachments,
        attachment_bytes: packet_bytes,
    }
}

/// A request of a session that polls, as the library takes it.
pub(super) fn polling_request(method: Method, id: SocketId, body: Body) -> Request<Body> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = format!("/socket.io/?EIO=4&transport=polling&sid={id}")
        .parse()
        .expect("an id of Engine.IO is made of characters that a query takes");
    request
}
