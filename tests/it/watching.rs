//! `/@admin`: what admins see live.

use serde_json::json;

use super::support::api::{Api, make_gateway};
use super::support::node::run_scenario;
use super::support::polling::Polling;
use super::support::server::{Server, until};

#[test]
fn watching() {
    let settings =
        [("QUEUE__JOBS", "64"), ("QUEUE__WORKERS", "2"), ("ALLOWED_ORIGINS", "*,https://listed.example")];
    run_scenario(&Server::start_with(&settings, &[]), "watching");
}

/// Who does not read is sent less, keeps nobody from anything, and is told how much was left out.
#[test]
fn watching_slowly_loses_runs_and_is_told() {
    const RUNS: u64 = 100;
    let settings = [("LIMITS__OUTGOING_BYTES", "1048576"), ("LOGS__RUNS", "8000")];
    let api = Api::of(Server::start_with(&settings, &[]));
    let script = "let text = \"\"; text.pad(50000, 'x'); @LOGS(text);";
    let fields = json!({ "path": "/much", "limits": { "eventsPerSecond": 0 } });
    make_gateway(&api.server, &api.token, fields, &[("log", script)]);
    let mut admin = Polling::connect(&api.server, "/@admin", Some(&api.token));
    let asked = json!({ "topic": "runs", "filter": { "gateway": "/much", "kind": "event" } });
    assert_eq!(admin.ask("watch", &asked)["ok"], true);
    let mut client = Polling::connect(&api.server, "/much", None);
    for _ in 0..RUNS {
        assert_eq!(client.run("log", &json!({}))["success"], true);
    }
    let (mut runs, mut dropped) = (0, 0);
    until("all runs, or that they were left out", || {
        let batch = admin.wait_for("runs");
        runs += batch["runs"].as_array().unwrap().len() as u64;
        dropped += batch["dropped"].as_u64().unwrap();
        (runs + dropped >= RUNS).then_some(())
    });
    assert_eq!(runs + dropped, RUNS);
    assert!(dropped > 0 && runs > 0, "{runs} came, {dropped} were left out");
    assert_eq!(client.run("log", &json!({}))["success"], true);
    assert_eq!(admin.wait_for("runs")["runs"].as_array().unwrap().len(), 1, "it goes on");
}
