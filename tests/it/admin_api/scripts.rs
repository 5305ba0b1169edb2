//! Scripts before they are live: validation and test runs.

use serde_json::{Value as Json, json};

use super::{BAD, INVALID, MISSING, NOBODY};
use crate::support::api::{Api, make_gateway};
use crate::support::polling::Polling;
use crate::support::server::until;

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
    let object = &validate("return { ok: true };")["errors"][0];
    assert_eq!(object["hint"], "a map is written `#{ ok: true }`");
    let remarked = validate("return \"Hello ${@BODY.name}\";");
    assert_eq!(
        (&remarked["valid"], &remarked["remarks"][0]["column"]),
        (&json!(true), &json!(8)),
        "{remarked}"
    );
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

/// Each call that does not exist is an error, with the range of its name; so is what does nothing in such a script.
#[test]
fn admin_api_script_validate_tells_all_errors() {
    let api = Api::start();
    let errors = |script: &str, context: Json| {
        let body = json!({ "script": script, "context": context });
        api.call("POST", "/admin/script/validate", Some(body), 200)["errors"].clone()
    };
    let range =
        |error: &Json| ["line", "column", "endLine", "endColumn"].map(|name| error[name].as_u64().unwrap());
    let found = errors("let x = 1;\n@SOCKET.replay(\"a\", x);\n  x.toUpperCase();\nnothing(x);", Json::Null);
    let found: Vec<_> = found.as_array().unwrap().iter().map(range).collect();
    assert_eq!(found, [[2, 9, 2, 15], [3, 5, 3, 16], [4, 1, 4, 8]]);
    let found = errors("let y = ;", Json::Null);
    assert_eq!(range(&found[0]), [1, 9, 1, 10]);
    assert_eq!(errors("x".repeat(300_000).as_str(), Json::Null)[0]["endLine"], 0, "of the script as a whole");

    let (reply, status) = ("if true { @SOCKET.reply(\"a\", 1); }", "@STATUS(201);");
    for (script, context, wrong) in [
        (reply, "websocket_event", ""),
        (reply, "websocket_connection", ""),
        (reply, "table_hook", ""),
        (reply, "script", ""),
        (reply, "http_route", "reply(event, data)"),
        ("return @SOCKET.id;", "http_route", "@SOCKET.id"),
        ("@SOCKET.broadcast(\"a\", 1);", "http_route", ""),
        (status, "http_route", ""),
        (status, "script", ""),
        (status, "websocket_event", "@STATUS(code)"),
    ] {
        let found = errors(script, context.into());
        assert_eq!(found.as_array().unwrap().is_empty(), wrong.is_empty(), "{script} in {context}: {found}");
        assert!(found[0]["message"].as_str().unwrap_or_default().contains(wrong), "{found}");
    }
}

#[test]
fn admin_api_script_api() {
    let api = Api::start();
    let calls = api.get("/admin/script/api")["calls"].clone();
    let find = |of: &str, call: Json| {
        let calls = calls.as_array().unwrap();
        calls.iter().find(|one| one["macro"] == of && one["call"] == call).cloned().unwrap_or_default()
    };
    let body = find("@BODY", Json::Null);
    assert_eq!((&body["signature"], body["contexts"].as_array().unwrap().len()), (&json!("@BODY"), 7));
    let reply = find("@SOCKET", "reply".into());
    assert_eq!(reply["signature"], "@SOCKET.reply(event, data)");
    let sockets = ["websocket_event", "websocket_connection", "websocket_disconnection"];
    assert_eq!(reply["contexts"], json!(sockets));
    assert_eq!(find("@STATUS", Json::Null)["contexts"], json!(["http_route"]));
    for name in ["doc", "example", "errors", "gives"] {
        assert!(reply[name].is_string(), "{name}: {reply}");
    }
    assert!(find("#table", "find".into())["example"].as_str().unwrap().contains("find"));
}

