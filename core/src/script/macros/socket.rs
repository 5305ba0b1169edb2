//! `@SOCKET`: what a script says to clients.

use std::sync::Arc;

use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString};
use serde_json::{Value as Json, json};

use crate::broker::{Action, Publication, Target};
use crate::error::{ErrorCode, Failure};
use crate::payload::Payload;
use crate::script::failure::raise;
use crate::script::host::{Host, Socket};
use crate::script::json;
use crate::script::memory::uncounted;
use crate::script::origin::Origin;
use crate::script::reserved::check_emitted;
use crate::script::run::{self, host, with_run};

/// The longest name of a room, a user's id or a key, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// Users that one emit goes to, at most.
const USERS_MAX: usize = 1000;

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
            if let Some((gateway, socket)) = socket_of_job()? {
                return publish("reply", &[], &event, &data, || Target::Connection { gateway, socket });
            }
            let (socket, _) = triggering("reply")?;
            let (_, payload) = outgoing("reply", &Vec::new, &event, &data)?;
            uncounted(move || {
                socket.emit(&event, &payload);
                drop(payload);
            });
            Ok(())
        })
        .register_fn(
            "broadcastToRoom",
            |_: &mut SocketMacro, room: Dynamic, event: Text, data: Dynamic| -> Outcome {
                let (gateway, except) = match socket_of_job()? {
                    Some((gateway, socket)) => (gateway, socket),
                    None => {
                        let (socket, gateway) = triggering("broadcastToRoom")?;
                        (gateway, socket.id().into())
                    }
                };
                let room = room_name(&room)?;
                publish("broadcastToRoom", &[&room], &event, &data, || Target::Room {
                    gateway,
                    room: (&*room).into(),
                    except: Some(except),
                })
            },
        )
        .register_fn(
            "emitToCurrentRoom",
            |_: &mut SocketMacro, room: Dynamic, event: Text, data: Dynamic| -> Outcome {
                let gateway = own_gateway("emitToCurrentRoom")?;
                let room = room_name(&room)?;
                publish("emitToCurrentRoom", &[&room], &event, &data, || Target::Room {
                    gateway,
                    room: (&*room).into(),
                    except: None,
                })
            },
        )
        .register_fn(
            "emitToRoom",
            |_: &mut SocketMacro, room: Dynamic, event: Text, data: Dynamic| -> Outcome {
                let room = room_name(&room)?;
                publish("emitToRoom", &[&room], &event, &data, || Target::RoomOfAll((&*room).into()))
            },
        )
        .register_fn(
            "emitToRoom",
            |_: &mut SocketMacro, path: Text, room: Dynamic, event: Text, data: Dynamic| -> Outcome {
                let room = room_name(&room)?;
                check_gateway(&path)?;
                publish("emitToRoom", &[&path, &room], &event, &data, || Target::Room {
                    gateway: (&*path).into(),
                    room: (&*room).into(),
                    except: None,
                })
            },
        )
        .register_fn(
            "emitToUser",
            |_: &mut SocketMacro, id: Dynamic, event: Text, data: Dynamic| -> Outcome {
                let id = name("a user id", &id)?;
                publish("emitToUser", &[&id], &event, &data, || Target::User((&*id).into()))
            },
        )
        .register_fn(
            "emitToUsers",
            |_: &mut SocketMacro, ids: Array, event: Text, data: Dynamic| -> Outcome {
                let ids = ids.iter().map(|id| name("a user id", id)).collect::<Outcome<Vec<_>>>()?;
                if ids.len() > USERS_MAX {
                    let message = format!("emitToUsers takes at most {USERS_MAX} users at once");
                    return Err(raise(Failure::new(ErrorCode::Validation, message)));
                }
                let noted = || vec![ids.iter().map(|id| json!(&**id)).collect()];
                publish_noted("emitToUsers", &noted, &event, &data, || {
                    Target::Users(ids.iter().map(|id| (&**id).into()).collect())
                })
            },
        )
        .register_fn("emitToSocket", |_: &mut SocketMacro, id: Text, event: Text, data: Dynamic| -> Outcome {
            publish("emitToSocket", &[&id], &event, &data, || one_socket(&id))
        })
        .register_fn(
            "emitToGateway",
            |_: &mut SocketMacro, path: Text, event: Text, data: Dynamic| -> Outcome {
                check_gateway(&path)?;
                publish("emitToGateway", &[&path], &event, &data, || Target::Gateway((&*path).into()))
            },
        )
        .register_fn("broadcast", |_: &mut SocketMacro, event: Text, data: Dynamic| -> Outcome {
            publish("broadcast", &[], &event, &data, || Target::All)
        });
}

