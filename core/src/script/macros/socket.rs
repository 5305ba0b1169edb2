//! `@SOCKET`: what a script says to clients.

use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, Map};

use crate::error::{ErrorCode, Failure};
use crate::script::failure::raise;
use crate::script::host::{Host, Member, Target};
use crate::script::json;
use crate::script::memory::uncounted;
use crate::script::request::is_answering;
use crate::script::reserved::reserved_event;
use crate::script::run::{self, host, with_run};

/// The longest name of a room or an event, in bytes.
const NAME_BYTES_MAX: usize = 256;

type Outcome<T = ()> = Result<T, Box<EvalAltResult>>;
type Text = ImmutableString;

/// What `@SOCKET` stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SocketMacro;

/// Registers the calls of `@SOCKET`.
pub(crate) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<SocketMacro>("@SOCKET");
    register_emits(engine);
    register_rooms(engine);
    register_connection(engine);
}

fn register_emits(engine: &mut Engine) {
    engine
        .register_fn("reply", |_: &mut SocketMacro, event: Text, data: Dynamic| -> Outcome {
            triggering("reply")?;
            emit(Target::Reply, &event, &data)
        })
        .register_fn(
            "broadcastToRoom",
            |_: &mut SocketMacro, room: Dynamic, event: Text, data: Dynamic| -> Outcome {
                triggering("broadcastToRoom")?;
                emit(Target::RoomWithoutSender(&room_name(&room)?), &event, &data)
            },
        )
        .register_fn(
            "emitToCurrentRoom",
            |_: &mut SocketMacro, room: Dynamic, event: Text, data: Dynamic| -> Outcome {
                triggering("emitToCurrentRoom")?;
                emit(Target::CurrentRoom(&room_name(&room)?), &event, &data)
            },
        )
        .register_fn(
            "emitToRoom",
            |_: &mut SocketMacro, room: Dynamic, event: Text, data: Dynamic| -> Outcome {
                emit(Target::RoomOfAll(&room_name(&room)?), &event, &data)
            },
        )
        .register_fn(
            "emitToRoom",
            |_: &mut SocketMacro, path: Text, room: Dynamic, event: Text, data: Dynamic| -> Outcome {
                emit(Target::RoomOf(&path, &room_name(&room)?), &event, &data)
            },
        )
        .register_fn(
            "emitToUser",
            |_: &mut SocketMacro, id: Dynamic, event: Text, data: Dynamic| -> Outcome {
                emit(Target::User(&name("a user id", &id)?), &event, &data)
            },
        )
        .register_fn("emitToSocket", |_: &mut SocketMacro, id: Text, event: Text, data: Dynamic| -> Outcome {
            emit(Target::Socket(&id), &event, &data)
        })
        .register_fn(
            "emitToGateway",
            |_: &mut SocketMacro, path: Text, event: Text, data: Dynamic| -> Outcome {
                emit(Target::Gateway(&path), &event, &data)
            },
        )
        .register_fn("broadcast", |_: &mut SocketMacro, event: Text, data: Dynamic| -> Outcome {
            emit(Target::All, &event, &data)
        });
}

fn register_rooms(engine: &mut Engine) {
    engine
        .register_fn("join", |_: &mut SocketMacro, room: Dynamic| -> Outcome {
            let (host, room) = (triggering("join")?, room_name(&room)?);
            uncounted(|| host.join(&room)).map_err(raise)
        })
        .register_fn("leave", |_: &mut SocketMacro, room: Dynamic| -> Outcome {
            let (host, room) = (triggering("leave")?, room_name(&room)?);
            uncounted(|| host.leave(&room));
            Ok(())
        })
        .register_fn("rooms", |_: &mut SocketMacro| -> Outcome<Array> {
            let rooms = triggering("rooms")?.rooms();
            Ok(rooms.into_iter().map(Dynamic::from).collect())
        })
        .register_fn("roomSize", |_: &mut SocketMacro, room: Dynamic| -> Outcome<i64> {
            Ok(host().room_size(&room_name(&room)?) as i64)
        })
        .register_fn("members", |_: &mut SocketMacro, room: Dynamic| -> Outcome<Array> {
            Ok(host().members(&room_name(&room)?).into_iter().map(member).collect())
        });
}

