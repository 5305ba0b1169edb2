//! Finding a saved script for a test run, enabled or not.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::EntityTrait;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::live::timeout;
use super::live_routes::event_of;
use super::save::row_of;
use super::{Catalog, Event, EventTable, Found, Gateway, Route, RouteTable};
use crate::error::{ErrorCode, Failure, Result};
use crate::script::{ROUTES, SCRIPT_ADMISSION, SCRIPT_CONNECTION, SCRIPT_DISCONNECTION, SCRIPT_EVENT};
use crate::store::{event, gateway, route};

/// Which script.
#[derive(Debug, Clone, Copy)]
pub enum ScriptSelector<'a> {
    /// Of an event by its id.
    EventId(Uuid),
    /// Of the event that would take this name.
    Event {
        /// The gateway's path.
        path: &'a str,
        /// The name as a client would send it.
        name: &'a str,
    },
    /// Of an admission.
    Admission {
        /// The gateway's path.
        path: &'a str,
    },
    /// Of a connection.
    Connection {
        /// The gateway's path.
        path: &'a str,
    },
    /// Of a disconnection.
    Disconnection {
        /// The gateway's path.
        path: &'a str,
    },
}

/// A saved script.
#[derive(Debug, Clone)]
pub struct SavedScript {
    /// The row that has it.
    pub owner: Uuid,
    /// Which of its owner's scripts it is.
    pub script: &'static str,
    /// The path of its gateway.
    pub gateway_path: String,
    /// The event's name, or `admission`, `connection` or `disconnection`.
    pub event_name: String,
    /// The script.
    pub source: String,
    /// The pack that it belongs to.
    pub pack: Option<Arc<str>>,
    /// The time of one run.
    pub timeout: Duration,
}

/// The saved script of a route, as a request of its method and path finds it.
#[derive(Debug, Clone)]
pub struct SavedRoute {
    /// Upper case.
    pub method: String,
    /// With `{name}` for a parameter.
    pub path: String,
    /// Of the path that was asked for.
    pub params: Map<String, Json>,
    /// The script; its event's name is the method and the path.
    pub script: SavedScript,
}

impl Catalog {
    /// A saved route by its id; a path that it matches gives the parameters.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`; `BAD_REQUEST` for a parameter that is no UTF-8 text.
    pub async fn saved_route_by_id(&self, id: Uuid, path: Option<&str>) -> Result<SavedRoute> {
        let row = row_of::<Route>(self.store.db(), id).await?;
        let mut table = RouteTable::new(self.built_in_paths);
        table.insert(&row.method, &row.path, ());
        let found = path.map(|path| table.find(&row.method, path)).transpose()?;
        let params = match found {
            Some(Found::Route(_, params)) if path != Some(&row.path) => params,
            _ => Map::new(),
        };
        Ok(self.saved_route_of(row, params))
    }

    /// The saved route that a request would find, enabled or not. The path of a route as it is
    /// written finds it too, without parameters.
    ///
    /// # Errors
    /// As [`Self::saved_route_by_id`].
    pub async fn saved_route(&self, method: &str, path: &str) -> Result<SavedRoute> {
        let method = method.to_ascii_uppercase();
        let rows = route::Entity::find().all(self.store.db()).await?;
        if let Some(row) = rows.iter().find(|row| row.method == method && row.path == path) {
            return Ok(self.saved_route_of(row.clone(), Map::new()));
        }
        let mut table = RouteTable::new(self.built_in_paths);
        for row in &rows {
            table.insert(&row.method, &row.path, row);
        }
        match table.find(&method, path)? {
            Found::Route(row, params) => Ok(self.saved_route_of((*row).clone(), params)),
            _ => Err(Failure::not_found("route", event_of(&method, path)).into()),
        }
    }

