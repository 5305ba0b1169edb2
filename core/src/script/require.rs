//! `value.require(path, type)`: what a payload has to have.

use rhai::{Dynamic, Engine, EvalAltResult};

use super::failure::raise;
use crate::error::{ErrorCode, Failure};
use crate::nearest::did_you_mean;

/// The types that may be asked for, with how a message speaks of them.
const TYPES: [(&str, &str); 7] = [
    ("string", "text"),
    ("number", "a number"),
    ("integer", "a whole number"),
    ("boolean", "true or false"),
    ("object", "an object"),
    ("array", "an array"),
    ("any", "a value"),
];

type Outcome<T> = Result<T, Box<EvalAltResult>>;

pub(super) fn register(engine: &mut Engine) {
    engine
        .register_fn("require", |value: &mut Dynamic, path: &str, kind: &str| require(value, path, kind))
        .register_fn("require", |value: &mut Dynamic, path: &str| require(value, path, "any"));
}

/// The value at a path such as `data.roomId`.
///
/// # Errors
/// `VALIDATION_ERROR`, which names the field, where there is none, or one of another type.
fn require(value: &Dynamic, path: &str, kind: &str) -> Outcome<Dynamic> {
    let Some((_, wanted)) = TYPES.iter().find(|(name, _)| *name == kind) else {
        let names = TYPES.map(|(name, _)| name);
        let known = names.join(", ");
        return Err(
            format!("require knows no type \"{kind}\", only {known}{}", did_you_mean(kind, names)).into()
        );
    };
    let mut found = value.clone();
    for name in path.split('.') {
        let next = found.as_map_ref().ok().and_then(|map| map.get(name).cloned());
        found = next.filter(|next| !next.is_unit()).ok_or_else(|| refused(path, "is required"))?;
    }
    if is_of(&found, kind) { Ok(found) } else { Err(refused(path, &format!("has to be {wanted}"))) }
}

fn is_of(value: &Dynamic, kind: &str) -> bool {
    match kind {
        "string" => value.is_string(),
        "number" => value.is_int() || value.is_float(),
        "integer" => value.is_int(),
        "boolean" => value.is_bool(),
        "object" => value.is_map(),
        "array" => value.is_array(),
        _ => true,
    }
}

fn refused(path: &str, why: &str) -> Box<EvalAltResult> {
    let details = serde_json::json!({ "field": path });
    raise(Failure::new(ErrorCode::Validation, format!("{path} {why}")).with_details(details))
}
