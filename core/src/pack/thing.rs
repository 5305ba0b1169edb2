//! What packs hold: tables, gateways, events, routes and hooks. Each is a [`Thing`], which is
//! compared, installed, remembered and exported by itself.
//!
//! The same types are `pack.toml` and what was read from it: there a script is the path of its
//! file, and in a pack that was read it is the text.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::catalog::{GatewayLimits, RouteAccess, shape};
use crate::data::{Access, ColumnSpec};

/// One thing that a pack holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Thing {
    Table(TableSpec),
    /// Without its events, which are things of their own.
    Gateway(GatewaySpec),
    Event {
        /// The path of its gateway.
        gateway: String,
        event: EventSpec,
    },
    Route(RouteSpec),
    Hook(HookSpec),
}

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
}

/// `[[gateways]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields of a gateway")]
pub struct GatewaySpec {
    pub path: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default = "yes")]
    pub is_enabled: bool,
    #[serde(default = "yes")]
    pub require_auth: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disconnection: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script_timeout_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_origins: Option<Vec<String>>,
    #[serde(default)]
    pub presence: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: GatewayLimits,
    /// Of `pack.toml` alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventSpec>,
}

/// `[[gateways.events]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields of an event")]
pub struct EventSpec {
    pub name: String,
    pub script: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default = "yes")]
    pub is_enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_schema: Option<Json>,
}

/// `[[routes]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields of a route")]
pub struct RouteSpec {
    pub method: String,
    pub path: String,
    #[serde(default = "admin")]
    pub access: String,
    pub script: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default = "yes")]
    pub is_enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<i64>,
}

/// `[[hooks]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields of a hook")]
pub struct HookSpec {
    pub table: String,
    pub when: String,
    pub on: Vec<String>,
    #[serde(default)]
    pub priority: i64,
    pub script: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default = "yes")]
    pub is_enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Json>,
}

fn yes() -> bool {
    true
}

fn admin() -> String {
    RouteAccess::Admin.as_str().to_owned()
}

fn is_default(limits: &GatewayLimits) -> bool {
    *limits == GatewayLimits::default()
}

impl Thing {
    /// `table`, `gateway`, `event`, `route` or `hook`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Table(_) => "table",
            Self::Gateway(_) => "gateway",
            Self::Event { .. } => "event",
            Self::Route(_) => "route",
            Self::Hook(_) => "hook",
        }
    }

    /// What it is called: `table message`, `/chat`, `/chat joinRoom`, `POST /orders/{id}`,
    /// `hook before create,update of message`.
    pub fn subject(&self) -> String {
        match self {
            Self::Table(table) => format!("table {}", table.name),
            Self::Gateway(gateway) => gateway.path.clone(),
            Self::Event { gateway, event } => format!("{gateway} {}", event.name),
            Self::Route(route) => format!("{} {}", route.method, route.path),
            Self::Hook(hook) => {
                let priority = match hook.priority {
                    0 => String::new(),
                    priority => format!(" ({priority})"),
                };
                format!("hook {} {} of {}{priority}", hook.when, hook.on.join(","), hook.table)
            }
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
                Self::Hook(HookSpec { on, ..hook.clone() }).subject()
            }
            _ => self.subject(),
        }
    }

    /// Its scripts by their field.
    pub(super) fn scripts_mut(&mut self) -> Vec<(&'static str, &mut String)> {
        match self {
            Self::Table(_) => Vec::new(),
            Self::Gateway(gateway) => {
                let connection = gateway.connection.as_mut().map(|script| ("connection", script));
                let disconnection = gateway.disconnection.as_mut().map(|script| ("disconnection", script));
                connection.into_iter().chain(disconnection).collect()
            }
            Self::Event { event, .. } => vec![("script", &mut event.script)],
            Self::Route(route) => vec![("script", &mut route.script)],
            Self::Hook(hook) => vec![("script", &mut hook.script)],
        }
    }

    /// All of it as text, to show a difference.
    pub fn text(&self) -> String {
        let mut settings = self.clone();
        let mut scripts = String::new();
        for (name, script) in settings.scripts_mut() {
            scripts += &format!("\n--- {name}\n{}", std::mem::take(script));
        }
        let json = match &settings {
            Self::Table(table) => serde_json::to_value(table),
            Self::Gateway(gateway) => serde_json::to_value(gateway),
            Self::Event { event, .. } => serde_json::to_value(event),
            Self::Route(route) => serde_json::to_value(route),
            Self::Hook(hook) => serde_json::to_value(hook),
        };
        let mut json = json.unwrap_or_default();
        if let Some(fields) = json.as_object_mut() {
            fields.retain(|name, _| !matches!(name.as_str(), "connection" | "disconnection" | "script"));
        }
        format!("{json:#}{scripts}")
    }

    /// Its name, where it is a table.
    pub fn table_name(&self) -> Option<&str> {
        if let Self::Table(table) = self { Some(&table.name) } else { None }
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
            Self::Table(_) => 0,
            Self::Gateway(_) => 1,
            Self::Event { .. } => 2,
            Self::Route(_) => 3,
            Self::Hook(_) => 4,
        }
    }
}

/// Sorts things so that each comes after all that it needs: tables that others reference first,
/// events after their gateways, hooks last. Otherwise they stay in their order.
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
