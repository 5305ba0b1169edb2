//! The live host of scripts.

use std::sync::{Arc, Weak};

use uuid::Uuid;

use super::Runner;
use crate::broker::{Action, Broker, Presence, Publication};
use crate::cache::{Cache, MemoryCache};
use crate::catalog::Catalog;
use crate::error::{ErrorCode, Failure};
use crate::jobs::LaterJob;
use crate::metrics::Metrics;
use crate::script::Host;

/// What scripts do to the world, done.
pub(super) struct LiveHost {
    pub runner: Weak<Runner>,
    pub catalog: Arc<Catalog>,
    pub broker: Arc<dyn Broker>,
    pub cache: MemoryCache,
    pub metrics: Arc<Metrics>,
}

impl Host for LiveHost {
    fn check_gateway(&self, path: &str) -> Result<(), Failure> {
        if self.catalog.has_gateway(path) { Ok(()) } else { Err(Failure::not_found("gateway", path)) }
    }

    fn check_event(&self, path: &str, event: &str) -> Result<(), Failure> {
        let live = self.catalog.live();
        let gateway = live.get(path).ok_or_else(|| Failure::not_found("gateway", path))?;
        match gateway.handler(event) {
            Some(_) => Ok(()),
            None => Err(Failure::not_found("event", format!("{event} of {path}"))),
        }
    }

    fn later(&self, later: LaterJob) -> Result<(), Failure> {
        match self.runner.upgrade() {
            Some(runner) => runner.later.add(&runner, later),
            None => Err(Failure::new(ErrorCode::ShuttingDown, "The server is stopping")),
        }
    }

    fn cancel(&self, id: Uuid) -> bool {
        self.runner.upgrade().is_some_and(|runner| runner.later.cancel(id))
    }

    fn publish(&self, publication: Publication) -> Result<(), Failure> {
        if let Action::Emit { .. } | Action::Event { .. } = publication.action {
            self.metrics.emitted.inc();
        }
        self.broker.publish(publication)
    }

    fn presence(&self) -> &dyn Presence {
        &*self.broker
    }

    fn cache(&self) -> &dyn Cache {
        &self.cache
    }

    fn is_live(&self) -> bool {
        true
    }
}
