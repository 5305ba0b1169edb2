//! What requests do to sockets, and ask of them.

use std::sync::Arc;

use serde_json::Value as Json;

use super::Runner;
use crate::broker::{Action, Presence, Publication, Room, Target};
use crate::error::Failure;
use crate::payload::Payload;
use crate::script::{Host, check_emitted};

/// What a publication without data holds while it waits, about.
const PUBLICATION_BYTES: usize = 256;

impl Runner {
    /// Who is connected.
    pub fn presence(&self) -> &dyn Presence {
        self.host.presence()
    }

    /// Does something to sockets, on a worker since it may be to very many; to how many.
    ///
    /// # Errors
    /// `QUEUE_FULL`, `SHUTTING_DOWN`, and what the broker says.
    pub async fn publish(self: &Arc<Self>, publication: Publication) -> Result<usize, Failure> {
        let data = if let Action::Emit { payload, .. } = &publication.action { payload.bytes() } else { 0 };
        let runner = self.clone();
        let done = self.on_worker(PUBLICATION_BYTES + data, move || {
            let count = runner.count(&publication.target)?;
            runner.host.publish(publication)?;
            Ok(count)
        });
        done.await?
    }

    /// Has sockets sent an event with this data; to how many it goes.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for an event that nobody but the server may send, and as [`Self::publish`].
    pub async fn emit(self: &Arc<Self>, target: Target, event: &str, data: &Json) -> Result<usize, Failure> {
        check_emitted(event)?;
        let payload = Payload { json: data.to_string(), attachments: Vec::new() };
        let action = Action::Emit { event: event.into(), payload };
        self.publish(Publication { target, action }).await
    }

    fn count(&self, target: &Target) -> Result<usize, Failure> {
        let presence = self.presence();
        match target {
            Target::Room { gateway, room, .. } => {
                presence.room_size(Room { gateway: Some(gateway), name: room })
            }
            Target::RoomOfAll(room) => presence.room_size(Room { gateway: None, name: room }),
            Target::User(user) => presence.connections_of_user(user),
            Target::Users(users) => users.iter().map(|user| presence.connections_of_user(user)).sum(),
            Target::Gateway(path) => Ok(presence.connections()?.get(&**path).copied().unwrap_or_default()),
            Target::All => Ok(presence.connections()?.values().sum()),
            // Filters are looked at where the sockets are.
            Target::Topic { .. } => Ok(0),
            // One, if it is there: whoever names a socket knows no more.
            Target::UserIn { .. } | Target::Socket(_) | Target::Connection { .. } => Ok(1),
        }
    }
}
