//! The sessions of a user, as admins see them.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::accounts::Accounts;
use crate::error::{Failure, Result};
use crate::store::{self, Time, session};

/// Sessions that are listed at most.
const SESSIONS_MAX: u64 = 1000;

/// A session that counts.
#[derive(Debug, Clone)]
pub struct LiveSession {
    /// Its id.
    pub id: Uuid,
    /// When it was signed in to.
    pub created_at: Time,
    /// When it ends by itself.
    pub expires_at: Time,
    /// When a token of it was last shown to this process, as far as that is remembered.
    pub last_used_at: Option<Time>,
}

impl Accounts {
    /// The sessions of a user that count, newest first.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub async fn sessions_of(&self, user_id: Uuid) -> Result<Vec<LiveSession>> {
        self.user(user_id).await?;
        let rows = session::Entity::find()
            .filter(session::Column::UserId.eq(user_id))
            .filter(session::Column::RevokedAt.is_null())
            .filter(session::Column::ExpiresAt.gt(store::now()))
            .order_by_desc(session::Column::Id)
            .limit(SESSIONS_MAX)
            .all(self.store.db())
            .await?;
        let live = |row: session::Model| LiveSession {
            id: row.id,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: self.last_uses.get(&row.id),
        };
        Ok(rows.into_iter().map(live).collect())
    }

    /// Ends a session that counts, with all its tokens.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub async fn end_live_session(&self, id: Uuid) -> Result<()> {
        let row = session::Entity::find_by_id(id).filter(session::Column::RevokedAt.is_null());
        if row.one(self.store.db()).await?.is_none() {
            return Err(Failure::not_found("session", id).into());
        }
        self.end_session(id).await
    }
}
