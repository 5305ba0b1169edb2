//! Installing a pack, and removing it, each in one edit: all of it or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sea_orm::DatabaseTransaction;
use serde_json::json;
use uuid::Uuid;

use super::manifest::{Pack, libraries_of};
use super::plan::{Change, ChangeKind, InstallOptions, Plan, about, check_texts, plan, plan_for, read_plan};
use super::present::{Present, forget, installed_pack, own, remember};
use super::saved_test::{forget_tests, take_over};
use super::thing::{TableSpec, Thing, of_kind};
use crate::catalog::{Catalog, Definition, LibrariesChange, Place, Saved, SavedBy, remove, saved};
use crate::data::{Table, TableChange, USERS};
use crate::error::{Error, ErrorCode, Failure, Result};
use crate::script::{CompileError, Libraries, ScriptWork, Within, full_name, run_on_script_thread};
use crate::store::Concerns;

/// Installs a pack, all of it or nothing; what it did.
///
/// # Errors
/// `DUPLICATE_RESOURCE` when there are conflicts and they are not forced, and all that saving can
/// refuse (`SCRIPT_COMPILE_ERROR`, `VALIDATION_ERROR`).
pub async fn install(catalog: &Catalog, pack: &Pack, options: InstallOptions) -> Result<Plan> {
    check_texts(pack)?;
    let of_pack = OfPack { name: &pack.name, wanted: &pack.things, options };
    let note = async |on: &DatabaseTransaction| {
        remember(on, pack).await?;
        take_over(on, pack).await
    };
    of_pack.change(catalog, note).await
}

/// What would refuse the installation of a pack, whatever is overwritten: all of it, not only the
/// first.
///
/// # Errors
/// When that cannot be told.
pub async fn problems(catalog: &Catalog, pack: &Pack) -> Result<Vec<Failure>> {
    let plan = plan(catalog, pack, InstallOptions::forced(true)).await?;
    Ok(check(catalog, &plan, &pack.name, &pack.things).await?.into_iter().map(Error::into_failure).collect())
}

/// What does not compile of a pack, if it were installed: files of it, and where in them.
///
/// # Errors
/// When that cannot be told.
pub async fn script_errors(catalog: &Catalog, pack: &Pack) -> Result<Vec<(String, CompileError)>> {
    let plan = plan(catalog, pack, InstallOptions::forced(true)).await?;
    let mut tables: BTreeSet<String> = plan.tables.keys().map(|name| String::from(&**name)).collect();
    tables.extend(pack.table_names().into_iter().map(str::to_owned));
    for change in plan.of(ChangeKind::Delete) {
        change.thing().table_name().map(|name| tables.remove(name));
    }
    let libraries = libraries_after(catalog, &plan, &pack.name, &pack.things).await?;
    let (engine, pack) = (catalog.engine().clone(), pack.clone());
    let work = move || {
        let within = Within { libraries, pack: Some(pack.name.as_str().into()) };
        let check = |(file, library): (&String, &Option<String>)| {
            let source = pack.files.get(file)?;
            let checked = match library {
                Some(name) => {
                    let name = full_name(Some(&pack.name), name);
                    engine.check_library(&within.libraries, &name, Some(&tables))
                }
                None => engine.check(source, &within, Some(&tables)).map(drop),
            };
            Some((file.clone(), checked.err()?))
        };
        pack.script_files.iter().filter_map(check).collect()
    };
    run_on_script_thread(ScriptWork::Compile, work).await
}

/// Deletes all that came from a pack, or nothing; what it did.
///
/// # Errors
/// `RESOURCE_NOT_FOUND` for a pack that is not installed; `DUPLICATE_RESOURCE` when rows, or what
/// an admin edited, would be lost and that is not forced, or when others need what would go.
pub async fn uninstall(catalog: &Catalog, name: &str, options: InstallOptions) -> Result<Plan> {
    let installed = installed_pack(catalog.store(), name).await?;
    installed.ok_or_else(|| Failure::not_found("installed pack", name))?;
    let of_pack = OfPack { name, wanted: &[], options };
    let note = async |on: &DatabaseTransaction| {
        forget(on, name).await?;
        forget_tests(on, name).await
    };
    of_pack.change(catalog, note).await
}

/// What a pack is to have, and how that may be brought about.
#[derive(Clone, Copy)]
struct OfPack<'a> {
    name: &'a str,
    wanted: &'a [Thing],
    options: InstallOptions,
}

