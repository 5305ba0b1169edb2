//! The servers under test as child processes: which there are, how each is started with a
//! temporary folder on a free port, and how it is ended. Scenarios see only a running [`Server`].

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::client::{Endpoint, NAMESPACE};

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The gateway itself, with a script behind every event
    Gatewright,
    /// axum and socketioxide, handlers that answer at once
    Raw,
    /// socket.io on Node, handlers that answer at once
    Node,
}

/// What is needed to start any target.
#[derive(clap::Args, Clone)]
pub struct StartArgs {
    /// The gatewright binary to measure [default: target/release/gatewright of this workspace]
    #[arg(long, global = true, value_name = "PATH")]
    pub server: Option<PathBuf>,
    /// Token for `auth.token` when connecting; the bench gateway needs none
    #[arg(long, global = true)]
    pub token: Option<String>,
    /// Run Gatewright on this PostgreSQL, each time in a database of its own: postgres://USER@HOST/NAME
    #[arg(long, global = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// Seconds a server may take to start, a socket to connect, or the last answers to arrive
    #[arg(long, global = true, value_name = "SECONDS", default_value = "30",
          value_parser = crate::seconds)]
    pub patience: Duration,
    /// Handshakes under way at a time while sockets are connected
    #[arg(long, global = true, default_value_t = 64, value_parser = crate::at_least_one)]
    pub connecting: usize,
}

/// A server that has said it is ready. Dropping it kills it.
pub struct Server {
    pub endpoint: Endpoint,
    pub pid: u32,
    child: Child,
    folder: TempDir,
    /// Its database, which goes with it.
    postgres: Option<Postgres>,
}

/// A database of its own on a PostgreSQL; dropped with this.
pub struct Postgres {
    server: String,
    name: String,
}

impl Postgres {
    async fn create(server: &str) -> Result<Self> {
        let name = format!("gatewright_bench_{}", uuid::Uuid::new_v4().simple());
        run_sql(server, &format!("CREATE DATABASE {name}")).await.context("cannot make a database")?;
        Ok(Self { server: server.to_owned(), name })
    }

    /// Where it is.
    pub fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').unwrap_or((&self.server, ""));
        format!("{server}/{}", self.name)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let (server, sql) = (self.server.clone(), format!("DROP DATABASE {} WITH (FORCE)", self.name));
        let dropped = std::thread::spawn(move || crate::client_runtime(1)?.block_on(run_sql(&server, &sql)));
        if !matches!(dropped.join(), Ok(Ok(()))) {
            eprintln!("the database {} is left behind", self.name);
        }
    }
}

async fn run_sql(url: &str, sql: &str) -> Result<()> {
    let connection = sea_orm::Database::connect(url).await?;
    sea_orm::ConnectionTrait::execute_unprepared(&connection, sql).await?;
    Ok(connection.close().await?)
}

/// The admin of every gateway that is measured.
pub const ADMIN_EMAIL: &str = "admin@localhost";
/// That admin's password.
pub const ADMIN_PASSWORD: &str = "only for a bench";

const MANIFEST: &str = "pack.toml";
const PACK: [(&str, &str); 11] = [
    (MANIFEST, include_str!("../pack/pack.toml")),
    ("events/message.rhai", include_str!("../pack/events/message.rhai")),
    ("events/leave.rhai", include_str!("../pack/events/leave.rhai")),
    ("events/subscribe.rhai", include_str!("../pack/events/subscribe.rhai")),
    ("events/tick.rhai", include_str!("../pack/events/tick.rhai")),
    ("events/join.rhai", include_str!("../pack/events/join.rhai")),
    ("events/publish.rhai", include_str!("../pack/events/publish.rhai")),
    ("events/create.rhai", include_str!("../pack/events/create.rhai")),
    ("events/find.rhai", include_str!("../pack/events/find.rhai")),
    ("events/keep.rhai", include_str!("../pack/events/keep.rhai")),
    ("events/write.rhai", include_str!("../pack/events/write.rhai")),
];

