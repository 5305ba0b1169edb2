//! Definitions as packs write them: some fields have other names there, and what is as by default is
//! left out.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::StrDeserializer;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json};

use crate::catalog::{Definition, fields_as_json};
use crate::fields::fields_of;

/// A definition in this form.
#[derive(Debug)]
pub(super) struct Form<T>(pub T);

/// A definition in this form, with what it has of another kind under a name of its own.
#[derive(Debug)]
pub(super) struct FormWith<T, P> {
    pub definition: T,
    pub parts: Vec<P>,
}

/// The name of what a definition has of another kind.
pub(super) trait Parts {
    const NAME: &'static str;
}

impl<T: Definition> Serialize for Form<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl<'de, T: Definition> Deserialize<'de> for Form<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer).map(Self)
    }
}

impl<T: Definition, P: Parts + Serialize> Serialize for FormWith<T, P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parts = (!self.parts.is_empty()).then(|| serde_json::to_value(&self.parts).unwrap_or_default());
        let parts = parts.map(|parts| (P::NAME, parts));
        serializer.collect_map(written(&self.definition).into_iter().chain(parts))
    }
}

impl<'de, T: Definition, P: Parts + Deserialize<'de>> Deserialize<'de> for FormWith<T, P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut parts = Vec::new();
        let definition = read(deserializer, P::NAME, &mut parts)?;
        Ok(Self { definition, parts })
    }
}

/// Writes a definition in this form.
pub(super) fn serialize<T: Definition, S: Serializer>(
    definition: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(written(definition))
}

/// Reads a definition of this form.
pub(super) fn deserialize<'de, T: Definition, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    read(deserializer, "", &mut Vec::<Json>::new())
}

/// The fields that are written, in their order.
pub(super) fn written<T: Definition>(definition: &T) -> Vec<(&'static str, Json)> {
    let (mut fields, defaults) = (fields_as_json(definition), fields_as_json(&T::default()));
    let field = |name: &&'static str| {
        let mut value = fields.remove(*name)?;
        if defaults.get(*name) == Some(&value) && !T::REQUIRED.contains(name) {
            return None;
        }
        if let (true, Json::Object(within)) = (T::NESTED.contains(name), &mut value) {
            within.retain(|_, value| !value.is_null());
        }
        Some((pack_name::<T>(name), value))
    };
    fields_of::<T>().iter().filter_map(field).collect()
}

/// Changes each script of a definition, by the name that packs have for it.
///
/// # Errors
/// The first of `change`.
pub(super) fn change_scripts<T: Definition, E>(
    definition: &mut T,
    change: &mut dyn FnMut(&'static str, String) -> Result<String, E>,
) -> Result<(), E> {
    let mut fields = fields_as_json(definition);
    for name in T::SCRIPTS {
        if let Some(Json::String(script)) = fields.get_mut(*name) {
            *script = change(pack_name::<T>(name), std::mem::take(script))?;
        }
    }
    // Text was put in the place of text.
    if let Ok(changed) = serde_json::from_value(Json::Object(fields)) {
        *definition = changed;
    }
    Ok(())
}

fn pack_name<T: Definition>(field: &'static str) -> &'static str {
    T::PACK_NAMES.iter().find(|(name, _)| *name == field).map_or(field, |(_, name)| name)
}

fn names<T: Definition>() -> impl Iterator<Item = &'static str> {
    fields_of::<T>().iter().map(|field| pack_name::<T>(field))
}

fn read<'de, T: Definition, P: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    parts_name: &'static str,
    parts: &mut Vec<P>,
) -> Result<T, D::Error> {
    T::deserialize(Renaming::<T, P, D> { inner: deserializer, parts_name, parts, of: PhantomData })
}

/// Gives the fields of a definition the names that it knows them by. What it refuses, it refuses where
/// the file has it, so that messages name the line.
struct Renaming<'a, T, P, I> {
    inner: I,
    parts_name: &'static str,
    parts: &'a mut Vec<P>,
    of: PhantomData<fn() -> T>,
}

impl<'de, T: Definition, P: Deserialize<'de>, D: Deserializer<'de>> Deserializer<'de>
    for Renaming<'_, T, P, D>
{
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let Self { inner, parts_name, parts, .. } = self;
        inner.deserialize_map(Renaming::<T, P, V> { inner: visitor, parts_name, parts, of: PhantomData })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, T: Definition, P: Deserialize<'de>, V: Visitor<'de>> Visitor<'de> for Renaming<'_, T, P, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        let (parts_name, parts) = (self.parts_name, self.parts);
        self.inner.visit_map(Fields::<T, P, A> { map, seen: Vec::new(), parts_name, parts, of: PhantomData })
    }
}

