//! From the configuration to a running server, and back down in order.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use gatewright_core::auth::{Accounts, NewUser, ROLE_ADMIN, Secret};
use gatewright_core::catalog::{Catalog, RunLog};
use gatewright_core::config::{self, Config, LogFormat, Sources};
use gatewright_core::data::Data;
use gatewright_core::metrics::Metrics;
use gatewright_core::script::ScriptEngine;
use gatewright_core::store::Store;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tower::Layer;
use tracing_subscriber::EnvFilter;

use crate::gateway::{HandshakeLayer, Hub, watch_changes};
use crate::http::{self, HttpState};
use crate::packs;

/// Random characters of a password that is made up.
const PASSWORD_CHARS: usize = 20;

/// The domain, opened: what every command that works on the data needs.
pub struct App {
    pub config: Arc<Config>,
    pub store: Store,
    pub accounts: Arc<Accounts>,
    pub catalog: Arc<Catalog>,
    pub metrics: Arc<Metrics>,
}

impl App {
    /// Opens the data of a configuration.
    pub async fn open(config: Config) -> anyhow::Result<Self> {
        let config = Arc::new(config);
        let secret = Arc::new(Secret::of_data_dir(&config.data_dir)?);
        let metrics = Arc::new(Metrics::new());
        let store = Store::open(&config, &metrics).await.context("cannot open the database")?;
        let data = Data::open(store.clone()).await?;
        let engine = Arc::new(ScriptEngine::new(&config.scripts, secret.clone(), Some(data)));
        let catalog = Catalog::open(store.clone(), engine, config.clone(), metrics.clone()).await?;
        let accounts = Accounts::new(store.clone(), secret, config.auth.clone())?;
        Ok(Self { config, store, accounts: Arc::new(accounts), catalog: Arc::new(catalog), metrics })
    }

    /// Opens the data that these sources lead to.
    pub async fn of(sources: Sources) -> anyhow::Result<Self> {
        Self::open(config::load(&sources)?.config).await
    }

    /// Makes the first admin where there is none; a made-up password is printed this once.
    async fn bootstrap_admin(&self) -> anyhow::Result<()> {
        if self.accounts.has_admin().await? {
            return Ok(());
        }
        let email = self.config.admin_email.clone();
        let is_made_up = self.config.admin_password.is_empty();
        let password = if is_made_up { made_up_password() } else { self.config.admin_password.clone() };
        let new = NewUser {
            email: email.clone(),
            password: password.clone(),
            name: String::new(),
            role: ROLE_ADMIN.to_owned(),
            is_enabled: true,
        };
        self.accounts.create_user(new).await.context("cannot make the first admin")?;
        if is_made_up {
            println!("First admin: {email} with the password {password} (shown this once)");
        }
        Ok(())
    }
}

/// A password that nobody can guess.
pub fn made_up_password() -> String {
    let bytes: Vec<u8> = (0..PASSWORD_CHARS).flat_map(|_| *uuid::Uuid::new_v4().as_bytes()).collect();
    const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    bytes.iter().step_by(16).map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).collect()
}

/// The page that a demo adds, by its path.
pub type DemoPage = &'static str;

/// Runs a server until a signal stops it.
pub async fn serve(sources: Sources, demo: Option<DemoPage>) -> anyhow::Result<ExitCode> {
    let config = config::load(&sources)?.config;
    init_logs(&config)?;
    let app = App::open(config).await?;
    let turn = app.store.turn().await?;
    app.bootstrap_admin().await?;
    packs::install_configured(&app).await?;
    drop(turn);
    let runs = Arc::new(RunLog::new(app.config.logs.runs));
    let (hub, socket_io) =
        Hub::start(app.config.clone(), app.catalog.clone(), app.accounts.clone(), app.metrics.clone(), runs)?;
    let packs = Arc::new(packs::all_built_in()?);
    let state = HttpState { hub: hub.clone(), store: app.store.clone(), packs };
    let listener = bind(app.config.listen).await?;
    let address = listener.local_addr()?;
    let metrics_listener = match app.config.metrics.listen {
        Some(address) => Some(bind(address).await?),
        None => None,
    };

    let router = http::router(state.clone(), demo.is_some());
    let service = HandshakeLayer(hub.clone()).layer(socket_io.layer(router));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let server = tokio::spawn(http::serve(listener, service, until(stopped.clone())));
    let metrics = metrics_listener.map(|listener| {
        let service = tower::ServiceExt::map_request(
            http::metrics_router(state),
            |request: axum::http::Request<hyper::body::Incoming>| request.map(axum::body::Body::new),
        );
        tokio::spawn(http::serve(listener, service, until(stopped)))
    });
    let changes = tokio::spawn(watch_changes(hub.clone()));
    let folder = packs::watch_configured(&app, &hub);
    // Caught before anyone is told that the server runs.
    let mut signals = StopSignals::catch()?;
    announce(address, demo);

    signals.next().await;
    let force = tokio::spawn(exit_on_second_signal(signals));
    tracing::info!("stopping: accepted events finish first");
    hub.begin_drain();
    hub.drain().await;
    let _ = stop.send(true);
    let _ = server.await;
    if let Some(metrics) = metrics {
        let _ = metrics.await;
    }
    changes.abort();
    drop(folder);
    force.abort();
    if let Err(error) = app.store.clone().close().await {
        tracing::warn!(%error, "could not close the database");
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; choose another with --listen or `listen`"))
}

async fn until(mut stopped: tokio::sync::watch::Receiver<bool>) {
    // An error means that the sender has gone, which is the same.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// One line that says where everything is, and what others can reach.
fn announce(address: SocketAddr, demo: Option<DemoPage>) {
    let base = format!("http://{address}");
    let demo = demo.map_or_else(String::new, |page| format!(", demo at {base}{page}"));
    println!("Gatewright listens on {base}{demo}, API and admin API at {base}/docs");
    if !address.ip().is_loopback() {
        println!("Exposed beyond this machine: sockets, sign-in, the admin API and /docs. Put TLS in front.");
    }
    let _ = std::io::stdout().flush();
}

fn init_logs(config: &Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.logs.level).with_context(|| {
        format!("`logs.level` is {:?}; allowed: a level, or directives", config.logs.level)
    })?;
    let is_pretty = match config.logs.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
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

async fn exit_on_second_signal(mut signals: StopSignals) {
    signals.next().await;
    eprintln!("stopped at once by a second signal");
    std::process::exit(130);
}
