//! The calls of `@SOCKET` about others: who is connected and in which rooms, and who is put there.

use std::sync::Arc;

use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, Map};

use super::socket::{SocketMacro, act_on, check_gateway, name, room_name};
use crate::broker::{Action, Channel, Member, Presence, Room, Target};
use crate::error::Failure;
use crate::script::failure::raise;
use crate::script::run::{host, with_run};
use crate::store::time_text;

type Outcome<T = ()> = Result<T, Box<EvalAltResult>>;
type Text = ImmutableString;

/// Registers the calls.
pub(crate) fn register(engine: &mut Engine) {
    register_presence(engine);
    register_rooms_of_others(engine);
}

fn register_presence(engine: &mut Engine) {
    engine
        .register_fn("roomSize", |_: &mut SocketMacro, room: Dynamic| -> Outcome<i64> {
            let room = room_name(&room)?;
            Ok(in_room(None, &room, |all, room| all.room_size(room))? as i64)
        })
        .register_fn("roomSize", |_: &mut SocketMacro, path: Text, room: Dynamic| -> Outcome<i64> {
            let room = room_name(&room)?;
            check_gateway(&path)?;
            Ok(in_room(Some(&path), &room, |all, room| all.room_size(room))? as i64)
        })
        .register_fn("members", |_: &mut SocketMacro, room: Dynamic| -> Outcome<Array> {
            let room = room_name(&room)?;
            Ok(in_room(None, &room, |all, room| all.members(room))?.into_iter().map(member).collect())
        })
        .register_fn("members", |_: &mut SocketMacro, path: Text, room: Dynamic| -> Outcome<Array> {
            let room = room_name(&room)?;
            check_gateway(&path)?;
            Ok(in_room(Some(&path), &room, |all, room| all.members(room))?.into_iter().map(member).collect())
        })
        .register_fn("channels", |_: &mut SocketMacro| channels(""))
        .register_fn("channels", |_: &mut SocketMacro, prefix: Text| channels(&prefix))
        .register_fn("connections", |_: &mut SocketMacro| -> Outcome<Map> {
            let counts = ask(|all| all.connections())?;
            let total = counts.values().sum::<usize>() as i64;
            let count = |(path, count): (String, usize)| (path.into(), Dynamic::from(count as i64));
            let gateways: Map = counts.into_iter().map(count).collect();
            Ok(Map::from_iter([("total".into(), total.into()), ("gateways".into(), gateways.into())]))
        })
        .register_fn("isOnline", |_: &mut SocketMacro, id: Dynamic| -> Outcome<bool> {
            let id = name("a user id", &id)?;
            Ok(ask(|all| all.connections_of_user(&id))? > 0)
        });
}

/// The rooms of the run's gateway, or without one of all, whose names begin like this.
fn channels(prefix: &str) -> Outcome<Array> {
    let gateway = with_run(|run| run.origin.gateway().cloned());
    let channel = |channel: Channel| {
        Dynamic::from_map(Map::from_iter([
            ("name".into(), channel.name.into()),
            ("gateway".into(), channel.gateway.to_string().into()),
            ("members".into(), (channel.members as i64).into()),
        ]))
    };
    Ok(ask(|all| all.channels(gateway.as_deref(), prefix))?.into_iter().map(channel).collect())
}

fn register_rooms_of_others(engine: &mut Engine) {
    register_room_of(
        engine,
        "joinUser",
        "a user id",
        |gateway, user| Target::UserIn { gateway, user },
        Action::Join,
    );
    register_room_of(
        engine,
        "leaveUser",
        "a user id",
        |gateway, user| Target::UserIn { gateway, user },
        Action::Leave,
    );
    register_room_of(
        engine,
        "joinSocket",
        "a socket's id",
        |gateway, socket| Target::Connection { gateway, socket },
        Action::Join,
    );
    register_room_of(
        engine,
        "leaveSocket",
        "a socket's id",
        |gateway, socket| Target::Connection { gateway, socket },
        Action::Leave,
    );
    engine
        .register_fn("clearRoom", |_: &mut SocketMacro, room: Dynamic| -> Outcome {
            let room = room_name(&room)?;
            clear_room(gateway_of_script("clearRoom")?, &[&room], &room)
        })
        .register_fn("clearRoom", |_: &mut SocketMacro, path: Text, room: Dynamic| -> Outcome {
            let room = room_name(&room)?;
            check_gateway(&path)?;
            clear_room((&*path).into(), &[&path, &room], &room)
        });
}

/// Registers a call that puts others into a room, or takes them out: of the script's gateway, or of one that is named
/// before them.
fn register_room_of(
    engine: &mut Engine,
    call: &'static str,
    what: &'static str,
    target: fn(Arc<str>, Box<str>) -> Target,
    action: fn(Box<str>) -> Action,
) {
    let act = move |gateway: Arc<str>, args: &[&str], whom: &str, room: &str| {
        act_on(call, args, target(gateway, whom.into()), action(room.into()))
    };
    engine
        .register_fn(call, move |_: &mut SocketMacro, whom: Dynamic, room: Dynamic| -> Outcome {
            let (whom, room) = (name(what, &whom)?, room_name(&room)?);
            act(gateway_of_script(call)?, &[&whom, &room], &whom, &room)
        })
        .register_fn(call, move |_: &mut SocketMacro, path: Text, whom: Dynamic, room: Dynamic| -> Outcome {
            let (whom, room) = (name(what, &whom)?, room_name(&room)?);
            check_gateway(&path)?;
            act((&*path).into(), &[&path, &whom, &room], &whom, &room)
        });
}

fn clear_room(gateway: Arc<str>, args: &[&str], room: &str) -> Outcome {
    let target = Target::Room { gateway, room: room.into(), except: None };
    act_on("clearRoom", args, target, Action::Leave(room.into()))
}

/// Asks who is connected.
fn ask<T>(ask: impl FnOnce(&dyn Presence) -> Result<T, Failure>) -> Outcome<T> {
    ask(host().presence()).map_err(raise)
}

/// Asks about a room of this gateway, else of the run's; without either, of all.
fn in_room<T>(
    path: Option<&str>,
    name: &str,
    of: impl FnOnce(&dyn Presence, Room<'_>) -> Result<T, Failure>,
) -> Outcome<T> {
    let own = with_run(|run| run.origin.gateway().cloned());
    ask(|all| of(all, Room { gateway: path.or(own.as_deref()), name }))
}

/// The path of the gateway whose script this is, where a call names none.
fn gateway_of_script(call: &str) -> Outcome<Arc<str>> {
    let own = with_run(|run| run.origin.gateway().filter(|_| run.hook_depth == 0).cloned());
    own.ok_or_else(|| {
        format!(
            "@SOCKET.{call} is of no gateway here: name the gateway's path first, as in {call}(\"/chat\", …)"
        )
        .into()
    })
}

fn member(member: Member) -> Dynamic {
    Map::from_iter([
        ("socketId".into(), member.socket_id.into()),
        ("userId".into(), member.user_id.map_or(Dynamic::UNIT, Dynamic::from)),
        ("joinedAt".into(), time_text(member.joined_at).into()),
    ])
    .into()
}
