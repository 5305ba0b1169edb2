//! Functions of Rhai's library that make much out of little, bounded.
//!
//! `replace` and the printing of arrays and maps build their text in one operation, out of reach
//! of the operation counter: ten thousand references to one string of a megabyte print as ten
//! gigabytes. These versions stop at the longest string and end the run.

use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, Map};

use super::run;
use crate::error::ErrorCode;

type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// Depth to which values are printed.
const PRINT_DEPTH_MAX: usize = 64;
/// The longest message made of a thrown value.
pub(super) const MESSAGE_BYTES_MAX: usize = 16 << 10;

/// Registers the bounded versions over Rhai's.
pub(super) fn register(engine: &mut Engine, bytes_max: usize, elements_max: usize) {
    register_replace(engine, bytes_max);
    register_split(engine, elements_max);
    register_pad(engine, elements_max);
    engine.register_fn("parse_json", move |json: &str| parse_json(json, elements_max));
    for name in ["to_debug", "debug"] {
        engine.register_fn(name, move |value: &mut ImmutableString| {
            bounded(bytes_max, |text| quoted(value, text))
        });
    }
    for name in ["to_string", "to_debug", "print", "debug"] {
        engine.register_fn(name, move |value: &mut Array| bounded(bytes_max, |text| array(value, 0, text)));
        engine.register_fn(name, move |value: &mut Map| bounded(bytes_max, |text| map(value, 0, text)));
    }
    engine.register_fn("to_json", move |value: &mut Map| -> Result<String, Box<EvalAltResult>> {
        super::json::to_json(&Dynamic::from_map(value.clone()), PRINT_DEPTH_MAX, bytes_max)
            .map_err(|reason| run::unsendable("the JSON text", reason))
    });
    // Rhai's own cannot be interrupted.
    engine.register_fn("sleep", |_: i64| no_sleep()).register_fn("sleep", |_: f64| no_sleep());
}

/// Splitting a text of megabytes makes an array of millions in one operation.
fn register_split(engine: &mut Engine, most: usize) {
    fn whole(text: &ImmutableString) -> Outcome<Array> {
        Ok(vec![text.clone().into()])
    }
    type Text = ImmutableString;
    engine.register_fn("to_chars", move |text: &str| collected(text.chars(), most));
    engine.register_fn("split", move |text: &mut Text| match text.is_empty() {
        true => whole(text),
        false => collected(text.split_whitespace(), most),
    });
    macro_rules! by {
        ($delimiter:ty) => {
            engine
                .register_fn("split", move |text: &mut Text, by: $delimiter| collected(text.split(by), most))
                .register_fn("split_rev", move |text: &mut Text, by: $delimiter| {
                    collected(text.rsplit(by), most)
                })
                .register_fn("split", move |text: &mut Text, by: $delimiter, parts: i64| match parts {
                    ..=1 => whole(text),
                    _ => collected(text.splitn(parts as usize, by), most),
                })
                .register_fn("split_rev", move |text: &mut Text, by: $delimiter, parts: i64| match parts {
                    ..=1 => whole(text),
                    _ => collected(text.rsplitn(parts as usize, by), most),
                });
        };
    }
    by!(&str);
    by!(char);
}

/// Ends the run before the array is longer than it may be.
fn collected<T: Into<Dynamic>>(parts: impl Iterator<Item = T>, most: usize) -> Outcome<Array> {
    let mut array = Array::new();
    for part in parts {
        if array.len() >= most {
            return Err(too_many());
        }
        array.push(part.into());
    }
    Ok(array)
}

fn too_many() -> Box<EvalAltResult> {
    run::terminate(ErrorCode::ScriptMemoryLimit, "Size of array is over what a script may hold")
}

/// Rhai multiplies the length with the item's size before it looks, which wraps around.
fn register_pad(engine: &mut Engine, most: usize) {
    engine.register_fn("pad", move |array: &mut Array, length: i64, item: Dynamic| -> Outcome<()> {
        let length = usize::try_from(length).unwrap_or(0);
        if length > most || length.saturating_sub(array.len()).saturating_mul(elements(&item)) > most {
            return Err(too_many());
        }
        if length > array.len() {
            array.resize(length, item);
        }
        Ok(())
    });
}

/// The elements that a copy of this value is made of. No value nests deeper than a script thread's
/// stack bears.
fn elements(value: &Dynamic) -> usize {
    if let Ok(array) = value.as_array_ref() {
        1 + array.iter().map(elements).sum::<usize>()
    } else if let Ok(map) = value.as_map_ref() {
        1 + map.values().map(elements).sum::<usize>()
    } else {
        1
    }
}

