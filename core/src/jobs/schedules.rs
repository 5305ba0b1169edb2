//! What the clock sends: a schedule that is due moves to its next time and leaves a job, in one transaction, so that
//! of all nodes one does it.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    Statement,
};
use uuid::Uuid;

use super::job::now_ms;
use super::ledger::{COMMIT_MAX, IDLE_MAX};
use super::{Caller, Job, Jobs, LaterJob, Times};
use crate::error::{Error, Failure, Result};
use crate::id::new_id;
use crate::moment::to_ms;
use crate::store::schedule;

/// How often schedules are looked at: the clock may be moved at any time.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Schedules that are looked at at once.
const LOOK_MAX: u64 = 1000;
/// How late a schedule may be that skips what it has missed.
const LATE_MS_MAX: i64 = 15_000;
/// When a schedule is next that is never due again.
const NEVER: i64 = i64::MAX;
/// What has missed its time makes no job.
pub(crate) const SKIP: &str = "skip";

impl Jobs {
    /// Makes the jobs of schedules when they are due, as long as this is asked.
    pub(super) async fn keep_scheduled(self: Arc<Self>) {
        loop {
            let wait = match self.look_at_schedules().await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::warn!(%error, "schedules could not be read; trying again");
                    LOOK_EVERY
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.schedules_changed.notified() => {}
            }
        }
    }

    /// Has schedules looked at now: they were edited.
    pub(crate) fn note_schedules(&self) {
        self.schedules_changed.notify_one();
    }

    /// Makes a job of a schedule now, whatever its times and whether it is enabled; the job's id.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub async fn run_schedule(&self, id: Uuid) -> Result<Uuid> {
        let row = schedule::Entity::find_by_id(id).one(self.store.db()).await?;
        let row = row.ok_or_else(|| Failure::not_found("schedule", id))?;
        let later = later_of(&row, now_ms());
        let (_, insert) = Self::later(self.backend(), &later);
        let on = self.store.begin_durable().await?;
        on.all(insert).await?;
        on.commit().await?;
        self.look();
        Ok(later.job.id)
    }

    /// Looks once; how long it may be until the next time.
    async fn look_at_schedules(&self) -> Result<Duration> {
        let now = now_ms();
        let soon = now + LOOK_EVERY.as_millis() as i64;
        use schedule::Column as C;
        let rows = schedule::Entity::find()
            .filter(C::IsEnabled.eq(true))
            .filter(Condition::any().add(C::NextAt.is_null()).add(C::NextAt.lte(soon)))
            .order_by_asc(C::NextAt)
            .order_by_asc(C::Id)
            .limit(LOOK_MAX)
            .all(self.store.db())
            .await?;
        // There may be more that is due.
        let is_more =
            rows.len() as u64 == LOOK_MAX && rows.last().is_some_and(|row| row.next_at <= Some(now));
        let mut nearest = if is_more { now } else { soon };
        for row in rows {
            match self.follow(&row, now).await {
                Ok(next) => nearest = nearest.min(next),
                Err(error) => tracing::warn!(%error, schedule = row.name, "a schedule waits; trying again"),
            }
        }
        Ok(Duration::from_millis((nearest - now_ms()).max(0) as u64))
    }

    /// Does what is due of one schedule; when it is next.
    async fn follow(&self, row: &schedule::Model, now: i64) -> Result<i64> {
        match step_of(row, now) {
            Step::Wait { next } => Ok(next),
            Step::Begin { next } => {
                self.begin_schedule(row, next).await?;
                Ok(next)
            }
            Step::MoveOn { due, next, is_run } => {
                if self.move_on(row, due, next, is_run).await? {
                    self.metrics.schedule_lag_seconds.set((now_ms() - due).max(0) as f64 / 1000.0);
                    self.look();
                }
                Ok(next)
            }
        }
    }

    /// Notes when a schedule that was saved is due first, unless it was saved again.
    async fn begin_schedule(&self, row: &schedule::Model, next: i64) -> Result<()> {
        let sql = "UPDATE gw_schedule SET next_at = $1 WHERE id = $2 AND next_at IS NULL AND is_enabled \
                   AND cron = $3 AND timezone = $4";
        let values = [next.into(), row.id.into(), row.cron.as_str().into(), row.timezone.as_str().into()];
        self.store.db().execute_raw(Statement::from_sql_and_values(self.backend(), sql, values)).await?;
        Ok(())
    }

    /// Moves a schedule on to its next time, with its job unless that is missed; whether a job was made. Another node,
    /// or an edit, may have been faster.
    async fn move_on(&self, row: &schedule::Model, due: i64, next: i64, is_run: bool) -> Result<bool> {
        let sql = "UPDATE gw_schedule SET next_at = $1 WHERE id = $2 AND next_at = $3 RETURNING name";
        let backend = self.backend();
        let moves = Statement::from_sql_and_values(backend, sql, [next.into(), row.id.into(), due.into()]);
        let work = async {
            let on = self.store.begin_durable().await?;
            if backend == DbBackend::Postgres {
                on.execute(IDLE_MAX).await?;
            }
            let is_moved = !on.all(moves).await?.is_empty();
            if is_moved && is_run {
                let (_, insert) = Self::later(backend, &later_of(row, due));
                on.all(insert).await?;
            }
            on.commit().await?;
            Ok(is_moved && is_run)
        };
        let late = || Err(Error::Internal("a commit of a schedule took too long".to_owned()));
        tokio::time::timeout(COMMIT_MAX, work).await.unwrap_or_else(|_| late())
    }
}

