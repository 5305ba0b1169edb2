//! Reading a pack: `pack.toml`, with the scripts that it names put in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::form::{Form, FormWith, Parts};
use super::present::installed_pack;
use super::thing::{TableSpec, Thing, in_order};
use crate::catalog::{Event, Gateway, Hook, Library, Route, Schedule, normal_method, normal_path};
use crate::error::Failure;
use crate::nearest::did_you_mean;
use crate::script::{LibrarySource, mounted_path};
use crate::store::Store;

/// Files of a pack, at most, and bytes of all together.
pub(super) const FILES_MAX: usize = 2000;
const BYTES_MAX: u64 = 32 << 20;
pub(super) const MANIFEST: &str = "pack.toml";

/// The text files of a pack by their path within it.
pub type PackFiles = BTreeMap<String, String>;

/// A pack that cannot be read; says which file and where.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PackError(pub String);

/// A pack, read.
#[derive(Debug, Clone)]
pub struct Pack {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The path that its gateways and routes are under; empty: none.
    pub mount: String,
    /// What it holds, scripts included; each after what it needs.
    pub things: Vec<Thing>,
    /// The files of its scripts; of a library with its name.
    pub script_files: BTreeMap<String, Option<String>>,
    /// All its files, for error messages and tests.
    pub files: PackFiles,
}

/// `pack.toml`, as written.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Manifest {
    pub name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableSpec>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<FormWith<Gateway, Form<Event>>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Form<Route>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<Form<Hook>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<Form<Schedule>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub libraries: Vec<Form<Library>>,
}

impl Parts for Form<Event> {
    const NAME: &'static str = "events";
}

impl Pack {
    /// Reads a pack from a folder.
    ///
    /// # Errors
    /// When a file is missing, is no UTF-8, or `pack.toml` is wrong.
    pub fn from_folder(folder: &Path) -> Result<Self, PackError> {
        let mut files = PackFiles::new();
        let mut bytes = 0;
        read_folder(folder, "", &mut files, &mut bytes)
            .map_err(|error| PackError(format!("{}: {error}", folder.display())))?;
        Self::from_files(files).map_err(|error| PackError(format!("{}: {error}", folder.display())))
    }

    /// Reads a pack from its files.
    ///
    /// # Errors
    /// As [`Self::from_folder`].
    pub fn from_files(files: PackFiles) -> Result<Self, PackError> {
        let wrong = |message: String| PackError(format!("{MANIFEST}: {message}"));
        let manifest = files.get(MANIFEST).ok_or_else(|| PackError(format!("there is no {MANIFEST}")))?;
        let manifest: Manifest = toml::from_str(manifest).map_err(|error| wrong(readable(&error)))?;
        if manifest.name.is_empty() {
            return Err(wrong("name is empty".to_owned()));
        }
        let (name, description) = (manifest.name.clone(), manifest.description.clone());
        let mut things = manifest.into_things();
        let (mut keys, mut script_files) = (BTreeSet::new(), BTreeMap::new());
        for thing in &mut things {
            if let Err(failure) = check(thing) {
                return Err(wrong(format!("{}: {}", thing.subject(), failure.message)));
            }
            let subject = thing.subject();
            let key = thing.key();
            // No two tables differ by case alone.
            let is_table = matches!(thing, Thing::Table(_));
            if !keys.insert(if is_table { key.to_lowercase() } else { key }) {
                let hint = match thing {
                    Thing::Hook(_) => "; give them different priorities",
                    _ => "",
                };
                return Err(wrong(format!("{subject} is there twice{hint}")));
            }
            let library = thing.library(None).map(|library| library.name);
            thing.change_scripts(&mut |what, file| {
                let source = files.get(&file).cloned();
                let source =
                    source.ok_or_else(|| wrong(format!("there is no file {file} ({what} of {subject})")))?;
                script_files.insert(file, library.clone());
                Ok(source)
            })?;
        }
        let (mount, things) = (String::new(), in_order(things, |thing| thing));
        Ok(Self { name, description, mount, things, script_files, files })
    }

    /// The same pack with its gateways, their aliases and its routes under another path: `/` at `/engage` is
    /// `/engage`, and `/v1/events` is `/engage/v1/events`; its schedules follow its gateways. Tables, hooks and
    /// libraries have no path.
    pub fn mounted(mut self, mount: &str) -> Self {
        let mount = mount.trim_end_matches('/');
        self.mount = mount.to_owned();
        change_paths(&mut self.things, |path| *path = mounted_path(mount, path));
        self
    }

    /// Its libraries.
    pub fn libraries(&self) -> Vec<LibrarySource> {
        libraries_of(&self.name, &self.things)
    }

    /// The same pack where it is to be: at `mount`, else where it is installed.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn placed(self, store: &Store, mount: Option<&str>) -> crate::Result<Self> {
        match mount {
            Some(mount) => Ok(self.mounted(mount)),
            None => {
                let mount = installed_pack(store, &self.name).await?.map(|pack| pack.mount);
                Ok(self.mounted(&mount.unwrap_or_default()))
            }
        }
    }

    /// Its files of script tests, with what they hold.
    pub fn test_files(&self) -> impl Iterator<Item = (&String, &String)> {
        self.files.iter().filter(|(name, _)| is_test(name))
    }

    /// The names of its tables, those that others reference first.
    pub fn table_names(&self) -> Vec<&str> {
        self.things.iter().filter_map(Thing::table_name).collect()
    }
}

