//! The database: one connection pool, forward-only migrations and the product's own tables.
//!
//! The product's tables begin with `gw_`. This module must not know what scripts, sockets or
//! requests are; it holds rows.

mod change_number;
mod connection;
mod direct;
mod edit;
mod entity;
pub mod in_memory;
mod jobs_schema;
pub mod list;
mod migration;
mod new_rows;
pub(crate) mod private;
mod reason;
pub(crate) mod script_test;
mod transaction;
mod turns;
mod writer;
mod writer_transaction;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, QueryFilter, TransactionTrait,
};
use sea_orm_migration::MigratorTrait;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::metrics::Metrics;
pub(crate) use crate::moment::parse_time;
pub use crate::moment::{Time, now, time_text};
pub(crate) use crate::text::{check_description, check_json, check_text};

pub use change_number::ChangeNumbers;
pub(crate) use change_number::{definitions_number, sessions_changed};
pub(crate) use connection::Pool;
use connection::{Purpose, Sqlite};
use direct::Direct;
pub(crate) use edit::{Concerns, code_of};
pub use entity::{
    app_key, audit, event, gateway, hook, library, pack, revision, route, schedule, session, table, user,
};
pub(crate) use jobs_schema::SHARDS;
pub(crate) use new_rows::InsertInto;
pub use new_rows::NewRows;
pub(crate) use transaction::{Transaction, each};

pub(crate) use writer::{Wanted, Writer, Written, begin_writing, run_write};

/// Connections for the product's own tables. A server that waits for its turn to start holds one of
/// them meanwhile.
const OWN: Purpose = Purpose {
    connections: 5,
    acquire: Duration::from_secs(2),
    idle_in_transaction: Duration::from_secs(60),
    enforces_references: true,
};
/// Connections for rows of admins' tables. A script that computes in a transaction for longer than
/// others should wait for its locks loses the transaction. Where many want the same row, they wait for a connection as
/// long as their run may take, which bounds it more closely than this: that is no lost database.
const ROWS: Purpose = Purpose {
    connections: 8,
    acquire: Duration::from_secs(30),
    idle_in_transaction: Duration::from_secs(2),
    ..OWN
};
/// SQLite's one connection for edits, see [`Store::edit`].
const EDITS: Purpose = Purpose { connections: 1, enforces_references: false, ..OWN };
/// The number of the advisory lock that [`Store::turn`] takes in PostgreSQL; `gw` and a number.
const TURN_LOCK: i32 = 0x6777_0001;
/// How long a server waits for its turn: the one that has it may hang.
const TURN_MAX: &str = "60s";

/// The open database.
#[derive(Debug, Clone)]
pub struct Store {
    db: Pool,
    rows: Pool,
    /// One edit of definitions at a time.
    editing: Arc<tokio::sync::Mutex<()>>,
}

/// One process's turn with a PostgreSQL database; it ends when this is dropped.
#[derive(Debug)]
pub struct Turn {
    _lock: Option<DatabaseTransaction>,
}

impl Store {
    /// Opens the configured database and brings its tables up to date.
    ///
    /// # Errors
    /// When the data folder cannot be made, the database cannot be reached or a migration fails.
    pub async fn open(config: &Config, metrics: &Metrics) -> Result<Self> {
        let url = config.effective_database_url();
        match Self::open_at(&url, config, metrics).await {
            Err(error) => Err(reason::not_opened(&url, error).await),
            opened => opened,
        }
    }

    async fn open_at(url: &str, config: &Config, metrics: &Metrics) -> Result<Self> {
        let is_sqlite = url.starts_with("sqlite:");
        if is_sqlite {
            private::make_folder(&config.data_dir)?;
            if let Some(file) = connection::sqlite_file(url)? {
                private::make_database(&file)?;
            }
        }
        let connections = connection::connect(url, OWN, metrics).await?;
        let (db, rows) = if is_sqlite {
            let direct = |count| Direct::new(&connections, count, metrics.db_seconds.clone());
            let durable = Direct::durable(&connections, metrics.db_seconds.clone());
            let alone = connection::connect(url, EDITS, metrics).await?;
            let patience = writer_transaction::Patience {
                idle: Duration::from_millis(config.scripts.transaction_idle_ms),
                whole: Duration::from_millis(config.scripts.transaction_ms),
            };
            let [own, rows] = Writer::start(alone, direct(1), durable, patience)
                .map_err(|error| Error::Internal(format!("no thread for the writer: {error}")))?;
            let own = Sqlite { writer: own, readers: direct(OWN.connections) };
            let rows = Sqlite { writer: rows, readers: direct(ROWS.connections) };
            (Pool::new(connections.clone(), Some(own)), Pool::new(connections, Some(rows)))
        } else {
            let rows = connection::connect(url, ROWS, metrics).await?;
            (Pool::new(connections, None), Pool::new(rows, None))
        };
        let store = Self { db, rows, editing: Arc::default() };
        let _turn = store.turn().await?;
        store.migrate().await?;
        Ok(store)
    }

