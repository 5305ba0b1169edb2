//! The steps from an empty database to the present one. Forward only: a step that has been
//! released is never changed, and each must survive the data of the version before.

mod audit;
mod gateway_fields;
mod job_ends;
mod keys_and_first_password;
mod libraries;
mod result_schema;
mod revision_message;
mod script_tests;
mod table_unique;
mod user_profile;

use sea_orm::{DbErr, EntityTrait};
use sea_orm_migration::prelude::*;

use super::entity::{
    app_key, change, event, gateway, hook, pack, revision, route, schedule, session, table, user,
};
use super::jobs_schema;

/// All steps in order.
pub(super) struct Migrator;

impl MigratorTrait for Migrator {
    fn migration_table_name() -> DynIden {
        "gw_migration".into_iden()
    }

    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(M0001Gateways),
            Box::new(M0002Data),
            Box::new(M0003Changes),
            Box::new(M0004Jobs),
            Box::new(gateway_fields::GatewayFields),
            Box::new(user_profile::UserProfile),
            Box::new(libraries::Libraries),
            Box::new(table_unique::TableUnique),
            Box::new(result_schema::ResultSchema),
            Box::new(revision_message::RevisionMessage),
            Box::new(script_tests::ScriptTests),
            Box::new(job_ends::JobEnds),
            Box::new(keys_and_first_password::KeysAndFirstPassword),
            Box::new(audit::Audit),
        ]
    }
}

/// Gateways, events, revisions, users, sessions, packs.
struct M0001Gateways;

