//! When app keys were last used, and whether a user has the password of the first start.

use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

use super::column;
use crate::store::entity::{app_key, user};

pub(super) struct KeysAndFirstPassword;

impl MigrationName for KeysAndFirstPassword {
    fn name(&self) -> &str {
        "0014_keys_and_first_password"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for KeysAndFirstPassword {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let last_use = &mut ColumnDef::new(app_key::Column::LastUsedAt);
        manager.alter_table(column(app_key::Entity, last_use.timestamp_with_time_zone())).await?;
        let first = &mut ColumnDef::new(user::Column::HasFirstPassword);
        manager.alter_table(column(user::Entity, first.boolean().not_null().default(false))).await
    }
}
