//! The broker of a node that is alone: all sockets are its own.

use std::sync::{Arc, OnceLock, Weak};

use super::{Broker, Member, Publication, Room, Sockets};
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

    fn members(&self, room: Room<'_>) -> Result<Vec<Member>, Failure> {
        Ok(self.sockets().map_or_else(Vec::new, |sockets| sockets.members(room)))
    }

    fn room_size(&self, room: Room<'_>) -> Result<usize, Failure> {
        Ok(self.sockets().map_or(0, |sockets| sockets.room_size(room)))
    }
}
