//! What a request sets of a definition: some of its fields, merged over the present ones.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value as Json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::definition::{Definition, fields_as_json};
use super::revisions::SavedBy;
use crate::error::{Error, Failure, Result};
use crate::fields::fields_of;

/// Fields of a definition, by the names of the API. Each fits its type. Null clears a field that may be
/// null; of any other it is as if the field was left out.
#[derive(Debug, Clone)]
pub struct Fields<T> {
    set: Map<String, Json>,
    note: SaveNote,
    of: PhantomData<fn() -> T>,
}

/// What a request says of the save itself, where there are scripts.
#[derive(Debug, Clone, Default, serde::Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SaveNote {
    /// What is saved and why, at most 1,000 characters: kept with the revisions that the save makes.
    message: Option<String>,
    /// The number of the newest revision that was seen: if there is another, the save is refused with CONFLICT.
    pub expected_revision: Option<i64>,
}

/// Characters of what is said of a save.
const MESSAGE_CHARACTERS_MAX: usize = 1000;
/// The fields of [`SaveNote`].
const NOTE_FIELDS: [&str; 2] = ["message", "expectedRevision"];

impl SaveNote {
    /// Who saves, with this.
    pub(super) fn by<'a>(&'a self, author: &'a str) -> SavedBy<'a> {
        SavedBy { author, message: self.message.as_deref() }
    }

    fn take(set: &mut Map<String, Json>) -> Result<Self, String> {
        let fields = NOTE_FIELDS.iter().filter_map(|name| set.remove_entry(*name)).collect();
        let note: Self = serde_json::from_value(Json::Object(fields)).map_err(|error| error.to_string())?;
        let is_too_long = |text: &String| text.chars().nth(MESSAGE_CHARACTERS_MAX).is_some();
        if note.message.as_ref().is_some_and(|text| is_too_long(text) || text.contains('\0')) {
            return Err(format!("message: takes at most {MESSAGE_CHARACTERS_MAX} characters, without NUL"));
        }
        Ok(note)
    }
}

impl<T: Definition> Fields<T> {
    /// One field alone.
    pub(super) fn one(name: &str, value: Json) -> Self {
        Self { set: Map::from_iter([(name.to_owned(), value)]), note: SaveNote::default(), of: PhantomData }
    }

    /// The same, with something to say of the save.
    pub(super) fn with_message(mut self, message: String) -> Self {
        self.note.message = Some(message);
        self
    }

    /// What the request says of the save itself.
    pub(super) fn note(&self) -> &SaveNote {
        &self.note
    }

    /// The same, of what is not there yet.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a revision of it that was seen.
    pub(super) fn check_new(&self) -> Result<&SaveNote> {
        match self.note.expected_revision {
            Some(_) => Err(Failure::invalid("expectedRevision", "is for changes: leave it out").into()),
            None => Ok(&self.note),
        }
    }

    /// Whether this field is set.
    pub(super) fn sets(&self, name: &str) -> bool {
        self.set.contains_key(name)
    }

    /// That a new definition can be made of them.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` about the first field that is missing.
    pub(super) fn check_complete(&self) -> Result<()> {
        match T::REQUIRED.iter().find(|name| !self.sets(name)) {
            Some(name) => Err(Failure::invalid(name, "is missing").into()),
            None => Ok(()),
        }
    }

    /// The definition with these fields instead of its own; of one in [`Definition::NESTED`], those
    /// within it.
    pub(super) fn over(&self, present: &T) -> Result<T> {
        let mut all = fields_as_json(present);
        for (name, value) in &self.set {
            match (all.get_mut(name), value) {
                (Some(Json::Object(within)), Json::Object(set)) if T::NESTED.contains(&name.as_str()) => {
                    within.extend(set.clone());
                }
                _ => drop(all.insert(name.clone(), value.clone())),
            }
        }
        serde_json::from_value(all.into()).map_err(|error| Error::Internal(format!("{}: {error}", T::KIND)))
    }
}

impl<'de, T: Definition> Deserialize<'de> for Fields<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let defaults = fields_as_json(&T::default());
        let level = Level::<T> { defaults: &defaults, within: None, of: PhantomData };
        match deserializer.deserialize_struct(T::KIND, fields_of::<T>(), level)? {
            Json::Object(mut set) => {
                let note = SaveNote::take(&mut set).map_err(de::Error::custom)?;
                Ok(Self { set, note, of: PhantomData })
            }
            _ => Err(de::Error::custom("takes an object")),
        }
    }
}

/// The fields of one level: those of the definition, or those within one of them.
struct Level<'a, T> {
    defaults: &'a Map<String, Json>,
    within: Option<&'static str>,
    of: PhantomData<fn() -> T>,
}

/// The value of a field, which has to fit it.
struct Value<'a, T> {
    name: &'a str,
    within: Option<&'static str>,
    of: PhantomData<fn() -> T>,
}

