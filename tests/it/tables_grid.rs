//! Tables as the admin UI works with them: rules in words, changes before they are made, pages behind a cursor, batches
//! and CSV.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::support::api::{Api, encoded, id, refused};
use super::support::database::{Database, on_each_database};
use super::support::server::Answer;

on_each_database!(
    rules_are_sentences,
    access_is_explained,
    a_change_is_told_before_it_is_made,
    pages_go_on_behind_a_row,
    rows_are_those_that_somebody_would_get,
    tables_are_counted,
    a_batch_is_all_or_nothing,
    a_batch_runs_hooks,
    a_file_comes_back,
    a_file_says_what_is_wrong,
    a_file_with_hooks_is_all_or_nothing,
    files_and_batches_have_bounds,
);

fn csv(api: &Api, table: &Json, query: &str, file: &str) -> Answer {
    let bearer = format!("Bearer {}", api.token);
    let headers = [("authorization", bearer.as_str()), ("content-type", "text/csv")];
    api.send("POST", &format!("/admin/tables/{}/csv{query}", id(table)), &headers, file.as_bytes())
}

fn explain(api: &Api, table: &Json, body: Json) -> Json {
    let answer = api.admin("POST", &format!("/admin/tables/{}/explain-access", id(table)), body.clone());
    assert_eq!(answer.status, 200, "{body}: {}", answer.body);
    answer.json()
}

fn notes(api: &Api) -> Json {
    api.make(
        "/admin/tables",
        json!({
            "name": "note",
            "columns": [
                { "name": "ownerId", "type": "string" }, { "name": "text", "type": "string", "required": true },
                { "name": "stars", "type": "integer", "index": true }, { "name": "key", "type": "string", "unique": true },
            ],
            "access": { "read": "owner", "create": "owner", "update": { "_or": [{ "ownerId": "@USER.id" }, { "stars": { "_gte": 5 } }] },
                "delete": "admin", "ownerColumn": "ownerId" },
        }),
    )
}

fn rules_are_sentences(database: Database) {
    let api = Api::on(database);
    let table = notes(&api);
    for (action, expected) in [
        ("read", "Users may read rows whose ownerId is their own id."),
        (
            "create",
            "Users may create rows whose ownerId is their own id. ownerId is set to the id of who does.",
        ),
        ("update", "Users may update rows whose ownerId is their own id or stars is at least 5."),
        ("delete", "Only admins may delete rows."),
    ] {
        assert_eq!(table["rules"][action], expected);
    }
    let table = api.altered(&table, json!({ "access": { "read": "public" } }));
    assert_eq!(table["rules"]["read"], "Everyone may read every row, signed in or not.");
}

