//! Libraries: functions and constants that scripts share, and what a change of one means for those that import it.

use std::collections::BTreeSet;
use std::sync::Arc;

use sea_orm::{ConnectionTrait, EntityTrait};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::checks::NAME_BYTES_MAX;
use super::definition::scripts_of;
use super::{Catalog, Definition, Event, Gateway, Hook, Place, Route, Saved};
use crate::error::{ErrorCode, Failure, Result};
use crate::script::{
    CompileError, Libraries, LibrarySource, ScriptEngine, ScriptWork, Within, full_name, run_on_script_thread,
};
use crate::store::{check_description, check_text, library};

/// What a library is called that is not saved yet: no saved one can have this name.
const NO_NAME: &str = "?";
/// Places that a refusal names, at most.
const PLACES_MAX: usize = 20;

/// Functions and constants that scripts share.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Library {
    /// What scripts import it by: letters, digits, `-`, `_` and `.`. Those of a pack find its libraries first; others
    /// write `pack/name`.
    pub name: String,
    /// For people.
    pub description: String,
    /// Functions and constants; `export const` for those that others see.
    pub source_code: String,
}

impl Definition for Library {
    type Entity = library::Entity;
    type Row = library::Model;

    const KIND: &'static str = "library";
    const REQUIRED: &'static [&'static str] = &["name", "sourceCode"];

    fn of_row(row: library::Model) -> Saved<Self> {
        let definition = Self { name: row.name, description: row.description, source_code: row.source_code };
        Saved::new(row.id, definition, Place::Pack { pack: row.pack }, row.created_at, row.updated_at)
    }

    fn into_row(saved: Saved<Self>) -> library::Model {
        let pack = saved.place.pack();
        library::Model {
            id: saved.id,
            full_name: full_name(pack.as_deref(), &saved.definition.name),
            name: saved.definition.name,
            description: saved.definition.description,
            source_code: saved.definition.source_code,
            pack,
            created_at: saved.created_at,
            updated_at: saved.updated_at,
        }
    }

    fn check(&mut self, _before: Option<&Self>, _catalog: &Catalog) -> Result<()> {
        let is_known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX || !self.name.chars().all(is_known) {
            let message = format!("must be 1 to {NAME_BYTES_MAX} letters, digits, - _ .");
            return Err(Failure::invalid("name", message).into());
        }
        check_description(&self.description)?;
        check_text("sourceCode", &self.source_code)
    }

    async fn check_compiled(
        before: Option<&Saved<Self>>,
        after: Option<&Saved<Self>>,
        catalog: &Catalog,
        on: &impl ConnectionTrait,
    ) -> Result<()> {
        let row = |saved: Option<&Saved<Self>>| saved.cloned().map(Self::into_row);
        catalog.check_library_change(on, row(before).as_ref(), row(after).as_ref()).await
    }

    fn already_there(&self) -> Failure {
        Failure::new(ErrorCode::DuplicateResource, format!("There is a library {} already", self.name))
    }
}

/// A script that there is, and what it is called.
#[derive(Debug, Clone)]
pub(crate) struct ScriptPlace {
    /// Such as `/chat joinRoom`.
    pub subject: String,
    /// The pack that it belongs to.
    pub pack: Option<String>,
    pub source: String,
}

/// What libraries are, and what they are to be.
#[derive(Clone)]
pub(crate) struct LibrariesChange {
    pub before: Arc<Libraries>,
    pub after: Arc<Libraries>,
    /// The full names of those that are made, changed or deleted.
    pub changed: BTreeSet<String>,
}

impl Catalog {
    /// The libraries as they are live.
    pub fn libraries(&self) -> Arc<Libraries> {
        self.live_libraries.load_full()
    }

    /// The libraries of these sources, of which the live ones are compiled already.
    pub(crate) async fn compile_libraries(&self, sources: Vec<LibrarySource>) -> Result<Arc<Libraries>> {
        let (engine, before) = (self.engine.clone(), self.libraries());
        let work = move || compiled(&engine, sources, &before);
        run_on_script_thread(ScriptWork::Compile, work).await
    }

