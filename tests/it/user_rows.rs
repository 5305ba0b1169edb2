//! `#user`: users as scripts read them, what scripts change of them, and hooks that stand on them.

use serde_json::{Value as Json, json};

use super::support::api::{Api, id, refused};
use super::support::database::{Database, on_each_database};
use super::support::server::until;

on_each_database!(
    users_are_read,
    names_and_profiles_are_written,
    what_is_not_for_scripts,
    hooks_stand_on_users
);

const COLUMNS: [&str; 8] = ["createdAt", "email", "id", "isEnabled", "name", "profile", "role", "updatedAt"];

fn users_are_read(database: Database) {
    let api = Api::on(database);
    let made: Vec<_> = ["ada", "bob", "cy"].map(|name| api.user(&format!("{name}@example.com")).0).into();
    let ada = api.run("return #user.findOne(#{ filter: #{ email: \"ada@example.com\" } });");
    assert_eq!(ada.as_object().unwrap().keys().collect::<Vec<_>>(), COLUMNS, "and nothing secret");
    for (name, value) in [
        ("id", &made[0]["id"]),
        ("role", &json!("user")),
        ("isEnabled", &json!(true)),
        ("profile", &Json::Null),
    ] {
        assert_eq!(&ada[name], value, "{name}");
    }
    let by_id = format!("return #user.findOne(#{{ filter: #{{ id: \"{}\" }} }}).email;", id(&made[1]));
    assert_eq!(api.run(&by_id), "bob@example.com");
    for (script, expected) in [
        ("#user.count(#{ role: \"user\", isEnabled: true })", json!(3)),
        ("#user_definition.count(#{ role: \"user\" })", json!(3)),
        ("@REPOS.user.exists(#{ email: #{ _starts_with: \"cy\" } })", json!(true)),
        ("#user.count(#{ createdAt: #{ _gt: \"2020-01-01T00:00:00Z\" } })", json!(4)),
        ("#user.count(#{ createdAt: #{ _lt: \"2020-01-01T00:00:00Z\" } })", json!(0)),
    ] {
        assert_eq!(api.run(&format!("return {script};")), expected, "{script}");
    }
    for sort in ["-createdAt", "email", "isEnabled,-email", "profile,id"] {
        let script = format!(
            r##"
            let found = #user.find(#{{ sort: "{sort}", limit: 0 }}).data.map(|user| user.id);
            let met = [];
            #user.each(#{{ sort: "{sort}" }}, |user| met.push(user.id));
            let ranks = found.map(|id| #user.rank(#{{ sort: "{sort}", id: id }}));
            return [found == met, ranks, met.len()];
            "##
        );
        if sort.contains("profile") {
            assert_eq!(api.fails(&script).0, "VALIDATION_ERROR");
        } else {
            assert_eq!(api.run(&script), json!([true, [1, 2, 3, 4], 4]), "{sort}");
        }
    }
    let own = "let own = @TRANSACTION { #user.findOne(#{ filter: #{ id: @USER.id }, lock: true }) }; return own.email == @USER.email;";
    let mut socket = api.socket("/own", own, Some(&api.user("eve@example.com").1));
    assert_eq!(socket.run("e", &json!({}))["result"], true);
}

fn names_and_profiles_are_written(database: Database) {
    let api = Api::on(database);
    let (ada, token) = api.user("ada@example.com");
    let script = "return #user.update(#{ id: @USER.id, data: @BODY });";
    let mut socket = api.socket("/own", script, Some(&token));
    let profile = json!({ "level": 3, "badges": ["first"], "at": { "x": 1.5 } });
    let outcome = socket.run("e", &json!({ "profile": profile }));
    assert_eq!(outcome["result"]["profile"], profile, "{outcome}");
    assert_eq!(outcome["result"]["name"], "ada@example.com");
    assert_ne!(outcome["result"]["updatedAt"], outcome["result"]["createdAt"]);
    let kept = "return #user.findOne(#{ filter: #{ email: \"ada@example.com\" } });";
    assert_eq!(api.run(kept), outcome["result"]);
    let outcome = socket.run("e", &json!({ "name": "Ada" }));
    assert_eq!((&outcome["result"]["name"], &outcome["result"]["profile"]), (&json!("Ada"), &profile));
    assert_eq!(api.get(&format!("/admin/users/{}", id(&ada)))["name"], "Ada");
    let name = api.make(
        "/admin/routes",
        json!({ "method": "GET", "path": "/name", "access": "user", "sourceCode": "return @USER.name;" }),
    );
    assert!(name["id"].is_string());
    let bearer = format!("Bearer {token}");
    assert_eq!(api.server.call("GET", "/name", None, &[("authorization", &bearer)]).json(), "Ada");
    let many = "return #user.update(#{ filter: #{ role: \"user\" }, data: #{ profile: () } }).data.len();";
    assert_eq!(api.run(many), 1);
    assert_eq!(api.run(kept)["profile"], Json::Null);
    let undone = "try { @TRANSACTION { #user.update(#{ filter: #{ role: \"user\" }, data: #{ name: \"Eve\" } }); throw 1; } } catch {}";
    api.run(undone);
    assert_eq!(api.run(kept)["name"], "Ada");
    let body = json!({ "kind": "script", "script": "return #user.update(#{ filter: #{ role: \"user\" }, data: #{ name: \"Eve\" } });" });
    assert_eq!(api.test_run(body)["success"], true);
    assert_eq!(api.run(kept)["name"], "Ada", "a test run leaves nothing");
}

fn what_is_not_for_scripts(database: Database) {
    let api = Api::on(database);
    api.user("ada@example.com");
    let all = "filter: #{ role: \"user\" }";
    for (script, mentions) in [
        (
            format!("#user.update(#{{ {all}, data: #{{ role: \"admin\" }} }})"),
            "role: is changed by /admin/users",
        ),
        (format!("#user.update(#{{ {all}, data: #{{ email: \"x@y\" }} }})"), "email: is changed"),
        (format!("#user.update(#{{ {all}, data: #{{ isEnabled: false }} }})"), "isEnabled: is changed"),
        (format!("#user.update(#{{ {all}, data: #{{ passwordHash: \"x\" }} }})"), "no field passwordHash"),
        (format!("#user.update(#{{ {all}, data: #{{ name: @BODY.x }} }})"), "name: is required"),
        (
            "let n = \"x\"; n.pad(201, \"x\"); #user.update(#{ filter: #{}, data: #{ name: n } })".to_owned(),
            "at most 200",
        ),
        (
            "#user.create(#{ data: #{ email: \"x@y\", name: \"x\", role: \"admin\" } })".to_owned(),
            "are made and deleted by",
        ),
        (
            "#user.upsert(#{ key: \"email\", data: #{ email: \"x@y\" } })".to_owned(),
            "are made and deleted by",
        ),
        (format!("#user.delete(#{{ {all} }})"), "are made and deleted by"),
        ("#user.find(#{ filter: #{ passwordHash: \"x\" } })".to_owned(), "no field passwordHash"),
        ("#user.find(#{ fields: \"passwordHash\" })".to_owned(), "no field passwordHash"),
        ("#user.find(#{ sort: \"passwordHash\" })".to_owned(), "no field passwordHash"),
    ] {
        let (code, message) = api.fails(&script);
        assert_eq!(code, "VALIDATION_ERROR", "{script}");
        assert!(message.contains(mentions), "{script}: {message}");
    }
    let key = api.app_key(&["data:read", "data:write"]);
    for path in ["/data/user", "/data/user_definition", "/data/gw_user"] {
        refused(&api.admin("GET", path, Json::Null), 404, "RESOURCE_NOT_FOUND", "table");
        let answer =
            api.server.call("POST", path, Some(&json!({ "email": "x@y" })), &[("x-app-token", &key)]);
        refused(&answer, 404, "RESOURCE_NOT_FOUND", "table");
    }
    for name in ["user", "User_Definition"] {
        refused(
            &api.admin("POST", "/admin/tables", json!({ "name": name })),
            422,
            "VALIDATION_ERROR",
            "reserved",
        );
    }
    let (_, token) = api.user("bob@example.com");
    let mut socket = api.socket("/secure", "return #secure.user.count();", Some(&token));
    assert_eq!(socket.run("e", &json!({}))["code"], "AUTHORIZATION_ERROR");
    let column = json!([{ "name": "of", "type": "uuid", "references": "user" }]);
    let refusal = api.admin("POST", "/admin/tables", json!({ "name": "a", "columns": column }));
    refused(&refusal, 422, "VALIDATION_ERROR", "references \"user\"");
}

fn hooks_stand_on_users(database: Database) {
    let api = Api::on(database);
    api.table("trace", json!([{ "name": "text", "type": "text" }]));
    let before = json!({ "table": "user", "when": "before", "on": ["create"], "sourceCode": "return;" });
    refused(&api.admin("POST", "/admin/hooks", before), 422, "VALIDATION_ERROR", "when: is after, on users");
    let script = "#trace.create(#{ data: #{ text: `${@EVENT} ${@DATA.email} ${@OLD?.name} ${@DATA.name} ${@DATA.profile?.level} ${@DATA.contains(\"passwordHash\")}` } });";
    api.hook("user", "after", &["create", "update", "delete"], script);
    let only = json!({
        "table": "user", "when": "after", "on": ["update"], "sourceCode": "#trace.create(#{ data: #{ text: \"renamed\" } });",
        "condition": { "_changed": ["name"], "role": "user" }
    });
    api.make("/admin/hooks", only);
    let traces = |count: usize| {
        let texts = until("the hooks have run", || {
            let texts = api.values("trace", "text", &json!({}));
            (texts.len() == count).then_some(texts)
        });
        api.run("#trace.delete(#{ filter: #{} });");
        texts
    };
    let (ada, token) = api.user("ada@example.com");
    assert_eq!(traces(1), [json!("create ada@example.com  ada@example.com  false")]);
    api.run("#user.update(#{ filter: #{ email: \"ada@example.com\" }, data: #{ profile: #{ level: 7 } } });");
    assert_eq!(traces(1), [json!("update ada@example.com ada@example.com ada@example.com 7 false")]);
    let bearer = format!("Bearer {token}");
    let answer =
        api.server.call("PATCH", "/me", Some(&json!({ "name": "Ada" })), &[("authorization", &bearer)]);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(traces(2), [json!("renamed"), json!("update ada@example.com ada@example.com Ada 7 false")]);
    let path = format!("/admin/users/{}", id(&ada));
    assert_eq!(api.admin("PATCH", &path, json!({ "isEnabled": false })).status, 200);
    assert_eq!(traces(1), [json!("update ada@example.com Ada Ada 7 false")]);
    assert_eq!(api.admin("DELETE", &path, Json::Null).status, 204);
    assert_eq!(traces(1), [json!("delete ada@example.com Ada Ada 7 false")]);
}
