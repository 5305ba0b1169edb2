//! Whatever comes when: jobs of one key are run one at a time, in the order in which they were stored, and none is left.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::jobs::job::Caller;

/// What happens next.
#[derive(Debug, Clone, Copy)]
enum Turn {
    /// A socket sends an event of this key.
    Accept(usize),
    /// The oldest event that is not stored is; or is not.
    Store(bool),
    /// The oldest that is stored is told of.
    Tell,
    /// The same, and nobody knows which.
    Unknown(bool),
    /// The oldest claim is committed.
    Claim,
    /// One of those that run ends, with the next of its key begun or not, or is to be tried again.
    End(usize, bool),
    Retry(usize),
    /// All is forgotten that can be, and read again.
    Unload,
    /// The database is read; what was read is taken over, which may be later.
    Read,
    Load,
    /// The same of the keys that are to be refilled.
    ReadRefills,
    Refill,
}

/// A row of the database.
#[derive(Clone)]
struct Row {
    job: Job,
    attempt: i32,
    is_due: bool,
}

/// The database, and what a node would do.
#[derive(Default)]
struct World {
    keys: Keys,
    rows: BTreeMap<i64, Row>,
    accepted: VecDeque<(Arc<Job>, Accepted)>,
    stored: VecDeque<(Arc<Job>, Accepted, i64)>,
    claims: VecDeque<(Arc<str>, ClaimRow)>,
    running: Vec<Start>,
    last_seq: i64,
    is_known: bool,
    /// The last number that was run, by key.
    ran: HashMap<Arc<str>, i64>,
    refills: Vec<Arc<str>>,
    read: Option<Vec<StoredJob>>,
    /// What was read of keys that are to be refilled, which may be taken over later.
    refilled: Vec<(Arc<str>, Vec<StoredJob>)>,
}

impl World {
    fn job(key: usize) -> Job {
        Job {
            id: crate::id::new_id(),
            key: format!("k{key}").into(),
            gateway: "/g".into(),
            event: "e".into(),
            caller: Caller::default(),
            payload: "[null]".into(),
            attachments: Vec::new(),
            accepted_at: 0,
        }
    }

    fn take(&mut self, key: &Arc<str>, step: Option<Step>) {
        match step {
            None => {}
            Some(Step::Claim(claim)) => self.claims.push_back((key.clone(), claim)),
            Some(Step::Start(start) | Step::GiveUp(start)) => self.run(start),
            Some(Step::Refill) => self.refills.push(key.clone()),
        }
    }

    fn run(&mut self, start: Start) {
        let key = start.job.key.clone();
        assert!(self.running.iter().all(|other| other.job.key != key), "two of {key} run at once");
        let row = self.rows.get(&start.fence.seq).expect("what runs is stored");
        assert_eq!(row.attempt, start.fence.attempt, "what runs has begun");
        let before = self.ran.insert(key, start.fence.seq).unwrap_or_default();
        assert!(before <= start.fence.seq, "{} was run before {}", before, start.fence.seq);
        self.running.push(start);
    }

