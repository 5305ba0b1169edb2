//! The admin UI: how it is served, that what is committed is what its sources make, and its pages in a browser.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::support::api::Api;
use super::support::node::{node_is_there, run_in_browser, run_in_browser_with, start_in_browser};
use super::support::place::{Place, Running};
use super::support::server::{ADMIN_EMAIL, ADMIN_PASSWORD, Server};

/// What stands before the nonce in the policy.
const NONCE: &str = "style-src 'self' 'nonce-";

#[test]
fn ui_is_served() {
    let server = Server::start();
    let page = server.call("GET", "/_/", None, &[]);
    assert_eq!(page.status, 200, "{}", page.body);
    assert_eq!(page.headers["cache-control"], "no-store");
    let policy = page.headers["content-security-policy"].to_str().unwrap().to_owned();
    for rule in ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(rule), "{policy}");
    }
    let nonce = policy.split(NONCE).nth(1).unwrap().split('\'').next().unwrap().to_owned();
    assert!(nonce.len() >= 32 && page.body.contains(&nonce), "{policy}\n{}", page.body);
    let again = server.call("GET", "/_/", None, &[]);
    assert!(!again.body.contains(&nonce), "a nonce counts once");

    let files: BTreeSet<_> = ["src=\"./", "href=\"./"]
        .iter()
        .flat_map(|mark| page.body.split(mark).skip(1))
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert!(files.len() >= 3, "{}", page.body);
    for file in files {
        let path = format!("/_/{file}");
        let plain = server.call("GET", &path, None, &[("accept-encoding", "identity")]);
        assert_eq!(plain.status, 200, "{path}");
        assert!(plain.headers["cache-control"].to_str().unwrap().contains("immutable"), "{path}");
        assert!(!plain.headers.contains_key("content-encoding"), "{path}");
        let compressed = server.call("HEAD", &path, None, &[("accept-encoding", "br, gzip")]);
        assert_eq!(compressed.headers["content-encoding"], "gzip", "{path}");
    }
    for path in [
        "/_/index.html",
        "/_/nothing.js",
        "/_/assets",
        "/_/../Cargo.toml",
        "/_/assets/..%2F..%2Fpackage.json",
    ] {
        assert_eq!(server.call("GET", path, None, &[]).status, 404, "{path}");
    }
}

