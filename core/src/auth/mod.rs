//! Accounts: users, their passwords, sessions and tokens.
//!
//! Every token belongs to a session row; ending the session, disabling or deleting its user ends
//! them all. This module must not know how tokens travel (headers, cookies, handshakes).

mod accounts;
mod app_keys;
mod password;
mod throttle;
mod token;
mod users;

pub use accounts::{Accounts, SignIn, SignedIn};
pub use app_keys::{AppKey, AppKeyChange, NewAppKey, Scope};
pub use password::{hash_password, verify_password};
pub use token::{Secret, TokenKind};
pub use users::{NewUser, ROLE_ADMIN, User, UserChange};
