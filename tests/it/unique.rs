//! Columns that are unique together, and rows that are made or changed by them.

use serde_json::{Value as Json, json};

use super::support::api::{Api, id, refused};
use super::support::database::{Database, on_each_database};
use super::support::polling::Polling;

on_each_database!(
    groups_are_unique_together,
    groups_follow_their_columns,
    rows_that_are_alike_stand_in_the_way,
    groups_that_make_no_sense,
    upsert_makes_or_changes,
    upsert_runs_hooks,
    of_many_upserts_one_makes_the_row,
);

/// A board of scores, one for each player.
fn board(database: Database) -> (Api, Json) {
    let api = Api::on(database);
    let table = api.make(
        "/admin/tables",
        json!({
            "name": "score",
            "columns": [
                { "name": "boardId", "type": "string", "required": true },
                { "name": "playerId", "type": "string" },
                { "name": "best", "type": "integer", "required": true, "default": 10 },
                { "name": "note", "type": "text" },
            ],
            "unique": [["boardId", "playerId"]],
        }),
    );
    (api, table)
}

fn groups_are_unique_together(database: Database) {
    let (api, table) = board(database);
    assert_eq!(table["unique"], json!([["boardId", "playerId"]]));
    let row = api.row("score", json!({ "boardId": "b", "playerId": "p" }));
    api.row("score", json!({ "boardId": "b", "playerId": "q" }));
    let other = api.row("score", json!({ "boardId": "c", "playerId": "p" }));
    for (method, path) in
        [("POST", "/data/score".to_owned()), ("PATCH", format!("/data/score/{}", id(&other)))]
    {
        let answer = api.admin(method, &path, json!({ "boardId": "b", "playerId": "p" }));
        refused(&answer, 409, "DUPLICATE_RESOURCE", "boardId, playerId");
        assert_eq!(answer.json()["error"]["details"]["fields"], json!(["boardId", "playerId"]));
    }
    api.row("score", json!({ "boardId": "b" }));
    api.row("score", json!({ "boardId": "b", "playerId": null }));
    assert_eq!(api.get(&format!("/data/score/{}", id(&row))), row);
    let altered = api.altered(&table, json!({ "unique": [] }));
    assert_eq!(altered["unique"], json!([]));
    api.row("score", json!({ "boardId": "b", "playerId": "p" }));
}

fn groups_follow_their_columns(database: Database) {
    let (api, table) = board(database);
    api.row("score", json!({ "boardId": "b", "playerId": "p" }));
    let taken = |fields: [&str; 2]| {
        let row = json!({ fields[0]: "b", fields[1]: "p" });
        refused(&api.admin("POST", "/data/score", row), 409, "DUPLICATE_RESOURCE", &fields.join(", "));
    };
    let renamed = api.altered(&table, json!({ "rename": { "boardId": "playerId", "playerId": "boardId" } }));
    assert_eq!(renamed["unique"], json!([["playerId", "boardId"]]));
    taken(["playerId", "boardId"]);
    api.altered(&table, json!({ "rename": { "playerId": "board" } }));
    // Another type, for which SQLite makes the table anew.
    let columns = json!([
        { "name": "board", "type": "text" }, { "name": "boardId", "type": "string" }, { "name": "best", "type": "integer" }
    ]);
    let refusal = api.alter(&table, json!({ "columns": columns, "confirm": true }));
    refused(&refusal, 422, "VALIDATION_ERROR", "board has no index");
    let columns = json!([
        { "name": "board", "type": "string" }, { "name": "boardId", "type": "string" }, { "name": "best", "type": "float" }
    ]);
    api.altered(&table, json!({ "columns": columns, "confirm": true }));
    taken(["board", "boardId"]);
    let refusal = api.alter(&table, json!({ "drop": ["boardId"], "confirm": true }));
    refused(&refusal, 422, "VALIDATION_ERROR", "unique: names \"boardId\", which is no column");
    taken(["board", "boardId"]);
    let altered =
        api.altered(&table, json!({ "drop": ["boardId"], "unique": [["board", "best"]], "confirm": true }));
    assert_eq!(altered["unique"], json!([["board", "best"]]));
    api.altered(&table, json!({ "name": "points" }));
    let row = json!({ "board": "b", "best": 10.0 });
    refused(&api.admin("POST", "/data/points", row), 409, "DUPLICATE_RESOURCE", "board, best");
}

