//! How definitions are listed, made, changed and deleted: one way for all kinds.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sea_orm::sea_query::Cond;
use sea_orm::{ActiveModelTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel};
use serde_json::Value as Json;
use uuid::Uuid;

use super::definition::{fields_as_json, scripts_of};
use super::revisions::{SavedBy, append_revision, check_seen, delete_revisions, newest_numbers};
use super::{Catalog, Definition, Fields, Place, Saved, Suspended, Suspension};
use crate::error::{Error, Failure, Result};
use crate::script::{CompileError, Context, ScriptWork, Within, run_on_script_thread};
use crate::store::list::{ListQuery, Page};
use crate::store::{self, Concerns, Time, definitions_number, gateway};

impl Catalog {
    /// One page of definitions of a kind.
    pub async fn list<T: Definition>(&self, query: &ListQuery) -> Result<Page<Saved<T>>> {
        self.list_among(query, None).await
    }

    /// One page of those that meet a condition.
    pub(super) async fn list_among<T: Definition>(
        &self,
        query: &ListQuery,
        scope: Option<Cond>,
    ) -> Result<Page<Saved<T>>> {
        let page = self.store.list::<T::Entity>(query, scope).await?;
        let rows = page.rows.into_iter().map(T::of_row).collect();
        Ok(Page { rows: self.with_record(rows).await?, counts: page.counts })
    }

