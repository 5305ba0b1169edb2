//! The catalog: gateways, events, routes, hooks, libraries and schedules as the database has them, and as they are live.
//! Each is a [`Definition`], and all that is done with one is done with each in the same way.
//!
//! [`Catalog::live`] and [`Catalog::live_routes`] are immutable snapshots; a change makes the next
//! and swaps it in, so that readers never wait and a running job keeps what it was accepted with.
//! This module must not know sockets; the edge looks at the snapshots and adjusts.

mod checks;
mod definition;
mod edit;
mod event_name;
mod events;
mod fields;
mod gateways;
mod hook_match;
mod hooks;
mod libraries;
mod live;
mod live_routes;
mod presence;
mod revisions;
mod route_path;
mod routes;
mod save;
mod saved;
mod schedules;
mod search;
mod tables;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::config::Config;
use crate::data::Data;
use crate::error::{Error, Result};
use crate::listeners::Listeners;
use crate::metrics::Metrics;
use crate::script::{Handler, Libraries, ScriptEngine};
use crate::store::Store;

pub(crate) use definition::fields_as_json;
pub use definition::{Definition, Place, Saved, Suspended, Suspension};
pub use event_name::EventTable;
pub use events::Event;
pub use fields::Fields;
pub use gateways::{Gateway, GatewayLimits};
pub use hook_match::HookMatch;
pub use hooks::Hook;
pub use libraries::Library;
pub(crate) use libraries::{LibrariesChange, ScriptPlace};
pub use live::{Limits, LiveEvent, LiveGateway};
pub use live_routes::{Found, LiveRoute, LiveRoutes, RouteTable};
pub use presence::PresenceRooms;
pub use revisions::Revision;
pub(crate) use revisions::SavedBy;
pub use route_path::BuiltInPaths;
pub(crate) use route_path::{normal_method, normal_path, shape};
pub use routes::{Route, RouteAccess};
pub(crate) use save::{remove, saved};
pub use saved::{SavedRoute, SavedScript, ScriptSelector};
pub use schedules::Schedule;
pub use search::{Hit, HitLine};

/// All live gateways by path.
pub type LiveGateways = HashMap<Arc<str>, Arc<LiveGateway>>;

/// Gateways, events, routes and their scripts.
pub struct Catalog {
    store: Store,
    engine: Arc<ScriptEngine>,
    config: Arc<Config>,
    metrics: Arc<Metrics>,
    live: ArcSwap<LiveGateways>,
    live_routes: ArcSwap<LiveRoutes>,
    live_hooks: ArcSwap<Vec<Arc<Handler>>>,
    live_libraries: ArcSwap<Libraries>,
    /// What the server itself serves.
    built_in_paths: BuiltInPaths,
    /// The number of the last edit that is live.
    live_number: tokio::sync::Mutex<i64>,
    listeners: Listeners,
}

impl Catalog {
    /// The catalog of this database, live. No route is served at or below the built-in paths.
    pub async fn open(
        store: Store,
        engine: Arc<ScriptEngine>,
        config: Arc<Config>,
        metrics: Arc<Metrics>,
        built_in_paths: BuiltInPaths,
    ) -> Result<Self> {
        let catalog = Self {
            store,
            engine,
            config,
            metrics,
            live: ArcSwap::default(),
            live_routes: ArcSwap::default(),
            live_hooks: ArcSwap::default(),
            live_libraries: ArcSwap::default(),
            built_in_paths,
            live_number: tokio::sync::Mutex::default(),
            listeners: Listeners::default(),
        };
        *catalog.live_number.lock().await = catalog.load().await?;
        Ok(catalog)
    }

    /// The present snapshot of the gateways.
    pub fn live(&self) -> Arc<LiveGateways> {
        self.live.load_full()
    }

    /// Whether there is a gateway with this path.
    pub fn has_gateway(&self, path: &str) -> bool {
        self.live.load().contains_key(path)
    }

    /// What handles an event of a gateway now.
    pub fn handler(&self, path: &str, event: &str) -> Option<Arc<Handler>> {
        self.live.load().get(path)?.handler(event).cloned()
    }

    /// The paths of the gateways whose jobs wait.
    pub fn paused_gateways(&self) -> Vec<String> {
        let live = self.live.load();
        let paused = live.values().filter(|gateway| gateway.keeps_jobs_waiting());
        paused.map(|gateway| gateway.path.to_string()).collect()
    }

    /// Whether the jobs of this gateway wait.
    pub fn is_paused(&self, path: &str) -> bool {
        self.live.load().get(path).is_some_and(|gateway| gateway.keeps_jobs_waiting())
    }

    /// The present snapshot of the routes.
    pub fn live_routes(&self) -> Arc<LiveRoutes> {
        self.live_routes.load_full()
    }

    /// All live scripts.
    pub fn handlers(&self) -> Vec<Arc<Handler>> {
        let (live, routes) = (self.live(), self.live_routes());
        let of_gateways = live.values().flat_map(|gateway| gateway.handlers());
        let of_routes = routes.all().iter().map(|route| &route.handler);
        of_gateways.chain(of_routes).chain(self.live_hooks.load().iter()).cloned().collect()
    }

    /// The engine that compiles and runs the scripts.
    pub fn engine(&self) -> &Arc<ScriptEngine> {
        &self.engine
    }

    /// The tables that the scripts work with.
    ///
    /// # Errors
    /// When the engine has none, which is not so in a server.
    pub fn data(&self) -> Result<&Arc<Data>> {
        self.engine.data().ok_or_else(|| Error::Internal("there are no tables".to_owned()))
    }

    /// The names of all tables.
    pub(crate) fn table_names(&self) -> BTreeSet<String> {
        let tables = self.engine.data().map(|data| data.tables());
        tables.iter().flat_map(|tables| tables.keys().map(|name| String::from(&**name))).collect()
    }

    /// The time of one run: its own, or the configured.
    pub(crate) fn timeout(&self, own_ms: Option<i64>) -> Duration {
        live::timeout(own_ms, &self.config)
    }

    /// How often a job is tried whose event does not say.
    pub(crate) fn job_attempts(&self) -> u32 {
        self.config.jobs.attempts
    }

    /// The database behind it.
    pub fn store(&self) -> &Store {
        &self.store
    }
}
