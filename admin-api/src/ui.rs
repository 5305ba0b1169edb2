//! The admin UI at `/_/`: files that were built from `admin-api/ui` and are part of the binary. What its
//! pages do is not known here; they use the HTTP API and Socket.IO as any other client does.

use axum::Router;
use axum::extract::Path;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, VARY,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use gatewright_core::Failure;
use rust_embed::Embed;
use uuid::Uuid;

use crate::error::ApiError;

/// What stands in the page for the nonce of its styles.
const NONCE_PLACE: &str = "GATEWRIGHT_NONCE";
/// Names of built files change with what is in them.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// The built files, each a second time with `.gz`, compressed.
#[derive(Embed)]
#[folder = "ui/dist"]
struct Files;

/// The UI's routes.
pub fn ui() -> Router {
    Router::new()
        // Relative, as only clients know the prefix of a proxy.
        .route("/_", get(async || (StatusCode::PERMANENT_REDIRECT, [(LOCATION, "_/")])))
        .route("/_/", get(page))
        .route("/_/{*path}", get(file))
}

/// The page. Its styles carry a nonce, which the editor takes for those that it makes.
async fn page() -> Result<Response, ApiError> {
    let html = Files::get("index.html").ok_or_else(|| Failure::not_found("page", "/_/"))?;
    let nonce = Uuid::new_v4().simple().to_string();
    let html = String::from_utf8_lossy(&html.data).replace(NONCE_PLACE, &nonce);
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; connect-src 'self'; \
         img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, &policy),
    ];
    Ok((headers, html).into_response())
}

/// A file beside the page, compressed for those who take that.
async fn file(Path(path): Path<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    let missing = || Failure::not_found("file of the admin UI", &path);
    let content_type = content_type(&path).ok_or_else(missing)?;
    let compressed = takes_gzip(&headers).then(|| Files::get(&format!("{path}.gz"))).flatten();
    let encoding = compressed.is_some().then_some([(CONTENT_ENCODING, "gzip")]);
    let file = compressed.or_else(|| Files::get(&path)).ok_or_else(missing)?;
    let headers = [(CONTENT_TYPE, content_type), (CACHE_CONTROL, IMMUTABLE), (VARY, "accept-encoding")];
    Ok((headers, encoding, file.data).into_response())
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|one| {
        let (name, quality) = one.split_once(';').unwrap_or((one, ""));
        name.trim().eq_ignore_ascii_case("gzip") && !matches!(quality.trim(), "q=0" | "q=0.0")
    })
}

/// The types that a build consists of; what is of none of them, such as the page, has no address of its own.
fn content_type(path: &str) -> Option<&'static str> {
    let (_, extension) = path.rsplit_once('.')?;
    match extension {
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        _ => None,
    }
}
