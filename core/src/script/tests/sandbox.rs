//! Scripts in, effects out: the macros, and what hostile scripts cost.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::auth::Secret;
use crate::broker::{Presence, Publication};
use crate::cache::Cache;
use crate::config::Config;
use crate::error::{ErrorCode, Failure};
use crate::script::*;

pub(super) fn engine() -> ScriptEngine {
    engine_with(|_| {})
}

fn engine_with(change: impl FnOnce(&mut crate::config::Scripts)) -> ScriptEngine {
    let mut limits = Config::defaults().scripts;
    change(&mut limits);
    ScriptEngine::new(&limits, Arc::new(Secret::from_bytes([7; 32])), None)
}

/// A socket of the gateway `/test`, whoever its host is.
pub(super) fn of_socket() -> Origin {
    let socket = Arc::new(RecordedHost::new(None, Vec::new(), false));
    Origin::Socket { gateway: "/test".into(), socket }
}

/// A recorded host, and a call of its socket.
pub(super) fn recorded(body: &Json, timeout: Duration) -> (Arc<RecordedHost>, Call) {
    let host = Arc::new(RecordedHost::new(None, Vec::new(), false));
    let origin = Origin::Socket { gateway: "/test".into(), socket: host.clone() };
    (host, Call { origin, ..call(body, timeout) })
}

pub(super) fn call(body: &Json, timeout: Duration) -> Call {
    Call {
        origin: of_socket(),
        event: "event".into(),
        request_id: crate::id::new_id(),
        arguments: Arguments::one(body),
        user: None,
        timeout,
        test: None,
    }
}

/// Runs `source` on a script thread with a recorded host.
fn run_with(engine: ScriptEngine, source: &str, body: Json, timeout: Duration) -> (RunOutput, Vec<Emitted>) {
    let source = source.to_owned();
    spawn_script_thread("test".into(), move || {
        let script =
            engine.compile(&source, &Within::default()).unwrap_or_else(|error| panic!("{error}\n{source}"));
        let (host, call) = recorded(&body, timeout);
        let output = engine.run(&script, &call, host.clone());
        (output, host.emitted())
    })
    .unwrap()
    .join()
    .unwrap()
}

pub(super) fn run(source: &str, body: Json) -> (RunOutput, Vec<Emitted>) {
    run_with(engine(), source, body, Duration::from_secs(60))
}

/// What a script gives back.
pub(super) fn check(source: &str, body: Json, expected: Json) {
    let (output, _) = run(source, body);
    assert_eq!(output.outcome.map(|payload| payload.to_value()), Ok(expected), "{source}");
}

pub(super) fn failure(source: &str) -> Failure {
    run(source, json!({})).0.outcome.expect_err(source)
}

pub(super) fn check_failure(source: &str, code: ErrorCode, message: &str) {
    let failure = failure(source);
    assert_eq!((failure.code, failure.message.as_ref()), (code, message), "{source}");
}

#[test]
fn macros() {
    check("@BODY.text", json!({"text": "hi"}), json!("hi"));
    check(
        "let b = @BODY; b.text = 1; [b, @BODY, @DATA.text]",
        json!({"text": "hi"}),
        json!([{"text": 1}, {"text": "hi"}, "hi"]),
    );
    check("@ARGS.len()", json!(null), json!(1));
    check("[@BODY == (), @USER, @EVENT, @GATEWAY]", json!(null), json!([true, null, "event", "/test"]));
    check("@BODY", json!(0), json!(0));
    check("@BODY", json!(false), json!(false));
    check("@BODY", json!(""), json!(""));
    check("`@BODY.x ${1}` + \"@LOGS(1)\" // @THROW404(\"x\")", json!({}), json!("@BODY.x 1@LOGS(1)"));
    check("let x = #{ a: @BODY }; x.a.push(3); [x, @BODY]", json!([1, 2]), json!([{"a": [1, 2, 3]}, [1, 2]]));
    check("let f = |x| x + @BODY; [1, 2].map(f)", json!(10), json!([11, 12]));
    check("fn twice(x) { x * @BODY.by } twice(4)", json!({"by": 2}), json!(8));
    check("@PARAMS.x == ()", json!({}), json!(true));
    check("exit(5); 6", json!({}), json!(5));
    check("", json!({}), json!(null));
    check("9007199254740993", json!({}), json!(9_007_199_254_740_993_i64));
}

