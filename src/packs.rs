//! Where packs come from: folders, and those that are built in.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use gatewright_core::catalog::Catalog;
use gatewright_core::pack::{self, ChangeKind, InstallOptions, Pack, PackError, PackFiles, Plan};
use gatewright_core::{Error, ErrorCode};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use rust_embed::Embed;
use tokio::sync::mpsc;

use crate::boot::App;
use crate::http::mounts;
use crate::pack_errors::errors_of;

/// Editors write a file in several steps; a change is taken over when it has been quiet for so long.
const QUIET: Duration = Duration::from_millis(100);
/// And after so long whatever else changes: something may write beside the scripts all the time.
const LONGEST: Duration = Duration::from_millis(400);

/// The packs of this repository.
#[derive(Embed)]
#[folder = "scripts/"]
struct BuiltIn;

/// The pack of this name or path: a folder, else one that is built in.
pub fn find(name: &str) -> anyhow::Result<Pack> {
    let folder = Path::new(name);
    if folder.join("pack.toml").is_file() {
        return Ok(Pack::from_folder(folder)?);
    }
    built_in(name)?.with_context(|| {
        format!(
            "there is no pack {name}: neither a folder with a pack.toml nor one of {}",
            built_in_names().join(", ")
        )
    })
}

fn built_in(name: &str) -> anyhow::Result<Option<Pack>> {
    let prefix = format!("{name}/");
    let mut files = PackFiles::new();
    for path in BuiltIn::iter().filter(|path| path.starts_with(&prefix)) {
        let Some(file) = BuiltIn::get(&path) else { continue };
        let text =
            String::from_utf8(file.data.into_owned()).with_context(|| format!("{path} is not UTF-8"))?;
        files.insert(path[prefix.len()..].to_owned(), text);
    }
    Ok(if files.is_empty() { None } else { Some(Pack::from_files(files)?) })
}

/// All packs that are built in.
pub fn all_built_in() -> anyhow::Result<Vec<Pack>> {
    built_in_names().iter().filter_map(|name| built_in(name).transpose()).collect()
}

/// The names of the packs that are built in.
fn built_in_names() -> Vec<String> {
    let mut names: Vec<_> =
        BuiltIn::iter().filter_map(|path| path.strip_suffix("/pack.toml").map(str::to_owned)).collect();
    names.sort();
    names
}

/// A folder with a pack, and the pack or why it cannot be read.
pub type InFolder = (PathBuf, Result<Pack, PackError>);

/// The packs in a folder: itself, or its subfolders. One that cannot be read is no matter of the others.
pub fn in_folder(folder: &Path) -> anyhow::Result<Vec<InFolder>> {
    let is_pack = |folder: &Path| folder.join("pack.toml").is_file();
    let mut folders = Vec::new();
    if is_pack(folder) {
        folders.push(folder.to_owned());
    } else {
        let entries =
            std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        folders.extend(entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| is_pack(path)));
        folders.sort();
    }
    Ok(folders.into_iter().map(|folder| (folder.clone(), Pack::from_folder(&folder))).collect())
}

/// The packs in a folder, of which there must be one.
pub fn some_in_folder(folder: &Path) -> anyhow::Result<Vec<InFolder>> {
    let packs = in_folder(folder)?;
    anyhow::ensure!(
        !packs.is_empty(),
        "there is no pack (a folder with a pack.toml) in {}",
        folder.display()
    );
    Ok(packs)
}

/// Installs the packs that the configuration names.
pub async fn install_configured(app: &App) -> anyhow::Result<()> {
    for name in &app.config.packs {
        let pack = find(name)?.placed(&app.store, None).await?;
        match install(&app.catalog, &pack, InstallOptions::default()).await {
            // An admin's edits stand; the server starts with them.
            Err(Error::Refused(conflict)) if conflict.code == ErrorCode::DuplicateResource => {
                tracing::warn!(pack = name, "not installed: {}", conflict.message);
            }
            installed => drop(installed.with_context(|| format!("cannot install pack {name}"))?),
        }
    }
    Ok(())
}

/// Installs the packs that have a page to try them, apart from each other: those that are built in, whatever folders there are.
pub async fn install_demos(app: &App) -> anyhow::Result<()> {
    for (name, mount) in mounts() {
        let pack = built_in(name)?.with_context(|| format!("there is no pack {name}"))?.mounted(mount);
        let installed = install(&app.catalog, &pack, InstallOptions::default()).await;
        installed.with_context(|| format!("cannot install pack {name}"))?;
    }
    Ok(())
}

