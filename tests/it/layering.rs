//! What `docs/ARCHITECTURE.md` promises about the sources and a machine can see.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Lines of a source file, at most; from the second number on it is worth a look.
const LINES_MAX: usize = 500;
const LINES_MANY: usize = 400;

#[test]
fn layering_crates_do_not_know_what_is_above_them() {
    let check = |manifest: &str, forbidden: &[&str]| {
        let found = dependencies(manifest);
        let wrong: Vec<_> = found.iter().filter(|name| forbidden.contains(&name.as_str())).collect();
        assert!(wrong.is_empty(), "{manifest} depends on {wrong:?}");
    };
    let sockets = ["socketioxide", "socketioxide-core", "engineioxide"];
    check("core/Cargo.toml", &["axum", "hyper", "tower", "gatewright", "gatewright-admin-api"]);
    check("core/Cargo.toml", &sockets);
    check("admin-api/Cargo.toml", &["gatewright"]);
    check("admin-api/Cargo.toml", &sockets);
}

#[test]
fn layering_core_modules_use_only_those_before_them() {
    let order = module_order();
    let present: BTreeSet<_> = std::fs::read_dir(root().join("core/src"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "lib")
        .collect();
    assert_eq!(
        present,
        order.iter().cloned().collect(),
        "the doc comment of core/src/lib.rs lists the modules"
    );
    let (mut wrong, mut count) = (Vec::new(), 0);
    for file in sources("core/src") {
        let relative = file.strip_prefix(root().join("core/src")).unwrap();
        let module = relative.components().next().unwrap().as_os_str().to_string_lossy();
        let Some(position) = order.iter().position(|name| *name == module.trim_end_matches(".rs")) else {
            continue;
        };
        for (number, line) in product_code(&file) {
            for used in
                crate_paths(&line).iter().filter_map(|name| order.iter().position(|known| known == name))
            {
                count += 1;
                if used > position {
                    wrong.push(format!("{}:{number} uses {}", relative.display(), order[used]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 50, "only {count} uses are seen: this test has gone blind");
}

#[test]
fn layering_http_does_not_know_the_gateway() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for file in sources("src/http") {
        count += 1;
        let lines = product_code(&file).into_iter().filter(|(_, line)| line.contains("crate::gateway"));
        wrong.extend(lines.map(|(number, line)| format!("{}:{number} {line}", file.display())));
    }
    assert!(wrong.is_empty() && count > 5, "of {count} files: {}", wrong.join("\n"));
}

#[test]
fn layering_files_are_short() {
    let mut too_long = Vec::new();
    for file in all_sources() {
        let lines = std::fs::read_to_string(&file).unwrap().lines().count();
        let line = format!("{} has {lines} lines", file.strip_prefix(root()).unwrap().display());
        if lines > LINES_MAX {
            too_long.push(line);
        } else if lines > LINES_MANY {
            eprintln!("long: {line}");
        }
    }
    assert!(too_long.is_empty(), "{}", too_long.join("\n"));
}

#[test]
fn layering_the_demo_ships_the_official_client() {
    let installed = root().join("tests/client/node_modules/socket.io-client/dist/socket.io.min.js");
    let Ok(official) = std::fs::read(&installed) else {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI installs {}", installed.display());
        return eprintln!("skipped: no {}", installed.display());
    };
    let shipped = std::fs::read(root().join("src/http/socket.io.min.js")).unwrap();
    assert!(shipped == official, "src/http/socket.io.min.js is not the client that the tests run with");
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What a manifest depends on in any way, by package name.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let manifest: toml::Table = std::fs::read_to_string(root().join(manifest)).unwrap().parse().unwrap();
    let mut found = BTreeSet::new();
    collect_dependencies(&manifest, &mut found);
    found
}

/// `dependencies` also stands under `target.….`.
fn collect_dependencies(table: &toml::Table, found: &mut BTreeSet<String>) {
    for (key, value) in table {
        let Some(inner) = value.as_table() else { continue };
        if key.ends_with("dependencies") {
            let package = |(name, value): (&String, &toml::Value)| {
                value.get("package").and_then(toml::Value::as_str).unwrap_or(name).to_owned()
            };
            found.extend(inner.iter().map(package));
        } else {
            collect_dependencies(inner, found);
        }
    }
}

/// The modules of the core in the order that its doc comment gives them.
fn module_order() -> Vec<String> {
    let source = std::fs::read_to_string(root().join("core/src/lib.rs")).unwrap();
    let comment: String = source.lines().filter_map(|line| line.strip_prefix("//!")).collect();
    let (_, list) = comment.split_once("listed before it:").expect("the doc comment lists the modules");
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn all_sources() -> Vec<PathBuf> {
    ["src", "core/src", "admin-api/src"].into_iter().flat_map(sources).collect()
}

/// The Rust files under a folder.
fn sources(folder: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    assert!(!found.is_empty(), "{folder} has sources");
    found
}

/// The numbered lines of a file that are neither comments nor tests.
fn product_code(file: &Path) -> Vec<(usize, String)> {
    if is_test_module(file) {
        return Vec::new();
    }
    let source = std::fs::read_to_string(file).unwrap();
    let mut code = Vec::new();
    let mut lines = source.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            skip_item(&mut lines, line.len() - line.trim_start().len());
        } else if !line.trim_start().starts_with("//") {
            code.push((index + 1, line.to_owned()));
        }
    }
    code
}

/// Skips the item under an attribute: one line, or up to the brace at the attribute's indentation.
fn skip_item<'a>(lines: &mut impl Iterator<Item = (usize, &'a str)>, indentation: usize) {
    let end = format!("{}}}", " ".repeat(indentation));
    for (_, line) in lines.by_ref() {
        let is_attribute = line.trim_start().starts_with("#[");
        if line == end
            || (!is_attribute && line.starts_with(|c: char| !c.is_whitespace()) && line.ends_with(';'))
        {
            return;
        }
    }
}

/// Whether the file stands in a folder of tests.
fn is_test_module(file: &Path) -> bool {
    file.parent().is_some_and(|folder| folder.ends_with("tests"))
}

/// The first names after `crate::` in a line, those in braces too.
fn crate_paths(line: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut names = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        // `core_crate::` is not `crate::`.
        if line[..at].ends_with(is_name) {
            continue;
        }
        let rest = &line[at + "crate::".len()..];
        let inner = rest.strip_prefix('{').map_or(rest, |rest| rest.split('}').next().unwrap_or(rest));
        let parts: Vec<_> = if rest.starts_with('{') { inner.split(',').collect() } else { vec![inner] };
        names.extend(
            parts.iter().map(|part| part.trim().chars().take_while(|c| is_name(*c)).collect::<String>()),
        );
    }
    names
}
