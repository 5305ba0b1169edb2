//! App keys: how programs call the HTTP API, each within its scopes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::accounts::Accounts;
use super::token::invalid_token;
use crate::error::{Failure, Result};
use crate::id::new_id;
use crate::store::list::{ListQuery, Page};
use crate::store::{self, Time, app_key};

/// What a key begins with, so that people and secret scanners know one when they see it.
const PREFIX: &str = "gwk_";
/// Random bytes of a key. They cannot be guessed, so a fast hash is enough to keep it.
const KEY_BYTES: usize = 32;
const NAME_CHARS_MAX: usize = 200;
/// Keys in one query, at most: databases bound the number of parameters.
const KEYS_AT_ONCE: usize = 500;
/// How exactly the last use of a key is known: it is written no more often.
const LAST_USE_EVERY: Duration = Duration::from_secs(60);
/// Keys whose last use was written in that time; the least used are forgotten first, and written again.
const LAST_USES_MAX: u64 = 10_000;

/// The keys whose last use was written a moment ago.
pub(super) struct LastUses(moka::sync::Cache<Uuid, ()>);

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Reading which sockets are connected and in which rooms, and the metrics.
    SocketRead,
    /// Emits, and ending connections.
    SocketBroadcast,
    /// Rows of tables.
    DataRead,
    /// Changes of rows.
    DataWrite,
    /// Routes whose access is `app`.
    Routes,
}

/// A key as it is kept: without the key itself.
#[derive(Debug, Clone, PartialEq)]
pub struct AppKey {
    /// UUID v7.
    pub id: Uuid,
    /// For people.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// When it stops to count; none: never.
    pub expires_at: Option<Time>,
    /// When it was last used, to the minute; none: never.
    pub last_used_at: Option<Time>,
    /// When it was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
    /// What is kept of the key itself; another after a rotation.
    hash: String,
}

/// What a new key is made of.
#[derive(Debug, Clone)]
pub struct NewAppKey {
    /// For people; 1 to 200 characters.
    pub name: String,
    /// Texts of [`Scope`]s, at least one.
    pub scopes: Vec<String>,
    /// In the future; none: it does not expire.
    pub expires_at: Option<Time>,
}

/// What changes of a key; none: stays.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "as in NewAppKey")]
pub struct AppKeyChange {
    pub name: Option<String>,
    pub scopes: Option<Vec<String>>,
    pub expires_at: Option<Option<Time>>,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] =
        [Self::SocketRead, Self::SocketBroadcast, Self::DataRead, Self::DataWrite, Self::Routes];

    /// The scope as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SocketRead => "socket:read",
            Self::SocketBroadcast => "socket:broadcast",
            Self::DataRead => "data:read",
            Self::DataWrite => "data:write",
            Self::Routes => "routes",
        }
    }

    /// The scope written as `text`, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

impl AppKey {
    /// What scripts see of it.
    pub fn as_json(&self) -> serde_json::Value {
        let scopes: Vec<_> = self.scopes.iter().map(|scope| scope.as_str()).collect();
        serde_json::json!({ "id": self.id, "name": self.name, "scopes": scopes })
    }

    /// Whether it has not expired.
    fn counts(&self) -> bool {
        self.expires_at.is_none_or(|expires_at| expires_at > Time::now_utc())
    }

    /// Whether this is a later state of the same key, shown with the same secret.
    pub fn has_secret_of(&self, other: &Self) -> bool {
        self.hash == other.hash
    }

    /// Whether it may be used for this.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

impl From<app_key::Model> for AppKey {
    fn from(row: app_key::Model) -> Self {
        // A scope that this version does not know gives no right.
        let scopes = row.scopes.as_array().into_iter().flatten();
        Self {
            id: row.id,
            name: row.name,
            scopes: scopes.filter_map(|scope| Scope::parse(scope.as_str()?)).collect(),
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
            hash: row.key_hash,
        }
    }
}

impl Accounts {
    /// One page of app keys.
    pub async fn list_app_keys(&self, query: &ListQuery) -> Result<Page<AppKey>> {
        let page = self.store.list::<app_key::Entity>(query, None).await?;
        Ok(Page { rows: page.rows.into_iter().map(AppKey::from).collect(), counts: page.counts })
    }

    /// An app key by its id.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub async fn get_app_key(&self, id: Uuid) -> Result<AppKey> {
        let row = app_key::Entity::find_by_id(id).one(self.store.db()).await?;
        Ok(row.ok_or_else(|| Failure::not_found("app key", id))?.into())
    }

    /// Makes an app key. The text is the key itself, which nobody can ask for again.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a bad field; for an unknown scope it lists the known.
    pub async fn create_app_key(&self, new: NewAppKey) -> Result<(AppKey, String)> {
        let key = new_key();
        let now = store::now();
        let row = app_key::ActiveModel {
            id: Set(new_id()),
            name: Set(checked_name(new.name)?),
            scopes: Set(checked_scopes(&new.scopes)?),
            key_hash: Set(hash(&key)),
            expires_at: Set(checked_expiry(new.expires_at)?),
            last_used_at: Set(None),
            created_at: Set(now),
            updated_at: Set(now),
        };
        Ok((row.insert(self.store.db()).await?.into(), key))
    }

