//! App keys: made by admins and on the command line, shown once, each within its scopes.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use time::format_description::well_known::Rfc3339;

use super::support::api::{Api, make_gateway};
use super::support::database::{Database, on_each_database};
use super::support::place::Place;
use super::support::polling::Polling;
use super::support::server::{Answer, PATIENCE, Server};

const SCOPES: [&str; 5] = ["socket:read", "socket:broadcast", "data:read", "data:write", "routes"];

#[test]
fn app_keys_are_made_listed_changed_and_deleted() {
    let server = Server::start();
    let token = server.admin_token();
    let admin = |method, path: &str, body: Option<Json>| server.admin(&token, method, path, body.as_ref());

    let body = json!({ "name": " ci ", "scopes": ["data:read", "socket:read", "data:read"] });
    let made = admin("POST", "/admin/app-keys", Some(body));
    assert_eq!(made.status, 201, "{}", made.body);
    let made = made.json();
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with("gwk_") && key.len() > 40, "{key}");
    assert_eq!((&made["name"], &made["expiresAt"]), (&json!("ci"), &json!(null)));
    assert_eq!(made["scopes"], json!(["socket:read", "data:read"]), "each once");
    let path = format!("/admin/app-keys/{}", made["id"].as_str().unwrap());

    let mut row = made.clone();
    row.as_object_mut().unwrap().remove("key");
    assert_eq!(admin("GET", &path, None).json(), row, "the key is shown once");
    let list = admin("GET", "/admin/app-keys?meta=*", None).json();
    assert_eq!(list, json!({ "data": [row], "meta": { "totalCount": 1, "filterCount": 1 } }));
    let found = admin("GET", &format!("{}&fields=name", filtered("name", "_eq", "ci")), None);
    assert_eq!(found.json()["data"], json!([{ "name": "ci" }]));
    for hidden in ["keyHash", "key"] {
        let path = filtered(hidden, "_starts_with", "a");
        check_refused(&admin("GET", &path, None), 422, "VALIDATION_ERROR");
    }

    let expires_at = (time::OffsetDateTime::now_utc() + Duration::from_secs(3600)).format(&Rfc3339).unwrap();
    let change = json!({ "name": "deploy", "scopes": ["routes"], "expiresAt": expires_at });
    let changed = admin("PATCH", &path, Some(change)).json();
    assert_eq!((&changed["name"], &changed["scopes"]), (&json!("deploy"), &json!(["routes"])));
    assert!(changed["expiresAt"].is_string() && changed.get("key").is_none(), "{changed}");
    let changed = admin("PATCH", &path, Some(json!({ "expiresAt": null }))).json();
    assert_eq!((&changed["name"], &changed["expiresAt"]), (&json!("deploy"), &json!(null)));

    assert_eq!(admin("DELETE", &path, None).status, 204);
    for (method, body) in [("GET", None), ("PATCH", Some(json!({ "name": "x" }))), ("DELETE", None)] {
        check_refused(&admin(method, &path, body), 404, "RESOURCE_NOT_FOUND");
    }
}

