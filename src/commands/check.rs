//! `gatewright check`.

use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use gatewright_core::config::{self, Config, Sources};
use gatewright_core::script::{ScriptWork, Within, run_on_script_thread};
use tempfile::TempDir;

use crate::boot::{App, temporary_folder};
use crate::cli::PathArgs;
use crate::pack_errors::{errors_of, render};
use crate::packs;

/// Checks the packs and scripts under the given paths for all that installing would refuse.
pub async fn run(args: PathArgs) -> anyhow::Result<ExitCode> {
    let (_place, app) = empty_app(&config(args.config.clone())?).await?;
    let (mut count, mut wrong) = (0, 0);
    for path in &args.paths {
        let (scripts, errors) = if path.is_file() {
            (1, script_alone(&app, path).await?.into_iter().collect())
        } else {
            packs_under(&app, path).await?
        };
        count += scripts;
        wrong += errors.len();
        for error in errors {
            writeln!(stderr(), "{error}\n")?;
        }
    }
    writeln!(stdout(), "{count} scripts checked, {wrong} errors")?;
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is wrong with a script that belongs to no pack. It may name any table.
async fn script_alone(app: &App, path: &Path) -> anyhow::Result<Option<String>> {
    let source = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (engine, text) = (app.catalog.engine().clone(), source.clone());
    let check = move || engine.check(&text, &Within::default(), None).err();
    let error = run_on_script_thread(ScriptWork::Compile, check).await?;
    Ok(error.map(|error| render(&path.display().to_string(), &source, &error)))
}

/// The number of scripts of the packs in a folder, and what is wrong with any of it.
async fn packs_under(app: &App, path: &Path) -> anyhow::Result<(usize, Vec<String>)> {
    let (mut count, mut errors) = (0, Vec::new());
    for (folder, pack) in packs::some_in_folder(path)? {
        match pack {
            Ok(pack) => {
                count += pack.script_files.len();
                let wrong = errors_of(&app.catalog, &folder, &pack).await;
                errors.extend(wrong.with_context(|| folder.display().to_string())?);
            }
            Err(error) => errors.push(format!("error: {error}")),
        }
    }
    Ok((count, errors))
}

/// The configuration, for the caps of the sandbox.
pub fn config(file: Option<PathBuf>) -> anyhow::Result<Config> {
    let sources = Sources {
        file,
        optional_file: Some("gatewright.toml".into()),
        env: std::env::vars().collect(),
        flags: Vec::new(),
    };
    Ok(config::load(&sources)?.config)
}

/// An empty database with all that belongs to it, which goes when the folder is dropped.
pub async fn empty_app(config: &Config) -> anyhow::Result<(TempDir, App)> {
    let place = temporary_folder()?;
    let (data_dir, database_url) = (place.path().to_owned(), String::new());
    let app = App::open(Config { data_dir, database_url, ..config.clone() }).await?;
    Ok((place, app))
}
