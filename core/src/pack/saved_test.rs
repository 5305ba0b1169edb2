//! Script tests that are kept with the server: those that came with packs and those that admins made. They run
//! against what is live, on the runner of all script tests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use sea_orm::{
    ActiveModelTrait, ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder,
};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::manifest::{Pack, PackFiles};
use super::present::{Present, present_things};
use super::test::{Test, run_one};
use super::thing::Thing;
use crate::catalog::Catalog;
use crate::error::{Error, ErrorCode, Failure, Result};
use crate::id::new_id;
use crate::script::{mounted_path, unmounted_path};
use crate::store::{self, Store, Time, script_test};

/// Tests that a server keeps; those of packs beyond are not taken over.
const TESTS_MAX: u64 = 2000;
/// Bytes of one, as JSON.
const TEST_BYTES_MAX: usize = 64 << 10;
/// Characters of a name.
const NAME_MAX: usize = 200;
/// The file of an exported pack that has the tests of admins.
const FILE_OF_ADMINS: &str = "tests/saved.toml";

/// A test that is kept.
#[derive(Debug, Clone)]
pub struct SavedTest {
    /// Its id.
    pub id: Uuid,
    /// Its name, which others may have too.
    pub name: String,
    /// The pack that it came with; none: an admin made it, or has changed it.
    pub pack: Option<String>,
    /// It as packs write it.
    pub definition: Map<String, Json>,
    /// What it tests: the gateway, the route or the event that is there.
    pub handler_id: Option<Uuid>,
    /// The same by the name that runs have, such as `/chat sendMessage`; none: nothing of the kind is there.
    pub handler: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
}

/// What came of a saved test.
#[derive(Debug, Clone)]
pub struct SavedTestResult {
    /// The test's.
    pub id: Uuid,
    /// The test's.
    pub name: String,
    /// What was expected and what came, as text, where they differ.
    pub difference: Option<(String, String)>,
    /// Why it could not be run.
    pub error: Option<String>,
    /// How long it took, with what stands around the run.
    pub duration: Duration,
}

/// All that is there, as tests look at it.
pub struct TestedThings {
    pack: Pack,
    ids: BTreeMap<String, (Uuid, Option<String>)>,
}

impl TestedThings {
    /// What is there now.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn read(store: &Store) -> Result<Self> {
        Ok(Self::of(present_things(store.db()).await?))
    }

    fn of(present: Vec<Present>) -> Self {
        let ids = present.iter().map(|one| (one.thing.key(), (one.id, one.owner.clone()))).collect();
        let things =
            super::thing::in_order(present.into_iter().map(|one| one.thing).collect(), |thing| thing);
        let pack = Pack {
            name: String::new(),
            description: String::new(),
            mount: String::new(),
            things,
            script_files: BTreeMap::new(),
            files: PackFiles::new(),
        };
        Self { pack, ids }
    }

    /// The saved test of a row.
    fn test(&self, row: script_test::Model) -> SavedTest {
        let definition = row.definition.as_object().cloned().unwrap_or_default();
        let tested = read(&definition).ok().and_then(|test| test.tested(&self.pack));
        let id = tested.as_ref().and_then(|tested| Some(self.ids.get(&tested.key)?.0));
        SavedTest {
            id: row.id,
            name: row.name,
            pack: row.pack,
            definition,
            handler_id: id,
            handler: tested.map(|tested| tested.name),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }

    /// Runs a test against what is there, or with another script in the place of its own.
    pub async fn run(
        &mut self,
        catalog: &Catalog,
        saved: &SavedTest,
        script: Option<&str>,
    ) -> SavedTestResult {
        let start = Instant::now();
        let mut definition = saved.definition.clone();
        if let Some(script) = script {
            definition.insert("script".to_owned(), script.into());
        }
        let ran = match read(&definition) {
            Ok(test) => {
                let owner = test.tested(&self.pack).and_then(|tested| self.ids.get(&tested.key)?.1.clone());
                // Whose libraries its script finds first.
                self.pack.name = owner.or(saved.pack.clone()).unwrap_or_default();
                run_one(catalog, &self.pack, test).await
            }
            Err(failure) => Err(failure.message.into_owned()),
        };
        let (difference, error) = match ran {
            Ok(difference) => (difference, None),
            Err(error) => (None, Some(error)),
        };
        let (id, name) = (saved.id, saved.name.clone());
        SavedTestResult { id, name, difference, error, duration: start.elapsed() }
    }
}

/// The saved tests by name: all, or those of a handler, by its id or its name.
///
/// # Errors
/// When the database does not answer.
pub async fn saved_tests(
    store: &Store,
    things: &TestedThings,
    handler: Option<&str>,
) -> Result<Vec<SavedTest>> {
    let rows = script_test::Entity::find().order_by_asc(script_test::Column::Id).all(store.db()).await?;
    let id = handler.and_then(|handler| handler.parse::<Uuid>().ok());
    let mut tests: Vec<_> = rows.into_iter().map(|row| things.test(row)).collect();
    tests.retain(|test| match (handler, id) {
        (None, _) => true,
        (Some(_), Some(id)) => test.handler_id == Some(id),
        (Some(name), None) => test.handler.as_deref() == Some(name),
    });
    tests.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    Ok(tests)
}

