//! Gateways: their rows, and what is refused of them.

use serde_json::{Map, Value as Json, json};

use super::{BAD, INVALID, MISSING, NOT_COMPILED, TAKEN, check_error, check_row};
use crate::support::api::Api;

#[test]
fn admin_api_gateways() {
    let api = Api::start();
    let row = api.make("/admin/gateways", json!({ "path": "/plain" }));
    let limits = json!({
        "eventsPerSecond": null, "burst": null, "subscriptionsPerConnection": null, "messageBytes": null,
    });
    let defaults = json!({
        "path": "/plain", "isEnabled": true, "requireAuth": true, "connectionScript": null,
        "disconnectionScript": null, "scriptTimeoutMs": null, "allowedOrigins": null, "limits": limits,
        "presence": false, "presenceDebounceMs": 0, "aliases": [], "requireAppKey": false, "admissionScript": null,
        "emits": null,
    });
    check_row(&row, defaults);
    let path = format!("/admin/gateways/{}", row["id"].as_str().unwrap());
    assert_eq!(api.get(&path), row);
    assert_eq!(api.get("/admin/gateways")["data"], json!([row]));

    let changed = api.patch(&path, json!({ "description": "a new one" }));
    assert_eq!(changed["description"], "a new one");
    // As times: as text, .43Z comes after .436Z.
    let updated_at = |row: &Json| {
        let text = row["updatedAt"].as_str().unwrap();
        time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).unwrap()
    };
    assert!(updated_at(&changed) > updated_at(&row), "{changed}");
    let mut same = changed.clone();
    for field in ["description", "updatedAt"] {
        same[field] = row[field].clone();
    }
    assert_eq!(same, row, "a PATCH leaves what it does not name");
    assert_eq!(api.get(&path), changed);

    let all = json!({
        "path": "/a/b-c/d_e.f", "description": "d", "isEnabled": false, "requireAuth": false,
        "connectionScript": "return 1;", "disconnectionScript": "return 2;", "scriptTimeoutMs": 30000,
        "allowedOrigins": ["https://app.example", "*"], "presence": ["chat:*", "lobby"], "presenceDebounceMs": 60000,
        "aliases": ["/ws/a"], "requireAppKey": true, "admissionScript": "return 3;", "emits": { "said": { "type": "object" } },
        "limits": { "eventsPerSecond": 5, "burst": 6, "subscriptionsPerConnection": 7, "messageBytes": 8000 },
    });
    check_row(&api.patch(&path, all.clone()), all.clone());
    let part = api.patch(&path, json!({ "limits": { "burst": null } }));
    let expected = json!({
        "eventsPerSecond": 5, "burst": null, "subscriptionsPerConnection": 7, "messageBytes": 8000,
    });
    assert_eq!(part["limits"], expected, "a limit that is not named stays");
    let nulls = json!({
        "connectionScript": null, "disconnectionScript": null, "scriptTimeoutMs": null, "allowedOrigins": null,
        "admissionScript": null, "emits": null,
        "limits": { "eventsPerSecond": null, "subscriptionsPerConnection": null, "messageBytes": null },
    });
    let cleared = api.patch(&path, nulls.clone());
    check_row(
        &cleared,
        json!({
            "connectionScript": null, "disconnectionScript": null, "scriptTimeoutMs": null, "allowedOrigins": null,
            "limits": limits, "description": "d", "presence": ["chat:*", "lobby"], "admissionScript": null, "emits": null,
        }),
    );

    let none = json!({ "path": "/", "allowedOrigins": [], "limits": { "eventsPerSecond": 0 } });
    check_row(&api.make("/admin/gateways", none), json!({ "path": "/", "allowedOrigins": [] }));
    let aliased = json!({
        "path": "/old", "connectionHandlerScript": "return 3;", "connectionHandlerTimeout": 1234,
    });
    let row = api.make("/admin/gateways", aliased);
    check_row(&row, json!({ "connectionScript": "return 3;", "scriptTimeoutMs": 1234 }));
    let old = format!("/admin/gateways/{}", row["id"].as_str().unwrap());
    let aliased = json!({ "connectionHandlerScript": null, "connectionHandlerTimeout": null });
    check_row(&api.patch(&old, aliased), json!({ "connectionScript": null, "scriptTimeoutMs": null }));

    let event = api.make(&format!("{path}/events"), json!({ "eventName": "e", "sourceCode": "return 1;" }));
    api.delete(&path);
    api.refuses(("GET", &path), None, MISSING, &[]);
    api.refuses(("DELETE", &path), None, MISSING, &[]);
    api.refuses(("PATCH", &path), Some(json!({ "description": "" })), MISSING, &[]);
    let event = format!("/admin/events/{}", event["id"].as_str().unwrap());
    api.refuses(("GET", &event), None, MISSING, &[]);
    api.make("/admin/gateways", json!({ "path": "/a/b-c/d_e.f" }));
}

