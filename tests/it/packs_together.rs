//! Packs beside each other on one server.

use super::support::database::{Database, on_each_database};
use super::support::node::run_scenario;
use super::support::server::Server;

fn they_do_not_hear_each_other(database: Database) {
    run_scenario(&Server::start_on(database, &[], &[]), "packs_together");
}

on_each_database!(they_do_not_hear_each_other);
