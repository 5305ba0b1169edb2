//! JSON Schemas of payloads, checked within bounds.
//!
//! What a check costs is up to the schema and the payload together: references that meet again
//! and again in `oneOf` take time without end on a few hundred bytes. The library knows no
//! deadline, so it reads payloads through [`Metered`], which counts each look at a value and
//! unwinds out of a check that goes on for too long or holds too much memory.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use jsonschema::JsonType;
use jsonschema::json::{Array, Json, Node, NodeIdentity, Object};
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::{Map, Number, Value};

use super::bounded_text;
use super::memory::{counted, held_bytes, uncounted};
use crate::error::{ErrorCode, Failure};

/// Looks at values that a check may take where it must not keep anybody waiting: about a
/// millisecond of them.
const BRIEF_STEPS: u64 = 10_000;
/// Looks that are spent on saying what is wrong with a payload that is known to be wrong.
const REASON_STEPS: u64 = 100_000;
/// Steps between two looks at the clock. One step takes a millisecond at worst (the comparison of
/// a whole payload with a constant).
const CLOCK_EVERY: u64 = 16;
/// The longest message and pointer: both may hold names that the client made up.
const REASON_BYTES_MAX: usize = 512;
/// States of a pattern, in bytes: what one match may cost is bounded by it.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Parts that a check may come through, each as often as it is referred to.
const PARTS_MAX: u64 = 1_000_000;
/// What refers to another part.
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

/// A schema that is ready to check payloads.
pub(crate) struct Schema {
    validator: Validator<Metered>,
    /// Whether it refers to itself or to a part of itself, so that a check may recurse as deep as
    /// the payload does.
    refers: bool,
}

impl Schema {
    /// A schema as JSON has it: patterns in linear time, and no reference leaves the schema.
    pub(crate) fn new(schema: &Value) -> Result<Self, String> {
        if Parts::of(schema)?.size(schema) > PARTS_MAX {
            return Err(format!("its references lead to more than {PARTS_MAX} parts"));
        }
        let validator = jsonschema::options_for::<Metered>()
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES_MAX))
            .build(schema)
            .map_err(|error| bounded_text(&error.to_string(), REASON_BYTES_MAX).into_owned())?;
        Ok(Self { validator, refers: has_reference(schema) })
    }

    /// The outcome, if it can be known in a moment and on any stack.
    pub(super) fn check_briefly(&self, payload: &Value) -> Option<Result<(), Failure>> {
        let bounds = Meter { steps: BRIEF_STEPS, deadline: None, held_bytes_max: i64::MAX };
        if self.refers {
            return None;
        }
        metered(bounds, || self.validator.is_valid(MeteredNode(payload)))
            .ok()
            .map(|is_valid| if is_valid { Ok(()) } else { Err(self.reason(payload, bounds)) })
    }

    /// The outcome, within bounds. Takes a deep stack: call it on a script thread.
    pub(super) fn check(&self, payload: &Value, time: Duration, memory_bytes: usize) -> Result<(), Failure> {
        let bounds = Meter {
            steps: u64::MAX,
            deadline: Some(Instant::now() + time),
            held_bytes_max: held_bytes().saturating_add(memory_bytes as i64),
        };
        counted(|| match metered(bounds, || self.validator.is_valid(MeteredNode(payload))) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.reason(payload, Meter { steps: REASON_STEPS, ..bounds })),
            Err(stop) => Err(uncounted(|| stop.failure())),
        })
    }

    /// Why a payload is wrong, as far as the bounds allow to say.
    fn reason(&self, payload: &Value, bounds: Meter) -> Failure {
        let described = metered(bounds, || {
            self.validator.validate(MeteredNode(payload)).err().map(|error| uncounted(|| describe(&error)))
        });
        described.ok().flatten().unwrap_or_else(|| {
            uncounted(|| Failure::new(ErrorCode::InvalidPayload, "the payload: does not have its schema"))
        })
    }
}

fn describe(error: &ValidationError<'_>) -> Failure {
    let pointer = error.instance_path().to_string();
    let pointer = bounded_text(&pointer, REASON_BYTES_MAX);
    let place = if pointer.is_empty() { "the payload" } else { &pointer };
    // The value itself is masked: it may be large, or a secret that would land in a log.
    let problem = error.masked_with("the value").to_string();
    let message = format!("{place}: {}", bounded_text(&problem, REASON_BYTES_MAX));
    Failure::new(ErrorCode::InvalidPayload, message).with_details(serde_json::json!({ "pointer": pointer }))
}

