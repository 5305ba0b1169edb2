//! Packets of Engine.IO and Socket.IO that no client would send, and too many that any would.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value as Json, json};
use tungstenite::Message;

use crate::support::api::{Api, make_gateway};
use crate::support::database::Database;
use crate::support::polling::Polling;
use crate::support::server::{PATIENCE, Server, send};
use crate::support::websocket::RawSocket;

/// A server with these limits and the public gateway `/g`, where `*` gives back its event's name.
fn with_limits(limits: &[(&str, &str)]) -> Api {
    let settings: Vec<_> = limits.iter().map(|(name, value)| (format!("LIMITS__{name}"), *value)).collect();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let api = Api::of(Server::start_with(&settings, &[]));
    let gateway = json!({ "path": "/g", "requireAuth": false });
    make_gateway(&api.server, &api.token, gateway, &[("*", "return @EVENT;")]);
    api
}

/// That the guard ended somebody for this reason, so many times.
#[track_caller]
fn ended(api: &Api, reason: &str, times: usize) {
    let metrics = api.admin("GET", "/metrics", Json::Null).body;
    let line = format!("gatewright_guard_total{{reason=\"{reason}\"}} {times}\n");
    assert!(metrics.contains(&line), "no {line}{metrics}");
}

/// The answer to an event with an ack.
fn ack(socket: &mut RawSocket, number: u32) -> Json {
    let mark = format!("43/g,{number}");
    let text = socket.wait_for(&mark);
    serde_json::from_str::<Json>(&text[mark.len()..]).unwrap()[0].clone()
}

/// A packet of a type that does not exist ends its own connection, and no other.
#[test]
fn packets_of_no_known_type() {
    let api = Api::on(Database::Sqlite);
    let mut bystander = api.socket("/junk", "return 1;", None);
    let mut socket = RawSocket::connect(&api.server.url, "/junk");
    socket.send("9 what is this");
    socket.until_end();
    assert_eq!(bystander.run("e", &json!({}))["result"], 1);
}

#[test]
fn connects_without_end() {
    let api = with_limits(&[("CONNECTS_PER_SECOND", "1"), ("CONNECTS_BURST", "5")]);
    let mut bystander = Polling::connect(&api.server, "/g", None);
    let mut socket = RawSocket::open(&api.server.url, "");
    for _ in 0..200 {
        socket.send("40/g,");
        socket.send("41/g,");
    }
    socket.until_end();
    ended(&api, "connect_rate", 1);
    assert_eq!(bystander.run("e", &json!({}))["result"], "e");
}

/// The rate of events is the transport's: it does not begin anew with each CONNECT.
#[test]
fn leaving_and_coming_back_for_more_events() {
    let api = Api::of(Server::start_with(&[("LIMITS__CONNECTS_PER_SECOND", "0")], &[]));
    let limits = json!({ "eventsPerSecond": 1, "burst": 100 });
    let gateway = json!({ "path": "/g", "requireAuth": false, "limits": limits });
    make_gateway(&api.server, &api.token, gateway, &[("e", "return 1;")]);
    let other = json!({ "path": "/other", "requireAuth": false, "limits": { "eventsPerSecond": 0 } });
    make_gateway(&api.server, &api.token, other, &[]);
    let mut socket = RawSocket::connect(&api.server.url, "/g");
    socket.send("40/other,");
    socket.wait_for("40/other,{");
    let mut accepted = 0;
    for round in 0..2 {
        for number in 0..100 {
            socket.send(&format!("42/g,{}[\"e\"]", 1000 * (round + 1) + number));
        }
        for number in 0..100 {
            accepted += usize::from(ack(&mut socket, 1000 * (round + 1) + number)["accepted"] == true);
        }
        socket.send("41/g,");
        // The library ignores the CONNECT of a socket that is not quite gone, so it is sent until it is answered: an event
        // behind each tells when to send the next.
        loop {
            socket.send("40/g,");
            socket.send("42/other,1[\"e\"]");
            if socket.wait_for_any(&["40/g,{", "43/other,1"]).starts_with("40/g,{") {
                break;
            }
        }
    }
    assert!((100..200).contains(&accepted), "{accepted} of 200");
}

#[test]
fn pongs_acks_and_frames_without_end() {
    let api = with_limits(&[("PACKETS_PER_SECOND", "1"), ("PACKETS_BURST", "50")]);
    let messages = [Message::text("3"), Message::text("43/g,1[]"), Message::Ping("hi".into())];
    for message in &messages {
        let mut socket = RawSocket::connect(&api.server.url, "/g");
        for _ in 0..200 {
            let _ = socket.try_send(message.clone());
        }
        socket.until_end();
    }
    ended(&api, "packet_rate", 3);
    let socket = Polling::connect(&api.server, "/g", None);
    let path = format!("/socket.io/?EIO=4&transport=polling&sid={}", socket.session());
    let answer = send(&api.server.url, "POST", &path, &[], ["3"; 200].join("\u{1e}").as_bytes());
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert_eq!(send(&api.server.url, "GET", &path, &[], b"").status, 400, "the session has ended");
}

