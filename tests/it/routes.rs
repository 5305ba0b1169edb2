//! Routes: paths of the HTTP API that scripts serve, from the admin's call to the client's answer.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value as Json, json};

use super::support::api::make_gateway;
use super::support::node::run_scenario;
use super::support::polling::Polling;
use super::support::server::{Answer, Server, send, until};

#[path = "../../src/http/built_in.rs"]
mod built_in;

use built_in::BUILT_IN_PATHS;

struct Api {
    server: Server,
    token: String,
}

impl Api {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(settings: &[(&str, &str)]) -> Self {
        let server = Server::start_with(settings, &[]);
        let token = server.admin_token();
        Self { server, token }
    }

    fn admin(&self, method: &str, path: &str, body: Json) -> Answer {
        let body = (!body.is_null()).then_some(&body);
        self.server.admin(&self.token, method, path, body)
    }

    /// Makes a route; its row.
    fn route(&self, method: &str, path: &str, access: &str, script: &str) -> Json {
        let body = json!({ "method": method, "path": path, "access": access, "sourceCode": script });
        let answer = self.admin("POST", "/admin/routes", body);
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()
    }

    fn change(&self, route: &Json, body: Json) -> Answer {
        self.admin("PATCH", &format!("/admin/routes/{}", route["id"].as_str().unwrap()), body)
    }

    /// A call by nobody.
    fn call(&self, method: &str, path: &str, body: Json) -> Answer {
        let body = (!body.is_null()).then_some(&body);
        self.server.call(method, path, body, &[])
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        send(&self.server.url, method, path, headers, body)
    }

    fn user_token(&self, email: &str) -> String {
        let user = json!({ "email": email, "password": "some password" });
        assert_eq!(self.admin("POST", "/admin/users", user.clone()).status, 201);
        let signed_in = self.server.call("POST", "/auth/login", Some(&user), &[]);
        signed_in.json()["accessToken"].as_str().unwrap().to_owned()
    }

    fn app_key(&self, scope: &str) -> String {
        let key = self.admin("POST", "/admin/app-keys", json!({ "name": scope, "scopes": [scope] }));
        assert_eq!(key.status, 201, "{}", key.body);
        key.json()["key"].as_str().unwrap().to_owned()
    }

    fn test_run(&self, body: Json) -> Json {
        let answer = self.admin("POST", "/admin/test/run", body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }
}

fn refused(answer: &Answer, status: u16, code: &str, mentions: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.body);
    let body = answer.json();
    let message = body["message"].as_str().unwrap();
    assert!(message.contains(mentions), "{message:?} does not mention {mentions}");
    assert_eq!(
        (&body["success"], &body["statusCode"]),
        (&json!(false), &json!(status)),
        "the shape of every error"
    );
}

#[test]
fn routes_see_the_request_and_set_the_answer() {
    let api = Api::start();
    let script = r#"
        @STATUS(201);
        @HEADER("X-Item", @PARAMS.item);
        @HEADER("x-twice", 1);
        @HEADER("X-Twice", 2);
        @HEADER("set-cookie", "a=1");
        @HEADER("Set-Cookie", "b=2");
        return #{
            body: @BODY, data: @DATA, params: @PARAMS, query: @QUERY, user: @USER, event: @EVENT, gateway: @GATEWAY,
            ip: @REQ.ip, method: @REQ.method, path: @REQ.path, agent: @REQ.headers["x-agent"],
            hidden: ["authorization", "cookie", "x-app-token"].filter(|name| name in @REQ.headers),
        };
    "#;
    let row = api.route("post", "/orders/:id/items/{item}", "public", script);
    assert_eq!((&row["method"], &row["path"]), (&json!("POST"), &json!("/orders/{id}/items/{item}")));
    let headers = [
        ("content-type", "application/json; charset=utf-8"),
        ("x-agent", "me"),
        ("cookie", "a=b"),
        ("authorization", "Basic eDp5"),
    ];
    let path = "/orders/a%20b%2F%C3%BC/items/7?q=1&q=2&name=J%C3%BCrgen+K&empty";
    let answer = api.send("POST", path, &headers, br#"{"n":[1,null]}"#);
    assert_eq!(answer.status, 201, "{}", answer.body);
    let expected = json!({
        "body": { "n": [1, null] }, "data": { "n": [1, null] },
        "params": { "id": "a b/ü", "item": "7" },
        "query": { "q": "2", "name": "Jürgen K", "empty": "" },
        "user": null, "event": "POST /orders/{id}/items/{item}", "gateway": "routes",
        "ip": "127.0.0.1", "method": "POST", "path": "/orders/a%20b%2F%C3%BC/items/7", "agent": "me", "hidden": [],
    });
    assert_eq!(answer.json(), expected);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(
        (&answer.headers["x-item"], &answer.headers["x-twice"]),
        (&"7".parse().unwrap(), &"2".parse().unwrap())
    );
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
}

