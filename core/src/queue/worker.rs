//! Worker threads: they take tickets and serve lanes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::lane::{Group, Lane, Next};
use super::{Job, SCRIPT_STACK_BYTES, Shared, Ticket, waiting};

/// How many jobs, and for how long, one lane may run before the next gets its turn.
const TURN_JOBS: usize = 32;
const TURN_TIME: Duration = Duration::from_millis(1);

/// Starts one worker.
pub(super) fn start<J: Job>(shared: &Arc<Shared<J>>) -> std::io::Result<()> {
    let shared = shared.clone();
    let thread = std::thread::Builder::new().name("worker".to_owned()).stack_size(SCRIPT_STACK_BYTES);
    thread.spawn(move || work(&shared)).map(drop)
}

fn work<J: Job>(shared: &Shared<J>) {
    while let Ok(Ticket::Serve(group)) = shared.waiting_tickets.recv() {
        waiting::work_for(&group);
        let has_place = serve(&group, shared) || shared.spares.wait_for_place();
        if !has_place {
            return;
        }
    }
}

/// Serves lanes of this group as long as no other group waits; false when it has given its place to
/// a thread that has waited.
fn serve<J: Job>(group: &Arc<Group<J>>, shared: &Shared<J>) -> bool {
    while let Some(next) = group.next() {
        match next {
            Next::Serve(lane) => {
                if take_turn(&lane) {
                    group.put_back(lane);
                }
            }
            Next::GiveWay(place) => {
                place.give();
                return false;
            }
        }
        if !shared.waiting_tickets.is_empty() {
            shared.send(Ticket::Serve(group.clone()));
            return true;
        }
    }
    true
}

