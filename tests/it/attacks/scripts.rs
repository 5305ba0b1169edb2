//! What one script's author, or a client through a script, does to others: their cached values, the
//! product's own event names, their rooms, and the log.

use serde_json::{Value as Json, json};

use crate::support::api::{Api, make_gateway, refused};
use crate::support::database::Database;
use crate::support::polling::Polling;

/// The keys of another gateway's cache.
#[test]
fn keys_of_another_gateway() {
    let api = Api::on(Database::Sqlite);
    let own = r#"@CACHE.set("limit", @BODY); @CACHE.acquire("lock", 60000); @CACHE.incr("n"); return @CACHE.get("limit");"#;
    let mut shop = api.socket("/shop", own, None);
    assert_eq!(shop.run("e", &json!(5))["result"], 5);
    let thief = r#"
        let seen = [@CACHE.get("limit"), @CACHE.common.get("limit"), @CACHE.get("/shop\x00limit"), @CACHE.of("/shop").get("limit")];
        return seen;
    "#;
    let mut thief = api.socket("/thief", thief, None);
    let error = thief.run("e", &json!(0));
    assert_eq!(error["code"], "SCRIPT_EXECUTION_ERROR", "NUL is in no key: {error}");
    let reads = r#"return [@CACHE.get("limit"), @CACHE.common.get("limit"), @CACHE.acquire("lock", 1000), @CACHE.incr("n"),
        @CACHE.delete("limit"), @CACHE.of("/shop").get("limit"), @CACHE.of("/shop").acquire("lock", 1000)];"#;
    let mut other = api.socket("/other", reads, None);
    let seen = other.run("e", &json!(0))["result"].clone();
    assert_eq!(seen, json!([null, null, true, 1, false, 5, false]), "only by the gateway's name");
}

/// A route and a hook have no gateway: theirs are the shared keys, and they may name a gateway.
#[test]
fn what_a_route_reads_of_a_gateway() {
    let api = Api::on(Database::Sqlite);
    let mut socket =
        api.socket("/chat", "@CACHE.set(\"topic\", @BODY); @CACHE.common.set(\"all\", 1);", None);
    socket.run("e", &json!("news"));
    let script = "return [@CACHE.get(\"topic\"), @CACHE.get(\"all\"), @CACHE.of(\"/chat\").get(\"topic\")];";
    let route = json!({ "method": "GET", "path": "/topic", "access": "public", "sourceCode": script });
    api.make("/admin/routes", route);
    let answer = api.server.call("GET", "/topic", None, &[]);
    assert_eq!(answer.json(), json!([null, 1, "news"]));
}

const RESERVED: [&str; 14] = [
    "ws:result",
    "ws:error",
    "ws:anything",
    "presence",
    "event",
    "rate_limited",
    "token_expired",
    "token_refresh",
    "bus_gap",
    "backend_lost",
    "job_status",
    "connect",
    "disconnect",
    "connect_error",
];

/// A client names the product's own events, and the script relays what it is told.
#[test]
fn relaying_the_product_s_own_events() {
    let api = Api::on(Database::Sqlite);
    let script = "@SOCKET.join(\"r\"); @SOCKET.emitToCurrentRoom(\"r\", @BODY.event, @BODY.data);";
    let mut socket = api.socket("/relay", script, None);
    for event in RESERVED {
        let data = json!({ "requestId": "forged", "success": true, "result": "forged" });
        let error = socket.run("e", &json!({ "event": event, "data": data }));
        assert_eq!(error["code"], "VALIDATION_ERROR", "{event}: {error}");
        assert!(error["message"].as_str().unwrap().contains(event), "{error}");
    }
    assert_eq!(socket.run("e", &json!({ "event": "fine", "data": 1 }))["success"], true);
}

/// An admin who takes the product's own names for events.
#[test]
fn events_with_the_product_s_own_names() {
    let api = Api::on(Database::Sqlite);
    let made = make_gateway(&api.server, &api.token, json!({ "path": "/named" }), &[("fine", "1")]);
    for name in RESERVED.iter().chain(&["ws:*", "token_*"]) {
        let body = json!({ "eventName": name, "sourceCode": "1" });
        let answer = api.admin("POST", &format!("/admin/gateways/{}/events", made.id), body);
        refused(&answer, 422, "VALIDATION_ERROR", "reserved");
        let answer =
            api.admin("PATCH", &format!("/admin/events/{}", made.events[0]), json!({ "eventName": name }));
        refused(&answer, 422, "VALIDATION_ERROR", "reserved");
    }
}

fn runs(api: &Api, query: &str) -> Vec<Json> {
    api.get(&format!("/admin/logs?limit=1000&{query}"))["data"].as_array().unwrap().clone()
}

