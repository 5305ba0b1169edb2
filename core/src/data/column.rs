//! Columns of an admin's table: their types, what values they take, and how values are stored.

use sea_orm::DbBackend;
use sea_orm::sea_query::{Alias, DynIden, IntoIden};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use uuid::Uuid;

use super::name::check_column_name;
use crate::error::{Failure, Result};
use crate::filter::FieldKind;
use crate::store::{self, Time, parse_time, time_text};

/// The longest `string`, in characters; a `text` is bounded by its row alone.
const STRING_CHARS_MAX: usize = 4000;
/// Nesting of a `json` value: a list of rows with it must not nest deeper than what leaves a run.
const JSON_DEPTH_MAX: usize = 60;
/// Values of an `enum`, and characters of one.
const ENUM_VALUES_MAX: usize = 200;
const ENUM_CHARS_MAX: usize = 200;
/// A default that stands for the time of the write, in a `datetime` column.
const DEFAULT_NOW: &str = "now";
/// A default that stands for a fresh id, in a `uuid` column.
const DEFAULT_UUID: &str = "uuid";
/// The types, for messages.
const KINDS: [(&str, ColumnKind); 9] = [
    ("string", ColumnKind::String),
    ("text", ColumnKind::Text),
    ("integer", ColumnKind::Integer),
    ("float", ColumnKind::Float),
    ("boolean", ColumnKind::Boolean),
    ("datetime", ColumnKind::Datetime),
    ("json", ColumnKind::Json),
    ("uuid", ColumnKind::Uuid),
    ("enum", ColumnKind::Enum),
];

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    /// Text of up to 4,000 characters; may be unique and indexed.
    String,
    /// Text of any length that a row holds.
    Text,
    /// 64 bits, signed.
    Integer,
    /// 64 bits, as IEEE 754 has them; finite.
    Float,
    /// True or false.
    Boolean,
    /// A moment, to the millisecond, in UTC.
    Datetime,
    /// Any JSON.
    Json,
    /// A UUID.
    Uuid,
    /// One of a list of texts.
    Enum,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Column {
    /// Unique in its table, whatever the case of its letters.
    pub name: String,
    /// What its values are.
    #[serde(rename = "type")]
    pub kind: ColumnKind,
    /// Whether null is refused.
    #[serde(default)]
    pub required: bool,
    /// Whether no two rows may have the same value.
    #[serde(default)]
    pub unique: bool,
    /// Whether the database keeps an index.
    #[serde(default)]
    pub index: bool,
    /// What a row that is made at this time has where nothing is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Json>,
    /// The table whose rows it names by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<String>,
    /// The values of an `enum`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Of a table of the product's own: what the column is called there. Its values are stored as entities have
    /// them.
    #[serde(skip)]
    pub(super) stored_as: Option<&'static str>,
}

/// A column as a request or a pack writes it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ColumnSpec {
    /// See [`Column::name`].
    pub name: String,
    /// See [`ColumnKind`].
    #[serde(rename = "type")]
    pub kind: String,
    /// See [`Column::required`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub required: bool,
    /// See [`Column::unique`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub unique: bool,
    /// See [`Column::index`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub index: bool,
    /// See [`Column::default`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Json>,
    /// See [`Column::references`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<String>,
    /// See [`Column::values`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl ColumnKind {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// What filters may compare its values with.
    pub(super) fn field_kind(self) -> FieldKind {
        match self {
            Self::String | Self::Text | Self::Enum => FieldKind::Text,
            Self::Integer => FieldKind::Integer,
            Self::Float => FieldKind::Float,
            Self::Boolean => FieldKind::Boolean,
            Self::Datetime => FieldKind::Time,
            Self::Json => FieldKind::Json,
            Self::Uuid => FieldKind::Uuid,
        }
    }

    pub(super) fn can_be_indexed(self) -> bool {
        !matches!(self, Self::Text | Self::Json)
    }

    fn wants(self) -> &'static str {
        match self {
            Self::String => "takes text of up to 4000 characters",
            Self::Text | Self::Enum => "takes text",
            Self::Integer => "takes an integer of 64 bits",
            Self::Float => "takes a number",
            Self::Boolean => "takes true or false",
            Self::Datetime => "takes an RFC 3339 time such as 2026-01-31T12:00:00Z",
            Self::Json => "takes JSON that nests at most 60 deep",
            Self::Uuid => "takes a UUID",
        }
    }
}

