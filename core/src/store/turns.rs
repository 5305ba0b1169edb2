//! Whose turn it is with SQLite's one writer. The product's own statements go before rows. Those who
//! wait check whether the transaction that has the turn keeps it for too long.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::writer_transaction::Open;

/// How often those who wait check the transaction that has the turn.
const LOOK: Duration = Duration::from_millis(20);

/// How long commits of jobs let rows go before them.
const JOBS_WAIT: Duration = Duration::from_millis(2);

/// For whom something is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The product's own tables: sign-in, sessions, definitions.
    Own,
    /// The tables of admins.
    Rows,
    /// Commits of jobs: the longer they wait, the more of them are in one.
    Jobs,
}

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Turns {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    is_taken: bool,
    /// Those who wait: for the product's own statements, and for all others.
    own: VecDeque<oneshot::Sender<Turn>>,
    rows: VecDeque<oneshot::Sender<Turn>>,
    /// Those behind them, with the time since when they wait.
    jobs: VecDeque<(Instant, oneshot::Sender<Turn>)>,
    /// The transaction that has the turn, if one has it.
    transaction: Weak<Open>,
}

/// The turn. Dropping it gives it to the next.
#[derive(Debug)]
pub(super) struct Turn(Option<Arc<Turns>>);

impl Turns {
    /// Waits for the turn.
    pub(super) async fn take(self: &Arc<Self>, whose: Whose) -> Turn {
        let mut given = {
            let mut state = self.state.lock();
            if !state.is_taken {
                state.is_taken = true;
                return Turn(Some(self.clone()));
            }
            let (give, given) = oneshot::channel();
            match whose {
                Whose::Own => state.own.push_back(give),
                Whose::Rows => state.rows.push_back(give),
                Whose::Jobs => state.jobs.push_back((Instant::now(), give)),
            }
            given
        };
        loop {
            match tokio::time::timeout(LOOK, &mut given).await {
                Ok(turn) => return turn.expect("who waits stands in a list until the turn is theirs"),
                Err(_) => self.end_overdue(),
            }
        }
    }

    fn end_overdue(&self) {
        // Unlocked before `end_if_overdue`: a transaction that ends locks the state to pass the turn on.
        let transaction = self.state.lock().transaction.upgrade();
        if let Some(open) = transaction {
            open.end_if_overdue();
        }
    }
}

impl State {
    /// Who has the turn next.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        if let Some(own) = self.own.pop_front() {
            return Some(own);
        }
        let jobs_have_waited = self.jobs.front().is_some_and(|(since, _)| since.elapsed() >= JOBS_WAIT);
        let rows = if jobs_have_waited { None } else { self.rows.pop_front() };
        rows.or_else(|| self.jobs.pop_front().map(|(_, give)| give)).or_else(|| self.rows.pop_front())
    }
}

impl Turn {
    /// Notes the transaction that has the turn.
    pub(super) fn belongs_to(&self, transaction: &Arc<Open>) {
        if let Some(turns) = &self.0 {
            turns.state.lock().transaction = Arc::downgrade(transaction);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(turns) = self.0.take() else { return };
        loop {
            let next = {
                let mut state = turns.state.lock();
                state.transaction = Weak::new();
                let next = state.next();
                state.is_taken = next.is_some();
                next
            };
            let Some(next) = next else { return };
            match next.send(Self(Some(turns.clone()))) {
                Ok(()) => return,
                // This one no longer waits; the turn goes to the one after it.
                Err(mut refused) => drop(refused.0.take()),
            }
        }
    }
}
