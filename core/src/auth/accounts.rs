//! Signing in and out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::app_keys;
use super::codes::Codes;
use super::issuer::Issuer;
use super::own_account::too_many;
use super::password::{Hashing, verify_password};
use super::throttle::{Attempt, Throttle};
use super::token::{Claims, Secret, TokenKind, invalid_token};
use super::users::User;
use crate::config;
use crate::error::{ErrorCode, Failure, Result};
use crate::id::new_id;
use crate::listeners::Listeners;
use crate::store::{self, ChangeNumbers, Store, Time, session, user};

/// Sessions in one query, at most: databases bound the number of parameters.
const SESSIONS_AT_ONCE: usize = 500;
/// Sessions whose last use is remembered.
const LAST_USES_MAX: u64 = 10_000;
/// Bytes of a token; a longer one is refused unread.
const TOKEN_BYTES_MAX: usize = 16 << 10;

/// Hears of a changed user.
type TellUserChange = Box<dyn Fn(&UserChanged) + Send + Sync>;

/// All that concerns users and their tokens.
pub struct Accounts {
    pub(super) store: Store,
    secret: Arc<Secret>,
    issuer: Option<Issuer>,
    settings: config::Auth,
    /// Bounds wrong passwords.
    pub(super) throttle: Throttle,
    /// Bounds registrations.
    pub(super) registrations: Throttle,
    pub(super) hashing: Hashing,
    pub(super) codes: Codes,
    /// When tokens of sessions were last shown; the least used are forgotten first.
    pub(super) last_uses: moka::sync::Cache<Uuid, Time>,
    /// Of app keys.
    pub(super) key_uses: app_keys::LastUses,
    listeners: Listeners,
    /// Hears of every user that is made, changed or deleted here.
    pub(super) user_changes: OnceLock<TellUserChange>,
}

/// What became of a user.
#[derive(Debug, Clone)]
pub struct UserChanged {
    /// As it was; none: it is new.
    pub old: Option<User>,
    /// As it is; none: it is gone.
    pub new: Option<User>,
    /// What the application keeps with the user.
    pub profile: Option<serde_json::Value>,
}

/// An attempt to sign in. If dropped, the password counts as wrong.
pub(super) struct PasswordAttempt {
    of_account: Attempt,
    of_address: Attempt,
}

/// What a sign-in gives.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// The token for requests and sockets.
    pub access_token: String,
    /// When the access token expires.
    pub access_expires_at: Time,
    /// The token for the next sign-in without a password; it can be used once.
    pub refresh_token: String,
    /// When the refresh token expires.
    pub refresh_expires_at: Time,
    /// Who signed in.
    pub user: User,
}

/// Who a token belongs to.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The user, as the database has it now or as the token's issuer says.
    pub user: Arc<User>,
    /// The session that the token belongs to; none: it is of another issuer.
    pub session_id: Option<Uuid>,
    /// When the token expires.
    pub expires_at: Time,
}

impl Accounts {
    /// Accounts in `store` with tokens signed by `secret`, or by the configured issuer.
    ///
    /// # Errors
    /// When the issuer's key cannot be read or does not fit.
    pub fn new(store: Store, secret: Arc<Secret>, settings: config::Auth) -> Result<Self> {
        let issuer = Issuer::open(&settings.issuer)?;
        let throttle = Throttle::new(settings.login_failures_per_minute);
        let registrations = Throttle::new(settings.registrations_per_minute);
        let hashing = Hashing::new(settings.passwords_waiting);
        let listeners = Listeners::default();
        let user_changes = OnceLock::new();
        let (codes, last_uses) = (Codes::default(), moka::sync::Cache::new(LAST_USES_MAX));
        Ok(Self {
            store,
            secret,
            issuer,
            settings,
            throttle,
            registrations,
            hashing,
            codes,
            last_uses,
            key_uses: Default::default(),
            listeners,
            user_changes,
        })
    }

    /// Whether anyone may register.
    pub fn registration_is_open(&self) -> bool {
        self.settings.register
    }

