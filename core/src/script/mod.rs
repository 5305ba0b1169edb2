//! The script sandbox: Rhai with the product's macros, run under caps.
//!
//! A script is compiled once ([`ScriptEngine::compile`]) and run many times, each time against a
//! [`Host`]: what it can do to the world, live or recorded. This module must not know where
//! scripts come from, nor what carries their emits.

mod attachment;
mod calls;
mod engine;
mod failure;
mod handler;
mod hints;
mod host;
mod json;
mod later;
mod library;
mod log_rate;
mod macros;
pub mod memory;
mod origin;
mod outside;
mod own_pack;
mod packet;
mod recorded;
mod reference;
mod request;
mod require;
mod reserved;
mod rows;
mod run;
mod schema;
mod strings;
#[cfg(test)]
mod tests;
mod thread;

pub use engine::{CompileError, Script, ScriptEngine};
pub use failure::Place;
pub use handler::{
    Durable, Handler, HandlerSource, SCRIPT_ADMISSION, SCRIPT_CONNECTION, SCRIPT_DISCONNECTION, SCRIPT_EVENT,
};
pub use host::{Host, Socket};
pub use json::nesting_of;
pub use later::{Later, LaterView};
pub use library::{Libraries, LibrarySource, Within, full_name};
pub(crate) use origin::ROUTES;
pub use origin::{JobOrigin, Origin};
pub use own_pack::{Mounts, mounted_path, unmounted_path};
pub use packet::{Arguments, event_name, placeholders_fit};
pub use recorded::{Emitted, Handled, OtherSocket, RecordedHost};
pub use reference::{CONTEXTS, Context, Entry, GROUPS, Group, as_markdown};
pub use request::{HttpRequest, HttpResponse, SECRET_HEADERS};
pub use reserved::{check_emitted, reserved_event};
pub use rows::hooks::{Hook, HookCondition, HookRun, HookWhen, Hooks};
pub use rows::requests::{RowsBatch, RowsChange, RowsWrite};
pub use rows::writes::Operation;
pub use run::{Call, CallUser, JobEnd, RunOutput, TestInputs};
pub(crate) use schema::Schema;
pub use thread::{ScriptWork, run_on_script_thread, spawn_script_thread};

/// Text that somebody else made, cut to so many bytes.
pub(crate) fn bounded_text(text: &str, bytes_max: usize) -> std::borrow::Cow<'_, str> {
    if text.len() <= bytes_max {
        return text.into();
    }
    format!("{}…", &text[..text.floor_char_boundary(bytes_max)]).into()
}
