//! Hooks: scripts around every write of a table, from the admin's call to the client's socket.

use serde_json::{Value as Json, json};

use super::support::api::{Api, id, refused};
use super::support::database::{Database, on_each_database};
use super::support::node::run_scenario;
use super::support::polling::Polling;
use super::support::server::{Server, until};

on_each_database!(
    clients_hear_of_rows,
    before_changes_and_refuses,
    after_sees_what_was_and_runs_once_it_is_kept,
    conditions_and_what_has_changed,
    priority_is_the_order,
    every_kind_of_write_has_them,
    a_chain_is_cut,
    what_fails_afterwards_leaves_the_write,
    writes_and_their_hooks_are_on_record,
    they_are_live_at_once_and_have_a_history,
    definitions_that_make_no_sense,
    test_runs_of_hooks,
    test_runs_keep_nothing,
);

fn clients_hear_of_rows(database: Database) {
    run_scenario(&Server::start_on(database, &[], &[]), "tables");
}

fn with_table(database: Database) -> Api {
    with_table_on(Server::start_on(database, &[], &[]))
}

fn with_table_on(server: Server) -> Api {
    let api = Api::of(server);
    api.table("item", json!([{ "name": "n", "type": "integer" }, { "name": "s", "type": "string" }, { "name": "t", "type": "string" }]));
    api.table("trace", json!([{ "name": "what", "type": "string" }, { "name": "n", "type": "integer" }]));
    api
}

/// What the hooks have left in the order of it.
fn traces(api: &Api) -> Vec<String> {
    let rows = api.rows("trace", &[("limit", "1000")]);
    rows.as_array().unwrap().iter().map(|row| row["what"].as_str().unwrap().to_owned()).collect()
}

/// A hook script that leaves a trace.
fn leaves(what: &str) -> String {
    format!("#trace.create(#{{ data: #{{ what: {what} }} }});")
}

