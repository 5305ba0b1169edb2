//! What scripts ask of a payload, and of texts and times in it.

use serde_json::{Value as Json, json};

use super::sandbox::{check, run};
use crate::error::ErrorCode;

#[test]
fn what_is_required_is_there() {
    let body = json!({ "data": { "roomId": "a", "n": 1, "x": 1.5, "is": false, "list": [], "of": {} } });
    for (path, kind, value) in [
        ("data.roomId", "string", json!("a")),
        ("data.n", "integer", json!(1)),
        ("data.n", "number", json!(1)),
        ("data.x", "number", json!(1.5)),
        ("data.is", "boolean", json!(false)),
        ("data.list", "array", json!([])),
        ("data.of", "object", json!({})),
        ("data", "any", body["data"].clone()),
    ] {
        check(&format!("@BODY.require(\"{path}\", \"{kind}\")"), body.clone(), value);
    }
    check("@BODY.require(\"data.n\")", body, json!(1));
    check("let m = #{ a: #{ b: 2 } }; m.require(\"a.b\", \"integer\")", json!({}), json!(2));
}

#[test]
fn what_is_required_and_missing_is_named() {
    let refused = |body: Json, path: &str, kind: &str, message: &str| {
        let (output, _) = run(&format!("@BODY.require(\"{path}\", \"{kind}\")"), body.clone());
        let failure = output.outcome.expect_err(path);
        assert_eq!((failure.code, &*failure.message), (ErrorCode::Validation, message), "{body}");
        assert_eq!(failure.details, Some(json!({ "field": path })), "{body}");
    };
    for body in [
        json!({}),
        json!("text"),
        json!(7),
        json!([1]),
        json!(null),
        json!({ "data": 1 }),
        json!({ "data": null }),
    ] {
        refused(body, "data.roomId", "string", "data.roomId is required");
    }
    let one = |value: Json| json!({ "data": { "roomId": value } });
    refused(one(json!(null)), "data.roomId", "string", "data.roomId is required");
    refused(one(json!(7)), "data.roomId", "string", "data.roomId has to be text");
    refused(one(json!(1.5)), "data.roomId", "integer", "data.roomId has to be a whole number");
    refused(one(json!([])), "data.roomId", "object", "data.roomId has to be an object");
    let (output, _) = run("@BODY.require(\"a\", \"strng\")", json!({}));
    let failure = output.outcome.expect_err("an unknown type");
    assert!(failure.message.contains("did you mean string?"), "{}", failure.message);
}

#[test]
fn times_and_patterns() {
    check("@HELPERS.iso(0)", json!({}), json!("1970-01-01T00:00:00.000Z"));
    check("@HELPERS.parseTime(\"1970-01-01T01:00:00.5+01:00\")", json!({}), json!(500));
    check("[@HELPERS.parseTime(\"soon\"), @HELPERS.parseTime(7)]", json!({}), json!([null, null]));
    check("@HELPERS.parseTime(@HELPERS.iso(123456))", json!({}), json!(123_456));
    check("@HELPERS.matches(\"ABC-1\", `^[A-Z]{3}-[0-9]+$`)", json!({}), json!(true));
    check("@HELPERS.matches(\"an ABC-1\", `^[A-Z]{3}-[0-9]+$`)", json!({}), json!(false));
    let refused = [
        "@HELPERS.iso(9223372036854775807)",
        "@HELPERS.matches(\"a\", \"(\")",
        "@HELPERS.matches(\"a\", \"(a{999}){999}\")",
        "let s = \"\"; s.pad(70000, \"a\"); @HELPERS.matches(s, \"a\")",
    ];
    for source in refused {
        assert_eq!(super::sandbox::failure(source).code, ErrorCode::Validation, "{source}");
    }
    // No pattern takes longer than the text and it are long.
    check("let s = \"\"; s.pad(60000, \"a\"); @HELPERS.matches(s, \"(a*)*b\")", json!({}), json!(false));
}
