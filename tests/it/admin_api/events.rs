//! Events: their rows, and what is refused of them.

use serde_json::{Map, Value as Json, json};

use super::{BAD, INVALID, MISSING, NOBODY, NOT_COMPILED, TAKEN, check_error, check_row};
use crate::support::api::{Api, make_gateway};
use crate::support::polling::Polling;

#[test]
fn admin_api_events() {
    let api = Api::start();
    let gateway = api.make("/admin/gateways", json!({ "path": "/e" }));
    let gateway_id = gateway["id"].as_str().unwrap();
    let events = format!("/admin/gateways/{gateway_id}/events");
    let row = api.make(&events, json!({ "eventName": "plain", "sourceCode": "return 1;" }));
    check_row(
        &row,
        json!({
            "gatewayId": gateway_id, "eventName": "plain", "isEnabled": true, "sourceCode": "return 1;",
            "timeoutMs": null, "payloadSchema": null, "resultSchema": null, "delivery": "memory",
        }),
    );
    let path = format!("/admin/events/{}", row["id"].as_str().unwrap());
    assert_eq!(api.get(&path), row);
    assert_eq!(api.get(&events)["data"], json!([row]));
    let all = json!({
        "eventName": "chat:*", "description": "d", "isEnabled": false, "sourceCode": "return 2;", "timeoutMs": 1,
        "payloadSchema": { "type": "object", "required": ["a"] }, "resultSchema": { "type": "string" }, "delivery": "memory",
    });
    check_row(&api.patch(&path, all.clone()), all);
    let nulls = json!({ "timeoutMs": null, "payloadSchema": null, "resultSchema": null });
    let cleared = api.patch(&path, nulls.clone());
    check_row(&cleared, nulls);
    assert_eq!((&cleared["sourceCode"], &cleared["description"]), (&json!("return 2;"), &json!("d")));
    let aliased = json!({ "eventName": "old", "handlerScript": "return 3;", "timeout": 77 });
    let row = api.make(&events, aliased);
    check_row(&row, json!({ "sourceCode": "return 3;", "timeoutMs": 77 }));
    let old = format!("/admin/events/{}", row["id"].as_str().unwrap());
    let aliased = api.patch(&old, json!({ "handlerScript": "return 4;", "timeout": null }));
    check_row(&aliased, json!({ "sourceCode": "return 4;", "timeoutMs": null }));
    for name in ["*", "a b", "quote\"d", "a.b/c:d", "chat:send"] {
        let event = api.make(&events, json!({ "eventName": name, "sourceCode": "" }));
        check_row(&event, json!({ "eventName": name, "sourceCode": "" }));
    }
    let other = api.make("/admin/gateways", json!({ "path": "/other" }));
    let others = format!("/admin/gateways/{}/events", other["id"].as_str().unwrap());
    api.make(&others, json!({ "eventName": "old", "sourceCode": "" }));
    assert_eq!(api.get(&others)["data"].as_array().unwrap().len(), 1, "the events of one gateway only");
    api.delete(&path);
    api.refuses(("GET", &path), None, MISSING, &[]);
    api.refuses(("DELETE", &path), None, MISSING, &[]);
    api.refuses(("GET", &format!("{path}/revisions")), None, MISSING, &[]);
}

#[test]
fn admin_api_event_names_of_any_alphabet() {
    let api = Api::start();
    let made = make_gateway(&api.server, &api.token, json!({ "path": "/any" }), &[]);
    let events = format!("/admin/gateways/{}/events", made.id);
    let mut socket = Polling::connect(&api.server, "/any", None);
    for name in ["ünïcö", "café", "сообщение", "消息", "👋"] {
        let row = api.make(&events, json!({ "eventName": name, "sourceCode": "return @EVENT;" }));
        check_row(&row, json!({ "eventName": name }));
        assert_eq!(socket.run(name, &json!({}))["result"], name);
    }
}

#[test]
fn admin_api_events_refuse() {
    let api = Api::start();
    let gateway = api.make("/admin/gateways", json!({ "path": "/e" }));
    let events = format!("/admin/gateways/{}/events", gateway["id"].as_str().unwrap());
    let row = api.make(&events, json!({ "eventName": "there", "sourceCode": "return 1;" }));
    let there = format!("/admin/events/{}", row["id"].as_str().unwrap());
    let check = |fields: Json, expected: (u16, &str), mentions: &[&str]| {
        let mut new = json!({ "eventName": "new", "sourceCode": "" });
        new.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        // A field and its alias are one field.
        if fields.get("handlerScript").is_some() {
            new.as_object_mut().unwrap().remove("sourceCode");
        }
        api.refuses(("POST", &events), Some(new), expected, mentions);
        api.refuses(("PATCH", &there), Some(fields), expected, mentions);
    };
    for name in ["", "a*b", "**", "*a", "connect", "disconnect", "connect_error"] {
        check(json!({ "eventName": name }), INVALID, &["eventName"]);
    }
    check(json!({ "eventName": "x".repeat(10_000) }), INVALID, &["eventName"]);
    for delivery in ["", "Memory", "eventually"] {
        check(json!({ "delivery": delivery }), INVALID, &["delivery"]);
    }
    for ms in [0, -1, 30001] {
        check(json!({ "timeoutMs": ms }), INVALID, &["timeoutMs"]);
    }
    for schema in [
        json!({ "type": "nonsense" }),
        json!({ "type": 5 }),
        json!("string"),
        json!(5),
        json!([]),
        json!({ "$ref": "https://schemas.example/a.json" }),
        json!({ "$ref": "file:///etc/passwd" }),
        json!({ "pattern": "(" }),
        json!({ "required": "a" }),
    ] {
        check(json!({ "payloadSchema": schema }), INVALID, &["payloadSchema"]);
        check(json!({ "resultSchema": schema }), INVALID, &["resultSchema"]);
    }
    for (field, value) in [
        ("eventName", json!(5)),
        ("sourceCode", json!({})),
        ("isEnabled", json!("true")),
        ("timeoutMs", json!("1")),
        ("delivery", json!(1)),
        ("colour", json!(1)),
    ] {
        check(Map::from_iter([(field.to_owned(), value)]).into(), BAD, &[field]);
    }
    for script in ["sourceCode", "handlerScript"] {
        let answer = api.try_call("PATCH", &there, Some(json!({ script: "let x = 1;\n  let y = ;" })));
        check_error(script, &answer, 400, "SCRIPT_COMPILE_ERROR", &[]);
        assert_eq!(answer.json()["error"]["details"], json!({ "line": 2, "column": 11 }), "{script}");
        check(json!({ script: "return { ok: true };" }), NOT_COMPILED, &["#{ ok: true }"]);
    }
    api.refuses(("POST", &events), Some(json!({ "sourceCode": "" })), INVALID, &["eventName"]);
    api.refuses(("POST", &events), Some(json!({ "eventName": "x" })), INVALID, &["sourceCode"]);
    let taken = json!({ "eventName": "there", "sourceCode": "" });
    api.refuses(("POST", &events), Some(taken), TAKEN, &["there"]);
    api.make(&events, json!({ "eventName": "other", "sourceCode": "" }));
    api.refuses(("PATCH", &there), Some(json!({ "eventName": "other" })), TAKEN, &["other"]);
    assert_eq!(api.get(&there), row, "what was refused changed nothing");
    let nowhere = format!("/admin/gateways/{NOBODY}/events");
    api.refuses(("POST", &nowhere), Some(json!({ "eventName": "x", "sourceCode": "" })), MISSING, &[]);
    api.refuses(("GET", &nowhere), None, MISSING, &[]);
}
