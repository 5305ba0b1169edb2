//! Who did what: every change through the admin API, and sign-ins.

use serde_json::{Value as Json, json};

use super::{INVALID, NOBODY, check_id, check_time, encode};
use crate::support::api::Api;
use crate::support::database::{Database, on_each_database};
use crate::support::server::{ADMIN_EMAIL, ADMIN_PASSWORD, Server};

/// The entries that meet a filter, newest first.
fn entries(api: &Api, filter: Json) -> Vec<Json> {
    let found = api.get(&format!("/admin/audit?limit=1000&filter={}", encode(&filter.to_string())));
    found["data"].as_array().unwrap().clone()
}

/// Action, kind, subject and outcome of each, oldest first.
fn told(entries: &[Json]) -> Vec<[String; 4]> {
    let text = |entry: &Json, name: &str| entry[name].as_str().unwrap_or("-").to_owned();
    let line = |entry| ["action", "kind", "subject", "outcome"].map(|name| text(entry, name));
    entries.iter().rev().map(line).collect()
}

fn admin_api_audit(database: Database) {
    let api = Api::on(database);
    let own = api.get("/me")["id"].clone();
    let gateway = api.make("/admin/gateways", json!({ "path": "/a", "requireAuth": false }));
    let path = format!("/admin/gateways/{}", gateway["id"].as_str().unwrap());
    let event = api.make(&format!("{path}/events"), json!({ "eventName": "e", "sourceCode": "return 1;" }));
    let event_path = format!("/admin/events/{}", event["id"].as_str().unwrap());
    api.patch(&event_path, json!({ "sourceCode": "return 2;" }));
    api.call("POST", &format!("{event_path}/revisions/1/restore"), None, 200);
    api.patch(&path, json!({ "path": "/b" }));
    api.refuses(("PATCH", &path), Some(json!({ "path": "no slash" })), INVALID, &[]);
    let key = api.make("/admin/app-keys", json!({ "name": "ci", "scopes": ["routes"] }));
    let key_path = format!("/admin/app-keys/{}", key["id"].as_str().unwrap());
    let rotated = api.call("POST", &format!("{key_path}/rotate"), None, 200);
    api.delete(&key_path);
    api.delete(&path);
    // What changes nothing is no deed.
    api.get("/admin/gateways");
    api.call("POST", "/admin/script/validate", Some(json!({ "script": "1", "context": "event" })), 200);
    api.test_run(json!({ "kind": "script", "script": "1" }));
    api.call("POST", "/admin/packs", Some(json!({ "name": "chat", "dryRun": true })), 200);
    api.run("1");
    api.make("/admin/packs", json!({ "name": "chat" }));
    api.delete("/admin/packs/chat");

    let of_admin = entries(&api, json!({ "kind": { "_neq": "session" } }));
    let expected = [
        ["create", "gateway", "/a", "ok"],
        ["create", "event", "/a e", "ok"],
        ["update", "event", "/a e", "ok"],
        ["restore", "event", "/a e", "ok"],
        ["update", "gateway", "/a", "ok"],
        ["update", "gateway", "/b", "error"],
        ["create", "appKey", "ci", "ok"],
        ["rotate", "appKey", "ci", "ok"],
        ["delete", "appKey", "ci", "ok"],
        ["delete", "gateway", "/b", "ok"],
        ["run", "script", "-", "ok"],
        ["install", "pack", "chat", "ok"],
        ["delete", "pack", "chat", "ok"],
    ];
    assert_eq!(told(&of_admin), expected.map(|line| line.map(str::to_owned)));
    for entry in &of_admin {
        check_id(&entry["id"]);
        check_time(&entry["createdAt"]);
        assert_eq!((&entry["user"], &entry["userId"]), (&json!(ADMIN_EMAIL), &own), "{entry}");
        assert_eq!(entry["address"], "127.0.0.1");
    }
    assert_eq!(of_admin.last().unwrap()["subjectId"], gateway["id"]);
    let refused = &entries(&api, json!({ "outcome": "error", "kind": "gateway" }))[0];
    assert_eq!(refused["code"], "VALIDATION_ERROR", "{refused}");
    let text = json!(entries(&api, json!({}))).to_string();
    for secret in [ADMIN_PASSWORD, key["key"].as_str().unwrap(), rotated["key"].as_str().unwrap(), "return 2"]
    {
        assert!(!text.contains(secret), "{secret} is in the audit");
    }
    // A list as any other.
    let page = api.get("/admin/audit?limit=2&page=2&sort=action&fields=action&meta=*");
    assert_eq!(page["data"].as_array().unwrap().len(), 2);
    assert!(page["meta"]["totalCount"].as_u64().unwrap() >= 13, "{page}");
    api.refuses(("GET", "/admin/audit?sort=password"), None, INVALID, &["password", "createdAt"]);
}

