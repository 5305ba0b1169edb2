//! Letting sockets in, and seeing them off.

use std::sync::{Arc, Weak};
use std::time::Instant;

use gatewright_core::ErrorCode;
use gatewright_core::auth::SignedIn;
use gatewright_core::catalog::LiveGateway;
use gatewright_core::id::new_id;
use gatewright_core::run::{Job, JobKind, SocketJob};
use gatewright_core::script::{Arguments, Handler};
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
const UNAVAILABLE: ConnectError = ConnectError(ErrorCode::Unavailable, "Server unavailable");

/// The longest `auth.clientKey`, in bytes; a longer one does not count.
const CLIENT_KEY_BYTES_MAX: usize = 128;

/// A connection between the middleware that lets it in and the handler that opens it.
#[derive(Clone)]
struct LetIn(Arc<Connection>);

/// Serves a namespace.
pub fn serve(io: &SocketIo, hub: Weak<Hub>, namespace: Arc<Namespace>) {
    let path = namespace.path.to_string();
    let let_in = move |socket: SocketRef, TryData(auth): TryData<Json>| {
        let (hub, namespace) = (hub.clone(), namespace.clone());
        async move {
            let hub = hub.upgrade().ok_or(UNAVAILABLE)?;
            let_in(hub, namespace, socket, auth.unwrap_or_default()).await
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
    namespace: Arc<Namespace>,
    socket: SocketRef,
    auth: Json,
) -> Result<(), ConnectError> {
    let gateway = namespace.gateway.load_full();
    // The guard gives each request both.
    let extensions = &socket.req_parts().extensions;
    let handshake = extensions.get::<Arc<Handshake>>().cloned().unwrap_or_default();
    let session = extensions.get::<Arc<Session>>().cloned().ok_or(UNAVAILABLE)?;
    let identity = check(&hub, &gateway, &handshake, &auth).await.inspect_err(|refused| {
        tracing::debug!(gateway = %gateway.path, socket_id = %socket.id, %refused, "connection refused");
    })?;
    let Some(seat) = hub.take_seat().filter(|_| !hub.is_draining()) else {
        // A refusal would be the end of its client. This way it comes back by itself, and waits
        // where new transports do until there is a place.
        session.end();
        return Err(UNAVAILABLE);
    };
    let lane = hub.runner.queue.lane(&namespace.group);
    let connection = Arc::new(
        Connection::new(socket.id, hub, namespace, lane, identity, session, seat)
            .with_client_key(client_key(&auth)),
    );
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

async fn check(
    hub: &Hub,
    gateway: &LiveGateway,
    handshake: &Handshake,
    auth: &Json,
) -> Result<Option<SignedIn>, ConnectError> {
    if !gateway.is_enabled {
        return Err(ConnectError(ErrorCode::GatewayDisabled, "Gateway is disabled"));
    }
    if !handshake.origin_is_allowed(&gateway.allowed_origins) {
        return Err(ConnectError(
            ErrorCode::OriginNotAllowed,
            "This origin is not in the gateway's allowed list",
        ));
    }
    let required = ConnectError(ErrorCode::AuthRequired, "Authentication token required");
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

async fn authenticate(hub: &Hub, token: &str) -> Result<SignedIn, ConnectError> {
    hub.accounts.authenticate_socket(token).await.map_err(|error| match error {
        gatewright_core::Error::Refused(_) => {
            ConnectError(ErrorCode::AuthInvalid, "Invalid authentication token")
        }
        other => {
            // Logs the cause.
            let _ = other.into_failure();
            UNAVAILABLE
        }
    })
}

/// Opens a connection that was let in; its connection script is its first job.
fn open(socket: &SocketRef, auth: Json) {
    let Some(LetIn(connection)) = socket.extensions.remove::<LetIn>() else { return };
    connection.hub().add(&connection);
    if !connection.attach(socket.clone()) {
        // It went in between, and was seen off before it was added.
        connection.hub().remove(&connection);
        return;
    }
    // Only now: a warning that is due at once would find no socket.
    if let Some(identity) = connection.identity() {
        connection.hub().expiries.add(&connection, identity.expires_at);
    }
    let gateway = connection.namespace.gateway.load();
    match &gateway.connection {
        None => {
            connection.set_stage(Stage::Open);
            connection.lane.open(None);
        }
        Some(handler) => {
            let handshake =
                socket.req_parts().extensions.get::<Arc<Handshake>>().cloned().unwrap_or_default();
            let body = json!({
                "id": connection.id_text,
                "ip": handshake.ip.to_string(),
                "headers": handshake.headers(),
                "auth": without_token(auth),
                "query": handshake.query(),
            });
            connection.lane.open(Some(job(&connection, JobKind::Connect, handler, &body)));
        }
    }
}

/// Sees a connection off; its disconnection script is its last job.
fn close(connection: &Arc<Connection>, reason: DisconnectReason) {
    if !connection.detach() {
        connection.give_seat_back();
        return;
    }
    let rooms = connection.hub().remove(connection);
    let gateway = connection.namespace.gateway.load();
    if let Some(handler) = &gateway.disconnection {
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

/// A script may see what the client sent along, but not the key to the user's account.
fn without_token(mut auth: Json) -> Json {
    if let Some(fields) = auth.as_object_mut() {
        fields.remove("token");
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
