//! The command line's manners: what mistakes are answered with, and what a command leaves behind.

use std::process::Command;

use serde_json::json;

use super::cli::data_of;
use super::support::place::{Done, Place, Running};
use super::support::port::Port;
use super::support::server::{ADMIN_EMAIL, ADMIN_PASSWORD, Server, send};

/// Every command that answers a question; none of them needs a server or data.
const READERS: [&[&str]; 16] = [
    &["--help"],
    &["config"],
    &["pack", "list"],
    &["pack", "diff", "chat"],
    &["pack", "install", "chat", "--dry-run"],
    &["pack", "export", "nothing", "there"],
    &["user", "list"],
    &["user", "passwd", "--email", "nobody@example.com"],
    &["token", "--user", "nobody@example.com"],
    &["app-key", "list"],
    &["jobs", "list"],
    &["check", "small"],
    &["test", "small"],
    &["backup", "copy.db"],
    &["types"],
    &["completions", "bash"],
];

#[test]
fn commands_that_read_make_no_folder() {
    let place = Place::new();
    place.small_pack("small", "return 1;");
    for reader in READERS {
        place.run(reader);
        let left: Vec<_> =
            std::fs::read_dir(place.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["small"], "{reader:?} leaves something behind");
    }
    place.run(&["pack", "list"]).check(0, &["chat", "built in"]);
    place.run(&["user", "list"]).check(0, &["note", "no data in gatewright-data"]);
    place.run(&["token", "--user", "nobody@example.com"]).check(1, &["nobody@example.com"]);
    place.run(&["backup", "copy.db"]).check(1, &["gatewright-data/gatewright.db"]);
}

#[test]
fn commands_end_quietly_when_their_reader_has_gone() {
    let place = Place::new();
    place.small_pack("small", "return 1;");
    for reader in READERS {
        let mut command = place.command(reader, &[]);
        let (gone, pipe) = std::io::pipe().unwrap();
        drop(gone);
        command.stdout(pipe.try_clone().unwrap()).stderr(pipe);
        let status = command.status().unwrap();
        assert!(status.code().is_some_and(|code| code < 2), "{reader:?}: {status}");
        let (gone, pipe) = std::io::pipe().unwrap();
        drop(gone);
        let mut command = place.command(reader, &[]);
        command.stdout(pipe);
        let errors = Done::of_errors(command).err;
        assert!(!errors.contains("panic") && !errors.contains("pipe"), "{reader:?}: {errors}");
    }
}

#[test]
fn commands_server_outlives_the_reader_of_its_log() {
    let place = Place::new();
    let port = Port::new();
    let listen = port.address.to_string();
    let (gone, pipe) = std::io::pipe().unwrap();
    drop(gone);
    let mut command =
        place.command(&["serve", "--listen", &listen, "--data", "d"], &[("LOGS__LEVEL", "trace")]);
    let mut server = command.stdout(pipe.try_clone().unwrap()).stderr(pipe).spawn().unwrap();
    super::support::server::until("the server", || std::net::TcpStream::connect(&listen).ok());
    assert_eq!(send(&format!("http://{listen}"), "GET", "/health/ready", &[], b"").status, 200);
    Command::new("kill").arg("-TERM").arg(server.id().to_string()).status().unwrap();
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

#[test]
fn commands_name_the_database_that_does_not_open() {
    let place = Place::new();
    let check = |url: &str, mentions: &[&str]| {
        let done = place.run(&["migrate", "--data", "d", "--database-url", url]);
        done.check(1, mentions);
        let text = done.all();
        assert!(!text.contains("hidden-word"), "{text}");
        for word in mentions.iter().chain(&["Connection Error"]) {
            assert!(text.matches(word).count() <= 1, "{word:?} is there twice\n{text}");
        }
    };
    check("postgres://u:hidden-word@127.0.0.1:1/gate", &["gate on 127.0.0.1:1", "refused"]);
    check("postgres://u:hidden-word@nowhere.invalid/gate", &["gate on nowhere.invalid:5432"]);
    check(&format!("sqlite://{}", place.text("no/such/folder.db")), &["no/such/folder.db"]);
    place.write("text.db", &"no database ".repeat(100));
    check("sqlite://text.db", &["text.db", "not a database"]);
}

#[test]
fn commands_listen_on_names() {
    let place = Place::new();
    let env = [("ADMIN_EMAIL", ADMIN_EMAIL), ("ADMIN_PASSWORD", ADMIN_PASSWORD)];
    let running = Running::spawn(place.command(&["serve", "--listen", "localhost:0", "--data", "d"], &env));
    let (_, url) = running.started();
    assert_eq!(send(&url, "GET", "/health/ready", &[], b"").status, 200);
    let by_variable = Running::spawn(place.command(&["serve", "--data", "e"], &[("LISTEN", "localhost:0")]));
    by_variable.started();
    for wrong in ["4000", ":4000", "localhost", "localhost:100000", "http://localhost:4000"] {
        place.run(&["serve", "--listen", wrong]).check(2, &["--listen", wrong, "HOST:PORT"]);
        place
            .fails_to_serve(&["--data", "f"], &[("LISTEN", wrong)])
            .check(1, &["listen", wrong, "HOST:PORT"]);
    }
    let unknown = place.fails_to_serve(&["--data", "f", "--listen", "nowhere.invalid:0"], &[]);
    unknown.check(1, &["nowhere.invalid:0"]);
}

#[test]
fn commands_refuse_to_watch_what_is_not_there() {
    let place = Place::new();
    place.write("file", "");
    for missing in ["nowhere", "file"] {
        let done = place.fails_to_serve(&["--listen", "127.0.0.1:0", "--watch", missing], &[]);
        done.check(1, &[missing, "no such folder"]);
    }
    assert!(!place.path("gatewright-data").exists());
}

#[test]
fn commands_refuse_to_test_nothing() {
    let place = Place::new();
    place.small_pack("small", "return 1;");
    place.write("empty/readme", "");
    place.run(&["test", "small"]).check(1, &["no tests"]);
    place.run(&["test", "empty"]).check(1, &["empty", "no pack"]);
    place.run(&["test", "small/e.rhai"]).check(1, &["small/e.rhai"]);
}

#[test]
fn commands_complete_themselves() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let done = place.run(&["completions", shell]);
        done.check(0, &["app-key", "uninstall", "database-url"]);
        let file = format!("completion.{shell}");
        place.write(&file, &done.out);
        let Ok(parsed) = Command::new(shell).arg("-n").arg(place.path(&file)).output() else { continue };
        assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stderr));
    }
    place.run(&["completions", "nonsense"]).check(2, &["nonsense", "bash"]);
}

