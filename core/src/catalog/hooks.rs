//! Hooks in the database: scripts that run around the writes of a table.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::change::set;
use super::gateways::later_than;
use super::revisions::delete_revisions;
use super::{Catalog, Suspension};
use crate::config::Config;
use crate::data::{HOOK_CHANGED, Table, Tables};
use crate::error::{Failure, Result};
use crate::filter::Filter;
use crate::id::new_id;
use crate::script::{self, Handler, HandlerSource, HookWhen, Hooks, Operation, SCRIPT_EVENT};
use crate::store::list::{ListQuery, Page};
use crate::store::{self, Time, hook};

/// What the runs of hooks are counted under, in the place of a gateway's path.
const HOOKS: &str = "hooks";

/// A hook as an admin sees it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented on the row")]
pub struct Hook {
    pub id: Uuid,
    pub table: String,
    pub when: String,
    pub on: Vec<String>,
    pub description: String,
    pub is_enabled: bool,
    pub condition: Option<Json>,
    pub source_code: String,
    pub priority: i64,
    pub pack: Option<String>,
    /// Why it is suspended, if it is.
    pub suspended: Option<Suspension>,
    pub created_at: Time,
    pub updated_at: Time,
}

/// What changes of a hook: an absent field stays, `Some(None)` clears it.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields of a hook")]
pub struct HookChange {
    pub table: Option<String>,
    pub when: Option<String>,
    pub on: Option<Vec<String>>,
    pub description: Option<String>,
    pub is_enabled: Option<bool>,
    pub condition: Option<Option<Json>>,
    pub source_code: Option<String>,
    pub priority: Option<i64>,
}

impl HookChange {
    /// Lays the change over a row and checks the outcome, but for its table.
    fn apply(self, row: &mut hook::Model) -> Result<()> {
        set(&mut row.table, self.table);
        set(&mut row.when, self.when);
        set(&mut row.on, self.on.map(|on| json!(on)));
        set(&mut row.description, self.description);
        set(&mut row.is_enabled, self.is_enabled);
        set(&mut row.condition, self.condition);
        set(&mut row.source_code, self.source_code);
        set(&mut row.priority, self.priority);
        store::check_description(&row.description)?;
        if when_of(&row.when).is_none() {
            return Err(
                Failure::invalid("when", format!("{:?} is neither before nor after", row.when)).into()
            );
        }
        let on = names(&row.on);
        if on.is_empty() || on.iter().any(|name| Operation::parse(name).is_none()) {
            return Err(Failure::invalid("on", "takes one or more of create, update, delete").into());
        }
        Ok(())
    }
}

impl Catalog {
    /// One page of hooks.
    pub async fn list_hooks(&self, query: &ListQuery) -> Result<Page<Hook>> {
        let page = self.store.list::<hook::Entity>(query, None).await?;
        Ok(Page { rows: page.rows.into_iter().map(|row| self.hook_view(row)).collect(), counts: page.counts })
    }

