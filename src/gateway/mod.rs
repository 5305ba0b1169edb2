//! Socket.IO: connections, their events, rooms and presence, limits, and the live host of scripts.
//!
//! [`Hub`] is what the process has of it: the namespaces of the catalog's gateways and all their
//! connections. Nothing else in the product touches socketioxide.

mod connect;
mod connection;
mod cors;
mod events;
mod guard;
mod handshake;
mod hub;
mod hub_host;
mod job;
mod limits;
mod live_host;
mod namespace;
mod packets;
mod route;
mod rows;
mod tokens;
mod transport;
mod watch;
mod work;

pub use guard::GuardLayer;
pub use hub::Hub;
pub use route::{RouteAnswer, RouteCall};
pub use rows::RowsCall;
pub use transport::{BeyondCapacity, Endable};
pub use watch::watch_changes;
