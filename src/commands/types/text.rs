//! Text of TypeScript: names that need quotes, values, comments. All of it comes from whoever defines gateways.

use serde_json::Value as Json;

/// Nesting of a value that is written as a type, at most.
const DEPTH_MAX: usize = 40;
/// Characters of a comment, at most.
const COMMENT_CHARS_MAX: usize = 2000;

/// `{ … }`, a line for each thing in it.
pub struct Block {
    indent: usize,
    text: String,
}

impl Block {
    pub fn new(indent: usize) -> Self {
        Self { indent, text: String::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// A line within, with what is said of it before.
    pub fn line(&mut self, comment: &str, line: &str) {
        self.text.push_str(&format!("{comment}{}{line}\n", "  ".repeat(self.indent + 1)));
    }

    /// All of it.
    pub fn end(self) -> String {
        if self.text.is_empty() {
            return "{}".to_owned();
        }
        format!("{{\n{}{}}}", self.text, "  ".repeat(self.indent))
    }
}

/// A name of a field: bare where it may be.
pub fn key(name: &str) -> String {
    let is_word = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$');
    let is_bare = is_word && !name.starts_with(|c: char| c.is_ascii_digit()) && name != "__proto__";
    if is_bare { name.to_owned() } else { quoted(name) }
}

/// A text as TypeScript writes it.
pub fn quoted(text: &str) -> String {
    Json::from(text).to_string()
}

/// The name of an event, of which the last character may be a `*`: then it is all names that begin so.
pub fn event_key(name: &str) -> String {
    match name.strip_suffix('*') {
        None => key(name),
        Some("") => "[event: string]".to_owned(),
        Some(prefix) => {
            let mut text = String::new();
            for c in prefix.chars() {
                match c {
                    '`' | '\\' | '$' => text.extend(['\\', c]),
                    c if c.is_control() => text.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
                    c => text.push(c),
                }
            }
            format!("[event: `{text}${{string}}`]")
        }
    }
}

/// The type of one value.
pub fn literal(value: &Json, depth: usize) -> String {
    match value {
        _ if depth > DEPTH_MAX => "unknown".to_owned(),
        Json::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| literal(item, depth + 1)).collect();
            format!("[{}]", items.join(", "))
        }
        Json::Object(fields) => {
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| format!("{}: {}", key(name), literal(value, depth + 1)))
                .collect();
            if fields.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", fields.join("; ")) }
        }
        plain => plain.to_string(),
    }
}

/// What a schema or a definition says of itself, as a comment on lines of its own; empty where it says nothing.
pub fn comment(of: &Json, indent: usize) -> String {
    let said = of.get("description").and_then(Json::as_str).unwrap_or("").trim();
    let is_deprecated = of.get("deprecated") == Some(&Json::Bool(true));
    let said: String = said.chars().take(COMMENT_CHARS_MAX).collect();
    let said = said.replace("*/", "*\\/").replace(['\u{2028}', '\u{2029}'], "\n");
    let mut lines: Vec<String> = Vec::new();
    for line in said.lines() {
        lines.push(line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>());
    }
    if is_deprecated {
        lines.push("@deprecated".to_owned());
    }
    let space = "  ".repeat(indent);
    match lines.as_slice() {
        [] => String::new(),
        [one] => format!("{space}/** {} */\n", one.trim_end()),
        many => {
            let lines: String =
                many.iter().map(|line| format!("{space} * {line}").trim_end().to_owned() + "\n").collect();
            format!("{space}/**\n{lines}{space} */\n")
        }
    }
}

/// `chat:message` as `ChatMessage`, for names of types.
pub fn pascal(name: &str) -> String {
    let mut text = String::new();
    let mut is_start = true;
    for c in name.chars().take(60) {
        if c.is_ascii_alphanumeric() {
            text.push(if is_start { c.to_ascii_uppercase() } else { c });
        }
        is_start = !c.is_ascii_alphanumeric();
    }
    text
}
