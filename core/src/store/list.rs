//! Lists as clients ask for them: filter, sort, page and counts, checked against known fields.
//!
//! A field that is not known, an operator that does not exist or a value of the wrong type is a
//! `VALIDATION_ERROR` that lists what is known. Values only ever travel as bound parameters.
//!
//! Both databases answer alike, and as [`super::in_memory`] does: null sorts before every value, and
//! text is compared by code points, so case matters.

use sea_orm::sea_query::{Cond, IntoIden, NullOrdering, Order, SelectStatement};
use sea_orm::{
    ColumnTrait, ColumnType, ConnectionTrait, DbBackend, EntityTrait, Iden, Iterable, PaginatorTrait,
    PrimaryKeyToColumn, QueryFilter, QuerySelect, QueryTrait,
};
use serde_json::Value as Json;

use super::Store;
use crate::error::{ErrorCode, Failure, Result};
use crate::filter::{Field, FieldKind, Filter, comparable};

/// Rows of a page when nothing is asked for.
pub const LIMIT_DEFAULT: u64 = 20;
/// Rows of a page at most.
pub const LIMIT_MAX: u64 = 1000;
/// The last page. The offset of any page behind it might overflow.
pub const PAGE_MAX: u64 = 1_000_000_000;
/// Fields to sort by.
const SORT_FIELDS_MAX: usize = 100;

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
            Some(json) => {
                let filter = Filter::parse(json, fields.as_slice())?;
                scoped.clone().filter(filter.condition(&fields, backend))
            }
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
        // Rows that are equal in these fields are ordered by id, so that pages do not overlap.
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
        // Null sorts first: SQLite's default, which PostgreSQL has to be told.
        let nulls = if order == Order::Desc { NullOrdering::Last } else { NullOrdering::First };
        select.order_by_expr_with_nulls(column, order, nulls);
    } else {
        select.order_by_expr(column, order);
    }
}

fn find<'a>(fields: &'a [Field], name: &str) -> Result<&'a Field> {
    fields.iter().find(|field| field.name == name).ok_or_else(|| {
        let known = fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ");
        Failure::new(ErrorCode::Validation, format!("There is no field {name}; known: {known}")).into()
    })
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
