//! Admission scripts: whether a connection becomes one is decided on a worker, before its client hears of it.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value as Json;

use super::{RunKind, Runner};
use crate::auth::User;
use crate::error::Failure;
use crate::id::new_id;
use crate::script::{Arguments, Call, CallUser, Handler, Origin, Socket};

impl Runner {
    /// Has an admission script decide about what would be this socket of this user. `body` is what the
    /// connection script would be given.
    ///
    /// # Errors
    /// What the script threw or failed by; `QUEUE_FULL` and `SHUTTING_DOWN` where it did not run.
    pub async fn admit(
        self: &Arc<Self>,
        handler: &Arc<Handler>,
        socket: Arc<dyn Socket>,
        user: Option<Arc<User>>,
        body: &Json,
    ) -> Result<(), Failure> {
        let arguments = Arguments::one(body);
        let (bytes, group) = (arguments.bytes(), self.group(&handler.gateway));
        let (runner, handler, asked_at) = (self.clone(), handler.clone(), Instant::now());
        let decided = self.on_worker_of(&group, bytes, move || {
            let call = Call {
                origin: Origin::Admission { gateway: handler.gateway.clone(), socket },
                event: handler.name.clone(),
                request_id: new_id(),
                arguments,
                user: user.map(CallUser::Row),
                timeout: handler.timeout,
                test: None,
            };
            runner.run(&handler, RunKind::Admission, &call, asked_at.elapsed()).outcome.map(drop)
        });
        decided.await?
    }
}
