//! What a file of rows would do to a table: which of them are new, which change one that is there, and which cannot be.
//! Nothing is written here; who imports has the rows written with their hooks.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::csv_text::CsvRows;
use super::statement::Find;
use super::table::{ID, Row, Table};
use super::{Data, Keep, ROWS_MAX, Session};
use crate::error::{Error, Result};
use crate::store::now;

/// Rows of one import.
pub const IMPORT_ROWS_MAX: usize = 10_000;
/// Ids that are looked up at once.
const IDS_AT_ONCE: usize = 500;

/// What the rows of a file come to.
#[derive(Debug, Default)]
pub struct Import {
    /// New rows, with their lines.
    pub create: Vec<(u64, Row)>,
    /// What changes of rows that are there: the line, the id, the fields.
    pub update: Vec<(u64, String, Row)>,
    /// Rows that are there already as they are.
    pub unchanged: u64,
    /// How many rows the file has.
    pub rows: u64,
    /// What cannot be.
    pub refused: CsvRows,
}

impl Data {
    /// Finds out what the rows of a file come to: one with the id of a row that is there changes it, all others are new.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn plan_import(self: &Arc<Self>, table: &Table, file: CsvRows) -> Result<Import> {
        let session = self.session(Keep::Writes);
        let mut import = Import::default();
        let CsvRows { rows, errors, error_count, count } = file;
        import.rows = count;
        import.refused = CsvRows { rows: Vec::new(), errors, error_count, count };
        let ids: Vec<String> = rows.iter().filter_map(|(_, row)| id_of(row)).collect();
        let present = present(&session, table, &ids).await?;
        let (mut seen, now) = (HashSet::new(), now());
        for (line, mut row) in rows {
            if row.get(ID).is_some_and(Json::is_null) {
                row.remove(ID);
            }
            let id = id_of(&row);
            if row.contains_key(ID) && id.is_none() {
                import.refused.refuse(
                    line,
                    Some(ID.to_owned()),
                    "takes a UUID, or nothing for a new row".to_owned(),
                );
                continue;
            }
            if let Some(id) = id.as_ref().filter(|id| !seen.insert((*id).clone())) {
                import.refused.refuse(line, Some(ID.to_owned()), format!("{id} stands in a line before"));
                continue;
            }
            let Some((id, known)) = id.and_then(|id| present.get_key_value(&id)) else {
                match table.new_row(&row, now) {
                    Ok(_) => import.create.push((line, row)),
                    Err(error) => import.refused.note(line, error)?,
                }
                continue;
            };
            row.remove(ID);
            match table.normal(&row) {
                Err(error) => import.refused.note(line, error)?,
                Ok(row) if row.iter().all(|(name, value)| known.get(name) == Some(value)) => {
                    import.unchanged += 1
                }
                Ok(row) => match table.change(&row, now) {
                    Ok(_) => import.update.push((line, id.clone(), row)),
                    Err(error) => import.refused.note(line, error)?,
                },
            }
        }
        Ok(import)
    }

    /// Tries whether the database takes the rows, and undoes that: unique values and references are its to keep. Hooks do
    /// not run.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn try_import(self: &Arc<Self>, table: &Table, import: &mut Import) -> Result<()> {
        let has_ids = import.create.iter().any(|(_, row)| id_of(row).is_some());
        if table.takes_any_row() && !has_ids {
            return Ok(());
        }
        let session = self.session(Keep::Nothing);
        let now = now();
        let rows = import.create.iter().map(|(line, row)| Ok((*line, table.new_row(row, now)?)));
        let rows = rows.collect::<Result<Vec<_>>>()?;
        let mut parts: Vec<&[(u64, Row)]> = rows.chunks(ROWS_MAX as usize).rev().collect();
        // What is refused as a whole is tried in halves, until the rows are found that are to blame.
        while let Some(part) = parts.pop() {
            if import.refused.errors.len() >= super::csv_text::ERRORS_MAX {
                return Ok(());
            }
            let all: Vec<Row> = part.iter().map(|(_, row)| row.clone()).collect();
            match (session.insert(table, &all).await, part) {
                (Ok(()), _) => {}
                (Err(error), [(line, _)]) => import.refused.note(*line, error)?,
                (Err(Error::Refused(_)), part) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                (Err(error), _) => return Err(error),
            }
        }
        for (line, id, row) in &import.update {
            if import.refused.errors.len() >= super::csv_text::ERRORS_MAX || table.takes_any_row() {
                return Ok(());
            }
            if let Err(error) = session.update_one(table, id, &table.change(row, now)?).await {
                import.refused.note(*line, error)?;
            }
        }
        Ok(())
    }
}

/// The rows with these ids that are there.
async fn present(session: &Session, table: &Table, ids: &[String]) -> Result<HashMap<String, Row>> {
    let mut present = HashMap::new();
    for ids in ids.chunks(IDS_AT_ONCE) {
        let filter = Some(table.filter(&json!({ ID: { "_in": ids } }))?);
        let find = Find { filter, limit: ROWS_MAX, page: 1, ..Find::default() };
        let mut last: Option<Row> = None;
        loop {
            let part = session.part(table, &find, last.as_ref()).await?;
            last = part.rows.last().cloned();
            present.extend(part.rows.into_iter().filter_map(|row| Some((id_of(&row)?, row))));
            if !part.is_followed {
                break;
            }
        }
    }
    Ok(present)
}

/// The id of a row as it is stored.
fn id_of(row: &Row) -> Option<String> {
    let id = row.get(ID).and_then(Json::as_str)?;
    Some(uuid::Uuid::parse_str(id).ok()?.to_string())
}
