//! A table as scripts and requests see it: its columns, what a row must be, who may do what.

use std::sync::Arc;

use sea_orm::sea_query::{Alias, DynIden, IntoIden};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::access::{Access, Action, Actor, Grant, Rules};
use super::column::{self, Column, ColumnKind};
use super::unique;
use crate::error::{Error, ErrorCode, Failure, Result};
use crate::filter::{Field, Filter};
use crate::store::{InsertInto, Time, table, time_text};

/// Bytes of one row as JSON, at most.
pub const ROW_BYTES_MAX: usize = 1 << 20;

/// A row: its values by column.
pub type Row = Map<String, Json>;

/// The key of every table.
pub const ID: &str = "id";
/// When a row was made.
pub const CREATED_AT: &str = "createdAt";
/// When a row last changed.
pub const UPDATED_AT: &str = "updatedAt";
/// The operators of an atomic change.
const OPERATORS: [(&str, Operator); 3] =
    [("_inc", Operator::Add), ("_max", Operator::Max), ("_min", Operator::Min)];

/// A table of an admin or a pack.
#[derive(Debug, Clone)]
pub struct Table {
    /// Of its definition.
    pub id: Uuid,
    /// As scripts name it.
    pub name: String,
    /// Columns of which no two rows have the same values in all, where none of these is null.
    pub unique: Vec<Vec<String>>,
    /// Whether it is `#user`, which is the product's own.
    pub is_of_users: bool,
    /// Who may do what over HTTP and in `#secure.table`.
    pub access: Access,
    /// The same, ready to be asked.
    pub(super) rules: Rules,
    /// `id`, its own columns in order, `createdAt`, `updatedAt`.
    pub(super) columns: Vec<Column>,
    /// The same as filters see them.
    pub(super) fields: Vec<Field>,
    pub(super) iden: DynIden,
    pub(super) into: Arc<InsertInto>,
}

/// What is set of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Change {
    /// To a value in its normal form.
    To(Json),
    /// To what an operator makes of it and a number, atomically.
    By(Operator, Json),
}

/// What an atomic change makes of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    /// Their sum.
    Add,
    /// The larger one.
    Max,
    /// The smaller one.
    Min,
}

/// What changes of a row, by column; never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct RowChange {
    pub(super) columns: Vec<(String, Change)>,
}

impl Table {
    /// A table with these columns; `is_sqlite` decides how ids and times are stored.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for rules that make no sense for it.
    pub(super) fn new(
        id: Uuid,
        name: &str,
        own: &[Column],
        unique: &[Vec<String>],
        access: Access,
        is_sqlite: bool,
    ) -> Result<Self> {
        unique::check_groups(unique, own)?;
        let mut columns = vec![column::built_in(ID, ColumnKind::Uuid)];
        columns.extend(own.iter().cloned());
        columns.extend([CREATED_AT, UPDATED_AT].map(|name| column::built_in(name, ColumnKind::Datetime)));
        let table = Self::of_columns(id, name, name, columns, access, is_sqlite)?;
        Ok(Self { unique: unique.to_vec(), ..table })
    }

    /// A table with these columns and no others, whose rows are in the database's table `stored_in`.
    pub(super) fn of_columns(
        id: Uuid,
        name: &str,
        stored_in: &str,
        columns: Vec<Column>,
        access: Access,
        is_stored_as_text: bool,
    ) -> Result<Self> {
        let fields = columns
            .iter()
            .map(|column| Field {
                name: column.name.clone(),
                column: column.iden(),
                kind: column.kind.field_kind(),
                is_stored_as_text,
                is_nullable: !column.required,
            })
            .collect::<Vec<_>>();
        let rules = access.rules(&columns, &fields)?;
        let layout = columns.iter().map(|column| &column.kind.as_str()[..1]).collect();
        let iden = Alias::new(stored_in).into_iden();
        let columns_idens = columns.iter().map(Column::iden).collect();
        let into = Arc::new(InsertInto { table: iden.clone(), columns: columns_idens, layout });
        let (name, unique, is_of_users) = (name.to_owned(), Vec::new(), false);
        Ok(Self { id, name, unique, is_of_users, access, rules, columns, fields, iden, into })
    }

    /// The table that a row of the product's own defines.
    pub(super) fn of_row(row: &table::Model, is_sqlite: bool) -> Result<Self> {
        let broken = |error: serde_json::Error| Error::Internal(format!("table {}: {error}", row.name));
        let columns: Vec<Column> = serde_json::from_value(row.columns.clone()).map_err(broken)?;
        let unique: Vec<Vec<String>> = serde_json::from_value(row.unique.clone()).map_err(broken)?;
        let access = serde_json::from_value(row.access.clone()).map_err(broken)?;
        Self::new(row.id, &row.name, &columns, &unique, access, is_sqlite)
    }

