//! What stands between clients and the Socket.IO library: every request of `/socket.io` and every
//! byte of its WebSockets goes through here.
//!
//! [`service`] takes the requests, [`refusal`] is how it refuses some, and [`session`] is what is known
//! of a client between them.
//! [`stream`] is a WebSocket's bytes, in which [`frames`] finds the packets; [`packets`] has the rules
//! for them, whatever carries them, and [`name`] spells out escaped names. The library never sees
//! what is refused.

mod frames;
pub mod name;
mod packets;
mod refusal;
mod service;
mod session;
mod stream;

pub use service::GuardLayer;
pub use session::{Session, Sessions};
