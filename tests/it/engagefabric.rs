//! The engagefabric pack, driven by the official client: at the root and mounted, on both databases.

use serde_json::json;

use super::support::api::Api;
use super::support::database::{Database, on_each_database};
use super::support::node::run_scenario;
use super::support::server::Server;

on_each_database!(the_guide_and_many_at_once, mounted);

/// Players that are made in a moment: tokens of an issuer, which the scenario signs.
const ISSUER: [(&str, &str); 4] = [
    ("AUTH__ISSUER__ISSUER", "https://players.example"),
    ("AUTH__ISSUER__AUDIENCE", "game"),
    ("AUTH__ISSUER__ALGORITHM", "HS256"),
    ("AUTH__ISSUER__SECRET", "a secret of the tests that is long enough"),
];

fn the_guide_and_many_at_once(database: Database) {
    run_scenario(&Server::start_on(database, &ISSUER, &["--pack", "engagefabric"]), "engagefabric");
}

fn mounted(database: Database) {
    let api = Api::of(Server::start_on(database, &ISSUER, &[]));
    let pack = api.make("/admin/packs", json!({ "name": "engagefabric", "mount": "/engage" }));
    assert_eq!(pack["isInstalled"], true, "{pack}");
    run_scenario(&api.server, "engagefabric");
}
