//! What users do with their own accounts: register, and change them. As far as that is possible
//! without mail, the answers do not tell which addresses have an account.

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
    /// Makes an account. If the e-mail address has one already, it stays as it is and the answer is the
    /// same. Each attempt counts for the network address.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a bad field, `RATE_LIMIT_EXCEEDED` after too many.
    pub async fn register(&self, new: NewUser, address: IpAddr) -> Result<()> {
        new.check()?;
        let attempt = self.registrations.attempt(&format!("address {address}")).await;
        let _attempt = attempt.map_err(|wait| too_many("Too many registrations", wait))?;
        match self.create_user(new).await {
            Err(Error::Refused(failure)) if failure.code == ErrorCode::DuplicateResource => {
                // One write, so that this takes as long as making an account.
                self.sessions_changed().await
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
            // Used up like a wrong password, so that few addresses can be tried.
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

/// The refusal after too many attempts.
pub(super) fn too_many(what: &'static str, wait: std::time::Duration) -> Error {
    let failure = Failure::new(ErrorCode::RateLimitExceeded, format!("{what}. Try again later"));
    failure.with_details(serde_json::json!({ "retryAfterMs": wait.as_millis() as u64 })).into()
}
