//! The broker of a node that is alone: all sockets are its own.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};

use super::{Broker, Channel, Member, Presence, Publication, Room, Sockets};
use crate::error::Failure;

/// Delivers within the process.
#[derive(Default)]
pub struct MemoryBroker {
    sockets: OnceLock<Weak<dyn Sockets>>,
}

impl MemoryBroker {
    /// The sockets, as long as there are any.
    fn sockets(&self) -> Option<Arc<dyn Sockets>> {
        self.sockets.get()?.upgrade()
    }
}

impl Broker for MemoryBroker {
    fn attach(&self, sockets: Weak<dyn Sockets>) {
        // A node attaches its sockets once, when it starts.
        let _ = self.sockets.set(sockets);
    }

    fn publish(&self, publication: Publication) -> Result<(), Failure> {
        if let Some(sockets) = self.sockets() {
            sockets.deliver(&publication);
        }
        Ok(())
    }
}

impl Presence for MemoryBroker {
    fn members(&self, room: Room<'_>) -> Result<Vec<Member>, Failure> {
        Ok(self.sockets().map_or_else(Vec::new, |sockets| sockets.members(room)))
    }

    fn room_size(&self, room: Room<'_>) -> Result<usize, Failure> {
        Ok(self.sockets().map_or(0, |sockets| sockets.room_size(room)))
    }

    fn channels(&self, gateway: Option<&str>, prefix: &str) -> Result<Vec<Channel>, Failure> {
        let mut all = self.sockets().map_or_else(Vec::new, |sockets| sockets.channels(gateway, prefix));
        all.sort_unstable_by(|one, other| (&one.name, &one.gateway).cmp(&(&other.name, &other.gateway)));
        Ok(all)
    }

    fn connections(&self) -> Result<BTreeMap<String, usize>, Failure> {
        Ok(self.sockets().map_or_else(BTreeMap::new, |sockets| sockets.connections()))
    }

    fn connections_of_user(&self, user_id: &str) -> Result<usize, Failure> {
        Ok(self.sockets().map_or(0, |sockets| sockets.connections_of_user(user_id)))
    }
}