fn access_is_explained(database: Database) {
    let api = Api::on(database);
    let table = notes(&api);
    let (ann, _) = api.user("ann@example.com");
    let row = api.row("note", json!({ "ownerId": id(&ann), "text": "a" }));
    let other = api.row("note", json!({ "ownerId": "else", "text": "b", "stars": 5 }));
    for (who, action, row, allowed, mentions) in [
        (json!(id(&ann)), "read", json!(id(&row)), true, "This is a row whose ownerId is"),
        (json!(id(&ann)), "read", json!(id(&other)), false, "This is no row whose"),
        (json!(id(&ann)), "update", json!(id(&other)), true, "stars is at least 5"),
        (json!(id(&ann)), "update", json!({ "stars": 1 }), false, "This is no row"),
        (json!(id(&ann)), "delete", json!(null), false, "for admins alone"),
        (json!(id(&ann)), "create", json!({ "text": "mine" }), true, "This is a row"),
        (json!(id(&ann)), "create", json!({ "text": "x", "ownerId": "else" }), false, "another owner"),
        (json!("public"), "read", json!(null), false, "Nobody is signed in"),
        (json!(null), "read", json!(null), false, "Nobody is signed in"),
        (json!({ "id": "else", "role": "user" }), "read", json!(id(&other)), true, "This is a row"),
        (json!({ "id": "else", "role": "admin" }), "delete", json!(null), true, "No rule applies"),
    ] {
        let told = explain(&api, &table, json!({ "as": who, "action": action, "row": row }));
        assert_eq!(told["allowed"], allowed, "{who} {action} {row}: {told}");
        assert!(told["reason"].as_str().unwrap().contains(mentions), "{who} {action} {row}: {told}");
    }
    let told = explain(&api, &table, json!({ "as": id(&ann), "action": "read" }));
    let filter = told["filter"].to_string();
    assert_eq!(api.values("note", "text", &serde_json::from_str(&filter).unwrap()), [json!("a")], "{told}");
    assert_eq!(told["sentence"], table["rules"]["read"]);
    let key = api.make("/admin/app-keys", json!({ "name": "reads", "scopes": ["data:read"] }));
    assert_eq!(explain(&api, &table, json!({ "as": id(&key), "action": "read" }))["allowed"], true);
    let told = explain(&api, &table, json!({ "as": id(&key), "action": "update" }));
    assert_eq!(told["allowed"], false);
    assert!(told["reason"].as_str().unwrap().contains("data:write"), "{told}");
    api.admin("PATCH", &format!("/admin/users/{}", id(&ann)), json!({ "isEnabled": false }));
    let told = explain(&api, &table, json!({ "as": id(&ann), "action": "read" }));
    assert!(told["allowed"] == false && told["reason"].as_str().unwrap().contains("disabled"), "{told}");
    let path = format!("/admin/tables/{}/explain-access", id(&table));
    for (body, mentions) in [
        (json!({ "as": "somebody", "action": "read" }), "as"),
        (json!({ "as": null, "action": "drop" }), "read, create, update, delete"),
        (json!({ "as": null, "action": "read", "row": 5 }), "row"),
    ] {
        refused(&api.admin("POST", &path, body), 422, "VALIDATION_ERROR", mentions);
    }
    let nobody = json!({ "as": "01890000-0000-7000-8000-00000000000a", "action": "read" });
    refused(&api.admin("POST", &path, nobody), 404, "RESOURCE_NOT_FOUND", "01890000");
}

