//! The official client at `/socket.io/socket.io.js`, where pages of Node's server are used to find
//! it. The file is as its package ships it (MIT licence, in its head).

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{Method, Request, Response, StatusCode};
use futures_util::future::{Either, Ready, ready};

/// Under both names the minified file: readers of the source have its repository.
const PATHS: [&str; 2] = ["/socket.io/socket.io.js", "/socket.io/socket.io.min.js"];
const CLIENT: &str = include_str!("socket.io.min.js");
static TAG: LazyLock<HeaderValue> = LazyLock::new(|| {
    let mut hasher = DefaultHasher::new();
    CLIENT.hash(&mut hasher);
    HeaderValue::try_from(format!("\"{:016x}\"", hasher.finish())).expect("hexadecimal is a header value")
});

/// Puts [`ClientService`] before Socket.IO, which takes every path beneath its own.
#[derive(Clone)]
pub struct ClientLayer;

impl<S> tower::Layer<S> for ClientLayer {
    type Service = ClientService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ClientService(inner)
    }
}

/// Answers with the client where it is asked for; passes all else on.
#[derive(Clone)]
pub struct ClientService<S>(S);

impl<S, In> tower::Service<Request<In>> for ClientService<S>
where
    S: tower::Service<Request<In>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response<Body>, Infallible>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let reads = [Method::GET, Method::HEAD].contains(request.method());
        if reads && PATHS.contains(&request.uri().path()) {
            return Either::Left(ready(Ok(client(request.headers()))));
        }
        Either::Right(self.0.call(request))
    }
}

/// The file, or 304 when the browser has it. hyper leaves the body out of an answer to HEAD.
fn client(asked: &HeaderMap) -> Response<Body> {
    let known = asked.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let tag = TAG.to_str().unwrap_or_default();
    let is_known = known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag);
    let mut answer = Response::new(if is_known { Body::empty() } else { Body::from(CLIENT) });
    if is_known {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=0, must-revalidate"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Any page may load it, as from a CDN.
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ETAG, TAG.clone());
    answer
}
