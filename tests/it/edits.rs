//! Edits of definitions are units: at the same time nothing is lost, and what is cut off leaves nothing.

use serde_json::{Map, Value as Json, json};

use super::support::api::{Api, id, make_gateway};
use super::support::database::{Data, Database, on_each_database, run_sql};
use super::support::polling::Polling;
use super::support::server::{Server, until};

/// Two admins change different fields of one row, again and again: both changes are there.
fn changes_at_once_keep_each_other(database: Database) {
    const ROUNDS: usize = 10;
    let api = Api::on(database);
    let made = make_gateway(&api.server, &api.token, json!({ "path": "/both" }), &[("e", "return 0;")]);
    let (gateway, event) =
        (format!("/admin/gateways/{}", made.id), format!("/admin/events/{}", made.events[0]));
    for round in 1..=ROUNDS {
        let changes = [
            (&event, json!({ "description": format!("description {round}") })),
            (&event, json!({ "timeoutMs": round })),
            (&event, json!({ "sourceCode": format!("return {round};") })),
            (&gateway, json!({ "description": format!("gateway {round}") })),
            (&gateway, json!({ "limits": { "burst": round } })),
            (&gateway, json!({ "limits": { "messageBytes": round } })),
        ];
        std::thread::scope(|scope| {
            for (path, change) in &changes {
                let api = &api;
                scope.spawn(move || {
                    let answer = api.admin("PATCH", path, change.clone());
                    assert_eq!(answer.status, 200, "{change}: {}", answer.body);
                });
            }
        });
        for (path, change) in &changes {
            let row = api.get(path);
            assert_contains(&row, change);
        }
    }
    let revisions = api.get(&format!("{event}/revisions?limit=1000"))["data"].clone();
    let numbers: Vec<_> =
        revisions.as_array().unwrap().iter().map(|row| row["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=1 + ROUNDS as u64).rev().collect::<Vec<_>>(), "each save of a script, once");
}

/// That a value has all that another has.
fn assert_contains(found: &Json, expected: &Json) {
    match expected {
        Json::Object(fields) => fields.iter().for_each(|(name, value)| assert_contains(&found[name], value)),
        value => assert_eq!(found, value),
    }
}

/// Routes that match the same requests are made at once: one is.
fn alike_routes_at_once_are_one(database: Database) {
    let api = Api::on(database);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let made = ["/a/{id}", "/a/{name}", "/a/{other}"].map(|path| {
            let body = json!({ "method": "GET", "path": path, "sourceCode": "1" });
            let api = &api;
            scope.spawn(move || api.admin("POST", "/admin/routes", body).status)
        });
        made.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 201 | 409)), "{statuses:?}");
}

/// A pack is installed twice at once: both say so, and its things are there once.
fn packs_are_installed_one_after_the_other(database: Database) {
    let api = Api::on(database);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let api = &api;
            scope.spawn(move || {
                let answer = api.admin("POST", "/admin/packs", json!({ "name": "chat" }));
                assert_eq!(answer.status, 201, "{}", answer.body);
            });
        }
    });
    let again = api.admin("POST", "/admin/packs", json!({ "name": "chat" })).json();
    assert_eq!(again["changes"], json!([]));
    let gateways = api.get("/admin/gateways?filter=%7B%22path%22:%22/chat%22%7D")["data"].clone();
    assert_eq!(gateways.as_array().unwrap().len(), 1);
}

/// A pack that fails after some of its tables were made leaves nothing, and works once it can.
fn a_pack_that_fails_leaves_nothing(database: Database) {
    let data = Data::on(database);
    let url = data.sql_url();
    let api = Api::in_data(data);
    // The last table of the pack, by the order in which they are made, is somebody else's.
    let tables = dry_run(&api);
    let last = tables.last().unwrap().strip_prefix("table ").unwrap().to_owned();
    run_sql(&url, &format!("CREATE TABLE \"{last}\" (n INTEGER)")).unwrap();
    let refused = api.admin("POST", "/admin/packs", json!({ "name": "chat" }));
    assert_eq!((refused.status, refused.code().as_str()), (409, "DUPLICATE_RESOURCE"), "{}", refused.body);
    assert!(refused.body.contains(&last), "{}", refused.body);
    assert_nothing_of_the_pack(&api);
    run_sql(&url, &format!("DROP TABLE \"{last}\"")).unwrap();
    assert_eq!(api.admin("POST", "/admin/packs", json!({ "name": "chat" })).status, 201);
}