#[test]
fn admin_api_gateways_refuse() {
    let api = Api::start();
    let row = api.make("/admin/gateways", json!({ "path": "/there", "connectionScript": "return 1;" }));
    let there = format!("/admin/gateways/{}", row["id"].as_str().unwrap());
    let check = |fields: Json, expected: (u16, &str), mentions: &[&str]| {
        let mut new = json!({ "path": "/new" });
        new.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        api.refuses(("POST", "/admin/gateways"), Some(new), expected, mentions);
        api.refuses(("PATCH", &there), Some(fields), expected, mentions);
    };
    for path in
        ["", "chat", "/a/", "//", "/a//b", "/a b", "/a,b", "/a?b", "/a#b", "a/b", "/\n", " /a", "/a\u{0}"]
    {
        check(json!({ "path": path }), INVALID, &["path"]);
    }
    for origin in ["", "nonsense", "https://", "https://a.example/b", "a.example", "https://a b"] {
        check(json!({ "allowedOrigins": [origin] }), INVALID, &["allowedOrigins"]);
    }
    for ms in [0, -1, 30001, i64::MAX, i64::MIN] {
        check(json!({ "scriptTimeoutMs": ms }), INVALID, &["scriptTimeoutMs"]);
    }
    check(json!({ "limits": { "messageBytes": u32::MAX } }), INVALID, &["messageBytes"]);
    check(json!({ "limits": { "burst": 0, "eventsPerSecond": 5 } }), INVALID, &["burst"]);
    for (field, value) in [
        ("path", json!(5)),
        ("description", json!([])),
        ("isEnabled", json!("yes")),
        ("requireAuth", json!(1)),
        ("connectionScript", json!({})),
        ("disconnectionScript", json!(1)),
        ("scriptTimeoutMs", json!("5")),
        ("scriptTimeoutMs", json!(1.5)),
        ("allowedOrigins", json!("*")),
        ("allowedOrigins", json!([1])),
        ("limits", json!(5)),
        ("presence", json!("no")),
        ("presence", json!([1])),
        ("presenceDebounceMs", json!(1.5)),
        ("aliases", json!("/a")),
        ("requireAppKey", json!("yes")),
        ("admissionScript", json!(1)),
    ] {
        check(Map::from_iter([(field.to_owned(), value)]).into(), BAD, &[field]);
    }
    for (field, value) in [
        ("eventsPerSecond", json!(-1)),
        ("burst", json!(1.5)),
        ("messageBytes", json!("64k")),
        ("subscriptionsPerConnection", json!(1_u64 << 40)),
        ("bogus", json!(1)),
    ] {
        check(json!({ "limits": { field: value } }), BAD, &[field]);
    }
    check(json!({ "colour": "red" }), BAD, &["colour"]);
    for script in ["connectionScript", "disconnectionScript", "connectionHandlerScript"] {
        let answer = api.try_call("PATCH", &there, Some(json!({ script: "let x = 1;\n  let y = ;" })));
        check_error(script, &answer, 400, "SCRIPT_COMPILE_ERROR", &[]);
        assert_eq!(answer.json()["error"]["details"], json!({ "line": 2, "column": 11 }), "{script}");
        check(json!({ script: "{{{" }), NOT_COMPILED, &[]);
    }
    api.refuses(("POST", "/admin/gateways"), Some(json!({})), INVALID, &["path"]);
    api.refuses(("POST", "/admin/gateways"), Some(json!({ "path": "/there" })), TAKEN, &["/there"]);
    api.make("/admin/gateways", json!({ "path": "/other" }));
    api.refuses(("PATCH", &there), Some(json!({ "path": "/other" })), TAKEN, &["/other"]);
    for body in [json!([]), json!("x"), json!(null), json!(1)] {
        api.refuses(("POST", "/admin/gateways"), Some(body), BAD, &[]);
    }
    assert_eq!(api.get(&there), row, "what was refused changed nothing");
    assert_eq!(api.get("/admin/gateways?meta=*")["meta"]["totalCount"], 2);
}
