//! How often a failing script may say so in the log.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Lines at once, and the time after which there may be another.
const BURST: u32 = 10;
const EVERY: Duration = Duration::from_secs(1);

/// The lines of one script: who can make it fail at will must not fill the disk.
#[derive(Debug)]
pub(super) struct LogRate(Mutex<State>);

#[derive(Debug)]
struct State {
    left: u32,
    /// Since when `left` is what it is.
    since: Instant,
    not_logged: u64,
}

impl LogRate {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State { left: BURST, since: Instant::now(), not_logged: 0 }))
    }

    /// Whether there may be a line now; with it, how many there were not since the last.
    pub(super) fn take(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        let earned = now.saturating_duration_since(state.since).as_millis() / EVERY.as_millis();
        if earned > 0 {
            state.left = u32::try_from(earned).unwrap_or(BURST).saturating_add(state.left).min(BURST);
            state.since = now;
        }
        if state.left == 0 {
            state.not_logged += 1;
            return None;
        }
        state.left -= 1;
        Some(std::mem::take(&mut state.not_logged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_few_lines() {
        let (rate, start) = (LogRate::new(), Instant::now());
        let lines = (0..1000).filter(|_| rate.take(start).is_some()).count();
        assert_eq!(lines, BURST as usize);
        assert_eq!(rate.take(start + EVERY), Some(990));
        assert_eq!(rate.take(start + EVERY), None);
        let later = start + EVERY * 1000;
        assert_eq!(rate.take(later), Some(1));
        assert_eq!((0..1000).filter(|_| rate.take(later).is_some()).count(), BURST as usize - 1);
    }
}