/// The tables that the pack chat would make, in order.
fn dry_run(api: &Api) -> Vec<String> {
    let plan = api.admin("POST", "/admin/packs", json!({ "name": "chat", "dryRun": true })).json();
    let subjects =
        plan["changes"].as_array().unwrap().iter().map(|change| change["subject"].as_str().unwrap());
    let tables: Vec<_> =
        subjects.filter(|subject| subject.starts_with("table ")).map(str::to_owned).collect();
    assert!(tables.len() > 1, "{plan}");
    tables
}

fn assert_nothing_of_the_pack(api: &Api) {
    for list in ["tables", "gateways", "routes", "hooks"] {
        assert_eq!(api.get(&format!("/admin/{list}"))["data"], json!([]), "{list}");
    }
    assert_eq!(api.get("/admin/packs/chat")["isInstalled"], false);
}

/// A server that is killed while it installs a pack: all of it is there afterwards, or nothing.
fn a_pack_is_whole_after_a_kill(database: Database) {
    const ROUNDS: u64 = 6;
    for round in 0..ROUNDS {
        let api = Api::on(database);
        std::thread::scope(|scope| {
            scope.spawn(|| install_without_answer(&api));
            // Whenever it dies, what must hold is the same.
            std::thread::sleep(std::time::Duration::from_millis(round * 150));
            api.server.signal("KILL");
        });
        let Api { mut server, .. } = api;
        server.wait();
        let data = server.data.clone();
        drop(server);
        let api = Api::in_data(data);
        if api.get("/admin/packs/chat")["isInstalled"] == false {
            assert_nothing_of_the_pack(&api);
        }
        let again = api.admin("POST", "/admin/packs", json!({ "name": "chat" }));
        assert_eq!(again.status, 201, "{}", again.body);
        Polling::connect(&api.server, "/chat", None);
    }
}

/// Holds the routes, which come after tables and gateways, until whoever waits for them waits no more.
const HOLD_ROUTES: &str = "BEGIN; LOCK TABLE gw_route IN SHARE MODE;
    DO $$ DECLARE seen boolean := false; waits boolean; BEGIN
        FOR i IN 1..3000 LOOP
            SELECT EXISTS (SELECT 1 FROM pg_locks WHERE relation = 'gw_route'::regclass AND NOT granted) INTO waits;
            seen := seen OR waits;
            EXIT WHEN seen AND NOT waits;
            PERFORM pg_sleep(0.02);
        END LOOP;
        IF NOT seen THEN RAISE EXCEPTION 'nobody came for the routes'; END IF;
    END $$; COMMIT";
/// Whether somebody waits for the routes.
const WAITS_FOR_ROUTES: &str = "DO $$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_locks WHERE relation = 'gw_route'::regclass AND NOT granted) THEN
        RAISE EXCEPTION 'nobody waits';
    END IF;
END $$";

/// On PostgreSQL an installation can be held in its middle.
#[test]
fn a_kill_in_the_middle_of_a_pack_leaves_nothing() {
    if Database::postgres_server().is_none() {
        return;
    }
    let data = Data::on(Database::Postgres);
    let url = data.database_url();
    let api = Api::in_data(data.clone());
    std::thread::scope(|scope| {
        let holding = scope.spawn(|| run_sql(url, HOLD_ROUTES));
        scope.spawn(|| install_without_answer(&api));
        let waits = || (holding.is_finished() || run_sql(url, WAITS_FOR_ROUTES).is_ok()).then_some(());
        until("an installation that waits", waits);
        api.server.signal("KILL");
        holding.join().unwrap().unwrap();
    });
    drop(api);
    let api = Api::in_data(data.clone());
    assert_nothing_of_the_pack(&api);
    assert_eq!(api.admin("POST", "/admin/packs", json!({ "name": "chat" })).status, 201);
}

