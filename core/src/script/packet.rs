//! The arguments of an event as they came, kept as text until a script thread reads them.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use rhai::{Array, Dynamic};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::attachment::Attachment;
use super::json::PLACEHOLDER;

use super::outside::from_outside;

/// Texts of a payload that are shorter stay in the log: they are words such as `id`.
const MASKED_BYTES_MIN: usize = 4;

/// The data arguments of one event: a JSON array whose first element is the event's name (the
/// form in which Socket.IO sends them), and the blobs that its placeholders stand for.
#[derive(Debug, Clone, PartialEq)]
pub struct Arguments {
    json: Box<str>,
    attachments: Vec<Arc<Vec<u8>>>,
}

impl Arguments {
    /// From the array of a Socket.IO event packet.
    pub fn from_packet(json: &str, attachments: Vec<Vec<u8>>) -> Self {
        Self { json: json.into(), attachments: attachments.into_iter().map(Arc::new).collect() }
    }

    /// One argument.
    pub fn one(value: &serde_json::Value) -> Self {
        Self { json: format!("[null,{value}]").into(), attachments: Vec::new() }
    }

    /// One argument, from JSON text.
    ///
    /// # Errors
    /// When the text is not one JSON value.
    pub fn one_of_text(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<IgnoredAny>(json)?;
        Ok(Self { json: format!("[null,{json}]").into(), attachments: Vec::new() })
    }

    /// The first of them as JSON; a missing one is an empty object.
    ///
    /// # Errors
    /// When it is not JSON.
    pub(super) fn payload(&self) -> Result<serde_json::Value, serde_json::Error> {
        let mut all: Vec<serde_json::Value> = serde_json::from_str(&self.json)?;
        Ok(if all.len() > 1 { all.swap_remove(1) } else { serde_json::json!({}) })
    }

    /// The first of them for an admin, and whether it is not whole: of one with more bytes the beginning of its JSON as
    /// text, and of one with blobs no more than where they stood.
    pub(crate) fn shown(&self, bytes_max: usize) -> (serde_json::Value, bool) {
        if self.json.len() > bytes_max {
            let whole = self.payload().map(|payload| payload.to_string()).unwrap_or_default();
            let end = whole.floor_char_boundary(bytes_max);
            return (whole[..end].into(), true);
        }
        (self.payload().unwrap_or_default(), !self.attachments.is_empty())
    }

    /// The size in memory.
    pub fn bytes(&self) -> usize {
        self.json.len() + self.attachments.iter().map(|blob| blob.len()).sum::<usize>()
    }

    /// A text without the texts of the arguments, for a log that holds no payloads. What is as short as
    /// a word of the message, or was changed since, cannot be told from it.
    pub fn masked(&self, text: &str) -> String {
        let mut texts = Vec::new();
        // The nesting is bounded by the JSON parser.
        fn collect<'a>(value: &'a serde_json::Value, texts: &mut Vec<&'a str>) {
            match value {
                serde_json::Value::String(text) if text.len() >= MASKED_BYTES_MIN => texts.push(text),
                serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
                serde_json::Value::Object(fields) => {
                    fields.values().for_each(|value| collect(value, texts));
                }
                _ => {}
            }
        }
        // The first is the event's name.
        let arguments: Vec<serde_json::Value> = serde_json::from_str(&self.json).unwrap_or_default();
        arguments.iter().skip(1).for_each(|argument| collect(argument, &mut texts));
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        texts.iter().fold(text.to_owned(), |masked, text| masked.replace(text, "…"))
    }

    /// The arguments as values; not JSON after all, or nested deeper than 128, is an error.
    pub(super) fn read(&self) -> Result<Array, serde_json::Error> {
        let mut arguments = serde_json::Deserializer::from_str(&self.json).deserialize_seq(SkipName)?;
        if !self.attachments.is_empty() {
            arguments.iter_mut().for_each(|argument| self.attach(argument));
        }
        Ok(arguments)
    }

    /// Replaces placeholders by their blobs. The nesting is bounded by the JSON parser.
    fn attach(&self, value: &mut Dynamic) {
        let blob = value.as_map_ref().ok().and_then(|map| {
            let is_placeholder = map.get("_placeholder")?.as_bool().ok()?;
            let number = usize::try_from(map.get("num")?.as_int().ok()?).ok()?;
            is_placeholder.then(|| self.attachments.get(number).map(Attachment::value))?
        });
        if let Some(blob) = blob {
            *value = blob;
        } else if let Ok(mut map) = value.as_map_mut() {
            map.values_mut().for_each(|value| self.attach(value));
        } else if let Ok(mut array) = value.as_array_mut() {
            array.iter_mut().for_each(|value| self.attach(value));
        }
    }
}

