//! Lists as clients ask for them: filter, sort, page and counts, checked against known fields.
//!
//! A field that is not known, an operator that does not exist or a value of the wrong type is a
//! `VALIDATION_ERROR` that lists what is known. Values only ever travel as bound parameters.
//!
//! Every database answers alike, and as [`super::in_memory`] does: null is a value, and the least of
//! all; text has the order of its characters' numbers, and its case counts.

use sea_orm::sea_query::extension::sqlite::SqliteExpr;
use sea_orm::sea_query::{
    Cond, DynIden, Expr, ExprTrait, Func, IntoIden, LikeExpr, NullOrdering, Order, SelectStatement, Value,
};
use sea_orm::{
    ColumnTrait, ColumnType, ConnectionTrait, DbBackend, EntityTrait, Iden, Iterable, PaginatorTrait,
    PrimaryKeyToColumn, QueryFilter, QuerySelect, QueryTrait,
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
/// Fields to sort by.
const SORT_FIELDS_MAX: usize = 100;
/// Bytes of the text that `_contains` and its like look for: with each of them escaped, it is still
/// a pattern that SQLite takes.
const PATTERN_BYTES_MAX: usize = 16_000;
/// The form of [`super::time_text`] as SQLite writes it.
const TIME_FORM: &str = "%Y-%m-%dT%H:%M:%fZ";

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
    /// Whether a row may have null in it.
    pub is_nullable: bool,
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
            is_nullable: column.def().is_null(),
        })
        .collect()
}

impl ListQuery {
    /// Rows of a page, and its number from 1.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for what is out of bounds.
    pub fn limit_and_page(&self) -> Result<(u64, u64)> {
        let (limit, page) = (self.limit.unwrap_or(LIMIT_DEFAULT), self.page.unwrap_or(1));
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Failure::invalid("limit", format!("{limit} is not 1 to {LIMIT_MAX}")).into());
        }
        if !(1..=PAGE_MAX).contains(&page) {
            return Err(Failure::invalid("page", format!("{page} is not 1 to {PAGE_MAX}")).into());
        }
        Ok((limit, page))
    }
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
        let (fields, backend) = (fields_of::<E>(), self.db().get_database_backend());
        let (limit, page) = query.limit_and_page()?;
        let scoped = E::find().filter(scope.unwrap_or_else(Cond::all));
        let filtered = match &query.filter {
            Some(filter) => scoped.clone().filter(condition(filter, &fields, backend)?),
            None => scoped.clone(),
        };
        let counts = if query.with_counts {
            Some((scoped.count(self.db()).await?, filtered.clone().count(self.db()).await?))
        } else {
            None
        };
        let mut select = filtered.limit(limit).offset((page - 1) * limit);
        for (field, order) in sort_order(query.sort.as_deref().unwrap_or("id"), &fields)? {
            order_by(QueryTrait::query(&mut select), field, order, backend);
        }
        // Rows that are equal in what is asked for still have one order, so that pages do not overlap.
        for key in E::PrimaryKey::iter() {
            QueryTrait::query(&mut select).order_by(key.into_column(), Order::Asc);
        }
        Ok(Page { rows: select.all(self.db()).await?, counts })
    }
}

/// `-createdAt,name` as fields.
///
/// # Errors
/// As [`Store::list`].
pub(crate) fn sort_order<'a>(text: &str, fields: &'a [Field]) -> Result<Vec<(&'a Field, Order)>> {
    if text.split(',').count() > SORT_FIELDS_MAX {
        return Err(Failure::invalid("sort", format!("names more than {SORT_FIELDS_MAX} fields")).into());
    }
    text.split(',')
        .map(|part| {
            let part = part.trim();
            let (name, order) = part.strip_prefix('-').map_or((part, Order::Asc), |name| (name, Order::Desc));
            let field = find(fields, name)?;
            if field.kind == FieldKind::Json {
                return Err(Failure::invalid("sort", format!("{name} is JSON, which has no order")).into());
            }
            Ok((field, order))
        })
        .collect()
}

