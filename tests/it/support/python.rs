//! Runs Python: the Python client, and the validator of the API's description, as locked in
//! `tests/client/python/requirements.txt`. Without Python it is skipped, unless `CI` is true.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::node::Scenario;
use super::server::{ADMIN_EMAIL, ADMIN_PASSWORD, Server};

/// Runs a scenario of `tests/client/python`; it fails the test with its output.
pub fn run_python(server: &Server, name: &str) {
    let Some(mut python) = scenario(server, name) else { return };
    let output = python.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "scenario {name}\n{text}");
}

/// Starts a scenario that goes on while the test does something to the server; none without Python.
pub fn start_python(server: &Server, name: &str, env: &[(&str, &str)]) -> Option<Scenario> {
    let mut python = scenario(server, name)?;
    Some(Scenario::start(python.envs(env.iter().copied())))
}

fn scenario(server: &Server, name: &str) -> Option<Command> {
    let mut python = python()?;
    python
        .arg(folder().join(format!("{name}.py")))
        .env("GATEWRIGHT_TEST_URL", &server.url)
        .env("GATEWRIGHT_TEST_EMAIL", ADMIN_EMAIL)
        .env("GATEWRIGHT_TEST_PASSWORD", ADMIN_PASSWORD);
    Some(python)
}

/// Python with the locked packages; none where there is no Python.
pub fn python() -> Option<Command> {
    static INSTALLED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match INSTALLED.get_or_init(install) {
        Ok(python) => Some(Command::new(python)),
        Err(why) => {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI needs Python: {why}");
            eprintln!("skipped: no Python ({why})");
            None
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/client/python")
}

/// An environment of its own under `target`, made again when the locked packages change.
fn install() -> Result<PathBuf, String> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let (python, stamp) = (place.join("bin/python"), place.join("installed.txt"));
    let locked = folder().join("requirements.txt");
    let wanted = std::fs::read_to_string(&locked).map_err(|error| error.to_string())?;
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&place))?;
    let quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"];
    run(Command::new(&python).args(quiet).arg(&locked))?;
    std::fs::write(&stamp, wanted).map_err(|error| error.to_string())?;
    Ok(python)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
