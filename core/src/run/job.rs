//! What waits in the queue: the scripts of sockets, which are the connection script, the events and
//! the disconnection script, and the work of requests.

use std::sync::Arc;
use std::time::Instant;

use uuid::Uuid;

use super::work::Work;
use super::{RunKind, Runner};
use crate::auth::User;
use crate::error::Failure;
use crate::queue;
use crate::script::{Arguments, Call, CallUser, Handler, Origin, RunOutput, Socket};

/// What a job holds besides its payload, about.
const JOB_BYTES: usize = 256;

/// What waits in the queue.
pub enum Job {
    /// A script of a socket.
    Socket(SocketJob),
    /// Work of a request.
    Work(Work),
}

/// A socket in a gateway, as a runner knows it. Calls come from a worker.
pub trait Client: Socket {
    /// Whose jobs run.
    fn runner(&self) -> &Runner;
    /// Who is signed in at this moment.
    fn user(&self) -> Option<Arc<User>>;
    /// Whether a job is still to be run.
    fn still_runs(&self, kind: JobKind) -> bool;
    /// Hears what came of a run.
    fn finished(&self, kind: JobKind, call: &Call, output: &RunOutput);
}

/// Tells a client whether its payload passed.
pub type OnChecked = Box<dyn FnOnce(Result<(), &Failure>) + Send>;

/// One script to run for a socket.
pub struct SocketJob {
    /// Whose it is.
    pub client: Arc<dyn Client>,
    /// Which of a socket's scripts it is.
    pub kind: JobKind,
    /// The script.
    pub handler: Arc<Handler>,
    /// `@EVENT`: what the client sent, or `connection` or `disconnection`.
    pub event: Arc<str>,
    /// `@REQUEST_ID`.
    pub request_id: Uuid,
    /// `@BODY` and `@ARGS`.
    pub arguments: Arguments,
    /// Of an event whose payload takes long to check against its schema: the worker does so before the
    /// script, and tells the client.
    pub on_checked: Option<OnChecked>,
    /// When it was pushed.
    pub accepted_at: Instant,
}

/// When a script of a socket runs, and what its outcome means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// Lets the socket in or rejects it.
    Connect,
    /// Ends as a result or an error.
    Event,
    /// Its outcome is only logged.
    Disconnect,
}

impl From<JobKind> for RunKind {
    fn from(kind: JobKind) -> Self {
        match kind {
            JobKind::Connect => Self::Connection,
            JobKind::Event => Self::Event,
            JobKind::Disconnect => Self::Disconnection,
        }
    }
}

impl queue::Job for Job {
    fn run(self) {
        match self {
            Self::Socket(job) => job.run(),
            Self::Work(work) => work.run(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Socket(job) => JOB_BYTES + job.arguments.bytes(),
            Self::Work(work) => work.bytes(),
        }
    }
}

impl SocketJob {
    fn run(self) {
        if !self.client.still_runs(self.kind) {
            return;
        }
        let queued = self.accepted_at.elapsed();
        let Self { client, kind, handler, event, request_id, arguments, on_checked, .. } = self;
        let start = Instant::now();
        if let Some(tell) = on_checked {
            let memory_bytes = client.runner().config.scripts.memory_bytes;
            let checked = handler.check_payload(&arguments, memory_bytes);
            tell(checked.as_ref().copied());
            if let Err(failure) = checked {
                return handler.count(failure.code);
            }
        }
        let call = Call {
            origin: Origin::Socket { gateway: handler.gateway.clone(), socket: client.clone() },
            event,
            request_id,
            arguments,
            user: client.user().map(CallUser::Row),
            timeout: handler.timeout.saturating_sub(start.elapsed()),
            test: None,
        };
        let output = client.runner().run(&handler, kind.into(), &call, queued);
        client.runner().captures.sending(call.request_id, || client.finished(kind, &call, &output));
    }
}