impl MigrationName for M0001Gateways {
    fn name(&self) -> &str {
        "0001_gateways"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for M0001Gateways {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [gateways(), events(), revisions(), users(), sessions(), packs(), changes()] {
            manager.create_table(table).await?;
        }
        for index in [
            unique("gw_event_name", event::Entity, [event::Column::GatewayId, event::Column::EventName]),
            unique(
                "gw_revision_number",
                revision::Entity,
                [revision::Column::OwnerId, revision::Column::Number],
            ),
        ] {
            manager.create_index(index).await?;
        }
        let by_user = Index::create()
            .name("gw_session_user")
            .table(session::Entity)
            .col(session::Column::UserId)
            .to_owned();
        manager.create_index(by_user).await?;
        change::Entity::insert(super::change_number::first_row())
            .exec_without_returning(manager.get_connection())
            .await?;
        Ok(())
    }
}

/// Tables, routes, hooks, app keys.
struct M0002Data;

impl MigrationName for M0002Data {
    fn name(&self) -> &str {
        "0002_data"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for M0002Data {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for created in [tables(), routes(), hooks(), app_keys()] {
            manager.create_table(created).await?;
        }
        manager
            .create_index(unique(
                "gw_route_path",
                route::Entity,
                [route::Column::Method, route::Column::Path],
            ))
            .await
    }
}

/// A number for definitions and one for sessions.
struct M0003Changes;

impl MigrationName for M0003Changes {
    fn name(&self) -> &str {
        "0003_changes"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for M0003Changes {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for row in super::change_number::rows_by_kind() {
            change::Entity::insert(row).exec_without_returning(manager.get_connection()).await?;
        }
        Ok(())
    }
}

/// Durable events, jobs for later, schedules.
struct M0004Jobs;

impl MigrationName for M0004Jobs {
    fn name(&self) -> &str {
        "0004_jobs"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for M0004Jobs {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in jobs_schema::statements(manager.get_database_backend()) {
            manager.get_connection().execute_unprepared(&statement).await?;
        }
        manager.create_table(schedules()).await?;
        let added = [
            column(
                event::Entity,
                ColumnDef::new(event::Column::OrderBy).string().not_null().default("socket"),
            ),
            column(event::Entity, ColumnDef::new(event::Column::Retries).big_integer()),
            column(
                event::Entity,
                ColumnDef::new(event::Column::OnDead).string().not_null().default("continue"),
            ),
            column(
                gateway::Entity,
                ColumnDef::new(gateway::Column::IsPaused).boolean().not_null().default(false),
            ),
        ];
        for column in added {
            manager.alter_table(column).await?;
        }
        Ok(())
    }
}

fn gateways() -> TableCreateStatement {
    use gateway::Column as C;
    Table::create()
        .table(gateway::Entity)
        .col(ColumnDef::new(C::Id).uuid().not_null().primary_key())
        .col(ColumnDef::new(C::Path).string().not_null().unique_key())
        .col(ColumnDef::new(C::Description).text().not_null())
        .col(ColumnDef::new(C::IsEnabled).boolean().not_null())
        .col(ColumnDef::new(C::RequireAuth).boolean().not_null())
        .col(ColumnDef::new(C::ConnectionScript).text())
        .col(ColumnDef::new(C::DisconnectionScript).text())
        .col(ColumnDef::new(C::ScriptTimeoutMs).big_integer())
        .col(ColumnDef::new(C::AllowedOrigins).json())
        .col(ColumnDef::new(C::Limits).json().not_null())
        .col(ColumnDef::new(C::Presence).boolean().not_null())
        .col(ColumnDef::new(C::Pack).string())
        .col(ColumnDef::new(C::CreatedAt).timestamp_with_time_zone().not_null())
        .col(ColumnDef::new(C::UpdatedAt).timestamp_with_time_zone().not_null())
        .to_owned()
}

fn events() -> TableCreateStatement {
    use event::Column as C;
    Table::create()
        .table(event::Entity)
        .col(ColumnDef::new(C::Id).uuid().not_null().primary_key())
        .col(ColumnDef::new(C::GatewayId).uuid().not_null())
        .col(ColumnDef::new(C::EventName).string().not_null())
        .col(ColumnDef::new(C::Description).text().not_null())
        .col(ColumnDef::new(C::IsEnabled).boolean().not_null())
        .col(ColumnDef::new(C::SourceCode).text().not_null())
        .col(ColumnDef::new(C::TimeoutMs).big_integer())
        .col(ColumnDef::new(C::PayloadSchema).json())
        .col(ColumnDef::new(C::Delivery).string().not_null())
        .col(ColumnDef::new(C::CreatedAt).timestamp_with_time_zone().not_null())
        .col(ColumnDef::new(C::UpdatedAt).timestamp_with_time_zone().not_null())
        .foreign_key(
            ForeignKey::create()
                .from(event::Entity, C::GatewayId)
                .to(gateway::Entity, gateway::Column::Id)
                .on_delete(ForeignKeyAction::Cascade),
        )
        .to_owned()
}

fn revisions() -> TableCreateStatement {
    use revision::Column as C;
    Table::create()
        .table(revision::Entity)
        .col(ColumnDef::new(C::Id).uuid().not_null().primary_key())
        .col(ColumnDef::new(C::OwnerId).uuid().not_null())
        .col(ColumnDef::new(C::Script).string().not_null())
        .col(ColumnDef::new(C::Number).big_integer().not_null())
        .col(ColumnDef::new(C::Source).text().not_null())
        .col(ColumnDef::new(C::Author).string())
        .col(ColumnDef::new(C::CreatedAt).timestamp_with_time_zone().not_null())
        .to_owned()
}

fn users() -> TableCreateStatement {
    use user::Column as C;
    Table::create()
        .table(user::Entity)
        .col(ColumnDef::new(C::Id).uuid().not_null().primary_key())
        .col(ColumnDef::new(C::Email).string().not_null().unique_key())
        .col(ColumnDef::new(C::Name).string().not_null())
        .col(ColumnDef::new(C::Role).string().not_null())
        .col(ColumnDef::new(C::IsEnabled).boolean().not_null())
        .col(ColumnDef::new(C::PasswordHash).string().not_null())
        .col(ColumnDef::new(C::CreatedAt).timestamp_with_time_zone().not_null())
        .col(ColumnDef::new(C::UpdatedAt).timestamp_with_time_zone().not_null())
        .to_owned()
}

fn sessions() -> TableCreateStatement {
    use session::Column as C;
    Table::create()
        .table(session::Entity)
        .col(ColumnDef::new(C::Id).uuid().not_null().primary_key())
        .col(ColumnDef::new(C::UserId).uuid().not_null())
        .col(ColumnDef::new(C::Generation).big_integer().not_null())
        .col(ColumnDef::new(C::Remember).boolean().not_null())
        .col(ColumnDef::new(C::ExpiresAt).timestamp_with_time_zone().not_null())
        .col(ColumnDef::new(C::RevokedAt).timestamp_with_time_zone())
        .col(ColumnDef::new(C::CreatedAt).timestamp_with_time_zone().not_null())
        .foreign_key(
            ForeignKey::create()
                .from(session::Entity, C::UserId)
                .to(user::Entity, user::Column::Id)
                .on_delete(ForeignKeyAction::Cascade),
        )
        .to_owned()
}

fn packs() -> TableCreateStatement {
    use pack::Column as C;
    Table::create()
        .table(pack::Entity)
        .col(ColumnDef::new(C::Name).string().not_null().primary_key())
        .col(ColumnDef::new(C::Description).text().not_null())
        .col(ColumnDef::new(C::Content).json().not_null())
        .col(ColumnDef::new(C::CreatedAt).timestamp_with_time_zone().not_null())
        .col(ColumnDef::new(C::UpdatedAt).timestamp_with_time_zone().not_null())
        .to_owned()
}

fn changes() -> TableCreateStatement {
    use change::Column as C;
    Table::create()
        .table(change::Entity)
        .col(ColumnDef::new(C::Id).integer().not_null().primary_key())
        .col(ColumnDef::new(C::Number).big_integer().not_null())
        .to_owned()
}

fn tables() -> TableCreateStatement {
    use table::Column as C;
    Table::create()
        .table(table::Entity)
        .col(ColumnDef::new(C::Id).uuid().not_null().primary_key())
        .col(ColumnDef::new(C::Name).string().not_null().unique_key())
        .col(ColumnDef::new(C::Description).text().not_null())
        .col(ColumnDef::new(C::Columns).json().not_null())
        .col(ColumnDef::new(C::Access).json().not_null())
        .col(ColumnDef::new(C::Pack).string())
        .col(ColumnDef::new(C::CreatedAt).timestamp_with_time_zone().not_null())
        .col(ColumnDef::new(C::UpdatedAt).timestamp_with_time_zone().not_null())
        .to_owned()
}

fn routes() -> TableCreateStatement {
    use route::Column as C;
    Table::create()
        .table(route::Entity)
        .col(ColumnDef::new(C::Id).uuid().not_null().primary_key())
        .col(ColumnDef::new(C::Method).string().not_null())
        .col(ColumnDef::new(C::Path).string().not_null())
        .col(ColumnDef::new(C::Description).text().not_null())
        .col(ColumnDef::new(C::IsEnabled).boolean().not_null())
        .col(ColumnDef::new(C::Access).string().not_null())
        .col(ColumnDef::new(C::SourceCode).text().not_null())
        .col(ColumnDef::new(C::TimeoutMs).big_integer())
        .col(ColumnDef::new(C::Pack).string())
        .col(ColumnDef::new(C::CreatedAt).timestamp_with_time_zone().not_null())
        .col(ColumnDef::new(C::UpdatedAt).timestamp_with_time_zone().not_null())
        .to_owned()
}

fn hooks() -> TableCreateStatement {
    use hook::Column as C;
    Table::create()
        .table(hook::Entity)
        .col(ColumnDef::new(C::Id).uuid().not_null().primary_key())
        .col(ColumnDef::new(C::Table).string().not_null())
        .col(ColumnDef::new(C::When).string().not_null())
        .col(ColumnDef::new(C::On).json().not_null())
        .col(ColumnDef::new(C::Description).text().not_null())
        .col(ColumnDef::new(C::IsEnabled).boolean().not_null())
        .col(ColumnDef::new(C::Condition).json())
        .col(ColumnDef::new(C::SourceCode).text().not_null())
        .col(ColumnDef::new(C::Priority).big_integer().not_null())
        .col(ColumnDef::new(C::Pack).string())
        .col(ColumnDef::new(C::CreatedAt).timestamp_with_time_zone().not_null())
        .col(ColumnDef::new(C::UpdatedAt).timestamp_with_time_zone().not_null())
        .to_owned()
}

fn app_keys() -> TableCreateStatement {
    use app_key::Column as C;
    Table::create()
        .table(app_key::Entity)
        .col(ColumnDef::new(C::Id).uuid().not_null().primary_key())
        .col(ColumnDef::new(C::Name).string().not_null())
        .col(ColumnDef::new(C::Scopes).json().not_null())
        .col(ColumnDef::new(C::KeyHash).string().not_null().unique_key())
        .col(ColumnDef::new(C::ExpiresAt).timestamp_with_time_zone())
        .col(ColumnDef::new(C::CreatedAt).timestamp_with_time_zone().not_null())
        .col(ColumnDef::new(C::UpdatedAt).timestamp_with_time_zone().not_null())
        .to_owned()
}

fn schedules() -> TableCreateStatement {
    use schedule::Column as C;
    Table::create()
        .table(schedule::Entity)
        .col(ColumnDef::new(C::Id).uuid().not_null().primary_key())
        .col(ColumnDef::new(C::Name).string().not_null().unique_key())
        .col(ColumnDef::new(C::Description).text().not_null())
        .col(ColumnDef::new(C::Cron).string().not_null())
        .col(ColumnDef::new(C::Timezone).string().not_null())
        .col(ColumnDef::new(C::GatewayPath).string().not_null())
        .col(ColumnDef::new(C::EventName).string().not_null())
        .col(ColumnDef::new(C::Payload).json().not_null())
        .col(ColumnDef::new(C::Missed).string().not_null())
        .col(ColumnDef::new(C::IsEnabled).boolean().not_null())
        .col(ColumnDef::new(C::NextAt).big_integer())
        .col(ColumnDef::new(C::Pack).string())
        .col(ColumnDef::new(C::CreatedAt).timestamp_with_time_zone().not_null())
        .col(ColumnDef::new(C::UpdatedAt).timestamp_with_time_zone().not_null())
        .to_owned()
}

fn column(table: impl IntoTableRef, column: &mut ColumnDef) -> TableAlterStatement {
    Table::alter().table(table).add_column(column).to_owned()
}

fn unique<T: IntoTableRef, C: IntoIndexColumn, const N: usize>(
    name: &str,
    table: T,
    columns: [C; N],
) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(name).table(table).unique();
    for column in columns {
        index.col(column);
    }
    index
}