    fn claimed(&mut self, claim: &ClaimRow) -> bool {
        let row = self.rows.get_mut(&claim.seq).filter(|row| row.attempt == claim.attempt);
        row.map(|row| (row.attempt, row.is_due) = (row.attempt + 1, false)).is_some()
    }

    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Accept(key) => {
                let job = Arc::new(Self::job(key));
                let accepted = self.keys.accept(&job, 0, self.is_known, true, &mut None);
                self.accepted.push_back((job, accepted));
            }
            Turn::Store(is_stored) => {
                let Some((job, accepted)) = self.accepted.pop_front() else { return };
                let key = job.key.clone();
                if !is_stored {
                    let step = match accepted {
                        Accepted::Elsewhere => self.keys.stored_elsewhere(&key, false),
                        _ => self.keys.not_stored(&key, job.id),
                    };
                    return self.take(&key, step);
                }
                self.last_seq += 1;
                let attempt = i32::from(accepted == Accepted::First);
                self.rows.insert(self.last_seq, Row { job: (*job).clone(), attempt, is_due: false });
                self.stored.push_back((job, accepted, self.last_seq));
            }
            Turn::Tell => {
                let Some((job, accepted, seq)) = self.stored.pop_front() else { return };
                let step = match accepted {
                    Accepted::Elsewhere => self.keys.stored_elsewhere(&job.key, true),
                    _ => self.keys.stored(&job.key, job.id, seq, accepted == Accepted::First),
                };
                self.take(&job.key, step);
            }
            Turn::Unknown(is_stored) => {
                let Some((job, accepted)) = self.accepted.pop_front() else { return };
                if is_stored {
                    self.last_seq += 1;
                    let attempt = i32::from(accepted == Accepted::First);
                    self.rows.insert(self.last_seq, Row { job: (*job).clone(), attempt, is_due: false });
                }
                let step = match accepted {
                    Accepted::Elsewhere => self.keys.stored_elsewhere(&job.key, true),
                    _ => self.keys.unknown(&job.key, job.id),
                };
                self.take(&job.key, step);
            }
            Turn::Claim => {
                let Some((key, claim)) = self.claims.pop_front() else { return };
                let step = match self.claimed(&claim) {
                    true => self.keys.begun(&key, claim.seq).map(Step::Start),
                    false => self.keys.not_begun(&key, claim.seq),
                };
                self.take(&key, step);
            }
            Turn::End(which, begins_next) => {
                let Some(start) = self.finished(which) else { return };
                self.rows.remove(&start.fence.seq);
                let next = self.keys.next_after(&start.job.key).filter(|_| begins_next);
                let next = next.filter(|next| self.claimed(next)).map(|next| next.seq);
                let step = self.keys.ended(&start.job.key, start.fence.seq, next);
                self.take(&start.job.key, step);
            }
            Turn::Retry(which) => {
                let Some(start) = self.finished(which) else { return };
                if let Some(row) = self.rows.get_mut(&start.fence.seq) {
                    row.is_due = true;
                }
                self.keys.block(&start.job.key, start.fence.seq, Some(start.fence.seq));
            }
            Turn::Unload => {
                self.is_known = false;
                self.read = None;
                self.refilled.clear();
                self.keys.unload(|_, _| true);
            }
            Turn::Read => {
                self.refill();
                self.keys.reads(true);
                self.read = Some(self.rows.iter().map(|(seq, row)| Self::stored_job(*seq, row)).collect());
            }
            Turn::Load => self.load(),
            Turn::ReadRefills => self.read_refills(),
            Turn::Refill => self.refill(),
        }
    }

    fn read_refills(&mut self) {
        // One task reads: what it has read it takes over before it reads again.
        self.refill();
        self.reads(true);
        for key in std::mem::take(&mut self.refills) {
            self.keys.refills(&key);
            let of_key = self.rows.iter().filter(|(_, row)| row.job.key == key);
            let of_key = of_key.map(|(seq, row)| Self::stored_job(*seq, row)).collect();
            self.refilled.push((key, of_key));
        }
    }

    fn refill(&mut self) {
        for (key, of_key) in std::mem::take(&mut self.refilled) {
            let step = self.keys.refill(&key, of_key, true);
            self.take(&key, step);
        }
        self.reads(false);
    }

    /// The rest of what is read may be there still.
    fn reads(&mut self, begins: bool) {
        if self.read.is_none() {
            self.keys.reads(begins);
        }
    }

    fn finished(&mut self, which: usize) -> Option<Start> {
        (!self.running.is_empty()).then(|| self.running.swap_remove(which % self.running.len()))
    }

    fn stored_job(seq: i64, row: &Row) -> StoredJob {
        StoredJob {
            seq,
            job: row.job.clone(),
            shard: 0,
            due_at: row.is_due.then_some(0),
            attempt: row.attempt,
            lost: 0,
            node: None,
            attempts: Attempts::default(),
        }
    }

    /// As the loader does, from the beginning: what waits for another attempt first.
    fn load(&mut self) {
        if self.read.is_none() {
            self.turn(Turn::Read);
        }
        let rows = self.read.take().unwrap_or_default();
        for row in rows.iter().filter(|row| row.due_at.is_some()) {
            self.keys.block_at_start(&row.job.key, 0, Some(row.seq));
        }
        let (due, ready): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.due_at.is_some());
        for row in due.into_iter().chain(ready) {
            let key = row.job.key.clone();
            self.keys.load(row);
            let step = self.keys.advance(&key);
            self.take(&key, step);
        }
        self.read_refills();
        self.refill();
        self.is_known = true;
    }
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        6 => (0_usize..3).prop_map(Turn::Accept),
        6 => prop::bool::weighted(0.9).prop_map(Turn::Store),
        1 => any::<bool>().prop_map(Turn::Unknown),
        6 => Just(Turn::Tell),
        6 => Just(Turn::Claim),
        6 => (0_usize..8, any::<bool>()).prop_map(|(which, next)| Turn::End(which, next)),
        2 => (0_usize..8).prop_map(Turn::Retry),
        1 => Just(Turn::Unload),
        3 => Just(Turn::Read),
        3 => Just(Turn::Load),
        3 => Just(Turn::ReadRefills),
        3 => Just(Turn::Refill),
    ];
    prop::collection::vec(turn, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn jobs_of_a_key_run_in_their_order_and_none_is_left(turns in turns()) {
        let mut world = World::default();
        turns.into_iter().for_each(|turn| world.turn(turn));
        // When nothing more comes, all that is stored is run.
        for _ in 0..2_000 {
            for turn in [Turn::Store(true), Turn::Tell, Turn::Claim, Turn::End(0, true), Turn::Load] {
                world.turn(turn);
            }
            if world.rows.is_empty() && world.accepted.is_empty() {
                break;
            }
        }
        prop_assert!(world.rows.is_empty(), "{} are left", world.rows.len());
        prop_assert_eq!(world.keys.len(), 0);
    }
}
