//! `gatewright-bench`: measures Gatewright beside two baselines that do the same work without
//! scripts, and prints the ratios. See the README of this package for how to read them.

#![expect(unreachable_pub, reason = "a program has no outside: pub says what other modules use")]

mod admin;
mod backlog;
mod baseline;
mod client;
mod compare;
mod driver;
mod durable;
mod events;
mod fanout;
mod frame;
mod idle;
mod leaderboard;
mod measure;
mod packet;
mod pages;
mod presence;
mod proc;
mod report;
mod rows;
mod soak;
mod target;
mod topics;
mod watched;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

use compare::{CompareArgs, Scenario};

/// Measures Gatewright side by side with two baselines and prints the ratios
///
/// Every scenario is run against each server in turn, several rounds, each time with a freshly
/// started server on a free port and a temporary data folder. The servers are:
///
///   gatewright  the gateway, running a script for every event
///   raw         axum and socketioxide, sending the same ack and result at once: the ceiling
///   node        socket.io on Node doing the same; skipped when Node is missing
///
/// `rows` has the gateway beside `driver` instead: a loop of the same inserts and selects over the
/// same SQLite driver, one after the other, in this process.
///
/// An event counts as finished when both its ack and its `ws:result` have arrived. Server CPU is
/// user plus system time from /proc, so this runs on Linux only. Tables go to standard output as
/// Markdown, one line per run to standard error. A run in which anything is refused, lost or out
/// of order is an error, not a figure.
#[derive(Parser)]
#[command(version, verbatim_doc_comment, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    compare: CompareArgs,
    /// Threads of the load generator; one leaves the rest of the machine to the server
    #[arg(long, global = true, default_value_t = 1, value_parser = at_least_one)]
    client_threads: usize,
}

const EXAMPLES: &str = "\
Examples:
  cargo build --release && target/release/gatewright-bench
  gatewright-bench events --measure 10 --rounds 5
  gatewright-bench fanout --targets raw,node --subscribers 200
  gatewright-bench idle --rounds 1 --settle 30
  gatewright-bench soak --for 3600";

#[derive(Subcommand)]
enum Command {
    /// Run every scenario (this is the default)
    All(AllArgs),
    /// Throughput: many sockets, each with a window of events in flight
    Events(events::EventsArgs),
    /// Rows: events that make and find them, beside a loop over SQLite's driver; and how long the
    /// events of another gateway take meanwhile
    Rows(rows::RowsArgs),
    /// Durable events, beside a loop that commits groups of rows; --database-url for PostgreSQL
    Durable(durable::DurableArgs),
    /// Backlog: how fast jobs are taken up that wait in the database, when few wait and when very many do
    Backlog(backlog::BacklogArgs),
    /// Leaderboard: scores of the pack engagefabric on a large board; --database-url for PostgreSQL
    Leaderboard(leaderboard::LeaderboardArgs),
    /// Events while an admin watches their runs, beside the same while nobody does
    Watched(events::EventsArgs),
    /// Pages: how long the admin UI waits for the data of each page on a large server
    Pages(pages::PagesArgs),
    /// Fan-out: one publisher, many subscribers in one room, every delivery checked
    Fanout(fanout::FanoutArgs),
    /// Topics: what a publish costs, by how many different filters the subscriptions have
    Topics(topics::TopicsArgs),
    /// Presence: what joins and leaves of a large room cost, with and without a debounce
    Presence(presence::PresenceArgs),
    /// Memory: many connected sockets that do nothing
    Idle(idle::IdleArgs),
    /// Latency: one event at a time on an otherwise idle server
    Single(events::SingleArgs),
    /// Soak: gateways come and go while events run; fails when the server keeps what is gone
    Soak(soak::SoakArgs),
    /// Serve the `raw` baseline until ended; the other commands start it by themselves
    BaselineServer {
        /// Address to listen on
        #[arg(long, default_value = "127.0.0.1:3000")]
        listen: SocketAddr,
    },
}

#[derive(clap::Args)]
struct AllArgs {
    #[command(flatten)]
    events: events::EventsArgs,
    /// Rows that are there to be found
    #[arg(long, default_value_t = rows::PRESENT, value_parser = at_least_one)]
    present: usize,
    #[command(flatten)]
    fanout: fanout::FanoutArgs,
    #[command(flatten)]
    idle: idle::IdleArgs,
    #[command(flatten)]
    single: events::SingleArgs,
}

fn main() -> Result<()> {
    let cli = parse();
    let scenarios = match cli.command {
        Some(Command::BaselineServer { listen }) => return serve_baseline(listen),
        Some(Command::Soak(args)) => {
            return client_runtime(cli.client_threads)?.block_on(soak::run(&args, &cli.compare.start));
        }
        Some(Command::Backlog(args)) => {
            return client_runtime(cli.client_threads)?.block_on(backlog::run(&args, &cli.compare.start));
        }
        Some(Command::Topics(args)) => {
            return client_runtime(cli.client_threads)?.block_on(topics::run(&args, &cli.compare.start));
        }
        Some(Command::Presence(args)) => {
            return client_runtime(cli.client_threads)?.block_on(presence::run(&args, &cli.compare.start));
        }
        Some(Command::Pages(args)) => {
            return client_runtime(cli.client_threads)?.block_on(pages::run(&args, &cli.compare.start));
        }
        Some(Command::Leaderboard(args)) => {
            return client_runtime(cli.client_threads)?.block_on(leaderboard::run(&args, &cli.compare));
        }
        Some(Command::Events(args)) => vec![Scenario::Events(args)],
        Some(Command::Rows(args)) => args.scenarios(),
        Some(Command::Durable(args)) => args.scenarios(),
        Some(Command::Watched(args)) => vec![Scenario::Watched(args)],
        Some(Command::Fanout(args)) => vec![Scenario::Fanout(args)],
        Some(Command::Idle(args)) => vec![Scenario::Idle(args)],
        Some(Command::Single(args)) => vec![Scenario::Single(args)],
        Some(Command::All(args)) => args.scenarios(),
        None => Vec::new(),
    };
    client_runtime(cli.client_threads)?.block_on(compare::run(&scenarios, &cli.compare))
}

/// Parses the command line, with `all` for a missing subcommand so that its defaults apply.
fn parse() -> Cli {
    let cli = Cli::parse();
    if cli.command.is_some() {
        return cli;
    }
    Cli::parse_from(std::env::args_os().chain(["all".into()]))
}

impl AllArgs {
    fn scenarios(self) -> Vec<Scenario> {
        let rows = rows::RowsArgs {
            sockets: self.events.sockets,
            window: self.events.window,
            text_bytes: self.events.text_bytes,
            present: self.present,
        };
        let mut scenarios = vec![Scenario::Events(self.events)];
        scenarios.extend(rows.scenarios());
        scenarios.extend([
            Scenario::Fanout(self.fanout),
            Scenario::Idle(self.idle),
            Scenario::Single(self.single),
        ]);
        scenarios
    }
}

fn serve_baseline(listen: SocketAddr) -> Result<()> {
    proc::allow_open_files(0)?;
    let runtime = Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(baseline::serve(listen))
}

fn client_runtime(threads: usize) -> Result<Runtime> {
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    builder.enable_all().build().context("cannot start the runtime")
}

/// Reads a number of seconds, fractions allowed.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "not a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// Reads a count that makes no sense as zero.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("not a whole number of at least 1".to_owned()),
        Ok(count) => Ok(count),
    }
}
