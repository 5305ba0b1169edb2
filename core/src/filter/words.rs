//! A filter as people read it, and as they would have written it.

use std::fmt::Write;

use serde_json::{Map, Value as Json, json};

use super::user::USER_FIELDS;
use super::{Comparison, Condition, Filter, Place, Test, UserField, Value};
use crate::moment::time_text;

/// Characters of a filter in words; what is beyond is left out.
const CHARS_MAX: usize = 1000;
/// Characters of one value in it.
const VALUE_CHARS_MAX: usize = 80;
/// Values of one list in it.
const LISTED_MAX: usize = 10;

impl Filter {
    /// What it asks of a row, such as `status is "open" and ownerId is their own id`; at most 1000 characters.
    pub fn in_words(&self) -> String {
        cut(self.0.in_words(true), CHARS_MAX)
    }

    /// A filter that [`Filter::parse`] makes this one of. What stands for the user is written as `@USER.id`, which only
    /// rules may have.
    pub fn as_json(&self) -> Json {
        self.0.as_json()
    }

    /// Whether it is the filter that no row meets, as it is written.
    pub fn is_nothing(&self) -> bool {
        matches!(&self.0, Condition::Any(conditions) if conditions.is_empty())
    }
}

impl Condition {
    /// `is_whole`: nothing stands beside it that it could be taken together with.
    fn in_words(&self, is_whole: bool) -> String {
        let joined = |conditions: &[Self], word: &str| {
            let parts = conditions.iter().map(|condition| condition.in_words(false)).collect::<Vec<_>>();
            let text = parts.join(word);
            if is_whole { text } else { format!("({text})") }
        };
        match self {
            Self::All(conditions) if conditions.is_empty() => "anything is so".to_owned(),
            Self::Any(conditions) if conditions.is_empty() => "nothing is so".to_owned(),
            Self::All(conditions) => joined(conditions, " and "),
            Self::Any(conditions) => joined(conditions, " or "),
            Self::Not(condition) => match &**condition {
                Self::Field(name, test) => test.in_words(name, true),
                other => format!("it is not so that {}", other.in_words(false)),
            },
            Self::Field(name, test) => test.in_words(name, false),
        }
    }

    fn as_json(&self) -> Json {
        let each = |conditions: &[Self]| conditions.iter().map(Self::as_json).collect::<Vec<_>>();
        match self {
            Self::All(conditions) if conditions.is_empty() => json!({}),
            Self::All(conditions) => json!({ "_and": each(conditions) }),
            Self::Any(conditions) => json!({ "_or": each(conditions) }),
            Self::Not(condition) => json!({ "_not": condition.as_json() }),
            Self::Field(name, test) => Json::Object(Map::from_iter([(name.to_string(), test.as_json())])),
        }
    }
}

impl Test {
    fn in_words(&self, name: &str, is_not: bool) -> String {
        let not = if is_not { " not" } else { "" };
        match self {
            Self::Null => format!("{name} is{} empty", not),
            Self::OneOf(values) => match values.as_slice() {
                [] => format!("{name} is{not} a value that no row has"),
                [value] => format!("{name} is{not} {}", value.in_words()),
                values => {
                    let shown = values.iter().take(LISTED_MAX).map(Value::in_words).collect::<Vec<_>>();
                    let more = values.len().saturating_sub(LISTED_MAX);
                    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                    format!("{name} is{not} one of {}{more}", shown.join(", "))
                }
            },
            Self::Order(comparison, value) => {
                let word = match comparison {
                    Comparison::Greater => "more than",
                    Comparison::GreaterOrEqual => "at least",
                    Comparison::Less => "less than",
                    Comparison::LessOrEqual => "at most",
                };
                format!("{name} is{not} {word} {}", value.in_words())
            }
            Self::Part(place, value) => {
                let word = match (place, is_not) {
                    (Place::Anywhere, false) => "contains",
                    (Place::Start, false) => "begins with",
                    (Place::End, false) => "ends with",
                    (Place::Anywhere, true) => "does not contain",
                    (Place::Start, true) => "does not begin with",
                    (Place::End, true) => "does not end with",
                };
                format!("{name} {word} {}", value.in_words())
            }
        }
    }

