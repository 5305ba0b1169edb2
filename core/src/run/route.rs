//! Runs the scripts of routes.

use std::sync::Arc;
use std::time::Instant;

use uuid::Uuid;

use super::{RunKind, Runner, suspended};
use crate::auth::User;
use crate::catalog::LiveRoute;
use crate::error::Failure;
use crate::id::new_id;
use crate::script::{Arguments, Call, CallUser, HttpRequest, HttpResponse, Origin};

/// A request that a route answers.
pub struct RouteCall {
    /// The route.
    pub route: Arc<LiveRoute>,
    /// The request.
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

impl Runner {
    /// Runs a route's script. A failure is part of the answer.
    pub async fn run_route(self: &Arc<Self>, call: RouteCall) -> RouteAnswer {
        let (runner, handler) = (self.clone(), call.route.handler.clone());
        let request_id = new_id();
        let bytes = call.body.bytes() + call.request.bytes();
        let origin = Origin::Route(Arc::new(call.request));
        if handler.script().is_none() {
            let failure = suspended(&origin);
            handler.count(failure.code);
            return RouteAnswer::refused(request_id, failure);
        }
        let script_call = Call {
            origin,
            event: handler.name.clone(),
            request_id,
            arguments: call.body,
            user: call.user.map(CallUser::Row),
            timeout: handler.timeout,
            test: None,
        };
        let (accepted_at, of_run) = (Instant::now(), handler.clone());
        let run = move || runner.run(&of_run, RunKind::Route, &script_call, accepted_at.elapsed());
        match self.on_worker(bytes, run).await {
            // Of what answers a request, blobs are text within the JSON.
            Ok(output) => RouteAnswer {
                request_id,
                outcome: output.outcome.map(|payload| payload.json),
                response: output.response,
            },
            Err(failure) => {
                handler.count(failure.code);
                RouteAnswer::refused(request_id, failure)
            }
        }
    }
}

impl RouteAnswer {
    fn refused(request_id: Uuid, failure: Failure) -> Self {
        Self { request_id, outcome: Err(failure), response: HttpResponse::default() }
    }
}