/// Text as a string literal of Rhai.
fn literal(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c.is_control() => format!("\\U{:08x}", c as u32),
            c => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// The macros are part of the grammar: whatever stands in strings and comments survives, and
    /// positions are those of the author's text.
    #[test]
    fn strings_and_comments_are_never_touched(
        text in "(@[A-Z]{1,7}[0-9]{0,3}(\\.[a-z]{1,5}\\(\"x\"\\))?|#[a-z_]{1,6}\\.|[ -~]|\\PC){0,30}",
    ) {
        let comment: String = text.replace("*/", "").replace("/*", "");
        let source = format!("/* {comment} */ let s = {}; // {comment}\n[s, @BODY]", literal(&text));
        let (output, _) = run(&source, json!("body"));
        prop_assert_eq!(output.outcome.map(|payload| payload.to_value()), Ok(json!([text, "body"])));

        let wrong = format!("let s = {}; // {comment}\n  s.nothing()", literal(&text));
        let details = run(&wrong, json!({})).0.outcome.expect_err("there is no such function").details;
        prop_assert_eq!(details, Some(json!({ "line": 2, "column": 5 })));
    }
}

#[test]
fn logs_are_flat() {
    let (output, _) =
        run("@LOGS(\"a\", #{b: 1}); @LOGS(); print(\"p\"); @LOGS([1], ()); throw \"x\"", json!({}));
    assert_eq!(serde_json::from_str::<Json>(&output.logs).unwrap(), json!(["a", {"b": 1}, "p", [1], null]));
    assert_eq!(output.outcome.unwrap_err().message, "x");
}

#[test]
fn throws_have_codes() {
    for (call, code) in [
        ("badRequest", ErrorCode::BusinessLogic),
        ("businessLogic", ErrorCode::BusinessLogic),
        ("unauthorized", ErrorCode::Authentication),
        ("forbidden", ErrorCode::Authorization),
        ("notFound", ErrorCode::ResourceNotFound),
        ("conflict", ErrorCode::DuplicateResource),
        ("duplicate", ErrorCode::DuplicateResource),
        ("validation", ErrorCode::Validation),
        ("tooManyRequests", ErrorCode::RateLimitExceeded),
        ("rateLimit", ErrorCode::RateLimitExceeded),
        ("internal", ErrorCode::Internal),
        ("serviceUnavailable", ErrorCode::ServiceUnavailable),
    ] {
        check_failure(&format!("@THROW.{call}(\"é said `\" + 1)"), code, "é said `1");
    }
    check_failure("@THROW404(\"gone\")", ErrorCode::ResourceNotFound, "gone");
    check_failure("fn f() { throw \"plain\" } f()", ErrorCode::ScriptExecution, "plain");
    let teapot = failure("@THROW.http(418, \"tea\", #{ a: 1 })");
    assert_eq!((teapot.code, teapot.details), (ErrorCode::Http, Some(json!({"a": 1, "statusCode": 418}))));
    let detailed = failure("@THROW.validation(\"m\", #{ field: \"x\" })");
    assert_eq!(detailed.details, Some(json!({"field": "x"})));
    let placed = failure("let a = 1;\n  a.nothing()");
    assert_eq!(placed.details, Some(json!({"line": 2, "column": 5})));
    check(
        "let r = (); try { @THROW404(\"x\") } catch (e) { r = [e.code, e.message] } r",
        json!({}),
        json!(["RESOURCE_NOT_FOUND", "x"]),
    );
}