impl OfPack<'_> {
    /// Brings about what is wanted, in one edit.
    async fn change(
        self,
        catalog: &Catalog,
        note: impl AsyncFnOnce(&DatabaseTransaction) -> Result<()>,
    ) -> Result<Plan> {
        // Compiled before the edit begins, which others wait for.
        let seen = read_plan(catalog, self.name, self.wanted, self.options).await?;
        self.check(catalog, &seen).await?;
        catalog
            .edit(Concerns::Tables, async |on| {
                let plan = plan_for(catalog, on, self.name, self.wanted, self.options).await?;
                if !plan.is_same(&seen) {
                    // Another edit came between.
                    self.check(catalog, &plan).await?;
                }
                self.apply(catalog, on, &plan).await?;
                note(on).await?;
                Ok(plan)
            })
            .await
    }

    async fn check(self, catalog: &Catalog, plan: &Plan) -> Result<()> {
        refuse_conflicts(plan, self.name)?;
        check(catalog, plan, self.name, self.wanted).await?.into_iter().next().map_or(Ok(()), Err)
    }

    async fn apply(self, catalog: &Catalog, on: &DatabaseTransaction, plan: &Plan) -> Result<()> {
        for change in &plan.changes {
            let applied = self.apply_change(catalog, on, change).await;
            applied.map_err(|error| about(&change.thing().subject(), error))?;
        }
        for adopted in &plan.adopted {
            own(on, adopted.id, &adopted.thing, self.name).await?;
        }
        Ok(())
    }

    async fn apply_change(self, catalog: &Catalog, on: &DatabaseTransaction, change: &Change) -> Result<()> {
        match (&change.before, &change.after) {
            (None, Some(thing)) => self.create(catalog, on, thing).await,
            (Some(before), Some(thing)) => {
                self.update(catalog, on, before.id, thing).await?;
                own(on, before.id, thing, self.name).await
            }
            (Some(before), None) => self.delete(catalog, on, before).await,
            (None, None) => Ok(()),
        }
    }

    async fn create(self, catalog: &Catalog, on: &DatabaseTransaction, thing: &Thing) -> Result<()> {
        let place = match thing {
            Thing::Event { gateway, event } => {
                let gateway = catalog.store().gateway_by_path(on, gateway).await?;
                let gateway = gateway.ok_or_else(|| Failure::not_found("gateway of", &event.event_name))?;
                Place::Gateway { gateway_id: gateway.id }
            }
            _ => Place::Pack { pack: Some(self.name.to_owned()) },
        };
        of_kind!(
            thing,
            table => {
                let change = table_change(table, false);
                catalog.data()?.create_table(on, change, Some(self.name)).await.map(drop)
            },
            definition => {
                let made = Saved::made(definition.clone(), place);
                let author = self.author();
                catalog.insert(on, made, SavedBy { author: &author, message: None }).await.map(drop)
            }
        )
    }

    async fn update(
        self,
        catalog: &Catalog,
        on: &DatabaseTransaction,
        id: Uuid,
        thing: &Thing,
    ) -> Result<()> {
        of_kind!(
            thing,
            table => {
                let change = table_change(table, self.options.lose_values);
                catalog.data()?.update_table(on, id, change).await.map(drop)
            },
            definition => {
                let before = saved_like(definition, on, id).await?;
                let author = self.author();
                let by = SavedBy { author: &author, message: None };
                catalog.replace(on, before, definition.clone(), |_| false, by).await.map(drop)
            }
        )
    }

    async fn delete(self, catalog: &Catalog, on: &DatabaseTransaction, before: &Present) -> Result<()> {
        of_kind!(
            &before.thing,
            _table => catalog.data()?.delete_table(on, before.id, self.options.lose_values).await,
            definition => remove_like(definition, on, before.id).await
        )
    }

    /// Who the history of scripts says has saved them.
    fn author(self) -> String {
        format!("pack {}", self.name)
    }
}

async fn saved_like<T: Definition>(_: &T, on: &DatabaseTransaction, id: Uuid) -> Result<Saved<T>> {
    saved(on, id).await
}

