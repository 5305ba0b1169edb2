//! Values that all scripts share, by key: what `@CACHE` reads and writes.
//!
//! [`Cache`] is the contract; [`MemoryCache`] keeps the values of one node, bounded, and gone with
//! the process. Every call can fail, since the values may be on another machine. This module must
//! not know whose keys are whose.

mod memory;

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::error::Failure;

pub use memory::MemoryCache;

/// Values by key, as JSON, each with a life of its own, and locks beside them.
///
/// All calls fail with `SERVICE_UNAVAILABLE` when whoever has the values does not answer; nothing
/// falls back to a value of this node.
pub trait Cache: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// See the trait.
    fn get(&self, key: &str) -> Result<Option<Arc<str>>, Failure>;

    /// Sets the value of a key, for `ttl`, or as long as there is room for it.
    ///
    /// # Errors
    /// See the trait.
    fn set(&self, key: &str, json: String, ttl: Option<Duration>) -> Result<(), Failure>;

    /// Forgets a key; false when there was none.
    ///
    /// # Errors
    /// See the trait.
    fn delete(&self, key: &str) -> Result<bool, Failure>;

    /// Adds to a number; a key without one starts at 0 and lives for `ttl`. None: the value is no
    /// integer, or would be out of bounds.
    ///
    /// # Errors
    /// See the trait.
    fn increment(&self, key: &str, by: i64, ttl: Option<Duration>) -> Result<Option<i64>, Failure>;

    /// Takes a lock for its owner; false when another holds it.
    ///
    /// # Errors
    /// See the trait.
    fn acquire(&self, key: &str, owner: Uuid, ttl: Duration) -> Result<bool, Failure>;

    /// Gives a lock back; false when its owner no longer holds it.
    ///
    /// # Errors
    /// See the trait.
    fn release(&self, key: &str, owner: Uuid) -> Result<bool, Failure>;
}