    /// Makes all tables or none: a process that is killed meanwhile leaves nothing half done.
    async fn migrate(&self) -> Result<()> {
        let pending = migration::Migrator::get_pending_migrations(&*self.db).await?.len();
        if pending == 0 {
            return Ok(());
        }
        let transaction = match self.db.get_database_backend() {
            DbBackend::Sqlite => begin_writing(&self.db).await?,
            _ => TransactionTrait::begin(&*self.db).await?,
        };
        migration::Migrator::up(&transaction, None).await?;
        transaction.commit().await?;
        tracing::info!(migrations = pending, "database migrated");
        Ok(())
    }

    /// Waits until no other process on this PostgreSQL has its turn: servers that start at once make
    /// the tables, the first admin and the packs one after the other.
    ///
    /// # Errors
    /// When the turn of another takes longer than a minute.
    pub async fn turn(&self) -> Result<Turn> {
        if self.db.get_database_backend() == DbBackend::Sqlite {
            return Ok(Turn { _lock: None });
        }
        let lock = TransactionTrait::begin(&*self.db).await?;
        let take =
            format!("SET LOCAL lock_timeout = '{TURN_MAX}'; SELECT pg_advisory_xact_lock({TURN_LOCK})");
        lock.execute_unprepared(&take).await?;
        Ok(Turn { _lock: Some(lock) })
    }

    /// The connection, for the modules that own rows.
    pub(crate) fn db(&self) -> &Pool {
        &self.db
    }

    /// The connection for the rows of admins' tables.
    pub(crate) fn rows(&self) -> &Pool {
        &self.rows
    }

    /// Begins a transaction that survives whatever happens to the machine once it is committed. It has to be
    /// short: on SQLite nothing else is written meanwhile.
    pub(crate) async fn begin_durable(&self) -> Result<Transaction> {
        Ok(match self.db.writer() {
            Some(writer) => Transaction::OfWriter(writer.begin_durable().await?),
            None => Transaction::OfPool(TransactionTrait::begin(&*self.db).await?),
        })
    }

    /// A real round trip.
    pub async fn ping(&self) -> Result<()> {
        self.db.execute_unprepared("SELECT 1").await?;
        Ok(())
    }

    /// The names of the migrations that this database has seen, oldest first.
    pub async fn migrations(&self) -> Result<Vec<String>> {
        let applied = migration::Migrator::get_applied_migrations(&*self.db).await?;
        Ok(applied.iter().map(|migration| migration.name().to_owned()).collect())
    }

    /// A gateway's row by its path.
    pub(crate) async fn gateway_by_path(
        &self,
        on: &impl ConnectionTrait,
        path: &str,
    ) -> Result<Option<gateway::Model>> {
        if check_text("path", path).is_err() {
            return Ok(None);
        }
        Ok(gateway::Entity::find().filter(gateway::Column::Path.eq(path)).one(on).await?)
    }

    /// A user's row by their e-mail address, in any case.
    pub(crate) async fn user_by_email(&self, email: &str) -> Result<Option<user::Model>> {
        let email = email.trim().to_lowercase();
        if check_text("email", &email).is_err() {
            return Ok(None);
        }
        Ok(user::Entity::find().filter(user::Column::Email.eq(email)).one(&self.db).await?)
    }

    /// The events of a gateway.
    pub(crate) async fn events_of(&self, gateway_id: uuid::Uuid) -> Result<Vec<event::Model>> {
        Ok(event::Entity::find().filter(event::Column::GatewayId.eq(gateway_id)).all(&self.db).await?)
    }

    /// Closes all connections; SQLite folds its WAL back into the file.
    pub async fn close(self) -> Result<()> {
        self.rows.close().await?;
        Ok(self.db.close().await?)
    }

    /// Writes a consistent copy of an SQLite database to `file`, while it is in use.
    ///
    /// # Errors
    /// When the database is not SQLite or the file exists.
    pub async fn backup(&self, file: &Path) -> Result<()> {
        if self.db.get_database_backend() != DbBackend::Sqlite {
            return Err(Error::Internal("backup is for SQLite; use pg_dump for PostgreSQL".into()));
        }
        // SQLite takes an empty file for none, and leaves it the mode that it has.
        private::create(file)
            .map_err(|error| Error::Internal(format!("cannot make {}: {error}", file.display())))?;
        let quoted = file.to_string_lossy().replace('\'', "''");
        // Not bounded: the copy of a large database takes long.
        let copied = (*self.db).execute_unprepared(&format!("VACUUM INTO '{quoted}'")).await;
        if copied.is_err() {
            let _ = std::fs::remove_file(file);
        }
        Ok(copied.map(drop)?)
    }
}

/// Whether an insert or update failed because a unique value is taken.
pub(crate) fn is_unique_violation(error: &sea_orm::DbErr) -> bool {
    matches!(error.sql_err(), Some(sea_orm::SqlErr::UniqueConstraintViolation(_)))
}
