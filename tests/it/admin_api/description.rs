//! The description of the API, and its page.

use serde_json::Value as Json;

use crate::support::api::Api;
use crate::support::server::{Server, send};

#[test]
fn admin_api_openapi() {
    let api = Api::start();
    let description = api.server.call("GET", "/openapi.json", None, &[]);
    assert_eq!(description.status, 200);
    let description = description.json();
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"), "{}", description["openapi"]);
    for (path, methods) in [
        ("/admin/gateways", "get post"),
        ("/admin/gateways/{id}", "delete get patch"),
        ("/admin/gateways/{id}/events", "get post"),
        ("/admin/events/{id}", "delete get patch"),
        ("/admin/gateways/{id}/revisions", "get"),
        ("/admin/gateways/{id}/revisions/{number}/restore", "post"),
        ("/admin/events/{id}/revisions", "get"),
        ("/admin/events/{id}/revisions/{number}/restore", "post"),
        ("/admin/schedules", "get post"),
        ("/admin/schedules/{id}", "delete get patch"),
        ("/admin/schedules/{id}/run", "post"),
        ("/admin/users", "get post"),
        ("/admin/users/{id}", "delete get patch"),
        ("/admin/script/validate", "post"),
        ("/admin/script/api", "get"),
        ("/admin/tree", "get"),
        ("/admin/test/run", "post"),
        ("/admin/logs", "get"),
        ("/admin/logs/{requestId}", "get"),
        ("/admin/users/{id}/sessions", "get"),
        ("/admin/sessions/{id}", "delete"),
        ("/admin/app-keys/{id}/rotate", "post"),
        ("/admin/audit", "get"),
        ("/admin/config", "get"),
        ("/admin/health", "get"),
        ("/admin/backup", "post"),
        ("/admin/backups", "get"),
        ("/admin/backups/{name}", "delete get"),
        ("/admin/packs/{name}/export", "get"),
        ("/admin/packs/{name}/test", "post"),
        ("/admin/packs/upload", "post"),
        ("/admin/search", "get"),
        ("/auth/exchange", "post"),
        ("/admin/stats", "get"),
        ("/admin/stats/history", "get"),
        ("/auth/login", "post"),
        ("/auth/refresh-token", "post"),
        ("/auth/logout", "post"),
        ("/auth/register", "post"),
        ("/me", "get patch"),
        ("/auth/websocket-token", "post"),
        ("/health/live", "get"),
        ("/health/ready", "get"),
        ("/metrics", "get"),
    ] {
        let Some(found) = description["paths"][path].as_object() else { panic!("{path} is not described") };
        let mut found: Vec<_> = found.keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found.join(" "), methods, "{path}");
    }
    let mut dangling = Vec::new();
    each_string(&description, &mut |key, text| {
        let is_dangling =
            text.strip_prefix('#').is_some_and(|pointer| description.pointer(pointer).is_none());
        if key == "$ref" && is_dangling {
            dangling.push(text.to_owned());
        }
    });
    assert!(dangling.is_empty(), "references to nothing: {dangling:?}");
}

#[test]
fn admin_api_openapi_is_valid() {
    let description = Server::start().call("GET", "/openapi.json", None, &[]).json();
    let (mut wrong, mut ids) = (Vec::new(), std::collections::BTreeSet::new());
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            for name in path.split('{').skip(1).map(|part| part.split('}').next().unwrap()) {
                if !parameters.iter().any(|given| given["name"] == name && given["in"] == "path") {
                    wrong.push(format!("{method} {path} does not describe the path's {name}"));
                }
            }
            let id = operation["operationId"].as_str().unwrap_or_default();
            if !id.is_empty() && !ids.insert(id.to_owned()) {
                wrong.push(format!("{method} {path} has the operationId {id} of another"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Calls `look` with each text in a document and the key it stands under.
fn each_string(value: &Json, look: &mut impl FnMut(&str, &str)) {
    match value {
        Json::Object(map) => map.iter().for_each(|(key, value)| match value {
            Json::String(text) => look(key, text),
            other => each_string(other, look),
        }),
        Json::Array(items) => items.iter().for_each(|item| each_string(item, look)),
        _ => {}
    }
}

#[test]
fn admin_api_docs_load_nothing_from_elsewhere() {
    let server = Server::start();
    let page = send(&server.url, "GET", "/docs/", &[], b"");
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    assert_eq!(send(&server.url, "GET", "/docs", &[], b"").body, page.body, "/docs leads to the page");
    let assets: Vec<_> = ["src=\"", "href=\""]
        .iter()
        .flat_map(|attribute| page.body.split(attribute).skip(1))
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert!(assets.len() >= 3, "{}", page.body);
    let mut scripts = String::new();
    for asset in assets {
        assert!(!asset.contains("//"), "{asset} is on another host");
        let path = if asset.starts_with('/') {
            asset.to_owned()
        } else {
            format!("/docs/{}", asset.trim_start_matches("./"))
        };
        let answer = send(&server.url, "GET", &path, &[], b"");
        assert_eq!(answer.status, 200, "{path}");
        if path.ends_with(".css") {
            let urls = answer.body.split("url(").skip(1).map(|rest| rest.trim_start_matches(['"', '\'']));
            let foreign: Vec<_> =
                urls.filter(|url| url.starts_with("http") || url.starts_with("//")).collect();
            assert!(foreign.is_empty() && !answer.body.contains("@import"), "{path} loads {foreign:?}");
        }
        if path.ends_with(".js") {
            scripts.push_str(&answer.body);
        }
    }
    assert!(scripts.contains("/openapi.json"), "the page shows this server's description");
    // Away from localhost the standalone layout shows a badge, an image of the validator's host,
    // unless it is turned off.
    let turned_off = [
        "\"validatorUrl\": \"none\"",
        "\"validatorUrl\": null",
        "\"validatorUrl\": \"\"",
        "\"layout\": \"BaseLayout\"",
    ];
    assert!(
        !scripts.contains("validator.swagger.io")
            || turned_off.iter().any(|setting| scripts.contains(setting)),
        "the page loads its badge from validator.swagger.io",
    );
}