/// `token_refresh` signs in, and so it is as rare as connecting.
#[test]
fn refreshes_without_end() {
    let api = with_limits(&[("CONNECTS_PER_SECOND", "1"), ("CONNECTS_BURST", "5")]);
    let mut socket = RawSocket::connect(&api.server.url, "/g");
    for number in 0..100 {
        socket.send(&format!("42/g,{number}[\"token_refresh\",{{\"token\":\"no token\"}}]"));
    }
    let refused = (0..100).filter(|_| socket.wait_for("43/g,").contains("RATE_LIMITED")).count();
    assert!((50..100).contains(&refused), "{refused} of 100");
}

#[test]
fn names_longer_than_names_may_be() {
    let api = with_limits(&[]);
    let long = "n".repeat(300);
    for packet in [format!("40/{long},"), format!("42/{long},[\"e\"]"), format!("41/{long}")] {
        let mut socket = RawSocket::open(&api.server.url, "");
        socket.send(&packet);
        assert!(!socket.until_end().concat().contains("nnn"), "{packet}");
    }
    ended(&api, "namespace_too_long", 3);
    let mut socket = RawSocket::connect(&api.server.url, "/g");
    socket.send(&format!("42/g,1[\"{long}\"]"));
    let refused = ack(&mut socket, 1);
    assert_eq!(refused["error"]["code"], "NO_HANDLER", "{refused}");
    assert_eq!(refused["eventName"].as_str().unwrap().len(), 256);
    socket.send("42/g,2[\"e\"]");
    assert_eq!(ack(&mut socket, 2)["accepted"], true, "the connection stays");
}

#[test]
fn much_to_sign_in_with() {
    let api = with_limits(&[("MESSAGE_BYTES", "2000")]);
    let mut socket = RawSocket::open(&api.server.url, "");
    socket.send(&format!("40/g,{{\"a\":\"{}\"}}", "x".repeat(1000)));
    assert!(socket.wait_for("/g").starts_with("40"));
    let mut socket = RawSocket::open(&api.server.url, "");
    socket.send(&format!("40/g,{{\"a\":\"{}\"}}", "x".repeat(3000)));
    assert!(!socket.until_end().concat().contains("40/g"));
    ended(&api, "connect_too_large", 1);
}

#[test]
fn attachments_in_number_and_never_finished() {
    let api = with_limits(&[("HANDSHAKE_TIMEOUT_MS", "2000"), ("PACKET_BYTES", "100000")]);
    for (packet, blobs, reason) in [
        ("4565-/g,[\"e\"]", 0, "attachments"),
        ("452-/g,[\"e\"]", 0, "unfinished_packet"),
        ("453-/g,[\"e\"]", 2, "attachments_too_large"),
        ("42/g,[\"e\"]", 1, "binary_without_packet"),
    ] {
        let mut socket = RawSocket::connect(&api.server.url, "/g");
        socket.send(packet);
        for _ in 0..blobs {
            let _ = socket.try_send(Message::binary(vec![0; 60_000]));
        }
        socket.until_end();
        ended(&api, reason, 1);
    }
    // Half a frame.
    let mut socket = RawSocket::connect(&api.server.url, "/g");
    socket.socket.get_mut().write_all(&[0x81, 0x85, 0, 0, 0, 0, b'4']).unwrap();
    socket.until_end();
    ended(&api, "unfinished_packet", 2);
    // The same by polling.
    let socket = Polling::connect(&api.server, "/g", None);
    let path = format!("/socket.io/?EIO=4&transport=polling&sid={}", socket.session());
    assert_eq!(send(&api.server.url, "POST", &path, &[], b"451-/g,[\"e\"]").status, 200);
    assert_eq!(send(&api.server.url, "GET", &path, &[], b"").status, 400);
    ended(&api, "unfinished_packet", 3);
}

#[test]
fn placeholders_that_stand_for_nothing_or_for_one_blob_often() {
    let api = with_limits(&[]);
    let mut socket = RawSocket::connect(&api.server.url, "/g");
    let blob = r#"{"_placeholder":true,"num":0}"#;
    for (number, attachments, payload) in [
        (1, "", blob.to_owned()),
        (2, "", blob.replace("_place", "\\u005fplace")),
        (3, "1-", format!("[{blob},{blob}]")),
        (4, "1-", blob.replace('0', "1")),
    ] {
        let kind = if attachments.is_empty() { '2' } else { '5' };
        socket.send(&format!("4{kind}{attachments}/g,{number}[\"e\",{payload}]"));
        if kind == '5' {
            socket.try_send(Message::binary(vec![7; 10])).unwrap();
        }
        let refused = ack(&mut socket, number);
        assert_eq!(refused["error"]["code"], "INVALID_PAYLOAD", "{payload}: {refused}");
    }
    let forged = "@SOCKET.broadcast(\"said\", #{ _placeholder: true, num: 3 });";
    let mut sender = api.socket("/forged", forged, None);
    assert_eq!(sender.run("e", &json!({}))["code"], "SCRIPT_EXECUTION_ERROR");
}

