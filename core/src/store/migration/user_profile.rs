//! What an application keeps with a user.

use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

use super::column;
use crate::store::entity::user;

pub(super) struct UserProfile;

impl MigrationName for UserProfile {
    fn name(&self) -> &str {
        "0006_user_profile"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for UserProfile {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let profile = &mut ColumnDef::new(Alias::new("profile"));
        manager.alter_table(column(user::Entity, profile.json())).await
    }
}
