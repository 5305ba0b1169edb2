//! What is wrong with a pack, for people: the file, the line and a caret.

use std::path::Path;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use gatewright_core::ErrorCode;
use gatewright_core::catalog::Catalog;
use gatewright_core::pack::{Pack, Thing, problems, script_errors};
use gatewright_core::script::CompileError;

/// All that would refuse a pack from this folder, each with its place where that is known.
///
/// # Errors
/// When that cannot be told.
pub async fn errors_of(
    catalog: &Catalog,
    folder: &Path,
    pack: &Pack,
) -> gatewright_core::Result<Vec<String>> {
    let scripts = script_errors(catalog, pack).await?;
    let shown = |(file, error): &(String, CompileError)| {
        let source = pack.files.get(file).map(String::as_str).unwrap_or_default();
        render(&folder.join(file).display().to_string(), source, error)
    };
    let mut errors: Vec<_> = scripts.iter().map(shown).collect();
    let all = problems(catalog, pack).await?;
    // What does not compile of the pack itself was told with its file.
    let others = all.iter().filter(|failure| scripts.is_empty() || failure.code != ErrorCode::ScriptCompile);
    errors.extend(others.map(|failure| of_manifest(folder, pack, &failure.message)));
    Ok(errors)
}

/// An error of `pack.toml`, at the thing that it begins with.
fn of_manifest(folder: &Path, pack: &Pack, message: &str) -> String {
    let name = folder.join("pack.toml").display().to_string();
    let source = pack.files.get("pack.toml").map(String::as_str).unwrap_or_default();
    let is_about = |thing: &&Thing| message.starts_with(&format!("{}: ", thing.subject()));
    match pack.things.iter().find(is_about).and_then(|thing| place_of(source, thing)) {
        Some((line, column)) => {
            let error = CompileError { message: message.to_owned(), hint: None, line, column };
            render(&name, source, &error)
        }
        None => format!("error: {name}: {message}"),
    }
}

/// Where `pack.toml` names a thing, from 1. It is looked for as text, since what reads the file keeps no places.
fn place_of(source: &str, thing: &Thing) -> Option<(usize, usize)> {
    let (key, value) = match thing {
        Thing::Table(table) => ("name", &table.name),
        Thing::Library(library) => ("name", &library.name),
        Thing::Schedule(schedule) => ("name", &schedule.name),
        Thing::Event { event, .. } => ("name", &event.event_name),
        Thing::Gateway(gateway) => ("path", &gateway.path),
        Thing::Route(route) => ("path", &route.path),
        Thing::Hook(hook) => ("table", &hook.table),
    };
    let heading = match thing {
        Thing::Event { .. } => ".events]]".to_owned(),
        other if other.kind() == "library" => "[[libraries]]".to_owned(),
        other => format!("[[{}s]]", other.kind()),
    };
    let quoted = format!("\"{value}\"");
    let mut is_in_kind = !source.contains(&heading);
    for (number, line) in (1..).zip(source.lines()) {
        let text = line.trim();
        if text.starts_with("[[") {
            is_in_kind = text.ends_with(&heading);
        }
        let names = text.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='));
        if let (true, true, Some(at)) = (is_in_kind, names, line.find(&quoted)) {
            return Some((number, line[..at].chars().count() + 1));
        }
    }
    None
}

/// The error with its source line and a caret.
pub fn render(name: &str, source: &str, error: &CompileError) -> String {
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
