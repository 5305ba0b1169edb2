//! What the database has of what packs hold, and which pack it came from.

use std::collections::BTreeMap;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel,
    QueryFilter,
};
use serde_json::Value as Json;
use uuid::Uuid;

use super::manifest::Pack;
use super::thing::{TableSpec, Thing, of_kind};
use crate::catalog::{Definition, Event, Gateway, Hook, Library, Place, Route, Saved, Schedule, saved};
use crate::error::{Error, Result};
use crate::store::{self, Store, pack, table};

/// One thing in the database.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Present {
    pub id: Uuid,
    /// The pack that it came from; an event came from where its gateway did.
    pub owner: Option<String>,
    pub thing: Thing,
}

/// All that is there.
pub(super) async fn present_things(on: &impl ConnectionTrait) -> Result<Vec<Present>> {
    let mut present = Vec::new();
    for row in table::Entity::find().all(on).await? {
        present.push(Present { id: row.id, owner: row.pack.clone(), thing: Thing::Table(table_spec(row)?) });
    }
    let gateways = all::<Gateway>(on).await?;
    for Saved { id, definition: event, place, .. } in all::<Event>(on).await? {
        let gateway = gateways.iter().find(|gateway| Some(gateway.id) == place.gateway_id());
        let Some(gateway) = gateway else { continue };
        let (owner, gateway) = (gateway.place.pack(), gateway.definition.path.clone());
        present.push(Present { id, owner, thing: Thing::Event { gateway, event } });
    }
    present.extend(gateways.into_iter().map(|gateway| Present::new(gateway, Thing::Gateway)));
    let routes = all::<Route>(on).await?;
    present.extend(routes.into_iter().map(|route| Present::new(route, Thing::Route)));
    let hooks = all::<Hook>(on).await?;
    present.extend(hooks.into_iter().map(|hook| Present::new(hook, Thing::Hook)));
    let schedules = all::<Schedule>(on).await?;
    present.extend(schedules.into_iter().map(|schedule| Present::new(schedule, Thing::Schedule)));
    let libraries = all::<Library>(on).await?;
    present.extend(libraries.into_iter().map(|library| Present::new(library, Thing::Library)));
    Ok(present)
}

impl Present {
    fn new<T: Definition>(saved: Saved<T>, thing: impl Fn(T) -> Thing) -> Self {
        Self { id: saved.id, owner: saved.place.pack(), thing: thing(saved.definition) }
    }
}

async fn all<T: Definition>(on: &impl ConnectionTrait) -> Result<Vec<Saved<T>>> {
    Ok(T::Entity::find().all(on).await?.into_iter().map(T::of_row).collect())
}

fn table_spec(row: table::Model) -> Result<TableSpec> {
    Ok(TableSpec {
        name: row.name,
        description: row.description,
        columns: read(row.columns)?,
        unique: read(row.unique)?,
        access: read(row.access)?,
    })
}

fn read<T: serde::de::DeserializeOwned>(json: Json) -> Result<T> {
    serde_json::from_value(json).map_err(|error| Error::Internal(format!("a row for packs: {error}")))
}

/// Marks a thing as a pack's. An event goes with its gateway.
pub(super) async fn own(on: &DatabaseTransaction, id: Uuid, thing: &Thing, pack: &str) -> Result<()> {
    async fn own_one<T: Definition>(
        _: &T,
        on: &DatabaseTransaction,
        id: Uuid,
        pack: Option<String>,
    ) -> Result<()> {
        if !T::IS_OF_GATEWAY {
            let row = T::into_row(Saved { place: Place::Pack { pack }, ..saved::<T>(on, id).await? });
            row.into_active_model().reset_all().update(on).await?;
        }
        Ok(())
    }
    let pack = Some(pack.to_owned());
    of_kind!(
        thing,
        _table => {
            let of_pack = table::Entity::update_many().col_expr(table::Column::Pack, Expr::value(pack));
            of_pack.filter(table::Column::Id.eq(id)).exec(on).await?;
            Ok(())
        },
        definition => own_one(definition, on, id, pack).await
    )
}

/// An installed pack, as it was then.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented on the row")]
pub struct Installed {
    pub name: String,
    pub description: String,
    pub things: Vec<Thing>,
    pub mount: String,
    pub created_at: store::Time,
    pub updated_at: store::Time,
}

/// The installed packs, by name.
pub async fn installed(store: &Store) -> Result<Vec<Installed>> {
    let mut rows = pack::Entity::find().all(store.db()).await?;
    rows.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(rows.into_iter().map(of_row).collect())
}

/// An installed pack by name.
pub async fn installed_pack(store: &Store, name: &str) -> Result<Option<Installed>> {
    installed_on(store.db(), name).await
}

/// The same, as an edit sees it.
pub(super) async fn installed_on(on: &impl ConnectionTrait, name: &str) -> Result<Option<Installed>> {
    Ok(pack::Entity::find_by_id(name).one(on).await?.map(of_row))
}

/// What cannot be read was written by a version that held less: then all differs from the pack.
fn of_row(row: pack::Model) -> Installed {
    Installed {
        name: row.name,
        description: row.description,
        things: serde_json::from_value(row.content).unwrap_or_default(),
        mount: row.mount,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

/// What differs from what each installed pack brought, by the pack's name: subjects that admins have edited, deleted or
/// added to it.
///
/// # Errors
/// When the database does not answer.
pub async fn edited(store: &Store, installed: &[Installed]) -> Result<BTreeMap<String, Vec<String>>> {
    let mut of_pack: BTreeMap<String, BTreeMap<String, Thing>> = BTreeMap::new();
    for Present { owner, thing, .. } in present_things(store.db()).await? {
        if let Some(owner) = owner {
            of_pack.entry(owner).or_default().insert(thing.key(), thing);
        }
    }
    let mut edited = BTreeMap::new();
    for pack in installed {
        let mut present = of_pack.remove(&pack.name).unwrap_or_default();
        let mut subjects = Vec::new();
        for thing in &pack.things {
            let is_as_installed = match present.remove(&thing.key()) {
                Some(there) => there == *thing,
                // A table that another pack had first stays that pack's.
                None => matches!(thing, Thing::Table(_)),
            };
            if !is_as_installed {
                subjects.push(thing.subject());
            }
        }
        subjects.extend(present.values().map(Thing::subject));
        edited.insert(pack.name.clone(), subjects);
    }
    Ok(edited)
}

/// Keeps what was installed, to tell an admin's edits from the pack's.
pub(super) async fn remember(on: &DatabaseTransaction, installed: &Pack) -> Result<()> {
    let now = store::now();
    let before = pack::Entity::find_by_id(&installed.name).one(on).await?;
    let row = pack::Model {
        name: installed.name.clone(),
        description: installed.description.clone(),
        content: serde_json::to_value(&installed.things)
            .map_err(|error| Error::Internal(error.to_string()))?,
        mount: installed.mount.clone(),
        created_at: before.as_ref().map_or(now, |row| row.created_at),
        updated_at: now,
    };
    let row = row.into_active_model();
    if before.is_some() {
        row.reset_all().update(on).await?;
    } else {
        row.insert(on).await?;
    }
    Ok(())
}

/// Forgets a pack.
pub(super) async fn forget(on: &DatabaseTransaction, name: &str) -> Result<()> {
    pack::Entity::delete_by_id(name).exec(on).await?;
    Ok(())
}