fn admin_api_audit_of_sign_ins(database: Database) {
    let api = Api::on(database);
    let (_, token) = api.user("ada@example.com");
    let login = |email: &str, password: &str| {
        let body = json!({ "email": email, "password": password });
        api.server.call("POST", "/auth/login", Some(&body), &[]).status
    };
    assert_eq!(login("ADA@example.com", "wrong password"), 401);
    assert_eq!(login("hunter2-typed-in-the-wrong-field", "wrong password"), 401);
    assert_eq!(api.server.admin(&token, "PATCH", "/me", Some(&json!({ "name": "Ada" }))).status, 200);
    assert_eq!(api.server.admin(&token, "POST", "/auth/logout", None).status, 204);
    // Nobody who is not let in is on record, so that nobody can fill it.
    assert_eq!(api.server.call("DELETE", &format!("/admin/gateways/{NOBODY}"), None, &[]).status, 401);
    let signed_in = json!({ "email": "ada@example.com", "password": "some password" });
    let token = api.server.call("POST", "/auth/login", Some(&signed_in), &[]).json();
    let token = token["accessToken"].as_str().unwrap();
    assert_eq!(api.server.admin(token, "DELETE", &format!("/admin/gateways/{NOBODY}"), None).status, 403);
    assert_eq!(api.server.admin(token, "GET", "/admin/audit", None).status, 403);

    let all = entries(&api, json!({ "kind": { "_in": ["session", "ownAccount", "gateway"] } }));
    let told: Vec<_> = all
        .iter()
        .rev()
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap_or("-").to_owned();
            [text("action"), text("user"), text("outcome"), text("code")]
        })
        .collect();
    let expected = [
        ["signIn", ADMIN_EMAIL, "ok", "-"],
        ["signIn", "ada@example.com", "ok", "-"],
        ["signIn", "ada@example.com", "error", "AUTHENTICATION_ERROR"],
        ["signIn", "-", "error", "AUTHENTICATION_ERROR"],
        ["update", "ada@example.com", "ok", "-"],
        ["signOut", "ada@example.com", "ok", "-"],
        ["signIn", "ada@example.com", "ok", "-"],
    ];
    assert_eq!(told, expected.map(|line| line.map(str::to_owned)));
    assert!(!json!(all).to_string().contains("hunter2"), "what is no account may be a password");
}

/// However much is written: there are no more entries than configured, and sign-ins push out no changes.
fn admin_api_audit_is_bounded(database: Database) {
    let settings = [("AUDIT__ROWS", "100"), ("AUTH__LOGIN_FAILURES_PER_MINUTE", "100000")];
    let api = Api::of(Server::start_on(database, &settings, &[]));
    api.make("/admin/gateways", json!({ "path": "/kept" }));
    let body = json!({ "email": "nobody@example.com", "password": "wrong password" });
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..70 {
                    assert_eq!(api.server.call("POST", "/auth/login", Some(&body), &[]).status, 401);
                }
            });
        }
    });
    let left = crate::support::server::until("too many are deleted", || {
        let all = api.get("/admin/audit?meta=*&limit=1");
        (all["meta"]["totalCount"].as_u64().unwrap() <= 60).then(|| entries(&api, json!({})))
    });
    assert_eq!(left.last().unwrap()["action"], "signIn", "the admin's own");
    assert!(left.iter().any(|entry| entry["subject"] == "/kept"), "{left:?}");
}

on_each_database!(admin_api_audit, admin_api_audit_of_sign_ins, admin_api_audit_is_bounded);
