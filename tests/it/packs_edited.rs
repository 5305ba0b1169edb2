//! Packs whose files somebody edits: watched folders, diffs, mounts, and what is said where something is wrong.

use serde_json::{Value as Json, json};

use super::support::place::{Done, Place};
use super::support::polling::Polling;
use super::support::server::{Server, until};

const MANIFEST: &str = r#"name = "edited"
description = "What is edited"

[[gateways]]
path = "/"
requireAuth = false
  [[gateways.events]]
  name = "say"
  script = "say.rhai"
  payloadSchema = { type = "object", required = ["n"] }
  [[gateways.events]]
  name = "where"
  script = "where.rhai"

[[gateways]]
path = "/side"

[[libraries]]
name = "words"
script = "words.rhai"
"#;

fn write(place: &Place) {
    place.write("packs/edited/pack.toml", MANIFEST);
    place.write("packs/edited/say.rhai", "import \"words\" as words;\nreturn words::word();\n");
    place.write("packs/edited/words.rhai", "fn word() {\n    \"first\"\n}\n");
    place.write("packs/edited/where.rhai", "return @PACK.path(@BODY.path);\n");
}

fn pack(server: &Server, place: &Place, args: &[&str]) -> Done {
    place.run_on(&server.data, &[&["pack"], args].concat())
}

/// A server that watches the folder `packs`.
fn watching(place: &Place) -> Server {
    let folder = place.path("packs").display().to_string();
    Server::start_in(super::support::database::Data::new(), &[], &["--watch", &folder])
}

fn connect(server: &Server, path: &str) -> Polling {
    until("the gateway is there", || Polling::try_connect(&server.url, path, None).ok())
}

fn until_says(socket: &mut Polling, word: &str) {
    until(word, || (socket.run("say", &json!({ "n": 1 }))["result"] == word).then_some(()));
}

#[test]
fn a_watched_file_is_live_and_drops_nobody() {
    let place = Place::new();
    write(&place);
    let server = watching(&place);
    let mut socket = connect(&server, "/");
    until_says(&mut socket, "first");
    place.write("packs/edited/words.rhai", "fn word() {\n    \"second\"\n}\n");
    until_says(&mut socket, "second");
    // As editors do that write another file and put it in the place of the first.
    place.write("packs/edited/.say.rhai.swp", "return \"third\";\n");
    std::fs::rename(place.path("packs/edited/.say.rhai.swp"), place.path("packs/edited/say.rhai")).unwrap();
    until_says(&mut socket, "third");
}

#[test]
fn a_broken_file_keeps_what_was_and_holds_up_no_other() {
    let place = Place::new();
    write(&place);
    let server = watching(&place);
    let mut socket = connect(&server, "/");
    until_says(&mut socket, "first");
    place.write("packs/edited/words.rhai", "fn word() {\n    twice(\"x\")\n}\n");
    place.write("packs/broken/pack.toml", "name = \"broken\"\n[[gateway]]\n");
    let other = "name = \"other\"\n[[gateways]]\npath = \"/other\"\nrequireAuth = false\n";
    place.write("packs/other/pack.toml", other);
    drop(connect(&server, "/other"));
    assert_eq!(socket.run("say", &json!({ "n": 1 }))["result"], "first");
    place.write("packs/edited/words.rhai", "fn word() {\n    \"mended\"\n}\n");
    until_says(&mut socket, "mended");
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let place = Place::new();
    write(&place);
    let server = Server::start();
    let refused = |mentions: &[&str]| {
        place.run(&["check", "packs"]).check(1, mentions);
        pack(&server, &place, &["install", "packs/edited"]).check(1, mentions);
    };
    place.write("packs/edited/words.rhai", "fn word() {\n    twice(\"x\")\n}\n");
    refused(&["words.rhai:2:5", "there is no function twice", "^"]);
    place.write("packs/edited/words.rhai", "fn words() { 1 }");
    refused(&["say.rhai:2:", "the library edited/words has no function word; did you mean words?", "^"]);
    write(&place);
    place.write("packs/edited/pack.toml", &MANIFEST.replace("\"where\"", "\"presence\""));
    refused(&["pack.toml:12:10", "reserved", "^"]);
    place.write("packs/edited/pack.toml", &MANIFEST.replace("[[libraries]]", "[[library]]"));
    refused(&["pack.toml", "line 18", "did you mean libraries?"]);
    write(&place);
    place.run(&["check", "packs"]).check(0, &["3 scripts checked, 0 errors"]);
}