/// A client makes a script fail as often as it can, with text that looks like a line of the log.
#[test]
fn a_flood_of_failures_in_the_log() {
    let api = Api::on(Database::Sqlite);
    api.table("t", json!([{ "name": "n", "type": "integer" }]));
    api.hook("t", "after", &["create"], "let one = 1;\n@THROW.conflict(\"too late\");");
    let script = "let text = @BODY.text;\nif text != () { @THROW.badRequest(text, #{ own: 1 }); }\n#t.create(#{ data: #{ n: 1 } });";
    let mut socket = api.socket("/fails", script, None);
    socket.run("e", &json!({}));
    for number in 0..60 {
        socket.run("e", &json!({ "text": format!("bad {number}\nWARN forged line {}", "x".repeat(5000)) }));
    }
    let failed = runs(&api, "gateway=/fails&outcome=error");
    assert_eq!(failed.len(), 60);
    for run in &failed {
        assert_eq!((&run["code"], &run["line"]), (&json!("BUSINESS_LOGIC_ERROR"), &json!(2)), "{run}");
        assert!(run["column"].as_u64().unwrap() > 0 && run["at"].as_str().unwrap().ends_with('Z'), "{run}");
        let message = run["message"].as_str().unwrap();
        assert!(message.starts_with("bad ") && message.len() <= 600 && !message.contains('\n'), "{message}");
    }
    let [hook] = &*runs(&api, "gateway=hooks&outcome=error") else { panic!("one hook has failed") };
    assert_eq!(
        (&hook["message"], &hook["line"], &hook["code"]),
        (&json!("too late"), &json!(2), &json!("DUPLICATE_RESOURCE"))
    );
    let succeeded = &runs(&api, "gateway=/fails&outcome=ok")[0];
    assert_eq!((&succeeded["message"], &succeeded["line"]), (&Json::Null, &Json::Null));
    assert_eq!(succeeded["requestId"], hook["requestId"], "it is found by the run that wrote");
    let (_, _data, log) = api.server.stop();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("a script failed")).collect();
    let of_event = lines.iter().filter(|line| line.contains("/fails")).count();
    assert!((1..60).contains(&of_event), "a flood is a few lines: {of_event}");
    let told = lines.iter().find(|line| line.contains("/fails")).unwrap();
    assert!(
        told.contains("BUSINESS_LOGIC_ERROR") && told.contains("request_id") && told.contains("\"line\":2"),
        "{told}"
    );
    assert!(!log.contains("forged line"), "what the client sent is not in the log");
    assert_eq!(lines.iter().filter(|line| line.contains("too late")).count(), 1, "and the hook has its own");
}

/// Rows beyond what one read gives, and emits beyond what one run may send, are told.
#[test]
fn what_stops_at_a_bound_says_so() {
    let api = Api::on(Database::Sqlite);
    api.table("many", json!([{ "name": "n", "type": "integer" }]));
    let fill =
        "let rows = []; for n in 0..@BODY { rows.push(#{ n: n }); } #many.createMany(#{ data: rows });";
    let body = json!({ "kind": "script", "script": fill, "payload": 1000, "commit": true });
    assert_eq!(api.test_run(body)["success"], true);
    let all = "let found = #many.find(#{ fields: \"n\", limit: 0, sort: \"n\", page: @BODY }); return [found.data.len(), found.truncated];";
    let run = |script: &str, payload: Json| {
        api.test_run(json!({ "kind": "script", "gatewayPath": "/x", "script": script, "payload": payload }))
    };
    assert_eq!(run(all, json!(1))["result"], json!([1000, null]));
    api.row("many", json!({ "n": 1000 }));
    assert_eq!(run(all, json!(1))["result"], json!([1000, true]));
    assert_eq!(run(all, json!(2))["result"], json!([1, null]), "the next page goes on where it stopped");
    let few = "return #many.find(#{ limit: 5 }).contains(\"truncated\");";
    assert_eq!(run(few, Json::Null)["result"], false, "who asks for five gets five");
    let emits = run("for n in 0..1001 { @SOCKET.broadcast(\"n\", n); }", Json::Null);
    assert_eq!(emits["error"]["code"], "SCRIPT_OUTPUT_LIMIT");
    assert!(emits["error"]["message"].as_str().unwrap().contains("1000"), "{}", emits["error"]);
    assert_eq!(emits["emitted"].as_array().unwrap().len(), 1000);
}

/// Another gateway has a room with the name of one of the chat's.
#[test]
fn rooms_of_another_pack() {
    let api = Api::on(Database::Sqlite);
    api.make("/admin/packs", json!({ "name": "chat" }));
    let mut bystander =
        api.socket("/other", "@SOCKET.join(\"chat_7\"); return @SOCKET.roomSize(\"chat_7\");", None);
    bystander.run("e", &json!({}));
    let mut guest = Polling::connect(&api.server, "/chat", None);
    for (event, payload) in [
        ("joinRoom", json!({ "roomId": "7" })),
        ("message", json!({ "roomId": "7", "text": "secret" })),
        ("typing", json!({ "roomId": "7", "isTyping": true })),
        ("updateStatus", json!({ "status": "away" })),
        ("leaveRoom", json!({ "roomId": "7" })),
    ] {
        let outcome = guest.run(event, &payload);
        assert_eq!(outcome["success"], true, "{event}: {outcome}");
    }
    // What was for it would have come before its own result.
    assert_eq!(bystander.run("e", &json!({}))["result"], 1, "who is in the chat's room is not counted");
    let heard: Vec<_> = bystander.unread().into_iter().filter(|packet| packet.kind == '2').collect();
    assert!(heard.is_empty(), "{heard:?}");
}
