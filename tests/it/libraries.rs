//! Libraries: what scripts share over the admin API and in packs, live at once, and never left broken.

use serde_json::{Value as Json, json};

use super::cli::data_of;
use super::support::api::{Api, id, make_gateway, refused};
use super::support::database::{Database, on_each_database};
use super::support::place::Place;
use super::support::polling::Polling;
use super::support::server::until;

on_each_database!(
    they_are_made_changed_and_restored,
    a_change_is_live_in_all_that_imports_it,
    a_change_that_breaks_others_is_refused,
    one_in_use_stays,
    packs_have_their_own,
);

fn library(api: &Api, name: &str, source: &str) -> Json {
    api.make("/admin/libraries", json!({ "name": name, "sourceCode": source }))
}

fn path_of(library: &Json) -> String {
    format!("/admin/libraries/{}", id(library))
}

fn change(api: &Api, library: &Json, source: &str) -> u16 {
    api.admin("PATCH", &path_of(library), json!({ "sourceCode": source })).status
}

fn they_are_made_changed_and_restored(database: Database) {
    let api = Api::on(database);
    let made = library(&api, "names", "fn full(user) { `${user.first} ${user.last}` }");
    assert_eq!(
        (&made["name"], &made["pack"], &made["description"]),
        (&json!("names"), &Json::Null, &json!(""))
    );
    let path = path_of(&made);
    assert_eq!(api.get(&path), made);
    assert_eq!(change(&api, &made, "fn full(user) { user.name }"), 200);
    let run = "import \"names\" as names; names::full(#{ name: \"Ada\", first: \"A\", last: \"L\" })";
    assert_eq!(api.run(run), "Ada");
    let versions = api.get(&format!("{path}/revisions"));
    assert_eq!(versions["data"].as_array().unwrap().len(), 2);
    assert_eq!(api.admin("POST", &format!("{path}/revisions/1/restore"), Json::Null).status, 200);
    assert_eq!(api.run(run), "A L");
    let post = |name: &str, source: &str| {
        api.admin("POST", "/admin/libraries", json!({ "name": name, "sourceCode": source }))
    };
    refused(&post("names", ""), 409, "DUPLICATE_RESOURCE", "names already");
    refused(&post("a/b", ""), 422, "VALIDATION_ERROR", "name");
    refused(&post("", ""), 422, "VALIDATION_ERROR", "name");
    refused(&post("x", "let a = 1;"), 400, "SCRIPT_COMPILE_ERROR", "functions and constants only");
    refused(&post("x", "fn f() { g() }"), 400, "SCRIPT_COMPILE_ERROR", "library x: there is no function g");
    refused(
        &post("x", "fn f() { #nothing.find() }"),
        400,
        "SCRIPT_COMPILE_ERROR",
        "there is no table nothing",
    );
    refused(&post("x", "import \"x\" as x;"), 400, "SCRIPT_COMPILE_ERROR", "import each other");
    let wrong =
        api.admin("POST", "/admin/script/validate", json!({ "script": "import \"names\" as n; n::ful(1)" }));
    assert!(wrong.body.contains("did you mean full?"), "{}", wrong.body);
    assert_eq!(api.admin("DELETE", &path, Json::Null).status, 204);
    assert!(api.fails(run).1.contains("there is no library names"));
}

/// A gateway, a route and a hook that say what the library `word` says through `words`.
fn importers(api: &Api) -> (Json, Json, Polling) {
    let word = library(api, "word", "fn one() { \"old\" }");
    let words = library(api, "words", "import \"word\" as word; fn all() { [word::one(), @EVENT] }");
    let script = "import \"words\" as words; words::all()";
    let gateway = json!({ "path": "/lib", "requireAuth": false });
    make_gateway(&api.server, &api.token, gateway, &[("say", script)]);
    let route = json!({ "method": "GET", "path": "/say", "access": "public", "sourceCode": script });
    api.make("/admin/routes", route);
    api.table("note", json!([{ "name": "text", "type": "string" }]));
    api.hook("note", "before", &["create"], "import \"words\" as words; return #{ text: words::all()[0] };");
    (word, words, Polling::connect(&api.server, "/lib", None))
}

fn a_change_is_live_in_all_that_imports_it(database: Database) {
    let api = Api::on(database);
    let (word, words, mut socket) = importers(&api);
    let mut check = |one: &str| {
        assert_eq!(socket.run("say", &json!({}))["result"], json!([one, "say"]));
        assert_eq!(api.get("/say"), json!([one, "GET /say"]));
        assert_eq!(api.row("note", json!({}))["text"], one);
    };
    check("old");
    assert_eq!(change(&api, &word, "fn one() { \"new\" }"), 200);
    check("new");
    assert_eq!(change(&api, &words, "fn all() { [\"own\", @EVENT] }"), 200);
    check("own");
    assert_eq!(change(&api, &words, "import \"word\" as w; fn all() { [w::one(), @EVENT] }"), 200);
    check("new");
}

