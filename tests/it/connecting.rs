//! Letting sockets in, who hears what, and seeing them off.

use std::process::Command;

use serde_json::{Value as Json, json};

use super::support::database::{Database, on_each_database};
use super::support::node::run_scenario;
use super::support::server::{Server, TOKENS_BEGIN};

/// Everything that the server can log, so that nothing in it can be a secret.
const LOGS: (&str, &str) = ("LOGS__LEVEL", "trace");

#[test]
fn connecting() {
    let server = Server::start_with(&[("ALLOWED_ORIGINS", "https://listed.example"), LOGS], &[]);
    run_scenario(&server, "connecting");
    check_log(server);
}

#[test]
fn cookies() {
    let server = Server::start_with(&[("ALLOWED_ORIGINS", "*,https://listed.example"), LOGS], &[]);
    run_scenario(&server, "cookies");
    check_log(server);
}

#[test]
fn tokens() {
    let server = Server::start_with(&[LOGS], &[]);
    let program = env!("CARGO_BIN_EXE_gatewright");
    let (data, url) = (server.data.path(), server.data.database_url());
    tell(&server, &json!({ "program": program, "data": data, "databaseUrl": url }));
    run_scenario(&server, "tokens");
    check_log(server);
}

fn gateway_fields(database: Database) {
    let server = Server::start_on(database, &[LOGS], &[]);
    run_scenario(&server, "gateway_fields");
    check_log(server);
}

on_each_database!(gateway_fields);

#[test]
fn rooms() {
    let server = Server::start_with(&[LOGS], &[]);
    run_scenario(&server, "rooms");
    check_log(server);
}

#[test]
fn pings() {
    let settings = [("LIMITS__PING_INTERVAL_MS", "100"), ("LIMITS__PING_TIMEOUT_MS", "5000")];
    run_scenario(&Server::start_with(&settings, &[]), "pings");
}

#[test]
fn topics() {
    let server = Server::start_with(&[("LIMITS__EVENTS_PER_SECOND", "0"), LOGS], &[]);
    run_scenario(&server, "topics");
    check_log(server);
}

#[test]
fn sockets() {
    let server = Server::start_with(&[LOGS], &[]);
    run_scenario(&server, "sockets");
    check_log(server);
}

#[test]
fn lifecycle() {
    let settings = [("LIMITS__CONNECTIONS", "20"), ("QUEUE__DRAIN_MS", "30000")];
    let mut server = Server::start_with(&settings, &[]);
    tell(&server, &json!({ "process": process_id(&server) }));
    run_scenario(&server, "lifecycle");
    if has_node() {
        assert!(server.wait().success(), "a stop that finished its jobs is a success");
    }
}

/// Stops the server: it must have kept its head and its clients' secrets.
fn check_log(server: Server) {
    let (status, _data, log) = server.stop();
    assert!(status.success(), "{log}");
    let secrets = ["panicked", "some password", "another password", "$argon2", "gwk_"];
    for never in secrets.into_iter().chain(TOKENS_BEGIN) {
        let line = log.lines().find(|line| line.contains(never));
        assert!(line.is_none(), "the log has {never}: {line:?}");
    }
}

/// Tells a scenario what it cannot find out over the network, in a gateway's description.
fn tell(server: &Server, about: &Json) {
    let body = json!({ "path": "/about-this-test", "description": about.to_string() });
    let made = server.admin(&server.admin_token(), "POST", "/admin/gateways", Some(&body));
    assert_eq!(made.status, 201, "{}", made.body);
}

/// The server's process, found by its data folder.
fn process_id(server: &Server) -> u32 {
    let all = Command::new("ps").args(["-A", "-ww", "-o", "pid=,args="]).output().unwrap();
    let data = server.data.path().to_string_lossy();
    let all = String::from_utf8_lossy(&all.stdout);
    let line = all.lines().find(|line| line.contains("serve") && line.contains(&*data)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn has_node() -> bool {
    Command::new("node").arg("--version").output().is_ok_and(|output| output.status.success())
}
