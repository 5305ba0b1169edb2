//! A script that waits gives its place to another thread meanwhile: one that sleeps keeps no other from
//! running, and there are always as many workers as are configured.
//!
//! A thread that begins to wait gives its ticket up, and a spare thread becomes a worker. When it is
//! done waiting, it stands before the lanes of its group for the next of the group's tickets; the
//! worker that finds it there gives it both its ticket and its place, and becomes a spare itself.
//! Spares end when nobody has needed them for a while.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::lane::Group;
use super::{Job, worker};

/// How long a thread without a place stays for the next one.
const SPARE_TIME: Duration = Duration::from_secs(10);

thread_local! {
    /// The group that this thread works for.
    static PLACE: RefCell<Option<Arc<dyn Place>>> = const { RefCell::new(None) };
}

/// What a worker gives up while it waits, and gets back.
trait Place {
    /// False when the system refuses a thread; the worker keeps its place then.
    fn give_up(self: Arc<Self>) -> bool;
    /// Returns when the thread may go on.
    fn take_again(self: Arc<Self>);
}

/// Runs `wait` while another thread works in this one's place. On a thread that is no worker it just runs it.
pub fn wait<T>(wait: impl FnOnce() -> T) -> T {
    struct Back(Arc<dyn Place>);
    impl Drop for Back {
        fn drop(&mut self) {
            self.0.clone().take_again();
        }
    }
    let place = PLACE.with_borrow(Option::clone).filter(|place| place.clone().give_up());
    let _back = place.map(Back);
    wait()
}

/// Notes the group that this thread works for.
pub(super) fn work_for<J: Job>(group: &Arc<Group<J>>) {
    PLACE.with_borrow_mut(|place| {
        if place.as_ref().is_none_or(|place| !std::ptr::addr_eq(Arc::as_ptr(place), Arc::as_ptr(group))) {
            *place = Some(group.clone());
        }
    });
}

impl<J: Job> Place for Group<J> {
    fn give_up(self: Arc<Self>) -> bool {
        let is_replaced = self.shared.spares.fill_place(|| worker::start(&self.shared));
        if is_replaced {
            self.begin_waiting();
        }
        is_replaced
    }

    fn take_again(self: Arc<Self>) {
        let place = Arc::new(NextPlace::default());
        self.end_waiting(place.clone());
        place.wait();
    }
}

/// What a thread that is done waiting has in the group's list, until a worker gives it its place.
#[derive(Default)]
pub(super) struct NextPlace {
    is_given: Mutex<bool>,
    given: Condvar,
}

impl NextPlace {
    /// Lets the thread go on in the caller's place, which the caller loses.
    pub(super) fn give(&self) {
        *self.is_given.lock() = true;
        self.given.notify_one();
    }

    fn wait(&self) {
        let mut is_given = self.is_given.lock();
        while !*is_given {
            self.given.wait(&mut is_given);
        }
    }
}

/// Threads without a place.
#[derive(Default)]
pub(super) struct Spares {
    state: Mutex<SparesState>,
    wake: Condvar,
}

#[derive(Default)]
struct SparesState {
    idle: usize,
    /// Places that idle ones have still to take.
    places: usize,
}

impl Spares {
    /// Gives a place to a spare thread, or else to a new one; false when the system refuses a thread.
    fn fill_place(&self, start: impl FnOnce() -> std::io::Result<()>) -> bool {
        let mut state = self.state.lock();
        if state.idle > state.places {
            state.places += 1;
            self.wake.notify_one();
            return true;
        }
        drop(state);
        start()
            .inspect_err(
                |error| tracing::warn!(%error, "no thread for a worker; its script waits in its place"),
            )
            .is_ok()
    }

    /// Waits for a place; false when none came and the thread is to end.
    pub(super) fn wait_for_place(&self) -> bool {
        let mut state = self.state.lock();
        state.idle += 1;
        while state.places == 0 {
            if self.wake.wait_for(&mut state, SPARE_TIME).timed_out() && state.places == 0 {
                state.idle -= 1;
                return false;
            }
        }
        state.places -= 1;
        state.idle -= 1;
        true
    }
}
