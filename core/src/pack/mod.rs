//! Packs: folders of tables, gateways, events, routes, hooks and libraries that install together, and their
//! script tests.
//!
//! A pack is `pack.toml` and the scripts beside it. Here it is read, compared with the database,
//! installed, exported and tested; where its files come from is the caller's business.

mod expect;
mod export;
mod form;
mod install;
mod manifest;
mod plan;
mod present;
mod test;
mod test_job;
mod thing;

pub use export::export;
pub use install::{install, problems, script_errors, uninstall};
pub use manifest::{Pack, PackError, PackFiles};
pub use plan::{Change, ChangeKind, InstallOptions, Plan, plan};
pub use present::{Installed, installed, installed_pack};
pub use test::{TestReport, TestResult, run_tests};
pub use thing::{TableSpec, Thing};
