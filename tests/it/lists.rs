//! Lists: every database answers filters and sorts alike.

use serde_json::{Value as Json, json};

use super::support::api::make_gateway;
use super::support::database::{Database, on_each_database};
use super::support::server::Server;

on_each_database!(
    filters_answer_alike,
    filters_refuse_alike,
    times_compare_as_times,
    sorts_answer_alike,
    text_with_nul_is_refused,
);

/// A server with three gateways that differ in case, in nulls and in characters of patterns.
fn three_gateways(database: Database) -> (Server, String) {
    let server = Server::start_on(database, &[], &[]);
    let token = server.admin_token();
    let origins = json!(["https://a.example"]);
    for fields in [
        json!({ "path": "/a", "description": "Alpha 100%", "scriptTimeoutMs": 100, "allowedOrigins": origins }),
        json!({ "path": "/B", "description": "alpha 100_[x]*?\\", "connectionScript": "return 1;" }),
        json!({ "path": "/c", "description": "", "scriptTimeoutMs": 300, "connectionScript": "return 2;" }),
    ] {
        make_gateway(&server, &token, fields, &[]);
    }
    (server, token)
}

/// The paths that a list of gateways has, without their slash.
fn paths(server: &Server, token: &str, query: &str) -> String {
    let answer = server.admin(token, "GET", &format!("/admin/gateways?{query}"), None);
    assert_eq!(answer.status, 200, "{query}: {}", answer.body);
    let rows = answer.json()["data"].as_array().unwrap().clone();
    rows.iter().map(|row| row["path"].as_str().unwrap()[1..].to_owned()).collect()
}

fn filter(filter: &Json) -> String {
    let bytes = filter.to_string().into_bytes();
    format!("sort=id&filter={}", bytes.iter().map(|byte| format!("%{byte:02X}")).collect::<String>())
}

