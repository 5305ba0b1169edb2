//! Every route of this side, on one page; those of the admin API are in its own `router.rs`.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::HeaderValue;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use gatewright_admin_api::error::ErrorAnswer;
use gatewright_admin_api::request::{ACCESS_COOKIE, APP_KEY_HEADER, REFRESH_COOKIE, cookie};
use gatewright_admin_api::{ApiError, AuditLayer, check_origin};
use gatewright_core::{ErrorCode, Failure};
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use super::{HttpState, auth, data, demo, health, jobs, openapi, pages, routes, sockets};

/// What the description of the API begins with.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Gatewright",
        description = "Accounts, gateways, events and their scripts. \
        Sign in at POST /auth/login, choose Authorize, and paste the accessToken."
    ),
    components(schemas(ErrorAnswer))
)]
struct Description;

/// What a listener serves; each of its requests carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serves {
    /// Everything there is.
    All,
    /// What is not for admins alone: their API and their UI have a listener of their own.
    AllButAdmin,
}

/// The whole HTTP side; `with_demo` adds the pages to try the packs.
pub fn router(state: HttpState, with_demo: bool, serves: Serves) -> Router {
    let mut described = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(auth::login))
        .routes(routes!(auth::exchange))
        .routes(routes!(auth::refresh_token))
        .routes(routes!(auth::logout))
        .routes(routes!(auth::register))
        .routes(routes!(auth::websocket_token))
        .routes(routes!(auth::me, auth::change_me))
        .routes(routes!(data::list, data::create))
        .routes(routes!(data::get, data::update, data::delete))
        .routes(routes!(jobs::status))
        .routes(routes!(sockets::channels))
        .routes(routes!(sockets::members))
        .routes(routes!(sockets::connections))
        .routes(routes!(sockets::broadcast))
        .routes(routes!(sockets::emit_to_user))
        .routes(routes!(sockets::disconnect_user))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
        .with_state(state.clone());
    if serves == Serves::All {
        described = described.merge(gatewright_admin_api::router(state.admin()));
    }
    let (router, mut api) = described.split_for_parts();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let app_key = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(APP_KEY_HEADER)));
    let components = api.components.get_or_insert_default();
    components.add_security_scheme("token", bearer);
    components.add_security_scheme("appKey", app_key);
    let described = (state.clone(), openapi::Described::new(&api));
    let description = Router::new().route("/openapi.json", get(openapi::serve)).with_state(described);
    let swagger = Router::from(swagger()).layer(middleware::map_response(async |page| pages::own_page(page)));
    let audited = AuditLayer { audit: state.audit.clone(), config: state.runner.config.clone() };
    let router = router.layer(middleware::from_fn_with_state(audited, gatewright_admin_api::record));
    let router = router.layer(middleware::map_response(async |answer| pages::not_kept(answer)));
    let mut router = router.merge(description).merge(swagger);
    if serves == Serves::All {
        router = router.merge(gatewright_admin_api::ui());
    }
    if with_demo {
        router = router.merge(demo(state.clone()));
    }
    router
        .merge(Router::new().fallback(routes::serve).with_state(state.clone()))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(state.clone(), guard_cookies))
        .layer(cors(&state.runner.config.allowed_origins))
        .layer(DefaultBodyLimit::max(state.runner.config.limits.request_bytes))
}

/// The page that shows the API. Its badge, which asks a host elsewhere, is off.
fn swagger() -> SwaggerUi {
    SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/openapi.json").validator_url("none"))
}

/// The pages to try the packs.
fn demo(state: HttpState) -> Router {
    Router::new()
        .route("/demo", get(demo::index))
        .route("/demo/{name}", get(demo::file))
        .route("/demo/{name}/users", post(demo::users))
        .with_state(state)
        .layer(middleware::map_response(async |page| pages::own_page(page)))
}

/// `/metrics` alone, for a listener of its own.
pub fn metrics_router(state: HttpState) -> Router {
    Router::new().route("/metrics", get(health::open_metrics)).with_state(state)
}

/// A request that changes something and brings a session cookie must come from an origin that
/// counts, whatever route it is for.
async fn guard_cookies(
    State(state): State<HttpState>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let has_cookie =
        [ACCESS_COOKIE, REFRESH_COOKIE].iter().any(|name| cookie(&parts.headers, name).is_some());
    if has_cookie {
        check_origin(&parts, &state.runner.config)?;
    }
    Ok(next.run(Request::from_parts(parts, body)).await)
}

/// Pages of listed origins may call the API with the user's cookies; with `*`, others without.
fn cors(allowed: &[String]) -> CorsLayer {
    let listed: Vec<HeaderValue> =
        allowed.iter().filter(|origin| *origin != "*").filter_map(|origin| origin.parse().ok()).collect();
    let layer = CorsLayer::new()
        .allow_methods(tower_http::cors::AllowMethods::mirror_request())
        .allow_headers(tower_http::cors::AllowHeaders::mirror_request());
    if listed.is_empty() && allowed.iter().any(|origin| origin == "*") {
        layer.allow_origin(tower_http::cors::Any)
    } else {
        layer.allow_origin(AllowOrigin::list(listed)).allow_credentials(true)
    }
}

async fn method_not_allowed(request: Request) -> ApiError {
    let message = format!("{} does not take {}; see /docs", request.uri().path(), request.method());
    Failure::new(ErrorCode::MethodNotAllowed, message).into()
}
