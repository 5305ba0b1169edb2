//! Rows over REST: what is asked for, what is written, and what is wrong.

use serde_json::{Value as Json, json};

use super::support::api::{Api, encoded, id, refused};
use super::support::database::{Database, on_each_database};
use super::support::polling::Polling;
use super::support::server::Server;

on_each_database!(
    filters_find_what_they_say,
    pages_sorts_and_fields,
    questions_that_make_no_sense,
    numbers_and_text_are_exact,
    rows_have_a_bound,
    writes_that_cannot_be,
    increments_at_once_all_count,
    bests_only_get_better,
    what_is_locked_waits_for_its_transaction,
    many_rows_are_made_or_none,
);

fn filters_find_what_they_say(database: Database) {
    let api = Api::on(database);
    api.table(
        "f",
        json!([
            { "name": "n", "type": "integer" }, { "name": "s", "type": "string" }, { "name": "t", "type": "text" }, { "name": "x", "type": "float" },
            { "name": "b", "type": "boolean" }, { "name": "d", "type": "datetime" }, { "name": "j", "type": "json" }, { "name": "u", "type": "uuid" },
            { "name": "e", "type": "enum", "values": ["one", "two"] },
        ]),
    );
    let uuid = "0189aaaa-0000-7000-8000-00000000000b";
    api.row("f", json!({ "n": 1, "s": "Anna", "t": "a%b_c*d?e[f", "x": 0.5, "b": true, "d": "2001-01-01T00:00:00Z", "j": { "a": 1, "b": [] }, "u": uuid, "e": "one" }));
    api.row("f", json!({ "n": 2, "s": "anna", "t": "a\\", "x": -1, "b": false, "d": "2001-01-01T00:00:00.001Z", "j": [1], "e": "two" }));
    api.row("f", json!({ "n": 3, "s": "Änne", "t": "", "x": 1e300, "b": true, "d": "2001-01-01T01:00:00+01:00", "j": "x" }));
    api.row("f", json!({ "n": 4 }));
    for (filter, expected) in [
        (json!({}), &[1, 2, 3, 4][..]),
        (json!({ "n": 2 }), &[2]),
        (json!({ "n": { "_eq": 2 } }), &[2]),
        (json!({ "n": { "_neq": 2 } }), &[1, 3, 4]),
        (json!({ "n": { "_gt": 1, "_lt": 3 } }), &[2]),
        (json!({ "n": { "_gte": 3 } }), &[3, 4]),
        (json!({ "n": { "_lte": 1 } }), &[1]),
        (json!({ "n": { "_in": [4, 1, 9] } }), &[1, 4]),
        (json!({ "n": { "_in": [] } }), &[]),
        (json!({ "n": { "_nin": [] } }), &[1, 2, 3, 4]),
        (json!({ "n": { "_nin": [4, 1] } }), &[2, 3]),
        (json!({ "n": { "_between": [2, 3] } }), &[2, 3]),
        (json!({ "n": { "_between": [3, 2] } }), &[]),
        (json!({ "s": null }), &[4]),
        (json!({ "s": { "_is_null": true } }), &[4]),
        (json!({ "s": { "_is_null": false } }), &[1, 2, 3]),
        (json!({ "s": { "_neq": "Anna" } }), &[2, 3, 4]),
        (json!({ "s": { "_in": ["anna", null] } }), &[2, 4]),
        (json!({ "s": { "_nin": ["anna", null] } }), &[1, 3]),
        (json!({ "s": { "_contains": "nn" } }), &[1, 2, 3]),
        (json!({ "s": { "_starts_with": "A" } }), &[1]),
        (json!({ "s": { "_ends_with": "nna" } }), &[1, 2]),
        (json!({ "t": { "_contains": "%" } }), &[1]),
        (json!({ "t": { "_contains": "b_c*d?e[" } }), &[1]),
        (json!({ "t": { "_contains": "b1c" } }), &[]),
        (json!({ "t": { "_ends_with": "\\" } }), &[2]),
        (json!({ "t": { "_contains": "" } }), &[1, 2, 3]),
        (json!({ "t": { "_contains": "' OR 1=1 --" } }), &[]),
        (json!({ "s": "' OR '1'='1" }), &[]),
        (json!({ "s": { "_gt": "Anna" } }), &[2, 3]),
        (json!({ "x": { "_lt": 0 } }), &[2]),
        (json!({ "x": 1e300 }), &[3]),
        (json!({ "x": -1 }), &[2]),
        (json!({ "b": true }), &[1, 3]),
        (json!({ "d": "2001-01-01T00:00:00Z" }), &[1, 3]),
        (json!({ "d": { "_gt": "2001-01-01T01:00:00+01:00" } }), &[2]),
        (json!({ "j": { "_eq": { "b": [], "a": 1 } } }), &[1]),
        (json!({ "j": { "_eq": [1] } }), &[2]),
        (json!({ "j": "x" }), &[3]),
        (json!({ "u": uuid.to_uppercase() }), &[1]),
        (json!({ "u": "no uuid" }), &[]),
        (json!({ "u": { "_neq": "no uuid" } }), &[1, 2, 3, 4]),
        (json!({ "e": { "_in": ["two", "three"] } }), &[2]),
        (json!({ "createdAt": { "_gt": "2020-01-01T00:00:00Z" } }), &[1, 2, 3, 4]),
        (json!({ "_or": [{ "n": 1 }, { "n": 4 }] }), &[1, 4]),
        (json!({ "_or": [] }), &[]),
        (json!({ "_and": [] }), &[1, 2, 3, 4]),
        (json!({ "_or": [{}] }), &[1, 2, 3, 4]),
        (json!({ "_and": [{ "n": { "_gt": 1 } }, { "_or": [{ "n": 2 }, { "s": null }] }] }), &[2, 4]),
        (json!({ "_not": { "s": "Anna" } }), &[2, 3, 4]),
        (json!({ "_not": { "_or": [{ "n": 1 }, { "s": null }] } }), &[2, 3]),
        (json!({ "_not": {} }), &[]),
        (json!({ "n": { "_gt": 1 }, "b": true }), &[3]),
    ] {
        let expected: Vec<_> = expected.iter().map(|n| json!(n)).collect();
        assert_eq!(api.values("f", "n", &filter), expected, "{filter}");
        let counted = api.list("f", &[("filter", &filter.to_string()), ("limit", "1"), ("meta", "*")]).json();
        assert_eq!(counted["meta"], json!({ "totalCount": 4, "filterCount": expected.len() }), "{filter}");
    }
}

