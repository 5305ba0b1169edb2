//! The catalog: gateways and events as the database has them, and as they are live.
//!
//! [`Catalog::live`] is one immutable snapshot; a change makes the next and swaps it in, so that
//! readers never wait and a running job keeps what it was accepted with. This module must not
//! know sockets; the edge looks at the snapshot and adjusts.

mod change;
mod events;
mod gateways;
mod live;
mod revisions;
mod runs;
mod saved;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::config::Config;
use crate::error::Result;
use crate::metrics::Metrics;
use crate::script::ScriptEngine;
use crate::store::Store;

pub use change::{EventChange, GatewayChange, LimitsChange};
pub use events::{Event, Suspension};
pub use gateways::{Gateway, GatewayLimits, GatewayPart};
pub use live::{Limits, LiveGateway};
pub use revisions::Revision;
pub use runs::{RunFilter, RunLog, RunRecord};
pub use saved::{SavedScript, ScriptSelector};

/// All live gateways by path.
pub type LiveGateways = HashMap<Arc<str>, Arc<LiveGateway>>;

/// Gateways, events and their scripts.
pub struct Catalog {
    store: Store,
    engine: Arc<ScriptEngine>,
    config: Arc<Config>,
    metrics: Arc<Metrics>,
    live: ArcSwap<LiveGateways>,
    /// One reload at a time, so that an older one never replaces a newer.
    reloading: tokio::sync::Mutex<()>,
}

impl Catalog {
    /// The catalog of this database, live.
    pub async fn open(
        store: Store,
        engine: Arc<ScriptEngine>,
        config: Arc<Config>,
        metrics: Arc<Metrics>,
    ) -> Result<Self> {
        let catalog = Self {
            store,
            engine,
            config,
            metrics,
            live: ArcSwap::default(),
            reloading: tokio::sync::Mutex::default(),
        };
        catalog.reload().await?;
        Ok(catalog)
    }

    /// The present snapshot.
    pub fn live(&self) -> Arc<LiveGateways> {
        self.live.load_full()
    }

    /// The engine that compiles and runs the scripts.
    pub fn engine(&self) -> &Arc<ScriptEngine> {
        &self.engine
    }

    /// The database behind it.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Tells other processes of a change and makes it live here.
    async fn changed(&self) -> Result<()> {
        self.store.bump_change_number().await?;
        self.reload().await
    }
}
