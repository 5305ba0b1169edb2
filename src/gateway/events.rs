//! An event as it comes: checked, acknowledged and queued, all before the next is looked at.
//!
//! socketioxide calls this on the task that reads the socket, so what happens here keeps the
//! order of the client. Nothing here waits.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use gatewright_core::catalog::LiveGateway;
use gatewright_core::id::new_id;
use gatewright_core::queue::Refusal;
use gatewright_core::run::{self, ErrorPacket, Job, JobKind, OnChecked, SocketJob, raw};
use gatewright_core::script::{Arguments, Durable, Handler, event_name, nesting_of, placeholders_fit};
use gatewright_core::{ErrorCode, Failure};
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::AckSender;
use socketioxide::handler::{FromMessageParts, MessageHandler};
use socketioxide::socket::Socket;
use socketioxide_core::Value;
use uuid::Uuid;

use super::connection::{Connection, Stage};
use super::durable::{self, DurableEvent};
use super::guard::name::restored;
use super::packets::{self, Ack, RateLimitedPacket};
use super::tokens;

/// Takes every event of one connection.
pub struct EventHandler {
    pub connection: Arc<Connection>,
}

/// Marks [`EventHandler`] among socketioxide's message handlers.
pub struct AllEvents;

/// One event as it came.
struct Incoming<'a> {
    /// What is said back of it is never longer than a name may be.
    name: Cow<'a, str>,
    is_name_too_long: bool,
    packet: &'a str,
    attachments: usize,
    attachment_bytes: usize,
    request_id: Uuid,
}

impl MessageHandler<LocalAdapter, AllEvents> for EventHandler {
    fn call(&self, socket: Arc<Socket<LocalAdapter>>, mut value: Value, ack_id: Option<i64>) {
        let connection = &self.connection;
        if connection.stage() == Stage::Rejected {
            return;
        }
        let Ok(ack) = AckSender::from_message_parts(&socket, &mut value, &ack_id);
        let ack = ack_id.map(|_| ack);
        let Value::Str(packet, attachments) = value else { return };
        let attachments =
            attachments.map_or_else(Vec::new, |all| all.iter().map(|blob| blob.to_vec()).collect());
        // What is no JSON array that begins with a name is no event: the protocol has no answer.
        let Ok(name) = event_name(&packet).map(restored) else { return };
        if name == packets::JOB_STATUS {
            let gateway = connection.namespace.gateway.load();
            if check_rate(connection, &gateway).is_ok() {
                durable::tell_status(connection, &packet, ack);
            }
            return;
        }
        if name == packets::TOKEN_REFRESH {
            tokens::refresh(connection, &packet, ack);
            return;
        }
        let attachment_bytes = attachments.iter().map(Vec::len).sum();
        let name_max = connection.hub().runner.config.limits.name_bytes;
        let incoming = Incoming {
            is_name_too_long: name.len() > name_max,
            name: shortened(name, name_max),
            packet: &packet,
            attachments: attachments.len(),
            attachment_bytes,
            request_id: new_id(),
        };
        if let Err((failure, ack)) = accept(connection, &incoming, attachments, ack) {
            refuse(connection, &incoming, &failure, ack);
        }
    }
}

