//! `/auth` and `/me`: signing in and out.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Extension, State};
use axum::http::header::{ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use gatewright_admin_api::request::{ACCESS_COOKIE, REFRESH_COOKIE, client_address, cookie, network_of};
use gatewright_admin_api::{ApiError, Identity, Json, Note, OptionalJson, OwnView, has_cookies_that_count};
use gatewright_core::auth::{NewUser, OwnChange, ROLE_USER, SignIn, UserChange};
use gatewright_core::broker::{Action, Publication, Target};
use gatewright_core::config::Config;
use gatewright_core::store::Time;
use gatewright_core::{ErrorCode, Failure};
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use super::HttpState;

type Result<T> = std::result::Result<T, ApiError>;

/// Who signs in.
#[derive(Deserialize, ToSchema)]
pub struct LoginBody {
    email: String,
    password: String,
    /// A refresh token of 30 days instead of 7.
    #[serde(default)]
    remember: bool,
}

/// What a sign-in gives. The tokens are set as cookies too.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoginAnswer {
    access_token: String,
    refresh_token: String,
    /// When the access token expires, in milliseconds since the epoch.
    exp_time: i64,
    user: OwnView,
}

/// A refresh token, if it is not in the cookie.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefreshBody {
    refresh_token: Option<String>,
}

/// A code that signs in.
#[derive(Deserialize, ToSchema)]
pub struct ExchangeBody {
    code: String,
}

/// Who registers.
#[derive(Deserialize, ToSchema)]
pub struct RegisterBody {
    email: String,
    password: String,
    #[serde(default)]
    name: String,
}

/// What users may change of themselves.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeBody {
    name: Option<String>,
    /// Needs `currentPassword`.
    email: Option<String>,
    /// At least 8 characters; needs `currentPassword`.
    password: Option<String>,
    /// The password until now.
    current_password: Option<String>,
}

/// An account that was asked for. The answer is the same where the address had one already.
#[derive(Serialize, ToSchema)]
pub struct Registered {
    email: String,
    name: String,
    role: &'static str,
}

/// A token for `auth.token` of a socket.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebsocketToken {
    token: String,
    /// RFC 3339.
    expires_at: String,
}

/// Signs in. After 5 failures in a minute for an account or an address, 429 with `Retry-After`.
#[utoipa::path(post, path = "/auth/login", tag = "accounts", request_body = LoginBody,
    responses((status = 200, body = LoginAnswer)))]
pub async fn login(
    State(state): State<HttpState>,
    peer: Option<Extension<SocketAddr>>,
    headers: HeaderMap,
    note: Note,
    Json(body): Json<LoginBody>,
) -> Result<Response> {
    let address = address_of(&state, peer, &headers);
    note.tries(&body.email);
    let sign_in = state.accounts.login(&body.email, body.password, body.remember, address).await?;
    note.by(&sign_in.user);
    Ok(signed_in(sign_in, &headers, &state.runner.config))
}

/// Signs in with a code that counts once, such as that of the link that `gatewright demo` prints.
#[utoipa::path(post, path = "/auth/exchange", operation_id = "exchangeCode", tag = "accounts", request_body = ExchangeBody,
    responses((status = 200, body = LoginAnswer)))]
pub async fn exchange(
    State(state): State<HttpState>,
    peer: Option<Extension<SocketAddr>>,
    headers: HeaderMap,
    note: Note,
    Json(body): Json<ExchangeBody>,
) -> Result<Response> {
    let sign_in = state.accounts.exchange(&body.code, address_of(&state, peer, &headers)).await?;
    note.by(&sign_in.user);
    Ok(signed_in(sign_in, &headers, &state.runner.config))
}

/// New tokens for a refresh token, from the body or the cookie. It counts once: one that comes
/// back ends its session.
#[utoipa::path(post, path = "/auth/refresh-token", operation_id = "refreshToken", tag = "accounts", request_body = RefreshBody,
    responses((status = 200, body = LoginAnswer)))]
pub async fn refresh_token(
    State(state): State<HttpState>,
    headers: HeaderMap,
    OptionalJson(body): OptionalJson<RefreshBody>,
) -> Result<Response> {
    let token = refresh_token_of(&headers, body);
    let token = token.ok_or_else(|| Failure::new(ErrorCode::Authentication, "Send the refreshToken"))?;
    Ok(signed_in(state.accounts.refresh(&token).await?, &headers, &state.runner.config))
}

/// Signs out: the session's tokens no longer count, and the user's sockets are disconnected. A
/// token of another issuer counts on until it expires; only that issuer can end it.
#[utoipa::path(post, path = "/auth/logout", tag = "accounts", request_body = RefreshBody,
    responses((status = 204)))]
pub async fn logout(
    State(state): State<HttpState>,
    identity: Result<Identity>,
    headers: HeaderMap,
    OptionalJson(body): OptionalJson<RefreshBody>,
) -> Result<Response> {
    let accounts = &state.accounts;
    let token = refresh_token_of(&headers, body);
    let of_token = token.and_then(|token| accounts.session_of_refresh_token(&token));
    let (session, user) = match identity {
        Ok(Identity(signed_in)) => (signed_in.session_id, signed_in.user.id.clone()),
        Err(error) => of_token.map(|(session, user)| (Some(session), user.into())).ok_or(error)?,
    };
    if let Some(session) = session {
        accounts.end_session(session).await?;
    }
    let target = Target::User(user.as_str().into());
    state.runner.broker.publish(Publication { target, action: Action::Disconnect })?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    for name in [ACCESS_COOKIE, REFRESH_COOKIE] {
        add_cookie(&mut response, &format!("{name}=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0"));
    }
    Ok(response)
}

