//! Definitions as tables of the database: what is created, altered and rebuilt.
//!
//! The database keeps types, uniqueness and references; `required`, defaults and the values of an
//! enum are kept by [`super::Table`], so that changing them rewrites nothing.

use sea_orm::sea_query::{
    Alias, ColumnDef, DynIden, Expr, ExprTrait, ForeignKey, Index, IntoIden, Query, SimpleExpr,
    Table as SqlTable, TableCreateStatement,
};
use sea_orm::{DbBackend, Statement};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::column::{Column, ColumnKind};
use super::statement::column_iden;
use super::table::{ID, Table};

/// The table that takes the place of another on SQLite; `gw_` keeps it away from an admin's.
const REBUILT: &str = "gw_rebuilt";
/// Hex digits of an index's name.
const INDEX_DIGITS: usize = 24;

/// A column before and after a change: none before is a new one.
pub(super) struct Altered {
    pub before: Option<Column>,
    pub after: Column,
}

impl Altered {
    /// Whether values of the one are values of the other.
    pub(super) fn keeps_values(&self) -> bool {
        self.before.as_ref().is_some_and(|before| converts(before.kind, self.after.kind))
    }

    fn is_same_in_database(&self) -> bool {
        self.before.as_ref().is_some_and(|before| {
            before.kind == self.after.kind && before.references == self.after.references
        })
    }
}

fn converts(from: ColumnKind, to: ColumnKind) -> bool {
    use ColumnKind as Kind;
    from == to
        || match to {
            Kind::Text => matches!(from, Kind::String | Kind::Enum | Kind::Uuid),
            Kind::String => matches!(from, Kind::Enum | Kind::Uuid),
            // Values that are not in the list are refused before.
            Kind::Enum => from == Kind::String,
            Kind::Float => from == Kind::Integer,
            _ => false,
        }
}

/// A new table with its indexes.
pub(super) fn create(table: &Table, backend: DbBackend) -> Vec<Statement> {
    let mut statements = vec![backend.build(&create_as(table, table.iden.clone(), backend))];
    statements.extend(table.own_columns().iter().filter_map(|column| create_index(table, column, backend)));
    statements
}

fn create_as(table: &Table, name: DynIden, backend: DbBackend) -> TableCreateStatement {
    let mut create = SqlTable::create();
    create.table(name.clone());
    for column in &table.columns {
        let mut definition = define(column, backend);
        if column.name == ID {
            definition.not_null().primary_key();
        } else if table.own_columns().iter().all(|own| own.name != column.name) {
            definition.not_null();
        }
        create.col(definition);
    }
    for column in table.own_columns() {
        if let Some(referenced) = &column.references {
            let mut key = ForeignKey::create();
            key.from(name.clone(), column_iden(&column.name)).to(Alias::new(referenced), Alias::new(ID));
            create.foreign_key(&mut key);
        }
    }
    if backend == DbBackend::Sqlite {
        // Columns hold values of their type alone; see sqlite.org/stricttables.html.
        create.extra("STRICT");
    }
    create
}

fn define(column: &Column, backend: DbBackend) -> ColumnDef {
    let mut definition = ColumnDef::new(column_iden(&column.name));
    definition.custom(Alias::new(sql_type(column.kind, backend)));
    definition
}

/// Text is ordered by its bytes on both.
fn sql_type(kind: ColumnKind, backend: DbBackend) -> &'static str {
    use ColumnKind as Kind;
    match (backend, kind) {
        (DbBackend::Sqlite, Kind::Integer | Kind::Boolean) => "INTEGER",
        (DbBackend::Sqlite, Kind::Float) => "REAL",
        (DbBackend::Sqlite, _) => "TEXT",
        (_, Kind::String | Kind::Text | Kind::Enum) => "text COLLATE \"C\"",
        (_, Kind::Integer) => "bigint",
        (_, Kind::Float) => "double precision",
        (_, Kind::Boolean) => "boolean",
        (_, Kind::Datetime) => "timestamp with time zone",
        (_, Kind::Json) => "jsonb",
        (_, Kind::Uuid) => "uuid",
    }
}

/// The index that a column wants; a reference is looked up whenever a row it may name is deleted.
fn create_index(table: &Table, column: &Column, backend: DbBackend) -> Option<Statement> {
    if !wants_index(column) {
        return None;
    }
    let mut index = Index::create();
    index.name(index_name(table.id, &column.name)).table(table.iden.clone()).col(column_iden(&column.name));
    if column.unique {
        index.unique();
    }
    Some(backend.build(&index))
}

fn wants_index(column: &Column) -> bool {
    column.unique || column.index || column.references.is_some()
}

/// Indexes share one space of names in the database, of 63 bytes on PostgreSQL.
fn index_name(table: Uuid, column: &str) -> String {
    let digest = Sha256::new_with_prefix(table.as_bytes()).chain_update(column).finalize();
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("gw_{}", &digits[..INDEX_DIGITS])
}

/// From the columns of `before` to those of `after`, which still has the name of `before`.
pub(super) fn alter(
    before: &Table,
    after: &Table,
    columns: &[Altered],
    backend: DbBackend,
) -> Vec<Statement> {
    let dropped = || {
        let is_kept = |column: &Column| {
            columns
                .iter()
                .any(|altered| altered.before.as_ref().is_some_and(|before| before.name == column.name))
        };
        before.own_columns().iter().filter(move |column| !is_kept(column))
    };
    let needs_rebuild = backend == DbBackend::Sqlite
        && (dropped().any(|column| column.references.is_some())
            || columns.iter().any(|altered| altered.before.is_some() && !altered.is_same_in_database()));
    let mut statements: Vec<_> = before
        .own_columns()
        .iter()
        .filter(|column| wants_index(column))
        .map(|column| drop_index(before, column, backend))
        .collect();
    if needs_rebuild {
        statements.extend(rebuild(before, after, columns, backend));
    } else {
        statements.extend(dropped().map(|column| drop_column(before, &column.name, backend)));
        for altered in columns {
            statements.extend(alter_column(before, altered, backend));
        }
    }
    statements.extend(after.own_columns().iter().filter_map(|column| create_index(after, column, backend)));
    statements
}

