//! How fast a socket may send, and what happens when it does not keep to it.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use gatewright_core::catalog::Limits;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// A client that stays over its rate for so long is disconnected.
const OVER_MAX: Duration = Duration::from_secs(10);
/// A client is told at most so often.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// The rate of one socket. Nothing until its first event.
#[derive(Default)]
pub struct Rate(Option<Box<Limiter>>);

struct Limiter {
    limits: Limits,
    limiter: RateLimiter<NotKeyed, InMemoryState, DefaultClock, NoOpMiddleware>,
    over: Over,
}

/// How long a socket has been over its rate.
#[derive(Default)]
struct Over {
    since: Option<Instant>,
    last: Option<Instant>,
    told: Option<Instant>,
}

/// An event over the rate.
#[derive(Debug, PartialEq, Eq)]
pub struct OverRate {
    /// When the next event may come.
    pub retry_after: Duration,
    /// Whether the client is to be told.
    pub tell: bool,
    /// Whether it has been over its rate for too long.
    pub disconnect: bool,
}

impl Rate {
    /// Counts one event.
    pub fn check(&mut self, limits: Limits) -> Result<(), OverRate> {
        let Some(quota) = quota(limits) else { return Ok(()) };
        let limiter = match &mut self.0 {
            Some(limiter) if limiter.limits == limits => limiter,
            other => other.insert(Box::new(Limiter {
                limits,
                limiter: RateLimiter::direct(quota),
                over: Over::default(),
            })),
        };
        let Err(not_until) = limiter.limiter.check() else { return Ok(()) };
        let retry_after = not_until.wait_time_from(DefaultClock::default().now());
        let (tell, disconnect) = limiter.over.note(Instant::now());
        Err(OverRate { retry_after, tell, disconnect })
    }
}

impl Over {
    /// Notes a refused event; whether to tell the client, and whether to end it.
    fn note(&mut self, now: Instant) -> (bool, bool) {
        // Within its rate for a whole second: it starts anew.
        if self.last.is_none_or(|last| now - last > Duration::from_secs(1)) {
            self.since = Some(now);
        }
        self.last = Some(now);
        let tell = self.told.is_none_or(|told| now - told >= TOLD_EVERY);
        if tell {
            self.told = Some(now);
        }
        (tell, self.since.is_some_and(|since| now - since >= OVER_MAX))
    }
}

fn quota(limits: Limits) -> Option<Quota> {
    let rate = NonZeroU32::new(limits.events_per_second)?;
    Some(Quota::per_second(rate).allow_burst(NonZeroU32::new(limits.burst).unwrap_or(NonZeroU32::MIN)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_then_refused() {
        let limits =
            Limits { events_per_second: 1, burst: 5, subscriptions_per_connection: 0, message_bytes: 0 };
        let mut rate = Rate::default();
        assert!((0..5).all(|_| rate.check(limits).is_ok()));
        let over = rate.check(limits).unwrap_err();
        assert!(over.tell && !over.disconnect && over.retry_after > Duration::ZERO);
        assert!(!rate.check(limits).unwrap_err().tell, "told at most once a second");
        let none = Limits { events_per_second: 0, ..limits };
        assert!((0..1000).all(|_| rate.check(none).is_ok()));
    }

    #[test]
    fn ten_seconds_over_is_the_end() {
        let (mut over, start) = (Over::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let mut last = (false, false);
        for step in 0..=20 {
            last = over.note(at(step * 500));
        }
        assert_eq!(last, (true, true));
        assert_eq!(over.note(at(12_000)), (true, false), "a second of peace starts anew");
    }
}
