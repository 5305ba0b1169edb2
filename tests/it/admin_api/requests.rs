//! What holds for every request: whom it is for, bodies, ids, paths and methods.

use serde_json::json;

use super::{BAD, NOBODY, check_error, check_error_shape, error_shape};
use crate::support::api::Api;
use crate::support::server::{Server, send};

#[test]
fn admin_api_unknown_fields_are_all_named() {
    let api = Api::start();
    let body = json!({ "path": "/x", "colour": "red", "shape": "round" });
    api.refuses(("POST", "/admin/gateways"), Some(body), BAD, &["colour", "shape"]);
}

#[test]
fn admin_api_says_what_is_wrong_in_few_words() {
    let api = Api::start();
    let long = json!({ "path": "/x", "aliases": "x".repeat(100_000) });
    for (request, body, said) in [
        (("POST", "/admin/gateways"), Some(long), "aliases: invalid type"),
        (
            ("POST", "/admin/gateways"),
            Some(json!({ "path": "/x", "presence": 1 })),
            "presence: takes true, false",
        ),
        (("POST", "/admin/app-keys"), Some(json!({ "name": "ci" })), "The body: missing field `scopes`"),
        (("GET", "/admin/gateways/abc"), None, "id: UUID parsing failed"),
    ] {
        let answer = api.try_call(request.0, request.1, body);
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(answer.status == 400 && message.starts_with(said) && message.len() < 700, "{message}");
    }
}