    /// The same table for admins alone, where its rules cannot be read: they are of a version that took
    /// more. Nobody is let in by a rule that is not understood.
    pub(super) fn of_admins(row: &table::Model, is_sqlite: bool, error: &Error) -> Result<Self> {
        tracing::error!(table = row.name, %error, "the table is for admins alone until its rules are mended");
        Self::of_row(&table::Model { access: serde_json::json!({}), ..row.clone() }, is_sqlite)
    }

    /// Its own columns, without those that every table has.
    pub fn own_columns(&self) -> &[Column] {
        &self.columns[1..self.columns.len() - 2]
    }

    /// Whether a new row that [`Self::new_row`] has given its id is never refused because of other rows.
    pub(super) fn takes_any_row(&self) -> bool {
        self.unique.is_empty()
            && self.own_columns().iter().all(|column| !column.unique && column.references.is_none())
    }

    /// The names of all its columns.
    pub fn column_names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// A column by name.
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// A new row: what is given, the defaults for the rest, an id and this time.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for an unknown field, a value that is none of its column, a missing
    /// required value, or a row of more than [`ROW_BYTES_MAX`].
    pub fn new_row(&self, data: &Row, now: Time) -> Result<Row> {
        self.check_names(data, |name| name != CREATED_AT && name != UPDATED_AT)?;
        let now_text = Json::from(time_text(now));
        let mut row = Row::new();
        for column in &self.columns {
            let value = match (column.name.as_str(), data.get(&column.name)) {
                (ID, None | Some(Json::Null)) => crate::id::new_id().to_string().into(),
                (CREATED_AT | UPDATED_AT, _) => now_text.clone(),
                (_, None) => match column.default_value(now)? {
                    Some(default) => default,
                    None => column.value(&Json::Null)?,
                },
                (_, Some(value)) => match atomic(column, value)? {
                    Some((operator, by)) => match column.default_value(now)? {
                        Some(default) => operator.apply(column, &default, &by)?,
                        None => by,
                    },
                    None => column.value(value)?,
                },
            };
            row.insert(column.name.clone(), value);
        }
        check_size(&row)?;
        Ok(row)
    }

    /// That a column takes this value as it is; a column that does not exist is refused elsewhere.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`.
    pub fn check_value(&self, name: &str, value: &Json) -> Result<()> {
        self.column(name).map_or(Ok(()), |column| column.value(value).map(drop))
    }

    /// These values in their normal forms.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for an unknown field, or a value that is none of its column.
    pub(super) fn normal(&self, data: &Row) -> Result<Row> {
        let normal = data.iter().map(|(name, value)| {
            let column = self.column(name).ok_or_else(|| self.unknown(name))?;
            Ok((name.clone(), column.value(value)?))
        });
        normal.collect()
    }

    /// What `data` changes of a row at this time.
    ///
    /// # Errors
    /// As [`Self::new_row`].
    pub fn change(&self, data: &Row, now: Time) -> Result<RowChange> {
        self.check_names(data, |name| ![ID, CREATED_AT, UPDATED_AT].contains(&name))?;
        check_size(data)?;
        let mut columns = Vec::with_capacity(data.len() + 1);
        for (name, value) in data {
            let column = self.column(name).ok_or_else(|| self.unknown(name))?;
            let change = match atomic(column, value)? {
                Some((operator, by)) => Change::By(operator, by),
                None => Change::To(column.value(value)?),
            };
            columns.push((name.clone(), change));
        }
        columns.push((UPDATED_AT.to_owned(), Change::To(time_text(now).into())));
        Ok(RowChange { columns })
    }

    fn check_names(&self, data: &Row, may_set: impl Fn(&str) -> bool) -> Result<()> {
        for name in data.keys() {
            if self.column(name).is_none() {
                return Err(self.unknown(name).into());
            }
            if !may_set(name) {
                return Err(Failure::invalid(name, "is set by the server").into());
            }
        }
        Ok(())
    }

    fn unknown(&self, name: &str) -> Failure {
        let known = self.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
        let shown: String = name.chars().take(100).collect();
        Failure::new(
            ErrorCode::Validation,
            format!("There is no field {shown} in {}; known: {known}", self.name),
        )
        .with_details(serde_json::json!({ "field": shown }))
    }

    /// Which rows this actor may do this with.
    ///
    /// # Errors
    /// `AUTHENTICATION_ERROR` when nobody is signed in and someone has to be,
    /// `AUTHORIZATION_ERROR` when it is not for this user at all.
    pub fn grant(&self, action: Action, actor: &Actor) -> Result<Grant, Failure> {
        self.rules.grant(action, actor)
    }

    /// A filter of its rows.
    ///
    /// # Errors
    /// As [`Filter::parse`].
    pub fn filter(&self, json: &Json) -> Result<Filter> {
        Filter::parse(json, self.fields.as_slice())
    }

