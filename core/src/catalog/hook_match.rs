//! Whether a hook runs for a write, and why: what an admin asks without writing anything. It asks by the same
//! condition as a write does.

use serde_json::json;
use uuid::Uuid;

use super::hooks::{condition_of, parts};
use super::{Catalog, Hook};
use crate::data::{HOOK_CHANGED, Row, Table};
use crate::error::{Failure, Result};
use crate::script::{HookCondition, Operation};

/// Whether a hook runs for a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookMatch {
    /// Whether it does.
    pub matches: bool,
    /// Why, for its author.
    pub reason: String,
}

impl HookMatch {
    fn no(reason: impl Into<String>) -> Self {
        Self { matches: false, reason: reason.into() }
    }
}

impl Catalog {
    /// Whether a saved hook runs for such a write. Without an operation it is an update where there is an old row,
    /// else the first that the hook is for.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`; `VALIDATION_ERROR` for an unknown operation, and for a field that the table does not have.
    pub async fn match_hook(
        &self,
        id: Uuid,
        operation: Option<&str>,
        row: &Row,
        old: Option<&Row>,
    ) -> Result<HookMatch> {
        let hook = self.get::<Hook>(id).await?.definition;
        let first = hook.on.first().map_or("create", String::as_str);
        let name = operation.unwrap_or(if old.is_some() { "update" } else { first });
        let operation = Operation::parse(name)
            .ok_or_else(|| Failure::invalid("on", format!("is create, update or delete, not {name}")))?;
        let tables = self.data()?.tables();
        let Some(table) = tables.get(hook.table.as_str()) else {
            return Ok(HookMatch::no(format!("The table {} is gone", hook.table)));
        };
        for (field, row) in [("row", Some(row)), ("old", old)] {
            check_fields(field, row, table)?;
        }
        // Only an update has changed anything; a row that is made has all of its fields new.
        let old = old.filter(|_| operation == Operation::Update);
        Ok(hook.matched(operation, row, old, table))
    }
}

impl Hook {
    fn matched(&self, operation: Operation, row: &Row, old: Option<&Row>, table: &Table) -> HookMatch {
        let (name, on) = (operation.as_str(), self.on.join(", "));
        if !self.is_enabled {
            return HookMatch::no("It is disabled");
        }
        if !self.on.iter().any(|one| one == name) {
            return HookMatch::no(format!("It is for {on} of #{}, and this is {name}", self.table));
        }
        let found = format!("It runs {} {name} of #{}", self.when, self.table);
        let Some(condition) = &self.condition else {
            return HookMatch { matches: true, reason: format!("{found}, and has no condition") };
        };
        match condition_of(condition, table) {
            Ok(whole) if whole.holds(row, old) => {
                HookMatch { matches: true, reason: format!("{found}, and the row meets {condition}") }
            }
            Ok(_) => HookMatch::no(format!("The row does not meet {}", self.not_met(row, old, table))),
            Err(error) => HookMatch::no(format!(
                "Its condition cannot be asked of #{} any more: {}",
                self.table,
                error.into_failure().message
            )),
        }
    }

    /// The parts of its condition that a row does not meet, each with what the row has.
    fn not_met(&self, row: &Row, old: Option<&Row>, table: &Table) -> String {
        let Some((filter, changed)) = self.condition.as_ref().and_then(|condition| parts(condition).ok())
        else {
            return "the condition".to_owned();
        };
        let mut all = Vec::new();
        for (name, test) in filter.as_object().into_iter().flatten() {
            let part = table.filter(&json!({ name: test })).ok();
            if part.is_none_or(|part| part.matches(row)) {
                continue;
            }
            match row.get(name) {
                Some(value) => all.push(format!("{name} {test}: it is {value}")),
                None if table.column_names().any(|known| known == name) => {
                    all.push(format!("{name} {test}: the row does not have it"));
                }
                None => all.push(format!("{name} {test}")),
            }
        }
        if !(HookCondition { filter: None, changed: changed.clone() }).holds(row, old) {
            all.push(format!("{HOOK_CHANGED} {}: none of them has changed", json!(changed)));
        }
        all.join("; ")
    }
}

/// That a row has no fields but those of its table.
fn check_fields(field: &str, row: Option<&Row>, table: &Table) -> Result<()> {
    let unknown =
        row.into_iter().flat_map(Row::keys).find(|name| !table.column_names().any(|known| known == **name));
    let Some(unknown) = unknown else { return Ok(()) };
    let known = table.column_names().collect::<Vec<_>>().join(", ");
    Err(Failure::invalid(field, format!("#{} has no field {unknown}; known: {known}", table.name)).into())
}