/// Gateways and events as they are now: those that are disabled too, and what became of their runs.
#[test]
fn admin_api_tree() {
    let api = Api::start();
    let scripts = [("good", "return 1;"), ("bad", "throw 1;")];
    let connection = json!({ "path": "/b", "connectionScript": "return 1;" });
    let made = make_gateway(&api.server, &api.token, connection, &scripts);
    make_gateway(&api.server, &api.token, json!({ "path": "/a", "isEnabled": false }), &[]);
    let durable = json!({ "eventName": "durable", "sourceCode": "return 1;", "delivery": "durable", "isEnabled": false });
    api.make(&format!("/admin/gateways/{}/events", made.id), durable);
    let mut socket = Polling::connect(&api.server, "/b", None);
    assert_eq!(socket.run("good", &json!({}))["success"], true);
    assert_eq!(socket.run("bad", &json!({}))["success"], false);
    let gateways = until("the runs", || {
        let tree = api.get("/admin/tree");
        (tree["gateways"][1]["count"] == 3).then(|| tree["gateways"].clone())
    });
    let paths: Vec<_> = gateways.as_array().unwrap().iter().map(|one| one["path"].clone()).collect();
    assert_eq!(paths, ["/a", "/b"]);
    assert_eq!((&gateways[0]["isEnabled"], &gateways[0]["events"]), (&json!(false), &json!([])));
    let b = &gateways[1];
    assert_eq!(b["id"], made.id.as_str());
    assert_eq!(
        (&b["connections"], &b["errors"], &b["isPaused"]),
        (&json!(1), &json!(1), &json!(false)),
        "{b}"
    );
    let event = |number: usize| {
        let event = &b["events"][number];
        ["eventName", "isEnabled", "delivery", "count", "errors", "suspended"].map(|name| event[name].clone())
    };
    assert_eq!(event(0), [json!("bad"), json!(true), json!("memory"), json!(1), json!(1), Json::Null]);
    assert_eq!(event(1), [json!("durable"), json!(false), json!("durable"), json!(0), json!(0), Json::Null]);
    assert_eq!(event(2)[3], 1);
    assert_eq!(b["events"][2]["id"], made.events[0].as_str());
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
    let gateway = api.make("/admin/gateways", json!({ "path": "/bare" }));
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

/// A test run may begin with rooms and rows, and run an earlier version.
#[test]
fn admin_api_test_run_with_rooms_rows_and_a_revision() {
    let api = Api::start();
    let run = |body: Json| api.test_run(body);
    let rooms = json!({ "kind": "websocket_event", "eventName": "e", "script": "return @SOCKET.rooms();", "rooms": ["a", "b"] });
    assert_eq!(run(rooms.clone())["result"], json!(["a", "b"]));
    let refuses = |changes: Json, mentions: &str| {
        let mut body = rooms.clone();
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        api.refuses(("POST", "/admin/test/run"), Some(body), INVALID, &[mentions]);
    };
    refuses(json!({ "kind": "script" }), "rooms");
    refuses(json!({ "rooms": vec!["r"; 1001] }), "1000");
    refuses(json!({ "revision": 1 }), "revision");

    // In the order of the alphabet, the rows of the first would refer to rows that are not there yet.
    let column = json!([{ "name": "to", "type": "uuid", "references": "b_target" }]);
    api.table("b_target", json!([{ "name": "text", "type": "string" }]));
    api.table("a_source", column);
    let rows = json!({ "a_source": [{ "to": NOBODY }], "b_target": [{ "id": NOBODY, "text": "there" }] });
    let script = "return #b_target.findOne(#{ filter: #{ id: #a_source.find().data[0].to } }).text;";
    let body = json!({ "kind": "script", "script": script, "rows": rows });
    assert_eq!(run(body)["result"], "there");
    assert_eq!(api.rows("b_target", &[]), json!([]), "nothing stays");
    refuses(json!({ "rows": rows, "commit": true }), "commit");
    refuses(json!({ "rows": { "a_source": vec![json!({}); 1001] } }), "1000");
    let body = json!({ "kind": "script", "script": "1", "rows": { "nowhere": [{}] } });
    api.refuses(("POST", "/admin/test/run"), Some(body), MISSING, &["nowhere"]);

    let made = make_gateway(
        &api.server,
        &api.token,
        json!({ "path": "/v", "connectionScript": "return 10;" }),
        &[("e", "return 1;")],
    );
    api.patch(&format!("/admin/events/{}", made.events[0]), json!({ "sourceCode": "return 2;" }));
    api.patch(&format!("/admin/gateways/{}", made.id), json!({ "disconnectionScript": "return 20;" }));
    for (kind, revision, result) in [
        ("websocket_event", json!(1), 1),
        ("websocket_event", json!(2), 2),
        ("websocket_event", Json::Null, 2),
        ("websocket_connection", json!(1), 10),
        ("websocket_disconnection", json!(2), 20),
    ] {
        let body = json!({ "kind": kind, "gatewayPath": "/v", "eventName": "e", "revision": revision });
        assert_eq!(run(body)["result"], result, "{kind} {revision}");
    }
    for (kind, revision) in [("websocket_event", 3), ("websocket_connection", 2)] {
        let body = json!({ "kind": kind, "gatewayPath": "/v", "eventName": "e", "revision": revision });
        api.refuses(("POST", "/admin/test/run"), Some(body), MISSING, &["evision"]);
    }
    let hook = api.hook("b_target", "before", &["create"], "return 1;");
    let path = format!("/admin/hooks/{}", hook["id"].as_str().unwrap());
    api.patch(&path, json!({ "sourceCode": "return 2;" }));
    assert_eq!(run(json!({ "kind": "table_hook", "hookId": hook["id"], "revision": 1 }))["result"], 1);
    let route = json!({ "method": "GET", "path": "/v", "sourceCode": "return 1;", "access": "public" });
    let route = api.make("/admin/routes", route);
    api.patch(
        &format!("/admin/routes/{}", route["id"].as_str().unwrap()),
        json!({ "sourceCode": "return 2;" }),
    );
    assert_eq!(run(json!({ "kind": "http_route", "routeId": route["id"], "revision": 1 }))["result"], 1);
}
