//! What an event gives back.

use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

use crate::store::entity::event::{Column, Entity};

/// The schema of an event's result.
pub(super) struct ResultSchema;

impl MigrationName for ResultSchema {
    fn name(&self) -> &str {
        "0009_result_schema"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for ResultSchema {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut added = ColumnDef::new(Column::ResultSchema).json().take();
        manager.alter_table(Table::alter().table(Entity).add_column(&mut added).take()).await
    }
}
