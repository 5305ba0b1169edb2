//! The live host of scripts that no socket triggered: the calls of `@SOCKET` that need none.

use std::sync::Arc;

use gatewright_core::script::{Cache, Host, Member, Payload, Target};
use gatewright_core::{ErrorCode, Failure};

use super::connection::Connection;
use super::hub::Hub;
use super::live_host::{disconnect_socket, disconnect_user, send_from_anywhere};
use super::packets::Outgoing;

/// The host of the scripts that no socket triggered is the hub. The sandbox refuses the calls that
/// need a socket by [`Host::socket_id`], so they never come here.
pub struct HubHost(pub Arc<Hub>);

impl Host for HubHost {
    fn socket_id(&self) -> Option<&str> {
        None
    }

    fn emit(&self, target: Target<'_>, event: &str, data: Payload) -> Result<(), Failure> {
        self.0.metrics.emitted.inc();
        let data = Outgoing::new(&data);
        send_from_anywhere(&self.0, target, |connection: &Connection| connection.send_or_end(event, &data))
    }

    fn join(&self, _room: &str) -> Result<(), Failure> {
        Err(needs_socket())
    }

    fn leave(&self, _room: &str) {}

    fn rooms(&self) -> Vec<String> {
        Vec::new()
    }

    fn members(&self, room: &str) -> Vec<Member> {
        self.0.namespaces().values().flat_map(|namespace| namespace.members(room)).collect()
    }

    fn room_size(&self, room: &str) -> usize {
        self.0.namespaces().values().map(|namespace| namespace.room_size(room)).sum()
    }

    fn disconnect(&self) {}

    fn disconnect_user(&self, user_id: &str) {
        disconnect_user(&self.0, user_id);
    }

    fn disconnect_socket(&self, socket_id: &str) {
        disconnect_socket(&self.0, socket_id);
    }

    fn get(&self, _key: &str) -> Option<Arc<str>> {
        None
    }

    fn set(&self, _key: &str, _json: String) -> Result<(), Failure> {
        Err(needs_socket())
    }

    fn cache(&self) -> &Cache {
        &self.0.cache
    }

    fn is_live(&self) -> bool {
        true
    }
}

fn needs_socket() -> Failure {
    Failure::new(ErrorCode::Internal, "This call needs a socket")
}
