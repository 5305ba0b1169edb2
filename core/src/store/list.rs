//! Lists as clients ask for them: filter, sort, page and counts, checked against known fields.
//!
//! A field that is not known, an operator that does not exist or a value of the wrong type is a
//! `VALIDATION_ERROR` that lists what is known. Values only ever travel as bound parameters.

use sea_orm::sea_query::{Cond, DynIden, Expr, ExprTrait, IntoIden, LikeExpr, Order, Value};
use sea_orm::{
    ColumnTrait, ColumnType, EntityTrait, Iden, Iterable, PaginatorTrait, QueryFilter, QuerySelect,
    QueryTrait,
};
use serde_json::Value as Json;
use uuid::Uuid;

use super::Store;
use crate::error::{ErrorCode, Failure, Result};

/// Rows of a page when nothing is asked for.
pub const LIMIT_DEFAULT: u64 = 20;
/// Rows of a page at most.
pub const LIMIT_MAX: u64 = 1000;
/// The last page: what lies behind it is out of any database's reach.
pub const PAGE_MAX: u64 = 1_000_000_000;
/// Nesting of `_and`, `_or` and `_not`.
const FILTER_DEPTH_MAX: usize = 16;
/// Conditions in one filter, values of `_in` counted.
const FILTER_TERMS_MAX: usize = 1000;

/// The operators of filters, for messages.
pub(super) const OPERATORS: &str = "_eq, _neq, _gt, _gte, _lt, _lte, _in, _nin, _contains, _starts_with, _ends_with, \
                         _between, _is_null, _and, _or, _not";

/// What a list is asked for.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// Rows of a page: 1 to [`LIMIT_MAX`]; none: [`LIMIT_DEFAULT`].
    pub limit: Option<u64>,
    /// Counts from 1.
    pub page: Option<u64>,
    /// Field names with commas, `-` before one for descending.
    pub sort: Option<String>,
    /// Conditions as JSON.
    pub filter: Option<Json>,
    /// Whether to count all rows and those that match.
    pub with_counts: bool,
}

/// One page of rows.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// All rows and those that match the filter, if asked for.
    pub counts: Option<(u64, u64)>,
}

/// A field that filters and sorts may name.
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
}

/// What the values of a field are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum FieldKind {
    Text,
    Integer,
    Float,
    Boolean,
    Time,
    Uuid,
    Json,
}

/// The fields of an entity of the product, without those that hold hashes.
pub fn fields_of<E: EntityTrait>() -> Vec<Field> {
    E::Column::iter()
        .filter(|column| !Iden::to_string(column).ends_with("_hash"))
        .map(|column| Field {
            name: camel_case(&Iden::to_string(&column)),
            column: column.into_iden(),
            kind: match column.def().get_column_type() {
                ColumnType::Boolean => FieldKind::Boolean,
                ColumnType::Uuid => FieldKind::Uuid,
                ColumnType::Json | ColumnType::JsonBinary => FieldKind::Json,
                ColumnType::TimestampWithTimeZone => FieldKind::Time,
                ColumnType::Integer | ColumnType::BigInteger => FieldKind::Integer,
                _ => FieldKind::Text,
            },
            is_stored_as_text: false,
        })
        .collect()
}