    /// All that is wrong with the source of a library of this pack, as far as it can be told before it is saved.
    ///
    /// # Errors
    /// Of the database.
    pub async fn check_library_source(
        &self,
        source: String,
        pack: Option<String>,
    ) -> Result<Vec<CompileError>> {
        let mut sources = sources_of(&library::Entity::find().all(self.store.db()).await?);
        sources.push(LibrarySource { name: NO_NAME.to_owned(), pack: pack.clone(), source });
        let libraries = self.compile_libraries(sources).await?;
        let (engine, tables) = (self.engine.clone(), self.table_names());
        let name = full_name(pack.as_deref(), NO_NAME);
        let check = move || engine.check_library(&libraries, &name, Some(&tables)).err();
        Ok(run_on_script_thread(ScriptWork::Compile, check).await?.into_iter().collect())
    }

    /// The libraries as the database has them.
    pub(super) async fn libraries_on(&self, on: &impl ConnectionTrait) -> Result<Arc<Libraries>> {
        let rows = library::Entity::find().all(on).await?;
        self.compile_libraries(sources_of(&rows)).await
    }

    /// That a library may be as it is to be, or may go: it compiles, and so does all that imports it.
    ///
    /// # Errors
    /// `SCRIPT_COMPILE_ERROR`; `DUPLICATE_RESOURCE` where one that goes is in use. Both name the places.
    async fn check_library_change(
        &self,
        on: &impl ConnectionTrait,
        before: Option<&library::Model>,
        after: Option<&library::Model>,
    ) -> Result<()> {
        let rows = library::Entity::find().all(on).await?;
        let present = self.compile_libraries(sources_of(&rows)).await?;
        let mut rows = rows;
        rows.retain(|row| Some(row.id) != before.map(|before| before.id));
        rows.extend(after.cloned());
        let changed = before.into_iter().chain(after).map(|row| row.full_name.clone()).collect();
        let change = LibrariesChange {
            before: present,
            after: self.compile_libraries(sources_of(&rows)).await?,
            changed,
        };
        let own = after.map(|row| row.full_name.clone());
        let scripts = scripts_on(on).await?;
        let failures = self.check_libraries(change, own, scripts, self.table_names()).await?;
        failures.into_iter().next().map_or(Ok(()), |failure| Err(failure.into()))
    }

    /// Why libraries cannot become what they are to be: first `own`, if that does not compile, then what would no
    /// longer compile of all that is there.
    pub(crate) async fn check_libraries(
        &self,
        change: LibrariesChange,
        own: impl IntoIterator<Item = String>,
        scripts: Vec<ScriptPlace>,
        tables: BTreeSet<String>,
    ) -> Result<Vec<Failure>> {
        let (engine, own): (_, Vec<String>) = (self.engine.clone(), own.into_iter().collect());
        let check = move || {
            let mut failures: Vec<_> = own
                .iter()
                .filter_map(|name| {
                    let error = engine.check_library(&change.after, name, Some(&tables)).err()?;
                    let failure = Failure::from(error);
                    let message = format!("library {name}: {}", failure.message);
                    Some(Failure { message: message.into(), ..failure })
                })
                .collect();
            if failures.is_empty() {
                failures.extend(broken(&engine, &change, &scripts, &tables));
            }
            failures
        };
        run_on_script_thread(ScriptWork::Compile, check).await
    }
}

/// The sources of libraries.
pub(super) fn sources_of(rows: &[library::Model]) -> Vec<LibrarySource> {
    let source = |row: &library::Model| LibrarySource {
        name: row.name.clone(),
        pack: row.pack.clone(),
        source: row.source_code.clone(),
    };
    rows.iter().map(source).collect()
}

/// Compiled libraries; where all are those of `before`, these themselves.
pub(super) fn compiled(
    engine: &ScriptEngine,
    sources: Vec<LibrarySource>,
    before: &Arc<Libraries>,
) -> Arc<Libraries> {
    let libraries = Libraries::compile(engine, sources, before);
    if libraries.is_same(before) { before.clone() } else { Arc::new(libraries) }
}

