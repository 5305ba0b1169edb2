//! The same lists over JSON values that are in memory.

use std::cmp::Ordering;

use serde_json::Value as Json;

use super::list::{ListQuery, Page};
use crate::error::{Failure, Result};
use crate::filter::{Filter, NamesOnly};

/// One page of these rows, which all have the fields `known`.
///
/// # Errors
/// As [`super::Store::list`].
pub fn list_values(rows: Vec<Json>, known: &[&str], query: &ListQuery) -> Result<Page<Json>> {
    let (limit, page) = query.limit_and_page()?;
    let total = rows.len() as u64;
    let filter = query.filter.as_ref().map(|json| Filter::parse(json, &NamesOnly(known))).transpose()?;
    let mut found = rows;
    if let Some(filter) = filter {
        found.retain(|row| row.as_object().is_some_and(|row| filter.matches(row)));
    }
    if let Some(sort) = &query.sort {
        for part in sort.split(',').rev().map(str::trim) {
            let (name, is_descending) = part.strip_prefix('-').map_or((part, false), |name| (name, true));
            check_name(name, known)?;
            found.sort_by(|left, right| {
                let order = compare(&left[name], &right[name]).unwrap_or(Ordering::Equal);
                if is_descending { order.reverse() } else { order }
            });
        }
    }
    let counts = query.with_counts.then_some((total, found.len() as u64));
    let skipped = usize::try_from((page - 1) * limit).unwrap_or(usize::MAX);
    Ok(Page { rows: found.into_iter().skip(skipped).take(limit as usize).collect(), counts })
}

/// The order of two values of one kind. Integers past 2^53 are not compared as floats.
fn compare(left: &Json, right: &Json) -> Option<Ordering> {
    if let (Some(left), Some(right)) = (left.as_i64(), right.as_i64()) {
        return Some(left.cmp(&right));
    }
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => left.as_f64()?.partial_cmp(&right.as_f64()?),
        (Json::String(left), Json::String(right)) => Some(left.cmp(right)),
        (Json::Bool(left), Json::Bool(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

fn check_name(name: &str, known: &[&str]) -> Result<()> {
    if known.contains(&name) {
        return Ok(());
    }
    Err(Failure::invalid("filter", format!("there is no field {name}; known: {}", known.join(", "))).into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sorts_and_pages() {
        let rows = (0..5).map(|n| json!({ "n": n })).collect();
        let query = ListQuery {
            limit: Some(2),
            page: Some(2),
            sort: Some("-n".into()),
            with_counts: true,
            ..ListQuery::default()
        };
        let page = list_values(rows, &["n"], &query).unwrap();
        assert_eq!((page.rows, page.counts), (vec![json!({ "n": 2 }), json!({ "n": 1 })], Some((5, 5))));
    }
}
