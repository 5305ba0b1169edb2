//! What the database has of what packs hold, and which pack it came from.

use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};
use serde_json::Value as Json;
use uuid::Uuid;

use super::manifest::Pack;
use super::thing::{EventSpec, GatewaySpec, HookSpec, RouteSpec, TableSpec, Thing};
use crate::error::{Error, Result};
use crate::store::{self, Store, event, gateway, hook, pack, route, table};

/// One thing in the database.
#[derive(Debug, Clone)]
pub(super) struct Present {
    pub id: Uuid,
    /// The pack that it came from; an event came from where its gateway did.
    pub owner: Option<String>,
    pub thing: Thing,
}

/// All that is there.
pub(super) async fn present_things(store: &Store) -> Result<Vec<Present>> {
    let db = store.db();
    let mut present = Vec::new();
    let mut add = |id, owner, thing| present.push(Present { id, owner, thing });
    for row in table::Entity::find().all(db).await? {
        add(row.id, row.pack.clone(), Thing::Table(table_spec(row)?));
    }
    let mut events = event::Entity::find().all(db).await?;
    for row in gateway::Entity::find().all(db).await? {
        for event in events.extract_if(.., |event| event.gateway_id == row.id) {
            let (id, gateway) = (event.id, row.path.clone());
            add(id, row.pack.clone(), Thing::Event { gateway, event: event_spec(event) });
        }
        add(row.id, row.pack.clone(), Thing::Gateway(gateway_spec(row)?));
    }
    for row in route::Entity::find().all(db).await? {
        add(row.id, row.pack.clone(), Thing::Route(route_spec(row)));
    }
    for row in hook::Entity::find().all(db).await? {
        add(row.id, row.pack.clone(), Thing::Hook(hook_spec(row)?));
    }
    Ok(present)
}

fn table_spec(row: table::Model) -> Result<TableSpec> {
    Ok(TableSpec {
        name: row.name,
        description: row.description,
        columns: read(row.columns)?,
        access: read(row.access)?,
    })
}

fn gateway_spec(row: gateway::Model) -> Result<GatewaySpec> {
    Ok(GatewaySpec {
        path: row.path,
        description: row.description,
        is_enabled: row.is_enabled,
        require_auth: row.require_auth,
        connection: row.connection_script,
        disconnection: row.disconnection_script,
        script_timeout_ms: row.script_timeout_ms,
        allowed_origins: row.allowed_origins.map(read).transpose()?,
        presence: row.presence,
        limits: read(row.limits)?,
        events: Vec::new(),
    })
}

fn event_spec(row: event::Model) -> EventSpec {
    EventSpec {
        name: row.event_name,
        script: row.source_code,
        description: row.description,
        is_enabled: row.is_enabled,
        timeout_ms: row.timeout_ms,
        payload_schema: row.payload_schema,
    }
}

fn route_spec(row: route::Model) -> RouteSpec {
    RouteSpec {
        method: row.method,
        path: row.path,
        access: row.access,
        script: row.source_code,
        description: row.description,
        is_enabled: row.is_enabled,
        timeout_ms: row.timeout_ms,
    }
}

fn hook_spec(row: hook::Model) -> Result<HookSpec> {
    Ok(HookSpec {
        table: row.table,
        when: row.when,
        on: read(row.on)?,
        priority: row.priority,
        script: row.source_code,
        description: row.description,
        is_enabled: row.is_enabled,
        condition: row.condition,
    })
}

fn read<T: serde::de::DeserializeOwned>(json: Json) -> Result<T> {
    serde_json::from_value(json).map_err(|error| Error::Internal(format!("a row for packs: {error}")))
}

/// Marks a thing as a pack's. An event goes with its gateway.
pub(super) async fn own(store: &Store, id: Uuid, thing: &Thing, pack: &str) -> Result<()> {
    macro_rules! own {
        ($entity:ident) => {
            $entity::Entity::update_many()
                .col_expr($entity::Column::Pack, Expr::value(pack))
                .filter($entity::Column::Id.eq(id))
                .exec(store.db())
                .await
                .map(drop)
        };
    }
    let owned = match thing {
        Thing::Table(_) => own!(table),
        Thing::Gateway(_) => own!(gateway),
        Thing::Route(_) => own!(route),
        Thing::Hook(_) => own!(hook),
        Thing::Event { .. } => Ok(()),
    };
    Ok(owned?)
}

/// An installed pack, as it was then.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented on the row")]
pub struct Installed {
    pub name: String,
    pub description: String,
    pub things: Vec<Thing>,
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
    Ok(pack::Entity::find_by_id(name).one(store.db()).await?.map(of_row))
}

/// What cannot be read was written by a version that held less: then all differs from the pack.
fn of_row(row: pack::Model) -> Installed {
    Installed {
        name: row.name,
        description: row.description,
        things: serde_json::from_value(row.content).unwrap_or_default(),
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

/// Keeps what was installed, to tell an admin's edits from the pack's.
pub(super) async fn remember(store: &Store, installed: &Pack) -> Result<()> {
    let now = store::now();
    let before = pack::Entity::find_by_id(&installed.name).one(store.db()).await?;
    let row = pack::Model {
        name: installed.name.clone(),
        description: installed.description.clone(),
        content: serde_json::to_value(&installed.things)
            .map_err(|error| Error::Internal(error.to_string()))?,
        created_at: before.as_ref().map_or(now, |row| row.created_at),
        updated_at: now,
    };
    let row = row.into_active_model();
    if before.is_some() {
        row.reset_all().update(store.db()).await?;
    } else {
        row.insert(store.db()).await?;
    }
    Ok(())
}

/// Forgets a pack.
pub(super) async fn forget(store: &Store, name: &str) -> Result<()> {
    pack::Entity::delete_by_id(name).exec(store.db()).await?;
    Ok(())
}
