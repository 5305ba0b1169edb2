//! What reaches sockets other than the one that triggered a run, and who is in a room: the part of
//! the product that has to know of all nodes.
//!
//! A [`Publication`] is data: it says all by itself, so that it can wait, or travel. A [`Broker`]
//! delivers it to the [`Sockets`] of each node. This module must not know what a socket is made of,
//! nor who publishes.

mod memory;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use serde::{Deserialize, Serialize};

use crate::error::Failure;
use crate::payload::Payload;
use crate::store::Time;

pub use memory::MemoryBroker;

/// Something that is done to sockets, wherever they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// To which sockets.
    pub target: Target,
    /// What.
    pub action: Action,
}

/// Which sockets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// Those in a room of one gateway.
    Room {
        /// The gateway's path.
        gateway: Arc<str>,
        /// The room's name.
        room: Box<str>,
        /// The id of a socket that is left out.
        except: Option<Box<str>>,
    },
    /// Those in the rooms of this name, in all gateways.
    RoomOfAll(Box<str>),
    /// All of a user, in all gateways, by the user's id.
    User(Box<str>),
    /// All of these users, in all gateways; each socket once.
    Users(Vec<Box<str>>),
    /// All of a user in one gateway.
    UserIn {
        /// The gateway's path.
        gateway: Arc<str>,
        /// The user's id.
        user: Box<str>,
    },
    /// One, by its id.
    Socket(Box<str>),
    /// One in one gateway.
    Connection {
        /// The gateway's path.
        gateway: Arc<str>,
        /// The socket's id.
        socket: Box<str>,
    },
    /// All of a gateway, by its path.
    Gateway(Arc<str>),
    /// Every socket of every gateway.
    All,
    /// Those with a subscription to a topic: an event of it goes to each subscription whose filter it meets.
    Topic {
        /// The gateway's path; none: the topics of this name in all gateways.
        gateway: Option<Arc<str>>,
        /// The topic's name.
        topic: Box<str>,
    },
}

/// What is done to sockets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// An event is sent.
    Emit {
        /// Its name.
        event: Box<str>,
        /// Its data.
        payload: Payload,
    },
    /// An event of a topic; for those of a topic alone.
    Event {
        /// What happened.
        data: Payload,
        /// When, in RFC 3339.
        timestamp: Box<str>,
    },
    /// They come into a room of the gateway that they are in.
    Join(Box<str>),
    /// They leave it.
    Leave(Box<str>),
    /// The connection is ended, after what was sent before.
    Disconnect,
    /// Whether the session of the socket's token still counts is looked at, now: a hint, since the
    /// database alone says which do, and nodes look there anyway.
    CheckSession,
}

/// A socket in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The socket's id.
    pub socket_id: String,
    /// Its user, if it is signed in.
    pub user_id: Option<String>,
    /// When it joined.
    #[serde(with = "time::serde::rfc3339")]
    pub joined_at: Time,
}

/// A room, or all rooms of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room<'a> {
    /// The gateway's path; none: the rooms of this name in all gateways.
    pub gateway: Option<&'a str>,
    /// The room's name.
    pub name: &'a str,
}

/// A room that somebody is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// The room's name.
    pub name: String,
    /// The path of its gateway.
    pub gateway: Arc<str>,
    /// How many are in it.
    pub members: usize,
}

/// Delivers publications and knows who is connected. What one caller publishes arrives in its order.
pub trait Broker: Presence {
    /// From now on delivers to these sockets, which are this node's.
    fn attach(&self, sockets: Weak<dyn Sockets>);

    /// Delivers to the sockets of this node before it returns, and then to those of others. A socket
    /// that does not keep up is ended, never skipped.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` when what must not get lost cannot be handed over.
    fn publish(&self, publication: Publication) -> Result<(), Failure>;
}

