//! Every route of the admin API, on one page.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::AdminState;
use crate::{
    app_keys, events, gateways, hooks, logs, packs, revisions, routes, script, stats, tables, test_run, users,
};

/// The routes under `/admin`, with their description.
pub fn router(state: AdminState) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(gateways::list, gateways::create))
        .routes(routes!(gateways::get, gateways::update, gateways::delete))
        .routes(routes!(gateways::resume))
        .routes(routes!(revisions::list_of_gateway))
        .routes(routes!(revisions::restore_gateway))
        .routes(routes!(events::list, events::create))
        .routes(routes!(events::get, events::update, events::delete))
        .routes(routes!(events::resume))
        .routes(routes!(revisions::list_of_event))
        .routes(routes!(revisions::restore_event))
        .routes(routes!(routes::list, routes::create))
        .routes(routes!(routes::get, routes::update, routes::delete))
        .routes(routes!(routes::resume))
        .routes(routes!(revisions::list_of_route))
        .routes(routes!(revisions::restore_route))
        .routes(routes!(tables::list, tables::create))
        .routes(routes!(tables::get, tables::update, tables::delete))
        .routes(routes!(hooks::list, hooks::create))
        .routes(routes!(hooks::get, hooks::update, hooks::delete))
        .routes(routes!(hooks::resume))
        .routes(routes!(revisions::list_of_hook))
        .routes(routes!(revisions::restore_hook))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::get, users::update, users::delete))
        .routes(routes!(users::revoke_tokens))
        .routes(routes!(app_keys::list, app_keys::create))
        .routes(routes!(app_keys::get, app_keys::update, app_keys::delete))
        .routes(routes!(packs::list, packs::install))
        .routes(routes!(packs::get, packs::uninstall))
        .routes(routes!(script::validate))
        .routes(routes!(test_run::run))
        .routes(routes!(logs::list))
        .routes(routes!(stats::get))
        .with_state(state)
}
