//! `gatewright migrate` and `gatewright backup`.

use std::io::{Write, stdout};
use std::process::ExitCode;

use gatewright_core::config;
use gatewright_core::metrics::Metrics;
use gatewright_core::store::Store;

use crate::cli::{BackupArgs, DatabaseArgs};

/// Opens the database, which brings it up to date, and lists its migrations.
pub async fn migrate(args: DatabaseArgs) -> anyhow::Result<ExitCode> {
    let store = Store::open(&config::load(&args.sources())?.config, &Metrics::new()).await?;
    for name in store.migrations().await? {
        writeln!(stdout(), "{name}")?;
    }
    writeln!(stdout(), "the database is up to date")?;
    Ok(ExitCode::SUCCESS)
}

/// Copies the database.
pub async fn backup(args: BackupArgs) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(!args.file.exists(), "{} exists; choose a file that does not", args.file.display());
    let config = config::load(&args.database.sources())?.config;
    if let Some(missing) = config.sqlite_file().filter(|file| !file.exists()) {
        anyhow::bail!("there is no database {}", missing.display());
    }
    let store = Store::open(&config, &Metrics::new()).await?;
    store.backup(&args.file).await?;
    writeln!(stdout(), "the database is copied to {}", args.file.display())?;
    Ok(ExitCode::SUCCESS)
}
