//! Libraries: what scripts share, and what is refused of it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::sandbox::{engine, recorded};
use crate::error::Failure;
use crate::script::*;

/// `(pack, name, source)`.
type Of<'a> = (Option<&'a str>, &'a str, &'a str);

fn sources(all: &[Of<'_>]) -> Vec<LibrarySource> {
    let source = |(pack, name, source): &Of<'_>| LibrarySource {
        name: (*name).to_owned(),
        pack: pack.map(str::to_owned),
        source: (*source).to_owned(),
    };
    all.iter().map(source).collect()
}

fn on_script_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_script_thread("test".into(), work).unwrap().join().unwrap()
}

/// Runs a script of a pack with these libraries; the message of the compiler where it does not compile.
fn run(libraries: &[Of<'_>], pack: Option<&str>, script: &str) -> Result<Result<Json, Failure>, String> {
    let (sources, pack, script) = (sources(libraries), pack.map(Arc::from), script.to_owned());
    on_script_thread(move || {
        let engine = engine();
        let libraries = Arc::new(Libraries::compile(&engine, sources, &Libraries::default()));
        let script =
            engine.check(&script, &Within { libraries, pack }, None).map_err(|error| error.to_string())?;
        let (host, call) = recorded(&json!({ "n": 1 }), Duration::from_secs(60));
        Ok(engine.run(&script, &call, host).outcome.map(|payload| payload.to_value()))
    })
}

const TEXT: &str = r#"
    import "marks" as marks;
    export const LIMIT = 60 * 2;
    const END = "!";
    const LIST = [1, 2];
    fn shout(text) { loudly(text) + global::END }
    fn loudly(text) { marks::quoted(text.to_upper()) }
    private fn own(text) { text }
    fn of_body() { @BODY.n + LIST_LEN() }
    fn LIST_LEN() { global::LIST.len() }
    fn said(event) { @SOCKET.reply(event, 1); @EVENT }
    fn twice(f, x) { f.call(f.call(x)) }
    fn fails() { throw "no" }
    fn forever() { loop { } }
    fn deep(n) { if n == 0 { 0 } else { 1 + deep(n - 1) } }
"#;
const MARKS: &str = "fn quoted(text) { `«${text}»` }";
const BOTH: [Of<'_>; 2] = [(None, "text", TEXT), (None, "marks", MARKS)];

#[test]
fn libraries_are_called() {
    let check = |script: &str, expected: Json| {
        let script = format!("import \"text\" as t;\n{script}");
        assert_eq!(run(&BOTH, None, &script).expect(&script).expect(&script), expected, "{script}");
    };
    check("t::shout(\"a\")", json!("«A»!"));
    check("t::LIMIT", json!(120));
    check("t::of_body()", json!(3));
    check("t::said(\"e\")", json!("event"));
    check("t::twice(|x| x + 2, 3)", json!(7));
    check("fn own() { t::shout(\"b\") } own()", json!("«B»!"));
    check("import \"marks\" as m; m::quoted(t::LIMIT)", json!("«120»"));
    check("t::deep(20)", json!(20));
}

#[test]
fn what_fails_says_where() {
    let fails = |script: &str| {
        let script = format!("import \"text\" as t;\n{script}");
        run(&BOTH, None, &script).expect(&script).expect_err(&script)
    };
    let failure = fails("t::fails()");
    assert_eq!((failure.code.as_str(), &*failure.message), ("SCRIPT_EXECUTION_ERROR", "no"));
    assert_eq!(failure.details.unwrap(), json!({ "line": 13, "column": 18, "library": "text" }));
    assert_eq!(fails("t::forever()").code.as_str(), "SCRIPT_OPERATION_LIMIT");
    assert_eq!(fails("t::deep(1000)").code.as_str(), "SCRIPT_OPERATION_LIMIT");
    assert_eq!(fails("throw 1").details.unwrap(), json!({ "line": 2, "column": 1 }));
}

#[test]
fn what_does_not_exist_is_refused() {
    for (script, mentions) in [
        (
            "import \"texts\" as t;",
            "there is no library texts; did you mean text?; known: marks, text (line 1, column 8)",
        ),
        ("import \"text\" as t; t::shuot(1)", "did you mean shout?"),
        ("import \"text\" as t; t::shout()", "t::shout takes another number of arguments: 1"),
        ("import \"text\" as t; t::own(1)", "the library text has no function own"),
        ("import \"text\" as t; t::END", "no exported constant END; known: LIMIT"),
        ("import \"text\" as t; t::marks::quoted(1)", "import marks here too"),
        ("text::shout(1)", "text"),
        ("let a = 1; import \"text\" as t;", "imports stand at the top"),
        ("if @BODY.n == 1 { import \"text\" as t; t::shout(1) }", "imports stand at the top"),
        ("fn f() { import \"text\" as t; t::shout(1) } f()", "imports stand at the top"),
        ("let f = || { import \"text\" as t; t::shout(1) }; f.call()", "imports stand at the top"),
        ("import `a${@BODY}` as t;", "constant text"),
        ("import @BODY as t;", "constant text"),
        ("import \"text\";", "no name to call it by"),
        ("export const A = 1;", "exports nothing"),
        ("let a = 1; export a;", "exports nothing"),
    ] {
        let error = run(&BOTH, None, script).expect_err(script);
        assert!(error.contains(mentions), "{script}\n{error}");
    }
}

#[test]
fn a_pack_finds_its_own_first() {
    let all: [Of<'_>; 4] = [
        (None, "name", "fn of() { \"common\" }"),
        (Some("a"), "name", "fn of() { \"a\" }"),
        (Some("b"), "name", "import \"other\" as other; fn of() { `b and ${other::of()}` }"),
        (Some("b"), "other", "import \"a/name\" as name; fn of() { name::of() }"),
    ];
    let check = |pack, path: &str, expected: &str| {
        let script = format!("import \"{path}\" as name; name::of()");
        assert_eq!(
            run(&all, pack, &script).expect(&script).expect(&script),
            json!(expected),
            "{pack:?} {path}"
        );
    };
    check(None, "name", "common");
    check(Some("a"), "name", "a");
    check(Some("b"), "name", "b and a");
    check(Some("c"), "name", "common");
    check(Some("a"), "b/name", "b and a");
    assert!(run(&all, None, "import \"other\" as o;").unwrap_err().contains("there is no library other"));
}

#[test]
fn libraries_that_are_none() {
    let chain: Vec<String> =
        (0..20).map(|n| format!("import \"l{}\" as next; fn f() {{ 1 }}", n + 1)).collect();
    let names: Vec<String> = (0..=20).map(|n| format!("l{n}")).collect();
    let mut long: Vec<Of<'_>> =
        chain.iter().zip(&names).map(|(source, name)| (None, name.as_str(), source.as_str())).collect();
    long.push((None, "l20", "fn f() { 1 }"));
    let cases: [(&[Of<'_>], &str); 10] = [
        (&[(None, "l0", "import \"l0\" as me;")], "libraries import each other: l0 → l0"),
        (
            &[(None, "l0", "import \"l1\" as a;"), (None, "l1", "import \"l0\" as a;")],
            "libraries import each other: l0 → l1 → l0",
        ),
        (&[(None, "l0", "import \"gone\" as a;")], "there is no library gone"),
        (&[(None, "l0", "let a = 1;")], "a library has functions and constants only"),
        (&[(None, "l0", "@SOCKET.broadcast(\"e\", 1);")], "a library has functions and constants only"),
        (&[(None, "l0", "const A = @BODY;")], "the constant A is no plain value"),
        (&[(None, "l0", "const A = f(); fn f() { 1 }")], "the constant A is no plain value"),
        (&[(None, "l0", "fn f() { ")], "l0 does not compile"),
        (&[(None, "l0", "fn f() { import \"x\" as x; }")], "imports stand at the top"),
        (&long, "more than 16 libraries import each the next"),
    ];
    for (libraries, mentions) in cases {
        let error = run(libraries, None, "import \"l0\" as l;").expect_err(mentions);
        assert!(error.contains(mentions), "{mentions}\n{error}");
    }
    let many: String = (0..40).map(|n| format!("import \"text\" as t{n};\n")).collect();
    assert!(run(&BOTH, None, &many).unwrap_err().contains("at most 32"));
}

#[test]
fn those_that_stay_the_same_are_kept() {
    on_script_thread(|| {
        let engine = engine();
        let first = Libraries::compile(&engine, sources(&BOTH), &Libraries::default());
        let again = Libraries::compile(&engine, sources(&BOTH), &first);
        assert!(again.is_same(&first));
        let other = [BOTH[0], (None, "marks", "fn quoted(text) { text }"), (None, "new", "")];
        let other = Libraries::compile(&engine, sources(&other), &first);
        assert!(!other.has_same(&first, "marks") && !other.has_same(&first, "text"));
        let new = [BOTH[0], BOTH[1], (None, "new", "")];
        let new = Libraries::compile(&engine, sources(&new), &first);
        assert!(new.has_same(&first, "marks") && new.has_same(&first, "text") && !new.is_same(&first));
        // What was compiled with the first stays so.
        let within = Within { libraries: Arc::new(first), pack: None };
        let script = engine.compile("import \"text\" as t; t::shout(\"a\")", &within).unwrap();
        assert!(script.is_of(&new, None) && !script.is_of(&other, None));
        drop(within);
        let (host, call) = recorded(&json!({}), Duration::from_secs(60));
        let done = engine.run(&script, &call, host).outcome.unwrap().to_value();
        assert_eq!(done, json!("«A»!"));
    });
}
