//! From the JSON that people write to a filter.

use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::user::UserField;
use super::{Comparison, Condition, FieldKind, Fields, Filter, Float, Place, Test, Value};
use crate::error::{ErrorCode, Failure, Result};
use crate::moment::parse_time;
use crate::text::{check_json, check_text};

/// The operators of filters, for messages.
pub const OPERATORS: &str = "_eq, _neq, _gt, _gte, _lt, _lte, _in, _nin, _contains, _starts_with, _ends_with, \
                             _between, _is_null, _and, _or, _not";

/// Nesting of `_and`, `_or` and `_not`.
const DEPTH_MAX: usize = 16;
/// Conditions in one filter, values of `_in` counted.
const TERMS_MAX: usize = 1000;
/// Bytes of the text that `_contains` and its like look for: with each of them escaped, it is still
/// a pattern that SQLite takes.
const PART_BYTES_MAX: usize = 16_000;

impl Filter {
    /// A filter that names only these fields.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for an unknown field or operator, a value of the wrong type, or too much of
    /// them; it lists what is known.
    pub fn parse(json: &Json, fields: &(impl Fields + ?Sized)) -> Result<Self> {
        Self::parse_with(json, fields, false)
    }

    /// The same, with values such as `@USER.id`, for which [`Self::for_user`] puts what a user has.
    ///
    /// # Errors
    /// As [`Self::parse`], and for a field that users do not have.
    pub fn parse_rule(json: &Json, fields: &(impl Fields + ?Sized)) -> Result<Self> {
        Self::parse_with(json, fields, true)
    }

    fn parse_with(json: &Json, fields: &(impl Fields + ?Sized), may_name_user: bool) -> Result<Self> {
        Parser { fields, may_name_user, terms: 0 }.all_of(json, 0).map(Self)
    }
}

struct Parser<'a, F: ?Sized> {
    fields: &'a F,
    may_name_user: bool,
    terms: usize,
}

impl<F: Fields + ?Sized> Parser<'_, F> {
    fn all_of(&mut self, json: &Json, depth: usize) -> Result<Condition> {
        if depth > DEPTH_MAX {
            return Err(Failure::invalid("filter", format!("nests deeper than {DEPTH_MAX}")).into());
        }
        let object = json.as_object().ok_or_else(|| Failure::invalid("filter", "must be an object"))?;
        let conditions = object.iter().map(|(key, value)| {
            Ok(match key.as_str() {
                "_and" => Condition::all(self.each(value, depth)?),
                "_or" => Condition::any(self.each(value, depth)?),
                "_not" => Condition::not(self.all_of(value, depth + 1)?),
                name => self.field(name, value)?,
            })
        });
        Ok(Condition::all(conditions.collect::<Result<_>>()?))
    }

    fn each(&mut self, value: &Json, depth: usize) -> Result<Vec<Condition>> {
        let items =
            value.as_array().ok_or_else(|| Failure::invalid("filter", "_and and _or take an array"))?;
        items.iter().map(|item| self.all_of(item, depth + 1)).collect()
    }

    fn field(&mut self, name: &str, value: &Json) -> Result<Condition> {
        let Some(kind) = self.fields.kind(name) else {
            let shown: String = name.chars().take(100).collect();
            let message = format!("There is no field {shown}; known: {}", self.fields.names());
            return Err(Failure::new(ErrorCode::Validation, message).into());
        };
        match operators(value) {
            Some(operators) => {
                let terms = operators.iter().map(|(operator, value)| self.term(name, kind, operator, value));
                Ok(Condition::all(terms.collect::<Result<_>>()?))
            }
            None => self.term(name, kind, "_eq", value),
        }
    }

    fn term(&mut self, name: &str, kind: FieldKind, operator: &str, json: &Json) -> Result<Condition> {
        self.count(1)?;
        let field = |test| Condition::Field(name.into(), test);
        let order = |comparison, json| -> Result<Condition> {
            if kind == FieldKind::Json {
                return Err(Failure::invalid(name, "is JSON, which has no order").into());
            }
            let value = self.value(name, kind, json)?.ok_or_else(|| Failure::invalid(name, wants(kind)))?;
            Ok(field(Test::Order(comparison, value)))
        };
        Ok(match operator {
            "_eq" => self.one_of(name, kind, std::slice::from_ref(json))?,
            "_neq" => Condition::not(self.one_of(name, kind, std::slice::from_ref(json))?),
            "_in" => {
                let items = self.listed(name, json)?;
                self.one_of(name, kind, items)?
            }
            "_nin" => {
                let items = self.listed(name, json)?;
                Condition::not(self.one_of(name, kind, items)?)
            }
            "_is_null" => match json {
                Json::Bool(true) => field(Test::Null),
                Json::Bool(false) => Condition::not(field(Test::Null)),
                _ => return Err(Failure::invalid(name, "_is_null takes true or false").into()),
            },
            "_contains" => field(self.part(name, kind, Place::Anywhere, json)?),
            "_starts_with" => field(self.part(name, kind, Place::Start, json)?),
            "_ends_with" => field(self.part(name, kind, Place::End, json)?),
            "_gt" => order(Comparison::Greater, json)?,
            "_gte" => order(Comparison::GreaterOrEqual, json)?,
            "_lt" => order(Comparison::Less, json)?,
            "_lte" => order(Comparison::LessOrEqual, json)?,
            "_between" => match json.as_array().map(Vec::as_slice) {
                Some([low, high]) => Condition::all(vec![
                    order(Comparison::GreaterOrEqual, low)?,
                    order(Comparison::LessOrEqual, high)?,
                ]),
                _ => return Err(Failure::invalid(name, "_between takes an array of two values").into()),
            },
            other => {
                let shown: String = other.chars().take(100).collect();
                let message = format!("unknown operator {shown}; known: {OPERATORS}");
                return Err(Failure::invalid(name, message).into());
            }
        })
    }

    /// Whether a row's value is one of these, among which null is like any other.
    fn one_of(&self, name: &str, kind: FieldKind, items: &[Json]) -> Result<Condition> {
        let (nulls, items): (Vec<_>, Vec<_>) = items.iter().partition(|item| item.is_null());
        let values = items.into_iter().filter_map(|item| self.value(name, kind, item).transpose());
        let values: Vec<_> = values.collect::<Result<_>>()?;
        let is_null = || Condition::Field(name.into(), Test::Null);
        let is_one = || Condition::Field(name.into(), Test::OneOf(values.clone()));
        Ok(match (nulls.is_empty(), values.is_empty()) {
            (true, _) => is_one(),
            (false, true) => is_null(),
            (false, false) => Condition::any(vec![is_one(), is_null()]),
        })
    }

    fn part(&self, name: &str, kind: FieldKind, place: Place, json: &Json) -> Result<Test> {
        let is_text = matches!(kind, FieldKind::Text | FieldKind::Any) && json.is_string();
        let value = if is_text { self.value(name, FieldKind::Text, json)? } else { None };
        let Some(value) = value else {
            return Err(Failure::invalid(name, "takes text, on a text field").into());
        };
        if matches!(&value, Value::Text(part) if part.len() > PART_BYTES_MAX) {
            let message = format!("a part of a text has at most {PART_BYTES_MAX} bytes");
            return Err(Failure::invalid(name, message).into());
        }
        Ok(Test::Part(place, value))
    }

    /// A value to compare with; none for text that is no UUID, which no row has as its id.
    fn value(&self, name: &str, kind: FieldKind, json: &Json) -> Result<Option<Value>> {
        if self.may_name_user
            && let Some(field) = UserField::parse(json)?
        {
            return match kind {
                FieldKind::Text | FieldKind::Uuid | FieldKind::Any => Ok(Some(Value::User(field, kind))),
                _ => Err(Failure::invalid(name, wants(kind)).into()),
            };
        }
        value_of(name, kind, json)
    }

    fn listed<'v>(&mut self, name: &str, json: &'v Json) -> Result<&'v [Json]> {
        let items = json.as_array().ok_or_else(|| Failure::invalid(name, "takes an array of values"))?;
        self.count(items.len())?;
        Ok(items)
    }

    fn count(&mut self, terms: usize) -> Result<()> {
        self.terms += terms;
        if self.terms > TERMS_MAX {
            let message = format!("has more than {TERMS_MAX} conditions");
            return Err(Failure::invalid("filter", message).into());
        }
        Ok(())
    }
}

