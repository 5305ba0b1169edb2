//! Codes that sign in once: what a link carries that a program shows to whoever started it. Hashed, in
//! memory only, and few.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use sea_orm::EntityTrait;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::accounts::{Accounts, SignIn};
use super::own_account::too_many;
use crate::error::{ErrorCode, Failure, Result};
use crate::store::user;

/// How long a code counts.
const LIFE: Duration = Duration::from_secs(10 * 60);
/// Codes at once.
const CODES_MAX: usize = 100;
/// Random bytes of a code. They cannot be guessed, so a fast hash is enough to keep it.
const CODE_BYTES: usize = 32;

/// The codes that count.
#[derive(Default)]
pub(super) struct Codes(Mutex<HashMap<[u8; 32], Code>>);

struct Code {
    user_id: Uuid,
    made: Instant,
}

impl Codes {
    /// Keeps a code; of too many, the oldest goes.
    fn add(&self, code: &str, user_id: Uuid, now: Instant) {
        let mut codes = self.0.lock();
        codes.retain(|_, code| now.duration_since(code.made) < LIFE);
        if codes.len() >= CODES_MAX
            && let Some(oldest) = codes.iter().min_by_key(|(_, code)| code.made).map(|(hash, _)| *hash)
        {
            codes.remove(&oldest);
        }
        codes.insert(hash(code), Code { user_id, made: now });
    }

    /// Whose a code is. It counts no more.
    fn take(&self, code: &str, now: Instant) -> Option<Uuid> {
        let code = self.0.lock().remove(&hash(code))?;
        (now.duration_since(code.made) < LIFE).then_some(code.user_id)
    }
}

impl Accounts {
    /// A code that signs the user with this address in once, within 10 minutes and in this process; none where
    /// there is no such user.
    pub async fn code_for(&self, email: &str) -> Result<Option<String>> {
        let Some(row) = self.store.user_by_email(email).await? else { return Ok(None) };
        let mut bytes = [0; CODE_BYTES];
        rand::Rng::fill_bytes(&mut rand::rng(), &mut bytes);
        let code = URL_SAFE_NO_PAD.encode(bytes);
        self.codes.add(&code, row.id, Instant::now());
        Ok(Some(code))
    }

    /// Signs in with a code.
    ///
    /// # Errors
    /// `AUTHENTICATION_ERROR`, or `RATE_LIMIT_EXCEEDED` after too many failures for the address.
    pub async fn exchange(&self, code: &str, address: IpAddr) -> Result<SignIn> {
        let refused = |wait| too_many("Too many failed logins", wait);
        let attempt = self.throttle.attempt(&format!("address {address}")).await.map_err(refused)?;
        let wrong = || {
            let message = "This code does not count: each signs in once, within 10 minutes. Sign in with a password, \
                           or have a new link printed";
            Failure::new(ErrorCode::Authentication, message)
        };
        let user_id = self.codes.take(code, Instant::now()).ok_or_else(wrong)?;
        attempt.give_back();
        let row = user::Entity::find_by_id(user_id).one(self.store.db()).await?;
        let row = row.filter(|row| row.is_enabled).ok_or_else(wrong)?;
        let session = self.open_session(row.id, false).await?;
        Ok(self.sign_in(&session, row.into()))
    }
}

fn hash(code: &str) -> [u8; 32] {
    Sha256::digest(code).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_count_once_and_not_for_long() {
        let (codes, now, user) = (Codes::default(), Instant::now(), Uuid::now_v7());
        codes.add("a", user, now);
        assert_eq!(codes.take("b", now), None);
        assert_eq!(codes.take("a", now), Some(user));
        assert_eq!(codes.take("a", now), None);
        codes.add("late", user, now);
        assert_eq!(codes.take("late", now + LIFE), None);
    }

    #[test]
    fn codes_are_few() {
        let (codes, now, user) = (Codes::default(), Instant::now(), Uuid::now_v7());
        for number in 0..2 * CODES_MAX {
            codes.add(&number.to_string(), user, now + Duration::from_millis(number as u64));
        }
        assert_eq!(codes.0.lock().len(), CODES_MAX);
        assert_eq!(codes.take("0", now), None);
        assert_eq!(codes.take(&(2 * CODES_MAX - 1).to_string(), now + Duration::from_secs(1)), Some(user));
    }
}
