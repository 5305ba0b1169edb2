//! Installing: what a pack would change, and changing it.
//!
//! What was installed is remembered, so that an admin's later edits can be told from the pack's
//! own and are not overwritten unless asked for.

use std::collections::BTreeMap;

use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};

use super::manifest::{EventSpec, GatewaySpec, Pack};
use crate::catalog::{Catalog, EventChange, GatewayChange, LimitsChange};
use crate::error::{Error, ErrorCode, Failure, Result};
use crate::store::{self, Store, event, gateway, pack};

/// How to install.
#[derive(Debug, Clone, Copy, Default)]
pub struct InstallOptions {
    /// Overwrite what an admin edited, and take over gateways that are not the pack's.
    pub force: bool,
}

/// What an installation would do.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The changes, gateway by gateway; empty: nothing to do.
    pub changes: Vec<Change>,
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What it is about: `/chat` or `/chat message`.
    pub subject: String,
    /// What happens to it.
    pub kind: ChangeKind,
    /// The texts before and after, as they are compared.
    pub before: String,
    /// See `before`.
    pub after: String,
}

/// What happens to a gateway or an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is deleted.
    Delete,
    /// It is not touched, because an admin edited it or it is not the pack's.
    Conflict,
}

/// What was installed, by gateway path.
type Content = BTreeMap<String, GatewaySpec>;

/// What installing would change.
pub async fn plan(catalog: &Catalog, pack: &Pack, options: InstallOptions) -> Result<Plan> {
    store::check_text("name", &pack.name)?;
    store::check_text("description", &pack.description)?;
    let installed = installed_content(catalog.store(), &pack.name).await?;
    let mut changes = Vec::new();
    for spec in &pack.gateways {
        let (present, owner) = present(catalog.store(), &spec.path).await?;
        let is_edited = present.as_ref().is_some_and(|present| installed.get(&spec.path) != Some(present));
        let is_foreign = present.is_some() && owner.as_deref() != Some(pack.name.as_str());
        let is_same = present.as_ref().is_some_and(|present| same(present, spec));
        if (is_edited || is_foreign) && !is_same && !options.force {
            changes.push(Change { subject: spec.path.clone(), kind: ChangeKind::Conflict, ..Change::none() });
        } else {
            compare_gateway(present.as_ref(), spec, &mut changes);
        }
    }
    for (path, spec) in &installed {
        let is_gone = !pack.gateways.iter().any(|gateway| gateway.path == *path);
        if let (true, (Some(present), Some(owner))) = (is_gone, present(catalog.store(), path).await?) {
            let is_ours = owner == pack.name && (same(&present, spec) || options.force);
            let kind = if is_ours { ChangeKind::Delete } else { ChangeKind::Conflict };
            changes.push(Change { subject: path.clone(), kind, ..Change::none() });
        }
    }
    Ok(Plan { changes })
}

/// Installs a pack; what it did.
///
/// # Errors
/// `DUPLICATE_RESOURCE` when there are conflicts and they are not forced, and all that saving can
/// refuse (`SCRIPT_COMPILE_ERROR`, `VALIDATION_ERROR`).
pub async fn install(catalog: &Catalog, pack: &Pack, options: InstallOptions) -> Result<Plan> {
    let plan = plan(catalog, pack, options).await?;
    let conflicts: Vec<_> = plan.of(ChangeKind::Conflict).collect();
    if !conflicts.is_empty() {
        let message = format!(
            "{} changed since pack {} was installed, or not its own; `--force` overwrites",
            conflicts.join(", "),
            pack.name
        );
        return Err(Failure::new(ErrorCode::DuplicateResource, message).into());
    }
    // All of it is checked before anything is written: half a pack would look like an edited one.
    for spec in &pack.gateways {
        catalog.check_gateway(gateway_change(spec)).await.map_err(|error| inside(&spec.path, error))?;
        for (name, event) in &spec.events {
            let checked = catalog.check_event(event_change(name, event)).await;
            checked.map_err(|error| inside(&format!("{} {name}", spec.path), error))?;
        }
    }
    let author = format!("pack {}", pack.name);
    for spec in &pack.gateways {
        apply_gateway(catalog, spec, &author, &pack.name, &plan).await?;
    }
    for path in plan.of(ChangeKind::Delete) {
        if let Some(row) = catalog.store().gateway_by_path(path).await? {
            catalog.delete_gateway(row.id).await?;
        }
    }
    remember(catalog.store(), pack).await?;
    Ok(plan)
}