fn a_change_is_told_before_it_is_made(database: Database) {
    let api = Api::on(database);
    let table = notes(&api);
    for n in 0..3 {
        api.row("note", json!({ "text": "same", "stars": n, "key": format!("k{n}") }));
    }
    api.row("note", json!({ "text": "other" }));
    let told = |body: Json| {
        let answer = api.admin("PATCH", &format!("/admin/tables/{}?dryRun=true", id(&table)), body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    };
    let drop = told(json!({ "drop": ["stars", "key"], "rename": { "text": "words" }, "access": {} }));
    assert_eq!(drop["losses"], json!([{ "column": "stars", "values": 3 }, { "column": "key", "values": 3 }]));
    assert_eq!(
        (&drop["needsConfirm"], &drop["rows"], &drop["problems"]),
        (&json!(true), &json!(4), &json!([]))
    );
    let columns = json!([
        { "name": "ownerId", "type": "string" }, { "name": "text", "type": "string", "unique": true },
        { "name": "stars", "type": "integer", "required": true }, { "name": "key", "type": "string", "unique": true },
        { "name": "must", "type": "integer", "required": true },
    ]);
    let many = told(json!({ "columns": columns }));
    let columns: Vec<_> = many["problems"].as_array().unwrap().iter().map(|one| &one["column"]).collect();
    assert_eq!(columns, ["stars", "must", "text"], "{many}");
    assert_eq!((&many["problems"][0]["rows"], &many["problems"][1]["rows"]), (&json!(1), &json!(4)));
    assert!(many["problems"][2]["message"].as_str().unwrap().contains("3 rows have \"same\""), "{many}");
    assert_eq!(many["needsConfirm"], false);
    assert!(many["work"].to_string().contains("An index of text is built from 4 rows"), "{many}");
    let rules = told(json!({ "access": { "read": "public" } }));
    assert_eq!(rules["work"], json!(["The rows are not touched, so it takes no time."]));
    // Nothing of that was done.
    assert_eq!(api.get(&format!("/admin/tables/{}", id(&table))), table);
    assert_eq!(
        api.values("note", "stars", &json!({ "stars": { "_is_null": false } })),
        [0, 1, 2].map(Json::from)
    );
    let dry = format!("/admin/tables/{}?dryRun=true", id(&table));
    refused(&api.admin("PATCH", &dry, json!({ "drop": ["nothing"] })), 422, "VALIDATION_ERROR", "nothing");
    refused(&api.admin("PATCH", &dry, json!({ "name": "gw_user" })), 422, "VALIDATION_ERROR", "gw_");
}

/// All rows, page by page; what is done between two pages is done by `between`.
fn walk(api: &Api, table: &Json, query: &[(&str, &str)], mut between: impl FnMut()) -> Vec<Json> {
    let (mut all, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut query = query.to_vec();
        if let Some(cursor) = &cursor {
            query.push(("cursor", cursor));
        }
        let page = api.get(&format!("/admin/tables/{}/rows?{}", id(table), encoded(&query)));
        all.extend(page["data"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return all,
        }
        between();
    }
}

fn pages_go_on_behind_a_row(database: Database) {
    let api = Api::on(database);
    let table =
        api.table("thing", json!([{ "name": "n", "type": "integer" }, { "name": "at", "type": "datetime" }]));
    let rows: Vec<_> = (0..25)
        .map(|n| match n % 5 {
            0 => json!({}),
            _ => json!({ "n": n / 5, "at": format!("2001-01-{:02}T00:00:00Z", n % 7 + 1) }),
        })
        .collect();
    let made = api.admin("POST", &format!("/admin/tables/{}/batch", id(&table)), json!({ "create": rows }));
    assert_eq!(made.status, 200, "{}", made.body);
    for sort in ["", "n", "-n", "at,-n", "-at", "id", "-createdAt"] {
        let sorted = if sort.is_empty() { "id" } else { sort };
        let mut made = 0;
        // Those that come while it is read have a place before all others, and move none.
        let seen = walk(&api, &table, &[("sort", sorted), ("limit", "4")], || made += 1);
        assert_eq!(made, 6, "{sort}");
        let expected = api.rows("thing", &[("sort", sorted), ("limit", "1000")]);
        let ids = |rows: &[Json]| rows.iter().map(|row| id(row).to_owned()).collect::<Vec<_>>();
        assert_eq!(ids(&seen).into_iter().collect::<BTreeSet<_>>().len(), 25, "{sort}");
        let values =
            |rows: &[Json]| rows.iter().map(|row| (row["n"].clone(), row["at"].clone())).collect::<Vec<_>>();
        assert_eq!(values(&seen), values(expected.as_array().unwrap()), "{sort}");
    }
    let filter = json!({ "n": { "_gte": 3 } }).to_string();
    assert_eq!(walk(&api, &table, &[("filter", &filter), ("limit", "3")], || ()).len(), 8);
    let first = api.get(&format!("/admin/tables/{}/rows?limit=2&sort=n", id(&table)));
    let path =
        format!("/admin/tables/{}/rows?sort=at,n&cursor={}", id(&table), first["next"].as_str().unwrap());
    refused(&api.admin("GET", &path, Json::Null), 422, "VALIDATION_ERROR", "cursor");
    let path = format!("/admin/tables/{}/rows?cursor=nonsense", id(&table));
    refused(&api.admin("GET", &path, Json::Null), 422, "VALIDATION_ERROR", "cursor");
}

fn rows_are_those_that_somebody_would_get(database: Database) {
    let api = Api::on(database);
    let table = notes(&api);
    let (ann, token) = api.user("ann@example.com");
    for owner in [id(&ann), "else", id(&ann)] {
        api.row("note", json!({ "ownerId": owner, "text": owner }));
    }
    let seen = walk(&api, &table, &[("as", id(&ann)), ("limit", "1")], || ());
    let bearer = format!("Bearer {token}");
    let own = api.server.call("GET", "/data/note", None, &[("authorization", &bearer)]).json();
    assert_eq!(json!(seen), own["data"]);
    assert_eq!(seen.len(), 2);
    let count = api.get(&format!("/admin/tables/{}/count?as={}", id(&table), id(&ann)));
    assert_eq!(count["count"], 2);
    let public = api.admin("GET", &format!("/admin/tables/{}/rows?as=public", id(&table)), Json::Null);
    refused(&public, 401, "AUTHENTICATION_ERROR", "Sign in");
}

fn tables_are_counted(database: Database) {
    let api = Api::on(database);
    let table = notes(&api);
    api.table("empty", json!([]));
    for n in 0..3 {
        api.row("note", json!({ "text": "x", "stars": n }));
    }
    let counts = api.get("/admin/tables/counts");
    let shown: Vec<_> = counts["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["name"], &one["rows"], &one["isAll"]))
        .collect();
    assert_eq!(
        shown,
        [(&json!("empty"), &json!(0), &json!(true)), (&json!("note"), &json!(3), &json!(true))]
    );
    assert_eq!(api.get(&format!("/admin/tables/{}/count", id(&table)))["count"], 3);
    let filter = encoded(&[("filter", "{\"stars\":{\"_gt\":0}}")]);
    assert_eq!(api.get(&format!("/admin/tables/{}/count?{filter}", id(&table)))["count"], 2);
}

fn a_batch_is_all_or_nothing(database: Database) {
    let api = Api::on(database);
    let table = notes(&api);
    let path = format!("/admin/tables/{}/batch", id(&table));
    let (one, two) =
        (api.row("note", json!({ "text": "1", "key": "a" })), api.row("note", json!({ "text": "2" })));
    let answer = api.admin(
        "POST",
        &path,
        json!({
            "create": [{ "text": "3" }, { "text": "4", "stars": 4 }],
            "update": [{ "id": id(&one), "stars": { "_inc": 7 } }, { "id": id(&one), "text": "one" }],
            "delete": [id(&two), "01890000-0000-7000-8000-00000000000a"],
        }),
    );
    assert_eq!(answer.status, 200, "{}", answer.body);
    let done = answer.json();
    assert_eq!((&done["updated"], &done["deleted"]), (&json!(2), &json!(1)));
    assert_eq!(api.get(&format!("/data/note/{}", done["created"][1].as_str().unwrap()))["stars"], 4);
    let texts = || api.values("note", "text", &json!({}));
    assert_eq!(texts(), ["3", "4", "one"].map(Json::from));
    for (body, status, code, mentions) in [
        (
            json!({ "create": [{ "text": "5" }, { "text": "6", "key": "a" }] }),
            409,
            "DUPLICATE_RESOURCE",
            "key",
        ),
        (
            json!({ "create": [{ "text": "5" }], "update": [{ "id": id(&one), "stars": "x" }] }),
            422,
            "VALIDATION_ERROR",
            "update[0]",
        ),
        (
            json!({ "create": [{ "text": "5" }], "update": [{ "id": id(&two), "stars": 1 }] }),
            404,
            "RESOURCE_NOT_FOUND",
            "update[0]",
        ),
        (
            json!({ "create": [{ "text": "5" }], "update": [{ "stars": 1 }] }),
            422,
            "VALIDATION_ERROR",
            "update[0].id",
        ),
        (json!({ "delete": [id(&one)], "create": [{}] }), 422, "VALIDATION_ERROR", "text"),
    ] {
        refused(&api.admin("POST", &path, body), status, code, mentions);
        assert_eq!(texts(), ["3", "4", "one"].map(Json::from), "nothing of it is there");
    }
    let (_, token) = api.user("ann@example.com");
    let bearer = format!("Bearer {token}");
    let other = api.server.call("POST", &path, Some(&json!({})), &[("authorization", &bearer)]);
    refused(&other, 403, "AUTHORIZATION_ERROR", "admin");
}

fn a_batch_runs_hooks(database: Database) {
    let api = Api::on(database);
    let table = notes(&api);
    api.table("told", json!([{ "name": "what", "type": "string" }]));
    api.hook(
        "note",
        "before",
        &["create"],
        "if @BODY.text == \"bad\" { @THROW.validation(\"no bad ones\"); } return #{ stars: 9 };",
    );
    api.hook("note", "after", &["create", "delete"], "#told.create(#{ data: #{ what: @DATA.text } });");
    let path = format!("/admin/tables/{}/batch", id(&table));
    let rows: Vec<_> = (0..300).map(|n| json!({ "text": format!("t{n}") })).collect();
    let done = api.admin("POST", &path, json!({ "create": rows }));
    assert_eq!(done.status, 200, "more than the 200 calls that a script may make: {}", done.body);
    assert_eq!(api.get(&format!("/admin/tables/{}/count", id(&table)))["count"], 300);
    assert_eq!(api.values("note", "stars", &json!({ "text": "t299" })), [json!(9)]);
    assert_eq!(api.values("told", "what", &json!({})).len(), 300);
    let answer = api.admin("POST", &path, json!({ "create": [{ "text": "good" }, { "text": "bad" }] }));
    refused(&answer, 422, "VALIDATION_ERROR", "create[1]: no bad ones");
    assert_eq!(api.values("told", "what", &json!({})).len(), 300, "hooks after a write run for what is kept");
}

fn a_file_comes_back(database: Database) {
    let api = Api::on(database);
    let table = api.table(
        "sheet",
        json!([
            { "name": "s", "type": "string", "default": "default" }, { "name": "n", "type": "integer" }, { "name": "x", "type": "float" },
            { "name": "b", "type": "boolean" }, { "name": "d", "type": "datetime" }, { "name": "j", "type": "json" },
            { "name": "u", "type": "uuid" }, { "name": "e", "type": "enum", "values": ["one", "=two"] },
        ]),
    );
    let rows: Vec<_> = ["=HYPERLINK(\"x\")", "", "'", "a,b;\"c\"\r\nd", "<img src=x>", "\u{202e}gnp", "@x", "-5"].iter().enumerate().map(|(n, s)| json!({
        "s": s, "n": n as i64 - 4, "x": 0.5, "b": n % 2 == 0, "d": "2001-02-03T04:05:06.789Z", "j": { "a": [s, null] },
        "u": "0189aaaa-0000-7000-8000-00000000000b", "e": "=two",
    })).chain([json!({ "s": null })]).collect();
    let path = format!("/admin/tables/{}", id(&table));
    assert_eq!(api.admin("POST", &format!("{path}/batch"), json!({ "create": rows })).status, 200);
    let answer = api.admin("GET", &format!("{path}/csv?sort=id"), Json::Null);
    assert_eq!(answer.status, 200);
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/csv"));
    assert!(answer.headers["content-disposition"].to_str().unwrap().contains("sheet.csv"));
    let file = answer.body;
    assert!(file.starts_with("id,s,n,x,b,d,j,u,e,createdAt,updatedAt\r\n"), "{file}");
    assert!(file.contains(",\"'=HYPERLINK(\"\"x\"\")\",-4,0.5,true,") && file.contains(",'=two,"), "{file}");
    let before = api.rows("sheet", &[("sort", "id")]);
    // All is there already.
    let same = csv(&api, &table, "?dryRun=true", &file).json();
    assert_eq!(
        (&same["unchanged"], &same["created"], &same["updated"]),
        (&json!(9), &json!(0), &json!(0)),
        "{same}"
    );
    let changed = file.replacen(",-4,", ",44,", 1);
    let done = csv(&api, &table, "", &changed).json();
    assert_eq!(
        (&done["unchanged"], &done["updated"], &done["dryRun"]),
        (&json!(8), &json!(1), &json!(false)),
        "{done}"
    );
    assert_eq!(api.values("sheet", "n", &json!({ "n": 44 })).len(), 1);
    // Into an empty table, all of it.
    for row in before.as_array().unwrap() {
        assert_eq!(api.admin("DELETE", &format!("/data/sheet/{}", id(row)), Json::Null).status, 204);
    }
    let told = csv(&api, &table, "?dryRun=true", &file).json();
    assert_eq!((&told["created"], &told["dryRun"]), (&json!(9), &json!(true)), "{told}");
    assert_eq!(api.get(&format!("{path}/count"))["count"], 0, "nothing was written");
    assert_eq!(csv(&api, &table, "", &file).json()["created"], 9);
    let mut after = api.rows("sheet", &[("sort", "id")]);
    let mut expected = before;
    for row in after.as_array_mut().unwrap().iter_mut().chain(expected.as_array_mut().unwrap()) {
        row.as_object_mut().unwrap().retain(|name, _| name != "createdAt" && name != "updatedAt");
    }
    assert_eq!(after, expected);
    // Only some of it; what the file does not name has its default.
    assert_eq!(csv(&api, &table, "", "n\n77\n").json()["created"], 1);
    assert_eq!(api.values("sheet", "s", &json!({ "n": 77 })), [json!("default")]);
    let some = api.admin(
        "GET",
        &format!("{path}/csv?fields=n&{}", encoded(&[("filter", "{\"n\":77}")])),
        Json::Null,
    );
    assert_eq!(some.body, "n\r\n77\r\n");
}

fn a_file_says_what_is_wrong(database: Database) {
    let api = Api::on(database);
    let table = notes(&api);
    let path = format!("/admin/tables/{}", id(&table));
    let taken = api.row("note", json!({ "text": "there", "key": "taken" }));
    let file = format!(
        "id,text,stars,key\n,first,1,a\n,,2,b\n,third,many,c\nno id,fourth,4,d\n,fifth,5,taken\n{0},sixth,6,taken\n{0},seventh,7,g\n,eighth,8,a\n",
        id(&taken)
    );
    let told = csv(&api, &table, "?dryRun=true", &file).json();
    let places: Vec<_> = told["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["line"].as_u64().unwrap(), one["column"].as_str()))
        .collect();
    let expected = [
        (3, Some("text")),
        (4, Some("stars")),
        (5, Some("id")),
        (6, Some("key")),
        (8, Some("id")),
        (9, Some("key")),
    ];
    assert_eq!(places.iter().copied().collect::<BTreeSet<_>>(), expected.into_iter().collect(), "{told}");
    assert_eq!((&told["errorCount"], &told["rows"]), (&json!(6), &json!(8)));
    let answer = csv(&api, &table, "", &file);
    refused(&answer, 422, "VALIDATION_ERROR", "line 4, stars");
    assert_eq!(api.get(&format!("{path}/count"))["count"], 1);
    // What only the database knows is told by its line too.
    let answer = csv(&api, &table, "", "text,key\nx,new\ny,taken\n");
    refused(&answer, 422, "VALIDATION_ERROR", "line 3, key");
    assert_eq!(api.get(&format!("{path}/count"))["count"], 1);
    refused(&csv(&api, &table, "", "text,nothing\nx,1\n"), 422, "VALIDATION_ERROR", "nothing");
    let as_json = api.admin("POST", &format!("{path}/csv"), json!({}));
    refused(&as_json, 400, "BAD_REQUEST", "text/csv");
}

fn a_file_with_hooks_is_all_or_nothing(database: Database) {
    let api = Api::on(database);
    let table = notes(&api);
    api.hook(
        "note",
        "before",
        &["create"],
        "if @BODY.text == \"bad\" { @THROW.validation(\"no bad ones\"); }",
    );
    let told = csv(&api, &table, "?dryRun=true", "text\ngood\nbad\n").json();
    assert_eq!(told["errorCount"], 0, "hooks do not run before it counts");
    refused(&csv(&api, &table, "", "text\ngood\nbad\n"), 422, "VALIDATION_ERROR", "create[1]: no bad ones");
    assert_eq!(api.values("note", "text", &json!({})), Vec::<Json>::new());
    assert_eq!(csv(&api, &table, "", "text\ngood\nbetter\n").json()["created"], 2);
}

fn files_and_batches_have_bounds(database: Database) {
    let api = Api::on(database);
    let table = api.table(
        "many",
        json!([{ "name": "n", "type": "integer", "index": true }, { "name": "s", "type": "string" }]),
    );
    let file: String =
        std::iter::once("n,s\n".to_owned()).chain((0..10_000).map(|n| format!("{n},row {n}\n"))).collect();
    let done = csv(&api, &table, "", &file);
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!(done.json()["created"], 10_000);
    refused(&csv(&api, &table, "", &format!("{file}1,x\n")), 422, "VALIDATION_ERROR", "more than 10000 rows");
    let counts = api.get("/admin/tables/counts");
    assert_eq!((&counts["data"][0]["rows"], &counts["data"][0]["isAll"]), (&json!(10_000), &json!(true)));
    api.row("many", json!({}));
    let counts = api.get("/admin/tables/counts");
    assert_eq!((&counts["data"][0]["rows"], &counts["data"][0]["isAll"]), (&json!(10_000), &json!(false)));
    let text = api.admin("GET", &format!("/admin/tables/{}/csv?sort=-n", id(&table)), Json::Null).body;
    assert_eq!(text.lines().count(), 10_002);
    assert!(text.lines().nth(1).unwrap().contains(",9999,row 9999,"), "in the order that was asked for");
    let rows = vec![json!({}); 1001];
    let answer = api.admin("POST", &format!("/admin/tables/{}/batch", id(&table)), json!({ "create": rows }));
    refused(&answer, 422, "VALIDATION_ERROR", "at most 1000");
    let large = format!("s\n{}\n", "x".repeat(8 << 20));
    let answer = csv(&api, &table, "", &large);
    refused(&answer, 413, "PAYLOAD_TOO_LARGE", "8388608");
}
