//! A connection as scripts and the runner know it.

use std::sync::Arc;

use gatewright_core::auth::User;
use gatewright_core::filter::Filter;
use gatewright_core::payload::Payload;
use gatewright_core::run::{self, Client, ErrorPacket, JobKind, ResultPacket, Runner, raw};
use gatewright_core::script::{Call, RunOutput, Socket};
use gatewright_core::{ErrorCode, Failure};
use serde_json::Value as Json;
use uuid::Uuid;

use super::connection::{Connection, Stage};
use super::packets::{self, Outgoing, RateLimitedPacket};
use super::rooms::{NotJoined, NotSubscribed};

impl Socket for Connection {
    fn id(&self) -> &str {
        &self.id_text
    }

    fn recorded_id(&self) -> Option<Arc<str>> {
        Some(self.id_text.clone())
    }

    fn app(&self) -> Option<Json> {
        self.app_key().map(|key| key.as_json())
    }

    fn emit(&self, event: &str, payload: &Payload) {
        self.runner().metrics.emitted.inc();
        self.send_or_end(event, &Outgoing::new(payload));
    }

    fn join(&self, room: &str) -> Result<(), Failure> {
        match self.namespace.join_room(self, room) {
            Ok(()) | Err(NotJoined::Already | NotJoined::Gone) => Ok(()),
            Err(NotJoined::Full) => Err(too_many(self)),
        }
    }

    fn subscribe(&self, id: Uuid, topic: &str, filter: Filter) -> Result<(), Failure> {
        let most = self.namespace.gateway.load().limits.subscriptions_per_connection as usize;
        let subscribed = self.namespace.rooms.subscribe(self.id, id, (topic, filter), most);
        subscribed.map_err(|refused| match refused {
            NotSubscribed::Full => too_many(self),
            NotSubscribed::TooManyFilters => {
                let message = "The topic has too many different filters; subscribe with one that others have";
                Failure::new(ErrorCode::RateLimitExceeded, message)
            }
        })
    }

    fn unsubscribe(&self, id: Uuid) -> bool {
        self.namespace.rooms.unsubscribe(self.id, id)
    }

    fn leave(&self, room: &str) {
        self.namespace.leave_room(self, room);
    }

    fn rooms(&self) -> Vec<String> {
        self.namespace.rooms.names_of(self.id)
    }

    fn disconnect(&self) {
        self.end();
    }

    fn get(&self, key: &str) -> Option<Arc<str>> {
        self.value(key)
    }

    fn set(&self, key: &str, json: String) -> Result<(), Failure> {
        if self.set_value(key, json) {
            return Ok(());
        }
        let message = "The connection keeps no more values; set one to () first";
        Err(Failure::new(ErrorCode::ScriptOutputLimit, message))
    }
}

impl Client for Connection {
    fn runner(&self) -> &Runner {
        &self.hub().runner
    }

    fn user(&self) -> Option<Arc<User>> {
        self.signed_in_user()
    }

    fn still_runs(&self, kind: JobKind) -> bool {
        // What came before the connection script was to be let in by it.
        kind == JobKind::Connect || self.stage() == Stage::Open
    }

    fn finished(&self, kind: JobKind, call: &Call, output: &RunOutput) {
        match kind {
            JobKind::Connect if output.outcome.is_ok() => self.set_stage(Stage::Open),
            JobKind::Connect => {
                self.set_stage(Stage::Rejected);
                tell(self, call, output);
                self.end();
            }
            JobKind::Event => tell(self, call, output),
            JobKind::Disconnect => {}
        }
    }
}

/// Tells a client that it is in as many rooms and topics as it may be.
fn too_many(connection: &Connection) -> Failure {
    let limit = connection.namespace.gateway.load().limits.subscriptions_per_connection;
    let packet = RateLimitedPacket { message: "Too many subscriptions", limit, retry_after_ms: 0 };
    connection.send_or_end(packets::RATE_LIMITED, &packet);
    let message = format!("More than {limit} rooms and topics for one connection; leave one first");
    Failure::new(ErrorCode::RateLimitExceeded, message)
}

/// The result or the error, to the sender.
fn tell(connection: &Connection, call: &Call, output: &RunOutput) {
    let logs = raw(&output.logs);
    match &output.outcome {
        Ok(result) => {
            let packet = ResultPacket::new(call.request_id, &call.event, Outgoing::new(result), logs);
            connection.send_or_end(run::RESULT, &packet);
        }
        Err(failure) => {
            let packet = ErrorPacket::new(call.request_id, &call.event, failure, logs);
            connection.send_or_end(run::ERROR, &packet);
        }
    }
}
