//! Gateways: Socket.IO namespaces with their settings and scripts.

use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::checks::{check_gateway_path, check_timeout};
use super::presence::PresenceRooms;
use super::{Catalog, Definition, Fields, Place, Saved};
use crate::config::{Config, is_origin};
use crate::error::{ErrorCode, Failure, Result};
use crate::script::{SCRIPT_ADMISSION, SCRIPT_CONNECTION, SCRIPT_DISCONNECTION, Schema, check_emitted};
use crate::store::{check_description, check_json, check_text, event, gateway};

/// Other names of a gateway, at most.
const ALIASES_MAX: usize = 100;
/// The longest time in which joins and leaves are told together, in milliseconds.
const DEBOUNCE_MS_MAX: i64 = 60_000;
/// Events whose schemas a gateway names, at most.
const EMITS_MAX: usize = 1000;

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
    /// Which rooms hear who joins and leaves: true, or patterns such as `chat:*`.
    pub presence: PresenceRooms,
    /// Joins and leaves within this time cancel out, or are told together with the final count.
    pub presence_debounce_ms: i64,
    /// Other namespaces that lead here.
    pub aliases: Vec<String>,
    /// Whether a connection needs a valid app key in `auth.appToken`.
    pub require_app_key: bool,
    /// Decides about a connection before it is one: it can read, log, and refuse by throwing.
    pub admission_script: Option<String>,
    /// What its scripts emit: a JSON Schema by event name, for types.
    #[schema(value_type = Option<Object>)]
    pub emits: Option<Json>,
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
            presence: PresenceRooms::default(),
            presence_debounce_ms: 0,
            aliases: Vec::new(),
            require_app_key: false,
            admission_script: None,
            emits: None,
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
    const SCRIPTS: &'static [&'static str] = &[SCRIPT_CONNECTION, SCRIPT_DISCONNECTION, SCRIPT_ADMISSION];
    const PACK_NAMES: &'static [(&'static str, &'static str)] = &[
        (SCRIPT_CONNECTION, "connection"),
        (SCRIPT_DISCONNECTION, "disconnection"),
        (SCRIPT_ADMISSION, "admission"),
    ];

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
            presence: PresenceRooms::of_row(row.presence, row.presence_rooms),
            presence_debounce_ms: row.presence_debounce_ms,
            aliases: serde_json::from_value(row.aliases).unwrap_or_default(),
            require_app_key: row.require_app_key,
            admission_script: row.admission_script,
            emits: row.emits,
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
            presence: saved.definition.presence.is_any(),
            presence_rooms: saved.definition.presence.patterns().map(|patterns| json!(patterns)),
            presence_debounce_ms: saved.definition.presence_debounce_ms,
            aliases: json!(saved.definition.aliases),
            require_app_key: saved.definition.require_app_key,
            admission_script: saved.definition.admission_script,
            emits: saved.definition.emits,
            is_paused: saved.definition.is_paused,
            pack: saved.place.pack(),
            created_at: saved.created_at,
            updated_at: saved.updated_at,
        }
    }

    fn check(&mut self, before: Option<&Self>, catalog: &Catalog) -> Result<()> {
        check_gateway_path("path", &self.path)?;
        check_description(&self.description)?;
        for (field, script) in [
            (SCRIPT_CONNECTION, &self.connection_script),
            (SCRIPT_DISCONNECTION, &self.disconnection_script),
            (SCRIPT_ADMISSION, &self.admission_script),
        ] {
            check_text(field, script.as_deref().unwrap_or_default())?;
        }
        check_aliases(&self.path, &self.aliases)?;
        self.presence.check()?;
        if !(0..=DEBOUNCE_MS_MAX).contains(&self.presence_debounce_ms) {
            return Err(
                Failure::invalid("presenceDebounceMs", format!("must be 0 to {DEBOUNCE_MS_MAX}")).into()
            );
        }
        if before.is_none_or(|before| before.emits != self.emits) {
            check_emits(self.emits.as_ref())?;
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

    async fn check_among_others(
        saved: &Saved<Self>,
        _catalog: &Catalog,
        on: &DatabaseTransaction,
    ) -> Result<()> {
        let own: Vec<_> = saved.definition.names().collect();
        let others = gateway::Entity::find().filter(gateway::Column::Id.ne(saved.id)).all(on).await?;
        for other in others.into_iter().map(Self::of_row) {
            let taken = other.definition.names().find(|name| own.contains(name));
            if let Some(name) =
                taken.filter(|name| *name != saved.definition.path || *name != other.definition.path)
            {
                let message = format!("{name} leads to the gateway {} already", other.definition.path);
                return Err(Failure::new(ErrorCode::DuplicateResource, message).into());
            }
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

impl Gateway {
    /// The namespaces that lead to it: its path and its aliases.
    fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.path).chain(&self.aliases).map(String::as_str)
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

fn check_aliases(path: &str, aliases: &[String]) -> Result<()> {
    let invalid = |message: String| Err(Failure::invalid("aliases", message).into());
    if aliases.len() > ALIASES_MAX {
        return invalid(format!("has more than {ALIASES_MAX} names"));
    }
    for (index, alias) in aliases.iter().enumerate() {
        check_gateway_path("aliases", alias)?;
        if alias == path || aliases[..index].contains(alias) {
            return invalid(format!("has {alias} twice, or the gateway's own path"));
        }
    }
    Ok(())
}

fn check_emits(emits: Option<&Json>) -> Result<()> {
    let Some(emits) = emits else { return Ok(()) };
    let invalid = |message: String| Err(Failure::invalid("emits", message).into());
    let Some(schemas) = emits.as_object() else {
        return invalid("is an object: a JSON Schema by the name of each event".to_owned());
    };
    if schemas.len() > EMITS_MAX {
        return invalid(format!("names more than {EMITS_MAX} events"));
    }
    check_json("emits", emits)?;
    for (event, schema) in schemas {
        if let Err(failure) = check_emitted(event) {
            return invalid(failure.message.into_owned());
        }
        if let Err(error) = Schema::new(schema) {
            return invalid(format!("{event} has no JSON Schema: {error}"));
        }
    }
    Ok(())
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