fn pages_sorts_and_fields(database: Database) {
    let api = Api::on(database);
    api.table("p", json!([{ "name": "n", "type": "integer" }, { "name": "s", "type": "string" }, { "name": "j", "type": "json" }]));
    for n in 0..25 {
        let name = ["b", "A", "ä"].get(n % 4);
        api.row("p", json!({ "n": n, "s": name }));
    }
    let numbers = |query: &[(&str, &str)]| -> Vec<i64> {
        api.rows("p", query).as_array().unwrap().iter().map(|row| row["n"].as_i64().unwrap()).collect()
    };
    assert_eq!(numbers(&[]), (0..20).collect::<Vec<_>>(), "twenty, as they were made");
    assert_eq!(numbers(&[("page", "2")]), (20..25).collect::<Vec<_>>());
    assert!(numbers(&[("page", "3")]).is_empty());
    assert!(numbers(&[("page", "1000000000"), ("limit", "1000")]).is_empty());
    assert_eq!(numbers(&[("limit", "1000")]).len(), 25);
    assert_eq!(numbers(&[("sort", "-n"), ("limit", "3"), ("page", "2")]), [21, 20, 19]);
    // Null is the least, and text has the order of its characters' numbers.
    assert_eq!(numbers(&[("sort", "s,-n"), ("limit", "8")]), [23, 19, 15, 11, 7, 3, 21, 17]);
    assert_eq!(numbers(&[("sort", "-s, n"), ("limit", "8")]), [2, 6, 10, 14, 18, 22, 0, 4]);
    let mut paged: Vec<_> = (1..=9)
        .flat_map(|page| numbers(&[("sort", "s"), ("limit", "3"), ("page", &page.to_string())]))
        .collect();
    paged.sort_unstable();
    assert_eq!(paged, (0..25).collect::<Vec<_>>(), "pages of equal values do not overlap");
    let row = &api.rows("p", &[("fields", "s, n,n")])[0];
    assert_eq!(*row, json!({ "n": 0, "s": "b" }));
    assert_eq!(api.rows("p", &[("fields", "*")])[0].as_object().unwrap().len(), 6);
    let many = vec!["n"; 3000].join(",");
    assert_eq!(
        api.rows("p", &[("fields", &many), ("limit", "1")]),
        json!([{ "n": 0 }]),
        "named often, given once"
    );
}

