//! The admin API, call by call: rows, lists, history, test runs, logs, and how it refuses.

use serde_json::{Map, Value as Json, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::support::api::make_gateway;
use super::support::polling::Polling;
use super::support::server::{ADMIN_EMAIL, ADMIN_PASSWORD, Answer, Server, send, until};

/// An id that nothing has.
const NOBODY: &str = "01890000-0000-7000-8000-000000000000";

/// A server and its admin.
struct Api {
    server: Server,
    token: String,
}

impl Api {
    fn start() -> Self {
        Self::of(Server::start())
    }

    fn of(server: Server) -> Self {
        let token = server.admin_token();
        Self { server, token }
    }

    fn try_call(&self, method: &str, path: &str, body: Option<Json>) -> Answer {
        self.server.admin(&self.token, method, path, body.as_ref())
    }

    /// A call that must end with this status; its body.
    fn call(&self, method: &str, path: &str, body: Option<Json>, status: u16) -> Json {
        let answer = self.try_call(method, path, body);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        if answer.body.is_empty() { Json::Null } else { answer.json() }
    }

    fn get(&self, path: &str) -> Json {
        self.call("GET", path, None, 200)
    }

    fn post(&self, path: &str, body: Json) -> Json {
        self.call("POST", path, Some(body), 201)
    }

    fn patch(&self, path: &str, body: Json) -> Json {
        self.call("PATCH", path, Some(body), 200)
    }

    fn delete(&self, path: &str) {
        assert_eq!(self.call("DELETE", path, None, 204), Json::Null, "a 204 has no body");
    }

    fn test_run(&self, body: Json) -> Json {
        self.call("POST", "/admin/test/run", Some(body), 200)
    }

    /// A call that must be refused so.
    fn refuses(
        &self,
        call: (&str, &str),
        body: Option<Json>,
        (status, code): (u16, &str),
        mentions: &[&str],
    ) {
        let text = body.as_ref().map_or_else(String::new, Json::to_string);
        let what = format!("{} {} {}", call.0, call.1, &text[..text.len().min(200)]);
        check_error(&what, &self.try_call(call.0, call.1, body), status, code, mentions);
    }
}

const BAD: (u16, &str) = (400, "BAD_REQUEST");
const INVALID: (u16, &str) = (422, "VALIDATION_ERROR");
const NOT_COMPILED: (u16, &str) = (400, "SCRIPT_COMPILE_ERROR");
const MISSING: (u16, &str) = (404, "RESOURCE_NOT_FOUND");
const TAKEN: (u16, &str) = (409, "DUPLICATE_RESOURCE");

/// An error has the shape that http.md gives every error, this code, and these words in its message.
fn check_error(what: &str, answer: &Answer, status: u16, code: &str, mentions: &[&str]) {
    let body = check_error_shape(what, answer);
    assert_eq!(
        (answer.status, body["error"]["code"].as_str().unwrap()),
        (status, code),
        "{what}: {}",
        answer.body
    );
    let message = body["message"].as_str().unwrap();
    for word in mentions {
        assert!(message.contains(word), "{what}: {message:?} does not mention {word}");
    }
}

fn check_error_shape(what: &str, answer: &Answer) -> Json {
    error_shape(answer).unwrap_or_else(|reason| panic!("{what}: {reason}: {} {}", answer.status, answer.body))
}

/// The body of an error, or what is wrong with its shape.
fn error_shape(answer: &Answer) -> Result<Json, &'static str> {
    let body: Json = serde_json::from_str(&answer.body).map_err(|_| "the body is no JSON")?;
    let has_only = |value: &Json, known: &[&str]| {
        value.as_object().is_some_and(|map| map.keys().all(|key| known.contains(&key.as_str())))
    };
    let (message, error) = (body["message"].as_str().unwrap_or_default(), &body["error"]);
    let id = error["requestId"].as_str().and_then(|id| uuid::Uuid::parse_str(id).ok());
    let internals = ["SELECT ", "INSERT ", "sqlx", "gw_", ".rs:", "panicked", "/root", "/tmp"];
    for (is_right, reason) in [
        (body["success"] == false, "success is not false"),
        (body["statusCode"] == answer.status, "statusCode is not the status"),
        (!message.is_empty() && error["message"] == message, "the messages differ"),
        (error["code"].as_str().is_some_and(|code| !code.is_empty()), "there is no code"),
        (id.is_some_and(|id| id.get_version_num() == 7), "requestId is no UUID v7"),
        (has_only(&body, &["success", "statusCode", "message", "error"]), "there are other fields"),
        (has_only(error, &["code", "message", "details", "requestId"]), "there are other fields in error"),
        (!internals.iter().any(|internal| message.contains(internal)), "internals are told"),
    ] {
        if !is_right {
            return Err(reason);
        }
    }
    Ok(body)
}

fn check_id(id: &Json) {
    let id = uuid::Uuid::parse_str(id.as_str().unwrap_or_else(|| panic!("{id} is no id"))).unwrap();
    assert_eq!(id.get_version_num(), 7, "ids are UUID v7");
}

fn check_time(time: &Json) {
    let text = time.as_str().unwrap_or_else(|| panic!("{time} is no time"));
    let format = &time::format_description::well_known::Rfc3339;
    assert!(text.ends_with('Z'), "{text} is not UTC");
    time::OffsetDateTime::parse(text, format).unwrap();
}

/// Whether a row has these values, and what every row has.
fn check_row(row: &Json, expected: Json) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&row[name], value, "{name} of {row}");
        assert!(row.get(name).is_some(), "{name} is missing in {row}");
    }
    check_id(&row["id"]);
    check_time(&row["createdAt"]);
    check_time(&row["updatedAt"]);
}

/// A text as it may stand in a query.
fn encode(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.,:".contains(&byte);
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[test]
fn admin_api_gateways() {
    let api = Api::start();
    let row = api.post("/admin/gateways", json!({ "path": "/plain" }));
    let limits = json!({
        "eventsPerSecond": null, "burst": null, "subscriptionsPerConnection": null, "messageBytes": null,
    });
    let defaults = json!({
        "path": "/plain", "isEnabled": true, "requireAuth": true, "connectionScript": null,
        "disconnectionScript": null, "scriptTimeoutMs": null, "allowedOrigins": null, "limits": limits,
        "presence": false,
    });
    check_row(&row, defaults);
    let path = format!("/admin/gateways/{}", row["id"].as_str().unwrap());
    assert_eq!(api.get(&path), row);
    assert_eq!(api.get("/admin/gateways")["data"], json!([row]));

    let changed = api.patch(&path, json!({ "description": "a new one" }));
    assert_eq!(changed["description"], "a new one");
    // As times: as text, .43Z comes after .436Z.
    let updated_at = |row: &Json| {
        let text = row["updatedAt"].as_str().unwrap();
        time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).unwrap()
    };
    assert!(updated_at(&changed) > updated_at(&row), "{changed}");
    let mut same = changed.clone();
    for field in ["description", "updatedAt"] {
        same[field] = row[field].clone();
    }
    assert_eq!(same, row, "a PATCH leaves what it does not name");
    assert_eq!(api.get(&path), changed);

    let all = json!({
        "path": "/a/b-c/d_e.f", "description": "d", "isEnabled": false, "requireAuth": false,
        "connectionScript": "return 1;", "disconnectionScript": "return 2;", "scriptTimeoutMs": 30000,
        "allowedOrigins": ["https://app.example", "*"], "presence": true,
        "limits": { "eventsPerSecond": 5, "burst": 6, "subscriptionsPerConnection": 7, "messageBytes": 8000 },
    });
    check_row(&api.patch(&path, all.clone()), all.clone());
    let part = api.patch(&path, json!({ "limits": { "burst": null } }));
    let expected = json!({
        "eventsPerSecond": 5, "burst": null, "subscriptionsPerConnection": 7, "messageBytes": 8000,
    });
    assert_eq!(part["limits"], expected, "a limit that is not named stays");
    let nulls = json!({
        "connectionScript": null, "disconnectionScript": null, "scriptTimeoutMs": null, "allowedOrigins": null,
        "limits": { "eventsPerSecond": null, "subscriptionsPerConnection": null, "messageBytes": null },
    });
    let cleared = api.patch(&path, nulls.clone());
    check_row(
        &cleared,
        json!({
            "connectionScript": null, "disconnectionScript": null, "scriptTimeoutMs": null, "allowedOrigins": null,
            "limits": limits, "description": "d", "presence": true,
        }),
    );

    let none = json!({ "path": "/", "allowedOrigins": [], "limits": { "eventsPerSecond": 0 } });
    check_row(&api.post("/admin/gateways", none), json!({ "path": "/", "allowedOrigins": [] }));
    let aliased = json!({
        "path": "/old", "connectionHandlerScript": "return 3;", "connectionHandlerTimeout": 1234,
    });
    let row = api.post("/admin/gateways", aliased);
    check_row(&row, json!({ "connectionScript": "return 3;", "scriptTimeoutMs": 1234 }));
    let old = format!("/admin/gateways/{}", row["id"].as_str().unwrap());
    let aliased = json!({ "connectionHandlerScript": null, "connectionHandlerTimeout": null });
    check_row(&api.patch(&old, aliased), json!({ "connectionScript": null, "scriptTimeoutMs": null }));

    let event = api.post(&format!("{path}/events"), json!({ "eventName": "e", "sourceCode": "return 1;" }));
    api.delete(&path);
    api.refuses(("GET", &path), None, MISSING, &[]);
    api.refuses(("DELETE", &path), None, MISSING, &[]);
    api.refuses(("PATCH", &path), Some(json!({ "description": "" })), MISSING, &[]);
    let event = format!("/admin/events/{}", event["id"].as_str().unwrap());
    api.refuses(("GET", &event), None, MISSING, &[]);
    api.post("/admin/gateways", json!({ "path": "/a/b-c/d_e.f" }));
}

