//! Definitions of tables: what an admin may make, change and delete, and what becomes of the rows.

use serde_json::{Value as Json, json};

use super::support::api::{Api, id, refused};
use super::support::database::{Data, Database, on_each_database, run_sql};
use super::support::server::until;

on_each_database!(
    types_and_defaults,
    columns_are_added_renamed_and_dropped,
    names_change_places,
    types_change_with_their_values,
    what_is_prepared_follows_types,
    required_unique_and_enums_look_at_the_rows,
    references_come_and_go,
    tables_are_renamed_and_deleted,
    what_makes_no_sense_is_refused,
    admins_at_once_all_get_their_column,
    a_restart_keeps_all,
    the_description_of_the_api_follows,
);

const LONG_AGO: &str = "2001-02-03T04:05:06.789Z";

fn types_and_defaults(database: Database) {
    let api = Api::on(database);
    let table = api.table(
        "all_types",
        json!([
            { "name": "string", "type": "string", "default": "é" },
            { "name": "text", "type": "text", "default": "" },
            { "name": "integer", "type": "integer", "default": i64::MAX },
            { "name": "float", "type": "float", "default": -0.5 },
            { "name": "boolean", "type": "boolean", "default": false },
            { "name": "datetime", "type": "datetime", "default": "2001-02-03T05:05:06.789+01:00" },
            { "name": "now", "type": "datetime", "default": "now" },
            { "name": "json", "type": "json", "default": { "a": [1, null, "x"] } },
            { "name": "uuid", "type": "uuid", "default": "0189AAAA-0000-7000-8000-000000000000" },
            { "name": "fresh", "type": "uuid", "default": "uuid", "unique": true },
            { "name": "enum", "type": "enum", "values": ["new", "old"], "default": "new" },
            { "name": "none", "type": "string" },
        ]),
    );
    assert_eq!(table["columns"][2], json!({ "name": "integer", "type": "integer", "default": i64::MAX }));
    assert_eq!(
        table["access"],
        json!({ "read": "admin", "create": "admin", "update": "admin", "delete": "admin" })
    );
    let row = api.row("all_types", json!({}));
    for (column, expected) in [
        ("string", json!("é")),
        ("text", json!("")),
        ("integer", json!(i64::MAX)),
        ("float", json!(-0.5)),
        ("boolean", json!(false)),
        ("datetime", json!(LONG_AGO)),
        ("now", row["createdAt"].clone()),
        ("json", json!({ "a": [1, null, "x"] })),
        ("uuid", json!("0189aaaa-0000-7000-8000-000000000000")),
        ("enum", json!("new")),
        ("none", Json::Null),
        ("updatedAt", row["createdAt"].clone()),
    ] {
        if column == "now" {
            // Made a moment before or after.
            assert_eq!(row[column].as_str().unwrap()[..10], expected.as_str().unwrap()[..10]);
        } else {
            assert_eq!(row[column], expected, "{column}");
        }
    }
    let path = format!("/data/all_types/{}", id(&row));
    assert_eq!(api.get(&path), row, "as it was written");
    assert_ne!(api.row("all_types", json!({}))["fresh"], row["fresh"]);
    let nulls = json!({ "string": null, "integer": null, "float": null, "boolean": null, "datetime": null, "json": null, "enum": null });
    let changed = api.admin("PATCH", &path, nulls.clone()).json();
    assert!(nulls.as_object().unwrap().keys().all(|name| changed[name].is_null()), "{changed}");
    assert_eq!(api.get(&path), changed);
    assert_eq!(api.row("all_types", json!({ "string": null }))["string"], Json::Null, "null is a value");
    for (column, wrong) in [
        ("string", json!(1)),
        ("string", json!("x".repeat(4001))),
        ("integer", json!(1.5)),
        ("integer", json!("1")),
        ("float", json!("1")),
        ("boolean", json!(1)),
        ("datetime", json!("yesterday")),
        ("uuid", json!("no")),
        ("enum", json!("New")),
        ("json", json!({ "a\0": 1 })),
        ("text", json!("a\0")),
    ] {
        let answer = api.admin("POST", "/data/all_types", json!({ column: wrong }));
        refused(&answer, 422, "VALIDATION_ERROR", column);
        assert_eq!(answer.json()["error"]["details"]["field"], column);
    }
}

