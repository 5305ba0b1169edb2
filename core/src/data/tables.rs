//! Definitions: making, changing and deleting tables, with what they hold.
//!
//! Each change is part of an edit ([`crate::store::Store::edit`]): it reads the definition, alters the
//! table and writes the definition in its transaction. Who edits makes the outcome live.

use std::collections::BTreeMap;
use std::sync::Arc;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait,
    IntoActiveModel, PaginatorTrait, QueryFilter,
};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::alter::{self, Alteration};
use super::column::{Column, ColumnSpec};
use super::explain::RulesInWords;
use super::name::check_table_name;
use super::table::Table;
use super::{Access, Data, Tables, USERS, no_table, refusal, schema, unique};
use crate::error::{Error, ErrorCode, Failure, Result};
use crate::id::new_id;
use crate::store::list::{ListQuery, Page};
use crate::store::{self, Time, hook, table as table_row};

/// Own columns of a table, at most.
const COLUMNS_MAX: usize = 100;
/// Tables, at most.
const TABLES_MAX: usize = 1000;
/// A table's definition as an admin sees it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented on the row")]
pub struct TableView {
    pub id: Uuid,
    pub name: String,
    pub description: String,
    pub columns: Vec<ColumnSpec>,
    pub unique: Vec<Vec<String>>,
    pub access: Access,
    /// What `access` says, as sentences.
    pub rules: RulesInWords,
    pub pack: Option<String>,
    pub created_at: Time,
    pub updated_at: Time,
}

/// What changes of a table; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct TableChange {
    /// Another name.
    pub name: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// All columns as they are to be: one that is not among them is dropped.
    pub columns: Option<Vec<ColumnSpec>>,
    /// Columns that are added.
    pub add: Vec<ColumnSpec>,
    /// New names by present names.
    pub rename: BTreeMap<String, String>,
    /// Columns that are dropped.
    pub drop: Vec<String>,
    /// Groups of columns that are unique together.
    pub unique: Option<Vec<Vec<String>>>,
    /// The rules.
    pub access: Option<Access>,
    /// Whether values may be lost.
    pub confirm: bool,
}

impl Data {
    /// One page of definitions.
    pub async fn list_tables(&self, query: &ListQuery) -> Result<Page<TableView>> {
        let page = self.store.list::<table_row::Entity>(query, None).await?;
        let rows = page.rows.into_iter().map(view).collect::<Result<_>>()?;
        Ok(Page { rows, counts: page.counts })
    }

