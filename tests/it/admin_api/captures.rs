//! Captures: payloads of runs, kept for a while, and tests that begin with one.

use serde_json::{Value as Json, json};

use crate::support::api::{Api, make_gateway, refused};
use crate::support::database::{Database, on_each_database};
use crate::support::polling::Polling;
use crate::support::server::until;

const SEND: &str = r#"@SOCKET.join("room"); @SOCKET.reply("got", @BODY); #noted.create(#{ data: #{ a: @BODY.text } });
    #noted.upsert(#{ key: "a", data: #{ a: @BODY.text } }); #noted.delete(#{ filter: #{ a: "nobody" } });
    if @BODY.text == "bad" { @THROW.validation("no"); } return @BODY.text;"#;

on_each_database!(admin_api_captures_keep_what_a_run_was_given_and_did);

fn admin_api_captures_keep_what_a_run_was_given_and_did(database: Database) {
    let api = &Api::on(database);
    api.table("noted", json!([{ "name": "a", "type": "string", "unique": true }]));
    let made = make_gateway(
        &api.server,
        &api.token,
        json!({ "path": "/c", "limits": { "messageBytes": 200_000 } }),
        &[("send", SEND)],
    );
    let mut socket = Polling::connect(&api.server, "/c", Some(&api.token));
    let before = socket.run("send", &json!({ "text": "early" }))["requestId"].clone();
    assert_eq!(run(api, &before)["captured"], Json::Null, "nothing is kept without a capture");

    let capture = api.make("/admin/captures", json!({ "handler": "/c send" }));
    let expected = json!({
        "handler": "/c send", "gateway": "/c", "eventName": "send", "minutes": 10, "max": 100, "errorsOnly": false,
        "count": 0, "bytes": 0, "dropped": 0,
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&capture[name], value, "{capture}");
    }
    let mut socket = Polling::connect(&api.server, "/c", Some(&api.token));
    let sent = json!({ "text": "hello", "password": "hush", "n": 1 });
    let first = socket.run("send", &sent)["requestId"].clone();
    let captured = run(api, &first);
    let (captured, whole) = (captured["captured"].clone(), captured);
    assert_eq!(captured["payload"], json!({ "text": "hello", "password": "<hidden>", "n": 1 }));
    assert_eq!(captured["user"]["id"], api.get("/me")["id"]);
    assert_eq!(captured["rooms"], json!([]), "as they were before it");
    assert!(captured["socket"].is_string(), "{captured}");
    let methods: Vec<_> = captured["emitted"].as_array().unwrap().iter().map(|one| &one["method"]).collect();
    assert_eq!(methods, ["join", "reply"]);
    assert_eq!(captured["emitted"][1]["args"][1]["password"], "<hidden>");
    let writes = captured["writes"].as_array().unwrap();
    assert_eq!((&writes[0]["operation"], &writes[0]["row"]["a"]), (&json!("create"), &json!("hello")));
    assert_eq!((&writes[1]["table"], &writes[1]["row"]["a"]), (&json!("noted"), &json!("hello")));
    assert_eq!((&writes[2]["operation"], &writes[2]["isCut"]), (&json!("delete"), &json!(true)));
    assert_eq!(captured["cut"], json!(["writes"]), "which rows a filter deletes is not looked at");
    assert!(
        whole["databaseMs"].as_f64().unwrap() > 0.0
            && whole["databaseMs"].as_f64() <= whole["durationMs"].as_f64()
    );

    let sent = || run(api, &first)["captured"]["sentMs"].as_f64();
    assert!(until("the outcome is sent", sent) >= 0.0);
    let second = socket.run("send", &json!({ "text": "bad" }))["requestId"].clone();
    assert_eq!(run(api, &second)["captured"]["rooms"], json!(["room"]));
    let listed = &api.get("/admin/captures")["data"];
    assert_eq!((&listed[0]["id"], &listed[0]["count"]), (&capture["id"], &json!(2)));
    assert!(listed[0]["bytes"].as_u64().unwrap() > 100, "{listed}");

    // A test begins with it.
    let again = api.test_run(
        json!({ "fromRun": second, "script": "return [@BODY, @USER.email, @SOCKET.rooms(), @EVENT];" }),
    );
    assert_eq!(again["result"], json!([{ "text": "bad" }, api.get("/me")["email"], ["room"], "send"]));
    let saved = api.test_run(json!({ "fromRun": second, "payload": { "text": "other" } }));
    assert_eq!((&saved["success"], &saved["result"]), (&json!(true), &json!("other")));
    let unknown = api.admin("POST", "/admin/test/run", json!({ "fromRun": before }));
    refused(&unknown, 404, "RESOURCE_NOT_FOUND", "start a capture");

    // It ends, and all is forgotten. A save does not end it.
    let path = format!("/admin/events/{}", made.events[0]);
    assert_eq!(api.admin("PATCH", &path, json!({ "sourceCode": "return 2;" })).status, 200);
    let third = socket.run("send", &json!({ "text": "x".repeat(70_000) }))["requestId"].clone();
    let captured = run(api, &third)["captured"].clone();
    assert_eq!(
        (captured["cut"].clone(), captured["payload"].as_str().unwrap().len()),
        (json!(["payload"]), 65_536)
    );
    refused(
        &api.admin("POST", "/admin/test/run", json!({ "fromRun": third })),
        422,
        "VALIDATION_ERROR",
        "not whole",
    );
    let path = format!("/admin/captures/{}", capture["id"].as_str().unwrap());
    assert_eq!(api.admin("DELETE", &path, Json::Null).status, 204);
    refused(&api.admin("DELETE", &path, Json::Null), 404, "RESOURCE_NOT_FOUND", "capture");
    assert_eq!(run(api, &first)["captured"], Json::Null);
    assert_eq!(api.get("/admin/captures")["data"], json!([]));
}

