//! Edits of tables: [`crate::data`] makes them, and here they become live.

use uuid::Uuid;

use super::Catalog;
use crate::data::{TableChange, TableView};
use crate::error::Result;
use crate::store::Concerns;

impl Catalog {
    /// Makes a table. Scripts can use it when this returns.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`, or `DUPLICATE_RESOURCE` for a taken name.
    pub async fn create_table(&self, change: TableChange) -> Result<TableView> {
        let data = self.data()?;
        self.edit(Concerns::Tables, async |on| data.create_table(on, change, None).await).await
    }

    /// Changes a table with its rows; its hooks follow one that is renamed.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`; `VALIDATION_ERROR` that says what would be lost, or what does not fit
    /// the present rows; `DUPLICATE_RESOURCE` for a taken name, or values that are not unique.
    pub async fn update_table(&self, id: Uuid, change: TableChange) -> Result<TableView> {
        let data = self.data()?;
        self.edit(Concerns::Tables, async |on| data.update_table(on, id, change).await).await
    }

    /// Deletes a table; one with rows needs `confirm`.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`; `VALIDATION_ERROR` when rows would be lost; `DUPLICATE_RESOURCE` when
    /// hooks or other tables need it.
    pub async fn delete_table(&self, id: Uuid, confirm: bool) -> Result<()> {
        let data = self.data()?;
        self.edit(Concerns::Tables, async |on| data.delete_table(on, id, confirm).await).await
    }
}
