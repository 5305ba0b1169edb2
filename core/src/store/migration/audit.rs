//! What admins have done.

use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

use crate::store::entity::audit::{Column as C, Entity};

pub(super) struct Audit;

impl MigrationName for Audit {
    fn name(&self) -> &str {
        "0015_audit"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Audit {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let entries = Table::create()
            .table(Entity)
            .col(ColumnDef::new(C::Id).uuid().not_null().primary_key())
            .col(ColumnDef::new(C::CreatedAt).timestamp_with_time_zone().not_null())
            .col(ColumnDef::new(C::UserId).string())
            .col(ColumnDef::new(C::User).string())
            .col(ColumnDef::new(C::Address).string().not_null())
            .col(ColumnDef::new(C::Action).string().not_null())
            .col(ColumnDef::new(C::Kind).string().not_null())
            .col(ColumnDef::new(C::SubjectId).string())
            .col(ColumnDef::new(C::Subject).string())
            .col(ColumnDef::new(C::Outcome).string().not_null())
            .col(ColumnDef::new(C::Code).string())
            .to_owned();
        manager.create_table(entries).await?;
        let by_time = Index::create().name("gw_audit_created").table(Entity).col(C::CreatedAt).to_owned();
        manager.create_index(by_time).await
    }
}
