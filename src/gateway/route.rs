//! Runs the scripts of routes: on a worker, with the hub as their host, on record like events.

use std::sync::Arc;
use std::time::Instant;

use gatewright_core::auth::User;
use gatewright_core::catalog::LiveRoute;
use gatewright_core::id::new_id;
use gatewright_core::script::{Arguments, Call, CallUser, Handler, HttpRequest, HttpResponse, RunOutput};
use gatewright_core::{ErrorCode, Failure};
use uuid::Uuid;

use super::hub::Hub;
use super::hub_host::HubHost;
use super::job::record;

/// A request that a route answers.
pub struct RouteCall {
    pub route: Arc<LiveRoute>,
    pub request: HttpRequest,
    /// `@BODY`.
    pub body: Arguments,
    /// `@USER`.
    pub user: Option<Arc<User>>,
}

/// What came of it.
pub struct RouteAnswer {
    /// Of the run, as it stands in the log.
    pub request_id: Uuid,
    /// The result as JSON, blobs as base64 text in it, or why there is none.
    pub outcome: Result<String, Failure>,
    /// What the script set of the answer.
    pub response: HttpResponse,
}

impl Hub {
    /// Runs a route's script. A failure is part of the answer.
    pub async fn run_route(self: &Arc<Self>, call: RouteCall) -> RouteAnswer {
        let (hub, handler) = (self.clone(), call.route.handler.clone());
        let request_id = new_id();
        let bytes = call.body.bytes() + call.request.bytes();
        let accepted_at = Instant::now();
        let done = match handler.script() {
            Some(_) => self.run_on_worker(bytes, move || run(&hub, call, request_id, accepted_at)).await,
            None => Err(suspended()),
        };
        done.unwrap_or_else(|failure| {
            handler.count(failure.code);
            RouteAnswer { request_id, outcome: Err(failure), response: HttpResponse::default() }
        })
    }
}

fn run(hub: &Arc<Hub>, call: RouteCall, request_id: Uuid, accepted_at: Instant) -> RouteAnswer {
    let queued = accepted_at.elapsed();
    let handler: &Handler = &call.route.handler;
    let script_call = Call {
        gateway: handler.gateway.clone(),
        event: handler.name.clone(),
        request_id,
        arguments: call.body,
        user: call.user.map(CallUser::Row),
        request: Some(Arc::new(call.request)),
        timeout: handler.timeout,
        test: None,
    };
    let output = match handler.script() {
        Some(script) => hub.catalog.engine().run(script, &script_call, Arc::new(HubHost(hub.clone()))),
        None => RunOutput::refused(suspended()),
    };
    record(hub, handler, &script_call, &output, queued, None);
    let outcome = output.outcome.map(|payload| {
        if payload.attachments.is_empty() { payload.json } else { payload.to_value().to_string() }
    });
    RouteAnswer { request_id, outcome, response: output.response }
}

fn suspended() -> Failure {
    Failure::new(ErrorCode::ServiceUnavailable, "The script of this route is suspended; ask an admin")
}
