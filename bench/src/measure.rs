//! The clock of a run: tells every socket which phase it is, and takes time and CPU at both ends
//! of the measured one. Shared by the scenarios that send events; knows nothing of what they do.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::proc;

/// Length of the phases.
#[derive(clap::Args, Clone)]
pub struct PhaseArgs {
    /// Seconds of load before anything is counted
    #[arg(long, global = true, value_name = "SECONDS", default_value = "2",
          value_parser = crate::seconds)]
    pub warm_up: Duration,
    /// Seconds that are measured
    #[arg(long, global = true, value_name = "SECONDS", default_value = "5",
          value_parser = crate::seconds)]
    pub measure: Duration,
}

/// Which phase the run is in. It only ever moves on.
pub struct Phase(AtomicU8);

const WARM_UP: u8 = 0;
const MEASURE: u8 = 1;
const STOP: u8 = 2;

impl Phase {
    pub fn new() -> Self {
        Self(AtomicU8::new(WARM_UP))
    }

    pub fn is_measured(&self) -> bool {
        self.0.load(Ordering::Relaxed) == MEASURE
    }

    /// From now on nothing new is sent; what is under way is finished.
    pub fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed) == STOP
    }

    /// From now on what ends counts.
    pub fn measure(&self) {
        self.enter(MEASURE);
    }

    /// See [`Self::is_over`].
    pub fn stop(&self) {
        self.enter(STOP);
    }

    fn enter(&self, phase: u8) {
        self.0.store(phase, Ordering::Relaxed);
    }
}

/// What the measured phase took.
pub struct Cost {
    pub wall: Duration,
    pub server_cpu: Duration,
    pub client_cpu: Duration,
}

impl Cost {
    /// How many of `count` there were per second.
    pub fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.wall.as_secs_f64()
    }
}

/// CPU microseconds for each of `count`.
pub fn micros_each(cpu: Duration, count: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / count.max(1) as f64
}

/// A histogram of microseconds, from 1 µs to one minute at three digits.
pub fn latencies() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000, 3)?)
}

/// Adds one latency.
pub fn record(histogram: &mut Histogram<u64>, latency: Duration) {
    histogram.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
}

/// The latency in milliseconds that `percent` of the events were faster than.
pub fn millis_at(histogram: &Histogram<u64>, percent: f64) -> f64 {
    histogram.value_at_percentile(percent) as f64 / 1e3
}

/// Runs both phases while `tasks` put on the load, and leaves them told to stop.
///
/// # Errors
/// When a task ends before it was told to: whatever stopped it makes the figures worthless.
pub async fn run<T: 'static>(
    args: &PhaseArgs,
    pid: u32,
    phase: &Phase,
    tasks: &mut JoinSet<Result<T>>,
) -> Result<Cost> {
    undisturbed(args.warm_up, tasks).await?;
    let (server, client) = (proc::cpu_time(pid)?, proc::cpu_time(std::process::id())?);
    let started = Instant::now();
    phase.measure();
    undisturbed(args.measure, tasks).await?;
    let cost = Cost {
        wall: started.elapsed(),
        server_cpu: proc::cpu_time(pid)? - server,
        client_cpu: proc::cpu_time(std::process::id())? - client,
    };
    phase.stop();
    Ok(cost)
}

/// Waits, but fails as soon as one of the tasks ends.
pub async fn undisturbed<T: 'static>(duration: Duration, tasks: &mut JoinSet<Result<T>>) -> Result<()> {
    tokio::select! {
        () = sleep(duration) => Ok(()),
        Some(ended) = tasks.join_next() => {
            ended?.context("a socket failed under load")?;
            bail!("a socket ended before the run was over")
        }
    }
}