fn columns_are_added_renamed_and_dropped(database: Database) {
    let api = Api::on(database);
    let table = api.table(
        "note",
        json!([
            { "name": "text", "type": "text" },
            { "name": "stars", "type": "integer", "index": true },
            { "name": "key", "type": "string", "unique": true },
        ]),
    );
    for n in 0..3 {
        api.row("note", json!({ "text": format!("t{n}"), "stars": n, "key": format!("k{n}") }));
    }
    api.row("note", json!({ "key": "empty" }));
    let refusal = api.alter(&table, json!({ "drop": ["text", "stars"] }));
    refused(&refusal, 422, "VALIDATION_ERROR", "text (3 values), stars (3 values)");
    refused(&refusal, 422, "VALIDATION_ERROR", "confirm");
    let loses = json!([{ "column": "text", "values": 3 }, { "column": "stars", "values": 3 }]);
    assert_eq!(refusal.json()["error"]["details"]["loses"], loses);
    assert_eq!(
        api.values("note", "stars", &json!({})),
        [json!(null), json!(0), json!(1), json!(2)],
        "all there"
    );

    let changed = api.altered(
        &table,
        json!({
            "add": [
                { "name": "state", "type": "enum", "values": ["a", "b"], "default": "a", "required": true },
                { "name": "token", "type": "uuid", "default": "uuid", "required": true, "unique": true },
                { "name": "seen", "type": "datetime", "default": "now" },
            ],
            "rename": { "stars": "likes", "key": "slug" },
            "description": "Notes",
        }),
    );
    let names: Vec<_> = changed["columns"].as_array().unwrap().iter().map(|column| &column["name"]).collect();
    assert_eq!(names, ["text", "likes", "slug", "state", "token", "seen"]);
    assert_eq!(changed["description"], "Notes");
    assert_eq!(api.values("note", "likes", &json!({})), [json!(null), json!(0), json!(1), json!(2)]);
    assert_eq!(api.values("note", "state", &json!({})), ["a", "a", "a", "a"]);
    let mut tokens = api.values("note", "token", &json!({}));
    tokens.dedup();
    assert_eq!(tokens.len(), 4, "a token of its own for each: {tokens:?}");
    assert!(api.values("note", "seen", &json!({})).iter().all(Json::is_string));
    let row = &api.rows("note", &[("limit", "1")])[0];
    assert_eq!(api.get(&format!("/data/note/{}", id(row))), *row);
    assert_eq!(
        api.rows("note", &[("filter", &json!({ "token": row["token"] }).to_string())])[0],
        *row,
        "found by what it got"
    );
    // What was unique still is, under the new name too.
    refused(&api.admin("POST", "/data/note", json!({ "slug": "k1" })), 409, "DUPLICATE_RESOURCE", "slug");

    api.altered(&table, json!({ "drop": ["text"], "confirm": true }));
    assert!(api.rows("note", &[])[0].get("text").is_none());
    // Columns without values go without a word; with `columns`, what is not named goes.
    let mut columns = api.get(&format!("/admin/tables/{}", id(&table)))["columns"].clone();
    api.altered(&table, json!({ "add": [{ "name": "unused", "type": "json" }] }));
    refused(&api.alter(&table, json!({ "columns": [] })), 422, "VALIDATION_ERROR", "likes (3 values)");
    columns.as_array_mut().unwrap().reverse();
    let reversed = api.altered(&table, json!({ "columns": columns, "confirm": true }));
    assert_eq!(reversed["columns"], columns, "in the order that was asked for");
    assert_eq!(api.values("note", "likes", &json!({})), [json!(null), json!(0), json!(1), json!(2)]);
    for (body, mentions) in [
        (json!({ "drop": ["nope"] }), "there is no column nope; known: seen"),
        (json!({ "rename": { "nope": "a" } }), "nope"),
        (json!({ "rename": { "likes": "Slug" } }), "two columns"),
        (json!({ "rename": { "likes": "createdAt" } }), "reserved"),
        (json!({ "rename": { "likes": "a\"; DROP TABLE gw_user; --" } }), "no name"),
        (json!({ "add": [{ "name": "likes", "type": "text" }] }), "two columns"),
        (json!({ "add": [{ "name": "n", "type": "integer", "required": true }] }), "would have no value"),
    ] {
        refused(&api.alter(&table, body), 422, "VALIDATION_ERROR", mentions);
    }
    let nobody = format!("/admin/tables/{}", uuid::Uuid::nil());
    refused(&api.admin("PATCH", &nobody, json!({})), 404, "RESOURCE_NOT_FOUND", "table");
    let unknown = api.alter(&table, json!({ "nope": 1 }));
    refused(&unknown, 400, "BAD_REQUEST", "nope");
}

