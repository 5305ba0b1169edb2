//! Hooks: scripts that run around the writes of a table.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::DatabaseTransaction;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use super::{Catalog, Definition, Place, Saved};
use crate::config::Config;
use crate::data::{HOOK_CHANGED, Table, Tables};
use crate::error::{Failure, Result};
use crate::filter::Filter;
use crate::script::{self, Handler, HandlerSource, HookCondition, HookWhen, Hooks, Operation, SCRIPT_EVENT};
use crate::store::{check_description, check_text, hook};

/// What the runs of hooks are counted under, in the place of a gateway's path.
const HOOKS: &str = "hooks";

/// A script that runs around the writes of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Hook {
    /// The name of the table.
    pub table: String,
    /// `before` or `after`.
    pub when: String,
    /// Of `create`, `update`, `delete`.
    pub on: Vec<String>,
    /// For people.
    pub description: String,
    /// Whether it runs.
    pub is_enabled: bool,
    /// A filter on the new row; `_changed` names columns of which one has to have changed.
    #[schema(value_type = Option<Object>)]
    pub condition: Option<Json>,
    /// What runs. `handlerScript` is accepted too.
    pub source_code: String,
    /// Lower runs earlier.
    pub priority: i64,
}

impl Default for Hook {
    fn default() -> Self {
        Self {
            table: String::new(),
            when: String::new(),
            on: Vec::new(),
            description: String::new(),
            is_enabled: true,
            condition: None,
            source_code: String::new(),
            priority: 0,
        }
    }
}

impl Definition for Hook {
    type Entity = hook::Entity;
    type Row = hook::Model;

    const KIND: &'static str = "hook";
    const REQUIRED: &'static [&'static str] = &["table", "when", "on", "sourceCode"];
    const ALIASES: &'static [(&'static str, &'static str)] = &[("handlerScript", "sourceCode")];

    fn of_row(row: hook::Model) -> Saved<Self> {
        let definition = Self {
            table: row.table,
            when: row.when,
            on: names(&row.on),
            description: row.description,
            is_enabled: row.is_enabled,
            condition: row.condition,
            source_code: row.source_code,
            priority: row.priority,
        };
        Saved::new(row.id, definition, Place::Pack { pack: row.pack }, row.created_at, row.updated_at)
    }

    fn into_row(saved: Saved<Self>) -> hook::Model {
        hook::Model {
            id: saved.id,
            table: saved.definition.table,
            when: saved.definition.when,
            on: json!(saved.definition.on),
            description: saved.definition.description,
            is_enabled: saved.definition.is_enabled,
            condition: saved.definition.condition,
            source_code: saved.definition.source_code,
            priority: saved.definition.priority,
            pack: saved.place.pack(),
            created_at: saved.created_at,
            updated_at: saved.updated_at,
        }
    }

    fn check(&mut self, _before: Option<&Self>, _catalog: &Catalog) -> Result<()> {
        check_description(&self.description)?;
        if when_of(&self.when).is_none() {
            let message = format!("{:?} is neither before nor after", self.when);
            return Err(Failure::invalid("when", message).into());
        }
        if self.on.is_empty() || self.on.iter().any(|name| Operation::parse(name).is_none()) {
            return Err(Failure::invalid("on", "takes one or more of create, update, delete").into());
        }
        if let Some(condition) = &self.condition {
            parts(condition)?;
        }
        check_text("sourceCode", &self.source_code)
    }

    /// That the table is there and has what the condition names.
    async fn check_among_others(
        saved: &Saved<Self>,
        catalog: &Catalog,
        on: &DatabaseTransaction,
    ) -> Result<()> {
        let table = catalog.data()?.table_on(on, &saved.definition.table).await?;
        saved.definition.check_table(&table)
    }
}

impl Hook {
    /// That it can stand on its table, and its condition can be asked of the rows there.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`.
    pub(crate) fn check_table(&self, table: &Table) -> Result<()> {
        if table.is_of_users && when_of(&self.when) == Some(HookWhen::Before) {
            let message = "is after, on users: accounts are written before any script hears of it";
            return Err(Failure::invalid("when", message).into());
        }
        let Some(condition) = &self.condition else { return Ok(()) };
        let (filter, changed) = parts(condition)?;
        table.filter(&filter)?;
        if let Some(name) = changed.iter().find(|name| !table.column_names().any(|known| known == **name)) {
            let known = table.column_names().collect::<Vec<_>>().join(", ");
            let message = format!("_changed names no field {name}; known: {known}");
            return Err(Failure::invalid("condition", message).into());
        }
        Ok(())
    }
}

/// The live hooks of these rows: lower priorities first, then the older.
pub(super) fn live_hooks(
    mut rows: Vec<hook::Model>,
    config: &Config,
    tables: &Tables,
    make: &dyn Fn(HandlerSource<'_>) -> Arc<Handler>,
) -> Hooks {
    rows.sort_by_key(|row| (row.priority, row.id));
    let mut hooks = Hooks::new();
    for row in rows.iter().filter(|row| row.is_enabled) {
        let handler = make(HandlerSource {
            owner: row.id,
            script: SCRIPT_EVENT,
            version: row.updated_at,
            gateway: HOOKS,
            name: &format!("{} {} {}", row.when, names(&row.on).join(","), row.table),
            source: &row.source_code,
            pack: row.pack.as_deref(),
            schema: None,
            timeout: Duration::from_millis(config.scripts.timeout_ms),
            durable: None,
        });
        // Rows were checked when they were saved.
        let Some(when) = when_of(&row.when) else { continue };
        hooks.entry(row.table.clone()).or_default().push(Arc::new(script::Hook {
            when,
            on: names(&row.on).iter().filter_map(|name| Operation::parse(name)).collect(),
            condition: live_condition(row, tables),
            handler,
        }));
    }
    hooks
}

/// The condition of a hook. One that cannot be asked of its table any more is met by no row.
fn live_condition(row: &hook::Model, tables: &Tables) -> HookCondition {
    let Some(condition) = &row.condition else { return HookCondition::default() };
    let table = tables.get(row.table.as_str()).ok_or_else(|| Failure::not_found("table", &row.table).into());
    table.and_then(|table| condition_of(condition, table)).unwrap_or_else(|error| {
        tracing::warn!(hook = %row.id, table = row.table, %error, "the hook does not run: its condition cannot be asked");
        HookCondition { filter: Some(Filter::nothing()), changed: Vec::new() }
    })
}

/// A condition, asked of the rows of this table.
pub(super) fn condition_of(condition: &Json, table: &Table) -> Result<HookCondition> {
    let (filter, changed) = parts(condition)?;
    Ok(HookCondition { filter: Some(table.filter(&filter)?), changed })
}

fn when_of(when: &str) -> Option<HookWhen> {
    match when {
        "before" => Some(HookWhen::Before),
        "after" => Some(HookWhen::After),
        _ => None,
    }
}

fn names(json: &Json) -> Vec<String> {
    serde_json::from_value(json.clone()).unwrap_or_default()
}

/// A condition as its filter and the columns of which one has to have changed.
pub(super) fn parts(condition: &Json) -> Result<(Json, Vec<String>)> {
    let mut filter = condition.clone();
    let fields =
        filter.as_object_mut().ok_or_else(|| Failure::invalid("condition", "must be an object: a filter"))?;
    let changed = fields.remove(HOOK_CHANGED).unwrap_or_else(|| json!([]));
    let changed = serde_json::from_value(changed)
        .map_err(|_| Failure::invalid("condition", "_changed takes an array of field names"))?;
    Ok((filter, changed))
}
