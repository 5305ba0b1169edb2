//! The page that `gatewright demo` serves to try the chat pack.

use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse};

/// The page.
pub async fn chat() -> Html<&'static str> {
    Html(include_str!("demo_chat.html"))
}

/// Its script: a file of its own, as its Content-Security-Policy requires.
pub async fn chat_script() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("demo_chat.js"))
}