#[test]
fn routes_read_bodies_by_their_type() {
    let api = Api::start_with(&[("LIMITS__REQUEST_BYTES", "100000")]);
    api.route("PUT", "/echo", "public", "return #{ body: @BODY, type: type_of(@BODY), all: @ARGS.len() };");
    let json_type = [("content-type", "application/json")];
    for (content_type, body, expected) in [
        ("application/json", "", json!({})),
        ("application/json", " \n", json!({})),
        ("application/json", "null", json!(null)),
        ("application/json", "[1]", json!([1])),
        ("Application/JSON", "0.5", json!(0.5)),
        ("application/merge-patch+json", "{\"a\":1}", json!({ "a": 1 })),
        ("text/plain", "", json!({})),
        ("text/plain", "{\"a\":1}", json!("{\"a\":1}")),
        ("application/x-www-form-urlencoded", "a=1&b=ü", json!("a=1&b=ü")),
        ("application/json", "{\"_placeholder\":true,\"num\":0}", json!({ "_placeholder": true, "num": 0 })),
    ] {
        let answer = api.send("PUT", "/echo", &[("content-type", content_type)], body.as_bytes());
        assert_eq!(answer.status, 200, "{body}: {}", answer.body);
        assert_eq!(answer.json()["body"], expected, "{content_type} {body}");
        assert_eq!(answer.json()["all"], 1, "{content_type} {body}");
    }
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(api.send("PUT", "/echo", &json_type, deep(63).as_bytes()).status, 200);
    for body in
        ["{", "1,2", "{}{}", "nope", "{\"a\":}", "\u{feff}{}", &deep(65), &deep(40_000), "\"\\ud800\""]
    {
        let answer = api.send("PUT", "/echo", &json_type, body.as_bytes());
        refused(&answer, 400, "INVALID_PAYLOAD", "");
    }
    refused(&api.send("PUT", "/echo", &json_type, b"\"\xff\""), 400, "INVALID_PAYLOAD", "UTF-8");
    let octets = [("content-type", "application/octet-stream")];
    refused(&api.send("PUT", "/echo", &octets, &[0xff, 0xfe]), 400, "INVALID_PAYLOAD", "base64");
    let huge = format!("\"{}\"", "x".repeat(100_000));
    refused(&api.send("PUT", "/echo", &json_type, huge.as_bytes()), 413, "PAYLOAD_TOO_LARGE", "");
    let pairs = format!("/echo?{}", "a=1&".repeat(1001));
    refused(&api.send("PUT", &pairs, &json_type, b""), 400, "BAD_REQUEST", "1000");
}

#[test]
fn routes_answer_with_what_the_script_says() {
    let api = Api::start();
    let answers = [
        ("/nothing", "", 200, "null", "application/json"),
        ("/text", "return \"é\\\"\";", 200, "\"é\\\"\"", "application/json"),
        ("/blob", "return blob(3, 65);", 200, "\"QUFB\"", "application/json"),
        (
            "/page",
            "@HEADER(\"Content-Type\", \"text/html; charset=utf-8\"); return \"<p>é</p>\";",
            200,
            "<p>é</p>",
            "text/html; charset=utf-8",
        ),
        ("/other", "@HEADER(\"content-type\", \"text/csv\"); return [1];", 200, "[1]", "text/csv"),
        (
            "/problem",
            "@HEADER(\"content-type\", \"application/problem+json\"); @STATUS(400); return \"x\";",
            400,
            "\"x\"",
            "application/problem+json",
        ),
        ("/gone", "@STATUS(204); return #{ left: \"out\" };", 204, "", ""),
        ("/moved", "@STATUS(302); @HEADER(\"location\", \"/text\");", 302, "null", "application/json"),
        ("/last", "@STATUS(500); @STATUS(418); return 1;", 418, "1", "application/json"),
    ];
    for (path, script, status, body, content_type) in answers {
        api.route("GET", path, "public", script);
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build().into();
        let mut answer = agent.get(format!("{}{path}", api.server.url)).call().unwrap();
        let of_answer =
            answer.headers().get("content-type").map_or("", |value| value.to_str().unwrap()).to_owned();
        let text = answer.body_mut().read_to_string().unwrap();
        assert_eq!(
            (answer.status().as_u16(), text.as_str(), of_answer.as_str()),
            (status, body, content_type),
            "{path}"
        );
    }
    let head = api.send("HEAD", "/page", &[], b"");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(head.headers["content-length"], "9", "what GET would say");
}

