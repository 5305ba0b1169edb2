//! Hostile scripts behind a real socket, beside a gateway that has to go on working.

use super::support::node::run_scenario;
use super::support::server::Server;

#[test]
fn sandbox() {
    let settings = [("SCRIPTS__LEFT_BEHIND_BYTES", "200000"), ("QUEUE__WORKERS", "4")];
    let server = Server::start_with(&settings, &[]);
    run_scenario(&server, "sandbox");
    let (status, _data, log) = server.stop();
    assert!(status.success(), "{log}");
    assert!(!log.contains("panicked"), "no script makes the server panic\n{log}");
}
