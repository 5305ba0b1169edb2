//! Edits: what they write is one transaction, and live and announced when they return.

use sea_orm::DatabaseTransaction;

use super::Catalog;
use crate::error::Result;
use crate::store::{Concerns, definitions_number};

impl Catalog {
    /// Has `tell` called whenever the live definitions have changed, before the edit that changed them
    /// returns. It must not wait.
    pub fn on_change(&self, tell: impl Fn() + Send + Sync + 'static) {
        self.listeners.add(tell);
    }

    /// Makes live what was edited up to this number of [`crate::store::ChangeNumbers::definitions`],
    /// unless it is.
    pub async fn catch_up(&self, number: i64) -> Result<()> {
        // One at a time, so that older definitions never replace newer ones.
        let mut live = self.live_number.lock().await;
        // A number that is not the live one may be older: an edit here came between.
        if *live != number && definitions_number(self.store.db()).await? != *live {
            *live = self.load().await?;
            self.metrics.definitions_loaded.inc();
            self.listeners.tell();
        }
        Ok(())
    }

    /// Does work on definitions in one transaction, and makes it live here; other processes follow.
    ///
    /// # Errors
    /// As [`crate::store::Store::edit`]. When reading it back fails the edit stands, and is live as
    /// soon as the database answers.
    pub(crate) async fn edit<T>(
        &self,
        concerns: Concerns,
        work: impl AsyncFnOnce(&DatabaseTransaction) -> Result<T>,
    ) -> Result<T> {
        let (done, number) = self.store.edit(concerns, work).await?;
        self.catch_up(number).await?;
        Ok(done)
    }
}
