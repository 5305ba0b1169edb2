//! The history of scripts: every save appends, nothing is changed.

use std::collections::HashMap;

use sea_orm::sea_query::Cond;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait,
    QueryFilter, QueryOrder, QuerySelect,
};
use serde::Serialize;
use serde_json::json;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;
use uuid::Uuid;

use super::save::saved;
use super::{Catalog, Definition};
use crate::error::{ErrorCode, Failure, Result};
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
    /// What they said of it.
    pub message: Option<String>,
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

/// Who saves, and what they say of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SavedBy<'a> {
    /// An e-mail address, or what saves (`pack chat`).
    pub author: &'a str,
    /// Kept with each script that the save keeps.
    pub message: Option<&'a str>,
}

/// The newest version of any script of a definition.
async fn newest(on: &impl ConnectionTrait, owner: Uuid) -> Result<Option<revision::Model>> {
    let own = revision::Entity::find().filter(revision::Column::OwnerId.eq(owner));
    Ok(own.order_by_desc(revision::Column::Number).one(on).await?)
}

/// Refuses a save by somebody who has not seen the newest version, within the edit.
pub(super) async fn check_seen(on: &DatabaseTransaction, owner: Uuid, seen: Option<i64>) -> Result<()> {
    let Some(seen) = seen else { return Ok(()) };
    let newest = newest(on, owner).await?;
    let number = newest.as_ref().map_or(0, |newest| newest.number);
    if number == seen {
        return Ok(());
    }
    let message = format!(
        "The newest revision is {number}, not {seen}: read it, and save with expectedRevision {number} to go over it"
    );
    let newest = newest.map(Revision::from);
    let details = json!({
        "revision": number,
        "author": newest.as_ref().and_then(|newest| newest.author.as_deref()),
        "createdAt": newest.and_then(|newest| newest.created_at.format(&Rfc3339).ok()),
    });
    Err(Failure::new(ErrorCode::Conflict, message).with_details(details).into())
}

/// The numbers of the newest versions of these definitions' scripts; none of those that have none.
pub(super) async fn newest_numbers(
    on: &impl ConnectionTrait,
    owners: impl IntoIterator<Item = Uuid>,
) -> Result<HashMap<Uuid, i64>> {
    let numbers = revision::Entity::find()
        .select_only()
        .column(revision::Column::OwnerId)
        .column_as(revision::Column::Number.max(), "number")
        .filter(revision::Column::OwnerId.is_in(owners))
        .group_by(revision::Column::OwnerId);
    Ok(numbers.into_tuple::<(Uuid, i64)>().all(on).await?.into_iter().collect())
}

/// Appends a version of a script, within an edit.
pub(super) async fn append_revision(
    on: &DatabaseTransaction,
    owner: Uuid,
    script: &str,
    source: &str,
    by: SavedBy<'_>,
) -> Result<()> {
    let last = newest(on, owner).await?;
    let row = revision::ActiveModel {
        id: Set(new_id()),
        owner_id: Set(owner),
        script: Set(script.to_owned()),
        number: Set(last.map_or(1, |last| last.number + 1)),
        source: Set(source.to_owned()),
        author: Set(Some(by.author.to_owned())),
        message: Set(by.message.map(str::to_owned)),
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
            message: row.message,
            created_at: row.created_at,
        }
    }
}
