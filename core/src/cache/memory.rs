//! The cache of a node that is alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::ops::compute::Op;
use moka::sync::Cache as Memory;
use uuid::Uuid;

use super::Cache;
use crate::error::Failure;

/// What an entry takes besides its key and value, about.
const ENTRY_OVERHEAD_BYTES: usize = 128;

/// A cache within the process; the least used values go first when it is full.
#[derive(Clone)]
pub struct MemoryCache {
    entries: Memory<String, Entry>,
}

#[derive(Clone)]
struct Entry {
    json: Arc<str>,
    ttl: Option<Duration>,
}

struct ByEntry;

impl Expiry<String, Entry> for ByEntry {
    fn expire_after_create(&self, _: &String, entry: &Entry, _: Instant) -> Option<Duration> {
        entry.ttl
    }

    fn expire_after_update(
        &self,
        _: &String,
        entry: &Entry,
        _: Instant,
        left: Option<Duration>,
    ) -> Option<Duration> {
        // A counter keeps the life it was made with.
        if entry.ttl.is_some() { entry.ttl } else { left }
    }
}

impl MemoryCache {
    /// A cache for at most so many bytes.
    pub fn new(bytes_max: u64) -> Self {
        let entries = Memory::builder()
            .max_capacity(bytes_max)
            .weigher(|key: &String, entry: &Entry| {
                u32::try_from(key.len() + entry.json.len() + ENTRY_OVERHEAD_BYTES).unwrap_or(u32::MAX)
            })
            .expire_after(ByEntry)
            .build();
        Self { entries }
    }
}

impl Cache for MemoryCache {
    fn get(&self, key: &str) -> Result<Option<Arc<str>>, Failure> {
        Ok(self.entries.get(key).map(|entry| entry.json))
    }

    fn set(&self, key: &str, json: String, ttl: Option<Duration>) -> Result<(), Failure> {
        // Removed first: an entry without a life of its own must not inherit the old one's.
        self.entries.invalidate(key);
        self.entries.insert(key.to_owned(), Entry { json: json.into(), ttl });
        Ok(())
    }

    fn delete(&self, key: &str) -> Result<bool, Failure> {
        Ok(self.entries.remove(key).is_some())
    }

    fn increment(&self, key: &str, by: i64, ttl: Option<Duration>) -> Result<Option<i64>, Failure> {
        let mut sum = None;
        self.entries.entry(key.to_owned()).and_compute_with(|entry| {
            let (before, ttl) = match entry {
                None => (Some(0), ttl),
                Some(entry) => (entry.value().json.parse::<i64>().ok(), None),
            };
            sum = before.and_then(|before| before.checked_add(by));
            sum.map_or(Op::Nop, |sum| Op::Put(Entry { json: sum.to_string().into(), ttl }))
        });
        Ok(sum)
    }

    fn acquire(&self, key: &str, owner: Uuid, ttl: Duration) -> Result<bool, Failure> {
        let owner: Arc<str> = owner.to_string().into();
        let entry =
            self.entries.entry(lock_key(key)).or_insert(Entry { json: owner.clone(), ttl: Some(ttl) });
        Ok(entry.value().json == owner)
    }

    fn release(&self, key: &str, owner: Uuid) -> Result<bool, Failure> {
        let owner = owner.to_string();
        let mut released = false;
        self.entries.entry(lock_key(key)).and_compute_with(|entry| match entry {
            Some(entry) if *entry.value().json == owner => {
                released = true;
                Op::Remove
            }
            _ => Op::Nop,
        });
        Ok(released)
    }
}

/// Locks stand beside the values: no key of a value ends with NUL.
fn lock_key(key: &str) -> String {
    format!("{key}\0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_locks() {
        let cache = MemoryCache::new(1 << 20);
        assert_eq!(cache.increment("a", 2, None), Ok(Some(2)));
        assert_eq!(cache.increment("a", -5, None), Ok(Some(-3)));
        cache.set("b", "\"text\"".into(), None).unwrap();
        assert_eq!(cache.increment("b", 1, None), Ok(None));
        let (one, two) = (crate::id::new_id(), crate::id::new_id());
        let ttl = Duration::from_secs(60);
        assert_eq!(cache.acquire("l", one, ttl), Ok(true));
        assert_eq!(cache.acquire("l", two, ttl), Ok(false));
        assert_eq!(cache.release("l", two), Ok(false));
        assert_eq!(cache.release("l", one), Ok(true));
        assert_eq!(cache.acquire("l", two, ttl), Ok(true));
        assert_eq!(cache.get("l"), Ok(None), "a lock is no value");
    }

    #[test]
    fn is_bounded() {
        let cache = MemoryCache::new(100_000);
        for number in 0..10_000 {
            cache.set(&number.to_string(), "0".repeat(1000), None).unwrap();
        }
        cache.entries.run_pending_tasks();
        assert!(cache.entries.weighted_size() <= 100_000);
    }
}
