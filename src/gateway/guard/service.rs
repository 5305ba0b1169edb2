//! The requests of Engine.IO: who may open a session, and who speaks for one.
//!
//! The library gets requests that are made here: it keeps a session's first request for as long as the
//! session lives, and a client's own would keep hyper's read buffer alive.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Method, Request, Response, StatusCode};
use futures_util::future::BoxFuture;
use gatewright_admin_api::request::client_address;
use http_body::Body as _;
use serde_json::Value as Json;
use tower::Service;
use tungstenite::handshake::derive_accept_key;

use super::packets::{Broken, Packet, Rated, Watch};
use super::refusal::Refusal;
use super::session::{Session, polling_request};
use super::stream::Guarded;
use crate::gateway::connection::SocketId;
use crate::gateway::cors::{Cors, preflight};
use crate::gateway::handshake::Handshake;
use crate::gateway::hub::Hub;
use crate::http::{BeyondCapacity, TransportHandle};

/// Where Socket.IO is served, with or without a slash behind it; nothing below it.
const PATH: &str = "/socket.io";
/// Where the library opens a WebSocket.
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";
/// What stands between the packets of a body.
const SEPARATOR: u8 = 0x1e;

/// Puts [`GuardService`] around everything else that is served.
#[derive(Clone)]
pub struct GuardLayer(pub Arc<Hub>);

impl<S> tower::Layer<S> for GuardLayer {
    type Service = GuardService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardService { guard: Guard(self.0.clone()), inner }
    }
}

/// Answers the requests of Socket.IO; passes all others on.
#[derive(Clone)]
pub struct GuardService<S> {
    guard: Guard,
    inner: S,
}

impl<S, In, Out> Service<Request<In>> for GuardService<S>
where
    S: Service<Request<In>, Response = Response<Out>, Error = Infallible>,
    S::Future: Send + 'static,
    In: http_body::Body<Data = Bytes> + Send + 'static,
    In::Error: Into<axum::BoxError>,
    Out: http_body::Body<Data = Bytes> + Send + 'static,
    Out::Error: Into<axum::BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        if !is_socket_io(request.uri().path()) {
            let answer = self.inner.call(request);
            return Box::pin(async { Ok(answer.await?.map(Body::new)) });
        }
        let cors = Cors::of(request.headers(), &self.guard.0);
        if request.method() == Method::OPTIONS {
            return Box::pin(async { Ok(cors.on(preflight())) });
        }
        let (guard, request) = (self.guard.clone(), request.map(Body::new));
        Box::pin(async move { Ok(cors.on(guard.answer(request).await)) })
    }
}

fn is_socket_io(path: &str) -> bool {
    path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest == "/")
}

#[derive(Clone)]
struct Guard(Arc<Hub>);

