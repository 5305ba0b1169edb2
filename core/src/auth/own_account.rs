//! What people do with their own accounts: register, and change what is theirs. Nobody hears here
//! which addresses have an account, as far as that can be without mail.

use std::net::IpAddr;

use uuid::Uuid;

use super::accounts::Accounts;
use super::users::{NewUser, User, UserChange};
use crate::error::{Error, ErrorCode, Failure, Result};

/// What users change of themselves.
#[derive(Debug, Default)]
pub struct OwnChange {
    /// What changes. A new address or password needs the present one.
    pub change: UserChange,
    /// The password until now.
    pub current_password: Option<String>,
}

impl Accounts {
    /// Makes an account, unless there is one with this address, which is not told: whoever has it
    /// signs in with the password that they have. Each attempt counts for its address.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a bad field, `RATE_LIMIT_EXCEEDED` after too many.
    pub async fn register(&self, new: NewUser, address: IpAddr) -> Result<()> {
        new.check()?;
        let attempt = self.registrations.attempt(&format!("address {address}")).await;
        let _attempt = attempt.map_err(|wait| too_many("Too many registrations", wait))?;
        match self.create_user(new).await {
            Err(Error::Refused(failure)) if failure.code == ErrorCode::DuplicateResource => {
                // As long as it takes to make one.
                self.store.bump_change_number().await
            }
            made => made.map(drop),
        }
    }

    /// Changes the own account. A new password ends all sessions.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a bad field, a wrong or missing present password, or an address that
    /// cannot be had; `RATE_LIMIT_EXCEEDED` after too many wrong passwords or taken addresses.
    pub async fn change_own(&self, id: Uuid, own: OwnChange, address: IpAddr) -> Result<User> {
        let OwnChange { change, current_password } = own;
        if change.email.is_none() && change.password.is_none() {
            return self.update_user(id, change).await;
        }
        let current = current_password.ok_or_else(|| {
            let message = "is needed to change the e-mail address or the password";
            Failure::invalid("currentPassword", message)
        })?;
        let email = self.user(id).await?.email;
        let attempt = self.attempt(&email, address).await?;
        let row = match self.check_password(&email, current).await {
            Ok(row) => row,
            Err(error) => {
                attempt.give_back();
                return Err(error);
            }
        };
        if row.is_none_or(|row| row.id != id) {
            return Err(Failure::invalid("currentPassword", "is wrong").into());
        }
        match self.update_user(id, change).await {
            // Counted like a wrong password, so that few addresses can be tried.
            Err(Error::Refused(failure)) if failure.code == ErrorCode::DuplicateResource => {
                Err(Failure::invalid("email", "cannot be used; choose another").into())
            }
            done => {
                attempt.succeed();
                done
            }
        }
    }
}

/// The refusal of who tried too often.
pub(super) fn too_many(what: &'static str, wait: std::time::Duration) -> Error {
    let failure = Failure::new(ErrorCode::RateLimitExceeded, format!("{what}. Try again later"));
    failure.with_details(serde_json::json!({ "retryAfterMs": wait.as_millis() as u64 })).into()
}