#[test]
fn socket_calls_are_recorded() {
    let (output, emitted) = run(
        r##"@SOCKET.join("r"); @SOCKET.reply("e", #{ok: true}); @SOCKET.emitToRoom("/x", "r", "e", 1);
            @SOCKET.emitToUser(7, "e", ()); let rooms = @SOCKET.rooms(); @SOCKET.set("k", [1]);
            @SOCKET.disconnect(); [rooms, @SOCKET.roomSize("r"), @SOCKET.get("k"), @SOCKET.get("no")]"##,
        json!({}),
    );
    assert_eq!(output.outcome.unwrap().to_value(), json!([["r"], 1, [1], null]));
    let emitted = serde_json::to_value(emitted).unwrap();
    assert_eq!(
        emitted,
        json!([
            {"method": "join", "args": ["r"]},
            {"method": "reply", "args": ["e", {"ok": true}]},
            {"method": "emitToRoom", "args": ["/x", "r", "e", 1]},
            {"method": "emitToUser", "args": ["7", "e", null]},
            {"method": "set", "args": ["k", [1]]},
            {"method": "disconnect", "args": []},
        ])
    );
}

#[test]
fn helpers_and_cache() {
    check(
        r#"[@CACHE.get("a"), @CACHE.set("a", #{x: 1}), @CACHE.get("a").x, @CACHE.delete("a"), @CACHE.get("a")]"#,
        json!({}),
        json!([null, null, 1, true, null]),
    );
    check(
        r#"[@CACHE.incr("n"), @CACHE.incr("n", 4), @CACHE.acquire("l", 1000), @CACHE.release("l")]"#,
        json!({}),
        json!([1, 5, true, true]),
    );
    check(
        r#"[@HELPERS.slug("A b!"), @HELPERS.uuid().len(), @HELPERS.now() > 0, @HELPERS.randomBytes(4).len()]"#,
        json!({}),
        json!(["a-b", 36, true, 4]),
    );
    check(
        r#"let h = @HELPERS.hashPassword("p"); [@HELPERS.verifyPassword("p", h), @HELPERS.verifyPassword("q", h)]"#,
        json!({}),
        json!([true, false]),
    );
    check(r##"@HELPERS.jwt.sign(#{ sub: "x" }, 1000).split(".").len()"##, json!({}), json!(3));
    check_failure(
        r#"@HELPERS.fetch("http://127.0.0.1/")"#,
        ErrorCode::Validation,
        "fetch: the host 127.0.0.1 is not in scripts.fetch_hosts",
    );
}

/// Each of these must end with one of the codes, in time, and leave nothing behind.
#[test]
fn hostile_scripts_end() {
    use ErrorCode::{
        ScriptExecution as Other, ScriptMemoryLimit as Memory, ScriptOperationLimit as Operations,
        ScriptOutputLimit as Output, ScriptTimeout as Time,
    };
    let cases: &[(&str, &[ErrorCode])] = &[
        ("loop {}", &[Operations, Time]),
        ("while true { let x = 1; }", &[Operations, Time]),
        ("fn f(n) { f(n + 1) } f(0)", &[Operations]),
        ("let s = \"x\"; loop { s += s; }", &[Memory]),
        ("let a = []; for i in 0..9999 { a.push(\"x\".pad(1000000, \"y\")); }", &[Memory, Time]),
        ("let a = []; for i in 0..9999 { let s = \"x\"; s.pad(1000000, \"y\"); a.push(s + i); }", &[Memory]),
        ("let a = [1]; loop { a += a; }", &[Memory]),
        ("let a = [1]; loop { a.append(a); }", &[Memory]),
        ("let m = #{}; let i = 0; loop { m[`k${i}`] = i; i += 1; }", &[Memory, Operations]),
        ("let a = []; for i in 0..10001 { a.push(i); } a.len()", &[Memory]),
        ("let m = #{}; for i in 0..10001 { m[`k${i}`] = i; } m.len()", &[Memory]),
        ("let m = #{}; for i in 0..10001 { m.set(`k${i}`, i); } m.len()", &[Memory]),
        ("let a = [[]]; for i in 0..10001 { a[0].push(i); } a.len()", &[Memory]),
        ("let a = []; for i in 0..10001 { a.insert(0, i); } a.len()", &[Memory]),
        ("let b = blob(9000, 1); let a = []; loop { a.push(b); }", &[Memory]),
        ("let a = []; loop { a = [a]; }", &[Memory, Time]),
        ("let m = #{}; loop { m = #{ m: m }; }", &[Memory, Time]),
        ("let m = []; loop { m = #{ m: [m] }; }", &[Memory, Time]),
        (
            "let f = |x| x; for i in 0..1000000 { let g = f; f = |x| g.call(x); } f.call(1)",
            &[Memory, Operations, Time],
        ),
        ("let a = []; for i in 0..9000 { a = [a]; } `${a}`", &[Memory, Time]),
        ("let a = []; let b = []; for i in 0..9000 { a = [a]; b = [b]; } a == b", &[Memory, Time, Output]),
        (
            "let s = \"x\"; s.pad(1000000, \"y\"); let a = []; for i in 0..9999 { a.push(s); } `${a}`",
            &[Memory],
        ),
        (
            "let s = \"x\"; s.pad(1000000, \"y\"); let a = []; for i in 0..9999 { a.push(s); } #{ a: a }.to_json()",
            &[Output, Memory],
        ),
        ("let s = \"a\"; s.pad(1000000, \"a\"); let t = s; s.replace(\"a\", t); s", &[Memory]),
        (
            "let s = \"a\"; s.pad(1000000, \"a\"); loop { s.index_of(\"ab\"); s.contains(\"b\"); s.split(\"\"); }",
            &[Memory, Time, Operations],
        ),
        ("loop { @LOGS(\"a rather long line of text to fill the log with\"); }", &[Output]),
        ("let s = \"x\"; s.pad(1000000, \"y\"); @LOGS(s)", &[Output]),
        ("let s = \"x\"; s.pad(1000000, \"y\"); [s, s]", &[Output]),
        ("let a = []; for i in 0..100 { a = [a]; } a", &[Output]),
        ("let a = []; for i in 0..100 { a = [a]; } @SOCKET.reply(\"e\", a)", &[Output]),
        ("let a = []; for i in 0..100 { a = [a]; } throw a", &[Other]),
        ("let a = []; for i in 0..100 { a = [a]; } @THROW.badRequest(\"m\", a)", &[Output]),
        ("let a = []; for i in 0..100 { a = [a]; } @CACHE.set(\"k\", a)", &[Output]),
        ("let a = []; for i in 0..100 { a = [a]; } @SOCKET.set(\"k\", a)", &[Output]),
        ("for i in 0..2000 { @SOCKET.reply(\"e\", i); }", &[Output]),
        ("try { loop { @SOCKET.reply(\"e\", 1); } } catch (e) { loop {} }", &[Output]),
        ("loop { try { loop {} } catch (e) { } }", &[Operations, Time]),
        ("@HELPERS.sleep(100000)", &[Time]),
        ("sleep(100)", &[Other]),
        ("|x| x", &[Other]),
        ("let m = #{}; m.f = || m; m.f.call()", &[Other, Operations]),
        (
            "(0..1000000000).contains(-1); let n = 0; for i in 0..1000000000 { n += i; } n",
            &[Operations, Time],
        ),
        ("let a = []; a.pad(10000, 1); a.sort(|x, y| { loop {} })", &[Operations, Time]),
        ("let a = []; a.pad(100000, 1);", &[Memory]),
    ];
    for (source, codes) in cases {
        let start = std::time::Instant::now();
        let engine = engine_with(|limits| limits.operations = 1_000_000);
        // What has to end for another reason has time for it, however busy the machine is.
        let timeout = Duration::from_secs(if codes.contains(&Time) { 1 } else { 60 });
        let (output, _) = run_with(engine, source, json!({}), timeout);
        let failure = output.outcome.expect_err(source);
        assert!(codes.contains(&failure.code), "{source}\nended with {failure}");
        assert!(start.elapsed() < Duration::from_secs(300), "{source} took {:?}", start.elapsed());
    }
}

#[test]
fn forbidden_words_do_not_compile() {
    let engine = engine();
    for source in [
        "eval(\"1\")",
        "import \"x\" as y;",
        "export let x = 1;",
        "debug(1)",
        "@NOPE",
        "@SOKCET.reply(1)",
        "undefined_name",
        "let x = ;",
    ] {
        let error = engine.compile(source, &Within::default()).expect_err(source);
        assert!(error.line >= 1, "{source}: {error}");
    }
    assert!(
        engine.compile("@SOKCET", &Within::default()).unwrap_err().message.contains("did you mean @SOCKET?")
    );
    assert!(engine.compile(&" ".repeat(1 << 20), &Within::default()).is_err());
}

#[test]
fn javascript_habits_get_a_hint() {
    let engine = engine();
    for (source, hint) in [
        ("@SOCKET.reply(\"x\", { ok: true });", "#{ ok: true }"),
        ("return { sent: true };", "#{ ok: true }"),
        ("const { a } = @BODY;", "let a = @BODY.a"),
        ("let { a } = @BODY;", "let a = @BODY.a"),
        ("let x = await @HELPERS.now();", "leave it out"),
        ("if @BODY.a === 1 { }", "`==`"),
        ("let f = (x) => x;", "|x| x + 1"),
        ("[1].map(x => x)", "|x| x + 1"),
        ("let x = null;", "`()`"),
        ("if @BODY.a == undefined { }", "`()`"),
        ("@SOCKET.reply('connected', 1);", "double quotes"),
        ("let s = 'single quotes';", "double quotes"),
        ("if (!@BODY.a) @THROW.badRequest(\"x\");", "braces"),
        ("var x = 1;", "let x"),
        ("function f(a) { return a; }", "fn name(a)"),
        ("throw new Error(\"x\");", "no `new`"),
        ("let x = @BODY.a ? 1 : 2;", "if x { a } else { b }"),
        ("for (let i = 0; i < 3; i++) { }", "for i in 0..10"),
        ("let i = 0; i++;", "i += 1"),
        ("let x = [...@BODY.a];", "a + b"),
        ("let x = #{ ...@BODY };", "a + b"),
        ("switch (@BODY.a) { case 1: break; }", "switch x {"),
        ("class A { }", "no classes"),
        ("import x from \"y\";", "import \"name\" as name"),
        ("console.log(1);", "@LOGS"),
        ("return JSON.stringify(@BODY);", "to_json"),
        ("return typeof @BODY;", "type_of(x)"),
    ] {
        let error = engine.compile(source, &Within::default()).expect_err(source);
        assert!(error.message.contains(hint), "{source}\n{error}");
        let own = error.hint.unwrap_or_else(|| panic!("{source}: no hint of its own"));
        assert!(own.contains(hint) && error.message.ends_with(&own), "{source}\n{}", error.message);
    }
}

#[test]
fn values_in_plain_text_are_remarked() {
    let check = |source: &str, expected: &[(usize, usize)]| {
        let found = engine().remarks(source);
        let places: Vec<_> = found.iter().map(|remark| (remark.line, remark.column)).collect();
        assert_eq!(places, expected, "{source}");
        assert!(found.iter().all(|remark| remark.hint.is_some()));
    };
    check("let x = \"Hello ${@BODY.name}\";", &[(1, 9)]);
    check("// \"${a}\"\nlet ö = `${@BODY.a}` + \"${a}\";", &[(2, 24)]);
    check("`${ if true { \"${a}\" } else { `${1} \"${2}\"` } }`", &[(1, 15)]);
    check("\"a \\\" ${x}\"; \"two\nlines\"; \"${y}\"", &[(1, 1), (2, 9)]);
    check("\"$ {x}\"; `\"${x}\"`; '\"'", &[]);
}

/// What runs leave behind: nothing, unless a script makes a cycle of closures.
#[test]
fn leaks_are_seen() {
    fn left_behind(source: &'static str, runs: usize) -> u64 {
        spawn_script_thread("test".into(), move || {
            let engine = engine();
            let script = engine.compile(source, &Within::default()).unwrap();
            let host = Arc::new(RecordedHost::new(None, Vec::new(), false));
            let call = call(&json!({"text": "hello", "n": [1, 2, 3]}), Duration::from_secs(5));
            (0..runs).map(|_| engine.run(&script, &call, host.clone()).left_behind_bytes).skip(1).sum()
        })
        .unwrap()
        .join()
        .unwrap()
    }
    for clean in [
        "let text = @BODY.text; @SOCKET.reply(\"e\", #{ t: text }); @LOGS(text, @BODY); return #{ sent: true };",
        "@THROW.badRequest(\"no \" + @BODY.text, #{ a: [1, 2] })",
        "throw #{ message: \"a message\" }",
        "let a = [1, 2, 3].map(|x| x * 2); let f = |x| a.len() + x; f.call(3)",
        "@CACHE.set(\"k\", @BODY); @CACHE.incr(\"n\"); @CACHE.get(\"k\").text + @HELPERS.uuid()",
        "@SOCKET.set(\"k\", @BODY); @SOCKET.join(\"r\"); @SOCKET.members(\"r\").len() + @SOCKET.rooms().len()",
        "for i in 0..2000 { @SOCKET.reply(\"e\", i); }",
        "let s = \"x\"; loop { s += s; }",
        "let x = @BODY.missing.deeper;",
    ] {
        assert_eq!(left_behind(clean, 20), 0, "{clean}");
    }
    let leaky = "let b = blob(9000, 1); let m = #{ b: b }; m.f = || m; 1";
    assert!(left_behind(leaky, 11) > 10 * 9000);
}

#[test]
fn a_panic_in_a_host_call_ends_the_run_only() {
    struct Panics(RecordedHost);
    impl Host for Panics {
        fn check_event(&self, path: &str, event: &str) -> Result<(), Failure> {
            self.0.check_event(path, event)
        }
        fn later(&self, later: crate::jobs::LaterJob) -> Result<(), Failure> {
            self.0.later(later)
        }
        fn cancel(&self, id: uuid::Uuid) -> bool {
            self.0.cancel(id)
        }
        fn check_gateway(&self, path: &str) -> Result<(), Failure> {
            self.0.check_gateway(path)
        }
        fn publish(&self, _: Publication) -> Result<(), Failure> {
            panic!("the host call panics")
        }
        fn presence(&self) -> &dyn Presence {
            self.0.presence()
        }
        fn cache(&self) -> &dyn Cache {
            self.0.cache()
        }
        fn is_live(&self) -> bool {
            false
        }
    }
    let engine = engine();
    let script = engine.compile("@LOGS(1); @SOCKET.broadcast(\"e\", 1)", &Within::default()).unwrap();
    let host = Arc::new(Panics(RecordedHost::new(None, Vec::new(), false)));
    let output = engine.run(&script, &call(&json!({}), Duration::from_secs(5)), host.clone());
    assert_eq!((output.outcome.unwrap_err().code, &*output.logs), (ErrorCode::Internal, "[1]"));
    let script = engine.compile("2", &Within::default()).unwrap();
    let output = engine.run(&script, &call(&json!({}), Duration::from_secs(5)), host);
    assert_eq!(output.outcome.unwrap().json, "2");
}