impl Target {
    pub fn name(self) -> &'static str {
        match self {
            Self::Gatewright => "gatewright",
            Self::Raw => "raw",
            Self::Node => "node",
        }
    }

    /// Tells why this target has to be left out, `None` when it can run. Installs the packages
    /// of the `node` target when they are missing.
    ///
    /// # Errors
    /// When the gatewright binary is missing: a benchmark without it is seldom what was meant.
    pub async fn reason_to_skip(self, args: &StartArgs) -> Result<Option<String>> {
        match self {
            Self::Raw => Ok(None),
            Self::Node => Ok(node_problem().await),
            Self::Gatewright if args.gatewright().is_file() => Ok(None),
            Self::Gatewright => bail!(
                "no server binary at {}: run `cargo build --release`, name one with --server, \
                 or leave it out with --targets raw,node",
                args.gatewright().display()
            ),
        }
    }

    /// Starts the server and waits until `/health/ready` answers 200.
    ///
    /// # Errors
    /// When it ends, or is not ready in time; the end of its log is part of the message.
    pub async fn start(self, args: &StartArgs) -> Result<Server> {
        self.start_with(args, "").await
    }

    /// The same, with more in the pack of a gateway: TOML.
    pub async fn start_with(self, args: &StartArgs, more: &str) -> Result<Server> {
        let folder = TempDir::with_prefix("gatewright-bench-")?;
        let address = free_address()?;
        let log_path = folder.path().join("server.log");
        let log = File::create(&log_path)?;
        let postgres = if self == Self::Gatewright { args.postgres().await? } else { None };
        let mut command = self.command(args, folder.path(), address, more)?;
        if let Some(postgres) = &postgres {
            command.env("GATEWRIGHT_DATABASE_URL", postgres.url());
        }
        let mut child = command
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.name()))?;
        let pid = child.id().context("the server ended at once")?;
        if let Err(error) = wait_until_ready(&mut child, address, args.patience).await {
            let log = fs::read_to_string(&log_path).unwrap_or_default();
            return Err(error.context(format!("{} did not start; its log:\n{log}", self.name())));
        }
        let endpoint = Endpoint {
            address,
            namespace: NAMESPACE.into(),
            token: args.token.clone(),
            patience: args.patience,
            connecting: args.connecting,
        };
        Ok(Server { endpoint, pid, child, folder, postgres })
    }

    fn command(self, args: &StartArgs, folder: &Path, address: SocketAddr, more: &str) -> Result<Command> {
        let listen = address.to_string();
        let mut command;
        match self {
            Self::Gatewright => {
                let pack = folder.join("pack");
                write_pack(&pack, more)?;
                command = Command::new(args.gatewright().canonicalize()?);
                command.args(["serve", "--listen", &listen]);
                command.arg("--data").arg(folder.join("data"));
                command.arg("--pack").arg(pack);
            }
            Self::Raw => {
                command = Command::new(std::env::current_exe()?);
                command.args(["baseline-server", "--listen", &listen]);
            }
            Self::Node => {
                command = Command::new("node");
                command.arg(node_folder().join("server.mjs")).arg(&listen);
            }
        }
        command.current_dir(folder);
        command.stdin(Stdio::null()).kill_on_drop(true);
        isolate(&mut command);
        Ok(command)
    }
}

impl StartArgs {
    /// A fresh database on the PostgreSQL that is named, if one is.
    pub async fn postgres(&self) -> Result<Option<Postgres>> {
        match &self.database_url {
            Some(url) => Ok(Some(Postgres::create(url).await?)),
            None => Ok(None),
        }
    }

    fn gatewright(&self) -> PathBuf {
        self.server.clone().unwrap_or_else(|| {
            Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target").join("release/gatewright")
        })
    }
}

impl Server {
    /// Gatewright's database.
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("data/gatewright.db")
    }

    /// The URL of Gatewright's PostgreSQL, if it has one.
    pub fn database_url(&self) -> Option<String> {
        self.postgres.as_ref().map(Postgres::url)
    }

    /// Ends the server and waits until it is gone, so that it costs the next run nothing.
    pub async fn stop(mut self) -> Result<()> {
        self.child.kill().await.context("cannot end the server")
    }
}

/// Keeps the caller's own settings out, and lets one address open all the connections.
fn isolate(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GATEWRIGHT_") {
            command.env_remove(name);
        }
    }
    command.env("GATEWRIGHT_LIMITS__CONNECTIONS_PER_SECOND_PER_IP", "0");
    command.env("GATEWRIGHT_ADMIN_EMAIL", ADMIN_EMAIL).env("GATEWRIGHT_ADMIN_PASSWORD", ADMIN_PASSWORD);
}

fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}

fn write_pack(folder: &Path, more: &str) -> Result<()> {
    for (name, text) in PACK {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, text)?;
    }
    let mut manifest = fs::OpenOptions::new().append(true).open(folder.join(MANIFEST))?;
    Ok(manifest.write_all(more.as_bytes())?)
}

async fn wait_until_ready(child: &mut Child, address: SocketAddr, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait()? {
            bail!("it ended with {status}");
        }
        if matches!(is_ready(address).await, Ok(true)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("/health/ready did not answer 200 within {patience:?}");
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn is_ready(address: SocketAddr) -> Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /health/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    Ok(status.ends_with(b" 200"))
}

fn node_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("node")
}

async fn node_problem() -> Option<String> {
    if Command::new("node").arg("--version").output().await.is_err() {
        return Some("no Node".to_owned());
    }
    if node_folder().join("node_modules").is_dir() {
        return None;
    }
    let install = Command::new("npm").arg("ci").current_dir(node_folder()).output();
    match install.await {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Some(format!("`npm ci` failed: {reason}"))
        }
        Err(error) => Some(format!("`npm` does not start: {error}")),
    }
}