#[test]
fn commands_have_examples_in_their_help() {
    let place = Place::new();
    let commands = [
        "",
        "serve",
        "demo",
        "check",
        "test",
        "pack",
        "pack list",
        "pack install",
        "pack uninstall",
        "pack diff",
        "pack export",
        "user",
        "user create",
        "user passwd",
        "user list",
        "token",
        "app-key",
        "app-key create",
        "app-key list",
        "app-key delete",
        "jobs",
        "jobs list",
        "jobs retry",
        "jobs discard",
        "types",
        "config",
        "migrate",
        "backup",
        "completions",
    ];
    for command in commands {
        let mut args: Vec<_> = command.split_whitespace().collect();
        args.push("--help");
        let example = format!("gatewright {command}");
        place.run(&args).check(0, &["Example", example.trim_end()]);
    }
}

#[test]
fn commands_suggest_what_was_meant() {
    let place = Place::new();
    let check = |name: &str, nearest: &str| {
        place.run_with(&["config"], &[(name, "1")]).check(1, &[&format!("Did you mean `{nearest}`?")]);
    };
    check("LIMITS__BRUST", "limits.burst");
    check("BURST", "limits.burst");
    check("LISTENS", "listen");
    let done = place.run_with(&["config"], &[("ZZZZZZZZ", "1")]);
    assert!(!done.check(1, &["GATEWRIGHT_ZZZZZZZZ"]).all().contains("mean"), "{}", done.all());
    place.run(&["instal"]).check(2, &["instal"]);
    place.run(&["pack", "instal", "chat"]).check(2, &["install"]);

    let server = Server::start();
    let token = server.admin_token();
    let refused = |path: &str, body: serde_json::Value, mentions: &str| {
        let answer = server.admin(&token, "POST", path, Some(&body));
        assert!(answer.status == 400 && answer.body.contains(mentions), "{}", answer.body);
    };
    refused(
        "/admin/gateways",
        json!({ "path": "/a", "requireAtuh": false }),
        "requireAtuh (did you mean requireAuth?)",
    );
    refused("/admin/tables", json!({ "name": "a", "colums": [] }), "colums (did you mean columns?)");
    refused("/auth/login", json!({ "email": "a", "passwort": "b" }), "password");
    // An unknown name that is like none is only named.
    let answer =
        server.admin(&token, "POST", "/admin/gateways", Some(&json!({ "path": "/a", "zzzzzzzz": 1 })));
    assert!(answer.status == 400 && !answer.body.contains("mean"), "{}", answer.body);
    place.run(&["user", "list", "--data", &data_of(&server)]);
}

#[test]
fn client_file_is_served_as_pages_expect() {
    let server = Server::start();
    let shipped = include_str!("../../src/http/socket.io.min.js");
    for path in ["/socket.io/socket.io.js", "/socket.io/socket.io.min.js"] {
        let answer = server.call("GET", path, None, &[]);
        assert_eq!((answer.status, answer.body.as_str()), (200, shipped), "{path}");
        let header = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
        assert!(header("content-type").starts_with("text/javascript"), "{}", header("content-type"));
        assert_eq!(header("x-content-type-options"), "nosniff");
        let again = server.call("GET", path, None, &[("if-none-match", &header("etag"))]);
        assert_eq!((again.status, again.body.as_str()), (304, ""));
        assert_eq!(server.call("GET", path, None, &[("if-none-match", "\"other\"")]).status, 200);
        let head = server.call("HEAD", path, None, &[]);
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        assert_eq!(head.headers["content-length"].to_str().unwrap(), shipped.len().to_string());
    }
    assert_ne!(server.call("GET", "/socket.io/other.js", None, &[]).status, 200);
}