fn questions_that_make_no_sense(database: Database) {
    let api = Api::on(database);
    api.table("q", json!([{ "name": "n", "type": "integer" }, { "name": "s", "type": "string" }, { "name": "b", "type": "boolean" }, { "name": "j", "type": "json" }]));
    api.row("q", json!({ "n": 1 }));
    let injected = "n\"; DROP TABLE gw_user; --";
    let nested = |depth: usize| (0..depth).fold(json!({ "n": 1 }), |inner, _| json!({ "_not": inner }));
    let many = json!({ "n": { "_in": vec![1; 10_000] } });
    for (query, code, mentions) in [
        (vec![("page", "-1")], 422, "page"),
        (vec![("page", "0")], 422, "page"),
        (vec![("page", "99999999999999999999")], 422, "page"),
        (vec![("page", "one")], 422, "page"),
        (vec![("limit", "0")], 422, "limit"),
        (vec![("limit", "-5")], 422, "limit"),
        (vec![("limit", "1001")], 422, "limit"),
        (vec![("sort", "nope")], 422, "known: id, n, s, b, j, createdAt, updatedAt"),
        (vec![("sort", injected)], 422, ""),
        (vec![("sort", "j")], 422, "JSON"),
        (vec![("sort", "")], 422, ""),
        (vec![("fields", "n,nope")], 422, "known: id, n"),
        (vec![("fields", injected)], 422, ""),
        (vec![("filter", "{")], 400, "JSON"),
        (vec![("filter", "[]")], 422, "object"),
        (vec![("filter", "5")], 422, "object"),
        (vec![("nope", "1")], 400, "nope"),
    ] {
        let answer = api.list("q", &query);
        let status = if answer.status == 400 && code == 422 { 400 } else { code };
        refused(&answer, status, if status == 400 { "BAD_REQUEST" } else { "VALIDATION_ERROR" }, mentions);
    }
    for (filter, mentions) in [
        (json!({ "nope": 1 }), "known: id, n, s, b, j, createdAt, updatedAt"),
        (json!({ injected: 1 }), ""),
        (json!({ "n": { "_like": 1 } }), "_starts_with"),
        (json!({ "n": { injected: 1, "_eq": 1 } }), "known: _eq"),
        (json!({ "n": "1" }), "integer"),
        (json!({ "n": 1.5 }), "integer"),
        (json!({ "n": { "_in": 1 } }), "array"),
        (json!({ "n": { "_between": [1] } }), "two"),
        (json!({ "n": { "_is_null": 1 } }), "true or false"),
        (json!({ "n": { "_contains": "1" } }), "text"),
        (json!({ "s": { "_contains": 1 } }), "text"),
        (json!({ "s": "a\0b" }), "NUL"),
        (json!({ "b": 1 }), "true or false"),
        (json!({ "j": { "_gt": 1 } }), "no order"),
        (json!({ "createdAt": "today" }), "RFC 3339"),
        (json!({ "_or": {} }), "array"),
        (json!({ "_not": [] }), "object"),
        (nested(100), "deep"),
        (many.clone(), "conditions"),
        (json!({ "_or": (0..1001).map(|n| json!({ "n": n })).collect::<Vec<_>>() }), "conditions"),
    ] {
        let text = filter.to_string();
        refused(&api.list("q", &[("filter", &text)]), 422, "VALIDATION_ERROR", mentions);
        // The same from a script, which need not put it into a URL.
        let script = "return #q.count(@BODY);";
        let answer = api.test_run(json!({ "kind": "script", "script": script, "payload": filter }));
        assert_eq!(answer["error"]["code"], "VALIDATION_ERROR", "{text:.100}: {answer}");
    }
    assert_eq!(
        api.list("q", &[("filter", &nested(2000).to_string())]).status,
        400,
        "no JSON of that depth is read"
    );
    assert_eq!(api.list("q", &[("filter", &nested(16).to_string())]).status, 200);
    let sorts = vec!["n"; 3000].join(",");
    refused(&api.list("q", &[("sort", &sorts)]), 422, "VALIDATION_ERROR", "sort");
    for path in ["/data/nope", "/data/gw_user", "/data/q%22;DROP", "/data/Q"] {
        refused(&api.admin("GET", path, Json::Null), 404, "RESOURCE_NOT_FOUND", "");
        refused(&api.admin("POST", path, json!({})), 404, "RESOURCE_NOT_FOUND", "");
    }
    for row in
        [uuid::Uuid::nil().to_string(), "1".into(), "'".into(), encoded(&[("", injected)])[1..].to_owned()]
    {
        let path = format!("/data/q/{row}");
        refused(&api.admin("GET", &path, Json::Null), 404, "RESOURCE_NOT_FOUND", "");
        refused(&api.admin("PATCH", &path, json!({ "n": 1 })), 404, "RESOURCE_NOT_FOUND", "");
        refused(&api.admin("DELETE", &path, Json::Null), 404, "RESOURCE_NOT_FOUND", "");
    }
    assert_eq!(api.get("/admin/users")["data"].as_array().unwrap().len(), 1);
}

