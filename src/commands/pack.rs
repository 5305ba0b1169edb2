//! `gatewright pack`.

use std::io::{Write, stdout};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use gatewright_core::pack::{self, ChangeKind, InstallOptions, Pack};

use super::test::line_diff;
use crate::boot::App;
use crate::cli::{DatabaseArgs, PackArgs, PackCommand, PackSelector};
use crate::packs;

/// Runs a subcommand of `pack`.
pub async fn run(args: PackArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        PackCommand::List(database) => list(database).await,
        PackCommand::Install { pack, dry_run, force } => install(pack, dry_run, force).await,
        PackCommand::Uninstall { name, force, database } => uninstall(&name, force, database).await,
        PackCommand::Diff(pack) => diff(pack).await,
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

fn selected(selector: &PackSelector) -> anyhow::Result<Pack> {
    Ok(packs::find(&selector.pack)?.mounted(&selector.mount))
}

async fn install(selector: PackSelector, dry_run: bool, force: bool) -> anyhow::Result<ExitCode> {
    let pack = selected(&selector)?;
    let sources = selector.database.sources();
    let app = if dry_run { App::existing(sources).await? } else { App::of(sources).await? };
    let options = InstallOptions::forced(force);
    let plan = pack::plan(&app.catalog, &pack, options).await?;
    // Whether somebody reads it or not, the pack is to be installed.
    let shown = writeln!(stdout(), "{}", packs::describe(&plan));
    if dry_run {
        shown?;
    } else {
        pack::install(&app.catalog, &pack, options).await?;
        writeln!(stdout(), "pack {} is installed", pack.name)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn uninstall(name: &str, force: bool, database: DatabaseArgs) -> anyhow::Result<ExitCode> {
    let app = App::existing(database.sources()).await?;
    let plan = pack::uninstall(&app.catalog, name, InstallOptions::forced(force)).await?;
    writeln!(stdout(), "{}\npack {name} is removed", packs::describe(&plan))?;
    Ok(ExitCode::SUCCESS)
}

async fn diff(selector: PackSelector) -> anyhow::Result<ExitCode> {
    let pack = selected(&selector)?;
    let app = App::existing(selector.database.sources()).await?;
    // Forced, so that what was edited is shown as what would change too.
    let plan = pack::plan(&app.catalog, &pack, InstallOptions::forced(true)).await?;
    writeln!(stdout(), "{}", packs::describe(&plan))?;
    for change in plan.of(ChangeKind::Update) {
        let (before, after) = change.texts();
        writeln!(stdout(), "\n{}\n{}", change.thing().subject(), line_diff(&before, &after))?;
    }
    Ok(ExitCode::SUCCESS)
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
