//! Schedules: events that the clock sends.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::checks::{NAME_BYTES_MAX, check_gateway_path, check_word};
use super::{Catalog, Definition, Place, Saved};
use crate::error::{ErrorCode, Failure, Result};
use crate::jobs::{SKIP, Times, now_ms};
use crate::moment::from_ms;
use crate::store::{Time, check_description, check_json, check_text, schedule};

/// An event that the clock sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Schedule {
    /// Unlike all others'.
    pub name: String,
    /// For people.
    pub description: String,
    /// Minute, hour, day of the month, month, day of the week; with six fields the second is before them.
    pub cron: String,
    /// Whose clock it is: a name of IANA, such as `Europe/Berlin`.
    pub timezone: String,
    /// The path of the gateway that has the event.
    pub gateway_path: String,
    /// The event, as a client would send it.
    pub event_name: String,
    /// What comes with it.
    #[schema(value_type = serde_json::Value)]
    pub payload: Json,
    /// What becomes of times that came while no server ran: `once` makes up for all of them with one job, `skip` makes
    /// none when it is more than 15 s late.
    pub missed: String,
    /// Whether it is sent.
    pub is_enabled: bool,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            cron: String::new(),
            timezone: "UTC".to_owned(),
            gateway_path: String::new(),
            event_name: String::new(),
            payload: json!({}),
            missed: "once".to_owned(),
            is_enabled: true,
        }
    }
}

impl Definition for Schedule {
    type Entity = schedule::Entity;
    type Row = schedule::Model;

    const KIND: &'static str = "schedule";
    const REQUIRED: &'static [&'static str] = &["name", "cron", "gatewayPath", "eventName"];
    const SCRIPTS: &'static [&'static str] = &[];
    const PACK_NAMES: &'static [(&'static str, &'static str)] = &[];

    fn of_row(row: schedule::Model) -> Saved<Self> {
        let definition = Self {
            name: row.name,
            description: row.description,
            cron: row.cron,
            timezone: row.timezone,
            gateway_path: row.gateway_path,
            event_name: row.event_name,
            payload: row.payload,
            missed: row.missed,
            is_enabled: row.is_enabled,
        };
        Saved::new(row.id, definition, Place::Pack { pack: row.pack }, row.created_at, row.updated_at)
    }

    fn into_row(saved: Saved<Self>) -> schedule::Model {
        schedule::Model {
            id: saved.id,
            name: saved.definition.name,
            description: saved.definition.description,
            cron: saved.definition.cron,
            timezone: saved.definition.timezone,
            gateway_path: saved.definition.gateway_path,
            event_name: saved.definition.event_name,
            payload: saved.definition.payload,
            missed: saved.definition.missed,
            is_enabled: saved.definition.is_enabled,
            // Found out anew, unless its times are those that it had.
            next_at: None,
            pack: saved.place.pack(),
            created_at: saved.created_at,
            updated_at: saved.updated_at,
        }
    }

    fn check(&mut self, _before: Option<&Self>, _catalog: &Catalog) -> Result<()> {
        for (field, name) in [("name", &self.name), ("eventName", &self.event_name)] {
            if name.is_empty() || name.len() > NAME_BYTES_MAX {
                return Err(Failure::invalid(field, format!("must have 1 to {NAME_BYTES_MAX} bytes")).into());
            }
            check_text(field, name)?;
        }
        check_description(&self.description)?;
        Times::read(&self.cron, &self.timezone)?;
        check_gateway_path("gatewayPath", &self.gateway_path)?;
        check_json("payload", &self.payload)?;
        check_word("missed", &self.missed, ["once", SKIP])
    }

    fn already_there(&self) -> Failure {
        Failure::new(ErrorCode::DuplicateResource, format!("There is a schedule {} already", self.name))
    }
}

impl Catalog {
    /// When schedules are next due; those that are disabled are not.
    pub async fn next_times<'a>(
        &self,
        schedules: impl IntoIterator<Item = &'a Saved<Schedule>>,
    ) -> Result<HashMap<Uuid, Time>> {
        let enabled = schedules.into_iter().filter(|saved| saved.definition.is_enabled);
        let enabled: HashMap<_, _> = enabled.map(|saved| (saved.id, &saved.definition)).collect();
        let rows = schedule::Entity::find().filter(schedule::Column::Id.is_in(enabled.keys().copied()));
        let mut next: HashMap<Uuid, i64> = HashMap::new();
        for row in rows.all(self.store.db()).await? {
            // One that was saved a moment ago is looked at in another.
            let times = || Times::read(&row.cron, &row.timezone).ok()?.next_after(now_ms());
            next.extend(row.next_at.or_else(times).map(|ms| (row.id, ms)));
        }
        let time = |(id, ms)| Some((id, from_ms(ms)?));
        Ok(next.into_iter().filter_map(time).collect())
    }
}