/// What is to be done for a schedule.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Nothing until then.
    Wait { next: i64 },
    /// It was saved, and is due first then.
    Begin { next: i64 },
    /// It is due, and then again.
    MoveOn {
        due: i64,
        next: i64,
        /// Whether it leaves a job: it may be too late for that.
        is_run: bool,
    },
}

fn step_of(row: &schedule::Model, now: i64) -> Step {
    match row.next_at {
        Some(next) if next > now => Step::Wait { next },
        Some(due) => {
            let is_run = row.missed != SKIP || now - due <= LATE_MS_MAX;
            Step::MoveOn { due, next: next_of(row, now), is_run }
        }
        None => {
            // What came since it was saved is not missed. A clock that was ahead then does not count.
            let saved_at = to_ms(row.updated_at);
            Step::Begin { next: next_of(row, saved_at.min(now)) }
        }
    }
}

/// When a schedule is next after a moment.
fn next_of(row: &schedule::Model, after: i64) -> i64 {
    match Times::read(&row.cron, &row.timezone) {
        Ok(times) => times.next_after(after).unwrap_or(NEVER),
        Err(failure) => {
            tracing::error!(schedule = row.name, error = %failure.message, "a schedule is not due any more; save it anew");
            NEVER
        }
    }
}

fn later_of(row: &schedule::Model, due_at: i64) -> LaterJob {
    let job = Job {
        id: new_id(),
        key: format!("schedule {}", row.name).into(),
        gateway: row.gateway_path.as_str().into(),
        event: row.event_name.as_str().into(),
        caller: Caller { schedule: Some(row.name.clone()), ..Caller::default() },
        payload: format!("[null,{}]", row.payload).into(),
        attachments: Vec::new(),
        accepted_at: now_ms(),
    };
    LaterJob { job, due_at, unique_name: None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::Time;

    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;
    /// 1 June 2026 at noon, UTC.
    const NOON: i64 = 1_780_315_200_000;

    fn saved(cron: &str, missed: &str, at: i64) -> schedule::Model {
        let at = Time::from_unix_timestamp(at / 1000).unwrap();
        schedule::Model {
            id: new_id(),
            name: "s".to_owned(),
            description: String::new(),
            cron: cron.to_owned(),
            timezone: "UTC".to_owned(),
            gateway_path: "/s".to_owned(),
            event_name: "e".to_owned(),
            payload: json!({}),
            missed: missed.to_owned(),
            is_enabled: true,
            next_at: None,
            pack: None,
            created_at: at,
            updated_at: at,
        }
    }

    /// The times, from noon on, for which there are jobs where the clock shows these, one after the other.
    fn jobs(row: &mut schedule::Model, clock: &[i64]) -> Vec<i64> {
        let mut jobs = Vec::new();
        for now in clock {
            match step_of(row, NOON + now) {
                Step::Wait { .. } => {}
                Step::Begin { next } => row.next_at = Some(next),
                Step::MoveOn { due, next, is_run } => {
                    row.next_at = Some(next);
                    jobs.extend(is_run.then_some(due - NOON));
                }
            }
        }
        jobs
    }

    #[test]
    fn each_time_has_one_job() {
        let mut row = saved("*/10 * * * *", "once", NOON);
        let clock =
            [0, MINUTE, 10 * MINUTE - 1, 10 * MINUTE, 10 * MINUTE + 1, 19 * MINUTE, 20 * MINUTE + 999];
        assert_eq!(jobs(&mut row, &clock), [10 * MINUTE, 20 * MINUTE]);
    }

    #[test]
    fn a_clock_that_is_moved() {
        // Back by an hour: nothing is due again until what was due is behind it.
        let mut row = saved("*/10 * * * *", "once", NOON);
        let clock = [1, 10 * MINUTE, 10 * MINUTE + 5 - HOUR, -40 * MINUTE, 0, 10 * MINUTE, 20 * MINUTE];
        assert_eq!(jobs(&mut row, &clock), [10 * MINUTE, 20 * MINUTE]);
        // On by an hour: as if no server had run.
        let mut row = saved("*/10 * * * *", "once", NOON);
        assert_eq!(
            jobs(&mut row, &[1, HOUR, HOUR + 1, HOUR + 10 * MINUTE]),
            [10 * MINUTE, HOUR + 10 * MINUTE]
        );
        // One that was saved while the clock was ahead begins now.
        let mut row = saved("*/10 * * * *", "once", NOON + HOUR);
        assert_eq!(jobs(&mut row, &[1, 10 * MINUTE]), [10 * MINUTE]);
    }

    #[test]
    fn what_was_missed() {
        let down = [1, 45 * MINUTE, 45 * MINUTE + 1, 50 * MINUTE];
        assert_eq!(jobs(&mut saved("*/10 * * * *", "once", NOON), &down), [10 * MINUTE, 50 * MINUTE]);
        assert_eq!(jobs(&mut saved("*/10 * * * *", SKIP, NOON), &down), [50 * MINUTE]);
        // A little late is not missed.
        let late = [1, 10 * MINUTE + LATE_MS_MAX, 20 * MINUTE + LATE_MS_MAX + 1];
        assert_eq!(jobs(&mut saved("*/10 * * * *", SKIP, NOON), &late), [10 * MINUTE]);
        // What came between the save and the first look is not missed either.
        assert_eq!(jobs(&mut saved("* * * * * *", "once", NOON), &[1500, 1501]), [1000]);
    }

    #[test]
    fn what_cannot_be_read_is_never_due() {
        assert_eq!(jobs(&mut saved("nonsense", "once", NOON), &[1, HOUR, 1000 * HOUR]), Vec::<i64>::new());
    }
}
