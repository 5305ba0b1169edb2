//! Gateways: Socket.IO namespaces with their settings and scripts.

use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::checks::{check_gateway_path, check_timeout};
use super::{Catalog, Definition, Fields, Place, Saved};
use crate::config::{Config, is_origin};
use crate::error::{ErrorCode, Failure, Result};
use crate::script::{SCRIPT_CONNECTION, SCRIPT_DISCONNECTION};
use crate::store::{check_description, check_text, event, gateway};

/// A Socket.IO namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Gateway {
    /// The namespace.
    pub path: String,
    /// For people.
    pub description: String,
    /// Whether it takes connections.
    pub is_enabled: bool,
    /// Whether a connection needs a token.
    pub require_auth: bool,
    /// Runs before any event of a socket. `connectionHandlerScript` is accepted too.
    pub connection_script: Option<String>,
    /// Runs when a socket has gone.
    pub disconnection_script: Option<String>,
    /// The time of one run in milliseconds; null: the configured one. `connectionHandlerTimeout` is
    /// accepted too.
    pub script_timeout_ms: Option<i64>,
    /// Origins that may connect; null: the configured ones.
    pub allowed_origins: Option<Vec<String>>,
    /// What a socket may do.
    pub limits: GatewayLimits,
    /// Whether rooms hear who joins and leaves.
    pub presence: bool,
    /// Whether its durable events and jobs are kept waiting.
    pub is_paused: bool,
}

/// A gateway's own limits; null: the configured default; 0: no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

impl Default for Gateway {
    fn default() -> Self {
        Self {
            path: String::new(),
            description: String::new(),
            is_enabled: true,
            require_auth: true,
            connection_script: None,
            disconnection_script: None,
            script_timeout_ms: None,
            allowed_origins: None,
            limits: GatewayLimits::default(),
            presence: false,
            is_paused: false,
        }
    }
}

impl Definition for Gateway {
    type Entity = gateway::Entity;
    type Row = gateway::Model;

    const KIND: &'static str = "gateway";
    const REQUIRED: &'static [&'static str] = &["path"];
    const ALIASES: &'static [(&'static str, &'static str)] =
        &[("connectionHandlerScript", "connectionScript"), ("connectionHandlerTimeout", "scriptTimeoutMs")];
    const NESTED: &'static [&'static str] = &["limits"];
    const SCRIPTS: &'static [&'static str] = &[SCRIPT_CONNECTION, SCRIPT_DISCONNECTION];
    const PACK_NAMES: &'static [(&'static str, &'static str)] =
        &[("connectionScript", "connection"), ("disconnectionScript", "disconnection")];

    fn of_row(row: gateway::Model) -> Saved<Self> {
        let definition = Self {
            path: row.path,
            description: row.description,
            is_enabled: row.is_enabled,
            require_auth: row.require_auth,
            connection_script: row.connection_script,
            disconnection_script: row.disconnection_script,
            script_timeout_ms: row.script_timeout_ms,
            allowed_origins: row.allowed_origins.and_then(|origins| serde_json::from_value(origins).ok()),
            limits: serde_json::from_value(row.limits).unwrap_or_default(),
            presence: row.presence,
            is_paused: row.is_paused,
        };
        Saved::new(row.id, definition, Place::Pack { pack: row.pack }, row.created_at, row.updated_at)
    }

    fn into_row(saved: Saved<Self>) -> gateway::Model {
        gateway::Model {
            id: saved.id,
            path: saved.definition.path,
            description: saved.definition.description,
            is_enabled: saved.definition.is_enabled,
            require_auth: saved.definition.require_auth,
            connection_script: saved.definition.connection_script,
            disconnection_script: saved.definition.disconnection_script,
            script_timeout_ms: saved.definition.script_timeout_ms,
            allowed_origins: saved.definition.allowed_origins.map(Json::from),
            limits: json!(saved.definition.limits),
            presence: saved.definition.presence,
            is_paused: saved.definition.is_paused,
            pack: saved.place.pack(),
            created_at: saved.created_at,
            updated_at: saved.updated_at,
        }
    }

    fn check(&mut self, before: Option<&Self>, catalog: &Catalog) -> Result<()> {
        check_gateway_path("path", &self.path)?;
        check_description(&self.description)?;
        for (field, script) in
            [(SCRIPT_CONNECTION, &self.connection_script), (SCRIPT_DISCONNECTION, &self.disconnection_script)]
        {
            check_text(field, script.as_deref().unwrap_or_default())?;
        }
        check_timeout("scriptTimeoutMs", self.script_timeout_ms, &catalog.config)?;
        if before.is_none_or(|before| before.allowed_origins != self.allowed_origins) {
            check_origins(self.allowed_origins.as_deref().unwrap_or_default())?;
        }
        if before.is_none_or(|before| before.limits != self.limits) {
            check_limits(&self.limits, &catalog.config)?;
        }
        Ok(())
    }

    async fn delete_parts(id: Uuid, on: &DatabaseTransaction) -> Result<Vec<Uuid>> {
        let of_gateway = event::Column::GatewayId.eq(id);
        let events = event::Entity::find().filter(of_gateway.clone()).all(on).await?;
        event::Entity::delete_many().filter(of_gateway).exec(on).await?;
        Ok(events.into_iter().map(|event| event.id).collect())
    }

    fn already_there(&self) -> Failure {
        Failure::new(ErrorCode::DuplicateResource, format!("There is a gateway {} already", self.path))
    }
}

impl Catalog {
    /// Keeps the jobs of a gateway waiting, or lets them run.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub async fn set_paused(&self, id: Uuid, is_paused: bool, author: &str) -> Result<Saved<Gateway>> {
        self.update(id, &Fields::one("isPaused", is_paused.into()), author).await
    }

    /// Lets the suspended scripts of a gateway run again, on this node; one that has none stays as it is.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub async fn resume_gateway(&self, id: Uuid) -> Result<Saved<Gateway>> {
        let has_scripts = self.handlers().iter().any(|handler| handler.owner == id);
        if has_scripts { self.resume(id).await } else { self.get(id).await }
    }
}

fn check_origins(origins: &[String]) -> Result<()> {
    match origins.iter().find(|origin| !is_origin(origin)) {
        Some(origin) => {
            let message = format!("{origin:?} is neither \"*\" nor SCHEME://HOST[:PORT] without a path");
            Err(Failure::invalid("allowedOrigins", message).into())
        }
        None => Ok(()),
    }
}

fn check_limits(limits: &GatewayLimits, config: &Config) -> Result<()> {
    let packet_bytes = config.limits.packet_bytes;
    if limits.message_bytes.is_some_and(|bytes| bytes > packet_bytes) {
        let message = format!("must be at most {packet_bytes}, the largest packet (limits.packet_bytes)");
        return Err(Failure::invalid("limits.messageBytes", message).into());
    }
    if limits.burst == Some(0) && limits.events_per_second.unwrap_or(1) > 0 {
        return Err(Failure::invalid("limits.burst", "must be 1 or more where events are limited").into());
    }
    Ok(())
}