#[test]
fn admin_api_gateways_refuse() {
    let api = Api::start();
    let row = api.post("/admin/gateways", json!({ "path": "/there", "connectionScript": "return 1;" }));
    let there = format!("/admin/gateways/{}", row["id"].as_str().unwrap());
    let check = |fields: Json, expected: (u16, &str), mentions: &[&str]| {
        let mut new = json!({ "path": "/new" });
        new.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        api.refuses(("POST", "/admin/gateways"), Some(new), expected, mentions);
        api.refuses(("PATCH", &there), Some(fields), expected, mentions);
    };
    for path in
        ["", "chat", "/a/", "//", "/a//b", "/a b", "/a,b", "/a?b", "/a#b", "a/b", "/\n", " /a", "/a\u{0}"]
    {
        check(json!({ "path": path }), INVALID, &["path"]);
    }
    for origin in ["", "nonsense", "https://", "https://a.example/b", "a.example", "https://a b"] {
        check(json!({ "allowedOrigins": [origin] }), INVALID, &["allowedOrigins"]);
    }
    for ms in [0, -1, 30001, i64::MAX, i64::MIN] {
        check(json!({ "scriptTimeoutMs": ms }), INVALID, &["scriptTimeoutMs"]);
    }
    check(json!({ "limits": { "messageBytes": u32::MAX } }), INVALID, &["messageBytes"]);
    check(json!({ "limits": { "burst": 0, "eventsPerSecond": 5 } }), INVALID, &["burst"]);
    for (field, value) in [
        ("path", json!(5)),
        ("description", json!([])),
        ("isEnabled", json!("yes")),
        ("requireAuth", json!(1)),
        ("connectionScript", json!({})),
        ("disconnectionScript", json!(1)),
        ("scriptTimeoutMs", json!("5")),
        ("scriptTimeoutMs", json!(1.5)),
        ("allowedOrigins", json!("*")),
        ("allowedOrigins", json!([1])),
        ("limits", json!(5)),
        ("presence", json!("no")),
    ] {
        check(Map::from_iter([(field.to_owned(), value)]).into(), BAD, &[field]);
    }
    for (field, value) in [
        ("eventsPerSecond", json!(-1)),
        ("burst", json!(1.5)),
        ("messageBytes", json!("64k")),
        ("subscriptionsPerConnection", json!(1_u64 << 40)),
        ("bogus", json!(1)),
    ] {
        check(json!({ "limits": { field: value } }), BAD, &[field]);
    }
    check(json!({ "colour": "red" }), BAD, &["colour"]);
    for script in ["connectionScript", "disconnectionScript", "connectionHandlerScript"] {
        let answer = api.try_call("PATCH", &there, Some(json!({ script: "let x = 1;\n  let y = ;" })));
        check_error(script, &answer, 400, "SCRIPT_COMPILE_ERROR", &[]);
        assert_eq!(answer.json()["error"]["details"], json!({ "line": 2, "column": 11 }), "{script}");
        check(json!({ script: "{{{" }), NOT_COMPILED, &[]);
    }
    api.refuses(("POST", "/admin/gateways"), Some(json!({})), INVALID, &["path"]);
    api.refuses(("POST", "/admin/gateways"), Some(json!({ "path": "/there" })), TAKEN, &["/there"]);
    api.post("/admin/gateways", json!({ "path": "/other" }));
    api.refuses(("PATCH", &there), Some(json!({ "path": "/other" })), TAKEN, &["/other"]);
    for body in [json!([]), json!("x"), json!(null), json!(1)] {
        api.refuses(("POST", "/admin/gateways"), Some(body), BAD, &[]);
    }
    assert_eq!(api.get(&there), row, "what was refused changed nothing");
    assert_eq!(api.get("/admin/gateways?meta=*")["meta"]["totalCount"], 2);
}

#[test]
fn admin_api_events() {
    let api = Api::start();
    let gateway = api.post("/admin/gateways", json!({ "path": "/e" }));
    let gateway_id = gateway["id"].as_str().unwrap();
    let events = format!("/admin/gateways/{gateway_id}/events");
    let row = api.post(&events, json!({ "eventName": "plain", "sourceCode": "return 1;" }));
    check_row(
        &row,
        json!({
            "gatewayId": gateway_id, "eventName": "plain", "isEnabled": true, "sourceCode": "return 1;",
            "timeoutMs": null, "payloadSchema": null, "delivery": "memory",
        }),
    );
    let path = format!("/admin/events/{}", row["id"].as_str().unwrap());
    assert_eq!(api.get(&path), row);
    assert_eq!(api.get(&events)["data"], json!([row]));
    let all = json!({
        "eventName": "chat:*", "description": "d", "isEnabled": false, "sourceCode": "return 2;", "timeoutMs": 1,
        "payloadSchema": { "type": "object", "required": ["a"] }, "delivery": "memory",
    });
    check_row(&api.patch(&path, all.clone()), all);
    let nulls = json!({ "timeoutMs": null, "payloadSchema": null });
    let cleared = api.patch(&path, nulls.clone());
    check_row(&cleared, nulls);
    assert_eq!((&cleared["sourceCode"], &cleared["description"]), (&json!("return 2;"), &json!("d")));
    let aliased = json!({ "eventName": "old", "handlerScript": "return 3;", "timeout": 77 });
    let row = api.post(&events, aliased);
    check_row(&row, json!({ "sourceCode": "return 3;", "timeoutMs": 77 }));
    let old = format!("/admin/events/{}", row["id"].as_str().unwrap());
    let aliased = api.patch(&old, json!({ "handlerScript": "return 4;", "timeout": null }));
    check_row(&aliased, json!({ "sourceCode": "return 4;", "timeoutMs": null }));
    for name in ["*", "a b", "quote\"d", "a.b/c:d", "chat:send"] {
        let event = api.post(&events, json!({ "eventName": name, "sourceCode": "" }));
        check_row(&event, json!({ "eventName": name, "sourceCode": "" }));
    }
    let other = api.post("/admin/gateways", json!({ "path": "/other" }));
    let others = format!("/admin/gateways/{}/events", other["id"].as_str().unwrap());
    api.post(&others, json!({ "eventName": "old", "sourceCode": "" }));
    assert_eq!(api.get(&others)["data"].as_array().unwrap().len(), 1, "the events of one gateway only");
    api.delete(&path);
    api.refuses(("GET", &path), None, MISSING, &[]);
    api.refuses(("DELETE", &path), None, MISSING, &[]);
    api.refuses(("GET", &format!("{path}/revisions")), None, MISSING, &[]);
}

#[test]
fn admin_api_event_names_of_any_alphabet() {
    let api = Api::start();
    let made = make_gateway(&api.server, &api.token, json!({ "path": "/any" }), &[]);
    let events = format!("/admin/gateways/{}/events", made.id);
    let mut socket = Polling::connect(&api.server, "/any", None);
    for name in ["ünïcö", "café", "сообщение", "消息", "👋"] {
        let row = api.post(&events, json!({ "eventName": name, "sourceCode": "return @EVENT;" }));
        check_row(&row, json!({ "eventName": name }));
        assert_eq!(socket.run(name, &json!({}))["result"], name);
    }
}