    /// A definition by id.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub async fn table_view(&self, id: Uuid) -> Result<TableView> {
        view(row_on(self.db(), id).await?)
    }

    /// A definition by name.
    pub async fn table_view_by_name(&self, name: &str) -> Result<Option<TableView>> {
        let row = table_row::Entity::find().filter(table_row::Column::Name.eq(name)).one(self.db()).await?;
        row.map(view).transpose()
    }

    /// Makes a table.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`, or `DUPLICATE_RESOURCE` for a taken name.
    pub(crate) async fn create_table(
        &self,
        on: &DatabaseTransaction,
        change: TableChange,
        pack: Option<&str>,
    ) -> Result<TableView> {
        let row = self.new_row(change, pack)?;
        let table = Table::of_row(&row, self.backend() == DbBackend::Sqlite)?;
        let tables = self.tables_on(on).await?;
        check_references(&table, &tables)?;
        if tables.len() >= TABLES_MAX {
            return Err(Failure::new(
                ErrorCode::Validation,
                format!("There are {TABLES_MAX} tables already"),
            )
            .into());
        }
        check_name_is_free(&row.name, None, &tables)?;
        let inserted = row.clone().into_active_model().insert(on).await;
        inserted.map_err(|error| taken(error, &row.name))?;
        for statement in schema::create(&table, self.backend()) {
            on.execute_raw(statement).await.map_err(|error| exists(error, &row.name))?;
        }
        view(row)
    }

    /// The table that this would make among these, or make of the one of that name: nothing is written.
    /// References are not checked, since what they name may come with it.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`, or `DUPLICATE_RESOURCE` for a name that another differs from by case alone.
    pub(crate) fn check_table(&self, change: TableChange, tables: &Tables) -> Result<Table> {
        let table = Table::of_row(&self.new_row(change, None)?, self.backend() == DbBackend::Sqlite)?;
        check_name_is_free(&table.name, Some(&table.name), tables)?;
        Ok(table)
    }

    /// What a change would lose, for people: `likes (3 values)`; empty: nothing. Nothing is changed.
    ///
    /// # Errors
    /// As [`Self::update_table`], but for losses.
    pub(crate) async fn losses(
        &self,
        on: &DatabaseTransaction,
        id: Uuid,
        change: &TableChange,
    ) -> Result<String> {
        let table = Table::of_row(&row_on(on, id).await?, self.backend() == DbBackend::Sqlite)?;
        let losses = alter::losses(on, &table, &Alteration::new(&table, change)?).await?;
        Ok(alter::losses_text(&losses))
    }

    /// How many rows a table has.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub(crate) async fn count_rows(&self, on: &DatabaseTransaction, id: Uuid) -> Result<u64> {
        let table = Table::of_row(&row_on(on, id).await?, self.backend() == DbBackend::Sqlite)?;
        alter::count_rows(on, &table, None).await
    }

    fn new_row(&self, change: TableChange, pack: Option<&str>) -> Result<table_row::Model> {
        let name = change.name.ok_or_else(|| Failure::invalid("name", "is missing"))?;
        check_table_name(&name)?;
        let description = change.description.unwrap_or_default();
        store::check_description(&description)?;
        let columns = read_columns(change.columns.unwrap_or_default().iter().chain(&change.add))?;
        let now = store::now();
        Ok(table_row::Model {
            id: new_id(),
            name,
            description,
            columns: json!(columns),
            unique: json!(change.unique.unwrap_or_default()),
            access: json!(change.access.unwrap_or_default()),
            pack: pack.map(str::to_owned),
            created_at: now,
            updated_at: now,
        })
    }

    /// Changes a table. What would lose values needs `confirm`.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`; `VALIDATION_ERROR` that says what would be lost, or what does not fit
    /// the present rows; `DUPLICATE_RESOURCE` for a taken name, or values that are not unique.
    pub(crate) async fn update_table(
        &self,
        on: &DatabaseTransaction,
        id: Uuid,
        change: TableChange,
    ) -> Result<TableView> {
        let backend = self.backend();
        let before = row_on(on, id).await?;
        let old = Table::of_row(&before, backend == DbBackend::Sqlite)?;
        let alteration = Alteration::new(&old, &change)?;
        let new = alteration.table(&old, &change, backend)?;
        let tables = self.tables_on(on).await?;
        check_references(&new, &tables)?;
        let losses = alter::losses(on, &old, &alteration).await?;
        if !change.confirm {
            alter::refuse_losses(&losses)?;
        }
        unique::refuse_duplicates(on, &old, &new, &alteration.columns).await?;
        for statement in schema::alter(&old, &new, &alteration.columns, backend) {
            on.execute_raw(statement).await.map_err(|error| refusal(error, &new))?;
        }
        alter::fill_defaults(on, &new, &alteration).await?;
        alter::check_kept_references(on, &new).await?;
        alter::check_hooks(on, &new).await?;
        if let Some(name) = change.name.as_ref().filter(|name| **name != before.name) {
            self.rename(on, &new, name, &tables).await?;
        }
        let before_name = before.name.clone();
        let mut row = before;
        row.name = change.name.unwrap_or(row.name);
        if let Some(description) = change.description {
            store::check_description(&description)?;
            row.description = description;
        }
        row.columns = json!(referring_to(new.own_columns(), &before_name, &row.name));
        row.unique = json!(new.unique);
        row.access = json!(new.access);
        row.updated_at = store::now();
        row.clone().into_active_model().reset_all().update(on).await?;
        view(row)
    }

    /// Renames a table with all that names it.
    async fn rename(&self, on: &DatabaseTransaction, table: &Table, to: &str, tables: &Tables) -> Result<()> {
        check_table_name(to)?;
        check_name_is_free(to, Some(&table.name), tables)?;
        on.execute_raw(schema::rename(table, to, self.backend())).await.map_err(|error| exists(error, to))?;
        hook::Entity::update_many()
            .col_expr(hook::Column::Table, Expr::value(to))
            .filter(hook::Column::Table.eq(&table.name))
            .exec(on)
            .await?;
        for mut row in table_row::Entity::find().filter(table_row::Column::Id.ne(table.id)).all(on).await? {
            let columns: Vec<Column> = serde_json::from_value(row.columns.clone()).unwrap_or_default();
            if columns.iter().any(|column| column.references.as_ref() == Some(&table.name)) {
                row.columns = json!(referring_to(&columns, &table.name, to));
                row.into_active_model().reset_all().update(on).await?;
            }
        }
        Ok(())
    }

    /// Deletes a table; one with rows needs `confirm`.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`; `VALIDATION_ERROR` when rows would be lost; `DUPLICATE_RESOURCE` when
    /// hooks or other tables need it.
    pub(crate) async fn delete_table(&self, on: &DatabaseTransaction, id: Uuid, confirm: bool) -> Result<()> {
        let backend = self.backend();
        let row = row_on(on, id).await?;
        let table = Table::of_row(&row, backend == DbBackend::Sqlite)?;
        self.check_unneeded(on, &table).await?;
        let rows = alter::count_rows(on, &table, None).await?;
        if rows > 0 && !confirm {
            let message = format!("This would lose the {rows} rows of {}; confirm=true does it", table.name);
            let failure = Failure::new(ErrorCode::Validation, message);
            return Err(failure.with_details(json!({ "rows": rows })).into());
        }
        on.execute_raw(schema::drop(&table, backend)).await?;
        table_row::Entity::delete_by_id(id).exec(on).await?;
        Ok(())
    }

    async fn check_unneeded(&self, on: &DatabaseTransaction, table: &Table) -> Result<()> {
        let hooks = hook::Entity::find().filter(hook::Column::Table.eq(&table.name)).count(on).await?;
        let tables = self.tables_on(on).await?;
        let refers = |other: &Table| {
            let names_it = |column: &Column| column.references.as_ref() == Some(&table.name);
            other.id != table.id && other.own_columns().iter().any(names_it)
        };
        let mut referring: Vec<_> =
            tables.values().filter(|other| refers(other)).map(|other| other.name.as_str()).collect();
        referring.sort_unstable();
        if hooks == 0 && referring.is_empty() {
            return Ok(());
        }
        let mut by = referring.iter().map(|name| format!("the table {name}")).collect::<Vec<_>>();
        if hooks > 0 {
            by.push(format!("{hooks} hooks"));
        }
        let message = format!("{} is needed by {}; delete those first", table.name, by.join(", "));
        Err(Failure::new(ErrorCode::DuplicateResource, message).into())
    }

    /// The tables as an edit sees them, its own changes among them.
    pub(crate) async fn tables_on(&self, on: &DatabaseTransaction) -> Result<Tables> {
        self.read(&table_row::Entity::find().all(on).await?)
    }

    /// One of them, or users.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub(crate) async fn table_on(&self, on: &DatabaseTransaction, name: &str) -> Result<Arc<Table>> {
        let own = self.tables_on(on).await?.remove(name);
        let users = || self.users_by_name(name).filter(|_| name == USERS);
        Ok(own.or_else(users).ok_or_else(|| no_table(name))?)
    }
}

