//! The `rows` scenario: events whose script makes or finds a row, from many sockets, while one socket
//! of another gateway sends events that need no database. Beside it the same work as a plain loop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::client::{Client, Endpoint, ROWS_NAMESPACE, connect_many};
use crate::compare::Scenario;
use crate::driver::Driver;
use crate::events::{self, Events, Socket};
use crate::measure::{self, Phase, PhaseArgs};
use crate::proc;
use crate::report::Metric;
use crate::target::Server;

/// Rows that are there to be found, unless asked otherwise.
pub const PRESENT: usize = 10_000;
/// Rest of the other gateway's socket between an answer and the next event.
const BYSTANDER_PAUSE: Duration = Duration::from_millis(5);

#[derive(clap::Args, Clone)]
pub struct RowsArgs {
    /// Sockets that send events
    #[arg(long, default_value_t = 64, value_parser = crate::at_least_one)]
    pub sockets: usize,
    /// Events each socket keeps in flight
    #[arg(long, default_value_t = 8, value_parser = crate::at_least_one)]
    pub window: usize,
    /// Bytes of text in each row
    #[arg(long, default_value_t = events::TEXT_BYTES)]
    pub text_bytes: usize,
    /// Rows that are there to be found
    #[arg(long, default_value_t = PRESENT, value_parser = crate::at_least_one)]
    pub present: usize,
}

/// What is done with rows.
#[derive(Clone, Copy)]
pub enum Work {
    /// Each event makes one.
    Create,
    /// Each event finds one by its id.
    Find,
}

impl Work {
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Find => "find by id",
        }
    }
}

impl RowsArgs {
    pub fn scenarios(self) -> Vec<Scenario> {
        vec![Scenario::Rows(Work::Create, self.clone()), Scenario::Rows(Work::Find, self)]
    }

    fn text(&self) -> String {
        "x".repeat(self.text_bytes)
    }
}

/// The latencies of a socket.
enum Latencies {
    OfRows(Histogram<u64>),
    OfBystander(Histogram<u64>),
}

/// The work as events, and what they do to a gateway that has nothing to do with it.
pub async fn run(work: Work, args: &RowsArgs, phases: &PhaseArgs, server: &Server) -> Result<Vec<Metric>> {
    let events = events(work, args, server).await?;
    let phase = Arc::new(Phase::new());
    let mut tasks = JoinSet::new();
    let (quiet, of_bystander) = (server.endpoint.clone(), phase.clone());
    let message = events::message(args.text_bytes);
    // On a thread of its own, so that it does not wait for the load generator.
    tasks.spawn_blocking(move || {
        crate::client_runtime(1)?.block_on(async {
            let client = Client::connect(&quiet, 0).await?;
            let socket = Socket::new(client, &quiet.namespace, &message, 0).pause(BYSTANDER_PAUSE);
            socket.drive(of_bystander).await.map(Latencies::OfBystander)
        })
    });
    let endpoint = Endpoint { namespace: ROWS_NAMESPACE.into(), ..server.endpoint.clone() };
    for (index, client) in connect_many(&endpoint, args.sockets).await?.into_iter().enumerate() {
        let socket = Socket::new(client, &endpoint.namespace, &events, index).window(args.window);
        let phase = phase.clone();
        tasks.spawn(async move { socket.drive(phase).await.map(Latencies::OfRows) });
    }
    let cost = measure::run(phases, server.pid, &phase, &mut tasks).await?;
    let summed = timeout(endpoint.patience, sum(tasks)).await;
    let (of_rows, of_bystander) = summed.unwrap_or_else(|_| events::unfinished())?;
    ensure!(!of_rows.is_empty() && !of_bystander.is_empty(), "no event was finished while measuring");
    let rows = of_rows.len();
    Ok(vec![
        Metric::compared("rows/s", cost.per_second(rows), 0),
        Metric::compared("CPU µs/row", measure::micros_each(cost.server_cpu, rows), 2),
        Metric::plain("p50 ms", measure::millis_at(&of_rows, 50.0), 3),
        Metric::plain("p99 ms", measure::millis_at(&of_rows, 99.0), 3),
        Metric::plain("other gateway p50 ms", measure::millis_at(&of_bystander, 50.0), 2),
        Metric::plain("other gateway p99 ms", measure::millis_at(&of_bystander, 99.0), 2),
        Metric::plain("client CPU µs/row", measure::micros_each(cost.client_cpu, rows), 2),
    ])
}

/// The same work as a loop.
pub async fn run_driver(work: Work, args: &RowsArgs, phases: &PhaseArgs) -> Result<Vec<Metric>> {
    let folder = TempDir::with_prefix("gatewright-bench-")?;
    let mut driver = Driver::open(&folder.path().join("driver.db")).await?;
    driver.create_table().await?;
    let text = args.text();
    let ids = driver.fill(args.present, &text).await?;
    let mut at = 0;
    let mut once = async |driver: &mut Driver| {
        at += 7919;
        match work {
            Work::Create => driver.insert(&text).await.map(drop),
            Work::Find => driver.select(&ids[at % ids.len()]).await.map(drop),
        }
    };
    let start = Instant::now();
    while start.elapsed() < phases.warm_up {
        once(&mut driver).await?;
    }
    let mut latencies = measure::latencies()?;
    let cpu = proc::cpu_time(std::process::id())?;
    let start = Instant::now();
    let mut now = start;
    while now - start < phases.measure {
        once(&mut driver).await?;
        measure::record(&mut latencies, now.elapsed());
        now = Instant::now();
    }
    let (wall, rows) = (now - start, latencies.len());
    let cpu = proc::cpu_time(std::process::id())? - cpu;
    Ok(vec![
        Metric::compared("rows/s", rows as f64 / wall.as_secs_f64(), 0),
        Metric::compared("CPU µs/row", measure::micros_each(cpu, rows), 2),
        Metric::plain("p50 ms", measure::millis_at(&latencies, 50.0), 3),
        Metric::plain("p99 ms", measure::millis_at(&latencies, 99.0), 3),
    ])
}

/// The events of the load; rows are made that they can find.
async fn events(work: Work, args: &RowsArgs, server: &Server) -> Result<Events> {
    let text = args.text();
    let mut driver = Driver::open(&server.database()).await?;
    let ids = driver.fill(args.present, &text).await.context("cannot write to the server's database")?;
    Ok(match work {
        Work::Create => {
            Arc::new([json!(["create", { "text": text, "roomId": "general" }]).to_string().into()])
        }
        Work::Find => ids.iter().map(|id| json!(["find", { "id": id }]).to_string().into()).collect(),
    })
}

async fn sum(mut tasks: JoinSet<Result<Latencies>>) -> Result<(Histogram<u64>, Histogram<u64>)> {
    let (mut of_rows, mut of_bystander) = (measure::latencies()?, measure::latencies()?);
    while let Some(latencies) = tasks.join_next().await {
        match latencies?? {
            Latencies::OfRows(latencies) => of_rows.add(latencies)?,
            Latencies::OfBystander(latencies) => of_bystander.add(latencies)?,
        }
    }
    Ok((of_rows, of_bystander))
}
