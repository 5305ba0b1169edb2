//! A database for the tests of a pack, which goes with them: what they run in beside the one of the server.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use gatewright_core::auth::Secret;
use gatewright_core::catalog::Catalog;
use gatewright_core::config::Config;
use gatewright_core::data::Data;
use gatewright_core::metrics::Metrics;
use gatewright_core::script::ScriptEngine;
use gatewright_core::store::Store;
use gatewright_core::{Error, Result};
use tempfile::TempDir;

use crate::state::AdminState;

/// Nobody else may enter.
const FOLDER_MODE: u32 = 0o700;

/// An empty database and its catalog.
pub(crate) struct PackPlace {
    pub(crate) catalog: Catalog,
    store: Store,
    /// Goes last.
    _folder: TempDir,
}

impl PackPlace {
    /// A place with the caps of the server's sandbox.
    ///
    /// # Errors
    /// When there is no room for it.
    pub(crate) async fn open(state: &AdminState) -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("gatewright-test-").permissions(Permissions::from_mode(FOLDER_MODE));
        let folder = builder.tempdir();
        let folder = folder.map_err(|error| Error::Internal(format!("no folder for tests: {error}")))?;
        let (data_dir, database_url) = (folder.path().to_owned(), String::new());
        let config = Arc::new(Config { data_dir, database_url, ..Config::clone(&state.config) });
        let metrics = Arc::new(Metrics::new());
        let store = Store::open(&config, &metrics).await?;
        let data = Data::open(store.clone()).await?;
        let secret = Arc::new(Secret::of_data_dir(&config.data_dir)?);
        let engine = Arc::new(ScriptEngine::new(&config.scripts, secret, Some(data)));
        let catalog = Catalog::open(store.clone(), engine, config, metrics, state.built_in_paths).await?;
        Ok(Self { catalog, store, _folder: folder })
    }

    /// Closes the database.
    pub(crate) async fn close(self) {
        let Self { catalog, store, _folder } = self;
        drop(catalog);
        if let Err(error) = store.close().await {
            tracing::debug!(%error, "a database of tests was not closed");
        }
    }
}