/// The same refusal, saying what it is about.
fn inside(subject: &str, error: Error) -> Error {
    match error {
        Error::Refused(failure) => {
            let message = format!("{subject}: {}", failure.message);
            Failure { message: message.into(), ..failure }.into()
        }
        other => other,
    }
}

impl Plan {
    fn of(&self, kind: ChangeKind) -> impl Iterator<Item = &str> {
        let of_kind =
            self.changes.iter().filter(move |change| change.kind == kind && !change.subject.contains(' '));
        of_kind.map(|change| change.subject.as_str())
    }

    fn touches(&self, subject: &str) -> bool {
        self.changes.iter().any(|change| change.subject == subject)
    }
}

impl Change {
    fn none() -> Self {
        Self { subject: String::new(), kind: ChangeKind::Update, before: String::new(), after: String::new() }
    }
}

/// The same but for where the scripts lie.
fn same(left: &GatewaySpec, right: &GatewaySpec) -> bool {
    GatewaySpec { script_files: Vec::new(), ..left.clone() }
        == GatewaySpec { script_files: Vec::new(), ..right.clone() }
}

fn compare_gateway(present: Option<&GatewaySpec>, wanted: &GatewaySpec, changes: &mut Vec<Change>) {
    let empty = BTreeMap::new();
    let (before, after) = (present.map_or_else(String::new, settings_text), settings_text(wanted));
    push(changes, wanted.path.clone(), present.is_some(), before, after);
    let events = present.map_or(&empty, |present| &present.events);
    for (name, event) in &wanted.events {
        let before = events.get(name);
        let texts = (before.map_or_else(String::new, event_text), event_text(event));
        push(changes, format!("{} {name}", wanted.path), before.is_some(), texts.0, texts.1);
    }
    for (name, event) in events.iter().filter(|(name, _)| !wanted.events.contains_key(*name)) {
        let subject = format!("{} {name}", wanted.path);
        changes.push(Change {
            subject,
            kind: ChangeKind::Delete,
            before: event_text(event),
            after: String::new(),
        });
    }
}

fn push(changes: &mut Vec<Change>, subject: String, exists: bool, before: String, after: String) {
    if !exists || before != after {
        let kind = if exists { ChangeKind::Update } else { ChangeKind::Create };
        changes.push(Change { subject, kind, before, after });
    }
}

/// A gateway without its events, as text to compare and to show.
fn settings_text(spec: &GatewaySpec) -> String {
    let mut settings = serde_json::to_value(spec).unwrap_or_default();
    if let Some(fields) = settings.as_object_mut() {
        fields.retain(|name, _| {
            !matches!(name.as_str(), "events" | "connectionScript" | "disconnectionScript")
        });
    }
    let script = |name: &str, source: &Option<String>| {
        source.as_ref().map_or_else(String::new, |source| format!("\n--- {name}\n{source}"))
    };
    format!(
        "{settings:#}{}{}",
        script("connection", &spec.connection_script),
        script("disconnection", &spec.disconnection_script)
    )
}

fn event_text(event: &EventSpec) -> String {
    let mut settings = serde_json::to_value(event).unwrap_or_default();
    if let Some(fields) = settings.as_object_mut() {
        fields.remove("sourceCode");
    }
    format!("{settings:#}\n--- script\n{}", event.source_code)
}

