//! What is kept of jobs, and for how long; and how many there are, for the metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::Jobs;
use super::job::now_ms;
use super::status::STATE;
use crate::error::Result;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// How often what is old is deleted.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// How often jobs are counted, and the most of the time that counting may take: one part of so many.
const COUNT_EVERY: Duration = Duration::from_secs(5);
const COUNT_PARTS: u32 = 50;
/// Rows that are deleted at once.
const ROWS: usize = 1000;
/// Days before and after this one that have a partition.
const DAYS_BEFORE: i64 = 1;
const DAYS_AFTER: i64 = 3;

impl Jobs {
    /// Deletes what is old and counts what is there, as long as this is asked.
    pub(super) async fn keep_pruned(self: Arc<Self>) {
        let mut pruned: Option<Instant> = None;
        loop {
            if pruned.is_none_or(|pruned| pruned.elapsed() >= PRUNE_EVERY) {
                if let Err(error) = self.prune().await {
                    tracing::warn!(%error, "finished jobs could not be pruned; trying again");
                }
                pruned = Some(Instant::now());
            }
            let start = Instant::now();
            if let Err(error) = self.count().await {
                tracing::debug!(%error, "jobs could not be counted");
            }
            tokio::time::sleep(COUNT_EVERY.max(start.elapsed() * COUNT_PARTS)).await;
        }
    }

    /// Makes what finished jobs are kept in for the next days.
    pub(super) async fn prepare_days(&self) {
        if self.backend() == DbBackend::Postgres {
            self.make_partitions(now_ms()).await;
        }
    }

    async fn prune(&self) -> Result<()> {
        let now = now_ms();
        let kept_since = now - i64::from(self.settings.kept_hours) * HOUR_MS;
        if self.backend() == DbBackend::Postgres {
            self.make_partitions(now).await;
            self.drop_partitions(kept_since).await?;
        }
        self.delete_in_parts("gw_job_done", "id", "finished_at", kept_since).await?;
        let known_since = now - i64::from(self.settings.event_ids_kept_hours) * HOUR_MS;
        self.delete_in_parts("gw_event_id", "request_id", "stored_at", known_since).await
    }

    /// A part at a time: others write in between.
    async fn delete_in_parts(&self, table: &str, key: &str, time: &str, before: i64) -> Result<()> {
        let sql = format!(
            "DELETE FROM {table} WHERE {time} < $1 AND {key} IN \
             (SELECT {key} FROM {table} WHERE {time} < $1 ORDER BY {time} LIMIT {ROWS})"
        );
        loop {
            let statement = Statement::from_sql_and_values(self.backend(), sql.as_str(), [before.into()]);
            if self.store.db().execute_raw(statement).await?.rows_affected() < ROWS as u64 {
                return Ok(());
            }
        }
    }

    /// What ends on one day is in one partition, so that it goes without a trace.
    async fn make_partitions(&self, now: i64) {
        for day in (now / DAY_MS - DAYS_BEFORE)..=(now / DAY_MS + DAYS_AFTER) {
            let (from, to) = (day * DAY_MS, (day + 1) * DAY_MS);
            let sql = format!(
                "CREATE TABLE IF NOT EXISTS gw_job_done_{day} PARTITION OF gw_job_done FOR VALUES FROM ({from}) TO ({to})"
            );
            // Another node may make it at this moment; and what a clock that was far off has put among the others
            // stands in the way of its day, which is deleted from there then.
            if let Err(error) = self.store.db().execute_unprepared(&sql).await {
                tracing::debug!(%error, day, "no partition for a day of finished jobs");
            }
        }
    }

    async fn drop_partitions(&self, kept_since: i64) -> Result<()> {
        let sql = "SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
                   WHERE i.inhparent = 'gw_job_done'::regclass";
        let rows = self.store.db().query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
        for row in rows {
            let name: String = row.try_get("", "name")?;
            let day = name.strip_prefix("gw_job_done_").and_then(|day| day.parse::<i64>().ok());
            if day.is_some_and(|day| (day + 1) * DAY_MS <= kept_since) {
                self.store.db().execute_unprepared(&format!("DROP TABLE IF EXISTS {name}")).await?;
            }
        }
        Ok(())
    }

    async fn count(&self) -> Result<()> {
        let sql = format!(
            "SELECT gateway, {STATE} AS state, COUNT(*) AS jobs, MIN(accepted_at) AS oldest FROM gw_job \
             GROUP BY gateway, 2 UNION ALL SELECT gateway, 'dead', COUNT(*), NULL FROM gw_job_done \
             WHERE state = 'dead' GROUP BY gateway"
        );
        let rows = self.store.db().query_all_raw(Statement::from_string(self.backend(), sql)).await?;
        self.metrics.jobs.reset();
        let mut oldest = None;
        for row in rows {
            let labels: [String; 2] = [row.try_get("", "state")?, row.try_get("", "gateway")?];
            let jobs: i64 = row.try_get("", "jobs")?;
            self.metrics.jobs.with_label_values(&labels).set(jobs);
            // Those for later are not late.
            if labels[0] != "scheduled" {
                let since: Option<i64> = row.try_get("", "oldest")?;
                oldest = oldest.into_iter().chain(since).min();
            }
        }
        let age = oldest.map_or(0, |oldest: i64| (now_ms() - oldest).max(0) / 1000);
        self.metrics.jobs_oldest_seconds.set(age);
        self.metrics.job_keys_blocked.set(self.keys.lock().blocked() as i64);
        Ok(())
    }
}
