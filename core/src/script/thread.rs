//! Threads that scripts may run on.

use std::io;
use std::thread::{Builder, JoinHandle};

use tokio::sync::{Semaphore, oneshot};

use crate::queue::SCRIPT_STACK_BYTES;

/// Threads for each kind of work at once.
const THREADS_MAX: usize = 4;

static COMPILES: Semaphore = Semaphore::const_new(THREADS_MAX);
static TEST_RUNS: Semaphore = Semaphore::const_new(THREADS_MAX);

/// What a script thread is for: who compiles never waits for those who run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptWork {
    /// Scripts are compiled.
    Compile,
    /// A script runs that no client asked for.
    TestRun,
}

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

/// Does one piece of script work on a thread of its own; at most four of a kind at once, the others
/// wait.
///
/// # Errors
/// When the thread cannot be started or its work panics.
pub async fn run_on_script_thread<T: Send + 'static>(
    kind: ScriptWork,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, crate::Error> {
    let failed = |error: &dyn std::fmt::Display| crate::Error::Internal(format!("script thread: {error}"));
    let permits = match kind {
        ScriptWork::Compile => &COMPILES,
        ScriptWork::TestRun => &TEST_RUNS,
    };
    let _permit = permits.acquire().await.map_err(|error| failed(&error))?;
    let (done, result) = oneshot::channel();
    spawn_script_thread("script".to_owned(), move || {
        // The receiver is gone only when nobody waits for the outcome any more.
        let _ = done.send(work());
    })
    .map_err(|error| failed(&error))?;
    result.await.map_err(|error| failed(&error))
}