    /// A definition by id.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub async fn get<T: Definition>(&self, id: Uuid) -> Result<Saved<T>> {
        self.one_with_record(saved(self.store.db(), id).await?).await
    }

    /// Makes a definition. It is live when this returns.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`, `SCRIPT_COMPILE_ERROR`, `DUPLICATE_RESOURCE` where another is alike, or
    /// `RESOURCE_NOT_FOUND` for what it belongs to.
    pub async fn create<T: Definition>(
        &self,
        place: Place,
        fields: &Fields<T>,
        author: &str,
    ) -> Result<Saved<T>> {
        fields.check_complete()?;
        let by = fields.check_new()?.by(author);
        let mut definition = fields.over(&T::default())?;
        definition.check(None, self)?;
        let saved = Saved::made(definition, place);
        let checked = self.check_compiled(self.store.db(), None, Some(&saved)).await?;
        let made = self.edit(Concerns::Definitions, async |on| {
            self.check_again(on, checked, None, Some(&saved)).await?;
            self.insert(on, saved, by).await
        });
        self.one_with_record(made.await?).await
    }

    /// Changes a definition. It is live when this returns; what was accepted before runs what was
    /// current.
    ///
    /// # Errors
    /// As [`Self::create`], `RESOURCE_NOT_FOUND`, and `CONFLICT` when there is a revision that the fields do
    /// not expect.
    pub async fn update<T: Definition>(
        &self,
        id: Uuid,
        fields: &Fields<T>,
        author: &str,
    ) -> Result<Saved<T>> {
        // Compiled before the edit begins, which others wait for.
        let seen = saved::<T>(self.store.db(), id).await?;
        let merged = Saved { definition: self.merged(fields, &seen.definition)?, ..seen.clone() };
        let checked = self.check_compiled(self.store.db(), Some(&seen), Some(&merged)).await?;
        let changed = self.edit(Concerns::Definitions, async |on| {
            let before = saved::<T>(on, id).await?;
            check_seen(on, id, fields.note().expected_revision).await?;
            let merged = Saved { definition: self.merged(fields, &before.definition)?, ..before.clone() };
            self.check_again(on, checked, Some(&before), Some(&merged)).await?;
            let by = fields.note().by(author);
            self.replace(on, before, merged.definition, |script| fields.sets(script), by).await
        });
        self.one_with_record(changed.await?).await
    }

    fn merged<T: Definition>(&self, fields: &Fields<T>, present: &T) -> Result<T> {
        let mut definition = fields.over(present)?;
        definition.check(Some(present), self)?;
        Ok(definition)
    }

    /// Saves an earlier version of a script again, as the newest.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`; `SCRIPT_COMPILE_ERROR` when it no longer compiles.
    pub async fn restore<T: Definition>(&self, id: Uuid, number: i64, author: &str) -> Result<Saved<T>> {
        let revision = self.revision(id, number).await?;
        let may_be_null = fields_as_json(&T::default()).get(&revision.script).is_some_and(Json::is_null);
        // The history has a script that was taken away as an empty one.
        let source =
            if may_be_null && revision.source.is_empty() { Json::Null } else { revision.source.into() };
        let again =
            Fields::<T>::one(&revision.script, source).with_message(format!("Revision {number} again"));
        self.update(id, &again, author).await
    }

    /// Deletes a definition with its history and what belongs to it.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`; `DUPLICATE_RESOURCE` for what is in use.
    pub async fn delete<T: Definition>(&self, id: Uuid) -> Result<()> {
        let seen = saved::<T>(self.store.db(), id).await?;
        let checked = self.check_compiled(self.store.db(), Some(&seen), None).await?;
        let deleted = self.edit(Concerns::Definitions, async |on| {
            self.check_again(on, checked, Some(&saved::<T>(on, id).await?), None).await?;
            remove::<T>(on, id).await
        });
        deleted.await
    }

    /// That all compiles with what is saved or goes; the number of the last edit that is in this. It is done before
    /// the edit begins, which others wait for.
    async fn check_compiled<T: Definition>(
        &self,
        on: &impl ConnectionTrait,
        before: Option<&Saved<T>>,
        after: Option<&Saved<T>>,
    ) -> Result<i64> {
        let number = definitions_number(on).await?;
        T::check_compiled(before, after, self, on).await?;
        Ok(number)
    }

    /// The same within the edit, if another came between.
    async fn check_again<T: Definition>(
        &self,
        on: &DatabaseTransaction,
        checked: i64,
        before: Option<&Saved<T>>,
        after: Option<&Saved<T>>,
    ) -> Result<()> {
        if definitions_number(on).await? != checked {
            T::check_compiled(before, after, self, on).await?;
        }
        Ok(())
    }

    /// Lets the suspended scripts of a definition run again, on this node.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND` when it has no live script.
    pub async fn resume<T: Definition>(&self, id: Uuid) -> Result<Saved<T>> {
        let mut handlers = self.handlers();
        handlers.retain(|handler| handler.owner == id);
        if handlers.is_empty() {
            return Err(Failure::not_found("live script of", id).into());
        }
        handlers.iter().for_each(|handler| handler.resume());
        self.get(id).await
    }

    /// What is wrong with a script, if it were to be saved as one of this pack, for this context.
    pub async fn check_script(
        &self,
        source: String,
        pack: Option<&str>,
        context: Option<Context>,
    ) -> Result<Vec<CompileError>> {
        let within = Within { libraries: self.libraries(), pack: pack.map(Arc::from) };
        let (engine, tables) = (self.engine.clone(), self.table_names());
        let check = move || engine.problems(&source, &within, Some(&tables), context);
        run_on_script_thread(ScriptWork::Compile, check).await
    }

    /// Whether such a definition could be made were there these tables and libraries, but for what others there are.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub(crate) async fn check_new<T: Definition>(
        &self,
        mut definition: T,
        tables: &BTreeSet<String>,
        within: &Within,
    ) -> Result<()> {
        definition.check(None, self)?;
        self.compile_all(scripts_of(&definition), within.clone(), tables.clone()).await
    }

    /// Compiles the scripts of a definition that is to be saved, with the libraries that there are.
    pub(super) async fn check_scripts<T: Definition>(
        &self,
        saved: &Saved<T>,
        on: &impl ConnectionTrait,
    ) -> Result<()> {
        let scripts = scripts_of(&saved.definition);
        let imports = scripts.iter().any(|(_, source)| source.contains("import"));
        let libraries = if imports { self.libraries_on(on).await? } else { Arc::default() };
        let pack = match saved.place.gateway_id() {
            Some(id) => gateway::Entity::find_by_id(id).one(on).await?.and_then(|gateway| gateway.pack),
            None => saved.place.pack(),
        };
        let within = Within { libraries, pack: pack.map(Arc::from) };
        self.compile_all(scripts, within, self.table_names()).await
    }

    async fn compile_all(
        &self,
        scripts: Vec<(&'static str, String)>,
        within: Within,
        tables: BTreeSet<String>,
    ) -> Result<()> {
        if scripts.is_empty() {
            return Ok(());
        }
        let engine = self.engine.clone();
        let checked = run_on_script_thread(ScriptWork::Compile, move || {
            let check = |source: &String| engine.check(source, &within, Some(&tables)).map(drop);
            scripts.iter().try_for_each(|(_, source)| check(source))
        });
        Ok(checked.await?.map_err(Failure::from)?)
    }

    /// Makes a definition that has been checked, within an edit.
    pub(crate) async fn insert<T: Definition>(
        &self,
        on: &DatabaseTransaction,
        saved: Saved<T>,
        by: SavedBy<'_>,
    ) -> Result<Saved<T>> {
        T::check_among_others(&saved, self, on).await?;
        let inserted = T::into_row(saved.clone()).into_active_model().insert(on).await;
        inserted.map_err(|error| refusal(error, &saved.definition))?;
        for (script, source) in scripts_of(&saved.definition) {
            append_revision(on, saved.id, script, &source, by).await?;
        }
        Ok(saved)
    }

    /// Puts a definition that has been checked in the place of the one before, within an edit. Scripts
    /// that changed, and those that the edit saves, are kept as revisions.
    pub(crate) async fn replace<T: Definition>(
        &self,
        on: &DatabaseTransaction,
        before: Saved<T>,
        definition: T,
        is_saved: impl Fn(&str) -> bool + Send,
        by: SavedBy<'_>,
    ) -> Result<Saved<T>> {
        let (was, is) = (scripts_of(&before.definition), scripts_of(&definition));
        let saved = Saved { definition, updated_at: later_than(before.updated_at), ..before };
        T::check_among_others(&saved, self, on).await?;
        let updated = T::into_row(saved.clone()).into_active_model().reset_all().update(on).await;
        updated.map_err(|error| refusal(error, &saved.definition))?;
        for script in T::SCRIPTS {
            let source_in = |scripts: &[(&str, String)]| {
                scripts.iter().find(|(name, _)| name == script).map(|(_, source)| source.clone())
            };
            let (source_before, source) = (source_in(&was), source_in(&is));
            if source_before != source || source.is_some() && is_saved(script) {
                append_revision(on, saved.id, script, &source.unwrap_or_default(), by).await?;
            }
        }
        Ok(saved)
    }

    async fn one_with_record<T: Definition>(&self, saved: Saved<T>) -> Result<Saved<T>> {
        let id = saved.id;
        let one = self.with_record(vec![saved]).await?.pop();
        Ok(one.ok_or_else(|| Failure::not_found(T::KIND, id))?)
    }

    /// Definitions with what is known of their scripts here, and the numbers of the newest.
    async fn with_record<T: Definition>(&self, mut all: Vec<Saved<T>>) -> Result<Vec<Saved<T>>> {
        if T::SCRIPTS.is_empty() {
            return Ok(all);
        }
        let numbers = newest_numbers(self.store.db(), all.iter().map(|saved| saved.id)).await?;
        let mut suspended: HashMap<Uuid, Vec<Suspension>> = HashMap::new();
        for handler in self.handlers() {
            if let Some(reason) = handler.suspended() {
                let suspension = Suspension { script: handler.script_name, reason };
                suspended.entry(handler.owner).or_default().push(suspension);
            }
        }
        for saved in &mut all {
            saved.suspended = Suspended::of::<T>(suspended.remove(&saved.id).unwrap_or_default());
            saved.revision = Some(numbers.get(&saved.id).copied().unwrap_or(0));
        }
        Ok(all)
    }
}

