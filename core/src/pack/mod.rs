//! Packs: folders of gateways and events that install together, and their script tests.
//!
//! A pack is `pack.toml` and the scripts beside it. Here it is read, compared with the catalog,
//! installed, exported and tested; where its files come from is the caller's business.

mod export;
mod install;
mod manifest;
mod test;

pub use export::export;
pub use install::{Change, ChangeKind, InstallOptions, Plan, install, installed, plan};
pub use manifest::{EventSpec, GatewaySpec, Pack, PackError, PackFiles};
pub use test::{TestReport, TestResult, run_tests};