/// A name that JSON escapes is a name like any other: some clients escape all that is not ASCII.
#[test]
fn names_that_json_escapes() {
    let api = with_limits(&[]);
    let mut socket = RawSocket::connect(&api.server.url, "/g");
    let names = ["é", "🦀 crab", "say \"hi\"", "back\\slash", "two\nlines", "/"];
    for (number, name) in (1..).zip(names) {
        let units = |c: char| c.encode_utf16(&mut [0; 2]).iter().map(|u| format!("\\u{u:04x}")).collect();
        let json = json!(name).to_string().replace('/', "\\/");
        let json: String =
            json.chars().map(|c| if c.is_ascii() { c.to_string() } else { units(c) }).collect();
        socket.send(&format!("42/g,{number}[{json},{{\"a\":\"\\u00e9\"}}]"));
        let accepted = ack(&mut socket, number);
        assert_eq!((&accepted["accepted"], &accepted["eventName"]), (&json!(true), &json!(name)));
        let result = socket.wait_for("ws:result");
        let result: Json = serde_json::from_str(&result["42/g,".len()..]).unwrap();
        assert_eq!(result[1]["result"], name);
    }
    // With an attachment, without an ack; and by polling.
    socket.send("451-/g,[\"b\\u00e9\",{\"_placeholder\":true,\"num\":0}]");
    socket.try_send(Message::binary(vec![7; 10])).unwrap();
    assert!(socket.wait_for("ws:result").contains("\"bé\""));
    let mut poller = Polling::connect(&api.server, "/g", None);
    let path = format!("/socket.io/?EIO=4&transport=polling&sid={}", poller.session());
    assert_eq!(send(&api.server.url, "POST", &path, &[], b"42/g,[\"p\\u00e9\"]").status, 200);
    assert_eq!(poller.packet().data[1]["eventName"], "pé");
}

/// Frames that come in the same bytes as the request for the WebSocket are frames like any other.
#[test]
fn frames_hidden_behind_the_head() {
    let api = with_limits(&[]);
    let host = api.server.url.strip_prefix("http://").unwrap();
    let head = format!(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    let packet = format!("40/{},", "n".repeat(300));
    let length = (packet.len() as u16).to_be_bytes();
    let frame = [&[0x81, 0xfe, length[0], length[1], 0, 0, 0, 0], packet.as_bytes()].concat();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[head.as_bytes(), &frame].concat()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("nnn"));
    ended(&api, "namespace_too_long", 1);
}

/// A transport on which nobody connects ends, whatever else comes on it.
#[test]
fn transports_that_never_connect() {
    let api = with_limits(&[("HANDSHAKE_TIMEOUT_MS", "2000")]);
    for packet in ["3", "42/nowhere,[\"e\"]", "40/nowhere,"] {
        let mut socket = RawSocket::open(&api.server.url, "");
        (0..10).for_each(|_| socket.send(packet));
        socket.until_end();
    }
}

/// The first ping comes when the client was told that it would, and not before.
#[test]
fn pings_that_come_too_early() {
    let api = with_limits(&[("PING_INTERVAL_MS", "3000"), ("PING_TIMEOUT_MS", "600000")]);
    let mut socket = RawSocket::open(&api.server.url, "");
    socket.send("40/g,");
    let mut next = || socket.socket.read().unwrap().into_text().unwrap().to_string();
    let open = next();
    assert!(open.contains("\"pingInterval\":3000") && open.contains("\"pingTimeout\":600000"), "{open}");
    assert!(next().starts_with("40/g,"));
    assert_eq!(next(), "2");
    let opened = send(&api.server.url, "GET", "/socket.io/?EIO=4&transport=polling", &[], b"");
    let opened: Json = serde_json::from_str(&opened.body[1..]).unwrap();
    let path = format!("/socket.io/?EIO=4&transport=polling&sid={}", opened["sid"].as_str().unwrap());
    assert_eq!(send(&api.server.url, "POST", &path, &[], b"40/g,").status, 200);
    let first = send(&api.server.url, "GET", &path, &[], b"").body;
    assert!(first.starts_with("40/g,"), "{first}");
    let second = send(&api.server.url, "GET", &path, &[], b"").body;
    assert_eq!(second, "2");
}
