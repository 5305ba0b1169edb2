//! Extractors: who asks, and what the body and the query say; their refusals are [`ApiError`]s.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRef, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use gatewright_core::auth::{Accounts, SignedIn};
use gatewright_core::config::Config;
use gatewright_core::fields::fields_of;
use gatewright_core::nearest::nearest;
use gatewright_core::{ErrorCode, Failure};
use serde::de::DeserializeOwned;
use serde_path_to_error::Track;

use crate::audit::Note;
use crate::error::ApiError;
use crate::request::{ACCESS_COOKIE, bearer, cookie, cookie_counts, own_origin};
use crate::state::AdminState;

/// Whoever is signed in: a token from the `Authorization` header, else from the cookie.
#[derive(Debug, Clone)]
pub struct Identity(pub SignedIn);

/// An admin who is signed in.
#[derive(Debug, Clone)]
pub struct Admin(pub SignedIn);

/// A JSON body. Unlike axum's, its refusal is an [`ApiError`] that names the field.
#[derive(Debug)]
pub struct Json<T>(pub T);

/// A JSON body that may be left out.
#[derive(Debug)]
pub struct OptionalJson<T>(pub Option<T>);

/// The parameters of the path. Unlike axum's, its refusal is an [`ApiError`].
#[derive(Debug)]
pub struct Path<T>(pub T);

/// The query. Unlike axum's, its refusal is an [`ApiError`].
#[derive(Debug)]
pub struct Query<T>(pub T);

impl FromRef<AdminState> for Arc<Accounts> {
    fn from_ref(state: &AdminState) -> Self {
        state.accounts.clone()
    }
}

impl FromRef<AdminState> for Arc<Config> {
    fn from_ref(state: &AdminState) -> Self {
        state.config.clone()
    }
}

impl<S> FromRequestParts<S> for Identity
where
    S: Send + Sync,
    Arc<Accounts>: FromRef<S>,
    Arc<Config>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let accounts = Arc::<Accounts>::from_ref(state);
        let token = match bearer(&parts.headers) {
            Some(token) => token,
            None => {
                let token = cookie(&parts.headers, ACCESS_COOKIE).ok_or_else(ApiError::unauthenticated)?;
                check_origin(parts, &Arc::<Config>::from_ref(state))?;
                token
            }
        };
        let signed_in = accounts.authenticate(token).await?;
        if let Some(note) = parts.extensions.get::<Note>() {
            note.by(&signed_in.user);
        }
        Ok(Self(signed_in))
    }
}

/// A request that changes something and brings a cookie must come from an origin that counts. For
/// the admin API that is the server's own alone, and reading counts too.
pub fn check_origin(request: &Parts, config: &Config) -> Result<(), ApiError> {
    if is_of_admin(&request.uri) {
        if has_cookies_that_count(&request.headers, config, &[]) {
            return Ok(());
        }
        let message = "In the admin API a cookie counts from this server's own origin alone; send a token. \
                       Behind a proxy with TLS, set trusted_ip_header and have it send X-Forwarded-Proto";
        return Err(Failure::new(ErrorCode::OriginNotAllowed, message).into());
    }
    if matches!(request.method, Method::GET | Method::HEAD)
        || has_cookies_that_count(&request.headers, config, &config.allowed_origins)
    {
        return Ok(());
    }
    let message =
        "A request with a cookie must come from this server's origin or from one in allowed_origins";
    Err(Failure::new(ErrorCode::OriginNotAllowed, message).into())
}

/// Whether cookies of such a request count, and may be given to it.
pub fn has_cookies_that_count(headers: &HeaderMap, config: &Config, allowed: &[String]) -> bool {
    let own = own_origin(headers, config.trusted_ip_header.is_some());
    // What is not even text is no origin that counts.
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    cookie_counts(origin, own.as_deref(), allowed)
}

fn is_of_admin(uri: &Uri) -> bool {
    uri.path().strip_prefix("/admin").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl FromRequestParts<AdminState> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AdminState) -> Result<Self, ApiError> {
        let Identity(signed_in) = Identity::from_request_parts(parts, state).await?;
        if signed_in.user.is_admin() {
            return Ok(Self(signed_in));
        }
        Err(Failure::new(ErrorCode::Authorization, "This needs the role admin").into())
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(not_json());
        }
        decode(&body_of(request, state).await?).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let is_json = is_json(request.headers());
        let body = body_of(request, state).await?;
        if body.trim_ascii().is_empty() {
            return Ok(Self(None));
        }
        // A form of a foreign page can send any other type without asking.
        if !is_json {
            return Err(not_json());
        }
        decode(&body).map(|body| Self(Some(body)))
    }
}

fn not_json() -> ApiError {
    ApiError::bad_request("Send the body with the header content-type: application/json")
}

/// Whether the body is JSON by its content type.
pub fn is_json(headers: &HeaderMap) -> bool {
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json") || media_type.ends_with("+json")
}

/// The bytes of a body.
///
/// # Errors
/// `PAYLOAD_TOO_LARGE`, or `BAD_REQUEST` when it does not arrive whole.
pub async fn body_of<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, state).await.map_err(|error| {
        if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return Failure::new(ErrorCode::PayloadTooLarge, "The body is too large").into();
        }
        ApiError::bad_request("The body did not arrive whole")
    })
}

/// A body without fields that are not known: a misspelled one must not look as if it was set.
fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let (mut unknown, mut track) = (Vec::new(), Track::new());
    let mut json = serde_json::Deserializer::from_slice(body);
    let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    let decoded = serde_ignored::deserialize(tracked, |path| unknown.push(path.to_string()));
    let decoded = decoded.and_then(|decoded| json.end().map(|()| decoded));
    let decoded = decoded.map_err(|error: serde_json::Error| {
        if error.is_data() {
            let path = track.path();
            // Of the whole body the path is a dot.
            let what = if path.iter().next().is_none() { "The body".to_owned() } else { path.to_string() };
            return ApiError::bad_request(format!("{what}: {error}"));
        }
        ApiError::bad_request(format!("The body is not JSON: {error}"))
    })?;
    if unknown.is_empty() {
        return Ok(decoded);
    }
    let known = fields_of::<T>();
    let shown = unknown.iter().map(|name| match nearest(name, known.iter().copied()) {
        Some(nearest) => format!("{name} (did you mean {nearest}?)"),
        None => name.clone(),
    });
    let shown: Vec<_> = shown.collect();
    Err(ApiError::bad_request(format!("The body has unknown fields: {}", shown.join(", "))))
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(path)) => Ok(Self(path)),
            Err(error) => Err(ApiError::bad_request(wrong_in_path(&error))),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(error) => Err(ApiError::bad_request(format!("The query: {}", innermost(&error)))),
        }
    }
}

/// What is wrong with a path, by the name of the parameter where there is one.
fn wrong_in_path(error: &PathRejection) -> String {
    if let PathRejection::FailedToDeserializePathParams(error) = error
        && let ErrorKind::DeserializeError { key, message, .. } = error.kind()
    {
        return format!("{key}: {message}");
    }
    format!("The path: {}", error.body_text())
}

/// The message of the deepest cause: the one that names the field.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
