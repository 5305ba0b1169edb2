//! What a filter means for a row in memory.

use std::cmp::Ordering;

use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::{Comparison, Condition, Filter, Place, Test, Value};
use crate::moment::parse_time;

impl Filter {
    /// Whether a row meets it. A field that the row does not have is null.
    pub fn matches(&self, row: &Map<String, Json>) -> bool {
        self.0.holds(row)
    }
}

impl Condition {
    fn holds(&self, row: &Map<String, Json>) -> bool {
        match self {
            Self::All(conditions) => conditions.iter().all(|condition| condition.holds(row)),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.holds(row)),
            Self::Not(condition) => !condition.holds(row),
            Self::Field(name, test) => test.holds(row.get(&**name).unwrap_or(&Json::Null)),
        }
    }
}

impl Test {
    fn holds(&self, found: &Json) -> bool {
        match self {
            Self::Null => found.is_null(),
            Self::OneOf(values) => values.iter().any(|value| value.equals(found)),
            Self::Order(comparison, value) => {
                value.order_of(found).is_some_and(|order| comparison.holds(order))
            }
            Self::Part(place, Value::Text(part)) => {
                found.as_str().is_some_and(|text| place.holds(text, part))
            }
            Self::Part(..) => false,
        }
    }
}

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
        }
    }
}

impl Place {
    fn holds(self, text: &str, part: &str) -> bool {
        match self {
            Self::Anywhere => text.contains(part),
            Self::Start => text.starts_with(part),
            Self::End => text.ends_with(part),
        }
    }
}

impl Value {
    fn equals(&self, found: &Json) -> bool {
        match self {
            Self::Json(value) => found == value,
            _ => self.order_of(found) == Some(Ordering::Equal),
        }
    }

    /// How a row's value stands to this one; none where they are not of one kind.
    fn order_of(&self, found: &Json) -> Option<Ordering> {
        match self {
            Self::Text(text) => Some(found.as_str()?.cmp(text)),
            // Integers past 2^53 are not compared as floats.
            Self::Integer(number) => match found.as_i64() {
                Some(found) => Some(found.cmp(number)),
                None => found.as_f64()?.partial_cmp(&(*number as f64)),
            },
            Self::Float(number) => found.as_f64()?.partial_cmp(&number.0),
            Self::Boolean(flag) => Some(found.as_bool()?.cmp(flag)),
            Self::Time(time) => Some(parse_time(found.as_str()?)?.cmp(time)),
            Self::Uuid(id) => Some(Uuid::parse_str(found.as_str()?).ok()?.cmp(id)),
            Self::Json(_) | Self::User(..) => None,
        }
    }
}
