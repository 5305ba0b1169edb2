//! The databases that tests run on: SQLite in the server's data folder, and PostgreSQL where the
//! variable `GATEWRIGHT_TEST_POSTGRES` names a server, e.g. `postgres://postgres@127.0.0.1:5432/postgres`.
//!
//! A test about data takes the database as its argument and is listed in [`on_each_database!`];
//! one `cargo test` then runs it on both. All other tests run on SQLite, or all on PostgreSQL with
//! `GATEWRIGHT_TEST_DATABASE=postgres`.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use sea_orm::ConnectionTrait;
use tempfile::TempDir;
use url::Url;

/// Makes two tests of each function, `name::sqlite` and `name::postgres`:
///
/// ```ignore
/// fn rows_are_listed(database: Database) {
///     let server = Server::start_on(database, &[], &[]);
///     // …
/// }
///
/// on_each_database!(rows_are_listed);
/// ```
///
/// Without a PostgreSQL the second test passes without a word; with `CI=true` that is the failure
/// of [`postgres_is_there`].
macro_rules! on_each_database {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            use crate::support::database::Database;

            #[test]
            fn sqlite() {
                super::$test(Database::Sqlite);
            }

            #[test]
            fn postgres() {
                if Database::postgres_server().is_some() {
                    super::$test(Database::Postgres);
                }
            }
        }
    )+};
}
pub(crate) use on_each_database;

/// A kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// A file in the data folder.
    Sqlite,
    /// A database of its own on the server that `GATEWRIGHT_TEST_POSTGRES` names.
    Postgres,
}

impl Database {
    /// What tests run on that do not say: SQLite, unless `GATEWRIGHT_TEST_DATABASE` is `postgres`.
    pub fn of_this_pass() -> Self {
        match std::env::var("GATEWRIGHT_TEST_DATABASE").as_deref() {
            Ok("postgres") => Self::Postgres,
            Ok("sqlite" | "") | Err(_) => Self::Sqlite,
            Ok(other) => panic!("GATEWRIGHT_TEST_DATABASE is {other:?}; allowed: sqlite, postgres"),
        }
    }

    /// The URL of the PostgreSQL server for tests, if there is one.
    pub fn postgres_server() -> Option<Url> {
        let url = std::env::var("GATEWRIGHT_TEST_POSTGRES").ok().filter(|url| !url.is_empty())?;
        Some(url.parse().unwrap_or_else(|error| panic!("GATEWRIGHT_TEST_POSTGRES: {error}")))
    }
}

#[test]
fn postgres_is_there() {
    let is_needed = std::env::var("CI").as_deref() == Ok("true");
    assert!(
        !is_needed || Database::postgres_server().is_some(),
        "CI needs a PostgreSQL: GATEWRIGHT_TEST_POSTGRES=postgres://USER@HOST:5432/postgres"
    );
}

/// What a server keeps: a data folder and a database. Both go with the last clone, so a server
/// that is started again, or a second one beside it, gets a clone.
#[derive(Debug, Clone)]
pub struct Data {
    folder: Arc<TempDir>,
    postgres: Option<Arc<PostgresDatabase>>,
}

impl Data {
    /// An empty one on the database of this pass.
    pub fn new() -> Self {
        Self::on(Database::of_this_pass())
    }

    /// An empty one.
    pub fn on(database: Database) -> Self {
        let postgres = match database {
            Database::Sqlite => None,
            Database::Postgres => Some(Arc::new(PostgresDatabase::create())),
        };
        Self { folder: Arc::new(tempfile::tempdir().unwrap()), postgres }
    }

    /// The SQLite data in a folder.
    pub fn in_folder(folder: TempDir) -> Self {
        Self { folder: Arc::new(folder), postgres: None }
    }

    /// Another folder on the same PostgreSQL database, as a second server has it.
    pub fn beside(&self) -> Self {
        assert!(self.postgres.is_some(), "SQLite is in the folder");
        Self { folder: Arc::new(tempfile::tempdir().unwrap()), postgres: self.postgres.clone() }
    }

    /// The data folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The value of `database_url`: empty for SQLite in the folder.
    pub fn database_url(&self) -> &str {
        self.postgres.as_ref().map_or("", |postgres| postgres.url.as_str())
    }

    /// The database's URL, for [`run_sql`].
    pub fn sql_url(&self) -> String {
        match self.database_url() {
            "" => format!("sqlite://{}?mode=rwc", self.path().join("gatewright.db").display()),
            url => url.to_owned(),
        }
    }

    /// Has a command of the product work on this data: `--data`, and the database in its environment.
    pub fn give_to(&self, command: &mut Command) {
        command.arg("--data").arg(self.path());
        if !self.database_url().is_empty() {
            command.env("GATEWRIGHT_DATABASE_URL", self.database_url());
        }
    }
}

/// A fresh database on the PostgreSQL server for tests; dropped when it goes out of scope.
#[derive(Debug)]
struct PostgresDatabase {
    url: Url,
    name: String,
}

impl PostgresDatabase {
    fn create() -> Self {
        let mut url = Database::postgres_server().expect("GATEWRIGHT_TEST_POSTGRES names the server");
        let name = format!("gatewright_test_{}", uuid::Uuid::new_v4().simple());
        // With the order of a language, as many a PostgreSQL has it: nothing may depend on that.
        let language = "LOCALE_PROVIDER icu ICU_LOCALE 'en-US'";
        on_server(&format!("CREATE DATABASE {name} TEMPLATE template0 {language}")).unwrap();
        url.set_path(&name);
        Self { url, name }
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        if let Err(error) = on_server(&format!("DROP DATABASE {} WITH (FORCE)", self.name)) {
            eprintln!("{} is left behind: {error}", self.name);
        }
    }
}

/// Runs one statement on the server's own database.
fn on_server(sql: &str) -> Result<(), sea_orm::DbErr> {
    run_sql(Database::postgres_server().expect("GATEWRIGHT_TEST_POSTGRES names the server").as_str(), sql)
}

/// Runs statements on a database by its URL, beside the product.
pub fn run_sql(url: &str, sql: &str) -> Result<(), sea_orm::DbErr> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let mut options = sea_orm::ConnectOptions::new(url);
        options.max_connections(1).sqlx_logging(false);
        let connection = sea_orm::Database::connect(options).await?;
        connection.execute_unprepared(sql).await?;
        connection.close().await
    })
}
