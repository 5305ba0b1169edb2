//! What a script did not write itself: payloads, requests, rows, cached values, parsed text.
//!
//! A client that sends `{"_neq": ""}` where a script expects an address would otherwise find
//! everybody's row. So each map that comes from outside is marked, by a tag that Rhai keeps with
//! every copy; in a filter or in the data of a row it is a value and never an operator.

use std::any::TypeId;

use rhai::{Dynamic, Engine, EvalAltResult, Map};
use serde_json::{Value as Json, json};

use super::failure::raise;
use super::json;
use super::rows::to_value;
use super::run::{self, with_run};
use crate::error::{ErrorCode, Failure};

type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// The tag of a map from outside.
const OUTSIDE: i32 = 1;
/// The tag of a map from outside that the script has let through as a filter.
const FILTER: i32 = 2;

/// Marks the maps of a value that comes from outside.
pub(super) fn from_outside(mut value: Dynamic) -> Dynamic {
    mark(&mut value, OUTSIDE);
    value
}

/// Whether a value is a map that the script did not write itself.
pub(super) fn is_outside(value: &Dynamic) -> bool {
    tag_of(value) == OUTSIDE && value.as_map_ref().is_ok()
}

/// `@HELPERS.filter(value)`: the same as a filter, whatever a client has put into it.
pub(super) fn let_through(value: &Dynamic) -> Outcome<Dynamic> {
    if !value.is_unit() && value.as_map_ref().is_err() {
        let message = format!("@HELPERS.filter takes a map or (), not {}", value.type_name());
        return Err(raise(Failure::new(ErrorCode::Validation, message)));
    }
    let (depth, bytes) = with_run(|run| (run.limits.value_depth, run.limits.result_bytes));
    let text = json::to_json(value, depth, bytes).map_err(|reason| run::unsendable("a filter", reason))?;
    let mut filter: Dynamic = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    mark(&mut filter, FILTER);
    Ok(filter)
}

/// A filter on its way to the database.
pub(super) fn to_filter(value: &Dynamic) -> Outcome<Json> {
    let mut filter = to_value("a filter", value)?;
    restrict(value, &mut filter)?;
    Ok(filter)
}

/// Makes values of the maps that are no operators. `to_value` has bounded the nesting.
fn restrict(value: &Dynamic, filter: &mut Json) -> Outcome<()> {
    if is_outside(value) {
        let message = "This filter comes from outside of the script: take its values one by one, or let a \
                       client's filter through with `@HELPERS.filter(…)`";
        return Err(raise(Failure::new(ErrorCode::Validation, message)));
    }
    let Ok(terms) = value.as_map_ref() else { return Ok(()) };
    for (name, value) in terms.iter() {
        let Some(term) = filter.get_mut(name.as_str()) else { continue };
        match name.as_str() {
            "_not" => restrict(value, term)?,
            "_and" | "_or" => {
                if let (Ok(values), Some(terms)) = (value.as_array_ref(), term.as_array_mut()) {
                    values.iter().zip(terms).try_for_each(|(value, term)| restrict(value, term))?;
                }
            }
            _ if is_outside(value) => *term = json!({ "_eq": term.take() }),
            _ => {}
        }
    }
    Ok(())
}

fn mark(value: &mut Dynamic, tag: i32) {
    if let Ok(mut map) = value.as_map_mut() {
        map.values_mut().for_each(|value| mark(value, tag));
    } else if let Ok(mut array) = value.as_array_mut() {
        array.iter_mut().for_each(|value| mark(value, tag));
        return;
    } else {
        return;
    }
    value.set_tag(tag);
}

/// The tag of the value itself, not of the cell that shares it.
fn tag_of(value: &Dynamic) -> i32 {
    value.read_lock::<Dynamic>().map_or(0, |value| value.tag())
}

/// Registers what makes maps of maps and of text over Rhai's, which forgets where they came from.
pub(super) fn register(engine: &mut Engine) {
    let maps = [TypeId::of::<Map>(), TypeId::of::<Map>()];
    for name in ["+=", "mixin"] {
        engine.register_raw_fn(name, maps, |_, args| -> Outcome<()> {
            add(args, |map, key, value| {
                map.insert(key, value);
            })
        });
    }
    engine.register_raw_fn("fill_with", maps, |_, args| -> Outcome<()> {
        add(args, |map, key, value| {
            map.entry(key).or_insert(value);
        })
    });
    engine.register_raw_fn("+", maps, |_, args| -> Outcome<Dynamic> {
        let mut sum = args[0].flatten_clone();
        add(&mut [&mut sum, &mut *args[1]], |map, key, value| {
            map.insert(key, value);
        })?;
        Ok(sum)
    });
}

/// Adds the second map to the first, which then is from outside if either was.
fn add(args: &mut [&mut Dynamic], mut put: impl FnMut(&mut Map, rhai::Identifier, Dynamic)) -> Outcome<()> {
    let tag = match (tag_of(args[0]), tag_of(args[1])) {
        (OUTSIDE, _) | (_, OUTSIDE) => OUTSIDE,
        (left, right) => left.max(right),
    };
    let others = args[1].flatten_clone().try_cast::<Map>().unwrap_or_default();
    if let Ok(mut map) = args[0].as_map_mut() {
        others.into_iter().for_each(|(key, value)| put(&mut map, key, value));
    }
    if let Some(mut value) = args[0].write_lock::<Dynamic>() {
        value.set_tag(tag);
    }
    Ok(())
}
