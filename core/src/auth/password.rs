//! Argon2id with the parameters of the `argon2` crate (OWASP's: 19 MiB, 2 passes, 1 lane).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, ErrorCode, Failure, Result};

/// What a password is compared with when there is no user, so that the answer takes as long. No
/// password has this hash.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// Passwords that are hashed at once, at most: each takes 19 MiB and a core.
const AT_ONCE_MAX: usize = 4;
/// How long who finds the queue full is asked to wait.
const RETRY_MS: u64 = 1000;

/// The PHC string of a password with a fresh salt. Takes tens of milliseconds and 19 MiB.
pub fn hash_password(password: &str) -> String {
    let hash: PasswordHash =
        Argon2::default().hash_password(password.as_bytes()).expect("the default parameters are valid");
    hash.to_string()
}

/// Whether `password` has this PHC string. Without a hash it works as long and says no.
pub fn verify_password(password: &str, hash: Option<&str>) -> bool {
    let known = hash.is_some();
    let matches = PasswordHash::new(hash.unwrap_or(NOBODY))
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
    known && matches
}

/// Where passwords are hashed: on threads for blocking work, some at once, and with a bounded queue.
/// That no account or address fills it is the business of the throttle.
pub(super) struct Hashing {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
}

impl Hashing {
    pub(super) fn new(waiting_max: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let places = Arc::new(Semaphore::new(cores.min(AT_ONCE_MAX)));
        Self { places, waiting: AtomicUsize::new(0), waiting_max }
    }

    /// Runs work that takes a core for a while, once there is a place.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` with `details.retryAfterMs` when too many wait.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let place = self.place().await?;
        let work = move || {
            // Taken along: the work goes on when nobody waits for it any more.
            let _place = place;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| Error::Internal(error.to_string()))
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Ok(place);
        }
        let waiting = Waiting::new(&self.waiting);
        if waiting.before >= self.waiting_max {
            let failure =
                Failure::new(ErrorCode::ServiceUnavailable, "Too many sign-ins at once. Try again soon");
            return Err(failure.with_details(serde_json::json!({ "retryAfterMs": RETRY_MS })).into());
        }
        self.places.clone().acquire_owned().await.map_err(|error| Error::Internal(error.to_string()))
    }
}

/// One that waits, for as long as it does.
struct Waiting<'a> {
    all: &'a AtomicUsize,
    before: usize,
}

impl<'a> Waiting<'a> {
    fn new(all: &'a AtomicUsize) -> Self {
        Self { all, before: all.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::is_pending;

    #[test]
    fn nobody_has_a_hash_like_all_others() {
        let form = |hash: &str| hash.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        let real = hash_password("x");
        assert_eq!(form(NOBODY), form(&real));
        assert_eq!(NOBODY.len(), real.len());
        assert!(PasswordHash::new(NOBODY).is_ok());
        assert!(!verify_password("", None));
    }

    #[tokio::test]
    async fn who_finds_the_queue_full_is_sent_away() {
        let hashing = Hashing::new(2);
        let places = hashing.places.clone();
        let all = places.acquire_many(places.available_permits() as u32).await.unwrap();
        let mut first = Box::pin(hashing.run(|| 1));
        assert!(is_pending(&mut first).await);
        let mut second = Box::pin(hashing.run(|| 2));
        assert!(is_pending(&mut second).await);
        let refused = hashing.run(|| 3).await.unwrap_err().into_failure();
        assert_eq!(refused.code, ErrorCode::ServiceUnavailable);
        drop(all);
        assert_eq!((first.await.unwrap(), second.await.unwrap()), (1, 2));
    }
}
