//! The README and docs/jobs.md pasted word for word: their blocks marked `walk` go into bash and Node as they are, but
//! for the port, twice in a row.

use std::path::Path;
use std::process::{Command, Stdio};

use super::support::node::{client_folder, node_is_there};
use super::support::place::Place;
use super::support::port::Port;
use super::support::server::gatewright;

/// The blocks of a language that are marked `walk`, with another address in the place of theirs.
fn blocks(text: &str, language: &str, address: &str) -> Vec<String> {
    let mark = format!("```{language} walk\n");
    let blocks = text.split(&mark).skip(1).map(|rest| rest.split("\n```").next().unwrap());
    blocks.map(|block| block.replace("127.0.0.1:4000", address)).collect()
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// A bash in which `gatewright` is on the path, as the README says.
fn bash(place: &Place, script: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_gatewright")).parent().unwrap();
    let mut command = Command::new("bash");
    for (name, _) in gatewright().get_envs() {
        command.env_remove(name);
    }
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let output = command
        .args(["-c", script])
        .env("PATH", path)
        .current_dir(place.0.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    text.into_owned()
}

fn can_walk() -> bool {
    let can = is_there("bash") && is_there("curl") && node_is_there();
    assert!(can || std::env::var("CI").as_deref() != Ok("true"), "CI needs bash, curl and Node");
    can
}

/// A durable event that fails, is mended and retried, by the documentation alone.
#[test]
fn readme_of_jobs_walk() {
    if !can_walk() {
        return;
    }
    let (place, port) = (Place::new(), Port::new());
    let address = port.address.to_string();
    let text = include_str!("../../docs/jobs.md");
    let (shell, script) = (blocks(text, "sh", &address), blocks(text, "js", &address));
    assert_eq!((shell.len(), script.len()), (3, 1), "the walk of docs/jobs.md");
    let end = "let ends = 0; for (const name of ['ws:result', 'ws:error']) socket.on(name, () => { ends += 1; });\n\
        setInterval(() => { if (ends > 1) process.exit(0); }, 20);\n";
    place.write("app.mjs", &format!("{}\n{end}", script[0]));
    std::os::unix::fs::symlink(client_folder().join("node_modules"), place.path("node_modules")).unwrap();
    let [first, dead, mended] = &shell[..] else { panic!("three blocks") };
    let said = bash(
        &place,
        &format!("trap 'kill $(jobs -p) 2>/dev/null' EXIT\n{first}\nnode app.mjs\n{dead}\n{mended}\n"),
    );
    for promised in [
        "queued: true",
        "result 18",
        "error SCRIPT_EXECUTION_ERROR",
        "dead   /tickets  buy",
        "\"payload\":{\"seats\":3}",
        "1 job is run again",
        "\"state\":\"done\"",
    ] {
        assert!(said.contains(promised), "{promised:?} is not in\n{said}");
    }
}

#[test]
fn readme_walk() {
    if !can_walk() {
        return;
    }
    let (place, port) = (Place::new(), Port::new());
    let address = port.address.to_string();
    let readme = include_str!("../../README.md");
    let (shell, script) = (blocks(readme, "sh", &address), blocks(readme, "js", &address));
    assert_eq!((shell.len(), script.len()), (4, 2), "the walk of the README");
    // Around what it says, so that it ends: once it has had a result and is signed in.
    let listen = "let results = 0; socket.on('ws:result', () => { results += 1; });";
    let end = "mine.on('connect', () => { console.log(`signed in as ${user.email}`); });\n\
        setInterval(() => { if (results > 0 && mine.connected) process.exit(0); }, 20);\n";
    place.write("app.mjs", &[script[0].as_str(), listen, script[1].as_str(), end].join("\n"));
    std::os::unix::fs::symlink(client_folder().join("node_modules"), place.path("node_modules")).unwrap();
    let (first, others) = shell.split_first().unwrap();
    let walk = format!("{first}\nnode app.mjs\n{}\n", others.join("\n"));
    let again = format!("trap 'kill $(jobs -p) 2>/dev/null' EXIT\n{walk}\necho; echo SECOND\n{walk}");
    let said = bash(&place, &again);
    let (first, second) = said.split_once("SECOND").unwrap_or_else(|| panic!("{said}"));
    for part in [first, second] {
        for promised in [
            "{\"status\":\"ok\"}",
            "result: { text: 'Hello, Ada!' }",
            "accepted: true",
            "signed in as admin@localhost",
            "\"emitted\":[{\"args\":[\"greeted\",{\"name\":\"Ada\"}],\"method\":\"broadcast\"}]",
            "\"status\":\"shipped\"",
        ] {
            assert!(part.contains(promised), "{promised:?} is not in\n{part}");
        }
    }
    assert_eq!(first.matches("\"success\":false").count(), 0, "{first}");
}