/// Has a pack installed by a server that may not live to answer.
fn install_without_answer(api: &Api) {
    let request = ureq::post(format!("{}/admin/packs", api.server.url));
    let request = request.header("authorization", format!("Bearer {}", api.token));
    let _ = request.header("content-type", "application/json").send(r#"{"name":"chat"}"#);
}

/// What is read anew for an edit is read once, and for a logout not at all.
fn definitions_are_read_for_edits_alone(database: Database) {
    let api = Api::on(database);
    let made = make_gateway(&api.server, &api.token, json!({ "path": "/read" }), &[("e", "return 1;")]);
    let before = definitions_loaded(&api);
    let follow = |round: &str| {
        // An ended session is noticed by the watch of both numbers, which has then looked at both.
        let (_, token) = api.user(&format!("{round}@example.com"));
        let mut socket = Polling::connect(&api.server, "/read", Some(&token));
        let bearer = format!("Bearer {token}");
        let ended = api.server.call("POST", "/auth/logout", None, &[("authorization", &bearer)]);
        assert_eq!(ended.status, 204, "{}", ended.body);
        until("the end of the session", || (socket.packet().kind == '1').then_some(()));
    };
    follow("first");
    assert_eq!(definitions_loaded(&api), before, "a logout reads no definitions");
    let event = format!("/admin/events/{}", made.events[0]);
    assert_eq!(api.admin("PATCH", &event, json!({ "sourceCode": "return 2;" })).status, 200);
    follow("second");
    assert_eq!(definitions_loaded(&api), before + 1.0, "an edit of this server is read once");
}

fn definitions_loaded(api: &Api) -> f64 {
    let text = api.admin("GET", "/metrics", Json::Null).body;
    let line = text.lines().find(|line| line.starts_with("gatewright_definitions_loaded_total"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

/// A field that is sent twice, or beside its alias, is refused.
#[test]
fn a_field_is_given_once() {
    let server = Server::start();
    let token = server.admin_token();
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    for body in [
        r#"{"path":"/a","path":"/b"}"#,
        r#"{"path":"/a","limits":{"burst":1,"burst":2}}"#,
        r#"{"path":"/a","connectionScript":"1","connectionHandlerScript":"2"}"#,
    ] {
        let answer =
            super::support::server::send(&server.url, "POST", "/admin/gateways", &headers, body.as_bytes());
        assert!(answer.status == 400 && answer.body.contains("duplicate field"), "{body}: {}", answer.body);
    }
    let unknown = json!({ "path": "/a", "limits": { "brust": 1 } });
    let answer = server.admin(&token, "POST", "/admin/gateways", Some(&unknown));
    assert!(answer.status == 400 && answer.body.contains("limits.brust"), "{}", answer.body);
    let wrong: Map<String, Json> = Map::from_iter([("limits".to_owned(), json!({ "burst": -1 }))]);
    let answer = server.admin(&token, "POST", "/admin/gateways", Some(&wrong.into()));
    assert!(answer.status == 400 && answer.body.contains("limits.burst"), "{}", answer.body);
}

/// A gateway that is deleted takes its events and all their history with it.
fn a_deleted_gateway_leaves_nothing(database: Database) {
    let api = Api::on(database);
    let made = make_gateway(&api.server, &api.token, json!({ "path": "/gone" }), &[("e", "return 1;")]);
    let kept = make_gateway(&api.server, &api.token, json!({ "path": "/kept" }), &[("e", "return 1;")]);
    assert_eq!(api.admin("DELETE", &format!("/admin/gateways/{}", made.id), Json::Null).status, 204);
    let event = format!("/admin/events/{}", made.events[0]);
    assert_eq!(api.admin("GET", &event, Json::Null).status, 404);
    assert_eq!(
        api.get(&format!("/admin/events/{}/revisions", kept.events[0]))["data"].as_array().unwrap().len(),
        1
    );
    // The path is free again.
    assert_eq!(id(&api.make("/admin/gateways", json!({ "path": "/gone" }))).len(), 36);
}

on_each_database!(
    changes_at_once_keep_each_other,
    alike_routes_at_once_are_one,
    packs_are_installed_one_after_the_other,
    a_pack_that_fails_leaves_nothing,
    a_pack_is_whole_after_a_kill,
    definitions_are_read_for_edits_alone,
    a_deleted_gateway_leaves_nothing,
);
