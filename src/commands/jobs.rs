//! `gatewright jobs`: on the database itself. A server on the same data sees within a moment what is to be run again.

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;
use std::sync::Arc;

use gatewright_core::jobs::{Attempt, JobFilter, JobView, Jobs, Selected};
use gatewright_core::moment::from_ms;
use serde_json::{Value as Json, json};
use time::format_description::well_known::Rfc3339;

use crate::boot::App;
use crate::cli::{DatabaseArgs, FilterArgs, JobsArgs, JobsCommand, SelectedArgs};

/// Jobs that one call of the database changes at most.
const AT_ONCE: u64 = 10_000;

/// Runs a subcommand of `jobs`.
pub async fn run(args: JobsArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        JobsCommand::List { filter, limit, json, database } => list(filter, limit, json, database).await?,
        JobsCommand::Retry(args) => {
            let (_app, jobs, which) = selected(args).await?;
            let count = jobs.retry_selected(&which).await?;
            let missed = "none of these has failed, was given up or waits for another attempt";
            say(count, &which, "run again", missed)?;
        }
        JobsCommand::Discard(args) => {
            let (_app, jobs, which) = selected(args).await?;
            let count = jobs.discard_selected(&which).await?;
            say(count, &which, "discarded", "none of these waits, runs, has failed or was given up")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(filter: FilterArgs, limit: u64, as_json: bool, database: DatabaseArgs) -> anyhow::Result<()> {
    let (_app, jobs) = open(database).await?;
    let (found, count) = jobs.list(&filter.filter().unwrap_or_default(), limit, 1, true).await?;
    if as_json {
        let all: Vec<_> = found.iter().map(as_value).collect();
        writeln!(stdout(), "{:#}", Json::from(all))?;
    } else {
        print_table(&found)?;
    }
    let more = count.unwrap_or_default().saturating_sub(found.len() as u64);
    if more > 0 {
        writeln!(
            stderr(),
            "note: there are {more} more; --limit shows more, flags such as --state show fewer"
        )?;
    }
    Ok(())
}

/// The data that is there, and its jobs. Nothing is run here.
async fn open(database: DatabaseArgs) -> anyhow::Result<(App, Arc<Jobs>)> {
    let app = App::existing(database.sources()).await?;
    let jobs = Jobs::open(app.store.clone(), &app.config, app.metrics.clone()).await?;
    Ok((app, jobs))
}

async fn selected(args: SelectedArgs) -> anyhow::Result<(App, Arc<Jobs>, Selected)> {
    let which = match (args.ids.is_empty(), args.filter.filter(), args.all) {
        (false, ..) => Selected::Ids(args.ids),
        (true, Some(filter), _) => Selected::Matching(filter),
        (true, None, true) => Selected::Matching(JobFilter::default()),
        (true, None, false) => {
            anyhow::bail!(
                "say which jobs: ids, or --state, --gateway, --event or --q; --all means all of them"
            )
        }
    };
    let (app, jobs) = open(args.database).await?;
    Ok((app, jobs, which))
}

fn say(count: u64, which: &Selected, done: &str, missed: &str) -> anyhow::Result<()> {
    if count == 0 && matches!(which, Selected::Ids(_)) {
        anyhow::bail!("{missed}; `gatewright jobs list` says what has become of each");
    }
    let jobs = if count == 1 { "1 job is".to_owned() } else { format!("{count} jobs are") };
    writeln!(stdout(), "{jobs} {done}")?;
    if count >= AT_ONCE {
        writeln!(stderr(), "note: there may be more; the same command does the next")?;
    }
    Ok(())
}

/// One line for each, with what it is at the moment.
fn print_table(jobs: &[JobView]) -> anyhow::Result<()> {
    let mut lines = vec![["ID", "STATE", "GATEWAY", "EVENT", "ATTEMPT", "WHEN", "ERROR"].map(str::to_owned)];
    for job in jobs {
        let when = job.finished_at.or(job.due_at).unwrap_or(job.accepted_at);
        let code = job.error.as_ref().map(|error| error.code.clone());
        let code = code.or_else(|| {
            let last = job.attempts.last().filter(|_| job.finished_at.is_none());
            last.map(|attempt| attempt.code.clone())
        });
        lines.push([
            job.id.to_string(),
            job.state.to_owned(),
            job.gateway.clone(),
            job.event.clone(),
            job.attempt.to_string(),
            moment(when),
            code.unwrap_or_default(),
        ]);
    }
    if jobs.is_empty() {
        return Ok(writeln!(stderr(), "note: there are no such jobs")?);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..lines[0].len()).map(width).collect();
    for line in &lines {
        let cells = line.iter().zip(&widths).map(|(text, width)| format!("{text:<width$}"));
        writeln!(stdout(), "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// The same fields as `/admin/jobs`.
fn as_value(job: &JobView) -> Json {
    let attempt = |attempt: &Attempt| {
        json!({ "attempt": attempt.attempt, "at": moment(attempt.at), "node": attempt.node,
            "code": attempt.code, "message": attempt.message })
    };
    json!({
        "id": job.id,
        "state": job.state,
        "gateway": job.gateway,
        "event": job.event,
        "key": job.key,
        "userId": job.user_id,
        "socketId": job.socket_id,
        "schedule": job.schedule,
        "attempt": job.attempt,
        "attempts": job.attempts.iter().map(attempt).collect::<Vec<_>>(),
        "acceptedAt": moment(job.accepted_at),
        "dueAt": job.due_at.map(moment),
        "finishedAt": job.finished_at.map(moment),
        "node": job.node,
        "payload": job.payload,
        "result": job.result,
        "error": job.error.as_ref().map(|error| {
            json!({ "code": error.code, "message": error.message, "details": error.details })
        }),
        "stopsKey": job.stops_key,
    })
}

/// A time in milliseconds as `2026-01-31T12:00:00.000Z`.
fn moment(ms: i64) -> String {
    from_ms(ms).and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| ms.to_string())
}
