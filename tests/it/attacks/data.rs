//! Data that is cut off in the middle, rows of others, and files that others could read.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::support::api::Api;
use crate::support::database::{Data, Database, on_each_database};
use crate::support::place::{Place, Running};
use crate::support::server::{Server, gatewright};

on_each_database!(killed_within_the_first_start);

/// First starts that are tried, each killed a little later than the one before.
const KILLS: u32 = 24;

/// Whenever the first start is killed, the next one works, with an admin who can sign in.
fn killed_within_the_first_start(database: Database) {
    let mut cut_off = 0;
    for number in 0..KILLS {
        let data = Data::on(database);
        let mut command = gatewright();
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        data.give_to(&mut command);
        let mut first = Running::spawn(command);
        let secret = data.path().join("secret");
        while !has_any(data.path()) && first.child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(u64::from(number * number) / 2));
        first.child.kill().unwrap();
        first.child.wait().unwrap();
        let said: Vec<String> = first.lines.iter().collect();
        cut_off += u32::from(!said.iter().any(|line| line.contains("listens on")));
        if secret.exists() {
            assert_eq!(std::fs::metadata(&secret).unwrap().len(), 32, "a part of a secret after {said:?}");
        }
        // With an admin whom the first start has made, or with the one of this start.
        let mut command = gatewright();
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        data.give_to(&mut command);
        let mut second = Running::spawn(command);
        let (greeting, url) = second.started();
        let password =
            said.iter().chain(&greeting).rev().find_map(|line| {
                Some(line.split(" with the password ").nth(1)?.split(' ').next()?.to_owned())
            });
        let password =
            password.unwrap_or_else(|| panic!("nobody was told a password: {said:?} {greeting:?}"));
        let body = serde_json::json!({ "email": "admin@localhost", "password": password }).to_string();
        let headers = [("content-type", "application/json")];
        let answer = crate::support::server::send(&url, "POST", "/auth/login", &headers, body.as_bytes());
        assert_eq!(answer.status, 200, "after {number}: {said:?} {greeting:?} {}", answer.body);
        second.stop();
    }
    assert!(cut_off > KILLS / 4, "only {cut_off} of {KILLS} were killed before they listened");
}

fn has_any(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode()
        & 0o777
}

/// Nobody else on the machine reads rows, password hashes or the secret.
#[test]
fn reading_the_data_folder_as_another_user() {
    let place = Place::new();
    let folder = place.path("data");
    let command = place.command(&["serve", "--listen", "127.0.0.1:0", "--data", "data"], &[]);
    let mut server = Running::spawn(command);
    server.started();
    assert_eq!(mode(&folder), 0o700);
    for name in ["secret", "gatewright.db", "gatewright.db-wal", "gatewright.db-shm"] {
        assert_eq!(mode(&folder.join(name)), 0o600, "{name}");
    }
    place.run(&["backup", "--data", "data", "copy.db"]).check(0, &["copied"]);
    assert_eq!(mode(&place.path("copy.db")), 0o600);
    server.stop();
    // What an earlier version left open is closed at the next start.
    for name in ["secret", "gatewright.db"] {
        std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    place.run(&["user", "list", "--data", "data"]).check(0, &["admin@localhost"]);
    for name in ["secret", "gatewright.db"] {
        assert_eq!(mode(&folder.join(name)), 0o600, "{name}");
    }
}

/// A copy is never written over what is there.
#[test]
fn a_backup_over_another_file() {
    let api = Api::of(Server::start_on(Database::Sqlite, &[], &[]));
    let place = Place::new();
    place.write("precious", "text");
    let data = api.server.data.clone();
    let done = place.run_on(&data, &["backup", "precious"]);
    assert_ne!(done.code, Some(0), "{}", done.all());
    assert_eq!(std::fs::read_to_string(place.path("precious")).unwrap(), "text");
}
