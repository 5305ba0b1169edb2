//! The HTTP side: sign-in, health, metrics, documentation, the admin API beneath, and the routes
//! that scripts serve.

mod auth;
mod body;
mod built_in;
mod client;
mod data;
mod demo;
mod description;
mod health;
mod jobs;
mod listener;
mod openapi;
mod pages;
mod peers;
mod reads;
mod router;
mod routes;
mod sockets;
mod transport;

use std::sync::Arc;

use axum::extract::FromRef;
use gatewright_admin_api::{AdminState, Live};
use gatewright_core::audit::Audit;
use gatewright_core::auth::Accounts;
use gatewright_core::backups::Backups;
use gatewright_core::config::{Config, Setting};
use gatewright_core::pack::Pack;
use gatewright_core::run::Runner;

pub use body::TimedBody;
pub use built_in::BUILT_IN_PATHS;
pub use client::ClientLayer;
pub use demo::mounts;
pub use listener::{Patience, serve};
pub use pages::guarded;
pub use reads::ReadPlaces;
pub use router::{Serves, metrics_router, router};
pub use transport::{Backlog, BeyondCapacity, TransportHandle};

/// What the handlers of this side work with.
#[derive(Clone)]
pub struct HttpState {
    pub runner: Arc<Runner>,
    pub accounts: Arc<Accounts>,
    /// The configuration with the origin of each value.
    pub settings: Arc<Vec<Setting>>,
    /// Copies of the database.
    pub backups: Arc<Backups>,
    /// Who did what.
    pub audit: Arc<Audit>,
    pub live: Arc<dyn Live>,
    pub store: gatewright_core::store::Store,
    /// Bounds how many rows' reads each caller has at once.
    pub reads: Arc<ReadPlaces>,
    /// The packs that are built in.
    pub packs: Arc<Vec<Pack>>,
}

impl FromRef<HttpState> for Arc<Accounts> {
    fn from_ref(state: &HttpState) -> Self {
        state.accounts.clone()
    }
}

impl FromRef<HttpState> for Arc<Config> {
    fn from_ref(state: &HttpState) -> Self {
        state.runner.config.clone()
    }
}

impl HttpState {
    /// What the admin API works with.
    fn admin(&self) -> AdminState {
        AdminState {
            config: self.runner.config.clone(),
            settings: self.settings.clone(),
            audit: self.audit.clone(),
            backups: self.backups.clone(),
            built_in_paths: &BUILT_IN_PATHS,
            accounts: self.accounts.clone(),
            catalog: self.runner.catalog.clone(),
            runner: self.runner.clone(),
            runs: self.runner.log.clone(),
            captures: self.runner.captures.clone(),
            history: self.runner.history.clone(),
            live: self.live.clone(),
            packs: self.packs.clone(),
            jobs: self.runner.jobs.clone(),
        }
    }
}