fn register_rooms(engine: &mut Engine) {
    engine
        .register_fn("join", |_: &mut SocketMacro, room: Dynamic| -> Outcome {
            let ((socket, _), room) = (triggering("join")?, room_name(&room)?);
            note("join", &[&room]);
            uncounted(|| socket.join(&room)).map_err(raise)
        })
        .register_fn("leave", |_: &mut SocketMacro, room: Dynamic| -> Outcome {
            let ((socket, _), room) = (triggering("leave")?, room_name(&room)?);
            note("leave", &[&room]);
            uncounted(|| socket.leave(&room));
            Ok(())
        })
        .register_fn("rooms", |_: &mut SocketMacro| -> Outcome<Array> {
            let rooms = triggering("rooms")?.0.rooms();
            Ok(rooms.into_iter().map(Dynamic::from).collect())
        });
}

fn register_connection(engine: &mut Engine) {
    engine
        .register_get("id", |_: &mut SocketMacro| -> Outcome<Dynamic> {
            Ok(match socket_of_job()? {
                Some((_, socket)) => socket.into_string().into(),
                // So that an event that is for jobs alone can tell that a client sent it.
                None if is_job() => Dynamic::UNIT,
                None => id_in_admission().map_or_else(
                    || triggering("id").map(|(socket, _)| socket.id().to_owned().into()),
                    |id| Ok(id.into()),
                )?,
            })
        })
        .register_fn("disconnect", |_: &mut SocketMacro| -> Outcome {
            let (socket, _) = triggering("disconnect")?;
            note("disconnect", &[]);
            uncounted(|| socket.disconnect());
            Ok(())
        })
        .register_fn("disconnectUser", |_: &mut SocketMacro, id: Dynamic| -> Outcome {
            let id = name("a user id", &id)?;
            act_on("disconnectUser", &[&id], Target::User((&*id).into()), Action::Disconnect)
        })
        .register_fn("disconnectSocket", |_: &mut SocketMacro, id: Text| -> Outcome {
            act_on("disconnectSocket", &[&id], one_socket(&id), Action::Disconnect)
        })
        .register_fn("get", |_: &mut SocketMacro, key: Text| -> Outcome<Dynamic> {
            let value = triggering("get")?.0.get(&key);
            Ok(value.and_then(|json| json::from_json(&json).ok()).unwrap_or(Dynamic::UNIT))
        })
        .register_fn("set", |_: &mut SocketMacro, key: Text, value: Dynamic| -> Outcome {
            let (socket, _) = triggering("set")?;
            name("a key", &key.clone().into())?;
            let json = with_run(|run| {
                uncounted(|| json::to_json(&value, run.limits.value_depth, run.limits.result_bytes))
            });
            let json = json.map_err(|reason| run::unsendable("a connection's value", reason))?;
            uncounted(|| {
                host().note("set", &|| vec![json!(&*key), serde_json::from_str(&json).unwrap_or_default()]);
                socket.set(&key, json)
            })
            .map_err(raise)
        });
}

/// The socket that sent the event of the job that this run is for, and its gateway's path; it may be gone.
fn socket_of_job() -> Outcome<Option<(Arc<str>, Box<str>)>> {
    let (origin, is_hook) = with_run(|run| (run.origin.clone(), run.hook_depth > 0));
    Ok(match origin {
        Origin::Job { gateway, job } if !is_hook => job.socket_id.clone().map(|socket| (gateway, socket)),
        _ => None,
    })
}

/// The id of the socket that is to be let in, where this run decides about one.
fn id_in_admission() -> Option<String> {
    with_run(|run| match &run.origin {
        Origin::Admission { socket, .. } => Some(socket.id().to_owned()),
        _ => None,
    })
}

/// A socket by its id: of the gateway whose script this is, or in routes and hooks of any.
fn one_socket(id: &str) -> Target {
    let own = with_run(|run| run.origin.gateway().filter(|_| run.hook_depth == 0).cloned());
    match own {
        Some(gateway) => Target::Connection { gateway, socket: id.into() },
        None => Target::Socket(id.into()),
    }
}

/// Whether this run is for a job, and not for a hook of what it writes.
fn is_job() -> bool {
    with_run(|run| run.origin.job().is_some() && run.hook_depth == 0)
}

/// The path of the gateway whose script this is.
fn own_gateway(call: &str) -> Outcome<Arc<str>> {
    let (origin, is_hook) = with_run(|run| (run.origin.clone(), run.hook_depth > 0));
    match origin {
        Origin::Job { gateway, .. } if !is_hook => Ok(gateway),
        _ => triggering(call).map(|(_, gateway)| gateway),
    }
}

