//! Drives the official client: a scenario is a file of `tests/client/scenarios`, run by Node
//! against a server. Without Node it is skipped, unless `CI` is true.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use super::server::{ADMIN_EMAIL, ADMIN_PASSWORD, Server};

/// Where Debian has its browser; `GATEWRIGHT_TEST_BROWSER` names another.
const BROWSER: &str = "/usr/bin/chromium";

/// Runs a scenario; it fails the test with its output.
pub fn run_scenario(server: &Server, name: &str) {
    run_client(server, &format!("scenarios/{name}.mjs"));
}

/// Runs a file of `tests/client/browser`, which drives a Chromium. Without one it is skipped,
/// unless `CI` is true.
pub fn run_in_browser(url: &str, name: &str) {
    run_in_browser_with(url, name, &[]);
}

/// The same, with more variables.
pub fn run_in_browser_with(url: &str, name: &str, env: &[(&str, &str)]) {
    if browser_is_there() {
        run_file(url, &format!("browser/{name}.mjs"), env);
    }
}

/// Starts such a file, which goes on while the test does something to the server.
pub fn start_in_browser(server: &Server, name: &str) -> Option<Scenario> {
    let command = browser_is_there().then(|| command(&server.url, &format!("browser/{name}.mjs"))).flatten();
    command.map(|mut command| Scenario::start(&mut command))
}

fn browser_is_there() -> bool {
    let browser = std::env::var("GATEWRIGHT_TEST_BROWSER").unwrap_or_else(|_| BROWSER.to_owned());
    let is_there = Path::new(&browser).exists();
    if !is_there {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI needs a Chromium at {browser}");
        eprintln!("skipped: no {browser}");
    }
    is_there
}

/// Runs a file of `tests/client`; it fails the test with its output.
pub fn run_client(server: &Server, file: &str) {
    run_file(&server.url, file, &[]);
}

fn run_file(url: &str, file: &str, env: &[(&str, &str)]) {
    let Some(mut command) = command(url, file) else { return };
    let output = command.envs(env.iter().copied()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{file}\n{text}");
}

/// Starts a scenario that goes on while the test does something to the server; none without Node.
pub fn start_scenario(server: &Server, name: &str, env: &[(&str, &str)]) -> Option<Scenario> {
    start_client(server, &format!("scenarios/{name}.mjs"), env)
}

/// Starts a file of `tests/client` that goes on while the test does something to the server; none without Node.
pub fn start_client(server: &Server, file: &str, env: &[(&str, &str)]) -> Option<Scenario> {
    let mut command = command(&server.url, file)?;
    Some(Scenario::start(command.envs(env.iter().copied())))
}

/// A client's program that runs beside the test.
pub struct Scenario {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    text: String,
}

impl Scenario {
    /// Starts this program.
    pub fn start(command: &mut Command) -> Self {
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output, text: String::new() }
    }

    /// Tells it something; it reads lines.
    pub fn tell(&mut self, line: &str) {
        if let Err(error) = writeln!(self.input, "{line}") {
            panic!("it does not hear {line:?}: {error}\n{}{}", self.text, errors_of(&mut self.child));
        }
    }

    /// Waits until it says so.
    pub fn until(&mut self, line: &str) {
        while !self.text.lines().any(|said| said == line) {
            let read = self.output.read_line(&mut self.text).unwrap();
            assert_ne!(read, 0, "it ended before {line:?}\n{}{}", self.text, errors_of(&mut self.child));
        }
    }

    /// Waits for its end, which has to be a good one.
    pub fn succeeds(self, log: &str) {
        self.finishes(log);
    }

    /// Waits for its end, which has to be a good one; all that it said.
    pub fn finishes(mut self, log: &str) -> String {
        self.output.read_to_string(&mut self.text).unwrap();
        let errors = errors_of(&mut self.child);
        assert!(self.child.wait().unwrap().success(), "{}{errors}\n{log}", self.text);
        std::mem::take(&mut self.text)
    }
}

impl Drop for Scenario {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn errors_of(child: &mut Child) -> String {
    let mut text = String::new();
    if let Some(mut pipe) = child.stderr.take() {
        let _ = pipe.read_to_string(&mut text);
    }
    text
}

fn command(url: &str, file: &str) -> Option<Command> {
    if !node_is_there() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI needs Node");
        eprintln!("skipped: no Node");
        return None;
    }
    let mut command = Command::new("node");
    command
        .arg(client_folder().join(file))
        .env("GATEWRIGHT_TEST_URL", url)
        .env("GATEWRIGHT_TEST_EMAIL", ADMIN_EMAIL)
        .env("GATEWRIGHT_TEST_PASSWORD", ADMIN_PASSWORD);
    Some(command)
}

pub fn client_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/client")
}

/// Whether there is Node; installs the locked packages once.
pub fn node_is_there() -> bool {
    static THERE: OnceLock<bool> = OnceLock::new();
    *THERE.get_or_init(|| {
        if !Command::new("node").arg("--version").output().is_ok_and(|output| output.status.success()) {
            return false;
        }
        if !client_folder().join("node_modules/@axe-core/playwright").exists() {
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
