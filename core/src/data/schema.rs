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
/// What a column is called, with a number, between two names; `_` keeps it away from an admin's.
const RENAMED: &str = "_renamed";
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
    statements.extend(table.unique.iter().map(|group| create_group(table, group, backend)));
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
            key.name(reference_name(table.id, &column.name));
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
    if (backend, column.kind) == (DbBackend::Sqlite, ColumnKind::Float) {
        // A sum that leaves the range is no error there, but a number that JSON does not have.
        definition.extra(format!("CHECK (abs(\"{}\") <= 1.7976931348623157e308)", column.name));
    }
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

fn create_group(table: &Table, group: &[String], backend: DbBackend) -> Statement {
    let mut index = Index::create();
    index.name(index_name(table.id, &name_of_group(group))).table(table.iden.clone()).unique();
    for name in group {
        index.col(column_iden(name));
    }
    backend.build(&index)
}

/// What no column is called.
fn name_of_group(group: &[String]) -> String {
    group.join(",")
}

pub(super) fn wants_index(column: &Column) -> bool {
    column.unique || column.index || column.references.is_some()
}

/// Indexes share one space of names in the database, of 63 bytes on PostgreSQL.
fn index_name(table: Uuid, column: &str) -> String {
    let digest = Sha256::new_with_prefix(table.as_bytes()).chain_update(column).finalize();
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("gw_{}", &digits[..INDEX_DIGITS])
}

/// Whether the rows have to be copied into a new table.
pub(super) fn needs_rebuild(before: &Table, columns: &[Altered], backend: DbBackend) -> bool {
    let is_kept = |column: &Column| {
        columns.iter().any(|altered| altered.before.as_ref().is_some_and(|b| b.name == column.name))
    };
    let drops_reference =
        before.own_columns().iter().any(|column| column.references.is_some() && !is_kept(column));
    let is_other = |altered: &Altered| altered.before.is_some() && !altered.is_same_in_database();
    backend == DbBackend::Sqlite && (drops_reference || columns.iter().any(is_other))
}

/// From the columns of `before` to those of `after`, which still has the name of `before`. What
/// stays as it is, indexes too, is not touched.
pub(super) fn alter(
    before: &Table,
    after: &Table,
    columns: &[Altered],
    backend: DbBackend,
) -> Vec<Statement> {
    let is_kept = |column: &Column| {
        let is_it = |altered: &Altered| altered.before.as_ref().is_some_and(|b| b.name == column.name);
        columns.iter().any(is_it)
    };
    let dropped: Vec<_> = before.own_columns().iter().filter(|column| !is_kept(column)).collect();
    let needs_rebuild = needs_rebuild(before, columns, backend);
    // An index has the name of its column and goes with a table that is rebuilt.
    let keeps_index = |altered: &Altered| {
        let is_same = |column: &Column| {
            column.name == altered.after.name
                && column.unique == altered.after.unique
                && wants_index(column) == wants_index(&altered.after)
        };
        !needs_rebuild && altered.is_same_in_database() && altered.before.as_ref().is_some_and(is_same)
    };
    let gone = columns.iter().filter(|altered| !keeps_index(altered)).filter_map(|a| a.before.as_ref());
    let gone = gone.chain(dropped.iter().copied()).filter(|column| wants_index(column));
    let mut statements: Vec<_> = gone.map(|column| drop_index(before, &column.name, backend)).collect();
    let keeps_group = |group: &Vec<String>| {
        let is_same = |name: &String| {
            columns.iter().any(|altered| {
                altered.after.name == *name
                    && altered.is_same_in_database()
                    && altered.before.as_ref().is_some_and(|before| before.name == *name)
            })
        };
        !needs_rebuild
            && before.unique.contains(group)
            && after.unique.contains(group)
            && group.iter().all(is_same)
    };
    let gone = before.unique.iter().filter(|group| !keeps_group(group));
    statements.extend(gone.map(|group| drop_index(before, &name_of_group(group), backend)));
    if needs_rebuild {
        statements.extend(rebuild(before, after, columns, backend));
    } else {
        statements.extend(dropped.iter().map(|column| drop_column(before, &column.name, backend)));
        statements.extend(alter_columns(before, columns, backend));
    }
    let come = columns.iter().filter(|altered| !keeps_index(altered));
    statements.extend(come.filter_map(|altered| create_index(after, &altered.after, backend)));
    let come = after.unique.iter().filter(|group| !keeps_group(group));
    statements.extend(come.map(|group| create_group(after, group, backend)));
    statements
}

