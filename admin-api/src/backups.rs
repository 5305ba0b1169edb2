//! `POST /admin/backup` and `/admin/backups`: copies of the database.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use gatewright_core::backups::{Backup, Backups};
use gatewright_core::store::Time;
use gatewright_core::{Error, ErrorCode, Failure};
use serde::Serialize;
use tokio::sync::{Semaphore, mpsc};
use utoipa::ToSchema;

use crate::error::Result;
use crate::extract::{Admin, Path};
use crate::state::AdminState;

/// Bytes that are read at once.
const PART_BYTES: usize = 64 << 10;
/// Downloads at once.
const DOWNLOADS_MAX: usize = 4;
static DOWNLOADS: Semaphore = Semaphore::const_new(DOWNLOADS_MAX);

/// The copies of the database.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BackupsAnswer {
    /// Newest first, with the one that is being made.
    data: Vec<BackupView>,
    /// Where the database is PostgreSQL: what makes a copy of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
}

/// A copy.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BackupView {
    /// Of its file in `backups/` of the data folder.
    name: String,
    /// `running`, `done` or `failed`.
    state: &'static str,
    /// Of its file, so far.
    bytes: u64,
    /// While it is being made: of the database, so about as many as it will have.
    #[serde(skip_serializing_if = "Option::is_none")]
    of_bytes: Option<u64>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
}

/// Begins a copy of an SQLite database, consistent although it is in use, in `backups/` of the data folder; `GET
/// /admin/backups` tells how far it is. For PostgreSQL it says which command does it.
#[utoipa::path(post, path = "/admin/backup", operation_id = "createBackup", tag = "operation",
    responses((status = 201, body = BackupView)))]
pub(crate) async fn create(
    State(state): State<AdminState>,
    _: Admin,
) -> Result<(StatusCode, axum::Json<BackupView>)> {
    Ok((StatusCode::CREATED, axum::Json(state.backups.begin().await?.into())))
}

/// The copies of the database that are kept.
#[utoipa::path(get, path = "/admin/backups", operation_id = "listBackups", tag = "operation",
    responses((status = 200, body = BackupsAnswer)))]
pub(crate) async fn list(State(state): State<AdminState>, _: Admin) -> Result<axum::Json<BackupsAnswer>> {
    let command = state.backups.command().map(str::to_owned);
    let all = on_disk(&state, |backups| backups.list()).await?;
    Ok(axum::Json(BackupsAnswer { data: all.into_iter().map(BackupView::from).collect(), command }))
}

/// The file of a copy. It has all rows and the hashes of passwords: keep it as safe as the server.
#[utoipa::path(get, path = "/admin/backups/{name}", operation_id = "getBackup", tag = "operation",
    responses((status = 200, body = Vec<u8>, content_type = "application/vnd.sqlite3")))]
pub(crate) async fn get(
    State(state): State<AdminState>,
    _: Admin,
    Path(name): Path<String>,
) -> Result<Response> {
    let asked = name.clone();
    let (file, bytes) = on_disk(&state, move |backups| backups.open(&asked)).await?;
    let place = DOWNLOADS.try_acquire().map_err(|_| {
        let message = "Too many backups are being downloaded; wait for one of them";
        Failure::new(ErrorCode::ServiceUnavailable, message)
    })?;
    let headers = [
        (CONTENT_TYPE, "application/vnd.sqlite3".to_owned()),
        (CONTENT_LENGTH, bytes.to_string()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    let (parts, received) = mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        let _place = place;
        read_parts(file, &parts);
    });
    let parts = futures_util::stream::unfold(received, async |mut received| {
        received.recv().await.map(|part| (part, received))
    });
    Ok((headers, Body::from_stream(parts)).into_response())
}

/// Deletes a copy.
#[utoipa::path(delete, path = "/admin/backups/{name}", operation_id = "deleteBackup", tag = "operation",
    responses((status = 204)))]
pub(crate) async fn delete(
    State(state): State<AdminState>,
    _: Admin,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    on_disk(&state, move |backups| backups.delete(&name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What waits for the disk.
async fn on_disk<T: Send + 'static>(
    state: &AdminState,
    work: impl FnOnce(&Arc<Backups>) -> gatewright_core::Result<T> + Send + 'static,
) -> Result<T> {
    let backups = state.backups.clone();
    let done = tokio::task::spawn_blocking(move || work(&backups)).await;
    Ok(done.map_err(|error| Error::Internal(error.to_string()))??)
}

/// Reads a file until nobody wants more of it.
fn read_parts(mut file: File, parts: &mpsc::Sender<std::io::Result<Bytes>>) {
    loop {
        let mut part = vec![0; PART_BYTES];
        let read = file.read(&mut part);
        let part = match read {
            Ok(0) => return,
            Ok(bytes) => {
                part.truncate(bytes);
                Ok(Bytes::from(part))
            }
            Err(error) => Err(error),
        };
        let is_last = part.is_err();
        if parts.blocking_send(part).is_err() || is_last {
            return;
        }
    }
}

impl From<Backup> for BackupView {
    fn from(backup: Backup) -> Self {
        Self {
            name: backup.name,
            state: backup.state.as_str(),
            bytes: backup.bytes,
            of_bytes: backup.of_bytes,
            created_at: backup.created_at,
        }
    }
}
