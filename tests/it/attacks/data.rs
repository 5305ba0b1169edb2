//! Data that is cut off in the middle, rows of others, and files that others could read.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::support::api::{Api, id, refused};
use crate::support::database::{Data, Database, on_each_database};
use crate::support::place::{Place, Running};
use crate::support::server::{Answer, Server, gatewright};

on_each_database!(killed_within_the_first_start);

/// First starts that are tried, each killed a little later than the one before.
const KILLS: u32 = 24;

/// Whenever the first start is killed, the next one works, with an admin who can sign in.
fn killed_within_the_first_start(database: Database) {
    let mut cut_off = 0;
    for number in 0..KILLS {
        let data = Data::on(database);
        let mut command = gatewright();
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        data.give_to(&mut command);
        let mut first = Running::spawn(command);
        let secret = data.path().join("secret");
        while !has_any(data.path()) && first.child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(u64::from(number * number) / 2));
        first.child.kill().unwrap();
        first.child.wait().unwrap();
        let said: Vec<String> = first.lines.iter().collect();
        cut_off += u32::from(!said.iter().any(|line| line.contains("listens on")));
        if secret.exists() {
            assert_eq!(std::fs::metadata(&secret).unwrap().len(), 32, "a part of a secret after {said:?}");
        }
        // With an admin whom the first start has made, or with the one of this start.
        let mut command = gatewright();
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        data.give_to(&mut command);
        let mut second = Running::spawn(command);
        let (greeting, url) = second.started();
        let password =
            said.iter().chain(&greeting).rev().find_map(|line| {
                Some(line.split(" with the password ").nth(1)?.split(' ').next()?.to_owned())
            });
        let password =
            password.unwrap_or_else(|| panic!("nobody was told a password: {said:?} {greeting:?}"));
        let body = json!({ "email": "admin@localhost", "password": password }).to_string();
        let headers = [("content-type", "application/json")];
        let answer = crate::support::server::send(&url, "POST", "/auth/login", &headers, body.as_bytes());
        assert_eq!(answer.status, 200, "after {number}: {said:?} {greeting:?} {}", answer.body);
        second.stop();
    }
    assert!(cut_off > KILLS / 4, "only {cut_off} of {KILLS} were killed before they listened");
}

fn has_any(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode()
        & 0o777
}