#[test]
fn routes_fail_as_the_script_says() {
    let api = Api::start();
    for (number, (script, status, code, message)) in [
        ("@THROW.badRequest(\"no\");", 400, "BUSINESS_LOGIC_ERROR", "no"),
        ("@THROW404(\"gone\");", 404, "RESOURCE_NOT_FOUND", "gone"),
        ("@THROW.validation(\"bad\", #{ field: \"a\" });", 422, "VALIDATION_ERROR", "bad"),
        ("@THROW.http(418, \"teapot\", #{ statusCode: 200, a: 1 });", 418, "HTTP_ERROR", "teapot"),
        ("@THROW.http(100, \"no final status\");", 500, "HTTP_ERROR", "no final"),
        (
            "@THROW.serviceUnavailable(\"later\", #{ retryAfterMs: 1500 });",
            503,
            "SERVICE_UNAVAILABLE",
            "later",
        ),
        ("throw \"plain\";", 500, "SCRIPT_EXECUTION_ERROR", "plain"),
        ("loop {}", 504, "SCRIPT_TIMEOUT", "longer"),
        ("return || 1;", 500, "SCRIPT_EXECUTION_ERROR", "function"),
        ("@STATUS(99);", 500, "SCRIPT_EXECUTION_ERROR", "200 to 599"),
        ("@STATUS(\"200\");", 500, "SCRIPT_EXECUTION_ERROR", "200 to 599"),
        ("@HEADER(\"Content-Length\", 1);", 500, "SCRIPT_EXECUTION_ERROR", "content-length"),
        ("@HEADER(\"Transfer-Encoding\", \"chunked\");", 500, "SCRIPT_EXECUTION_ERROR", "transfer-encoding"),
        ("@HEADER(\"x\", \"a\\r\\nset-cookie: b\");", 500, "SCRIPT_EXECUTION_ERROR", "line breaks"),
        ("@HEADER(\"x\", \"ü\");", 500, "SCRIPT_EXECUTION_ERROR", "ASCII"),
        ("@HEADER(\"x y\", \"a\");", 500, "SCRIPT_EXECUTION_ERROR", "no name"),
        ("@HEADER(\"\", \"a\");", 500, "SCRIPT_EXECUTION_ERROR", "no name"),
        ("@HEADER(\"x\", #{});", 500, "SCRIPT_EXECUTION_ERROR", "map"),
        ("for n in 0..100 { @HEADER(`x-${n}`, n); }", 500, "SCRIPT_OUTPUT_LIMIT", "headers"),
        ("let s = \"x\"; s.pad(20000, \"x\"); @HEADER(\"x\", s);", 500, "SCRIPT_OUTPUT_LIMIT", "headers"),
        ("for n in 0..1000 { @HEADER(\"set-cookie\", n); }", 500, "SCRIPT_OUTPUT_LIMIT", "headers"),
        ("@SOCKET.reply(\"a\", 1);", 500, "SCRIPT_EXECUTION_ERROR", "does not exist in an HTTP script"),
        ("@SOCKET.join(\"a\");", 500, "SCRIPT_EXECUTION_ERROR", "does not exist in an HTTP script"),
        ("@SOCKET.broadcastToRoom(\"a\", \"b\", 1);", 500, "SCRIPT_EXECUTION_ERROR", "in an HTTP script"),
        ("return @SOCKET.id;", 500, "SCRIPT_EXECUTION_ERROR", "does not exist in an HTTP script"),
        ("@SOCKET.disconnect();", 500, "SCRIPT_EXECUTION_ERROR", "does not exist in an HTTP script"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/fails/{number}");
        let ms = if code == "SCRIPT_TIMEOUT" { 300 } else { 30_000 };
        let body = json!({ "method": "GET", "path": path, "access": "public", "sourceCode": script, "timeoutMs": ms });
        assert_eq!(api.admin("POST", "/admin/routes", body).status, 201, "{script}");
        let answer = api.call("GET", &path, Json::Null);
        refused(&answer, status, code, message);
        let id = answer.json()["error"]["requestId"].as_str().unwrap().to_owned();
        let logged = api.admin("GET", &format!("/admin/logs?requestId={id}"), Json::Null).json();
        assert_eq!(logged["data"][0]["code"], code, "{script}: the run has the request's id: {logged}");
    }
    let answer = api.call("GET", "/fails/3", Json::Null);
    assert_eq!(answer.json()["error"]["details"], json!({ "statusCode": 418, "a": 1 }));
    assert_eq!(api.call("GET", "/fails/5", Json::Null).headers["retry-after"], "2");
    let script =
        "@STATUS(201); @HEADER(\"x-kept\", 1); @HEADER(\"content-type\", \"text/plain\"); @THROW404(\"no\");";
    api.route("GET", "/headers", "public", script);
    let answer = api.call("GET", "/headers", Json::Null);
    refused(&answer, 404, "RESOURCE_NOT_FOUND", "no");
    assert_eq!(answer.headers["x-kept"], "1");
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("application/json"));
}

