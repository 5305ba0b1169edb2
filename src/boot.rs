//! From the configuration to a running server, and back down in order.

use std::fs::Permissions;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use gatewright_core::audit::Audit;
use gatewright_core::auth::{Accounts, Secret};
use gatewright_core::backups::Backups;
use gatewright_core::broker::MemoryBroker;
use gatewright_core::catalog::Catalog;
use gatewright_core::config::{self, Config, ListenAddress, LogFormat, Sources};
use gatewright_core::data::Data;
use gatewright_core::jobs::Jobs;
use gatewright_core::metrics::Metrics;
use gatewright_core::run::{CaptureOptions, Captures, Runner};
use gatewright_core::script::ScriptEngine;
use gatewright_core::store::Store;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::Layer;
use tracing_subscriber::EnvFilter;

use crate::gateway::{GuardLayer, Hub, watch_changes};
use crate::http::{self, HttpState, ReadPlaces};
use crate::packs;

/// How long a stop waits for what serves and watches; the longest is the install of a pack.
const TASKS_MAX: Duration = Duration::from_secs(10);
/// How long a stop waits for the database, which may have gone.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// Random characters of a password that is made up.
const PASSWORD_CHARS: usize = 20;

/// Runs of a handler that a demo captures.
const DEMO_RUNS: usize = 100;

/// The domain, opened: what every command that works on the data needs.
pub struct App {
    pub config: Arc<Config>,
    pub store: Store,
    pub accounts: Arc<Accounts>,
    pub catalog: Arc<Catalog>,
    pub metrics: Arc<Metrics>,
    /// The folder of data that nobody keeps.
    _passing: Option<TempDir>,
}

impl App {
    /// Opens the data of a configuration.
    pub async fn open(config: Config) -> anyhow::Result<Self> {
        let config = Arc::new(config);
        let secret = Arc::new(Secret::of_data_dir(&config.data_dir)?);
        let metrics = Arc::new(Metrics::new());
        let store = Store::open(&config, &metrics).await?;
        let data = Data::open(store.clone()).await?;
        let engine = Arc::new(ScriptEngine::new(&config.scripts, secret.clone(), Some(data)));
        let catalog =
            Catalog::open(store.clone(), engine, config.clone(), metrics.clone(), &http::BUILT_IN_PATHS)
                .await?;
        let accounts = Accounts::new(store.clone(), secret, config.auth.clone())?;
        let (accounts, catalog) = (Arc::new(accounts), Arc::new(catalog));
        Ok(Self { config, store, accounts, catalog, metrics, _passing: None })
    }

    /// Opens the data that these sources lead to.
    pub async fn of(sources: Sources) -> anyhow::Result<Self> {
        Self::open(config::load(&sources)?.config).await
    }

    /// Opens the data that is there. Where there is none, it is empty data that goes with this: a
    /// command that only looks makes no folder.
    pub async fn existing(sources: Sources) -> anyhow::Result<Self> {
        let mut config = config::load(&sources)?.config;
        let database_is_missing = config.sqlite_file().is_some_and(|file| !file.exists());
        if !database_is_missing && config.data_dir.exists() {
            return Self::open(config).await;
        }
        let folder = temporary_folder()?;
        config.database_url = config.effective_database_url();
        if database_is_missing {
            let _ =
                writeln!(std::io::stderr(), "note: there is no data in {} yet", config.data_dir.display());
            config.database_url = format!("sqlite://{}", folder.path().join("gatewright.db").display());
        }
        config.data_dir = folder.path().to_owned();
        Ok(Self { _passing: Some(folder), ..Self::open(config).await? })
    }

    /// Makes the first admin where there is none; a made-up password is printed this once.
    async fn bootstrap_admin(&self) -> anyhow::Result<()> {
        if self.accounts.has_admin().await? {
            return Ok(());
        }
        let email = self.config.admin_email.clone();
        let is_made_up = self.config.admin_password.is_empty();
        let password = if is_made_up { made_up_password() } else { self.config.admin_password.clone() };
        if is_made_up {
            // Before there is an admin: who is stopped in between is told another at the next start,
            // and no admin is left whose password nobody has seen.
            say(&format!("First admin: {email} with the password {password} (shown this once)"));
        }
        self.accounts.create_first_admin(email, password).await.context("cannot make the first admin")?;
        Ok(())
    }
}