/// Runs jobs of one lane; true when its turn ended with jobs left.
fn take_turn<J: Job>(lane: &Lane<J>) -> bool {
    let start = Instant::now();
    for _ in 0..TURN_JOBS {
        let Some(job) = lane.next() else { return false };
        if catch_unwind(AssertUnwindSafe(|| job.run())).is_err() {
            tracing::error!("a job panicked outside its script; the worker goes on");
        }
        lane.done();
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
    fn what_is_behind_a_hold_waits_for_it() {
        let queue = queue(|_| {});
        let lane = queue.lane(&queue.group());
        let (sender, receiver) = mpsc::channel();
        let say = |word: &'static str| {
            let sender = sender.clone();
            task(move || sender.send(word).unwrap())
        };
        let push = |word| assert!(lane.push(say(word), || {}).is_ok());
        let next = || receiver.recv_timeout(Duration::from_secs(60)).unwrap();
        lane.open(None);
        // An idle lane: nothing comes before the first, and before the second only that.
        let (first, is_reached) = lane.hold(1, || say("reached the first")).unwrap();
        assert!(is_reached);
        let (second, is_reached) = lane.hold(1, || say("reached the second")).unwrap();
        assert!(is_reached);
        push("behind both");
        let (third, is_reached) = lane.hold(1, || say("reached the third")).unwrap();
        assert!(!is_reached);
        push("behind all");
        drop(second);
        assert_eq!(receiver.try_recv(), Err(mpsc::TryRecvError::Empty), "the first still holds");
        drop(first);
        assert_eq!([next(), next()], ["behind both", "reached the third"]);
        drop(third);
        assert_eq!(next(), "behind all");
        // One that its own job puts in front.
        let (of_job, held) = (lane.clone(), mpsc::channel());
        let hold = task(move || held.0.send(of_job.hold_now(1)).unwrap());
        assert!(lane.push(hold, || {}).is_ok());
        push("behind the job's own");
        let own = held.1.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!(receiver.try_recv(), Err(mpsc::TryRecvError::Empty));
        drop(own);
        assert_eq!(next(), "behind the job's own");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        assert!(runtime.block_on(queue.drained(Duration::from_secs(60))), "{} are left", queue.depth());
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

    /// Jobs that wait for a gate, one to a lane, on so many lanes; how many have begun is counted.
    fn wait_on(
        queue: &Queue<Task>,
        lanes: usize,
        gate: &crossbeam_channel::Receiver<()>,
        begun: &mpsc::Sender<()>,
    ) {
        let group = queue.group();
        for _ in 0..lanes {
            let (gate, begun) = (gate.clone(), begun.clone());
            let lane = queue.lane(&group);
            lane.open(None);
            let job = task(move || {
                begun.send(()).unwrap();
                super::waiting::wait(|| _ = gate.recv());
            });
            assert!(lane.push(job, || {}).is_ok());
        }
    }

    #[test]
    fn groups_that_wait_keep_no_other_from_running() {
        let queue = queue(|settings| {
            settings.workers = 2;
            settings.waiting = 8;
        });
        let (release, gate) = crossbeam_channel::bounded::<()>(0);
        let (begun, beginning) = mpsc::channel();
        (0..6).for_each(|_| wait_on(&queue, 20, &gate, &begun));
        // Each group waits with some; what it has beyond that waits in its lanes.
        (0..6).for_each(|_| beginning.recv_timeout(Duration::from_secs(60)).unwrap());
        let (sender, receiver) = mpsc::channel();
        let lane = queue.lane(&queue.group());
        lane.open(None);
        for number in 0..100 {
            let sender = sender.clone();
            assert!(lane.push(task(move || sender.send(number).unwrap()), || {}).is_ok());
        }
        for number in 0..100 {
            assert_eq!(receiver.recv_timeout(Duration::from_secs(60)), Ok(number));
        }
        let begun_so_far = 6 + beginning.try_iter().count();
        assert!(begun_so_far <= 6 * 3, "{begun_so_far} threads wait");
        drop(release);
        (begun_so_far..120).for_each(|_| beginning.recv_timeout(Duration::from_secs(60)).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        assert!(runtime.block_on(queue.drained(Duration::from_secs(60))));
        queue.stop();
    }

    #[test]
    fn no_more_run_at_once_than_there_are_workers_also_after_they_waited() {
        let queue = queue(|settings| settings.workers = 3);
        let group = queue.group();
        let running = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let (sender, receiver) = mpsc::channel();
        for lane_number in 0..8 {
            let lane = queue.lane(&group);
            lane.open(None);
            for number in 0..50 {
                let (running, sender) = (running.clone(), sender.clone());
                let job = task(move || {
                    let order = std::sync::atomic::Ordering::SeqCst;
                    for _ in 0..3 {
                        let at_once = running.fetch_add(1, order) + 1;
                        std::thread::yield_now();
                        running.fetch_sub(1, order);
                        sender.send((lane_number, number, at_once)).unwrap();
                        super::waiting::wait(std::thread::yield_now);
                    }
                });
                assert!(lane.push(job, || {}).is_ok());
            }
        }
        drop(sender);
        let mut last = [0; 8];
        for (lane, number, at_once) in receiver {
            assert!(at_once <= 2, "a group of three workers has two");
            assert!(last[lane] <= number, "the order of a lane stays");
            last[lane] = number;
        }
        assert_eq!(last, [49; 8]);
        queue.stop();
    }

    #[test]
    fn a_group_leaves_room_in_the_queue_to_others() {
        let queue = queue(|settings| {
            settings.jobs = 8;
            settings.jobs_per_gateway = 6;
        });
        let (full, other) = (queue.lane(&queue.group()), queue.lane(&queue.group()));
        for _ in 0..6 {
            assert!(full.push(task(|| {}), || {}).is_ok());
        }
        assert_eq!(full.push(task(|| {}), || {}).unwrap_err().0, Refusal::Full);
        for _ in 0..2 {
            assert!(other.push(task(|| {}), || {}).is_ok());
        }
        assert_eq!(other.push(task(|| {}), || {}).unwrap_err().0, Refusal::Full);
        full.open(None);
        other.open(None);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        assert!(runtime.block_on(queue.drained(Duration::from_secs(60))));
        assert!(full.push(task(|| {}), || {}).is_ok());
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