fn before_changes_and_refuses(database: Database) {
    let api = with_table(database);
    let script = r#"
        if @DATA.s == "bad" { @THROW.validation("no bad ones", #{ field: "s" }); }
        if @DATA.s == "own" { @THROW.http(418, "teapot"); }
        if @DATA.s == "unknown" { return #{ nope: 1 }; }
        if @DATA.s == "wrong" { return #{ n: "x" }; }
        if @DATA.s == "keep" { return "no map"; }
        if @DATA.s == "time" { return #{ createdAt: "2001-01-01T00:00:00Z", updatedAt: "2001-01-01T00:00:00Z", t: "t" }; }
        return #{ s: @DATA.s.to_upper(), t: `${@EVENT} ${@GATEWAY} ${@USER?.email} ${@OLD == ()}` };
    "#;
    api.hook("item", "before", &["create", "update"], script);
    api.hook(
        "item",
        "before",
        &["delete"],
        r#"if @DATA.s == "STAYS" { @THROW.forbidden(`${@OLD.s} stays`); }"#,
    );
    let made = api.row("item", json!({ "s": "a", "n": 1 }));
    assert_eq!((&made["s"], &made["t"]), (&json!("A"), &json!("create data admin@example.com true")));
    let path = format!("/data/item/{}", id(&made));
    let changed = api.admin("PATCH", &path, json!({ "n": { "_inc": 2 }, "s": "b" })).json();
    assert_eq!((&changed["n"], &changed["s"]), (&json!(3), &json!("B")));
    assert_eq!(changed["t"], "update data admin@example.com false");
    assert_eq!(api.get(&path), changed);
    for (s, status, code, mentions) in [
        ("bad", 422, "VALIDATION_ERROR", "no bad ones"),
        ("own", 418, "HTTP_ERROR", "teapot"),
        ("unknown", 422, "VALIDATION_ERROR", "nope"),
        ("wrong", 422, "VALIDATION_ERROR", "n: takes an integer"),
    ] {
        refused(&api.admin("POST", "/data/item", json!({ "s": s })), status, code, mentions);
        refused(&api.admin("PATCH", &path, json!({ "s": s })), status, code, mentions);
    }
    assert_eq!(api.get(&path), changed);
    assert_eq!(api.row("item", json!({ "s": "keep" }))["s"], "keep");
    let timed = api.row("item", json!({ "s": "time" }));
    assert!(timed["createdAt"].as_str().unwrap() > "2020" && timed["t"] == "t", "{timed}");
    let stays = api.row("item", json!({ "s": "stays" }));
    refused(
        &api.admin("DELETE", &format!("/data/item/{}", id(&stays)), Json::Null),
        403,
        "AUTHORIZATION_ERROR",
        "STAYS stays",
    );
    assert_eq!(api.admin("DELETE", &path, Json::Null).status, 204);
    let (code, _) = api.fails("#item.createMany(#{ data: [#{ s: \"a\" }, #{ s: \"bad\" }] });");
    assert_eq!(code, "VALIDATION_ERROR");
    assert_eq!(
        api.run("return #item.createMany(#{ data: [#{ s: \"x\" }, #{ s: \"y\" }] }).map(|row| row.s);"),
        json!(["X", "Y"])
    );
    assert_eq!(
        api.run(
            "return #item.update(#{ filter: #{ s: #{ _in: [\"X\", \"Y\"] } }, data: #{ n: 7 } }).data.len();"
        ),
        2
    );
    assert_eq!(api.fails("#item.delete(#{ filter: #{} });").0, "AUTHORIZATION_ERROR");
    assert_eq!(api.values("item", "s", &json!({})), ["STAYS", "X", "Y", "keep", "time"], "all or nothing");
}

fn after_sees_what_was_and_runs_once_it_is_kept(database: Database) {
    // Time for all that its hooks can wait with; nothing but time ends a loop.
    let settings = [
        ("SCRIPTS__TRANSACTION_MS", "600000"),
        ("SCRIPTS__TIMEOUT_MAX_MS", "600000"),
        ("SCRIPTS__OPERATIONS", "1000000000000"),
    ];
    let api = with_table_on(Server::start_on(database, &settings, &[]));
    api.hook("item", "after", &["create", "update", "delete"], &leaves("`${@EVENT} ${@OLD?.n} ${@DATA.n}`"));
    let made = api.row("item", json!({ "n": 1 }));
    let path = format!("/data/item/{}", id(&made));
    api.admin("PATCH", &path, json!({ "n": 2 }));
    api.admin("DELETE", &path, Json::Null);
    assert_eq!(traces(&api), ["create  1", "update 1 2", "delete 2 2"]);
    let script = r#"
        let seen = [];
        @TRANSACTION {
            let made = #item.create(#{ data: #{ n: 10 } });
            seen.push(#trace.count());
            try { @TRANSACTION { #item.create(#{ data: #{ n: 11 } }); throw 1; } } catch {}
            @TRANSACTION { #item.update(#{ id: made.id, data: #{ n: 12 } }); }
            seen.push(#trace.count());
        }
        seen.push(#trace.count());
        try { @TRANSACTION { #item.create(#{ data: #{ n: 20 } }); throw "no"; } } catch {}
        try { #item.createMany(#{ data: [#{ n: 30 }, #{ n: "x" }] }); } catch {}
        seen.push(#trace.count());
        return seen;
    "#;
    let mut socket = api.socket("/after", script, None);
    let outcome = socket.run("e", &json!({}));
    assert_eq!(outcome["result"], json!([3, 3, 5, 5]), "{outcome}");
    assert_eq!(traces(&api)[3..], ["create  10", "update 10 12"]);
    // What they wait with is bounded. One row again and again: a slow disk has little to write.
    let script = "let s = \"x\"; s.pad(900000, \"x\");
        @TRANSACTION { let id = #item.create(#{ data: #{ n: 50, big: s } }).id; for n in 51..150 { #item.update(#{ id: id, data: #{ n: n } }); } }";
    let item = api.get("/admin/tables?filter=%7B%22name%22:%22item%22%7D")["data"][0].clone();
    api.altered(&item, json!({ "add": [{ "name": "big", "type": "text" }] }));
    let body = json!({ "kind": "script", "script": script, "commit": true, "timeoutMs": 600_000 });
    let answer = api.test_run(body);
    assert_eq!(answer["error"]["code"], "SCRIPT_MEMORY_LIMIT", "{}", answer["error"]);
    assert_eq!((traces(&api).len(), api.values("item", "n", &json!({ "n": { "_gte": 50 } })).len()), (5, 0));
    // A transaction that its script does not end runs none either.
    let event = api.get("/admin/gateways?filter=%7B%22path%22:%22/after%22%7D")["data"][0]["id"].clone();
    let body = json!({ "eventName": "loop", "timeoutMs": 2000, "sourceCode": "@TRANSACTION { #item.create(#{ data: #{ n: 40 } }); loop {} }" });
    api.make(&format!("/admin/gateways/{}/events", event.as_str().unwrap()), body);
    let mut socket = Polling::connect(&api.server, "/after", None);
    let outcome = until("the new event", || {
        let ack = socket.ask("loop", &json!({}));
        (ack["accepted"] == true).then(|| socket.run("loop", &json!({})))
    });
    assert_eq!(outcome["code"], "SCRIPT_TIMEOUT", "{outcome}");
    assert_eq!((traces(&api).len(), api.values("item", "n", &json!({ "n": 40 })).len()), (5, 0));
}

fn conditions_and_what_has_changed(database: Database) {
    let api = with_table(database);
    let hook = |condition: Json, on: &[&str], what: &str| {
        let body = json!({ "table": "item", "when": "after", "on": on, "condition": condition, "sourceCode": leaves(&format!("`{what} ${{@DATA.n}}`")) });
        api.make("/admin/hooks", body)
    };
    hook(json!({ "_changed": ["s", "t"] }), &["update"], "changed");
    hook(json!({ "n": { "_gt": 5 }, "s": { "_neq": "quiet" } }), &["create", "update", "delete"], "large");
    hook(json!({ "_changed": ["n"], "n": { "_gt": 5 } }), &["create", "update"], "both");
    hook(json!({ "n": 9_007_199_254_740_992_i64 }), &["create"], "exactly");
    hook(json!({ "createdAt": { "_lt": "2020-01-01T00:00:00+01:00" } }), &["create"], "never");
    let item = api.get("/admin/tables?filter=%7B%22name%22:%22item%22%7D")["data"][0].clone();
    api.altered(
        &item,
        json!({ "add": [{ "name": "at", "type": "datetime" }, { "name": "u", "type": "uuid" }] }),
    );
    let (lower, upper) = ("0189aaaa-0000-7000-8000-00000000000b", "0189AAAA-0000-7000-8000-00000000000B");
    hook(
        json!({ "_or": [{ "at": "2001-01-01T01:00:00+01:00" }, { "u": { "_in": [upper] } }] }),
        &["create"],
        "same",
    );
    let made = api.row("item", json!({ "n": 5 }));
    let path = format!("/data/item/{}", id(&made));
    for change in [
        json!({ "n": 5 }),
        json!({ "n": 6 }),
        json!({ "t": "x" }),
        json!({ "t": "x" }),
        json!({ "s": "quiet", "n": 7 }),
    ] {
        assert_eq!(api.admin("PATCH", &path, change).status, 200);
    }
    assert_eq!(traces(&api), ["large 6", "both 6", "changed 6", "large 6", "large 6", "changed 7", "both 7"]);
    api.admin("DELETE", &path, Json::Null);
    api.row("item", json!({ "n": 9_007_199_254_740_993_i64, "s": "quiet" }));
    assert_eq!(traces(&api)[7..], ["both 9007199254740993"]);
    for row in
        [json!({ "n": 1, "at": "2001-01-01T00:00:00Z" }), json!({ "n": 2, "u": lower }), json!({ "n": 3 })]
    {
        api.row("item", row);
    }
    assert_eq!(traces(&api)[8..], ["same 1", "same 2"]);
}

fn priority_is_the_order(database: Database) {
    let api = with_table(database);
    for (priority, letter) in [(10, "c"), (-5, "a"), (10, "d"), (0, "b")] {
        for when in ["before", "after"] {
            let script = match when {
                "before" => format!("return #{{ s: @DATA.s + \"{letter}\" }};"),
                _ => leaves(&format!("\"{letter}\"")),
            };
            api.make("/admin/hooks", json!({ "table": "item", "when": when, "on": ["create"], "priority": priority, "sourceCode": script }));
        }
    }
    assert_eq!(api.row("item", json!({ "s": "" }))["s"], "abcd");
    assert_eq!(traces(&api), ["a", "b", "c", "d"]);
}

fn every_kind_of_write_has_them(database: Database) {
    let api = with_table(database);
    let script = r#"
        #trace.create(#{ data: #{ what: `${@EVENT} ${@GATEWAY} ${if @USER == () { "nobody" } else { @USER.name }}` } });
        @SOCKET.emitToGateway("/hear", "item", @DATA.n);
    "#;
    api.hook("item", "after", &["create"], script);
    api.hook("item", "before", &["update"], "@SOCKET.reply(\"a\", 1);");
    let (_, token) = api.user("ann@example.com");
    let mut hears = api.socket("/hear", "return ();", None);
    let create = |n: u32| format!("#item.create(#{{ data: #{{ n: {n} }} }}); return 1;");
    api.row("item", json!({ "n": 1 }));
    assert_eq!(api.socket("/write", &create(2), Some(&token)).run("e", &json!({}))["success"], true);
    let route = json!({ "method": "POST", "path": "/write/it", "access": "public", "sourceCode": create(3) });
    api.make("/admin/routes", route);
    assert_eq!(api.server.call("POST", "/write/it", Some(&json!({})), &[]).status, 200);
    api.make(
        "/admin/gateways",
        json!({ "path": "/connect", "requireAuth": false, "connectionScript": create(4) }),
    );
    drop(Polling::connect(&api.server, "/connect", None));
    api.run(&create(5));
    let key = api.app_key(&["data:write"]);
    assert_eq!(
        api.server.call("POST", "/data/item", Some(&json!({ "n": 6 })), &[("x-app-token", &key)]).status,
        201
    );
    until("all of them", || (traces(&api).len() == 6).then_some(()));
    let mut all = traces(&api);
    all.sort();
    assert_eq!(
        all,
        [
            "create / nobody",
            "create /connect nobody",
            "create /write ann@example.com",
            "create data nobody",
            "create data admin",
            "create routes nobody"
        ]
        .map(str::to_owned)
        .into_iter()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>()
    );
    // What a test run emits does not leave.
    hears.run("e", &json!({}));
    let heard = hears.unread().into_iter().filter(|packet| packet.data[0] == "item");
    let mut heard: Vec<_> = heard.filter_map(|packet| packet.data[1].as_i64()).collect();
    // The connection script runs beside what comes after it here.
    heard.sort_unstable();
    assert_eq!(heard, [1, 2, 3, 4, 6]);
    let row = &api.rows("item", &[("limit", "1")])[0];
    let answer = api.admin("PATCH", &format!("/data/item/{}", id(row)), json!({ "n": 0 }));
    refused(&answer, 500, "SCRIPT_EXECUTION_ERROR", "reply");
    assert!(answer.body.contains("hook"), "the context has a name: {}", answer.body);
}

fn a_chain_is_cut(database: Database) {
    let api = with_table(database);
    api.hook("item", "after", &["create"], "#item.create(#{ data: #{ n: @DATA.n + 1 } });");
    api.row("item", json!({ "n": 0 }));
    assert_eq!(api.values("item", "n", &json!({})), (0..=8).map(|n| json!(n)).collect::<Vec<_>>());
    api.hook("trace", "before", &["create"], "#trace.create(#{ data: #{ what: \"before\" } }); return;");
    api.row("trace", json!({ "what": "first" }));
    assert_eq!(traces(&api).len(), 9);
}

fn what_fails_afterwards_leaves_the_write(database: Database) {
    let api = with_table(database);
    let failing = [
        "throw \"after\";",
        "loop {}",
        "@THROW404(\"x\");",
        "let a = \"x\"; loop { a += a; }",
        "for n in 0..300 { #trace.count(); }",
        "#trace.create(#{ data: #{ n: \"no\" } });",
    ];
    for (number, script) in failing.into_iter().enumerate() {
        let body = json!({ "table": "item", "when": "after", "on": ["create"], "condition": { "n": number }, "sourceCode": script });
        api.make("/admin/hooks", body);
    }
    for (number, script) in failing.iter().enumerate() {
        let answer = api.admin("POST", "/data/item", json!({ "n": number }));
        assert_eq!(answer.status, 201, "{script}: {}", answer.body);
    }
    assert_eq!(api.values("item", "n", &json!({})).len(), failing.len());
    // A column that a condition names may go: before a write that is an error, afterwards it is not.
    let columns = json!([{ "name": "n", "type": "integer" }, { "name": "t", "type": "string" }]);
    let table = api.table("other", columns);
    let body = json!({ "table": "other", "when": "after", "on": ["create"], "condition": { "t": "x" }, "sourceCode": "1" });
    api.make("/admin/hooks", body);
    let answer = api.alter(&table, json!({ "drop": ["t"], "confirm": true }));
    refused(&answer, 409, "DUPLICATE_RESOURCE", "condition");
    api.row("other", json!({ "n": 1 }));
}

fn writes_and_their_hooks_are_on_record(database: Database) {
    let api = with_table(database);
    api.hook("item", "before", &["create"], "if @BODY.n == 2 { @THROW404(\"no\"); }");
    api.hook("item", "after", &["create"], "#trace.create(#{ data: #{ n: @DATA.n } });");
    let writes = [(json!({ "n": 1 }), 201), (json!({ "n": 2 }), 404), (json!({ "n": "no" }), 422)];
    let answers = writes.map(|(row, status)| {
        let answer = api.admin("POST", "/data/item", row);
        assert_eq!(answer.status, status, "{}", answer.body);
        answer
    });
    let runs_of = |number: usize| {
        let request_id = answers[number].headers["x-request-id"].to_str().unwrap();
        let runs =
            api.get(&format!("/admin/logs?requestId={request_id}&fields=kind,gateway,eventName,code,userId"));
        let mut runs = runs["data"].as_array().unwrap().clone();
        runs.sort_by_key(Json::to_string);
        runs
    };
    let me = api.get("/me")["id"].clone();
    let run = |kind: &str, gateway: &str, name: &str, code: Json| json!({ "kind": kind, "gateway": gateway, "eventName": name, "code": code, "userId": me });
    let (before, after) = ("before create item", "after create item");
    let missing = json!("RESOURCE_NOT_FOUND");
    let mut all = [
        run("data", "data", "create item", Json::Null),
        run("hook", "hooks", before, Json::Null),
        run("hook", "hooks", after, Json::Null),
    ];
    all.sort_by_key(Json::to_string);
    assert_eq!(runs_of(0), all);
    let mut refused =
        [run("data", "data", "create item", missing.clone()), run("hook", "hooks", before, missing)];
    refused.sort_by_key(Json::to_string);
    assert_eq!(runs_of(1), refused);
    assert_eq!(answers[1].json()["error"]["requestId"], answers[1].headers["x-request-id"].to_str().unwrap());
    assert_eq!(runs_of(2), [run("data", "data", "create item", json!("VALIDATION_ERROR"))]);
    let hooks = api.get("/admin/logs?kind=hook&meta=*");
    assert_eq!(hooks["meta"]["filterCount"], 3, "{hooks}");
    assert_eq!(api.admin("GET", "/admin/logs?kind=hooks", Json::Null).status, 400);
}

fn they_are_live_at_once_and_have_a_history(database: Database) {
    let api = with_table(database);
    let hook = api.hook("item", "before", &["create"], "return #{ s: \"1\" };");
    for (field, value) in [
        ("priority", json!(0)),
        ("isEnabled", json!(true)),
        ("condition", Json::Null),
        ("suspended", Json::Null),
        ("pack", Json::Null),
    ] {
        assert_eq!(hook[field], value, "{field}");
    }
    let path = format!("/admin/hooks/{}", id(&hook));
    let state = || api.row("item", json!({}))["s"].clone();
    assert_eq!(state(), "1");
    let change = |body: Json| {
        let answer = api.admin("PATCH", &path, body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    };
    change(json!({ "handlerScript": "return #{ s: \"2\" };" }));
    assert_eq!(state(), "2");
    change(json!({ "isEnabled": false }));
    assert_eq!(state(), Json::Null);
    change(json!({ "isEnabled": true, "condition": { "n": 1 } }));
    assert_eq!(state(), Json::Null);
    change(json!({ "condition": null }));
    assert_eq!(state(), "2");
    refused(&api.admin("PATCH", &path, json!({ "sourceCode": "let = 1" })), 400, "SCRIPT_COMPILE_ERROR", "");
    assert_eq!(state(), "2", "the old one stays live");
    let revisions = api.get(&format!("{path}/revisions"))["data"].clone();
    assert_eq!((&revisions[0]["number"], &revisions[1]["number"]), (&json!(2), &json!(1)));
    let restored = api.admin("POST", &format!("{path}/revisions/1/restore"), Json::Null);
    assert_eq!(restored.status, 200, "{}", restored.body);
    assert_eq!(state(), "1");
    change(json!({ "table": "trace", "on": ["create", "update"] }));
    assert_eq!(state(), Json::Null);
    let listed = api.get("/admin/hooks?filter=%7B%22table%22:%22trace%22%7D&meta=*");
    assert_eq!((&listed["data"][0]["id"], &listed["meta"]["filterCount"]), (&hook["id"], &json!(1)));
    change(json!({ "table": "item", "on": ["create"] }));
    assert_eq!(api.admin("DELETE", &path, Json::Null).status, 204);
    assert_eq!(state(), Json::Null);
    refused(&api.admin("GET", &path, Json::Null), 404, "RESOURCE_NOT_FOUND", "hook");

    // A hook that leaves memory behind is suspended: then what it guards is refused.
    let leak = r#"
        let big = "x"; big.pad(900000, "x");
        let held = #{ data: big };
        held.me = || held;
    "#;
    let guard = api.hook("item", "before", &["create"], leak);
    let answer = until("its end", || {
        let answer = api.admin("POST", "/data/item", json!({}));
        (answer.status != 201).then_some(answer)
    });
    refused(&answer, 503, "SERVICE_UNAVAILABLE", "suspended");
    let path = format!("/admin/hooks/{}", id(&guard));
    assert!(api.get(&path)["suspended"]["reason"].is_string(), "{}", api.get(&path));
    assert_eq!(api.admin("POST", &format!("{path}/resume"), Json::Null).status, 200);
    assert_eq!(api.get(&path)["suspended"], Json::Null);
    api.row("item", json!({}));
}

fn definitions_that_make_no_sense(database: Database) {
    let api = with_table(database);
    let with = |field: &str, value: Json| {
        let mut body = json!({ "table": "item", "when": "before", "on": ["create"], "sourceCode": "1" });
        body[field] = value;
        api.admin("POST", "/admin/hooks", body)
    };
    refused(&with("table", json!("nope")), 404, "RESOURCE_NOT_FOUND", "nope");
    refused(&with("table", json!("gw_user")), 404, "RESOURCE_NOT_FOUND", "gw_user");
    refused(&with("sourceCode", json!("let = 1")), 400, "SCRIPT_COMPILE_ERROR", "");
    refused(&with("sourceCode", json!("#nope.find()")), 400, "SCRIPT_COMPILE_ERROR", "nope");
    for (field, value, mentions) in [
        ("when", json!("during"), "before nor after"),
        ("on", json!([]), "create, update, delete"),
        ("on", json!(["drop"]), "create, update, delete"),
        ("condition", json!([]), "filter"),
        ("condition", json!({ "nope": 1 }), "nope"),
        ("condition", json!({ "n": "x" }), "integer"),
        ("condition", json!({ "_changed": ["nope"] }), "nope"),
        ("condition", json!({ "_changed": "n" }), "_changed"),
        ("table", Json::Null, "table"),
        ("when", Json::Null, "when"),
        ("sourceCode", Json::Null, "sourceCode"),
    ] {
        refused(&with(field, value), 422, "VALIDATION_ERROR", mentions);
    }
    refused(&with("nope", json!(1)), 400, "BAD_REQUEST", "nope");
    let (_, token) = api.user("u@example.com");
    assert_eq!(api.server.admin(&token, "GET", "/admin/hooks", None).status, 403);
    assert_eq!(api.server.call("GET", "/admin/hooks", None, &[]).status, 401);
    assert_eq!(api.get("/admin/hooks")["data"], json!([]));
}

fn test_runs_of_hooks(database: Database) {
    let api = with_table(database);
    let hook =
        api.hook("item", "before", &["update"], "@LOGS(@EVENT); return #{ s: `${@OLD.n} ${@DATA.n}` };");
    let run = |mut body: Json| {
        body["kind"] = json!("table_hook");
        api.test_run(body)
    };
    let answer = run(json!({ "hookId": hook["id"], "payload": { "n": 2 }, "old": { "n": 1 } }));
    assert_eq!(
        (&answer["result"], &answer["logs"]),
        (&json!({ "s": "1 2" }), &json!(["update"])),
        "{answer}"
    );
    let script = "if @EVENT != \"create\" { throw @EVENT; } @SOCKET.broadcast(\"x\", @DATA.n); #trace.create(#{ data: #{ what: \"w\" } }); return @OLD;";
    let answer = run(json!({ "script": script, "payload": { "n": 2 } }));
    assert_eq!(
        (&answer["result"], &answer["emitted"][0]["args"]),
        (&Json::Null, &json!(["x", 2])),
        "{answer}"
    );
    assert_eq!(answer["writes"][0]["row"]["what"], "w");
    let answer =
        run(json!({ "script": "return @EVENT;", "table": "item", "when": "after", "on": ["delete"] }));
    assert_eq!(answer["result"], "delete", "{answer}");
    let answer = run(json!({ "script": "@SOCKET.reply(\"a\", 1);" }));
    assert_eq!(answer["error"]["code"], "SCRIPT_EXECUTION_ERROR", "{answer}");
    let answer = run(json!({ "script": "return @USER.name;", "user": { "id": "u", "name": "Ann" } }));
    assert_eq!(answer["result"], "Ann", "{answer}");
    let missing = api.admin("POST", "/admin/test/run", json!({ "kind": "table_hook" }));
    refused(&missing, 400, "MISSING_SCRIPT", "hookId");
    let nobody = json!({ "kind": "table_hook", "hookId": uuid::Uuid::nil() });
    refused(&api.admin("POST", "/admin/test/run", nobody), 404, "RESOURCE_NOT_FOUND", "hook");
    assert!(traces(&api).is_empty());
}

fn test_runs_keep_nothing(database: Database) {
    // The defaults, for the one that goes on after a write.
    let settings = [("SCRIPTS__TRANSACTION_IDLE_MS", "250"), ("SCRIPTS__TRANSACTION_MS", "1000")];
    let api = with_table_on(Server::start_on(database, &settings, &[]));
    api.hook(
        "item",
        "before",
        &["create"],
        &format!("{} return #{{ s: \"hooked\" }};", leaves("\"before\"")),
    );
    api.hook("item", "after", &["create"], &leaves("\"after\""));
    let kept = api.row("item", json!({ "n": 0 }));
    let script = r#"
        let made = #item.create(#{ data: #{ n: 1 } });
        @TRANSACTION {
            #item.update(#{ id: made.id, data: #{ n: 2 } });
            try { @TRANSACTION { #item.create(#{ data: #{ n: 99 } }); throw 1; } } catch {}
        }
        #item.delete(#{ filter: #{ n: 0 } });
        return [#item.count(), #trace.count()];
    "#;
    let run = |commit: bool| api.test_run(json!({ "kind": "script", "script": script, "commit": commit }));
    for commit in [false, true] {
        let answer = run(commit);
        assert_eq!(answer["result"], json!([1, 4]), "{answer}");
        let writes = answer["writes"].as_array().unwrap();
        let of =
            |write: &Json| (write["table"].clone(), write["operation"].clone(), write["row"]["n"].clone());
        let expected = [
            ("trace", "create", Json::Null),
            ("item", "create", json!(1)),
            ("trace", "create", Json::Null),
            ("item", "update", json!(2)),
            ("item", "delete", json!(0)),
        ];
        let expected = expected.map(|(table, operation, n)| (json!(table), json!(operation), n));
        assert_eq!(writes.iter().map(of).collect::<Vec<_>>(), expected, "{answer}");
        assert_eq!(writes[1]["row"]["s"], "hooked");
        if !commit {
            assert_eq!(api.rows("item", &[]), json!([kept]), "nothing is kept");
            assert_eq!(traces(&api).len(), 2);
        }
    }
    assert_eq!(api.values("item", "n", &json!({})), [json!(2)]);
    // One that goes on after a write holds nobody up for longer than its time.
    std::thread::scope(|scope| {
        let looping = json!({ "kind": "script", "timeoutMs": 5000, "script": "#item.create(#{ data: #{ n: 7 } }); loop { @HELPERS.sleep(100); }" });
        let api = &api;
        let run = scope.spawn(move || api.test_run(looping));
        for n in 0..10 {
            api.row("item", json!({ "n": 100 + n }));
        }
        let answer = run.join().unwrap();
        assert_eq!(answer["error"]["code"], "SCRIPT_TIMEOUT", "{answer}");
        assert_eq!(answer["writes"][1]["row"]["n"], 7, "what it would have written: {answer}");
    });
    assert_eq!(api.values("item", "n", &json!({ "n": 7 })), Vec::<Json>::new());
    assert_eq!(api.values("item", "n", &json!({})).len(), 11);
}
