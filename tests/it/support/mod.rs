//! What the tests share: servers, their data, calls of their API, and clients by hand.

pub mod api;
pub mod database;
pub mod node;
pub mod place;
pub mod polling;
pub mod port;
pub mod python;
pub mod server;
pub mod websocket;
