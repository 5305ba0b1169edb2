//! Events: acknowledgements, matching, payloads, outcomes, order, and the chat pack that is made of them.

use std::time::Instant;

use super::support::database::{Database, on_each_database};
use super::support::node::run_scenario;
use super::support::polling::Polling;
use super::support::server::{PATIENCE, Server, send};
use serde_json::{Value as Json, json};

/// Small queues: the scenario fills them.
#[test]
fn events() {
    let settings = [
        ("QUEUE__JOBS_PER_SOCKET", "20"),
        ("QUEUE__JOBS", "60"),
        ("QUEUE__WORKERS", "8"),
        ("SCRIPTS__TIMEOUT_MAX_MS", "600000"),
    ];
    run_scenario(&Server::start_with(&settings, &[]), "events");
}

#[test]
fn order() {
    let settings = [("QUEUE__WORKERS", "4"), ("SCRIPTS__TIMEOUT_MAX_MS", "600000")];
    run_scenario(&Server::start_with(&settings, &[]), "order");
}

#[test]
fn readers_of_everything() {
    run_scenario(&Server::start_with(&[("LIMITS__OUTGOING_BYTES", "1048576")], &[]), "readers");
}

fn chat(database: Database) {
    run_scenario(&Server::start_on(database, &[], &["--pack", "chat"]), "chat");
}

fn oneentry(database: Database) {
    run_scenario(&Server::start_on(database, &[], &["--pack", "oneentry"]), "oneentry");
}

on_each_database!(chat, oneentry);

#[test]
fn hubtel() {
    run_scenario(&Server::start_with(&[], &["--pack", "hubtel"]), "hubtel");
}

/// In the root namespace, and moved.
fn socket_service(database: Database) {
    run_scenario(&Server::start_on(database, &[], &["--pack", "socket-service"]), "socket_service");
}

fn socket_service_mounted(database: Database) {
    let server = Server::start_on(database, &[], &[]);
    let install = json!({ "name": "socket-service", "mount": "/apps/sockets" });
    let installed = server.admin(&server.admin_token(), "POST", "/admin/packs", Some(&install));
    assert_eq!(installed.status, 201, "{}", installed.body);
    run_scenario(&server, "socket_service");
}

on_each_database!(socket_service, socket_service_mounted);

/// A client by hand, over polling: the signal has to come while its job runs, and only this
/// process may send it.
#[test]
fn a_stopping_server_refuses_events_and_finishes_accepted_ones() {
    let settings = [("QUEUE__DRAIN_MS", "600000"), ("SCRIPTS__TIMEOUT_MAX_MS", "600000")];
    let mut server = Server::start_with(&settings, &[]);
    let token = server.admin_token();
    let limits = json!({ "eventsPerSecond": 0 });
    let gateway = json!({ "path": "/drain", "requireAuth": false, "limits": limits });
    let gateway = server.admin(&token, "POST", "/admin/gateways", Some(&gateway));
    let events = format!("/admin/gateways/{}/events", gateway.json()["id"].as_str().unwrap());
    // It runs for as long as the guard is there.
    let slow = "@SOCKET.reply(\"started\", 1); while @SOCKET.roomSize(\"hold\") > 0 { @HELPERS.sleep(5); } return \"finished\";";
    let hold = "@SOCKET.join(\"hold\");";
    for (name, script) in [("slow", slow), ("quick", "return \"also finished\";"), ("hold", hold)] {
        let event = json!({ "eventName": name, "sourceCode": script, "timeoutMs": 600_000 });
        assert_eq!(server.admin(&token, "POST", &events, Some(&event)).status, 201);
    }

    let mut guard = Polling::connect(&server, "/drain", None);
    guard.run("hold", &json!({}));
    let mut client = Polling::connect(&server, "/drain", None);
    assert_eq!(client.ask("slow", &json!({}))["accepted"], true);
    client.wait_for("started");
    server.signal("TERM");
    let (accepted, refused) = ask_until_refused(&mut client);
    assert_eq!((&refused["error"]["code"], &refused["queued"]), (&json!("SHUTTING_DOWN"), &json!(false)));
    client.emit("slow", &json!({}));
    let told = client.wait_for("ws:error");
    assert_eq!((&told["code"], &told["success"]), (&json!("SHUTTING_DOWN"), &json!(false)));
    let newcomer = send(&server.url, "GET", "/socket.io/?EIO=4&transport=polling", &[], b"");
    assert_eq!(newcomer.status, 503, "{}", newcomer.body);
    assert!(newcomer.headers.contains_key("retry-after"));
    assert!(guard.try_post("41/drain,"), "it says goodbye");
    assert_eq!(client.wait_for("ws:result")["result"], "finished");
    for _ in 0..accepted {
        assert_eq!(client.wait_for("ws:result")["result"], "also finished");
    }
    assert!(server.wait().success());
    assert!(client.unread().iter().all(|packet| packet.kind != '1'), "{:?}", client.unread());
}

/// Sends events until one is refused: the signal takes a moment. How many were accepted, and the
/// ack of the refused one.
fn ask_until_refused(client: &mut Polling) -> (usize, Json) {
    let start = Instant::now();
    for accepted in 0.. {
        let ack = client.ask("quick", &json!({}));
        if ack["accepted"] != true {
            return (accepted, ack);
        }
        assert!(start.elapsed() < PATIENCE, "it never stopped");
    }
    unreachable!()
}
