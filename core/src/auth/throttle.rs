//! Counts failed logins per key in windows of a minute. A plain rate limiter would count
//! successes too and cannot be asked without being charged.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use moka::sync::Cache;

/// Keys that are remembered at most; the least used go first.
const KEYS_MAX: u64 = 100_000;
/// Keys that share a turn wait for each other, which takes them a little time and nothing else.
const TURNS: usize = 64;
const WINDOW: Duration = Duration::from_secs(60);

/// Failed attempts per account and per address.
pub(super) struct Throttle {
    /// Attempts of one key take turns, or many at once would all pass the check.
    turns: Vec<tokio::sync::Mutex<()>>,
    hashes: RandomState,
    failures: Cache<String, (Instant, u32)>,
    failures_max: u32,
}

impl Throttle {
    pub(super) fn new(failures_max: u32) -> Self {
        let turns = (0..TURNS).map(|_| tokio::sync::Mutex::default()).collect();
        Self { turns, hashes: RandomState::new(), failures: Cache::new(KEYS_MAX), failures_max }
    }

    /// Waits until no other attempt of `key` is under way.
    pub(super) async fn turn(&self, key: &str) -> tokio::sync::MutexGuard<'_, ()> {
        let place = self.hashes.hash_one(key) as usize % self.turns.len();
        self.turns[place].lock().await
    }

    /// How long `key` has to wait, if it has failed too often.
    pub(super) fn wait(&self, key: &str) -> Option<Duration> {
        let (since, count) = self.failures.get(key)?;
        let left = WINDOW.checked_sub(since.elapsed())?;
        (count >= self.failures_max).then_some(left)
    }

    /// Counts one failure.
    pub(super) fn fail(&self, key: &str) {
        let entry = match self.failures.get(key) {
            Some((since, count)) if since.elapsed() < WINDOW => (since, count.saturating_add(1)),
            _ => (Instant::now(), 1),
        };
        self.failures.insert(key.to_owned(), entry);
    }

    /// Forgets `key` after a success.
    pub(super) fn succeed(&self, key: &str) {
        self.failures.invalidate(key);
    }
}
