//! A server of one test: its own process, port and data.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::database::{Data, Database};
use super::port::Port;

/// The first admin of every test's server.
pub const ADMIN_EMAIL: &str = "admin@example.com";
/// That admin's password.
pub const ADMIN_PASSWORD: &str = "a long enough password";
/// How tokens begin: `{"typ` and `{"alg` in base64. Less of it stands in ids by chance.
pub const TOKENS_BEGIN: [&str; 2] = ["eyJ0eXAi", "eyJhbGci"];
/// How long anything may take before a test counts as hung.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// What a busy machine may outrun, where a test says nothing else: a client that waits for its turn does not
/// read, and a transaction on SQLite may be in the way of others for long.
const PATIENT: [(&str, &str); 3] = [
    ("LIMITS__PING_TIMEOUT_MS", "120000"),
    ("SCRIPTS__TRANSACTION_IDLE_MS", "30000"),
    ("SCRIPTS__TRANSACTION_MS", "30000"),
];

/// A running server. It is killed when dropped.
pub struct Server {
    child: Child,
    /// Such as `http://127.0.0.1:40123`.
    pub url: String,
    /// Its data folder and database.
    pub data: Data,
    /// What it has written to standard output before it listened.
    pub greeting: String,
    /// Locked so that threads of one test can share the server.
    log: Mutex<mpsc::Receiver<String>>,
    /// Where it listens, and its next life too.
    port: Arc<Port>,
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub body: String,
    /// The body as it came.
    pub bytes: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The code of an error.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// The binary under test without the environment's own settings.
pub fn gatewright() -> Command {
    own_environment(Command::new(env!("CARGO_BIN_EXE_gatewright")))
}

fn own_environment(mut command: Command) -> Command {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GATEWRIGHT_")) {
        command.env_remove(name);
    }
    command
}

impl Server {
    /// A server with the defaults.
    pub fn start() -> Self {
        Self::start_with(&[], &[])
    }

    /// A server with these settings (`GATEWRIGHT_…` without the prefix) and flags.
    pub fn start_with(settings: &[(&str, &str)], flags: &[&str]) -> Self {
        Self::start_in(Data::new(), settings, flags)
    }

    /// A server on empty data in this kind of database; see [`super::database::on_each_database!`].
    pub fn start_on(database: Database, settings: &[(&str, &str)], flags: &[&str]) -> Self {
        Self::start_in(Data::on(database), settings, flags)
    }

    /// A server on data that is there: started again (`server.data.clone()`), or a second one.
    pub fn start_in(data: Data, settings: &[(&str, &str)], flags: &[&str]) -> Self {
        Self::start_at(Arc::new(Port::new()), data, settings, flags)
    }

    /// The same server again, after a stop: on its address and data.
    pub fn restart(self, settings: &[(&str, &str)]) -> Self {
        let port = self.port.clone();
        let (status, data, log) = self.stop();
        assert_eq!(status.code(), Some(0), "{log}");
        Self::start_at(port, data, settings, &[])
    }

    /// The same server again, after a kill -9: on its address and data.
    pub fn kill_and_start(mut self, settings: &[(&str, &str)]) -> Self {
        self.kill();
        self.start_again(settings)
    }

    /// The same server again, after its end: on its address and data.
    pub fn start_again(&self, settings: &[(&str, &str)]) -> Self {
        Self::start_at(self.port.clone(), self.data.clone(), settings, &[])
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as the power does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A server whose process is limited first, by a command of the shell such as `ulimit`.
    pub fn start_limited(limit: &str, settings: &[(&str, &str)]) -> Self {
        let binary = env!("CARGO_BIN_EXE_gatewright");
        let mut command = own_environment(Command::new("sh"));
        command.arg("-c").arg(format!("{limit} && exec {binary:?} \"$@\"")).arg("gatewright");
        Self::start_command(command, Arc::new(Port::new()), Data::new(), settings, &[])
    }

    fn start_at(port: Arc<Port>, data: Data, settings: &[(&str, &str)], flags: &[&str]) -> Self {
        Self::start_command(gatewright(), port, data, settings, flags)
    }

    fn start_command(
        mut command: Command,
        port: Arc<Port>,
        data: Data,
        settings: &[(&str, &str)],
        flags: &[&str],
    ) -> Self {
        command.args(["serve", "--listen", &port.address.to_string()]).args(flags);
        data.give_to(&mut command);
        command.env("GATEWRIGHT_ADMIN_EMAIL", ADMIN_EMAIL).env("GATEWRIGHT_ADMIN_PASSWORD", ADMIN_PASSWORD);
        for (key, value) in PATIENT.iter().chain(settings) {
            command.env(format!("GATEWRIGHT_{key}"), value);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = collect(child.stderr.take().unwrap());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut greeting = String::new();
        let url = loop {
            let Some(Ok(line)) = lines.next() else {
                panic!("the server did not start\n{greeting}\n{}", log.iter().collect::<String>());
            };
            greeting.push_str(&line);
            greeting.push('\n');
            if let Some(at) = line.find("listens on ") {
                let rest = &line[at + "listens on ".len()..];
                break rest.split(',').next().unwrap().trim().to_owned();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url, data, greeting, log: Mutex::new(log), port }
    }

    /// Stops it with SIGTERM; how it ended, its data and its log.
    pub fn stop(mut self) -> (ExitStatus, Data, String) {
        self.signal("TERM");
        let status = self.child.wait().unwrap();
        let log = self.log.get_mut().unwrap().iter().collect();
        (status, self.data.clone(), log)
    }

    /// Sends a signal, e.g. `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.unwrap().success());
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// A token of the first admin.
    pub fn admin_token(&self) -> String {
        let body = serde_json::json!({ "email": ADMIN_EMAIL, "password": ADMIN_PASSWORD });
        let answer = self.call("POST", "/auth/login", Some(&body), &[]);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["accessToken"].as_str().unwrap().to_owned()
    }

    /// A call of the admin API by the first admin, with a token from [`Self::admin_token`].
    pub fn admin(&self, token: &str, method: &str, path: &str, body: Option<&Json>) -> Answer {
        self.call(method, path, body, &[("authorization", &format!("Bearer {token}"))])
    }

    /// Any call.
    pub fn call(&self, method: &str, path: &str, body: Option<&Json>, headers: &[(&str, &str)]) -> Answer {
        let mut all = headers.to_vec();
        let text = body.map(Json::to_string);
        all.extend(body.map(|_| ("content-type", "application/json")));
        send(&self.url, method, path, &all, text.unwrap_or_default().as_bytes())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again until there is something; what must come may take a while.
pub fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// A call with any bytes as its body, which [`Server::call`] cannot send.
pub fn send(url: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .timeout_global(Some(PATIENCE))
        .build()
        .into();
    let mut request = ureq::http::Request::builder().method(method).uri(format!("{url}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let sent = if body.is_empty() {
        agent.run(request.body(()).unwrap())
    } else {
        agent.run(request.body(body.to_vec()).unwrap())
    };
    let mut response = sent.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.body_mut().with_config().limit(64 << 20).read_to_vec().unwrap();
    Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned(), bytes: body }
}

/// Reads a pipe to its end, so that the server never waits for it.
fn collect(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            if sender.send(String::from_utf8_lossy(&buffer[..count]).into_owned()).is_err() {
                break;
            }
        }
    });
    receiver
}
