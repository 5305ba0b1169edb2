//! Errors for people who write JavaScript by habit: what to write in Rhai instead.

use rhai::{EvalAltResult, ParseError};

use super::engine::CompileError;

/// Where something stands for a truth that is none.
const NO_TRUTH: &str = "conditions, `&&` and `||` take true or false and nothing else: write `x != ()` or `x != \"\"`, \
                                   and for a default `x ?? 0`";
const NO_NOT: &str = "`!` takes true or false and nothing else: write `x == ()` or `x == \"\"`";
const LEN: &str = "the length is `x.len()`";

/// What stands in JavaScript for itself.
const GLOBALS: [(&str, &str); 12] = [
    ("JSON", "JSON is read by `parse_json(text)` and written by `x.to_json()`"),
    ("console", "a log is written `@LOGS(\"text\", value)`"),
    (
        "Math",
        "numbers have their functions themselves: `x.floor()`, `x.abs()`, `max(a, b)`, `min(a, b)`, `x ** 2`",
    ),
    ("Object", "a map has `x.keys()`, `x.values()` and `x.contains(\"name\")`"),
    ("Array", "an array is written `[]`; whether something is one: `type_of(x) == \"array\"`"),
    ("Date", "the time is `@HELPERS.now()` in milliseconds, or `@HELPERS.iso()` as text"),
    ("Promise", "calls give their result at once: there are no promises"),
    ("process", "there is no process to see; what a script has stands in macros, such as `@BODY`"),
    ("window", "there is no window; what a script has stands in macros, such as `@BODY`"),
    ("module", "a script exports nothing: its last value, or `return`, is its result"),
    ("typeof", "the type is `type_of(x)`, such as \"string\", \"i64\", \"map\", \"array\", \"()\""),
    ("delete", "a field is removed by `x.remove(\"name\")`"),
];

/// Methods of JavaScript, and what Rhai has in their place.
const METHODS: [(&str, &str); 24] = [
    ("charAt", "write `text[0]`"),
    ("concat", "write `a + b`"),
    ("endsWith", "write `text.ends_with(\"x\")`"),
    ("entries", "write `for key in x.keys() { … }`"),
    ("every", "write `list.all(|x| x > 1)`"),
    ("findIndex", "write `list.index_of(|x| x > 1)`"),
    ("flat", "write `for` with `list += part`"),
    ("forEach", "write `for x in list { … }`"),
    ("hasOwnProperty", "write `x.contains(\"name\")`"),
    ("includes", "write `x.contains(y)`, or `y in x`"),
    ("indexOf", "write `x.index_of(y)`"),
    ("join", "write `list.reduce(|all, x| if all == () { x } else { `${all},${x}` })`"),
    ("length", LEN),
    ("padEnd", "write `text.pad(10, ' ')`"),
    ("replaceAll", "write `text.replace(\"a\", \"b\")`, which changes the text itself"),
    ("slice", "write `text.sub_string(0, 5)`, or `list.extract(0, 5)`"),
    ("startsWith", "write `text.starts_with(\"x\")`"),
    ("stringify", "write `x.to_json()`"),
    ("substr", "write `text.sub_string(0, 5)`"),
    ("substring", "write `text.sub_string(start, length)`"),
    ("toFixed", "write `x.round()`"),
    ("toLowerCase", "write `text.to_lower()`"),
    ("toString", "write `x.to_string()`"),
    ("toUpperCase", "write `text.to_upper()`"),
];

/// Functions of JavaScript, and what there is in their place.
const FUNCTIONS: [(&str, &str); 11] = [
    ("Boolean", NO_TRUTH),
    ("Number", "write `parse_int(text)` or `parse_float(text)`"),
    ("String", "write `x.to_string()`, or `${x}` in backticks"),
    ("alert", "a log is written `@LOGS(\"text\")`"),
    ("fetch", "write `@HELPERS.fetch(url, #{ method: \"GET\" })`"),
    ("isNaN", "write `x.is_nan()`"),
    ("parseFloat", "write `parse_float(text)`"),
    ("parseInt", "write `parse_int(text)`"),
    ("require", "there is nothing to require; what a script has stands in macros, such as `@HELPERS`"),
    ("setTimeout", "write `@HELPERS.sleep(ms)`, within the time of the run"),
    ("typeof", "write `type_of(x)`"),
];

/// What stands in the place of a method of JavaScript.
pub(super) fn of_method(name: &str) -> Option<&'static str> {
    METHODS.iter().find(|(known, _)| *known == name).map(|(_, hint)| *hint)
}

/// What stands in the place of a function of JavaScript.
pub(super) fn of_function(name: &str) -> Option<&'static str> {
    FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, hint)| *hint)
}

/// The hint for what can only be told when it runs.
pub(super) fn of_run(error: &EvalAltResult) -> Option<&'static str> {
    match error {
        EvalAltResult::ErrorMismatchDataType(expected, ..) if expected == "bool" => Some(NO_TRUTH),
        EvalAltResult::ErrorFunctionNotFound(call, _) => {
            let name = call.split([' ', '(']).next().unwrap_or_default();
            if name == "!" { Some(NO_NOT) } else { of_method(name).or_else(|| of_function(name)) }
        }
        EvalAltResult::ErrorDotExpr(text, _) | EvalAltResult::ErrorPropertyNotFound(text, _) => {
            (text.contains("'length'") || text == "length").then_some(LEN)
        }
        _ => None,
    }
}

