//! What scripts do with many rows at once: visiting all of them, and asking where one stands.

use serde_json::{Value as Json, json};

use super::support::api::Api;
use super::support::database::{Database, on_each_database};

on_each_database!(
    each_visits_all_rows,
    each_ends_and_throws,
    each_stays_in_its_bounds,
    ranks_follow_the_order,
    rows_in_memory_meet_filters,
);

const COLUMNS: &str = r#"[
    { "name": "n", "type": "integer", "index": true },
    { "name": "t", "type": "string" },
    { "name": "f", "type": "float" },
    { "name": "d", "type": "datetime" },
    { "name": "b", "type": "boolean" },
    { "name": "must", "type": "integer", "required": true, "default": 0 }
]"#;

/// Few values of each column, so that many rows are alike in it; null among them.
const FILL: &str = r#"
    let rows = [];
    for i in 0..60 {
        rows.push(#{
            n: if i % 5 == 0 { () } else { i * 7 % 4 },
            t: if i % 7 == 0 { () } else { ["a", "B", "ä", "b"][i % 4] },
            f: if i % 3 == 0 { () } else { (i * 3 % 5).to_float() / 2.0 },
            d: if i % 4 == 0 { () } else { @HELPERS.iso(i % 3 * 1000) },
            b: if i % 6 == 0 { () } else { i % 2 == 0 },
            must: i % 3,
        });
    }
    #many.createMany(#{ data: rows });
"#;

const SORTS: [&str; 8] = ["id", "n", "-n", "-must", "must,-n", "-t,f", "d,-b,t", "-f,-d,-id"];

fn many(database: Database) -> Api {
    let api = Api::on(database);
    api.table("many", serde_json::from_str(COLUMNS).unwrap());
    api
}

fn each_visits_all_rows(database: Database) {
    let api = many(database);
    api.run(FILL);
    for sort in SORTS {
        let script = format!(
            r##"
            let found = #many.find(#{{ sort: "{sort}", limit: 0 }}).data.map(|row| row.id);
            let met = [];
            let count = #many.each(#{{ sort: "{sort}", fields: "must" }}, |row| met.push(row));
            let ids = [];
            #many.each(#{{ sort: "{sort}" }}, |row| ids.push(row.id));
            return [found == ids, count, met[0].keys()];
            "##
        );
        assert_eq!(api.run(&script), json!([true, 60, ["must"]]), "{sort}");
    }
    let some =
        "let n = 0; let met = #many.each(#{ filter: #{ must: 1 } }, |row| n += row.must); return [met, n];";
    assert_eq!(api.run(some), json!([20, 20]));
    assert_eq!(api.run("return #many.each(|row| ());"), 60, "a closure that gives back nothing goes on");
    assert_eq!(api.run("return #many.each(#{ filter: #{ must: 9 } }, |row| false);"), 0);
}

fn each_ends_and_throws(database: Database) {
    let api = many(database);
    api.run(FILL);
    let ends =
        "let n = 0; let met = #many.each(#{ sort: \"must\" }, |row| { n += 1; n < 7 }); return [met, n];";
    assert_eq!(api.run(ends), json!([7, 7]));
    let throws = "#many.each(|row| { @THROW.conflict(`no ${row.must}`); });";
    assert_eq!(api.fails(throws), ("DUPLICATE_RESOURCE".to_owned(), "no 0".to_owned()));
    let caught = "try { #many.each(|row| { throw 5; }); } catch(error) { return error; }";
    assert_eq!(api.run(caught), 5);
    for (wrong, mentions) in [
        ("#many.each(#{ limit: 5 }, |row| ());", "There is no option limit; known: filter, fields, sort"),
        ("#many.each(#{ sort: \"what\" }, |row| ());", "There is no field what"),
        ("#many.rank(#{ sort: \"n\" });", "whose rank"),
    ] {
        let (code, message) = api.fails(wrong);
        assert_eq!(code, "VALIDATION_ERROR", "{wrong}: {message}");
        assert!(message.contains(mentions), "{wrong}: {message}");
    }
}