#[test]
fn routes_macros_of_requests_in_other_scripts() {
    let api = Api::start();
    let run =
        |script: &str| api.test_run(json!({ "kind": "websocket_event", "eventName": "e", "script": script }));
    let answer = run("return [@PARAMS, @QUERY, @REQ];");
    assert_eq!(answer["result"], json!([{}, {}, {}]), "{answer}");
    for script in ["@STATUS(201);", "@HEADER(\"a\", \"b\");"] {
        let answer = run(script);
        assert_eq!(answer["error"]["code"], "SCRIPT_EXECUTION_ERROR", "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains("outside of HTTP scripts"), "{answer}");
    }
    for (script, words) in [
        ("@STATUS();", "one argument"),
        ("@STATUS(1, 2);", "one argument"),
        ("@HEADER(\"a\");", "two arguments"),
    ] {
        let body = json!({ "script": script });
        let answer = api.admin("POST", "/admin/script/validate", body).json();
        assert_eq!(answer["valid"], false, "{script}: {answer}");
        assert!(answer["errors"][0]["message"].as_str().unwrap().contains(words), "{answer}");
    }
}

#[test]
fn routes_access() {
    let api = Api::start();
    for access in ["public", "user", "admin", "app"] {
        api.route(
            "GET",
            &format!("/is/{access}"),
            access,
            "return if @USER == () { () } else { @USER.email };",
        );
    }
    let (user, with_scope, without) =
        (api.user_token("u@example.com"), api.app_key("routes"), api.app_key("data:read"));
    let bearer = |token: &str| ("authorization", format!("Bearer {token}"));
    let callers = [
        ("nobody", None),
        ("user", Some(bearer(&user))),
        ("admin", Some(bearer(&api.token))),
        ("key", Some(("x-app-token", with_scope))),
        ("key without the scope", Some(("x-app-token", without))),
    ];
    let expected = [
        ("public", [200, 200, 200, 200, 200]),
        ("user", [401, 200, 200, 403, 403]),
        ("admin", [401, 403, 200, 403, 403]),
        ("app", [401, 403, 200, 200, 403]),
    ];
    for (access, statuses) in expected {
        for ((who, header), status) in callers.iter().zip(statuses) {
            let headers: Vec<_> = header.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = api.send("GET", &format!("/is/{access}"), &headers, b"");
            assert_eq!(answer.status, status, "{who} at {access}: {}", answer.body);
            match status {
                401 => refused(&answer, 401, "AUTHENTICATION_ERROR", ""),
                403 => refused(&answer, 403, "AUTHORIZATION_ERROR", ""),
                _ if *who == "user" => assert_eq!(answer.json(), "u@example.com"),
                _ if *who != "admin" => assert_eq!(answer.json(), Json::Null, "{who}"),
                _ => {}
            }
        }
    }
    for header in [("authorization", "Bearer nonsense"), ("x-app-token", "nonsense")] {
        assert_eq!(api.send("GET", "/is/public", &[header], b"").status, 401, "{header:?}");
    }
    api.route(
        "GET",
        "/app",
        "public",
        "return if @APP == () { () } else { [@APP.name, @APP.scopes, @APP.len()] };",
    );
    let asked = |headers: &[(&str, &str)]| api.send("GET", "/app", headers, b"").json();
    assert_eq!(asked(&[("x-app-token", &api.app_key("routes"))]), json!(["routes", ["routes"], 3]));
    assert_eq!(asked(&[("authorization", &format!("Bearer {user}"))]), Json::Null);
    assert_eq!(asked(&[]), Json::Null);
    let stale = [("cookie", "accessToken=stale")];
    assert_eq!(api.send("GET", "/is/public", &stale, b"").status, 200, "a stale cookie is as good as none");
    api.route("POST", "/change", "user", "return 1;");
    let cookie = format!("accessToken={user}");
    let foreign = [("cookie", cookie.as_str()), ("origin", "https://evil.example")];
    refused(&api.send("POST", "/change", &foreign, b""), 403, "ORIGIN_NOT_ALLOWED", "");
    assert_eq!(api.send("POST", "/change", &[("cookie", &cookie)], b"").status, 200);
}

#[test]
fn routes_rows() {
    let api = Api::start();
    let row = api.route("get", "/a/:x", "public", "return 1;");
    let id = row["id"].as_str().unwrap();
    let one = format!("/admin/routes/{id}");
    for (field, value) in [
        ("isEnabled", json!(true)),
        ("description", json!("")),
        ("timeoutMs", Json::Null),
        ("pack", Json::Null),
        ("suspended", Json::Null),
    ] {
        assert_eq!(row[field], value, "{field}");
    }
    let body = json!({ "method": "GET", "path": "/by/default", "sourceCode": "1" });
    assert_eq!(api.admin("POST", "/admin/routes", body).json()["access"], "admin", "closed by default");
    assert_eq!(api.admin("GET", &one, Json::Null).json(), row);
    let list =
        api.admin("GET", "/admin/routes?filter=%7B%22path%22:%22/a/%7Bx%7D%22%7D&meta=*", Json::Null).json();
    assert_eq!(
        (&list["data"][0]["id"], &list["meta"]),
        (&row["id"], &json!({ "totalCount": 2, "filterCount": 1 }))
    );

    let changed =
        api.change(&row, json!({ "handlerScript": "return 2;", "timeout": 100, "description": "d" }));
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(changed.json()["sourceCode"], "return 2;");
    assert_eq!(api.call("GET", "/a/1", Json::Null).json(), 2);
    let revisions = api.admin("GET", &format!("{one}/revisions"), Json::Null).json();
    let sources: Vec<_> = revisions["data"].as_array().unwrap().iter().map(|row| &row["source"]).collect();
    assert_eq!(sources, ["return 2;", "return 1;"]);
    let restored = api.admin("POST", &format!("{one}/revisions/1/restore"), Json::Null);
    assert_eq!(restored.json()["sourceCode"], "return 1;", "{}", restored.body);
    assert_eq!(api.call("GET", "/a/1", Json::Null).json(), 1);
    refused(
        &api.admin("POST", &format!("{one}/revisions/9/restore"), Json::Null),
        404,
        "RESOURCE_NOT_FOUND",
        "9",
    );

    assert_eq!(api.change(&row, json!({ "isEnabled": false })).status, 200);
    refused(&api.call("GET", "/a/1", Json::Null), 404, "RESOURCE_NOT_FOUND", "/a/1");
    assert_eq!(api.change(&row, json!({ "isEnabled": true, "method": "put", "path": "/b" })).status, 200);
    assert_eq!(api.call("PUT", "/b", Json::Null).json(), 1);
    assert_eq!(api.call("GET", "/a/1", Json::Null).status, 404);
    assert_eq!(api.admin("POST", &format!("{one}/resume"), Json::Null).status, 200);
    assert_eq!(api.admin("DELETE", &one, Json::Null).status, 204);
    assert_eq!(api.call("PUT", "/b", Json::Null).status, 404);
    for (method, path) in
        [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/resume"), ("GET", "/revisions")]
    {
        let body = if method == "PATCH" { json!({}) } else { Json::Null };
        refused(&api.admin(method, &format!("{one}{path}"), body), 404, "RESOURCE_NOT_FOUND", id);
    }
    let user = api.user_token("u@example.com");
    refused(&api.server.admin(&user, "GET", "/admin/routes", None), 403, "AUTHORIZATION_ERROR", "admin");
    refused(&api.call("GET", "/admin/routes", Json::Null), 401, "AUTHENTICATION_ERROR", "");
}

#[test]
fn routes_rows_refuse() {
    let api = Api::start();
    let taken = api.route("GET", "/a/{id}", "public", "1");
    let with = |field: &str, value: Json| {
        let mut body = json!({ "method": "GET", "path": "/new", "sourceCode": "1" });
        body[field] = value;
        api.admin("POST", "/admin/routes", body)
    };
    for (field, value, words) in [
        ("method", json!("HEAD"), "GET, POST"),
        ("method", json!("OPTIONS"), "GET, POST"),
        ("method", json!(""), "GET, POST"),
        ("path", json!("x"), "begin with /"),
        ("path", json!("/a/{b"), "name"),
        ("path", json!("/a//b"), "segment"),
        ("path", json!("/{a}/{a}"), "two parameters"),
        ("path", json!("/%61dmin"), "segment"),
        ("path", json!(format!("/{}", "x".repeat(300))), "200"),
        ("access", json!("everyone"), "public, user, admin or app"),
        ("sourceCode", json!("return \"\0\";"), "NUL"),
        ("timeoutMs", json!(0), "1 to"),
        ("timeoutMs", json!(10_000_000), "1 to"),
        ("description", json!("x".repeat(20_000)), "bytes"),
    ] {
        refused(&with(field, value), 422, "VALIDATION_ERROR", words);
    }
    for field in ["method", "path", "sourceCode"] {
        let mut body = json!({ "method": "GET", "path": "/new", "sourceCode": "1" });
        body.as_object_mut().unwrap().remove(field);
        refused(&api.admin("POST", "/admin/routes", body), 422, "VALIDATION_ERROR", field);
    }
    refused(&with("sourceCde", json!("1")), 400, "BAD_REQUEST", "sourceCde");
    refused(&with("isEnabled", json!("yes")), 400, "BAD_REQUEST", "isEnabled");
    let broken = with("sourceCode", json!("\nreturn {"));
    refused(&broken, 400, "SCRIPT_COMPILE_ERROR", "line 2");
    assert_eq!(broken.json()["error"]["details"]["line"], 2, "{}", broken.body);

    refused(&with("path", json!("/a/:name")), 409, "DUPLICATE_RESOURCE", "/a/{id}");
    refused(&with("path", json!("/a/{id}")), 409, "DUPLICATE_RESOURCE", "/a/{id}");
    assert_eq!(with("path", json!("/a/literal")).status, 201, "a literal segment goes first");
    let post = api.route("POST", "/a/{name}", "public", "2");
    refused(&api.change(&post, json!({ "method": "GET" })), 409, "DUPLICATE_RESOURCE", "/a/{id}");
    assert_eq!(api.call("POST", "/a/1", Json::Null).json(), 2, "what was refused changed nothing");
    let answer = api.change(&taken, json!({ "path": "/a/{id}" }));
    assert_eq!(answer.status, 200, "a route does not collide with itself: {}", answer.body);
    refused(&api.change(&taken, json!({ "sourceCode": "nope(" })), 400, "SCRIPT_COMPILE_ERROR", "line 1");
    assert_eq!(api.call("GET", "/a/1", Json::Null).json(), 1, "the old script stays live");
}

/// The list of built-in paths is what the server really serves.
#[test]
fn routes_never_take_a_built_in_path() {
    // Without any pack: the routes of packs are described too.
    let server = Server::start();
    let token = server.admin_token();
    let api = Api { server, token };
    let create = |path: &str| {
        let body = json!({ "method": "GET", "path": path, "sourceCode": "1", "access": "public" });
        api.admin("POST", "/admin/routes", body)
    };
    let description = api.call("GET", "/openapi.json", Json::Null).json();
    let described: Vec<_> = description["paths"].as_object().unwrap().keys().cloned().collect();
    assert!(described.len() > 20, "{described:?}");
    for path in described.iter().map(String::as_str).chain(BUILT_IN_PATHS) {
        let built_in = BUILT_IN_PATHS.iter().find(|built_in| path.starts_with(**built_in));
        let built_in = built_in.unwrap_or_else(|| panic!("{path} is in no built-in path"));
        refused(&create(path), 409, "DUPLICATE_RESOURCE", built_in);
        refused(&create(&format!("{built_in}/x/:y")), 409, "DUPLICATE_RESOURCE", built_in);
    }
    // Patterns that match built-in paths too get what is left.
    for path in ["/{a}", "/{a}/{b}", "/{a}/{b}/{c}", "/api/orders", "/medium"] {
        assert_eq!(create(path).status, 201, "{path}");
    }
    assert_eq!(api.call("GET", "/anything", Json::Null).json(), 1);
    assert_eq!(api.call("GET", "/api/orders", Json::Null).json(), 1);
    assert_eq!(api.call("GET", "/me", Json::Null).status, 401);
    assert_eq!(api.call("GET", "/health/live", Json::Null).json()["status"], "ok");
    refused(&api.call("GET", "/health/nothing", Json::Null), 404, "RESOURCE_NOT_FOUND", "");
    refused(&api.call("GET", "/admin/x/y", Json::Null), 404, "RESOURCE_NOT_FOUND", "");
}

#[test]
fn routes_methods() {
    let api = Api::start();
    api.route("GET", "/m/{a}", "admin", "1");
    api.route("DELETE", "/m/{b}", "public", "return @PARAMS.b;");
    for method in ["POST", "PATCH", "PROPFIND", "TRACE"] {
        let answer = api.send(method, "/m/1", &[], b"");
        refused(&answer, 405, "METHOD_NOT_ALLOWED", "/m/1");
        assert_eq!(answer.headers["allow"], "GET, DELETE, HEAD");
    }
    assert_eq!(api.send("DELETE", "/m/x%2Fy", &[], b"").json(), "x/y");
    refused(&api.send("DELETE", "/m/%ff", &[], b""), 400, "BAD_REQUEST", "UTF-8");
    refused(&api.send("DELETE", "/m/", &[], b""), 404, "RESOURCE_NOT_FOUND", "");
}

#[test]
fn routes_are_on_record() {
    let api = Api::start();
    let script = "@LOGS(@PARAMS.id); if @BODY.fails { @THROW404(\"no\"); } return 1;";
    api.route("POST", "/on/{id}", "public", script);
    let header = format!("Bearer {}", api.token);
    for id in ["1", "2"] {
        let answer = api.server.call(
            "POST",
            &format!("/on/{id}"),
            Some(&json!({ "fails": id == "2" })),
            &[("authorization", &header)],
        );
        assert_eq!(answer.status, if id == "2" { 404 } else { 200 }, "{}", answer.body);
    }
    let runs = api.admin("GET", "/admin/logs?gateway=routes", Json::Null).json();
    let me = api.admin("GET", "/me", Json::Null).json();
    for (run, (outcome, logs)) in runs["data"].as_array().unwrap().iter().zip([("error", "2"), ("ok", "1")]) {
        assert_eq!((&run["eventName"], &run["userId"]), (&json!("POST /on/{id}"), &me["id"]), "{run}");
        assert_eq!((&run["outcome"], &run["logs"]), (&json!(outcome), &json!([logs])), "{run}");
    }
    let stats = api.admin("GET", "/admin/stats", Json::Null).json();
    let mine =
        stats["handlers"].as_array().unwrap().iter().find(|handler| handler["gateway"] == "routes").unwrap();
    assert_eq!((&mine["count"], &mine["errors"]), (&json!(2), &json!(1)), "{mine}");
    let metrics = api.admin("GET", "/metrics", Json::Null).body;
    let sample = "gatewright_events_total{event=\"POST /on/{id}\",gateway=\"routes\",outcome=\"RESOURCE_NOT_FOUND\"} 1";
    assert!(metrics.contains(sample), "{metrics}");
}

#[test]
fn routes_of_suspended_scripts_refuse_until_resumed() {
    let api = Api::start_with(&[("SCRIPTS__LEFT_BEHIND_BYTES", "1000")]);
    // A closure that holds itself.
    let script = "let f = #{}; f.big = \"\"; f.big.pad(2000, \"x\"); f.me = || f; let g = f; return 1;";
    let route = api.route("GET", "/leaks", "public", script);
    let answer = until("suspended", || {
        let answer = api.call("GET", "/leaks", Json::Null);
        (answer.status != 200).then_some(answer)
    });
    refused(&answer, 503, "SERVICE_UNAVAILABLE", "suspended");
    let one = format!("/admin/routes/{}", route["id"].as_str().unwrap());
    let row = api.admin("GET", &one, Json::Null).json();
    assert!(row["suspended"]["reason"].as_str().unwrap().contains("closure"), "{row}");
    assert_eq!(api.admin("POST", &format!("{one}/resume"), Json::Null).json()["suspended"], Json::Null);
    assert_eq!(api.call("GET", "/leaks", Json::Null).status, 200);
}

#[test]
fn routes_test_runs() {
    let api = Api::start();
    let script = r#"@STATUS(202); @HEADER("X-A", 1); @HEADER("set-cookie", "a"); @HEADER("set-cookie", "b");
        @SOCKET.emitToRoom("r", "e", @BODY); return [@PARAMS, @QUERY, @REQ, @EVENT, @GATEWAY];"#;
    let route = api.route("POST", "/orders/{id}/ship", "admin", script);
    let req = |path: &str| json!({ "ip": "127.0.0.1", "headers": {}, "method": "POST", "path": path });
    let name = "POST /orders/{id}/ship";
    let concrete = "/orders/4%202/ship";
    let result = |params: Json, path: &str| json!([params, {}, req(path), name, "routes"]);
    for (body, expected) in [
        (json!({ "method": "post", "path": concrete }), result(json!({ "id": "4 2" }), concrete)),
        (
            json!({ "method": "POST", "path": concrete, "params": { "id": 7 } }),
            result(json!({ "id": 7 }), concrete),
        ),
        (json!({ "method": "POST", "path": "/orders/{id}/ship" }), result(json!({}), "/orders/{id}/ship")),
        (json!({ "routeId": route["id"] }), result(json!({}), "/orders/{id}/ship")),
        (json!({ "routeId": route["id"], "path": concrete }), result(json!({ "id": "4 2" }), concrete)),
        (
            json!({ "method": "POST", "path": concrete, "script": script }),
            result(json!({ "id": "4 2" }), concrete),
        ),
    ] {
        let mut body = body;
        body["kind"] = json!("http_route");
        body["payload"] = json!({ "a": 1 });
        let answer = api.test_run(body.clone());
        assert_eq!(answer["result"], expected, "{body}: {answer}");
        assert_eq!(
            (&answer["status"], &answer["headers"]),
            (&json!(202), &json!({ "x-a": "1", "set-cookie": ["a", "b"] }))
        );
        assert_eq!(answer["emitted"], json!([{ "method": "emitToRoom", "args": ["r", "e", { "a": 1 }] }]));
    }
    let answer = api.test_run(json!({
        "kind": "http_route", "script": "return [@REQ.headers, @QUERY, @REQ.method, @EVENT, @USER.id, @BODY];", "path": "/new/1",
        "headers": { "X-Mine": "a", "Cookie": "secret", "Authorization": "secret", "x-app-token": "secret" },
        "query": { "q": "1" }, "user": { "id": "u" },
    }));
    assert_eq!(
        answer["result"],
        json!([{ "x-mine": "a" }, { "q": "1" }, "GET", "GET /new/1", "u", {}]),
        "{answer}"
    );
    assert!(answer.get("status").is_none() && answer.get("headers").is_none(), "{answer}");
    let answer = api.test_run(json!({ "kind": "http_route", "script": "@SOCKET.reply(\"a\", 1);" }));
    assert!(answer["error"]["message"].as_str().unwrap().contains("HTTP script"), "{answer}");
    let run = |body: Json| api.admin("POST", "/admin/test/run", body);
    refused(&run(json!({ "kind": "http_route" })), 400, "MISSING_SCRIPT", "routeId");
    refused(&run(json!({ "kind": "http_route", "path": "/none" })), 404, "RESOURCE_NOT_FOUND", "GET /none");
    refused(&run(json!({ "kind": "x" })), 400, "INVALID_TEST_KIND", "http_route");
}

/// Two processes on one data folder: each follows what the other's admin does.
#[test]
fn routes_follow_another_process() {
    let api = Api::start();
    let other = Server::start_in(api.server.data.clone(), &[], &[]);
    let route = api.route("GET", "/shared", "public", "return 1;");
    until("the route is live there", || (other.call("GET", "/shared", None, &[]).body == "1").then_some(()));
    assert_eq!(api.change(&route, json!({ "sourceCode": "return 2;" })).status, 200);
    until("the change is live there", || (other.call("GET", "/shared", None, &[]).body == "2").then_some(()));
}

#[test]
fn routes_change_under_load() {
    let api = Api::start();
    let route = api.route("GET", "/hot", "public", "return 0;");
    make_gateway(&api.server, &api.token, json!({ "path": "/quiet" }), &[("e", "1")]);
    let (is_over, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut last = 0;
                    while !is_over.load(Ordering::SeqCst) {
                        let answer = api.call("GET", "/hot", Json::Null);
                        assert_eq!(answer.status, 200, "{}", answer.body);
                        let number = answer.json().as_i64().unwrap();
                        assert!(number >= last, "{number} came after {last}");
                        last = number;
                        calls.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        for number in 1..=20 {
            let before = calls.load(Ordering::SeqCst);
            assert_eq!(api.change(&route, json!({ "sourceCode": format!("return {number};") })).status, 200);
            assert_eq!(api.call("GET", "/hot", Json::Null).json(), number, "live when the admin is answered");
            until("the readers go on", || (calls.load(Ordering::SeqCst) > before).then_some(()));
        }
        is_over.store(true, Ordering::SeqCst);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn routes_made_at_once_do_not_collide() {
    let api = Api::start();
    let create = |name: &str, method: &str| {
        let body = json!({ "method": method, "path": format!("/one/{{{name}}}"), "sourceCode": "1", "access": "public" });
        api.admin("POST", "/admin/routes", body).status
    };
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let creates: Vec<_> =
            ["a", "b", "c", "d", "e", "f"].map(|name| scope.spawn(move || create(name, "GET"))).into();
        creates.into_iter().map(|create| create.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 5, "{statuses:?}");
}

#[test]
fn routes_are_refused_when_the_queue_is_full() {
    let api = Api::start_with(&[("QUEUE__JOBS", "1")]);
    let slow = api.route("GET", "/slow", "public", "@HELPERS.sleep(60000);");
    assert_eq!(api.change(&slow, json!({ "timeoutMs": 5000 })).status, 200);
    api.route("GET", "/quick", "public", "return 1;");
    let is_full = |answer: &Answer| answer.status == 503 && answer.code() == "QUEUE_FULL";
    // A job gives its place back just after its answer, so each asks until it is let in.
    let ask = |path: &str| {
        until("there is room", || Some(api.call("GET", path, Json::Null)).filter(|answer| !is_full(answer)))
    };
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| ask("/slow"));
        let refusal =
            until("the queue is full", || Some(api.call("GET", "/quick", Json::Null)).filter(is_full));
        refused(&refusal, 503, "QUEUE_FULL", "try again");
        assert_eq!(slow.join().unwrap().code(), "SCRIPT_TIMEOUT");
    });
    assert_eq!(ask("/quick").body, "1");
}

#[test]
fn routes_of_a_stopping_server_finish_what_was_taken() {
    let mut api = Api::start_with(&[("QUEUE__DRAIN_MS", "600000"), ("SCRIPTS__TIMEOUT_MAX_MS", "600000")]);
    make_gateway(&api.server, &api.token, json!({ "path": "/hold" }), &[("hold", "@SOCKET.join(\"hold\");")]);
    let mut guard = Polling::connect(&api.server, "/hold", None);
    guard.run("hold", &json!({}));
    // It runs for as long as the guard is there.
    let script =
        "@CACHE.incr(\"began\"); while @SOCKET.roomSize(\"/hold\", \"hold\") > 0 { @HELPERS.sleep(5); }
        return \"finished\";";
    let slow = api.route("GET", "/slow", "public", script);
    assert_eq!(api.change(&slow, json!({ "timeoutMs": 600_000 })).status, 200);
    api.route("GET", "/count", "public", "return @CACHE.get(\"began\");");
    std::thread::scope(|scope| {
        let taken = scope.spawn(|| api.call("GET", "/slow", Json::Null));
        until("it began", || (api.call("GET", "/count", Json::Null).body == "1").then_some(()));
        api.server.signal("TERM");
        let stopping = until("the server stops", || {
            let answer = api.call("GET", "/count", Json::Null);
            (answer.status == 503).then_some(answer)
        });
        refused(&stopping, 503, "SHUTTING_DOWN", "");
        assert!(guard.try_post("41/hold,"), "it says goodbye");
        assert_eq!(taken.join().unwrap().json(), "finished");
    });
    assert!(api.server.wait().success());
}

#[test]
fn routes_reach_sockets() {
    run_scenario(&Server::start(), "routes");
}