impl Guard {
    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        self.take(request).await.unwrap_or_else(|refusal| {
            // A broken rule is logged and counted where the session is ended.
            if !matches!(refusal, Refusal::Broken(_)) {
                tracing::debug!(reason = refusal.reason(), "request of Socket.IO refused");
                self.0.runner.metrics.guard.with_label_values(&[refusal.reason()]).inc();
            }
            refusal.answer()
        })
    }

    async fn take(&self, request: Request<Body>) -> Result<Response<Body>, Refusal> {
        let query = request.uri().query().unwrap_or_default();
        let value = |key: &str| {
            query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .find(|pair| pair.0 == key)
                .map(|pair| pair.1)
        };
        let is_websocket = match value("transport") {
            Some("polling") => false,
            Some("websocket") => true,
            _ => return Err(Refusal::UnknownTransport),
        };
        if value("EIO") != Some("4") {
            return Err(Refusal::WrongProtocol);
        }
        let Some(shown) = value("sid") else {
            return match (request.method(), is_websocket) {
                (&Method::GET, false) => self.open_polling(self.admit(&request)?).await,
                (&Method::GET, true) => self.open_websocket(request),
                _ => Err(Refusal::BadMethod),
            };
        };
        let session = self.0.sessions.find(shown).ok_or(Refusal::UnknownSession)?;
        let id = session.id().ok_or(Refusal::UnknownSession)?;
        match (request.method(), is_websocket) {
            (&Method::GET, false) => self.poll(&session, id).await,
            (&Method::POST, false) => self.post(&session, id, request.into_body()).await,
            (&Method::GET, true) => self.upgrade(&session, id, request),
            _ => Err(Refusal::BadRequest),
        }
    }

    /// Checks whether another session may be opened; returns what is kept of its first request.
    fn admit(&self, request: &Request<Body>) -> Result<Handshake, Refusal> {
        if self.0.is_draining() {
            return Err(Refusal::Stopping);
        }
        let peer = request.extensions().get::<SocketAddr>().copied();
        let ip = client_address(request.headers(), peer, self.0.runner.config.trusted_ip_header.as_deref());
        self.0.check_address(ip).map_err(Refusal::TooMany)?;
        if self.0.is_full() || request.extensions().get::<BeyondCapacity>().is_some() {
            return Err(Refusal::Full);
        }
        Ok(Handshake::new(request, ip, self.0.runner.config.trusted_ip_header.is_some()))
    }

    async fn open_polling(&self, handshake: Handshake) -> Result<Response<Body>, Refusal> {
        let session = Session::new(&self.0.sessions);
        let mut opening = Request::new(Body::empty());
        *opening.uri_mut() = "/socket.io/?EIO=4&transport=polling".parse().expect("a path and a query");
        opening.extensions_mut().insert(Arc::new(handshake));
        opening.extensions_mut().insert(session.clone());
        let (parts, body) = self.ask_library(opening).await.into_parts();
        let packet = to_bytes(body, usize::MAX).await.map_err(|_| Refusal::BadRequest)?;
        let packet = self.keyed(&session, &packet).ok_or(Refusal::BadRequest)?;
        let mut answer = Response::from_parts(parts, Body::from(packet));
        answer.headers_mut().remove(header::CONTENT_LENGTH);
        Ok(answer)
    }

    /// The packet that opens a session, with the secret in place of the id.
    fn keyed(&self, session: &Arc<Session>, packet: &[u8]) -> Option<String> {
        let mut open: Json = serde_json::from_slice(packet.strip_prefix(b"0")?).ok()?;
        let id: SocketId = open["sid"].as_str()?.parse().ok()?;
        session.identify(id);
        open["sid"] = self.0.sessions.secret(id).into();
        Some(format!("0{open}"))
    }

    fn open_websocket(&self, request: Request<Body>) -> Result<Response<Body>, Refusal> {
        let accept = accept_key(request.headers())?;
        let handshake = self.admit(&request)?;
        let session = Session::new(&self.0.sessions);
        let mut opening = Request::new(());
        *opening.uri_mut() = WEBSOCKET.parse().expect("a path and a query");
        opening.extensions_mut().insert(Arc::new(handshake));
        opening.extensions_mut().insert(session.clone());
        self.switch(&session, request, opening, accept)
    }

    /// Moves a session that polls to a WebSocket: once.
    fn upgrade(
        &self,
        session: &Arc<Session>,
        id: SocketId,
        request: Request<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let accept = accept_key(request.headers())?;
        let mut moving = Request::new(());
        *moving.uri_mut() = format!("{WEBSOCKET}&sid={id}").parse().expect("a path and a query");
        self.switch(session, request, moving, accept)
    }

    /// Answers 101 and hands the connection to the library as the WebSocket that `opening` asks for.
    fn switch(
        &self,
        session: &Arc<Session>,
        mut request: Request<Body>,
        opening: Request<()>,
        accept: HeaderValue,
    ) -> Result<Response<Body>, Refusal> {
        let handle = request.extensions().get::<TransportHandle>().cloned().unwrap_or_default();
        let transport = session.open_transport(handle).ok_or(Refusal::SecondUpgrade)?;
        let mut library = self.0.sessions.library();
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            match upgrade.await {
                // The library's answer is known, since `opening` was made here.
                Ok(stream) => drop(library.call((Guarded::new(stream, transport), opening)).await),
                Err(error) => tracing::debug!(%error, "a WebSocket did not open"),
            }
        });
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = answer.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        Ok(answer)
    }

    /// Answers a poll. The library sends its first ping at once; it is answered here, and the client
    /// gets the pings after it.
    async fn poll(&self, session: &Session, id: SocketId) -> Result<Response<Body>, Refusal> {
        loop {
            let answer = {
                let _polled = While::set(&session.is_polled);
                self.ask_library(polling_request(Method::GET, id, Body::empty())).await
            };
            // Ended meanwhile: the client is told so, whatever the last packet was, and opens a new session.
            if session.is_ended() {
                return Err(Refusal::UnknownSession);
            }
            session.backlog.sent(usize::try_from(answer.size_hint().lower()).unwrap_or(usize::MAX));
            if session.had_first_ping.load(Ordering::SeqCst) || answer.status() != StatusCode::OK {
                return Ok(answer);
            }
            let (mut parts, body) = answer.into_parts();
            let packets = to_bytes(body, usize::MAX).await.map_err(|_| Refusal::BadRequest)?;
            let (packets, had_ping) = without_ping(packets);
            if had_ping {
                session.had_first_ping.store(true, Ordering::SeqCst);
                self.ask_library(polling_request(Method::POST, id, Body::from("3"))).await;
            }
            if !(had_ping && packets.is_empty()) {
                parts.headers.remove(header::CONTENT_LENGTH);
                return Ok(Response::from_parts(parts, packets.into()));
            }
        }
    }

    /// Takes the packets that a session posts: one request at a time, as every client does.
    async fn post(
        &self,
        session: &Arc<Session>,
        id: SocketId,
        body: Body,
    ) -> Result<Response<Body>, Refusal> {
        if session.is_posting.swap(true, Ordering::SeqCst) {
            return Err(Refusal::BadRequest);
        }
        let _posting = While(&session.is_posting);
        let Ok(packets) = to_bytes(body, self.0.runner.config.limits.packet_bytes as usize).await else {
            session.end();
            return Err(Refusal::PacketTooLarge);
        };
        let checked = check(&mut session.watch.lock(), &packets);
        let packets = checked.map_err(|rule| {
            session.broke(rule, None);
            Refusal::Broken(rule)
        })?;
        if let Some(number) = session.watch.lock().awaiting() {
            tokio::spawn(end_late(Arc::downgrade(session), number, session.packet_time()));
        }
        Ok(self.ask_library(polling_request(Method::POST, id, packets.into())).await)
    }

    async fn ask_library(&self, request: Request<Body>) -> Response<Body> {
        let Ok(answer) = self.0.sessions.library().call(request).await;
        answer.map(Body::new)
    }
}

