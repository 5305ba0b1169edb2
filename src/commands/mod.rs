//! The subcommands other than `serve`.

pub mod app_key;
pub mod check;
pub mod completions;
pub mod config;
pub mod database;
pub mod demo;
pub mod jobs;
pub mod pack;
pub mod test;
pub mod types;
pub mod user;
