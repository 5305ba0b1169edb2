//! The domain of Gatewright: configuration, storage, accounts, the job queue, the script
//! sandbox, the catalog of gateways and the packs.
//!
//! Nothing here knows HTTP or Socket.IO. A module may use only those listed before it:
//! `error`, `fields`, `id`, `listeners`, `nearest`, `moment`, `text`, `payload`, `metrics`, `config`, `filter`, `store`, `audit`, `disk`, `backups`, `auth`,
//! `jobs`, `data`, `queue`, `cache`, `broker`, `script`, `catalog`, `run`, `pack`.

pub mod error;
pub mod fields;
pub mod id;
mod listeners;
pub mod metrics;
pub mod moment;
pub mod nearest;
pub mod payload;
mod text;

pub mod config;
pub mod filter;
pub mod store;

pub mod audit;
pub mod auth;
pub mod backups;
pub mod disk;

pub mod data;

pub mod queue;

pub mod jobs;

pub mod broker;
pub mod cache;

pub mod script;

pub mod catalog;

pub mod run;

pub mod pack;

pub use error::{Error, ErrorCode, Failure, Result};
