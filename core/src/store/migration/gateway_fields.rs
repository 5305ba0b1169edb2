//! What gateways have besides since topics and presence by room: other names, app keys, who is let in.

use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

use super::column;
use crate::store::entity::gateway::{Column, Entity};

/// Aliases, app keys, admission, presence by room, what is emitted.
pub(super) struct GatewayFields;

impl MigrationName for GatewayFields {
    fn name(&self) -> &str {
        "0005_gateway_fields"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for GatewayFields {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let added = [
            ColumnDef::new(Column::Aliases).json().not_null().default("[]").take(),
            ColumnDef::new(Column::RequireAppKey).boolean().not_null().default(false).take(),
            ColumnDef::new(Column::AdmissionScript).text().take(),
            ColumnDef::new(Column::PresenceRooms).json().take(),
            ColumnDef::new(Column::PresenceDebounceMs).big_integer().not_null().default(0).take(),
            ColumnDef::new(Column::Emits).json().take(),
        ];
        for mut added in added {
            manager.alter_table(column(Entity, &mut added)).await?;
        }
        Ok(())
    }
}
