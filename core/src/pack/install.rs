//! Installing a pack, and removing it: all that can be checked is checked before anything is
//! written, since half a pack would look like an edited one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use uuid::Uuid;

use super::manifest::Pack;
use super::plan::{Change, ChangeKind, InstallOptions, Plan, inside, plan, plan_for};
use super::present::{forget, installed_pack, own, remember};
use super::thing::{EventSpec, GatewaySpec, HookSpec, RouteSpec, TableSpec, Thing};
use crate::catalog::{Catalog, EventChange, GatewayChange, HookChange, LimitsChange, RouteChange};
use crate::data::{Table, TableChange};
use crate::error::{Error, ErrorCode, Failure, Result};
use crate::store::Edit;

/// Installs a pack; what it did.
///
/// # Errors
/// `DUPLICATE_RESOURCE` when there are conflicts and they are not forced, and all that saving can
/// refuse (`SCRIPT_COMPILE_ERROR`, `VALIDATION_ERROR`).
pub async fn install(catalog: &Catalog, pack: &Pack, options: InstallOptions) -> Result<Plan> {
    let plan = plan(catalog, pack, options).await?;
    refuse_conflicts(&plan, &pack.name)?;
    refuse_first(check(catalog, &plan, &pack.things).await?)?;
    apply(catalog, &plan, &pack.name, options).await?;
    remember(catalog.store(), pack).await?;
    Ok(plan)
}

/// What would refuse the installation of a pack, whatever is overwritten: all of it, not only the
/// first.
///
/// # Errors
/// When that cannot be told.
pub async fn problems(catalog: &Catalog, pack: &Pack) -> Result<Vec<Failure>> {
    let plan = plan(catalog, pack, InstallOptions::forced(true)).await?;
    Ok(check(catalog, &plan, &pack.things).await?.into_iter().map(Error::into_failure).collect())
}

/// Deletes all that came from a pack; what it did.
///
/// # Errors
/// `RESOURCE_NOT_FOUND` for a pack that is not installed; `DUPLICATE_RESOURCE` when rows, or what
/// an admin edited, would be lost and that is not forced, or when others need what would go.
pub async fn uninstall(catalog: &Catalog, name: &str, options: InstallOptions) -> Result<Plan> {
    let installed = installed_pack(catalog.store(), name).await?;
    installed.ok_or_else(|| Failure::not_found("installed pack", name))?;
    let plan = plan_for(catalog, name, &[], options).await?;
    refuse_conflicts(&plan, name)?;
    refuse_first(check(catalog, &plan, &[]).await?)?;
    apply(catalog, &plan, name, options).await?;
    forget(catalog.store(), name).await?;
    Ok(plan)
}

fn refuse_conflicts(plan: &Plan, pack: &str) -> Result<()> {
    let conflicts: Vec<_> = plan.of(ChangeKind::Conflict).collect();
    if conflicts.is_empty() {
        return Ok(());
    }
    let texts =
        conflicts.iter().map(|conflict| format!("{} ({})", conflict.thing().subject(), conflict.note));
    let message = format!(
        "Pack {pack} would change what is not its own, or lose values: {}; `--force` (in a request, force) does it",
        texts.collect::<Vec<_>>().join(", "),
    );
    let details = conflicts
        .iter()
        .map(|conflict| json!({ "subject": conflict.thing().subject(), "note": conflict.note }));
    let details = json!({ "conflicts": details.collect::<Vec<_>>() });
    Err(Failure::new(ErrorCode::DuplicateResource, message).with_details(details).into())
}

fn refuse_first(errors: Vec<Error>) -> Result<()> {
    errors.into_iter().next().map_or(Ok(()), Err)
}