/// Orders what is selected by a field, after what it is ordered by already.
pub(crate) fn order_by(select: &mut SelectStatement, field: &Field, order: Order, backend: DbBackend) {
    let column = comparable(field, backend);
    if field.is_nullable && backend == DbBackend::Postgres {
        // Null is the least of all values: SQLite's own way, which PostgreSQL has to be told.
        let nulls = if order == Order::Desc { NullOrdering::Last } else { NullOrdering::First };
        select.order_by_expr_with_nulls(column, order, nulls);
    } else {
        select.order_by_expr(column, order);
    }
}

/// A field's column as what its values are compared by.
fn comparable(field: &Field, backend: DbBackend) -> Expr {
    let column = Expr::col(field.column.clone());
    match (field.kind, backend) {
        // Not the order of some language, which a PostgreSQL may have as its default.
        (FieldKind::Text, DbBackend::Postgres) => Expr::cust_with_expr("$1 COLLATE \"C\"", column),
        // As the driver writes a moment, it lacks zeros at its end, and does not sort.
        (FieldKind::Time, DbBackend::Sqlite) if !field.is_stored_as_text => {
            Func::cust("strftime").arg(TIME_FORM).arg(column).into()
        }
        // The product's own are of the type json, which has no equality.
        (FieldKind::Json, DbBackend::Postgres) => column.cast_as("jsonb"),
        _ => column,
    }
}

/// A JSON filter as a condition.
///
/// # Errors
/// As [`Store::list`].
pub fn condition(filter: &Json, fields: &[Field], backend: DbBackend) -> Result<Cond> {
    Filter { fields, backend, terms: 0 }.all_of(filter, 0)
}

struct Filter<'a> {
    fields: &'a [Field],
    backend: DbBackend,
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
                "_not" => Cond::all().add(not(self.all_of(value, depth + 1)?)),
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
        let (column, backend) = (comparable(field, self.backend), self.backend);
        let bind = |value| bind(field, value, backend);
        Ok(match operator {
            "_eq" | "_neq" if value.is_null() => is_null(field, operator == "_eq"),
            "_eq" | "_neq" if is_no_id(field, value) => {
                Expr::cust(if operator == "_eq" { "1 = 0" } else { "1 = 1" })
            }
            "_eq" => column.eq(bind(value)?),
            "_neq" => column.ne(bind(value)?).or(is_null(field, true)),
            "_in" => self.is_any_of(field, value)?,
            "_nin" => not(Cond::all().add(self.is_any_of(field, value)?)),
            "_is_null" => match value {
                Json::Bool(wanted) => is_null(field, *wanted),
                _ => return Err(Failure::invalid(&field.name, "_is_null takes true or false").into()),
            },
            "_contains" | "_starts_with" | "_ends_with" => self.matches(field, operator, value)?,
            "_gt" | "_gte" | "_lt" | "_lte" | "_between" if field.kind == FieldKind::Json => {
                return Err(Failure::invalid(&field.name, "is JSON, which has no order").into());
            }
            "_gt" => column.gt(bind(value)?),
            "_gte" => column.gte(bind(value)?),
            "_lt" => column.lt(bind(value)?),
            "_lte" => column.lte(bind(value)?),
            "_between" => match self.listed(field, value)? {
                [low, high] => column.between(bind(low)?, bind(high)?),
                _ => return Err(Failure::invalid(&field.name, "_between takes two values").into()),
            },
            other => {
                let message = format!("unknown operator {other}; known: {OPERATORS}");
                return Err(Failure::invalid(&field.name, message).into());
            }
        })
    }

    /// Whether a value is in a list, in which null is like any other.
    fn is_any_of(&mut self, field: &Field, value: &Json) -> Result<Expr> {
        let (nulls, values): (Vec<_>, Vec<_>) =
            self.listed(field, value)?.iter().partition(|value| value.is_null());
        let ids = values.into_iter().filter(|value| !is_no_id(field, value));
        let values: Vec<_> = ids.map(|value| bind(field, value, self.backend)).collect::<Result<_>>()?;
        let is_one = comparable(field, self.backend).is_in(values);
        Ok(if nulls.is_empty() { is_one } else { is_one.or(is_null(field, true)) })
    }

    /// Whether text has a part, at its beginning or end perhaps. Its case counts.
    fn matches(&self, field: &Field, operator: &str, value: &Json) -> Result<Expr> {
        let text = match (field.kind, value.as_str()) {
            (FieldKind::Text, Some(text)) => checked(field, text)?,
            _ => return Err(Failure::invalid(&field.name, "takes text, on a text field").into()),
        };
        if text.len() > PATTERN_BYTES_MAX {
            let message = format!("{operator} takes at most {PATTERN_BYTES_MAX} bytes");
            return Err(Failure::invalid(&field.name, message).into());
        }
        let column = Expr::col(field.column.clone());
        let around = |part: String, any: char| match operator {
            "_starts_with" => format!("{part}{any}"),
            "_ends_with" => format!("{any}{part}"),
            _ => format!("{any}{part}{any}"),
        };
        // SQLite's LIKE does not tell upper from lower case; its GLOB does.
        Ok(if self.backend == DbBackend::Sqlite {
            let part = text.replace('[', "[[]").replace('*', "[*]").replace('?', "[?]");
            column.glob(around(part, '*'))
        } else {
            let part = text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_");
            column.like(LikeExpr::new(around(part, '%')).escape('\\'))
        })
    }

    fn listed<'v>(&mut self, field: &Field, value: &'v Json) -> Result<&'v [Json]> {
        let items =
            value.as_array().ok_or_else(|| Failure::invalid(&field.name, "takes an array of values"))?;
        self.count(items.len())?;
        Ok(items)
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

