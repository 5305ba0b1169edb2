//! `gatewright check`.

use std::collections::BTreeSet;
use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use anyhow::Context;
use gatewright_core::ErrorCode;
use gatewright_core::config::{self, Config, Sources};
use gatewright_core::pack::{Pack, problems};
use gatewright_core::script::{
    CompileError, Libraries, ScriptEngine, ScriptWork, Within, full_name, run_on_script_thread,
};
use tempfile::TempDir;

use crate::boot::{App, temporary_folder};
use crate::cli::PathArgs;
use crate::packs;

/// Checks the packs and scripts under the given paths for all that installing would refuse.
pub async fn run(args: PathArgs) -> anyhow::Result<ExitCode> {
    let (_place, app) = empty_app(&config(args.config.clone())?).await?;
    let (mut count, mut wrong) = (0, 0);
    for path in &args.paths {
        for script in scripts_under(app.catalog.engine(), path).await? {
            count += 1;
            let (name, source) = (script.name.clone(), script.source.clone());
            if let Some(error) = compile(app.catalog.engine(), script).await? {
                wrong += 1;
                writeln!(stderr(), "{}\n", render(&name, &source, &error))?;
            }
        }
        for (folder, pack) in packs_under(path)? {
            let failures = problems(&app.catalog, &pack).await;
            let failures = failures.map_err(|error| anyhow::anyhow!("{}: {error}", folder.display()))?;
            // What does not compile was told with its file.
            for failure in failures.iter().filter(|failure| failure.code != ErrorCode::ScriptCompile) {
                wrong += 1;
                let file = folder.join("pack.toml");
                writeln!(stderr(), "error: {}: {}\n", file.display(), failure.message)?;
            }
        }
    }
    writeln!(stdout(), "{count} scripts checked, {wrong} errors")?;
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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

/// A script that is checked.
struct Source {
    /// The path of its file.
    name: String,
    source: String,
    /// Of its pack; none: a script alone may name any.
    tables: Option<BTreeSet<String>>,
    /// With the libraries of its pack.
    within: Within,
    /// Its full name, where it is a library.
    library: Option<String>,
}

/// The packs under a path; none where it is a script alone.
fn packs_under(path: &Path) -> anyhow::Result<Vec<(PathBuf, Pack)>> {
    if path.is_file() {
        return Ok(Vec::new());
    }
    packs::some_in_folder(path)
}

/// The scripts of the packs under a path, or a script alone.
async fn scripts_under(engine: &Arc<ScriptEngine>, path: &Path) -> anyhow::Result<Vec<Source>> {
    if path.is_file() {
        let source =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let (name, within) = (path.display().to_string(), Within::default());
        return Ok(vec![Source { name, source, tables: None, within, library: None }]);
    }
    let mut scripts = Vec::new();
    for (folder, pack) in packs_under(path)? {
        scripts.extend(scripts_of(engine, &folder, &pack).await?);
    }
    Ok(scripts)
}

async fn scripts_of(engine: &Arc<ScriptEngine>, folder: &Path, pack: &Pack) -> anyhow::Result<Vec<Source>> {
    let tables: BTreeSet<_> = pack.table_names().into_iter().map(str::to_owned).collect();
    let (engine, libraries) = (engine.clone(), pack.libraries());
    let compile = move || Libraries::compile(&engine, libraries, &Libraries::default());
    let libraries = run_on_script_thread(ScriptWork::Compile, compile).await?;
    let within = Within { libraries: libraries.into(), pack: Some(pack.name.as_str().into()) };
    let source = |(file, library): (&String, &Option<String>)| {
        let (name, source) = (folder.join(file).display().to_string(), pack.files.get(file)?.clone());
        let library = library.as_deref().map(|library| full_name(Some(&pack.name), library));
        Some(Source { name, source, tables: Some(tables.clone()), within: within.clone(), library })
    };
    Ok(pack.script_files.iter().filter_map(source).collect())
}

async fn compile(engine: &Arc<ScriptEngine>, script: Source) -> anyhow::Result<Option<CompileError>> {
    let engine = engine.clone();
    let check = move || match &script.library {
        Some(name) => engine.check_library(&script.within.libraries, name, script.tables.as_ref()).err(),
        None => engine.check(&script.source, &script.within, script.tables.as_ref()).err(),
    };
    Ok(run_on_script_thread(ScriptWork::Compile, check).await?)
}

/// The error with its source line and a caret.
fn render(name: &str, source: &str, error: &CompileError) -> String {
    let start = offset(source, error.line, error.column);
    let end = source[start..].chars().next().map_or(start, |c| start + c.len_utf8());
    let snippet = Snippet::source(source).path(name).annotation(AnnotationKind::Primary.span(start..end));
    Renderer::plain().render(&[Level::ERROR.primary_title(&error.message).element(snippet)])
}

/// The byte that a line and column stand for, both from 1.
fn offset(source: &str, line: usize, column: usize) -> usize {
    let before: usize = source.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let text = source[before..].split('\n').next().unwrap_or_default();
    before + text.char_indices().nth(column.saturating_sub(1)).map_or(text.len(), |(index, _)| index)
}