pub(super) fn check_references(table: &Table, tables: &Tables) -> Result<()> {
    for column in table.own_columns() {
        if let Some(referenced) = &column.references
            && *referenced != table.name
            && !tables.contains_key(referenced.as_str())
        {
            let message = format!("references {referenced:?}, which is no table");
            return Err(Failure::invalid(&column.name, message).into());
        }
    }
    Ok(())
}

/// SQLite does not tell names apart by case.
pub(super) fn check_name_is_free(name: &str, but: Option<&str>, tables: &Tables) -> Result<()> {
    match tables.keys().find(|known| known.eq_ignore_ascii_case(name) && Some(&***known) != but) {
        Some(known) => Err(already(known).into()),
        None => Ok(()),
    }
}

/// The same columns; what refers to the one table refers to the other.
fn referring_to(columns: &[Column], from: &str, to: &str) -> Vec<Column> {
    let mut columns = columns.to_vec();
    for referenced in columns.iter_mut().filter_map(|column| column.references.as_mut()) {
        if referenced == from {
            to.clone_into(referenced);
        }
    }
    columns
}

/// Columns that together make a table.
pub(super) fn read_columns<'a>(specs: impl Iterator<Item = &'a ColumnSpec>) -> Result<Vec<Column>> {
    let columns = specs.map(ColumnSpec::read).collect::<Result<Vec<_>>>()?;
    check_columns(columns.iter())?;
    Ok(columns)
}

