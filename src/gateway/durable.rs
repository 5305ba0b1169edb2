//! Durable events: stored before they are acknowledged, and kept in the order of their socket meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gatewright_core::auth::User;
use gatewright_core::id::unix_ms;
use gatewright_core::jobs::{Caller, ClientEvent, ForeignUser, Hold, Job as StoredJob, OnStored, Stored};
use gatewright_core::queue::Refusal;
use gatewright_core::run::{Job, Work};
use gatewright_core::script::{Arguments, Durable, Handler};
use gatewright_core::{ErrorCode, Failure};
use serde::Deserialize;
use serde_json::value::RawValue;
use socketioxide::extract::AckSender;
use uuid::Uuid;

use super::connection::{Connection, Stage};
use super::events::tell_refused;
use super::packets::{Ack, DuplicateAck, JobStatusAnswer};

/// The longest id that a client may give an event, in bytes.
const EVENT_ID_BYTES_MAX: usize = 200;
/// What a durable event holds while it waits, besides its payload, about.
const EVENT_BYTES: usize = 512;
/// How long the database may take to tell what has become of an event.
const STATUS_MAX: std::time::Duration = std::time::Duration::from_secs(3);

/// A durable event that may be stored.
pub struct DurableEvent {
    pub handler: Arc<Handler>,
    pub durable: Durable,
    pub name: Box<str>,
    pub request_id: Uuid,
    /// The array of its packet.
    pub packet: Box<str>,
    pub attachments: Vec<Vec<u8>>,
    pub ack: Option<AckSender>,
    /// Whether its payload takes long to check, so that a worker does.
    pub is_to_check: bool,
}

/// Takes an event that was checked; where it cannot be taken, it comes back.
pub fn accept(connection: &Arc<Connection>, event: DurableEvent) -> Result<(), (Failure, Option<AckSender>)> {
    let (packet, event_id) = match split_event_id(&event.packet) {
        Ok(parts) => parts,
        Err(failure) => return Err((failure, event.ack)),
    };
    let event = DurableEvent { packet, ..event };
    let waits = event.is_to_check || event.durable.is_of_user || connection.stage() != Stage::Open;
    if waits { accept_in_turn(connection, event, event_id) } else { accept_now(connection, event, event_id) }
}

/// Has an event of an open socket stored at once; it runs in its turn.
fn accept_now(
    connection: &Arc<Connection>,
    event: DurableEvent,
    event_id: Option<String>,
) -> Result<(), (Failure, Option<AckSender>)> {
    let jobs = &connection.hub().runner.jobs;
    let (key, id) = (key_of(connection, event.durable), event.request_id);
    let (of_work, of_key) = (jobs.clone(), key.clone());
    let is_reached = Arc::new(AtomicBool::new(false));
    let reached = || {
        let is_reached = is_reached.clone();
        Job::Work(Work::new(EVENT_BYTES, move || {
            is_reached.store(true, Ordering::SeqCst);
            of_work.reached(&of_key, id);
        }))
    };
    match connection.lane.hold(EVENT_BYTES + event.bytes(), reached) {
        Ok((hold, is_reached_now)) => {
            is_reached.fetch_or(is_reached_now, Ordering::SeqCst);
            store(connection, event, event_id, key, &is_reached, Box::new(hold));
            Ok(())
        }
        Err(refusal) => Err((refused(refusal), event.ack)),
    }
}

/// Has an event stored when all that came before it from its socket is done, by a worker.
fn accept_in_turn(
    connection: &Arc<Connection>,
    event: DurableEvent,
    event_id: Option<String>,
) -> Result<(), (Failure, Option<AckSender>)> {
    let bytes = EVENT_BYTES + event.bytes();
    // Taken back where there is no room for it.
    let event = Arc::new(parking_lot::Mutex::new(Some((event, event_id))));
    let (of_work, of_event) = (connection.clone(), event.clone());
    let work = Work::new(bytes, move || {
        if let Some((event, event_id)) = of_event.lock().take() {
            store_in_turn(&of_work, event, event_id);
        }
    });
    let Err((refusal, _)) = connection.lane.push(Job::Work(work), || {}) else { return Ok(()) };
    let ack = event.lock().take().and_then(|(event, _)| event.ack);
    Err((refused(refusal), ack))
}