impl<'de, T: Definition> DeserializeSeed<'de> for Level<'_, T> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Definition> Visitor<'de> for Level<'_, T> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Json, E> {
        match self.within {
            Some(_) => Ok(Json::Null),
            None => Err(E::invalid_type(de::Unexpected::Unit, &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut set = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let aliases = if self.within.is_none() { T::ALIASES } else { &[] };
            let alias = aliases.iter().find(|(alias, _)| *alias == name);
            let name = alias.map_or(name.as_str(), |(_, name)| *name);
            if self.within.is_none() && !T::SCRIPTS.is_empty() && NOTE_FIELDS.contains(&name) {
                // Each by its type, so that a refusal names the field.
                let value = match name {
                    "message" => Json::from(map.next_value::<Option<String>>()?),
                    _ => Json::from(map.next_value::<Option<i64>>()?),
                };
                set.insert(name.to_owned(), value);
                continue;
            }
            let Some(default) = self.defaults.get(name) else {
                // Whoever reads the body hears of it, and refuses it.
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let nested = T::NESTED.iter().copied().find(|nested| self.within.is_none() && *nested == name);
            let value = match (nested, default) {
                (Some(nested), Json::Object(defaults)) => {
                    map.next_value_seed(Level::<T> { defaults, within: Some(nested), of: PhantomData })?
                }
                _ => map.next_value_seed(Value::<T> { name, within: self.within, of: PhantomData })?,
            };
            if set.contains_key(name) {
                return Err(de::Error::custom(format_args!("duplicate field `{name}`")));
            }
            if !value.is_null() || default.is_null() {
                set.insert(name.to_owned(), value);
            }
        }
        Ok(set.into())
    }
}

impl<'de, T: Definition> DeserializeSeed<'de> for Value<'_, T> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        let value = Json::deserialize(deserializer)?;
        if !value.is_null() {
            let field = Json::Object(Map::from_iter([(self.name.to_owned(), value.clone())]));
            let field = match self.within {
                Some(within) => Json::Object(Map::from_iter([(within.to_owned(), field)])),
                None => field,
            };
            T::deserialize(field).map_err(de::Error::custom)?;
        }
        Ok(value)
    }
}

impl<T: Definition> PartialSchema for Fields<T> {
    fn schema() -> RefOr<Schema> {
        let mut schema = T::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.required.clear();
            if let (false, RefOr::T(Schema::Object(note))) = (T::SCRIPTS.is_empty(), SaveNote::schema()) {
                object.properties.extend(note.properties);
            }
            let doc = "What is set; absent fields stay (PATCH) or have their default (POST).";
            object.description = Some(doc.to_owned());
        }
        schema
    }
}

impl<T: Definition> ToSchema for Fields<T> {
    fn name() -> std::borrow::Cow<'static, str> {
        format!("{}Body", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        T::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Event, Gateway};
    use super::*;

    fn fields<T: Definition>(body: Json) -> Result<Fields<T>, String> {
        serde_json::from_value(body).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_set_goes_over_what_is_there() {
        let present = Gateway { path: "/a".into(), description: "d".into(), ..Gateway::default() };
        let set = |body| fields::<Gateway>(body).unwrap().over(&present).unwrap();
        assert_eq!(set(json!({})), present);
        let limited = set(json!({ "limits": { "burst": 5 }, "allowedOrigins": ["*"], "description": null }));
        assert_eq!((limited.limits.burst, limited.description.as_str()), (Some(5), "d"));
        let again = fields::<Gateway>(json!({ "limits": { "messageBytes": 7 }, "allowedOrigins": null }));
        let again = again.unwrap().over(&limited).unwrap();
        assert_eq!(
            (again.limits.burst, again.limits.message_bytes, again.allowed_origins),
            (Some(5), Some(7), None)
        );
        let cleared =
            fields::<Gateway>(json!({ "limits": { "burst": null }, "connectionHandlerScript": "1" }));
        let cleared = cleared.unwrap().over(&limited).unwrap();
        assert_eq!((cleared.limits.burst, cleared.connection_script.as_deref()), (None, Some("1")));
    }

    #[test]
    fn a_value_is_taken_whole_and_must_fit() {
        let present = Event { payload_schema: Some(json!({ "a": 1 })), ..Event::default() };
        let set = fields::<Event>(json!({ "payloadSchema": { "b": 2 } })).unwrap();
        assert_eq!(set.over(&present).unwrap().payload_schema, Some(json!({ "b": 2 })));
        for (body, mentions) in [
            (json!({ "timeoutMs": "1" }), "expected i64"),
            (json!({ "sourceCode": "1", "handlerScript": "2" }), "duplicate field `sourceCode`"),
            (json!([]), "expected an object"),
            (json!(null), "expected an object"),
        ] {
            let refused = fields::<Event>(body.clone()).unwrap_err();
            assert!(refused.contains(mentions), "{body}: {refused}");
        }
        let incomplete = fields::<Event>(json!({ "eventName": "e", "sourceCode": null })).unwrap();
        assert!(incomplete.check_complete().unwrap_err().to_string().contains("sourceCode: is missing"));
    }
}