/// Redirects are relative: only a client knows the prefix that a proxy has put before them.
#[test]
fn ui_is_found() {
    let api = Api::of(Server::start());
    let head = |path: &str| {
        let mut stream = TcpStream::connect(api.server.url.strip_prefix("http://").unwrap()).unwrap();
        write!(stream, "HEAD {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        let mut head = String::new();
        stream.read_to_string(&mut head).unwrap();
        head.to_ascii_lowercase()
    };
    for (path, status) in [("/_", "308"), ("/", "307")] {
        let head = head(path);
        assert!(head.contains(status) && head.contains("location: _/\r\n"), "{path}: {head}");
    }
    let route = serde_json::json!({ "method": "GET", "path": "/", "sourceCode": "1", "access": "public" });
    api.make("/admin/routes", route);
    let head = head("/");
    assert!(head.contains(" 200 ") && !head.contains("location:"), "a route of an admin goes first: {head}");
}

/// What a newcomer does with the demo, from its link to a page of their own. `GATEWRIGHT_WRITE_DOCS=1` keeps the
/// pictures that the documents show.
#[test]
fn ui_first_minutes() {
    let place = Place::new();
    let admin = [("ADMIN_EMAIL", ADMIN_EMAIL), ("ADMIN_PASSWORD", ADMIN_PASSWORD)];
    let running = Running::spawn(place.command(&["demo", "--listen", "127.0.0.1:0"], &admin));
    let (_, url) = running.started();
    let line = running.until(|line| line.contains("/_/#code=")).pop().unwrap();
    let link = &line[line.find("http://").unwrap()..];
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let pictures = tempfile::tempdir().unwrap();
    let writes = std::env::var("GATEWRIGHT_WRITE_DOCS").as_deref() == Ok("1");
    let folder = if writes { docs.as_path() } else { pictures.path() };
    let env = [("GATEWRIGHT_TEST_LINK", link.trim()), ("GATEWRIGHT_TEST_PICTURES", folder.to_str().unwrap())];
    run_in_browser_with(&url, "ui-first", &env);
}

/// Text of clients and scripts is never HTML, and a browser keeps nothing but preferences and drafts.
#[test]
fn ui_never_makes_html_of_text() {
    let mut seen = 0;
    for file in sources(&folder().join("src")) {
        let text = std::fs::read_to_string(&file).unwrap();
        seen += 1;
        for forbidden in ["{@html", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write"] {
            assert!(!text.contains(forbidden), "{forbidden} in {}", file.display());
        }
        let may_keep = file.ends_with("lib/preferences.svelte.ts");
        for storage in ["localStorage", "sessionStorage", "indexedDB", "document.cookie"] {
            assert!(may_keep || !text.contains(storage), "{storage} in {}", file.display());
        }
    }
    assert!(seen > 20, "only {seen} files are seen");
}

#[test]
fn ui_is_built() {
    if !packages_are_there() {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    npm(&["run", "check"]);
    npm(&["run", "test"]);
    let out = out.path().to_str().unwrap();
    npm(&["run", "build", "--", "--outDir", out, "--emptyOutDir"]);
    eprintln!("{}", npm(&["run", "check-dist", out]));
}

/// The types of the API are made from its description. `GATEWRIGHT_WRITE_DOCS=1` writes them.
#[test]
fn ui_knows_the_api() {
    if !packages_are_there() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let (description, made) = (place.path().join("openapi.json"), place.path().join("schema.d.ts"));
    std::fs::write(&description, Server::start().call("GET", "/openapi.json", None, &[]).body).unwrap();
    npm(&["run", "schema", description.to_str().unwrap(), "--", "--output", made.to_str().unwrap()]);
    let (made, file) = (std::fs::read_to_string(made).unwrap(), folder().join("src/api/schema.d.ts"));
    if std::env::var("GATEWRIGHT_WRITE_DOCS").as_deref() == Ok("1") {
        std::fs::write(&file, &made).unwrap();
    }
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        known == made,
        "{} is old: GATEWRIGHT_WRITE_DOCS=1 cargo test --workspace --test it ui_knows_the_api",
        file.display()
    );
}

#[test]
fn ui_pages() {
    run_in_browser(&Server::start().url, "ui-pages");
}

#[test]
fn ui_work() {
    run_in_browser(&Server::start().url, "ui-work");
}

#[test]
fn ui_in_trouble() {
    let server = Server::start_with(&[("SCRIPTS__LEFT_BEHIND_BYTES", "1000")], &[]);
    run_in_browser(&server.url, "ui-trouble");
}

#[test]
fn ui_runs_and_tests() {
    run_in_browser(&Server::start().url, "ui-runs");
}

#[test]
fn ui_definitions() {
    run_in_browser(&Server::start().url, "ui-definitions");
}

/// A crowd from one address, all at once.
#[test]
fn ui_sockets() {
    let settings =
        [("LIMITS__CONNECTIONS_PER_SECOND_PER_IP", "0"), ("LIMITS__CONNECTIONS_BURST_PER_IP", "0")];
    run_in_browser(&Server::start_with(&settings, &[]).url, "ui-sockets");
}

#[test]
fn ui_for_operators() {
    run_in_browser(&Server::start().url, "ui-operation");
}

#[test]
fn ui_by_keyboard() {
    run_in_browser(&Server::start().url, "ui-keys");
}

/// Tables, jobs and schedules.
#[test]
fn ui_data() {
    run_in_browser(&Server::start_with(&[("JOBS__RETRY_MS", "50")], &[]).url, "ui-data");
}

#[test]
fn ui_behind_a_prefix() {
    run_in_browser(&Server::start_with(&[], &["--pack", "chat"]).url, "ui-prefix");
}

#[test]
fn ui_outlives_a_restart() {
    let mut server = Server::start_with(&[], &["--pack", "chat"]);
    let Some(mut page) = start_in_browser(&server, "ui-restart") else { return };
    page.until("stop it");
    server.kill();
    page.tell("it is stopped");
    page.until("start it");
    let _again = server.start_again(&[]);
    page.tell("it is started");
    page.succeeds("");
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("admin-api/ui")
}

/// The UI's own sources.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "svelte" || extension == "ts"))
        .collect()
}

/// Whether there is Node; installs the UI's locked packages once.
fn packages_are_there() -> bool {
    static THERE: OnceLock<bool> = OnceLock::new();
    *THERE.get_or_init(|| {
        if !node_is_there() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI needs Node");
            eprintln!("skipped: no Node");
            return false;
        }
        if !folder().join("node_modules/vite").exists() {
            npm(&["ci", "--no-audit", "--no-fund"]);
        }
        true
    })
}

fn npm(args: &[&str]) -> String {
    let output = Command::new("npm").args(args).current_dir(folder()).output().expect("npm comes with Node");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "npm {}\n{text}", args.join(" "));
    text.into_owned()
}