#[test]
fn admin_api_captures_are_bounded() {
    let api = Api::start();
    let scripts = [("ok", "return 1;"), ("mixed", "if @BODY.bad { throw \"x\"; }"), ("big", "return 1;")];
    let made = make_gateway(
        &api.server,
        &api.token,
        json!({ "path": "/b", "connectionScript": "return 1;" }),
        &scripts,
    );
    let start = |body: Json| api.make("/admin/captures", body);
    start(json!({ "handler": made.events[0], "max": 2, "minutes": 60 }));
    start(json!({ "handler": "/b mixed", "errorsOnly": true }));
    start(json!({ "handler": "/b connection" }));
    start(json!({ "handler": "/b big", "max": 1000 }));
    let mut socket = Polling::connect(&api.server, "/b", None);
    let ids: Vec<_> = (0..3).map(|n| socket.run("ok", &json!({ "n": n }))["requestId"].clone()).collect();
    let kept: Vec<_> = ids.iter().map(|id| run(&api, id)["captured"]["payload"]["n"].clone()).collect();
    assert_eq!(kept, [Json::Null, json!(1), json!(2)], "the oldest goes");
    let good = socket.run("mixed", &json!({ "bad": false }))["requestId"].clone();
    let bad = socket.run("mixed", &json!({ "bad": true }))["requestId"].clone();
    assert_eq!(run(&api, &good)["captured"], Json::Null);
    assert_eq!(run(&api, &bad)["captured"]["payload"], json!({ "bad": true }));
    let connected = api.get("/admin/logs?gateway=/b&kind=connection")["data"][0]["requestId"].clone();
    assert_eq!(run(&api, &connected)["captured"]["payload"]["ip"], "127.0.0.1");
    // 300 of 60 KB are more than 16 MiB.
    for _ in 0..300 {
        socket.run("big", &json!({ "text": "x".repeat(60_000) }));
    }
    let listed = api.get("/admin/captures")["data"].as_array().unwrap().clone();
    let bytes: u64 = listed.iter().map(|capture| capture["bytes"].as_u64().unwrap()).sum();
    assert!(bytes <= 16 << 20 && bytes > 15 << 20, "{bytes}");
    assert!(listed[3]["dropped"].as_u64().unwrap() > 0, "{listed:?}");
    for (body, status, code, mentions) in [
        (json!({ "handler": "/b ok" }), 409, "DUPLICATE_RESOURCE", "captured already"),
        (json!({ "handler": "/b nobody" }), 404, "RESOURCE_NOT_FOUND", "/b nobody"),
        (json!({ "handler": "ok" }), 422, "VALIDATION_ERROR", "a gateway and a name"),
        (json!({ "handler": "/b big", "minutes": 61 }), 422, "VALIDATION_ERROR", "1 to 60"),
        (json!({ "handler": "/b big", "max": 1001 }), 422, "VALIDATION_ERROR", "1 to 1000"),
        (json!({ "handler": "/b big", "seconds": 1 }), 400, "BAD_REQUEST", "seconds"),
        (json!({}), 400, "BAD_REQUEST", "handler"),
    ] {
        refused(&api.admin("POST", "/admin/captures", body), status, code, mentions);
    }
    let path = "/admin/captures";
    let guest = api.send("GET", path, &[], b"");
    assert_eq!(guest.status, 401, "{}", guest.body);
}

/// A route's request, and a durable event whose attempt failed.
#[test]
fn admin_api_captures_of_routes_and_jobs() {
    let api = Api::start();
    let route = json!({
        "method": "POST", "path": "/things/{id}", "access": "public", "sourceCode": "return @PARAMS.id + @BODY.a + @QUERY.q;",
    });
    api.make("/admin/routes", route);
    let event = json!({ "path": "/d" });
    let made = make_gateway(
        &api.server,
        &api.token,
        event,
        &[("job", "@SOCKET.reply(\"r\", 1); @THROW.validation(\"no\");")],
    );
    let durable = format!("/admin/events/{}", made.events[0]);
    assert_eq!(api.admin("PATCH", &durable, json!({ "delivery": "durable" })).status, 200);
    api.make("/admin/captures", json!({ "handler": "routes POST /things/{id}" }));
    api.make("/admin/captures", json!({ "handler": made.events[0] }));
    let headers = [("content-type", "application/json"), ("cookie", "a=b")];
    let answer = api.send("POST", "/things/7?q=z", &headers, br#"{"a":"b"}"#);
    assert_eq!(answer.body, "\"7bz\"");
    let id = api.get("/admin/logs?kind=route")["data"][0]["requestId"].clone();
    let captured = run(&api, &id)["captured"].clone();
    let request = &captured["request"];
    assert_eq!((&request["path"], &request["params"]), (&json!("/things/7"), &json!({ "id": "7" })));
    assert!(request["headers"].get("cookie").is_none(), "{request}");
    assert_eq!(api.test_run(json!({ "fromRun": id }))["result"], "7bz");
    let mut socket = Polling::connect(&api.server, "/d", None);
    let failed = socket.run("job", &json!({ "n": 1 }))["requestId"].clone();
    let captured = run(&api, &failed)["captured"].clone();
    assert_eq!(
        (&captured["payload"], &captured["emitted"]),
        (&json!({ "n": 1 }), &json!([])),
        "it was not said"
    );
}

fn run(api: &Api, id: &Json) -> Json {
    let id = id.as_str().unwrap();
    until("the run", || {
        let answer = api.admin("GET", &format!("/admin/logs/{id}"), Json::Null);
        (answer.status == 200).then(|| answer.json())
    })
}