fn rows_that_are_alike_stand_in_the_way(database: Database) {
    let (api, table) = board(database);
    api.altered(&table, json!({ "unique": [] }));
    for (board, player) in [("b", "p"), ("b", "p"), ("b", "p"), ("c", "ä"), ("c", "ä"), ("d", "p")] {
        api.row("score", json!({ "boardId": board, "playerId": player }));
    }
    api.row("score", json!({ "boardId": "e" }));
    api.row("score", json!({ "boardId": "e" }));
    let refusal = api.alter(&table, json!({ "unique": [["boardId", "playerId"]] }));
    refused(
        &refusal,
        409,
        "DUPLICATE_RESOURCE",
        "3 rows have \"b\", \"p\"; 2 rows have \"c\", \"ä\"; change",
    );
    assert_eq!(refusal.json()["error"]["details"]["fields"], json!(["boardId", "playerId"]));
    let column = json!([{ "name": "boardId", "type": "string", "unique": true, "required": true }]);
    let refusal = api.alter(&table, json!({ "columns": column, "confirm": true }));
    refused(&refusal, 409, "DUPLICATE_RESOURCE", "boardId cannot be unique in score: 3 rows have \"b\"");
    api.run("#score.delete(#{ filter: #{ boardId: #{ _in: [\"b\", \"c\"] } } });");
    api.altered(&table, json!({ "unique": [["boardId", "playerId"]] }));
}

fn groups_that_make_no_sense(database: Database) {
    let (api, table) = board(database);
    for (unique, mentions) in [
        (json!([["boardId"]]), "A single column is unique by itself"),
        (json!([[]]), "groups of 2 to 8"),
        (json!([["boardId", "what"]]), "names \"what\""),
        (json!([["boardId", "id"]]), "names \"id\""),
        (json!([["boardId", "note"]]), "note has no index"),
        (json!([["boardId", "boardId"]]), "twice in [boardId, boardId]"),
        (json!([["boardId", "playerId"], ["playerId", "boardId"]]), "[playerId, boardId] twice"),
        (json!(vec![["boardId", "playerId"]; 17]), "more than 16 groups"),
    ] {
        refused(&api.alter(&table, json!({ "unique": unique })), 422, "VALIDATION_ERROR", mentions);
    }
    assert_eq!(api.alter(&table, json!({ "unique": "boardId" })).status, 400);
}