async fn remove_like<T: Definition>(_: &T, on: &DatabaseTransaction, id: Uuid) -> Result<()> {
    remove::<T>(on, id).await
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

/// Why not all of `wanted` can be saved, or something that stays needs what goes.
async fn check(catalog: &Catalog, plan: &Plan, pack: &str, wanted: &[Thing]) -> Result<Vec<Error>> {
    let mut wrong = Vec::new();
    let gone: BTreeSet<&str> =
        plan.of(ChangeKind::Delete).filter_map(|change| change.thing().table_name()).collect();
    for other in &plan.others {
        let needs = match &other.thing {
            Thing::Hook(hook) => gone.get(hook.table.as_str()).copied(),
            other => other.references().find(|name| gone.contains(name)),
        };
        if let Some(table) = needs {
            let message = format!("{} needs the table {table}; delete it first", other.thing.subject());
            wrong.push(Failure::new(ErrorCode::DuplicateResource, message).into());
        }
    }
    let mut known: BTreeSet<String> = plan.tables.keys().map(|name| String::from(&**name)).collect();
    known.retain(|name| !gone.contains(name.as_str()));
    // Where a table needs another, that one comes first.
    let mut tables = BTreeMap::new();
    for thing in wanted {
        if let Thing::Table(spec) = thing {
            match check_table(catalog, plan, spec, thing, &mut known) {
                Ok(table) => drop(tables.insert(spec.name.as_str(), table)),
                Err(error) => wrong.push(about(&thing.subject(), error)),
            }
        }
    }
    let libraries = check_libraries(catalog, plan, pack, wanted, &known, &mut wrong).await?;
    let within = Within { libraries, pack: Some(pack.into()) };
    for thing in wanted {
        let checked = check_definition(catalog, plan, thing, &tables, &known, &within).await;
        wrong.extend(checked.err().map(|error| about(&thing.subject(), error)));
    }
    Ok(wrong)
}

/// What the libraries will be.
async fn libraries_after(
    catalog: &Catalog,
    plan: &Plan,
    pack: &str,
    wanted: &[Thing],
) -> Result<Arc<Libraries>> {
    let of_others = plan.others.iter().filter_map(|other| other.thing.library(other.owner.as_deref()));
    catalog.compile_libraries(of_others.chain(libraries_of(pack, wanted)).collect()).await
}

/// What the libraries will be; adds why they cannot be that to what is `wrong`.
async fn check_libraries(
    catalog: &Catalog,
    plan: &Plan,
    pack: &str,
    wanted: &[Thing],
    tables: &BTreeSet<String>,
    wrong: &mut Vec<Error>,
) -> Result<Arc<Libraries>> {
    let own = libraries_of(pack, wanted).into_iter();
    let own_names: Vec<_> = own.map(|library| full_name(Some(pack), &library.name)).collect();
    let after = libraries_after(catalog, plan, pack, wanted).await?;
    let changes = plan.changes.iter().filter_map(|change| change.thing().library(None));
    let changed = changes.map(|library| full_name(Some(pack), &library.name)).collect();
    let change = LibrariesChange { before: catalog.libraries(), after: after.clone(), changed };
    let scripts = plan.others.iter().flat_map(|other| other.thing.scripts(other.owner.as_deref()));
    let failures = catalog.check_libraries(change, own_names, scripts.collect(), tables.clone()).await?;
    wrong.extend(failures.into_iter().map(Error::from));
    Ok(after)
}

fn check_table(
    catalog: &Catalog,
    plan: &Plan,
    spec: &TableSpec,
    thing: &Thing,
    known: &mut BTreeSet<String>,
) -> Result<Table> {
    if let Some(name) = thing.references().find(|name| !known.contains(*name)) {
        let message = format!("a column references {name}, which is no table, or one that needs this one");
        return Err(Failure::invalid("columns", message).into());
    }
    known.insert(spec.name.clone());
    catalog.data()?.check_table(table_change(spec, false), &plan.tables)
}

async fn check_definition(
    catalog: &Catalog,
    plan: &Plan,
    thing: &Thing,
    tables: &BTreeMap<&str, Table>,
    known: &BTreeSet<String>,
    within: &Within,
) -> Result<()> {
    match thing {
        Thing::Table(_) => return Ok(()),
        Thing::Library(library) => return library.clone().check(None, catalog),
        _ => {}
    }
    of_kind!(thing, _table => return Ok(()), one => catalog.check_new(one.clone(), known, within).await?);
    let Thing::Hook(hook) = thing else { return Ok(()) };
    let present = || plan.tables.get(hook.table.as_str()).map(|table| &**table);
    let users = catalog.data()?.users_by_name(&hook.table).filter(|_| hook.table == USERS);
    let table = tables.get(hook.table.as_str()).or_else(present).or(users.as_deref());
    hook.check_table(table.ok_or_else(|| Failure::not_found("table", &hook.table))?)
}

pub(super) fn table_change(spec: &TableSpec, confirm: bool) -> TableChange {
    TableChange {
        name: Some(spec.name.clone()),
        description: Some(spec.description.clone()),
        columns: Some(spec.columns.clone()),
        unique: Some(spec.unique.clone()),
        access: Some(spec.access.clone()),
        confirm,
        ..TableChange::default()
    }
}