/// Changes the paths of a pack's gateways, their aliases and its routes; its schedules follow its gateways.
pub(super) fn change_paths(things: &mut [Thing], change: impl Fn(&mut String)) {
    let gateway = |thing: &Thing| {
        if let Thing::Gateway(gateway) = thing { Some(gateway.path.clone()) } else { None }
    };
    let own: BTreeSet<_> = things.iter().filter_map(gateway).collect();
    for thing in things {
        change(match thing {
            Thing::Gateway(gateway) => {
                gateway.aliases.iter_mut().for_each(&change);
                &mut gateway.path
            }
            Thing::Event { gateway, .. } => gateway,
            Thing::Route(route) => &mut route.path,
            // One of a gateway that is not the pack's own is where it is.
            Thing::Schedule(schedule) if own.contains(&schedule.gateway_path) => &mut schedule.gateway_path,
            Thing::Table(_) | Thing::Hook(_) | Thing::Schedule(_) | Thing::Library(_) => continue,
        });
    }
}

impl Manifest {
    fn into_things(self) -> Vec<Thing> {
        let mut things: Vec<_> = self.tables.into_iter().map(Thing::Table).collect();
        for FormWith { definition, parts } in self.gateways {
            let path = definition.path.clone();
            things.push(Thing::Gateway(definition));
            let events = parts.into_iter();
            things.extend(events.map(|Form(event)| Thing::Event { gateway: path.clone(), event }));
        }
        things.extend(self.routes.into_iter().map(|Form(route)| Thing::Route(route)));
        things.extend(self.hooks.into_iter().map(|Form(hook)| Thing::Hook(hook)));
        things.extend(self.schedules.into_iter().map(|Form(schedule)| Thing::Schedule(schedule)));
        things.extend(self.libraries.into_iter().map(|Form(library)| Thing::Library(library)));
        things
    }

    /// Adds a thing; an event to its gateway, which has to be there.
    pub(super) fn add(&mut self, thing: Thing) {
        match thing {
            Thing::Table(table) => self.tables.push(table),
            Thing::Gateway(definition) => self.gateways.push(FormWith { definition, parts: Vec::new() }),
            Thing::Event { gateway, event } => {
                let mut gateways = self.gateways.iter_mut();
                if let Some(gateway) = gateways.find(|known| known.definition.path == gateway) {
                    gateway.parts.push(Form(event));
                }
            }
            Thing::Route(route) => self.routes.push(Form(route)),
            Thing::Hook(hook) => self.hooks.push(Form(hook)),
            Thing::Schedule(schedule) => self.schedules.push(Form(schedule)),
            Thing::Library(library) => self.libraries.push(Form(library)),
        }
    }
}

/// The libraries among the things of a pack.
pub(super) fn libraries_of(pack: &str, things: &[Thing]) -> Vec<LibrarySource> {
    things.iter().filter_map(|thing| thing.library(Some(pack))).collect()
}

/// What can be told without a database; and what may be written in several ways is then written
/// in one.
fn check(thing: &mut Thing) -> Result<(), Failure> {
    match thing {
        Thing::Table(table) => {
            for column in &table.columns {
                column.read().map_err(crate::Error::into_failure)?;
            }
        }
        Thing::Route(route) => {
            route.method = normal_method(&route.method)?;
            route.path = normal_path(&route.path)?;
        }
        Thing::Gateway(_) | Thing::Event { .. } | Thing::Hook(_) | Thing::Schedule(_) | Thing::Library(_) => {
        }
    }
    Ok(())
}

/// An error of TOML for people: with the known name that is near an unknown one.
pub(super) fn readable(error: &toml::de::Error) -> String {
    let text = error.to_string();
    let mut quoted = error.message().split('`').skip(1).step_by(2);
    match quoted.next() {
        Some(name) if error.message().starts_with("unknown ") => {
            format!("{}{}", text.trim_end(), did_you_mean(name, quoted))
        }
        _ => text,
    }
}

/// Whether a file of a pack has tests.
fn is_test(name: &str) -> bool {
    name.starts_with("tests/") && name.ends_with(".toml")
}

/// Whether a file is one of those that packs are made of.
pub(super) fn is_of_pack(name: &str) -> bool {
    name.ends_with(".toml") || name.ends_with(".rhai")
}

fn read_folder(folder: &Path, prefix: &str, files: &mut PackFiles, bytes: &mut u64) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type()?;
        let is_wanted = is_of_pack(&name);
        if kind.is_dir() && !name.starts_with('.') {
            read_folder(&entry.path(), &format!("{name}/"), files, bytes)?;
        } else if kind.is_file() && is_wanted {
            *bytes += entry.metadata()?.len();
            if files.len() >= FILES_MAX || *bytes > BYTES_MAX {
                return Err(std::io::Error::other("the pack has too many or too large files"));
            }
            files.insert(name, std::fs::read_to_string(entry.path())?);
        }
    }
    Ok(())
}