/// A saved test.
///
/// # Errors
/// `RESOURCE_NOT_FOUND`.
pub async fn saved_test(store: &Store, id: Uuid) -> Result<SavedTest> {
    let things = TestedThings::read(store).await?;
    Ok(things.test(row_of(store, id).await?))
}

/// Keeps a test.
///
/// # Errors
/// `BAD_REQUEST` for fields that no test has, `VALIDATION_ERROR` for what makes no sense, and for one too many.
pub async fn save_test(store: &Store, definition: Map<String, Json>) -> Result<SavedTest> {
    let things = TestedThings::read(store).await?;
    let name = checked(&definition, &things)?;
    if script_test::Entity::find().count(store.db()).await? >= TESTS_MAX {
        return Err(
            Failure::invalid("name", format!("there are {TESTS_MAX} tests already; delete some")).into()
        );
    }
    let now = store::now();
    let row = script_test::Model {
        id: new_id(),
        name,
        file: None,
        pack: None,
        definition: Json::Object(definition),
        created_at: now,
        updated_at: now,
    };
    row.clone().into_active_model().insert(store.db()).await?;
    Ok(things.test(row))
}

/// Changes fields of a test; null takes one away. One that came with a pack is the admin's from then on.
///
/// # Errors
/// As [`save_test`], and `RESOURCE_NOT_FOUND`.
pub async fn change_test(store: &Store, id: Uuid, changes: Map<String, Json>) -> Result<SavedTest> {
    let things = TestedThings::read(store).await?;
    let mut row = row_of(store, id).await?;
    let mut definition = row.definition.as_object().cloned().unwrap_or_default();
    for (name, value) in changes {
        if value.is_null() {
            definition.remove(&name);
        } else {
            definition.insert(name, value);
        }
    }
    row.name = checked(&definition, &things)?;
    row.definition = Json::Object(definition);
    (row.file, row.pack, row.updated_at) = (None, None, store::now());
    row.clone().into_active_model().reset_all().update(store.db()).await?;
    Ok(things.test(row))
}

/// Deletes a test.
///
/// # Errors
/// `RESOURCE_NOT_FOUND`.
pub async fn delete_test(store: &Store, id: Uuid) -> Result<()> {
    let deleted = script_test::Entity::delete_by_id(id).exec(store.db()).await?;
    if deleted.rows_affected == 0 {
        return Err(Failure::not_found("test", id).into());
    }
    Ok(())
}

/// Takes over the tests of a pack that is being installed. What cannot be read is for `gatewright test` to tell.
pub(super) async fn take_over(on: &DatabaseTransaction, pack: &Pack) -> Result<()> {
    let rows = script_test::Entity::find().all(on).await?;
    let (mut before, others): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| row.pack.as_deref() == Some(&pack.name));
    let room = (TESTS_MAX as usize).saturating_sub(others.len());
    let now = store::now();
    for (file, definition) in tests_of(pack).into_iter().take(room) {
        let name = name_of(&definition);
        let definition = Json::Object(definition);
        // What an admin has exported is the pack's now.
        let same = others.iter().filter(|row| row.pack.is_none() && row.definition == definition);
        for row in same {
            script_test::Entity::delete_by_id(row.id).exec(on).await?;
        }
        let known = before.iter().position(|row| row.file.as_ref() == Some(&file) && row.name == name);
        let known = known.map(|index| before.swap_remove(index));
        let (is_new, id, created_at) =
            known.as_ref().map_or((true, new_id(), now), |row| (false, row.id, row.created_at));
        if known.is_some_and(|row| row.definition == definition) {
            continue;
        }
        let (file, pack) = (Some(file), Some(pack.name.clone()));
        let row = script_test::Model { id, name, file, pack, definition, created_at, updated_at: now };
        let row = row.into_active_model();
        if is_new {
            row.insert(on).await?;
        } else {
            row.reset_all().update(on).await?;
        }
    }
    for gone in before {
        script_test::Entity::delete_by_id(gone.id).exec(on).await?;
    }
    Ok(())
}

/// Deletes the tests that came with a pack.
pub(super) async fn forget_tests(on: &DatabaseTransaction, pack: &str) -> Result<()> {
    let of_pack = script_test::Entity::delete_many().filter(script_test::Column::Pack.eq(pack));
    of_pack.exec(on).await?;
    Ok(())
}