#[test]
fn diffs_say_what_would_change() {
    let place = Place::new();
    write(&place);
    let server = Server::start();
    let run = |args: &[&str]| pack(&server, &place, args);
    run(&["diff", "packs/edited", "--exit-code"])
        .check(1, &["+ library words", "--- /dev/null", "+++ b/library words"]);
    run(&["install", "packs/edited"]).check(0, &["pack edited is installed"]);
    run(&["diff", "packs/edited", "--exit-code"]).check(0, &["nothing to change"]);
    place.write("packs/edited/words.rhai", "fn word() {\n    \"second\"\n}\n");
    let diff = run(&["diff", "packs/edited"]);
    diff.check(0, &["~ library words", "--- a/library words", "@@", "-    \"first\"", "+    \"second\""]);
    run(&["diff", "packs/edited", "--exit-code"]).check(1, &["~ library words"]);
    let token = server.admin_token();
    let get = |path: &str| server.admin(&token, "GET", path, None);
    let changes = get("/admin/packs/chat/diff").json()["changes"].clone();
    let is_gateway = |change: &&Json| change["subject"] == "/chat";
    let gateway = changes.as_array().unwrap().iter().find(is_gateway).unwrap().clone();
    assert_eq!(gateway["action"], "create");
    assert!(gateway["diff"].as_str().unwrap().contains("+++ b//chat"), "{gateway}");
    assert_eq!(get("/admin/packs/nothing/diff").status, 404);
}

#[test]
fn a_mounted_pack_stays_mounted() {
    let place = Place::new();
    write(&place);
    let server = Server::start();
    let run = |args: &[&str]| pack(&server, &place, args);
    run(&["install", "packs/edited", "--mount", "/moved"]).check(0, &["+ /moved", "+ /moved/side"]);
    let mut socket = connect(&server, "/moved");
    until_says(&mut socket, "first");
    place.write("packs/edited/words.rhai", "fn word() {\n    \"second\"\n}\n");
    run(&["install", "packs/edited"]).check(0, &["~ library words"]);
    until_says(&mut socket, "second");
    let token = server.admin_token();
    let installed = server.admin(&token, "GET", "/admin/packs/edited", None).json();
    assert_eq!(installed["mount"], "/moved");
    let mut path = |path: &str| socket.run("where", &json!({ "path": path }));
    assert_eq!(path("/")["result"], "/moved");
    assert_eq!(path("/side")["result"], "/moved/side");
    let unknown = path("/sied");
    assert_eq!(unknown["code"], "RESOURCE_NOT_FOUND");
    assert_eq!(
        unknown["message"],
        "The pack edited has no gateway /sied; did you mean /side?; known: /, /side"
    );
    let body = json!({ "kind": "websocket_event", "gatewayPath": "/moved", "eventName": "where", "payload": { "path": "/side" } });
    let ran = server.admin(&token, "POST", "/admin/test/run", Some(&body)).json();
    assert_eq!(ran["result"], "/moved/side", "a test run too: {ran}");
    let alone = json!({ "kind": "script", "script": "return @PACK.path(\"/x\");" });
    assert_eq!(server.admin(&token, "POST", "/admin/test/run", Some(&alone)).json()["result"], "/x");
    run(&["install", "packs/edited", "--mount", "/"]).check(0, &["- /moved", "+ /"]);
    until_says(&mut connect(&server, "/"), "second");
}

#[test]
fn payloads_of_tests_have_to_fit() {
    let place = Place::new();
    write(&place);
    let server = Server::start();
    pack(&server, &place, &["install", "packs/edited"]).check(0, &[]);
    let token = server.admin_token();
    let run = |payload: Json| {
        let body =
            json!({ "kind": "websocket_event", "gatewayPath": "/", "eventName": "say", "payload": payload });
        server.admin(&token, "POST", "/admin/test/run", Some(&body)).json()
    };
    until("the pack is live", || (run(json!({ "n": 1 }))["result"] == "first").then_some(()));
    let refused = run(json!({}));
    assert_eq!(refused["error"]["code"], "INVALID_PAYLOAD", "{refused}");
    place.write(
        "packs/edited/tests/say.toml",
        "[[tests]]\nname = \"fits\"\ngateway = \"/\"\nevent = \"say\"\npayload = { n = 1 }\nexpect = { result = \"first\" }\n\
        [[tests]]\nname = \"does not\"\ngateway = \"/\"\nevent = \"say\"\nexpect = { error = \"INVALID_PAYLOAD\" }\n",
    );
    place.run(&["test", "packs"]).check(0, &["2 passed, 0 failed"]);
}