/// That names are not taken twice, and that they are not too many.
pub(super) fn check_columns<'a>(columns: impl Iterator<Item = &'a Column>) -> Result<()> {
    let mut names = std::collections::BTreeSet::new();
    for column in columns {
        if !names.insert(column.name.to_ascii_lowercase()) {
            return Err(Failure::invalid("columns", format!("there are two columns {}", column.name)).into());
        }
    }
    if names.len() > COLUMNS_MAX {
        return Err(Failure::invalid("columns", format!("are more than {COLUMNS_MAX}")).into());
    }
    Ok(())
}

pub(super) async fn row_on(on: &impl ConnectionTrait, id: Uuid) -> Result<table_row::Model> {
    let row = table_row::Entity::find_by_id(id).one(on).await?;
    Ok(row.ok_or_else(|| Failure::not_found("table", id))?)
}

fn already(name: &str) -> Failure {
    Failure::new(ErrorCode::DuplicateResource, format!("There is a table {name} already"))
}

fn taken(error: sea_orm::DbErr, name: &str) -> Error {
    if store::is_unique_violation(&error) { already(name).into() } else { error.into() }
}

/// A table that is there without a definition is somebody else's.
fn exists(error: sea_orm::DbErr, name: &str) -> Error {
    // SQLSTATE: a table, index or view of this name; a type. SQLite has a sentence alone.
    let is_taken = match store::code_of(&error).as_deref() {
        Some("42P07" | "42710") => true,
        _ => error.to_string().contains("already exists") || error.to_string().contains("there is already"),
    };
    if is_taken {
        let message =
            format!("The database has a table {name} that Gatewright did not make; choose another name");
        return Failure::new(ErrorCode::DuplicateResource, message).into();
    }
    error.into()
}

fn view(row: table_row::Model) -> Result<TableView> {
    let broken = |error: serde_json::Error| Error::Internal(format!("table {}: {error}", row.name));
    // Rules that cannot be read let in admins alone, and so they are shown.
    let table = Table::of_row(&row, true).or_else(|error| Table::of_admins(&row, true, &error))?;
    let columns: Vec<Column> = serde_json::from_value(row.columns.clone()).map_err(broken)?;
    Ok(TableView {
        rules: RulesInWords::of(&table),
        access: serde_json::from_value(row.access.clone()).map_err(broken)?,
        columns: columns.iter().map(ColumnSpec::from).collect(),
        unique: serde_json::from_value(row.unique.clone()).map_err(broken)?,
        id: row.id,
        name: row.name,
        description: row.description,
        pack: row.pack,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

/// For messages about many values.
pub(super) fn as_details(losses: &[(String, u64)]) -> Json {
    let losses = losses.iter().map(|(column, values)| json!({ "column": column, "values": values }));
    json!({ "loses": losses.collect::<Vec<_>>() })
}
