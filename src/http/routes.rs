//! The routes that scripts serve: whatever path the server itself does not have comes here.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{ALLOW, CONTENT_TYPE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use gatewright_admin_api::request::client_address;
use gatewright_admin_api::{ApiError, Caller, body_of, is_json};
use gatewright_core::auth::Scope;
use gatewright_core::catalog::{Found, RouteAccess};
use gatewright_core::run::{RouteAnswer, RouteCall};
use gatewright_core::script::{Arguments, HttpRequest, HttpResponse, nesting_of};
use gatewright_core::{ErrorCode, Failure};
use serde_json::{Map, Value as Json};

use super::{HttpState, Serves, pages};

/// Names and values in one query.
const QUERY_PAIRS_MAX: usize = 1000;

type Result<T> = std::result::Result<T, ApiError>;

/// Answers with the route of the request, if there is one.
pub async fn serve(State(state): State<HttpState>, request: Request) -> Result<Response> {
    let routes = state.runner.catalog.live_routes();
    let (method, path) = (request.method().as_str(), request.uri().path());
    let has_ui = request.extensions().get::<Serves>() == Some(&Serves::All);
    let (route, params) = match routes.find(method, path)? {
        Found::Route(route, params) => (route.clone(), params),
        Found::OtherMethods(allowed) => return Ok(method_not_allowed(&request, &allowed)),
        // Who opens the server's address looks for a page. A route of an admin goes first.
        Found::Nothing if path == "/" && has_ui => return Ok(Redirect::temporary("_/").into_response()),
        // Where the Socket Service had its page.
        Found::Nothing if path == "/socket" && has_ui && is_looked_at(method) => {
            return Ok(Redirect::temporary("_/#/sockets").into_response());
        }
        Found::Nothing => {
            let message = format!("There is no {path}; see /docs");
            return Err(Failure::new(ErrorCode::ResourceNotFound, message).into());
        }
    };
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, &state).await?;
    check_access(route.access, &caller)?;
    let seen = seen_by_script(&parts, params, state.runner.config.trusted_ip_header.as_deref())?;
    let is_json = is_json(&parts.headers);
    let bytes = body_of(Request::from_parts(parts, body), &state).await?;
    let body = arguments(&bytes, is_json, state.runner.config.scripts.value_depth)?;
    let (user, app) = match caller {
        Caller::User(signed_in) => (Some(signed_in.user), None),
        Caller::App(key) => (None, Some(key.as_json())),
        Caller::Anonymous => (None, None),
    };
    let request = seen.with_app(app);
    Ok(answer(state.runner.run_route(RouteCall { route, request, body, user }).await))
}

/// Whether a page is asked for.
fn is_looked_at(method: &str) -> bool {
    matches!(method, "GET" | "HEAD")
}

fn method_not_allowed(request: &Request, allowed: &[&str]) -> Response {
    let allowed = allowed.join(", ");
    let message = format!("{} takes {allowed}, not {}", request.uri().path(), request.method());
    let mut response = ApiError::from(Failure::new(ErrorCode::MethodNotAllowed, message)).into_response();
    response.headers_mut().extend(HeaderValue::from_str(&allowed).ok().map(|allowed| (ALLOW, allowed)));
    response
}

/// An admin passes everywhere.
pub(super) fn check_access(access: RouteAccess, caller: &Caller) -> Result<()> {
    let needs = match (access, caller) {
        (RouteAccess::Public, _) | (RouteAccess::User, Caller::User(_)) => return Ok(()),
        (RouteAccess::App, _) => return caller.check_admin_or(Scope::Routes),
        (RouteAccess::Admin, Caller::User(signed_in)) if signed_in.user.is_admin() => return Ok(()),
        (_, Caller::Anonymous) => return Err(ApiError::unauthenticated()),
        (RouteAccess::User, _) => "This needs a user who is signed in, not an app key",
        (RouteAccess::Admin, _) => "This needs the role admin",
    };
    Err(Failure::new(ErrorCode::Authorization, needs).into())
}