impl ColumnSpec {
    /// The column that this describes; that a referenced table exists is not checked here.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a bad name, an unknown type, or what does not go together.
    pub fn read(&self) -> Result<Column> {
        check_column_name(&self.name)?;
        let refuse = |message: String| Err(Failure::invalid(&self.name, message).into());
        let Some((_, kind)) = KINDS.into_iter().find(|(name, _)| *name == self.kind) else {
            let known = KINDS.map(|(name, _)| name).join(", ");
            return refuse(format!("there is no type {:?}; known: {known}", self.kind));
        };
        if (self.unique || self.index) && !kind.can_be_indexed() {
            return refuse(format!("a column of type {} has no index; use string", self.kind));
        }
        if self.references.is_some() && kind != ColumnKind::Uuid {
            return refuse("a column that references a table has the type uuid, as its ids have".to_owned());
        }
        self.check_values(kind)?;
        let column = Column {
            name: self.name.clone(),
            kind,
            required: self.required,
            unique: self.unique,
            index: self.index,
            default: self.default.clone().filter(|default| !default.is_null()),
            references: self.references.clone(),
            values: self.values.clone(),
            stored_as: None,
        };
        column.default_value(store::now())?;
        Ok(column)
    }

    fn check_values(&self, kind: ColumnKind) -> Result<()> {
        let is_enum = kind == ColumnKind::Enum;
        let is_distinct =
            (1..self.values.len()).all(|index| !self.values[..index].contains(&self.values[index]));
        let is_bounded = |value: &String| (1..=ENUM_CHARS_MAX).contains(&value.chars().count());
        if is_enum == self.values.is_empty()
            || self.values.len() > ENUM_VALUES_MAX
            || !is_distinct
            || !self.values.iter().all(is_bounded)
        {
            let message = format!(
                "an enum, and nothing else, has `values`: 1 to {ENUM_VALUES_MAX} distinct texts of 1 to {ENUM_CHARS_MAX} characters"
            );
            return Err(Failure::invalid(&self.name, message).into());
        }
        Ok(())
    }
}

impl From<&Column> for ColumnSpec {
    fn from(column: &Column) -> Self {
        Self {
            name: column.name.clone(),
            kind: column.kind.as_str().to_owned(),
            required: column.required,
            unique: column.unique,
            index: column.index,
            default: column.default.clone(),
            references: column.references.clone(),
            values: column.values.clone(),
        }
    }
}

impl Column {
    /// Its name in the database.
    pub(super) fn iden(&self) -> DynIden {
        Alias::new(self.stored_as.unwrap_or(&self.name)).into_iden()
    }

    /// The database in whose way its values are bound and read: entities have the types of PostgreSQL on both.
    pub(super) fn form(&self, backend: DbBackend) -> DbBackend {
        if self.stored_as.is_some() { DbBackend::Postgres } else { backend }
    }

    /// What a new row has where nothing is given.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when the default is no value of the column.
    pub(super) fn default_value(&self, now: Time) -> Result<Option<Json>> {
        match (&self.default, self.kind) {
            (None, _) => Ok(None),
            (Some(Json::String(text)), ColumnKind::Datetime) if text == DEFAULT_NOW => {
                Ok(Some(time_text(now).into()))
            }
            (Some(Json::String(text)), ColumnKind::Uuid) if text == DEFAULT_UUID => {
                Ok(Some(crate::id::new_id().to_string().into()))
            }
            (Some(default), _) => self.value(default).map(Some),
        }
    }

    /// Whether every row gets a default of its own.
    pub(super) fn has_fresh_default(&self) -> bool {
        self.kind == ColumnKind::Uuid && self.default.as_ref().is_some_and(|default| default == DEFAULT_UUID)
    }