#[test]
fn admin_api_events_refuse() {
    let api = Api::start();
    let gateway = api.post("/admin/gateways", json!({ "path": "/e" }));
    let events = format!("/admin/gateways/{}/events", gateway["id"].as_str().unwrap());
    let row = api.post(&events, json!({ "eventName": "there", "sourceCode": "return 1;" }));
    let there = format!("/admin/events/{}", row["id"].as_str().unwrap());
    let check = |fields: Json, expected: (u16, &str), mentions: &[&str]| {
        let mut new = json!({ "eventName": "new", "sourceCode": "" });
        new.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        // A field and its alias are one field.
        if fields.get("handlerScript").is_some() {
            new.as_object_mut().unwrap().remove("sourceCode");
        }
        api.refuses(("POST", &events), Some(new), expected, mentions);
        api.refuses(("PATCH", &there), Some(fields), expected, mentions);
    };
    for name in ["", "a*b", "**", "*a", "connect", "disconnect", "connect_error"] {
        check(json!({ "eventName": name }), INVALID, &["eventName"]);
    }
    check(json!({ "eventName": "x".repeat(10_000) }), INVALID, &["eventName"]);
    for delivery in ["", "Memory", "eventually"] {
        check(json!({ "delivery": delivery }), INVALID, &["delivery"]);
    }
    for ms in [0, -1, 30001] {
        check(json!({ "timeoutMs": ms }), INVALID, &["timeoutMs"]);
    }
    for schema in [
        json!({ "type": "nonsense" }),
        json!({ "type": 5 }),
        json!("string"),
        json!(5),
        json!([]),
        json!({ "$ref": "https://schemas.example/a.json" }),
        json!({ "$ref": "file:///etc/passwd" }),
        json!({ "pattern": "(" }),
        json!({ "required": "a" }),
    ] {
        check(json!({ "payloadSchema": schema }), INVALID, &["payloadSchema"]);
    }
    for (field, value) in [
        ("eventName", json!(5)),
        ("sourceCode", json!({})),
        ("isEnabled", json!("true")),
        ("timeoutMs", json!("1")),
        ("delivery", json!(1)),
        ("colour", json!(1)),
    ] {
        check(Map::from_iter([(field.to_owned(), value)]).into(), BAD, &[field]);
    }
    for script in ["sourceCode", "handlerScript"] {
        let answer = api.try_call("PATCH", &there, Some(json!({ script: "let x = 1;\n  let y = ;" })));
        check_error(script, &answer, 400, "SCRIPT_COMPILE_ERROR", &[]);
        assert_eq!(answer.json()["error"]["details"], json!({ "line": 2, "column": 11 }), "{script}");
        check(json!({ script: "return { ok: true };" }), NOT_COMPILED, &["#{ ok: true }"]);
    }
    api.refuses(("POST", &events), Some(json!({ "sourceCode": "" })), INVALID, &["eventName"]);
    api.refuses(("POST", &events), Some(json!({ "eventName": "x" })), INVALID, &["sourceCode"]);
    let taken = json!({ "eventName": "there", "sourceCode": "" });
    api.refuses(("POST", &events), Some(taken), TAKEN, &["there"]);
    api.post(&events, json!({ "eventName": "other", "sourceCode": "" }));
    api.refuses(("PATCH", &there), Some(json!({ "eventName": "other" })), TAKEN, &["other"]);
    assert_eq!(api.get(&there), row, "what was refused changed nothing");
    let nowhere = format!("/admin/gateways/{NOBODY}/events");
    api.refuses(("POST", &nowhere), Some(json!({ "eventName": "x", "sourceCode": "" })), MISSING, &[]);
    api.refuses(("GET", &nowhere), None, MISSING, &[]);
}

#[test]
fn admin_api_unknown_fields_are_all_named() {
    let api = Api::start();
    let body = json!({ "path": "/x", "colour": "red", "shape": "round" });
    api.refuses(("POST", "/admin/gateways"), Some(body), BAD, &["colour", "shape"]);
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
        api.post("/admin/users", body);
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

/// Four gateways to look for among others.
fn with_rows() -> Api {
    let api = Api::start();
    for (path, is_enabled, ms, description) in [
        ("/f/a", true, json!(100), "alpha"),
        ("/f/b", true, json!(200), "beta 50%"),
        ("/f/c", false, json!(300), "under_score"),
        ("/f/d", false, json!(null), "O'Brien'; DROP TABLE gw_gateway; --"),
    ] {
        let body = json!({ "path": path, "isEnabled": is_enabled, "scriptTimeoutMs": ms, "description": description });
        api.post("/admin/gateways", body);
    }
    for number in 0..25 {
        api.post("/admin/gateways", json!({ "path": format!("/n/{number:02}") }));
    }
    api
}

fn names(list: &Json) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|row| row["path"].as_str().unwrap()).collect()
}

#[test]
fn admin_api_lists_filter() {
    let api = with_rows();
    let check = |filter: Json, expected: &[&str]| {
        let filter = json!({ "_and": [{ "path": { "_starts_with": "/f/" } }, filter] });
        let list = api.get(&format!("/admin/gateways?sort=path&filter={}", encode(&filter.to_string())));
        let expected: Vec<_> = expected.iter().map(|name| format!("/f/{name}")).collect();
        assert_eq!(names(&list), expected, "{filter}");
    };
    check(json!({}), &["a", "b", "c", "d"]);
    check(json!({ "scriptTimeoutMs": { "_eq": 200 } }), &["b"]);
    check(json!({ "scriptTimeoutMs": 200 }), &["b"]);
    check(json!({ "isEnabled": { "_neq": true } }), &["c", "d"]);
    check(json!({ "scriptTimeoutMs": { "_gt": 200 } }), &["c"]);
    check(json!({ "scriptTimeoutMs": { "_gte": 200 } }), &["b", "c"]);
    check(json!({ "scriptTimeoutMs": { "_lt": 200 } }), &["a"]);
    check(json!({ "scriptTimeoutMs": { "_lte": 200 } }), &["a", "b"]);
    check(json!({ "scriptTimeoutMs": { "_gt": 100, "_lt": 300 } }), &["b"]);
    check(json!({ "scriptTimeoutMs": { "_in": [100, 300, 5] } }), &["a", "c"]);
    check(json!({ "path": { "_nin": ["/f/a", "/f/d"] } }), &["b", "c"]);
    check(json!({ "scriptTimeoutMs": { "_in": [] } }), &[]);
    check(json!({ "path": { "_nin": [] } }), &["a", "b", "c", "d"]);
    check(json!({ "description": { "_contains": "50%" } }), &["b"]);
    check(json!({ "description": { "_contains": "%" } }), &["b"]);
    check(json!({ "description": { "_contains": "r_s" } }), &["c"]);
    check(json!({ "description": { "_starts_with": "_" } }), &[]);
    check(json!({ "description": { "_starts_with": "al" } }), &["a"]);
    check(json!({ "description": { "_ends_with": "a" } }), &["a"]);
    check(json!({ "description": { "_contains": "\\" } }), &[]);
    check(json!({ "scriptTimeoutMs": { "_between": [150, 300] } }), &["b", "c"]);
    check(json!({ "scriptTimeoutMs": { "_is_null": true } }), &["d"]);
    check(json!({ "scriptTimeoutMs": { "_is_null": false } }), &["a", "b", "c"]);
    check(json!({ "scriptTimeoutMs": { "_eq": null } }), &["d"]);
    check(json!({ "_and": [{ "isEnabled": true }, { "scriptTimeoutMs": 100 }] }), &["a"]);
    check(json!({ "_or": [{ "path": "/f/d" }, { "scriptTimeoutMs": 100 }] }), &["a", "d"]);
    check(json!({ "_not": { "isEnabled": true } }), &["c", "d"]);
    check(json!({ "_not": { "_or": [{ "path": "/f/a" }, { "path": "/f/b" }] } }), &["c", "d"]);
    check(json!({ "isEnabled": false, "scriptTimeoutMs": 300 }), &["c"]);
    check(json!({ "createdAt": { "_gt": "2020-01-01T00:00:00Z" } }), &["a", "b", "c", "d"]);
    check(json!({ "createdAt": { "_gt": "2020-01-01T01:00:00+02:00", "_lt": "2020-01-02T00:00:00Z" } }), &[]);
    check(json!({ "description": "O'Brien'; DROP TABLE gw_gateway; --" }), &["d"]);
    check(json!({ "description": "' OR '1'='1" }), &[]);
    check(json!({ "path": { "_in": ["x') OR 1=1 --"] } }), &[]);

    let row = &api.get("/admin/gateways?filter=%7B%22path%22:%22/f/a%22%7D")["data"][0];
    check(json!({ "id": row["id"] }), &["a"]);
    // What was made at that very instant is found by its own time.
    check(json!({ "createdAt": { "_eq": row["createdAt"] }, "path": "/f/a" }), &["a"]);
}

