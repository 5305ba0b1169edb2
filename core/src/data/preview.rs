//! What a change of a table would do, before anybody does it: what is lost, what stands in the way, and what the
//! database has to do for it.

use sea_orm::{DbBackend, TransactionTrait};
use uuid::Uuid;

use super::alter::{self, Alteration};
use super::schema::{self, Altered};
use super::table::Table;
use super::tables::{TableChange, check_name_is_free, check_references, row_on};
use super::{Data, unique};
use crate::error::Result;

pub use super::alter::Problem;

/// Problems that are told.
const PROBLEMS_MAX: usize = 100;
/// Up to here a walk through all rows is over before anybody notices.
const FEW_ROWS: u64 = 50_000;
/// From here on it may take minutes.
const MANY_ROWS: u64 = 5_000_000;

/// What a change of a table would do.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangePreview {
    /// Rows that the table has.
    pub rows: u64,
    /// Values that would be lost. Where there are any, the change needs `confirm`.
    pub losses: Vec<Loss>,
    /// What stands in its way; with any, the change is refused.
    pub problems: Vec<Problem>,
    /// What the database has to do for it, and who waits meanwhile, as sentences.
    pub work: Vec<String>,
}

/// Values of one column that would be lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Its present name.
    pub column: String,
    /// How many rows have a value in it.
    pub values: u64,
}

impl Data {
    /// What a change would do. Nothing is changed, and nobody waits for it.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`; `VALIDATION_ERROR` and `DUPLICATE_RESOURCE` for a change that makes no sense whatever the
    /// rows are.
    pub async fn preview_change(&self, id: Uuid, change: &TableChange) -> Result<ChangePreview> {
        let backend = self.backend();
        let on = TransactionTrait::begin(&**self.db()).await?;
        let old = Table::of_row(&row_on(&on, id).await?, backend == DbBackend::Sqlite)?;
        let alteration = Alteration::new(&old, change)?;
        let new = alteration.table(&old, change, backend)?;
        let tables = self.tables_on(&on).await?;
        check_references(&new, &tables)?;
        if let Some(name) = change.name.as_ref().filter(|name| **name != old.name) {
            super::name::check_table_name(name)?;
            check_name_is_free(name, Some(&old.name), &tables)?;
        }
        alter::check_hooks(&on, &new).await?;
        let rows = alter::count_rows(&on, &old, None).await?;
        let losses = alter::lost_values(&on, &old, &alteration).await?;
        let mut problems = alter::problems(&on, &old, &alteration, PROBLEMS_MAX).await?;
        let left = PROBLEMS_MAX - problems.len();
        if left > 0 {
            let duplicates = unique::duplicates(&on, &old, &new, &alteration.columns, left).await?;
            let problem =
                |(key, message): (Vec<String>, String)| Problem { column: key.join(", "), rows: 0, message };
            problems.extend(duplicates.into_iter().map(problem));
        }
        on.rollback().await?;
        let losses = losses.into_iter().map(|(column, values)| Loss { column, values }).collect();
        Ok(ChangePreview { rows, losses, problems, work: work(&old, &new, &alteration, rows, backend) })
    }
}

/// What the database has to do.
fn work(old: &Table, new: &Table, alteration: &Alteration, rows: u64, backend: DbBackend) -> Vec<String> {
    let columns = &alteration.columns;
    let time = match rows {
        0..FEW_ROWS => "which takes a moment",
        FEW_ROWS..MANY_ROWS => "which takes seconds",
        _ => "which may take minutes",
    };
    let is_sqlite = backend == DbBackend::Sqlite;
    let waits = if is_sqlite {
        "All that writes to the database waits until it is done."
    } else {
        "All that uses this table waits until it is done."
    };
    let mut work = Vec::new();
    if schema::needs_rebuild(old, columns, backend) {
        work.push(format!("The table is copied with its {rows} rows, {time}. {waits}"));
    }
    let kept = || columns.iter().filter_map(|altered| Some((altered.before.as_ref()?, altered)));
    for (before, altered) in kept().filter(|(_, altered)| altered.keeps_values() && !is_sqlite) {
        let after = &altered.after;
        if before.kind != after.kind {
            work.push(format!("{rows} values of {} change their type, {time}. {waits}", after.name));
        }
        if after.references.is_some() && before.references != after.references {
            work.push(format!("{rows} references of {} are looked up, {time}. {waits}", after.name));
        }
    }
    for altered in columns.iter().filter(|altered| gets_index(altered)) {
        work.push(format!("An index of {} is built from {rows} rows, {time}. {waits}", altered.after.name));
    }
    for group in new.unique.iter().filter(|group| !old.unique.contains(group)) {
        work.push(format!("An index of {} is built from {rows} rows, {time}. {waits}", group.join(", ")));
    }
    for altered in columns.iter().filter(|altered| gets_default(altered)) {
        work.push(format!("Rows without a value in {} get its default, {time}. {waits}", altered.after.name));
    }
    if work.is_empty() {
        work.push("The rows are not touched, so it takes no time.".to_owned());
    }
    work
}

fn gets_index(altered: &Altered) -> bool {
    let had = altered.before.as_ref().is_some_and(|before| {
        schema::wants_index(before) && before.unique == altered.after.unique && altered.keeps_values()
    });
    schema::wants_index(&altered.after) && !had
}

fn gets_default(altered: &Altered) -> bool {
    let is_newly_required =
        altered.before.as_ref().is_some_and(|before| !before.required) && altered.after.required;
    altered.after.default.is_some() && (!altered.keeps_values() || is_newly_required)
}