    /// A value in its normal form: what is stored and given back.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` that says what the column takes.
    pub(super) fn value(&self, value: &Json) -> Result<Json> {
        if value.is_null() {
            return if self.required {
                Err(Failure::invalid(&self.name, "is required").into())
            } else {
                Ok(Json::Null)
            };
        }
        store::check_json(&self.name, value)?;
        let normal = match self.kind {
            ColumnKind::String => {
                value.as_str().filter(|text| text.chars().count() <= STRING_CHARS_MAX).map(Json::from)
            }
            ColumnKind::Text => value.as_str().map(Json::from),
            ColumnKind::Integer => integer(value).map(Json::from),
            ColumnKind::Float => value.as_f64().filter(|number| number.is_finite()).map(Json::from),
            ColumnKind::Boolean => value.as_bool().map(Json::from),
            ColumnKind::Datetime => value.as_str().and_then(parse_time).map(|time| time_text(time).into()),
            ColumnKind::Json => (depth_of(value) <= JSON_DEPTH_MAX).then(|| value.clone()),
            ColumnKind::Uuid => {
                value.as_str().and_then(|text| Uuid::parse_str(text).ok()).map(|id| id.to_string().into())
            }
            ColumnKind::Enum => {
                let is_known =
                    value.as_str().is_some_and(|text| self.values.iter().any(|known| known == text));
                if !is_known {
                    let message = format!("takes one of {}", self.values.join(", "));
                    return Err(Failure::invalid(&self.name, message).into());
                }
                Some(value.clone())
            }
        };
        normal.ok_or_else(|| Failure::invalid(&self.name, self.kind.wants()).into())
    }
}

/// An integer, or a float that is one.
pub(super) fn integer(value: &Json) -> Option<i64> {
    /// Up to here floats hold every integer.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    value.as_i64().or_else(|| {
        let float = value.as_f64().filter(|_| value.is_f64())?;
        (float.fract() == 0.0 && float.abs() <= EXACT_MAX).then_some(float as i64)
    })
}

/// The nesting of a value; bounded by the JSON parser, so recursion is safe.
fn depth_of(value: &Json) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(depth_of).max().unwrap_or(0),
        Json::Object(fields) => 1 + fields.values().map(depth_of).max().unwrap_or(0),
        _ => 0,
    }
}

/// For the columns that every table has.
pub(super) fn built_in(name: &str, kind: ColumnKind) -> Column {
    Column {
        name: name.to_owned(),
        kind,
        required: true,
        unique: false,
        index: false,
        default: None,
        references: None,
        values: Vec::new(),
        stored_as: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn column(kind: &str) -> Column {
        let values = if kind == "enum" { vec!["a".to_owned(), "b".to_owned()] } else { Vec::new() };
        ColumnSpec { name: "c".into(), kind: kind.into(), values, ..ColumnSpec::default() }.read().unwrap()
    }

    #[test]
    fn values() {
        for (kind, value, expected) in [
            ("string", json!("é🦀 \u{202e}x"), Some(json!("é🦀 \u{202e}x"))),
            ("string", json!("x".repeat(4001)), None),
            ("text", json!("a\0b"), None),
            ("integer", json!(9_223_372_036_854_775_807_i64), Some(json!(i64::MAX))),
            ("integer", json!(9_223_372_036_854_775_808_u64), None),
            ("integer", json!(5.0), Some(json!(5))),
            ("integer", json!(5.5), None),
            ("integer", json!("5"), None),
            ("float", json!(1), Some(json!(1.0))),
            ("boolean", json!(1), None),
            ("datetime", json!("2026-01-31T13:00:00.5+01:00"), Some(json!("2026-01-31T12:00:00.500Z"))),
            ("datetime", json!("yesterday"), None),
            ("json", json!({ "a": [1, "\0"] }), None),
            ("json", json!({ "a": [1] }), Some(json!({ "a": [1] }))),
            (
                "uuid",
                json!("0189AAAA-0000-7000-8000-000000000000"),
                Some(json!("0189aaaa-0000-7000-8000-000000000000")),
            ),
            ("enum", json!("b"), Some(json!("b"))),
            ("enum", json!("c"), None),
            ("string", json!(null), Some(json!(null))),
        ] {
            assert_eq!(column(kind).value(&value).ok(), expected, "{kind} {value}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let spec = |kind: &str| ColumnSpec { name: "c".into(), kind: kind.into(), ..ColumnSpec::default() };
        for wrong in [
            spec("varchar"),
            ColumnSpec { unique: true, ..spec("text") },
            ColumnSpec { references: Some("user".into()), ..spec("string") },
            ColumnSpec { values: vec!["a".into()], ..spec("string") },
            spec("enum"),
            ColumnSpec { default: Some(json!("x")), ..spec("integer") },
            ColumnSpec { name: "a\"; DROP TABLE gw_user; --".into(), ..spec("string") },
        ] {
            assert!(wrong.read().is_err(), "{wrong:?}");
        }
    }
}