/// Drops the index of a column or a group.
fn drop_index(table: &Table, of: &str, backend: DbBackend) -> Statement {
    backend.build(Index::drop().name(index_name(table.id, of)).table(table.iden.clone()).if_exists())
}

fn drop_column(table: &Table, name: &str, backend: DbBackend) -> Statement {
    backend.build(SqlTable::alter().table(table.iden.clone()).drop_column(column_iden(name)))
}

/// What goes first, then what is called otherwise, then what comes: a name that one column gives up
/// may be another's.
fn alter_columns(table: &Table, columns: &[Altered], backend: DbBackend) -> Vec<Statement> {
    let kept = || columns.iter().filter(|altered| altered.keeps_values());
    let kept = || kept().filter_map(|altered| Some((altered.before.as_ref()?, &altered.after)));
    let come = || columns.iter().filter(|altered| !altered.keeps_values());
    let mut statements: Vec<_> = come()
        .filter_map(|altered| altered.before.as_ref())
        .map(|replaced| drop_column(table, &replaced.name, backend))
        .collect();
    // By way of a name that no admin can give, since two columns may change theirs with each other.
    let renamed: Vec<_> = kept().filter(|(before, after)| before.name != after.name).collect();
    for (index, (before, _)) in renamed.iter().enumerate() {
        statements.push(rename_column(table, &before.name, &format!("{RENAMED}{index}"), backend));
    }
    for (index, (before, after)) in renamed.iter().enumerate() {
        statements.push(rename_column(table, &format!("{RENAMED}{index}"), &after.name, backend));
        statements.extend(rename_reference(table, before, after, backend));
    }
    if backend != DbBackend::Sqlite {
        let altered = kept()
            .filter(|(before, after)| before.kind != after.kind || before.references != after.references);
        statements.extend(altered.flat_map(|(before, after)| alter_type(table, before, after, backend)));
    }
    statements.extend(come().flat_map(|altered| add_column(table, &altered.after, backend)));
    statements
}

fn add_column(table: &Table, column: &Column, backend: DbBackend) -> Vec<Statement> {
    let mut definition = define(column, backend);
    if let (DbBackend::Sqlite, Some(referenced)) = (backend, &column.references) {
        definition.extra(format!("REFERENCES \"{referenced}\" (\"{ID}\")"));
    }
    let mut alter = SqlTable::alter();
    let mut statements = vec![backend.build(alter.table(table.iden.clone()).add_column(definition))];
    if backend != DbBackend::Sqlite {
        statements.extend(add_reference(table, column, backend));
    }
    statements
}

fn rename_column(table: &Table, from: &str, to: &str, backend: DbBackend) -> Statement {
    let (from, to) = (column_iden(from), column_iden(to));
    backend.build(SqlTable::alter().table(table.iden.clone()).rename_column(from, to))
}

/// A reference has the name of its column, so that it can be found again.
fn rename_reference(table: &Table, before: &Column, after: &Column, backend: DbBackend) -> Option<Statement> {
    if backend == DbBackend::Sqlite || before.references.is_none() || before.references != after.references {
        return None;
    }
    let (from, to) = (reference_name(table.id, &before.name), reference_name(table.id, &after.name));
    let rename = format!("ALTER TABLE \"{}\" RENAME CONSTRAINT \"{from}\" TO \"{to}\"", table.name);
    Some(Statement::from_string(backend, rename))
}

/// On PostgreSQL alone; SQLite rebuilds.
fn alter_type(table: &Table, before: &Column, after: &Column, backend: DbBackend) -> Vec<Statement> {
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
