//! The `idle` scenario: what a connected socket that does nothing costs in memory.

use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::connect_many;
use crate::measure;
use crate::proc;
use crate::report::Metric;
use crate::target::Server;

#[derive(clap::Args, Clone)]
pub struct IdleArgs {
    /// Sockets to connect and leave alone
    #[arg(long, default_value_t = 10_000, value_parser = crate::at_least_one)]
    pub connections: usize,
    /// Seconds to wait after the last connect before memory is read; more than 25 puts a
    /// heartbeat in between
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = crate::seconds)]
    pub settle: Duration,
}

pub async fn run(args: &IdleArgs, server: &Server) -> Result<Vec<Metric>> {
    let before_kib = proc::resident_kib(server.pid)?;
    let started = Instant::now();
    let clients = connect_many(&server.endpoint, args.connections).await?;
    let connects = args.connections as f64 / started.elapsed().as_secs_f64();
    let mut tasks = JoinSet::new();
    for client in clients {
        tasks.spawn(client.stay());
    }
    measure::undisturbed(args.settle, &mut tasks).await?;
    let after_kib = proc::resident_kib(server.pid)?;
    let each_kib = (after_kib as f64 - before_kib as f64) / args.connections as f64;
    Ok(vec![
        Metric::compared("KiB/socket", each_kib, 1),
        Metric::plain("RSS before MiB", before_kib as f64 / 1024.0, 1),
        Metric::plain("RSS after MiB", after_kib as f64 / 1024.0, 1),
        Metric::plain("connects/s", connects, 0),
    ])
}
