//! `gatewright app-key`.

use std::io::{Write, stdout};
use std::process::ExitCode;

use gatewright_core::auth::{NewAppKey, Scope};
use gatewright_core::store;
use gatewright_core::store::list::{LIMIT_MAX, ListQuery};
use time::format_description::well_known::Rfc3339;

use crate::boot::App;
use crate::cli::{AppKeyArgs, AppKeyCommand, DatabaseArgs};

/// Runs a subcommand of `app-key`.
pub async fn run(args: AppKeyArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        AppKeyCommand::Create { name, scope, expires, database } => {
            let app = App::of(database.sources()).await?;
            let expires_at = expires.map(|ttl| store::now() + ttl);
            let new = NewAppKey { name, scopes: scope, expires_at };
            let (row, key) = app.accounts.create_app_key(new).await?;
            writeln!(stdout(), "{} {} is made", row.id, row.name)?;
            writeln!(stdout(), "key: {key} (shown this once)")?;
        }
        AppKeyCommand::List(database) => list(database).await?,
        AppKeyCommand::Delete { id, database } => {
            App::existing(database.sources()).await?.accounts.delete_app_key(id).await?;
            writeln!(stdout(), "{id} is deleted; it no longer counts")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(database: DatabaseArgs) -> anyhow::Result<()> {
    let app = App::existing(database.sources()).await?;
    for page in 1.. {
        let query = ListQuery { limit: Some(LIMIT_MAX), page: Some(page), ..ListQuery::default() };
        let keys = app.accounts.list_app_keys(&query).await?.rows;
        for key in &keys {
            let scopes: Vec<_> = key.scopes.iter().copied().map(Scope::as_str).collect();
            let expires = match key.expires_at {
                Some(time) => format!(", expires {}", time.format(&Rfc3339)?),
                None => String::new(),
            };
            writeln!(stdout(), "{} {} ({}){expires}", key.id, key.name, scopes.join(", "))?;
        }
        if (keys.len() as u64) < LIMIT_MAX {
            break;
        }
    }
    Ok(())
}
