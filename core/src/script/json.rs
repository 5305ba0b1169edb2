//! Between Rhai's values and JSON text, bounded on the way out.

use std::sync::Arc;

use rhai::Dynamic;

use super::attachment::Attachment;
use super::outside::from_outside;
use crate::payload::Payload;

/// What most payloads fit into, so that their text is allocated once.
const PAYLOAD_BYTES_USUAL: usize = 160;

/// Blobs in one packet: the official client ends a connection that brings more
/// (`maxAttachments` of socket.io-parser).
const ATTACHMENTS_MAX: usize = 10;

/// The key by which a map in a packet stands for a blob.
pub(super) const PLACEHOLDER: &str = "_placeholder";

/// Why a value cannot leave a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsendable {
    /// Nests deeper than allowed.
    TooDeep,
    /// Takes more bytes than allowed.
    TooLarge,
    /// Holds something that has no JSON form, such as a function.
    NoJson,
    /// Has a key that is Socket.IO's own mark for binary data: a client that finds it where no
    /// blob belongs gives the connection up.
    Placeholder,
}

/// What becomes of blobs.
enum Blobs {
    /// They travel beside the JSON.
    Attach(Vec<Vec<u8>>),
    /// They stand in the JSON as base64 text.
    Inline,
}

struct Writer {
    json: String,
    blobs: Blobs,
    depth_max: usize,
    bytes_left: usize,
    /// The attachments of the run's payload that are in it.
    passed_on: Vec<Arc<Vec<u8>>>,
}

/// A value as JSON with its blobs beside it.
pub(super) fn to_payload(value: &Dynamic, depth_max: usize, bytes_max: usize) -> Result<Payload, Unsendable> {
    let blobs = Blobs::Attach(Vec::new());
    let json = String::with_capacity(PAYLOAD_BYTES_USUAL);
    let passed_on = Vec::new();
    let mut writer = Writer { json, blobs, depth_max, bytes_left: bytes_max, passed_on };
    writer.value(value, 0)?;
    let attachments = match writer.blobs {
        Blobs::Attach(blobs) => blobs,
        Blobs::Inline => Vec::new(),
    };
    Ok(Payload { json: writer.json, attachments })
}

/// A value as JSON alone; blobs become base64 text.
pub(super) fn to_json(value: &Dynamic, depth_max: usize, bytes_max: usize) -> Result<String, Unsendable> {
    let (json, blobs, passed_on) = (String::new(), Blobs::Inline, Vec::new());
    let mut writer = Writer { json, blobs, depth_max, bytes_left: bytes_max, passed_on };
    writer.value(value, 0)?;
    Ok(writer.json)
}

impl Writer {
    fn value(&mut self, value: &Dynamic, depth: usize) -> Result<(), Unsendable> {
        if value.is_unit() {
            self.push("null")
        } else if let Ok(text) = value.as_immutable_string_ref() {
            self.text(&text)
        } else if let Ok(number) = value.as_int() {
            self.push(&number.to_string())
        } else if let Ok(flag) = value.as_bool() {
            self.push(if flag { "true" } else { "false" })
        } else if let Ok(number) = value.as_float() {
            // Like JSON.stringify: what JSON cannot say is null.
            let number = serde_json::Number::from_f64(number);
            self.push(&number.map_or_else(|| "null".to_owned(), |number| number.to_string()))
        } else if let Ok(map) = value.as_map_ref() {
            self.map(&map, depth)
        } else if let Ok(array) = value.as_array_ref() {
            self.array(&array, depth)
        } else if let Ok(blob) = value.as_blob_ref() {
            self.blob(&blob)
        } else if let Ok(character) = value.as_char() {
            self.text(character.encode_utf8(&mut [0; 4]))
        } else if let Some(attachment) = value.read_lock::<Attachment>() {
            self.attachment(&attachment)
        } else {
            Err(Unsendable::NoJson)
        }
    }

    fn map(&mut self, map: &rhai::Map, depth: usize) -> Result<(), Unsendable> {
        let depth = self.deeper(depth)?;
        self.push("{")?;
        for (index, (key, value)) in map.iter().enumerate() {
            if index > 0 {
                self.push(",")?;
            }
            if key == PLACEHOLDER && matches!(self.blobs, Blobs::Attach(_)) {
                return Err(Unsendable::Placeholder);
            }
            self.text(key)?;
            self.push(":")?;
            self.value(value, depth)?;
        }
        self.push("}")
    }