/// The refusal of what would no longer compile, if anything would not.
fn broken(
    engine: &ScriptEngine,
    change: &LibrariesChange,
    scripts: &[ScriptPlace],
    tables: &BTreeSet<String>,
) -> Option<Failure> {
    let mut places = Vec::new();
    let LibrariesChange { before, after, changed } = change;
    for name in after.names().filter(|name| !changed.contains(*name) && !before.has_same(after, name)) {
        let compiled = |libraries| engine.check_library(libraries, name, Some(tables));
        if let (Ok(()), Err(error)) = (compiled(before), compiled(after)) {
            places.push((format!("library {name}"), error));
        }
    }
    for script in scripts.iter().filter(|script| script.source.contains("import")) {
        let pack: Option<Arc<str>> = script.pack.as_deref().map(Arc::from);
        let check = |libraries: &Arc<Libraries>| {
            let within = Within { libraries: libraries.clone(), pack: pack.clone() };
            engine.check(&script.source, &within, Some(tables))
        };
        // What is wrong already is no matter of this change.
        let Ok(compiled) = check(before) else { continue };
        if compiled.is_of(after, script.pack.as_deref()) {
            continue;
        }
        if let Err(error) = check(after) {
            places.push((script.subject.clone(), error));
        }
    }
    (!places.is_empty()).then(|| refusal(change, &places))
}

fn refusal(change: &LibrariesChange, places: &[(String, CompileError)]) -> Failure {
    let gone = change.changed.iter().find(|name| !change.after.names().any(|known| known == *name));
    let shown = places.iter().take(PLACES_MAX);
    let texts: Vec<_> = shown.clone().map(|(subject, error)| format!("{subject}: {error}")).collect();
    let more = places.len() - texts.len();
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let texts = texts.join("; ");
    let failure = match gone {
        Some(name) => {
            let message = format!("The library {name} is in use: {texts}{more}. Change these first");
            Failure::new(ErrorCode::DuplicateResource, message)
        }
        None => {
            let message = format!("What imports it would no longer compile: {texts}{more}");
            Failure::new(ErrorCode::ScriptCompile, message)
        }
    };
    let places = shown.map(|(subject, error)| {
        json!({ "subject": subject, "line": error.line, "column": error.column, "message": error.message })
    });
    failure.with_details(json!({ "places": places.collect::<Vec<_>>() }))
}

/// All scripts that there are, enabled or not.
async fn scripts_on(on: &impl ConnectionTrait) -> Result<Vec<ScriptPlace>> {
    let gateways = all::<Gateway>(on).await?;
    let mut places = Vec::new();
    for event in all::<Event>(on).await? {
        let Some(gateway) = gateway_of(&event, &gateways) else { continue };
        let subject = format!("{} {}", gateway.definition.path, event.definition.event_name);
        add(&mut places, &subject, gateway.place.pack(), &event.definition);
    }
    for gateway in &gateways {
        add(&mut places, &gateway.definition.path, gateway.place.pack(), &gateway.definition);
    }
    for route in all::<Route>(on).await? {
        let subject = format!("{} {}", route.definition.method, route.definition.path);
        add(&mut places, &subject, route.place.pack(), &route.definition);
    }
    for hook in all::<Hook>(on).await? {
        let Hook { when, on, table, .. } = &hook.definition;
        let subject = format!("hook {when} {} of {table}", on.join(","));
        add(&mut places, &subject, hook.place.pack(), &hook.definition);
    }
    Ok(places)
}

fn gateway_of<'a>(event: &Saved<Event>, gateways: &'a [Saved<Gateway>]) -> Option<&'a Saved<Gateway>> {
    let id: Uuid = event.place.gateway_id()?;
    gateways.iter().find(|gateway| gateway.id == id)
}

fn add<T: Definition>(places: &mut Vec<ScriptPlace>, subject: &str, pack: Option<String>, definition: &T) {
    let scripts = scripts_of(definition);
    let is_only = T::SCRIPTS.len() == 1;
    places.extend(scripts.into_iter().map(|(name, source)| ScriptPlace {
        subject: if is_only { subject.to_owned() } else { format!("{subject} {name}") },
        pack: pack.clone(),
        source,
    }));
}

async fn all<T: Definition>(on: &impl ConnectionTrait) -> Result<Vec<Saved<T>>> {
    Ok(T::Entity::find().all(on).await?.into_iter().map(T::of_row).collect())
}
