//! Who calls, where it need not be a user: anyone, a user, or a program with an app key.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use gatewright_core::auth::{Accounts, AppKey, Scope, SignedIn};
use gatewright_core::config::Config;
use gatewright_core::{Error, ErrorCode, Failure};

use crate::error::ApiError;
use crate::extract::check_origin;
use crate::request::{ACCESS_COOKIE, APP_KEY_HEADER, bearer, cookie};

/// Who calls. An app key or a token in the `Authorization` header that does not count is refused
/// with 401; a stale cookie alone is as good as none, since the browser sends it unasked.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Nobody that is known.
    Anonymous,
    /// A user with a token.
    User(SignedIn),
    /// A program with an app key.
    App(AppKey),
}

impl Caller {
    /// Lets an admin pass, and an app key with this scope.
    ///
    /// # Errors
    /// `AUTHENTICATION_ERROR` for nobody, `AUTHORIZATION_ERROR` for all others.
    pub fn check_admin_or(&self, scope: Scope) -> Result<(), ApiError> {
        match self {
            Self::User(signed_in) if signed_in.user.is_admin() => Ok(()),
            Self::App(key) if key.may(scope) => Ok(()),
            Self::Anonymous => Err(ApiError::unauthenticated()),
            Self::User(_) | Self::App(_) => {
                let message = format!("This needs the role admin, or an app key with {}", scope.as_str());
                Err(Failure::new(ErrorCode::Authorization, message).into())
            }
        }
    }
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Arc<Accounts>: FromRef<S>,
    Arc<Config>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let accounts = Arc::<Accounts>::from_ref(state);
        if let Some(key) = parts.headers.get(APP_KEY_HEADER) {
            // What is not even text is no key either.
            let key = key.to_str().unwrap_or_default();
            return Ok(Self::App(accounts.app_key(key).await?));
        }
        if let Some(token) = bearer(&parts.headers) {
            return Ok(Self::User(accounts.authenticate(token).await?));
        }
        let Some(token) = cookie(&parts.headers, ACCESS_COOKIE) else { return Ok(Self::Anonymous) };
        check_origin(parts, &Arc::<Config>::from_ref(state))?;
        match accounts.authenticate(token).await {
            Ok(signed_in) => Ok(Self::User(signed_in)),
            Err(Error::Refused(_)) => Ok(Self::Anonymous),
            Err(other) => Err(other.into()),
        }
    }
}
