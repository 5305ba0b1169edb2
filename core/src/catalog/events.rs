//! Events: what a gateway accepts, and the script that answers it.

use sea_orm::sea_query::Cond;
use sea_orm::{ColumnTrait, DatabaseTransaction};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::checks::{NAME_BYTES_MAX, check_timeout, check_word};
use super::save::saved;
use super::{Catalog, Definition, Gateway, Place, Saved};
use crate::error::{ErrorCode, Failure, Result};
use crate::script::{Schema, reserved_event};
use crate::store::list::{ListQuery, Page};
use crate::store::{check_description, check_json, check_text, event};

/// What `delivery` is where events are kept in memory.
const MEMORY: &str = "memory";
/// What it is where they are kept in the database.
pub(super) const DURABLE: &str = "durable";
/// What `orderBy` is where a user's events keep their order, whichever socket sent them.
pub(super) const ORDER_BY_USER: &str = "user";
/// What `onDead` is where nothing overtakes what was given up.
pub(super) const ON_DEAD_STOP: &str = "stop";
/// How often an event may be tried.
const ATTEMPTS_MAX: i64 = 100;

/// An event that a gateway accepts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Event {
    /// Exact, or a prefix that ends in `*`.
    pub event_name: String,
    /// For people.
    pub description: String,
    /// Whether it is accepted.
    pub is_enabled: bool,
    /// What answers it. `handlerScript` is accepted too.
    pub source_code: String,
    /// The time of one run in milliseconds; null: the gateway's. `timeout` is accepted too.
    pub timeout_ms: Option<i64>,
    /// A JSON Schema.
    #[schema(value_type = Option<Object>)]
    pub payload_schema: Option<Json>,
    /// A JSON Schema of what it gives back, for types; results are not checked.
    #[schema(value_type = Option<Object>)]
    pub result_schema: Option<Json>,
    /// `memory`: gone with the process; or `durable`: once accepted, its effects happen exactly once.
    pub delivery: String,
    /// Whose durable events run one after the other: those of a `socket`, or of a `user`.
    pub order_by: String,
    /// How often a durable event is tried, the first time included; null: the configured number.
    pub retries: Option<i64>,
    /// What becomes of those behind a durable event that was given up: they `continue`, or `stop` until it is
    /// retried or discarded.
    pub on_dead: String,
}

impl Default for Event {
    fn default() -> Self {
        Self {
            event_name: String::new(),
            description: String::new(),
            is_enabled: true,
            source_code: String::new(),
            timeout_ms: None,
            payload_schema: None,
            result_schema: None,
            delivery: MEMORY.to_owned(),
            order_by: "socket".to_owned(),
            retries: None,
            on_dead: "continue".to_owned(),
        }
    }
}

impl Definition for Event {
    type Entity = event::Entity;
    type Row = event::Model;

    const KIND: &'static str = "event";
    const IS_OF_GATEWAY: bool = true;
    const REQUIRED: &'static [&'static str] = &["eventName", "sourceCode"];
    const ALIASES: &'static [(&'static str, &'static str)] =
        &[("handlerScript", "sourceCode"), ("timeout", "timeoutMs")];
    const PACK_NAMES: &'static [(&'static str, &'static str)] =
        &[("eventName", "name"), ("sourceCode", "script")];

    fn of_row(row: event::Model) -> Saved<Self> {
        let definition = Self {
            event_name: row.event_name,
            description: row.description,
            is_enabled: row.is_enabled,
            source_code: row.source_code,
            timeout_ms: row.timeout_ms,
            payload_schema: row.payload_schema,
            result_schema: row.result_schema,
            delivery: row.delivery,
            order_by: row.order_by,
            retries: row.retries,
            on_dead: row.on_dead,
        };
        let place = Place::Gateway { gateway_id: row.gateway_id };
        Saved::new(row.id, definition, place, row.created_at, row.updated_at)
    }

    fn into_row(saved: Saved<Self>) -> event::Model {
        event::Model {
            id: saved.id,
            gateway_id: saved.place.gateway_id().unwrap_or_default(),
            event_name: saved.definition.event_name,
            description: saved.definition.description,
            is_enabled: saved.definition.is_enabled,
            source_code: saved.definition.source_code,
            timeout_ms: saved.definition.timeout_ms,
            payload_schema: saved.definition.payload_schema,
            result_schema: saved.definition.result_schema,
            delivery: saved.definition.delivery,
            order_by: saved.definition.order_by,
            retries: saved.definition.retries,
            on_dead: saved.definition.on_dead,
            created_at: saved.created_at,
            updated_at: saved.updated_at,
        }
    }

    fn check(&mut self, _before: Option<&Self>, catalog: &Catalog) -> Result<()> {
        check_event_name(&self.event_name)?;
        check_description(&self.description)?;
        check_text("sourceCode", &self.source_code)?;
        check_timeout("timeoutMs", self.timeout_ms, &catalog.config)?;
        for (field, schema) in
            [("payloadSchema", &self.payload_schema), ("resultSchema", &self.result_schema)]
        {
            let Some(schema) = schema else { continue };
            check_json(field, schema)?;
            Schema::new(schema)
                .map_err(|error| Failure::invalid(field, format!("is no JSON Schema: {error}")))?;
        }
        check_word("delivery", &self.delivery, [MEMORY, DURABLE])?;
        check_word("orderBy", &self.order_by, ["socket", ORDER_BY_USER])?;
        check_word("onDead", &self.on_dead, ["continue", ON_DEAD_STOP])?;
        if let Some(retries) = self.retries.filter(|retries| !(1..=ATTEMPTS_MAX).contains(retries)) {
            return Err(Failure::invalid("retries", format!("{retries} is not 1 to {ATTEMPTS_MAX}")).into());
        }
        Ok(())
    }

    async fn check_among_others(
        event: &Saved<Self>,
        _catalog: &Catalog,
        on: &DatabaseTransaction,
    ) -> Result<()> {
        saved::<Gateway>(on, event.place.gateway_id().unwrap_or_default()).await.map(drop)
    }

    fn already_there(&self) -> Failure {
        let message = format!("The gateway has an event {} already", self.event_name);
        Failure::new(ErrorCode::DuplicateResource, message)
    }
}

impl Event {
    /// Whether it is kept in the database until it is handled.
    pub fn is_durable(&self) -> bool {
        self.delivery == DURABLE
    }
}

impl Catalog {
    /// One page of a gateway's events.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND` for the gateway.
    pub async fn list_events(&self, gateway_id: Uuid, query: &ListQuery) -> Result<Page<Saved<Event>>> {
        saved::<Gateway>(self.store.db(), gateway_id).await?;
        let scope = Cond::all().add(event::Column::GatewayId.eq(gateway_id));
        self.list_among(query, Some(scope)).await
    }
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
