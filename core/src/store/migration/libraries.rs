//! Libraries that scripts import, and where a pack is mounted.

use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

use super::column;
use crate::store::entity::{library, pack};

pub(super) struct Libraries;

impl MigrationName for Libraries {
    fn name(&self) -> &str {
        "0007_libraries"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Libraries {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(libraries()).await?;
        let mount = column(pack::Entity, ColumnDef::new(pack::Column::Mount).string().not_null().default(""));
        manager.alter_table(mount).await
    }
}

fn libraries() -> TableCreateStatement {
    use library::Column as C;
    Table::create()
        .table(library::Entity)
        .col(ColumnDef::new(C::Id).uuid().not_null().primary_key())
        .col(ColumnDef::new(C::Name).string().not_null())
        .col(ColumnDef::new(C::FullName).string().not_null().unique_key())
        .col(ColumnDef::new(C::Description).text().not_null())
        .col(ColumnDef::new(C::SourceCode).text().not_null())
        .col(ColumnDef::new(C::Pack).string())
        .col(ColumnDef::new(C::CreatedAt).timestamp_with_time_zone().not_null())
        .col(ColumnDef::new(C::UpdatedAt).timestamp_with_time_zone().not_null())
        .to_owned()
}