/// The files with the tests of what is exported: those that came with the pack, and those of its things. `keys`: of
/// what is exported.
pub(super) async fn test_files(
    store: &Store,
    pack: Option<&str>,
    keys: &BTreeSet<String>,
    mount: &str,
) -> Result<PackFiles> {
    let things = TestedThings::read(store).await?;
    let rows = script_test::Entity::find().order_by_asc(script_test::Column::Id).all(store.db()).await?;
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        let definition = row.definition.as_object().cloned().unwrap_or_default();
        let tested = read(&definition).ok().and_then(|test| test.tested(&things.pack));
        let is_of_pack = pack.is_some() && row.pack.as_deref() == pack;
        if !is_of_pack && !tested.is_some_and(|tested| keys.contains(&tested.key)) {
            continue;
        }
        let file = row.file.filter(|_| is_of_pack).unwrap_or_else(|| FILE_OF_ADMINS.to_owned());
        let mut definition = definition;
        change_paths(&mut definition, |path| unmounted_path(mount, path).to_owned());
        let text = toml::to_string_pretty(&json!({ "tests": [definition] }));
        // What TOML cannot say is null.
        let text = text
            .unwrap_or_else(|_| format!("# {:?} is left out: it holds null, which TOML has not\n", row.name));
        files.entry(file).or_default().push(text);
    }
    Ok(files.into_iter().map(|(file, tests)| (file, tests.join("\n"))).collect())
}

async fn row_of(store: &Store, id: Uuid) -> Result<script_test::Model> {
    let row = script_test::Entity::find_by_id(id).one(store.db()).await?;
    Ok(row.ok_or_else(|| Failure::not_found("test", id))?)
}

fn read(definition: &Map<String, Json>) -> std::result::Result<Test, Failure> {
    let test = Test::deserialize(Json::Object(definition.clone()));
    test.map_err(|error| Failure::new(ErrorCode::BadRequest, format!("The test cannot be read: {error}")))
}

fn name_of(definition: &Map<String, Json>) -> String {
    definition.get("name").and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// The name of a test that may be saved.
fn checked(definition: &Map<String, Json>, things: &TestedThings) -> Result<String> {
    let test = read(definition)?;
    let name = name_of(definition);
    if name.trim().is_empty() || name.chars().count() > NAME_MAX {
        return Err(Failure::invalid("name", format!("has 1 to {NAME_MAX} characters")).into());
    }
    let value = Json::Object(definition.clone());
    store::check_json("test", &value)?;
    if value.to_string().len() > TEST_BYTES_MAX {
        return Err(Failure::invalid("test", format!("has more than {TEST_BYTES_MAX} bytes as JSON")).into());
    }
    test.check(&things.pack).map_err(|message| Error::from(Failure::invalid("test", message)))?;
    Ok(name)
}

/// The tests of a pack's files as they are kept, with their files: at the pack's mount, and each with its gateway.
fn tests_of(pack: &Pack) -> Vec<(String, Map<String, Json>)> {
    #[derive(Deserialize)]
    struct File {
        tests: Vec<Map<String, Json>>,
    }
    let gateways = pack.things.iter().filter_map(|thing| match thing {
        Thing::Gateway(gateway) => Some(&gateway.path),
        _ => None,
    });
    let gateways: Vec<_> = gateways.collect();
    let mut all = Vec::new();
    for (file, text) in pack.test_files() {
        let Ok(read_file) = toml::from_str::<File>(text) else {
            tracing::warn!(pack = pack.name, file, "a file of tests cannot be read; its tests are not kept");
            continue;
        };
        for mut definition in read_file.tests {
            if read(&definition).is_err() {
                tracing::warn!(
                    pack = pack.name,
                    file,
                    name = name_of(&definition),
                    "a test cannot be read; it is not kept"
                );
                continue;
            }
            change_paths(&mut definition, |path| mounted_path(&pack.mount, path));
            let kind = definition.get("kind").and_then(Json::as_str);
            let is_of_gateway = !matches!(kind, Some("route" | "hook"));
            if let (true, [only], None) = (is_of_gateway, &gateways[..], definition.get("gateway")) {
                definition.insert("gateway".to_owned(), only.as_str().into());
            }
            all.push((file.clone(), definition));
        }
    }
    all
}

/// Changes the paths of gateways and of the request.
fn change_paths(definition: &mut Map<String, Json>, change: impl Fn(&str) -> String) {
    let change_one = |value: Option<&mut Json>| {
        if let Some(value) = value
            && let Some(path) = value.as_str()
        {
            *value = change(path).into();
        }
    };
    change_one(definition.get_mut("gateway"));
    change_one(definition.get_mut("path"));
    for list in ["sockets", "jobs"] {
        let items = definition.get_mut(list).and_then(Json::as_array_mut);
        items.into_iter().flatten().for_each(|item| change_one(item.get_mut("gateway")));
    }
    for list in ["jobs", "failedJobs"] {
        let items = definition.get_mut("expect").and_then(|expect| expect.get_mut(list)?.as_array_mut());
        items.into_iter().flatten().for_each(|item| change_one(item.get_mut("gateway")));
    }
}