/// Over several pages, with rows that are made, changed and deleted in between.
fn each_stays_in_its_bounds(database: Database) {
    let api = many(database);
    let fill = "for part in 0..3 { let rows = []; for n in 0..900 { rows.push(#{ n: part * 900 + n, must: 1 }); } #many.createMany(#{ data: rows }); }";
    api.run(fill);
    let changes = r#"
        let met = 0;
        let twice = 0;
        let moved = #many.findOne(#{ sort: "n" }).id;
        let late = #many.findOne(#{ filter: #{ n: 2600 } }).id;
        let of_moved = 0;
        let count = #many.each(#{ sort: "n" }, |row| {
            met += 1;
            if row.id == moved { of_moved += 1; }
            if met == 10 {
                #many.update(#{ id: moved, data: #{ n: 100000 } });
                #many.delete(#{ id: late });
                #many.create(#{ data: #{ n: -5 } });
            }
        });
        return [count, of_moved];
    "#;
    assert_eq!(api.run(changes), json!([2699, 1]), "one was met before it moved, one was gone in time");
    let visits = "let n = 0; while true { n += #many.each(#{ filter: #{ n: -5 } }, |row| ()); }";
    let (code, message) = api.fails(visits);
    assert_eq!(code, "SCRIPT_OUTPUT_LIMIT", "{message}");
    api.table("large", json!([{ "name": "text", "type": "text" }]));
    let large = r#"
        let text = "x"; while text.len() < 400000 { text += text; }
        for n in 0..40 { #large.create(#{ data: #{ text: text } }); }
        let bytes = 0;
        let count = #large.each(|row| bytes += row.text.len());
        return [count, bytes > 20000000];
    "#;
    assert_eq!(api.run(large), json!([40, true]), "more than one read may give");
    let (code, _) = api.fails("return #large.find(#{ limit: 40 }).data.len();");
    assert_eq!(code, "VALIDATION_ERROR");
}

fn ranks_follow_the_order(database: Database) {
    let api = many(database);
    api.run(FILL);
    for sort in SORTS {
        let script = format!(
            r##"
            let filter = #{{ _or: [#{{ must: #{{ _lt: 2 }} }}, #{{ b: () }}] }};
            let found = #many.find(#{{ filter: filter, sort: "{sort}", limit: 0 }}).data;
            let wrong = [];
            for (row, index) in found {{
                let rank = #many.rank(#{{ filter: filter, sort: "{sort}", id: row.id }});
                if rank != index + 1 {{ wrong.push([index + 1, rank]); }}
            }}
            let other = #many.findOne(#{{ filter: #{{ must: 2, b: true }} }});
            return [wrong, #many.rank(#{{ filter: filter, sort: "{sort}", id: other.id }}), found.len() > 30];
            "##
        );
        assert_eq!(api.run(&script), json!([[], Json::Null, true]), "{sort}");
    }
    assert_eq!(api.run("return #many.rank(#{ id: \"no id\" });"), Json::Null);
    assert_eq!(api.run("return #many.rank(#{ id: #many.findOne(#{ page: 3, sort: \"id\" }).id });"), 3);
}

fn rows_in_memory_meet_filters(database: Database) {
    let api = many(database);
    api.run("#many.create(#{ data: #{ n: 5, t: \"ab\", d: \"2026-01-31T13:00:00+01:00\" } });");
    for (filter, meets) in [
        ("#{}", true),
        ("#{ n: 5, t: \"ab\" }", true),
        ("#{ n: #{ _between: [6, 7] } }", false),
        ("#{ t: #{ _starts_with: \"a\" }, _not: #{ n: 6 } }", true),
        ("#{ _or: [#{ n: 1 }, #{ t: #{ _in: [\"ab\"] } }] }", true),
        ("#{ d: \"2026-01-31T12:00:00.000Z\", f: () }", true),
    ] {
        let script = format!(
            "let row = #many.findOne(); return [@HELPERS.meets(row, {filter}), #many.exists({filter})];"
        );
        assert_eq!(api.run(&script), json!([meets, meets]), "{filter}");
    }
    assert_eq!(api.run("return @HELPERS.meets(#{}, #{ what: () });"), true, "what is not there is null");
    for (wrong, mentions) in
        [("@HELPERS.meets(#{}, #{ n: #{ _gr: 1 } })", "_gte"), ("@HELPERS.meets(5, #{})", "a row is written")]
    {
        let (code, message) = api.fails(wrong);
        assert_eq!(code, "VALIDATION_ERROR");
        assert!(message.contains(mentions), "{message}");
    }
    let kept = |filter: &str| {
        let script = format!("return @HELPERS.meets(#{{ n: 7 }}, {filter});");
        let body = json!({ "kind": "script", "script": script, "payload": { "n": { "_gt": 5 } } });
        api.test_run(body)
    };
    assert_eq!(kept("@HELPERS.filter(@BODY)")["result"], true);
    let refused = kept("@BODY");
    assert!(refused["error"]["message"].as_str().unwrap().contains("@HELPERS.filter"), "{refused}");
}
