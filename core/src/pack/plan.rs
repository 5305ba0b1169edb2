//! What installing a pack, or removing it, would change.
//!
//! What was installed is remembered, so that an admin's later edits can be told from the pack's
//! own and are not overwritten unless asked for.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::DatabaseTransaction;
use similar::TextDiff;

use super::install::table_change;
use super::manifest::Pack;
use super::present::{Present, installed_on, present_things};
use super::thing::{Thing, in_order};
use crate::catalog::Catalog;
use crate::data::Tables;
use crate::error::{Error, Failure, Result};
use crate::store::{self, Concerns};

/// How to install; by default nothing is lost.
#[derive(Debug, Clone, Copy, Default)]
pub struct InstallOptions {
    /// Overwrite what an admin edited, and take over what is not the pack's.
    pub overwrite: bool,
    /// Lose the values of columns, and the rows of tables, that the pack no longer has.
    pub lose_values: bool,
}

impl InstallOptions {
    /// All of it or nothing, as `--force` is given.
    pub fn forced(force: bool) -> Self {
        Self { overwrite: force, lose_values: force }
    }
}

/// What an installation would do.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The changes in the order in which they are made; empty: nothing to do.
    pub changes: Vec<Change>,
    /// What is there as the pack has it, but came from elsewhere.
    pub(super) adopted: Vec<Present>,
    /// What is there and stays as it is.
    pub(super) others: Vec<Present>,
    /// The tables that it begins with.
    pub(super) tables: Tables,
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What happens.
    pub kind: ChangeKind,
    /// Why it is a conflict, or what is lost; empty where there is nothing to say.
    pub note: String,
    pub(super) before: Option<Present>,
    pub(super) after: Option<Thing>,
}

/// What happens to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is deleted.
    Delete,
    /// It is not touched, since that would lose what the options do not allow to be lost.
    Conflict,
}

impl Plan {
    /// Whether it does the same to the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.changes == other.changes
            && self.adopted == other.adopted
            && self.others == other.others
            && self.tables.keys().all(|name| other.tables.contains_key(name))
            && self.tables.len() == other.tables.len()
    }

    /// The changes of one kind.
    pub fn of(&self, kind: ChangeKind) -> impl DoubleEndedIterator<Item = &Change> {
        self.changes.iter().filter(move |change| change.kind == kind)
    }
}

impl Change {
    /// The thing as it will be, or as it was.
    pub fn thing(&self) -> &Thing {
        let before = self.before.as_ref().map(|before| &before.thing);
        self.after.as_ref().or(before).expect("a change has a thing before or after it")
    }

    /// What changes of it, as a unified diff of its settings and scripts.
    pub fn unified_diff(&self) -> String {
        let (before, after) = self.texts();
        let subject = self.thing().subject();
        let name = |side: &str, thing: bool| {
            if thing { format!("{side}/{subject}") } else { "/dev/null".to_owned() }
        };
        let (old, new) = (name("a", self.before.is_some()), name("b", self.after.is_some()));
        let diff = TextDiff::from_lines(before.as_str(), after.as_str());
        diff.unified_diff().context_radius(3).header(&old, &new).to_string()
    }

    /// The text before and after.
    pub fn texts(&self) -> (String, String) {
        let before = self.before.as_ref().map(|before| before.thing.text());
        (before.unwrap_or_default(), self.after.as_ref().map(Thing::text).unwrap_or_default())
    }
}

/// What installing would change.
///
/// # Errors
/// `VALIDATION_ERROR` for a change of a table that its rows do not allow.
pub async fn plan(catalog: &Catalog, pack: &Pack, options: InstallOptions) -> Result<Plan> {
    check_texts(pack)?;
    read_plan(catalog, &pack.name, &pack.things, options).await
}

pub(super) fn check_texts(pack: &Pack) -> Result<()> {
    store::check_text("name", &pack.name)?;
    store::check_text("description", &pack.description)
}

/// What has to change so that the pack's things are these, as it is now.
pub(super) async fn read_plan(
    catalog: &Catalog,
    pack: &str,
    wanted: &[Thing],
    options: InstallOptions,
) -> Result<Plan> {
    let store = catalog.store();
    store.read_together(Concerns::Tables, async |on| plan_for(catalog, on, pack, wanted, options).await).await
}