/// Nobody else on the machine reads rows, password hashes or the secret.
#[test]
fn reading_the_data_folder_as_another_user() {
    let place = Place::new();
    let folder = place.path("data");
    let command = place.command(&["serve", "--listen", "127.0.0.1:0", "--data", "data"], &[]);
    let mut server = Running::spawn(command);
    server.started();
    assert_eq!(mode(&folder), 0o700);
    for name in ["secret", "gatewright.db", "gatewright.db-wal", "gatewright.db-shm"] {
        assert_eq!(mode(&folder.join(name)), 0o600, "{name}");
    }
    place.run(&["backup", "--data", "data", "copy.db"]).check(0, &["copied"]);
    assert_eq!(mode(&place.path("copy.db")), 0o600);
    server.stop();
    // What an earlier version left open is closed at the next start.
    for name in ["secret", "gatewright.db"] {
        std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    place.run(&["user", "list", "--data", "data"]).check(0, &["admin@localhost"]);
    for name in ["secret", "gatewright.db"] {
        assert_eq!(mode(&folder.join(name)), 0o600, "{name}");
    }
}

/// A copy is never written over what is there.
#[test]
fn a_backup_over_another_file() {
    let api = Api::of(Server::start_on(Database::Sqlite, &[], &[]));
    let place = Place::new();
    place.write("precious", "text");
    let data = api.server.data.clone();
    let done = place.run_on(&data, &["backup", "precious"]);
    assert_ne!(done.code, Some(0), "{}", done.all());
    assert_eq!(std::fs::read_to_string(place.path("precious")).unwrap(), "text");
}

on_each_database!(giving_rows_to_others, learning_of_rows_by_references, rules_that_their_users_change);

/// A call by a user or, without a token, by anyone.
fn call(api: &Api, token: Option<&str>, method: &str, path: &str, body: &Json) -> Answer {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
    api.server.call(method, path, Some(body), &headers)
}

/// Only an admin makes a row another's, whatever else a rule lets do.
fn giving_rows_to_others(database: Database) {
    let api = Api::on(database);
    let ((ann, token), (bob, _)) = (api.user("ann@example.com"), api.user("bob@example.com"));
    let columns = json!([{ "name": "owner", "type": "uuid" }, { "name": "n", "type": "integer" }]);
    for (name, write) in [("open", "public"), ("users", "user"), ("filtered", "filter")] {
        let rule = if write == "filter" { json!({ "n": { "_gte": 0 } }) } else { json!(write) };
        let access = json!({ "read": "public", "create": rule, "update": rule, "ownerColumn": "owner" });
        api.make("/admin/tables", json!({ "name": name, "columns": columns, "access": access }));
        let path = format!("/data/{name}");
        let mut callers = vec![(Some(token.as_str()), ann["id"].clone())];
        callers.extend((write == "public").then_some((None, Json::Null)));
        for (token, own) in callers {
            let call = |method: &str, path: &str, body: Json| call(&api, token, method, path, &body);
            for wrong in
                [json!({ "owner": bob["id"], "n": 1 }), json!({ "owner": uuid::Uuid::nil(), "n": 1 })]
            {
                refused(&call("POST", &path, wrong), 403, "AUTHORIZATION_ERROR", "owner");
            }
            let made = call("POST", &path, json!({ "n": 1 }));
            assert_eq!((made.status, &made.json()["owner"]), (201, &own), "{name}");
            assert_eq!(call("POST", &path, json!({ "owner": own, "n": 1 })).status, 201, "{name}");
            let row = format!("{path}/{}", id(&made.json()));
            for wrong in [json!({ "owner": bob["id"] }), json!({ "owner": uuid::Uuid::nil(), "n": 2 })] {
                refused(&call("PATCH", &row, wrong), 403, "AUTHORIZATION_ERROR", "owner");
            }
            assert_eq!(call("PATCH", &row, json!({ "owner": own, "n": 3 })).status, 200, "{name}");
            // Nor is another's row taken.
            let theirs = format!("{path}/{}", id(&api.row(name, json!({ "owner": bob["id"], "n": 1 }))));
            refused(&call("PATCH", &theirs, json!({ "owner": own })), 403, "AUTHORIZATION_ERROR", "owner");
            assert_eq!(
                call("PATCH", &theirs, json!({ "n": 4 })).status,
                200,
                "{name}: the rule lets it change"
            );
            assert_eq!(api.get(&theirs)["owner"], bob["id"]);
        }
    }
    let script =
        "return #secure.users.create(#{ data: #{ owner: \"00000000-0000-0000-0000-000000000000\" } });";
    let answer = api
        .test_run(json!({ "kind": "script", "script": script, "user": { "id": ann["id"], "role": "user" } }));
    assert_eq!(answer["error"]["code"], "AUTHORIZATION_ERROR", "{answer}");
}

/// A reference to a row that one may not read is answered as one to a row that is not there.
fn learning_of_rows_by_references(database: Database) {
    let api = Api::on(database);
    let ((ann, token), (bob, _)) = (api.user("ann@example.com"), api.user("bob@example.com"));
    let columns = json!([{ "name": "owner", "type": "uuid" }]);
    let access = json!({ "read": "owner", "ownerColumn": "owner" });
    api.make("/admin/tables", json!({ "name": "room", "columns": columns, "access": access }));
    api.make("/admin/tables", json!({ "name": "vault", "columns": columns }));
    let columns = json!([
        { "name": "room", "type": "uuid", "references": "room" },
        { "name": "vault", "type": "uuid", "references": "vault" },
    ]);
    let access = json!({ "read": "user", "create": "user", "update": "user" });
    api.make("/admin/tables", json!({ "name": "note", "columns": columns, "access": access }));
    let own = api.row("room", json!({ "owner": ann["id"] }));
    let theirs = api.row("room", json!({ "owner": bob["id"] }));
    let locked = api.row("vault", json!({ "owner": ann["id"] }));
    let made = call(&api, Some(&token), "POST", "/data/note", &json!({ "room": own["id"], "vault": null }));
    assert_eq!(made.status, 201, "{}", made.body);
    let path = format!("/data/note/{}", id(&made.json()));
    for (method, path) in [("POST", "/data/note"), ("PATCH", path.as_str())] {
        let answer = |body: Json| {
            let answer = call(&api, Some(&token), method, path, &body);
            refused(&answer, 422, "VALIDATION_ERROR", "reference");
            answer.json()["message"].clone()
        };
        let missing = answer(json!({ "room": uuid::Uuid::now_v7() }));
        assert_eq!(answer(json!({ "room": theirs["id"] })), missing);
        assert_eq!(answer(json!({ "vault": locked["id"] })), missing);
        assert_eq!(answer(json!({ "vault": uuid::Uuid::now_v7() })), missing);
        assert_eq!(answer(json!({ "room": own["id"], "vault": locked["id"] })), missing);
    }
    assert_eq!(api.row("note", json!({ "vault": locked["id"] }))["vault"], locked["id"], "an admin may");
    // What is taken is told without the value, and without the row that has it.
    let columns =
        json!([{ "name": "code", "type": "string", "unique": true }, { "name": "owner", "type": "uuid" }]);
    let access = json!({ "read": "owner", "create": "user", "ownerColumn": "owner" });
    api.make("/admin/tables", json!({ "name": "coupon", "columns": columns, "access": access }));
    let taken = api.row("coupon", json!({ "code": "SECRET", "owner": bob["id"] }));
    let answer = call(&api, Some(&token), "POST", "/data/coupon", &json!({ "code": "SECRET" }));
    refused(&answer, 409, "DUPLICATE_RESOURCE", "code");
    assert!(!answer.body.contains("SECRET") && !answer.body.contains(id(&taken)), "{}", answer.body);
}

/// No rule rests on what users change of themselves.
fn rules_that_their_users_change(database: Database) {
    let api = Api::on(database);
    let columns = json!([{ "name": "team", "type": "string" }, { "name": "owner", "type": "string" }]);
    let table = api.table("doc", columns);
    for field in ["name", "email", "profile", "createdAt", "isEnabled", ""] {
        for rule in [
            json!({ "team": format!("@USER.{field}") }),
            json!({ "_or": [{ "owner": "@USER.id" }, { "_not": { "team": { "_in": [format!("@USER.{field}")] } } }] }),
        ] {
            let answer = api.alter(&table, json!({ "access": { "read": rule } }));
            refused(&answer, 422, "VALIDATION_ERROR", "@USER.id, @USER.role");
        }
    }
    api.altered(
        &table,
        json!({ "access": { "read": { "_or": [{ "owner": "@USER.id" }, { "team": "@USER.role" }] } } }),
    );
    api.row("doc", json!({ "team": "user" }));
    api.row("doc", json!({ "team": "editor" }));
    let (_, token) = api.user("ann@example.com");
    let bearer = format!("Bearer {token}");
    let found = api.server.call("GET", "/data/doc", None, &[("authorization", &bearer)]).json();
    assert_eq!(found["data"].as_array().unwrap().len(), 1);
}