    /// The columns that `fields` names; all for none.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for an unknown one.
    pub(super) fn selected(&self, fields: Option<&[String]>) -> Result<Vec<&Column>> {
        match fields {
            None => Ok(self.columns.iter().collect()),
            Some([]) => Ok(self.columns.iter().collect()),
            Some([all]) if all == "*" => Ok(self.columns.iter().collect()),
            Some(names) => {
                if let Some(unknown) = names.iter().find(|name| self.column(name).is_none()) {
                    return Err(self.unknown(unknown).into());
                }
                // Each once, however often it is named.
                Ok(self.columns.iter().filter(|column| names.contains(&column.name)).collect())
            }
        }
    }
}

impl RowChange {
    /// The same change, but for these values, at this time.
    ///
    /// # Errors
    /// As [`Table::new_row`].
    pub fn with(mut self, table: &Table, data: &Row, now: Time) -> Result<Self> {
        for (name, change) in table.change(data, now)?.columns {
            match self.columns.iter_mut().find(|(known, _)| *known == name) {
                Some((_, present)) => *present = change,
                None => self.columns.push((name, change)),
            }
        }
        Ok(self)
    }

    /// About its bytes.
    pub(super) fn bytes(&self) -> usize {
        let values = self.columns.iter().map(|(_, change)| match change {
            Change::To(value) | Change::By(_, value) => bytes_of(value),
        });
        values.sum()
    }

    /// Whether it is so small that rows stay within twice their bound however often they are
    /// changed; what is not is to be tried on the row by [`Self::applied_to`].
    pub(crate) fn is_small(&self, table: &Table) -> bool {
        self.bytes() <= ROW_BYTES_MAX / table.columns.len()
    }

    /// What a row would be after this change.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when a sum leaves 64 bits, or the row gets too large.
    pub fn applied_to(&self, table: &Table, row: &Row) -> Result<Row> {
        let mut changed = row.clone();
        for (name, change) in &self.columns {
            let value = match change {
                Change::To(value) => value.clone(),
                Change::By(operator, by) => {
                    let column = table.column(name).ok_or_else(|| table.unknown(name))?;
                    match row.get(name) {
                        Some(Json::Null) | None => by.clone(),
                        Some(value) => operator.apply(column, value, by)?,
                    }
                }
            };
            changed.insert(name.clone(), value);
        }
        check_size(&changed)?;
        Ok(changed)
    }
}

/// The operator and the number of `{"_inc": 5}` and the like.
fn atomic(column: &Column, value: &Json) -> Result<Option<(Operator, Json)>> {
    let only = value.as_object().filter(|object| object.len() == 1).and_then(|object| object.iter().next());
    let known = only.and_then(|(name, by)| {
        OPERATORS.iter().find(|(known, _)| known == name).map(|(name, operator)| (name, *operator, by))
    });
    let Some((name, operator, by)) = known.filter(|_| column.kind != ColumnKind::Json) else {
        return Ok(None);
    };
    let number = match column.kind {
        ColumnKind::Integer => column::integer(by).map(Json::from),
        ColumnKind::Float => by.as_f64().filter(|by| by.is_finite()).map(Json::from),
        _ => None,
    };
    let message = || format!("{name} takes an integer on an integer column, a number on a float column");
    let number = number.ok_or_else(|| Failure::invalid(&column.name, message()))?;
    Ok(Some((operator, number)))
}

impl Operator {
    fn apply(self, column: &Column, value: &Json, by: &Json) -> Result<Json> {
        let made = match column.kind {
            ColumnKind::Integer => value.as_i64().zip(by.as_i64()).and_then(|(value, by)| match self {
                Self::Add => value.checked_add(by).map(Json::from),
                Self::Max => Some(value.max(by).into()),
                Self::Min => Some(value.min(by).into()),
            }),
            _ => value.as_f64().zip(by.as_f64()).map(|(value, by)| match self {
                Self::Add => (value + by).into(),
                Self::Max => value.max(by).into(),
                Self::Min => value.min(by).into(),
            }),
        };
        let out_of_range = || Failure::invalid(&column.name, "the sum is out of range").into();
        made.filter(|made| !made.is_null()).ok_or_else(out_of_range)
    }
}

fn check_size(row: &Row) -> Result<()> {
    let bytes = bytes_of(row);
    if bytes <= ROW_BYTES_MAX {
        return Ok(());
    }
    let message = format!("The row has {bytes} bytes; at most {ROW_BYTES_MAX} are kept");
    Err(Failure::new(ErrorCode::Validation, message).into())
}

/// The bytes of a row as JSON.
pub fn row_bytes(row: &Row) -> usize {
    bytes_of(row)
}

/// The bytes of a value as JSON, without building the text.
fn bytes_of(value: &impl serde::Serialize) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Rows and their values always have a JSON form.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}