fn a_change_that_breaks_others_is_refused(database: Database) {
    let api = Api::on(database);
    let (word, words, mut socket) = importers(&api);
    let patch = |library: &Json, body: Json| api.admin("PATCH", &path_of(library), body);
    let answer = patch(&word, json!({ "sourceCode": "fn two() { 1 }" }));
    refused(&answer, 400, "SCRIPT_COMPILE_ERROR", "library words: the library word has no function one");
    let places = answer.json()["error"]["details"]["places"].clone();
    assert_eq!((&places[0]["subject"], &places[0]["line"]), (&json!("library words"), &json!(1)), "{places}");
    let answer = patch(&words, json!({ "sourceCode": "fn all(n) { n }" }));
    refused(&answer, 400, "SCRIPT_COMPILE_ERROR", "takes another number of arguments: 1");
    for place in ["/lib say: ", "GET /say: ", "hook before create of note: "] {
        assert!(answer.body.contains(place), "{place}: {}", answer.body);
    }
    refused(
        &patch(&word, json!({ "sourceCode": "import \"words\" as w;" })),
        400,
        "SCRIPT_COMPILE_ERROR",
        "each other",
    );
    refused(&patch(&word, json!({ "name": "other" })), 409, "DUPLICATE_RESOURCE", "there is no library word");
    assert_eq!(socket.run("say", &json!({}))["result"], json!(["old", "say"]), "nothing has changed");
    // What is wrong already holds nothing up.
    let script = "import \"words\" as w; w::all().len(";
    refused(
        &api.admin("POST", "/admin/routes", json!({ "method": "GET", "path": "/x", "sourceCode": script })),
        400,
        "SCRIPT_COMPILE_ERROR",
        "",
    );
}

fn one_in_use_stays(database: Database) {
    let api = Api::on(database);
    let (word, words, _socket) = importers(&api);
    let answer = api.admin("DELETE", &path_of(&words), Json::Null);
    refused(&answer, 409, "DUPLICATE_RESOURCE", "The library words is in use: ");
    assert_eq!(answer.json()["error"]["details"]["places"].as_array().unwrap().len(), 3, "{}", answer.body);
    refused(&api.admin("DELETE", &path_of(&word), Json::Null), 409, "DUPLICATE_RESOURCE", "library words: ");
    let unused = library(&api, "unused", "import \"word\" as word;");
    assert_eq!(api.admin("DELETE", &path_of(&unused), Json::Null).status, 204);
}

fn packs_have_their_own(database: Database) {
    let api = Api::on(database);
    let place = Place::beside(&api.server);
    let data = data_of(&api.server);
    let pack = |args: &[&str]| place.run(&[&["pack"], args, &["--data", &data]].concat());
    let write = |name: &str, source: &str| {
        let manifest = format!(
            "name = \"{name}\"\n[[libraries]]\nname = \"word\"\nscript = \"word.rhai\"\n\
            [[routes]]\nmethod = \"GET\"\npath = \"/{name}\"\naccess = \"public\"\nscript = \"route.rhai\"\n"
        );
        place.write(&format!("{name}/pack.toml"), &manifest);
        place.write(&format!("{name}/word.rhai"), source);
        place
            .write(&format!("{name}/route.rhai"), "import \"word\" as word;\nreturn #{ word: word::one() };");
    };
    library(&api, "word", "fn one() { \"common\" }");
    write("one", "fn one() { \"of one\" }");
    write("two", "fn one() { \"of two\" }");
    let says = |path: &str, word: &str| {
        until(&format!("{path} says {word}"), || {
            (api.server.call("GET", path, None, &[]).json()["word"] == word).then_some(())
        });
    };
    pack(&["install", "one"]).check(0, &["+ library word", "+ GET /one"]);
    pack(&["install", "two"]).check(0, &["+ library word"]);
    says("/one", "of one");
    says("/two", "of two");
    pack(&["install", "one"]).check(0, &["nothing to change"]);
    // A script of an admin's names the pack.
    let script = "import \"one/word\" as word; return #{ word: word::one() };";
    let route = json!({ "method": "GET", "path": "/own", "access": "public", "sourceCode": script });
    let own = api.make("/admin/routes", route);
    says("/own", "of one");
    place.write("one/word.rhai", "fn one() { \"new\" }");
    pack(&["install", "one"]).check(0, &["~ library word"]);
    says("/one", "new");
    says("/own", "new");
    // Neither a change nor an uninstall leaves what needs it broken.
    place.write("one/word.rhai", "fn two() { \"new\" }");
    place.write("one/route.rhai", "import \"word\" as word;\nreturn #{ word: word::two() };");
    pack(&["install", "one"]).check(1, &["GET /own: the library one/word has no function one"]);
    pack(&["uninstall", "one"]).check(1, &["GET /own: there is no library one/word"]);
    assert_eq!(api.admin("DELETE", &format!("/admin/routes/{}", id(&own)), Json::Null).status, 204);
    pack(&["install", "one"]).check(0, &["~ library word"]);
    let out = place.text("out");
    pack(&["export", "one", &out]).check(0, &[]);
    pack(&["install", &out, "--dry-run"]).check(0, &["nothing to change"]);
    pack(&["uninstall", "one"]).check(0, &["- library word"]);
    let check = |mentions: &[&str]| place.run(&["check", "two"]).check(1, mentions).all();
    place.write("two/word.rhai", "fn one() {\n    twice(1)\n}");
    check(&["word.rhai:2:5", "there is no function twice"]);
    place.write("two/word.rhai", "fn one(a) { a }");
    check(&["route.rhai:2:", "word::one takes another number of arguments: 1"]);
}
