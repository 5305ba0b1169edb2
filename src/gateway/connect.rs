//! Letting sockets in, and seeing them off.

use std::sync::{Arc, Weak};
use std::time::Instant;

use gatewright_core::auth::{AppKey, SignedIn};
use gatewright_core::catalog::LiveGateway;
use gatewright_core::id::new_id;
use gatewright_core::run::{Job, JobKind, SocketJob};
use gatewright_core::script::{Arguments, Handler};
use gatewright_core::{ErrorCode, Failure};
use serde_json::{Value as Json, json};
use socketioxide::SocketIo;
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::handler::ConnectHandler;
use socketioxide::socket::DisconnectReason;

use super::connection::{Connection, Stage};
use super::events::EventHandler;
use super::guard::Session;
use super::handshake::Handshake;
use super::hub::Hub;
use super::namespace::Namespace;
use super::packets::ConnectError;

/// The database fails; or the server is draining or full, which no client hears.
pub(super) const UNAVAILABLE: ConnectError = ConnectError::new(ErrorCode::Unavailable, "Server unavailable");

/// A transport has one connection to a gateway: a second would have the same id.
const THERE_ALREADY: ConnectError = ConnectError::new(
    ErrorCode::DuplicateResource,
    "Connected to this gateway already, by another of its names",
);

/// The longest `auth.clientKey`, in bytes; a longer one does not count.
const CLIENT_KEY_BYTES_MAX: usize = 128;

/// A connection between the middleware that lets it in and the handler that opens it.
#[derive(Clone)]
struct LetIn(Arc<Connection>);

/// Who connects: a user, a program, both or neither.
type Shown = (Option<SignedIn>, Option<Arc<AppKey>>);

/// Serves a namespace under one of its names.
pub fn serve(io: &SocketIo, hub: Weak<Hub>, namespace: Arc<Namespace>, name: Arc<str>) {
    let path = name.to_string();
    let let_in = move |socket: SocketRef, TryData(auth): TryData<Json>| {
        let (hub, entrance) = (hub.clone(), (namespace.clone(), name.clone()));
        async move {
            let hub = hub.upgrade().ok_or(UNAVAILABLE)?;
            let_in(hub, entrance, socket, auth.unwrap_or_default()).await
        }
    };
    let open = |socket: SocketRef, TryData(auth): TryData<Json>| {
        // Before the future: nothing of this socket has been looked at yet.
        open(&socket, auth.unwrap_or_default());
        async {}
    };
    io.ns(path, open.with(let_in));
}

/// Decides about a connection. Handlers are registered here, before the client hears that it is
/// connected: an event sent in that very moment must find them.
async fn let_in(
    hub: Arc<Hub>,
    (namespace, name): (Arc<Namespace>, Arc<str>),
    socket: SocketRef,
    auth: Json,
) -> Result<(), ConnectError> {
    // The guard gives each request both.
    let extensions = &socket.req_parts().extensions;
    let handshake = extensions.get::<Arc<Handshake>>().cloned().unwrap_or_default();
    let session = extensions.get::<Arc<Session>>().cloned().ok_or(UNAVAILABLE)?;
    let refused = |refused: &ConnectError| {
        tracing::debug!(gateway = %namespace.path, socket_id = %socket.id, %refused, "connection refused");
    };
    let shown = check(&hub, &namespace, &handshake, &auth).await.inspect_err(refused)?;
    if namespace.rooms.connection(socket.id).is_some() {
        return Err(THERE_ALREADY);
    }
    let Some(seat) = hub.take_seat().filter(|_| !hub.is_draining()) else {
        // A refusal would be the end of its client. This way it comes back by itself, and waits
        // where new transports do until there is a place.
        session.end();
        return Err(UNAVAILABLE);
    };
    let lane = hub.runner.queue.lane(&namespace.group);
    let entrance = (namespace.clone(), name);
    let connection = Arc::new(
        Connection::new(socket.id, hub, entrance, lane, shown, session, seat)
            .with_client_key(client_key(&auth)),
    );
    if let Some(handler) = namespace.gateway.load().admission.clone() {
        admit(&connection, &handler, &handshake, &auth).await.inspect_err(refused)?;
    }
    socket.on_fallback(EventHandler { connection: connection.clone() });
    let leaving = connection.clone();
    socket.on_disconnect(move |socket: SocketRef, reason: DisconnectReason| {
        close(&leaving, reason);
        // The socket holds the connection through its handler, and the connection holds the
        // socket. Cut in a task: this may be called from within that very handler.
        async move { socket.on_fallback(async || {}) }
    });
    socket.extensions.insert(LetIn(connection));
    Ok(())
}

