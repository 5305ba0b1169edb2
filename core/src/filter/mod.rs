//! Conditions on rows, as scripts, requests, rules and hooks write them.
//!
//! A filter is parsed once, against the fields that it may name, and is typed from then on: parsing
//! refuses, nothing after it does. What a filter means is written down twice, as SQL and as a match in
//! memory, and a property test holds the two together. Null is a value: nothing is above or below it,
//! and it differs from all others.
//!
//! This module must not know where rows are or who asks for them.

mod field;
mod matching;
mod parse;
mod sql;
mod user;
mod words;

use std::hash::{Hash, Hasher};

use serde_json::Value as Json;
use uuid::Uuid;

use crate::moment::Time;

pub use field::{AnyField, Field, FieldKind, Fields, NamesOnly};
pub use parse::OPERATORS;
pub(crate) use sql::{comparable, comparable_as};
use user::UserField;
pub use user::{USER_FIELDS, USER_PREFIX};

/// A condition on rows. Filters that say the same in the same order are equal, however they were written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Filter(Condition);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Field(Box<str>, Test),
}

/// What is asked of one value of a row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Test {
    Null,
    /// `_eq` and `_in`; null is a test of its own.
    OneOf(Vec<Value>),
    Order(Comparison, Value),
    Part(Place, Value),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// Where in a text a part is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    Anywhere,
    Start,
    End,
}

/// A value that a row's value is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Value {
    Text(Box<str>),
    Integer(i64),
    Float(Float),
    Boolean(bool),
    Time(Time),
    Uuid(Uuid),
    Json(Json),
    /// Stands for what the user who asks has in a field.
    User(UserField, FieldKind),
}

/// A number that is never NaN; -0 is 0.
#[derive(Debug, Clone, Copy)]
struct Float(f64);

impl Float {
    fn new(number: f64) -> Self {
        Self(number + 0.0)
    }
}

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Float {}

impl Hash for Float {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl Filter {
    /// The filter that every row meets.
    pub fn all() -> Self {
        Self(Condition::All(Vec::new()))
    }

    /// Whether it is the filter that every row meets, as it is written.
    pub fn is_all(&self) -> bool {
        matches!(&self.0, Condition::All(conditions) if conditions.is_empty())
    }

    /// The filter that no row meets.
    pub fn nothing() -> Self {
        Self(Condition::Any(Vec::new()))
    }

    /// The rows that meet both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(Condition::all(vec![self.0, other.0]))
    }

    /// The rows whose field `name`, which holds UUIDs, is this; none for text that is no UUID.
    pub fn by_id(name: &str, id: &str) -> Self {
        let ids = Uuid::parse_str(id).ok().map(Value::Uuid);
        Self(Condition::Field(name.into(), Test::OneOf(ids.into_iter().collect())))
    }

