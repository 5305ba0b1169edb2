//! What leaves a run: JSON text with blobs beside it.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// JSON text, and the blobs that its `{"_placeholder":true,"num":n}` stand for (the form of
/// Socket.IO's binary packets).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// Complete JSON.
    pub json: String,
    /// In the order of their numbers.
    pub attachments: Vec<Vec<u8>>,
}

impl Payload {
    /// The JSON as a tree, for answers over HTTP; blobs become base64 text.
    pub fn to_value(&self) -> Json {
        let mut value = serde_json::from_str(&self.json).unwrap_or_default();
        if !self.attachments.is_empty() {
            self.inline(&mut value);
        }
        value
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> usize {
        self.json.len() + self.attachments.iter().map(Vec::len).sum::<usize>()
    }

    fn inline(&self, value: &mut Json) {
        use base64::Engine;
        match value {
            Json::Object(map) if map.get("_placeholder") == Some(&Json::Bool(true)) => {
                let number = map.get("num").and_then(Json::as_u64).unwrap_or_default() as usize;
                if let Some(blob) = self.attachments.get(number) {
                    *value = base64::engine::general_purpose::STANDARD.encode(blob).into();
                }
            }
            Json::Object(map) => map.values_mut().for_each(|value| self.inline(value)),
            Json::Array(array) => array.iter_mut().for_each(|value| self.inline(value)),
            _ => {}
        }
    }
}
