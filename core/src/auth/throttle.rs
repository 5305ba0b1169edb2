//! Bounds how often something such as a password may be tried, per account and per address. An
//! attempt takes a place before it begins, so that many at once allow no more guesses than one after
//! the other. A plain rate limiter would count successes too.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Keys that are remembered at most; the least used go first.
const KEYS_MAX: u64 = 100_000;
/// Attempts of one key that are under way at once. More of the same key wait; other keys do not.
const AT_ONCE: u32 = 4;
/// Attempts of one key that wait; more are refused.
const WAITING_MAX: u32 = 32;
/// How long a client is asked to wait that is refused because too many wait.
const SOON: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(60);

/// Counts attempts per key in windows of a minute.
pub(super) struct Throttle {
    /// By the hash of their text, so that long ones take no memory.
    keys: Cache<u64, Arc<Key>>,
    hashes: RandomState,
    max: u32,
}

#[derive(Default)]
struct Key {
    counts: Mutex<Counts>,
    /// Notified when an attempt has ended.
    ended: Notify,
}

#[derive(Default)]
struct Counts {
    /// When the first of those that are used up was.
    since: Option<Instant>,
    used: u32,
    under_way: u32,
    waiting: u32,
}

/// An attempt that is under way. One that is dropped is used up.
pub(super) struct Attempt {
    key: Arc<Key>,
    outcome: Outcome,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Used,
    GivenBack,
    /// Given back, with those before it.
    Forgotten,
}

impl Throttle {
    /// At most so many are used up in a minute.
    pub(super) fn new(max: u32) -> Self {
        Self { keys: Cache::new(KEYS_MAX), hashes: RandomState::new(), max }
    }

    /// Begins an attempt; waits while those that are under way could use up what is left.
    ///
    /// # Errors
    /// How long to wait.
    pub(super) async fn attempt(&self, key: &str) -> Result<Attempt, Duration> {
        let key = self.keys.get_with(self.hashes.hash_one(key), Arc::default);
        let mut waits: Option<Waiting> = None;
        loop {
            let ended = key.ended.notified();
            {
                let mut counts = key.counts.lock();
                counts.check(self.max)?;
                if counts.under_way < AT_ONCE && counts.used + counts.under_way < self.max {
                    counts.under_way += 1;
                    drop(counts);
                    return Ok(Attempt { key: key.clone(), outcome: Outcome::Used });
                }
                if waits.is_none() {
                    if counts.waiting >= WAITING_MAX {
                        return Err(SOON);
                    }
                    counts.waiting += 1;
                    waits = Some(Waiting(&key));
                }
            }
            ended.await;
        }
    }
}

impl Counts {
    /// Whether there may be another attempt; else how long to wait.
    fn check(&mut self, max: u32) -> Result<(), Duration> {
        let left = self.since.and_then(|since| WINDOW.checked_sub(since.elapsed()));
        match left {
            Some(left) if self.used >= max => Err(left),
            Some(_) => Ok(()),
            None => {
                (self.since, self.used) = (None, 0);
                Ok(())
            }
        }
    }
}

/// Counts one that waits, until it is dropped.
struct Waiting<'a>(&'a Key);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.counts.lock().waiting -= 1;
    }
}

impl Attempt {
    /// It is not used up.
    pub(super) fn give_back(mut self) {
        self.outcome = Outcome::GivenBack;
    }

    /// It is not used up, and those before it no longer are.
    pub(super) fn forget(mut self) {
        self.outcome = Outcome::Forgotten;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        {
            let mut counts = self.key.counts.lock();
            counts.under_way -= 1;
            match self.outcome {
                Outcome::Used => {
                    counts.since.get_or_insert_with(Instant::now);
                    counts.used += 1;
                }
                Outcome::GivenBack => {}
                Outcome::Forgotten => (counts.since, counts.used) = (None, 0),
            }
        }
        self.key.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::is_pending;

    #[tokio::test(start_paused = true)]
    async fn attempts_at_once_are_no_more_than_one_after_the_other() {
        let throttle = Throttle::new(5);
        let mut begun = Vec::new();
        for _ in 0..AT_ONCE {
            begun.push(throttle.attempt("a").await.ok().unwrap());
        }
        let mut fifth = Box::pin(throttle.attempt("a"));
        assert!(is_pending(&mut fifth).await, "four are under way");
        assert!(throttle.attempt("b").await.is_ok(), "another key does not wait");
        begun.pop();
        let fifth = fifth.await.ok().unwrap();
        let mut sixth = Box::pin(throttle.attempt("a"));
        assert!(is_pending(&mut sixth).await, "they may all fail");
        drop(begun);
        assert!(is_pending(&mut sixth).await, "one is left, and is under way");
        drop(fifth);
        assert!(sixth.await.is_err());
    }

    #[tokio::test]
    async fn successes_do_not_count() {
        let throttle = Throttle::new(2);
        for _ in 0..9 {
            throttle.attempt("a").await.ok().unwrap().give_back();
        }
        drop(throttle.attempt("a").await);
        throttle.attempt("a").await.ok().unwrap().forget();
        drop(throttle.attempt("a").await);
        drop(throttle.attempt("a").await);
        assert!(throttle.attempt("a").await.is_err());
    }

    #[tokio::test]
    async fn who_waits_beyond_the_bound_is_sent_away() {
        let throttle = Throttle::new(100);
        let mut begun = Vec::new();
        for _ in 0..AT_ONCE {
            begun.push(throttle.attempt("a").await.ok().unwrap());
        }
        let mut waiting: Vec<_> = (0..WAITING_MAX).map(|_| Box::pin(throttle.attempt("a"))).collect();
        for one in &mut waiting {
            assert!(is_pending(one).await);
        }
        assert_eq!(throttle.attempt("a").await.err(), Some(SOON));
        waiting.pop();
        let mut another = Box::pin(throttle.attempt("a"));
        assert!(is_pending(&mut another).await, "there is a place again");
    }
}
