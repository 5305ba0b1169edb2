//! Events in the database.

use std::collections::BTreeSet;

use sea_orm::sea_query::Cond;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel};
use serde_json::Value as Json;
use uuid::Uuid;

use super::Catalog;
use super::change::EventChange;
use super::gateways::later_than;
use super::revisions::delete_revisions;
use crate::error::{Error, ErrorCode, Failure, Result};
use crate::id::new_id;
use crate::script::{CompileError, Handler, SCRIPT_EVENT, ScriptWork, run_on_script_thread};
use crate::store::list::{ListQuery, Page};
use crate::store::{self, Time, event};

/// An event as an admin sees it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented on the row")]
pub struct Event {
    pub id: Uuid,
    pub gateway_id: Uuid,
    pub event_name: String,
    pub description: String,
    pub is_enabled: bool,
    pub source_code: String,
    pub timeout_ms: Option<i64>,
    pub payload_schema: Option<Json>,
    pub delivery: String,
    /// Why it is suspended, if it is.
    pub suspended: Option<Suspension>,
    pub created_at: Time,
    pub updated_at: Time,
}

/// A script that does not run until it is saved again or resumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// Which script.
    pub script: &'static str,
    /// Why.
    pub reason: String,
}

impl Catalog {
    /// One page of a gateway's events.
    pub async fn list_events(&self, gateway_id: Uuid, query: &ListQuery) -> Result<Page<Event>> {
        self.gateway_row(gateway_id).await?;
        let scope = Cond::all().add(event::Column::GatewayId.eq(gateway_id));
        let page = self.store.list::<event::Entity>(query, Some(scope)).await?;
        Ok(Page {
            rows: page.rows.into_iter().map(|row| self.event_view(row)).collect(),
            counts: page.counts,
        })
    }

