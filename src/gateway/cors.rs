//! Which pages may speak to Socket.IO, and with what. Any page may speak, without cookies: who may
//! connect is decided in the namespace, where a browser hears the reason. Pages of the server's own
//! origin and of listed ones may bring cookies.

use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Response, StatusCode};
use gatewright_admin_api::request::{is_same_origin, own_origin};

use super::hub::Hub;

/// What the page of a request may do with its answer.
pub enum Cors {
    /// No page asks.
    None,
    /// Read it, where it sent no cookies.
    Read,
    /// Read it, cookies or not.
    WithCookies(HeaderValue),
}

impl Cors {
    /// What the page may that sent this.
    pub fn of(headers: &HeaderMap, hub: &Hub) -> Self {
        let Some(origin) = headers.get(header::ORIGIN) else { return Self::None };
        let text = origin.to_str().unwrap_or_default();
        let own = own_origin(headers, hub.runner.config.trusted_ip_header.is_some());
        let lists = |origins: &[String]| origins.iter().any(|listed| listed == text);
        // Which gateway it is for is not known yet.
        let is_listed = || {
            let live = hub.runner.catalog.live();
            lists(&hub.runner.config.allowed_origins)
                || live.values().any(|gateway| lists(&gateway.allowed_origins))
        };
        if is_same_origin(text, own.as_deref()) || is_listed() {
            // A copy: the request's own would keep its read buffer.
            return HeaderValue::from_bytes(origin.as_bytes()).map_or(Self::Read, Self::WithCookies);
        }
        Self::Read
    }

    /// The answer with what it says of that.
    pub fn on(self, mut answer: Response<Body>) -> Response<Body> {
        let headers = answer.headers_mut();
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        match self {
            Self::None => {}
            Self::Read => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
            Self::WithCookies(origin) => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
                headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            }
        }
        answer
    }
}

/// The answer to a browser that asks what it may send.
pub fn preflight() -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("authorization, content-type"),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    answer
}
