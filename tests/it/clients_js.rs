//! The npm package `clients/js`: built, checked and driven against real servers.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value as Json, json};

use super::cli::data_of;
use super::support::api::{Api, id};
use super::support::database::{Data, Database};
use super::support::node::{node_is_there, run_client, start_client};
use super::support::place::Place;
use super::support::server::Server;

/// Ends of the server that calls have to survive: stops and kills in turn.
const ENDS: usize = 6;

const SETTINGS: [(&str, &str); 1] = [("QUEUE__DRAIN_MS", "2000")];

#[test]
fn clients_js_is_a_good_package() {
    if !package_is_built() {
        return;
    }
    run("npm", &["run", "--silent", "test:unit"]);
    run("npm", &["run", "--silent", "check"]);
}

#[test]
fn clients_js_calls() {
    if package_is_built() {
        let settings = [("AUTH__WEBSOCKET_TOKEN_MINUTES", "1")];
        let server = Server::start_in(Data::on(Database::Sqlite), &settings, &[]);
        run_client(&server, "../../clients/js/test/server/calls.mjs");
    }
}

#[test]
fn clients_js_runs_the_snippets_of_others() {
    if package_is_built() {
        for (pack, file) in [("socket-service", "socket_service"), ("oneentry", "oneentry")] {
            let server = Server::start_in(Data::on(Database::Sqlite), &[], &["--pack", pack]);
            run_client(&server, &format!("../../clients/js/test/server/{file}.mjs"));
        }
    }
}

#[test]
fn clients_js_restarts() {
    if !package_is_built() {
        return;
    }
    let mut server = Server::start_in(Data::on(Database::Sqlite), &SETTINGS, &[]);
    let rounds = (ENDS + 1).to_string();
    let file = "../../clients/js/test/server/restarts.mjs";
    let mut client = start_client(&server, file, &[("GATEWRIGHT_TEST_ROUNDS", &rounds)]).unwrap();
    for round in 1..=ENDS {
        client.until(&format!("round {round}"));
        server = if round % 2 == 0 { server.kill_and_start(&SETTINGS) } else { server.restart(&SETTINGS) };
    }
    client.until("each once");
    client.succeeds("");
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients/js")
}

/// Whether there is Node; installs the locked packages and builds the package once.
fn package_is_built() -> bool {
    static BUILT: OnceLock<bool> = OnceLock::new();
    *BUILT.get_or_init(|| {
        if !node_is_there() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI needs Node");
            return false;
        }
        if !folder().join("node_modules/typescript").exists() {
            run("npm", &["ci", "--no-audit", "--no-fund"]);
        }
        run("node", &["build.mjs"]);
        true
    })
}

/// Runs a program in the package's folder; it fails the test with its output.
fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).current_dir(folder()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}\n{text}");
}