#[test]
fn admin_api_lists_refuse_filters() {
    let api = with_rows();
    let refuse = |list: &str, filter: &str, mentions: &[&str]| {
        let path = format!("{list}?filter={}", encode(filter));
        let answer = api.try_call("GET", &path, None);
        let what = &filter[..filter.len().min(100)];
        let body = check_error_shape(what, &answer);
        assert!(matches!(answer.status, 400 | 422), "{what}: {}", answer.body);
        let message = body["message"].as_str().unwrap();
        assert!(message.len() < 1000, "{what}: a message of {} bytes", message.len());
        mentions
            .iter()
            .for_each(|word| assert!(message.contains(word), "{what}: {message:?} without {word}"));
    };
    let gateways = "/admin/gateways";
    refuse(gateways, r#"{"colour":"red"}"#, &["colour", "path", "isEnabled"]);
    refuse(gateways, r#"{"path":{"_like":"x"}}"#, &["_like", "_contains", "_between"]);
    refuse(gateways, r#"{"_nor":[]}"#, &["_nor"]);
    refuse(gateways, r#"{"path":5}"#, &["path"]);
    refuse(gateways, r#"{"scriptTimeoutMs":"5"}"#, &["scriptTimeoutMs"]);
    refuse(gateways, r#"{"scriptTimeoutMs":1.5}"#, &["scriptTimeoutMs"]);
    refuse(gateways, r#"{"scriptTimeoutMs":99999999999999999999}"#, &["scriptTimeoutMs"]);
    refuse(gateways, r#"{"isEnabled":"true"}"#, &["isEnabled"]);
    refuse(gateways, r#"{"id":5}"#, &["id"]);
    refuse(gateways, r#"{"createdAt":"yesterday"}"#, &["createdAt"]);
    refuse(gateways, r#"{"path":{"_in":"x"}}"#, &["path"]);
    refuse(gateways, r#"{"scriptTimeoutMs":{"_between":[1]}}"#, &["_between"]);
    refuse(gateways, r#"{"scriptTimeoutMs":{"_is_null":1}}"#, &["_is_null"]);
    refuse(gateways, r#"{"scriptTimeoutMs":{"_contains":"1"}}"#, &["scriptTimeoutMs"]);
    refuse(gateways, r#"{"path":{"_contains":5}}"#, &["path"]);
    refuse(gateways, r#"{"_and":{"path":"x"}}"#, &["_and"]);
    refuse(gateways, r#"{"_or":[5]}"#, &[]);
    refuse(gateways, r#"{"_not":[]}"#, &[]);
    for wrong in ["", "x", "[]", "5", "null", "{", r#"{"path":"#] {
        refuse(gateways, wrong, &["filter"]);
    }
    let nested = |depth: usize| format!("{}{{}}{}", r#"{"_not":"#.repeat(depth), "}".repeat(depth));
    refuse(gateways, &nested(100), &["filter"]);
    refuse(gateways, &nested(3000), &["filter"]);
    let many = format!(r#"{{"scriptTimeoutMs":{{"_in":[{}1]}}}}"#, "1,".repeat(9_999));
    refuse(gateways, &many, &["filter"]);
    let many = format!(r#"{{"_or":[{}{{"path":"a"}}]}}"#, r#"{"path":"a"},"#.repeat(1_500));
    refuse(gateways, &many, &["filter"]);
    for name in ["path\" OR 1=1 --", "path; DROP TABLE users", "gateway.path", "created_at", "PATH"] {
        refuse(gateways, &json!({ name: "x" }).to_string(), &[]);
    }
    for secret in ["passwordHash", "password_hash", "password"] {
        refuse("/admin/users", &json!({ secret: { "_starts_with": "$" } }).to_string(), &[secret]);
        let answer = api.try_call("GET", &format!("/admin/users?sort={secret}"), None);
        check_error(secret, &answer, 422, "VALIDATION_ERROR", &[secret]);
        let answer = api.try_call("GET", &format!("/admin/users?fields={secret}"), None);
        check_error(secret, &answer, 422, "VALIDATION_ERROR", &[secret]);
    }
    assert_eq!(api.get("/admin/gateways?meta=*")["meta"]["totalCount"], 29, "all rows are still there");
}

#[test]
fn admin_api_lists_page_and_sort() {
    let api = with_rows();
    let list = api.get("/admin/gateways");
    assert_eq!(list["data"].as_array().unwrap().len(), 20, "20 rows by default");
    assert!(list.get("meta").is_none(), "no counts that were not asked for");
    assert_eq!(api.get("/admin/gateways?limit=1000")["data"].as_array().unwrap().len(), 29);
    let n = encode(r#"{"path":{"_starts_with":"/n/"}}"#);
    let list = api.get(&format!("/admin/gateways?meta=*&limit=1&filter={n}"));
    assert_eq!((&list["meta"], names(&list).len()), (&json!({ "totalCount": 29, "filterCount": 25 }), 1));

    let page = |query: &str| api.get(&format!("/admin/gateways?{query}"));
    let numbers =
        |range: std::ops::Range<u32>| range.map(|number| format!("/n/{number:02}")).collect::<Vec<_>>();
    assert_eq!(names(&page(&format!("sort=path&limit=10&filter={n}"))), numbers(0..10));
    assert_eq!(names(&page(&format!("sort=path&limit=10&page=2&filter={n}"))), numbers(10..20));
    assert_eq!(names(&page(&format!("sort=path&limit=10&page=3&filter={n}"))), numbers(20..25));
    assert_eq!(names(&page(&format!("sort=path&limit=10&page=4&filter={n}"))), Vec::<&str>::new());
    assert_eq!(names(&page("sort=-path&limit=2")), ["/n/24", "/n/23"]);
    assert_eq!(names(&page("sort=isEnabled,-path&limit=3")), ["/f/d", "/f/c", "/n/24"]);
    let times: Vec<_> = page("sort=-createdAt&limit=1000&fields=createdAt")["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| OffsetDateTime::parse(row["createdAt"].as_str().unwrap(), &Rfc3339).unwrap())
        .collect();
    assert!(times.iter().rev().is_sorted() && times.len() == 29, "{times:?}");

    let rows = page("fields=path,id&limit=3&sort=path");
    for row in rows["data"].as_array().unwrap() {
        let keys: Vec<_> = row.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["id", "path"]);
    }

    let refuse = |query: &str, mentions: &[&str]| {
        let answer = api.try_call("GET", &format!("/admin/gateways?{query}"), None);
        let body = check_error_shape(query, &answer);
        assert!(matches!(answer.status, 400 | 422), "{query}: {}", answer.body);
        let message = body["message"].as_str().unwrap();
        mentions
            .iter()
            .for_each(|word| assert!(message.contains(word), "{query}: {message:?} without {word}"));
    };
    for wrong in ["0", "-1", "1001", "x", "1.5", "99999999999999999999"] {
        refuse(&format!("limit={wrong}"), &["limit"]);
    }
    for wrong in ["0", "-1", "x", "99999999999999999999"] {
        refuse(&format!("page={wrong}"), &["page"]);
    }
    for wrong in ["colour", "-colour", "path,colour", "path;DROP%20TABLE%20users", "path%20DESC", "--path"] {
        refuse(&format!("sort={wrong}"), &["field"]);
    }
    for wrong in ["colour", "path,colour", "path%22,%22id", "*%20FROM%20users"] {
        refuse(&format!("fields={wrong}"), &["field"]);
    }
    assert_eq!(page("meta=*")["meta"]["totalCount"], 29, "all rows are still there");
}

#[test]
fn admin_api_lists_of_fields() {
    let api = Api::start();
    api.post("/admin/gateways", json!({ "path": "/a" }));
    let twice = api.try_call("GET", "/admin/gateways?fields=path,path", None);
    let twice = (twice.status, twice.body);
    // An unknown field is wrong whether or not a row is there to tell.
    let nothing = encode(r#"{"path":"/nothing"}"#);
    let none = api.try_call("GET", &format!("/admin/gateways?fields=colour&filter={nothing}"), None);
    assert_eq!(none.status, 422, "an unknown field of no rows: {}", none.body);
    assert_eq!(
        twice,
        (200, r#"{"data":[{"path":"/a"}]}"#.to_owned()),
        "the same field twice is the same row as once"
    );
}

#[test]
fn admin_api_lists_beyond_all_pages() {
    let api = Api::start();
    for page in ["1000000000", "9223372036854775807", "18446744073709551615"] {
        for limit in [1, 20, 1000] {
            let path = format!("/admin/users?page={page}&limit={limit}");
            let sent =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| api.try_call("GET", &path, None)));
            let answer = sent.unwrap_or_else(|_| panic!("{path}: the connection ended without an answer"));
            match answer.status {
                200 => assert_eq!(answer.json()["data"], json!([]), "{path}"),
                _ => {
                    check_error_shape(&path, &answer);
                    assert!(matches!(answer.status, 400 | 422), "{path}: {}", answer.body);
                }
            }
        }
    }
}

#[test]
fn admin_api_revisions() {
    let api = Api::start();
    let scripts = [("e", "return 1;")];
    let made =
        make_gateway(&api.server, &api.token, json!({ "path": "/r", "connectionScript": "// c1" }), &scripts);
    let event = format!("/admin/events/{}", made.events[0]);
    for script in ["return 2;", "return 3;"] {
        api.patch(&event, json!({ "sourceCode": script }));
    }
    api.patch(&event, json!({ "description": "no script, no revision" }));
    api.refuses(("PATCH", &event), Some(json!({ "sourceCode": "{{{" })), NOT_COMPILED, &[]);
    let history = format!("{event}/revisions");
    let revisions = api.get(&history);
    let sources = |list: &Json| -> Vec<(i64, String)> {
        let row = |row: &Json| (row["number"].as_i64().unwrap(), row["source"].as_str().unwrap().to_owned());
        list["data"].as_array().unwrap().iter().map(row).collect()
    };
    let expect = |list: &[(i64, &str)]| {
        list.iter().map(|(number, text)| (*number, (*text).to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(sources(&revisions), expect(&[(3, "return 3;"), (2, "return 2;"), (1, "return 1;")]));
    for row in revisions["data"].as_array().unwrap() {
        assert_eq!(row["author"], ADMIN_EMAIL, "{row}");
        check_time(&row["createdAt"]);
    }
    let list = api.get(&format!("{history}?limit=1&page=2&meta=*"));
    assert_eq!((sources(&list), &list["meta"]["totalCount"]), (expect(&[(2, "return 2;")]), &json!(3)));

    let restored = api.call("POST", &format!("{history}/1/restore"), None, 200);
    assert_eq!((&restored["sourceCode"], &restored["id"]), (&json!("return 1;"), &json!(made.events[0])));
    assert_eq!(api.get(&event)["sourceCode"], "return 1;");
    let expected = expect(&[(4, "return 1;"), (3, "return 3;"), (2, "return 2;"), (1, "return 1;")]);
    assert_eq!(sources(&api.get(&history)), expected, "a restore is a save like any other");
    let mut socket = Polling::connect(&api.server, "/r", None);
    assert_eq!(socket.run("e", &json!({}))["result"], 1, "what is restored is live");
    for number in ["0", "5", "99"] {
        api.refuses(("POST", &format!("{history}/{number}/restore")), None, MISSING, &[]);
    }

    let gateway = format!("/admin/gateways/{}", made.id);
    api.patch(&gateway, json!({ "connectionScript": "// c2", "disconnectionScript": "// d1" }));
    api.patch(&gateway, json!({ "connectionScript": null }));
    let history = format!("{gateway}/revisions");
    let oldest = api.get(&format!("{history}?sort=number"))["data"][0].clone();
    assert_eq!((&oldest["number"], &oldest["source"]), (&json!(1), &json!("// c1")));
    let restored = api.call("POST", &format!("{history}/1/restore"), None, 200);
    assert_eq!(restored["connectionScript"], "// c1");
    assert_eq!(restored["disconnectionScript"], "// d1", "a restore touches only its script");
    for path in ["gateways", "events"] {
        api.refuses(("GET", &format!("/admin/{path}/{NOBODY}/revisions")), None, MISSING, &[]);
        api.refuses(("POST", &format!("/admin/{path}/{NOBODY}/revisions/1/restore")), None, MISSING, &[]);
    }
}

#[test]
fn admin_api_users() {
    let api = Api::start();
    let new = json!({ "email": "ada@example.com", "password": "first password" });
    let row = api.post("/admin/users", new);
    check_row(&row, json!({ "email": "ada@example.com", "role": "user", "isEnabled": true }));
    let path = format!("/admin/users/{}", row["id"].as_str().unwrap());
    assert_eq!(api.get(&path), row);
    let login = |password: &str| {
        let body = json!({ "email": "ada@example.com", "password": password });
        api.server.call("POST", "/auth/login", Some(&body), &[])
    };
    let signed_in = login("first password").json();
    let token = signed_in["accessToken"].as_str().unwrap();
    let changed = api.patch(&path, json!({ "name": "Ada", "role": "moderator" }));
    check_row(
        &changed,
        json!({ "name": "Ada", "role": "moderator", "email": "ada@example.com", "isEnabled": true }),
    );
    api.patch(&path, json!({ "password": "second password" }));
    assert_eq!(login("first password").status, 401);
    assert_eq!(login("second password").status, 200);
    assert_eq!(api.server.admin(token, "GET", "/me", None).status, 401, "a new password ends the sessions");

    let token = login("second password").json()["accessToken"].as_str().unwrap().to_owned();
    api.patch(&path, json!({ "isEnabled": false }));
    assert_eq!(api.server.admin(&token, "GET", "/me", None).status, 401);
    assert_eq!(login("second password").status, 401);
    api.patch(&path, json!({ "isEnabled": true }));
    assert_eq!(login("second password").status, 200);

    let list = api.get("/admin/users?sort=email&meta=*");
    let emails: Vec<_> =
        list["data"].as_array().unwrap().iter().map(|row| row["email"].as_str().unwrap()).collect();
    assert_eq!((emails, &list["meta"]["totalCount"]), (vec!["ada@example.com", ADMIN_EMAIL], &json!(2)));
    for text in
        [list.to_string(), api.get(&path).to_string(), changed.to_string(), signed_in["user"].to_string()]
    {
        for secret in ["assword", "argon2", "ash\"", ADMIN_PASSWORD] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }

    let refuse = |body: Json, expected: (u16, &str), mentions: &[&str]| {
        let mut new = json!({ "email": "new@example.com", "password": "some password" });
        new.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        api.refuses(("POST", "/admin/users"), Some(new), expected, mentions);
        api.refuses(("PATCH", &path), Some(body), expected, mentions);
    };
    refuse(json!({ "email": ADMIN_EMAIL }), TAKEN, &[]);
    for email in ["", "nobody", "@"] {
        refuse(json!({ "email": email }), INVALID, &["email"]);
    }
    refuse(json!({ "password": "short" }), INVALID, &["password"]);
    refuse(json!({ "passwordHash": "x" }), BAD, &["passwordHash"]);
    refuse(json!({ "isEnabled": "yes" }), BAD, &["isEnabled"]);
    refuse(json!({ "id": NOBODY }), BAD, &["id"]);
    let without_password = json!({ "email": "new@example.com" });
    api.refuses(("POST", "/admin/users"), Some(without_password), BAD, &["password"]);
    let without_email = json!({ "password": "some password" });
    api.refuses(("POST", "/admin/users"), Some(without_email), BAD, &["email"]);

    let token = login("second password").json()["accessToken"].as_str().unwrap().to_owned();
    api.delete(&path);
    assert_eq!(api.server.admin(&token, "GET", "/me", None).status, 401);
    api.refuses(("GET", &path), None, MISSING, &[]);
    api.refuses(("DELETE", &path), None, MISSING, &[]);
    api.refuses(("PATCH", &path), Some(json!({ "name": "x" })), MISSING, &[]);
}

#[test]
fn admin_api_script_validate() {
    let api = Api::start();
    let validate = |script: &str| {
        let body = json!({ "script": script, "context": "websocket_event" });
        api.call("POST", "/admin/script/validate", Some(body), 200)
    };
    assert_eq!(validate("return #{ ok: true };"), json!({ "valid": true, "errors": [] }));
    assert_eq!(validate("@SOCKET.reply(\"a\", @BODY); @THROW.notFound(\"x\")")["valid"], true);
    let check = |script: &str, line: u64, mentions: &str| {
        let answer = validate(script);
        let error = &answer["errors"][0];
        assert_eq!((&answer["valid"], &error["line"]), (&json!(false), &json!(line)), "{script}: {answer}");
        assert!(error["column"].as_u64().unwrap() >= 1, "{answer}");
        assert!(error["message"].as_str().unwrap().contains(mentions), "{answer}");
    };
    check("let x = 1;\n  let y = ;", 2, "");
    assert_eq!(validate("let x = 1;\n  let y = ;")["errors"][0]["column"], 11);
    check("\n\nreturn { ok: true };", 3, "#{ ok: true }");
    check("let x = 'single';", 1, "");
    check("let a = await b();", 1, "await");
    check("let x = 1; if x === 1 { }", 1, "==");
    check("@NOSUCH.thing()", 1, "");
    assert_eq!(validate("")["valid"], true);
    api.refuses(("POST", "/admin/script/validate"), Some(json!({})), BAD, &["script"]);
    let unknown = json!({ "script": "", "colour": 1 });
    api.refuses(("POST", "/admin/script/validate"), Some(unknown), BAD, &["colour"]);
    // Deep nesting may not take the server down.
    assert_eq!(validate(&"(".repeat(50_000))["valid"], false);
    assert_eq!(api.server.call("GET", "/health/live", None, &[]).status, 200);
}

#[test]
fn admin_api_test_run_answers() {
    let api = Api::start();
    // The call of the seed, its object literals written the Rhai way.
    let seed = r##"{
        "kind": "websocket_event",
        "gatewayPath": "/chat",
        "eventName": "message",
        "timeoutMs": 5000,
        "payload": { "text": "hello" },
        "script": " @LOGS(\"received\", @BODY); @SOCKET.reply(\"reply\", #{ ok: true }); return #{ ok: true }; "
    }"##;
    let mut answer = api.test_run(serde_json::from_str(seed).unwrap());
    assert!(answer["durationMs"].take().as_f64().unwrap() >= 0.0);
    assert!(answer["operations"].take().as_u64().unwrap() > 0);
    assert_eq!(
        answer,
        json!({
            "success": true, "result": { "ok": true }, "logs": ["received", { "text": "hello" }],
            "emitted": [{ "method": "reply", "args": ["reply", { "ok": true }] }],
            "durationMs": null, "operations": null,
        })
    );
    let check = |mut call: Json, script: &str, expected: Json| {
        call["script"] = json!(script);
        let answer = api.test_run(call);
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&answer[name], value, "{script}: {answer}");
        }
        assert_eq!(answer.get("error").is_some(), answer["success"] == false, "{answer}");
        assert!(answer["durationMs"].is_number() && answer["operations"].is_number(), "{answer}");
    };
    let event = || json!({ "kind": "websocket_event", "gatewayPath": "/g", "eventName": "e" });
    let with = |fields: Json| {
        let mut call = event();
        call.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        call
    };
    let context = json!({ "success": true, "result": ["e", "/g", {}, null] });
    check(event(), "return [@EVENT, @GATEWAY, @BODY, @USER];", context);
    let user = json!({ "id": "u1", "role": "admin", "name": "Ada" });
    let expected = json!({ "result": ["u1", "admin", "Ada"] });
    check(with(json!({ "user": user })), "return [@USER.id, @USER.role, @USER.name];", expected);
    check(with(json!({ "user": null })), "return @USER == ();", json!({ "result": true }));
    for payload in
        [json!(0), json!(false), json!(""), json!("text"), json!([1, [2]]), json!({ "a": { "b": 1.5 } })]
    {
        check(
            with(json!({ "payload": payload })),
            "return @BODY;",
            json!({ "success": true, "result": payload }),
        );
        check(
            with(json!({ "body": payload })),
            "return @DATA;",
            json!({ "success": true, "result": payload }),
        );
    }
    check(event(), "// nothing", json!({ "success": true, "result": null }));

    // Kinds.
    for kind in ["websocket_connection", "websocket_disconnection"] {
        check(json!({ "kind": kind, "path": "/g" }), "return @GATEWAY;", json!({ "result": "/g" }));
        check(json!({ "kind": kind }), "@SOCKET.reply(\"a\", 1);", json!({ "success": true }));
    }
    check(json!({ "kind": "script" }), "return 1 + 1;", json!({ "success": true, "result": 2 }));
    let headers =
        json!({ "kind": "websocket_connection", "headers": { "x-app": "a" }, "query": { "v": "1" } });
    check(headers, "return [@BODY.headers[\"x-app\"], @BODY.query.v];", json!({ "result": ["a", "1"] }));

    // Failures: a script's own, with what was logged and emitted before.
    let before = "@LOGS(\"a\", #{ b: 1 }, [2]); @SOCKET.reply(\"x\", ());";
    check(
        event(),
        &format!("{before} @THROW.conflict(\"taken\", #{{ id: 5 }});"),
        json!({
            "success": false, "error": { "code": "DUPLICATE_RESOURCE", "message": "taken", "details": { "id": 5 } },
            "logs": ["a", { "b": 1 }, [2]], "emitted": [{ "method": "reply", "args": ["x", null] }],
        }),
    );
    for (throw, code) in [
        ("@THROW404(\"m\")", "RESOURCE_NOT_FOUND"),
        ("@THROW.badRequest(\"m\")", "BUSINESS_LOGIC_ERROR"),
        ("@THROW.unauthorized(\"m\")", "AUTHENTICATION_ERROR"),
        ("@THROW.forbidden(\"m\")", "AUTHORIZATION_ERROR"),
        ("@THROW.validation(\"m\")", "VALIDATION_ERROR"),
        ("@THROW.rateLimit(\"m\")", "RATE_LIMIT_EXCEEDED"),
        ("@THROW.internal(\"m\")", "INTERNAL_ERROR"),
        ("@THROW.http(418, \"m\")", "HTTP_ERROR"),
        ("throw \"m\"", "SCRIPT_EXECUTION_ERROR"),
    ] {
        let mut call = event();
        call["script"] = json!(throw);
        let answer = api.test_run(call);
        assert_eq!(
            (&answer["error"]["code"], &answer["error"]["message"]),
            (&json!(code), &json!("m")),
            "{answer}"
        );
    }
    let failing = |script: &str, code: &str, details: Json| {
        let ms = if code == "SCRIPT_TIMEOUT" { 50 } else { 30_000 };
        let mut call = with(json!({ "timeoutMs": ms }));
        call["script"] = json!(script);
        let answer = api.test_run(call);
        assert_eq!(
            (&answer["success"], &answer["error"]["code"]),
            (&json!(false), &json!(code)),
            "{script}: {answer}"
        );
        assert!(!answer["error"]["message"].as_str().unwrap().is_empty());
        if !details.is_null() {
            assert_eq!(answer["error"]["details"], details, "{script}: {answer}");
        }
    };
    failing("let x = 1;\n  let y = ;", "SCRIPT_EXECUTION_ERROR", json!({ "line": 2, "column": 11 }));
    failing("let x = 1;\nnope(x);", "SCRIPT_EXECUTION_ERROR", json!({ "line": 2, "column": 1 }));
    failing("loop { }", "SCRIPT_TIMEOUT", json!(null));
    failing("@HELPERS.sleep(20000);", "SCRIPT_TIMEOUT", json!(null));
    let timeout = json!({ "kind": "script", "script": "loop { }", "timeout": 50 });
    assert_eq!(api.test_run(timeout)["error"]["code"], "SCRIPT_TIMEOUT", "timeout is timeoutMs");
    let seed_as_it_is = "@SOCKET.reply(\"reply\", { ok: true });";
    let answer = api.test_run(with(json!({ "script": seed_as_it_is })));
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("#{ ok: true }"), "JavaScript by habit is told the Rhai way: {message}");
}

#[test]
fn admin_api_test_run_emitted() {
    let api = Api::start();
    let script = r#"
        let socket = @SOCKET.id;
        @SOCKET.join("r"); @SOCKET.join("s");
        @LOGS(@SOCKET.rooms(), @SOCKET.roomSize("r"), @SOCKET.members("r").len());
        @SOCKET.reply("e", #{ a: 1 });
        @SOCKET.broadcastToRoom("r", "e", 2);
        @SOCKET.emitToCurrentRoom("r", "e", [3]);
        @SOCKET.emitToRoom("r", "e", "four");
        @SOCKET.emitToRoom("/p", "r", "e", 5.5);
        @SOCKET.emitToUser("u", "e", ());
        @SOCKET.emitToSocket("sid", "e", true);
        @SOCKET.broadcast("e", #{});
        @SOCKET.leave("r");
        @LOGS(@SOCKET.rooms(), @SOCKET.roomSize("r"));
        @SOCKET.disconnectUser("u");
        @SOCKET.disconnectSocket("sid");
        @SOCKET.disconnect();
    "#;
    let expected = json!([
        { "method": "join", "args": ["r"] },
        { "method": "join", "args": ["s"] },
        { "method": "reply", "args": ["e", { "a": 1 }] },
        { "method": "broadcastToRoom", "args": ["r", "e", 2] },
        { "method": "emitToCurrentRoom", "args": ["r", "e", [3]] },
        { "method": "emitToRoom", "args": ["r", "e", "four"] },
        { "method": "emitToRoom", "args": ["/p", "r", "e", 5.5] },
        { "method": "emitToUser", "args": ["u", "e", null] },
        { "method": "emitToSocket", "args": ["sid", "e", true] },
        { "method": "broadcast", "args": ["e", {}] },
        { "method": "leave", "args": ["r"] },
        { "method": "disconnectUser", "args": ["u"] },
        { "method": "disconnectSocket", "args": ["sid"] },
        { "method": "disconnect", "args": [] },
    ]);
    for kind in ["websocket_event", "websocket_connection"] {
        let answer =
            api.test_run(json!({ "kind": kind, "gatewayPath": "/g", "eventName": "e", "script": script }));
        assert_eq!(answer["success"], true, "{kind}: {answer}");
        assert_eq!(answer["emitted"], expected, "{kind}");
        assert_eq!(answer["logs"], json!([["r", "s"], 1, 1, ["s"], 0]), "joins are simulated");
    }
    // Rooms of one run are gone in the next.
    let rooms = json!({ "kind": "websocket_event", "eventName": "e", "script": "return @SOCKET.rooms();" });
    assert_eq!(api.test_run(rooms)["result"], json!([]));
    let call = json!({ "kind": "script", "script": "@SOCKET.reply(\"a\", 1);" });
    assert_eq!(api.test_run(call)["error"]["code"], "SCRIPT_EXECUTION_ERROR", "a script alone has no socket");
    let many = json!({ "kind": "script", "script": "for i in 0..2000 { @SOCKET.broadcast(\"e\", i); }" });
    let answer = api.test_run(many);
    assert_eq!(answer["error"]["code"], "SCRIPT_OUTPUT_LIMIT", "{answer}");
    assert_eq!(answer["emitted"].as_array().unwrap().len(), 1000);
}

#[test]
fn admin_api_test_run_of_saved_scripts() {
    let api = Api::start();
    let fields = json!({ "path": "/s", "connectionScript": "return \"hi\";", "disconnectionScript": "return \"bye\";" });
    let scripts = [("exact", "return [@EVENT, @BODY];"), ("any:*", "return \"any\";"), ("slow", "loop { }")];
    let made = make_gateway(&api.server, &api.token, fields, &scripts);
    api.patch(&format!("/admin/events/{}", made.events[2]), json!({ "timeoutMs": 50 }));
    let check = |call: Json, result: Json| {
        let answer = api.test_run(call.clone());
        assert_eq!((&answer["success"], &answer["result"]), (&json!(true), &result), "{call}: {answer}");
    };
    let exact = json!(["exact", { "n": 1 }]);
    let event = "websocket_event";
    let payload = json!({ "n": 1 });
    check(json!({ "kind": event, "eventId": made.events[0], "payload": payload }), exact.clone());
    check(
        json!({ "kind": event, "gatewayPath": "/s", "eventName": "exact", "payload": payload }),
        exact.clone(),
    );
    check(json!({ "kind": event, "path": "/s", "name": "exact", "body": payload }), exact.clone());
    check(json!({ "kind": event, "gatewayId": made.id, "name": "exact", "body": payload }), exact);
    check(json!({ "kind": event, "gatewayPath": "/s", "eventName": "any:thing" }), json!("any"));
    check(json!({ "kind": event, "eventId": made.events[0], "script": "return 5;" }), json!(5));
    check(json!({ "kind": event, "eventName": "e", "sourceCode": "return 6;" }), json!(6));
    check(json!({ "kind": "websocket_connection", "gatewayPath": "/s" }), json!("hi"));
    check(json!({ "kind": "websocket_connection", "gatewayId": made.id }), json!("hi"));
    check(json!({ "kind": "websocket_disconnection", "path": "/s" }), json!("bye"));
    let slow = api.test_run(json!({ "kind": event, "eventId": made.events[2] }));
    assert_eq!(slow["error"]["code"], "SCRIPT_TIMEOUT", "the event's own time counts");

    let refuse = |call: Json, expected: (u16, &str)| {
        api.refuses(("POST", "/admin/test/run"), Some(call), expected, &[]);
    };
    refuse(json!({ "kind": event, "script": "return 1;" }), (400, "MISSING_EVENT_NAME"));
    refuse(json!({ "kind": event }), (400, "MISSING_EVENT_NAME"));
    refuse(json!({ "kind": "script" }), (400, "MISSING_SCRIPT"));
    refuse(json!({ "kind": "script", "eventName": "e" }), (400, "MISSING_SCRIPT"));
    for kind in ["", "nonsense", "WEBSOCKET_EVENT", "event"] {
        refuse(json!({ "kind": kind, "eventName": "e", "script": "return 1;" }), (400, "INVALID_TEST_KIND"));
    }
    refuse(json!({ "eventName": "e", "script": "return 1;" }), (400, "INVALID_TEST_KIND"));
    refuse(json!({ "kind": event, "eventId": NOBODY }), MISSING);
    refuse(json!({ "kind": event, "gatewayPath": "/nowhere", "eventName": "e" }), MISSING);
    for ms in [json!(0), json!(30_001)] {
        refuse(json!({ "kind": "script", "script": "1", "timeoutMs": ms }), INVALID);
    }
    for wrong in [
        json!({ "timeoutMs": "5" }),
        json!({ "timeoutMs": -1 }),
        json!({ "colour": 1 }),
        json!({ "script": 5 }),
    ] {
        let mut call = json!({ "kind": "script", "script": "1" });
        call.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        refuse(call, BAD);
    }
}

#[test]
fn admin_api_test_run_without_any_script() {
    let api = Api::start();
    let gateway = api.post("/admin/gateways", json!({ "path": "/bare" }));
    for kind in ["websocket_connection", "websocket_disconnection"] {
        let call = json!({ "kind": kind, "gatewayId": gateway["id"] });
        api.refuses(("POST", "/admin/test/run"), Some(call), (400, "MISSING_SCRIPT"), &[]);
    }
    // Nothing is named that could have a saved handler: what is missing is the script.
    for call in
        [json!({ "kind": "websocket_event", "eventName": "e" }), json!({ "kind": "websocket_connection" })]
    {
        api.refuses(("POST", "/admin/test/run"), Some(call), (400, "MISSING_SCRIPT"), &[]);
    }
}

#[test]
fn admin_api_test_run_lets_nothing_out() {
    let api = Api::start();
    let scripts = [
        ("enter", "@SOCKET.join(\"r\"); return @SOCKET.id;"),
        ("probe", "return [@CACHE.get(\"k\"), @SOCKET.rooms()];"),
    ];
    let made = make_gateway(&api.server, &api.token, json!({ "path": "/leak" }), &scripts);
    let me = api.get("/me");
    let mut socket = Polling::connect(&api.server, "/leak", Some(&api.token));
    let id = socket.run("enter", &json!({}))["result"].clone();
    let script = r#"
        @CACHE.set("k", "from a test");
        @SOCKET.join("r");
        @SOCKET.broadcastToRoom("r", "leak", 1);
        @SOCKET.emitToCurrentRoom("r", "leak", 1);
        @SOCKET.emitToRoom("r", "leak", 1);
        @SOCKET.emitToRoom("/leak", "r", "leak", 1);
        @SOCKET.emitToUser(@BODY.user, "leak", 1);
        @SOCKET.emitToSocket(@BODY.socket, "leak", 1);
        @SOCKET.emitToGateway("/leak", "leak", 1);
        @SOCKET.broadcast("leak", 1);
        @SOCKET.disconnectSocket(@BODY.socket);
        @SOCKET.disconnectUser(@BODY.user);
        return @SOCKET.roomSize("r");
    "#;
    let payload = json!({ "user": me["id"], "socket": id });
    let call = json!({
        "kind": "websocket_event", "gatewayPath": "/leak", "eventName": "enter", "script": script,
        "payload": payload, "user": me,
    });
    let answer = api.test_run(call);
    assert_eq!(
        (&answer["success"], answer["emitted"].as_array().unwrap().len()),
        (&json!(true), 11),
        "{answer}"
    );
    let saved = api.test_run(json!({ "kind": "websocket_event", "eventId": made.events[0] }));
    assert_eq!(saved["success"], true);

    // The outcome of the probe is sent after everything that a test run could have sent.
    assert_eq!(socket.run("probe", &json!({}))["result"], json!([null, ["r"]]));
    let unread: Vec<_> = socket.unread().into_iter().map(|packet| packet.data).collect();
    assert!(unread.is_empty(), "left over: {unread:?}");
    let runs = until("both runs in the log", || {
        let runs = api.get("/admin/logs?gateway=/leak");
        (runs["data"].as_array().unwrap().len() >= 2).then_some(runs)
    });
    let names: Vec<_> = runs["data"].as_array().unwrap().iter().map(|run| &run["eventName"]).collect();
    assert_eq!(names, ["probe", "enter"], "a test run is no run of the gateway");
}

#[test]
fn admin_api_logs() {
    let api = Api::start();
    let scripts = [
        ("good", "@LOGS(\"seen\", @BODY); return 1;"),
        ("bad", "@LOGS(\"then\"); @THROW.notFound(\"gone\");"),
    ];
    make_gateway(&api.server, &api.token, json!({ "path": "/l" }), &scripts);
    make_gateway(&api.server, &api.token, json!({ "path": "/other" }), &scripts);
    let me = api.get("/me");
    let mut guest = Polling::connect(&api.server, "/l", None);
    let mut member = Polling::connect(&api.server, "/other", Some(&api.token));
    let ids = [
        guest.run("good", &json!({ "n": 1 }))["requestId"].clone(),
        guest.run("bad", &json!({}))["requestId"].clone(),
        member.run("good", &json!({}))["requestId"].clone(),
        member.run("bad", &json!({}))["requestId"].clone(),
    ];
    until("all runs in the log", || {
        (api.get("/admin/logs")["data"].as_array().unwrap().len() == 4).then_some(())
    });
    let check = |query: &str, expected: &[usize]| {
        let found = api.get(&format!("/admin/logs?{query}"));
        let found: Vec<_> =
            found["data"].as_array().unwrap().iter().map(|run| run["requestId"].clone()).collect();
        let expected: Vec<_> = expected.iter().map(|index| ids[*index].clone()).collect();
        assert_eq!(found, expected, "{query}: newest first");
    };
    check("", &[3, 2, 1, 0]);
    check("gateway=/l", &[1, 0]);
    check("gateway=/nowhere", &[]);
    check("eventName=good", &[2, 0]);
    check("outcome=error", &[3, 1]);
    check("outcome=ok", &[2, 0]);
    check("code=RESOURCE_NOT_FOUND", &[3, 1]);
    check("code=SCRIPT_TIMEOUT", &[]);
    check(&format!("userId={}", me["id"].as_str().unwrap()), &[3, 2]);
    check(&format!("requestId={}", ids[1].as_str().unwrap()), &[1]);
    check("gateway=/l&outcome=error", &[1]);
    check("limit=1", &[3]);
    check("limit=1&page=2", &[2]);
    check("limit=3&page=2", &[0]);
    check("page=9", &[]);

    let runs = api.get("/admin/logs");
    let (bad, good) = (&runs["data"][2], &runs["data"][3]);
    let expected = json!({
        "requestId": ids[0], "gateway": "/l", "eventName": "good", "userId": null, "outcome": "ok", "code": null,
        "logs": ["seen", { "n": 1 }],
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&good[name], value, "{good}");
    }
    let failed = (&bad["outcome"], &bad["code"], &bad["logs"]);
    assert_eq!(failed, (&json!("error"), &json!("RESOURCE_NOT_FOUND"), &json!(["then"])));
    assert_eq!(runs["data"][0]["userId"], me["id"]);
    for field in ["durationMs", "queuedMs"] {
        assert!(good[field].as_f64().unwrap() >= 0.0, "{good}");
    }
    assert!(good["operations"].as_u64().unwrap() > 0);
    for wrong in ["colour=1", "requestId=5", "outcome=maybe"] {
        let name = wrong.split('=').next().unwrap();
        api.refuses(("GET", &format!("/admin/logs?{wrong}")), None, BAD, &[name]);
    }
}

#[test]
fn admin_api_logs_take_the_parameters_of_lists() {
    let api = Api::start();
    let mut wrong = Vec::new();
    let mut check = |query: &str, status: &[u16]| {
        let answer = api.try_call("GET", &format!("/admin/logs?{query}"), None);
        if !status.contains(&answer.status) {
            wrong.push(format!("{query}: {} {}", answer.status, answer.body));
        }
    };
    for refused in ["limit=0", "limit=1001", "page=0"] {
        check(refused, &[400, 422]);
    }
    for taken in
        ["filter=%7B%22outcome%22:%22error%22%7D", "sort=-durationMs", "fields=requestId,code", "meta=*"]
    {
        check(taken, &[200]);
    }
    assert!(wrong.is_empty(), "other than every list:\n{}", wrong.join("\n"));
}

#[test]
fn admin_api_stats() {
    let api = Api::start();
    let scripts = [("good", "return 1;"), ("bad", "throw 1;")];
    make_gateway(
        &api.server,
        &api.token,
        json!({ "path": "/st", "connectionScript": "return 1;" }),
        &scripts,
    );
    let stats = api.get("/admin/stats");
    assert_eq!(stats["connections"]["total"], 0);
    let mut one = Polling::connect(&api.server, "/st", None);
    let mut two = Polling::connect(&api.server, "/st", None);
    for _ in 0..3 {
        assert_eq!(one.run("good", &json!({}))["success"], true);
    }
    assert_eq!(two.run("bad", &json!({}))["success"], false);
    // A refused event is no run.
    assert_eq!(two.ask("nobody", &json!({}))["error"]["code"], "NO_HANDLER");
    let handler = |stats: &Json, name: &str| {
        let handlers = stats["handlers"].as_array().unwrap();
        handlers
            .iter()
            .find(|row| row["gateway"] == "/st" && row["eventName"] == name)
            .cloned()
            .unwrap_or_default()
    };
    let stats = until("the counts", || {
        let stats = api.get("/admin/stats");
        (handler(&stats, "good")["count"] == 3 && handler(&stats, "bad")["count"] == 1).then_some(stats)
    });
    assert_eq!(
        (&handler(&stats, "good")["errors"], &handler(&stats, "bad")["errors"]),
        (&json!(0), &json!(1))
    );
    let good = handler(&stats, "good");
    let quantiles: Vec<_> =
        ["p50Ms", "p95Ms", "p99Ms"].iter().map(|name| good[name].as_f64().unwrap()).collect();
    assert!(quantiles.is_sorted() && quantiles[0] > 0.0, "{good}");
    assert_eq!(stats["connections"], json!({ "total": 2, "gateways": { "/st": 2 } }));
    assert_eq!(stats["queueDepth"], 0);
    assert!(stats["eventsPerSecond"].as_f64().unwrap() >= 0.0);
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
            if operation.get("requestBody").is_none() {
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
        ("/admin/users", "get post"),
        ("/admin/users/{id}", "delete get patch"),
        ("/admin/script/validate", "post"),
        ("/admin/test/run", "post"),
        ("/admin/logs", "get"),
        ("/admin/stats", "get"),
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
