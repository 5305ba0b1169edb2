//! Scripts as their authors save them: what is refused, where, and with which hint.

use serde_json::{Value as Json, json};

use super::support::api::{Api, make_gateway, refused};
use super::support::database::Database;

/// A call that does not exist is refused wherever a script is saved, with its place.
#[test]
fn calls_that_do_not_exist_are_not_saved() {
    let api = Api::on(Database::Sqlite);
    api.table("todo", json!([{ "name": "n", "type": "integer" }]));
    let made = make_gateway(&api.server, &api.token, json!({ "path": "/g" }), &[("e", "1")]);
    for (call, mention) in [
        ("@SOCKET.broadcst(\"a\", 1);", "did you mean broadcast?"),
        ("@HELPERS.uid();", "did you mean uuid?"),
        ("@JOB.aftr(1);", "did you mean after?"),
        ("#todo.insert(#{});", "#table has no insert"),
        ("#tood.find();", "did you mean #todo?"),
        ("@THROW.badrequest(\"a\");", "did you mean badRequest?"),
        ("foo(1);", "there is no function foo"),
        ("@SOCKET.broadcast(\"a\");", "write `@SOCKET.broadcast(event, data)`"),
        ("@BODY.text.toUpperCase();", "text.to_upper()"),
    ] {
        let script = format!("let a = 1;\n{call}");
        let event = format!("/admin/gateways/{}/events", made.id);
        for (method, path, body) in [
            ("POST", event.as_str(), json!({ "eventName": "f", "sourceCode": script })),
            ("PATCH", &format!("/admin/events/{}", made.events[0]), json!({ "sourceCode": script })),
            ("PATCH", &format!("/admin/gateways/{}", made.id), json!({ "connectionScript": script })),
            ("PATCH", &format!("/admin/gateways/{}", made.id), json!({ "disconnectionScript": script })),
            ("POST", "/admin/routes", json!({ "method": "GET", "path": "/r", "sourceCode": script })),
            (
                "POST",
                "/admin/hooks",
                json!({ "table": "todo", "when": "after", "on": ["create"], "sourceCode": script }),
            ),
        ] {
            let answer = api.admin(method, path, body);
            refused(&answer, 400, "SCRIPT_COMPILE_ERROR", mention);
            assert_eq!(answer.json()["error"]["details"]["line"], 2, "{}", answer.body);
        }
        let valid = api.admin("POST", "/admin/script/validate", json!({ "script": script })).json();
        assert_eq!((&valid["valid"], &valid["errors"][0]["line"]), (&json!(false), &json!(2)), "{valid}");
        assert!(valid["errors"][0]["message"].as_str().unwrap().contains(mention), "{valid}");
    }
    // What was saved stays live.
    let run = json!({ "kind": "websocket_event", "gatewayPath": "/g", "eventName": "e" });
    assert_eq!(api.test_run(run)["result"], 1);
    let fine =
        "let f = |x| x + 1; return #{ a: f.call(1), b: [1, 2].map(|x| x * 2), c: @HELPERS.slug(\"A b\") };";
    let valid = api.admin("POST", "/admin/script/validate", json!({ "script": fine })).json();
    assert_eq!((&valid["valid"], &valid["errors"]), (&Json::Bool(true), &json!([])));
}