fn store_in_turn(connection: &Arc<Connection>, event: DurableEvent, event_id: Option<String>) {
    if connection.stage() != Stage::Open {
        // The connection script has not let the socket in.
        return;
    }
    if event.is_to_check {
        let arguments = Arguments::from_packet(&event.packet, event.attachments.clone());
        let memory_bytes = connection.hub().runner.config.scripts.memory_bytes;
        if let Err(failure) = event.handler.check_payload(&arguments, memory_bytes) {
            event.handler.count(failure.code);
            return tell_refused(connection, event.request_id, &event.name, &failure, event.ack);
        }
    }
    let hold = connection.lane.hold_now(EVENT_BYTES + event.bytes());
    let key = key_of(connection, event.durable);
    store(connection, event, event_id, key, &AtomicBool::new(true), Box::new(hold));
}

fn store(
    connection: &Arc<Connection>,
    event: DurableEvent,
    event_id: Option<String>,
    key: Arc<str>,
    is_reached: &AtomicBool,
    hold: Hold,
) {
    let DurableEvent { handler, durable, name, request_id, packet, attachments, ack, .. } = event;
    let job = StoredJob {
        id: request_id,
        key,
        gateway: handler.gateway.clone(),
        event: (*name).into(),
        caller: caller(connection),
        payload: packet.into(),
        attachments,
        accepted_at: unix_ms() as i64,
    };
    let told = on_stored(connection, handler, name, request_id, ack);
    let shard = (!durable.is_of_user).then(|| connection.job_shard());
    let jobs = &connection.hub().runner.jobs;
    jobs.accept(ClientEvent { job: job.into(), event_id }, shard, is_reached, hold, told);
}

/// Tells the client what became of its event.
fn on_stored(
    connection: &Arc<Connection>,
    handler: Arc<Handler>,
    name: Box<str>,
    id: Uuid,
    ack: Option<AckSender>,
) -> OnStored {
    let connection = connection.clone();
    let ack = parking_lot::Mutex::new(ack);
    Box::new(move |stored| {
        let ack = ack.into_inner();
        match (stored, ack) {
            (Stored::Yes, Some(ack)) => connection.acknowledge(ack, &Ack::new(id, &name, None)),
            (Stored::Before { request_id, status }, Some(ack)) => {
                connection.acknowledge(ack, &DuplicateAck::new(request_id, &name, &status));
            }
            (Stored::No(failure), ack) => {
                handler.count(failure.code);
                tell_refused(&connection, id, &name, &failure, ack);
            }
            // Where nobody knows, the client sends again.
            (Stored::Unknown | Stored::Yes | Stored::Before { .. }, _) => {}
        }
    })
}

fn caller(connection: &Connection) -> Caller {
    let user = connection.signed_in_user();
    let is_guest = user.is_none();
    Caller {
        user_id: user.as_ref().map(|user| user.id.to_string()),
        foreign: user.as_deref().filter(|user| user.account.is_none()).map(ForeignUser::from),
        socket_id: Some(connection.id_text.to_string()),
        client_key: connection.client_key.as_deref().filter(|_| is_guest).map(str::to_owned),
        app: connection.app_key().map(|key| key.as_json()),
        schedule: None,
    }
}

/// What events run in order with: those of the socket, or of the user where the handler says so.
fn key_of(connection: &Connection, durable: Durable) -> Arc<str> {
    let path = &connection.namespace.path;
    if durable.is_of_user {
        let user = connection.signed_in_user();
        match (user.as_deref().map(|user: &User| user.id.as_str()), &connection.client_key) {
            (Some(id), _) => return format!("user {path} {id}").into(),
            (None, Some(key)) => return format!("client {path} {key}").into(),
            (None, None) => {}
        }
    }
    format!("socket {path} {}", connection.id_text).into()
}

