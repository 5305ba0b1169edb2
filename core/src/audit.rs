//! Who has changed what through the admin API, and who has signed in: rows that are only ever added, and go when
//! they are old or too many. What a change says besides the name of its subject is never in them.
//!
//! This module must not know how it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sea_orm::sea_query::{ExprTrait, Query};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use uuid::Uuid;

use crate::config;
use crate::error::Result;
use crate::id::new_id;
use crate::store::list::{ListQuery, Page};
use crate::store::{
    self, Store, app_key, audit, event, gateway, hook, library, route, schedule, table, user,
};

pub use crate::store::audit::Model as AuditEntry;

/// What signing in is called, and out.
pub const SIGN_IN: &str = "signIn";
/// What signing out is called.
pub const SIGN_OUT: &str = "signOut";
/// The kind of what users change of themselves.
pub const OWN_ACCOUNT: &str = "ownAccount";
/// Characters of each text of an entry.
const TEXT_CHARS_MAX: usize = 200;
/// How often what is old goes.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
/// The same where much is written: after so many entries.
const PRUNE_AFTER: u64 = 256;
/// The part of all entries that refused sign-ins may be, which anyone can make; and the one of what users do to
/// sign in and out and with their own accounts.
const OTHERS_PARTS: u64 = 4;

/// The record of what admins do.
pub struct Audit {
    store: Store,
    settings: config::Audit,
    added: AtomicU64,
}

/// What was done.
#[derive(Debug, Clone, Default)]
pub struct Deed {
    /// The id of whoever did it; none: nobody who is known.
    pub user_id: Option<String>,
    /// How histories name that user.
    pub user: Option<String>,
    /// Of the network.
    pub address: String,
    /// Such as `create`, `update`, `delete` or `rotate`.
    pub action: String,
    /// What it was done to, such as `gateway`.
    pub kind: String,
    /// Which one.
    pub subject_id: Option<String>,
    /// What it is called.
    pub subject: Option<String>,
    /// The code of its failure; none: it was done.
    pub code: Option<&'static str>,
}

impl Audit {
    /// The record in `store`.
    pub fn new(store: Store, settings: config::Audit) -> Self {
        Self { store, settings, added: AtomicU64::new(0) }
    }