    fn saved_route_of(&self, row: route::Model, params: Map<String, Json>) -> SavedRoute {
        let script = SavedScript {
            owner: row.id,
            script: SCRIPT_EVENT,
            gateway_path: ROUTES.to_owned(),
            event_name: event_of(&row.method, &row.path),
            source: row.source_code,
            pack: row.pack.map(Arc::from),
            timeout: timeout(row.timeout_ms, &self.config),
        };
        SavedRoute { method: row.method, path: row.path, params, script }
    }

    /// An earlier version of a script.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND` where this revision is none of this script.
    pub async fn source_of_revision(&self, owner: Uuid, script: &str, number: i64) -> Result<String> {
        let revision = self.revision(owner, number).await?;
        if revision.script != script {
            let message = format!("Revision {number} is of {}, not of {script}", revision.script);
            return Err(Failure::new(ErrorCode::ResourceNotFound, message).into());
        }
        Ok(revision.source)
    }

    /// A saved script; none where the gateway has no such script.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND` for a gateway or event that does not exist.
    pub async fn saved_script(&self, which: ScriptSelector<'_>) -> Result<Option<SavedScript>> {
        match which {
            ScriptSelector::EventId(id) => {
                let event = row_of::<Event>(self.store.db(), id).await?;
                let gateway = row_of::<Gateway>(self.store.db(), event.gateway_id).await?;
                Ok(Some(self.saved_event(&gateway, event)))
            }
            ScriptSelector::Event { path, name } => {
                let gateway = self.gateway_row_by_path(path).await?;
                let event = self.event_row_by_name(gateway.id, name).await?;
                Ok(Some(self.saved_event(&gateway, event)))
            }
            ScriptSelector::Admission { path } => {
                let gateway = self.gateway_row_by_path(path).await?;
                let source = gateway.admission_script.clone();
                Ok(source.map(|source| self.saved_of_gateway(&gateway, SCRIPT_ADMISSION, source)))
            }
            ScriptSelector::Connection { path } => {
                let gateway = self.gateway_row_by_path(path).await?;
                let source = gateway.connection_script.clone();
                Ok(source.map(|source| self.saved_of_gateway(&gateway, SCRIPT_CONNECTION, source)))
            }
            ScriptSelector::Disconnection { path } => {
                let gateway = self.gateway_row_by_path(path).await?;
                let source = gateway.disconnection_script.clone();
                Ok(source.map(|source| self.saved_of_gateway(&gateway, SCRIPT_DISCONNECTION, source)))
            }
        }
    }

    fn saved_event(&self, gateway: &gateway::Model, event: event::Model) -> SavedScript {
        SavedScript {
            owner: event.id,
            script: SCRIPT_EVENT,
            gateway_path: gateway.path.clone(),
            event_name: event.event_name,
            source: event.source_code,
            pack: gateway.pack.as_deref().map(Arc::from),
            timeout: timeout(event.timeout_ms.or(gateway.script_timeout_ms), &self.config),
        }
    }

    fn saved_of_gateway(
        &self,
        gateway: &gateway::Model,
        script: &'static str,
        source: String,
    ) -> SavedScript {
        let event_name = match script {
            SCRIPT_ADMISSION => "admission",
            SCRIPT_CONNECTION => "connection",
            _ => "disconnection",
        };
        SavedScript {
            owner: gateway.id,
            script,
            gateway_path: gateway.path.clone(),
            event_name: event_name.to_owned(),
            source,
            pack: gateway.pack.as_deref().map(Arc::from),
            timeout: timeout(gateway.script_timeout_ms, &self.config),
        }
    }

    async fn gateway_row_by_path(&self, path: &str) -> Result<gateway::Model> {
        let row = self.store.gateway_by_path(self.store.db(), path).await?;
        Ok(row.ok_or_else(|| Failure::not_found("gateway", path))?)
    }

    async fn event_row_by_name(&self, gateway_id: Uuid, name: &str) -> Result<event::Model> {
        let rows = self.store.events_of(gateway_id).await?.into_iter();
        let events: EventTable<_> = rows.map(|row| (row.event_name.clone(), row)).collect();
        Ok(events.find(name).cloned().ok_or_else(|| Failure::not_found("event", name))?)
    }
}
