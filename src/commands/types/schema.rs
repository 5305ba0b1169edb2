//! JSON Schemas as TypeScript. What TypeScript cannot say, and what is not understood, is `unknown`: a type that lets in
//! too much is a nuisance, one that keeps out what is right is a mistake.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::{Map, Value as Json};

use super::text::{Block, comment, key, literal, pascal};

/// Schemas within schemas, references included, at most; deeper ones are `unknown`.
const DEPTH_MAX: usize = 200;
/// What is written of one schema and its definitions, at most.
const BYTES_MAX: usize = 256 << 10;

/// The parts of schemas that are referred to, each a type of its own: so those that refer to themselves are no matter.
#[derive(Default)]
pub struct Definitions {
    names: BTreeSet<String>,
    /// `type NAME = …;`, in the order in which they were met.
    pub text: String,
}

/// One schema on its way.
struct Writer<'a> {
    root: &'a Json,
    /// What names of its parts begin with.
    prefix: &'a str,
    /// The names of parts by their pointers.
    parts: HashMap<String, String>,
    /// Those of them that are being written.
    unfinished: HashSet<String>,
    /// Whether what is written stands inside of an object or a list.
    is_within: bool,
    definitions: &'a mut Definitions,
    /// Bytes that may still be written.
    left: usize,
}

impl Definitions {
    /// The type of what a schema lets in. Its parts are named after `prefix`.
    pub fn type_of(&mut self, schema: &Json, prefix: &str, indent: usize) -> String {
        let mut writer = Writer {
            root: schema,
            prefix,
            parts: HashMap::new(),
            unfinished: HashSet::new(),
            is_within: false,
            definitions: self,
            left: BYTES_MAX,
        };
        writer.schema(schema, indent, 0)
    }

    fn name(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        for number in 2.. {
            if self.names.insert(name.clone()) {
                break;
            }
            name = format!("{wanted}{number}");
        }
        name
    }
}

