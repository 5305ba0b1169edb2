//! Script tests that are kept with the server.

use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

use crate::store::script_test::{Column as C, Entity};

pub(super) struct ScriptTests;

impl MigrationName for ScriptTests {
    fn name(&self) -> &str {
        "0011_script_tests"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for ScriptTests {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Entity)
            .col(ColumnDef::new(C::Id).uuid().not_null().primary_key())
            .col(ColumnDef::new(C::Name).string().not_null())
            .col(ColumnDef::new(C::File).string())
            .col(ColumnDef::new(C::Pack).string())
            .col(ColumnDef::new(C::Definition).json().not_null())
            .col(ColumnDef::new(C::CreatedAt).timestamp_with_time_zone().not_null())
            .col(ColumnDef::new(C::UpdatedAt).timestamp_with_time_zone().not_null())
            .to_owned();
        manager.create_table(table).await
    }
}