/// The operators of a term, if it is no bare value.
fn operators(value: &Json) -> Option<&Map<String, Json>> {
    value.as_object().filter(|operators| operators.keys().any(|key| key.starts_with('_')))
}

/// As [`Parser::value`], of a value that stands for itself.
pub(super) fn value_of(name: &str, kind: FieldKind, json: &Json) -> Result<Option<Value>> {
    let text = json.as_str();
    if let Some(text) = text {
        check_text(name, text)?;
    }
    let value = match kind {
        FieldKind::Text => text.map(|text| Value::Text(text.into())),
        FieldKind::Integer => json.as_i64().map(Value::Integer),
        FieldKind::Float => json.as_f64().map(|number| Value::Float(Float::new(number))),
        FieldKind::Boolean => json.as_bool().map(Value::Boolean),
        FieldKind::Time => text.and_then(parse_time).map(Value::Time),
        FieldKind::Uuid => match text.map(Uuid::parse_str) {
            Some(Err(_)) => return Ok(None),
            Some(Ok(id)) => Some(Value::Uuid(id)),
            None => None,
        },
        FieldKind::Json => {
            check_json(name, json)?;
            Some(Value::Json(json.clone()))
        }
        FieldKind::Any => Some(match json {
            Json::String(text) => Value::Text(text.as_str().into()),
            Json::Bool(flag) => Value::Boolean(*flag),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => Value::Integer(integer),
                (None, Some(float)) => Value::Float(Float::new(float)),
                (None, None) => Value::Json(json.clone()),
            },
            _ => Value::Json(json.clone()),
        }),
    };
    value.map(Some).ok_or_else(|| Failure::invalid(name, wants(kind)).into())
}

fn wants(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Text => "takes text",
        FieldKind::Integer => "takes an integer",
        FieldKind::Float => "takes a number",
        FieldKind::Boolean => "takes true or false",
        FieldKind::Uuid => "takes a UUID",
        FieldKind::Time => "takes an RFC 3339 time",
        FieldKind::Json | FieldKind::Any => "takes JSON",
    }
}
