//! Accounts: users, their passwords, sessions and tokens.
//!
//! Every token of ours belongs to a session row; ending the session, disabling or deleting its
//! user ends them all. A token of another issuer has none and counts until it expires. This module must not know how tokens travel (headers, cookies, handshakes).

mod accounts;
mod app_keys;
mod codes;
mod issuer;
mod last_admin;
mod own_account;
mod password;
mod sessions;
mod throttle;
mod token;
mod user_id;
mod users;

pub use accounts::{Accounts, SignIn, SignedIn, UserChanged};
pub use app_keys::{AppKey, AppKeyChange, NewAppKey, Scope};
pub use own_account::OwnChange;
pub use password::{hash_password, is_affordable, verify_password};
pub use sessions::LiveSession;
pub use token::{Secret, TokenKind};
pub use user_id::UserId;
pub use users::{Account, NewUser, ROLE_ADMIN, ROLE_USER, User, UserChange, check_name};

/// Whether a future is not there yet; it is asked once.
#[cfg(test)]
async fn is_pending(future: &mut (impl Future + Unpin)) -> bool {
    use std::task::Poll;
    std::future::poll_fn(|context| Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending()))
        .await
}