/// What has to change so that the pack's things are these, as a transaction sees it.
pub(super) async fn plan_for(
    catalog: &Catalog,
    on: &DatabaseTransaction,
    pack: &str,
    wanted: &[Thing],
    options: InstallOptions,
) -> Result<Plan> {
    let installed = installed_on(on, pack).await?.map(|pack| pack.things);
    let installed: BTreeMap<String, Thing> =
        installed.into_iter().flatten().map(|thing| (thing.key(), thing)).collect();
    let (mut concerned, others) = concerned_by(pack, wanted, present_things(on).await?);
    let is_own = |before: &Present| {
        before.owner.as_deref() == Some(pack)
            && installed.get(&before.thing.key()).is_some_and(|installed| *installed == before.thing)
    };
    let tables = catalog.data()?.tables_on(on).await?;
    let mut plan = Plan { others, tables, ..Plan::default() };
    for thing in wanted {
        let before = concerned.remove(&thing.key());
        match before {
            // Packs may use one table together, and it stays that of the first.
            Some(before) if before.thing == *thing && is_table_of_another(&before, pack) => {
                plan.others.push(before);
            }
            Some(before) if before.thing == *thing => {
                if before.owner.as_deref() != Some(pack) {
                    plan.adopted.push(before);
                }
            }
            Some(before) => {
                let is_own = is_own(&before);
                plan.changes.push(update(catalog, on, before, thing, is_own, options).await?);
            }
            None => plan.changes.push(Change::to(ChangeKind::Create, None, Some(thing.clone()))),
        }
    }
    // What needs others goes before them.
    let gone = in_order(concerned.into_values().collect(), |before| &before.thing);
    for before in gone.into_iter().rev() {
        let is_own = is_own(&before);
        plan.changes.push(delete(catalog, on, before, is_own, options).await?);
    }
    Ok(plan)
}

fn is_table_of_another(present: &Present, pack: &str) -> bool {
    let owner = present.owner.as_deref();
    matches!(present.thing, Thing::Table(_)) && owner.is_some_and(|owner| owner != pack)
}

/// Splits what is there: what the pack has or wants to have, by key, and all else. Hooks and libraries of others
/// are never the pack's: a table may have many hooks alike, and each pack has its own libraries.
fn concerned_by(
    pack: &str,
    wanted: &[Thing],
    present: Vec<Present>,
) -> (BTreeMap<String, Present>, Vec<Present>) {
    let keys: BTreeSet<String> = wanted.iter().map(Thing::key).collect();
    let (mut concerned, mut others) = (BTreeMap::new(), Vec::new());
    for before in present {
        let is_owned = before.owner.as_deref() == Some(pack);
        let is_wanted = match &before.thing {
            Thing::Hook(_) | Thing::Library(_) => false,
            Thing::Event { gateway, .. } => keys.contains(gateway),
            thing => keys.contains(&thing.key()),
        };
        if is_owned || is_wanted {
            let key = before.thing.key();
            // An admin may have made two hooks of the pack alike; the pack has but one.
            let key = if concerned.contains_key(&key) { format!("{key} {}", before.id) } else { key };
            concerned.insert(key, before);
        } else {
            others.push(before);
        }
    }
    (concerned, others)
}

async fn update(
    catalog: &Catalog,
    on: &DatabaseTransaction,
    before: Present,
    thing: &Thing,
    is_own: bool,
    options: InstallOptions,
) -> Result<Change> {
    let mut loss = String::new();
    if let Thing::Table(table) = thing {
        let losses = catalog.data()?.losses(on, before.id, &table_change(table, true)).await;
        loss = losses.map_err(|error| about(&thing.subject(), error))?;
    }
    Ok(Change::to(ChangeKind::Update, Some(before), Some(thing.clone())).losing(is_own, loss, options))
}

async fn delete(
    catalog: &Catalog,
    on: &DatabaseTransaction,
    before: Present,
    is_own: bool,
    options: InstallOptions,
) -> Result<Change> {
    let mut loss = String::new();
    if let Thing::Table(_) = &before.thing {
        let rows = catalog.data()?.count_rows(on, before.id).await?;
        if rows > 0 {
            loss = format!("{rows} rows");
        }
    }
    Ok(Change::to(ChangeKind::Delete, Some(before), None).losing(is_own, loss, options))
}

impl Change {
    fn to(kind: ChangeKind, before: Option<Present>, after: Option<Thing>) -> Self {
        Self { kind, note: String::new(), before, after }
    }

    /// Says what is lost, and makes it a conflict where that is not allowed.
    fn losing(mut self, is_own: bool, loss: String, options: InstallOptions) -> Self {
        let mut notes = Vec::new();
        if !is_own {
            notes.push("edited since, or not of this pack".to_owned());
        }
        if !loss.is_empty() {
            notes.push(format!("loses {loss}"));
        }
        if (!is_own && !options.overwrite) || (!loss.is_empty() && !options.lose_values) {
            self.kind = ChangeKind::Conflict;
        }
        self.note = notes.join("; ");
        self
    }
}

/// The same refusal, saying what it is about.
pub(super) fn about(subject: &str, error: Error) -> Error {
    match error {
        Error::Refused(failure) => {
            let message = format!("{subject}: {}", failure.message);
            Failure { message: message.into(), ..failure }.into()
        }
        other => other,
    }
}
