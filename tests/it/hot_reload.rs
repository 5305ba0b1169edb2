//! Changing gateways and scripts under load.

use super::node::run_scenario;
use super::server::Server;

#[test]
fn hot_reload() {
    run_scenario(&Server::start(), "hot_reload");
}