/// A data folder that goes when it is dropped, and that nobody else may enter.
pub fn temporary_folder() -> anyhow::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("gatewright-").permissions(Permissions::from_mode(0o700));
    builder.tempdir().context("cannot make a temporary folder")
}

/// A password that nobody can guess.
pub fn made_up_password() -> String {
    let bytes: Vec<u8> = (0..PASSWORD_CHARS).flat_map(|_| *uuid::Uuid::new_v4().as_bytes()).collect();
    const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    bytes.iter().step_by(16).map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).collect()
}

/// The page that a demo begins with.
#[derive(Clone, Copy)]
pub struct DemoPage {
    pub path: &'static str,
    /// The gateway that it connects to.
    pub gateway: &'static str,
}

/// Runs a server until a signal stops it.
pub async fn serve(sources: Sources, demo: Option<DemoPage>) -> anyhow::Result<ExitCode> {
    let config::Loaded { config, settings } = config::load(&sources)?;
    init_logs(&config)?;
    let watched = config.watch.clone().map(packs::Watched::start).transpose()?;
    let app = App::open(config).await?;
    let turn = app.store.turn().await?;
    app.bootstrap_admin().await?;
    packs::install_configured(&app).await?;
    if demo.is_some() {
        packs::install_demos(&app).await?;
    }
    drop(turn);
    let broker = Arc::new(MemoryBroker::default());
    let jobs = Jobs::open(app.store.clone(), &app.config, app.metrics.clone()).await?;
    let runner = Runner::start(
        app.config.clone(),
        app.catalog.clone(),
        app.metrics.clone(),
        broker,
        app.accounts.clone(),
        jobs.clone(),
    )?;
    if let Some(page) = demo {
        capture(&runner, page.gateway)?;
    }
    let hub = Hub::start(runner.clone(), app.accounts.clone());
    let packs = Arc::new(packs::all_built_in()?);
    let reads = Arc::new(ReadPlaces::new(&app.config.limits));
    let audit = Arc::new(Audit::new(app.store.clone(), app.config.audit.clone()));
    let state = HttpState {
        runner,
        settings: Arc::new(settings),
        backups: Arc::new(Backups::new(app.store.clone(), &app.config)),
        audit: audit.clone(),
        accounts: app.accounts.clone(),
        live: hub.clone(),
        store: app.store.clone(),
        reads,
        packs,
    };
    // Caught before anyone can know that the server runs.
    let mut signals = StopSignals::catch()?;
    let listener = bind(&app.config.listen).await?;
    let address = listener.local_addr()?;
    let admin_listener = match &app.config.admin.listen {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let metrics_listener = match &app.config.metrics.listen {
        Some(address) => Some(bind(address).await?),
        None => None,
    };

    let service_of = |serves: http::Serves| {
        let router = http::router(state.clone(), demo.is_some(), serves);
        let guarded = http::ClientLayer.layer(GuardLayer(hub.clone()).layer(router));
        let guarded = tower::util::MapResponseLayer::new(http::guarded).layer(guarded);
        let marked = move |mut request: axum::http::Request<http::TimedBody>| {
            request.extensions_mut().insert(serves);
            request
        };
        tower::util::MapRequestLayer::new(marked).layer(guarded)
    };
    let (stop, stopped) = watch::channel(false);
    let patience = http::Patience::new(&app.config);
    let mut tasks = JoinSet::new();
    let serves = if admin_listener.is_some() { http::Serves::AllButAdmin } else { http::Serves::All };
    tasks.spawn(http::serve(listener, service_of(serves), patience.clone(), until(stopped.clone())));
    let admin_address = admin_listener.as_ref().map_or(Ok(address), TcpListener::local_addr)?;
    if let Some(listener) = admin_listener {
        let service = service_of(http::Serves::All);
        tasks.spawn(http::serve(listener, service, patience.clone(), until(stopped.clone())));
    }
    if let Some(listener) = metrics_listener {
        let service = tower::ServiceExt::map_request(
            http::metrics_router(state)
                .layer(axum::middleware::map_response(async |answer| http::guarded(answer))),
            |request: axum::http::Request<http::TimedBody>| request.map(axum::body::Body::new),
        );
        tasks.spawn(http::serve(listener, service, patience, until(stopped.clone())));
    }
    tasks.spawn(watch_changes(hub.clone(), until(stopped.clone())));
    tasks.spawn(jobs.keep(until(stopped.clone())));
    tasks.spawn(audit.keep(until(stopped.clone())));
    if let Some(watched) = watched {
        tasks.spawn(watched.keep_installed(app.catalog.clone(), until(stopped)));
    }
    announce(address, admin_address, demo);
    if demo.is_some() {
        announce_sign_in(admin_address, &app).await?;
    }

    signals.next().await;
    tracing::info!("stopping: accepted events finish first");
    tokio::select! {
        () = end(&hub, stop, tasks, app.store.clone()) => tracing::info!("stopped"),
        () = signals.next() => exit_at_once(),
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows who tries a gateway what its runs were given, for an hour.
fn capture(runner: &Runner, gateway: &str) -> anyhow::Result<()> {
    let handlers = runner.catalog.handlers();
    for handler in handlers.iter().filter(|handler| &*handler.gateway == gateway) {
        let options =
            CaptureOptions { minutes: Captures::MINUTES_MAX, runs_max: DEMO_RUNS, errors_only: false };
        runner.captures.start(handler, options)?;
    }
    Ok(())
}

/// Comes down in order: events, then what serves and watches, then the database.
async fn end(hub: &Hub, stop: watch::Sender<bool>, mut tasks: JoinSet<()>, store: Store) {
    hub.begin_drain();
    hub.drain().await;
    let _ = stop.send(true);
    let ended = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(TASKS_MAX, ended).await.is_err() {
        tracing::warn!("a task did not end in time: perhaps a pack is installed in part");
    }
    close(store).await;
}

/// Closes the database, as far as it answers.
async fn close(store: Store) {
    match tokio::time::timeout(CLOSE_MAX, store.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "could not close the database"),
        Err(_) => tracing::warn!("the database does not answer; its connections end with the process"),
    }
}

/// Of a name with several addresses, such as localhost, the IPv4 one: who has no IPv6 reaches it too.
async fn bind(address: &ListenAddress) -> anyhow::Result<TcpListener> {
    let bound = async {
        let mut addresses: Vec<_> = tokio::net::lookup_host(address.as_str()).await?.collect();
        addresses.sort_by_key(SocketAddr::is_ipv6);
        TcpListener::bind(&*addresses).await
    };
    bound
        .await
        .with_context(|| format!("cannot listen on {address}; choose another with --listen or `listen`"))
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender has gone, which is the same.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// One line that says where everything is, and what others can reach.
fn announce(address: SocketAddr, admin: SocketAddr, demo: Option<DemoPage>) {
    let base = format!("http://{address}");
    let demo = demo.map_or_else(String::new, |page| format!(", demo at {base}{}", page.path));
    say(&format!(
        "Gatewright listens on {base}{demo}, admin UI at http://{admin}/_/, API at http://{admin}/docs"
    ));
    let is_exposed = |address: SocketAddr| !address.ip().is_loopback();
    match (is_exposed(address), is_exposed(admin)) {
        (_, true) => {
            say("Exposed beyond this machine: sockets, sign-in, the admin API and /docs. Put TLS in front.")
        }
        (true, false) => say("Exposed beyond this machine: sockets, sign-in and /docs. Put TLS in front."),
        (false, false) => {}
    }
}

/// A link that signs the first admin in, once: whoever tries it out has no password yet.
async fn announce_sign_in(address: SocketAddr, app: &App) -> anyhow::Result<()> {
    if let Some(code) = app.accounts.code_for(&app.config.admin_email).await? {
        say(&format!("Sign in as the admin, once and within 10 minutes: http://{address}/_/#code={code}"));
    }
    Ok(())
}

/// A line for whoever started the server. The server does not end with its reader.
fn say(line: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn init_logs(config: &Config) -> anyhow::Result<()> {
    // The store says in one line what the library says in two for each migration.
    let directives = format!("sea_orm_migration=warn,{}", config.logs.level);
    let filter = EnvFilter::try_new(directives).with_context(|| {
        format!("`logs.level` is {:?}; allowed: a level, or directives", config.logs.level)
    })?;
    let is_pretty = match config.logs.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A log that nobody reads any more is no reason to panic.
    let builder = builder.log_internal_errors(false);
    // An earlier subscriber (of a test) stays.
    let _ = if is_pretty {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    // A panic is a line of the log like any other.
    std::panic::set_hook(Box::new(|panic| tracing::error!(place = ?panic.location(), "panic: {panic}")));
    Ok(())
}

/// SIGTERM and SIGINT, caught from here on.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn catch() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn exit_at_once() -> ! {
    let _ = writeln!(std::io::stderr(), "stopped at once by a second signal");
    std::process::exit(130);
}
