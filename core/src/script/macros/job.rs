//! `@JOB`: the job that a script runs for, and jobs for later.

use std::time::Duration;

use rhai::{Dynamic, Engine, EvalAltResult, ImmutableString, Map};

use crate::error::{ErrorCode, Failure};
use crate::id::new_id;
use crate::jobs::{Caller, ForeignUser, Job, LaterJob};
use crate::moment::{parse_time, to_ms};
use crate::nearest::did_you_mean;
use crate::script::failure::raise;
use crate::script::json;
use crate::script::later::Later;
use crate::script::memory::uncounted;
use crate::script::request::app_of;
use crate::script::rows::Rows;
use crate::script::run::{self, CallUser, host, with_run};

/// The longest time until a job, about a century.
const AFTER_MS_MAX: i64 = 100 * 365 * 24 * 3600 * 1000;
/// The longest key or name of a job, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// The options of a job for later.
const OPTIONS: [&str; 3] = ["key", "unique", "durable"];

type Outcome<T> = Result<T, Box<EvalAltResult>>;
type Text = ImmutableString;

/// What `@JOB` stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobMacro;

/// When a job is due, and when that was said, in milliseconds.
struct Due {
    now: i64,
    at: i64,
}

/// What a job for later may be given besides.
struct Options {
    key: Option<Text>,
    unique: Option<Text>,
    is_durable: bool,
}

/// Registers the calls of `@JOB`.
pub(crate) fn register(engine: &mut Engine, rows: Option<std::sync::Arc<Rows>>) {
    let (after, after_with, at, at_with, cancel) =
        (rows.clone(), rows.clone(), rows.clone(), rows.clone(), rows);
    engine
        .register_type_with_name::<JobMacro>("@JOB")
        .register_get("id", |_: &mut JobMacro| {
            with_run(|run| run.origin.job_id().unwrap_or(run.request_id).to_string())
        })
        .register_get("attempt", |_: &mut JobMacro| with_run(|run| i64::from(run.origin.attempt())))
        .register_fn("after", move |_: &mut JobMacro, ms: i64, path: Text, event: Text, payload: Dynamic| {
            later(after.as_deref(), after_ms(ms)?, path, &event, &payload, &Map::new())
        })
        .register_fn(
            "after",
            move |_: &mut JobMacro, ms: i64, path: Text, event: Text, payload: Dynamic, options: Map| {
                later(after_with.as_deref(), after_ms(ms)?, path, &event, &payload, &options)
            },
        )
        .register_fn(
            "at",
            move |_: &mut JobMacro, time: Dynamic, path: Text, event: Text, payload: Dynamic| {
                later(at.as_deref(), moment(&time)?, path, &event, &payload, &Map::new())
            },
        )
        .register_fn(
            "at",
            move |_: &mut JobMacro,
                  time: Dynamic,
                  path: Text,
                  event: Text,
                  payload: Dynamic,
                  options: Map| {
                later(at_with.as_deref(), moment(&time)?, path, &event, &payload, &options)
            },
        )
        .register_fn("cancel", move |_: &mut JobMacro, id: Text| cancelled(cancel.as_deref(), &id))
        .register_fn("retry", |_: &mut JobMacro, ms: i64| retry(ms));
}

/// When a job is due, from how long that is from now.
fn after_ms(ms: i64) -> Outcome<Due> {
    if (0..=AFTER_MS_MAX).contains(&ms) {
        let now = run::now_ms();
        return Ok(Due { now, at: now + ms });
    }
    Err(raise(Failure::new(
        ErrorCode::Validation,
        format!("@JOB.after takes milliseconds, 0 or more, not {ms}"),
    )))
}

/// When a job is due: milliseconds since 1970, or text such as `2026-01-31T12:00:00Z`.
fn moment(time: &Dynamic) -> Outcome<Due> {
    let now = run::now_ms();
    let of_text = || {
        let text = time.clone().into_immutable_string().ok()?;
        parse_time(&text).map(to_ms)
    };
    let ms = time.as_int().ok().or_else(of_text);
    let ms = ms.filter(|ms| (0..=now + AFTER_MS_MAX).contains(ms));
    ms.map(|at| Due { now, at }).ok_or_else(|| {
        let message = "@JOB.at takes a time: milliseconds since 1970, or text such as 2026-01-31T12:00:00Z";
        raise(Failure::new(ErrorCode::Validation, message))
    })
}

