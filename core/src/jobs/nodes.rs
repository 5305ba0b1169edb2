//! The nodes of a database, as their leases tell.

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::Jobs;
use crate::error::Result;
use crate::store::SHARDS;

/// Nodes that are listed at most.
const NODES_MAX: usize = 1000;

/// A process that serves this database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Unlike all others' and all before.
    pub id: String,
    /// Whether it is this one.
    pub is_this: bool,
    /// How many of the 64 parts of the jobs it has.
    pub shards: i64,
}

impl Jobs {
    /// The nodes that run now: on SQLite there is this one; on PostgreSQL a node is known for as long as its lease.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn nodes(&self) -> Result<Vec<Node>> {
        if self.store.db().get_database_backend() == DbBackend::Sqlite {
            return Ok(vec![Node { id: self.node.clone(), is_this: true, shards: i64::from(SHARDS) }]);
        }
        let sql = format!(
            "SELECT n.id AS id, COUNT(s.shard) AS shards FROM gw_node n LEFT JOIN gw_shard s ON s.owner = n.id AND \
             s.expires_at > now() WHERE n.expires_at > now() GROUP BY n.id ORDER BY n.id LIMIT {NODES_MAX}"
        );
        let rows = self.store.db().query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
        let node = |row: &sea_orm::QueryResult| -> Result<Node> {
            let id: String = row.try_get("", "id")?;
            Ok(Node { is_this: id == self.node, id, shards: row.try_get("", "shards")? })
        };
        rows.iter().map(node).collect()
    }
}