/// A definition as the database has it.
///
/// # Errors
/// `RESOURCE_NOT_FOUND`.
pub(crate) async fn saved<T: Definition>(on: &impl ConnectionTrait, id: Uuid) -> Result<Saved<T>> {
    Ok(T::of_row(row_of::<T>(on, id).await?))
}

/// Its row.
///
/// # Errors
/// `RESOURCE_NOT_FOUND`.
pub(super) async fn row_of<T: Definition>(on: &impl ConnectionTrait, id: Uuid) -> Result<T::Row> {
    let row = T::Entity::find_by_id(id).one(on).await?;
    Ok(row.ok_or_else(|| Failure::not_found(T::KIND, id))?)
}

/// Deletes a definition with its history and what belongs to it, within an edit.
///
/// # Errors
/// `RESOURCE_NOT_FOUND`.
pub(crate) async fn remove<T: Definition>(on: &DatabaseTransaction, id: Uuid) -> Result<()> {
    let parts = T::delete_parts(id, on).await?;
    let gone = T::Entity::delete_by_id(id).exec(on).await?;
    if gone.rows_affected == 0 {
        return Err(Failure::not_found(T::KIND, id).into());
    }
    delete_revisions(on, parts.into_iter().chain([id])).await
}

fn refusal<T: Definition>(error: sea_orm::DbErr, definition: &T) -> Error {
    if store::is_unique_violation(&error) { definition.already_there().into() } else { error.into() }
}

/// Now, but later than `before`: a handler is known by its row's version.
fn later_than(before: Time) -> Time {
    store::now().max(before + time::Duration::milliseconds(1))
}
