//! Clients that make the server hold what they do not read.

use serde_json::json;

use crate::support::api::{Api, make_gateway};
use crate::support::polling::Polling;
use crate::support::server::{Server, until};
use crate::support::websocket::RawSocket;

/// A payload that soon fills the buffers of the system, within what a client may send.
fn large() -> String {
    "x".repeat(60_000)
}

/// The value of a sample of `/metrics`.
fn sample(api: &Api, name: &str) -> f64 {
    let text = api.admin("GET", "/metrics", json!(null)).body;
    let value = text
        .lines()
        .filter(|line| line.starts_with(name))
        .find_map(|line| line.rsplit(' ').next()?.parse().ok());
    value.unwrap_or(0.0)
}

/// Asks for more and more, and reads nothing: ended when what waits is too many bytes, long before it
/// is too many packets.
#[test]
fn readers_of_nothing() {
    let settings = [("LIMITS__OUTGOING_BYTES", "2097152")];
    let api = Api::of(Server::start_with(&settings, &[]));
    let fields = json!({ "path": "/echo", "limits": { "eventsPerSecond": 0 } });
    make_gateway(&api.server, &api.token, fields, &[("echo", "return @BODY;")]);
    let mut readers: Vec<_> = (0..4).map(|_| RawSocket::connect(&api.server.url, "/echo")).collect();
    for _ in 0..200 {
        for reader in &mut readers {
            reader.send(&format!("42/echo,[\"echo\",\"{}\"]", large()));
        }
    }
    until("all are ended", || (sample(&api, "gatewright_slow_disconnects_total") >= 4.0).then_some(()));
    until("all have gone", || (sample(&api, "gatewright_connections{") == 0.0).then_some(()));
}

/// The same over polling, without a poll.
#[test]
fn readers_that_do_not_poll() {
    let settings = [("LIMITS__OUTGOING_BYTES", "2097152")];
    let api = Api::of(Server::start_with(&settings, &[]));
    let fields = json!({ "path": "/echo", "limits": { "eventsPerSecond": 0 } });
    make_gateway(&api.server, &api.token, fields, &[("echo", "return @BODY;")]);
    let reader = Polling::connect(&api.server, "/echo", None);
    for _ in 0..60 {
        if !reader.try_post(&format!("42/echo,[\"echo\",\"{}\"]", large())) {
            break;
        }
    }
    until("it is ended", || (sample(&api, "gatewright_slow_disconnects_total") >= 1.0).then_some(()));
}

/// Stops reading in a room while the others talk: it leaves the room, though no ping and no goodbye
/// can reach it.
#[test]
fn readers_that_stop_in_a_room() {
    let settings = [("LIMITS__WRITE_TIMEOUT_MS", "500"), ("LIMITS__OUTGOING_BYTES", "0")];
    let api = Api::of(Server::start_with(&settings, &[]));
    let events = [
        ("join", "@SOCKET.join(\"r\"); return @SOCKET.roomSize(\"r\");"),
        ("say", "@SOCKET.broadcastToRoom(\"r\", \"said\", @BODY); return @SOCKET.roomSize(\"r\");"),
    ];
    let fields = json!({ "path": "/room", "limits": { "eventsPerSecond": 0 } });
    make_gateway(&api.server, &api.token, fields, &events);
    let mut stopped = RawSocket::connect(&api.server.url, "/room");
    stopped.send("42/room,[\"join\"]");
    stopped.wait_for("ws:result");
    let mut speaker = Polling::connect(&api.server, "/room", None);
    assert_eq!(speaker.run("join", &json!({}))["result"], 2);
    until("the one that stopped has left", || {
        (speaker.run("say", &json!(large()))["result"] == 1).then_some(())
    });
    until("its connection has gone", || (sample(&api, "gatewright_connections{") == 1.0).then_some(()));
}

/// Has not read for a while when its gateway is disabled: no goodbye reaches it, and it goes all the same.
#[test]
fn readers_that_stop_before_their_gateway_is_disabled() {
    let settings = [("LIMITS__WRITE_TIMEOUT_MS", "500"), ("LIMITS__OUTGOING_BYTES", "0")];
    let api = Api::of(Server::start_with(&settings, &[]));
    let fields = json!({ "path": "/shut", "limits": { "eventsPerSecond": 0 } });
    let made = make_gateway(&api.server, &api.token, fields, &[("echo", "return @BODY;")]);
    let mut stopped = RawSocket::connect(&api.server.url, "/shut");
    for _ in 0..100 {
        stopped.send(&format!("42/shut,[\"echo\",\"{}\"]", large()));
    }
    let disabled = api.admin("PATCH", &format!("/admin/gateways/{}", made.id), json!({ "isEnabled": false }));
    assert_eq!(disabled.status, 200);
    until("its connection has gone", || (sample(&api, "gatewright_connections{") == 0.0).then_some(()));
    // What was under way is still to be read, and then the goodbye, if there was room for it, or the end.
    let is_goodbye = |text: &str| text.starts_with("41/shut");
    while stopped.next().is_some_and(|message| !message.into_text().is_ok_and(|text| is_goodbye(&text))) {}
}

/// One run that emits without an end in bytes, within the number of emits that it may make.
#[test]
fn readers_of_a_run_that_emits_too_many_bytes() {
    let api = Api::of(Server::start_with(&[("SCRIPTS__EMIT_BYTES", "1000000")], &[]));
    let script =
        "let text = \"\"; text.pad(100000, \"x\"); for i in 0..50 { @SOCKET.reply(\"more\", text); }";
    let mut socket = api.socket("/flood", script, None);
    let outcome = socket.run("e", &json!({}));
    assert_eq!(outcome["code"], "SCRIPT_OUTPUT_LIMIT", "{outcome}");
}