impl Store {
    /// One page of an entity's rows among those that meet `scope`.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for an unknown field, operator or a value of the wrong type.
    pub async fn list<E: EntityTrait>(&self, query: &ListQuery, scope: Option<Cond>) -> Result<Page<E::Model>>
    where
        E::Model: Send + Sync,
    {
        let fields = fields_of::<E>();
        let limit = match query.limit {
            None => LIMIT_DEFAULT,
            Some(limit @ 1..=LIMIT_MAX) => limit,
            Some(limit) => {
                return Err(Failure::invalid("limit", format!("{limit} is not 1 to {LIMIT_MAX}")).into());
            }
        };
        let page = match query.page {
            None => 1,
            Some(page @ 1..=PAGE_MAX) => page,
            Some(page) => {
                return Err(Failure::invalid("page", format!("{page} is not 1 to {PAGE_MAX}")).into());
            }
        };
        let scoped = E::find().filter(scope.unwrap_or_else(Cond::all));
        let filtered = match &query.filter {
            Some(filter) => scoped.clone().filter(condition(filter, &fields)?),
            None => scoped.clone(),
        };
        let counts = if query.with_counts {
            Some((scoped.count(self.db()).await?, filtered.clone().count(self.db()).await?))
        } else {
            None
        };
        let mut select = filtered.limit(limit).offset((page - 1) * limit);
        for (field, order) in sort_order(query.sort.as_deref().unwrap_or("id"), &fields)? {
            QueryTrait::query(&mut select).order_by(field.column.clone(), order);
        }
        Ok(Page { rows: select.all(self.db()).await?, counts })
    }
}

/// `-createdAt,name` as fields.
pub(crate) fn sort_order<'a>(text: &str, fields: &'a [Field]) -> Result<Vec<(&'a Field, Order)>> {
    text.split(',')
        .map(|part| {
            let part = part.trim();
            let (name, order) = part.strip_prefix('-').map_or((part, Order::Asc), |name| (name, Order::Desc));
            Ok((find(fields, name)?, order))
        })
        .collect()
}

/// A JSON filter as a condition.
///
/// # Errors
/// As [`Store::list`].
pub fn condition(filter: &Json, fields: &[Field]) -> Result<Cond> {
    Filter { fields, terms: 0 }.all_of(filter, 0)
}

struct Filter<'a> {
    fields: &'a [Field],
    terms: usize,
}

impl Filter<'_> {
    fn all_of(&mut self, filter: &Json, depth: usize) -> Result<Cond> {
        if depth > FILTER_DEPTH_MAX {
            return Err(Failure::invalid("filter", format!("nests deeper than {FILTER_DEPTH_MAX}")).into());
        }
        let object = filter.as_object().ok_or_else(|| Failure::invalid("filter", "must be an object"))?;
        let mut all = Cond::all();
        for (key, value) in object {
            all = all.add(match key.as_str() {
                "_and" => self.each(Cond::all(), value, depth)?,
                "_or" => self.each(Cond::any(), value, depth)?,
                "_not" => self.all_of(value, depth + 1)?.not(),
                name => self.field(find(self.fields, name)?, value)?,
            });
        }
        Ok(all)
    }

    fn each(&mut self, mut into: Cond, value: &Json, depth: usize) -> Result<Cond> {
        let items =
            value.as_array().ok_or_else(|| Failure::invalid("filter", "_and and _or take an array"))?;
        for item in items {
            into = into.add(self.all_of(item, depth + 1)?);
        }
        Ok(into)
    }

    fn field(&mut self, field: &Field, value: &Json) -> Result<Cond> {
        let mut all = Cond::all();
        match value {
            Json::Object(operators) if operators.keys().any(|key| key.starts_with('_')) => {
                for (operator, value) in operators {
                    all = all.add(self.term(field, operator, value)?);
                }
            }
            bare => all = all.add(self.term(field, "_eq", bare)?),
        }
        Ok(all)
    }

    fn term(&mut self, field: &Field, operator: &str, value: &Json) -> Result<Expr> {
        self.count(1)?;
        let column = Expr::col(field.column.clone());
        Ok(match operator {
            "_eq" if value.is_null() => column.is_null(),
            "_neq" if value.is_null() => column.is_not_null(),
            "_eq" => column.eq(bind(field, value)?),
            "_neq" => column.ne(bind(field, value)?),
            "_gt" => column.gt(bind(field, value)?),
            "_gte" => column.gte(bind(field, value)?),
            "_lt" => column.lt(bind(field, value)?),
            "_lte" => column.lte(bind(field, value)?),
            "_in" => column.is_in(self.values(field, value)?),
            "_nin" => column.is_not_in(self.values(field, value)?),
            "_contains" => column.like(pattern(field, "%", value, "%")?),
            "_starts_with" => column.like(pattern(field, "", value, "%")?),
            "_ends_with" => column.like(pattern(field, "%", value, "")?),
            "_between" => match self.values(field, value)?.as_slice() {
                [low, high] => column.between(low.clone(), high.clone()),
                _ => return Err(Failure::invalid(&field.name, "_between takes two values").into()),
            },
            "_is_null" => match value {
                Json::Bool(true) => column.is_null(),
                Json::Bool(false) => column.is_not_null(),
                _ => return Err(Failure::invalid(&field.name, "_is_null takes true or false").into()),
            },
            other => {
                return Err(Failure::invalid(
                    &field.name,
                    format!("unknown operator {other}; known: {OPERATORS}"),
                )
                .into());
            }
        })
    }

    fn values(&mut self, field: &Field, value: &Json) -> Result<Vec<Value>> {
        let items =
            value.as_array().ok_or_else(|| Failure::invalid(&field.name, "takes an array of values"))?;
        self.count(items.len())?;
        items.iter().map(|item| bind(field, item)).collect()
    }

    fn count(&mut self, terms: usize) -> Result<()> {
        self.terms += terms;
        if self.terms > FILTER_TERMS_MAX {
            return Err(
                Failure::invalid("filter", format!("has more than {FILTER_TERMS_MAX} conditions")).into()
            );
        }
        Ok(())
    }
}