/// The triggering socket and its gateway's path.
pub(super) fn triggering(call: &str) -> Outcome<(Arc<dyn Socket>, Arc<str>)> {
    let (origin, is_hook) = with_run(|run| (run.origin.clone(), run.hook_depth > 0));
    let context = match origin {
        _ if is_hook => {
            return Err(format!("@SOCKET.{call} does not exist in a hook, which has no socket").into());
        }
        Origin::Socket { gateway, socket } => return Ok((socket, gateway)),
        Origin::Admission { .. } => {
            refuse_in_admission(call)?;
            "an admission script"
        }
        Origin::Route(_) => "an HTTP script",
        Origin::Job { job, .. } if job.socket_id.is_some() => {
            "a durable event, whose socket may be gone: reply, emit, or have a second event do it"
        }
        Origin::Job { .. } => "a job, which no socket sent",
        Origin::Gateway(_) | Origin::Data => "a script that no socket triggered",
    };
    Err(format!("@SOCKET.{call} needs a socket: it does not exist in {context}").into())
}

/// That there is a gateway of this path, which the script names. Its own may be gone by now: then its
/// rooms are empty, and that is no error.
pub(super) fn check_gateway(path: &str) -> Outcome {
    uncounted(|| host().check_gateway(path)).map_err(raise)
}

/// Takes note of a call with these arguments.
fn note(method: &'static str, args: &[&str]) {
    uncounted(|| host().note(method, &|| args.iter().map(|arg| json!(arg)).collect()));
}

/// Emits an event to others than the triggering socket.
fn publish(
    method: &'static str,
    args: &[&str],
    event: &str,
    data: &Dynamic,
    target: impl FnOnce() -> Target,
) -> Outcome {
    publish_noted(method, &|| args.iter().map(|arg| json!(arg)).collect(), event, data, target)
}

/// The same with arguments that are not all text.
fn publish_noted(
    method: &'static str,
    args: &dyn Fn() -> Vec<Json>,
    event: &str,
    data: &Dynamic,
    target: impl FnOnce() -> Target,
) -> Outcome {
    let (host, payload) = outgoing(method, args, event, data)?;
    uncounted(|| {
        let action = Action::Emit { event: event.into(), payload };
        host.publish(Publication { target: target(), action })
    })
    .map_err(raise)
}

/// Does something else to sockets by a call with these arguments. It counts as an emit.
pub(super) fn act_on(method: &'static str, args: &[&str], target: Target, action: Action) -> Outcome {
    refuse_in_admission(method)?;
    note(method, args);
    count_emit()?;
    uncounted(|| host().publish(Publication { target, action })).map_err(raise)
}

fn refuse_in_admission(method: &str) -> Outcome {
    run::refuse_in_admission(&format!("@SOCKET.{method}"))
}

/// An event's data on its way out.
fn outgoing(
    method: &'static str,
    args: &dyn Fn() -> Vec<Json>,
    event: &str,
    data: &Dynamic,
) -> Outcome<(Arc<dyn Host>, Payload)> {
    refuse_in_admission(method)?;
    check_emitted(event).map_err(raise)?;
    let args = || {
        let mut args = args();
        args.push(json!(event));
        args
    };
    payload_of(method, &args, data)
}

/// Data on its way out by a call with these arguments before it, within what the run may emit. It is
/// made uncounted.
pub(super) fn payload_of(
    method: &'static str,
    args: &dyn Fn() -> Vec<Json>,
    data: &Dynamic,
) -> Outcome<(Arc<dyn Host>, Payload)> {
    refuse_in_admission(method)?;
    count_emit()?;
    let (host, payload) = with_run(|run| {
        let payload = uncounted(|| json::to_payload(data, run.limits.value_depth, run.limits.result_bytes));
        (run.host.clone(), payload)
    });
    let payload = payload.map_err(|reason| run::unsendable("an emit", reason))?;
    let is_over = with_run(|run| {
        run.shared.emit_bytes += payload.bytes();
        run.shared.emit_bytes > run.limits.emit_bytes
    });
    if is_over {
        uncounted(|| drop(payload));
        return Err(run::terminate(ErrorCode::ScriptOutputLimit, "The script emits more bytes than it may"));
    }
    uncounted(|| {
        host.note(method, &|| {
            let mut args = args();
            args.push(payload.to_value());
            args
        });
    });
    Ok((host, payload))
}

/// Counts what reaches sockets, of which a run has so many.
fn count_emit() -> Outcome {
    let (is_over, most) = with_run(|run| {
        run.shared.emits += 1;
        (run.shared.emits > run.limits.emits, run.limits.emits)
    });
    if is_over {
        let message = format!(
            "The script emits more than {most} times, which were sent; one emit to a room, a user or a gateway reaches many"
        );
        return Err(run::terminate(ErrorCode::ScriptOutputLimit, message));
    }
    Ok(())
}

pub(super) fn room_name(room: &Dynamic) -> Outcome<Text> {
    name("a room", room)
}

/// Text or an integer as a name.
pub(super) fn name(what: &str, value: &Dynamic) -> Outcome<Text> {
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
