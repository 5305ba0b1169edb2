//! What a room hears of who joins and leaves: at once, or with a debounce, where joins and leaves of one
//! member within it cancel out and the others are told together.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::connection::{Connection, SocketId};
use super::packets::{self, PresenceMember, PresencePacket};
use super::rooms::Room;

/// Changes that wait to be told together, at most: more are told before their time.
const WAITING_MAX: usize = 1000;

/// Whether somebody came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Join,
    Leave,
}

impl Change {
    fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Leave => "leave",
        }
    }
}

/// What a room has yet to hear. Its lock is also one's turn to tell: what is counted arrives in its order.
#[derive(Default)]
pub struct Changes {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// By socket, with a number that says which came first.
    by_socket: HashMap<SocketId, (u64, Change, PresenceMember)>,
    next_number: u64,
    /// When a task will tell them.
    due_at: Option<Instant>,
}

/// Tells a room who came or went: at once, or when `debounce` is over.
pub fn tell(room: &Arc<Room>, change: Change, who: &Connection, debounce: Duration, runtime: &Handle) {
    let mut waiting = room.changes.waiting.lock();
    waiting.add(change, who);
    if debounce.is_zero() || waiting.by_socket.len() >= WAITING_MAX {
        return waiting.tell(room);
    }
    let at = Instant::now() + debounce;
    // One that is due sooner tells this too; the setting may have been changed meanwhile.
    if waiting.due_at.is_none_or(|due_at| due_at > at) {
        waiting.due_at = Some(at);
        let room = room.clone();
        runtime.spawn(async move {
            tokio::time::sleep_until(at).await;
            let mut waiting = room.changes.waiting.lock();
            if waiting.due_at == Some(at) {
                waiting.tell(&room);
            }
        });
    }
}

impl Waiting {
    fn add(&mut self, change: Change, who: &Connection) {
        self.next_number += 1;
        match self.by_socket.entry(who.id) {
            Entry::Occupied(before) if before.get().1 != change => drop(before.remove()),
            Entry::Occupied(_) => {}
            Entry::Vacant(place) => {
                let member = PresenceMember { socket_id: who.id_text.clone(), user_id: who.user_id() };
                place.insert((self.next_number, change, member));
            }
        }
    }

    /// Tells all that waits, joins first, each with the count of now.
    fn tell(&mut self, room: &Room) {
        self.due_at = None;
        let mut changes: Vec<_> = self.by_socket.drain().map(|(_, change)| change).collect();
        if changes.is_empty() {
            return;
        }
        changes.sort_unstable_by_key(|(number, ..)| *number);
        let connections = room.connections();
        for action in [Change::Join, Change::Leave] {
            let of_action = changes.iter().filter(|(_, change, _)| *change == action);
            let members: Vec<_> = of_action.map(|(.., member)| member).collect();
            let Some(last) = members.last() else { continue };
            let packet = PresencePacket {
                action: action.as_str(),
                room: &room.name,
                member: last,
                members: (members.len() > 1).then_some(&members),
                count: connections.len(),
            };
            connections.iter().for_each(|one| one.send_or_end(packets::PRESENCE, &packet));
        }
    }
}
