//! Stock clients come back by themselves when their server is stopped in order and started again.

use super::support::node::start_scenario;
use super::support::server::Server;

/// Restarts that a client has to survive.
const RESTARTS: usize = 20;

#[test]
fn restarts_of_the_javascript_client() {
    let settings = [("QUEUE__DRAIN_MS", "2000")];
    let mut server = Server::start_with(&settings, &[]);
    let rounds = (RESTARTS + 1).to_string();
    let env = [("GATEWRIGHT_TEST_ROUNDS", rounds.as_str())];
    let Some(mut clients) = start_scenario(&server, "restarts", &env) else { return };
    for round in 1..=RESTARTS {
        clients.until(&format!("round {round}"));
        server = server.restart(&settings);
    }
    clients.succeeds("");
}
