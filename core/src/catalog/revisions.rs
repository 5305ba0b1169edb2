//! The history of scripts: every save appends, nothing is changed.

use sea_orm::sea_query::Cond;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use uuid::Uuid;

use super::change::{EventChange, GatewayChange};
use super::{Catalog, Event, Gateway};
use crate::error::{Failure, Result};
use crate::id::new_id;
use crate::script::SCRIPT_CONNECTION;
use crate::store::list::{ListQuery, Page};
use crate::store::{self, Store, Time, revision};

/// Saves of one script at once that clash on the next number are tried again.
const TRIES: usize = 5;

/// One saved version of a script.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented on the row")]
pub struct Revision {
    pub number: i64,
    pub script: String,
    pub source: String,
    pub author: Option<String>,
    pub created_at: Time,
}

impl Catalog {
    /// One page of the history of a gateway, an event or a route.
    pub async fn list_revisions(&self, owner: Uuid, query: &ListQuery) -> Result<Page<Revision>> {
        let scope = Cond::all().add(revision::Column::OwnerId.eq(owner));
        let query =
            ListQuery { sort: query.sort.clone().or_else(|| Some("-number".to_owned())), ..query.clone() };
        let page = self.store.list::<revision::Entity>(&query, Some(scope)).await?;
        Ok(Page { rows: page.rows.into_iter().map(Revision::from).collect(), counts: page.counts })
    }

    /// Saves an earlier version of an event's script again, as the newest.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`; `SCRIPT_COMPILE_ERROR` when it no longer compiles.
    pub async fn restore_event(&self, id: Uuid, number: i64, author: &str) -> Result<Event> {
        let revision = self.revision(id, number).await?;
        let change = EventChange { source_code: Some(revision.source), ..Default::default() };
        self.update_event(id, change, author).await
    }

    /// Saves an earlier version of one of a gateway's scripts again, as the newest.
    ///
    /// # Errors
    /// As [`Self::restore_event`].
    pub async fn restore_gateway(&self, id: Uuid, number: i64, author: &str) -> Result<Gateway> {
        let revision = self.revision(id, number).await?;
        let source = Some((!revision.source.is_empty()).then_some(revision.source));
        let change = if revision.script == SCRIPT_CONNECTION {
            GatewayChange { connection_script: source, ..Default::default() }
        } else {
            GatewayChange { disconnection_script: source, ..Default::default() }
        };
        self.update_gateway(id, change, author).await
    }

    /// One version.
    pub(super) async fn revision(&self, owner: Uuid, number: i64) -> Result<Revision> {
        let row = revision::Entity::find()
            .filter(revision::Column::OwnerId.eq(owner))
            .filter(revision::Column::Number.eq(number))
            .one(self.store.db())
            .await?;
        Ok(row.ok_or_else(|| Failure::not_found("revision", number))?.into())
    }

    /// Appends a version of a script.
    pub(super) async fn append_revision(
        &self,
        owner: Uuid,
        script: &str,
        source: &str,
        author: &str,
    ) -> Result<()> {
        for attempt in 1.. {
            let last = revision::Entity::find()
                .filter(revision::Column::OwnerId.eq(owner))
                .order_by_desc(revision::Column::Number)
                .one(self.store.db())
                .await?;
            let row = revision::ActiveModel {
                id: Set(new_id()),
                owner_id: Set(owner),
                script: Set(script.to_owned()),
                number: Set(last.map_or(1, |last| last.number + 1)),
                source: Set(source.to_owned()),
                author: Set(Some(author.to_owned())),
                created_at: Set(store::now()),
            };
            match row.insert(self.store.db()).await {
                Ok(_) => break,
                Err(error) if attempt < TRIES && store::is_unique_violation(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Deletes the history of what is deleted itself.
pub(super) async fn delete_revisions(store: &Store, owners: impl IntoIterator<Item = Uuid>) -> Result<()> {
    revision::Entity::delete_many().filter(revision::Column::OwnerId.is_in(owners)).exec(store.db()).await?;
    Ok(())
}

impl From<revision::Model> for Revision {
    fn from(row: revision::Model) -> Self {
        Self {
            number: row.number,
            script: row.script,
            source: row.source,
            author: row.author,
            created_at: row.created_at,
        }
    }
}