    fn as_json(&self) -> Json {
        match self {
            Self::Null => json!({ "_is_null": true }),
            Self::OneOf(values) => match values.as_slice() {
                [value] => json!({ "_eq": value.as_json() }),
                values => json!({ "_in": values.iter().map(Value::as_json).collect::<Vec<_>>() }),
            },
            Self::Order(comparison, value) => {
                let operator = match comparison {
                    Comparison::Greater => "_gt",
                    Comparison::GreaterOrEqual => "_gte",
                    Comparison::Less => "_lt",
                    Comparison::LessOrEqual => "_lte",
                };
                json!({ operator: value.as_json() })
            }
            Self::Part(place, value) => {
                let operator = match place {
                    Place::Anywhere => "_contains",
                    Place::Start => "_starts_with",
                    Place::End => "_ends_with",
                };
                json!({ operator: value.as_json() })
            }
        }
    }
}

impl Value {
    fn in_words(&self) -> String {
        match self {
            Self::User(UserField(place), _) => format!("their own {}", USER_FIELDS[*place]),
            other => cut(other.as_json().to_string(), VALUE_CHARS_MAX),
        }
    }

    fn as_json(&self) -> Json {
        match self {
            Self::Text(text) => json!(text),
            Self::Integer(number) => json!(number),
            Self::Float(number) => json!(number.0),
            Self::Boolean(flag) => json!(flag),
            Self::Time(time) => json!(time_text(*time)),
            Self::Uuid(id) => json!(id),
            Self::Json(json) => json.clone(),
            Self::User(UserField(place), _) => json!(format!("@USER.{}", USER_FIELDS[*place])),
        }
    }
}

/// The first characters of a text, with a sign where that is not all of it.
fn cut(text: String, chars: usize) -> String {
    let Some((end, _)) = text.char_indices().nth(chars) else { return text };
    let mut short = text[..end].to_owned();
    // Writing to a string cannot fail.
    let _ = short.write_char('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::NamesOnly;

    const NAMES: NamesOnly<'_> = NamesOnly(&["a", "b", "ownerId"]);

    #[test]
    fn words() {
        for (filter, expected) in [
            (json!({ "ownerId": "@USER.id" }), "ownerId is their own id"),
            (json!({ "a": 5, "b": { "_neq": "x" } }), "a is 5 and b is not \"x\""),
            (
                json!({ "_or": [{ "a": { "_in": [1, 2] } }, { "a": { "_gt": 7 }, "b": null }] }),
                "a is one of 1, 2 or (a is more than 7 and b is empty)",
            ),
            (json!({ "_not": { "b": { "_contains": "x" } } }), "b does not contain \"x\""),
            (json!({ "_not": { "_or": [{ "a": 1 }, { "b": 2 }] } }), "it is not so that (a is 1 or b is 2)"),
            (json!({}), "anything is so"),
            (json!({ "_or": [] }), "nothing is so"),
        ] {
            assert_eq!(Filter::parse_rule(&filter, &NAMES).unwrap().in_words(), expected, "{filter}");
        }
        let long = json!({ "b": { "_in": vec!["x".repeat(500); 900] } });
        assert!(Filter::parse(&long, &NAMES).unwrap().in_words().chars().count() <= CHARS_MAX + 1);
    }

    #[test]
    fn json_says_the_same() {
        for filter in [
            json!({}),
            json!({ "_or": [] }),
            json!({ "a": { "_between": [1, 2.5] }, "b": { "_in": ["x", null] } }),
            json!({ "_not": { "a": { "_lte": 5 }, "b": { "_ends_with": "%" } } }),
            json!({ "b": { "_in": [] } }),
            json!({ "a": { "_is_null": false }, "b": { "x": [1] } }),
        ] {
            let parsed = Filter::parse(&filter, &NAMES).unwrap();
            assert_eq!(Filter::parse(&parsed.as_json(), &NAMES).unwrap(), parsed, "{filter}");
        }
    }
}
