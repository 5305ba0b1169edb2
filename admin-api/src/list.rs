//! Lists on the wire: their parameters and their answers.

use gatewright_core::Failure;
use gatewright_core::data::{Find, Table};
use gatewright_core::store::list::{ListQuery, Page};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::error::{ApiError, Result};

/// The parameters of every list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// Rows of a page: 1 to 1000, 20 by default.
    #[param(minimum = 1, maximum = 1000)]
    pub(crate) limit: Option<i64>,
    /// Counts from 1.
    #[param(minimum = 1)]
    pub(crate) page: Option<i64>,
    /// Fields with commas, `-` before one for descending: `-createdAt,name`.
    pub(crate) sort: Option<String>,
    /// Conditions as JSON: `{"name": {"_contains": "x"}}`.
    pub(crate) filter: Option<String>,
    /// Only these fields, with commas.
    pub(crate) fields: Option<String>,
    /// `*` for `totalCount` and `filterCount`.
    pub(crate) meta: Option<String>,
}

/// One page.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListAnswer<T> {
    /// The rows.
    pub data: Vec<T>,
    /// Counts, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<ListMeta>,
}

/// Counts of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListMeta {
    total_count: u64,
    filter_count: u64,
}

impl ListParams {
    /// The query of the core.
    pub fn query(&self) -> Result<ListQuery> {
        let filter = self.filter.as_deref().map(serde_json::from_str::<Json>).transpose();
        let filter = filter.map_err(|error| ApiError::bad_request(format!("filter is not JSON: {error}")))?;
        Ok(ListQuery {
            limit: natural("limit", self.limit)?,
            page: natural("page", self.page)?,
            sort: self.sort.clone(),
            filter,
            with_counts: self.meta.is_some(),
        })
    }

    /// The same of the rows of this table.
    pub fn find(&self, table: &Table) -> Result<Find> {
        let query = self.query()?;
        let (limit, page) = query.limit_and_page()?;
        let fields = self.fields.as_deref().map(|fields| fields.split(','));
        Ok(Find {
            filter: query.filter.map(|filter| table.filter(&filter)).transpose()?,
            scope: None,
            fields: fields.map(|names| names.map(|name| name.trim().to_owned()).collect()),
            sort: query.sort,
            limit,
            looks_ahead: false,
            page,
            with_counts: query.with_counts,
            locks: false,
        })
    }

    /// A page of the core as an answer, with the fields that were asked for.
    pub fn answer<R, T>(&self, page: Page<R>) -> Result<axum::Json<ListAnswer<Json>>>
    where
        T: From<R> + Serialize + PartialSchema,
    {
        let rows = page.rows.into_iter().map(|row| serde_json::to_value(T::from(row)).unwrap_or_default());
        self.answer_values::<T>(Page { rows: rows.collect(), counts: page.counts })
    }

    /// The same, of rows that are JSON already.
    pub fn answer_values<T: PartialSchema>(&self, page: Page<Json>) -> Result<axum::Json<ListAnswer<Json>>> {
        let fields = self.fields.as_deref().map(|fields| known_fields::<T>(fields)).transpose()?;
        let data = page.rows.into_iter().map(|row| project(row, fields.as_deref())).collect();
        Ok(axum::Json(ListAnswer::new(data, page.counts)))
    }
}

impl<T> ListAnswer<T> {
    /// A page with these counts, of all rows and of those that match.
    pub fn new(data: Vec<T>, counts: Option<(u64, u64)>) -> Self {
        let meta = counts.map(|(total_count, filter_count)| ListMeta { total_count, filter_count });
        Self { data, meta }
    }
}

fn natural(name: &str, number: Option<i64>) -> Result<Option<u64>> {
    let refused = || Failure::invalid(name, "must be 1 or more").into();
    number.map(|number| u64::try_from(number).map_err(|_| refused())).transpose()
}

/// The fields of a list, each of which the rows must have.
fn known_fields<T: PartialSchema>(fields: &str) -> Result<Vec<&str>> {
    let RefOr::T(Schema::Object(schema)) = T::schema() else { return Ok(fields.split(',').collect()) };
    let fields = fields.split(',').map(str::trim);
    fields
        .map(|field| {
            if schema.properties.contains_key(field) {
                return Ok(field);
            }
            let known = schema.properties.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            Err(Failure::invalid("fields", format!("there is no field {field}; known: {known}")).into())
        })
        .collect()
}

fn project(row: Json, fields: Option<&[&str]>) -> Json {
    match (row, fields) {
        (Json::Object(row), Some(fields)) => {
            row.into_iter().filter(|(name, _)| fields.contains(&name.as_str())).collect()
        }
        (row, _) => row,
    }
}

/// For fields that may be set to null: absent is none, null is `Some(None)`.
pub(crate) fn nullable<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}
