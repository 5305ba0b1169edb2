//! Numbers that grow with what changes, by whatever process: who sees one grow reads anew what it is
//! about.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, ExprTrait, QueryFilter,
    QueryTrait, Statement, UpdateMany,
};

use super::Store;
use super::entity::change;
use crate::error::Result;

/// The row of `gw_change` that grows with every change: servers of versions before 0003 look at no
/// other, and bump all rows at once.
const ANYTHING: i32 = 1;
/// The row of definitions.
const DEFINITIONS: i32 = 2;
/// The row of users and their sessions.
const SESSIONS: i32 = 3;

/// How often definitions and sessions have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeNumbers {
    /// Gateways, events, routes, hooks, tables and packs.
    pub definitions: i64,
    /// Users and their sessions.
    pub sessions: i64,
}

impl Store {
    /// The present numbers.
    pub async fn change_numbers(&self) -> Result<ChangeNumbers> {
        let rows = change::Entity::find().all(self.db()).await?;
        let number = |id| rows.iter().find(|row| row.id == id).map_or(0, |row| row.number);
        Ok(ChangeNumbers { definitions: number(DEFINITIONS), sessions: number(SESSIONS) })
    }

    /// Tells all processes on this database that users or sessions changed.
    pub(crate) async fn sessions_changed(&self) -> Result<()> {
        bump(self.db(), SESSIONS).await
    }
}

/// Counts an edit of definitions; its number.
pub(super) async fn definitions_changed(on: &impl ConnectionTrait) -> Result<i64> {
    bump(on, DEFINITIONS).await?;
    definitions_number(on).await
}

/// The number of the last edit of definitions.
pub(crate) async fn definitions_number(on: &impl ConnectionTrait) -> Result<i64> {
    let row = change::Entity::find_by_id(DEFINITIONS).one(on).await?;
    Ok(row.map_or(0, |row| row.number))
}

/// The statement that tells all processes that users or sessions changed.
pub(crate) fn sessions_changed(backend: DbBackend) -> Statement {
    backend.build(&change_of(SESSIONS).into_query())
}

/// One statement for both rows, so that nobody holds one of them and waits for the other.
async fn bump(on: &impl ConnectionTrait, id: i32) -> Result<()> {
    change_of(id).exec(on).await?;
    Ok(())
}

fn change_of(id: i32) -> UpdateMany<change::Entity> {
    change::Entity::update_many()
        .col_expr(change::Column::Number, Expr::col(change::Column::Number).add(1))
        .filter(change::Column::Id.is_in([ANYTHING, id]))
}

/// The first row of `gw_change`, for the migration that makes the table.
pub(super) fn first_row() -> change::ActiveModel {
    change::ActiveModel { id: Set(ANYTHING), number: Set(0) }
}

/// The rows that came with the migration 0003.
pub(super) fn rows_by_kind() -> [change::ActiveModel; 2] {
    [DEFINITIONS, SESSIONS].map(|id| change::ActiveModel { id: Set(id), number: Set(0) })
}
