//! The grammar of `@NAME`, as custom syntax of Rhai: strings and comments are never touched, and
//! positions in errors are those of the author's text.

use std::sync::Arc;

use rhai::{
    Dynamic, Engine, EvalAltResult, EvalContext, Expression, ImmutableString, LexError, ParseError, Position,
};

use super::cache::CacheMacro;
use super::helpers::Helpers;
use super::rows::Rows;
use super::run::{self, CallUser, with_run};
use super::socket_api::SocketMacro;
use super::table_api::{self, Repos};
use super::throw::{self, Throw};

/// Arguments that `@LOGS` takes at most: each is one level of Rhai's parser.
const ARGUMENTS_MAX: usize = 32;

type Outcome = Result<Dynamic, Box<EvalAltResult>>;
/// How the value of a macro is made.
type Value = fn() -> Outcome;

/// The macros that are a value, with how it is made. A macro is known by its place here.
const VALUES: [(&str, Value); 15] = [
    ("BODY", body),
    ("DATA", body),
    ("ARGS", args),
    ("OLD", || Ok(with_run(|run| run.old.clone()))),
    ("EVENT", || Ok(with_run(|run| ImmutableString::from(&*run.event).into()))),
    ("GATEWAY", || Ok(with_run(|run| ImmutableString::from(&*run.gateway).into()))),
    ("REQUEST_ID", || Ok(with_run(|run| ImmutableString::from(run.request_id.to_string()).into()))),
    ("USER", user),
    ("SOCKET", || Ok(Dynamic::from(SocketMacro))),
    ("THROW", || Ok(Dynamic::from(Throw))),
    ("CACHE", || Ok(Dynamic::from(CacheMacro))),
    ("HELPERS", || Ok(Dynamic::from(Helpers))),
    // Scripts that no request triggered have none of these.
    ("PARAMS", || Ok(rhai::Map::new().into())),
    ("QUERY", || Ok(rhai::Map::new().into())),
    ("REQ", || Ok(rhai::Map::new().into())),
];
/// `@LOGS(…)`.
const LOGS: i64 = 100;
/// `@REPOS.table` or `@REPOS["table"]`.
const REPOS: i64 = 101;
/// `@TRANSACTION { … }`.
const TRANSACTION: i64 = 102;
/// The macros that are more than a value.
const FORMS: [(&str, i64); 3] = [("LOGS", LOGS), ("REPOS", REPOS), ("TRANSACTION", TRANSACTION)];
/// `@THROW404(…)` and the like: this and the status.
const THROW_STATUS: i64 = 1000;

/// Registers `@`.
pub(super) fn register(engine: &mut Engine, rows: Option<Arc<Rows>>) {
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
    match state.as_int() {
        Ok(TRANSACTION) if symbols.len() == 2 => return Ok(Some("$block$".into())),
        Ok(REPOS) if symbols.len() == 2 && look_ahead == "." => return Ok(Some(".".into())),
        Ok(REPOS) if symbols.len() == 3 => return Ok(Some("$ident$".into())),
        Ok(REPOS) if symbols.len() == 4 => return table_api::check_known(&symbols[3]).map(|()| None),
        _ => {}
    }
    let takes_arguments = state.as_int().is_ok_and(|number| number == LOGS || number >= THROW_STATUS);
    if !takes_arguments {
        return Ok(None);
    }
    Ok(match symbols[symbols.len() - 1].as_str() {
        ")" | "()" => None,
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
    let known = VALUES.iter().map(|(known, _)| *known).chain(FORMS.map(|(known, _)| known));
    let nearest = known.min_by_key(|known| strsim::damerau_levenshtein(known, name));
    let hint = nearest.map_or_else(String::new, |nearest| format!("; did you mean @{nearest}?"));
    Err(error(format!("there is no macro @{name}{hint}")))
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
        (TRANSACTION, Some(block)) => return table_api::transaction(rows, context, block),
        (REPOS, Some(table)) => {
            return Ok(table_api::table_of_repos(table.get_string_value().unwrap_or_default()));
        }
        (REPOS, None) => return Ok(Dynamic::from(Repos)),
        _ => {}
    }
    let values = arguments[1..].iter().map(|argument| argument.eval_with_context(context));
    if number == LOGS {
        for value in values {
            run::log(&value?)?;
        }
    } else {
        let values = values.take(2).collect::<Result<Vec<_>, _>>()?;
        let message = values.first().cloned().unwrap_or_default();
        throw::with_status(number - THROW_STATUS, &message, values.get(1))?;
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
            Some(CallUser::Row(user)) => rhai::serde::to_dynamic(&**user)?.into_shared(),
            Some(CallUser::Given(user)) => rhai::serde::to_dynamic(&**user)?.into_shared(),
        };
        run.user_value = Some(value.clone());
        Ok(value)
    })
}
