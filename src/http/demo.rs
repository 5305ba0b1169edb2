//! The page that `gatewright demo` serves to try the chat pack.

use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse, Response};

/// The page.
pub async fn chat() -> Html<&'static str> {
    Html(include_str!("demo_chat.html"))
}

/// The official client, as its package ships it (MIT licence, in the file's head), so that the
/// page loads nothing from elsewhere.
pub async fn client() -> Response {
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("socket.io.min.js")).into_response()
}
