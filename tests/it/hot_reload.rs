//! Changing gateways and scripts under load.

use super::support::node::run_scenario;
use super::support::server::Server;

#[test]
fn hot_reload() {
    run_scenario(&Server::start(), "hot_reload");
}
