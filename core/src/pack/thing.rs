//! What packs hold: libraries, tables, gateways, events, routes, hooks and schedules. Each is a [`Thing`], which is
//! compared, installed, remembered and exported by itself.
//!
//! Definitions are those of the catalog, in the form that packs have for them. In `pack.toml` a script
//! is the path of its file, and in a pack that was read it is the text.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::form;
use crate::catalog::{Definition, Event, Gateway, Hook, Library, Route, Schedule, ScriptPlace, shape};
use crate::data::{Access, ColumnSpec};
use crate::script::LibrarySource;

/// One thing that a pack holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Thing {
    Table(TableSpec),
    /// Without its events, which are things of their own.
    Gateway(#[serde(with = "form")] Gateway),
    Event {
        /// The path of its gateway.
        gateway: String,
        #[serde(with = "form")]
        event: Event,
    },
    Route(#[serde(with = "form")] Route),
    Hook(#[serde(with = "form")] Hook),
    Schedule(#[serde(with = "form")] Schedule),
    Library(#[serde(with = "form")] Library),
}

/// Does one thing with whatever definition a thing has, and another with a table.
macro_rules! of_kind {
    ($thing:expr, $table:ident => $of_table:expr, $definition:ident => $of_definition:expr) => {
        match $thing {
            Thing::Table($table) => $of_table,
            Thing::Gateway($definition) => $of_definition,
            Thing::Event { event: $definition, .. } => $of_definition,
            Thing::Route($definition) => $of_definition,
            Thing::Hook($definition) => $of_definition,
            Thing::Schedule($definition) => $of_definition,
            Thing::Library($definition) => $of_definition,
        }
    };
}
pub(super) use of_kind;

/// `[[tables]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields of a table")]
pub struct TableSpec {
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default)]
    pub access: Access,
    #[serde(default)]
    pub columns: Vec<ColumnSpec>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unique: Vec<Vec<String>>,
}

impl Thing {
    /// `table`, `gateway`, `event`, `route`, `hook`, `schedule` or `library`.
    pub fn kind(&self) -> &'static str {
        fn kind_of<T: Definition>(_: &T) -> &'static str {
            T::KIND
        }
        of_kind!(self, _table => "table", definition => kind_of(definition))
    }

    /// What it is called: `table message`, `/chat`, `/chat joinRoom`, `POST /orders/{id}`,
    /// `hook before create,update of message`, `schedule cleanup`, `library names`.
    pub fn subject(&self) -> String {
        match self {
            Self::Table(table) => format!("table {}", table.name),
            Self::Gateway(gateway) => gateway.path.clone(),
            Self::Event { gateway, event } => format!("{gateway} {}", event.event_name),
            Self::Route(route) => format!("{} {}", route.method, route.path),
            Self::Hook(hook) => {
                let priority = match hook.priority {
                    0 => String::new(),
                    priority => format!(" ({priority})"),
                };
                format!("hook {} {} of {}{priority}", hook.when, hook.on.join(","), hook.table)
            }
            Self::Schedule(schedule) => format!("schedule {}", schedule.name),
            Self::Library(library) => format!("library {}", library.name),
        }
    }

    /// What tells it from all others: its subject, whatever the parameters of a route are called
    /// and in which order a hook names the operations.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Route(route) => {
                let segments = shape(&route.path).into_iter().map(|segment| segment.unwrap_or("{}"));
                format!("{} {}", route.method, segments.collect::<Vec<_>>().join("/"))
            }
            Self::Hook(hook) => {
                let mut on = hook.on.clone();
                on.sort_unstable();
                Self::Hook(Hook { on, ..hook.clone() }).subject()
            }
            _ => self.subject(),
        }
    }

    /// Changes each of its scripts, by its name here.
    ///
    /// # Errors
    /// The first of `change`.
    pub(super) fn change_scripts<E>(
        &mut self,
        change: &mut dyn FnMut(&'static str, String) -> Result<String, E>,
    ) -> Result<(), E> {
        of_kind!(self, _table => Ok(()), definition => form::change_scripts(definition, change))
    }

    /// All of it as text, to show a difference.
    pub fn text(&self) -> String {
        let (settings, scripts) = of_kind!(
            self,
            table => (json!(table), Vec::new()),
            definition => {
                let (settings, scripts) = form::settings_and_scripts(definition);
                (settings.into(), scripts)
            }
        );
        let scripts = scripts.iter().map(|(name, script)| format!("\n--- {name}\n{script}"));
        format!("{settings:#}{}", scripts.collect::<String>())
    }

    /// Its name, where it is a table.
    pub fn table_name(&self) -> Option<&str> {
        if let Self::Table(table) = self { Some(&table.name) } else { None }
    }

    /// Its name, where it is a table, a schedule or a library.
    pub fn own_name(&self) -> Option<&str> {
        match self {
            Self::Schedule(schedule) => Some(&schedule.name),
            Self::Library(library) => Some(&library.name),
            other => other.table_name(),
        }
    }

    /// Where it is a library: what it is, in this pack.
    pub(super) fn library(&self, pack: Option<&str>) -> Option<LibrarySource> {
        let Self::Library(library) = self else { return None };
        let (name, source) = (library.name.clone(), library.source_code.clone());
        Some(LibrarySource { name, pack: pack.map(str::to_owned), source })
    }

    /// Its scripts, each with what it is called.
    pub(super) fn scripts(&self, pack: Option<&str>) -> Vec<ScriptPlace> {
        let mut places = Vec::new();
        let mut place = |what: &str, source: &str| {
            let subject = self.subject();
            let subject = if what == "script" { subject } else { format!("{subject} {what}") };
            places.push(ScriptPlace { subject, pack: pack.map(str::to_owned), source: source.to_owned() });
        };
        of_kind!(
            self,
            _table => {},
            definition => form::settings_and_scripts(definition).1.iter().for_each(|(what, source)| place(what, source))
        );
        places
    }

    /// The tables that have to be there before it.
    pub(super) fn references(&self) -> impl Iterator<Item = &str> {
        let table = if let Self::Table(table) = self { Some(table) } else { None };
        table.into_iter().flat_map(|table| {
            let names = table.columns.iter().filter_map(|column| column.references.as_deref());
            names.filter(|name| *name != table.name)
        })
    }

    fn rank(&self) -> usize {
        match self {
            Self::Library(_) => 0,
            Self::Table(_) => 1,
            Self::Gateway(_) => 2,
            Self::Event { .. } => 3,
            Self::Route(_) => 4,
            Self::Hook(_) => 5,
            Self::Schedule(_) => 6,
        }
    }
}

/// Sorts things so that each comes after all that it needs: libraries before all, tables that others reference first,
/// events after their gateways, schedules last. Otherwise they stay in their order.
pub(super) fn in_order<T>(mut things: Vec<T>, thing: impl Fn(&T) -> &Thing) -> Vec<T> {
    things.sort_by_key(|item| thing(item).rank());
    let mut ordered = Vec::with_capacity(things.len());
    while !things.is_empty() {
        let is_there = |name: &str| !things.iter().any(|other| thing(other).table_name() == Some(name));
        let next = things.iter().position(|item| thing(item).references().all(is_there));
        // Tables that need each other have no order; the first is refused later.
        ordered.push(things.remove(next.unwrap_or(0)));
    }
    ordered
}
