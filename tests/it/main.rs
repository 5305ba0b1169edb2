//! The tests of the whole product, in one binary: a real server, real HTTP calls, and the
//! official client (`tests/client`) driven by Node. One file per feature.

mod database;
mod node;
mod server;

mod accounts;
mod admin_api;
mod app_keys;
mod cli;
mod connecting;
mod events;
mod hot_reload;
mod issuers;
mod layering;
mod limits;
mod lists;
mod operation;
mod postgres;
mod routes;
mod sandbox;