    /// An event by id.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub async fn event(&self, id: Uuid) -> Result<Event> {
        Ok(self.event_view(self.event_row(id).await?))
    }

    /// Makes an event.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND` for its gateway, `VALIDATION_ERROR`, `SCRIPT_COMPILE_ERROR`, or
    /// `DUPLICATE_RESOURCE` for a taken name.
    pub async fn create_event(&self, gateway_id: Uuid, change: EventChange, author: &str) -> Result<Event> {
        self.gateway_row(gateway_id).await?;
        let row = self.new_event_row(gateway_id, change)?;
        self.check_scripts(&[&Some(row.source_code.clone())]).await?;
        let inserted = row.clone().into_active_model().insert(self.store.db()).await;
        inserted.map_err(|error| taken(error, &row.event_name))?;
        self.append_revision(row.id, SCRIPT_EVENT, &row.source_code, author).await?;
        self.changed().await?;
        Ok(self.event_view(row))
    }

    /// Whether such an event could be made were there these tables, but for a taken name.
    ///
    /// # Errors
    /// As [`Self::create_event`].
    pub(crate) async fn check_event(&self, change: EventChange, tables: &BTreeSet<String>) -> Result<()> {
        let row = self.new_event_row(Uuid::nil(), change)?;
        self.check_scripts_with(&[&Some(row.source_code)], tables.clone()).await
    }

    fn new_event_row(&self, gateway_id: Uuid, change: EventChange) -> Result<event::Model> {
        if change.event_name.is_none() {
            return Err(Failure::invalid("eventName", "is missing").into());
        }
        if change.source_code.is_none() {
            return Err(Failure::invalid("sourceCode", "is missing").into());
        }
        let now = store::now();
        let mut row = event::Model {
            id: new_id(),
            gateway_id,
            event_name: String::new(),
            description: String::new(),
            is_enabled: true,
            source_code: String::new(),
            timeout_ms: None,
            payload_schema: None,
            delivery: "memory".to_owned(),
            created_at: now,
            updated_at: now,
        };
        change.apply(&mut row, &self.config)?;
        Ok(row)
    }

    /// Changes an event. It is live when this returns; jobs accepted before run what was current.
    ///
    /// # Errors
    /// As [`Self::create_event`].
    pub async fn update_event(&self, id: Uuid, change: EventChange, author: &str) -> Result<Event> {
        let before = self.event_row(id).await?;
        let mut row = before.clone();
        let saves_script = change.source_code.is_some();
        change.apply(&mut row, &self.config)?;
        self.check_scripts(&[&Some(row.source_code.clone())]).await?;
        row.updated_at = later_than(before.updated_at);
        let updated = row.clone().into_active_model().reset_all().update(self.store.db()).await;
        updated.map_err(|error| taken(error, &row.event_name))?;
        if saves_script {
            self.append_revision(row.id, SCRIPT_EVENT, &row.source_code, author).await?;
        }
        self.changed().await?;
        Ok(self.event_view(row))
    }

    /// Deletes an event with its history.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub async fn delete_event(&self, id: Uuid) -> Result<()> {
        let gone = event::Entity::delete_by_id(id).exec(self.store.db()).await?;
        if gone.rows_affected == 0 {
            return Err(Failure::not_found("event", id).into());
        }
        delete_revisions(&self.store, [id]).await?;
        self.changed().await
    }

    /// Lets the suspended scripts of a gateway, an event or a route run again, on this node.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND` when it has no live script.
    pub fn resume(&self, owner: Uuid) -> Result<()> {
        let handlers = self.handlers_of(owner);
        if handlers.is_empty() {
            return Err(Failure::not_found("live script of", owner).into());
        }
        handlers.iter().for_each(|handler| handler.resume());
        Ok(())
    }

    /// What is wrong with a script, if it were to be saved.
    pub async fn check_script(&self, source: String) -> Result<Option<CompileError>> {
        let (engine, tables) = (self.engine.clone(), self.table_names());
        run_on_script_thread(ScriptWork::Compile, move || engine.check(&source, Some(&tables)).err()).await
    }

    /// Compiles scripts that are about to be saved.
    pub(super) async fn check_scripts(&self, sources: &[&Option<String>]) -> Result<()> {
        self.check_scripts_with(sources, self.table_names()).await
    }

    /// The same, as if there were these tables.
    pub(super) async fn check_scripts_with(
        &self,
        sources: &[&Option<String>],
        tables: BTreeSet<String>,
    ) -> Result<()> {
        let sources: Vec<String> = sources.iter().filter_map(|source| (*source).clone()).collect();
        sources.iter().try_for_each(|source| store::check_text("sourceCode", source))?;
        if sources.is_empty() {
            return Ok(());
        }
        let engine = self.engine.clone();
        let checked = run_on_script_thread(ScriptWork::Compile, move || {
            sources.iter().try_for_each(|source| engine.check(source, Some(&tables)))
        });
        Ok(checked.await?.map_err(Failure::from)?)
    }

    pub(super) async fn event_row(&self, id: Uuid) -> Result<event::Model> {
        let row = event::Entity::find_by_id(id).one(self.store.db()).await?;
        Ok(row.ok_or_else(|| Failure::not_found("event", id))?)
    }

    pub(super) fn suspensions_of(&self, owner: Uuid) -> Vec<Suspension> {
        self.handlers_of(owner)
            .iter()
            .filter_map(|handler| {
                Some(Suspension { script: handler.script_name, reason: handler.suspended()? })
            })
            .collect()
    }

    fn handlers_of(&self, owner: Uuid) -> Vec<std::sync::Arc<Handler>> {
        self.handlers().into_iter().filter(|handler| handler.owner == owner).collect()
    }

    fn event_view(&self, row: event::Model) -> Event {
        Event {
            suspended: self.suspensions_of(row.id).pop(),
            id: row.id,
            gateway_id: row.gateway_id,
            event_name: row.event_name,
            description: row.description,
            is_enabled: row.is_enabled,
            source_code: row.source_code,
            timeout_ms: row.timeout_ms,
            payload_schema: row.payload_schema,
            delivery: row.delivery,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

fn taken(error: sea_orm::DbErr, name: &str) -> Error {
    if store::is_unique_violation(&error) {
        let message = format!("The gateway has an event {name} already");
        return Failure::new(ErrorCode::DuplicateResource, message).into();
    }
    error.into()
}
