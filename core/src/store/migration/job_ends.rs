//! An index of the jobs that did not end well, which are few among those that are kept: admins ask for them often.

use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::prelude::*;

pub(super) struct JobEnds;

impl MigrationName for JobEnds {
    fn name(&self) -> &str {
        "0013_job_ends"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for JobEnds {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let index = "CREATE INDEX gw_job_done_ends ON gw_job_done (state, gateway, accepted_at) WHERE state <> 'done'";
        manager.get_connection().execute_unprepared(index).await.map(drop)
    }
}
