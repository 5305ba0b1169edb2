//! `gatewright pack`.

use std::io::{Write, stderr, stdout};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use gatewright_core::pack::{self, InstallOptions, Pack};
use gatewright_core::{Error, ErrorCode};

use crate::boot::App;
use crate::cli::{DatabaseArgs, PackArgs, PackCommand, PackSelector};
use crate::pack_errors::errors_of;
use crate::packs;

/// Runs a subcommand of `pack`.
pub async fn run(args: PackArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        PackCommand::List(database) => list(database).await,
        PackCommand::Install { pack, dry_run, force } => install(pack, dry_run, force).await,
        PackCommand::Uninstall { name, force, database } => uninstall(&name, force, database).await,
        PackCommand::Diff { pack, exit_code } => diff(pack, exit_code).await,
        PackCommand::Export { name, dir, gateway, database } => export(&name, &dir, &gateway, database).await,
    }
}

async fn list(database: DatabaseArgs) -> anyhow::Result<ExitCode> {
    let app = App::existing(database.sources()).await?;
    let installed = pack::installed(&app.store).await?;
    let built_in = packs::all_built_in()?;
    for pack in &built_in {
        let mark =
            if installed.iter().any(|known| known.name == pack.name) { "installed" } else { "built in" };
        writeln!(stdout(), "{:<16} {mark:<10} {}", pack.name, pack.description)?;
    }
    for pack in installed.iter().filter(|pack| built_in.iter().all(|known| known.name != pack.name)) {
        writeln!(stdout(), "{:<16} {:<10} {}", pack.name, "installed", pack.description)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn selected(selector: &PackSelector, app: &App) -> anyhow::Result<Pack> {
    Ok(packs::find(&selector.pack)?.placed(&app.store, selector.mount.as_deref()).await?)
}

async fn install(selector: PackSelector, dry_run: bool, force: bool) -> anyhow::Result<ExitCode> {
    let sources = selector.database.clone().sources();
    // What cannot be read makes no folder for data.
    packs::find(&selector.pack)?;
    let app = if dry_run { App::existing(sources).await? } else { App::of(sources).await? };
    let pack = selected(&selector, &app).await?;
    let options = InstallOptions::forced(force);
    let plan = pack::plan(&app.catalog, &pack, options).await?;
    // Whether somebody reads it or not, the pack is to be installed.
    let shown = writeln!(stdout(), "{}", packs::describe(&plan));
    if dry_run {
        shown?;
    } else {
        if let Err(error) = pack::install(&app.catalog, &pack, options).await {
            return refused(&app, &selector, &pack, error).await;
        }
        writeln!(stdout(), "pack {} is installed", pack.name)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says why a pack is not installed: each place that is wrong, else the refusal itself.
async fn refused(app: &App, selector: &PackSelector, pack: &Pack, error: Error) -> anyhow::Result<ExitCode> {
    let is_conflict =
        matches!(&error, Error::Refused(failure) if failure.code == ErrorCode::DuplicateResource);
    let places = match &error {
        Error::Refused(_) if !is_conflict => errors_of(&app.catalog, Path::new(&selector.pack), pack).await?,
        _ => Vec::new(),
    };
    if places.is_empty() {
        return Err(error.into());
    }
    writeln!(stderr(), "{}\n\nerror: pack {} is not installed", places.join("\n\n"), pack.name)?;
    Ok(ExitCode::FAILURE)
}

async fn uninstall(name: &str, force: bool, database: DatabaseArgs) -> anyhow::Result<ExitCode> {
    let app = App::existing(database.sources()).await?;
    let plan = pack::uninstall(&app.catalog, name, InstallOptions::forced(force)).await?;
    writeln!(stdout(), "{}\npack {name} is removed", packs::describe(&plan))?;
    Ok(ExitCode::SUCCESS)
}

async fn diff(selector: PackSelector, exit_code: bool) -> anyhow::Result<ExitCode> {
    let app = App::existing(selector.database.clone().sources()).await?;
    let pack = selected(&selector, &app).await?;
    // Forced, so that what was edited is shown as what would change too.
    let plan = pack::plan(&app.catalog, &pack, InstallOptions::forced(true)).await?;
    writeln!(stdout(), "{}", packs::describe(&plan))?;
    for change in &plan.changes {
        writeln!(stdout(), "\n{}", change.unified_diff().trim_end())?;
    }
    let differs = exit_code && !plan.changes.is_empty();
    Ok(if differs { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn export(
    name: &str,
    folder: &Path,
    gateways: &[String],
    database: DatabaseArgs,
) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(!folder.exists(), "{} exists; choose a folder that does not", folder.display());
    let app = App::existing(database.sources()).await?;
    let files = pack::export(&app.store, name, gateways).await?;
    for (file, text) in &files {
        let path = folder.join(file);
        let written =
            path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, text));
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    writeln!(stdout(), "{} files written to {}", files.len(), folder.display())?;
    Ok(ExitCode::SUCCESS)
}
