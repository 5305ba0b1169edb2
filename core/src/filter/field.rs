//! The fields that a filter may name.

use sea_orm::sea_query::DynIden;

/// A field of rows in a database.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name on the wire, camelCase.
    pub name: String,
    /// Its column.
    pub column: DynIden,
    /// What its values are.
    pub kind: FieldKind,
    /// Whether UUIDs and times are stored as text, as the tables of admins have them on SQLite.
    pub is_stored_as_text: bool,
    /// Whether a row may have null in it.
    pub is_nullable: bool,
}

/// What the values of a field are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum FieldKind {
    Text,
    Integer,
    Float,
    Boolean,
    Time,
    Uuid,
    Json,
    /// Any of them: rows that are only in memory say nothing of their types.
    Any,
}

/// Which fields there are.
pub trait Fields {
    /// What the values of a field are; none for one that does not exist.
    fn kind(&self, name: &str) -> Option<FieldKind>;

    /// All names, for messages.
    fn names(&self) -> String;
}

impl Fields for [Field] {
    fn kind(&self, name: &str) -> Option<FieldKind> {
        self.iter().find(|field| field.name == name).map(|field| field.kind)
    }

    fn names(&self) -> String {
        self.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// Whatever fields: what a row does not have is null in it.
#[derive(Debug, Clone, Copy)]
pub struct AnyField;

impl Fields for AnyField {
    fn kind(&self, _: &str) -> Option<FieldKind> {
        Some(FieldKind::Any)
    }

    fn names(&self) -> String {
        String::new()
    }
}

/// Fields of rows in memory, of which only the names are known.
#[derive(Debug, Clone, Copy)]
pub struct NamesOnly<'a>(pub &'a [&'a str]);

impl Fields for NamesOnly<'_> {
    fn kind(&self, name: &str) -> Option<FieldKind> {
        self.0.contains(&name).then_some(FieldKind::Any)
    }

    fn names(&self) -> String {
        self.0.join(", ")
    }
}
