//! Worker threads: they take tickets and serve lanes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::lane::{Group, Lane};
use super::{Job, SCRIPT_STACK_BYTES, Shared, Ticket};

/// What one lane may do before the next gets its turn: so many jobs, or so long.
const TURN_JOBS: usize = 32;
const TURN_TIME: Duration = Duration::from_millis(1);

/// Starts one worker.
pub(super) fn start<J: Job>(
    number: usize,
    shared: Arc<Shared<J>>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new()
        .name(format!("worker-{number}"))
        .stack_size(SCRIPT_STACK_BYTES)
        .spawn(move || work(&shared))
}

fn work<J: Job>(shared: &Shared<J>) {
    while let Ok(Ticket::Serve(group)) = shared.waiting_tickets.recv() {
        serve(&group, shared);
    }
}

/// Serves lanes of this group as long as no other group waits.
fn serve<J: Job>(group: &Arc<Group<J>>, shared: &Shared<J>) {
    while let Some(lane) = group.next() {
        if take_turn(&lane, shared) {
            group.put_back(lane);
        }
        if !shared.waiting_tickets.is_empty() {
            shared.send(Ticket::Serve(group.clone()));
            return;
        }
    }
}

/// Runs jobs of one lane; true when its turn ended before its jobs.
fn take_turn<J: Job>(lane: &Lane<J>, shared: &Shared<J>) -> bool {
    let start = Instant::now();
    for _ in 0..TURN_JOBS {
        let Some(job) = lane.next() else { return false };
        if catch_unwind(AssertUnwindSafe(|| job.run())).is_err() {
            tracing::error!("a job panicked outside its script; the worker goes on");
        }
        shared.jobs.fetch_sub(1, Ordering::Relaxed);
        if start.elapsed() >= TURN_TIME {
            return true;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use proptest::prelude::*;

    use super::super::{Queue, Refusal};
    use super::*;
    use crate::config::Config;

    struct Task(Box<dyn FnOnce() + Send>);

    impl Job for Task {
        fn run(self) {
            (self.0)();
        }

        fn bytes(&self) -> usize {
            1
        }
    }

    fn task(work: impl FnOnce() + Send + 'static) -> Task {
        Task(Box::new(work))
    }

    fn queue(change: impl FnOnce(&mut crate::config::Queue)) -> Queue<Task> {
        let mut settings = Config::defaults().queue;
        settings.workers = 4;
        change(&mut settings);
        Queue::start(&settings).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever is pushed to whichever lane, each lane's jobs run once and in order.
        #[test]
        fn order_per_lane(pushes in proptest::collection::vec((0_usize..6, 0_u8..4), 1..200)) {
            let queue = queue(|_| {});
            let groups = [queue.group(), queue.group()];
            let lanes: Vec<_> = (0..6).map(|lane| queue.lane(&groups[lane % 2])).collect();
            let (sender, receiver) = mpsc::channel();
            let mut expected = vec![Vec::new(); 6];
            for (number, (lane, pause)) in pushes.into_iter().enumerate() {
                if expected[lane].len() == 1 {
                    lanes[lane].open(None);
                }
                expected[lane].push(number);
                let sender = sender.clone();
                let job = task(move || {
                    for _ in 0..pause { std::thread::yield_now(); }
                    sender.send((lane, number)).unwrap();
                });
                let pushed = lanes[lane].push(job, || {});
                prop_assert!(pushed.is_ok());
            }
            lanes.iter().for_each(|lane| lane.open(None));
            drop(sender);
            let mut ran = vec![Vec::new(); 6];
            for (lane, number) in receiver {
                ran[lane].push(number);
            }
            prop_assert_eq!(ran, expected);
            queue.stop();
        }
    }

    #[test]
    fn the_first_job_goes_first_and_a_panic_stops_nothing() {
        let queue = queue(|_| {});
        let lane = queue.lane(&queue.group());
        let (sender, receiver) = mpsc::channel();
        for number in [2, 3] {
            let sender = sender.clone();
            assert!(lane.push(task(move || sender.send(number).unwrap()), || {}).is_ok());
        }
        let first = sender.clone();
        lane.open(Some(task(move || {
            first.send(1).unwrap();
            panic!("on purpose");
        })));
        drop(sender);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn a_group_leaves_workers_to_others() {
        let queue = queue(|_| {});
        let (busy, other) = (queue.group(), queue.group());
        let (release, gate) = crossbeam_channel::bounded::<()>(0);
        let lanes: Vec<_> = (0..10).map(|_| queue.lane(&busy)).collect();
        for lane in &lanes {
            lane.open(None);
            let gate = gate.clone();
            assert!(lane.push(task(move || _ = gate.recv()), || {}).is_ok());
        }
        let (sender, receiver) = mpsc::channel();
        let lane = queue.lane(&other);
        lane.open(None);
        assert!(lane.push(task(move || sender.send(()).unwrap()), || {}).is_ok());
        receiver.recv_timeout(Duration::from_secs(60)).expect("a worker is left for the other group");
        drop(release);
    }

    #[test]
    fn a_long_lane_delays_no_other() {
        let queue = queue(|settings| settings.workers = 1);
        let group = queue.group();
        let (long, short) = (queue.lane(&group), queue.lane(&group));
        let (sender, receiver) = mpsc::channel();
        for number in 0..9_999 {
            let sender = sender.clone();
            assert!(long.push(task(move || sender.send(number).unwrap()), || {}).is_ok());
        }
        let last = sender.clone();
        assert!(short.push(task(move || last.send(-1).unwrap()), || {}).is_ok());
        short.open(None);
        long.open(None);
        drop(sender);
        let order: Vec<i32> = receiver.iter().collect();
        let place = order.iter().position(|number| *number == -1).unwrap();
        assert!(place <= 2 * TURN_JOBS, "the other lane waited for {place} jobs");
    }

    #[test]
    fn bounds_and_drain() {
        let queue = queue(|settings| {
            settings.jobs_per_socket = 2;
            settings.jobs = 3;
        });
        let group = queue.group();
        let (one, two) = (queue.lane(&group), queue.lane(&group));
        for _ in 0..2 {
            assert!(one.push(task(|| {}), || {}).is_ok());
        }
        assert_eq!(one.push(task(|| {}), || {}).unwrap_err().0, Refusal::Full);
        assert!(two.push(task(|| {}), || {}).is_ok());
        assert_eq!(two.push(task(|| {}), || {}).unwrap_err().0, Refusal::Full);
        queue.close();
        assert_eq!(two.push(task(|| {}), || {}).unwrap_err().0, Refusal::Closed);
        one.open(None);
        two.open(None);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        assert!(runtime.block_on(queue.drained(Duration::from_secs(60))));
        assert_eq!(queue.depth(), 0);
    }
}
