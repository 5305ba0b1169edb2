//! Who may do what with the rows of a table, over REST and in `#secure.table`.

use serde_json::{Value as Json, json};

use super::support::api::{Api, encoded, id, refused};
use super::support::database::{Database, on_each_database};
use super::support::polling::Polling;
use super::support::server::Answer;

on_each_database!(
    each_rule_for_each_caller,
    a_row_stays_with_its_owner,
    what_may_not_be_read_is_not_told,
    rules_that_name_what_a_user_has_not,
    scripts_are_held_to_the_same,
);

/// Who calls.
struct Caller {
    name: &'static str,
    header: Option<(&'static str, String)>,
}

impl Caller {
    fn of_token(name: &'static str, token: &str) -> Self {
        Self { name, header: Some(("authorization", format!("Bearer {token}"))) }
    }

    fn of_key(name: &'static str, key: String) -> Self {
        Self { name, header: Some(("x-app-token", key)) }
    }

    fn call(&self, api: &Api, method: &str, path: &str, body: &Json) -> Answer {
        let headers: Vec<_> = self.header.iter().map(|(name, value)| (*name, value.as_str())).collect();
        api.server.call(method, path, (!body.is_null()).then_some(body), &headers)
    }
}

fn each_rule_for_each_caller(database: Database) {
    let api = Api::on(database);
    let ((ann, ann_token), (_, bob_token)) = (api.user("ann@example.com"), api.user("bob@example.com"));
    let callers = [
        Caller { name: "nobody", header: None },
        Caller::of_token("ann", &ann_token),
        Caller::of_token("bob", &bob_token),
        Caller::of_token("admin", &api.token),
        Caller::of_key("key to read", api.app_key(&["data:read"])),
        Caller::of_key("key to write", api.app_key(&["data:write"])),
        Caller::of_key("key for else", api.app_key(&["socket:read", "routes"])),
    ];
    // Of the row that ann owns, whose state is open: reading it, changing it, deleting it, and
    // making such a one.
    let of_users = [json!("user"), json!({ "id": { "_neq": "@USER.id" } })];
    let of_owners = [
        json!("owner"),
        json!({ "owner": "@USER.id" }),
        json!({ "_and": [{ "state": "open" }, { "owner": { "_in": ["@USER.id"] } }] }),
    ];
    let of_all = [json!("public"), json!({ "state": "open" })];
    let cases = std::iter::once((json!("admin"), ["401", "no", "no"]))
        .chain(of_users.into_iter().map(|rule| (rule, ["401", "yes", "yes"])))
        .chain(of_owners.into_iter().map(|rule| (rule, ["401", "yes", "no"])))
        .chain(of_all.into_iter().map(|rule| (rule, ["yes", "yes", "yes"])));
    for (number, (rule, outcomes)) in cases.enumerate() {
        let name = format!("t{number}");
        let columns = json!([{ "name": "owner", "type": "string" }, { "name": "state", "type": "string", "default": "open" }, { "name": "n", "type": "integer" }]);
        let access =
            json!({ "read": rule, "create": rule, "update": rule, "delete": rule, "ownerColumn": "owner" });
        api.make("/admin/tables", json!({ "name": name, "columns": columns, "access": access }));
        for (index, caller) in callers.iter().enumerate() {
            let row = api.row(&name, json!({ "owner": ann["id"] }));
            let hidden = api.row(&name, json!({ "owner": "another", "state": "closed" }));
            let (may_read, may_write) = match index {
                0..=2 => (outcomes[index], outcomes[index]),
                3 => ("yes", "yes"),
                4 => ("yes", "key"),
                5 => ("key", "yes"),
                _ => ("key", "key"),
            };
            let what = format!("{} with {rule}", caller.name);
            let path = format!("/data/{name}/{}", id(&row));
            let got = caller.call(&api, "GET", &path, &Json::Null);
            let listed = caller.call(&api, "GET", &format!("/data/{name}?meta=*&limit=1000"), &Json::Null);
            // Only an admin names another owner, whatever the rule.
            let names_owner = index == 1 || index >= 3 || may_write == "no";
            let create = if names_owner { json!({ "owner": ann["id"], "n": 1 }) } else { json!({ "n": 1 }) };
            let created = caller.call(&api, "POST", &format!("/data/{name}"), &create);
            let changed = caller.call(&api, "PATCH", &path, &json!({ "n": 5 }));
            let deleted = caller.call(&api, "DELETE", &path, &Json::Null);
            match may_read {
                "yes" => {
                    assert_eq!(
                        (got.status, listed.status),
                        (200, 200),
                        "{what}: {} {}",
                        got.body,
                        listed.body
                    );
                    let rows = listed.json();
                    let shown = rows["data"].as_array().unwrap();
                    assert!(shown.iter().any(|one| one["id"] == row["id"]), "{what}");
                    assert_eq!(rows["meta"]["totalCount"], shown.len(), "{what}: counts do not leak");
                }
                // Whether it is there is not told.
                "no" if rule == "admin" => {
                    refused(&got, 404, "RESOURCE_NOT_FOUND", "row");
                    refused(&listed, 403, "AUTHORIZATION_ERROR", "");
                }
                "no" => {
                    refused(&got, 404, "RESOURCE_NOT_FOUND", "row");
                    assert_eq!(
                        listed.json(),
                        json!({ "data": [], "meta": { "totalCount": 0, "filterCount": 0 } }),
                        "{what}"
                    );
                }
                "401" => {
                    refused(&got, 401, "AUTHENTICATION_ERROR", "");
                    refused(&listed, 401, "AUTHENTICATION_ERROR", "");
                }
                _ => {
                    refused(&got, 403, "AUTHORIZATION_ERROR", "data:read");
                    refused(&listed, 403, "AUTHORIZATION_ERROR", "data:read");
                }
            }
            let writes = [&created, &changed, &deleted];
            match may_write {
                "yes" => {
                    assert_eq!(writes.map(|answer| answer.status), [201, 200, 204], "{what}: {writes:?}")
                }
                "no" if rule == "admin" => {
                    writes.iter().for_each(|answer| refused(answer, 403, "AUTHORIZATION_ERROR", ""))
                }
                "no" => {
                    refused(&created, 403, "AUTHORIZATION_ERROR", "");
                    refused(&changed, 404, "RESOURCE_NOT_FOUND", "row");
                    refused(&deleted, 404, "RESOURCE_NOT_FOUND", "row");
                }
                "401" => writes.iter().for_each(|answer| refused(answer, 401, "AUTHENTICATION_ERROR", "")),
                _ => {
                    writes.iter().for_each(|answer| refused(answer, 403, "AUTHORIZATION_ERROR", "data:write"))
                }
            }
            let path_of_hidden = format!("/data/{name}/{}", id(&hidden));
            let is_open = may_read == "yes"
                && (index >= 3 || rule == "public" || rule == "user" || rule.get("id").is_some());
            let seen = caller.call(&api, "GET", &path_of_hidden, &Json::Null);
            assert_eq!(seen.status == 200, is_open, "{what}: {}", seen.body);
            if index < 3 && !is_open {
                let touched = caller.call(&api, "PATCH", &path_of_hidden, &json!({ "n": 9 }));
                assert!([401, 403, 404].contains(&touched.status), "{what}: {}", touched.body);
                assert_eq!(api.get(&path_of_hidden), hidden, "{what}");
            }
        }
    }
}

fn a_row_stays_with_its_owner(database: Database) {
    let api = Api::on(database);
    let ((ann, ann_token), (bob, bob_token)) = (api.user("ann@example.com"), api.user("bob@example.com"));
    let (ann_calls, bob_calls) = (Caller::of_token("ann", &ann_token), Caller::of_token("bob", &bob_token));
    let columns = json!([{ "name": "userId", "type": "uuid" }, { "name": "text", "type": "string" }]);
    let owned = json!({ "read": "public", "create": "owner", "update": "owner", "delete": "owner", "ownerColumn": "userId" });
    api.make("/admin/tables", json!({ "name": "note", "columns": columns, "access": owned }));
    let create = |caller: &Caller, body: Json| caller.call(&api, "POST", "/data/note", &body);
    let note = create(&ann_calls, json!({ "text": "mine" })).json();
    assert_eq!(note["userId"], ann["id"], "set on create");
    assert_eq!(create(&ann_calls, json!({ "userId": ann["id"] })).status, 201);
    let path = format!("/data/note/{}", id(&note));
    for wrong in
        [json!({ "userId": bob["id"] }), json!({ "userId": null }), json!({ "userId": uuid::Uuid::nil() })]
    {
        refused(&create(&ann_calls, wrong.clone()), 403, "AUTHORIZATION_ERROR", "");
        refused(&ann_calls.call(&api, "PATCH", &path, &wrong), 403, "AUTHORIZATION_ERROR", "");
        refused(&bob_calls.call(&api, "PATCH", &path, &wrong), 403, "AUTHORIZATION_ERROR", "");
    }
    // What may be read but not written is told so.
    refused(&bob_calls.call(&api, "DELETE", &path, &Json::Null), 403, "AUTHORIZATION_ERROR", "");
    assert_eq!(api.get(&path), note);
    assert_eq!(ann_calls.call(&api, "PATCH", &path, &json!({ "text": "new" })).json()["text"], "new");
    assert_eq!(
        api.admin("PATCH", &path, json!({ "userId": bob["id"] })).status,
        200,
        "an admin gives it away"
    );
    refused(&ann_calls.call(&api, "PATCH", &path, &json!({ "text": "x" })), 403, "AUTHORIZATION_ERROR", "");
    assert_eq!(bob_calls.call(&api, "DELETE", &path, &Json::Null).status, 204);

    // Where anyone may make rows they still get their maker's id, and no other.
    let open = json!({ "read": "owner", "create": "user", "update": "owner", "ownerColumn": "userId" });
    api.make("/admin/tables", json!({ "name": "memo", "columns": columns, "access": open }));
    let made = ann_calls.call(&api, "POST", "/data/memo", &json!({ "text": "a" })).json();
    assert_eq!(made["userId"], ann["id"]);
    assert_eq!(api.row("memo", json!({}))["userId"], Json::Null, "an admin's rows are nobody's");
    let of_another = json!({ "text": "a", "userId": bob["id"] });
    refused(&ann_calls.call(&api, "POST", "/data/memo", &of_another), 403, "AUTHORIZATION_ERROR", "owner");

    // A rule about rows holds for what a change makes of them, too.
    let late = json!({ "create": { "at": { "_gt": "2001-01-01T01:00:00+01:00" } } });
    let columns_of_late = json!([{ "name": "at", "type": "datetime" }]);
    api.make("/admin/tables", json!({ "name": "late", "columns": columns_of_late, "access": late }));
    let at = |at: &str| bob_calls.call(&api, "POST", "/data/late", &json!({ "at": at })).status;
    assert_eq!(
        (at("2001-01-01T00:30:00+00:30"), at("2001-01-01T00:00:00Z"), at("2001-01-01T00:00:00.001Z")),
        (403, 403, 201)
    );
    let drafts = json!({ "read": "public", "create": { "text": "draft" }, "update": { "text": { "_in": ["draft", "done"] } }, "delete": { "text": "draft" } });
    api.make("/admin/tables", json!({ "name": "paper", "columns": columns, "access": drafts }));
    refused(
        &bob_calls.call(&api, "POST", "/data/paper", &json!({ "text": "done" })),
        403,
        "AUTHORIZATION_ERROR",
        "",
    );
    let paper = bob_calls.call(&api, "POST", "/data/paper", &json!({ "text": "draft" })).json();
    let path = format!("/data/paper/{}", id(&paper));
    refused(
        &bob_calls.call(&api, "PATCH", &path, &json!({ "text": "signed" })),
        403,
        "AUTHORIZATION_ERROR",
        "",
    );
    assert_eq!(bob_calls.call(&api, "PATCH", &path, &json!({ "text": "done" })).status, 200);
    refused(&bob_calls.call(&api, "DELETE", &path, &Json::Null), 403, "AUTHORIZATION_ERROR", "");
}

fn what_may_not_be_read_is_not_told(database: Database) {
    let api = Api::on(database);
    let (ann, ann_token) = api.user("ann@example.com");
    let ann_calls = Caller::of_token("ann", &ann_token);
    let columns = json!([{ "name": "owner", "type": "string" }, { "name": "secret", "type": "string" }]);
    api.make(
        "/admin/tables",
        json!({ "name": "safe", "columns": columns, "access": { "read": "owner", "ownerColumn": "owner" } }),
    );
    for n in 0..5 {
        api.row("safe", json!({ "owner": if n == 0 { ann["id"].clone() } else { json!("else") }, "secret": format!("s{n}") }));
    }
    let list = |query: &[(&str, &str)]| {
        ann_calls.call(&api, "GET", &format!("/data/safe?{}", encoded(query)), &Json::Null).json()
    };
    for (filter, found) in [
        (json!({}), 1),
        (json!({ "secret": { "_starts_with": "s1" } }), 0),
        (json!({ "_or": [{ "secret": "s1" }, { "owner": "else" }] }), 0),
        (json!({ "_not": { "owner": ann["id"] } }), 0),
        (json!({ "_or": [{ "owner": { "_neq": "x" } }] }), 1),
    ] {
        let answer = list(&[("filter", &filter.to_string()), ("meta", "*"), ("sort", "secret")]);
        let meta = json!({ "totalCount": 1, "filterCount": found });
        assert_eq!((answer["data"].as_array().unwrap().len(), &answer["meta"]), (found, &meta), "{filter}");
    }
}

fn rules_that_name_what_a_user_has_not(database: Database) {
    let api = Api::on(database);
    let columns = json!([{ "name": "address", "type": "string" }, { "name": "n", "type": "integer" }]);
    let access = json!({
        "read": { "_or": [{ "address": "@USER.id" }, { "address": "@USER.role" }] },
        "update": { "_not": { "address": "@USER.role" } },
    });
    api.make("/admin/tables", json!({ "name": "mail", "columns": columns, "access": access }));
    for address in [json!(""), json!(null), json!("a@b.c")] {
        api.row("mail", json!({ "address": address }));
    }
    let of =
        |user: Json, script: &str| api.test_run(json!({ "kind": "script", "script": script, "user": user }));
    let count = |user: Json| of(user, "return #secure.mail.count();")["result"].clone();
    assert_eq!(count(json!({ "id": "a@b.c", "role": "user", "name": "N" })), 1);
    for user in [
        json!({ "email": "a@b.c" }),
        json!({ "id": "", "role": "", "name": "a@b.c" }),
        json!({ "id": null, "role": null }),
    ] {
        assert_eq!(count(user.clone()), 0, "{user}");
        let changed =
            of(user.clone(), "return #secure.mail.update(#{ filter: #{}, data: #{ n: 1 } }).data.len();");
        assert_eq!(changed["result"], 0, "{user}: {changed}");
    }
}

fn scripts_are_held_to_the_same(database: Database) {
    let api = Api::on(database);
    let ((ann, ann_token), (bob, bob_token)) = (api.user("ann@example.com"), api.user("bob@example.com"));
    let columns = json!([{ "name": "owner", "type": "string" }, { "name": "text", "type": "string" }]);
    let access = json!({ "read": "owner", "create": "owner", "update": "owner", "delete": "owner", "ownerColumn": "owner" });
    api.make("/admin/tables", json!({ "name": "diary", "columns": columns, "access": access }));
    let script = r#"
        fn tried(what) { try { what.call() } catch (e) { return e.code; } }
        let first = #diary.findOne(#{ sort: "createdAt" });
        [
            tried(|| #secure.diary.create(#{ data: #{ text: "a" } }).owner),
            tried(|| #secure.diary.createMany(#{ data: [#{ text: "b" }, #{ text: "c", owner: "x" }] })),
            tried(|| #secure.diary.count()),
            tried(|| #secure.diary.find(#{ meta: "*" }).meta.totalCount),
            tried(|| #secure.diary.exists(#{ id: first.id })),
            tried(|| #secure.diary.findOne(#{ filter: #{ id: first.id } })),
            tried(|| #secure.diary.update(#{ id: first.id, data: #{ text: "z" } }).text),
            tried(|| #secure.diary.update(#{ filter: #{}, data: #{ owner: "x" } })),
            tried(|| #secure.diary.delete(#{ id: first.id })),
            tried(|| #secure.diary.delete(#{ filter: #{} }).deleted),
        ]
    "#;
    let first = api.row("diary", json!({ "owner": "somebody", "text": "first" }));
    let mut socket = api.socket("/diary", script, Some(&ann_token));
    let not_found = "RESOURCE_NOT_FOUND";
    let of_user = |user: &Json| {
        json!([
            user["id"],
            "AUTHORIZATION_ERROR",
            1,
            1,
            false,
            null,
            not_found,
            "AUTHORIZATION_ERROR",
            not_found,
            1
        ])
    };
    let outcome = socket.run("e", &json!({}));
    assert_eq!(outcome["result"], of_user(&ann), "{outcome}");
    let outcome = Polling::connect(&api.server, "/diary", Some(&bob_token)).run("e", &json!({}));
    assert_eq!(outcome["result"], of_user(&bob), "{outcome}");
    let outcome = Polling::connect(&api.server, "/diary", None).run("e", &json!({}));
    assert!(
        outcome["result"].as_array().unwrap().iter().all(|code| code == "AUTHENTICATION_ERROR"),
        "{outcome}"
    );
    assert_eq!(api.rows("diary", &[]), json!([first]), "nothing else is left, and this is as it was");
    let outcome = Polling::connect(&api.server, "/diary", Some(&api.token)).run("e", &json!({}));
    assert_eq!(outcome["result"][4], true, "an admin may: {outcome}");
}
