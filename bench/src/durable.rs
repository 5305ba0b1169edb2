//! The `durable` scenario: durable events from many sockets, on SQLite or PostgreSQL. Beside it a plain loop over the
//! same driver that inserts rows and commits them in groups.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sea_orm::sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions, query,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::client::{DURABLE_NAMESPACE, Endpoint, connect_many};
use crate::compare::Scenario;
use crate::driver::Driver;
use crate::events::{self, Events, EventsArgs, Socket};
use crate::measure::{self, Phase, PhaseArgs};
use crate::proc;
use crate::report::Metric;
use crate::target::{Postgres, Server, StartArgs};

#[derive(clap::Args, Clone)]
pub struct DurableArgs {
    #[command(flatten)]
    pub events: EventsArgs,
    /// Rows that the plain loop commits at once
    #[arg(long, default_value_t = 64, value_parser = crate::at_least_one)]
    pub group: usize,
}

/// What is measured.
#[derive(Clone, Copy)]
pub enum Work {
    /// As many events as there can be, which write nothing.
    Keep,
    /// As many events as there can be, each of which makes a row.
    Write,
    /// About 1,000 events a second: how long their acks take.
    Ack,
}

impl Work {
    pub fn name(self) -> &'static str {
        match self {
            Self::Keep => "that write nothing",
            Self::Write => "that make a row",
            Self::Ack => "acks at about 1,000 events a second",
        }
    }
}

impl DurableArgs {
    pub fn scenarios(self) -> Vec<Scenario> {
        [Work::Keep, Work::Write, Work::Ack].map(|work| Scenario::Durable(work, self.clone())).into()
    }

    fn events(&self, work: Work) -> Events {
        let name = if let Work::Write = work { "write" } else { "keep" };
        let body = json!({ "text": "x".repeat(self.events.text_bytes), "roomId": "general" });
        Arc::new([json!([name, body]).to_string().into()])
    }
}

/// The events.
pub async fn run(work: Work, args: &DurableArgs, phases: &PhaseArgs, server: &Server) -> Result<Vec<Metric>> {
    let (events, phase) = (args.events(work), Arc::new(Phase::new()));
    let endpoint = Endpoint { namespace: DURABLE_NAMESPACE.into(), ..server.endpoint.clone() };
    let mut tasks = JoinSet::new();
    for (index, client) in connect_many(&endpoint, args.events.sockets).await?.into_iter().enumerate() {
        let socket = Socket::new(client, &endpoint.namespace, &events, index);
        let socket = match work {
            Work::Keep | Work::Write => socket.window(args.events.window),
            Work::Ack => socket.pause(Duration::from_millis(args.events.sockets as u64)).measuring_acks(),
        };
        tasks.spawn(socket.drive(phase.clone()));
    }
    let cost = measure::run(phases, server.pid, &phase, &mut tasks).await?;
    let latencies = timeout(server.endpoint.patience, events::sum(tasks))
        .await
        .unwrap_or_else(|_| events::unfinished())?;
    ensure!(!latencies.is_empty(), "no event was finished while measuring");
    let count = latencies.len();
    Ok(vec![
        Metric::compared("events/s", cost.per_second(count), 0),
        Metric::compared("CPU µs/event", measure::micros_each(cost.server_cpu, count), 2),
        Metric::plain("p50 ms", measure::millis_at(&latencies, 50.0), 2),
        Metric::plain("p99 ms", measure::millis_at(&latencies, 99.0), 2),
    ])
}

/// A loop that inserts rows and commits them in groups.
pub async fn run_driver(args: &DurableArgs, phases: &PhaseArgs, start: &StartArgs) -> Result<Vec<Metric>> {
    let text = "x".repeat(args.events.text_bytes);
    let (folder, postgres) = (TempDir::with_prefix("gatewright-bench-")?, start.postgres().await?);
    let mut database = Loop::open(&folder, postgres.as_ref()).await?;
    let begin = Instant::now();
    while begin.elapsed() < phases.warm_up {
        database.commit(args.group, &text).await?;
    }
    let (mut latencies, mut rows) = (measure::latencies()?, 0);
    let cpu = proc::cpu_time(std::process::id())?;
    let begin = Instant::now();
    let mut now = begin;
    while now - begin < phases.measure {
        database.commit(args.group, &text).await?;
        rows += args.group as u64;
        measure::record(&mut latencies, now.elapsed());
        now = Instant::now();
    }
    let cpu = proc::cpu_time(std::process::id())? - cpu;
    Ok(vec![
        Metric::compared("events/s", rows as f64 / (now - begin).as_secs_f64(), 0),
        Metric::compared("CPU µs/event", measure::micros_each(cpu, rows), 2),
        Metric::plain("p50 ms", measure::millis_at(&latencies, 50.0), 2),
        Metric::plain("p99 ms", measure::millis_at(&latencies, 99.0), 2),
    ])
}

enum Loop {
    Sqlite(Driver),
    Postgres(PgConnection),
}

impl Loop {
    async fn open(folder: &TempDir, postgres: Option<&Postgres>) -> Result<Self> {
        let Some(postgres) = postgres else {
            let mut driver = Driver::open_durable(&folder.path().join("driver.db")).await?;
            driver.create_table().await?;
            return Ok(Self::Sqlite(driver));
        };
        let options: PgConnectOptions = postgres.url().parse()?;
        let mut connection = options.disable_statement_logging().connect().await.context("no PostgreSQL")?;
        query("CREATE TABLE message (id TEXT PRIMARY KEY, text TEXT, room TEXT, sender TEXT, made TEXT)")
            .execute(&mut connection)
            .await?;
        Ok(Self::Postgres(connection))
    }

    async fn commit(&mut self, rows: usize, text: &str) -> Result<()> {
        match self {
            Self::Sqlite(driver) => driver.fill(rows, text).await.map(drop),
            Self::Postgres(connection) => {
                let mut transaction = connection.begin().await?;
                for _ in 0..rows {
                    let insert = "INSERT INTO message VALUES ($1, $2, 'general', 'sender', '2026-01-31T12:00:00.000Z')";
                    let insert = query(AssertSqlSafe(insert)).bind(Uuid::now_v7().to_string()).bind(text);
                    insert.execute(&mut *transaction).await?;
                }
                Ok(transaction.commit().await?)
            }
        }
    }
}
