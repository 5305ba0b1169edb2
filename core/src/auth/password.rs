//! Argon2id with the parameters of the `argon2` crate (OWASP's: 19 MiB, 2 passes, 1 lane).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Argon2, Params};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, ErrorCode, Failure, Result};

/// What a password is compared with when there is no user, so that the answer takes as long. No
/// password has this hash.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// Passwords that are hashed at once, at most: each takes 19 MiB and a core.
const AT_ONCE_MAX: usize = 4;
/// How long a client is asked to wait when the queue is full.
const RETRY_MS: u64 = 1000;

/// The PHC string of a password with a fresh salt. Takes tens of milliseconds and 19 MiB.
pub fn hash_password(password: &str) -> String {
    let hash: PasswordHash =
        Argon2::default().hash_password(password.as_bytes()).expect("the default parameters are valid");
    hash.to_string()
}

/// The most memory that a hash may ask for, in KiB, and the most of it times passes: what other
/// products use fits, and no hash keeps a thread or the memory for itself.
const MEMORY_KIB_MAX: u32 = 64 << 10;
const WORK_KIB_MAX: u32 = 4 * MEMORY_KIB_MAX;
/// The most lanes.
const LANES_MAX: u32 = 16;

/// Whether comparing with this PHC string costs no more than it may; a hash says itself what it
/// costs.
pub fn is_affordable(hash: &str) -> bool {
    let parameters = PasswordHash::new(hash).map(|hash| Params::try_from(&hash));
    // Another kind of text is compared with nothing.
    let Ok(Ok(cost)) = parameters else { return parameters.is_err() };
    cost.m_cost() <= MEMORY_KIB_MAX
        && cost.m_cost().saturating_mul(cost.t_cost()) <= WORK_KIB_MAX
        && cost.p_cost() <= LANES_MAX
}

/// Whether `password` has this PHC string. Without a hash, or with one that costs too much, it
/// works as long and says no.
pub fn verify_password(password: &str, hash: Option<&str>) -> bool {
    let hash = hash.filter(|hash| is_affordable(hash));
    let known = hash.is_some();
    let matches = PasswordHash::new(hash.unwrap_or(NOBODY))
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
    known && matches
}

/// Hashes passwords on threads for blocking work: a few at once, the rest in a bounded queue. The
/// throttle keeps one account or address from filling it.
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
            // The permit moves into the work, which goes on when nobody waits for it any more.
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

/// Counts one that waits, until it is dropped.
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

    #[test]
    fn a_hash_does_not_say_what_it_costs() {
        let hash = hash_password("p");
        assert!(is_affordable(&hash) && verify_password("p", Some(&hash)));
        for (parameters, is_within) in [
            ("m=65536,t=3,p=4", true),
            ("m=4194304,t=1,p=1", false),
            ("m=8,t=4294967295,p=1", false),
            ("m=65536,t=5,p=1", false),
            ("m=4096,t=3,p=255", false),
        ] {
            let costly = hash.replace("m=19456,t=2,p=1", parameters);
            assert_ne!(costly, hash);
            assert_eq!(is_affordable(&costly), is_within, "{parameters}");
            assert!(!verify_password("p", Some(&costly)), "{parameters}");
        }
    }
}
