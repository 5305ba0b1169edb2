//! The grammar of `@NAME`, as custom syntax of Rhai: strings and comments are never touched, and
//! positions in errors are those of the author's text. Beside it, one file for what each macro can do.

pub(crate) mod cache;
mod fetch;
pub(crate) mod helpers;
pub(crate) mod job;
mod others;
pub(crate) mod pack;
pub(crate) mod socket;
pub(crate) mod table;
pub(crate) mod throw;

use std::sync::Arc;

use arc_swap::ArcSwap;
use rhai::{
    Dynamic, Engine, EvalAltResult, EvalContext, Expression, ImmutableString, LexError, ParseError, Position,
};

use self::cache::CacheMacro;
use self::helpers::Helpers;
use self::job::JobMacro;
use self::pack::PackMacro;
use self::socket::SocketMacro;
use self::table::Repos;
use self::throw::Throw;
use crate::auth::Secret;
use crate::config;
use crate::nearest::did_you_mean;
use crate::script::outside::from_outside;
use crate::script::own_pack::Mounts;
use crate::script::request;
use crate::script::rows::Rows;
use crate::script::run::{self, CallUser, with_run};

/// Arguments that `@LOGS` takes at most: each is one level of Rhai's parser.
const ARGUMENTS_MAX: usize = 32;

type Outcome = Result<Dynamic, Box<EvalAltResult>>;
/// How the value of a macro is made.
type Value = fn() -> Outcome;

/// The macros that are a value, with how it is made. A macro is known by its place here.
const VALUES: [(&str, Value); 18] = [
    ("BODY", body),
    ("DATA", body),
    ("ARGS", args),
    ("OLD", || Ok(with_run(|run| run.old.clone()))),
    ("EVENT", || Ok(with_run(|run| ImmutableString::from(&*run.event).into()))),
    ("GATEWAY", || Ok(with_run(|run| ImmutableString::from(run.origin.gateway_or_word()).into()))),
    ("REQUEST_ID", || Ok(with_run(|run| ImmutableString::from(run.request_id.to_string()).into()))),
    ("USER", user),
    ("SOCKET", || Ok(Dynamic::from(SocketMacro))),
    ("THROW", || Ok(Dynamic::from(Throw))),
    ("CACHE", || Ok(Dynamic::from(CacheMacro::Own))),
    ("JOB", || Ok(Dynamic::from(JobMacro))),
    ("PACK", || Ok(Dynamic::from(PackMacro))),
    ("HELPERS", || Ok(Dynamic::from(Helpers))),
    ("PARAMS", request::params),
    ("QUERY", request::query),
    ("REQ", request::req),
    ("APP", request::app),
];
/// `@LOGS(…)`.
const LOGS: i64 = 100;
/// `@STATUS(code)`.
const STATUS: i64 = 101;
/// `@HEADER(name, value)`.
const HEADER: i64 = 102;
/// `@REPOS.table` or `@REPOS["table"]`.
const REPOS: i64 = 200;
/// `@TRANSACTION { … }`.
const TRANSACTION: i64 = 201;
/// The macros that are more than a value, but for `@THROW404(…)`.
const FORMS: [(&str, i64); 5] =
    [("LOGS", LOGS), ("STATUS", STATUS), ("HEADER", HEADER), ("REPOS", REPOS), ("TRANSACTION", TRANSACTION)];
/// `@THROW404(…)` and the like: this and the status.
const THROW_STATUS: i64 = 1000;

/// The names of all macros, without `@`.
#[cfg(test)]
pub(crate) fn names() -> Vec<&'static str> {
    let values = VALUES.iter().map(|(name, _)| *name);
    values.chain(FORMS.map(|(name, _)| name)).chain(["THROW404"]).collect()
}

/// Registers `@` and `#`, and the calls on what they stand for.
pub(crate) fn register(
    engine: &mut Engine,
    limits: &config::Scripts,
    secret: Arc<Secret>,
    rows: Option<Arc<Rows>>,
    mounts: Arc<ArcSwap<Mounts>>,
) {
    pack::register(engine, mounts);
    socket::register(engine);
    others::register(engine);
    throw::register(engine);
    helpers::register(engine, limits, secret);
    cache::register(engine);
    job::register(engine, rows.clone());
    table::register(engine, rows.clone());
    register_grammar(engine, rows);
}

fn register_grammar(engine: &mut Engine, rows: Option<Arc<Rows>>) {
    // Makes `@`, which Rhai reserves, a keyword; the next call puts the real grammar in place.
    engine
        .register_custom_syntax(["@", "$ident$"], false, |_, _| Ok(Dynamic::UNIT))
        .expect("`@` is free for custom syntax");
    engine.register_custom_syntax_with_state_raw("@", parse, false, move |context, arguments, state| {
        evaluate(context, arguments, state, rows.as_ref())
    });
}