    fn array(&mut self, array: &rhai::Array, depth: usize) -> Result<(), Unsendable> {
        let depth = self.deeper(depth)?;
        self.push("[")?;
        for (index, value) in array.iter().enumerate() {
            if index > 0 {
                self.push(",")?;
            }
            self.value(value, depth)?;
        }
        self.push("]")
    }

    /// What came in may go out again, once in each value, whatever its size.
    fn attachment(&mut self, attachment: &Attachment) -> Result<(), Unsendable> {
        let bytes = attachment.bytes();
        let goes_beside = matches!(self.blobs, Blobs::Attach(_));
        if goes_beside && !self.passed_on.iter().any(|one| Arc::ptr_eq(one, bytes)) {
            self.passed_on.push(bytes.clone());
            return self.write_blob(bytes);
        }
        self.blob(bytes)
    }

    fn blob(&mut self, blob: &[u8]) -> Result<(), Unsendable> {
        self.charge(blob.len())?;
        self.write_blob(blob)
    }

    fn write_blob(&mut self, blob: &[u8]) -> Result<(), Unsendable> {
        match &mut self.blobs {
            Blobs::Attach(blobs) if blobs.len() >= ATTACHMENTS_MAX => Err(Unsendable::TooLarge),
            Blobs::Attach(blobs) => {
                let placeholder = format!("{{\"_placeholder\":true,\"num\":{}}}", blobs.len());
                blobs.push(blob.to_vec());
                self.push(&placeholder)
            }
            Blobs::Inline => {
                use base64::Engine;
                let text = base64::engine::general_purpose::STANDARD.encode(blob);
                self.text(&text)
            }
        }
    }

    fn text(&mut self, text: &str) -> Result<(), Unsendable> {
        self.charge(text.len() + 2)?;
        if text.bytes().any(|byte| matches!(byte, b'"' | b'\\') || byte < 0x20) {
            self.json.push_str(&serde_json::to_string(text).map_err(|_| Unsendable::NoJson)?);
        } else {
            self.json.push('"');
            self.json.push_str(text);
            self.json.push('"');
        }
        Ok(())
    }

    fn push(&mut self, text: &str) -> Result<(), Unsendable> {
        self.charge(text.len())?;
        self.json.push_str(text);
        Ok(())
    }

    fn deeper(&self, depth: usize) -> Result<usize, Unsendable> {
        if depth >= self.depth_max { Err(Unsendable::TooDeep) } else { Ok(depth + 1) }
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Unsendable> {
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or(Unsendable::TooLarge)?;
        Ok(())
    }
}

/// How deep arrays and objects nest in JSON text. Reads the text once, without recursion.
pub fn nesting_of(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    let (mut in_text, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// How many values JSON text has at most, beside the outermost. Reads the text once.
pub(super) fn elements_of(json: &str) -> usize {
    let (mut in_text, mut escaped, mut elements) = (false, false, 0);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' | b',' if !in_text => elements += 1,
            _ => {}
        }
    }
    elements
}

/// JSON text as a value, which is from outside of the script.
pub(super) fn from_json(json: &str) -> Result<Dynamic, serde_json::Error> {
    serde_json::from_str(json).map(from_outside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting() {
        for (json, depth) in [("1", 0), ("[]", 1), (r#"{"a":[1,{"b":"[[[["}]}"#, 3), (r#"["\"[["]"#, 1)] {
            assert_eq!(nesting_of(json), depth, "{json}");
        }
    }

    #[test]
    fn round_trip_is_exact() {
        for json in [
            "null",
            "true",
            "-9223372036854775808",
            "0.5",
            r#""a\"\\\n\u0000é🦀""#,
            r#"{"a":[1,2,{"b":null}],"c":""}"#,
        ] {
            let value = from_json(json).unwrap();
            let again = to_json(&value, 64, 1000).unwrap();
            let (left, right): (serde_json::Value, serde_json::Value) =
                (serde_json::from_str(json).unwrap(), serde_json::from_str(&again).unwrap());
            assert_eq!(left, right);
        }
    }

    #[test]
    fn bounds() {
        let deep = from_json(&format!("{}{}", "[".repeat(65), "]".repeat(65))).unwrap();
        assert_eq!(to_json(&deep, 64, 1000), Err(Unsendable::TooDeep));
        assert_eq!(to_json(&Dynamic::from("x".repeat(100)), 64, 50), Err(Unsendable::TooLarge));
        let forged = from_json(r#"[{"_placeholder":true,"num":7}]"#).unwrap();
        assert_eq!(to_payload(&forged, 64, 1000), Err(Unsendable::Placeholder));
        assert!(to_json(&forged, 64, 1000).is_ok(), "a row may have such a key");
    }
}