fn find<'a>(fields: &'a [Field], name: &str) -> Result<&'a Field> {
    fields.iter().find(|field| field.name == name).ok_or_else(|| {
        let known = fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ");
        Failure::new(ErrorCode::Validation, format!("There is no field {name}; known: {known}")).into()
    })
}

fn bind(field: &Field, value: &Json) -> Result<Value> {
    let bound = match field.kind {
        FieldKind::Text => value.as_str().map(Value::from),
        FieldKind::Integer => value.as_i64().map(Value::from),
        FieldKind::Float => value.as_f64().map(Value::from),
        FieldKind::Boolean => value.as_bool().map(Value::from),
        FieldKind::Uuid => value.as_str().and_then(|text| Uuid::parse_str(text).ok()).map(|id| {
            if field.is_stored_as_text { id.to_string().into() } else { id.into() }
        }),
        FieldKind::Time => value.as_str().and_then(super::parse_time).map(|time| {
            if field.is_stored_as_text { super::time_text(time).into() } else { time.into() }
        }),
        FieldKind::Json => Some(Value::from(value.clone())),
    };
    bound.ok_or_else(|| {
        let wanted = match field.kind {
            FieldKind::Text => "text",
            FieldKind::Integer => "an integer",
            FieldKind::Float => "a number",
            FieldKind::Boolean => "true or false",
            FieldKind::Uuid => "a UUID",
            FieldKind::Time => "an RFC 3339 time",
            FieldKind::Json => "JSON",
        };
        Failure::invalid(&field.name, format!("takes {wanted}")).into()
    })
}

fn pattern(field: &Field, before: &str, value: &Json, after: &str) -> Result<LikeExpr> {
    let text = match (field.kind, value.as_str()) {
        (FieldKind::Text, Some(text)) => text,
        _ => return Err(Failure::invalid(&field.name, "takes text, on a text field").into()),
    };
    let escaped = text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_");
    Ok(LikeExpr::new(format!("{before}{escaped}{after}")).escape('\\'))
}

/// `created_at` as `createdAt`.
fn camel_case(snake: &str) -> String {
    let mut parts = snake.split('_');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (first, rest) = part.split_at(part.len().min(1));
        name.push_str(&first.to_uppercase());
        name.push_str(rest);
    }
    name
}
