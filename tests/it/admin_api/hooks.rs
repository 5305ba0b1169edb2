//! Whether a hook runs for a write, asked without writing.

use serde_json::{Value as Json, json};

use super::{INVALID, MISSING, NOBODY};
use crate::support::api::Api;
use crate::support::database::{Database, on_each_database};
use crate::support::server::until;

fn admin_api_hook_match(database: Database) {
    let api = Api::on(database);
    let columns = json!([{ "name": "title", "type": "string" }, { "name": "price", "type": "integer" }, { "name": "due", "type": "datetime" }]);
    api.table("thing", columns);
    let condition =
        json!({ "price": { "_gt": 10 }, "due": { "_lt": "2026-01-01T00:00:00Z" }, "_changed": ["price"] });
    let body = json!({ "table": "thing", "when": "after", "on": ["create", "update"], "condition": condition,
                           "sourceCode": "@DATA.title" });
    let hook = api.make("/admin/hooks", body);
    let path = format!("/admin/hooks/{}", hook["id"].as_str().unwrap());
    let ask = |body: Json| api.call("POST", &format!("{path}/match"), Some(body), 200);
    let matches = |body: Json, mentions: &[&str], expected: bool| {
        let answer = ask(body.clone());
        let reason = answer["reason"].as_str().unwrap();
        assert_eq!(answer["matches"], expected, "{body}: {reason}");
        mentions.iter().for_each(|word| assert!(reason.contains(word), "{reason} has no {word}"));
    };
    // The same moment in another zone: values mean what they mean in a write.
    let row = json!({ "title": "<b>", "price": 11, "due": "2025-12-31T23:59:59+00:00" });
    matches(json!({ "row": row }), &["after create of #thing"], true);
    matches(json!({ "data": row }), &[], true);
    matches(json!({ "row": row, "on": "delete" }), &["create, update", "delete"], false);
    matches(json!({ "row": row, "old": { "price": 11 } }), &["_changed", "price"], false);
    matches(json!({ "row": row, "old": { "price": 2 }, "user": { "id": "u" } }), &["update"], true);
    matches(json!({ "row": { "price": 10 } }), &["price", "10", "due", "does not have it"], false);
    for (body, mention) in [
        (json!({ "row": { "cost": 1 } }), "cost"),
        (json!({ "row": row, "on": "read" }), "create, update or delete"),
    ] {
        api.refuses(("POST", &format!("{path}/match")), Some(body), INVALID, &[mention]);
    }
    api.refuses(("POST", &format!("/admin/hooks/{NOBODY}/match")), Some(json!({})), MISSING, &[]);

    // What it says is what a write does.
    let ran = || {
        let handlers = api.get("/admin/stats")["handlers"].as_array().unwrap().clone();
        handlers.iter().find(|one| one["id"] == hook["id"]).map(|one| one["count"].clone()).unwrap()
    };
    api.row("thing", json!({ "title": "cheap", "price": 10, "due": "2025-01-01T00:00:00Z" }));
    assert_eq!(ran(), 0);
    api.row("thing", row.clone());
    until("the hook", || (ran() == 1).then_some(()));
    api.patch(&path, json!({ "isEnabled": false }));
    matches(json!({ "row": row }), &["disabled"], false);
}

on_each_database!(admin_api_hook_match);

#[test]
fn admin_api_handlers_have_ids() {
    let api = Api::start();
    api.table("thing", json!([{ "name": "title", "type": "string" }]));
    let made =
        [api.hook("thing", "before", &["create"], "return;"), api.hook("thing", "after", &["create"], "1")];
    api.row("thing", json!({ "title": "a" }));
    let handlers = api.get("/admin/stats")["handlers"].as_array().unwrap().clone();
    for hook in &made {
        let found: Vec<_> = handlers.iter().filter(|one| one["id"] == hook["id"]).collect();
        assert_eq!((found.len(), &found[0]["gateway"], &found[0]["count"]), (1, &json!("hooks"), &json!(1)));
    }
}

#[test]
fn admin_api_validate_library() {
    let api = Api::start();
    api.make("/admin/libraries", json!({ "name": "words", "sourceCode": "fn one() { 1 }" }));
    let errors = |script: &str| {
        let body = json!({ "script": script, "context": "library" });
        api.call("POST", "/admin/script/validate", Some(body), 200)["errors"].as_array().unwrap().clone()
    };
    let fine = "import \"words\" as words;\nexport const MAX = 80;\nfn two() { words::one() + global::MAX }";
    assert_eq!(errors(fine), Vec::<Json>::new());
    assert_eq!(errors("fn f() { 1 }\nlet x = 1;")[0]["line"], 2, "functions and constants alone");
    assert_eq!(errors("fn f() {\n @SOCKET.nothing()\n}")[0]["line"], 2);
    let missing = errors("import \"nowhere\" as n;");
    assert!(missing[0]["message"].as_str().unwrap().contains("nowhere"), "{missing:?}");
}