/// The request as its script sees it.
fn seen_by_script(
    parts: &Parts,
    params: Map<String, Json>,
    trusted_ip_header: Option<&str>,
) -> Result<HttpRequest> {
    let query = parts.uri.query().unwrap_or_default();
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let mut query = Map::new();
    for (number, (name, value)) in pairs.enumerate() {
        if number >= QUERY_PAIRS_MAX {
            return Err(ApiError::bad_request(format!("The query has more than {QUERY_PAIRS_MAX} values")));
        }
        query.insert(name.into_owned(), value.into_owned().into());
    }
    let peer = parts.extensions.get().copied();
    let ip = client_address(&parts.headers, peer, trusted_ip_header).to_string();
    let request = HttpRequest::new(parts.method.to_string(), parts.uri.path().to_owned(), ip, params, query);
    Ok(request
        .with_headers(parts.headers.keys().map(|name| (name.to_string(), joined(&parts.headers, name)))))
}

/// All values of a header, as one line.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Json {
    let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    values.collect::<Vec<_>>().join(", ").into()
}

/// The body as `@BODY`: JSON, an empty object for none, or text.
fn arguments(body: &[u8], is_json: bool, depth_max: usize) -> Result<Arguments> {
    if body.trim_ascii().is_empty() {
        return Ok(Arguments::one(&Json::Object(Map::new())));
    }
    let refused = |message: String| ApiError::from(Failure::new(ErrorCode::InvalidPayload, message));
    let text = std::str::from_utf8(body).map_err(|_| {
        refused("The body is neither JSON nor text in UTF-8; send other data as base64 in JSON".to_owned())
    })?;
    if !is_json {
        return Ok(Arguments::one(&Json::from(text)));
    }
    // Checked before it is parsed, since parsing recurses.
    if nesting_of(text) > depth_max {
        return Err(refused(format!("The body nests deeper than {depth_max}")));
    }
    Arguments::one_of_text(text).map_err(|error| refused(format!("The body is not JSON: {error}")))
}

fn answer(answer: RouteAnswer) -> Response {
    let RouteAnswer { request_id, outcome, response: set } = answer;
    let response = match outcome {
        Ok(json) => {
            let status = set.status.and_then(|status| StatusCode::from_u16(status).ok());
            let status = status.unwrap_or(StatusCode::OK);
            let body = if has_no_body(status) { String::new() } else { body_text(json, &set) };
            let mut response = (status, body).into_response();
            response.headers_mut().remove(CONTENT_TYPE);
            if !has_no_body(status) {
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            set_headers(response.headers_mut(), &set, |_| true);
            pages::of_script(response)
        }
        Err(failure) => {
            let mut response = ApiError::of_run(failure, request_id).into_response();
            // The script's headers describe its own body, not this one.
            set_headers(response.headers_mut(), &set, |name| name != CONTENT_TYPE);
            response
        }
    };
    pages::of_run(response, request_id)
}

fn has_no_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The result; text goes out as it is where the script says that it is not JSON.
fn body_text(json: String, set: &HttpResponse) -> String {
    let content_type = set.headers.iter().find(|(name, _)| name == CONTENT_TYPE.as_str());
    let is_other = content_type.is_some_and(|(_, value)| !value.to_ascii_lowercase().contains("json"));
    if !is_other {
        return json;
    }
    serde_json::from_str::<String>(&json).unwrap_or(json)
}

fn set_headers(headers: &mut HeaderMap, set: &HttpResponse, may: impl Fn(&HeaderName) -> bool) {
    for (name, value) in &set.headers {
        // Both were checked when the script set them.
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
            continue;
        };
        if name == SET_COOKIE {
            headers.append(name, value);
        } else if may(&name) {
            headers.insert(name, value);
        }
    }
}
