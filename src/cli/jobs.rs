//! The arguments of `gatewright jobs`.

use clap::{Args, Subcommand};
use gatewright_core::jobs::JobFilter;
use uuid::Uuid;

use super::DatabaseArgs;
use crate::examples::{JOBS_DISCARD_EXAMPLES, JOBS_LIST_EXAMPLES, JOBS_RETRY_EXAMPLES};

/// The most jobs of one list.
const LISTED_MAX: i64 = 1000;

#[derive(Debug, Args)]
pub struct JobsArgs {
    #[command(subcommand)]
    pub command: JobsCommand,
}

#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// Lists durable events and jobs for later, newest first
    #[command(after_long_help = JOBS_LIST_EXAMPLES)]
    List {
        #[command(flatten)]
        filter: FilterArgs,
        /// How many at most
        #[arg(long, value_name = "NUMBER", default_value = "50", value_parser = clap::value_parser!(u64).range(1..=LISTED_MAX as u64))]
        limit: u64,
        /// As JSON, with all fields of /admin/jobs
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Runs jobs again that failed or were given up, and those now that wait for another attempt
    #[command(after_long_help = JOBS_RETRY_EXAMPLES)]
    Retry(SelectedArgs),
    /// Takes jobs out: they are not run, or not again
    #[command(after_long_help = JOBS_DISCARD_EXAMPLES)]
    Discard(SelectedArgs),
}

/// What jobs have in common.
#[derive(Debug, Clone, Default, Args)]
pub struct FilterArgs {
    /// waiting, scheduled, running, retrying, done, failed, dead or discarded
    #[arg(long, value_name = "STATE")]
    pub state: Option<String>,
    /// The gateway's path
    #[arg(long, value_name = "PATH")]
    pub gateway: Option<String>,
    /// The event's name
    #[arg(long, value_name = "NAME")]
    pub event: Option<String>,
    /// Text in the id, the key, the caller, the payload or the error
    #[arg(long, value_name = "TEXT")]
    pub q: Option<String>,
}

/// Which jobs.
#[derive(Debug, Args)]
pub struct SelectedArgs {
    /// Their ids, which `list` prints; or say by flags which ones
    #[arg(value_name = "ID", conflicts_with_all = ["state", "gateway", "event", "q", "all"])]
    pub ids: Vec<Uuid>,
    #[command(flatten)]
    pub filter: FilterArgs,
    /// All jobs, whatever they are
    #[arg(long, conflicts_with_all = ["state", "gateway", "event", "q"])]
    pub all: bool,
    #[command(flatten)]
    pub database: DatabaseArgs,
}

impl FilterArgs {
    /// The same for the database; none where nothing is said.
    pub fn filter(self) -> Option<JobFilter> {
        let Self { state, gateway, event, q } = self;
        let is_said = [&state, &gateway, &event, &q].into_iter().any(Option::is_some);
        is_said.then_some(JobFilter { state, gateway, event, q })
    }
}
