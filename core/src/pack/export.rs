//! Writing what the database has as a pack.

use super::manifest::{MANIFEST, Manifest, PackFiles, change_paths};
use super::present::{installed_pack, present_things};
use super::saved_test::test_files;
use super::thing::{Thing, in_order};
use crate::error::{ErrorCode, Failure, Result};
use crate::script::unmounted_path;
use crate::store::Store;

/// The files of a pack with all that came from the pack `name`, or, when `paths` are given, with
/// those gateways.
///
/// # Errors
/// `RESOURCE_NOT_FOUND` when there is nothing of the kind; `VALIDATION_ERROR` for what `pack.toml`
/// cannot hold.
pub async fn export(store: &Store, name: &str, paths: &[String]) -> Result<PackFiles> {
    let is_meant = |owner: Option<&str>, thing: &Thing| match thing {
        Thing::Gateway(gateway) if !paths.is_empty() => paths.contains(&gateway.path),
        Thing::Event { gateway, .. } if !paths.is_empty() => paths.contains(gateway),
        _ => paths.is_empty() && owner == Some(name),
    };
    let present = present_things(store.db()).await?.into_iter();
    let mut things: Vec<Thing> = present
        .filter(|present| is_meant(present.owner.as_deref(), &present.thing))
        .map(|present| present.thing)
        .collect();
    if things.is_empty() {
        return Err(
            Failure::not_found("table, gateway, route, hook, schedule or library of pack", name).into()
        );
    }
    let (description, mount) = match installed_pack(store, name).await? {
        Some(pack) => (pack.description, pack.mount),
        None => Default::default(),
    };
    let keys = things.iter().map(Thing::key).collect();
    let of_pack = Some(name).filter(|_| paths.is_empty());
    let at = if paths.is_empty() { mount.as_str() } else { "" };
    let mut files = test_files(store, of_pack, &keys, at).await?;
    // Installed again it is mounted again.
    if paths.is_empty() {
        change_paths(&mut things, |path| *path = unmounted_path(&mount, path).to_owned());
    }
    things.sort_by_key(Thing::key);
    let mut manifest = Manifest { name: name.to_owned(), description, ..Manifest::default() };
    for mut thing in in_order(things, |thing| thing) {
        let file = file_of(&thing);
        thing.change_scripts(&mut |what, source| -> Result<String> {
            let file = if what == "script" { file.clone() } else { format!("{file}{what}") };
            Ok(add(&mut files, &file, source))
        })?;
        manifest.add(thing);
    }
    let text = toml::to_string_pretty(&manifest).map_err(|error| {
        Failure::new(ErrorCode::Validation, format!("{MANIFEST} cannot hold all of it (null, say): {error}"))
    })?;
    files.insert(MANIFEST.to_owned(), text);
    Ok(files)
}

/// Adds a script; the path of its file, which no other has.
fn add(files: &mut PackFiles, name: &str, source: String) -> String {
    let mut file = format!("{name}.rhai");
    let mut number = 1;
    while files.contains_key(&file) {
        number += 1;
        file = format!("{name}~{number}.rhai");
    }
    files.insert(file.clone(), source);
    file
}

/// The file of a thing's script, or the folder of its scripts.
fn file_of(thing: &Thing) -> String {
    match thing {
        Thing::Table(_) | Thing::Schedule(_) => String::new(),
        Thing::Library(library) => format!("libraries/{}", file_name(&library.name)),
        Thing::Gateway(gateway) => folder_of(&gateway.path),
        Thing::Event { gateway, event } => {
            format!("{}events/{}", folder_of(gateway), file_name(&event.event_name))
        }
        Thing::Route(route) => {
            format!("routes/{}{}", route.method.to_ascii_lowercase(), file_name(&route.path))
        }
        Thing::Hook(hook) => {
            format!("hooks/{}_{}_{}", file_name(&hook.when), hook.on.join("_"), file_name(&hook.table))
        }
    }
}

/// A gateway's folder in the pack: `/a/b` in `a_b/`.
fn folder_of(path: &str) -> String {
    match path.trim_start_matches('/') {
        "" => "root/".to_owned(),
        name => format!("{}/", file_name(name)),
    }
}

/// What a file name cannot hold is written in hex.
fn file_name(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' => c.to_string(),
            '_' | ':' | '/' => "_".to_owned(),
            '{' | '}' => String::new(),
            '*' => "any".to_owned(),
            other => format!("~{:x}", other as u32),
        })
        .collect()
}