fn later(
    rows: Option<&Rows>,
    due: Due,
    path: Text,
    event: &str,
    payload: &Dynamic,
    options: &Map,
) -> Outcome<String> {
    run::refuse_in_admission("@JOB")?;
    let options = read_options(options)?;
    uncounted(|| host().check_event(&path, event)).map_err(raise)?;
    let sent = with_run(|run| {
        uncounted(|| json::to_payload(payload, run.limits.value_depth, run.limits.result_bytes))
    });
    let sent = sent.map_err(|reason| run::unsendable("the payload of a job", reason))?;
    let (id, text) = uncounted(|| {
        let id = new_id();
        (id, id.to_string())
    });
    uncounted(|| {
        let key = options.key.as_deref().map_or_else(|| format!("job {id}"), |key| Later::key(&path, key));
        let job = Job {
            id,
            key: key.into(),
            gateway: (&*path).into(),
            event: event.into(),
            caller: caller(),
            payload: format!("[null,{}]", sent.json).into(),
            attachments: sent.attachments,
            accepted_at: due.now,
        };
        let unique_name = options.unique.as_deref().map(|name| Later::unique_name(&path, name));
        store(rows, LaterJob { job, due_at: due.at, unique_name }, options.is_durable)
    })?;
    // What the script holds is counted as its own.
    Ok(text.as_str().to_owned())
}

fn store(rows: Option<&Rows>, later: LaterJob, is_durable: bool) -> Outcome<()> {
    let is_recorded = with_run(|run| {
        let record = run.shared.later.as_mut();
        let is_recorded = record.is_some();
        record.into_iter().for_each(|all| Later { job: later.clone(), is_durable }.add_to(all));
        is_recorded
    });
    match rows {
        // In a test run nothing is left for later but the record.
        _ if is_recorded && !host().is_live() => Ok(()),
        Some(rows) if is_durable => rows.store_job(&later),
        None if is_durable => Err(super::table::no_tables()),
        _ => host().later(later).map_err(raise),
    }
}

/// Whoever the script runs for: a job for later runs for them too.
fn caller() -> Caller {
    with_run(|run| {
        let app = app_of(run);
        match &run.user {
            Some(CallUser::Row(user)) => Caller {
                user_id: Some(user.id.to_string()),
                foreign: user.account.is_none().then(|| ForeignUser::from(&**user)),
                app,
                ..Caller::default()
            },
            Some(CallUser::Given(_)) | None => Caller { app, ..Caller::default() },
        }
    })
}

fn cancelled(rows: Option<&Rows>, id: &str) -> Outcome<bool> {
    run::refuse_in_admission("@JOB.cancel")?;
    let Ok(id) = id.parse() else { return Ok(false) };
    let was_recorded = with_run(|run| {
        run.shared.later.as_mut().is_some_and(|all| {
            let before = all.len();
            all.retain(|later| later.job.job.id != id);
            all.len() < before
        })
    });
    uncounted(|| {
        let is_gone = host().cancel(id) || was_recorded;
        match rows {
            Some(rows) if !is_gone => rows.cancel_job(id),
            _ => Ok(is_gone),
        }
    })
}

fn retry(ms: i64) -> Outcome<()> {
    let after = u64::try_from(ms).ok().filter(|ms| *ms <= AFTER_MS_MAX as u64).map(Duration::from_millis);
    let after = after.ok_or("@JOB.retry takes milliseconds, 0 or more")?;
    if with_run(|run| run.origin.job_id().is_none()) {
        return Err("@JOB.retry needs a job: it does not exist in a script that runs once".into());
    }
    with_run(|run| run.retry_after = Some(after));
    Err(run::terminate(ErrorCode::ServiceUnavailable, "The script asked for another attempt"))
}

fn read_options(options: &Map) -> Outcome<Options> {
    let invalid = |message: String| raise(Failure::new(ErrorCode::Validation, message));
    if let Some(name) = options.keys().find(|name| !OPTIONS.contains(&name.as_str())) {
        let hint = did_you_mean(name, OPTIONS);
        return Err(invalid(format!("A job has no option {name}{hint}; known: {}", OPTIONS.join(", "))));
    }
    let text = |name: &str| -> Outcome<Option<Text>> {
        let Some(value) = options.get(name).filter(|value| !value.is_unit()) else { return Ok(None) };
        let text = value.clone().into_immutable_string().ok();
        let text = text.filter(|text| (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.contains('\0'));
        text.map(Some).ok_or_else(|| {
            invalid(format!("The option {name} of a job is text of 1 to {NAME_BYTES_MAX} bytes"))
        })
    };
    let is_durable = match options.get("durable") {
        None => true,
        Some(value) => {
            value.as_bool().map_err(|_| invalid("The option durable of a job is true or false".to_owned()))?
        }
    };
    Ok(Options { key: text("key")?, unique: text("unique")?, is_durable })
}