#[test]
fn admin_api_ids_that_are_none() {
    let api = Api::start();
    let mut wrong = Vec::new();
    let mut check = |method: &str, path: &str| {
        let answer = api.try_call(method, path, None);
        let is_refused = matches!(answer.status, 400 | 404) && error_shape(&answer).is_ok();
        if !is_refused {
            wrong.push(format!("{method} {path}: {} {}", answer.status, answer.body));
        }
    };
    for id in ["abc", "5", "'%20OR%201=1", "..%2Fusers"] {
        for path in
            ["gateways/{id}", "events/{id}", "users/{id}", "gateways/{id}/events", "events/{id}/revisions"]
        {
            check("GET", &format!("/admin/{}", path.replace("{id}", id)));
        }
    }
    for number in ["x", "-1", "99999999999999999999"] {
        check("POST", &format!("/admin/events/{NOBODY}/revisions/{number}/restore"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn admin_api_is_for_admins() {
    let api = Api::start();
    let credentials = |email: &str| json!({ "email": email, "password": "some password" });
    let mut tokens = Vec::new();
    for role in ["user", "moderator", "Admin"] {
        let email = format!("one.{role}@example.com");
        let mut body = credentials(&email);
        body["role"] = json!(role);
        api.make("/admin/users", body);
        let signed_in = api.server.call("POST", "/auth/login", Some(&credentials(&email)), &[]);
        tokens.push(signed_in.json()["accessToken"].as_str().unwrap().to_owned());
    }
    let description = api.get("/openapi.json");
    let mut count = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        if !path.starts_with("/admin/") {
            continue;
        }
        let real = path.replace("{id}", NOBODY).replace("{number}", "1").replace("{name}", "chat");
        for method in methods.as_object().unwrap().keys().map(|method| method.to_uppercase()) {
            let what = format!("{method} {path}");
            let body = matches!(method.as_str(), "POST" | "PATCH").then(|| json!({}));
            let answer = api.server.call(&method, &real, body.as_ref(), &[]);
            check_error(&what, &answer, 401, "AUTHENTICATION_ERROR", &[]);
            let bad = api.server.admin("nonsense", &method, &real, body.as_ref());
            check_error(&what, &bad, 401, bad.code().as_str(), &[]);
            for token in &tokens {
                let answer = api.server.admin(token, &method, &real, body.as_ref());
                check_error(&what, &answer, 403, "AUTHORIZATION_ERROR", &[]);
            }
            count += 1;
        }
    }
    assert!(count >= 20, "only {count} operations are described");
}

#[test]
fn admin_api_bodies_that_are_wrong() {
    const BYTES: usize = 65_536;
    let api = Api::of(Server::start_with(&[("LIMITS__REQUEST_BYTES", &BYTES.to_string())], &[]));
    let description = api.get("/openapi.json");
    let bearer = format!("Bearer {}", api.token);
    let mut wrong = Vec::new();
    let mut count = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        let real = path.replace("{id}", NOBODY).replace("{number}", "1").replace("{name}", "chat");
        for (method, operation) in methods.as_object().unwrap() {
            // Files have tests of their own.
            if operation["requestBody"]["content"].get("application/json").is_none() {
                continue;
            }
            count += 1;
            let call = |content_type: &str, body: &[u8]| {
                let headers = [("authorization", bearer.as_str()), ("content-type", content_type)];
                send(&api.server.url, &method.to_uppercase(), &real, &headers, body)
            };
            let json = "application/json";
            let deep = "[".repeat(20_000);
            for body in
                [&b"{\""[..], b"{", b"{}x", b"nonsense", b"{\"a\": \xff}", b"\xff\xfe", deep.as_bytes()]
            {
                let what =
                    format!("{method} {path} {}", String::from_utf8_lossy(&body[..body.len().min(20)]));
                let answer = call(json, body);
                if answer.status != 400 || error_shape(&answer).is_err() {
                    wrong.push(format!("{what}: {} {}", answer.status, answer.body));
                }
            }
            let mut long = vec![b' '; BYTES + 1];
            long[..2].copy_from_slice(b"{}");
            let answer = call(json, &long);
            let what = format!("{method} {path}, too long");
            if answer.status != 413 || error_shape(&answer).is_err() || answer.code() != "PAYLOAD_TOO_LARGE" {
                wrong.push(format!("{what}: {} {}", answer.status, answer.body));
            }
        }
    }
    assert!(count >= 10, "only {count} operations take a body");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (content_type, path) in
        [("text/plain", "/admin/gateways"), ("", "/admin/gateways"), ("text/plain", "/auth/login")]
    {
        let headers = [("authorization", bearer.as_str()), ("content-type", content_type)];
        let answer = send(&api.server.url, "POST", path, &headers, br#"{"path":"/x"}"#);
        check_error_shape(content_type, &answer);
        assert!(matches!(answer.status, 400 | 415), "{content_type:?}: {}", answer.body);
    }
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json; charset=utf-8")];
    let answer = send(&api.server.url, "POST", "/admin/gateways", &headers, br#"{"path":"/x"}"#);
    assert_eq!(answer.status, 201, "{}", answer.body);
}

#[test]
fn admin_api_unknown_paths_and_methods() {
    let api = Api::start();
    for (method, path) in [
        ("GET", "/nowhere"),
        ("POST", "/admin"),
        ("GET", "/admin/nowhere"),
        ("GET", "/admin/gateways/"),
        ("GET", "/admin/gateways/a/b/c"),
        ("GET", "/%00"),
        ("GET", "/demo/chat"),
        ("GET", "//"),
    ] {
        check_error(path, &api.try_call(method, path, None), 404, "RESOURCE_NOT_FOUND", &[]);
    }
    for (method, path) in [
        ("PUT", "/admin/gateways"),
        ("DELETE", "/admin/gateways"),
        ("POST", "/admin/logs"),
        ("GET", "/auth/login"),
        ("GET", "/admin/test/run"),
        ("DELETE", "/me"),
        ("POST", "/openapi.json"),
        ("BREW", "/admin/stats"),
    ] {
        let answer = api.try_call(method, path, None);
        check_error(path, &answer, 405, "METHOD_NOT_ALLOWED", &[method]);
        assert!(answer.headers.contains_key("allow"), "{method} {path} says what it takes");
    }
}