/// Makes an account, where the configuration lets anyone. An address that has one already gets the
/// same answer, and keeps its account and password.
#[utoipa::path(post, path = "/auth/register", tag = "accounts", request_body = RegisterBody,
    responses((status = 201, body = Registered)))]
pub async fn register(
    State(state): State<HttpState>,
    peer: Option<Extension<SocketAddr>>,
    headers: HeaderMap,
    Json(body): Json<RegisterBody>,
) -> Result<(StatusCode, axum::Json<Registered>)> {
    let accounts = &state.accounts;
    if !accounts.registration_is_open() {
        return Err(Failure::new(ErrorCode::Authorization, "Registration is closed; ask an admin").into());
    }
    let (email, password, name) = (body.email, body.password, body.name);
    let new = NewUser { email, password, name, role: String::new(), is_enabled: true };
    let (email, name) = new.check()?;
    accounts.register(new, address_of(&state, peer, &headers)).await?;
    Ok((StatusCode::CREATED, axum::Json(Registered { email, name, role: ROLE_USER })))
}

/// A short-lived token for `auth.token` of a socket, which counts nowhere else. For a user of another issuer there is none:
/// the issuer's own token serves.
#[utoipa::path(post, path = "/auth/websocket-token", operation_id = "websocketToken", tag = "accounts",
    responses((status = 200, body = WebsocketToken)))]
pub async fn websocket_token(
    State(state): State<HttpState>,
    Identity(identity): Identity,
) -> Result<axum::Json<WebsocketToken>> {
    let (token, expires_at) = state.accounts.websocket_token(&identity).await?;
    Ok(axum::Json(WebsocketToken { token, expires_at: expires_at.format(&Rfc3339).unwrap_or_default() }))
}

/// Who is signed in.
#[utoipa::path(get, path = "/me", tag = "accounts", responses((status = 200, body = OwnView)))]
pub async fn me(Identity(identity): Identity) -> axum::Json<OwnView> {
    axum::Json(gatewright_core::auth::User::clone(&identity.user).into())
}

/// Changes the own account. A new address or password needs `currentPassword`; a new password ends
/// all sessions, this one too.
#[utoipa::path(patch, path = "/me", operation_id = "changeMe", tag = "accounts", request_body = MeBody,
    responses((status = 200, body = OwnView)))]
pub async fn change_me(
    State(state): State<HttpState>,
    Identity(identity): Identity,
    peer: Option<Extension<SocketAddr>>,
    headers: HeaderMap,
    Json(body): Json<MeBody>,
) -> Result<axum::Json<OwnView>> {
    let change =
        UserChange { name: body.name, email: body.email, password: body.password, ..Default::default() };
    let own = OwnChange { change, current_password: body.current_password };
    let (id, address) = (identity.user.own_account()?.id, address_of(&state, peer, &headers));
    Ok(axum::Json(state.accounts.change_own(id, own, address).await?.into()))
}

/// What attempts are counted by.
fn address_of(state: &HttpState, peer: Option<Extension<SocketAddr>>, headers: &HeaderMap) -> IpAddr {
    let trusted = state.runner.config.trusted_ip_header.as_deref();
    network_of(client_address(headers, peer.map(|Extension(peer)| peer), trusted))
}

/// The refresh token of the body or of the cookie.
fn refresh_token_of(headers: &HeaderMap, body: Option<RefreshBody>) -> Option<String> {
    let of_body = body.and_then(|body| body.refresh_token);
    of_body.or_else(|| cookie(headers, REFRESH_COOKIE).map(str::to_owned))
}

/// The answer to a sign-in. A page whose cookies would not count gets none: it must not sign its
/// visitor in as somebody else.
fn signed_in(sign_in: SignIn, headers: &HeaderMap, config: &Config) -> Response {
    let secure = if is_over_tls(headers) { "; Secure" } else { "" };
    let cookie = |name, token: &str, expires_at: Time| {
        let seconds = (expires_at - Time::now_utc()).whole_seconds().max(0);
        format!("{name}={token}; HttpOnly; SameSite=Lax; Path=/; Max-Age={seconds}{secure}")
    };
    let access = cookie(ACCESS_COOKIE, &sign_in.access_token, sign_in.access_expires_at);
    let refresh = cookie(REFRESH_COOKIE, &sign_in.refresh_token, sign_in.refresh_expires_at);
    let mut response = axum::Json(LoginAnswer {
        access_token: sign_in.access_token,
        refresh_token: sign_in.refresh_token,
        exp_time: sign_in.access_expires_at.unix_timestamp() * 1000,
        user: sign_in.user.into(),
    })
    .into_response();
    if has_cookies_that_count(headers, config, &config.allowed_origins) {
        add_cookie(&mut response, &access);
        add_cookie(&mut response, &refresh);
    }
    response
}

fn add_cookie(response: &mut Response, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

/// Whether the client speaks TLS to a proxy in front; this server itself does not.
fn is_over_tls(headers: &HeaderMap) -> bool {
    let is = |name: &str, begin: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.starts_with(begin))
    };
    is("x-forwarded-proto", "https") || is(ORIGIN.as_str(), "https://")
}
