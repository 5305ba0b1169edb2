//! What admins see of sockets and rooms: pages that begin behind a place, by orders that rooms.rs keeps. A request
//! looks at a bounded number of them, and holds a gateway's rooms for a few at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatewright_admin_api::{Cursor, LivePage, LiveRoom, LiveSocket, RoomQuery, SocketFigures, SocketQuery};
use gatewright_core::auth::User;
use parking_lot::Mutex;

use super::connection::{Connection, SocketId};
use super::hub::Hub;
use super::namespace::Namespace;
use super::rooms::{Moves, Room};

/// Sockets or rooms that one request looks at.
const LOOKED_AT_MAX: usize = 5000;
/// Of these, how many while a gateway's rooms are held.
const LOOKED_AT_ONCE: usize = 256;
/// Rooms that a socket is shown with.
const ROOMS_SHOWN: usize = 100;
/// Rates are those of so long at least, and at most: who looks again later begins anew.
const RATE_TIME: Duration = Duration::from_millis(900);
const RATE_TIME_MAX: Duration = Duration::from_secs(10);

/// When it was last looked how many came and went.
#[derive(Default)]
pub struct LastLook(Mutex<Option<Look>>);

#[derive(Clone, Copy)]
struct Look {
    at: Instant,
    moves: Moves,
    /// Of the time until then.
    rates: Option<Rates>,
}

#[derive(Clone, Copy)]
struct Rates {
    connects: f64,
    disconnects: f64,
    joins: f64,
    leaves: f64,
}

impl Hub {
    /// The sockets that are asked for.
    pub(super) fn sockets_page(&self, query: &SocketQuery) -> LivePage<LiveSocket> {
        self.page(query.gateway.as_deref(), (query.behind.as_ref(), query.limit), |namespace, behind| {
            let behind = behind.map(|id| id.parse::<SocketId>());
            // What is no id is behind none.
            let behind = behind.and_then(Result::ok);
            let found = self.connections_behind(namespace, query, behind);
            let view = |connection: &Arc<Connection>| {
                let is_meant = is_meant(connection, query);
                (connection.id_text.to_string(), is_meant.then(|| live_socket(connection)))
            };
            found.iter().map(view).collect()
        })
    }

    /// The rooms that are asked for.
    pub(super) fn rooms_page(&self, query: &RoomQuery) -> LivePage<LiveRoom> {
        self.page(query.gateway.as_deref(), (query.behind.as_ref(), query.limit), |namespace, behind| {
            let found = namespace.rooms.rooms_behind(behind, LOOKED_AT_ONCE);
            let view = |room: &Arc<Room>| {
                let is_meant = query.text.as_deref().is_none_or(|text| has(&room.name, text));
                let view = || LiveRoom {
                    name: room.name.to_string(),
                    gateway: namespace.path.to_string(),
                    members: room.size(),
                };
                (room.name.to_string(), is_meant.then(view))
            };
            found.iter().map(view).collect()
        })
    }

    /// Goes through gateways by path, and through what `next` finds in each behind a name: all of them with their names, and
    /// those that are meant.
    fn page<T>(
        &self,
        gateway: Option<&str>,
        (behind, limit): (Option<&Cursor>, usize),
        next: impl Fn(&Namespace, Option<&str>) -> Vec<(String, Option<T>)>,
    ) -> LivePage<T> {
        let namespaces = self.namespaces();
        let is_asked_for = |path: &str| {
            gateway.is_none_or(|wanted| wanted == path)
                && behind.is_none_or(|cursor| *cursor.gateway <= *path)
        };
        let meant: BTreeMap<_, _> = namespaces.iter().filter(|(path, _)| is_asked_for(path)).collect();
        let (mut found, mut looked_at) = (Vec::new(), 0);
        for (path, namespace) in meant {
            let mut last =
                behind.filter(|cursor| *cursor.gateway == **path).map(|cursor| cursor.last.clone());
            loop {
                let batch = next(namespace, last.as_deref());
                let is_last = batch.len() < LOOKED_AT_ONCE;
                for (name, item) in batch {
                    found.extend(item);
                    looked_at += 1;
                    if found.len() >= limit || looked_at >= LOOKED_AT_MAX {
                        return LivePage {
                            found,
                            next: Some(Cursor { gateway: path.to_string(), last: name }),
                        };
                    }
                    last = Some(name);
                }
                if is_last {
                    break;
                }
            }
        }
        LivePage { found, next: None }
    }