    /// The id, where the field `name` being it is all that is asked.
    pub fn as_id(&self, name: &str) -> Option<Uuid> {
        match &self.0 {
            Condition::Field(field, Test::OneOf(values)) if **field == *name => match values.as_slice() {
                [Value::Uuid(id)] => Some(*id),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Condition {
    /// All of these; what is within another `All` is taken out of it.
    fn all(conditions: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(conditions.len());
        for condition in conditions {
            match condition {
                Self::All(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1 { flat.remove(0) } else { Self::All(flat) }
    }

    fn any(mut conditions: Vec<Self>) -> Self {
        if conditions.len() == 1 { conditions.remove(0) } else { Self::Any(conditions) }
    }

    fn not(condition: Self) -> Self {
        Self::Not(Box::new(condition))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    const NAMES: NamesOnly<'_> = NamesOnly(&["a", "b", "c", "d"]);

    struct Typed;

    impl Fields for Typed {
        fn kind(&self, name: &str) -> Option<FieldKind> {
            Some(match name {
                "text" => FieldKind::Text,
                "id" => FieldKind::Uuid,
                "at" => FieldKind::Time,
                "number" => FieldKind::Integer,
                "json" => FieldKind::Json,
                _ => return None,
            })
        }

        fn names(&self) -> String {
            "text, id, at, number, json".to_owned()
        }
    }

    fn typed(filter: Json) -> Filter {
        Filter::parse(&filter, &Typed).unwrap_or_else(|error| panic!("{filter}: {error}"))
    }

    fn row(value: Json) -> Map<String, Json> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn rows_without_types() {
        let row = row(json!({ "a": 5, "b": "text", "c": null, "d": 9_007_199_254_740_993_i64 }));
        for (filter, expected) in [
            (json!({}), true),
            (json!({ "a": 5 }), true),
            (json!({ "a": 5.0 }), true),
            (json!({ "a": { "_gt": 4, "_lte": 5 } }), true),
            (json!({ "a": { "_between": [6, 7] } }), false),
            (json!({ "a": { "_neq": 5 } }), false),
            (json!({ "c": { "_neq": 5 } }), true),
            (json!({ "b": { "_contains": "ex" }, "c": { "_is_null": true } }), true),
            (json!({ "_or": [{ "a": 1 }, { "b": { "_in": ["text"] } }] }), true),
            (json!({ "_or": [] }), false),
            (json!({ "_not": { "b": { "_ends_with": "xt" } } }), false),
            (json!({ "_not": { "c": { "_gt": 1 } } }), true),
            (json!({ "d": 9_007_199_254_740_992_i64 }), false),
            (json!({ "d": { "_gt": 9_007_199_254_740_992_i64 } }), true),
        ] {
            let parsed = Filter::parse(&filter, &NAMES).unwrap();
            assert_eq!(parsed.matches(&row), expected, "{filter}");
        }
    }

    #[test]
    fn what_is_refused() {
        for filter in [
            json!({ "e": 1 }),
            json!({ "a": { "_what": 1 } }),
            json!({ "a": { "_is_null": 5 } }),
            json!({ "a": { "_between": [1] } }),
            json!({ "a": { "_in": 1 } }),
            json!({ "_and": {} }),
            json!([]),
            json!({ "b": { "_contains": 1 } }),
        ] {
            assert!(Filter::parse(&filter, &NAMES).is_err(), "{filter}");
        }
        for filter in
            [json!({ "number": "1" }), json!({ "json": { "_gt": 1 } }), json!({ "at": "yesterday" })]
        {
            assert!(Filter::parse(&filter, &Typed).is_err(), "{filter}");
        }
    }

    #[test]
    fn moments_and_ids_are_what_they_mean() {
        let row =
            row(json!({ "at": "2026-01-31T12:00:00.000Z", "id": "01890000-0000-7000-8000-00000000000a" }));
        assert!(typed(json!({ "at": "2026-01-31T13:00:00+01:00" })).matches(&row));
        assert!(typed(json!({ "id": "01890000-0000-7000-8000-00000000000A" })).matches(&row));
        assert!(!typed(json!({ "id": "no id" })).matches(&row));
        assert!(typed(json!({ "id": { "_neq": "no id" } })).matches(&row));
    }

    #[test]
    fn filters_that_say_the_same_are_equal() {
        for (one, other) in [
            (json!({ "text": "a" }), json!({ "text": { "_eq": "a" } })),
            (json!({ "text": "a" }), json!({ "_and": [{ "text": { "_in": ["a"] } }] })),
            (json!({ "number": { "_between": [1, 2] } }), json!({ "number": { "_gte": 1, "_lte": 2 } })),
            (json!({ "at": "2026-01-31T13:00:00+01:00" }), json!({ "at": "2026-01-31T12:00:00Z" })),
        ] {
            assert_eq!(typed(one), typed(other));
        }
        assert_ne!(typed(json!({ "text": "a" })), typed(json!({ "text": "b" })));
    }

    #[test]
    fn a_rule_is_about_the_user_who_asks() {
        let rule = json!({ "_or": [{ "text": "@USER.id" }, { "id": { "_in": ["@USER.id"] } }] });
        let rule = Filter::parse_rule(&rule, &Typed).unwrap();
        assert!(rule.names_user());
        let user = row(json!({ "id": "auth0|7" }));
        let bound = rule.for_user(Some(&user));
        assert!(bound.matches(&row(json!({ "text": "auth0|7", "id": null }))));
        assert!(!bound.matches(&row(json!({ "text": "other", "id": null }))));
        for nobody in [None, Some(Map::new()), Some(row(json!({ "id": "" })))] {
            assert_eq!(rule.for_user(nobody.as_ref()), Filter::nothing());
        }
        assert!(Filter::parse_rule(&json!({ "text": "@USER.password" }), &Typed).is_err());
        assert!(Filter::parse_rule(&json!({ "number": "@USER.id" }), &Typed).is_err());
    }

    #[test]
    fn the_id_alone_is_known() {
        let id = "01890000-0000-7000-8000-00000000000a";
        assert_eq!(typed(json!({ "id": id })).as_id("id"), Uuid::parse_str(id).ok());
        assert_eq!(typed(json!({ "id": id, "number": 1 })).as_id("id"), None);
        assert_eq!(Filter::by_id("id", id), typed(json!({ "id": id })));
    }
}