    /// Signs in with a password. The answer and its time are the same whether the user exists.
    ///
    /// # Errors
    /// `AUTHENTICATION_ERROR`, or `RATE_LIMIT_EXCEEDED` with `details.retryAfterMs` after too many
    /// failures for the account or the address.
    pub async fn login(
        &self,
        email: &str,
        password: String,
        remember: bool,
        address: IpAddr,
    ) -> Result<SignIn> {
        let attempt = self.attempt(email, address).await?;
        match self.check_password(email, password).await {
            Ok(Some(row)) => {
                attempt.succeed();
                let session = self.open_session(row.id, remember).await?;
                Ok(self.sign_in(&session, row.into()))
            }
            Ok(None) => {
                Err(Failure::new(ErrorCode::Authentication, "Wrong e-mail address or password").into())
            }
            Err(error) => {
                attempt.give_back();
                Err(error)
            }
        }
    }

    /// Begins to try a password. The address is checked first, so that one that has used up its attempts
    /// uses up none of the accounts that it names.
    pub(super) async fn attempt(&self, email: &str, address: IpAddr) -> Result<PasswordAttempt> {
        let refused = |wait| too_many("Too many failed logins", wait);
        let of_address = self.throttle.attempt(&format!("address {address}")).await.map_err(refused)?;
        let of_account = format!("account {}", email.trim().to_lowercase());
        match self.throttle.attempt(&of_account).await {
            Ok(of_account) => Ok(PasswordAttempt { of_account, of_address }),
            Err(wait) => {
                of_address.give_back();
                Err(refused(wait))
            }
        }
    }

    /// The enabled user with this address and password.
    pub(super) async fn check_password(&self, email: &str, password: String) -> Result<Option<user::Model>> {
        let row = self.store.user_by_email(email).await?;
        let hash = row.as_ref().map(|row| row.password_hash.clone());
        let matches = self.hashing.run(move || verify_password(&password, hash.as_deref())).await?;
        Ok(row.filter(|row| matches && row.is_enabled))
    }

    /// A new pair of tokens for a refresh token. It counts once: one that comes back ends its session.
    ///
    /// # Errors
    /// `AUTH_INVALID`.
    pub async fn refresh(&self, refresh_token: &str) -> Result<SignIn> {
        let claims = self.secret.verify(refresh_token, &[TokenKind::Refresh])?;
        let rotated = session::Entity::update_many()
            .col_expr(session::Column::Generation, Expr::col(session::Column::Generation).add(1))
            .filter(session::Column::Id.eq(claims.sid))
            .filter(session::Column::Generation.eq(claims.generation))
            .filter(session::Column::RevokedAt.is_null())
            .exec(self.store.db())
            .await?;
        if rotated.rows_affected == 0 {
            tracing::warn!(user_id = %claims.sub, "a used refresh token came back; its session is ended");
            self.end_session(claims.sid).await?;
            return Err(invalid_token().into());
        }
        let (row, user) = self.live_session(&claims).await?;
        Ok(self.sign_in(&row, user))
    }

    /// Ends a session, with all its tokens.
    pub async fn end_session(&self, session_id: Uuid) -> Result<()> {
        self.revoke(session::Column::Id.eq(session_id)).await
    }

    /// Ends all sessions of a user.
    pub async fn end_sessions_of(&self, user_id: Uuid) -> Result<()> {
        self.revoke(session::Column::UserId.eq(user_id)).await
    }

    /// The session that a refresh token belongs to, whether or not it still counts.
    pub fn session_of_refresh_token(&self, token: &str) -> Option<(Uuid, Uuid)> {
        self.secret.verify(token, &[TokenKind::Refresh]).ok().map(|claims| (claims.sid, claims.sub))
    }

    /// Who an access token of ours or of the configured issuer belongs to. Ours asks the database:
    /// a disabled user or an ended session does not count.
    ///
    /// # Errors
    /// `AUTH_INVALID`.
    pub async fn authenticate(&self, token: &str) -> Result<SignedIn> {
        self.authenticate_by(token, &[TokenKind::Access]).await
    }