fn shortened(name: Cow<'_, str>, bytes: usize) -> Cow<'_, str> {
    if name.len() <= bytes { name } else { name[..name.floor_char_boundary(bytes)].to_owned().into() }
}

fn accept(
    connection: &Arc<Connection>,
    incoming: &Incoming<'_>,
    attachments: Vec<Vec<u8>>,
    mut ack: Option<AckSender>,
) -> Result<(), (Failure, Option<AckSender>)> {
    let gateway = connection.namespace.gateway.load();
    let handler = match check(connection, &gateway, incoming) {
        Ok(handler) => handler,
        Err(failure) => return Err((failure, ack)),
    };
    if let Some(durable) = handler.durable {
        return accept_durable(connection, incoming, handler, durable, attachments, ack);
    }
    let arguments = Arguments::from_packet(incoming.packet, attachments);
    let on_checked = match handler.check_payload_briefly(&arguments) {
        None => Some(on_checked(connection, incoming, ack.take())),
        Some(Ok(())) => None,
        Some(Err(failure)) => {
            handler.count(failure.code);
            return Err((failure, ack));
        }
    };
    let job = SocketJob {
        client: connection.clone(),
        kind: JobKind::Event,
        event: if *handler.name == *incoming.name { handler.name.clone() } else { (*incoming.name).into() },
        handler,
        request_id: incoming.request_id,
        arguments,
        on_checked,
        accepted_at: Instant::now(),
    };
    let pushed = connection.lane.push(Job::Socket(job), || {
        if let Some(ack) = ack.take() {
            connection.acknowledge(ack, &Ack::new(incoming.request_id, &incoming.name, None));
        }
    });
    let Err((refusal, Job::Socket(job))) = pushed else { return Ok(()) };
    let failure = match refusal {
        Refusal::Full => {
            Failure::new(ErrorCode::QueueFull, "Too many events wait; send the next when results come")
        }
        Refusal::Closed => {
            Failure::new(ErrorCode::ShuttingDown, "The server is stopping; reconnect in a moment")
        }
    };
    job.handler.count(failure.code);
    match job.on_checked {
        Some(tell) => {
            tell(Err(&failure));
            Ok(())
        }
        None => Err((failure, ack)),
    }
}

fn accept_durable(
    connection: &Arc<Connection>,
    incoming: &Incoming<'_>,
    handler: Arc<Handler>,
    durable: Durable,
    attachments: Vec<Vec<u8>>,
    ack: Option<AckSender>,
) -> Result<(), (Failure, Option<AckSender>)> {
    let arguments = Arguments::from_packet(incoming.packet, Vec::new());
    let checked = handler.check_payload_briefly(&arguments);
    if let Some(Err(failure)) = checked {
        handler.count(failure.code);
        return Err((failure, ack));
    }
    let of_handler = handler.clone();
    let event = DurableEvent {
        handler,
        durable,
        name: (*incoming.name).into(),
        request_id: incoming.request_id,
        packet: incoming.packet.into(),
        attachments,
        ack,
        is_to_check: checked.is_none(),
    };
    durable::accept(connection, event).inspect_err(|(failure, _)| of_handler.count(failure.code))
}

/// Accepts or refuses an event once the worker has checked its payload.
fn on_checked(connection: &Arc<Connection>, incoming: &Incoming<'_>, ack: Option<AckSender>) -> OnChecked {
    let (connection, request_id) = (connection.clone(), incoming.request_id);
    let name: Box<str> = (*incoming.name).into();
    Box::new(move |checked| match (checked, ack) {
        (Ok(()), Some(ack)) => connection.acknowledge(ack, &Ack::new(request_id, &name, None)),
        (Ok(()), None) => {}
        (Err(failure), ack) => tell_refused(&connection, request_id, &name, failure, ack),
    })
}

/// The handler of an event that may be queued.
fn check(
    connection: &Arc<Connection>,
    gateway: &LiveGateway,
    incoming: &Incoming<'_>,
) -> Result<Arc<Handler>, Failure> {
    check_rate(connection, gateway)?;
    if incoming.is_name_too_long {
        let limit = connection.hub().runner.config.limits.name_bytes;
        let message = format!("The event's name is too long; at most {limit} bytes are taken");
        return Err(Failure::new(ErrorCode::NoHandler, message));
    }
    check_size(connection, gateway, incoming)?;
    let handler = gateway.handler(&incoming.name).filter(|handler| handler.script().is_some());
    let Some(handler) = handler else {
        return Err(Failure::new(ErrorCode::NoHandler, "No handler takes this event"));
    };
    let checked = check_nesting(connection, incoming);
    if let Err(failure) = &checked {
        handler.count(failure.code);
    }
    checked.map(|()| handler.clone())
}

fn check_rate(connection: &Arc<Connection>, gateway: &LiveGateway) -> Result<(), Failure> {
    if gateway.limits.events_per_second == 0 {
        return Ok(());
    }
    let Err(over) = connection.rate.lock().check(gateway.limits) else { return Ok(()) };
    connection.hub().runner.metrics.rate_limited.inc();
    let limit = gateway.limits.events_per_second;
    if over.tell {
        let retry_after_ms = over.retry_after.as_millis() as u64;
        tell_limited(connection, "Too many events in a second", limit, retry_after_ms);
    }
    if over.disconnect {
        tracing::info!(gateway = %gateway.path, socket_id = %connection.id, "disconnected: over its rate for too long");
        connection.end();
    }
    Err(Failure::new(ErrorCode::RateLimited, format!("More than {limit} events in a second; send fewer")))
}

fn check_size(
    connection: &Connection,
    gateway: &LiveGateway,
    incoming: &Incoming<'_>,
) -> Result<(), Failure> {
    let limit = gateway.limits.message_bytes;
    // The packet is `["name",payload…]`.
    let around = incoming.name.len() + "[\"\",]".len();
    let bytes = incoming.packet.len().saturating_sub(around) + incoming.attachment_bytes;
    if limit == 0 || bytes <= limit as usize {
        return Ok(());
    }
    tell_limited(connection, "The payload is too large", limit, 0);
    Err(Failure::new(
        ErrorCode::PayloadTooLarge,
        format!("The payload has {bytes} bytes; at most {limit} are taken"),
    ))
}

fn check_nesting(connection: &Connection, incoming: &Incoming<'_>) -> Result<(), Failure> {
    let depth_max = connection.hub().runner.config.scripts.value_depth;
    // The packet's own array is one level; text that is short enough cannot nest too deep.
    if incoming.packet.len() > 2 * depth_max && nesting_of(incoming.packet) > depth_max + 1 {
        let message = format!("The payload nests deeper than {depth_max}");
        return Err(Failure::new(ErrorCode::InvalidPayload, message));
    }
    if !placeholders_fit(incoming.packet, incoming.attachments) {
        let message = "Each `_placeholder` stands for one attachment, and each attachment has one at most";
        return Err(Failure::new(ErrorCode::InvalidPayload, message));
    }
    Ok(())
}

fn tell_limited(connection: &Connection, message: &'static str, limit: u32, retry_after_ms: u64) {
    connection.send_or_end(packets::RATE_LIMITED, &RateLimitedPacket { message, limit, retry_after_ms });
}

fn refuse(connection: &Connection, incoming: &Incoming<'_>, failure: &Failure, ack: Option<AckSender>) {
    if failure.code == ErrorCode::NoHandler {
        let labels = [&*connection.namespace.path, "", failure.code.as_str()];
        connection.hub().runner.metrics.events.with_label_values(&labels).inc();
    }
    tell_refused(connection, incoming.request_id, &incoming.name, failure, ack);
}

/// Tells a client that its event is refused.
pub fn tell_refused(
    connection: &Connection,
    request_id: Uuid,
    name: &str,
    failure: &Failure,
    ack: Option<AckSender>,
) {
    match ack {
        Some(ack) => connection.acknowledge(ack, &Ack::new(request_id, name, Some(failure))),
        None => {
            let packet = ErrorPacket::new(request_id, name, failure, raw("[]"));
            connection.send_or_end(run::ERROR, &packet);
        }
    }
}