    /// Adds an entry. What cannot be written is logged: the deed is done already.
    pub async fn add(self: &Arc<Self>, deed: Deed) {
        let cut = |text: String| text.replace('\0', "").chars().take(TEXT_CHARS_MAX).collect::<String>();
        let outcome = if deed.code.is_some() { "error" } else { "ok" };
        let row = audit::ActiveModel {
            id: Set(new_id()),
            created_at: Set(store::now()),
            user_id: Set(deed.user_id.map(cut)),
            user: Set(deed.user.map(cut)),
            address: Set(cut(deed.address)),
            action: Set(cut(deed.action)),
            kind: Set(cut(deed.kind)),
            subject_id: Set(deed.subject_id.map(cut)),
            subject: Set(deed.subject.map(cut)),
            outcome: Set(outcome.to_owned()),
            code: Set(deed.code.map(str::to_owned)),
        };
        if let Err(error) = row.insert(self.store.db()).await {
            tracing::error!(%error, "an entry of the audit is lost");
        }
        if (self.added.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(PRUNE_AFTER) {
            let audit = self.clone();
            tokio::spawn(async move { audit.prune_or_warn().await });
        }
    }

    /// One page of entries, the newest first unless another order is asked for.
    ///
    /// # Errors
    /// As [`Store::list`].
    pub async fn list(&self, query: &ListQuery) -> Result<Page<AuditEntry>> {
        let sort = query.sort.clone().unwrap_or_else(|| "-id".to_owned());
        let kept = audit::Column::CreatedAt.gte(self.kept_since());
        let query = ListQuery { sort: Some(sort), ..query.clone() };
        self.store.list::<audit::Entity>(&query, Some(Condition::all().add(kept))).await
    }

    /// What something is called, of which a request has the id; none where it is not known.
    pub async fn name_of(&self, kind: &str, id: &str) -> Option<String> {
        let Ok(id) = Uuid::parse_str(id) else { return Some(id.to_owned()) };
        let found = self.find_name(kind, id).await;
        found.inspect_err(|error| tracing::debug!(%error, kind, "no name for the audit")).ok().flatten()
    }

    /// The account with this e-mail address: its id and the address.
    pub async fn account(&self, email: &str) -> Option<(String, String)> {
        let row = self.store.user_by_email(email).await.ok().flatten();
        row.map(|row| (row.id.to_string(), row.email))
    }

    async fn find_name(&self, kind: &str, id: Uuid) -> Result<Option<String>> {
        macro_rules! name {
            ($entity:ident, $name:expr) => {
                $entity::Entity::find_by_id(id).one(self.store.db()).await?.map($name)
            };
        }
        Ok(match kind {
            "gateway" => name!(gateway, |row| row.path),
            "event" => match event::Entity::find_by_id(id).one(self.store.db()).await? {
                Some(event) => {
                    let gateway = gateway::Entity::find_by_id(event.gateway_id).one(self.store.db()).await?;
                    let path = gateway.map(|gateway| gateway.path).unwrap_or_default();
                    Some(format!("{path} {}", event.event_name))
                }
                None => None,
            },
            "route" => name!(route, |row| format!("{} {}", row.method, row.path)),
            "hook" => name!(hook, |row| format!("{} {}", row.when, row.table)),
            "library" => name!(library, |row| row.name),
            "schedule" => name!(schedule, |row| row.name),
            "table" => name!(table, |row| row.name),
            "user" => name!(user, |row| row.email),
            "appKey" => name!(app_key, |row| row.name),
            "session" => match store::session::Entity::find_by_id(id).one(self.store.db()).await? {
                Some(session) => {
                    let of = user::Entity::find_by_id(session.user_id).one(self.store.db()).await?;
                    of.map(|user| user.email)
                }
                None => None,
            },
            _ => None,
        })
    }

    /// Deletes what is old, now and then, until `stopped` comes.
    pub async fn keep(self: Arc<Self>, stopped: impl Future<Output = ()>) {
        let pruning = async {
            loop {
                self.prune_or_warn().await;
                tokio::time::sleep(PRUNE_EVERY).await;
            }
        };
        tokio::select! {
            () = stopped => {}
            () = pruning => {}
        }
    }

    async fn prune_or_warn(&self) {
        if let Err(error) = self.prune().await {
            tracing::warn!(%error, "old entries of the audit could not be deleted; trying again later");
        }
    }

    /// Deletes what is old, and the oldest of what is too much. What anyone or any user can make has a part of its
    /// own to fill, so that nobody pushes out what admins did.
    async fn prune(&self) -> Result<()> {
        let rows = u64::from(self.settings.rows);
        let is_refused = audit::Column::Outcome.eq("error");
        let refused = Condition::all().add(audit::Column::Action.eq(SIGN_IN)).add(is_refused.clone());
        let of_users = Condition::any()
            .add(Condition::all().add(audit::Column::Action.eq(SIGN_IN)).add(is_refused.not()))
            .add(audit::Column::Action.eq(SIGN_OUT))
            .add(audit::Column::Kind.eq(OWN_ACCOUNT));
        self.delete(Condition::all().add(audit::Column::CreatedAt.lt(self.kept_since()))).await?;
        self.delete_beyond(rows / OTHERS_PARTS, refused).await?;
        self.delete_beyond(rows / OTHERS_PARTS, of_users).await?;
        self.delete_beyond(rows, Condition::all()).await
    }

    async fn delete_beyond(&self, most: u64, among: Condition) -> Result<()> {
        let first = audit::Entity::find()
            .filter(among.clone())
            .order_by_desc(audit::Column::Id)
            .offset(most)
            .limit(1)
            .one(self.store.db())
            .await?;
        match first {
            Some(first) => self.delete(among.add(audit::Column::Id.lte(first.id))).await,
            None => Ok(()),
        }
    }

    async fn delete(&self, which: Condition) -> Result<()> {
        let delete = Query::delete().from_table(audit::Entity).cond_where(which).to_owned();
        self.store.db().execute(&delete).await?;
        Ok(())
    }

    fn kept_since(&self) -> store::Time {
        store::now() - Duration::from_secs(u64::from(self.settings.kept_days) * 86_400)
    }
}