/// A compiler error in the author's words, with a hint where the text shows a JavaScript habit.
pub(super) fn compile_error(error: &ParseError, source: &str) -> CompileError {
    let position = error.position();
    let (line, column) = (position.line().unwrap_or(0), position.position().unwrap_or(0));
    let message = error.err_type().to_string();
    let text = source.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let from = text.char_indices().nth(column.saturating_sub(1)).map_or(text.len(), |(index, _)| index);
    let hint = hint(text, from, &message);
    let message = match hint {
        Some(hint) => format!("{message}: {hint}"),
        None => message,
    };
    CompileError { message, hint: hint.map(str::to_owned), line, column }
}

/// The hint for an error at byte `from` of the line `text`.
fn hint(text: &str, from: usize, message: &str) -> Option<&'static str> {
    let (before, rest) = text.split_at(from);
    let before = before.trim_end();
    let is_word = |word: &str| starts_with_word(rest, word) || ends_with_word(before, word);
    if is_word("await") || is_word("async") {
        return Some("calls need no `await`, they give their result at once: leave it out");
    }
    if let Some((_, hint)) = GLOBALS.iter().find(|(name, _)| is_word(name)) {
        return Some(hint);
    }
    if message.contains("a boolean expression") {
        return Some(NO_TRUTH);
    }
    if rest.starts_with("++")
        || rest.starts_with("--")
        || message.contains("'++'")
        || message.contains("'--'")
    {
        return Some("write `i += 1` and `i -= 1`");
    }
    if rest.starts_with("...") || before.ends_with("...") || message.contains("'...'") {
        return Some("there is no spread: arrays and maps are put together by `a + b`");
    }
    if is_word("case") || is_word("default") {
        return Some("a choice among values is written `switch x { 1 => a, 2 => b, _ => c }`");
    }
    if is_word("class") {
        return Some(
            "there are no classes: a map holds values, `#{ name: \"x\" }`, and `fn name(a) { … }` is a function",
        );
    }
    if text.trim_start().starts_with("import ") {
        return Some("a library is imported by `import \"name\" as name;`");
    }
    if text.contains("for (") || text.contains("for(") {
        return Some("a loop is written `for i in 0..10 { … }`, or `for x in list { … }`");
    }
    if rest.starts_with('?') || message.contains("'?'") {
        return Some("a choice is written `if x { a } else { b }`");
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
        return Some("a map is written `#{ ok: true }`");
    }
    if starts_with_word(rest, "if") || has_braceless_if(text) {
        return Some("the body of an `if` stands in braces: `if x { … }`");
    }
    None
}

/// What is no error and yet hardly meant: `${…}` in text that is no template. In their order, and not very many.
pub(super) fn remarks(source: &str) -> Vec<CompileError> {
    const REMARKS_MAX: usize = 20;
    const HINT: &str = "values are put into text in backticks: `` `Hello ${name}` ``";
    let mut found = Vec::new();
    // What the text at hand stands in: a template, or with the number of open braces the code within one.
    let mut within: Vec<Option<usize>> = Vec::new();
    let mut characters = source.char_indices().peekable();
    let (mut line, mut line_start) = (1, 0);
    while let Some((at, character)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next);
        match (within.last_mut(), character) {
            (_, '\n') => (line, line_start) = (line + 1, at + 1),
            (Some(None), '$') if next == Some('{') => {
                characters.next();
                within.push(Some(0));
            }
            (Some(None), '`') => drop(within.pop()),
            (Some(None), _) => {}
            (_, '`') => within.push(None),
            (Some(Some(open)), '{') => *open += 1,
            (Some(Some(0)), '}') => drop(within.pop()),
            (Some(Some(open)), '}') => *open -= 1,
            (_, '/') if next == Some('/') => while characters.next_if(|(_, c)| *c != '\n').is_some() {},
            (_, '"') => {
                let text: String = rest_of_text(&mut characters);
                if text.contains("${") && found.len() < REMARKS_MAX {
                    let column = source[line_start..at].chars().count() + 1;
                    let message = format!("`${{…}}` is text like any other here: {HINT}");
                    found.push(CompileError { message, hint: Some(HINT.to_owned()), line, column });
                }
                let lines = text.matches('\n').count();
                if lines > 0 {
                    line += lines;
                    line_start = at + 1 + text.rfind('\n').map_or(0, |last| last + 1);
                }
            }
            _ => {}
        }
    }
    found
}

/// The rest of a text in double quotes.
fn rest_of_text(characters: &mut std::iter::Peekable<std::str::CharIndices<'_>>) -> String {
    let mut text = String::new();
    while let Some((_, character)) = characters.next() {
        match character {
            '"' => break,
            '\\' => {
                text.push(character);
                text.extend(characters.next().map(|(_, escaped)| escaped));
            }
            other => text.push(other),
        }
    }
    text
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
