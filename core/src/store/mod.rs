//! The database: one connection pool, forward-only migrations and the product's own tables.
//!
//! The product's tables begin with `gw_`. This module must not know what scripts, sockets or
//! requests are; it holds rows.

mod entity;
pub mod in_memory;
pub mod list;
mod migration;

use std::path::Path;
use std::time::Duration;

use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectOptions, ConnectionTrait, Database, DatabaseConnection,
    EntityTrait, ExprTrait, QueryFilter,
};
use sea_orm_migration::MigratorTrait;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::metrics::Metrics;

pub use entity::{app_key, change, event, gateway, hook, pack, revision, route, session, table, user};
pub use time::OffsetDateTime as Time;

/// Connections of the pool, at most.
const CONNECTIONS_MAX: u32 = 8;
/// How long a statement waits for SQLite's writer lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The only row of `gw_change`.
const CHANGE_ROW: i32 = 1;

/// The open database.
#[derive(Debug, Clone)]
pub struct Store {
    db: DatabaseConnection,
    /// The one connection that the rows of SQLite are written with; PostgreSQL needs none.
    writer: Option<DatabaseConnection>,
}

impl Store {
    /// Opens the configured database and brings its tables up to date.
    ///
    /// # Errors
    /// When the data folder cannot be made, the database cannot be reached or a migration fails.
    pub async fn open(config: &Config, metrics: &Metrics) -> Result<Self> {
        let url = config.effective_database_url();
        let is_sqlite = url.starts_with("sqlite:");
        if is_sqlite {
            make_folder(&config.data_dir)?;
        }
        let db = connect(&url, CONNECTIONS_MAX, metrics).await?;
        migration::Migrator::up(&db, None).await?;
        let writer = if is_sqlite { Some(connect(&url, 1, metrics).await?) } else { None };
        Ok(Self { db, writer })
    }

    /// The connection, for the modules that own rows.
    pub(crate) fn db(&self) -> &DatabaseConnection {
        &self.db
    }

    /// The connection that the rows of SQLite are written with: a pool of one.
    pub(crate) fn writer(&self) -> Option<&DatabaseConnection> {
        self.writer.as_ref()
    }

    /// A real round trip.
    pub async fn ping(&self) -> Result<()> {
        self.db.execute_unprepared("SELECT 1").await?;
        Ok(())
    }

    /// The names of the migrations that this database has seen, oldest first.
    pub async fn migrations(&self) -> Result<Vec<String>> {
        let applied = migration::Migrator::get_applied_migrations(&self.db).await?;
        Ok(applied.iter().map(|migration| migration.name().to_owned()).collect())
    }

    /// A number that grows with every change of gateways, events, users or sessions by any
    /// process: who sees it grow reads those anew.
    pub async fn change_number(&self) -> Result<i64> {
        let row = change::Entity::find_by_id(CHANGE_ROW).one(&self.db).await?;
        Ok(row.map_or(0, |row| row.number))
    }

    /// Tells all processes on this database that something changed.
    pub async fn bump_change_number(&self) -> Result<()> {
        change::Entity::update_many()
            .col_expr(change::Column::Number, sea_orm::sea_query::Expr::col(change::Column::Number).add(1))
            .exec(&self.db)
            .await?;
        Ok(())
    }

    /// A gateway's row by its path.
    pub(crate) async fn gateway_by_path(&self, path: &str) -> Result<Option<gateway::Model>> {
        Ok(gateway::Entity::find().filter(gateway::Column::Path.eq(path)).one(&self.db).await?)
    }

    /// The events of a gateway.
    pub(crate) async fn events_of(&self, gateway_id: uuid::Uuid) -> Result<Vec<event::Model>> {
        Ok(event::Entity::find().filter(event::Column::GatewayId.eq(gateway_id)).all(&self.db).await?)
    }

    /// Closes the pool; SQLite folds its WAL back into the file.
    pub async fn close(self) -> Result<()> {
        if let Some(writer) = self.writer {
            writer.close().await?;
        }
        Ok(self.db.close().await?)
    }

    /// Writes a consistent copy of an SQLite database to `file`, while it is in use.
    ///
    /// # Errors
    /// When the database is not SQLite or the file exists.
    pub async fn backup(&self, file: &Path) -> Result<()> {
        if self.db.get_database_backend() != sea_orm::DatabaseBackend::Sqlite {
            return Err(Error::Internal("backup is for SQLite; use pg_dump for PostgreSQL".into()));
        }
        let quoted = file.to_string_lossy().replace('\'', "''");
        self.db.execute_unprepared(&format!("VACUUM INTO '{quoted}'")).await?;
        Ok(())
    }
}

/// A pool of at most so many connections.
async fn connect(url: &str, connections_max: u32, metrics: &Metrics) -> Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections_max)
        .acquire_timeout(BUSY_TIMEOUT)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(|options| {
            // WAL with NORMAL loses nothing when the process dies; see sqlite.org/wal.html.
            options
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Normal)
                .busy_timeout(BUSY_TIMEOUT)
                .foreign_keys(true)
        });
    let mut db = Database::connect(options).await?;
    let seconds = metrics.db_seconds.clone();
    db.set_metric_callback(move |statement| seconds.observe(statement.elapsed.as_secs_f64()));
    Ok(db)
}

/// Whether an insert or update failed because a unique value is taken.
pub(crate) fn is_unique_violation(error: &sea_orm::DbErr) -> bool {
    matches!(error.sql_err(), Some(sea_orm::SqlErr::UniqueConstraintViolation(_)))
}

/// The present in UTC, to the millisecond (what all supported databases keep).
pub fn now() -> Time {
    let now = Time::now_utc();
    now.replace_millisecond(now.millisecond()).expect("a millisecond of now is in range")
}

/// A moment as text that sorts by time, such as `2026-01-31T12:00:00.000Z`.
pub fn time_text(time: Time) -> String {
    const FORM: &[time::format_description::BorrowedFormatItem<'_>] = time::macros::format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
    );
    time.to_offset(time::UtcOffset::UTC).format(FORM).expect("a moment always has these parts")
}

/// A moment of the years 0 to 9999 in RFC 3339, to the millisecond.
pub(crate) fn parse_time(text: &str) -> Option<Time> {
    let time = Time::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
    let time = time.checked_to_offset(time::UtcOffset::UTC)?;
    (0..=9999).contains(&time.year()).then(|| time.replace_millisecond(time.millisecond()).ok())?
}

fn make_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path)
        .map_err(|error| Error::Internal(format!("cannot make the data folder {}: {error}", path.display())))
}

/// The first row of `gw_change`, for the migration that makes the table.
pub(crate) fn first_change_row() -> change::ActiveModel {
    change::ActiveModel { id: Set(CHANGE_ROW), number: Set(0) }
}
