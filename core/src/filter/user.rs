//! `@USER` in the filters of rules.

use serde_json::{Map, Value as Json};

use super::parse::value_of;
use super::{Condition, FieldKind, Filter, Test, Value};
use crate::error::{Failure, Result};

/// What in a filter stands for a field of the user.
pub const USER_PREFIX: &str = "@USER.";
/// Fields of the user that a filter may name. Users change their other fields themselves, and would
/// let themselves in.
pub const USER_FIELDS: [&str; 2] = ["id", "role"];

/// The place of one of [`USER_FIELDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct UserField(pub(super) usize);

impl UserField {
    /// The field that a value stands for, if it stands for one.
    pub(super) fn parse(json: &Json) -> Result<Option<Self>> {
        let Some(name) = json.as_str().and_then(|text| text.strip_prefix(USER_PREFIX)) else {
            return Ok(None);
        };
        match USER_FIELDS.iter().position(|known| *known == name) {
            Some(place) => Ok(Some(Self(place))),
            None => {
                let shown: String = name.chars().take(100).collect();
                let known = USER_FIELDS.map(|field| format!("{USER_PREFIX}{field}")).join(", ");
                let message = format!(
                    "a rule may not rest on {USER_PREFIX}{shown}, which users can change or which is not \
                     there; it may name {known}"
                );
                Err(Failure::invalid("access", message).into())
            }
        }
    }
}

/// That the user has nothing in a field that the filter names.
struct Missing;

impl Filter {
    /// Whether what it means depends on who asks.
    pub fn names_user(&self) -> bool {
        self.0.names_user()
    }

    /// The filter with the user's fields in their places. It is [`Self::nothing`] when it names one that
    /// the user does not have, since a row without a value must not count as that user's.
    pub fn for_user(&self, user: Option<&Map<String, Json>>) -> Self {
        if !self.names_user() {
            return self.clone();
        }
        let bound = user.ok_or(Missing).and_then(|user| self.0.for_user(user));
        bound.map_or_else(|Missing| Self::nothing(), Self)
    }
}

impl Condition {
    fn names_user(&self) -> bool {
        match self {
            Self::All(conditions) | Self::Any(conditions) => conditions.iter().any(Self::names_user),
            Self::Not(condition) => condition.names_user(),
            Self::Field(_, Test::OneOf(values)) => values.iter().any(Value::is_user),
            Self::Field(_, Test::Order(_, value) | Test::Part(_, value)) => value.is_user(),
            Self::Field(_, Test::Null) => false,
        }
    }

    fn for_user(&self, user: &Map<String, Json>) -> Result<Self, Missing> {
        let each = |conditions: &[Self]| {
            conditions.iter().map(|one| one.for_user(user)).collect::<Result<Vec<_>, _>>()
        };
        Ok(match self {
            Self::All(conditions) => Self::All(each(conditions)?),
            Self::Any(conditions) => Self::Any(each(conditions)?),
            Self::Not(condition) => Self::not(condition.for_user(user)?),
            Self::Field(name, test) => Self::Field(name.clone(), test.for_user(user)?),
        })
    }
}

impl Test {
    fn for_user(&self, user: &Map<String, Json>) -> Result<Self, Missing> {
        Ok(match self {
            Self::Null => Self::Null,
            // A user of another issuer may have an id that is no UUID: no row has it, which is no error.
            Self::OneOf(values) => {
                let values = values.iter().filter_map(|value| value.for_user(user).transpose());
                Self::OneOf(values.collect::<Result<_, _>>()?)
            }
            Self::Order(comparison, value) => Self::Order(*comparison, value.for_user(user)?.ok_or(Missing)?),
            Self::Part(place, value) => Self::Part(*place, value.for_user(user)?.ok_or(Missing)?),
        })
    }
}

impl Value {
    fn is_user(&self) -> bool {
        matches!(self, Self::User(..))
    }

    fn for_user(&self, user: &Map<String, Json>) -> Result<Option<Self>, Missing> {
        let Self::User(UserField(place), kind) = self else { return Ok(Some(self.clone())) };
        let name = USER_FIELDS[*place];
        let value = user.get(name).filter(|value| !value.is_null() && *value != "").ok_or(Missing)?;
        let kind = if *kind == FieldKind::Any { FieldKind::Text } else { *kind };
        value_of(name, kind, value).map_err(|_| Missing)
    }
}