async fn install(catalog: &Catalog, pack: &Pack, options: InstallOptions) -> gatewright_core::Result<Plan> {
    let plan = pack::install(catalog, pack, options).await?;
    if !plan.changes.is_empty() {
        tracing::info!(pack = pack.name, changes = plan.changes.len(), "pack installed");
    }
    Ok(plan)
}

/// A folder of packs whose changes are noticed.
pub struct Watched {
    folder: PathBuf,
    changes: mpsc::Receiver<()>,
    /// Ends the watch when it goes.
    _watcher: RecommendedWatcher,
}

impl Watched {
    /// Begins to watch.
    pub fn start(folder: PathBuf) -> anyhow::Result<Self> {
        anyhow::ensure!(folder.is_dir(), "cannot watch {}: there is no such folder", folder.display());
        let (changed, changes) = mpsc::channel(1);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading a file is no change; and one notice that waits is enough.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _ = changed.try_send(());
            }
        })?;
        let watched = watcher.watch(&folder, RecursiveMode::Recursive);
        watched.with_context(|| format!("cannot watch {}", folder.display()))?;
        Ok(Self { folder, changes, _watcher: watcher })
    }

    /// Installs the folder now and whenever its files change, until `stopped` comes. An install
    /// that has begun is finished.
    pub async fn keep_installed(mut self, catalog: Arc<Catalog>, stopped: impl Future<Output = ()>) {
        let mut stopped = pin!(stopped);
        loop {
            install_folder(&self.folder, &catalog).await;
            let changed = tokio::select! {
                changed = self.change() => changed,
                () = &mut stopped => None,
            };
            if changed.is_none() {
                return;
            }
        }
    }

    /// Waits until files have changed and are quiet again; none when they are not watched any more.
    async fn change(&mut self) -> Option<()> {
        let changed = self.changes.recv().await;
        let until = tokio::time::Instant::now() + LONGEST;
        let mut quiet_at = tokio::time::Instant::now() + QUIET;
        while tokio::time::timeout_at(quiet_at.min(until), self.changes.recv())
            .await
            .is_ok_and(|change| change.is_some())
        {
            quiet_at = tokio::time::Instant::now() + QUIET;
        }
        changed
    }
}

/// What does not install is logged with its place; what was live stays.
async fn install_folder(folder: &Path, catalog: &Catalog) {
    let packs = match in_folder(folder) {
        Ok(packs) => packs,
        Err(error) => return tracing::error!(error = format!("{error:#}"), "cannot read the packs"),
    };
    for (path, pack) in packs {
        let pack = match pack {
            Ok(pack) => pack,
            Err(error) => {
                tracing::error!(folder = %path.display(), "the pack cannot be read; what was live stays\n{error}");
                continue;
            }
        };
        if let Err(error) = install_watched(catalog, pack.clone()).await {
            let places = errors_of(catalog, &path, &pack).await.unwrap_or_default();
            let why = if places.is_empty() { error.to_string() } else { places.join("\n\n") };
            tracing::error!(pack = pack.name, "the pack is not installed; what was live stays\n{why}");
        }
    }
}

/// Who edits files means the files; but a table that is missing for a moment keeps its rows.
async fn install_watched(catalog: &Catalog, pack: Pack) -> gatewright_core::Result<()> {
    let pack = pack.placed(catalog.store(), None).await?;
    let options = InstallOptions { overwrite: true, lose_values: false };
    install(catalog, &pack, options).await.map(drop)
}

/// One line for each change, for people.
pub fn describe(plan: &Plan) -> String {
    if plan.changes.is_empty() {
        return "nothing to change".to_owned();
    }
    let line = |change: &pack::Change| {
        let sign = match change.kind {
            ChangeKind::Create => '+',
            ChangeKind::Update => '~',
            ChangeKind::Delete => '-',
            ChangeKind::Conflict => '!',
        };
        let note = match (change.kind, change.note.as_str()) {
            (_, "") => String::new(),
            (ChangeKind::Conflict, note) => format!(" ({note}: --force does it)"),
            (_, note) => format!(" ({note})"),
        };
        format!("{sign} {}{note}", change.thing().subject())
    };
    plan.changes.iter().map(line).collect::<Vec<_>>().join("\n")
}