/// The packet without the client's own id of the event, `{eventId: "…"}` as the last argument, and that id.
fn split_event_id(packet: &str) -> Result<(Box<str>, Option<String>), Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Wrapper {
        event_id: String,
    }
    // Looked at closely only where it may be there.
    let all: Vec<&RawValue> = match packet.contains("eventId") || packet.contains("\\u") {
        true => serde_json::from_str(packet).unwrap_or_default(),
        false => Vec::new(),
    };
    let wrapper = all
        .last()
        .filter(|_| all.len() > 2)
        .and_then(|last| serde_json::from_str::<Wrapper>(last.get()).ok());
    let Some(Wrapper { event_id }) = wrapper else { return Ok((packet.into(), None)) };
    if !(1..=EVENT_ID_BYTES_MAX).contains(&event_id.len()) || event_id.contains(char::is_control) {
        let message =
            format!("An eventId is text of 1 to {EVENT_ID_BYTES_MAX} bytes without control characters");
        return Err(Failure::new(ErrorCode::InvalidPayload, message));
    }
    let rest: Vec<_> = all[..all.len() - 1].iter().map(|argument| argument.get()).collect();
    Ok((format!("[{}]", rest.join(",")).into(), Some(event_id)))
}

fn refused(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Full => {
            Failure::new(ErrorCode::QueueFull, "Too many events wait; send the next when results come")
        }
        Refusal::Closed => {
            Failure::new(ErrorCode::ShuttingDown, "The server is stopping; reconnect in a moment")
        }
    }
}

impl DurableEvent {
    fn bytes(&self) -> usize {
        self.packet.len() + self.attachments.iter().map(Vec::len).sum::<usize>()
    }
}

/// Tells a client what has become of a durable event of its own: `job_status {requestId}`.
pub fn tell_status(connection: &Arc<Connection>, packet: &str, ack: Option<AckSender>) {
    let Some(ack) = ack else { return };
    let asked = serde_json::from_str::<Vec<serde_json::Value>>(packet).ok();
    let id = asked.as_ref().and_then(|all| all.get(1)?.get("requestId")?.as_str());
    let Some(id) = id.and_then(|id| Uuid::parse_str(id).ok()) else {
        let failure = Failure::new(ErrorCode::InvalidPayload, "Send the requestId of the ack");
        return connection.acknowledge(ack, &JobStatusAnswer::refused(&failure));
    };
    let ack = Arc::new(parking_lot::Mutex::new(Some(ack)));
    let (of_work, of_ack) = (connection.clone(), ack.clone());
    // In the socket's order, and never more at once than its queue holds.
    let work = Work::new(EVENT_BYTES, move || {
        let Some(ack) = of_ack.lock().take() else { return };
        let answer = status(&of_work, id);
        of_work.acknowledge(ack, &JobStatusAnswer::new(id, answer.as_ref()));
    });
    if let Err((refusal, _)) = connection.lane.push(Job::Work(work), || {})
        && let Some(ack) = ack.lock().take()
    {
        connection.acknowledge(ack, &JobStatusAnswer::refused(&refused(refusal)));
    }
}

fn status(connection: &Connection, id: Uuid) -> Result<gatewright_core::jobs::JobStatus, Failure> {
    let me = caller(connection);
    let is_mine = |caller: &Caller| match (&caller.user_id, &caller.client_key) {
        (Some(user), _) => me.user_id.as_ref() == Some(user),
        (None, Some(key)) => me.client_key.as_ref() == Some(key),
        (None, None) => caller.socket_id == me.socket_id,
    };
    let asked = async {
        let asked = tokio::time::timeout(STATUS_MAX, connection.hub().runner.jobs.status(id, is_mine)).await;
        asked
            .map_err(|_| Failure::new(ErrorCode::Database, "The database did not answer in time"))?
            .map_err(gatewright_core::Error::into_failure)
    };
    let found = gatewright_core::queue::wait(|| connection.hub().runtime.block_on(asked))?;
    found.ok_or_else(|| Failure::not_found("event", id))
}