    /// The same for a socket, for which its own kind of token counts too.
    ///
    /// # Errors
    /// `AUTH_INVALID`.
    pub async fn authenticate_socket(&self, token: &str) -> Result<SignedIn> {
        self.authenticate_by(token, &[TokenKind::Access, TokenKind::Websocket]).await
    }

    async fn authenticate_by(&self, token: &str, kinds: &[TokenKind]) -> Result<SignedIn> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(invalid_token().into());
        }
        let Ok(claims) = self.secret.verify(token, kinds) else {
            return self.authenticate_with_issuer(token).await;
        };
        let (row, user) = self.live_session(&claims).await?;
        self.last_uses.insert(row.id, store::now());
        let expires_at = Time::from_unix_timestamp(claims.exp).map_err(|_| invalid_token())?;
        Ok(SignedIn { user: Arc::new(user), session_id: Some(row.id), expires_at })
    }

    async fn authenticate_with_issuer(&self, token: &str) -> Result<SignedIn> {
        let issuer = self.issuer.as_ref().ok_or_else(invalid_token)?;
        let (user, expires_at) = issuer.verify(token)?;
        // However the UUID is spelled: a column of UUIDs reads every spelling as the same id.
        if let Ok(id) = Uuid::parse_str(user.id.as_str())
            && user::Entity::find_by_id(id).one(self.store.db()).await?.is_some()
        {
            tracing::warn!(user_id = %id, "a token of the issuer has the id of a user here; it is refused");
            return Err(invalid_token().into());
        }
        Ok(SignedIn { user: Arc::new(user), session_id: None, expires_at })
    }

    /// The users of those of these sessions that still count.
    pub async fn live_sessions(&self, sessions: &[Uuid]) -> Result<HashMap<Uuid, Arc<User>>> {
        let mut live = HashMap::new();
        for chunk in sessions.chunks(SESSIONS_AT_ONCE) {
            let rows = session::Entity::find()
                .filter(session::Column::Id.is_in(chunk.iter().copied()))
                .filter(session::Column::RevokedAt.is_null())
                .all(self.store.db())
                .await?;
            let users = user::Entity::find()
                .filter(user::Column::Id.is_in(rows.iter().map(|row| row.user_id)))
                .filter(user::Column::IsEnabled.eq(true))
                .all(self.store.db())
                .await?;
            let users: HashMap<_, _> =
                users.into_iter().map(|row| (row.id, Arc::new(User::from(row)))).collect();
            live.extend(rows.iter().filter_map(|row| Some((row.id, users.get(&row.user_id)?.clone()))));
        }
        Ok(live)
    }

    /// A user of this installation who may sign in.
    pub async fn enabled_user(&self, id: &str) -> Result<Option<User>> {
        let Ok(id) = Uuid::parse_str(id) else { return Ok(None) };
        let row = user::Entity::find_by_id(id).filter(user::Column::IsEnabled.eq(true));
        Ok(row.one(self.store.db()).await?.map(User::from))
    }

    /// Has `tell` called whenever users or sessions have changed here. It must not wait.
    pub fn on_change(&self, tell: impl Fn() + Send + Sync + 'static) {
        self.listeners.add(tell);
    }

    /// Has `tell` called after each change of a user by this process. It must not wait. Only the first counts.
    pub fn on_user_change(&self, tell: impl Fn(&UserChanged) + Send + Sync + 'static) {
        let _ = self.user_changes.set(Box::new(tell));
    }

    /// Tells all processes that users or sessions have changed.
    pub(super) async fn sessions_changed(&self) -> Result<()> {
        self.store.sessions_changed().await?;
        self.listeners.tell();
        Ok(())
    }

    /// See [`Store::change_numbers`].
    pub async fn change_numbers(&self) -> Result<ChangeNumbers> {
        self.store.change_numbers().await
    }

    /// A token for `auth.token` of the session's user, which counts nowhere else.
    ///
    /// # Errors
    /// `AUTHORIZATION_ERROR` for a user of another issuer, whose own token serves for that.
    pub async fn websocket_token(&self, signed_in: &SignedIn) -> Result<(String, Time)> {
        let Some(session_id) = signed_in.session_id else {
            let message = "This token is of another issuer: give it to the socket as it is";
            return Err(Failure::new(ErrorCode::Authorization, message).into());
        };
        let row = session::Entity::find_by_id(session_id).one(self.store.db()).await?;
        let row = row.ok_or_else(invalid_token)?;
        let ttl = Duration::from_secs(u64::from(self.settings.websocket_token_minutes) * 60);
        Ok(self.token(&row, TokenKind::Websocket, store::now() + ttl))
    }

    /// A token for a user without a password, for the operator.
    ///
    /// # Errors
    /// `AUTHORIZATION_ERROR` for a user of another issuer.
    pub async fn token_for(&self, user: &User, ttl: Duration) -> Result<(String, Time)> {
        let row = self.insert_session(user.own_account()?.id, false, store::now() + ttl).await?;
        Ok(self.token(&row, TokenKind::Access, row.expires_at))
    }

    pub(super) async fn open_session(&self, user_id: Uuid, remember: bool) -> Result<session::Model> {
        let days = if remember { self.settings.remember_days } else { self.settings.refresh_token_days };
        let expires_at = store::now() + Duration::from_secs(u64::from(days) * 86_400);
        self.insert_session(user_id, remember, expires_at).await
    }

    async fn insert_session(
        &self,
        user_id: Uuid,
        remember: bool,
        expires_at: Time,
    ) -> Result<session::Model> {
        let row = session::ActiveModel {
            id: Set(new_id()),
            user_id: Set(user_id),
            generation: Set(0),
            remember: Set(remember),
            expires_at: Set(expires_at),
            revoked_at: Set(None),
            created_at: Set(store::now()),
        };
        Ok(row.insert(self.store.db()).await?)
    }

    async fn live_session(&self, claims: &Claims) -> Result<(session::Model, User)> {
        let row = session::Entity::find_by_id(claims.sid).one(self.store.db()).await?;
        let row = row
            .filter(|row| {
                row.revoked_at.is_none() && row.user_id == claims.sub && row.expires_at > store::now()
            })
            .ok_or_else(invalid_token)?;
        let user = user::Entity::find_by_id(claims.sub).one(self.store.db()).await?;
        let user = user.filter(|user| user.is_enabled).ok_or_else(invalid_token)?;
        Ok((row, user.into()))
    }

    async fn revoke(&self, which: impl sea_orm::sea_query::IntoCondition) -> Result<()> {
        session::Entity::update_many()
            .col_expr(session::Column::RevokedAt, Expr::value(store::now()))
            .filter(which)
            .filter(session::Column::RevokedAt.is_null())
            .exec(self.store.db())
            .await?;
        self.sessions_changed().await
    }

    pub(super) fn sign_in(&self, row: &session::Model, user: User) -> SignIn {
        let ttl = Duration::from_secs(u64::from(self.settings.access_token_minutes) * 60);
        let (access_token, access_expires_at) = self.token(row, TokenKind::Access, store::now() + ttl);
        let (refresh_token, refresh_expires_at) = self.token(row, TokenKind::Refresh, row.expires_at);
        SignIn { access_token, access_expires_at, refresh_token, refresh_expires_at, user }
    }

    /// A token that ends then, or with its session.
    fn token(&self, of: &session::Model, typ: TokenKind, expires_at: Time) -> (String, Time) {
        let expires_at = Ord::min(expires_at, of.expires_at);
        let (iat, exp) = (store::now().unix_timestamp(), expires_at.unix_timestamp());
        let claims = Claims { sub: of.user_id, sid: of.id, typ, generation: of.generation, iat, exp };
        (self.secret.sign(&claims), expires_at)
    }
}

impl PasswordAttempt {
    /// The password was right: the account's failures are forgotten. The address keeps its own, or an
    /// attacker could sign in to an own account in between and guess on.
    pub(super) fn succeed(self) {
        self.of_account.forget();
        self.of_address.give_back();
    }

    /// The password was not checked; the attempt is given back.
    pub(super) fn give_back(self) {
        self.of_account.give_back();
        self.of_address.give_back();
    }
}