/// The same key with another secret: what showed the old one ends.
fn app_keys_are_rotated(database: Database) {
    let api = Api::on(database);
    make_gateway(&api.server, &api.token, json!({ "path": "/k", "requireAppKey": true }), &[("e", "1")]);
    let (row, old) = make(&api.server, &api.token, &["socket:read"]);
    let path = format!("/admin/app-keys/{}", row["id"].as_str().unwrap());
    assert_eq!(row["lastUsedAt"], json!(null));
    assert_eq!(metrics(&api.server, &old).status, 200);
    let connect = |key: &str| {
        let auth = json!({ "appToken": key }).to_string();
        Polling::try_connect_with(&api.server.url, "/k", &auth)
    };
    let mut socket = connect(&old).unwrap_or_else(|refused| panic!("{refused}"));

    let answer = api.admin("POST", &format!("{path}/rotate"), Json::Null);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let mut rotated = answer.json();
    let new = rotated.as_object_mut().unwrap().remove("key").unwrap();
    let new = new.as_str().unwrap();
    assert_ne!(new, old);
    for same in ["id", "name", "scopes", "expiresAt", "createdAt"] {
        assert_eq!(rotated[same], row[same], "{same}");
    }
    check_refused(&metrics(&api.server, &old), 401, "AUTH_INVALID");
    assert_eq!(metrics(&api.server, new).status, 200);
    while socket.packet().kind != '1' {}
    assert!(connect(&old).is_err());
    connect(new).unwrap_or_else(|refused| panic!("{refused}"));

    // Written beside the request that used it.
    let deadline = Instant::now() + PATIENCE;
    let used = loop {
        let row = api.get(&path);
        if !row["lastUsedAt"].is_null() {
            break row;
        }
        assert!(Instant::now() < deadline, "{row} was never used");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(used["updatedAt"], rotated["updatedAt"], "a use is no change");
    assert!(used.get("key").is_none() && used.get("keyHash").is_none(), "{used}");
    for _ in 0..20 {
        assert_eq!(metrics(&api.server, new).status, 200);
    }
    assert_eq!(api.get(&path)["lastUsedAt"], used["lastUsedAt"], "once a minute");
    let missing = "/admin/app-keys/01890000-0000-7000-8000-000000000000/rotate";
    check_refused(&api.admin("POST", missing, Json::Null), 404, "RESOURCE_NOT_FOUND");
}

on_each_database!(app_keys_are_rotated);

#[test]
fn app_keys_that_make_no_sense() {
    let server = Server::start();
    let token = server.admin_token();
    let (row, _) = make(&server, &token, &["routes"]);
    let path = format!("/admin/app-keys/{}", row["id"].as_str().unwrap());
    let name = "x".repeat(201);
    for (body, named) in [
        (json!({ "scopes": ["data:read", "data:everything"] }), "data:everything"),
        (json!({ "scopes": ["Routes"] }), "socket:broadcast"),
        (json!({ "scopes": [] }), "scopes"),
        (json!({ "name": "" }), "name"),
        (json!({ "name": "  " }), "name"),
        (json!({ "name": name }), "name"),
        (json!({ "expiresAt": "2020-01-01T00:00:00Z" }), "expiresAt"),
    ] {
        let mut whole = json!({ "name": "x", "scopes": ["routes"] });
        whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        for answer in [
            server.admin(&token, "POST", "/admin/app-keys", Some(&whole)),
            server.admin(&token, "PATCH", &path, Some(&body)),
        ] {
            check_refused(&answer, 422, "VALIDATION_ERROR");
            assert!(answer.body.contains(named), "{named}: {}", answer.body);
        }
    }
    for body in [
        json!({ "name": "x", "scopes": ["routes"], "key": "gwk_mine" }),
        json!({ "name": "x", "scopes": "routes" }),
        json!({ "name": "x", "scopes": ["routes"], "expiresAt": "tomorrow" }),
        json!({ "scopes": ["routes"] }),
    ] {
        check_refused(&server.admin(&token, "POST", "/admin/app-keys", Some(&body)), 400, "BAD_REQUEST");
    }
    let unknown = server.admin(&token, "PATCH", &path, Some(&json!({ "keyHash": "0" })));
    check_refused(&unknown, 400, "BAD_REQUEST");
    assert_eq!(server.admin(&token, "GET", &path, None).json(), row, "nothing of it was done");
}

#[test]
fn app_keys_open_what_their_scopes_say_and_no_more() {
    let server = Server::start();
    let token = server.admin_token();
    for scope in SCOPES {
        let (_, key) = make(&server, &token, &[scope]);
        let answer = metrics(&server, &key);
        if scope == "socket:read" {
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert!(answer.body.contains("gatewright_"), "{}", answer.body);
        } else {
            check_refused(&answer, 403, "AUTHORIZATION_ERROR");
            assert!(answer.body.contains("socket:read"), "{}", answer.body);
        }
    }
    let (_, all) = make(&server, &token, &SCOPES);
    for (method, path) in [
        ("GET", "/admin/app-keys"),
        ("GET", "/admin/users"),
        ("GET", "/admin/logs"),
        ("GET", "/me"),
        ("POST", "/auth/websocket-token"),
    ] {
        let answer = server.call(method, path, None, &[("x-app-token", &all)]);
        assert_eq!(answer.status, 401, "{method} {path}: {}", answer.body);
    }
    // A key is no token, and a token no key.
    let bearer = format!("Bearer {all}");
    check_refused(&server.call("GET", "/metrics", None, &[("authorization", &bearer)]), 401, "AUTH_INVALID");
    check_refused(&metrics(&server, &token), 401, "AUTH_INVALID");
}

#[test]
fn app_keys_that_do_not_count() {
    let server = Server::start_with(&[("LOGS__LEVEL", "trace")], &[]);
    let token = server.admin_token();
    let (row, key) = make(&server, &token, &["socket:read"]);
    let bad = [
        String::new(),
        "gwk_".to_owned(),
        "nonsense".to_owned(),
        format!("{key}x"),
        key[..key.len() - 1].to_owned(),
        key.to_lowercase(),
        key.replacen("gwk_", "", 1),
        format!("gwk_{}", "A".repeat(5000)),
        "gwk_' OR 1=1 --".to_owned(),
    ];
    for bad in &bad {
        check_refused(&metrics(&server, bad), 401, "AUTH_INVALID");
    }
    // Whatever else the request brings.
    let bearer = format!("Bearer {token}");
    let both = [("x-app-token", "gwk_bad"), ("authorization", &*bearer)];
    check_refused(&server.call("GET", "/metrics", None, &both), 401, "AUTH_INVALID");
    let cookie = [("cookie", "accessToken=stale")];
    check_refused(&server.call("GET", "/metrics", None, &cookie), 401, "AUTHENTICATION_ERROR");
    check_refused(&server.call("GET", "/metrics", None, &[]), 401, "AUTHENTICATION_ERROR");
    let bad_bearer = [("authorization", "Bearer nonsense")];
    check_refused(&server.call("GET", "/metrics", None, &bad_bearer), 401, "AUTH_INVALID");

    // Changed and deleted: from the next request on.
    assert_eq!(metrics(&server, &key).status, 200);
    let path = format!("/admin/app-keys/{}", row["id"].as_str().unwrap());
    server.admin(&token, "PATCH", &path, Some(&json!({ "scopes": ["routes"] })));
    check_refused(&metrics(&server, &key), 403, "AUTHORIZATION_ERROR");
    server.admin(&token, "DELETE", &path, None);
    check_refused(&metrics(&server, &key), 401, "AUTH_INVALID");

    let (_, kept) = make(&server, &token, &["socket:read"]);
    assert_eq!(metrics(&server, &kept).status, 200);
    let (status, data, log) = server.stop();
    assert!(status.success(), "{log}");
    assert!(!log.contains(&key) && !log.contains(&kept), "a key is in the log");
    for file in std::fs::read_dir(data.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let found = bytes.windows(kept.len()).any(|window| window == kept.as_bytes());
        assert!(!found, "a key is in the database");
    }
}

#[test]
fn app_keys_expire() {
    let server = Server::start();
    let token = server.admin_token();
    let expires_at = (time::OffsetDateTime::now_utc() + Duration::from_secs(15)).format(&Rfc3339).unwrap();
    let body = json!({ "name": "short", "scopes": ["socket:read"], "expiresAt": expires_at });
    let made = server.admin(&token, "POST", "/admin/app-keys", Some(&body)).json();
    let deadline = Instant::now() + PATIENCE;
    let refused = loop {
        let answer = metrics(&server, made["key"].as_str().unwrap());
        if answer.status != 200 {
            break answer;
        }
        assert!(Instant::now() < deadline, "it does not expire");
        std::thread::sleep(Duration::from_millis(50));
    };
    check_refused(&refused, 401, "AUTH_INVALID");
    let end = time::OffsetDateTime::parse(made["expiresAt"].as_str().unwrap(), &Rfc3339).unwrap();
    assert!(time::OffsetDateTime::now_utc() >= end, "it expired too soon");
}

#[test]
fn app_keys_on_the_command_line() {
    let server = Server::start();
    let place = Place::new();
    let run = |args: &[&str]| {
        let mut all = vec!["app-key"];
        all.extend(args);
        place.run_on(&server.data, &all)
    };
    let create = |more: &[&str]| {
        let mut all = vec!["create", "--name", "exporter"];
        all.extend(more);
        run(&all)
    };
    let made = create(&["--scope", "socket:read", "--scope", "data:read", "--expires", "30d"]);
    made.check(0, &["exporter", "shown this once"]);
    let key = made.out.split_whitespace().find(|word| word.starts_with("gwk_")).unwrap();
    assert_eq!(metrics(&server, key).status, 200, "it counts in the running server");
    let list = run(&["list"]);
    list.check(0, &["exporter", "socket:read", "data:read", "expires"]);
    assert!(!list.all().contains("gwk_"), "{}", list.all());

    create(&["--scope", "data:all"]).check(1, &["data:all", "data:write"]);
    create(&["--scope", "routes", "--expires", "soon"]).check(2, &["soon"]);
    create(&[]).check(2, &["--scope"]);
    let id = made.out.split_whitespace().next().unwrap();
    run(&["delete", id]).check(0, &[id]);
    check_refused(&metrics(&server, key), 401, "AUTH_INVALID");
    run(&["delete", id]).check(1, &[id]);
    run(&["delete", "nonsense"]).check(2, &["nonsense"]);
    assert!(run(&["list"]).out.is_empty());
}

/// Makes a key; its row, as it can be read again, and the key itself.
fn make(server: &Server, token: &str, scopes: &[&str]) -> (Json, String) {
    let body = json!({ "name": "a key", "scopes": scopes });
    let made = server.admin(token, "POST", "/admin/app-keys", Some(&body));
    assert_eq!(made.status, 201, "{}", made.body);
    let mut row = made.json();
    let key = row.as_object_mut().unwrap().remove("key").unwrap();
    (row, key.as_str().unwrap().to_owned())
}

fn filtered(field: &str, operator: &str, value: &str) -> String {
    let filter = json!({ field: { operator: value } }).to_string();
    let encoded: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
    format!("/admin/app-keys?filter={encoded}")
}

fn metrics(server: &Server, key: &str) -> Answer {
    server.call("GET", "/metrics", None, &[("x-app-token", key)])
}

fn check_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.body);
}
