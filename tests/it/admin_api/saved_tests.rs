//! Script tests that are kept with the server.

use serde_json::{Value as Json, json};

use crate::support::api::{Api, id, make_gateway, refused};
use crate::support::database::{Database, on_each_database};

on_each_database!(admin_api_tests_are_kept_and_run, admin_api_tests_come_with_packs);

fn admin_api_tests_are_kept_and_run(database: Database) {
    let api = Api::on(database);
    api.table("noted", json!([{ "name": "a", "type": "string" }]));
    let script = "@SOCKET.reply(\"got\", @BODY); #noted.create(#{ data: #{ a: @USER.id } }); return #noted.count(#{});";
    let made = make_gateway(
        &api.server,
        &api.token,
        json!({ "path": "/t", "connectionScript": "1" }),
        &[("e", script)],
    );
    let test = json!({
        "name": "says what it got", "gateway": "/t", "event": "e", "payload": { "x": 1 }, "user": { "id": "u1" },
        "rows": { "noted": [{ "a": "before" }] },
        "expect": {
            "result": 2, "emitted": [{ "method": "reply", "args": ["got", { "x": 1 }] }],
            "writes": [{ "table": "noted", "operation": "create", "row": { "a": "u1" } }],
        },
    });
    let saved = api.make("/admin/tests", test.clone());
    let of = (&saved["handler"], &saved["handlerId"], &saved["pack"], &saved["test"]);
    assert_eq!(of, (&json!("/t e"), &json!(made.events[0]), &Json::Null, &test));
    let connection =
        json!({ "name": "lets in", "kind": "connection", "gateway": "/t", "expect": { "result": 1 } });
    let connection = api.make("/admin/tests", connection);
    assert_eq!(
        (&connection["handler"], &connection["handlerId"]),
        (&json!("/t connection"), &json!(made.id))
    );

    let names = |query: &str| -> Vec<Json> {
        let list = api.get(&format!("/admin/tests{query}"));
        list["data"].as_array().unwrap().iter().map(|test| test["name"].clone()).collect()
    };
    assert_eq!(names(""), ["lets in", "says what it got"]);
    assert_eq!(names("?handler=/t%20e"), ["says what it got"]);
    assert_eq!(names(&format!("?handler={}", made.events[0])), ["says what it got"]);
    assert_eq!(names("?handler=/t%20nothing"), Vec::<Json>::new());
    assert_eq!(names("?limit=1&page=2&fields=name"), ["says what it got"]);

    let path = format!("/admin/tests/{}", id(&saved));
    let run = |body: Json| api.admin("POST", &format!("{path}/run"), body).json();
    for _ in 0..2 {
        // The second time too: nothing stays.
        let result = run(Json::Null);
        assert_eq!(
            (&result["passed"], &result["expected"], &result["error"]),
            (&json!(true), &Json::Null, &Json::Null)
        );
    }
    let other = run(json!({ "script": "return \"<b>other</b>\";" }));
    assert_eq!(other["passed"], false);
    assert!(
        other["expected"].as_str().unwrap().contains("\"got\"")
            && other["got"].as_str().unwrap().contains("<b>")
    );
    let changed = api.admin("PATCH", &path, json!({ "expect": { "result": 7 }, "rows": null })).json();
    assert_eq!((&changed["test"]["rows"], &changed["test"]["payload"]), (&Json::Null, &json!({ "x": 1 })));
    let all = api.admin("POST", "/admin/tests/run", json!({ "handler": "/t e" })).json();
    assert_eq!((&all["passed"], &all["failed"]), (&json!(0), &json!(1)), "{all}");
    assert!(all["results"][0]["expected"].as_str().unwrap().contains('7'), "{all}");

    for (body, status, code, mentions) in [
        (json!({ "gateway": "/t", "event": "e", "expect": {} }), 400, "BAD_REQUEST", "name"),
        (
            json!({ "name": "", "gateway": "/t", "event": "e", "expect": {} }),
            422,
            "VALIDATION_ERROR",
            "1 to 200",
        ),
        (json!({ "name": "x", "gateway": "/t", "event": "e" }), 400, "BAD_REQUEST", "expect"),
        (
            json!({ "name": "x", "gateway": "/t", "event": "e", "expect": {}, "colour": 1 }),
            400,
            "BAD_REQUEST",
            "colour",
        ),
        (
            json!({ "name": "x", "gateway": "/no", "event": "e", "expect": {} }),
            422,
            "VALIDATION_ERROR",
            "/no",
        ),
        (
            json!({ "name": "x", "gateway": "/t", "event": "no", "expect": {} }),
            422,
            "VALIDATION_ERROR",
            "no script",
        ),
        (
            json!({ "name": "x", "gateway": "/t", "event": "e", "now": "then", "expect": {} }),
            422,
            "VALIDATION_ERROR",
            "now",
        ),
        (
            json!({ "name": "x", "gateway": "/t", "event": "e", "payload": "y".repeat(70_000), "expect": {} }),
            422,
            "VALIDATION_ERROR",
            "bytes",
        ),
        (
            json!({ "name": "x\u{0}", "gateway": "/t", "event": "e", "expect": {} }),
            422,
            "VALIDATION_ERROR",
            "NUL",
        ),
    ] {
        refused(&api.admin("POST", "/admin/tests", body), status, code, mentions);
    }
    assert_eq!(api.admin("DELETE", &path, Json::Null).status, 204);
    refused(&api.admin("GET", &path, Json::Null), 404, "RESOURCE_NOT_FOUND", "test");
    refused(&api.admin("POST", &format!("{path}/run"), Json::Null), 404, "RESOURCE_NOT_FOUND", "test");
}