/// Gateways whose names and schemas are as bad as they may be.
fn define_shop(api: &Api) {
    let event = |name: &str, payload: Json, result: Json| json!({ "eventName": name, "sourceCode": "", "payloadSchema": payload, "resultSchema": result });
    let gateway = |path: &str, description: &str, events: &[Json]| {
        let emits = (path == "/shop")
            .then(|| json!({ "sold": { "$ref": "#/$defs/n", "$defs": { "n": { "type": "integer" } } } }));
        let fields = json!({ "path": path, "description": description, "emits": emits, "aliases": [format!("{path}/alias")] });
        let row = api.make("/admin/gateways", fields);
        for event in events {
            api.make(&format!("/admin/gateways/{}/events", id(&row)), event.clone());
        }
    };
    let item = json!({ "type": "string", "description": "What */ it is" });
    let buy = json!({ "type": "object", "required": ["item"], "properties": { "item": item, "count": { "type": "integer" } } });
    let order = json!({ "type": "object", "required": ["id", "state"], "additionalProperties": false,
        "properties": { "id": { "type": "string" }, "state": { "enum": ["paid", "open"] } } });
    let node = json!({ "type": "object", "properties": { "name": { "type": "string" },
        "children": { "type": "array", "items": { "$ref": "#/$defs/node" } } } });
    let tree = json!({ "$ref": "#/$defs/node", "$defs": { "node": node } });
    let itself = json!({ "$ref": "#/$defs/a", "$defs": { "a": { "anyOf": [{ "$ref": "#/$defs/b" }, { "type": "null" }] },
        "b": { "allOf": [{ "properties": { "x": { "$ref": "#/$defs/a" } } }, { "$ref": "#/$defs/b" }] } } });
    let events = [
        event("buy", buy, order),
        event("tree", Json::Null, tree),
        event("itself", itself, json!({ "$ref": "#" })),
        event("plain", Json::Null, Json::Null),
        event("chat:*", json!({ "type": "number" }), Json::Null),
        event("chat:send", json!({ "type": "string" }), Json::Null),
    ];
    gateway("/shop", "Sells. */ export const x = 1; /*", &events);
    gateway(
        "/other.name~-1/x",
        "",
        &[event("a \"b\" ${c} //", Json::Null, Json::Null), event("`${x}\\*", Json::Null, json!(true))],
    );
    api.table(
        "typed",
        json!([{ "name": "text", "type": "string", "required": true }, { "name": "count", "type": "integer" },
        { "name": "state", "type": "enum", "values": ["a b", "\"c\""] }, { "name": "data", "type": "json" }]),
    );
    api.make("/admin/routes", json!({ "method": "POST", "path": "/typed/{id}/ship", "sourceCode": "" }));
}

#[test]
fn clients_js_types() {
    let api = Api::in_data(Data::on(Database::Sqlite));
    define_shop(&api);
    let place = Place::new();
    let data = data_of(&api.server);
    let printed = place.run(&["types", "--data", &data]);
    printed.check(0, &["export interface Gateways", "\"/shop\": {"]);
    let asked = place.run(&["types", "--url", &api.server.url, "--token", &api.token]);
    assert_eq!(asked.out, printed.out, "{}", asked.all());
    place.run(&["types", "--url", &api.server.url, "--token", "x"]).check(1, &["refuses the token"]);
    place.run(&["types", "--url", &api.server.url]).check(1, &["--token"]);
    place
        .run(&["types", "--data", &data, "--gateway", "/sho"])
        .check(1, &["there is no gateway /sho", "/shop"]);
    let only = place.run(&["types", "--data", &data, "--gateway", "/shop"]);
    assert!(!only.out.contains("other.name"), "{}", only.out);
    if !package_is_built() {
        return;
    }
    let generated = folder().join("test/types/generated");
    std::fs::create_dir_all(&generated).unwrap();
    let file = generated.join("gatewright.ts").display().to_string();
    let _ = std::fs::remove_file(&file);
    place.run(&["types", "--data", &data, "--out", &file, "--check"]).check(1, &["is not current"]);
    place.run(&["types", "--data", &data, "--out", &file]).check(0, &[]);
    place.run(&["types", "--data", &data, "--out", &file, "--check"]).check(0, &[]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), printed.out);
    run("npx", &["--no-install", "tsc", "--project", "test/types"]);
}

#[test]
fn clients_js_examples() {
    if !package_is_built() {
        return;
    }
    let server = Server::start_in(Data::on(Database::Sqlite), &[], &["--pack", "chat"]);
    let (place, data) = (Place::new(), data_of(&server));
    for example in ["browser", "react", "vue", "node"] {
        let file = folder().join(format!("examples/{example}/src/gatewright.ts")).display().to_string();
        let mut args = vec!["types", "--data", data.as_str(), "--out", &file];
        if std::env::var("GATEWRIGHT_WRITE_DOCS").is_err() {
            args.push("--check");
        }
        place.run(&args).check(0, &[]);
    }
    run("node", &["examples/check.mjs"]);
    run_client(&server, "../../clients/js/test/server/examples.mjs");
}