/// Whether it has a reference anywhere; one that stands in a constant refers to nothing, which
/// costs that schema the brief check and nothing else.
fn has_reference(schema: &Value) -> bool {
    REFERENCES.iter().any(|key| schema.get(key).is_some()) || children(schema).any(has_reference)
}

/// The parts of a schema, to say how many a check may come through.
///
/// References that fan out (each of forty parts refers twice to the next) are followed without a
/// look at the payload, so no meter sees them. Those that come back to themselves are: each time
/// the library asks which value it is at.
struct Parts<'a> {
    root: &'a Value,
    by_name: HashMap<&'a str, &'a Value>,
    /// By place; 0 while it is being counted.
    sizes: HashMap<*const Value, u64>,
}

impl<'a> Parts<'a> {
    fn of(root: &'a Value) -> Result<Self, String> {
        let mut parts = Self { root, by_name: HashMap::new(), sizes: HashMap::new() };
        parts.name(root)?;
        Ok(parts)
    }

    /// Finds the names of parts, and refuses references whose aim is not known for sure.
    fn name(&mut self, part: &'a Value) -> Result<(), String> {
        if let Value::Object(fields) = part {
            for key in ["$anchor", "$dynamicAnchor"] {
                if let Some(Value::String(name)) = fields.get(key) {
                    self.by_name.insert(name, part);
                }
            }
            if let Some(Value::String(id)) = fields.get("$id")
                && !std::ptr::eq(part, self.root)
            {
                return Err(format!("only the whole schema has an \"$id\", not {}", bounded_text(id, 64)));
            }
            for key in REFERENCES {
                if let Some(Value::String(reference)) = fields.get(key)
                    && (!reference.starts_with('#') || reference.contains('%'))
                {
                    let reference = bounded_text(reference, 64);
                    return Err(format!(
                        "{key} is written \"#\", \"#/path\" or \"#name\", not {reference:?}"
                    ));
                }
            }
        }
        children(part).try_for_each(|child| self.name(child))
    }

    fn size(&mut self, part: &'a Value) -> u64 {
        if let Some(size) = self.sizes.get(&std::ptr::from_ref(part)) {
            return *size;
        }
        self.sizes.insert(part, 0);
        let aims = REFERENCES.into_iter().filter_map(|key| self.aim(part.get(key)?.as_str()?));
        let below: Vec<_> = children(part).chain(aims).collect();
        let size = below.into_iter().fold(1_u64, |size, part| size.saturating_add(self.size(part)));
        self.sizes.insert(part, size);
        size
    }

    fn aim(&self, reference: &str) -> Option<&'a Value> {
        let place = reference.strip_prefix('#')?;
        match place {
            "" => Some(self.root),
            _ if place.starts_with('/') => self.root.pointer(place),
            name => self.by_name.get(name).copied(),
        }
    }
}

fn children(part: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match part {
        Value::Object(fields) => Box::new(fields.values()),
        Value::Array(values) => Box::new(values.iter()),
        _ => Box::new(std::iter::empty()),
    }
}

/// What is left to a check.
#[derive(Clone, Copy)]
struct Meter {
    steps: u64,
    deadline: Option<Instant>,
    held_bytes_max: i64,
}

/// Why a check was ended.
enum Stop {
    Steps,
    Time,
    Memory,
}

impl Stop {
    fn failure(self) -> Failure {
        match self {
            Self::Steps | Self::Time => {
                Failure::new(ErrorCode::ScriptTimeout, "Checking the payload took longer than it may")
            }
            Self::Memory => Failure::new(
                ErrorCode::ScriptMemoryLimit,
                "Checking the payload took more memory than it may",
            ),
        }
    }
}

thread_local! {
    static METER: Cell<Meter> =
        const { Cell::new(Meter { steps: u64::MAX, deadline: None, held_bytes_max: i64::MAX }) };
}

/// Does a check within bounds. The validator is as it was when the check unwinds: what it keeps of
/// a check lives on the stack.
fn metered<T>(bounds: Meter, check: impl FnOnce() -> T) -> Result<T, Stop> {
    METER.set(bounds);
    catch_unwind(AssertUnwindSafe(check)).map_err(|reason| match reason.downcast::<Stop>() {
        Ok(stop) => *stop,
        Err(panic) => resume_unwind(panic),
    })
}

