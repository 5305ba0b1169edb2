//! What all runs come to: how many there were, how many failed, and how long they took. One part for
//! each thread, so that workers do not wait for each other.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Parts of what threads add to: threads beyond share.
pub(super) const PARTS: usize = 16;

/// Buckets of one doubling: a quantile is exact to an eighth.
const SHARES: u64 = 8;
const SHARES_LOG2: u32 = SHARES.ilog2();
/// What takes longer (71 minutes) counts as this.
const US_MAX: u64 = u32::MAX as u64;
const BUCKETS: usize = bucket_of(US_MAX) + 1;

thread_local! {
    static PART: Cell<Option<usize>> = const { Cell::new(None) };
}
static NEXT_PART: AtomicUsize = AtomicUsize::new(0);

/// The part of this thread.
pub(super) fn part() -> usize {
    PART.get().unwrap_or_else(|| {
        let number = NEXT_PART.fetch_add(1, Ordering::Relaxed) % PARTS;
        PART.set(Some(number));
        number
    })
}

/// What all runs come to, since the start.
pub(super) struct Totals([Part; PARTS]);

/// Of one thread; on cache lines of its own.
#[repr(align(128))]
struct Part {
    failed: AtomicU64,
    times: [AtomicU64; BUCKETS],
}

/// What runs came to, up to a moment or between two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counts {
    /// How many failed.
    pub(super) failed: u64,
    times: [u64; BUCKETS],
}

impl Totals {
    /// Of no run yet.
    pub(super) fn new() -> Self {
        let part = || Part { failed: AtomicU64::new(0), times: [const { AtomicU64::new(0) }; BUCKETS] };
        Self(std::array::from_fn(|_| part()))
    }

    /// Adds a run.
    pub(super) fn add(&self, us: u64, is_failed: bool) {
        let part = &self.0[part()];
        part.times[bucket_of(us)].fetch_add(1, Ordering::Relaxed);
        if is_failed {
            part.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What it is now.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for part in &self.0 {
            counts.failed += part.failed.load(Ordering::Relaxed);
            for (sum, time) in counts.times.iter_mut().zip(&part.times) {
                *sum += time.load(Ordering::Relaxed);
            }
        }
        counts
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self { failed: 0, times: [0; BUCKETS] }
    }
}

impl Counts {
    /// What came after `before`.
    pub(super) fn since(&self, before: &Self) -> Self {
        let times = std::array::from_fn(|bucket| self.times[bucket].saturating_sub(before.times[bucket]));
        Self { failed: self.failed.saturating_sub(before.failed), times }
    }

    /// How many runs.
    pub(super) fn runs(&self) -> u64 {
        self.times.iter().sum()
    }

    /// A quantile (0 to 1) of their time; none without runs.
    pub(super) fn quantile(&self, quantile: f64) -> Option<Duration> {
        let rank = quantile * self.runs() as f64;
        let mut seen = 0;
        for (bucket, count) in self.times.iter().enumerate().filter(|(_, count)| **count > 0) {
            if (seen + count) as f64 >= rank {
                let part = (rank - seen as f64).max(0.0) / *count as f64;
                let (from, to) = bounds_of(bucket);
                return Some(Duration::from_secs_f64((from + (to - from) * part) / 1e6));
            }
            seen += count;
        }
        None
    }
}

/// The bucket of so many microseconds.
const fn bucket_of(us: u64) -> usize {
    let us = if us > US_MAX { US_MAX } else { us };
    if us < SHARES {
        return us as usize;
    }
    let octave = us.ilog2() - SHARES_LOG2;
    ((octave as usize + 1) << SHARES_LOG2) + ((us >> octave) & (SHARES - 1)) as usize
}

/// From which microsecond to below which a bucket counts.
fn bounds_of(bucket: usize) -> (f64, f64) {
    let (octave, share) = (bucket >> SHARES_LOG2, bucket as u64 & (SHARES - 1));
    if octave == 0 {
        return (share as f64, share as f64 + 1.0);
    }
    let width = 1_u64 << (octave - 1);
    (((SHARES + share) * width) as f64, ((SHARES + share + 1) * width) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_buckets_are_in_order_and_whole() {
        for us in (0..100_000).chain([US_MAX - 1, US_MAX, u64::MAX]) {
            let (from, to) = bounds_of(bucket_of(us));
            let us = us.min(US_MAX) as f64;
            assert!((from..to).contains(&us), "{us} is not in {from}..{to}");
            assert!(to - from <= (from / 8.0).max(1.0), "{from}..{to} is too wide");
        }
    }

    #[test]
    fn totals_of_threads_are_one() {
        let totals = Totals::new();
        let before = totals.counts();
        assert_eq!((before.runs(), before.quantile(0.5)), (0, None));
        std::thread::scope(|scope| {
            for _ in 0..PARTS + 4 {
                scope.spawn(|| (1..=100).for_each(|number| totals.add(number * 1000, number == 100)));
            }
        });
        let counts = totals.counts().since(&before);
        assert_eq!((counts.runs(), counts.failed), (2000, 20));
        let near = |quantile, ms: f64| {
            let found = counts.quantile(quantile).unwrap().as_secs_f64() * 1000.0;
            assert!((found / ms - 1.0).abs() <= 0.13, "{found} is not {ms}");
        };
        near(0.5, 50.0);
        near(0.95, 95.0);
        near(0.99, 99.0);
        assert_eq!(counts.since(&counts), Counts::default());
    }
}