struct Fields<'a, T, P, A> {
    map: A,
    seen: Vec<&'static str>,
    parts_name: &'static str,
    parts: &'a mut Vec<P>,
    of: PhantomData<fn() -> T>,
}

impl<'de, T: Definition, P: Deserialize<'de>, A: MapAccess<'de>> MapAccess<'de> for Fields<'_, T, P, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let name = Name::<T> { parts_name: self.parts_name, of: PhantomData };
        let Some(name) = self.map.next_key_seed(name)? else {
            let is_missing = |field: &&&'static str| !self.seen.contains(*field);
            return match T::REQUIRED.iter().find(is_missing) {
                Some(field) => Err(de::Error::missing_field(pack_name::<T>(field))),
                None => Ok(None),
            };
        };
        if name == self.parts_name {
            *self.parts = self.map.next_value()?;
            return self.next_key_seed(seed);
        }
        self.seen.push(name);
        seed.deserialize(StrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<W: DeserializeSeed<'de>>(&mut self, seed: W) -> Result<W::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// The field that a name of a pack stands for, or the name of the parts.
struct Name<T> {
    parts_name: &'static str,
    of: PhantomData<fn() -> T>,
}

impl<'de, T: Definition> DeserializeSeed<'de> for Name<T> {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'static str, D::Error> {
        let name = String::deserialize(deserializer)?;
        if !name.is_empty() && name == self.parts_name {
            return Ok(self.parts_name);
        }
        let field = fields_of::<T>().iter().find(|field| pack_name::<T>(field) == name);
        field.copied().ok_or_else(|| {
            let parts = Some(self.parts_name).filter(|name| !name.is_empty());
            let known = names::<T>().chain(parts).map(|name| format!("`{name}`")).collect::<Vec<_>>();
            de::Error::custom(format_args!("unknown field `{name}`, expected one of {}", known.join(", ")))
        })
    }
}

/// The fields of a definition in this form, without its scripts, and those beside them.
pub(super) fn settings_and_scripts<T: Definition>(
    definition: &T,
) -> (Map<String, Json>, Vec<(&'static str, String)>) {
    let mut settings = Map::new();
    let mut scripts = Vec::new();
    let script_names: Vec<_> = T::SCRIPTS.iter().map(|field| pack_name::<T>(field)).collect();
    for (name, value) in written(definition) {
        match value {
            Json::String(script) if script_names.contains(&name) => scripts.push((name, script)),
            value => drop(settings.insert(name.to_owned(), value)),
        }
    }
    (settings, scripts)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::{Event, Gateway};

    impl Parts for Form<Gateway> {
        const NAME: &'static str = "inner";
    }

    #[test]
    fn names_and_defaults() {
        let event = Event { event_name: "e".into(), source_code: String::new(), ..Event::default() };
        assert_eq!(serde_json::to_value(Form(event.clone())).unwrap(), json!({ "name": "e", "script": "" }));
        let event = Event { timeout_ms: Some(5), is_enabled: false, ..event };
        let text = toml::to_string(&Form(event.clone())).unwrap();
        assert_eq!(text, "name = \"e\"\nisEnabled = false\nscript = \"\"\ntimeoutMs = 5\n");
        let Form(read): Form<Event> = toml::from_str(&text).unwrap();
        assert_eq!(read, event);
    }

    #[test]
    fn what_is_wrong_is_said_where_it_is() {
        for (text, line, mentions) in [
            ("name = \"e\"\nscrip = \"\"", 2, "unknown field `scrip`, expected one of `name`,"),
            ("name = \"e\"\nsourceCode = \"\"", 2, "unknown field `sourceCode`"),
            ("script = \"\"\ntimeoutMs = \"x\"", 2, "expected i64"),
            ("script = \"\"", 1, "missing field `name`"),
        ] {
            let error = toml::from_str::<Form<Event>>(text).unwrap_err();
            let said = error.to_string();
            assert!(said.contains(mentions) && said.contains(&format!("line {line}")), "{text}: {said}");
        }
    }

    #[test]
    fn parts() {
        let text = "path = \"/a\"\n[[inner]]\npath = \"/b\"\n[limits]\nburst = 1\n";
        let read: FormWith<Gateway, Form<Gateway>> = toml::from_str(text).unwrap();
        assert_eq!((read.definition.limits.burst, read.parts[0].0.path.as_str()), (Some(1), "/b"));
        let written = serde_json::to_value(&read).unwrap();
        assert_eq!(written, json!({ "path": "/a", "limits": { "burst": 1 }, "inner": [{ "path": "/b" }] }));
    }
}
