//! Groups of columns that are unique together.

use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

use super::column;
use crate::store::entity::table;

pub(super) struct TableUnique;

impl MigrationName for TableUnique {
    fn name(&self) -> &str {
        "0008_table_unique"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for TableUnique {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // A server of the version before goes on making tables, which have none.
        let groups = &mut ColumnDef::new(table::Column::Unique);
        manager.alter_table(column(table::Entity, groups.json().not_null().default("[]"))).await
    }
}