fn upsert_makes_or_changes(database: Database) {
    let (api, _) = board(database);
    let upsert = |best: &str| {
        let script = format!(
            "return #score.upsert(#{{ key: [\"playerId\", \"boardId\"], data: #{{ boardId: \"b\", playerId: \"p\", best: {best} }} }});"
        );
        api.run(&script)
    };
    let made = upsert("#{ _inc: 5 }");
    assert_eq!(made["best"], 15, "counted from the default");
    for (best, then) in
        [("#{ _inc: 5 }", 20), ("#{ _max: 7 }", 20), ("#{ _max: 70 }", 70), ("#{ _min: 3 }", 3), ("4", 4)]
    {
        let row = upsert(best);
        assert_eq!(
            (&row["id"], &row["best"], &row["createdAt"]),
            (&made["id"], &json!(then), &made["createdAt"])
        );
    }
    let rows = api.run("return #score.find().data;");
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    for (options, mentions) in [
        ("data: #{ boardId: \"b\" }", "key: is missing"),
        ("key: \"boardId\", data: #{ boardId: \"b\" }", "unique are: [boardId, playerId]"),
        ("key: \"boardId,playerId\", data: #{ boardId: \"b\" }", "playerId: is missing"),
        ("key: \"boardId,playerId\", data: #{ boardId: \"b\", playerId: () }", "playerId: is missing"),
        ("key: \"boardId,playerId\", data: #{ boardId: \"b\", playerId: 5 }", "playerId: takes text"),
        (
            "key: \"boardId,playerId\", data: #{ boardId: \"b\", playerId: \"p\", id: @HELPERS.uuid() }",
            "id: is set",
        ),
        ("key: \"boardId,playerId\", data: #{ boardId: \"b\", playerId: \"p\", what: 1 }", "no field what"),
        ("key: \"boardId,playerId\"", "data: is missing"),
    ] {
        let (code, message) = api.fails(&format!("#score.upsert(#{{ {options} }});"));
        assert_eq!(code, "VALIDATION_ERROR", "{options}");
        assert!(message.contains(mentions), "{options}: {message}");
    }
    let undone = "try { @TRANSACTION { #score.upsert(#{ key: \"boardId,playerId\", data: #{ boardId: \"x\", playerId: \"x\" } }); throw 1; } } catch {} return #score.count();";
    assert_eq!(api.run(undone), 1);
}

fn upsert_runs_hooks(database: Database) {
    let (api, _) = board(database);
    api.table("trace", json!([{ "name": "text", "type": "text" }]));
    api.hook("score", "before", &["create"], "let d = @DATA; d.best += 100; return d;");
    api.hook("score", "before", &["update"], "let d = @DATA; d.note = `was ${@OLD.best}`; return d;");
    api.hook(
        "score",
        "after",
        &["create", "update"],
        "#trace.create(#{ data: #{ text: `${@EVENT} ${@DATA.best}` } });",
    );
    let upsert = "return #score.upsert(#{ key: [\"boardId\", \"playerId\"], data: #{ boardId: \"b\", playerId: \"p\", best: #{ _inc: 1 } } });";
    assert_eq!(api.run(upsert)["best"], 111);
    let changed = api.run(upsert);
    assert_eq!((&changed["best"], &changed["note"]), (&json!(112), &json!("was 111")));
    assert_eq!(api.values("trace", "text", &json!({})), [json!("create 111"), json!("update 112")]);
    let recorded = api.test_run(json!({ "kind": "script", "script": upsert }));
    assert_eq!(recorded["result"]["best"], 113, "{recorded}");
    assert_eq!(api.run("return #score.findOne().best;"), 112, "a test run left nothing");
}

fn of_many_upserts_one_makes_the_row(database: Database) {
    let (api, _) = board(database);
    let upsert = "return #score.upsert(#{ key: [\"boardId\", \"playerId\"], data: #{ boardId: \"b\", playerId: @BODY.player, best: #{ _inc: 1 } } }).id;";
    let mut sockets = vec![api.socket("/score", upsert, None)];
    sockets.extend((1..8).map(|_| Polling::connect(&api.server, "/score", None)));
    for hooked in [false, true] {
        if hooked {
            api.hook("score", "before", &["create", "update"], "return;");
        }
        std::thread::scope(|scope| {
            for socket in &mut sockets {
                scope.spawn(move || {
                    for turn in 0..10 {
                        let outcome = socket.run("e", &json!({ "player": format!("{hooked} {}", turn % 3) }));
                        assert_eq!(outcome["success"], true, "{outcome}");
                    }
                });
            }
        });
    }
    let rows = api.rows("score", &[("sort", "playerId")]);
    let best: Vec<_> =
        rows.as_array().unwrap().iter().map(|row| row["best"].as_i64().unwrap() - 10).collect();
    assert_eq!(best, [32, 24, 24, 32, 24, 24], "{rows}");
}
