//! What their authors say of saves.

use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

use super::column;
use crate::store::entity::revision;

pub(super) struct RevisionMessage;

impl MigrationName for RevisionMessage {
    fn name(&self) -> &str {
        "0010_revision_message"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for RevisionMessage {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let message = &mut ColumnDef::new(revision::Column::Message);
        manager.alter_table(column(revision::Entity, message.text())).await
    }
}
