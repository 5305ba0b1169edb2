//! Packs as files: `/admin/packs/{name}/export` and `/admin/packs/upload`; and `/admin/packs/{name}/test`.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use gatewright_core::pack::{self, Pack, PackError, PackFiles, TestResult, run_tests, to_archive};
use gatewright_core::{ErrorCode, Failure};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::{IntoParams, ToSchema};

use crate::audit::Note;
use crate::error::{ApiError, Result};
use crate::extract::{Admin, Path, Query, body_of};
use crate::pack_place::PackPlace;
use crate::packs::{InstallAnswer, install_at};
use crate::state::AdminState;

/// The types that a ZIP may be sent as. None is one that a form of a foreign page can send.
const ZIP_TYPES: [&str; 3] = ["application/zip", "application/x-zip-compressed", "application/octet-stream"];
/// How long the tests of a pack may take, and how many packs are tested at once.
const TESTS_MAX: Duration = Duration::from_secs(120);
static TESTS: Semaphore = Semaphore::const_new(1);

/// The bytes of a ZIP.
#[derive(Debug)]
pub(crate) struct Zip(Bytes);

/// How to install what is sent.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UploadParams {
    /// A path to put its gateways and routes under. Without it one that is installed stays where it is.
    mount: Option<String>,
    /// Overwrite what an admin has edited since, and lose values of columns and tables that go.
    #[serde(default)]
    force: bool,
    /// Only say what would change.
    #[serde(default)]
    dry_run: bool,
}

/// What came of a pack's tests.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PackTestAnswer {
    passed: usize,
    failed: usize,
    /// Each, in order.
    tests: Vec<PackTestView>,
}

/// What came of a test.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PackTestView {
    /// Its file and its name.
    name: String,
    passed: bool,
    /// What was expected where it differs from what came, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    /// What came instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
}

/// A pack as a ZIP: as it is installed, with what was edited since, and its tests; else as it is built in.
#[utoipa::path(get, path = "/admin/packs/{name}/export", operation_id = "exportPack", tag = "packs",
    responses((status = 200, body = Vec<u8>, content_type = "application/zip")))]
pub(crate) async fn export(
    State(state): State<AdminState>,
    _: Admin,
    Path(name): Path<String>,
) -> Result<Response> {
    let archive = to_archive(&files_of(&state, &name).await?)?;
    let file: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    let headers = [
        (CONTENT_TYPE, "application/zip".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{file}.zip\"")),
    ];
    Ok((headers, archive).into_response())
}

/// Installs a pack that is sent as a ZIP, such as `export` gives it, or says what that would change. It is live when the
/// answer comes. What an admin has edited since is a conflict (409), unless it is forced.
#[utoipa::path(post, path = "/admin/packs/upload", operation_id = "uploadPack", tag = "packs", params(UploadParams),
    request_body(content = Vec<u8>, content_type = "application/zip"),
    responses((status = 201, body = InstallAnswer), (status = 200, body = InstallAnswer, description = "a dry run")))]
pub(crate) async fn upload(
    State(state): State<AdminState>,
    _: Admin,
    note: Note,
    Query(params): Query<UploadParams>,
    Zip(bytes): Zip,
) -> Result<(StatusCode, axum::Json<InstallAnswer>)> {
    note.changes(!params.dry_run);
    let read = tokio::task::spawn_blocking(move || Pack::from_archive(&bytes)).await;
    let pack =
        read.map_err(|error| gatewright_core::Error::Internal(error.to_string()))?.map_err(unreadable)?;
    install_at(&state, pack, params.mount.as_deref(), params.force, params.dry_run).await
}

/// Runs the tests of a pack: of an installed one with what was edited since, else of the built-in one. They run in a
/// database of their own, and nothing leaves.
#[utoipa::path(post, path = "/admin/packs/{name}/test", operation_id = "testPack", tag = "packs",
    responses((status = 200, body = PackTestAnswer)))]
pub(crate) async fn test(
    State(state): State<AdminState>,
    _: Admin,
    Path(name): Path<String>,
) -> Result<axum::Json<PackTestAnswer>> {
    let files = files_of(&state, &name).await?;
    let pack = Pack::from_files(files).map_err(unreadable)?;
    if pack.test_files().next().is_none() {
        let message = format!("Pack {name} has no tests. They are files in its folder tests/");
        return Err(Failure::new(ErrorCode::BusinessLogic, message).into());
    }
    let _turn = TESTS.try_acquire().map_err(|_| {
        Failure::new(ErrorCode::ServiceUnavailable, "Another pack is being tested; wait for its end")
    })?;
    let place = PackPlace::open(&state).await?;
    let report = tokio::time::timeout(TESTS_MAX, run_tests(&place.catalog, &pack)).await;
    place.close().await;
    let report = report.map_err(|_| {
        let message = format!("The tests took longer than {} s and were ended", TESTS_MAX.as_secs());
        Failure::new(ErrorCode::ScriptTimeout, message)
    })?;
    let report = report.map_err(unreadable)?;
    let tests: Vec<_> = report.results.into_iter().map(PackTestView::from).collect();
    let passed = tests.iter().filter(|test| test.passed).count();
    Ok(axum::Json(PackTestAnswer { passed, failed: tests.len() - passed, tests }))
}

/// The files of a pack as it is installed, else as it is built in.
async fn files_of(state: &AdminState, name: &str) -> Result<PackFiles> {
    let built_in = state.packs.iter().find(|pack| pack.name == name);
    let installed = pack::installed_pack(state.catalog.store(), name).await?;
    match (installed, built_in) {
        (Some(_), built_in) => {
            let mut files = pack::export(state.catalog.store(), name, &[]).await?;
            // One that was installed before tests were kept.
            let has_tests = files.keys().any(|file| file.starts_with("tests/"));
            let of_built_in = built_in.filter(|_| !has_tests).into_iter().flat_map(Pack::test_files);
            files.extend(of_built_in.map(|(file, text)| (file.clone(), text.clone())));
            Ok(files)
        }
        (None, Some(built_in)) => Ok(built_in.files.clone()),
        (None, None) => Err(Failure::not_found("pack", name).into()),
    }
}

/// A pack that cannot be read is its sender's to change.
fn unreadable(error: PackError) -> ApiError {
    Failure::new(ErrorCode::Validation, error.0).into()
}

impl From<TestResult> for PackTestView {
    fn from(result: TestResult) -> Self {
        let (expected, found) = result.difference.unzip();
        Self { name: result.name, passed: expected.is_none(), expected, found }
    }
}

impl<S: Send + Sync> FromRequest<S> for Zip {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> std::result::Result<Self, ApiError> {
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !ZIP_TYPES.contains(&media_type.to_ascii_lowercase().as_str()) {
            return Err(ApiError::bad_request(
                "Send the pack as a ZIP with the header content-type: application/zip",
            ));
        }
        Ok(Self(body_of(request, state).await?))
    }
}