async fn apply_gateway(
    catalog: &Catalog,
    spec: &GatewaySpec,
    author: &str,
    pack: &str,
    plan: &Plan,
) -> Result<()> {
    let row = catalog.store().gateway_by_path(&spec.path).await?;
    let id = match &row {
        None => catalog.create_gateway(gateway_change(spec), author, Some(pack)).await?.id,
        Some(row) if plan.touches(&spec.path) => {
            catalog.update_gateway(row.id, gateway_change(spec), author).await?;
            row.id
        }
        Some(row) => row.id,
    };
    own(catalog.store(), id, pack).await?;
    let rows = catalog.store().events_of(id).await?;
    for (name, event) in &spec.events {
        match rows.iter().find(|row| row.event_name == *name) {
            None => drop(catalog.create_event(id, event_change(name, event), author).await?),
            Some(row) if plan.touches(&format!("{} {name}", spec.path)) => {
                catalog.update_event(row.id, event_change(name, event), author).await?;
            }
            Some(_) => {}
        }
    }
    for row in rows.iter().filter(|row| !spec.events.contains_key(&row.event_name)) {
        catalog.delete_event(row.id).await?;
    }
    Ok(())
}

fn gateway_change(spec: &GatewaySpec) -> GatewayChange {
    GatewayChange {
        path: Some(spec.path.clone()),
        description: Some(spec.description.clone()),
        is_enabled: Some(spec.is_enabled),
        require_auth: Some(spec.require_auth),
        connection_script: Some(spec.connection_script.clone()),
        disconnection_script: Some(spec.disconnection_script.clone()),
        script_timeout_ms: Some(spec.script_timeout_ms),
        allowed_origins: Some(spec.allowed_origins.clone()),
        limits: Some(LimitsChange {
            events_per_second: Some(spec.limits.events_per_second),
            burst: Some(spec.limits.burst),
            subscriptions_per_connection: Some(spec.limits.subscriptions_per_connection),
            message_bytes: Some(spec.limits.message_bytes),
        }),
        presence: Some(spec.presence),
    }
}

fn event_change(name: &str, spec: &EventSpec) -> EventChange {
    EventChange {
        event_name: Some(name.to_owned()),
        description: Some(spec.description.clone()),
        is_enabled: Some(spec.is_enabled),
        source_code: Some(spec.source_code.clone()),
        timeout_ms: Some(spec.timeout_ms),
        payload_schema: Some(spec.payload_schema.clone()),
        delivery: None,
    }
}

/// A gateway as the database has it, and the pack that it came from.
async fn present(store: &Store, path: &str) -> Result<(Option<GatewaySpec>, Option<String>)> {
    let Some(row) = store.gateway_by_path(path).await? else { return Ok((None, None)) };
    let events = store.events_of(row.id).await?;
    let owner = row.pack.clone();
    Ok((Some(spec_of(row, events)), owner))
}

/// Rows as a pack would have them.
pub(super) fn spec_of(row: gateway::Model, events: Vec<event::Model>) -> GatewaySpec {
    GatewaySpec {
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
        events: events.into_iter().map(|event| (event.event_name.clone(), event_spec(event))).collect(),
        script_files: Vec::new(),
    }
}

fn event_spec(row: event::Model) -> EventSpec {
    EventSpec {
        description: row.description,
        is_enabled: row.is_enabled,
        source_code: row.source_code,
        timeout_ms: row.timeout_ms,
        payload_schema: row.payload_schema,
    }
}

async fn own(store: &Store, gateway_id: uuid::Uuid, pack: &str) -> Result<()> {
    gateway::Entity::update_many()
        .col_expr(gateway::Column::Pack, sea_orm::sea_query::Expr::value(pack))
        .filter(gateway::Column::Id.eq(gateway_id))
        .exec(store.db())
        .await?;
    Ok(())
}

async fn installed_content(store: &Store, name: &str) -> Result<Content> {
    let row = pack::Entity::find_by_id(name).one(store.db()).await?;
    Ok(row.map(|row| serde_json::from_value(row.content).unwrap_or_default()).unwrap_or_default())
}

async fn remember(store: &Store, installed: &Pack) -> Result<()> {
    let content: Content =
        installed.gateways.iter().map(|gateway| (gateway.path.clone(), gateway.clone())).collect();
    let now = store::now();
    let before = pack::Entity::find_by_id(&installed.name).one(store.db()).await?;
    let row = pack::Model {
        name: installed.name.clone(),
        description: installed.description.clone(),
        content: serde_json::to_value(content).unwrap_or_default(),
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

/// The installed packs.
pub async fn installed(store: &Store) -> Result<Vec<pack::Model>> {
    Ok(pack::Entity::find().all(store.db()).await?)
}
