//! What started a run.

use std::sync::Arc;

use serde_json::Value as Json;
use uuid::Uuid;

use super::host::Socket;
use super::request::HttpRequest;
use crate::jobs::{Attempts, Fence};

/// What stands for a gateway's path where the script is a route's. No path is this.
pub(crate) const ROUTES: &str = "routes";
/// The same where a write over `/data` runs hooks.
const DATA: &str = "data";

/// What started a run, with what the script may ask of it.
#[derive(Clone)]
pub enum Origin {
    /// A socket of a gateway: that it connected, an event of it, or that it went.
    Socket {
        /// The gateway's path.
        gateway: Arc<str>,
        /// The socket.
        socket: Arc<dyn Socket>,
    },
    /// What would be a socket of a gateway, of which is to be decided whether it becomes one.
    Admission {
        /// The gateway's path.
        gateway: Arc<str>,
        /// The socket that it would be.
        socket: Arc<dyn Socket>,
    },
    /// No socket, in the name of a gateway: the path.
    Gateway(Arc<str>),
    /// A job of a gateway: a durable event, one for later, or one of a schedule.
    Job {
        /// The gateway's path.
        gateway: Arc<str>,
        /// The job.
        job: Arc<JobOrigin>,
    },
    /// A request to a route.
    Route(Arc<HttpRequest>),
    /// A write over `/data`.
    Data,
}

/// The job that a script runs for.
#[derive(Debug)]
pub struct JobOrigin {
    /// Its id.
    pub id: Uuid,
    /// Which attempt at it this is, from 1.
    pub attempt: i32,
    /// What tells the attempt from all others; none: a job in memory, or a test.
    pub fence: Option<Fence>,
    /// The attempts before that failed.
    pub attempts: Attempts,
    /// The socket that sent the event, which may be gone.
    pub socket_id: Option<Box<str>>,
    /// `@APP`.
    pub app: Option<Json>,
}

impl Origin {
    /// The gateway's path, where there is a gateway.
    pub fn gateway(&self) -> Option<&Arc<str>> {
        match self {
            Self::Socket { gateway, .. }
            | Self::Admission { gateway, .. }
            | Self::Gateway(gateway)
            | Self::Job { gateway, .. } => Some(gateway),
            Self::Route(_) | Self::Data => None,
        }
    }

    /// What `@GATEWAY` is: the gateway's path, or a word that no path is.
    pub fn gateway_or_word(&self) -> &str {
        match self {
            Self::Route(_) => ROUTES,
            Self::Data => DATA,
            _ => self.gateway().map_or("", |path| path),
        }
    }

    /// The socket that triggered the run, if one did.
    pub fn socket(&self) -> Option<&Arc<dyn Socket>> {
        match self {
            Self::Socket { socket, .. } | Self::Admission { socket, .. } => Some(socket),
            _ => None,
        }
    }

    /// The job that the script runs for.
    pub fn job(&self) -> Option<&Arc<JobOrigin>> {
        if let Self::Job { job, .. } = self { Some(job) } else { None }
    }

    /// The id of that job.
    pub(super) fn job_id(&self) -> Option<Uuid> {
        self.job().map(|job| job.id)
    }

    /// Which attempt at that job this is, from 1; 1 where there is none.
    pub(super) fn attempt(&self) -> i32 {
        self.job().map_or(1, |job| job.attempt)
    }

    /// What tells this attempt from all others, where what it writes is one with the end of the job.
    pub(super) fn fence(&self) -> Option<Fence> {
        self.job()?.fence
    }

    /// The request that the script answers, if it answers one.
    pub fn request(&self) -> Option<&Arc<HttpRequest>> {
        if let Self::Route(request) = self { Some(request) } else { None }
    }
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self {
            Self::Socket { .. } => "Socket",
            Self::Admission { .. } => "Admission",
            Self::Gateway(_) => "Gateway",
            Self::Job { .. } => "Job",
            Self::Route(_) => "Route",
            Self::Data => "Data",
        };
        f.debug_tuple(name).field(&self.gateway_or_word()).finish()
    }
}