fn names_change_places(database: Database) {
    let api = Api::on(database);
    let columns = json!([{ "name": "a", "type": "string", "unique": true }, { "name": "b", "type": "string" }, { "name": "c", "type": "integer" }]);
    let table = api.table("swap", columns);
    api.row("swap", json!({ "a": "1", "b": "2", "c": 3 }));
    api.altered(&table, json!({ "rename": { "a": "b", "b": "a" } }));
    let row = &api.rows("swap", &[])[0];
    assert_eq!((&row["a"], &row["b"]), (&json!("2"), &json!("1")));
    // The name that one gives up is a new one's, or one's that was there.
    api.altered(
        &table,
        json!({ "rename": { "a": "old" }, "add": [{ "name": "a", "type": "integer", "default": 7 }] }),
    );
    api.altered(&table, json!({ "rename": { "old": "c" }, "drop": ["c"], "confirm": true }));
    api.altered(&table, json!({ "rename": { "c": "C" } }));
    let row = &api.rows("swap", &[])[0];
    assert_eq!((&row["a"], &row["b"], &row["C"]), (&json!(7), &json!("1"), &json!("2")));
    refused(&api.admin("POST", "/data/swap", json!({ "b": "1" })), 409, "DUPLICATE_RESOURCE", "b");
    api.row("swap", json!({ "b": "2" }));
}

fn types_change_with_their_values(database: Database) {
    let api = Api::on(database);
    let column = |kind: &str| match kind {
        "enum" => {
            json!({ "name": "c", "type": kind, "values": ["a", "0189aaaa-0000-7000-8000-000000000000"] })
        }
        _ => json!({ "name": "c", "type": kind, "index": !["text", "json"].contains(&kind) }),
    };
    let sample = |kind: &str| match kind {
        "integer" => json!(5),
        "float" => json!(5.0),
        "boolean" => json!(true),
        "datetime" => json!(LONG_AGO),
        "json" => json!({ "a": 1 }),
        "uuid" => json!("0189aaaa-0000-7000-8000-000000000000"),
        _ => json!("a"),
    };
    let kinds = ["string", "text", "integer", "float", "boolean", "datetime", "json", "uuid", "enum"];
    let keeps = [
        ("string", "text"),
        ("string", "enum"),
        ("enum", "text"),
        ("enum", "string"),
        ("uuid", "text"),
        ("uuid", "string"),
        ("integer", "float"),
    ];
    for from in kinds {
        for to in kinds.into_iter().filter(|to| *to != from) {
            let name = format!("{from}_{to}");
            let table = api.table(&name, json!([column(from), { "name": "other", "type": "text" }]));
            api.row(&name, json!({ "c": sample(from), "other": "kept" }));
            api.row(&name, json!({ "c": null }));
            let change = json!({ "columns": [column(to), { "name": "other", "type": "text" }] });
            let expected = if keeps.contains(&(from, to)) {
                api.altered(&table, change);
                sample(from)
            } else {
                refused(&api.alter(&table, change.clone()), 422, "VALIDATION_ERROR", "c (1 values)");
                assert_eq!(api.rows(&name, &[])[0]["c"], sample(from), "{name}: nothing is lost");
                let mut confirmed = change;
                confirmed["confirm"] = json!(true);
                api.altered(&table, confirmed);
                Json::Null
            };
            let row = &api.rows(&name, &[])[0];
            let is_same =
                row["c"] == expected || row["c"].as_f64().is_some_and(|n| Some(n) == expected.as_f64());
            assert!(is_same && row["other"] == "kept", "{name}: {row}");
            let row = api.row(&name, json!({ "c": sample(to) }));
            assert_eq!(api.get(&format!("/data/{name}/{}", id(&row)))["c"], sample(to), "{name}");
        }
    }
}

/// PostgreSQL keeps prepared statements with the types of then.
fn what_is_prepared_follows_types(database: Database) {
    let api = Api::on(database);
    let table = api.table("n", json!([{ "name": "v", "type": "integer" }]));
    let one = api.row("n", json!({ "v": 1 }));
    let path = format!("/data/n/{}", id(&one));
    let on_all_connections = |value: Json| {
        std::thread::scope(|scope| {
            for _ in 0..16 {
                let (api, path, value) = (&api, &path, value.clone());
                scope.spawn(move || {
                    for _ in 0..8 {
                        assert_eq!(api.row("n", json!({ "v": value }))["v"], value);
                        assert_eq!(api.get(path)["v"].as_f64(), Some(1.0));
                        let changed = api.admin("PATCH", path, json!({ "v": { "_inc": 0 } }));
                        assert_eq!(changed.json()["v"].as_f64(), Some(1.0), "{}", changed.body);
                        let found = api.values("n", "v", &json!({ "v": { "_gt": value } }));
                        assert!(found.is_empty(), "{found:?}");
                    }
                });
            }
        });
    };
    on_all_connections(json!(7));
    api.altered(&table, json!({ "columns": [{ "name": "v", "type": "float" }] }));
    assert_eq!(api.values("n", "v", &json!({ "v": { "_lt": 7 } })), [json!(1.0)]);
    on_all_connections(json!(7.5));
    api.altered(&table, json!({ "drop": ["v"], "confirm": true }));
    api.altered(&table, json!({ "add": [{ "name": "v", "type": "string" }] }));
    assert_eq!(api.row("n", json!({ "v": "text" }))["v"], "text");
    assert_eq!(api.values("n", "v", &json!({ "v": { "_neq": null } })), ["text"]);
}