/// One look at a value.
#[inline]
fn step() {
    let mut meter = METER.get();
    meter.steps -= 1;
    METER.set(meter);
    let stop = if meter.steps == 0 {
        Stop::Steps
    } else if held_bytes() > meter.held_bytes_max {
        Stop::Memory
    } else if meter.steps.is_multiple_of(CLOCK_EVERY)
        && meter.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    {
        Stop::Time
    } else {
        return;
    };
    resume_unwind(Box::new(stop));
}

/// JSON as serde has it, each look at it counted.
struct Metered;

#[derive(Clone, Copy)]
struct MeteredNode<'a>(&'a Value);

#[derive(Clone, Copy)]
struct MeteredObject<'a>(&'a Map<String, Value>);

#[derive(Clone, Copy)]
struct MeteredArray<'a>(&'a [Value]);

impl Json for Metered {
    type Node<'a> = MeteredNode<'a>;
    type PreparedKey = String;
    type StringBuffer = Value;

    const KEYS_PER_LOOKUP: usize = 2;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(buffer: &mut Value, text: &str, work: impl FnOnce(MeteredNode<'_>) -> T) -> T {
        step();
        *buffer = Value::String(text.to_owned());
        work(MeteredNode(buffer))
    }
}

impl<'a> Node<'a, Metered> for MeteredNode<'a> {
    type Object = MeteredObject<'a>;
    type Array = MeteredArray<'a>;
    type Number = &'a Number;

    fn as_object(&self) -> Option<MeteredObject<'a>> {
        step();
        self.0.as_object().map(MeteredObject)
    }

    fn as_array(&self) -> Option<MeteredArray<'a>> {
        step();
        self.0.as_array().map(|values| MeteredArray(values))
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        step();
        self.0.as_str().map(Cow::Borrowed)
    }

    fn as_number(&self) -> Option<&'a Number> {
        step();
        self.0.as_number()
    }

    fn as_boolean(&self) -> Option<bool> {
        step();
        self.0.as_bool()
    }

    fn is_null(&self) -> bool {
        step();
        self.0.is_null()
    }

    fn json_type(&self) -> JsonType {
        step();
        match self.0 {
            Value::Null => JsonType::Null,
            Value::Bool(_) => JsonType::Boolean,
            Value::Number(_) => JsonType::Number,
            Value::String(_) => JsonType::String,
            Value::Array(_) => JsonType::Array,
            Value::Object(_) => JsonType::Object,
        }
    }

    fn to_value(&self) -> Cow<'a, Value> {
        step();
        Cow::Borrowed(self.0)
    }

    fn identity(&self) -> Option<NodeIdentity> {
        step();
        Some(NodeIdentity::new(std::ptr::from_ref(self.0) as usize))
    }
}

impl<'a> Object<'a, Metered> for MeteredObject<'a> {
    type Node = MeteredNode<'a>;
    type MemberName = &'a str;
    type MembersIter =
        std::iter::Map<serde_json::map::Iter<'a>, fn((&'a String, &'a Value)) -> (&'a str, MeteredNode<'a>)>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, key: &String) -> Option<MeteredNode<'a>> {
        step();
        self.0.get(key).map(MeteredNode)
    }

    fn members(&self) -> Self::MembersIter {
        self.0.iter().map(|(key, value)| {
            step();
            (key.as_str(), MeteredNode(value))
        })
    }
}