/// Why not all of `wanted` can be saved, or something that stays needs what goes.
async fn check(catalog: &Catalog, plan: &Plan, wanted: &[Thing]) -> Result<Vec<Error>> {
    let mut wrong = Vec::new();
    let gone: BTreeSet<&str> =
        plan.of(ChangeKind::Delete).filter_map(|change| change.thing().table_name()).collect();
    for other in &plan.others {
        let needs = match &other.thing {
            Thing::Hook(hook) => gone.get(hook.table.as_str()).copied(),
            table => table.references().find(|name| gone.contains(name)),
        };
        if let Some(table) = needs {
            let message = format!("{} needs the table {table}; delete it first", other.thing.subject());
            wrong.push(Failure::new(ErrorCode::DuplicateResource, message).into());
        }
    }
    let mut known = catalog.table_names();
    known.retain(|name| !gone.contains(name.as_str()));
    // Where a table needs another, that one comes first.
    let mut tables = BTreeMap::new();
    for thing in wanted {
        if let Thing::Table(spec) = thing {
            match check_table(catalog, spec, thing, &mut known) {
                Ok(table) => drop(tables.insert(spec.name.as_str(), table)),
                Err(error) => wrong.push(inside(&thing.subject(), error)),
            }
        }
    }
    for thing in wanted {
        let checked = check_script(catalog, thing, &tables, &known).await;
        wrong.extend(checked.err().map(|error| inside(&thing.subject(), error)));
    }
    Ok(wrong)
}

fn check_table(
    catalog: &Catalog,
    spec: &TableSpec,
    thing: &Thing,
    known: &mut BTreeSet<String>,
) -> Result<Table> {
    if let Some(name) = thing.references().find(|name| !known.contains(*name)) {
        let message = format!("a column references {name}, which is no table, or one that needs this one");
        return Err(Failure::invalid("columns", message).into());
    }
    known.insert(spec.name.clone());
    catalog.data()?.check_table(table_change(spec, false))
}

async fn check_script(
    catalog: &Catalog,
    thing: &Thing,
    tables: &BTreeMap<&str, Table>,
    known: &BTreeSet<String>,
) -> Result<()> {
    match thing {
        Thing::Table(_) => Ok(()),
        Thing::Gateway(spec) => catalog.check_gateway(gateway_change(spec), known).await,
        Thing::Event { event, .. } => catalog.check_event(event_change(event), known).await,
        Thing::Route(spec) => catalog.check_route(route_change(spec), known).await,
        Thing::Hook(spec) => match tables.get(spec.table.as_str()) {
            Some(table) => catalog.check_hook(hook_change(spec), table, known).await,
            None => {
                let table = catalog.data()?.table(&spec.table)?;
                catalog.check_hook(hook_change(spec), &table, known).await
            }
        },
    }
}

async fn apply(catalog: &Catalog, plan: &Plan, pack: &str, options: InstallOptions) -> Result<()> {
    for change in &plan.changes {
        let applied = apply_change(catalog, change, pack, options).await;
        applied.map_err(|error| inside(&change.thing().subject(), error))?;
    }
    for adopted in &plan.adopted {
        own(catalog.store(), adopted.id, &adopted.thing, pack).await?;
    }
    Ok(())
}

async fn apply_change(catalog: &Catalog, change: &Change, pack: &str, options: InstallOptions) -> Result<()> {
    let author = format!("pack {pack}");
    match (&change.before, &change.after) {
        (None, Some(thing)) => create(catalog, thing, &author, pack).await,
        (Some(before), Some(thing)) => {
            update(catalog, before.id, thing, &author, options).await?;
            own(catalog.store(), before.id, thing, pack).await
        }
        (Some(before), None) => delete(catalog, before.id, &before.thing, options).await,
        (None, None) => Ok(()),
    }
}

