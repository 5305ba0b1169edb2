//! Runs scenarios against all targets side by side: a fresh server for every run, the targets
//! taking turns, so that a slow minute of the machine hits all of them.

use anyhow::{Context, Result, bail};

use crate::durable::{self, DurableArgs};
use crate::events::{self, EventsArgs, SingleArgs};
use crate::fanout::{self, FanoutArgs};
use crate::idle::{self, IdleArgs};
use crate::measure::PhaseArgs;
use crate::proc;
use crate::report::{self, Metric, Table};
use crate::rows::{self, RowsArgs, Work};
use crate::target::{Server, StartArgs, Target};
use crate::watched;

pub enum Scenario {
    Events(EventsArgs),
    /// The same while an admin watches, and while nobody does.
    Watched(EventsArgs),
    Rows(Work, RowsArgs),
    Durable(durable::Work, DurableArgs),
    Fanout(FanoutArgs),
    Idle(IdleArgs),
    Single(SingleArgs),
}

/// What can be measured.
#[derive(Clone, Copy)]
enum Contender {
    Server(Target),
    /// Gatewright, watched by an admin.
    Watched,
    /// A loop over SQLite's driver in this process.
    Driver,
}

#[derive(clap::Args)]
pub struct CompareArgs {
    /// Servers to compare, separated by commas
    #[arg(long, global = true, value_delimiter = ',', default_value = "gatewright,raw,node")]
    targets: Vec<Target>,
    /// How often each scenario is run against each server; the table shows medians
    #[arg(long, global = true, default_value_t = 3, value_parser = crate::at_least_one)]
    rounds: usize,
    #[command(flatten)]
    pub start: StartArgs,
    #[command(flatten)]
    pub phases: PhaseArgs,
}

/// Runs every scenario and prints a table after each.
pub async fn run(scenarios: &[Scenario], args: &CompareArgs) -> Result<()> {
    let targets = available(args).await?;
    let cores = std::thread::available_parallelism()?;
    println!(
        "Medians of {} rounds; {cores} cores, shared by the server and the load generator.\n",
        args.rounds
    );
    for scenario in scenarios {
        let contenders = scenario.contenders(&targets);
        let names: Vec<_> = contenders.iter().map(|contender| contender.name()).collect();
        let mut table = Table::new(scenario.title(), scenario.baseline().name());
        for round in 0..args.rounds {
            for turn in 0..contenders.len() {
                let contender = contenders[(round + turn) % contenders.len()];
                let name = contender.name();
                let metrics = run_once(scenario, contender, args)
                    .await
                    .with_context(|| format!("{name}, round {} of {}", round + 1, args.rounds))?;
                eprintln!("{name} {}/{}: {}", round + 1, args.rounds, report::one_line(&metrics));
                table.add(name, metrics);
            }
        }
        println!("{}", table.markdown(&names));
    }
    Ok(())
}

async fn available(args: &CompareArgs) -> Result<Vec<Target>> {
    let mut available = Vec::new();
    for &target in &args.targets {
        match target.reason_to_skip(&args.start).await? {
            Some(reason) => println!("{}: skipped: {reason}", target.name()),
            None => available.push(target),
        }
    }
    if available.is_empty() {
        bail!("nothing to measure: every server in --targets was skipped");
    }
    Ok(available)
}

async fn run_once(scenario: &Scenario, contender: Contender, args: &CompareArgs) -> Result<Vec<Metric>> {
    // Before the start, because the server inherits the limit.
    proc::allow_open_files(scenario.sockets())?;
    match contender {
        Contender::Server(target) => {
            let server = target.start(&args.start).await?;
            let metrics = scenario.run(&args.phases, &server).await?;
            server.stop().await?;
            Ok(metrics)
        }
        Contender::Watched => {
            let server = Target::Gatewright.start(&args.start).await?;
            let metrics = scenario.run_watched(&args.phases, &server).await?;
            server.stop().await?;
            Ok(metrics)
        }
        Contender::Driver => scenario.run_driver(&args.phases, &args.start).await,
    }
}

impl Contender {
    fn name(self) -> &'static str {
        match self {
            Self::Server(target) => target.name(),
            Self::Watched => "watched",
            Self::Driver => "driver",
        }
    }
}

impl Scenario {
    async fn run(&self, phases: &PhaseArgs, server: &Server) -> Result<Vec<Metric>> {
        match self {
            Self::Events(args) | Self::Watched(args) => events::run(args, phases, server).await,
            Self::Rows(work, args) => rows::run(*work, args, phases, server).await,
            Self::Durable(work, args) => durable::run(*work, args, phases, server).await,
            Self::Fanout(args) => fanout::run(args, phases, server).await,
            Self::Idle(args) => idle::run(args, server).await,
            Self::Single(args) => events::run_single(args, phases, server).await,
        }
    }

    async fn run_watched(&self, phases: &PhaseArgs, server: &Server) -> Result<Vec<Metric>> {
        match self {
            Self::Watched(args) => watched::run(args, phases, server).await,
            _ => bail!("no admin watches this"),
        }
    }

    async fn run_driver(&self, phases: &PhaseArgs, start: &StartArgs) -> Result<Vec<Metric>> {
        match self {
            Self::Rows(work, args) => rows::run_driver(*work, args, phases).await,
            Self::Durable(_, args) => durable::run_driver(args, phases, start).await,
            _ => bail!("a plain loop has no sockets"),
        }
    }

    /// What is measured, of the servers that can be.
    fn contenders(&self, targets: &[Target]) -> Vec<Contender> {
        match self {
            Self::Watched(_) => vec![Contender::Server(Target::Gatewright), Contender::Watched],
            Self::Rows(..) | Self::Durable(..) => {
                let gatewright = targets.iter().filter(|target| **target == Target::Gatewright);
                gatewright.copied().map(Contender::Server).chain([Contender::Driver]).collect()
            }
            _ => targets.iter().copied().map(Contender::Server).collect(),
        }
    }

    /// What the others are compared with.
    fn baseline(&self) -> Contender {
        match self {
            Self::Rows(..) | Self::Durable(..) => Contender::Driver,
            Self::Watched(_) => Contender::Server(Target::Gatewright),
            _ => Contender::Server(Target::Raw),
        }
    }

    /// How many connections it opens.
    fn sockets(&self) -> usize {
        match self {
            Self::Events(args) => args.sockets,
            Self::Watched(args) => args.sockets + 1,
            Self::Rows(_, args) => args.sockets + 1,
            Self::Durable(_, args) => args.events.sockets,
            Self::Fanout(args) => args.subscribers + 1,
            Self::Idle(args) => args.connections,
            Self::Single(_) => 1,
        }
    }

    fn title(&self) -> String {
        match self {
            Self::Events(args) => format!("events: {} sockets × {} in flight", args.sockets, args.window),
            Self::Watched(args) => {
                format!("watched: {} sockets × {} in flight", args.sockets, args.window)
            }
            Self::Rows(work, args) => {
                format!("rows, {}: {} sockets × {} in flight", work.name(), args.sockets, args.window)
            }
            Self::Durable(work, args) => {
                format!(
                    "durable events {}: {} sockets × {} in flight",
                    work.name(),
                    args.events.sockets,
                    args.events.window
                )
            }
            Self::Fanout(args) => format!(
                "fanout: 1 publisher, {} subscribers, {} publishes under way",
                args.subscribers, args.outstanding
            ),
            Self::Idle(args) => format!("idle: {} connected sockets", args.connections),
            Self::Single(args) => {
                format!("single: one event at a time, {} ms apart", args.pause_ms)
            }
        }
    }
}