/// Rhai's own makes a program of the text. What comes of it is from outside.
fn parse_json(json: &str, most: usize) -> Outcome<Dynamic> {
    if super::json::elements_of(json) > most {
        return Err(too_many());
    }
    super::json::from_json(json).map_err(|error| format!("parse_json: {error}").into())
}

fn no_sleep() -> Result<(), Box<EvalAltResult>> {
    Err("write @HELPERS.sleep(ms)".into())
}

fn register_replace(engine: &mut Engine, bytes_max: usize) {
    engine.register_fn("replace", move |text: &mut ImmutableString, find: &str, with: &str| -> Outcome<()> {
        replace(text, find, with, bytes_max)
    });
    engine.register_fn("replace", move |text: &mut ImmutableString, find: char, with: &str| -> Outcome<()> {
        replace(text, find.encode_utf8(&mut [0; 4]), with, bytes_max)
    });
    engine.register_fn("replace", move |text: &mut ImmutableString, find: &str, with: char| -> Outcome<()> {
        replace(text, find, with.encode_utf8(&mut [0; 4]), bytes_max)
    });
    engine.register_fn("replace", move |text: &mut ImmutableString, find: char, with: char| -> Outcome<()> {
        replace(text, find.encode_utf8(&mut [0; 4]), with.encode_utf8(&mut [0; 4]), bytes_max)
    });
}

fn replace(
    text: &mut ImmutableString,
    find: &str,
    with: &str,
    bytes_max: usize,
) -> Result<(), Box<EvalAltResult>> {
    let places = text.matches(find).count();
    let bytes = (text.len() - places * find.len()).saturating_add(places.saturating_mul(with.len()));
    if bytes > bytes_max {
        return Err(run::terminate(
            ErrorCode::ScriptMemoryLimit,
            "Length of string is over what a script may hold",
        ));
    }
    *text = text.replace(find, with).into();
    Ok(())
}

/// A value as people read it, e.g. as an error's message.
pub(super) fn printed(value: &Dynamic) -> String {
    let mut text = Text { text: String::new(), bytes_max: MESSAGE_BYTES_MAX, is_full: false };
    if let Ok(plain) = value.as_immutable_string_ref() {
        text.push(&plain);
    } else {
        element(value, 0, &mut text);
    }
    text.text
}

struct Text {
    text: String,
    bytes_max: usize,
    is_full: bool,
}

impl Text {
    fn push(&mut self, piece: &str) {
        if self.text.len() + piece.len() <= self.bytes_max {
            self.text.push_str(piece);
        } else {
            self.is_full = true;
        }
    }
}

/// Rhai prints values another way when this fails, so a full text is noted instead and ends the
/// run at its next operation.
fn bounded(bytes_max: usize, print: impl FnOnce(&mut Text)) -> ImmutableString {
    let mut text = Text { text: String::new(), bytes_max, is_full: false };
    print(&mut text);
    if text.is_full {
        run::end(ErrorCode::ScriptMemoryLimit, "Length of string is over what a script may hold");
    }
    text.text.into()
}

fn array(value: &Array, depth: usize, text: &mut Text) {
    text.push("[");
    for (index, value) in value.iter().enumerate() {
        if text.is_full {
            return;
        }
        text.push(if index > 0 { ", " } else { "" });
        element(value, depth + 1, text);
    }
    text.push("]");
}

fn map(value: &Map, depth: usize, text: &mut Text) {
    text.push("#{");
    for (index, (key, value)) in value.iter().enumerate() {
        if text.is_full {
            return;
        }
        text.push(if index > 0 { ", " } else { "" });
        quoted(key, text);
        text.push(": ");
        element(value, depth + 1, text);
    }
    text.push("}");
}

/// Text as Rhai writes it; a control character takes ten times its size.
fn quoted(value: &str, text: &mut Text) {
    text.push("\"");
    for character in value.chars() {
        if text.is_full {
            return;
        }
        if character == '\'' {
            text.push("'");
        } else {
            character.escape_debug().for_each(|part| text.push(part.encode_utf8(&mut [0; 4])));
        }
    }
    text.push("\"");
}

fn element(value: &Dynamic, depth: usize, text: &mut Text) {
    if depth > PRINT_DEPTH_MAX {
        text.push("…");
    } else if let Ok(value) = value.as_array_ref() {
        array(&value, depth, text);
    } else if let Ok(value) = value.as_map_ref() {
        map(&value, depth, text);
    } else if let Ok(value) = value.as_immutable_string_ref() {
        quoted(&value, text);
    } else if value.is_fnptr() {
        text.push("Fn");
    } else if value.is_blob() {
        text.push("blob");
    } else {
        text.push(&value.to_string());
    }
}