/// The next token that is wanted after `symbols`; none: the macro is complete.
fn parse(
    symbols: &[ImmutableString],
    look_ahead: &str,
    state: &mut Dynamic,
) -> Result<Option<ImmutableString>, ParseError> {
    if symbols.len() == 1 {
        return Ok(Some("$ident$".into()));
    }
    if symbols.len() == 2 {
        *state = Dynamic::from(number_of(&symbols[1])?);
    }
    let number = state.as_int().unwrap_or_default();
    match (number, symbols.len()) {
        (TRANSACTION, 2) => return Ok(Some("$block$".into())),
        (REPOS, 2) if look_ahead == "." => return Ok(Some(".".into())),
        (REPOS, 3) => return Ok(Some("$ident$".into())),
        (REPOS, 5..) | (TRANSACTION, 3..) => return Ok(None),
        (REPOS, 4) => return table::check_known(&symbols[3]).map(|()| None),
        _ => {}
    }
    if number < LOGS || number == REPOS {
        return Ok(None);
    }
    Ok(match symbols[symbols.len() - 1].as_str() {
        ")" | "()" => {
            let arguments = symbols.iter().filter(|symbol| *symbol == "$expr$").count();
            return check_arguments(number, arguments).map(|()| None);
        }
        "$expr$" if look_ahead == "," => Some(",".into()),
        "$expr$" => Some(")".into()),
        "(" if look_ahead == ")" => Some(")".into()),
        "(" | "," if symbols.len() < 2 * ARGUMENTS_MAX + 2 => Some("$expr$".into()),
        "(" | "," => return Err(error(format!("at most {ARGUMENTS_MAX} arguments"))),
        // Rhai reads `()` as one token: its unit.
        _ if look_ahead == "()" => Some("()".into()),
        _ => Some("(".into()),
    })
}

fn number_of(name: &str) -> Result<i64, ParseError> {
    if let Some(number) = VALUES.iter().position(|(known, _)| *known == name) {
        return Ok(number as i64);
    }
    if let Some((_, number)) = FORMS.iter().find(|(known, _)| *known == name) {
        return Ok(*number);
    }
    if let Some(status) = name.strip_prefix("THROW").and_then(|status| status.parse::<u16>().ok()) {
        return Ok(THROW_STATUS + i64::from(status));
    }
    let known =
        VALUES.iter().map(|(known, _)| *known).chain(FORMS.map(|(known, _)| known)).chain(["THROW404"]);
    let known: Vec<_> = known.map(|known| format!("@{known}")).collect();
    let hint = did_you_mean(&format!("@{name}"), known.iter().map(String::as_str));
    Err(error(format!("there is no macro @{name}{hint}; known: {}", known.join(", "))))
}

fn check_arguments(number: i64, count: usize) -> Result<(), ParseError> {
    match number {
        STATUS if count != 1 => Err(error("@STATUS takes one argument: `@STATUS(201)`".to_owned())),
        HEADER if count != 2 => {
            Err(error("@HEADER takes two arguments: `@HEADER(\"name\", \"value\")`".to_owned()))
        }
        _ => Ok(()),
    }
}

fn error(message: String) -> ParseError {
    LexError::ImproperSymbol("@".to_owned(), message).into_err(Position::NONE)
}

fn evaluate(
    context: &mut EvalContext,
    arguments: &[Expression],
    state: &Dynamic,
    rows: Option<&Arc<Rows>>,
) -> Outcome {
    let number = state.as_int().unwrap_or_default();
    if let Some((_, value)) = usize::try_from(number).ok().and_then(|number| VALUES.get(number)) {
        return value();
    }
    // The first of the arguments is the macro's name.
    match (number, arguments.get(1)) {
        (TRANSACTION, Some(block)) => return table::transaction(rows, context, block),
        (REPOS, Some(table)) => {
            return Ok(table::table_of_repos(table.get_string_value().unwrap_or_default()));
        }
        (REPOS, None) => return Ok(Dynamic::from(Repos)),
        _ => {}
    }
    let mut values = arguments[1..].iter().map(|argument| argument.eval_with_context(context));
    match number {
        LOGS => values.try_for_each(|value| run::log(&value?))?,
        STATUS | HEADER => {
            let values = values.collect::<Result<Vec<_>, _>>()?;
            match &*values {
                [status] => request::set_status(status)?,
                [name, value] => request::set_header(name, value)?,
                // The parser has counted them.
                _ => {}
            }
        }
        _ => {
            let values = values.take(2).collect::<Result<Vec<_>, _>>()?;
            let message = values.first().cloned().unwrap_or_default();
            throw::with_status(number - THROW_STATUS, &message, values.get(1))?;
        }
    }
    Ok(Dynamic::UNIT)
}

/// `@ARGS`: a copy, since a shared value may not stand in an array.
fn args() -> Outcome {
    let (body, others) = with_run(|run| (run.has_body.then(|| run.body.clone()), run.other_args.clone()));
    Ok(body.into_iter().map(Dynamic::flatten).chain(others).collect::<rhai::Array>().into())
}

fn body() -> Outcome {
    Ok(with_run(|run| run.body.clone()))
}

/// `@USER`, made once a run.
fn user() -> Outcome {
    with_run(|run| {
        if let Some(value) = &run.user_value {
            return Ok(value.clone());
        }
        let value = match &run.user {
            None => Dynamic::UNIT,
            Some(CallUser::Row(user)) => from_outside(rhai::serde::to_dynamic(&**user)?).into_shared(),
            Some(CallUser::Given(user)) => from_outside(rhai::serde::to_dynamic(&**user)?).into_shared(),
        };
        run.user_value = Some(value.clone());
        Ok(value)
    })
}
