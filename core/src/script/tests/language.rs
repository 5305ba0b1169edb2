//! The language as its authors meet it: the table of all calls, and what is refused before it runs.

use std::any::TypeId;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::auth::Secret;
use crate::config::Config;
use crate::script::*;

fn engine() -> ScriptEngine {
    ScriptEngine::new(&Config::defaults().scripts, Arc::new(Secret::from_bytes([7; 32])), None)
}

/// The errors of scripts that are checked; empty for those that are fine.
fn errors(sources: &[&str]) -> Vec<(String, usize, usize)> {
    let sources: Vec<String> = sources.iter().map(|source| (*source).to_owned()).collect();
    let check = move || {
        let engine = engine();
        let tables = BTreeSet::from(["message", "room", "todo"].map(str::to_owned));
        let error = |source: &String| match engine.check(source, &Within::default(), Some(&tables)) {
            Ok(_) => (String::new(), 0, 0),
            Err(error) => (error.message, error.line, error.column),
        };
        sources.iter().map(error).collect()
    };
    spawn_script_thread("test".into(), check).unwrap().join().unwrap()
}

#[track_caller]
fn check_refused(source: &str, place: (usize, usize), mentions: &[&str]) {
    let (message, line, column) = errors(&[source]).remove(0);
    for mention in mentions {
        assert!(message.contains(mention), "{source}\n{message:?} does not mention {mention:?}");
    }
    assert!(!message.is_empty(), "{source} is not refused");
    if place != (0, 0) {
        assert_eq!((line, column), place, "{source}\n{message}");
    }
}

/// What is registered on our types, as `@SOCKET join 1`, and the same of the table.
#[test]
fn the_table_has_what_is_registered_and_nothing_else() {
    let registered: BTreeSet<(String, String, usize)> = engine().registered_on_macros().into_iter().collect();
    let mut listed = BTreeSet::new();
    for group in GROUPS.iter().filter(|group| !group.of.is_empty()) {
        for entry in group.entries {
            assert_eq!(entry.of, group.of, "{entry:?}");
            let (least, most) = entry.arguments();
            for count in least..=most {
                listed.insert((group.of.to_owned(), entry.name().to_owned(), count));
            }
        }
    }
    assert_eq!(registered, listed);
    let macros: BTreeSet<&str> = macros::names().into_iter().collect();
    let listed: BTreeSet<&str> = GROUPS[0].entries.iter().map(|entry| &entry.name()[1..]).collect();
    assert_eq!(macros, listed);
}

#[test]
fn every_entry_says_what_it_is() {
    for entry in GROUPS.iter().flat_map(|group| group.entries) {
        assert!(!entry.about.is_empty() && !entry.example.is_empty(), "{entry:?}");
        assert!(entry.example.contains(entry.of) || entry.of == "#table", "{entry:?}");
        assert!(entry.example.contains(entry.name()), "{entry:?}");
    }
    assert!(serde_json::to_string(&GROUPS).unwrap().contains("ttlMs?"), "it is data");
}

/// Each example does what it shows; those of `@THROW` end with the code that they are listed with.
#[test]
fn every_example_runs() {
    let fixture = super::table::fixture();
    for entry in GROUPS.iter().flat_map(|group| group.entries) {
        let request = HttpRequest::new(
            "GET".into(),
            "/x".into(),
            "127.0.0.1".into(),
            Default::default(),
            Default::default(),
        );
        let request = (entry.place == reference::Place::Route).then(|| Arc::new(request));
        let (outcome, _) = fixture.run_for(entry.example, Duration::from_secs(60), request);
        match outcome {
            // A test run reaches no host.
            _ if entry.name() == "fetch" => {}
            Ok(_) => assert!(entry.of != "@THROW" && entry.name() != "@THROW404", "{entry:?}"),
            Err(failure) if entry.of == "@THROW" => {
                let code = failure.code.as_str();
                assert!(entry.errors.contains(&format!("`{code}`")), "{entry:?}: {failure}");
            }
            Err(failure) => assert!(["@THROW", "@THROW404"].contains(&entry.name()), "{entry:?}: {failure}"),
        }
    }
}

/// Compares `docs/scripts.md` with the table. `GATEWRIGHT_WRITE_DOCS=1 cargo test -p gatewright-core
/// scripts_md` writes it anew.
#[test]
fn scripts_md_is_current() {
    const BEGIN: &str = "<!-- made from core/src/script/reference by scripts_md_is_current -->\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/scripts.md");
    let present = std::fs::read_to_string(path).unwrap();
    let (by_hand, _) = present.split_once(BEGIN).expect("the mark where the table begins");
    let current = format!("{by_hand}{BEGIN}{}", as_markdown());
    if std::env::var_os("GATEWRIGHT_WRITE_DOCS").is_some() {
        std::fs::write(path, &current).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap() == current,
        "docs/scripts.md is not current: GATEWRIGHT_WRITE_DOCS=1 cargo test -p gatewright-core scripts_md"
    );
    for name in reserved::reserved_names() {
        assert!(by_hand.contains(&format!("`{name}`")), "docs/scripts.md does not name the reserved {name}");
    }
}