    /// A hook by id.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub async fn hook(&self, id: Uuid) -> Result<Hook> {
        Ok(self.hook_view(self.hook_row(id).await?))
    }

    /// Makes a hook. It is live when this returns.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`, `SCRIPT_COMPILE_ERROR`, or `RESOURCE_NOT_FOUND` for its table.
    pub async fn create_hook(&self, change: HookChange, author: &str, pack: Option<&str>) -> Result<Hook> {
        let row = new_row(change, pack)?;
        self.check_hook_row(&row).await?;
        row.clone().into_active_model().insert(self.store.db()).await?;
        self.append_revision(row.id, SCRIPT_EVENT, &row.source_code, author).await?;
        self.changed().await?;
        Ok(self.hook_view(row))
    }

    /// Whether such a hook could be made were its table this one, among these.
    ///
    /// # Errors
    /// As [`Self::create_hook`].
    pub(crate) async fn check_hook(
        &self,
        change: HookChange,
        table: &Table,
        tables: &BTreeSet<String>,
    ) -> Result<()> {
        let row = new_row(change, None)?;
        self.check_condition(row.condition.as_ref(), table)?;
        self.check_scripts_with(&[&Some(row.source_code)], tables.clone()).await
    }

    /// Changes a hook. It is live when this returns.
    ///
    /// # Errors
    /// As [`Self::create_hook`], and `RESOURCE_NOT_FOUND`.
    pub async fn update_hook(&self, id: Uuid, change: HookChange, author: &str) -> Result<Hook> {
        let before = self.hook_row(id).await?;
        let mut row = before.clone();
        let saves_script = change.source_code.is_some();
        change.apply(&mut row)?;
        self.check_hook_row(&row).await?;
        row.updated_at = later_than(before.updated_at);
        row.clone().into_active_model().reset_all().update(self.store.db()).await?;
        if saves_script {
            self.append_revision(row.id, SCRIPT_EVENT, &row.source_code, author).await?;
        }
        self.changed().await?;
        Ok(self.hook_view(row))
    }

    /// Saves an earlier version of a hook's script again, as the newest.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`; `SCRIPT_COMPILE_ERROR` when it no longer compiles.
    pub async fn restore_hook(&self, id: Uuid, number: i64, author: &str) -> Result<Hook> {
        let revision = self.revision(id, number).await?;
        let change = HookChange { source_code: Some(revision.source), ..Default::default() };
        self.update_hook(id, change, author).await
    }

    /// Deletes a hook with its history.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub async fn delete_hook(&self, id: Uuid) -> Result<()> {
        let gone = hook::Entity::delete_by_id(id).exec(self.store.db()).await?;
        if gone.rows_affected == 0 {
            return Err(Failure::not_found("hook", id).into());
        }
        delete_revisions(&self.store, [id]).await?;
        self.changed().await
    }

    pub(super) async fn hook_row(&self, id: Uuid) -> Result<hook::Model> {
        let row = hook::Entity::find_by_id(id).one(self.store.db()).await?;
        Ok(row.ok_or_else(|| Failure::not_found("hook", id))?)
    }

    /// That the table is there and has what the condition names, and that the script compiles.
    async fn check_hook_row(&self, row: &hook::Model) -> Result<()> {
        let table = self.data()?.table(&row.table)?;
        self.check_condition(row.condition.as_ref(), &table)?;
        self.check_scripts(&[&Some(row.source_code.clone())]).await
    }

    fn check_condition(&self, condition: Option<&Json>, table: &Table) -> Result<()> {
        let Some(condition) = condition else { return Ok(()) };
        let (filter, changed) = parts(condition)?;
        table.filter(&filter)?;
        if let Some(name) = changed.iter().find(|name| !table.column_names().any(|known| known == **name)) {
            let known = table.column_names().collect::<Vec<_>>().join(", ");
            let message = format!("_changed names no field {name}; known: {known}");
            return Err(Failure::invalid("condition", message).into());
        }
        Ok(())
    }

    fn hook_view(&self, row: hook::Model) -> Hook {
        Hook {
            suspended: self.suspensions_of(row.id).pop(),
            on: names(&row.on),
            id: row.id,
            table: row.table,
            when: row.when,
            description: row.description,
            is_enabled: row.is_enabled,
            condition: row.condition,
            source_code: row.source_code,
            priority: row.priority,
            pack: row.pack,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

fn new_row(change: HookChange, pack: Option<&str>) -> Result<hook::Model> {
    let missing = [
        ("table", change.table.is_none()),
        ("when", change.when.is_none()),
        ("on", change.on.is_none()),
        ("sourceCode", change.source_code.is_none()),
    ];
    if let Some((field, _)) = missing.into_iter().find(|(_, is_missing)| *is_missing) {
        return Err(Failure::invalid(field, "is missing").into());
    }
    let now = store::now();
    let mut row = hook::Model {
        id: new_id(),
        table: String::new(),
        when: String::new(),
        on: json!([]),
        description: String::new(),
        is_enabled: true,
        condition: None,
        source_code: String::new(),
        priority: 0,
        pack: pack.map(str::to_owned),
        created_at: now,
        updated_at: now,
    };
    change.apply(&mut row)?;
    if let Some(condition) = &row.condition {
        parts(condition)?;
    }
    Ok(row)
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
            schema: None,
            timeout: Duration::from_millis(config.scripts.timeout_ms),
        });
        // Rows were checked when they were saved.
        let Some(when) = when_of(&row.when) else { continue };
        let (filter, changed) = live_condition(row, tables);
        hooks.entry(row.table.clone()).or_default().push(Arc::new(script::Hook {
            when,
            on: names(&row.on).iter().filter_map(|name| Operation::parse(name)).collect(),
            filter,
            changed,
            handler,
        }));
    }
    hooks
}

/// The condition of a hook. One that cannot be asked of its table any more is met by no row.
fn live_condition(row: &hook::Model, tables: &Tables) -> (Option<Filter>, Vec<String>) {
    let Some(condition) = &row.condition else { return (None, Vec::new()) };
    let parsed = parts(condition).and_then(|(filter, changed)| {
        let table = tables.get(row.table.as_str()).ok_or_else(|| Failure::not_found("table", &row.table))?;
        Ok((Some(table.filter(&filter)?), changed))
    });
    parsed.unwrap_or_else(|error| {
        tracing::warn!(hook = %row.id, table = row.table, %error, "the hook does not run: its condition cannot be asked");
        (Some(Filter::nothing()), Vec::new())
    })
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
fn parts(condition: &Json) -> Result<(Json, Vec<String>)> {
    let mut filter = condition.clone();
    let fields =
        filter.as_object_mut().ok_or_else(|| Failure::invalid("condition", "must be an object: a filter"))?;
    let changed = fields.remove(HOOK_CHANGED).unwrap_or_else(|| json!([]));
    let changed = serde_json::from_value(changed)
        .map_err(|_| Failure::invalid("condition", "_changed takes an array of field names"))?;
    Ok((filter, changed))
}