fn drop_index(table: &Table, column: &Column, backend: DbBackend) -> Statement {
    backend
        .build(Index::drop().name(index_name(table.id, &column.name)).table(table.iden.clone()).if_exists())
}

fn drop_column(table: &Table, name: &str, backend: DbBackend) -> Statement {
    backend.build(SqlTable::alter().table(table.iden.clone()).drop_column(column_iden(name)))
}

fn alter_column(table: &Table, altered: &Altered, backend: DbBackend) -> Vec<Statement> {
    let after = &altered.after;
    let add = || {
        let mut definition = define(after, backend);
        let mut alter = SqlTable::alter();
        alter.table(table.iden.clone());
        let mut statements = Vec::new();
        if let (DbBackend::Sqlite, Some(referenced)) = (backend, &after.references) {
            definition.extra(format!("REFERENCES \"{referenced}\" (\"{ID}\")"));
        }
        statements.push(backend.build(alter.add_column(definition)));
        if backend != DbBackend::Sqlite {
            statements.extend(add_reference(table, after, backend));
        }
        statements
    };
    let Some(before) = &altered.before else { return add() };
    if !altered.keeps_values() {
        let mut statements = vec![drop_column(table, &before.name, backend)];
        statements.extend(add());
        return statements;
    }
    let mut statements = Vec::new();
    if before.name != after.name {
        let (from, to) = (column_iden(&before.name), column_iden(&after.name));
        statements.push(backend.build(SqlTable::alter().table(table.iden.clone()).rename_column(from, to)));
    }
    if backend != DbBackend::Sqlite && !altered.is_same_in_database() {
        statements.extend(alter_type_or_reference(table, before, after, backend));
    }
    statements
}

/// On PostgreSQL alone; SQLite rebuilds.
fn alter_type_or_reference(
    table: &Table,
    before: &Column,
    after: &Column,
    backend: DbBackend,
) -> Vec<Statement> {
    let mut statements = Vec::new();
    if before.references.is_some() && before.references != after.references {
        let drop = format!(
            "ALTER TABLE \"{}\" DROP CONSTRAINT IF EXISTS \"{}\"",
            table.name,
            reference_name(table.id, &before.name)
        );
        statements.push(Statement::from_string(backend, drop));
    }
    if before.kind != after.kind {
        let to = sql_type(after.kind, backend);
        let (name, base) = (&after.name, to.split(' ').next().unwrap_or(to));
        let base = if after.kind == ColumnKind::Float { "double precision" } else { base };
        let alter = format!(
            "ALTER TABLE \"{}\" ALTER COLUMN \"{name}\" TYPE {to} USING \"{name}\"::{base}",
            table.name
        );
        statements.push(Statement::from_string(backend, alter));
    }
    if before.references != after.references {
        statements.extend(add_reference(table, after, backend));
    }
    statements
}

fn add_reference(table: &Table, column: &Column, backend: DbBackend) -> Option<Statement> {
    let referenced = column.references.as_ref()?;
    let mut key = ForeignKey::create();
    key.name(reference_name(table.id, &column.name))
        .from(table.iden.clone(), column_iden(&column.name))
        .to(Alias::new(referenced), Alias::new(ID));
    Some(backend.build(&key))
}

fn reference_name(table: Uuid, column: &str) -> String {
    format!("{}_ref", index_name(table, column))
}

/// A new table with what is kept of the rows, in the place of the old one: SQLite cannot alter a
/// column (sqlite.org/lang_altertable.html, section 7).
fn rebuild(before: &Table, after: &Table, columns: &[Altered], backend: DbBackend) -> Vec<Statement> {
    let rebuilt = Alias::new(REBUILT).into_iden();
    let mut names = Vec::new();
    let mut values: Vec<SimpleExpr> = Vec::new();
    let own = columns.iter().filter(|altered| altered.keeps_values()).filter_map(|altered| {
        Some((altered.after.name.clone(), altered.before.as_ref()?.name.clone(), altered.after.kind))
    });
    let always = [ID, super::CREATED_AT, super::UPDATED_AT];
    let always = always.map(|name| (name.to_owned(), name.to_owned(), ColumnKind::String));
    for (name, from, kind) in own.chain(always) {
        let value = Expr::col(column_iden(&from));
        values.push(if kind == ColumnKind::Float { value.cast_as(Alias::new("REAL")) } else { value });
        names.push(column_iden(&name));
    }
    let mut select = Query::select();
    select.exprs(values).from(before.iden.clone());
    let mut copy = Query::insert();
    copy.into_table(rebuilt.clone()).columns(names);
    // The number of columns is that of the values: both are made above.
    let _ = copy.select_from(select);
    vec![
        backend.build(&create_as(after, rebuilt.clone(), backend)),
        backend.build(&copy),
        backend.build(SqlTable::drop().table(before.iden.clone())),
        backend.build(SqlTable::rename().table(rebuilt, before.iden.clone())),
    ]
}

/// Another name for a table; what refers to it follows.
pub(super) fn rename(from: &Table, to: &str, backend: DbBackend) -> Statement {
    backend.build(SqlTable::rename().table(from.iden.clone(), Alias::new(to)))
}

/// The end of a table with its rows.
pub(super) fn drop(table: &Table, backend: DbBackend) -> Statement {
    backend.build(SqlTable::drop().table(table.iden.clone()))
}
