//! The tests of the whole product, in one binary: a real server, real HTTP calls, and the
//! official client (`tests/client`) driven by Node. One file per feature.

mod node;
mod server;

mod accounts;
mod admin_api;
mod cli;
mod connecting;
mod events;
mod hot_reload;
mod layering;
mod limits;
mod operation;
mod routes;
mod sandbox;
