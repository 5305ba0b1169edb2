//! Operators and operations in what clients send.

use serde_json::{Value as Json, json};

use crate::support::api::Api;
use crate::support::database::Database;

/// Two accounts, and what a script does with what a client sends.
struct Accounts(Api);

impl Accounts {
    fn start() -> Self {
        let api = Api::on(Database::Sqlite);
        api.table(
            "account",
            json!([
                { "name": "email", "type": "string" },
                { "name": "coins", "type": "integer" },
                { "name": "extra", "type": "json" },
            ]),
        );
        for email in ["ada@example.com", "bob@example.com"] {
            api.row("account", json!({ "email": email, "coins": 1, "extra": { "_neq": email } }));
        }
        Self(api)
    }

    fn run(&self, script: &str, payload: &Json) -> Json {
        self.0
            .test_run(json!({ "kind": "script", "gatewayPath": "/x", "script": script, "payload": payload }))
    }
}

/// Operators instead of an address, by every way that a value takes from a payload into a filter.
#[test]
fn operators_in_a_payload() {
    let accounts = Accounts::start();
    let ways = [
        "@BODY.email",
        "@DATA.email",
        "@ARGS[0].email",
        "@BODY[\"email\"]",
        "{ let body = @BODY; let email = body.email; email }",
        "{ let body = @BODY; body.email }",
        "(|body| body.email).call(@BODY)",
        "[@BODY.email][0]",
        "#{ a: #{ b: @BODY.email } }.a.b",
        "{ let m = #{}; m += @BODY.email; m }",
        "{ let m = #{}; m.mixin(@BODY.email); m }",
        "{ let m = #{}; m.fill_with(@BODY.email); m }",
        "#{} + @BODY.email",
        "@BODY.email + #{}",
        "parse_json(@BODY.to_json()).email",
        "parse_json(`{\"e\": ${@BODY.email.to_json()}}`).e",
        "{ let m = @BODY.email; m.remove(\"x\"); m }",
        "{ let m = @BODY; let f = || m.email; f.call() }",
        "{ @SOCKET.set(\"k\", @BODY.email); @SOCKET.get(\"k\") }",
        "{ @CACHE.set(\"k\", @BODY.email); @CACHE.get(\"k\") }",
        "{ let told = (); try { @THROW.badRequest(\"x\", @BODY) } catch (error) { told = error.details.email; } told }",
        "{ let all = []; for value in @BODY.values() { all.push(value); } all[0] }",
    ];
    for way in ways {
        for email in
            [json!({ "_neq": "" }), json!({ "_contains": "@" }), json!({ "_in": ["ada@example.com"] })]
        {
            for script in [
                format!(
                    "let way = {way}; return #account.find(#{{ filter: #{{ email: way }} }}).data.len();"
                ),
                format!("let way = {way}; return #account.count(#{{ email: way }});"),
                format!("let way = {way}; return #account.exists(#{{ _or: [#{{ email: way }}] }});"),
                format!(
                    "let way = {way}; return #account.findOne(#{{ filter: #{{ _not: #{{ email: way }} }} }});"
                ),
                format!("let way = {way}; return #account.delete(#{{ filter: #{{ email: way }} }});"),
                format!(
                    "let way = {way}; return #account.update(#{{ filter: #{{ email: way }}, data: #{{ coins: 9 }} }});"
                ),
            ] {
                let answer = accounts.run(&script, &json!({ "email": email }));
                assert_eq!(answer["error"]["code"], "VALIDATION_ERROR", "{script} {email}: {answer}");
            }
        }
    }
    assert_eq!(accounts.run("return #account.count();", &Json::Null)["result"], 2);
}

/// A whole filter of a client, where the script did not mean to take one.
#[test]
fn a_filter_in_a_payload() {
    let accounts = Accounts::start();
    let all = json!({ "filter": { "email": { "_neq": "" } } });
    for script in [
        "#account.find(@BODY)",
        "#account.find(#{ filter: @BODY.filter })",
        "#account.find(#{ filter: #{ _and: [@BODY.filter] } })",
        "#account.find(#{ filter: #{ coins: 1, _not: @BODY.filter } })",
        "{ let filter = #{ coins: 1 }; filter += @BODY.filter; #account.find(#{ filter: filter }) }",
        "#account.count(@BODY.filter)",
        "#account.delete(@BODY)",
    ] {
        let answer = accounts.run(script, &all);
        assert_eq!(answer["error"]["code"], "VALIDATION_ERROR", "{script}: {answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("@HELPERS.filter"), "it says how to mean it: {message}");
    }
}

/// A change of a number instead of a number.
#[test]
fn operations_in_a_payload() {
    let accounts = Accounts::start();
    let grab = json!({ "coins": { "_inc": 1000 }, "data": { "coins": { "_inc": 1000 } } });
    for script in [
        "#account.update(#{ filter: #{ email: \"ada@example.com\" }, data: #{ coins: @BODY.coins } })",
        "#account.update(#{ filter: #{ email: \"ada@example.com\" }, data: @BODY.data })",
        "#account.create(#{ data: #{ coins: @BODY.coins } })",
        "#account.createMany(#{ data: [#{ coins: 1 }, @BODY.data] })",
        "{ let data = #{ email: \"x\" }; data += @BODY.data; #account.create(#{ data: data }) }",
    ] {
        let answer = accounts.run(script, &grab);
        assert_eq!(answer["error"]["code"], "VALIDATION_ERROR", "{script}: {answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("coins"), "{message}");
    }
}

/// What the mends must leave: the script's own operators with a client's values, a client's filter
/// that the script lets through, and objects as values of JSON columns.
#[test]
fn what_scripts_mean_still_works() {
    let accounts = Accounts::start();
    let payload = json!({ "email": "ada@example.com", "part": "bob", "n": 5, "extra": { "_inc": 1 },
        "filter": { "email": { "_starts_with": "b" } } });
    for (script, expected) in [
        ("#account.count(#{ email: @BODY.email })", json!(1)),
        ("#account.count(#{ email: #{ _neq: @BODY.email } })", json!(1)),
        ("#account.count(#{ email: #{ _contains: @BODY.part } })", json!(1)),
        (
            "#account.count(#{ _or: [#{ email: @BODY.email }, #{ email: #{ _contains: @BODY.part } }] })",
            json!(2),
        ),
        ("#account.count(#{ email: #{ _in: [@BODY.email] } })", json!(1)),
        ("#account.find(#{ filter: @HELPERS.filter(@BODY.filter) }).data.len()", json!(1)),
        ("{ let f = @HELPERS.filter(@BODY.filter); f.coins = 2; #account.count(f) }", json!(0)),
        ("{ let f = #{ coins: 1 }; f += @HELPERS.filter(@BODY.filter); #account.count(f) }", json!(1)),
        ("#account.count(@HELPERS.filter(@BODY.nothing))", json!(2)),
        ("{ let f = #{ email: #{ _neq: \"\" } }; f += #{ coins: 1 }; #account.count(f) }", json!(2)),
        ("#account.create(#{ data: #{ extra: @BODY.extra } }).extra", json!({ "_inc": 1 })),
        (
            "#account.update(#{ filter: #{ email: @BODY.email }, data: #{ coins: #{ _inc: @BODY.n } } }).data[0].coins",
            json!(6),
        ),
        (
            "#account.count(#{ extra: #account.findOne(#{ filter: #{ email: @BODY.email } }).extra })",
            json!(1),
        ),
    ] {
        let answer = accounts.run(script, &payload);
        assert_eq!(answer["result"], expected, "{script}: {answer}");
    }
}
