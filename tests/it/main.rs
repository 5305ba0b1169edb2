//! The tests of the whole product, in one binary: a real server, real HTTP calls, and the
//! official client (`tests/client`) driven by Node. One file per feature; `support` is what they share.

#![expect(unreachable_pub, reason = "a program has no outside: pub says what other modules use")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

mod access;
mod accounts;
mod admin_api;
mod app_keys;
mod attacks;
mod cli;
mod clients_js;
mod commands;
mod conformance;
mod connecting;
mod data;
mod durable;
mod edits;
mod engagefabric;
mod events;
mod faults;
mod filters;
mod hooks;
mod hot_reload;
mod issuers;
mod jobs_cli;
mod jobs_watched;
mod layering;
mod libraries;
mod limits;
mod lists;
mod lost;
mod openapi;
mod operation;
mod packs;
mod packs_edited;
mod packs_jobs;
mod packs_together;
mod postgres;
mod readme;
mod restarts;
mod routes;
mod rows;
mod sandbox;
mod schedules;
mod scripts;
mod tables;
mod tables_grid;
mod ui;
mod unique;
mod user_rows;
mod watching;
