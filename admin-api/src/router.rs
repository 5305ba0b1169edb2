//! Every route of the admin API, on one page.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::AdminState;
use crate::{
    app_keys, events, gateways, hooks, jobs, libraries, logs, packs, routes, schedules, script, sessions,
    stats, tables, test_run, tree, users,
};

/// What there is for each kind of definition.
macro_rules! definitions {
    ($kind:ident) => {
        OpenApiRouter::new()
            .routes(routes!($kind::list, $kind::create))
            .routes(routes!($kind::get, $kind::update, $kind::delete))
            .routes(routes!($kind::resume))
            .routes(routes!($kind::list_revisions))
            .routes(routes!($kind::restore))
    };
}

/// The routes under `/admin`, with their description.
pub fn router(state: AdminState) -> OpenApiRouter {
    OpenApiRouter::new()
        .merge(definitions!(gateways))
        .merge(definitions!(events))
        .merge(definitions!(routes))
        .merge(definitions!(hooks))
        .routes(routes!(libraries::list, libraries::create))
        .routes(routes!(libraries::get, libraries::update, libraries::delete))
        .routes(routes!(libraries::list_revisions))
        .routes(routes!(libraries::restore))
        .routes(routes!(schedules::list, schedules::create))
        .routes(routes!(schedules::get, schedules::update, schedules::delete))
        .routes(routes!(schedules::run))
        .routes(routes!(tables::list, tables::create))
        .routes(routes!(tables::get, tables::update, tables::delete))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::get, users::update, users::delete))
        .routes(routes!(users::revoke_tokens))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::delete))
        .routes(routes!(app_keys::list, app_keys::create))
        .routes(routes!(app_keys::get, app_keys::update, app_keys::delete))
        .routes(routes!(packs::list, packs::install))
        .routes(routes!(packs::get, packs::uninstall))
        .routes(routes!(packs::diff))
        .routes(routes!(tree::get))
        .routes(routes!(script::validate))
        .routes(routes!(script::api))
        .routes(routes!(test_run::run))
        .routes(routes!(gateways::pause))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::get))
        .routes(routes!(jobs::retry))
        .routes(routes!(jobs::discard))
        .routes(routes!(logs::list))
        .routes(routes!(logs::get))
        .routes(routes!(stats::get))
        .routes(routes!(stats::history))
        .with_state(state)
}
