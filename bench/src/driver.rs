//! A plain loop over SQLite's driver, with the settings and the table that the gateway has: one
//! connection, one statement after the other, each kept before the next begins. It is what the
//! `rows` scenario is measured against.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use sea_orm::sqlx::query::Query;
use sea_orm::sqlx::sqlite::{
    Sqlite, SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous,
};
use sea_orm::sqlx::{Connection, Row, query};
use uuid::Uuid;

/// As the gateway makes the table `message` of the pack.
const CREATE_TABLE: &str = "CREATE TABLE message (
    id TEXT NOT NULL PRIMARY KEY, text TEXT, roomId TEXT, senderId TEXT,
    createdAt TEXT NOT NULL, updatedAt TEXT NOT NULL
) STRICT";
const INSERT: &str = "INSERT INTO message (id, text, roomId, senderId, createdAt, updatedAt) \
                      VALUES (?, ?, ?, ?, ?, ?)";
const SELECT: &str = "SELECT id, text, roomId, senderId, createdAt, updatedAt FROM message WHERE id = ?";
const COLUMNS: usize = 6;
/// A moment in the form that rows have it; that it is always the same spares the loop a clock.
const NOW: &str = "2026-01-31T12:00:00.000Z";

/// One connection.
pub struct Driver(SqliteConnection);

impl Driver {
    /// Opens a database, and makes it if there is none.
    pub async fn open(file: &Path) -> Result<Self> {
        Self::open_with(file, SqliteSynchronous::Normal).await
    }

    /// The same, whose commits are on the disk when they return.
    pub async fn open_durable(file: &Path) -> Result<Self> {
        Self::open_with(file, SqliteSynchronous::Full).await
    }

    async fn open_with(file: &Path, synchronous: SqliteSynchronous) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .busy_timeout(Duration::from_secs(5))
            .foreign_keys(true);
        Ok(Self(SqliteConnection::connect_with(&options).await?))
    }

    /// Makes the table.
    pub async fn create_table(&mut self) -> Result<()> {
        query(CREATE_TABLE).execute(&mut self.0).await?;
        Ok(())
    }

    /// Adds one row; its id.
    pub async fn insert(&mut self, text: &str) -> Result<String> {
        let id = Uuid::now_v7().to_string();
        insert(&id, text).execute(&mut self.0).await?;
        Ok(id)
    }

    /// Adds rows in one transaction; their ids.
    pub async fn fill(&mut self, rows: usize, text: &str) -> Result<Vec<String>> {
        let mut transaction = self.0.begin().await?;
        let ids: Vec<_> = (0..rows).map(|_| Uuid::now_v7().to_string()).collect();
        for id in &ids {
            insert(id, text).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(ids)
    }

    /// The values of the row with this id.
    pub async fn select(&mut self, id: &str) -> Result<Vec<String>> {
        let row = query(SELECT).bind(id).fetch_one(&mut self.0).await?;
        Ok((0..COLUMNS).map(|column| row.try_get(column)).collect::<Result<_, _>>()?)
    }
}

fn insert<'a>(id: &'a str, text: &'a str) -> Query<'a, Sqlite, SqliteArguments> {
    query(INSERT).bind(id).bind(text).bind("general").bind("sender").bind(NOW).bind(NOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rows_are_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut driver = Driver::open(&folder.path().join("test.db")).await.unwrap();
        driver.create_table().await.unwrap();
        let mut ids = driver.fill(3, "many").await.unwrap();
        ids.push(driver.insert("one").await.unwrap());
        for (id, text) in ids.iter().zip(["many", "many", "many", "one"]) {
            let values = driver.select(id).await.unwrap();
            assert_eq!(values[..2], [id.as_str(), text]);
        }
        assert!(driver.select("none").await.is_err());
    }
}