fn required_unique_and_enums_look_at_the_rows(database: Database) {
    let api = Api::on(database);
    let columns = |required: bool, unique: bool, values: Json, default: Json| {
        json!({ "columns": [
            { "name": "s", "type": "string", "required": required, "unique": unique, "default": default },
            { "name": "e", "type": "enum", "values": values },
        ] })
    };
    let (ab, a) = (json!(["a", "b"]), json!(["a"]));
    let table = api.table("strict", columns(false, false, ab.clone(), Json::Null)["columns"].clone());
    for (s, e) in [(json!("x"), "a"), (json!("x"), "b"), (json!(null), "a")] {
        api.row("strict", json!({ "s": s, "e": e }));
    }
    refused(
        &api.alter(&table, columns(true, false, ab.clone(), Json::Null)),
        422,
        "VALIDATION_ERROR",
        "1 rows have no value",
    );
    refused(&api.alter(&table, columns(false, true, ab.clone(), Json::Null)), 409, "DUPLICATE_RESOURCE", "s");
    refused(
        &api.alter(&table, columns(false, false, a.clone(), Json::Null)),
        422,
        "VALIDATION_ERROR",
        "1 rows have another value",
    );
    refused(
        &api.alter(&table, columns(true, false, json!([]), Json::Null)),
        422,
        "VALIDATION_ERROR",
        "values",
    );
    assert_eq!(api.values("strict", "e", &json!({})), ["a", "a", "b"]);
    // With a default they get it.
    api.altered(&table, columns(true, false, ab.clone(), json!("d")));
    assert_eq!(api.values("strict", "s", &json!({})), ["d", "x", "x"]);
    refused(
        &api.admin("POST", "/data/strict", json!({ "s": null })),
        422,
        "VALIDATION_ERROR",
        "s: is required",
    );
    let row = api.rows("strict", &[("filter", r#"{"e":"b"}"#)])[0].clone();
    let changed = api.admin("PATCH", &format!("/data/strict/{}", id(&row)), json!({ "s": "y", "e": "a" }));
    assert_eq!(changed.status, 200, "{}", changed.body);
    api.altered(&table, columns(true, true, a, Json::Null));
    refused(&api.admin("POST", "/data/strict", json!({})), 422, "VALIDATION_ERROR", "s: is required");
    refused(&api.admin("POST", "/data/strict", json!({ "s": "y" })), 409, "DUPLICATE_RESOURCE", "s");
    refused(
        &api.admin("POST", "/data/strict", json!({ "s": "z", "e": "b" })),
        422,
        "VALIDATION_ERROR",
        "takes one of a",
    );
    api.altered(&table, columns(false, false, ab, Json::Null));
    api.row("strict", json!({ "e": "b" }));
    api.row("strict", json!({ "s": "y" }));
}

fn references_come_and_go(database: Database) {
    let api = Api::on(database);
    let room = api.table("room", json!([{ "name": "parent", "type": "uuid", "references": "room" }]));
    let top = api.row("room", json!({}));
    let below = api.row("room", json!({ "parent": top["id"] }));
    refused(
        &api.admin("DELETE", &format!("/data/room/{}", id(&top)), Json::Null),
        409,
        "DUPLICATE_RESOURCE",
        "refer",
    );
    let nowhere = json!(uuid::Uuid::nil());
    refused(
        &api.admin("POST", "/data/room", json!({ "parent": nowhere })),
        422,
        "VALIDATION_ERROR",
        "parent",
    );
    let unknown = json!({ "name": "t", "columns": [{ "name": "r", "type": "uuid", "references": "rooms" }] });
    refused(
        &api.admin("POST", "/admin/tables", unknown),
        422,
        "VALIDATION_ERROR",
        "\"rooms\", which is no table",
    );
    let of = |references: Json| json!({ "columns": [{ "name": "room", "type": "uuid", "references": references }] });
    let table = api.table("seat", of(json!("room"))["columns"].clone());
    let path = "/data/seat";
    let fails = |name: &str| {
        refused(&api.admin("POST", path, json!({ name: nowhere })), 422, "VALIDATION_ERROR", name);
    };
    fails("room");
    // Made without a reference, with one, renamed, without one again, and with one.
    api.altered(&table, of(Json::Null));
    let loose = api.row("seat", json!({ "room": nowhere }));
    refused(&api.alter(&table, of(json!("room"))), 422, "VALIDATION_ERROR", "does not exist");
    api.row("seat", json!({ "room": nowhere }));
    for row in api.rows("seat", &[]).as_array().unwrap() {
        assert_eq!(api.admin("DELETE", &format!("{path}/{}", id(row)), Json::Null).status, 204, "{loose}");
    }
    api.altered(&table, of(json!("room")));
    fails("room");
    api.altered(&table, json!({ "rename": { "room": "place" } }));
    fails("place");
    api.altered(&table, json!({ "columns": [{ "name": "place", "type": "uuid" }] }));
    api.row("seat", json!({ "place": nowhere }));
    api.altered(&table, json!({ "columns": [{ "name": "place", "type": "string" }] }));
    api.row("seat", json!({ "place": "anywhere" }));
    api.altered(&table, json!({ "add": [{ "name": "room", "type": "uuid", "references": "room" }] }));
    fails("room");
    api.row("seat", json!({ "room": below["id"] }));
    refused(
        &api.admin("DELETE", &format!("/data/room/{}", id(&below)), Json::Null),
        409,
        "DUPLICATE_RESOURCE",
        "refer",
    );
    // A table that is referred to is rebuilt, renamed, and not deleted.
    api.altered(&room, json!({ "columns": [], "confirm": true }));
    fails("room");
    api.altered(&room, json!({ "name": "hall" }));
    assert_eq!(api.get(&format!("/admin/tables/{}", id(&table)))["columns"][1]["references"], "hall");
    fails("room");
    refused(
        &api.admin("DELETE", &format!("/admin/tables/{}?confirm=true", id(&room)), Json::Null),
        409,
        "DUPLICATE_RESOURCE",
        "seat",
    );
    api.altered(&table, json!({ "drop": ["room"], "confirm": true }));
    assert_eq!(
        api.admin("DELETE", &format!("/admin/tables/{}?confirm=true", id(&room)), Json::Null).status,
        204
    );
}

fn tables_are_renamed_and_deleted(database: Database) {
    let api = Api::on(database);
    let table = api.table("item", json!([{ "name": "n", "type": "integer", "unique": true }, { "name": "of", "type": "uuid", "references": "item" }]));
    api.table("taken", json!([]));
    let hook = api.hook("item", "before", &["create"], "let row = @DATA; row.n += 1; return row;");
    let first = api.row("item", json!({ "n": 1 }));
    assert_eq!(first["n"], 2);
    refused(&api.alter(&table, json!({ "name": "Taken" })), 409, "DUPLICATE_RESOURCE", "taken");
    refused(&api.alter(&table, json!({ "name": "gw_user" })), 422, "VALIDATION_ERROR", "reserved");
    let renamed = api.altered(
        &table,
        json!({ "name": "thing", "rename": { "n": "number" } , "add": [{ "name": "x", "type": "text" }] }),
    );
    assert_eq!((&renamed["name"], &renamed["columns"][1]["references"]), (&json!("thing"), &json!("thing")));
    assert_eq!(api.get(&format!("/admin/hooks/{}", id(&hook)))["table"], "thing");
    refused(&api.admin("GET", "/data/item", Json::Null), 404, "RESOURCE_NOT_FOUND", "item");
    assert_eq!(
        api.admin(
            "PATCH",
            &format!("/admin/hooks/{}", id(&hook)),
            json!({ "sourceCode": "let row = @DATA; row.number += 1; return row;" })
        )
        .status,
        200
    );
    assert_eq!(api.row("thing", json!({ "number": 5, "of": first["id"] }))["number"], 6, "the hook follows");
    refused(&api.admin("POST", "/data/thing", json!({ "number": 5 })), 409, "DUPLICATE_RESOURCE", "number");
    refused(
        &api.admin("POST", "/data/thing", json!({ "number": 9, "of": uuid::Uuid::nil() })),
        422,
        "VALIDATION_ERROR",
        "of",
    );
    // The old name is free again.
    api.table("item", json!([]));

    let path = format!("/admin/tables/{}", id(&table));
    refused(
        &api.admin("DELETE", &format!("{path}?confirm=true"), Json::Null),
        409,
        "DUPLICATE_RESOURCE",
        "1 hooks",
    );
    assert_eq!(api.admin("DELETE", &format!("/admin/hooks/{}", id(&hook)), Json::Null).status, 204);
    let refusal = api.admin("DELETE", &path, Json::Null);
    refused(&refusal, 422, "VALIDATION_ERROR", "2 rows of thing; confirm=true");
    assert_eq!(refusal.json()["error"]["details"]["rows"], 2);
    assert_eq!(api.rows("thing", &[]).as_array().unwrap().len(), 2);
    assert_eq!(api.admin("DELETE", &format!("{path}?confirm=true"), Json::Null).status, 204);
    refused(&api.admin("GET", "/data/thing", Json::Null), 404, "RESOURCE_NOT_FOUND", "thing");
    refused(&api.admin("DELETE", &path, Json::Null), 404, "RESOURCE_NOT_FOUND", "table");
    api.table("thing", json!([{ "name": "n", "type": "integer", "unique": true }]));
    assert_eq!(api.rows("thing", &[]), json!([]));
}

fn what_makes_no_sense_is_refused(database: Database) {
    let api = Api::on(database);
    let long = "a".repeat(61);
    for name in [
        "gw_user",
        "GW_USER",
        "gw_",
        "sqlite_master",
        "sqlite_x",
        "pg_class",
        "PG_x",
        "secure",
        "",
        " a",
        "1a",
        "a b",
        "a.b",
        "a\"b",
        "a'b",
        "a;b",
        "é",
        "_a",
        "a\0",
        "x\"; DROP TABLE gw_user; --",
        long.as_str(),
    ] {
        let answer = api.admin("POST", "/admin/tables", json!({ "name": name }));
        refused(&answer, 422, "VALIDATION_ERROR", "");
    }
    for name in [
        "id",
        "ID",
        "createdAt",
        "updatedat",
        "xmin",
        "ctid",
        "tableoid",
        "oid",
        "a\"",
        "_eq",
        "",
        "a b",
        "a\"; DROP TABLE gw_user; --",
        &long,
    ] {
        let body = json!({ "name": "t", "columns": [{ "name": name, "type": "text" }] });
        refused(&api.admin("POST", "/admin/tables", body), 422, "VALIDATION_ERROR", "");
    }
    let column = |mut column: Json| {
        column["name"] = json!("c");
        json!({ "name": "t", "columns": [column] })
    };
    let many: Vec<_> = (0..101).map(|n| json!({ "name": format!("c{n}"), "type": "text" })).collect();
    for (body, mentions) in [
        (json!({}), "name: is missing"),
        (
            column(json!({ "type": "varchar" })),
            "known: string, text, integer, float, boolean, datetime, json, uuid, enum",
        ),
        (column(json!({ "type": "text", "unique": true })), "no index"),
        (column(json!({ "type": "json", "index": true })), "no index"),
        (column(json!({ "type": "string", "references": "t" })), "uuid"),
        (column(json!({ "type": "enum" })), "values"),
        (column(json!({ "type": "enum", "values": ["a", "a"] })), "values"),
        (column(json!({ "type": "string", "values": ["a"] })), "values"),
        (column(json!({ "type": "integer", "default": "1" })), "takes an integer"),
        (column(json!({ "type": "string", "default": "now".repeat(2000) })), "4000"),
        (column(json!({ "type": "datetime", "default": "today" })), "RFC 3339"),
        (column(json!({ "type": "enum", "values": ["a"], "default": "b" })), "one of a"),
        (
            json!({ "name": "t", "columns": [{ "name": "a", "type": "text" }, { "name": "A", "type": "text" }] }),
            "two columns",
        ),
        (json!({ "name": "t", "columns": many }), "more than 100"),
        (json!({ "name": "t", "access": { "read": "nobody" } }), "access.read"),
        (json!({ "name": "t", "access": { "read": { "nope": 1 } } }), "nope"),
        (json!({ "name": "t", "access": { "read": { "id": "@USER.password" } } }), "@USER.password"),
        (json!({ "name": "t", "access": { "read": { "id": { "_like": 1 } } } }), "_like"),
        (json!({ "name": "t", "access": { "read": "owner" } }), "ownerColumn"),
        (json!({ "name": "t", "access": { "ownerColumn": "nope" } }), "nope"),
        (json!({ "name": "t", "description": "x".repeat(10_001) }), "description"),
    ] {
        refused(&api.admin("POST", "/admin/tables", body), 422, "VALIDATION_ERROR", mentions);
    }
    for (body, mentions) in [
        (json!({ "name": "t", "colums": [] }), "colums"),
        (column(json!({ "type": "text", "uniqe": true })), "uniqe"),
        (json!({ "name": "t", "access": { "raed": "user" } }), "raed"),
        (json!({ "name": 5 }), "name"),
        (json!([]), ""),
    ] {
        refused(&api.admin("POST", "/admin/tables", body), 400, "BAD_REQUEST", mentions);
    }
    assert_eq!(api.get("/admin/tables")["data"], json!([]), "nothing of all that is there");
    let whole: Vec<_> = (0..100).map(|n| json!({ "name": format!("c{n}"), "type": "text" })).collect();
    api.table("wide", json!(whole));
    refused(
        &api.admin("POST", "/admin/tables", json!({ "name": "WIDE" })),
        409,
        "DUPLICATE_RESOURCE",
        "wide",
    );
    // Words of SQL are names like others.
    let table = api.table("order", json!([{ "name": "select", "type": "string", "unique": true, "default": "a" }, { "name": "from", "type": "uuid", "references": "order" }]));
    let row = api.row("order", json!({}));
    api.row("order", json!({ "select": "b", "from": row["id"] }));
    api.altered(&table, json!({ "rename": { "select": "where" }, "name": "group" }));
    assert_eq!(api.values("group", "where", &json!({ "from": null })), ["a"]);

    let others = [
        r#"CREATE TABLE "theirs" (a integer)"#,
        r#"CREATE VIEW "view_of_theirs" AS SELECT 1 AS a"#,
        r#"CREATE INDEX "index_of_theirs" ON "theirs" (a)"#,
    ];
    let url = match api.server.data.database_url() {
        "" => format!("sqlite:{}", sqlite_file(&api.server.data)),
        url => url.to_owned(),
    };
    others.iter().for_each(|sql| run_sql(&url, sql).unwrap());
    for name in ["theirs", "view_of_theirs", "index_of_theirs"] {
        refused(
            &api.admin("POST", "/admin/tables", json!({ "name": name })),
            409,
            "DUPLICATE_RESOURCE",
            "did not make",
        );
        refused(&api.alter(&table, json!({ "name": name })), 409, "DUPLICATE_RESOURCE", "did not make");
        refused(&api.admin("GET", &format!("/data/{name}"), Json::Null), 404, "RESOURCE_NOT_FOUND", name);
    }
    for name in ["gw_user", "sqlite_master", "pg_class"] {
        refused(&api.admin("GET", &format!("/data/{name}"), Json::Null), 404, "RESOURCE_NOT_FOUND", name);
        assert_eq!(api.fails(&format!("#{name}.find()")).0, "RESOURCE_NOT_FOUND");
    }
}

/// The file of the SQLite database.
pub fn sqlite_file(data: &Data) -> String {
    let files = std::fs::read_dir(data.path()).unwrap().map(|entry| entry.unwrap().path());
    let database = files
        .into_iter()
        .find(|path| std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"SQLite format 3\0")));
    database.expect("a database in the data folder").display().to_string()
}

fn admins_at_once_all_get_their_column(database: Database) {
    let api = Api::on(database);
    // On PostgreSQL they even work on two servers.
    let other = (database == Database::Postgres).then(|| Api::in_data(api.server.data.beside()));
    let table = api.table("busy", json!([{ "name": "n", "type": "integer" }]));
    let row = api.row("busy", json!({ "n": 0 }));
    std::thread::scope(|scope| {
        for n in 0..20 {
            let (api, table) = (other.as_ref().filter(|_| n % 2 == 0).unwrap_or(&api), &table);
            let add = json!({ "add": [{ "name": format!("c{n}"), "type": "integer", "default": n, "index": true }] });
            scope.spawn(move || {
                until("my turn", || {
                    let answer = api.alter(table, add.clone());
                    // Who writes rows may be in the way for too long.
                    assert!([200, 503].contains(&answer.status), "{}", answer.body);
                    (answer.status == 200).then_some(())
                })
            });
        }
        for _ in 0..4 {
            let (api, row) = (&api, &row);
            scope.spawn(move || {
                for _ in 0..20 {
                    let path = format!("/data/busy/{}", id(row));
                    let changed = api.admin("PATCH", &path, json!({ "n": { "_inc": 1 } }));
                    assert_eq!(changed.status, 200, "{}", changed.body);
                }
            });
        }
    });
    let columns = api.get(&format!("/admin/tables/{}", id(&table)))["columns"].clone();
    assert_eq!(columns.as_array().unwrap().len(), 21, "{columns}");
    let row = until("the whole row", || {
        let row = api.get(&format!("/data/busy/{}", id(&row)));
        (row.as_object().unwrap().len() == 24).then_some(row)
    });
    assert_eq!(row["n"], 80);
    for n in 0..20 {
        assert_eq!(row[format!("c{n}")], n);
    }
}

fn a_restart_keeps_all(database: Database) {
    let api = Api::on(database);
    let columns = json!([
        { "name": "text", "type": "text", "required": true },
        { "name": "state", "type": "enum", "values": ["a", "b"], "default": "a" },
        { "name": "of", "type": "uuid", "references": "kept", "index": true },
    ]);
    let access = json!({ "read": { "_or": [{ "state": "a" }, { "text": "@USER.id" }] }, "create": "user", "update": "owner", "delete": "public", "ownerColumn": "text" });
    let table = api.make(
        "/admin/tables",
        json!({ "name": "kept", "description": "d", "columns": columns, "access": access }),
    );
    assert_eq!((&table["access"], &table["pack"]), (&access, &Json::Null));
    let row = api.row("kept", json!({ "text": "é🦀" }));
    let hook = api.hook("kept", "before", &["create"], "return #{ state: \"b\" };");
    if database == Database::Postgres {
        // Another server of the same database has what this one makes.
        let other = Api::in_data(api.server.data.beside());
        assert_eq!(other.get(&format!("/data/kept/{}", id(&row))), row);
        let late = api.table("late", json!([{ "name": "a", "type": "text" }]));
        api.row("late", json!({ "a": "x" }));
        until("the table of the other", || (other.list("late", &[]).status == 200).then_some(()));
        assert_eq!(other.rows("late", &[])[0]["a"], "x");
        other.altered(&late, json!({ "rename": { "a": "b" } }));
        until("the column of the other", || {
            let answer = api.list("late", &[]);
            // Until then it asks for a column that is not there.
            (answer.status == 200).then(|| answer.json()["data"][0].get("b").cloned()).flatten()
        });
        assert_eq!(
            api.admin("DELETE", &format!("/admin/tables/{}?confirm=true", id(&late)), Json::Null).status,
            204
        );
        until("its end", || (other.list("late", &[]).status == 404).then_some(()));
        assert_eq!(other.row("kept", json!({ "text": "from the other" }))["state"], "b", "with its hook");
    }
    let (status, data, _) = api.server.stop();
    assert!(status.success());
    let api = Api::in_data(data);
    assert_eq!(api.get(&format!("/admin/tables/{}", id(&table))), table);
    assert_eq!(api.get(&format!("/admin/hooks/{}", id(&hook)))["table"], "kept");
    assert_eq!(api.get(&format!("/data/kept/{}", id(&row))), row);
    assert_eq!(api.row("kept", json!({ "text": "t", "of": row["id"] }))["state"], "b");
    let (status, ..) = api.server.stop();
    assert!(status.success());
}

fn the_description_of_the_api_follows(database: Database) {
    let api = Api::on(database);
    let described = || {
        let document = api.get("/openapi.json");
        check_document(&document);
        document
    };
    let before = described();
    assert!(before["paths"].get("/data/book").is_none());
    let table = api.table(
        "book",
        json!([
            { "name": "title", "type": "string", "required": true },
            { "name": "kind", "type": "enum", "values": ["a", "b"] },
            { "name": "pages", "type": "integer", "required": true, "default": 1 },
            { "name": "any", "type": "json" },
        ]),
    );
    api.table("list", json!([]));
    api.make(
        "/admin/routes",
        json!({ "method": "GET", "path": "/shelf/{id}", "access": "public", "sourceCode": "1" }),
    );
    api.make(
        "/admin/routes",
        json!({ "method": "POST", "path": "/shelf/{id}", "access": "public", "sourceCode": "1" }),
    );
    let with = described();
    let new = &with["paths"]["/data/book"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(new["required"], json!(["title"]));
    assert_eq!(new["properties"]["kind"], json!({ "type": ["string", "null"], "enum": ["a", "b", null] }));
    assert_eq!(new["properties"]["any"], json!({}));
    let row =
        &with["paths"]["/data/book/{id}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(row["required"].as_array().unwrap().len(), 5);
    assert!(
        with["paths"]["/shelf/{id}"]["get"].is_object() && with["paths"]["/shelf/{id}"]["post"].is_object()
    );
    assert_eq!(with, described(), "the same each time");
    api.altered(&table, json!({ "name": "volume", "rename": { "title": "name" } }));
    let after = described();
    assert!(after["paths"].get("/data/book").is_none());
    assert!(after["paths"]["/data/volume"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]["name"].is_object());
}

/// That references lead somewhere, operations have names of their own, and paths their parameters.
fn check_document(document: &Json) {
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    check_references(document, document);
    let mut names = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters") {
            let name =
                operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no name"));
            assert!(names.insert(name.to_owned()), "two operations {name}");
            assert!(!operation["responses"].as_object().unwrap().is_empty(), "{method} {path}");
            let parameters = [&item["parameters"], &operation["parameters"]];
            let parameters = parameters.iter().filter_map(|list| list.as_array()).flatten();
            let mut in_path: Vec<_> = parameters
                .filter(|one| one["in"] == "path")
                .map(|one| one["name"].as_str().unwrap())
                .collect();
            in_path.sort_unstable();
            let mut wanted: Vec<_> =
                path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
            wanted.sort_unstable();
            assert_eq!(in_path, wanted, "{method} {path}");
        }
    }
}

fn check_references(value: &Json, document: &Json) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| check_references(item, document)),
        Json::Object(fields) => {
            if let Some(Json::String(reference)) = fields.get("$ref") {
                let pointer =
                    reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leaves the document"));
                assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
            }
            fields.values().for_each(|field| check_references(field, document));
        }
        _ => {}
    }
}