impl Writer<'_> {
    fn schema(&mut self, schema: &Json, indent: usize, depth: usize) -> String {
        let written = match schema {
            Json::Bool(false) => "never".to_owned(),
            Json::Object(schema) if depth < DEPTH_MAX && self.left > 0 => {
                self.object(schema, indent, depth + 1)
            }
            _ => "unknown".to_owned(),
        };
        self.left = self.left.saturating_sub(written.len());
        written
    }

    /// All that a schema asks for at once.
    fn object(&mut self, schema: &Map<String, Json>, indent: usize, depth: usize) -> String {
        if let Some(value) = schema.get("const") {
            return literal(value, depth);
        }
        if let Some(Json::Array(values)) = schema.get("enum") {
            return union(values.iter().map(|value| literal(value, depth)));
        }
        let mut all = Vec::new();
        if let Some(Json::String(pointer)) = schema.get("$ref") {
            all.push(self.part(pointer, depth));
        }
        all.push(self.own(schema, indent, depth));
        for (word, is_union) in [("allOf", false), ("anyOf", true), ("oneOf", true)] {
            if let Some(Json::Array(list)) = schema.get(word) {
                let types: Vec<_> = list.iter().map(|one| self.schema(one, indent, depth)).collect();
                all.push(if is_union { union(types) } else { intersection(types) });
            }
        }
        let written = intersection(all);
        let may_be_null = schema.get("nullable") == Some(&Json::Bool(true));
        if may_be_null && written != "unknown" { union([written, "null".to_owned()]) } else { written }
    }

    /// What its `type` says, or the words that only one type has.
    fn own(&mut self, schema: &Map<String, Json>, indent: usize, depth: usize) -> String {
        let has = |words: &[&str]| words.iter().any(|word| schema.contains_key(*word));
        match schema.get("type") {
            Some(Json::String(kind)) => self.kind(kind, schema, indent, depth),
            Some(Json::Array(kinds)) => {
                let kinds = kinds.iter().filter_map(Json::as_str);
                union(kinds.map(|kind| self.kind(kind, schema, indent, depth)).collect::<Vec<_>>())
            }
            _ if has(&["properties", "required"]) => self.kind("object", schema, indent, depth),
            _ if has(&["items", "prefixItems"]) => self.kind("array", schema, indent, depth),
            _ => "unknown".to_owned(),
        }
    }

    fn kind(&mut self, kind: &str, schema: &Map<String, Json>, indent: usize, depth: usize) -> String {
        match kind {
            "object" => self.within(|writer| writer.fields(schema, indent, depth)),
            "array" => self.within(|writer| writer.list(schema, indent, depth)),
            "string" | "boolean" | "null" => kind.to_owned(),
            "number" | "integer" => "number".to_owned(),
            _ => "unknown".to_owned(),
        }
    }

    /// Writes what stands inside of an object or a list, where a type may be one that is not written yet.
    fn within(&mut self, write: impl FnOnce(&mut Self) -> String) -> String {
        let before = std::mem::replace(&mut self.is_within, true);
        let written = write(self);
        self.is_within = before;
        written
    }

    fn fields(&mut self, schema: &Map<String, Json>, indent: usize, depth: usize) -> String {
        let none = Map::new();
        let properties = schema.get("properties").and_then(Json::as_object).unwrap_or(&none);
        let required = schema.get("required").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
        let required: BTreeSet<_> = required.iter().filter_map(Json::as_str).collect();
        let mut block = Block::new(indent);
        for (name, property) in properties {
            let mark = if required.contains(name.as_str()) { "" } else { "?" };
            let written = self.schema(property, indent + 1, depth);
            block.line(&comment(property, indent + 1), &format!("{}{mark}: {written};", key(name)));
        }
        for name in required.iter().filter(|name| !properties.contains_key(**name)) {
            block.line("", &format!("{}: unknown;", key(name)));
        }
        // Fields that are not known are more often a slip than meant, unless the schema says that there are others.
        let others = match (schema.get("additionalProperties"), block.is_empty()) {
            (None | Some(Json::Bool(false)), false) => None,
            (Some(others), true) => Some(self.schema(others, indent + 1, depth)),
            _ => Some("unknown".to_owned()),
        };
        if let Some(others) = others {
            block.line("", &format!("[key: string]: {others};"));
        }
        block.end()
    }

    fn list(&mut self, schema: &Map<String, Json>, indent: usize, depth: usize) -> String {
        let tuple =
            schema.get("prefixItems").or_else(|| schema.get("items").filter(|items| items.is_array()));
        let rest =
            if tuple.is_some() && !schema.contains_key("prefixItems") { "additionalItems" } else { "items" };
        let closed = schema.get(rest) == Some(&Json::Bool(false));
        let items = schema.get(rest).map_or("unknown".to_owned(), |items| self.schema(items, indent, depth));
        let items = if is_word(&items) { format!("{items}[]") } else { format!("Array<{items}>") };
        let Some(Json::Array(first)) = tuple else { return items };
        let sure = schema.get("minItems").and_then(Json::as_u64).unwrap_or(0);
        let mut all = Vec::new();
        for (number, one) in first.iter().enumerate() {
            let mark = if (number as u64) < sure { "" } else { "?" };
            all.push(format!("{}{mark}", grouped(&self.schema(one, indent, depth))));
        }
        if !closed {
            all.push(format!("...{items}"));
        }
        format!("[{}]", all.join(", "))
    }

    /// The name of a part of this schema; what lies elsewhere is `unknown`. A type may be made of itself only inside of
    /// an object or a list: anywhere else, a part that is not finished is `unknown`, so that no two are made of each other.
    fn part(&mut self, pointer: &str, depth: usize) -> String {
        if !self.is_within && self.unfinished.contains(pointer) {
            return "unknown".to_owned();
        }
        if let Some(name) = self.parts.get(pointer) {
            return name.clone();
        }
        let found = pointer.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        let Some(found) = found else { return "unknown".to_owned() };
        let last = pointer.rsplit('/').next().filter(|last| *last != "#").unwrap_or("root");
        let name = self.definitions.name(&format!("{}{}", self.prefix, pascal(last)));
        self.parts.insert(pointer.to_owned(), name.clone());
        self.unfinished.insert(pointer.to_owned());
        let before = std::mem::replace(&mut self.is_within, false);
        let written = self.schema(found, 0, depth);
        self.is_within = before;
        self.unfinished.remove(pointer);
        let said = comment(found, 0);
        self.definitions.text.push_str(&format!("\n{said}type {name} = {written};\n"));
        name
    }
}

fn union(types: impl IntoIterator<Item = String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for one in types {
        if one == "unknown" {
            return one;
        }
        if one != "never" && !all.contains(&one) {
            all.push(one);
        }
    }
    if all.is_empty() { "never".to_owned() } else { all.join(" | ") }
}

fn intersection(types: impl IntoIterator<Item = String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for one in types {
        if one != "unknown" && !all.contains(&one) {
            all.push(one);
        }
    }
    match all.len() {
        0 => "unknown".to_owned(),
        1 => all.remove(0),
        _ => all.iter().map(|one| grouped(one)).collect::<Vec<_>>().join(" & "),
    }
}

/// In parentheses, where it is more than one word.
fn grouped(written: &str) -> String {
    if is_word(written) { written.to_owned() } else { format!("({written})") }
}

