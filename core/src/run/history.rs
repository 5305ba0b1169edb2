//! How the server has fared: sampled once a second, kept for a day in steps that are the longer the
//! longer they are kept. In memory, and of a fixed size.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::totals::{Counts, Totals};
use crate::store::{Time, now};

/// In which steps it is kept, in seconds, and how many of each: 15 minutes, an hour, a day.
pub const STEPS: [(u32, usize); 3] = [(1, 900), (5, 720), (60, 1440)];

/// Samples by which the times of the last minute are known.
const MINUTE: usize = 60;

/// How the server has fared.
pub struct History {
    started: Instant,
    totals: Totals,
    kept: Mutex<Kept>,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Its end.
    pub at: Time,
    /// Open connections at its end.
    pub connections: usize,
    /// Runs that ended in it, each second.
    pub runs_per_second: f64,
    /// Of those, the ones that failed.
    pub errors_per_second: f64,
    /// Jobs that waited or ran, at most.
    pub queue_depth: usize,
    /// How long its runs took; none where there were none.
    pub times: Option<Times>,
}

/// How long runs took, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Times {
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
}

struct Kept {
    series: [Series; STEPS.len()],
    /// What it was at each second of the last minute, oldest first.
    minute: VecDeque<Counts>,
}

/// The steps of one length.
struct Series {
    step: u32,
    points_max: usize,
    points: VecDeque<Point>,
    /// Of the step that is not at its end yet.
    samples: u32,
    begun: Instant,
    before: Counts,
    queue_depth: usize,
}

/// What is sampled besides runs.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Sample {
    pub connections: usize,
    pub queue_depth: usize,
}

impl History {
    /// A history that begins now.
    pub(super) fn new() -> Self {
        let started = Instant::now();
        let series = STEPS.map(|(step, points_max)| Series {
            step,
            points_max,
            points: VecDeque::new(),
            samples: 0,
            begun: started,
            before: Counts::default(),
            queue_depth: 0,
        });
        let minute = VecDeque::from([Counts::default()]);
        Self { started, totals: Totals::new(), kept: Mutex::new(Kept { series, minute }) }
    }

    /// Counts a run.
    pub(super) fn add_run(&self, duration_us: u64, is_failed: bool) {
        self.totals.add(duration_us, is_failed);
    }

    /// Takes a sample; to be called once a second.
    pub fn take(&self, sample: Sample) {
        self.take_at(sample, now(), Instant::now());
    }

    fn take_at(&self, sample: Sample, at: Time, clock: Instant) {
        let counts = self.totals.counts();
        let mut kept = self.kept.lock();
        for series in &mut kept.series {
            series.take(sample, &counts, at, clock);
        }
        if kept.minute.len() > MINUTE {
            kept.minute.pop_front();
        }
        kept.minute.push_back(counts);
    }

    /// How long it has run.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// The last second; none in the first.
    pub fn last(&self) -> Option<Point> {
        self.kept.lock().series[0].points.back().cloned()
    }

    /// How long the runs of the last minute took; none without runs.
    pub fn minute(&self) -> Option<Times> {
        let kept = self.kept.lock();
        let (first, last) = (kept.minute.front()?, kept.minute.back()?);
        Times::of(&last.since(first))
    }

    /// The steps of this length, in seconds, oldest first; none: it is not one of [`STEPS`].
    pub fn points(&self, step: u32) -> Option<Vec<Point>> {
        let kept = self.kept.lock();
        let series = kept.series.iter().find(|series| series.step == step)?;
        Some(series.points.iter().cloned().collect())
    }
}

impl Series {
    fn take(&mut self, sample: Sample, counts: &Counts, at: Time, clock: Instant) {
        self.samples += 1;
        self.queue_depth = self.queue_depth.max(sample.queue_depth);
        if self.samples < self.step {
            return;
        }
        // By the clock: a busy machine samples late.
        let seconds = clock.saturating_duration_since(self.begun).as_secs_f64().max(0.001);
        let new = counts.since(&self.before);
        if self.points.len() >= self.points_max {
            self.points.pop_front();
        }
        self.points.push_back(Point {
            at,
            connections: sample.connections,
            runs_per_second: new.runs() as f64 / seconds,
            errors_per_second: new.failed as f64 / seconds,
            queue_depth: self.queue_depth,
            times: Times::of(&new),
        });
        (self.samples, self.queue_depth, self.begun) = (0, 0, clock);
        self.before = counts.clone();
    }
}

impl Times {
    fn of(counts: &Counts) -> Option<Self> {
        let ms = |quantile| Some(counts.quantile(quantile)?.as_secs_f64() * 1000.0);
        Some(Self { p50_ms: ms(0.50)?, p95_ms: ms(0.95)?, p99_ms: ms(0.99)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_keeps_a_day_in_bounded_steps() {
        let history = History::new();
        let (start, clock) = (now(), history.started);
        let seconds = 2 * 24 * 3600;
        for second in 1..=seconds {
            history.add_run(1000, second % 2 == 0);
            let sample = Sample { connections: second as usize, queue_depth: (second % 60) as usize };
            let passed = Duration::from_secs(second);
            history.take_at(sample, start + passed, clock + passed);
        }
        for (step, points_max) in STEPS {
            let points = history.points(step).unwrap();
            assert_eq!(points.len(), points_max);
            let last = points.last().unwrap();
            assert_eq!((last.at, last.connections), (start + Duration::from_secs(seconds), seconds as usize));
            assert!((last.runs_per_second - 1.0).abs() < 0.001, "{last:?}");
            let first = points.first().unwrap();
            let kept = u64::from(step) * (points_max as u64 - 1);
            assert_eq!(first.at, start + Duration::from_secs(seconds - kept), "of steps of {step} s");
        }
        let minutes = history.points(60).unwrap();
        let last = minutes.last().unwrap();
        assert!((last.errors_per_second - 0.5).abs() < 0.001, "{last:?}");
        assert_eq!(last.queue_depth, 59, "the most of its samples");
        assert_eq!(history.points(2), None);
    }

    #[test]
    fn history_of_the_last_minute() {
        let history = History::new();
        let (start, clock) = (now(), history.started);
        let none = Sample { connections: 0, queue_depth: 0 };
        let pass = |from: u64, to: u64| {
            for second in from..to {
                history.take_at(
                    none,
                    start + Duration::from_secs(second),
                    clock + Duration::from_secs(second),
                );
            }
        };
        assert_eq!(history.minute(), None);
        history.add_run(8000, false);
        pass(1, 60);
        let times = history.minute().unwrap();
        assert!((times.p50_ms - 8.0).abs() <= 1.0, "{times:?}");
        assert_eq!(history.last().unwrap().times, None, "nothing ran in the last second");
        pass(60, 63);
        assert_eq!(history.minute(), None, "it was longer ago");
    }
}
