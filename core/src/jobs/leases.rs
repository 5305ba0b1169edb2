//! Which shards of the jobs are this node's. On PostgreSQL nodes share them by leases, which count by the database's
//! clock: a node that does not renew its own loses them, and another goes on where it was.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Statement, TransactionTrait};

use super::Jobs;
use crate::error::Result;
use crate::store::SHARDS;

/// The part of a lease after which it is renewed.
const RENEW_PARTS: u32 = 3;
/// What is left of a lease when a node no longer counts on it, which covers the time that statements take.
const MARGIN_PARTS: u32 = 6;
/// How long renewing may take.
const RENEW_MAX: Duration = Duration::from_secs(2);

/// The leases of a node.
pub(super) struct Leases {
    is_alone: bool,
    lease: Duration,
    state: Mutex<State>,
    next: AtomicUsize,
}

struct State {
    shards: BTreeSet<i32>,
    renewed: Instant,
}

/// What renewing has changed.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub gained: Vec<i32>,
    pub lost: Vec<i32>,
    /// Of those that are gained, the ones that another node has not given back.
    pub taken_over: usize,
    /// Whether there are others to be had, in a moment.
    pub is_short: bool,
}

/// What a node has after it has renewed its leases, as [`Changed`] says it.
struct Renewed {
    has: BTreeSet<i32>,
    taken_over: usize,
    is_short: bool,
}

impl Leases {
    pub(super) fn new(backend: DbBackend, lease: Duration) -> Self {
        let is_alone = backend == DbBackend::Sqlite;
        let shards = if is_alone { (0..SHARDS).collect() } else { BTreeSet::new() };
        let state = Mutex::new(State { shards, renewed: Instant::now() });
        Self { is_alone, lease, state, next: AtomicUsize::new(0) }
    }

    /// How often they are renewed; none: there is one node.
    pub(super) fn renew_every(&self) -> Option<Duration> {
        (!self.is_alone).then(|| self.lease / RENEW_PARTS)
    }

    /// Whether a shard is this node's.
    pub(super) fn owns(&self, shard: i32) -> bool {
        let state = self.state.lock();
        self.counts(&state) && state.shards.contains(&shard)
    }

    /// The shards that are this node's.
    pub(super) fn shards(&self) -> Vec<i32> {
        let state = self.state.lock();
        if self.counts(&state) { state.shards.iter().copied().collect() } else { Vec::new() }
    }

    /// One of them, another each time; where there is none, any.
    pub(super) fn any(&self) -> i32 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let state = self.state.lock();
        let own = state.shards.iter().nth(number % state.shards.len().max(1)).copied();
        own.unwrap_or((number % SHARDS as usize) as i32)
    }

    fn counts(&self, state: &State) -> bool {
        self.is_alone || state.renewed.elapsed() + self.lease / MARGIN_PARTS < self.lease
    }
}

impl Jobs {
    /// Renews this node's leases, takes those that are free, and gives back what is more than its part. `is_busy`:
    /// whether a shard has jobs here that would be run twice.
    pub(super) async fn renew_leases(self: &Arc<Self>) -> Result<Changed> {
        let began = Instant::now();
        let had = self.leases.state.lock().shards.clone();
        let renewed = tokio::time::timeout(RENEW_MAX, self.renew(&had)).await.unwrap_or_else(|_| {
            Err(crate::Error::Internal("the leases were not renewed in time".to_owned()))
        });
        let Renewed { has, taken_over, is_short } = renewed?;
        let changed = Changed {
            gained: has.difference(&had).copied().collect(),
            lost: had.difference(&has).copied().collect(),
            taken_over,
            is_short,
        };
        if !changed.gained.is_empty() {
            // Before they count: what the database has of them is not known yet.
            self.is_caught_up.store(false, Ordering::SeqCst);
        }
        let mut state = self.leases.state.lock();
        state.shards = has;
        state.renewed = began;
        Ok(changed)
    }

