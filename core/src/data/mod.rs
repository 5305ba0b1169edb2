//! The tables of admins and packs: their definitions, and work with their rows.
//!
//! Definitions are rows of the product; the rows of a table are in a real table of its name. A
//! [`Session`] reads and writes them, for a script, a request or a test. This module must not know
//! scripts; hooks are run by whoever writes.

mod access;
mod alter;
mod column;
mod csv_text;
mod cursor;
mod explain;
mod failure;
mod import;
mod name;
mod order;
mod preview;
mod reads;
mod schema;
mod session;
mod statement;
mod table;
mod tables;
mod unique;
mod users;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use sea_orm::{DbBackend, EntityTrait};

use crate::error::{Failure, Result};
use crate::store::{Pool, Store, table as table_row};

pub use access::{Access, Action, Actor, Grant, Rule};
pub use alter::HOOK_CHANGED;
pub use column::{Column, ColumnKind, ColumnSpec};
pub use csv_text::{CsvError, CsvRows, csv_header, csv_lines, read_csv};
pub use explain::{Explained, RulesInWords};
pub use failure::missing_reference;
pub use import::{IMPORT_ROWS_MAX, Import};
pub use preview::{ChangePreview, Loss, Problem};
pub use reads::{Found, Part};
pub use session::{Keep, ROWS_MAX, Session, Write};
pub use statement::{Find, Selector};
pub use table::{CREATED_AT, ID, ROW_BYTES_MAX, Row, RowChange, Table, UPDATED_AT, row_bytes};
pub use tables::{TableChange, TableView};
pub use users::{USERS, UserWrite, is_users};

use failure::refusal;

/// All tables by name.
pub type Tables = HashMap<Box<str>, Arc<Table>>;

/// The tables, live.
pub struct Data {
    store: Store,
    live: ArcSwap<Tables>,
    users: Arc<Table>,
    runtime: tokio::runtime::Handle,
}

impl Data {
    /// The tables of this database. Call it within a runtime, which then runs its work.
    pub async fn open(store: Store) -> Result<Arc<Self>> {
        let users = Arc::new(users::table()?);
        let runtime = tokio::runtime::Handle::current();
        let data = Arc::new(Self { store, live: ArcSwap::default(), users, runtime });
        let rows = table_row::Entity::find().all(data.db()).await?;
        data.set(Arc::new(data.read(&rows)?));
        Ok(data)
    }

    /// A table by name.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub fn table(&self, name: &str) -> Result<Arc<Table>, Failure> {
        self.live.load().get(name).cloned().ok_or_else(|| no_table(name))
    }

    /// A table by the id of its definition.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub fn table_by_id(&self, id: uuid::Uuid) -> Result<Arc<Table>, Failure> {
        let live = self.live.load();
        live.values().find(|table| table.id == id).cloned().ok_or_else(|| Failure::not_found("table", id))
    }

    /// The present tables.
    pub fn tables(&self) -> Arc<Tables> {
        self.live.load_full()
    }

    /// The tables of these rows.
    pub(crate) fn read(&self, rows: &[table_row::Model]) -> Result<Tables> {
        let is_sqlite = self.backend() == DbBackend::Sqlite;
        let tables = rows.iter().map(|row| {
            let table =
                Table::of_row(row, is_sqlite).or_else(|error| Table::of_admins(row, is_sqlite, &error))?;
            Ok((table.name.as_str().into(), Arc::new(table)))
        });
        tables.collect()
    }

    /// Makes these the present tables.
    pub(crate) fn set(&self, tables: Arc<Tables>) {
        self.live.store(tables);
    }

    /// Work with rows whose writes stay, or with [`Keep::Nothing`] are undone at its end.
    pub fn session(self: &Arc<Self>, keep: Keep) -> Session {
        Session::new(self.clone(), keep)
    }

    /// The runtime that database work runs on, for threads that wait for it.
    pub fn runtime(&self) -> &tokio::runtime::Handle {
        &self.runtime
    }

    fn db(&self) -> &Pool {
        self.store.db()
    }

    /// Where the rows are.
    fn rows(&self) -> &Pool {
        self.store.rows()
    }

    fn backend(&self) -> DbBackend {
        self.db().get_database_backend()
    }
}

/// The refusal of a name that no table has.
fn no_table(name: &str) -> Failure {
    let shown: String = name.chars().take(100).collect();
    Failure::not_found("table", shown)
}
