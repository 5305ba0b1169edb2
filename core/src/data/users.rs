//! `#user`: the users of this installation as rows of a table, without what is secret of them.
//!
//! It is no table of an admin: who may sign in, and as what, is the business of accounts. Scripts
//! read all of it and change what an application keeps: `name` and `profile`.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::column::{Column, ColumnKind, built_in};
use super::table::{Row, Table};
use super::{Access, CREATED_AT, Data, ID, UPDATED_AT, no_table};
use crate::auth::{User, UserChanged};
use crate::error::{ErrorCode, Failure, Result};
use crate::store::time_text;

/// How scripts name it.
pub const USERS: &str = "user";
/// How they may name it too.
const USERS_TOO: &str = "user_definition";
/// Where the rows are.
const STORED_IN: &str = "gw_user";
const NAME: &str = "name";
const PROFILE: &str = "profile";
/// The columns by name, kind, whether a value is required, and what the product's own table calls them.
const COLUMNS: [(&str, ColumnKind, bool, &str); 8] = [
    (ID, ColumnKind::Uuid, true, "id"),
    ("email", ColumnKind::String, true, "email"),
    (NAME, ColumnKind::String, true, "name"),
    ("role", ColumnKind::String, true, "role"),
    ("isEnabled", ColumnKind::Boolean, true, "is_enabled"),
    (PROFILE, ColumnKind::Json, false, "profile"),
    (CREATED_AT, ColumnKind::Datetime, true, "created_at"),
    (UPDATED_AT, ColumnKind::Datetime, true, "updated_at"),
];

/// Whether scripts mean users by this name.
pub fn is_users(name: &str) -> bool {
    [USERS, USERS_TOO].contains(&name)
}

/// The table that users are.
pub(super) fn table() -> Result<Table> {
    let columns = COLUMNS.map(|(name, kind, required, stored_as)| Column {
        required,
        stored_as: Some(stored_as),
        ..built_in(name, kind)
    });
    let table = Table::of_columns(Uuid::nil(), USERS, STORED_IN, columns.to_vec(), Access::default(), false)?;
    Ok(Table { is_of_users: true, ..table })
}

/// A write of accounts as hooks of `user` see it.
#[derive(Debug, Clone)]
pub struct UserWrite {
    /// The row before; none: it was made.
    pub old: Option<Row>,
    /// The row after; none: it is deleted.
    pub new: Option<Row>,
}

impl From<&UserChanged> for UserWrite {
    fn from(changed: &UserChanged) -> Self {
        let row = |user: &User| row_of_user(user, changed.profile.clone());
        Self { old: changed.old.as_ref().map(row), new: changed.new.as_ref().map(row) }
    }
}

/// A user as a row of that table.
fn row_of_user(user: &User, profile: Option<Json>) -> Row {
    let mut row = Row::from_iter([
        (ID.to_owned(), json!(user.id)),
        ("email".to_owned(), json!(user.email)),
        (NAME.to_owned(), json!(user.name)),
        ("role".to_owned(), json!(user.role)),
        (PROFILE.to_owned(), profile.unwrap_or_default()),
    ]);
    if let Some(account) = &user.account {
        row.insert("isEnabled".to_owned(), account.is_enabled.into());
        row.insert(CREATED_AT.to_owned(), time_text(account.created_at).into());
        row.insert(UPDATED_AT.to_owned(), time_text(account.updated_at).into());
    }
    row
}

impl Data {
    /// A table by name, as scripts and hooks see it: `user` is there too, unless an admin's table has
    /// that name from before.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub fn table_of_scripts(&self, name: &str) -> Result<Arc<Table>, Failure> {
        match self.live.load().get(name) {
            Some(table) => Ok(table.clone()),
            None => self.users_by_name(name).ok_or_else(|| no_table(name)),
        }
    }

    /// The users, by a name that means them.
    pub(crate) fn users_by_name(&self, name: &str) -> Option<Arc<Table>> {
        is_users(name).then(|| self.users.clone())
    }
}

impl Table {
    /// Refuses what scripts may not write of users.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`.
    pub(crate) fn check_change(&self, data: &Row) -> Result<(), Failure> {
        if !self.is_of_users {
            return Ok(());
        }
        match data.keys().find(|name| ![NAME, PROFILE].contains(&name.as_str())) {
            Some(name) if self.column(name).is_some() => {
                let message = "is changed by /admin/users and /me alone; scripts change name and profile";
                Err(Failure::invalid(name, message))
            }
            _ => data.get(NAME).and_then(Json::as_str).map_or(Ok(()), crate::auth::check_name),
        }
    }

    /// Refuses to make or delete users.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`.
    pub(crate) fn check_is_own(&self) -> Result<(), Failure> {
        if !self.is_of_users {
            return Ok(());
        }
        let message = "Users are made and deleted by /admin/users and /auth/register, not by scripts";
        Err(Failure::new(ErrorCode::Validation, message))
    }
}