/// Text that is no UUID: no row has it as an id, so a question for it is not wrong.
fn is_no_id(field: &Field, value: &Json) -> bool {
    field.kind == FieldKind::Uuid && value.as_str().is_some_and(|text| Uuid::parse_str(text).is_err())
}

fn bind(field: &Field, value: &Json, backend: DbBackend) -> Result<Value> {
    let is_text = field.is_stored_as_text;
    let bound = match field.kind {
        FieldKind::Text => value.as_str().map(|text| checked(field, text)).transpose()?.map(Value::from),
        FieldKind::Integer => value.as_i64().map(Value::from),
        FieldKind::Float => value.as_f64().map(Value::from),
        FieldKind::Boolean => value.as_bool().map(Value::from),
        FieldKind::Uuid => value
            .as_str()
            .and_then(|text| Uuid::parse_str(text).ok())
            .map(|id| if is_text { id.to_string().into() } else { id.into() }),
        FieldKind::Time => value.as_str().and_then(super::parse_time).map(|time| match backend {
            DbBackend::Sqlite => super::time_text(time).into(),
            _ => time.into(),
        }),
        FieldKind::Json => {
            super::check_json(&field.name, value)?;
            Some(match backend {
                DbBackend::Sqlite => value.to_string().into(),
                _ => value.clone().into(),
            })
        }
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

/// Text that every database can look for.
fn checked<'a>(field: &Field, text: &'a str) -> Result<&'a str> {
    super::check_text(&field.name, text)?;
    Ok(text)
}

/// The opposite. What a database cannot tell because of a null does not hold, so its opposite does.
fn not(condition: Cond) -> Expr {
    Expr::from(Func::coalesce([Expr::from(condition), Expr::val(false)])).not()
}

fn is_null(field: &Field, wanted: bool) -> Expr {
    let column = Expr::col(field.column.clone());
    if wanted { column.is_null() } else { column.is_not_null() }
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
