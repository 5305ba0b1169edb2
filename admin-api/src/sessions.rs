//! `/admin/users/{id}/sessions` and `/admin/sessions`.

use axum::extract::State;
use axum::http::StatusCode;
use gatewright_core::auth::LiveSession;
use gatewright_core::store::Time;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::Result;
use crate::extract::{Admin, Path};
use crate::state::{AdminState, LiveSocket};

/// A user's sessions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionsAnswer {
    /// Newest first, at most 1000.
    data: Vec<SessionView>,
}

/// A session that counts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionView {
    id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    expires_at: Time,
    /// When one of its tokens was last shown to this server; null: not since it started.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Time>,
    /// Its sockets at this server.
    sockets: Vec<SocketView>,
}

/// A socket.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SocketView {
    socket_id: String,
    gateway: String,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    connected_at: Time,
}

/// The sessions of a user that count, with their sockets.
#[utoipa::path(get, path = "/admin/users/{id}/sessions", operation_id = "listSessionsOfUser", tag = "users",
    responses((status = 200, body = SessionsAnswer)))]
pub(crate) async fn list(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<SessionsAnswer>> {
    let sessions = state.accounts.sessions_of(id).await?;
    let sockets = state.live.sockets_of(&id.to_string());
    let data = sessions.into_iter().map(|session| session_view(session, &sockets)).collect();
    Ok(axum::Json(SessionsAnswer { data }))
}

/// Ends a session: its tokens no longer count, its sockets are disconnected within a second.
#[utoipa::path(delete, path = "/admin/sessions/{id}", operation_id = "deleteSession", tag = "users", responses((status = 204)))]
pub(crate) async fn delete(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<StatusCode> {
    state.accounts.end_live_session(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn session_view(session: LiveSession, sockets: &[LiveSocket]) -> SessionView {
    let own = sockets.iter().filter(|socket| socket.session_id == Some(session.id));
    let view = |socket: &LiveSocket| SocketView {
        socket_id: socket.socket_id.clone(),
        gateway: socket.gateway.clone(),
        connected_at: socket.connected_at,
    };
    SessionView {
        id: session.id,
        created_at: session.created_at,
        expires_at: session.expires_at,
        last_used_at: session.last_used_at,
        sockets: own.map(view).collect(),
    }
}
