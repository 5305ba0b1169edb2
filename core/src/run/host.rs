//! The live host of scripts.

use std::sync::Arc;

use crate::broker::{Action, Broker, Member, Publication, Room};
use crate::cache::{Cache, MemoryCache};
use crate::catalog::Catalog;
use crate::error::Failure;
use crate::metrics::Metrics;
use crate::script::Host;

/// What scripts do to the world, done.
pub(super) struct LiveHost {
    pub catalog: Arc<Catalog>,
    pub broker: Arc<dyn Broker>,
    pub cache: MemoryCache,
    pub metrics: Arc<Metrics>,
}

impl Host for LiveHost {
    fn check_gateway(&self, path: &str) -> Result<(), Failure> {
        if self.catalog.has_gateway(path) { Ok(()) } else { Err(Failure::not_found("gateway", path)) }
    }

    fn publish(&self, publication: Publication) -> Result<(), Failure> {
        if let Action::Emit { .. } = publication.action {
            self.metrics.emitted.inc();
        }
        self.broker.publish(publication)
    }

    fn members(&self, room: Room<'_>) -> Result<Vec<Member>, Failure> {
        self.broker.members(room)
    }

    fn room_size(&self, room: Room<'_>) -> Result<usize, Failure> {
        self.broker.room_size(room)
    }

    fn cache(&self) -> &dyn Cache {
        &self.cache
    }

    fn is_live(&self) -> bool {
        true
    }
}