fn filters_answer_alike(database: Database) {
    let (server, token) = three_gateways(database);
    let mut wrong = Vec::new();
    for (asked, expected) in [
        (json!({ "description": { "_contains": "alpha" } }), "B"),
        (json!({ "description": { "_contains": "lpha" } }), "aB"),
        (json!({ "description": { "_starts_with": "A" } }), "a"),
        (json!({ "description": { "_ends_with": "%" } }), "a"),
        (json!({ "description": { "_contains": "_" } }), "B"),
        (json!({ "description": { "_contains": "[x]" } }), "B"),
        (json!({ "description": { "_contains": "*" } }), "B"),
        (json!({ "description": { "_contains": "?" } }), "B"),
        (json!({ "description": { "_ends_with": "\\" } }), "B"),
        (json!({ "description": { "_contains": "" } }), "aBc"),
        (json!({ "path": { "_gt": "/a" } }), "c"),
        (json!({ "path": { "_between": ["/A", "/Z"] } }), "B"),
        // Null is a value like others.
        (json!({ "scriptTimeoutMs": null }), "B"),
        (json!({ "scriptTimeoutMs": { "_neq": null } }), "ac"),
        (json!({ "scriptTimeoutMs": { "_neq": 100 } }), "Bc"),
        (json!({ "scriptTimeoutMs": { "_gt": 0 } }), "ac"),
        (json!({ "scriptTimeoutMs": { "_in": [100, null] } }), "aB"),
        (json!({ "scriptTimeoutMs": { "_in": [] } }), ""),
        (json!({ "scriptTimeoutMs": { "_nin": [100] } }), "Bc"),
        (json!({ "scriptTimeoutMs": { "_nin": [100, null] } }), "c"),
        (json!({ "scriptTimeoutMs": { "_nin": [] } }), "aBc"),
        (json!({ "scriptTimeoutMs": { "_is_null": true } }), "B"),
        (json!({ "scriptTimeoutMs": { "_is_null": false } }), "ac"),
        (json!({ "_not": { "scriptTimeoutMs": { "_gt": 200 } } }), "aB"),
        (json!({ "_not": { "_not": { "scriptTimeoutMs": { "_gt": 200 } } } }), "c"),
        (json!({ "_not": { "connectionScript": { "_contains": "1" } } }), "ac"),
        (json!({ "_not": {} }), ""),
        (json!({ "_and": [] }), "aBc"),
        (json!({ "_or": [{ "path": "/a" }, { "_not": { "scriptTimeoutMs": { "_lte": 300 } } }] }), "aB"),
        // JSON.
        (json!({ "allowedOrigins": { "_is_null": true } }), "Bc"),
        (json!({ "allowedOrigins": ["https://a.example"] }), "a"),
        (json!({ "allowedOrigins": { "_neq": ["https://a.example"] } }), "Bc"),
        (json!({ "allowedOrigins": { "_in": [["https://a.example"], null] } }), "aBc"),
        (json!({ "requireAuth": false, "presence": { "_neq": true } }), "aBc"),
        (json!({ "id": { "_gt": "00000000-0000-0000-0000-000000000000" } }), "aBc"),
    ] {
        let found = paths(&server, &token, &filter(&asked));
        if found != expected {
            wrong.push(format!("{asked}: {found:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn filters_refuse_alike(database: Database) {
    let (server, token) = three_gateways(database);
    for asked in [
        json!({ "path": "nul \0" }),
        json!({ "path": { "_contains": "\0" } }),
        json!({ "path": { "_in": ["\0"] } }),
        json!({ "path": { "_contains": "x".repeat(16_001) } }),
        json!({ "limits": { "_gt": {} } }),
        json!({ "allowedOrigins": ["\0"] }),
        json!({ "limits": { "_between": [1, 2] } }),
        json!({ "createdAt": { "_gt": "9999-12-31T23:59:59-10:00" } }),
        json!({ "scriptTimeoutMs": { "_gt": 1.5 } }),
        json!({ "scriptTimeoutMs": { "_gt": null } }),
    ] {
        // Too long for the head of a request, some of them.
        let answer = server.admin(&token, "GET", &format!("/admin/gateways?{}", filter(&asked)), None);
        let is_refused = matches!((answer.status, answer.code().as_str()), (422, "VALIDATION_ERROR"));
        assert!(is_refused || answer.status == 431, "{asked}: {}", answer.body);
    }
    for sort in ["limits", "-allowedOrigins", "nothing"] {
        let answer = server.admin(&token, "GET", &format!("/admin/gateways?sort={sort}"), None);
        assert_eq!((answer.status, answer.code().as_str()), (422, "VALIDATION_ERROR"), "{}", answer.body);
    }
}

fn times_compare_as_times(database: Database) {
    let (server, token) = three_gateways(database);
    let all = server.admin(&token, "GET", "/admin/gateways?sort=id", None).json();
    let created = all["data"][1]["createdAt"].as_str().unwrap().to_owned();
    let second = created.split('.').next().unwrap().trim_end_matches('Z');
    let found = |asked: &Json| paths(&server, &token, &filter(asked));
    // With fewer digits, with more, and elsewhere on the globe, a moment is the same.
    assert!(found(&json!({ "createdAt": { "_gte": format!("{second}Z") } })).contains('B'));
    assert!(found(&json!({ "createdAt": { "_lt": format!("{second}Z") } })).find('B').is_none());
    assert!(found(&json!({ "createdAt": created })).contains('B'));
    assert_eq!(found(&json!({ "createdAt": { "_gt": "2020-01-01T00:00:00+14:00" } })), "aBc");
    assert_eq!(
        found(&json!({ "createdAt": { "_between": ["2020-01-01T00:00:00Z", "9999-01-01T00:00:00Z"] } })),
        "aBc"
    );
    assert_eq!(paths(&server, &token, "sort=createdAt"), "aBc");
    assert_eq!(paths(&server, &token, "sort=-createdAt"), "cBa");
}

fn sorts_answer_alike(database: Database) {
    let (server, token) = three_gateways(database);
    for (sort, expected) in [
        ("path", "Bac"),
        ("-path", "caB"),
        ("scriptTimeoutMs", "Bac"),
        ("-scriptTimeoutMs", "caB"),
        ("connectionScript,-path", "aBc"),
        // Equal in what is asked for: as they were made.
        ("requireAuth", "aBc"),
        ("-requireAuth", "aBc"),
        ("description", "cab".to_uppercase().replace('A', "a").replace('C', "c").as_str()),
    ] {
        assert_eq!(paths(&server, &token, &format!("sort={sort}")), expected, "{sort}");
    }
    for page in 1..=3 {
        let found = paths(&server, &token, &format!("sort=requireAuth&limit=1&page={page}"));
        assert_eq!(found, ["a", "B", "c"][page - 1]);
    }
}

fn text_with_nul_is_refused(database: Database) {
    let server = Server::start_on(database, &[], &[]);
    let token = server.admin_token();
    let made = make_gateway(&server, &token, json!({ "path": "/n" }), &[("e", "return 1;")]);
    let (gateway, event) =
        (format!("/admin/gateways/{}", made.id), format!("/admin/events/{}", made.events[0]));
    let events = format!("{gateway}/events");
    let password = "a long enough password";
    for (method, path, body) in [
        ("POST", "/admin/gateways", json!({ "path": "/\0" })),
        ("POST", "/admin/gateways", json!({ "path": "/x", "description": "a\0b" })),
        ("PATCH", &gateway, json!({ "connectionScript": "return \"\0\";" })),
        ("PATCH", &gateway, json!({ "disconnectionScript": "return \"\0\";" })),
        ("POST", &events, json!({ "eventName": "a\0", "sourceCode": "return 1;" })),
        ("PATCH", &event, json!({ "description": "\0" })),
        ("PATCH", &event, json!({ "payloadSchema": { "const": ["\0"] } })),
        ("PATCH", &event, json!({ "payloadSchema": { "title": { "\0": 1 } } })),
        ("PATCH", &event, json!({ "sourceCode": "return \"\0\";" })),
        ("POST", "/admin/users", json!({ "email": "a\0b@example.com", "password": password })),
        ("POST", "/admin/users", json!({ "email": "a@example.com", "name": "\0", "password": password })),
        ("POST", "/admin/users", json!({ "email": "a@example.com", "role": "\0", "password": password })),
    ] {
        let answer = server.admin(&token, method, path, Some(&body));
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (422, "VALIDATION_ERROR"),
            "{body}: {}",
            answer.body
        );
    }
    // Where text only names something, there is no such thing.
    let nobody = json!({ "email": "a\0b@example.com", "password": password });
    assert_eq!(server.call("POST", "/auth/login", Some(&nobody), &[]).status, 401);
    for body in [
        json!({ "kind": "websocket_event", "gatewayPath": "/\0", "eventName": "e" }),
        json!({ "kind": "websocket_event", "gatewayPath": "/n", "eventName": "e\0" }),
    ] {
        let answer = server.admin(&token, "POST", "/admin/test/run", Some(&body));
        assert_ne!(
            (answer.status, answer.code().as_str()),
            (500, "DATABASE_ERROR"),
            "{body}: {}",
            answer.body
        );
    }
}
