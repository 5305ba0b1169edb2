//! `/openapi.json` and `/docs`: complete, valid, and usable.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::support::api::{Api, id};
use super::support::node::run_in_browser;
use super::support::python::python;
use super::support::server::Server;

/// A server with tables, routes and hooks, so that all kinds of paths are described.
fn server() -> Api {
    let api = Api::of(Server::start_with(&[], &["--pack", "chat"]));
    for path in ["/a/{id}", "/a/{id}/b_c", "/a/{id}/b/c", "/a/~x"] {
        api.make(
            "/admin/routes",
            json!({ "method": "GET", "path": path, "sourceCode": "return 1;", "access": "public" }),
        );
    }
    api
}

/// Each operation: where it is, and what it says.
fn operations(document: &Json) -> Vec<(String, Json)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        let shared = item["parameters"].as_array().cloned().unwrap_or_default();
        item.as_object().unwrap().iter().filter(|(method, _)| *method != "parameters").map(
            move |(method, operation)| {
                let mut operation = operation.clone();
                let own = operation["parameters"].as_array().cloned().unwrap_or_default();
                operation["parameters"] = shared.iter().cloned().chain(own).collect();
                (format!("{method} {path}"), operation)
            },
        )
    });
    operations.collect()
}

#[test]
fn openapi_passes_the_validator() {
    let api = server();
    let Some(mut python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("openapi.json");
    std::fs::write(&file, api.get("/openapi.json").to_string()).unwrap();
    let checked = python.args(["-m", "openapi_spec_validator"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout) + String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
}

/// What no validator asks for, but readers and programs that are made from it do.
#[test]
fn openapi_describes_every_operation() {
    let document = server().get("/openapi.json");
    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    let tags: BTreeSet<_> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    let (mut wrong, mut ids) = (Vec::new(), BTreeSet::new());
    for (place, operation) in operations(&document) {
        let mut check = |is_right: bool, what: &str| {
            if !is_right {
                wrong.push(format!("{place}: {what}"));
            }
        };
        let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        check(id.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)), "an operationId for URLs");
        check(!id.is_empty() && ids.insert(id), "an operationId of its own");
        check(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "a summary");
        let tag = operation["tags"][0].as_str().unwrap_or_default();
        check(tags.contains(tag) || tag.starts_with("table "), "a tag that is described");
        let security = operation["security"].as_array();
        check(security.is_some(), "security");
        let names = security.into_iter().flatten().flat_map(|one| one.as_object().unwrap().keys());
        check(names.into_iter().all(|name| schemes.contains_key(name)), "security that is defined");
        let responses = operation["responses"].as_object().unwrap();
        let is_open = security.is_some_and(Vec::is_empty);
        check(is_open || responses.contains_key("401"), "401");
        check(!place.contains('{') || responses.contains_key("404"), "404");
        check(responses.contains_key("500") || place.contains("/health/"), "500");
        for (status, answer) in responses {
            let answer =
                answer["$ref"].as_str().map_or(answer, |found| document.pointer(&found[1..]).unwrap());
            check(
                answer["description"].as_str().is_some_and(|text| !text.is_empty()),
                &format!("what {status} means"),
            );
        }
        let in_path = place.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
        for name in in_path {
            let parameters = operation["parameters"].as_array().unwrap();
            let found: Vec<_> =
                parameters.iter().filter(|one| one["in"] == "path" && one["name"] == name).collect();
            check(found.len() == 1, &format!("the parameter {name}, once"));
            check(found.iter().all(|one| one["description"].is_string()), &format!("what {name} is"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ids.len() > 70, "only {} operations", ids.len());
}

#[test]
fn openapi_says_what_needs_no_sign_in() {
    let api = server();
    for (place, operation) in operations(&api.get("/openapi.json")) {
        let (method, path) = place.split_once(' ').unwrap();
        if method != "get" || path.contains("{name}") {
            continue;
        }
        let path = path.replace("{id}", "01890a5d-ac96-774b-bcce-b302099a8057");
        let path = path.replace("{table}", "message");
        let status = api.server.call("GET", &path, None, &[]).status;
        let is_open = operation["security"].as_array().unwrap().iter().all(|one| *one == json!({}));
        let needs_token = operation["security"].as_array().unwrap().iter().all(|one| *one != json!({}));
        assert!(!is_open || status != 401, "{place} says it is open: {status}");
        assert!(is_open || !needs_token || status == 401, "{place} says it needs a token: {status}");
    }
}

#[test]
fn openapi_examples_work() {
    let api = Api::of(Server::start());
    let document = api.get("/openapi.json");
    let example = |operation: &str| {
        let found = operations(&document).into_iter().find(|(_, one)| one["operationId"] == operation);
        let example =
            found.map(|(_, one)| one["requestBody"]["content"]["application/json"]["example"].clone());
        example.filter(|example| !example.is_null()).unwrap_or_else(|| panic!("no example of {operation}"))
    };
    let make = |operation: &str, path: &str| api.make(path, example(operation));
    let change = |operation: &str, path: String| {
        let answer = api.admin("PATCH", &path, example(operation));
        assert_eq!(answer.status, 200, "{operation}: {}", answer.body);
    };
    let gateway = make("createGateway", "/admin/gateways");
    let event = make("createEvent", &format!("/admin/gateways/{}/events", id(&gateway)));
    change("updateEvent", format!("/admin/events/{}", id(&event)));
    let ran = api.test_run(example("runTest"));
    assert_eq!(ran["success"], true, "{ran}");
    change("updateGateway", format!("/admin/gateways/{}", id(&gateway)));
    let table = make("createTable", "/admin/tables");
    let hook = make("createHook", "/admin/hooks");
    change("updateHook", format!("/admin/hooks/{}", id(&hook)));
    let library = make("createLibrary", "/admin/libraries");
    change("updateLibrary", format!("/admin/libraries/{}", id(&library)));
    let schedule = make("createSchedule", "/admin/schedules");
    change("updateSchedule", format!("/admin/schedules/{}", id(&schedule)));
    change("updateTable", format!("/admin/tables/{}", id(&table)));
    for (operation, path) in [("explainAccess", "explain-access"), ("writeTableRows", "batch")] {
        let answer = api.admin("POST", &format!("/admin/tables/{}/{path}", id(&table)), example(operation));
        assert_eq!(answer.status, 200, "{operation}: {}", answer.body);
    }
    let route = make("createRoute", "/admin/routes");
    assert_eq!(api.get("/example/Ada"), json!({ "text": "Hello, Ada!" }));
    change("updateRoute", format!("/admin/routes/{}", id(&route)));
    let user = make("createUser", "/admin/users");
    let signed_in = api.server.call("POST", "/auth/login", Some(&example("login")), &[]);
    assert_eq!(signed_in.status, 200, "{}", signed_in.body);
    // Whose row it is, is who makes it.
    let bearer = format!("Bearer {}", signed_in.json()["accessToken"].as_str().unwrap());
    let as_user = |method: &str, path: &str, operation: &str| {
        api.server.call(method, path, Some(&example(operation)), &[("authorization", &bearer)])
    };
    let row = as_user("POST", "/data/example_note", "createRow");
    assert_eq!(row.status, 201, "{}", row.body);
    let changed = as_user("PATCH", &format!("/data/example_note/{}", id(&row.json())), "updateRow");
    assert_eq!(changed.status, 200, "{}", changed.body);
    change("updateUser", format!("/admin/users/{}", id(&user)));
    change("changeMe", "/me".to_owned());
    let key = make("createAppKey", "/admin/app-keys");
    change("updateAppKey", format!("/admin/app-keys/{}", id(&key)));
    assert_eq!(api.admin("POST", "/admin/packs", example("installPack")).status, 200);
    let valid = api.admin("POST", "/admin/script/validate", example("validateScript"));
    assert_eq!(valid.json()["valid"], true, "{}", valid.body);
}

#[test]
fn openapi_page_works_in_a_browser() {
    run_in_browser(&Server::start().url, "docs");
}
