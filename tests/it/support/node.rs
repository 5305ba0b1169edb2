//! Drives the official client: a scenario is a file of `tests/client/scenarios`, run by Node
//! against a server. Without Node it is skipped, unless `CI` is true.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::server::{ADMIN_EMAIL, ADMIN_PASSWORD, Server};

/// Runs a scenario; it fails the test with its output.
pub fn run_scenario(server: &Server, name: &str) {
    if !node_is_there() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI needs Node");
        eprintln!("skipped: no Node");
        return;
    }
    let output = Command::new("node")
        .arg(client_folder().join("scenarios").join(format!("{name}.mjs")))
        .env("GATEWRIGHT_TEST_URL", &server.url)
        .env("GATEWRIGHT_TEST_EMAIL", ADMIN_EMAIL)
        .env("GATEWRIGHT_TEST_PASSWORD", ADMIN_PASSWORD)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "scenario {name}\n{text}");
}

fn client_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/client")
}

/// Whether there is Node; installs the locked packages once.
fn node_is_there() -> bool {
    static THERE: OnceLock<bool> = OnceLock::new();
    *THERE.get_or_init(|| {
        if !Command::new("node").arg("--version").output().is_ok_and(|output| output.status.success()) {
            return false;
        }
        if !client_folder().join("node_modules/socket.io-client").exists() {
            let installed = Command::new("npm")
                .args(["ci", "--no-audit", "--no-fund"])
                .current_dir(client_folder())
                .output()
                .expect("npm comes with Node");
            assert!(installed.status.success(), "npm ci: {}", String::from_utf8_lossy(&installed.stderr));
        }
        true
    })
}
