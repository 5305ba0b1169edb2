//! Durable events and jobs for later, on both databases.

use super::support::database::{Database, on_each_database};
use super::support::node::run_scenario;
use super::support::server::Server;

fn durable(database: Database) {
    run_scenario(&Server::start_on(database, &[("JOBS__RETRY_MS", "50")], &[]), "durable");
}

on_each_database!(durable);
