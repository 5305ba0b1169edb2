//! Compile errors for people who write JavaScript by habit: what to write in Rhai instead.

use rhai::ParseError;

use super::engine::CompileError;

/// A compiler error in the author's words, with a hint where the text shows a JavaScript habit.
pub(super) fn compile_error(error: &ParseError, source: &str) -> CompileError {
    let position = error.position();
    let (line, column) = (position.line().unwrap_or(0), position.position().unwrap_or(0));
    let message = error.err_type().to_string();
    let text = source.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let from = text.char_indices().nth(column.saturating_sub(1)).map_or(text.len(), |(index, _)| index);
    let message = match hint(text, from, &message) {
        Some(hint) => format!("{message}: {hint}"),
        None => message,
    };
    CompileError { message, line, column }
}

/// The hint for an error at byte `from` of the line `text`.
fn hint(text: &str, from: usize, message: &str) -> Option<&'static str> {
    let (before, rest) = text.split_at(from);
    let before = before.trim_end();
    let is_word = |word: &str| starts_with_word(rest, word) || ends_with_word(before, word);
    if is_word("await") || is_word("async") {
        return Some("calls need no `await`, they give their result at once: leave it out");
    }
    if is_word("null") || is_word("undefined") {
        return Some("the absent value is written `()`");
    }
    if rest.starts_with("===")
        || rest.starts_with("!==")
        || message.contains("===")
        || message.contains("!==")
    {
        return Some("write `==` and `!=`; Rhai never converts types when it compares");
    }
    if text.contains("=>") {
        return Some("a function is written `|x| x + 1`");
    }
    if is_single_quoted(text, from) {
        return Some("text is written in double quotes, `\"text\"`; single quotes are for one character");
    }
    if has_destructuring(text) {
        return Some("there is no destructuring: write `let a = @BODY.a;`");
    }
    if is_word("var") || is_word("function") || is_word("new") {
        return Some("write `let x = …;`, and `fn name(a) { … }` for a function; there is no `new`");
    }
    if has_plain_object(text) {
        return Some("an object is written `#{ ok: true }`");
    }
    if starts_with_word(rest, "if") || has_braceless_if(text) {
        return Some("the body of an `if` stands in braces: `if x { … }`");
    }
    None
}

fn starts_with_word(text: &str, word: &str) -> bool {
    text.strip_prefix(word)
        .is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_'))
}

fn ends_with_word(text: &str, word: &str) -> bool {
    text.strip_suffix(word)
        .is_some_and(|rest| !rest.ends_with(|last: char| last.is_alphanumeric() || last == '_'))
}

/// Whether the error stands at or in `'more than one character'`.
fn is_single_quoted(text: &str, from: usize) -> bool {
    let near = from.min(text.len());
    let quote = text[near..].starts_with('\'') || text[..near].contains('\'');
    quote && text.matches('\'').count() >= 2 && {
        let mut pieces = text.split('\'').skip(1).step_by(2);
        pieces.any(|piece| piece.chars().count() != 1)
    }
}

/// `const { a } = …`, `let [a, b] = …`.
fn has_destructuring(text: &str) -> bool {
    ["const", "let", "var"].iter().any(|keyword| {
        text.split_once(keyword).is_some_and(|(_, rest)| {
            let rest = rest.trim_start();
            rest.starts_with('{') || rest.starts_with('[')
        })
    })
}

/// `{ name: …` without a `#` before it.
fn has_plain_object(text: &str) -> bool {
    text.char_indices().filter(|(_, character)| *character == '{').any(|(index, _)| {
        let is_object = |rest: &str| {
            let rest = rest.trim_start();
            let name_end = rest
                .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '"' | '\'')))
                .unwrap_or(rest.len());
            name_end > 0 && rest[name_end..].trim_start().starts_with([':', ','])
        };
        !text[..index].ends_with(['#', '$']) && is_object(&text[index + 1..])
    })
}

/// `if (x) statement;`.
fn has_braceless_if(text: &str) -> bool {
    text.split_once("if (").is_some_and(|(_, rest)| !rest.contains('{'))
}
