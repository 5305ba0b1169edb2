//! What answers have beside their bodies: which run they come from, and what browsers are told (to
//! believe the content type, who may frame them, what they may load). A script's own headers go
//! before these.

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Response};
use uuid::Uuid;

/// For data, which loads nothing, runs nothing and may not be framed.
const DATA: &str = "default-src 'none'; frame-ancestors 'none'";
/// The header that names a run.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A page of our own, from our own files. Swagger UI has images and fonts within its styles.
const OWN_PAGE: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";
/// For what a route's script serves, unless it says otherwise: a page with an opaque origin, which
/// cannot use its visitor's session here.
const OF_SCRIPT: &str = "sandbox allow-scripts allow-forms allow-popups allow-modals allow-downloads; \
    frame-ancestors 'none'";

/// Any answer on its way out.
pub fn guarded(mut response: Response<Body>) -> Response<Body> {
    or_else(&mut response, X_CONTENT_TYPE_OPTIONS, "nosniff");
    or_else(&mut response, CONTENT_SECURITY_POLICY, DATA);
    or_else(&mut response, X_FRAME_OPTIONS, "DENY");
    // With a stricter policy browsers would send `Origin: null` with the forms of our own pages.
    or_else(&mut response, REFERRER_POLICY, "same-origin");
    response
}

/// A page that is part of the server.
pub fn own_page(mut response: Response<Body>) -> Response<Body> {
    or_else(&mut response, CONTENT_SECURITY_POLICY, OWN_PAGE);
    response
}

/// What a route's script has made.
pub fn of_script(mut response: Response<Body>) -> Response<Body> {
    or_else(&mut response, CONTENT_SECURITY_POLICY, OF_SCRIPT);
    response
}

/// What a run came to, with the id under which it stands in the log of runs.
pub fn of_run(mut response: Response<Body>, request_id: Uuid) -> Response<Body> {
    let id = HeaderValue::from_str(&request_id.to_string()).expect("a UUID is letters, digits and hyphens");
    response.headers_mut().entry(REQUEST_ID).or_insert(id);
    response
}

/// An answer that is for its caller and for now.
pub fn not_kept(mut response: Response<Body>) -> Response<Body> {
    or_else(&mut response, CACHE_CONTROL, "no-store");
    response
}

fn or_else(response: &mut Response<Body>, name: HeaderName, value: &'static str) {
    response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
}