async fn create(catalog: &Catalog, thing: &Thing, author: &str, pack: &str) -> Result<()> {
    match thing {
        Thing::Table(spec) => {
            let (data, change) = (catalog.data()?, table_change(spec, false));
            let made = catalog.edit(Edit::Tables, async |on| data.create_table(on, change, Some(pack)).await);
            made.await.map(drop)
        }
        Thing::Gateway(spec) => {
            catalog.create_gateway(gateway_change(spec), author, Some(pack)).await.map(drop)
        }
        Thing::Event { gateway, event } => {
            let gateway = catalog.store().gateway_by_path(gateway).await?;
            let gateway = gateway.ok_or_else(|| Failure::not_found("gateway of", &event.name))?;
            catalog.create_event(gateway.id, event_change(event), author).await.map(drop)
        }
        Thing::Route(spec) => catalog.create_route(route_change(spec), author, Some(pack)).await.map(drop),
        Thing::Hook(spec) => catalog.create_hook(hook_change(spec), author, Some(pack)).await.map(drop),
    }
}

async fn update(
    catalog: &Catalog,
    id: Uuid,
    thing: &Thing,
    author: &str,
    options: InstallOptions,
) -> Result<()> {
    match thing {
        Thing::Table(spec) => {
            catalog.update_table(id, table_change(spec, options.lose_values)).await.map(drop)
        }
        Thing::Gateway(spec) => catalog.update_gateway(id, gateway_change(spec), author).await.map(drop),
        Thing::Event { event, .. } => catalog.update_event(id, event_change(event), author).await.map(drop),
        Thing::Route(spec) => catalog.update_route(id, route_change(spec), author).await.map(drop),
        Thing::Hook(spec) => catalog.update_hook(id, hook_change(spec), author).await.map(drop),
    }
}

async fn delete(catalog: &Catalog, id: Uuid, thing: &Thing, options: InstallOptions) -> Result<()> {
    match thing {
        Thing::Table(_) => catalog.delete_table(id, options.lose_values).await,
        Thing::Gateway(_) => catalog.delete_gateway(id).await,
        Thing::Event { .. } => catalog.delete_event(id).await,
        Thing::Route(_) => catalog.delete_route(id).await,
        Thing::Hook(_) => catalog.delete_hook(id).await,
    }
}

pub(super) fn table_change(spec: &TableSpec, confirm: bool) -> TableChange {
    TableChange {
        name: Some(spec.name.clone()),
        description: Some(spec.description.clone()),
        columns: Some(spec.columns.clone()),
        access: Some(spec.access.clone()),
        confirm,
        ..TableChange::default()
    }
}

fn gateway_change(spec: &GatewaySpec) -> GatewayChange {
    GatewayChange {
        path: Some(spec.path.clone()),
        description: Some(spec.description.clone()),
        is_enabled: Some(spec.is_enabled),
        require_auth: Some(spec.require_auth),
        connection_script: Some(spec.connection.clone()),
        disconnection_script: Some(spec.disconnection.clone()),
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

fn event_change(spec: &EventSpec) -> EventChange {
    EventChange {
        event_name: Some(spec.name.clone()),
        description: Some(spec.description.clone()),
        is_enabled: Some(spec.is_enabled),
        source_code: Some(spec.script.clone()),
        timeout_ms: Some(spec.timeout_ms),
        payload_schema: Some(spec.payload_schema.clone()),
        delivery: None,
    }
}

fn route_change(spec: &RouteSpec) -> RouteChange {
    RouteChange {
        method: Some(spec.method.clone()),
        path: Some(spec.path.clone()),
        description: Some(spec.description.clone()),
        is_enabled: Some(spec.is_enabled),
        access: Some(spec.access.clone()),
        source_code: Some(spec.script.clone()),
        timeout_ms: Some(spec.timeout_ms),
    }
}

fn hook_change(spec: &HookSpec) -> HookChange {
    HookChange {
        table: Some(spec.table.clone()),
        when: Some(spec.when.clone()),
        on: Some(spec.on.clone()),
        description: Some(spec.description.clone()),
        is_enabled: Some(spec.is_enabled),
        condition: Some(spec.condition.clone()),
        source_code: Some(spec.script.clone()),
        priority: Some(spec.priority),
    }
}