struct SkipName;

impl<'de> Visitor<'de> for SkipName {
    type Value = Array;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array that begins with the event's name")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Array, A::Error> {
        sequence.next_element::<IgnoredAny>()?;
        let mut arguments = Array::new();
        while let Some(argument) = sequence.next_element::<Dynamic>()? {
            arguments.push(from_outside(argument));
        }
        Ok(arguments)
    }
}

/// The name of an event in the array of its packet; the rest is checked to be JSON.
///
/// # Errors
/// When the text is no JSON array that begins with text.
pub fn event_name(packet: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    struct Name;

    impl<'de> Visitor<'de> for Name {
        type Value = Cow<'de, str>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an array that begins with the event's name")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
            let name = sequence.next_element::<BorrowedName<'de>>()?;
            let name = name.ok_or_else(|| serde::de::Error::invalid_length(0, &self))?;
            while sequence.next_element::<IgnoredAny>()?.is_some() {}
            Ok(name.0)
        }
    }

    #[derive(serde::Deserialize)]
    struct BorrowedName<'a>(#[serde(borrow)] Cow<'a, str>);

    serde_json::Deserializer::from_str(packet).deserialize_seq(Name)
}

/// Whether each map that stands for a blob is one that came along, and none stands for it twice:
/// one blob named a thousand times would be a thousand in memory.
pub fn placeholders_fit(packet: &str, attachments: usize) -> bool {
    // A key may be spelled with escapes.
    if attachments == 0 && !packet.contains(PLACEHOLDER) && !packet.contains("\\u") {
        return true;
    }
    let mut is_used = vec![false; attachments];
    serde_json::Deserializer::from_str(packet).deserialize_any(Placeholders(&mut is_used)).is_ok()
}

/// Looks through a value for placeholders.
struct Placeholders<'a>(&'a mut [bool]);

/// As much of a value as decides whether a map is a placeholder.
enum Seen {
    True,
    Number(u64),
    Other,
}

