//! What stands between clients and the Socket.IO library: every request of `/socket.io` and every
//! byte of its WebSockets goes through here.
//!
//! [`service`] takes the requests, [`session`] is what is known of a client between them, and
//! [`stream`] is a WebSocket's bytes. The library never sees what is refused.

mod service;
mod session;
mod stream;

pub use service::GuardLayer;
pub use session::{Session, Sessions};