/// Has the admission script decide. It may take a while, so what was checked before is checked again.
async fn admit(
    connection: &Arc<Connection>,
    handler: &Arc<Handler>,
    handshake: &Handshake,
    auth: &Json,
) -> Result<(), ConnectError> {
    let hub = connection.hub();
    let body = handshake_body(connection, handshake, auth.clone());
    let decided = hub.runner.admit(handler, connection.clone(), connection.signed_in_user(), &body).await;
    match decided {
        Ok(()) if !hub.is_draining() => check(hub, &connection.namespace, handshake, auth).await.map(drop),
        // As where there is no seat: its client comes back by itself.
        Ok(()) | Err(Failure { code: ErrorCode::QueueFull | ErrorCode::ShuttingDown, .. }) => {
            connection.session.end();
            Err(UNAVAILABLE)
        }
        Err(failure) => Err(ConnectError(failure.code, failure.message)),
    }
}

async fn check(
    hub: &Hub,
    namespace: &Namespace,
    handshake: &Handshake,
    auth: &Json,
) -> Result<Shown, ConnectError> {
    let gateway = namespace.gateway.load_full();
    let identity = check_identity(hub, &gateway, handshake, auth).await?;
    Ok((identity, check_app_key(hub, &gateway, auth).await?))
}

/// The app key that a client shows: one that is shown has to count, whether or not it is needed.
async fn check_app_key(
    hub: &Hub,
    gateway: &LiveGateway,
    auth: &Json,
) -> Result<Option<Arc<AppKey>>, ConnectError> {
    let token = auth.get("appToken").and_then(Json::as_str).filter(|token| !token.is_empty());
    let Some(token) = token else {
        let required =
            ConnectError::new(ErrorCode::AppKeyRequired, "An app key is required in auth.appToken");
        return if gateway.require_app_key { Err(required) } else { Ok(None) };
    };
    match hub.accounts.app_key(token).await {
        Ok(key) => Ok(Some(Arc::new(key))),
        Err(error) => Err(refusal(error, ErrorCode::AppKeyInvalid, "Invalid app key")),
    }
}

async fn check_identity(
    hub: &Hub,
    gateway: &LiveGateway,
    handshake: &Handshake,
    auth: &Json,
) -> Result<Option<SignedIn>, ConnectError> {
    if !gateway.is_enabled {
        return Err(ConnectError::new(ErrorCode::GatewayDisabled, "Gateway is disabled"));
    }
    if !handshake.origin_is_allowed(&gateway.allowed_origins) {
        return Err(ConnectError::new(
            ErrorCode::OriginNotAllowed,
            "This origin is not in the gateway's allowed list",
        ));
    }
    let required = ConnectError::new(ErrorCode::AuthRequired, "Authentication token required");
    let token = auth.get("token").and_then(Json::as_str).filter(|token| !token.is_empty());
    if let Some(token) = token.or(handshake.bearer.as_deref()) {
        return authenticate(hub, token).await.map(Some);
    }
    let cookie =
        handshake.cookie_token.as_deref().filter(|_| handshake.cookie_counts(&gateway.allowed_origins));
    match cookie {
        None if gateway.require_auth => Err(required),
        None => Ok(None),
        Some(token) if gateway.require_auth => authenticate(hub, token).await.map(Some),
        // On a public gateway a stale cookie is as good as none.
        Some(token) => Ok(authenticate(hub, token).await.ok()),
    }
}

/// Who signs in with this token.
pub(super) async fn authenticate(hub: &Hub, token: &str) -> Result<SignedIn, ConnectError> {
    let checked = hub.accounts.authenticate_socket(token).await;
    checked.map_err(|error| refusal(error, ErrorCode::AuthInvalid, "Invalid authentication token"))
}

/// What a client hears of a token or a key that could not be taken.
fn refusal(error: gatewright_core::Error, code: ErrorCode, reason: &'static str) -> ConnectError {
    if let gatewright_core::Error::Refused(_) = error {
        return ConnectError::new(code, reason);
    }
    // Logs the cause.
    let _ = error.into_failure();
    UNAVAILABLE
}

