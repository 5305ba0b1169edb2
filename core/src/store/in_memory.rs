//! The same lists and filters over JSON values that are in memory.

use std::cmp::Ordering;

use serde_json::Value as Json;

use super::list::{ListQuery, OPERATORS, Page};
use crate::error::{Failure, Result};

/// One page of these rows, which all have the fields `known`.
///
/// # Errors
/// As [`super::Store::list`].
pub fn list_values(rows: Vec<Json>, known: &[&str], query: &ListQuery) -> Result<Page<Json>> {
    let (limit, page) = query.limit_and_page()?;
    let total = rows.len() as u64;
    let mut found = Vec::new();
    for row in rows {
        match &query.filter {
            Some(filter) if !matches(filter, &row, known)? => {}
            _ => found.push(row),
        }
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

/// Whether a row meets a filter. The nesting of both is bounded by the JSON parser.
pub(crate) fn matches(filter: &Json, row: &Json, known: &[&str]) -> Result<bool> {
    let conditions = filter.as_object().ok_or_else(|| Failure::invalid("filter", "must be an object"))?;
    let each = |value: &Json| -> Result<Vec<bool>> {
        let items =
            value.as_array().ok_or_else(|| Failure::invalid("filter", "_and and _or take an array"))?;
        items.iter().map(|item| matches(item, row, known)).collect()
    };
    let mut all = true;
    for (key, value) in conditions {
        all &= match key.as_str() {
            "_and" => each(value)?.into_iter().all(|met| met),
            "_or" => each(value)?.into_iter().any(|met| met),
            "_not" => !matches(value, row, known)?,
            name => {
                check_name(name, known)?;
                field_matches(name, &row[name], value)?
            }
        };
    }
    Ok(all)
}

fn field_matches(name: &str, found: &Json, wanted: &Json) -> Result<bool> {
    match wanted.as_object().filter(|operators| operators.keys().any(|key| key.starts_with('_'))) {
        None => Ok(equal(found, wanted)),
        Some(operators) => {
            let mut all = true;
            for (operator, wanted) in operators {
                all &= operator_matches(name, operator, found, wanted)?;
            }
            Ok(all)
        }
    }
}

fn operator_matches(name: &str, operator: &str, found: &Json, wanted: &Json) -> Result<bool> {
    let is = |test: fn(Ordering) -> bool| compare(found, wanted).is_some_and(test);
    let listed = || -> Result<&Vec<Json>> {
        Ok(wanted.as_array().ok_or_else(|| Failure::invalid(name, "takes an array of values"))?)
    };
    let text = |test: fn(&str, &str) -> bool| match (found.as_str(), wanted.as_str()) {
        (Some(found), Some(wanted)) => test(found, wanted),
        _ => false,
    };
    Ok(match operator {
        "_eq" => equal(found, wanted),
        "_neq" => !equal(found, wanted),
        "_gt" => is(Ordering::is_gt),
        "_gte" => is(Ordering::is_ge),
        "_lt" => is(Ordering::is_lt),
        "_lte" => is(Ordering::is_le),
        "_in" => listed()?.iter().any(|wanted| equal(found, wanted)),
        "_nin" => !listed()?.iter().any(|wanted| equal(found, wanted)),
        "_contains" => text(|found, wanted| found.contains(wanted)),
        "_starts_with" => text(|found, wanted| found.starts_with(wanted)),
        "_ends_with" => text(|found, wanted| found.ends_with(wanted)),
        "_between" => match listed()?.as_slice() {
            [low, high] => {
                compare(found, low).is_some_and(Ordering::is_ge)
                    && compare(found, high).is_some_and(Ordering::is_le)
            }
            _ => return Err(Failure::invalid(name, "_between takes two values").into()),
        },
        "_is_null" => found.is_null() == wanted.as_bool().unwrap_or(true),
        other => {
            return Err(
                Failure::invalid(name, format!("unknown operator {other}; known: {OPERATORS}")).into()
            );
        }
    })
}

/// Numbers are equal whether or not they are written with a point.
fn equal(left: &Json, right: &Json) -> bool {
    left == right || (left.is_number() && compare(left, right) == Some(Ordering::Equal))
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
    fn filters() {
        let row = json!({ "a": 5, "b": "text", "c": null, "d": 9_007_199_254_740_993_i64 });
        let known = ["a", "b", "c", "d"];
        for (filter, expected) in [
            (json!({}), true),
            (json!({ "a": 5 }), true),
            (json!({ "a": { "_gt": 4, "_lte": 5 } }), true),
            (json!({ "a": { "_between": [6, 7] } }), false),
            (json!({ "b": { "_contains": "ex" }, "c": { "_is_null": true } }), true),
            (json!({ "_or": [{ "a": 1 }, { "b": { "_in": ["text"] } }] }), true),
            (json!({ "_not": { "b": { "_ends_with": "xt" } } }), false),
            (json!({ "d": 9_007_199_254_740_992_i64 }), false),
            (json!({ "d": { "_gt": 9_007_199_254_740_992_i64 } }), true),
        ] {
            assert_eq!(matches(&filter, &row, &known).unwrap(), expected, "{filter}");
        }
        assert!(matches(&json!({ "e": 1 }), &row, &known).is_err());
        assert!(matches(&json!({ "a": { "_what": 1 } }), &row, &known).is_err());
    }

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
