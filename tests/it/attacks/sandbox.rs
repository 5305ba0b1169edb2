//! Scripts that want more than a run may have.

use serde_json::{Value as Json, json};

use crate::support::api::{Api, Made, make_gateway};
use crate::support::database::Database;
use crate::support::polling::Polling;
use crate::support::server::Server;

/// A few hundred bytes against a schema that refers to itself twice: they are refused when their
/// time is up, others go on meanwhile, and the worker goes on after it.
#[test]
fn payloads_that_take_for_ever_to_check() {
    let api = Api::of(Server::start_on(Database::Sqlite, &[("QUEUE__WORKERS", "4")], &[]));
    let mut other = api.socket("/bystander", "return @BODY;", None);
    let gateway = json!({ "path": "/schema", "scriptTimeoutMs": 500 });
    let made = make_gateway(&api.server, &api.token, gateway, &[("e", "return 1;")]);
    let again = json!({ "$ref": "#" });
    let schema = json!({ "oneOf": [
        { "type": "array", "items": again, "maxItems": 1 },
        { "type": "array", "items": again, "maxItems": 2 },
        { "type": "null" },
    ] });
    set_schema(&api, &made, &schema);
    let mut socket = Polling::connect(&api.server, "/schema", None);
    assert_eq!(socket.ask("e", &json!(null))["accepted"], true);
    let deep = (0..60).fold(json!(null), |inner, _| json!([inner]));
    for _ in 0..3 {
        let ack = socket.ask("e", &deep);
        let code = ack["error"]["code"].as_str().unwrap().to_owned();
        assert!(["SCRIPT_TIMEOUT", "INVALID_PAYLOAD"].contains(&code.as_str()), "{ack}");
        assert_eq!(other.run("e", &json!(7))["result"], 7);
    }
    assert_eq!(socket.run("e", &json!(null))["result"], 1);
    assert_eq!(socket.ask("e", &json!(5))["error"]["code"], "INVALID_PAYLOAD");
}

fn set_schema(api: &Api, made: &Made, schema: &Json) {
    let path = format!("/admin/events/{}", made.events[0]);
    let answer = api.admin("PATCH", &path, json!({ "payloadSchema": schema }));
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// With the most memory and elements that may be set, no nesting aborts the process.
#[test]
fn nesting_under_the_largest_caps() {
    let settings = [("SCRIPTS__MEMORY_BYTES", "67108864"), ("SCRIPTS__ELEMENTS", "100000")];
    let api = Api::of(Server::start_on(Database::Sqlite, &settings, &[]));
    let mut other = api.socket("/bystander", "return @BODY;", None);
    let scripts = [
        "let f = |x| x; for i in 0..1000000 { let g = f; f = |x| g.call(x); }",
        "let f = |x| x; for i in 0..1000000 { let g = f; f = |x| g.call(x); } f.call(1)",
        "let f = |x| x; for i in 0..1000000 { let g = f; f = |x| g.call(x); if i % 10000 == 0 { let h = f; `${[h]}`; } }",
        "let f = 1; for i in 0..1000000 { let g = f; f = || g; }",
        "let f = 1; for i in 0..1000000 { f = Fn(\"x\").curry(f); }",
        "let a = []; loop { a = [a]; }",
        "let a = []; let b = []; for i in 0..9000 { a = [a]; b = [b]; } `${a == b}${a}`",
        "let m = []; loop { m = #{ m: [m] }; }",
    ];
    for (number, script) in scripts.into_iter().enumerate() {
        let path = format!("/kill{number}");
        let mut socket = api.socket(&path, script, None);
        let outcome = socket.run("e", &json!({}));
        assert!(outcome["success"].is_boolean(), "{script}: {outcome}");
        assert_eq!(other.run("e", &json!(number))["result"], number, "{script}");
    }
}