/// The scripts of `docs/scripts.md` that are written by hand compile too.
#[test]
fn scripts_in_the_guide_compile() {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/scripts.md")).unwrap();
    let blocks: Vec<&str> = guide
        .split("```rhai\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("\n```"))
        .map(|(block, _)| block)
        .collect();
    assert!(blocks.len() > 75, "{}", blocks.len());
    for (block, (message, line, _)) in blocks.iter().zip(errors(&blocks)) {
        assert_eq!(message, "", "line {line} of\n{block}");
    }
}

#[test]
fn calls_that_do_not_exist() {
    for (source, place, mentions) in [
        (
            "@SOCKET.broadcst(\"a\", 1)",
            (1, 9),
            &["@SOCKET has no broadcst", "did you mean broadcast?"] as &[_],
        ),
        ("let a = 1;\n  @HELPERS.uid()", (2, 12), &["@HELPERS has no uid", "uuid", "known: ", "sha256"]),
        ("#todo.insert(#{ data: #{} })", (1, 7), &["#table has no insert", "createMany"]),
        ("#todo.findone(#{})", (1, 7), &["did you mean findOne?"]),
        ("@REPOS.todo.finds()", (0, 0), &["did you mean find?"]),
        ("@REPOS[\"todo\"].finds()", (0, 0), &["did you mean find?"]),
        ("#secure.todo.finds()", (0, 0), &["did you mean find?"]),
        ("@THROW.badrequest(\"x\")", (1, 8), &["did you mean badRequest?"]),
        ("if @USER == () { @THROW.unauthorised(\"x\"); }", (0, 0), &["did you mean unauthorized?"]),
        ("fn f(a) { @CACHE.gett(a) } f(1)", (0, 0), &["did you mean get?"]),
        ("let f = |x| @SOCKET.emitToRom(x, \"a\", 1); f.call(1)", (0, 0), &["did you mean emitToRoom?"]),
        ("for i in 0..3 { if i > 1 { @SOCKET.jion(\"a\"); } }", (0, 0), &["did you mean join?"]),
        ("@TRANSACTION { #todo.creat(#{}) }", (0, 0), &["did you mean create?"]),
        ("@LOGS(@HELPERS.nwo())", (0, 0), &["did you mean now?"]),
        ("#{ a: [@HELPERS.nwo()] }", (0, 0), &["did you mean now?"]),
        ("`${@HELPERS.nwo()}`", (0, 0), &["did you mean now?"]),
        ("switch 1 { 1 => @HELPERS.nwo(), _ => 2 }", (0, 0), &["did you mean now?"]),
        ("try { @HELPERS.nwo() } catch { 1 }", (0, 0), &["did you mean now?"]),
        ("@HELPERS.jwt.sing(#{}, 1)", (0, 0), &["@HELPERS.jwt has no sing", "did you mean sign?"]),
        ("@CACHE.of(\"/a\").sett(\"a\", 1)", (0, 0), &["did you mean set?"]),
        ("@CACHE.common.sett(\"a\", 1)", (0, 0), &["did you mean set?"]),
        ("@SOCKET.rooms().leng()", (0, 0), &["there is no leng()"]),
        ("@SOCKET.reply(\"a\")", (1, 9), &["does not take 1 arguments", "@SOCKET.reply(event, data)"]),
        ("@CACHE.set(\"a\")", (0, 0), &["@CACHE.set(key, value, ttlMs?)"]),
        (
            "@SOCKET.emitToRoom(1)",
            (0, 0),
            &["emitToRoom(room, event, data)", "emitToRoom(path, room, event, data)"],
        ),
        ("@SOCKET.id()", (0, 0), &["is a value"]),
        ("@SOCKET.rooms", (0, 0), &["is a call", "@SOCKET.rooms()"]),
        (
            "@SOCKT.reply(\"a\", 1)",
            (0, 0),
            &["there is no macro @SOCKT", "did you mean @SOCKET?", "@HELPERS"],
        ),
        ("#mesage.find()", (0, 0), &["there is no table mesage", "did you mean #message?"]),
        ("foo(1)", (1, 1), &["there is no function foo"]),
        ("let a = prase_int(\"1\");", (1, 9), &["did you mean parse_int?"]),
        ("fn double(x) { x * 2 } duoble(1)", (1, 24), &["did you mean double?"]),
        ("fn double(x) { x * 2 } double(1, 2)", (0, 0), &["double takes another number of arguments: 1"]),
        ("fn double(x) { x * 2 } let n = 1; n.double()", (0, 0), &["write `double(x)`", "this"]),
        ("broadcast(\"a\", 1)", (1, 1), &["write `@SOCKET.broadcast(event, data)`"]),
        ("parse_int()", (0, 0), &["another number of arguments: 1 or 2"]),
        ("\"a\".sub_sting(1)", (1, 5), &["did you mean sub_string?"]),
    ] {
        check_refused(source, place, mentions);
    }
}

#[test]
fn what_javascript_writes_otherwise() {
    for (source, mention) in [
        ("let a = JSON.parse(@BODY);", "parse_json(text)"),
        ("return JSON.stringify(@BODY);", "to_json()"),
        ("console.log(\"a\");", "@LOGS("),
        ("let a = Math.floor(1.5);", "x.floor()"),
        ("if typeof @BODY == \"string\" { }", "type_of(x)"),
        ("if typeof(@BODY) == \"string\" { }", "type_of(x)"),
        ("let a = true ? 1 : 2;", "if x { a } else { b }"),
        ("let a = @BODY.limit || 10;", "x ?? 0"),
        ("let a = @BODY.name && \"b\";", "x ?? 0"),
        ("let i = 0; i++;", "i += 1"),
        ("for (let i = 0; i < 3; i++) { }", "for i in 0..10"),
        ("for (const x of @BODY) { }", "for i in 0..10"),
        ("let a = \"A\"; a.toLowerCase()", "to_lower()"),
        ("let a = []; a.forEach(|x| x);", "for x in list"),
        ("let a = []; a.includes(1)", "contains(y)"),
        ("parseInt(\"1\")", "parse_int(text)"),
        ("fetch(\"https://a.example\")", "@HELPERS.fetch("),
        ("setTimeout(|| 1, 100)", "@HELPERS.sleep"),
        ("let a = new Date();", "no `new`"),
        ("let a = Date.now();", "@HELPERS.now()"),
        ("let a = Object.keys(@BODY);", "x.keys()"),
        ("if @BODY.a === 1 { }", "`==` and `!=`"),
        ("let f = (x) => x;", "|x| x + 1"),
        ("let a = null;", "`()`"),
        ("if @BODY.a == undefined { }", "`()`"),
        ("let a = 'text';", "double quotes"),
        ("return { ok: true };", "#{ ok: true }"),
        ("const { a } = @BODY;", "no destructuring"),
        ("let a = await @SOCKET.rooms();", "leave it out"),
    ] {
        check_refused(source, (0, 0), &[mention]);
    }
}

/// What could work is not refused.
#[test]
fn scripts_that_are_fine() {
    let fine = [
        "",
        "let f = |x| x + 1; f.call(1)",
        "let add = |a, b| a + b; let m = #{ same: |x| x, add: add }; m.same(1) + m.add(1, 2)",
        "let m = #{}; m.handler = |x| x; m.handler(1)",
        "let m = #{}; m[\"handler\"] = |x| x; m.handler(1)",
        "let f = Fn(\"double\"); fn double(x) { x * 2 } f.call(2) + call(f, 3)",
        "fn double() { this * 2 } let x = 1; x.double()",
        "fn each(list, f) { for x in list { f.call(x); } } each([1], |x| x)",
        "fn run(f) { f(1) } run(|x| x)",
        "let c = |x| x; let d = c.curry(1); d.call()",
        "fn fact(n) { if n < 2 { 1 } else { n * fact(n - 1) } } fact(5)",
        "let list = [3, 1, 2]; list.sort(); list.push(4); list.filter(|x| x > 1).map(|x| x * 2).reduce(|a, b| a + b)",
        "let text = \"a,b\"; text.split(\",\").len() + text.sub_string(0, 1).to_upper().len() + text.index_of(\"b\")",
        "let m = #{ a: 1 }; m.keys().len() + m.values().len(); m.remove(\"a\"); m.contains(\"a\"); m.to_json(); m.mixin(#{}); m += #{ b: 1 };",
        "is_def_var(\"x\") || is_def_fn(\"f\", 1); type_of(1); print(1); max(1, 2); min(1, 2); parse_int(\"1\"); parse_float(\"1\"); parse_json(\"{}\")",
        "abs(-1); (1.5).floor(); (1.5).round(); 4.0.sqrt(); PI(); 1 in [1]; !(1 in [2]); 2 ** 3; 1..3; 5.to_string(); \"5\".to_int()",
        "let x = @BODY?.a?.b; let y = x ?? 1; x == () || y == () && !(x == y)",
        "let s = @SOCKET; s.reply(\"a\", 1); let t = #todo; t.find(); let c = @CACHE; c.get(\"a\"); let h = @HELPERS; h.uuid()",
        "@SOCKET.rooms().filter(|room| room.starts_with(\"chat\")).len(); @SOCKET.rooms()[0]; @SOCKET.id.sub_string(0, 8)",
        "#todo.find(#{}).data.map(|row| row.id); #todo.find().data[0].id; #todo.findOne(); #secure.todo.count(); @REPOS[@BODY].find(); @REPOS.todo.count(#{})",
        "@THROW.http(404, \"a\"); @THROW404(\"a\"); @THROW418(\"a\", #{}); @THROW.notFound(`no ${1}`)",
        "@CACHE.incr(\"a\"); @CACHE.incr(\"a\", 1); @CACHE.incr(\"a\", 1, 2); @CACHE.of(\"/a\").get(\"b\"); @CACHE.common.delete(\"b\")",
        "@HELPERS.jwt.sign(#{}, 1); @HELPERS.fetch(\"a\"); @HELPERS.fetch(\"a\", #{}); @HELPERS.iso().len(); @HELPERS.filter(@BODY)",
        "let b = blob(3); b.len(); @HELPERS.randomBytes(3).len()",
        "try { throw \"a\"; } catch (error) { error.message }",
        "try { throw #{ code: 1 }; } catch (error) { let f = error.code; }",
        "switch @BODY.kind { \"a\" if 1 > 0 => 1, 1..5 => 2, _ => 3 }",
        "let i = 0; while i < 3 { i += 1; if i == 2 { continue; } } do { i -= 1; } until i < 1; loop { break; }",
        "let now = @HELPERS.now(); let text = `a ${now} ${ if now > 1 { \"b\" } else { \"c\" } }`; text.len()",
        "const MAX = 3; fn limit(x) { if x > 3 { 3 } else { x } } limit(MAX)",
        "let counts = [1, 2, 3]; counts.some(|x| x > 2) && counts.all(|x| x > 0); counts.find(|x| x == 2); counts.index_of(2); counts.dedup(); counts.drain(|x| x > 2)",
    ];
    for (source, (message, line, column)) in fine.iter().zip(errors(&fine)) {
        assert_eq!(message, "", "line {line}, column {column} of\n{source}");
    }
}

/// Errors that only a run can tell have their hints too.
#[test]
fn hints_of_a_run() {
    for (source, mention) in [
        ("let text = @BODY.text; if !text { 1 }", "`x == ()`"),
        ("if @BODY.text { 1 }", "x ?? 0"),
        ("let a = @BODY.text || @BODY.other; a", "x ?? 0"),
        ("@BODY.text.length", "x.len()"),
        ("@BODY.list.length", "x.len()"),
        ("let name = \"toUpperCase\"; @BODY.text.toUpperCase()", "to_upper()"),
    ] {
        let source = source.to_owned();
        let failure = spawn_script_thread("test".into(), move || {
            let engine = engine();
            let script = engine
                .compile(&source, &Within::default())
                .unwrap_or_else(|error| panic!("{error}\n{source}"));
            let call = Call {
                origin: super::sandbox::of_socket(),
                event: "e".into(),
                request_id: crate::id::new_id(),
                arguments: Arguments::one(&json!({ "text": "a", "list": [] })),
                user: None,
                timeout: Duration::from_secs(60),
                test: None,
            };
            let output = engine.run(&script, &call, Arc::new(RecordedHost::new(None, Vec::new(), false)));
            output.outcome.expect_err(&source)
        });
        let failure = failure.unwrap().join().unwrap();
        assert!(failure.message.contains(mention), "{failure}: no {mention:?}");
    }
}

impl ScriptEngine {
    /// Calls that are registered on a macro: what on, its name, and how many arguments it takes.
    fn registered_on_macros(&self) -> Vec<(String, String, usize)> {
        let types: [(TypeId, &str); 8] = [
            (TypeId::of::<macros::socket::SocketMacro>(), "@SOCKET"),
            (TypeId::of::<macros::table::TableMacro>(), "#table"),
            (TypeId::of::<macros::throw::Throw>(), "@THROW"),
            (TypeId::of::<macros::cache::CacheMacro>(), "@CACHE"),
            (TypeId::of::<macros::helpers::Helpers>(), "@HELPERS"),
            (TypeId::of::<macros::job::JobMacro>(), "@JOB"),
            (TypeId::of::<macros::pack::PackMacro>(), "@PACK"),
            (TypeId::of::<macros::helpers::Jwt>(), "@HELPERS.jwt"),
        ];
        let on = |function: rhai::FuncInfo| {
            let first = function.metadata.param_types.first()?;
            let (_, of) = types.iter().find(|(id, _)| id == first)?;
            let name = function.metadata.name.strip_prefix("get$").unwrap_or(&function.metadata.name);
            Some(((*of).to_owned(), name.to_owned(), function.metadata.num_params - 1))
        };
        self.rhai().collect_fn_metadata(None, on, false)
    }
}
