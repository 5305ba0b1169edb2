//! The history of scripts: every save appends, nothing is changed.

use sea_orm::sea_query::Cond;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::save::saved;
use super::{Catalog, Definition};
use crate::error::{Failure, Result};
use crate::id::new_id;
use crate::store::list::{ListQuery, Page};
use crate::store::{self, Time, revision};

/// One saved version of a script.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// Counts from 1 within the definition.
    pub number: i64,
    /// The field that is the script.
    pub script: String,
    /// The script.
    pub source: String,
    /// Who saved it: an e-mail address, or what made it (`pack chat`).
    pub author: Option<String>,
    /// When it was saved.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Time,
}

impl Catalog {
    /// One page of the history of a definition's scripts.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub async fn list_revisions<T: Definition>(
        &self,
        owner: Uuid,
        query: &ListQuery,
    ) -> Result<Page<Revision>> {
        saved::<T>(self.store.db(), owner).await?;
        let scope = Cond::all().add(revision::Column::OwnerId.eq(owner));
        let query =
            ListQuery { sort: query.sort.clone().or_else(|| Some("-number".to_owned())), ..query.clone() };
        let page = self.store.list::<revision::Entity>(&query, Some(scope)).await?;
        Ok(Page { rows: page.rows.into_iter().map(Revision::from).collect(), counts: page.counts })
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
}

/// Appends a version of a script, within an edit.
pub(super) async fn append_revision(
    on: &DatabaseTransaction,
    owner: Uuid,
    script: &str,
    source: &str,
    author: &str,
) -> Result<()> {
    let last = revision::Entity::find()
        .filter(revision::Column::OwnerId.eq(owner))
        .order_by_desc(revision::Column::Number)
        .one(on)
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
    row.insert(on).await?;
    Ok(())
}

/// Deletes the history of what is deleted itself, within an edit.
pub(super) async fn delete_revisions(
    on: &DatabaseTransaction,
    owners: impl IntoIterator<Item = Uuid>,
) -> Result<()> {
    revision::Entity::delete_many().filter(revision::Column::OwnerId.is_in(owners)).exec(on).await?;
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