/// A built-in pack brings its tests, at its mount; what it has no longer, and it itself, take them away.
fn admin_api_tests_come_with_packs(database: Database) {
    let api = Api::on(database);
    api.make("/admin/packs", json!({ "name": "chat", "mount": "/under" }));
    let tests = api.get("/admin/tests?limit=1000")["data"].as_array().unwrap().clone();
    assert!(tests.len() > 3 && tests.iter().all(|test| test["pack"] == "chat"), "{tests:?}");
    let ids = |tests: &[Json]| -> Vec<Json> { tests.iter().map(|test| test["id"].clone()).collect() };
    for test in &tests {
        let handler = test["handler"].as_str().unwrap();
        assert!(handler.contains("/under") || handler.starts_with("hooks "), "{test}");
        let result = api.admin("POST", &format!("/admin/tests/{}/run", id(test)), Json::Null).json();
        assert_eq!(result["passed"], true, "{test}: {result}");
    }
    api.make("/admin/packs", json!({ "name": "chat" }));
    let again = api.get("/admin/tests?limit=1000")["data"].as_array().unwrap().clone();
    assert_eq!(ids(&again), ids(&tests), "the same tests stay the same");
    // A changed one is the admin's, and stays when the pack goes.
    let path = format!("/admin/tests/{}", id(&tests[0]));
    let changed = api.admin("PATCH", &path, json!({ "name": "mine" })).json();
    assert_eq!((&changed["pack"], &changed["name"]), (&Json::Null, &json!("mine")));
    assert_eq!(api.admin("DELETE", "/admin/packs/chat?force=true", Json::Null).status, 204);
    let left = api.get("/admin/tests");
    assert_eq!(
        (&left["data"][0]["name"], left["data"].as_array().unwrap().len()),
        (&json!("mine"), 1),
        "{left}"
    );
    assert_eq!(left["data"][0]["handler"], Json::Null, "what it tests is gone");
    let result = api.admin("POST", &format!("{path}/run"), Json::Null).json();
    assert!(result["error"].as_str().unwrap().contains("gateway"), "{result}");
}