impl<'a> Array<'a, Metered> for MeteredArray<'a> {
    type Node = MeteredNode<'a>;
    type ElementsIter = std::iter::Map<std::slice::Iter<'a, Value>, fn(&'a Value) -> MeteredNode<'a>>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn elements(&self) -> Self::ElementsIter {
        self.0.iter().map(|value| {
            step();
            MeteredNode(value)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MEMORY: usize = 32 << 20;

    /// As the attack has it: each level of the payload doubles what has to be looked at.
    fn doubling() -> Value {
        json!({
            "oneOf": [
                {"type": "array", "items": {"$ref": "#"}, "maxItems": 1},
                {"type": "array", "items": {"$ref": "#"}, "maxItems": 2},
                {"type": "null"},
            ]
        })
    }

    fn nested(depth: usize, inner: Value) -> Value {
        (0..depth).fold(inner, |inner, _| json!([inner]))
    }

    fn check(schema: &Value, payload: Value, milliseconds: u64) -> Result<(), Failure> {
        let schema = Schema::new(schema).unwrap();
        super::super::spawn_script_thread("schema".to_owned(), move || {
            schema.check(&payload, Duration::from_millis(milliseconds), MEMORY)
        })
        .unwrap()
        .join()
        .unwrap()
    }

    #[test]
    fn what_goes_on_for_ever_ends() {
        let schema = Schema::new(&doubling()).unwrap();
        let payload = nested(60, json!(null));
        let bounds = Meter { steps: 1_000_000, deadline: None, held_bytes_max: i64::MAX };
        let said = metered(bounds, || schema.validator.validate(MeteredNode(&payload)).is_ok());
        assert!(matches!(said, Err(Stop::Steps)), "saying why goes on and on");
        let refused = check(&doubling(), payload.clone(), 60_000).unwrap_err();
        assert_eq!((refused.code, refused.details), (ErrorCode::InvalidPayload, None));
        let late = check(&doubling(), payload, 0).unwrap_err();
        assert_eq!(late.code, ErrorCode::ScriptTimeout);
    }

    #[test]
    fn whatever_refers_to_itself_comes_to_an_end() {
        for schema in [
            json!({"allOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}], "not": {"const": 7}}),
            json!({"anyOf": [{"items": {"$ref": "#"}, "contains": {"$ref": "#"}}, {"items": {"$ref": "#"}}]}),
            json!({"oneOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}],
                   "$defs": {"a": {"oneOf": [{"items": {"$ref": "#"}}, {"contains": {"$ref": "#"}}]}}}),
            json!({"unevaluatedItems": {"$ref": "#"},
                   "oneOf": [{"items": {"$ref": "#"}}, {"contains": {"$ref": "#"}}]}),
            json!({"$dynamicAnchor": "a",
                   "oneOf": [{"items": {"$dynamicRef": "#a"}}, {"contains": {"$dynamicRef": "#a"}}]}),
        ] {
            for inner in [json!(null), json!(1), json!("x")] {
                if let Err(failure) = check(&schema, nested(60, inner), 100) {
                    let codes = [ErrorCode::ScriptTimeout, ErrorCode::InvalidPayload];
                    assert!(codes.contains(&failure.code), "{schema}: {failure}");
                }
            }
        }
    }

    #[test]
    fn a_fan_of_references_is_refused() {
        let fan = |levels: usize| {
            let mut parts = Map::new();
            for level in 0..levels {
                let next = json!({"$ref": format!("#/$defs/a{}", level + 1)});
                parts.insert(format!("a{level}"), json!({"allOf": [next, next]}));
            }
            parts.insert(format!("a{levels}"), json!({}));
            json!({"$ref": "#/$defs/a0", "$defs": parts})
        };
        assert!(Schema::new(&fan(60)).err().unwrap().contains("parts"));
        assert_eq!(check(&fan(8), json!(1), 60_000), Ok(()));
        for schema in [
            json!({"$ref": "other.json"}),
            json!({"$ref": "http://127.0.0.1/s"}),
            json!({"$defs": {"a": {"$id": "http://x.example/"}}}),
        ] {
            assert!(Schema::new(&schema).is_err(), "{schema}");
        }
    }

    #[test]
    fn says_where_and_why_and_no_more() {
        let schema =
            Schema::new(&json!({"properties": {"a": {"type": "string"}}, "additionalProperties": false}))
                .unwrap();
        let briefly = |payload: Value| schema.check_briefly(&payload).unwrap();
        assert_eq!(briefly(json!({"a": "b"})), Ok(()));
        let failure = briefly(json!({"a": 1})).unwrap_err();
        assert_eq!(failure.code, ErrorCode::InvalidPayload);
        assert!(failure.message.starts_with("/a: "), "{failure}");
        let long = briefly(json!({"x".repeat(60_000): 1})).unwrap_err();
        assert!(long.to_string().len() < 2_000);
        assert!(schema.check_briefly(&json!(vec![1; 10 * BRIEF_STEPS as usize])).is_some());
        let items = Schema::new(&json!({"items": {"type": "integer"}})).unwrap();
        assert_eq!(items.check_briefly(&json!(vec![1; 10 * BRIEF_STEPS as usize])), None);
        let refers = Schema::new(&json!({"items": {"$ref": "#"}})).unwrap();
        assert_eq!(refers.check_briefly(&json!(1)), None);
    }
}