/// After `time`, ends the session if the packet of this number still waits for attachments.
async fn end_late(session: Weak<Session>, number: u64, time: Duration) {
    tokio::time::sleep(time).await;
    if let Some(session) = session.upgrade()
        && session.watch.lock().awaiting() == Some(number)
    {
        session.broke(Broken::Unfinished, None);
    }
}

/// The packets of a body as the library may get them.
fn check<R: FnMut(Rated) -> bool>(watch: &mut Watch<R>, body: &[u8]) -> Result<Vec<u8>, Broken> {
    let mut out = Vec::with_capacity(body.len());
    for (number, bytes) in body.split(|byte| *byte == SEPARATOR).enumerate() {
        if number > 0 {
            out.push(SEPARATOR);
        }
        let is_binary = bytes.first() == Some(&b'b');
        let mut packet = Packet::begin(watch, is_binary)?;
        if is_binary {
            // Base64: three bytes in four characters.
            packet.skip(watch, bytes.len() / 4 * 3)?;
        }
        let mut rest = bytes.iter();
        while packet.is_watched()
            && let Some(byte) = rest.next()
        {
            packet.look(watch, *byte, &mut |byte| out.push(byte))?;
        }
        packet.pause()?;
        if !is_binary {
            packet.skip(watch, rest.len())?;
        }
        out.extend_from_slice(rest.as_slice());
    }
    Ok(out)
}

/// The packets without the first ping, and whether there was one.
fn without_ping(packets: Bytes) -> (Bytes, bool) {
    let mut all = packets.split(|byte| *byte == SEPARATOR);
    let Some(at) = all.position(|packet| packet == b"2") else { return (packets, false) };
    let others = packets.split(|byte| *byte == SEPARATOR).enumerate().filter(|(number, _)| *number != at);
    let others: Vec<&[u8]> = others.map(|(_, packet)| packet).collect();
    (others.join(&SEPARATOR).into(), true)
}

/// A mark that is taken back when this is dropped, also when a client gives its request up.
struct While<'a>(&'a AtomicBool);

impl<'a> While<'a> {
    fn set(mark: &'a AtomicBool) -> Self {
        mark.store(true, Ordering::SeqCst);
        Self(mark)
    }
}

impl Drop for While<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// The answer to a WebSocket's key.
fn accept_key(headers: &HeaderMap) -> Result<HeaderValue, Refusal> {
    let is_upgrade = headers
        .get(header::UPGRADE)
        .is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let key =
        headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| is_upgrade).ok_or(Refusal::NoUpgradeHeaders)?;
    HeaderValue::try_from(derive_accept_key(key.as_bytes())).map_err(|_| Refusal::BadRequest)
}
