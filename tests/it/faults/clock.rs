//! The clock of the server is moved by an hour while it runs. Needs libfaketime; without it this is skipped.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::{make_durable, stored, until_is};
use crate::support::api::Api;
use crate::support::polling::Polling;
use crate::support::server::{Server, until};

const HOUR_MS: i64 = 3_600_000;
/// An hour and a little, as libfaketime has it, and as it is.
const AHEAD: &str = "+3605";
const NOT_AHEAD: &str = "+0";

/// Where Debian has it, whatever the machine.
fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|path| path.exists())
}

fn faked(library: &Path, clock: &Path) -> String {
    format!(
        "export LD_PRELOAD={} FAKETIME_TIMESTAMP_FILE={} FAKETIME_CACHE_DURATION=1 FAKETIME_DONT_FAKE_MONOTONIC=1",
        library.display(),
        clock.display()
    )
}

#[test]
fn a_clock_that_is_moved_by_an_hour() {
    let Some(library) = library() else { return eprintln!("skipped: no libfaketime") };
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    std::fs::write(&clock, NOT_AHEAD).unwrap();
    let mut api = Api::of(Server::start_limited(&faked(&library, &clock), &[]));
    let events = [
        ("now", "return @HELPERS.now();", Json::Null),
        ("later", "return @JOB.after(3600000, \"/clock\", \"come\", ());", Json::Null),
        ("come", "return @JOB.attempt;", Json::Null),
    ];
    make_durable(&api, json!({ "path": "/clock" }), &events);
    let mut socket = Polling::connect(&api.server, "/clock", None);
    let now = |socket: &mut Polling| socket.run("now", &json!({}))["result"].as_i64().unwrap();
    let begin = now(&mut socket);
    for (offset, is_ahead) in [(AHEAD, true), (NOT_AHEAD, false), (AHEAD, true)] {
        let later = socket.run("later", &json!({}))["result"].as_str().unwrap().to_owned();
        std::fs::write(&clock, offset).unwrap();
        until("the other time", || ((now(&mut socket) - begin >= HOUR_MS) == is_ahead).then_some(()));
        // A token of another hour does not count.
        api.token = api.server.admin_token();
        // What is durable goes on whatever the time is, and what is due comes.
        let jobs = [0; 20].map(|_| stored(&mut socket, "now", &json!({})));
        jobs.iter().for_each(|id| _ = until_is(&api, id, "done"));
        if is_ahead {
            until_is(&api, &later, "done");
        } else {
            until_is(&api, &later, "scheduled");
        }
    }
}