    /// Changes an app key; the key itself stays. Sockets that showed it have it as it is then.
    ///
    /// # Errors
    /// As [`Self::create_app_key`], and `RESOURCE_NOT_FOUND`.
    pub async fn update_app_key(&self, id: Uuid, change: AppKeyChange) -> Result<AppKey> {
        self.get_app_key(id).await?;
        let mut row =
            app_key::ActiveModel { id: Set(id), updated_at: Set(store::now()), ..Default::default() };
        if let Some(name) = change.name {
            row.name = Set(checked_name(name)?);
        }
        if let Some(scopes) = change.scopes {
            row.scopes = Set(checked_scopes(&scopes)?);
        }
        if let Some(expires_at) = change.expires_at {
            row.expires_at = Set(checked_expiry(expires_at)?);
        }
        let row = row.update(self.store.db()).await?;
        self.sessions_changed().await?;
        Ok(row.into())
    }

    /// Gives an app key another secret, which is the text. The one until now ends with it, and so do sockets that
    /// showed it; name, scopes and expiry stay.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub async fn rotate_app_key(&self, id: Uuid) -> Result<(AppKey, String)> {
        self.get_app_key(id).await?;
        let key = new_key();
        let row = app_key::ActiveModel {
            id: Set(id),
            key_hash: Set(hash(&key)),
            updated_at: Set(store::now()),
            ..Default::default()
        };
        let row = row.update(self.store.db()).await?;
        self.sessions_changed().await?;
        Ok((row.into(), key))
    }

    /// Deletes an app key: from now on it does not count, and sockets that showed it are ended.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub async fn delete_app_key(&self, id: Uuid) -> Result<()> {
        let gone = app_key::Entity::delete_by_id(id).exec(self.store.db()).await?;
        if gone.rows_affected == 0 {
            return Err(Failure::not_found("app key", id).into());
        }
        self.sessions_changed().await
    }

    /// Those of these app keys that still count.
    pub async fn live_app_keys(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Arc<AppKey>>> {
        let mut live = HashMap::new();
        for chunk in ids.chunks(KEYS_AT_ONCE) {
            let of_chunk = app_key::Column::Id.is_in(chunk.iter().copied());
            let rows = app_key::Entity::find().filter(of_chunk).all(self.store.db()).await?;
            let keys = rows.into_iter().map(AppKey::from).filter(AppKey::counts);
            live.extend(keys.map(|key| (key.id, Arc::new(key))));
        }
        Ok(live)
    }

    /// The app key that this is, as the database has it now.
    ///
    /// # Errors
    /// `AUTH_INVALID` for a key that is unknown or has expired.
    pub async fn app_key(&self, key: &str) -> Result<AppKey> {
        // Text that cannot be a key costs no query.
        if !key.starts_with(PREFIX) {
            return Err(invalid_token().into());
        }
        let row = app_key::Entity::find().filter(app_key::Column::KeyHash.eq(hash(key)));
        let key = row.one(self.store.db()).await?.map(AppKey::from);
        let key = key.filter(AppKey::counts).ok_or_else(invalid_token)?;
        self.note_use_of(key.id);
        Ok(key)
    }

    /// Writes when a key was used, unless that was written a moment ago. The request does not wait for it.
    fn note_use_of(&self, id: Uuid) {
        if !self.key_uses.begin(id) {
            return;
        }
        let db = self.store.db().clone();
        tokio::spawn(async move {
            let written = app_key::Entity::update_many()
                .col_expr(app_key::Column::LastUsedAt, Expr::value(store::now()))
                .filter(app_key::Column::Id.eq(id))
                .exec(&db)
                .await;
            if let Err(error) = written {
                tracing::warn!(%error, app_key = %id, "the last use of an app key is not noted");
            }
        });
    }
}

impl Default for LastUses {
    fn default() -> Self {
        let cache = moka::sync::Cache::builder().max_capacity(LAST_USES_MAX).time_to_live(LAST_USE_EVERY);
        Self(cache.build())
    }
}

impl LastUses {
    /// Whether the use of a key is to be written now. Of many at once, one is told so.
    fn begin(&self, id: Uuid) -> bool {
        // A look costs less than an entry, and it is what nearly all uses need.
        !self.0.contains_key(&id) && self.0.entry(id).or_insert(()).is_fresh()
    }
}

fn new_key() -> String {
    let mut bytes = [0; KEY_BYTES];
    rand::Rng::fill_bytes(&mut rand::rng(), &mut bytes);
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// SHA-256 in hex.
fn hash(key: &str) -> String {
    Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn checked_name(name: String) -> Result<String> {
    crate::store::check_text("name", &name)?;
    if (1..=NAME_CHARS_MAX).contains(&name.trim().chars().count()) {
        return Ok(name.trim().to_owned());
    }
    Err(Failure::invalid("name", format!("must have 1 to {NAME_CHARS_MAX} characters")).into())
}

/// The scopes as they are kept, each once.
fn checked_scopes(texts: &[String]) -> Result<serde_json::Value> {
    let known = || Scope::ALL.map(Scope::as_str).join(", ");
    if let Some(unknown) = texts.iter().find(|text| Scope::parse(text).is_none()) {
        let message = format!("there is no scope {unknown}; known: {}", known());
        return Err(Failure::invalid("scopes", message).into());
    }
    let all = Scope::ALL.map(Scope::as_str).into_iter();
    let scopes: Vec<_> = all.filter(|scope| texts.iter().any(|text| text == scope)).collect();
    if scopes.is_empty() {
        return Err(Failure::invalid("scopes", format!("takes at least one of: {}", known())).into());
    }
    Ok(scopes.into())
}

fn checked_expiry(expires_at: Option<Time>) -> Result<Option<Time>> {
    if expires_at.is_some_and(|expires_at| expires_at <= Time::now_utc()) {
        return Err(Failure::invalid("expiresAt", "must be in the future").into());
    }
    Ok(expires_at)
}