    /// Some of those that may be meant, by id: of a user or a room, where one is named, else of all.
    fn connections_behind(
        &self,
        namespace: &Namespace,
        query: &SocketQuery,
        behind: Option<SocketId>,
    ) -> Vec<Arc<Connection>> {
        match (&query.user_id, &query.room) {
            (Some(user), _) => self.connections_of_user_behind(user, &namespace.path, behind, LOOKED_AT_ONCE),
            (None, Some(room)) => {
                let room = namespace.rooms.room(room);
                room.map_or_else(Vec::new, |room| room.connections_behind(behind, LOOKED_AT_ONCE))
            }
            (None, None) => namespace.rooms.connections_behind(behind, LOOKED_AT_ONCE),
        }
    }

    /// What all sockets and rooms come to.
    pub(super) fn figures_of_sockets(&self) -> SocketFigures {
        let (mut connections, mut rooms, mut moves) = (BTreeMap::new(), BTreeMap::new(), Moves::default());
        for (path, namespace) in self.namespaces().iter() {
            connections.insert(path.to_string(), namespace.rooms.connection_count());
            rooms.insert(path.to_string(), namespace.rooms.room_count());
            moves += namespace.rooms.moves();
        }
        let rates = self.last_look.rates(moves, Instant::now());
        SocketFigures {
            connections: connections.into(),
            rooms: rooms.into(),
            connects_per_second: rates.map(|rates| rates.connects),
            disconnects_per_second: rates.map(|rates| rates.disconnects),
            joins_per_second: rates.map(|rates| rates.joins),
            leaves_per_second: rates.map(|rates| rates.leaves),
        }
    }
}

impl LastLook {
    fn rates(&self, moves: Moves, now: Instant) -> Option<Rates> {
        let mut last = self.0.lock();
        if let Some(last) = last.filter(|last| now - last.at < RATE_TIME) {
            return last.rates;
        }
        let recent = last.filter(|last| now - last.at <= RATE_TIME_MAX);
        let rates = recent.map(|last| {
            let seconds = (now - last.at).as_secs_f64();
            // A gateway that has gone has taken its numbers with it.
            let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
            Rates {
                connects: rate(moves.connects, last.moves.connects),
                disconnects: rate(moves.disconnects, last.moves.disconnects),
                joins: rate(moves.joins, last.moves.joins),
                leaves: rate(moves.leaves, last.moves.leaves),
            }
        });
        *last = Some(Look { at: now, moves, rates });
        rates
    }
}

/// A connection as admins see it.
pub(super) fn live_socket(connection: &Arc<Connection>) -> LiveSocket {
    let identity = connection.identity();
    let (rooms, room_count) = connection.namespace.rooms.first_names_of(connection.id, ROOMS_SHOWN);
    LiveSocket {
        socket_id: connection.id_text.to_string(),
        gateway: connection.namespace.path.to_string(),
        session_id: identity.as_ref().and_then(|identity| identity.session_id),
        user: identity.map(|identity| identity.user),
        address: connection.address(),
        is_polling: connection.is_polling(),
        rooms,
        room_count,
        queued_bytes: connection.session.backlog.waiting(),
        queued_events: connection.lane.waiting(),
        connected_at: connection.connected_at,
    }
}

fn is_meant(connection: &Connection, query: &SocketQuery) -> bool {
    let is_in = |room: &String| {
        query.user_id.is_none()
            || connection.namespace.rooms.room(room).is_some_and(|room| room.has(connection.id))
    };
    query.room.as_ref().is_none_or(is_in)
        && query.text.as_deref().is_none_or(|text| {
            let user = connection.signed_in_user();
            let is_of = |user: &User| {
                [user.id.as_str(), &*user.email, &*user.name].into_iter().any(|known| has(known, text))
            };
            has(&connection.id_text, text)
                || user.is_some_and(|user| is_of(&user))
                || connection.address().is_some_and(|address| has(&address.to_string(), text))
        })
}

/// Whether a text has this in it, which is in lower case.
fn has(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(part)
}