fn numbers_and_text_are_exact(database: Database) {
    let api = Api::on(database);
    api.table("exact", json!([{ "name": "n", "type": "integer", "unique": true }, { "name": "x", "type": "float" }, { "name": "t", "type": "string", "unique": true }, { "name": "j", "type": "json" }]));
    for n in [i64::MAX, i64::MIN, 9_007_199_254_740_993, 9_007_199_254_740_992, -9_007_199_254_740_993] {
        let row = api.row("exact", json!({ "n": n, "j": n }));
        assert_eq!((&row["n"], &row["j"]), (&json!(n), &json!(n)));
        assert_eq!(api.values("exact", "n", &json!({ "n": n })), [json!(n)]);
        let between = json!({ "n": { "_gte": n, "_lte": n } }).to_string();
        assert_eq!(api.rows("exact", &[("filter", &between)])[0]["j"], n);
        assert_eq!(
            api.run(&format!("return #exact.findOne(#{{ filter: #{{ n: parse_int(\"{n}\") }} }}).n;")),
            json!(n)
        );
    }
    let too_large = br#"{"n":9223372036854775808}"#;
    let headers =
        [("authorization", format!("Bearer {}", api.token)), ("content-type", "application/json".to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let post = |body: &[u8]| api.send("POST", "/data/exact", &headers, body);
    refused(&post(too_large), 422, "VALIDATION_ERROR", "integer of 64 bits");
    refused(&post(br#"{"n":-9223372036854775809}"#), 422, "VALIDATION_ERROR", "integer of 64 bits");
    refused(&post(br#"{"x":1e400}"#), 400, "BAD_REQUEST", "");
    refused(&api.admin("POST", "/data/exact", json!({ "n": i64::MAX })), 409, "DUPLICATE_RESOURCE", "n");
    let most = api.rows("exact", &[("sort", "-n")])[0].clone();
    let path = format!("/data/exact/{}", id(&most));
    refused(&api.admin("PATCH", &path, json!({ "n": { "_inc": 1 } })), 422, "VALIDATION_ERROR", "range");
    let far = api.row("exact", json!({ "x": 1.7e308 }));
    let far = format!("/data/exact/{}", id(&far));
    refused(&api.admin("PATCH", &far, json!({ "x": { "_inc": 1.7e308 } })), 422, "VALIDATION_ERROR", "range");
    assert_eq!(
        (&api.get(&path)["n"], &api.get(&far)["x"]),
        (&json!(i64::MAX), &json!(1.7e308)),
        "as they were"
    );
    for (column, by) in
        [("n", json!(1.5)), ("n", json!("1")), ("n", Json::Null), ("x", json!("1")), ("t", json!(1))]
    {
        refused(
            &api.admin("PATCH", &far, json!({ column: { "_inc": by } })),
            422,
            "VALIDATION_ERROR",
            "_inc",
        );
    }
    assert_eq!(
        api.admin("PATCH", &far, json!({ "n": { "_inc": -2 }, "x": { "_inc": -1.7e308 } })).json()["n"],
        -2,
        "nothing counts as 0"
    );

    for (number, text) in [
        "🦀🏳️‍🌈",
        "\u{202e}مرحبا",
        "e\u{301}",
        "é",
        "\u{7f}\u{1}\n\r\t",
        "'\"`;--/*",
        "\u{10ffff}",
        "null",
        " ",
    ]
    .into_iter()
    .enumerate()
    {
        let row = api.row("exact", json!({ "t": text, "j": { text: [text] } }));
        assert_eq!((&row["t"], &row["j"]), (&json!(text), &json!({ text: [text] })));
        assert_eq!(
            api.rows("exact", &[("filter", &json!({ "t": text }).to_string())]),
            json!([row]),
            "{number}"
        );
        assert_eq!(
            api.rows("exact", &[("filter", &json!({ "t": { "_contains": text } }).to_string())])[0]["id"],
            row["id"],
            "{number}"
        );
        refused(&api.admin("POST", "/data/exact", json!({ "t": text })), 409, "DUPLICATE_RESOURCE", "t");
    }
    for wrong in [json!({ "t": "a\0b" }), json!({ "j": "a\0" }), json!({ "j": { "\0": 1 } })] {
        refused(&api.admin("POST", "/data/exact", wrong), 422, "VALIDATION_ERROR", "");
    }
    refused(&post(b"{\"t\":\"\xff\"}"), 400, "BAD_REQUEST", "");
    refused(&post(br#"{"t":"\ud800"}"#), 400, "BAD_REQUEST", "");
    let deep = |levels: usize| format!("{{\"j\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(post(deep(60).as_bytes()).status, 201);
    refused(&post(deep(61).as_bytes()), 422, "VALIDATION_ERROR", "60");
    refused(&post(deep(100_000).as_bytes()), 400, "BAD_REQUEST", "");
}

const MIB: usize = 1 << 20;

fn rows_have_a_bound(database: Database) {
    let settings = [("LIMITS__REQUEST_BYTES", "4000000")];
    let api = Api::of(Server::start_on(database, &settings, &[]));
    api.table("big", json!([{ "name": "a", "type": "text" }, { "name": "b", "type": "text" }, { "name": "n", "type": "integer", "default": 0 }]));
    let empty = api.row("big", json!({ "a": "" })).to_string().len();
    let text = "é".repeat((MIB - empty) / 2 - 4);
    let row = api.row("big", json!({ "a": text }));
    let path = format!("/data/big/{}", id(&row));
    assert_eq!(api.get(&path)["a"], text);
    refused(
        &api.admin("POST", "/data/big", json!({ "a": "x".repeat(MIB) })),
        422,
        "VALIDATION_ERROR",
        "1048576",
    );
    refused(&api.admin("PATCH", &path, json!({ "a": "x".repeat(MIB) })), 422, "VALIDATION_ERROR", "1048576");
    // Nor bit by bit.
    refused(
        &api.admin("PATCH", &path, json!({ "b": "x".repeat(MIB - 1000) })),
        422,
        "VALIDATION_ERROR",
        "1048576",
    );
    assert_eq!(api.admin("PATCH", &path, json!({ "n": { "_inc": 1 } })).json()["n"], 1);
    assert_eq!(api.get(&path)["a"], text, "nothing is lost");
    // A list, and what a script writes at once, have one too.
    for _ in 0..20 {
        api.row("big", json!({ "a": "x".repeat(MIB - 1000) }));
    }
    refused(&api.list("big", &[("limit", "1000")]), 422, "VALIDATION_ERROR", "fewer");
    assert_eq!(api.rows("big", &[("limit", "1000"), ("fields", "n")]).as_array().unwrap().len(), 22);
    assert_eq!(api.rows("big", &[("limit", "2")]).as_array().unwrap().len(), 2);
    api.table("small", json!([{ "name": "a", "type": "text" }]));
    api.run("let rows = []; for n in 1..=100 { rows.push(#{ a: `${n}` }); } #small.createMany(#{ data: rows }); 1");
    let script = "let s = \"x\"; s.pad(200000, \"x\"); #small.update(#{ filter: #{}, data: #{ a: s } }); 1";
    let (code, message) = api.fails(script);
    assert!(code == "VALIDATION_ERROR" && message.contains("fewer"), "{code} {message}");
    assert_eq!(api.values("small", "a", &json!({ "a": "100" })), ["100"]);
}

fn writes_that_cannot_be(database: Database) {
    let api = Api::on(database);
    api.table("room", json!([{ "name": "name", "type": "string", "unique": true }]));
    api.table("seat", json!([{ "name": "number", "type": "integer", "required": true, "unique": true }, { "name": "roomId", "type": "uuid", "references": "room" }]));
    let room = api.row("room", json!({ "name": "a" }));
    let other = api.row("room", json!({ "name": "b" }));
    let seat = api.row("seat", json!({ "number": 1, "roomId": room["id"] }));
    let (room_path, seat_path) = (format!("/data/room/{}", id(&room)), format!("/data/seat/{}", id(&seat)));
    let clash = api.admin("POST", "/data/room", json!({ "name": "a" }));
    refused(&clash, 409, "DUPLICATE_RESOURCE", "name");
    assert_eq!(clash.json()["error"]["details"], json!({ "field": "name" }));
    assert!(clash.json()["error"]["requestId"].is_string());
    let clash = api.admin("PATCH", &format!("/data/room/{}", id(&other)), json!({ "name": "a" }));
    refused(&clash, 409, "DUPLICATE_RESOURCE", "name");
    let taken = api.admin("POST", "/data/room", json!({ "id": room["id"], "name": "c" }));
    refused(&taken, 409, "DUPLICATE_RESOURCE", "id");
    let own = "0189AAAA-0000-7000-8000-000000000001";
    assert_eq!(api.row("room", json!({ "id": own }))["id"], own.to_lowercase(), "an id may be brought");
    refused(
        &api.admin("POST", "/data/room", json!({ "id": "mine" })),
        422,
        "VALIDATION_ERROR",
        "id: takes a UUID",
    );
    let nowhere = json!(uuid::Uuid::nil());
    refused(
        &api.admin("POST", "/data/seat", json!({ "number": 2, "roomId": nowhere })),
        422,
        "VALIDATION_ERROR",
        "roomId",
    );
    refused(&api.admin("PATCH", &seat_path, json!({ "roomId": nowhere })), 422, "VALIDATION_ERROR", "roomId");
    refused(&api.admin("DELETE", &room_path, Json::Null), 409, "DUPLICATE_RESOURCE", "refer");
    for (body, mentions) in [
        (json!({}), "number: is required"),
        (json!({ "number": null }), "number: is required"),
        (json!({ "number": 2, "nope": 1 }), "known: id, number, roomId, createdAt, updatedAt"),
        (json!({ "number": 2, "createdAt": "2001-01-01T00:00:00Z" }), "createdAt: is set by the server"),
        (json!({ "number": { "_mul": 2 } }), "integer"),
    ] {
        refused(&api.admin("POST", "/data/seat", body), 422, "VALIDATION_ERROR", mentions);
    }
    for (body, mentions) in [
        (json!({ "id": nowhere }), "id: is set by the server"),
        (json!({ "updatedAt": null }), "updatedAt: is set by the server"),
        (json!({ "number": null }), "number: is required"),
        (json!({ "nope": 1 }), "known"),
    ] {
        refused(&api.admin("PATCH", &seat_path, body), 422, "VALIDATION_ERROR", mentions);
    }
    assert_eq!(api.get(&seat_path), seat);
    for body in [json!([]), json!([{ "number": 5 }]), json!("x"), json!(5), json!(true)] {
        for (method, path) in [("POST", "/data/seat"), ("PATCH", seat_path.as_str())] {
            refused(&api.admin(method, path, body.clone()), 400, "BAD_REQUEST", "");
        }
    }
    for body in ["", "null", "{", "{\"number\":5,}"] {
        let headers = [
            ("authorization", format!("Bearer {}", api.token)),
            ("content-type", "application/json".to_owned()),
        ];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        refused(&api.send("POST", "/data/seat", &headers, body.as_bytes()), 400, "BAD_REQUEST", "");
    }
    let same = api.admin("PATCH", &seat_path, json!({})).json();
    assert_eq!((&same["number"], &same["createdAt"]), (&seat["number"], &seat["createdAt"]));
    assert_eq!(api.admin("DELETE", &seat_path, Json::Null).status, 204);
    refused(&api.admin("DELETE", &seat_path, Json::Null), 404, "RESOURCE_NOT_FOUND", "row");
    assert_eq!(api.admin("DELETE", &room_path, Json::Null).status, 204);
    refused(&api.admin("PUT", "/data/seat", json!({})), 405, "METHOD_NOT_ALLOWED", "");
}

fn increments_at_once_all_count(database: Database) {
    let api = Api::on(database);
    api.table(
        "counter",
        json!([{ "name": "n", "type": "integer", "default": 0 }, { "name": "x", "type": "float" }]),
    );
    let row = api.row("counter", json!({}));
    let path = format!("/data/counter/{}", id(&row));
    // By id, by filter and within a transaction, from sockets and over REST.
    let script = r#"
        let by = #{ n: #{ _inc: 1 } };
        #counter.update(#{ id: @BODY, data: by });
        #counter.update(#{ filter: #{ n: #{ _gte: 0 } }, data: by });
        @TRANSACTION { #counter.update(#{ id: @BODY, data: by }); #counter.update(#{ id: @BODY, data: #{ x: #{ _inc: 0.5 } } }); }
    "#;
    drop(api.socket("/count", script, None));
    std::thread::scope(|scope| {
        for _ in 0..10 {
            let (api, row, path) = (&api, &row, &path);
            scope.spawn(move || {
                let mut socket = Polling::connect(&api.server, "/count", None);
                for _ in 0..5 {
                    let outcome = socket.run("e", &row["id"]);
                    assert_eq!(outcome["success"], true, "{outcome}");
                }
            });
            scope.spawn(move || {
                for _ in 0..5 {
                    let changed = api.admin("PATCH", path, json!({ "n": { "_inc": 1 } }));
                    assert_eq!(changed.status, 200, "{}", changed.body);
                }
            });
        }
    });
    let row = api.get(&path);
    assert_eq!((&row["n"], &row["x"]), (&json!(200), &json!(25.0)));
}

fn what_is_locked_waits_for_its_transaction(database: Database) {
    let api = Api::on(database);
    api.table("purse", json!([{ "name": "coins", "type": "integer", "default": 0 }]));
    let row = api.row("purse", json!({}));
    let add = "let row = #purse.findOne(#{ filter: #{ id: @BODY }, lock: true }); \
               #purse.update(#{ id: row.id, data: #{ coins: row.coins + 1 } });";
    drop(api.socket("/purse", &format!("@TRANSACTION {{ {add} }}"), None));
    let body = json!({ "path": "/job", "requireAuth": false });
    let gateway = api.make("/admin/gateways", body);
    let body = json!({ "eventName": "e", "sourceCode": add, "delivery": "durable" });
    api.make(&format!("/admin/gateways/{}/events", id(&gateway)), body);
    std::thread::scope(|scope| {
        for n in 0..10 {
            let (api, row) = (&api, &row);
            scope.spawn(move || {
                let mut socket =
                    Polling::connect(&api.server, if n % 2 == 0 { "/purse" } else { "/job" }, None);
                for _ in 0..5 {
                    let outcome = socket.run("e", &row["id"]);
                    assert_eq!(outcome["success"], true, "{outcome}");
                }
            });
        }
    });
    assert_eq!(api.get(&format!("/data/purse/{}", id(&row)))["coins"], 50);
    drop(api.socket("/unlocked", "#purse.findOne(#{ lock: true })", None));
    let outcome = Polling::connect(&api.server, "/unlocked", None).run("e", &Json::Null);
    assert_eq!(outcome["code"], "VALIDATION_ERROR");
    assert!(outcome["message"].as_str().unwrap().contains("@TRANSACTION"), "{outcome}");
}

fn bests_only_get_better(database: Database) {
    let api = Api::on(database);
    let columns = json!([
        { "name": "most", "type": "integer" },
        { "name": "least", "type": "float", "default": 10.5 },
        { "name": "t", "type": "string" },
    ]);
    api.table("best", columns);
    let row = api.row("best", json!({ "most": { "_max": 3 }, "least": { "_min": 20 } }));
    assert_eq!(
        (&row["most"], &row["least"]),
        (&json!(3), &json!(10.5)),
        "nothing counts as less, a default counts"
    );
    let path = format!("/data/best/{}", id(&row));
    for (most, least, expected) in [(2, 11.0, (3, 10.5)), (7, 1.25, (7, 1.25)), (-9, 1.5, (7, 1.25))] {
        let changed =
            api.admin("PATCH", &path, json!({ "most": { "_max": most }, "least": { "_min": least } }));
        let changed = changed.json();
        assert_eq!((&changed["most"], &changed["least"]), (&json!(expected.0), &json!(expected.1)));
    }
    for (column, by) in [("most", json!(1.5)), ("most", json!("1")), ("least", Json::Null), ("t", json!(1))] {
        refused(
            &api.admin("PATCH", &path, json!({ column: { "_max": by } })),
            422,
            "VALIDATION_ERROR",
            "_max",
        );
    }
    let empty = api.row("best", json!({ "least": null }));
    let script =
        "#best.update(#{ filter: #{ id: @BODY }, data: #{ most: #{ _min: 4 }, least: #{ _max: 2.5 } } })";
    drop(api.socket("/best", script, None));
    let outcome = Polling::connect(&api.server, "/best", None).run("e", &empty["id"]);
    assert_eq!(
        (&outcome["result"]["most"], &outcome["result"]["least"]),
        (&json!(4), &json!(2.5)),
        "{outcome}"
    );
    std::thread::scope(|scope| {
        for score in 0..20 {
            let (api, path) = (&api, &path);
            scope.spawn(move || {
                let changed = api.admin("PATCH", path, json!({ "most": { "_max": 100 + score } }));
                assert_eq!(changed.status, 200, "{}", changed.body);
            });
        }
    });
    assert_eq!(api.get(&path)["most"], 119);
}

fn many_rows_are_made_or_none(database: Database) {
    let api = Api::on(database);
    api.table("many", json!([{ "name": "n", "type": "integer", "unique": true }]));
    assert_eq!(api.run("let rows = []; for n in 0..1000 { rows.push(#{ n: n }); } return #many.createMany(#{ data: rows }).map(|row| row.n).len();"), 1000);
    assert_eq!(api.run("return #many.createMany(#{ data: [] });"), json!([]));
    for (script, code) in [
        ("#many.createMany(#{ data: [#{ n: 5000 }, #{ n: 5001 }, #{ n: 5 }] });", "DUPLICATE_RESOURCE"),
        ("#many.createMany(#{ data: [#{ n: 5000 }, #{ n: 5000 }] });", "DUPLICATE_RESOURCE"),
        ("#many.createMany(#{ data: [#{ n: 5000 }, #{ n: \"x\" }] });", "VALIDATION_ERROR"),
        ("#many.createMany(#{ data: [#{ n: 5000 }, 7] });", "VALIDATION_ERROR"),
        ("#many.createMany(#{ data: #{ n: 5000 } });", "VALIDATION_ERROR"),
        (
            "let rows = []; for n in 0..1001 { rows.push(#{ n: 5000 + n }); } #many.createMany(#{ data: rows });",
            "VALIDATION_ERROR",
        ),
        ("#many.update(#{ filter: #{ n: #{ _lt: 10 } }, data: #{ n: 5000 } });", "DUPLICATE_RESOURCE"),
        ("#many.update(#{ id: \"x\", filter: #{ n: 5 }, data: #{ n: 5000 } });", "VALIDATION_ERROR"),
        ("#many.delete(#{ id: \"x\", filter: #{ n: 5 } });", "VALIDATION_ERROR"),
        ("#many.delete(#{ id: () });", "VALIDATION_ERROR"),
        ("#many.delete(#{});", "VALIDATION_ERROR"),
        (
            "@TRANSACTION { #many.create(#{ data: #{ n: 5000 } }); @TRANSACTION { #many.create(#{ data: #{ n: 5001 } }); #many.create(#{ data: #{ n: 5 } }); } }",
            "DUPLICATE_RESOURCE",
        ),
    ] {
        assert_eq!(api.fails(script).0, code, "{script}");
        assert_eq!(
            api.run("return [#many.count(), #many.count(#{ n: #{ _gte: 1000 } })];"),
            json!([1000, 0]),
            "{script}"
        );
    }
    // Too many to lock at once, but not to delete.
    api.run("#many.create(#{ data: #{ n: 1000 } });");
    assert_eq!(
        api.fails("#many.update(#{ filter: #{}, data: #{ n: #{ _inc: 5000 } } });").0,
        "VALIDATION_ERROR"
    );
    assert_eq!(api.run("return #many.find(#{ limit: 0 }).data.len();"), 1000);
    let outcome = api.socket("/all", "return #many.delete(#{ filter: #{} });", None).run("e", &json!({}));
    assert_eq!(outcome["result"], json!({ "deleted": 1001 }), "{outcome}");
}
