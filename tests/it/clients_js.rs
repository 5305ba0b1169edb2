//! The npm package `clients/js`: built, checked and driven against real servers.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::support::database::{Data, Database};
use super::support::node::{node_is_there, run_client, start_client};
use super::support::server::Server;

/// Ends of the server that calls have to survive: stops and kills in turn.
const ENDS: usize = 6;

const SETTINGS: [(&str, &str); 1] = [("QUEUE__DRAIN_MS", "2000")];

#[test]
fn clients_js_is_a_good_package() {
    if !package_is_built() {
        return;
    }
    run("npm", &["run", "--silent", "test:unit"]);
    run("npm", &["run", "--silent", "check"]);
}

#[test]
fn clients_js_calls() {
    if package_is_built() {
        let settings = [("AUTH__WEBSOCKET_TOKEN_MINUTES", "1")];
        let server = Server::start_in(Data::on(Database::Sqlite), &settings, &[]);
        run_client(&server, "../../clients/js/test/server/calls.mjs");
    }
}

#[test]
fn clients_js_runs_the_snippets_of_others() {
    if package_is_built() {
        let server = Server::start_in(Data::on(Database::Sqlite), &[], &[]);
        run_client(&server, "../../clients/js/test/server/seeds.mjs");
    }
}

#[test]
fn clients_js_restarts() {
    if !package_is_built() {
        return;
    }
    let mut server = Server::start_in(Data::on(Database::Sqlite), &SETTINGS, &[]);
    let rounds = (ENDS + 1).to_string();
    let file = "../../clients/js/test/server/restarts.mjs";
    let mut client = start_client(&server, file, &[("GATEWRIGHT_TEST_ROUNDS", &rounds)]).unwrap();
    for round in 1..=ENDS {
        client.until(&format!("round {round}"));
        server = if round % 2 == 0 { server.kill_and_start(&SETTINGS) } else { server.restart(&SETTINGS) };
    }
    client.until("each once");
    client.succeeds("");
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients/js")
}

/// Whether there is Node; installs the locked packages and builds the package once.
fn package_is_built() -> bool {
    static BUILT: OnceLock<bool> = OnceLock::new();
    *BUILT.get_or_init(|| {
        if !node_is_there() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI needs Node");
            return false;
        }
        if !folder().join("node_modules/typescript").exists() {
            run("npm", &["ci", "--no-audit", "--no-fund"]);
        }
        run("node", &["build.mjs"]);
        true
    })
}

/// Runs a program in the package's folder; it fails the test with its output.
fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).current_dir(folder()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}\n{text}");
}
