//! Transports that are not one's own.

use serde_json::json;

use crate::support::api::Api;
use crate::support::database::Database;
use crate::support::polling::Polling;
use crate::support::server::send;
use crate::support::websocket::RawSocket;

/// The gateway of these tests: who is in the room, by the ids that everyone sees.
const MEMBERS: &str = "@SOCKET.join(\"all\"); return @SOCKET.members(\"all\");";

/// A socket's id, as `members` shows it, with and without a made-up check behind it.
fn seen_by_others(api: &Api) -> (Polling, Vec<String>) {
    let mut victim = api.socket("/room", MEMBERS, None);
    let members = victim.run("e", &json!({}))["result"].clone();
    let id = members[0]["socketId"].as_str().unwrap_or_else(|| panic!("{members}")).to_owned();
    let guesses = ["", "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAA", "%C3%A9"];
    (victim, guesses.iter().map(|check| format!("{id}{check}")).collect())
}

#[test]
fn a_socket_id_speaks_for_nobody() {
    let api = Api::on(Database::Sqlite);
    let (mut victim, ids) = seen_by_others(&api);
    for id in &ids {
        let path = format!("/socket.io/?EIO=4&transport=polling&sid={id}");
        for (method, body) in [("GET", ""), ("POST", "42/room,[\"e\"]"), ("POST", "41/room,"), ("POST", "1")]
        {
            let answer = send(&api.server.url, method, &path, &[], body.as_bytes());
            assert_eq!((answer.status, &*answer.body), (400, r#"{"code":1,"message":"Session ID unknown"}"#));
        }
        assert!(RawSocket::try_open(&api.server.url, &format!("&sid={id}")).is_err(), "{id}");
    }
    assert_eq!(victim.run("e", &json!({}))["success"], true, "its owner notices nothing");
    let metrics = api.admin("GET", "/metrics", serde_json::Value::Null).body;
    assert!(metrics.contains("gatewright_guard_total{reason=\"unknown_session\"} 20"), "{metrics}");
}

/// The id of a socket that never polled is no session of polling either.
#[test]
fn a_websocket_has_no_other_way_in() {
    let api = Api::on(Database::Sqlite);
    let _gateway = api.socket("/room", MEMBERS, None);
    let mut victim = RawSocket::open(&api.server.url, "");
    let open = victim.wait_for("sid");
    let open: serde_json::Value = serde_json::from_str(&open[1..]).unwrap();
    let path = format!("/socket.io/?EIO=4&transport=polling&sid={}", open["sid"].as_str().unwrap());
    assert_eq!(send(&api.server.url, "POST", &path, &[], b"1").status, 400);
    victim.send("40/room,");
    assert!(victim.wait_for("/room").starts_with("40"));
}

#[test]
fn a_second_upgrade_changes_nothing() {
    let api = Api::on(Database::Sqlite);
    let socket = api.socket("/room", MEMBERS, None);
    let query = format!("&sid={}", socket.session());
    let mut first = RawSocket::open(&api.server.url, &query);
    assert!(RawSocket::try_open(&api.server.url, &query).is_err(), "one is under way");
    first.send("2probe");
    first.wait_for("3probe");
    first.send("5");
    first.send("42/room,7[\"e\"]");
    assert!(first.wait_for("43/room,7").contains("\"accepted\":true"));
    assert!(RawSocket::try_open(&api.server.url, &query).is_err(), "it has moved");
    first.send("42/room,8[\"e\"]");
    assert!(first.wait_for("43/room,8").contains("\"accepted\":true"));
}

/// What cannot be told apart from the library's own paths does not get past the guard.
#[test]
fn other_spellings_of_the_path() {
    let api = Api::on(Database::Sqlite);
    for path in ["/socket.io/x", "/socket.io//", "/socket.io/socket.io/", "/Socket.IO/", "/%73ocket.io/"] {
        let answer = send(&api.server.url, "GET", &format!("{path}?EIO=4&transport=polling"), &[], b"");
        assert_ne!(answer.status, 200, "{path}: {}", answer.body);
    }
}

/// Who speaks another protocol hears so.
#[test]
fn clients_that_cannot_be_served_hear_why() {
    let api = Api::on(Database::Sqlite);
    for (query, hint) in [
        ("EIO=3&transport=polling", "EIO=4"),
        ("transport=polling", "EIO=4"),
        ("EIO=4&transport=websocket", "proxy"),
        ("EIO=4&transport=carrier-pigeon", "polling or websocket"),
    ] {
        let answer = send(&api.server.url, "GET", &format!("/socket.io/?{query}"), &[], b"");
        assert_eq!(answer.status, 400, "{query}");
        assert!(
            answer.json()["hint"].as_str().unwrap_or_default().contains(hint),
            "{query}: {}",
            answer.body
        );
    }
}
