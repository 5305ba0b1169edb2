//! Socket.IO: connections, their events, rooms and presence, and limits.
//!
//! [`Hub`] is what the process has of it: the namespaces of the catalog's gateways and all their
//! connections. Nothing else in the product touches socketioxide.

mod admin;
mod admin_feed;
mod admin_jobs;
mod client;
mod connect;
mod connection;
mod cors;
mod deliver;
mod durable;
mod events;
mod guard;
mod handshake;
mod hub;
mod limits;
mod namespace;
mod packets;
mod presence;
mod reconcile;
mod rooms;
mod survey;
mod tokens;
mod topics;
mod watch;

pub use guard::GuardLayer;
pub use hub::Hub;
pub use watch::watch_changes;
