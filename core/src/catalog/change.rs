//! What changes of a gateway, an event or a route: an absent field stays, `Some(None)` clears it.

use serde_json::Value as Json;

use super::gateways::GatewayLimits;
use super::route_path;
use super::routes::RouteAccess;
use crate::config::Config;
use crate::error::{Failure, Result};
use crate::script::reserved_event;
use crate::store::{check_description, check_json, check_text, event, gateway, route};

const NAME_BYTES_MAX: usize = 200;

/// What changes of a gateway.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields of a gateway")]
pub struct GatewayChange {
    pub path: Option<String>,
    pub description: Option<String>,
    pub is_enabled: Option<bool>,
    pub require_auth: Option<bool>,
    pub connection_script: Option<Option<String>>,
    pub disconnection_script: Option<Option<String>>,
    pub script_timeout_ms: Option<Option<i64>>,
    pub allowed_origins: Option<Option<Vec<String>>>,
    pub limits: Option<LimitsChange>,
    pub presence: Option<bool>,
}

/// What changes of a gateway's limits.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields of the limits")]
pub struct LimitsChange {
    pub events_per_second: Option<Option<u32>>,
    pub burst: Option<Option<u32>>,
    pub subscriptions_per_connection: Option<Option<u32>>,
    pub message_bytes: Option<Option<u32>>,
}

/// What changes of an event.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields of an event")]
pub struct EventChange {
    pub event_name: Option<String>,
    pub description: Option<String>,
    pub is_enabled: Option<bool>,
    pub source_code: Option<String>,
    pub timeout_ms: Option<Option<i64>>,
    pub payload_schema: Option<Option<Json>>,
    pub delivery: Option<String>,
}

/// What changes of a route.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields of a route")]
pub struct RouteChange {
    pub method: Option<String>,
    pub path: Option<String>,
    pub description: Option<String>,
    pub is_enabled: Option<bool>,
    pub access: Option<String>,
    pub source_code: Option<String>,
    pub timeout_ms: Option<Option<i64>>,
}

pub(super) fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

impl GatewayChange {
    /// Lays the change over a row and checks the outcome.
    pub(super) fn apply(self, row: &mut gateway::Model, config: &Config) -> Result<()> {
        set(&mut row.path, self.path);
        set(&mut row.description, self.description);
        set(&mut row.is_enabled, self.is_enabled);
        set(&mut row.require_auth, self.require_auth);
        set(&mut row.connection_script, self.connection_script);
        set(&mut row.disconnection_script, self.disconnection_script);
        set(&mut row.script_timeout_ms, self.script_timeout_ms);
        set(&mut row.presence, self.presence);
        if let Some(origins) = self.allowed_origins {
            check_origins(origins.as_deref().unwrap_or_default())?;
            row.allowed_origins = origins.map(Json::from);
        }
        if let Some(change) = self.limits {
            let mut limits: GatewayLimits = serde_json::from_value(row.limits.clone()).unwrap_or_default();
            set(&mut limits.events_per_second, change.events_per_second);
            set(&mut limits.burst, change.burst);
            set(&mut limits.subscriptions_per_connection, change.subscriptions_per_connection);
            set(&mut limits.message_bytes, change.message_bytes);
            check_limits(&limits, config)?;
            row.limits = limits.to_json();
        }
        check_path(&row.path)?;
        check_description(&row.description)?;
        check_text("connectionScript", row.connection_script.as_deref().unwrap_or_default())?;
        check_text("disconnectionScript", row.disconnection_script.as_deref().unwrap_or_default())?;
        check_timeout("scriptTimeoutMs", row.script_timeout_ms, config)
    }
}

impl EventChange {
    /// Lays the change over a row and checks the outcome.
    pub(super) fn apply(self, row: &mut event::Model, config: &Config) -> Result<()> {
        set(&mut row.event_name, self.event_name);
        set(&mut row.description, self.description);
        set(&mut row.is_enabled, self.is_enabled);
        set(&mut row.source_code, self.source_code);
        set(&mut row.timeout_ms, self.timeout_ms);
        set(&mut row.payload_schema, self.payload_schema);
        set(&mut row.delivery, self.delivery);
        check_event_name(&row.event_name)?;
        check_description(&row.description)?;
        check_timeout("timeoutMs", row.timeout_ms, config)?;
        if let Some(schema) = &row.payload_schema {
            check_json("payloadSchema", schema)?;
            crate::script::Schema::new(schema)
                .map_err(|error| Failure::invalid("payloadSchema", format!("is no JSON Schema: {error}")))?;
        }
        match row.delivery.as_str() {
            "memory" => Ok(()),
            other => {
                Err(Failure::invalid("delivery", format!("{other:?} is not known; known: \"memory\"")).into())
            }
        }
    }
}

impl RouteChange {
    /// Lays the change over a row and checks the outcome.
    pub(super) fn apply(self, row: &mut route::Model, config: &Config) -> Result<()> {
        set(&mut row.method, self.method.map(|method| route_path::normal_method(&method)).transpose()?);
        set(&mut row.path, self.path.map(|path| route_path::pattern(&path)).transpose()?);
        set(&mut row.description, self.description);
        set(&mut row.is_enabled, self.is_enabled);
        set(&mut row.access, self.access);
        set(&mut row.source_code, self.source_code);
        set(&mut row.timeout_ms, self.timeout_ms);
        if RouteAccess::parse(&row.access).is_none() {
            return Err(Failure::invalid("access", "must be public, user, admin or app").into());
        }
        check_description(&row.description)?;
        check_text("sourceCode", &row.source_code)?;
        check_timeout("timeoutMs", row.timeout_ms, config)
    }
}

fn check_path(path: &str) -> Result<()> {
    let is_segment = |segment: &str| {
        !segment.is_empty()
            && segment.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~'))
    };
    let is_path = path == "/" || path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_segment));
    if is_path && path.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(Failure::invalid("path", "must be / or /name[/name…] of letters, digits, - _ . ~").into())
}

fn check_event_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(Failure::invalid("eventName", format!("must have 1 to {NAME_BYTES_MAX} bytes")).into());
    }
    if name.strip_suffix('*').unwrap_or(name).contains('*') {
        return Err(Failure::invalid("eventName", "may have a * only at its end").into());
    }
    if let Some(owner) = reserved_event(name) {
        return Err(Failure::invalid("eventName", format!("{name} is reserved by {owner}")).into());
    }
    check_text("eventName", name)
}

fn check_timeout(field: &str, ms: Option<i64>, config: &Config) -> Result<()> {
    let most = config.scripts.timeout_max_ms;
    match ms {
        Some(ms) if ms < 1 || ms.unsigned_abs() > most => {
            Err(Failure::invalid(field, format!("must be 1 to {most}")).into())
        }
        _ => Ok(()),
    }
}

fn check_origins(origins: &[String]) -> Result<()> {
    match origins.iter().find(|origin| !crate::config::is_origin(origin)) {
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