fn register_connection(engine: &mut Engine) {
    engine
        .register_get("id", |_: &mut SocketMacro| -> Outcome<Dynamic> {
            Ok(triggering("id")?.socket_id().map_or(Dynamic::UNIT, |id| id.to_owned().into()))
        })
        .register_fn("disconnect", |_: &mut SocketMacro| -> Outcome {
            let host = triggering("disconnect")?;
            uncounted(|| host.disconnect());
            Ok(())
        })
        .register_fn("disconnectUser", |_: &mut SocketMacro, id: Dynamic| -> Outcome {
            let id = name("a user id", &id)?;
            uncounted(|| host().disconnect_user(&id));
            Ok(())
        })
        .register_fn("disconnectSocket", |_: &mut SocketMacro, id: Text| -> Outcome {
            uncounted(|| host().disconnect_socket(&id));
            Ok(())
        })
        .register_fn("get", |_: &mut SocketMacro, key: Text| -> Outcome<Dynamic> {
            let value = triggering("get")?.get(&key);
            Ok(value.and_then(|json| json::from_json(&json).ok()).unwrap_or(Dynamic::UNIT))
        })
        .register_fn("set", |_: &mut SocketMacro, key: Text, value: Dynamic| -> Outcome {
            let host = triggering("set")?;
            name("a key", &key.clone().into())?;
            let json = with_run(|run| {
                uncounted(|| json::to_json(&value, run.limits.value_depth, run.limits.result_bytes))
            });
            let json = json.map_err(|reason| run::unsendable("a connection's value", reason))?;
            uncounted(|| host.set(&key, json)).map_err(raise)
        });
}

/// The host, where a socket triggered the run.
fn triggering(call: &str) -> Outcome<std::sync::Arc<dyn Host>> {
    let (host, is_hook) = with_run(|run| (run.host.clone(), run.hook_depth > 0));
    if is_hook {
        return Err(format!("@SOCKET.{call} does not exist in a hook, which has no socket").into());
    }
    if host.socket_id().is_some() {
        return Ok(host);
    }
    let context = if is_answering() { "an HTTP script" } else { "a script that no socket triggered" };
    Err(format!("@SOCKET.{call} needs a socket: it does not exist in {context}").into())
}

fn emit(target: Target<'_>, event: &str, data: &Dynamic) -> Outcome {
    check_event(event)?;
    let (host, emits_max, data) = with_run(|run| {
        run.shared.emits += 1;
        let data = (run.shared.emits <= run.limits.emits)
            .then(|| uncounted(|| json::to_payload(data, run.limits.value_depth, run.limits.result_bytes)));
        (run.host.clone(), run.limits.emits, data)
    });
    let Some(data) = data else {
        let message = format!(
            "The script emits more than {emits_max} times, which were sent; one emit to a room, a user or a gateway reaches many"
        );
        return Err(run::terminate(ErrorCode::ScriptOutputLimit, message));
    };
    let data = data.map_err(|reason| run::unsendable("an emit", reason))?;
    let is_over = with_run(|run| {
        run.shared.emit_bytes += data.bytes();
        run.shared.emit_bytes > run.limits.emit_bytes
    });
    if is_over {
        return Err(run::terminate(ErrorCode::ScriptOutputLimit, "The script emits more bytes than it may"));
    }
    uncounted(|| host.emit(target, event, data)).map_err(raise)
}

fn check_event(event: &str) -> Outcome {
    if event.is_empty() || event.len() > NAME_BYTES_MAX {
        return Err(format!("an event's name has 1 to {NAME_BYTES_MAX} bytes").into());
    }
    match reserved_event(event) {
        None => Ok(()),
        Some(owner) => {
            let message = format!("The event name \"{event}\" is reserved by {owner}; choose another");
            Err(raise(Failure::new(ErrorCode::Validation, message)))
        }
    }
}

fn room_name(room: &Dynamic) -> Outcome<Text> {
    name("a room", room)
}

/// Text or an integer as a name.
fn name(what: &str, value: &Dynamic) -> Outcome<Text> {
    let name: Text = if let Ok(text) = value.clone().into_immutable_string() {
        text
    } else if let Ok(number) = value.as_int() {
        number.to_string().into()
    } else {
        return Err(raise(Failure::new(
            ErrorCode::Validation,
            format!("{what} is text, not {}", value.type_name()),
        )));
    };
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        let message = format!("{what} has 1 to {NAME_BYTES_MAX} bytes");
        return Err(raise(Failure::new(ErrorCode::Validation, message)));
    }
    Ok(name)
}

fn member(member: Member) -> Dynamic {
    Map::from_iter([
        ("socketId".into(), member.socket_id.into()),
        ("userId".into(), member.user_id.map_or(Dynamic::UNIT, Dynamic::from)),
        ("joinedAt".into(), super::helpers::rfc3339(member.joined_at).into()),
    ])
    .into()
}
