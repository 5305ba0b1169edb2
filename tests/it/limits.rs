//! Rates, sizes, subscriptions, connections, and readers that do not keep up.

use super::support::node::run_scenario;
use super::support::server::Server;

/// Every client of the scenario names its own address, so that only the steps about addresses
/// meet their limit.
#[test]
fn limits() {
    let settings = [
        ("TRUSTED_IP_HEADER", "x-forwarded-for"),
        ("LIMITS__CONNECTIONS_PER_SECOND_PER_IP", "1"),
        ("LIMITS__CONNECTIONS_BURST_PER_IP", "5"),
        ("LIMITS__CONNECTIONS", "30"),
        ("LIMITS__OUTGOING_PACKETS", "256"),
        // Too much waits for who does not read long before that.
        ("LIMITS__WRITE_TIMEOUT_MS", "600000"),
    ];
    run_scenario(&Server::start_with(&settings, &[]), "limits");
}
