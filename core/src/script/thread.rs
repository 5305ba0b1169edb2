//! Threads that scripts may run on.

use std::io;
use std::thread::{Builder, JoinHandle};

use tokio::sync::{Semaphore, oneshot};

use crate::queue::SCRIPT_STACK_BYTES;

/// Threads for single runs at once.
const SINGLE_RUNS_MAX: usize = 4;

static SINGLE_RUNS: Semaphore = Semaphore::const_new(SINGLE_RUNS_MAX);

/// Starts a thread with a stack that suffices for any script within the caps.
///
/// # Errors
/// When the system refuses another thread.
pub fn spawn_script_thread<T: Send + 'static>(
    name: String,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    Builder::new().name(name).stack_size(SCRIPT_STACK_BYTES).spawn(work)
}

/// Does one piece of script work (a compile, a test run) on a thread of its own; at most four at
/// once, the others wait.
///
/// # Errors
/// When the thread cannot be started or its work panics.
pub async fn run_on_script_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, crate::Error> {
    let failed = |error: &dyn std::fmt::Display| crate::Error::Internal(format!("script thread: {error}"));
    let _permit = SINGLE_RUNS.acquire().await.map_err(|error| failed(&error))?;
    let (done, result) = oneshot::channel();
    spawn_script_thread("script".to_owned(), move || {
        // The receiver is gone only when nobody waits for the outcome any more.
        let _ = done.send(work());
    })
    .map_err(|error| failed(&error))?;
    result.await.map_err(|error| failed(&error))
}