fn is_word(written: &str) -> bool {
    written.chars().all(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(schema: Json, expected: &str) {
        let mut definitions = Definitions::default();
        let written = definitions.type_of(&schema, "A", 0);
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(flat(&format!("{written}{}", definitions.text)), flat(expected), "{schema}");
    }

    #[test]
    fn plain_types() {
        check(json!(true), "unknown");
        check(json!({}), "unknown");
        check(json!(false), "never");
        check(json!({ "type": "integer" }), "number");
        check(json!({ "type": ["string", "null"] }), "string | null");
        check(json!({ "type": "string", "nullable": true }), "string | null");
        check(json!({ "type": "strange" }), "unknown");
        check(json!({ "const": "a\"b" }), r#""a\"b""#);
        check(
            json!({ "enum": ["a", 1, null, true, [1], { "b-c": 2 }] }),
            r#""a" | 1 | null | true | [1] | { "b-c": 2 }"#,
        );
        check(json!({ "enum": [] }), "never");
    }

    #[test]
    fn objects() {
        let properties =
            json!({ "a": { "type": "string" }, "b-c": { "type": "number" }, "__proto__": true, "1": {} });
        check(
            json!({ "type": "object", "properties": properties, "required": ["a", "z"] }),
            r#"{ "1"?: unknown; "__proto__"?: unknown; a: string; "b-c"?: number; z: unknown; }"#,
        );
        check(json!({ "type": "object" }), "{ [key: string]: unknown; }");
        check(json!({ "type": "object", "additionalProperties": false }), "{ [key: string]: never; }");
        check(
            json!({ "type": "object", "additionalProperties": { "type": "number" } }),
            "{ [key: string]: number; }",
        );
        check(
            json!({ "properties": { "a": { "type": "string" } }, "additionalProperties": { "type": "number" } }),
            "{ a?: string; [key: string]: unknown; }",
        );
        let said = json!({ "type": "string", "description": "ends */ here", "deprecated": true });
        check(
            json!({ "properties": { "a": said } }),
            "{ /** * ends *\\/ here * @deprecated */ a?: string; }",
        );
    }

    #[test]
    fn lists() {
        check(json!({ "type": "array" }), "unknown[]");
        check(json!({ "items": { "type": "string" } }), "string[]");
        check(json!({ "items": { "type": ["string", "null"] } }), "Array<string | null>");
        let two = json!([{ "type": "string" }, { "type": ["number", "null"] }]);
        check(json!({ "prefixItems": two, "items": false, "minItems": 1 }), "[string, (number | null)?]");
        check(json!({ "prefixItems": two, "minItems": 2 }), "[string, (number | null), ...unknown[]]");
        check(
            json!({ "items": two, "additionalItems": { "type": "boolean" } }),
            "[string?, (number | null)?, ...boolean[]]",
        );
    }

    #[test]
    fn combinations() {
        check(json!({ "anyOf": [{ "type": "string" }, { "const": 1 }] }), "string | 1");
        check(json!({ "oneOf": [{ "type": "string" }, true] }), "unknown");
        let one = |name: &str| json!({ "properties": { name: { "type": "string" } }, "required": [name] });
        check(json!({ "allOf": [one("a"), one("b")] }), "({ a: string; }) & ({ b: string; })");
        check(
            json!({ "type": "object", "properties": { "a": {} }, "anyOf": [one("b"), { "type": "null" }] }),
            "({ a?: unknown; }) & ({ b: string; } | null)",
        );
    }

    #[test]
    fn references() {
        let node = json!({ "properties": { "next": { "$ref": "#/$defs/node" } } });
        check(
            json!({ "$ref": "#/$defs/node", "$defs": { "node": node } }),
            "ANode type ANode = { next?: ANode; };",
        );
        check(json!({ "$ref": "https://example.com/schema" }), "unknown");
        check(
            json!({ "items": { "$ref": "#" } }),
            "Aroot[] type Aroot = Aroot[];".replace("Aroot", "ARoot").as_str(),
        );
        check(
            json!({ "$ref": "#/$defs/a", "$defs": { "a": { "anyOf": [{ "$ref": "#/$defs/b" }, { "type": "string" }] },
                "b": { "anyOf": [{ "$ref": "#/$defs/a" }, { "type": "number" }] } } }),
            "AA type AB = unknown; type AA = AB | string;",
        );
        let wide: Map<String, Json> = (0..40)
            .map(|n| {
                let next = json!({ "$ref": format!("#/$defs/d{}", n + 1) });
                (format!("d{n}"), json!({ "properties": { "a": next, "b": next } }))
            })
            .collect();
        let mut definitions = Definitions::default();
        definitions.type_of(&json!({ "$ref": "#/$defs/d0", "$defs": wide }), "A", 0);
        assert!(definitions.text.len() < 4000, "{}", definitions.text.len());
    }
}
