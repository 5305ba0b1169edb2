//! Values that would cost more than they should: long, many, at the ends of numbers.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::sandbox::{call, check, check_failure, engine, failure, run};
use crate::config::Config;
use crate::error::ErrorCode;
use crate::script::*;

/// No one operation makes so much out of little that the cap comes too late.
#[test]
fn one_operation_takes_little_more_than_the_cap() {
    let text = "let s = \"x\"; s.pad(4000000, \"x\");";
    let words = "let s = \"\"; s.pad(4000000, \"x \");";
    let json =
        |part: &str| format!("let s = \"\"; s.pad(4000000, \"{part},\"); parse_json(\"[\" + s + \"1]\")");
    let mut cases: Vec<String> = [
        "s.split(\"\")",
        "s.split(\"\", 3000000)",
        "s.split_rev(\"\")",
        "s.split_rev(\"\", 3000000)",
        "s.split(\"x\")",
        "s.split('x')",
        "s.split('x', 3000000)",
        "s.split_rev('x')",
        "s.to_chars()",
        "let n = 0; for c in s.chars() { n += 1; } n",
        "let a = []; for i in 0..9000 { a.push(s); } a",
        "let m = #{}; for i in 0..9000 { m[s + i] = i; } m.keys()",
    ]
    .map(|script| format!("{text} {script}"))
    .into();
    cases.push(format!("{words} s.split()"));
    cases.push(format!("{words} s.split(' ')"));
    cases.extend(["[]", "0", "{}"].map(json));
    cases.extend(
        [
            "let s = \"\"; s.pad(4000000, \"\\x01\"); s.to_debug()",
            "let s = \"\"; s.pad(4000000, \"\\x01\"); `${[s]}`",
            "let b = []; b.pad(8191, 0); let a = []; a.pad(2251799813685248, b)",
            "let b = []; b.pad(9999, 0); let a = []; a.pad(9999, b)",
            "let m = #{}; for i in 0..5000 { m[`${i}`] = i; } let a = []; a.pad(9999, m)",
            "let a = []; a.pad(9223372036854775807, 0)",
            "let b = blob(9000, 1); b.pad(9223372036854775807, 1)",
            "blob(9223372036854775807, 1)",
            "let s = \"x\"; s.pad(9223372036854775807, \"xyz\")",
        ]
        .map(str::to_owned),
    );
    for source in cases {
        let (failure, peak) = spawn_script_thread("test".into(), {
            let source = source.clone();
            move || {
                let engine = engine();
                let script = engine
                    .compile(&source, &Within::default())
                    .unwrap_or_else(|error| panic!("{error}\n{source}"));
                let host = Arc::new(RecordedHost::new(None, Vec::new(), false));
                let output = engine.run(&script, &call(&json!({}), Duration::from_secs(60)), host);
                (output.outcome.err(), crate::script::memory::peak_bytes())
            }
        })
        .unwrap()
        .join()
        .unwrap();
        let cap = Config::defaults().scripts.memory_bytes as i64;
        assert!(peak < 3 * cap, "{source} held {} MiB", peak >> 20);
        let is_internal = failure.as_ref().is_some_and(|failure| failure.code == ErrorCode::Internal);
        assert!(!is_internal, "{source}: {failure:?}");
    }
}

#[test]
fn split_and_pad_are_as_they_were() {
    check("\"a,b,c\".split(\",\")", json!({}), json!(["a", "b", "c"]));
    check("\"a,b,c\".split(',', 2)", json!({}), json!(["a", "b,c"]));
    check("\"a,b,c\".split_rev(\",\", 2)", json!({}), json!(["c", "a,b"]));
    check("\"a,b\".split_rev(',')", json!({}), json!(["b", "a"]));
    check("\" a  b \".split()", json!({}), json!(["a", "b"]));
    check("[\"\".split(), \"\".split(\",\"), \"abc\".split(1)]", json!({}), json!([[""], [""], ["a", "bc"]]));
    check("\"abc\".to_chars()", json!({}), json!(["a", "b", "c"]));
    check("let a = [1]; a.pad(3, [2]); a.pad(2, 0); a", json!({}), json!([1, [2], [2]]));
    check("parse_json(`{\"a\": [1, 2.5, null, \"x\"]}`)", json!({}), json!({"a": [1, 2.5, null, "x"]}));
    check("[\"it's\\n\"].to_debug()", json!({}), json!("[\"it's\\n\"]"));
}

/// The largest and the least numbers, and what is no number, where something is counted by them.
#[test]
fn numbers_at_the_ends_break_nothing() {
    let (most, least) = ("9223372036854775807", "(-9223372036854775807 - 1)");
    for script in [
        "@CACHE.set(\"k\", 1, MOST); @CACHE.get(\"k\")",
        "@CACHE.set(\"k\", 1, LEAST)",
        "@CACHE.incr(\"n\", MOST, MOST); @CACHE.incr(\"n\", 1)",
        "@CACHE.acquire(\"l\", MOST)",
        "@HELPERS.sleep(LEAST)",
        "@HELPERS.randomBytes(MOST)",
        "@HELPERS.randomBytes(LEAST)",
        "@HELPERS.jwt.sign(#{ a: MOST, exp: LEAST }, MOST)",
        "@THROW.http(MOST, \"x\")",
        "LEAST / -1",
        "LEAST % -1",
        "-LEAST",
        "LEAST.abs()",
        "1 << MOST",
        "1 >> LEAST",
        "2 ** MOST",
        "[1][LEAST]",
        "[1].extract(LEAST, MOST)",
        "[1].splice(LEAST, MOST, [])",
        "[1].remove(LEAST)",
        "[1].insert(LEAST, 1)",
        "[1].chop(LEAST)",
        "[1].truncate(LEAST)",
        "\"abc\".sub_string(LEAST, MOST)",
        "\"abc\".crop(LEAST, MOST)",
        "\"abc\".get(LEAST)",
        "\"abc\".split(LEAST)",
        "5.get_bits(LEAST, MOST)",
        "blob(5).extract(LEAST, MOST)",
        "blob(5).parse_le_int(LEAST, MOST)",
        "(1.0 / 0.0).to_int()",
        "for i in range(0, MOST, MOST) { }",
        "for i in range(LEAST, MOST, MOST) { }",
    ] {
        let source = script.replace("MOST", most).replace("LEAST", least);
        let (output, _) = run(&source, json!({}));
        if let Err(failure) = output.outcome {
            assert_ne!(failure.code, ErrorCode::Internal, "{source}: {failure}");
        }
    }
    check("[0.0 / 0.0, 1.0 / 0.0, -1.0 / 0.0]", json!({}), json!([null, null, null]));
}

#[test]
fn what_errors_say_is_bounded() {
    for script in [
        "throw s",
        "throw [s, s]",
        "throw #{ message: s }",
        "@THROW.badRequest(s)",
        "[1][s]",
        "let m = #{}; m[s].a.b",
        "s.nothing(s)",
        "s - 1",
        "parse_json(s)",
        "@HELPERS.parse(s)",
        "@CACHE.incr(s)",
    ] {
        let source = format!("let s = \"x\"; s.pad(1000000, \"y\"); {script}");
        let failure = failure(&source);
        assert!(failure.message.len() <= 17 << 10, "{script}: {} bytes", failure.message.len());
    }
}

#[test]
fn a_hash_that_costs_too_much_is_refused() {
    let hash =
        "$argon2id$v=19$m=4194304,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    check_failure(
        &format!("@HELPERS.verifyPassword(\"p\", \"{hash}\")"),
        ErrorCode::Validation,
        "verifyPassword: the hash asks for more memory or passes than it may",
    );
}
