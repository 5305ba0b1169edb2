//! Gateways in the database.

use std::collections::BTreeSet;

use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::change::GatewayChange;
use super::revisions::delete_revisions;
use super::{Catalog, Suspension};
use crate::error::{Error, ErrorCode, Failure, Result};
use crate::id::new_id;
use crate::script::{SCRIPT_CONNECTION, SCRIPT_DISCONNECTION};
use crate::store::list::{ListQuery, Page};
use crate::store::{self, Time, gateway};

/// A gateway's own limits; none: the configured default; 0: no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayLimits {
    /// Events in a second, per socket.
    pub events_per_second: Option<u32>,
    /// Events at once, per socket.
    pub burst: Option<u32>,
    /// Rooms and topics, per socket.
    pub subscriptions_per_connection: Option<u32>,
    /// Bytes of one payload.
    pub message_bytes: Option<u32>,
}

impl GatewayLimits {
    /// The limits as they stand in the database.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// A gateway as an admin sees it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented on the row")]
pub struct Gateway {
    pub id: Uuid,
    pub path: String,
    pub description: String,
    pub is_enabled: bool,
    pub require_auth: bool,
    pub connection_script: Option<String>,
    pub disconnection_script: Option<String>,
    pub script_timeout_ms: Option<i64>,
    pub allowed_origins: Option<Vec<String>>,
    pub limits: GatewayLimits,
    pub presence: bool,
    pub pack: Option<String>,
    /// Scripts that are suspended, and why.
    pub suspended: Vec<Suspension>,
    pub created_at: Time,
    pub updated_at: Time,
}

/// One of the two scripts of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayPart {
    /// The connection script.
    Connection,
    /// The disconnection script.
    Disconnection,
}

impl Catalog {
    /// One page of gateways.
    pub async fn list_gateways(&self, query: &ListQuery) -> Result<Page<Gateway>> {
        let page = self.store.list::<gateway::Entity>(query, None).await?;
        Ok(Page {
            rows: page.rows.into_iter().map(|row| self.gateway_view(row)).collect(),
            counts: page.counts,
        })
    }

    /// A gateway by id.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub async fn gateway(&self, id: Uuid) -> Result<Gateway> {
        Ok(self.gateway_view(self.gateway_row(id).await?))
    }

    /// Makes a gateway.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`, `SCRIPT_COMPILE_ERROR`, or `DUPLICATE_RESOURCE` for a taken path.
    pub async fn create_gateway(
        &self,
        change: GatewayChange,
        author: &str,
        pack: Option<&str>,
    ) -> Result<Gateway> {
        let row = self.new_gateway_row(change, pack)?;
        self.check_scripts(&[&row.connection_script, &row.disconnection_script]).await?;
        let inserted = row.clone().into_active_model().insert(self.store.db()).await;
        inserted.map_err(|error| taken(error, &row.path))?;
        self.append_gateway_revisions(&row, None, author).await?;
        self.changed().await?;
        Ok(self.gateway_view(row))
    }

    /// Whether such a gateway could be made were there these tables, but for a taken path.
    ///
    /// # Errors
    /// As [`Self::create_gateway`].
    pub(crate) async fn check_gateway(&self, change: GatewayChange, tables: &BTreeSet<String>) -> Result<()> {
        let row = self.new_gateway_row(change, None)?;
        self.check_scripts_with(&[&row.connection_script, &row.disconnection_script], tables.clone()).await
    }

    fn new_gateway_row(&self, change: GatewayChange, pack: Option<&str>) -> Result<gateway::Model> {
        if change.path.is_none() {
            return Err(Failure::invalid("path", "is missing").into());
        }
        let now = store::now();
        let mut row = gateway::Model {
            id: new_id(),
            path: String::new(),
            description: String::new(),
            is_enabled: true,
            require_auth: true,
            connection_script: None,
            disconnection_script: None,
            script_timeout_ms: None,
            allowed_origins: None,
            limits: GatewayLimits::default().to_json(),
            presence: false,
            pack: pack.map(str::to_owned),
            created_at: now,
            updated_at: now,
        };
        change.apply(&mut row, &self.config)?;
        Ok(row)
    }

    /// Changes a gateway. It is live when this returns.
    ///
    /// # Errors
    /// As [`Self::create_gateway`], and `RESOURCE_NOT_FOUND`.
    pub async fn update_gateway(&self, id: Uuid, change: GatewayChange, author: &str) -> Result<Gateway> {
        let before = self.gateway_row(id).await?;
        let mut row = before.clone();
        change.apply(&mut row, &self.config)?;
        self.check_scripts(&[&row.connection_script, &row.disconnection_script]).await?;
        row.updated_at = later_than(before.updated_at);
        let updated = row.clone().into_active_model().reset_all().update(self.store.db()).await;
        updated.map_err(|error| taken(error, &row.path))?;
        self.append_gateway_revisions(&row, Some(&before), author).await?;
        self.changed().await?;
        Ok(self.gateway_view(row))
    }

    /// Deletes a gateway with its events and their history.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub async fn delete_gateway(&self, id: Uuid) -> Result<()> {
        let events = self.store.events_of(id).await?.into_iter().map(|event| event.id);
        let gone = gateway::Entity::delete_by_id(id).exec(self.store.db()).await?;
        if gone.rows_affected == 0 {
            return Err(Failure::not_found("gateway", id).into());
        }
        delete_revisions(&self.store, events.chain([id])).await?;
        self.changed().await
    }

    pub(super) async fn gateway_row(&self, id: Uuid) -> Result<gateway::Model> {
        let row = gateway::Entity::find_by_id(id).one(self.store.db()).await?;
        Ok(row.ok_or_else(|| Failure::not_found("gateway", id))?)
    }

    async fn append_gateway_revisions(
        &self,
        row: &gateway::Model,
        before: Option<&gateway::Model>,
        author: &str,
    ) -> Result<()> {
        let scripts = [
            (SCRIPT_CONNECTION, &row.connection_script, before.map(|before| &before.connection_script)),
            (
                SCRIPT_DISCONNECTION,
                &row.disconnection_script,
                before.map(|before| &before.disconnection_script),
            ),
        ];
        for (script, source, source_before) in scripts {
            if source_before.unwrap_or(&None) != source {
                let source = source.as_deref().unwrap_or_default();
                self.append_revision(row.id, script, source, author).await?;
            }
        }
        Ok(())
    }

    fn gateway_view(&self, row: gateway::Model) -> Gateway {
        Gateway {
            suspended: self.suspensions_of(row.id),
            allowed_origins: origins(&row),
            limits: serde_json::from_value(row.limits).unwrap_or_default(),
            id: row.id,
            path: row.path,
            description: row.description,
            is_enabled: row.is_enabled,
            require_auth: row.require_auth,
            connection_script: row.connection_script,
            disconnection_script: row.disconnection_script,
            script_timeout_ms: row.script_timeout_ms,
            presence: row.presence,
            pack: row.pack,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// A row's own origins.
pub(super) fn origins(row: &gateway::Model) -> Option<Vec<String>> {
    row.allowed_origins.clone().and_then(|origins| serde_json::from_value(origins).ok())
}

/// Now, but later than `before`: a handler is known by its row's version.
pub(super) fn later_than(before: Time) -> Time {
    store::now().max(before + time::Duration::milliseconds(1))
}

fn taken(error: sea_orm::DbErr, path: &str) -> Error {
    if store::is_unique_violation(&error) {
        return Failure::new(ErrorCode::DuplicateResource, format!("There is a gateway {path} already"))
            .into();
    }
    error.into()
}