    async fn renew(&self, had: &BTreeSet<i32>) -> Result<Renewed> {
        let on = self.store.db().begin().await?;
        let expires = format!("now() + interval '{} milliseconds'", self.leases.lease.as_millis());
        run(&on, &format!(
            "INSERT INTO gw_node VALUES ($1, {expires}) ON CONFLICT (id) DO UPDATE SET expires_at = {expires}"
        ), &self.node).await?;
        on.execute_unprepared("DELETE FROM gw_node WHERE expires_at < now() - interval '1 hour'").await?;
        let nodes = on.query_one_raw(sql("SELECT COUNT(*) FROM gw_node WHERE expires_at > now()")).await?;
        let nodes: i64 = nodes.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(1);
        let part = (SHARDS as usize).div_ceil(nodes.max(1) as usize);

        let own = "SELECT shard FROM gw_shard WHERE owner = $1 ORDER BY shard FOR UPDATE";
        let own = Statement::from_sql_and_values(DbBackend::Postgres, own, [self.node.as_str().into()]);
        let mut has: BTreeSet<i32> = shards(&on, own).await?;
        let surplus = has.len().saturating_sub(part);
        let idle: Vec<_> =
            has.iter().copied().filter(|shard| !self.keys.lock().is_busy(*shard)).take(surplus).collect();
        has.retain(|shard| !idle.contains(shard));
        let wanted = part.saturating_sub(has.len());
        // One's own that have run out are among the free.
        let free = "SELECT shard FROM gw_shard WHERE owner IS NULL OR expires_at < now() ORDER BY shard";
        let mut free = shards(&on, sql(free)).await?;
        free.retain(|shard| !has.contains(shard) && !idle.contains(shard));
        let abandoned = "SELECT shard FROM gw_shard WHERE owner IS NOT NULL AND expires_at < now()";
        let abandoned = shards(&on, sql(abandoned)).await?;
        // Nobody waits here for a node that hangs; where events are being stored in one at this moment, it is taken soon.
        let take = format!(
            "SELECT shard FROM gw_shard WHERE shard IN ({}) AND (owner IS NULL OR expires_at < now()) ORDER BY shard \
             LIMIT {wanted} FOR UPDATE SKIP LOCKED",
            list(&free)
        );
        let taken = shards(&on, sql(&take)).await?;
        let is_short = taken.len() < wanted.min(free.len());
        let taken_over = taken.intersection(&abandoned).count();
        has.extend(taken);
        run(
            &on,
            &format!(
                "UPDATE gw_shard SET owner = $1, expires_at = {expires} WHERE shard IN ({})",
                list(&has)
            ),
            &self.node,
        )
        .await?;
        let given = list(&had.iter().copied().filter(|shard| idle.contains(shard)).collect());
        run(
            &on,
            &format!("UPDATE gw_shard SET owner = NULL WHERE owner = $1 AND shard IN ({given})"),
            &self.node,
        )
        .await?;
        on.commit().await?;
        Ok(Renewed { has, taken_over, is_short })
    }

    /// Gives all leases back: who takes them need not wait for their end.
    pub(super) async fn release_leases(&self) {
        if self.leases.is_alone {
            return;
        }
        let release = "UPDATE gw_shard SET owner = NULL WHERE owner = $1";
        let released = async {
            run(self.store.db(), release, &self.node).await?;
            run(self.store.db(), "DELETE FROM gw_node WHERE id = $1", &self.node).await
        };
        if let Err(error) = released.await {
            tracing::debug!(%error, "the leases of jobs end by themselves");
        }
    }
}

fn sql(text: &str) -> Statement {
    Statement::from_string(DbBackend::Postgres, text)
}

async fn run(on: &impl ConnectionTrait, text: &str, node: &str) -> Result<()> {
    on.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, text, [node.into()])).await?;
    Ok(())
}

async fn shards(on: &DatabaseTransaction, statement: Statement) -> Result<BTreeSet<i32>> {
    let rows = on.query_all_raw(statement).await?;
    rows.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect()
}

/// Shards as SQL has them; one that does not exist where there are none.
fn list(shards: &BTreeSet<i32>) -> String {
    let all: Vec<_> = shards.iter().map(i32::to_string).collect();
    if all.is_empty() { "-1".to_owned() } else { all.join(", ") }
}
