//! Packs: folders of tables, gateways, events, routes, hooks and libraries that install together, and their
//! script tests.
//!
//! A pack is `pack.toml` and the scripts beside it. Here it is read, compared with the database,
//! installed, exported and tested; where its files come from is the caller's business.

mod archive;
mod expect;
mod export;
mod form;
mod install;
mod manifest;
mod plan;
mod present;
mod saved_test;
mod test;
mod test_job;
mod thing;

pub use archive::to_archive;
pub use export::export;
pub use install::{install, problems, script_errors, uninstall};
pub use manifest::{Pack, PackError, PackFiles};
pub use plan::{Change, ChangeKind, InstallOptions, Plan, plan};
pub use present::{Installed, edited, installed, installed_pack};
pub use saved_test::{
    SavedTest, SavedTestResult, TestedThings, change_test, delete_test, save_test, saved_test, saved_tests,
};
pub use test::{TestReport, TestResult, run_tests};
pub use thing::{TableSpec, Thing};
