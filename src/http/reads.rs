//! Bounds how many reads of rows each caller has at once, so that one caller's slow lists do not take
//! all of the database's readers.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use gatewright_core::auth::UserId;
use gatewright_core::config;
use gatewright_core::{ErrorCode, Failure};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

/// Who shares places.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Reader {
    /// A user.
    User(UserId),
    /// An app key.
    App(Uuid),
    /// Anonymous callers from one network.
    Network(IpAddr),
}

/// The places of all callers that read at this moment.
pub struct ReadPlaces {
    at_once: usize,
    waiting: usize,
    readers: Mutex<HashMap<Reader, Places>>,
}

struct Places {
    free: Arc<Semaphore>,
    /// Reads that have a place or wait for one.
    reads: usize,
}

/// A read that has a place or may wait for one, until this is dropped.
pub(super) struct AdmittedRead<'a> {
    all: &'a ReadPlaces,
    reader: Reader,
    free: Arc<Semaphore>,
}

impl ReadPlaces {
    /// As many as the configuration gives to each.
    pub fn new(limits: &config::Limits) -> Self {
        Self {
            at_once: limits.reads_per_caller,
            waiting: limits.reads_waiting_per_caller,
            readers: Mutex::default(),
        }
    }

    /// Admits one more read of this caller.
    ///
    /// # Errors
    /// `RATE_LIMIT_EXCEEDED` when as many wait as may.
    pub(super) fn admit(&self, reader: Reader) -> Result<AdmittedRead<'_>, Failure> {
        let mut readers = self.readers.lock();
        let places = readers
            .entry(reader.clone())
            .or_insert_with(|| Places { free: Arc::new(Semaphore::new(self.at_once)), reads: 0 });
        if places.reads >= self.at_once + self.waiting {
            let message = "Too many of your reads are under way; send the next when answers come";
            return Err(Failure::new(ErrorCode::RateLimitExceeded, message));
        }
        places.reads += 1;
        Ok(AdmittedRead { all: self, free: places.free.clone(), reader })
    }
}

impl AdmittedRead<'_> {
    /// Waits for a place.
    pub(super) async fn place(&self) -> OwnedSemaphorePermit {
        self.free.clone().acquire_owned().await.expect("places are never closed")
    }
}

impl Drop for AdmittedRead<'_> {
    fn drop(&mut self) {
        let mut readers = self.all.readers.lock();
        let Entry::Occupied(mut places) = readers.entry(self.reader.clone()) else { return };
        places.get_mut().reads -= 1;
        if places.get().reads == 0 {
            places.remove();
        }
    }
}