impl<'de> DeserializeSeed<'de> for Placeholders<'_> {
    type Value = Seen;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Seen, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Placeholders<'_> {
    type Value = Seen;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("each attachment once")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Seen, E> {
        Ok(if value { Seen::True } else { Seen::Other })
    }

    fn visit_u64<E>(self, value: u64) -> Result<Seen, E> {
        Ok(Seen::Number(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_unit<E>(self) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Seen, A::Error> {
        while sequence.next_element_seed(Placeholders(self.0))?.is_some() {}
        Ok(Seen::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Seen, A::Error> {
        let (mut mark, mut number) = (None, None);
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let value = map.next_value_seed(Placeholders(self.0))?;
            match &*key {
                PLACEHOLDER => mark = Some(value),
                "num" => number = Some(value),
                _ => {}
            }
        }
        if let Some(mark) = mark {
            let number = match (mark, number) {
                (Seen::True, Some(Seen::Number(number))) => usize::try_from(number).ok(),
                _ => None,
            };
            let is_used = number.and_then(|number| self.0.get_mut(number));
            let is_used =
                is_used.filter(|is_used| !**is_used).ok_or_else(|| Error::custom("no such blob"))?;
            *is_used = true;
        }
        Ok(Seen::Other)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_arguments_and_blobs() {
        let arguments = Arguments::from_packet(
            r#"["name",{"a":{"_placeholder":true,"num":1}},{"_placeholder":true,"num":0},null,7]"#,
            vec![vec![1], vec![2, 3]],
        )
        .read()
        .unwrap();
        assert_eq!(arguments.len(), 4);
        let bytes = |value: &Dynamic| value.clone().cast::<Attachment>().bytes().to_vec();
        assert_eq!(bytes(&arguments[1]), [1]);
        assert_eq!(bytes(&arguments[0].as_map_ref().unwrap()["a"]), [2, 3]);
        assert!(arguments[2].is_unit());
    }

    #[test]
    fn a_payload_is_masked() {
        let arguments =
            Arguments::from_packet(r#"["name",{"a":["secret","secret two"],"b":"no"},"third"]"#, Vec::new());
        let masked = arguments.masked("no name is secret two or secret, nor the third, says no");
        assert_eq!(masked, "no name is … or …, nor the …, says no");
    }

    #[test]
    fn a_placeholder_without_a_blob_stays_a_map() {
        let arguments = Arguments::from_packet(r#"["e",{"_placeholder":true,"num":9}]"#, vec![vec![1]]);
        assert!(arguments.read().unwrap()[0].is_map());
    }

    #[test]
    fn placeholders() {
        let blob = |number: &str| format!(r#"{{"_placeholder":true,"num":{number}}}"#);
        for (packet, attachments, fit) in [
            (r#"["e",{"a":1}]"#.to_owned(), 0, true),
            (r#"["\u00e9",{"a":[1,-1,0.5,null,true,"x"]}]"#.to_owned(), 0, true),
            (format!("[\"e\",{},[{}]]", blob("1"), blob("0")), 2, true),
            (format!("[\"e\",{}]", blob("0")), 3, true),
            (format!("[\"e\",{},{}]", blob("0"), blob("0")), 1, false),
            (format!("[\"e\",{}]", blob("1")), 1, false),
            (format!("[\"e\",{}]", blob("0")), 0, false),
            (format!("[\"e\",{}]", blob("-1")), 1, false),
            (format!("[\"e\",{}]", blob("0.0")), 1, false),
            (r#"["e",{"\u005fplaceholder":true,"num":0}]"#.to_owned(), 0, false),
            (r#"["e",{"_placeholder":1,"num":0}]"#.to_owned(), 1, false),
            (r#"["e",{"_placeholder":true}]"#.to_owned(), 1, false),
        ] {
            assert_eq!(placeholders_fit(&packet, attachments), fit, "{packet}");
        }
    }

    #[test]
    fn names() {
        for (packet, expected) in [
            (r#"["a",{"b":1}]"#, Some("a")),
            (r#"["é\n"]"#, Some("é\n")),
            (r#"["a",{"b":]"#, None),
            (r"[]", None),
            (r"[1]", None),
            (r"{}", None),
            ("", None),
        ] {
            assert_eq!(event_name(packet).ok().as_deref(), expected, "{packet}");
        }
        let deep = format!("[\"a\",{}{}]", "[".repeat(100_000), "]".repeat(100_000));
        assert!(event_name(&deep).is_err() || super::super::nesting_of(&deep) > 64, "never a stack overflow");
    }

    proptest! {
        /// Whatever text comes, it is refused or has a name; nothing panics.
        #[test]
        fn any_text(packet in ".{0,200}") {
            let _ = event_name(&packet);
        }

        #[test]
        fn any_name(name in ".{0,50}") {
            let packet = serde_json::json!([name, {"a": 1}]).to_string();
            prop_assert_eq!(event_name(&packet).unwrap(), name);
        }
    }
}
