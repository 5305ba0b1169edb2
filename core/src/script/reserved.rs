//! Event names that are not for scripts and admins: a client that got one from a script would take
//! it for the product's own word, or misbehave.

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