/// Opens a connection that was let in; its connection script is its first job.
fn open(socket: &SocketRef, auth: Json) {
    let Some(LetIn(connection)) = socket.extensions.remove::<LetIn>() else { return };
    let is_added = connection.hub().add(&connection);
    if !connection.attach(socket.clone()) {
        // It went in between, and was seen off before it was added.
        connection.hub().remove(&connection);
        return;
    }
    if !is_added {
        // Two at once by two names of the gateway; what it sends is dropped until it has gone.
        connection.set_stage(Stage::Rejected);
        connection.lane.open(None);
        return connection.end();
    }
    // Only now: a warning that is due at once would find no socket.
    if let Some(identity) = connection.identity() {
        connection.hub().expiries.add(&connection, identity.expires_at);
    }
    connection.hub().expiries.add_app_key(&connection);
    let gateway = connection.namespace.gateway.load();
    match &gateway.connection {
        None => {
            connection.set_stage(Stage::Open);
            connection.lane.open(None);
        }
        Some(handler) => {
            let handshake =
                socket.req_parts().extensions.get::<Arc<Handshake>>().cloned().unwrap_or_default();
            let body = handshake_body(&connection, &handshake, auth);
            connection.lane.open(Some(job(&connection, JobKind::Connect, handler, &body)));
        }
    }
}

/// What scripts are given of how a client comes.
fn handshake_body(connection: &Connection, handshake: &Handshake, auth: Json) -> Json {
    json!({
        "id": connection.id_text,
        "ip": handshake.ip.to_string(),
        "headers": handshake.headers(),
        "auth": without_secrets(auth),
        "query": handshake.query(),
    })
}

/// Sees a connection off; its disconnection script is its last job.
fn close(connection: &Arc<Connection>, reason: DisconnectReason) {
    if !connection.detach() {
        connection.give_seat_back();
        return;
    }
    let rooms = connection.hub().remove(connection);
    let gateway = connection.namespace.gateway.load();
    if let Some(handler) = gateway.disconnection.as_ref().filter(|_| connection.stage() != Stage::Rejected) {
        let reason = match reason {
            _ if connection.is_ended_by_server() => DisconnectReason::ServerNSDisconnect,
            _ if connection.is_leaving() => DisconnectReason::ClosingServer,
            other => other,
        };
        let body = json!({
            "reason": reason_text(reason),
            "rooms": rooms,
            "connectedAt": connection.connected_at.format(&time::format_description::well_known::Rfc3339).ok(),
        });
        connection.lane.push_last(job(connection, JobKind::Disconnect, handler, &body));
    }
}

fn job(connection: &Arc<Connection>, kind: JobKind, handler: &Arc<Handler>, body: &Json) -> Job {
    Job::Socket(SocketJob {
        client: connection.clone(),
        kind,
        event: handler.name.clone(),
        handler: handler.clone(),
        request_id: new_id(),
        arguments: Arguments::one(body),
        on_checked: None,
        accepted_at: Instant::now(),
    })
}

/// What a guest is known by: text that names no user, since those have a name space of their own.
fn client_key(auth: &Json) -> Option<Box<str>> {
    let key = auth.get("clientKey")?.as_str()?;
    let fits = (1..=CLIENT_KEY_BYTES_MAX).contains(&key.len()) && !key.contains(char::is_control);
    fits.then(|| key.into())
}

/// A script may see what the client sent along, but not the keys to the user's account and to the app.
fn without_secrets(mut auth: Json) -> Json {
    if let Some(fields) = auth.as_object_mut() {
        fields.remove("token");
        fields.remove("appToken");
    }
    if auth.is_null() { json!({}) } else { auth }
}

/// The reasons in the words of the Socket.IO client.
fn reason_text(reason: DisconnectReason) -> &'static str {
    match reason {
        DisconnectReason::TransportClose => "transport close",
        DisconnectReason::MultipleHttpPollingError | DisconnectReason::TransportError => "transport error",
        DisconnectReason::PacketParsingError => "parse error",
        DisconnectReason::HeartbeatTimeout => "ping timeout",
        DisconnectReason::ClientNSDisconnect => "client namespace disconnect",
        DisconnectReason::ServerNSDisconnect => "server namespace disconnect",
        DisconnectReason::ClosingServer => "server shutting down",
    }
}
