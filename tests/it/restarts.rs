//! Stock clients come back by themselves when their server is stopped in order and started again.

use serde_json::json;

use super::support::api::make_gateway;
use super::support::node::{Scenario, start_scenario};
use super::support::python::start_python;
use super::support::server::Server;

/// Restarts that a client has to survive.
const RESTARTS: usize = 20;

const SETTINGS: [(&str, &str); 1] = [("QUEUE__DRAIN_MS", "2000")];

#[test]
fn restarts_of_the_javascript_client() {
    let server = Server::start_with(&SETTINGS, &[]);
    let clients = start_scenario(&server, "restarts", &[("GATEWRIGHT_TEST_ROUNDS", &rounds())]);
    survive(server, clients);
}

#[test]
fn restarts_of_the_python_client() {
    let server = Server::start_with(&SETTINGS, &[]);
    let token = server.admin_token();
    make_gateway(&server, &token, json!({ "path": "/restarts" }), &[("ping", "return @BODY;")]);
    let clients = start_python(&server, "restarts", &[("GATEWRIGHT_TEST_ROUNDS", &rounds())]);
    survive(server, clients);
}

/// Times that each client has to connect.
fn rounds() -> String {
    (RESTARTS + 1).to_string()
}

/// Restarts the server whenever all clients are connected.
fn survive(mut server: Server, clients: Option<Scenario>) {
    let Some(mut clients) = clients else { return };
    for round in 1..=RESTARTS {
        clients.until(&format!("round {round}"));
        server = server.restart(&SETTINGS);
    }
    clients.succeeds("");
}
