//! The page that `gatewright demo` serves to try the chat pack.

use axum::response::Html;

/// The page.
pub async fn chat() -> Html<&'static str> {
    Html(include_str!("demo_chat.html"))
}
