//! Every macro and call of the product, in one table: `docs/scripts.md` is made of it, calls that do
//! not exist are refused by it, and editors can complete from it. A test holds it against what is
//! registered with Rhai.

mod cache;
mod helpers;
mod job;
mod macros;
mod pack;
mod rows;
mod socket;
mod throw;

use serde::Serialize;

/// A macro, or a call of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// What it is called on, such as `@SOCKET`; empty for a macro itself.
    pub of: &'static str,
    /// How it is written, such as `set(key, value, ttlMs?)`; `?` stands after what may be left out.
    pub signature: &'static str,
    /// What it gives; empty: nothing.
    pub gives: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Codes with which it fails, and why; empty where only a wrong type fails.
    pub errors: &'static str,
    /// Where it exists.
    pub place: Place,
    /// A script that uses it.
    pub example: &'static str,
}

/// The scripts that have a macro or a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// All scripts.
    Everywhere,
    /// Events, and connection and disconnection scripts.
    Socket,
    /// Routes.
    Route,
    /// Hooks.
    Hook,
}

/// What a script is for, as editors and test runs name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// An event, or a connection or disconnection script.
    Socket,
    /// A route.
    Route,
    /// A hook.
    Hook,
    /// None of these.
    Script,
}

/// What scripts may be for, as editors and test runs name it.
pub const CONTEXTS: [(&str, Context); 7] = [
    ("websocket_admission", Context::Script),
    ("websocket_event", Context::Socket),
    ("websocket_connection", Context::Socket),
    ("websocket_disconnection", Context::Socket),
    ("http_route", Context::Route),
    ("table_hook", Context::Hook),
    ("script", Context::Script),
];

impl Context {
    /// The context of this name.
    pub fn parse(name: &str) -> Option<Self> {
        CONTEXTS.iter().find(|(known, _)| *known == name).map(|(_, context)| *context)
    }
}

impl Place {
    /// Whether it is meant for such scripts.
    pub fn is_for(self, context: Context) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Socket => context == Context::Socket,
            Self::Route => context == Context::Route,
            Self::Hook => context == Context::Hook,
        }
    }

    /// Whether it can never do anything in such scripts. A hook runs for whoever writes, and a script by itself
    /// may become anything.
    pub(super) fn is_refused_in(self, context: Context) -> Option<&'static str> {
        match (self, context) {
            (Self::Socket, Context::Route) => Some("is for scripts of sockets: a request has no socket"),
            (Self::Route, Context::Socket) => Some("is for routes: an event has no answer of HTTP"),
            _ => None,
        }
    }
}

/// A part of the table.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Group {
    /// What its calls are called on; empty for the macros.
    pub of: &'static str,
    /// What that is.
    pub about: &'static str,
    /// What is called.
    pub entries: &'static [Entry],
}

/// The whole table.
pub const GROUPS: [Group; 10] = [
    Group { of: "", about: "What a script begins with.", entries: &macros::ENTRIES },
    Group {
        of: "@SOCKET",
        about: "The clients. Emits leave in the order of the calls, as they are called. A room, a topic, an \
                event and a user id have 1 to 256 bytes; all but an event may be a number too.",
        entries: &socket::ENTRIES,
    },
    Group {
        of: "#table",
        about: "A table: `#message`, or `@REPOS.message`, or `@REPOS[\"message\"]`; `#secure.message` is the same within \
                what `@USER` may do. A script that names a table which does not exist is refused when it is saved. `#user` (also \
                `#user_definition`) is the users, without what is secret of them: `id`, `email`, `name`, `role`, `isEnabled`, \
                `profile`, `createdAt`, `updatedAt`. Scripts read them, and `update` their `name` and their `profile`, which is any \
                JSON that an application keeps with a user and nobody else reads or writes. Hooks after a write stand on `user` \
                too, whoever writes; `@USER` is `()` where it was not a script.",
        entries: &rows::ENTRIES,
    },
    Group {
        of: "@THROW",
        about: "Ends the script with a code. A script that catches it sees `error.code`, `error.message` and `error.details`.",
        entries: &throw::ENTRIES,
    },
    Group {
        of: "@CACHE",
        about: "Values in memory that scripts share, gone with the process; the least used go first when it is full. A \
                gateway's keys are its own: `@CACHE` in its scripts. A route and a hook belong to no gateway, so `@CACHE` is \
                `@CACHE.common` there. A key has 1 to 512 bytes.",
        entries: &cache::ENTRIES,
    },
    Group {
        of: "@JOB",
        about: "Jobs: what is to be handled later, and how often this has been tried.",
        entries: &job::ENTRIES,
    },
    Group { of: "@PACK", about: "The pack that a script belongs to.", entries: &pack::ENTRIES },
    Group { of: "@HELPERS", about: "Time, ids, hashes, and requests to others.", entries: &helpers::ENTRIES },
    Group { of: "@HELPERS.jwt", about: "Tokens of your own.", entries: &helpers::JWT },
    Group { of: "@REPOS", about: "The same tables under another spelling.", entries: &[] },
];

impl Entry {
    const fn new(
        of: &'static str,
        signature: &'static str,
        gives: &'static str,
        about: &'static str,
    ) -> Self {
        Self { of, signature, gives, about, errors: "", place: Place::Everywhere, example: "" }
    }

    const fn errors(self, errors: &'static str) -> Self {
        Self { errors, ..self }
    }

    const fn only(self, place: Place) -> Self {
        Self { place, ..self }
    }

    const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    /// The name alone.
    pub fn name(&self) -> &'static str {
        self.signature.split(['(', ' ', '.']).next().unwrap_or_default()
    }

    /// Whether it is a value and takes no arguments.
    pub fn is_property(&self) -> bool {
        !self.signature.contains('(')
    }

    /// The fewest and the most arguments that it takes.
    pub fn arguments(&self) -> (usize, usize) {
        let (_, arguments) = self.signature.split_once('(').unwrap_or_default();
        let names = arguments.trim_end_matches(')').split(',').map(str::trim).filter(|name| !name.is_empty());
        names.fold((0, 0), |(least, most), name| (least + usize::from(!name.ends_with('?')), most + 1))
    }

    /// How it is written in full, such as `@CACHE.get(key)`.
    pub fn full(&self) -> String {
        match self.of {
            "" => self.signature.to_owned(),
            of => format!("{of}.{}", self.signature),
        }
    }
}

/// The calls on a macro; empty for what has none.
pub(super) fn calls_of(of: &str) -> &'static [Entry] {
    GROUPS.iter().find(|group| group.of == of).map_or(&[], |group| group.entries)
}

/// The table as it stands in `docs/scripts.md`.
pub fn as_markdown() -> String {
    let mut text = String::new();
    for group in GROUPS.iter().filter(|group| !group.entries.is_empty()) {
        let title = if group.of.is_empty() { "Macros".to_owned() } else { format!("`{}`", group.of) };
        text += &format!("\n## {title}\n\n{}\n", group.about);
        for entry in group.entries {
            text += &format!("\n### `{}`\n\n{}", entry.full(), entry.about);
            if !entry.gives.is_empty() {
                text += &format!(" Gives {}.", entry.gives);
            }
            if !entry.errors.is_empty() {
                text += &format!(" Fails with {}.", entry.errors);
            }
            text += match entry.place {
                Place::Everywhere => "",
                Place::Socket => " In scripts of sockets only.",
                Place::Route => " In routes only.",
                Place::Hook => " In hooks only; `()` elsewhere.",
            };
            text += &format!("\n\n```rhai\n{}\n```\n", entry.example);
        }
    }
    text
}
