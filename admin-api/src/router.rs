//! Every route of the admin API, on one page.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::AdminState;
use crate::{
    app_keys, audit, backups, captures, config, events, gateways, health, hooks, jobs, libraries, logs,
    pack_files, packs, routes, schedules, script, search, sessions, sockets, stats, table_access, table_csv,
    table_rows, tables, test_run, tests, tree, users,
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
        .routes(routes!(hooks::match_row))
        .routes(routes!(libraries::list, libraries::create))
        .routes(routes!(libraries::get, libraries::update, libraries::delete))
        .routes(routes!(libraries::list_revisions))
        .routes(routes!(libraries::restore))
        .routes(routes!(schedules::list, schedules::create))
        .routes(routes!(schedules::get, schedules::update, schedules::delete))
        .routes(routes!(schedules::run))
        .routes(routes!(schedules::times))
        .routes(routes!(tables::list, tables::create))
        .routes(routes!(tables::get, tables::update, tables::delete))
        .routes(routes!(table_access::explain))
        .routes(routes!(table_rows::counts))
        .routes(routes!(table_rows::count))
        .routes(routes!(table_rows::list))
        .routes(routes!(table_rows::batch))
        .routes(routes!(table_csv::write, table_csv::read))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::get, users::update, users::delete))
        .routes(routes!(users::revoke_tokens))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::delete))
        .routes(routes!(sockets::list))
        .routes(routes!(sockets::rooms))
        .routes(routes!(sockets::stats))
        .routes(routes!(sockets::get))
        .routes(routes!(sockets::emit))
        .routes(routes!(sockets::disconnect))
        .routes(routes!(app_keys::list, app_keys::create))
        .routes(routes!(app_keys::get, app_keys::update, app_keys::delete))
        .routes(routes!(app_keys::rotate))
        .routes(routes!(packs::list, packs::install))
        .routes(routes!(packs::get, packs::uninstall))
        .routes(routes!(packs::diff))
        .routes(routes!(pack_files::export))
        .routes(routes!(pack_files::upload))
        .routes(routes!(pack_files::test))
        .routes(routes!(tree::get))
        .routes(routes!(search::search))
        .routes(routes!(script::validate))
        .routes(routes!(script::api))
        .routes(routes!(test_run::run))
        .routes(routes!(tests::list, tests::create))
        .routes(routes!(tests::run_all))
        .routes(routes!(tests::get, tests::update, tests::delete))
        .routes(routes!(tests::run))
        .routes(routes!(gateways::pause))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::counts))
        .routes(routes!(jobs::get))
        .routes(routes!(jobs::retry))
        .routes(routes!(jobs::discard))
        .routes(routes!(captures::list, captures::start))
        .routes(routes!(captures::stop))
        .routes(routes!(audit::list))
        .routes(routes!(config::get))
        .routes(routes!(health::get))
        .routes(routes!(backups::create))
        .routes(routes!(backups::list))
        .routes(routes!(backups::get, backups::delete))
        .routes(routes!(logs::list))
        .routes(routes!(logs::get))
        .routes(routes!(stats::get))
        .routes(routes!(stats::history))
        .with_state(state)
}