/// Who is connected, and in which rooms. Each call may fail with `SERVICE_UNAVAILABLE`, when those who know do not
/// answer.
pub trait Presence: Send + Sync {
    /// Who is in a room, in no order.
    ///
    /// # Errors
    /// See above.
    fn members(&self, room: Room<'_>) -> Result<Vec<Member>, Failure>;

    /// How many are in a room.
    ///
    /// # Errors
    /// See above.
    fn room_size(&self, room: Room<'_>) -> Result<usize, Failure>;

    /// The rooms of a gateway, or of all, whose names begin with `prefix`, by name and gateway.
    ///
    /// # Errors
    /// See above.
    fn channels(&self, gateway: Option<&str>, prefix: &str) -> Result<Vec<Channel>, Failure>;

    /// How many sockets each gateway has, by its path.
    ///
    /// # Errors
    /// See above.
    fn connections(&self) -> Result<BTreeMap<String, usize>, Failure>;

    /// How many sockets a user has, in all gateways.
    ///
    /// # Errors
    /// See above.
    fn connections_of_user(&self, user_id: &str) -> Result<usize, Failure>;
}

/// The sockets of one node, as a broker reaches them. Nothing here waits or fails.
pub trait Sockets: Send + Sync {
    /// Does what a publication says to those of them that it is for.
    fn deliver(&self, publication: &Publication);
    /// Those in a room.
    fn members(&self, room: Room<'_>) -> Vec<Member>;
    /// How many of them are in a room.
    fn room_size(&self, room: Room<'_>) -> usize;
    /// The rooms that any of them is in, see [`Presence::channels`]; in no order.
    fn channels(&self, gateway: Option<&str>, prefix: &str) -> Vec<Channel>;
    /// How many of them each gateway has.
    fn connections(&self) -> BTreeMap<String, usize>;
    /// How many of them are a user's.
    fn connections_of_user(&self, user_id: &str) -> usize;
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    /// Sockets that keep what reaches them, with two in each room.
    #[derive(Default)]
    struct Kept(Mutex<Vec<Publication>>);

    impl Sockets for Kept {
        fn deliver(&self, publication: &Publication) {
            self.0.lock().push(publication.clone());
        }

        fn members(&self, room: Room<'_>) -> Vec<Member> {
            let member = |number| Member {
                socket_id: format!("{}-{number}", room.name),
                user_id: room.gateway.map(str::to_owned),
                joined_at: Time::UNIX_EPOCH,
            };
            (0..2).map(member).collect()
        }

        fn channels(&self, gateway: Option<&str>, prefix: &str) -> Vec<Channel> {
            let channel = |name: &str| Channel { name: name.to_owned(), gateway: "/a".into(), members: 2 };
            let names = ["b", "ab", "a"].into_iter().filter(|name| name.starts_with(prefix));
            names.filter(|_| gateway.is_none_or(|path| path == "/a")).map(channel).collect()
        }

        fn connections(&self) -> BTreeMap<String, usize> {
            BTreeMap::from([("/a".to_owned(), 2)])
        }

        fn connections_of_user(&self, user_id: &str) -> usize {
            usize::from(user_id == "u1")
        }

        fn room_size(&self, room: Room<'_>) -> usize {
            self.members(room).len()
        }
    }

    fn publications() -> Vec<Publication> {
        let payload = Payload { json: "{\"a\":[1,\"ü\"]}".to_owned(), attachments: vec![vec![0, 255]] };
        let emit = Action::Emit { event: "e".into(), payload: payload.clone() };
        let targets = [
            Target::Room { gateway: "/a".into(), room: "r".into(), except: Some("s".into()) },
            Target::RoomOfAll("r".into()),
            Target::User("u".into()),
            Target::Users(vec!["u".into(), "v".into()]),
            Target::UserIn { gateway: "/a".into(), user: "u".into() },
            Target::Socket("s".into()),
            Target::Connection { gateway: "/a".into(), socket: "s".into() },
            Target::Gateway("/a".into()),
            Target::All,
            Target::Topic { gateway: Some("/a".into()), topic: "t".into() },
        ];
        let with = |target: Target| {
            let (join, leave) = (Action::Join("r".into()), Action::Leave("r".into()));
            let event = Action::Event { data: payload.clone(), timestamp: "2026-01-01T00:00:00Z".into() };
            let actions = [emit.clone(), event, join, leave, Action::Disconnect, Action::CheckSession];
            actions.map(|action| Publication { target: target.clone(), action })
        };
        targets.into_iter().flat_map(with).collect()
    }

    #[test]
    fn publications_travel_as_they_are() {
        for publication in publications() {
            let text = serde_json::to_string(&publication).unwrap();
            assert_eq!(serde_json::from_str::<Publication>(&text).unwrap(), publication, "{text}");
        }
    }

    #[test]
    fn memory_delivers_in_order_while_there_are_sockets() {
        let (broker, room) = (MemoryBroker::default(), Room { gateway: Some("/a"), name: "r" });
        let publish = |publication: Publication| assert_eq!(broker.publish(publication), Ok(()));
        publications().into_iter().for_each(publish);
        assert_eq!(broker.room_size(room), Ok(0), "no sockets yet");
        let sockets = Arc::new(Kept::default());
        let attached: Weak<dyn Sockets> = Arc::<Kept>::downgrade(&sockets) as _;
        broker.attach(attached);
        publications().into_iter().for_each(publish);
        assert_eq!(*sockets.0.lock(), publications());
        assert_eq!(broker.members(room), Ok(sockets.members(room)));
        assert_eq!(broker.room_size(room), Ok(2));
        let names = |prefix| broker.channels(None, prefix).unwrap().into_iter().map(|one| one.name);
        assert_eq!(Vec::from_iter(names("a")), ["a", "ab"], "by name");
        assert_eq!(broker.channels(Some("/b"), ""), Ok(Vec::new()));
        assert_eq!(broker.connections().unwrap()["/a"], 2);
        assert_eq!((broker.connections_of_user("u1"), broker.connections_of_user("u2")), (Ok(1), Ok(0)));
        drop(sockets);
        assert_eq!(broker.room_size(room), Ok(0), "gone sockets are not kept alive");
        publications().into_iter().for_each(publish);
    }
}
