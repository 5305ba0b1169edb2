//! Events and scripts that keep others from running.

use serde_json::{Value as Json, json};

use crate::support::api::{Api, make_gateway};
use crate::support::database::Database;
use crate::support::polling::Polling;
use crate::support::server::Server;

/// Says that it runs, and sleeps until it is told to go on.
const HOLD: &str = r#"
    @SOCKET.reply("held", 1);
    while @CACHE.get("go") == () { @HELPERS.sleep(20); }
    return @BODY.n;
"#;

fn start(settings: &[(&str, &str)]) -> Api {
    Api::of(Server::start_on(Database::Sqlite, settings, &[]))
}

/// A gateway whose event `hold` waits for the event `go`.
fn gateway(api: &Api, path: &str) {
    let events = [("hold", HOLD), ("go", "@CACHE.set(\"go\", 1);"), ("e", "return @BODY.n;")];
    make_gateway(&api.server, &api.token, json!({ "path": path, "scriptTimeoutMs": 30_000 }), &events);
}

/// The outcome of a request.
fn outcome(socket: &mut Polling, request: &Json) -> Json {
    loop {
        let packet = socket.packet();
        if packet.data[0] != "held" && packet.data[1]["requestId"] == *request {
            return packet.data[1].clone();
        }
    }
}

/// Two gateways whose scripts sleep, more of them than there are workers: a third runs its events.
#[test]
fn gateways_that_sleep_hold_no_worker() {
    let api = start(&[("QUEUE__WORKERS", "2")]);
    let sleeping = ["/sleeps", "/sleepstoo"];
    let mut sockets = Vec::new();
    for path in sleeping {
        gateway(&api, path);
        for _ in 0..3 {
            let mut socket = Polling::connect(&api.server, path, None);
            let held = socket.ask("hold", &json!({ "n": 0 }))["requestId"].clone();
            while socket.packet().data[0] != "held" {}
            // What the socket sends meanwhile waits behind it.
            let next = socket.ask("e", &json!({ "n": 1 }))["requestId"].clone();
            sockets.push((socket, held, next));
        }
    }
    gateway(&api, "/awake");
    let mut awake = Polling::connect(&api.server, "/awake", None);
    for n in 0..10 {
        assert_eq!(awake.run("e", &json!({ "n": n }))["result"], n);
    }
    for (socket, ..) in &sockets {
        assert!(socket.unread().iter().all(|packet| packet.kind == '3'), "one that sleeps has ended");
    }
    for path in sleeping {
        Polling::connect(&api.server, path, None).run("go", &json!({}));
    }
    for (socket, held, next) in &mut sockets {
        // The outcomes come in the order of the events, or the first were skipped and never found.
        assert_eq!(outcome(socket, held)["result"], 0);
        assert_eq!(outcome(socket, next)["result"], 1);
    }
}

/// A gateway that has as many jobs waiting as one may: its own clients hear that, others do not.
#[test]
fn a_gateway_that_fills_the_queue_fills_it_for_itself_alone() {
    let api = start(&[
        ("QUEUE__WORKERS", "2"),
        ("QUEUE__JOBS", "40"),
        ("QUEUE__JOBS_PER_GATEWAY", "30"),
        ("QUEUE__JOBS_PER_SOCKET", "40"),
    ]);
    ["/full", "/other"].iter().for_each(|path| gateway(&api, path));
    let mut full = Polling::connect(&api.server, "/full", None);
    full.ask("hold", &json!({ "n": 0 }));
    while full.packet().data[0] != "held" {}
    let acks: Vec<Json> = (0..40).map(|n| full.ask("e", &json!({ "n": n }))).collect();
    let accepted = acks.iter().filter(|ack| ack["accepted"] == true).count();
    assert_eq!(accepted, 29, "with the one that runs: {acks:?}");
    assert_eq!(acks[39]["error"]["code"], "QUEUE_FULL", "{}", acks[39]);
    let mut beside = Polling::connect(&api.server, "/full", None);
    assert_eq!(beside.ask("e", &json!({ "n": 0 }))["error"]["code"], "QUEUE_FULL");
    let mut other = Polling::connect(&api.server, "/other", None);
    assert_eq!(other.run("e", &json!({ "n": 5 }))["result"], 5);
}
