//! Event names that are not for scripts and admins: a client that got one from a script would take
//! it for the product's own word, or misbehave.

use crate::error::{ErrorCode, Failure};

/// The longest name of an event, in bytes.
const EVENT_BYTES_MAX: usize = 256;
/// Socket.IO's own, of its client and its server.
const OF_SOCKET_IO: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];
/// What the product emits or takes itself.
const OF_GATEWRIGHT: [&str; 5] = ["bus_gap", "event", "job_status", "presence", "rate_limited"];
/// The beginnings of all such names that the product may come to use.
const PREFIXES: [&str; 3] = ["backend_", "token_", "ws:"];

/// Who keeps this event name for itself, if anybody does.
pub fn reserved_event(name: &str) -> Option<&'static str> {
    if OF_SOCKET_IO.contains(&name) {
        return Some("Socket.IO");
    }
    let is_own = OF_GATEWRIGHT.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    is_own.then_some("Gatewright")
}

/// That scripts and programs may emit an event of this name.
///
/// # Errors
/// `VALIDATION_ERROR`.
pub fn check_emitted(name: &str) -> Result<(), Failure> {
    if name.is_empty() || name.len() > EVENT_BYTES_MAX {
        let message = format!("An event's name has 1 to {EVENT_BYTES_MAX} bytes");
        return Err(Failure::new(ErrorCode::Validation, message));
    }
    match reserved_event(name) {
        None => Ok(()),
        Some(owner) => {
            let message = format!("The event name \"{name}\" is reserved by {owner}; choose another");
            Err(Failure::new(ErrorCode::Validation, message))
        }
    }
}

/// The reserved names, as the guide lists them.
#[cfg(test)]
pub(super) fn reserved_names() -> impl Iterator<Item = String> {
    let prefixes = PREFIXES.iter().map(|prefix| format!("{prefix}*"));
    OF_SOCKET_IO.iter().chain(&OF_GATEWRIGHT).map(|name| (*name).to_owned()).chain(prefixes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in
            ["connect", "presence", "event", "ws:result", "ws:*", "token_", "token_refresh", "backend_x"]
        {
            assert!(reserved_event(name).is_some(), "{name}");
        }
        for name in ["connected", "Event", "events", "*", "w*", "ws", "tokens", "presence:join", ""] {
            assert_eq!(reserved_event(name), None, "{name}");
        }
    }
}
