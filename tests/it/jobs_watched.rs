//! Jobs and schedules as the admin UI shows them: counted, live, and asked about before anything is done.

use serde_json::{Value as Json, json};

use super::support::api::{Api, encoded, make_gateway, refused};
use super::support::database::{Database, on_each_database};
use super::support::polling::Polling;
use super::support::server::until;

on_each_database!(jobs_are_counted, jobs_are_watched, what_is_selected_is_told_first, times_are_told);

/// A gateway whose event `fails` is given up at once, and whose `waits` is put off for long.
fn shop(api: &Api) {
    let events = [
        ("fails", "@THROW.http(500, \"<b>no</b>\");"),
        ("refuses", "@THROW.conflict(\"no\");"),
        ("done", "return 1;"),
    ];
    make_gateway(&api.server, &api.token, json!({ "path": "/shop" }), &events);
}

fn leave(api: &Api, event: &str, after: u64) {
    api.run(&format!("return @JOB.after({after}, \"/shop\", \"{event}\", #{{}});"));
}

/// How many jobs there are in this state.
fn count(counts: &Json, state: &str) -> u64 {
    let counts = counts["counts"].as_array().unwrap().iter();
    counts
        .filter(|one| one["state"] == state && one["gateway"] == "/shop")
        .map(|one| one["jobs"].as_u64().unwrap())
        .sum()
}

fn jobs_are_counted(database: Database) {
    let api = Api::on(database);
    shop(&api);
    assert_eq!(api.get("/admin/jobs/counts"), json!({ "counts": [], "isAll": true }));
    for (event, after) in [
        ("refuses", 0),
        ("refuses", 0),
        ("done", 0),
        ("done", 3_600_000),
        ("done", 3_600_000),
        ("done", 3_600_000),
    ] {
        leave(&api, event, after);
    }
    let counts = until("all have ended", || {
        let counts = api.get("/admin/jobs/counts");
        (count(&counts, "failed") == 2 && count(&counts, "done") == 1).then_some(counts)
    });
    assert_eq!(count(&counts, "scheduled"), 3);
    assert_eq!(counts["isAll"], true);
    let oldest =
        counts["counts"].as_array().unwrap().iter().find(|one| one["state"] == "failed").unwrap()["oldestAt"]
            .clone();
    let jobs = api.get("/admin/jobs?state=failed&limit=10");
    let mut times: Vec<_> =
        jobs["data"].as_array().unwrap().iter().map(|job| job["acceptedAt"].as_str().unwrap()).collect();
    times.sort_unstable();
    assert_eq!(oldest.as_str().unwrap()[..19], times[0][..19]);
}

fn jobs_are_watched(database: Database) {
    let api = Api::on(database);
    shop(&api);
    leave(&api, "done", 3_600_000);
    let mut admin = Polling::connect(&api.server, "/@admin", Some(&api.token));
    assert_eq!(admin.ask("watch", &json!({ "topic": "jobs" }))["ok"], true);
    assert_eq!(count(&admin.wait_for("jobs"), "scheduled"), 1);
    leave(&api, "done", 3_600_000);
    until("the other", || (count(&admin.wait_for("jobs"), "scheduled") == 2).then_some(()));
    assert_eq!(admin.ask("unwatch", &json!({ "topic": "jobs" }))["ok"], true);
    let refused = admin.ask("watch", &json!({ "topic": "jobs", "filter": {} }));
    assert_eq!(refused["ok"], false, "{refused}");
}

fn what_is_selected_is_told_first(database: Database) {
    let api = Api::on(database);
    shop(&api);
    for (event, after) in [("refuses", 0), ("refuses", 0), ("done", 3_600_000)] {
        leave(&api, event, after);
    }
    until("two are refused", || (count(&api.get("/admin/jobs/counts"), "failed") == 2).then_some(()));
    let told = |what: &str, filter: Json| {
        let answer =
            api.admin("POST", &format!("/admin/jobs/{what}"), json!({ "filter": filter, "dryRun": true }));
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    };
    assert_eq!(told("retry", json!({ "gateway": "/shop" })), json!({ "retried": 2 }));
    assert_eq!(told("discard", json!({ "gateway": "/shop" })), json!({ "discarded": 3 }));
    assert_eq!(told("discard", json!({ "event": "done" })), json!({ "discarded": 1 }));
    let counts = api.get("/admin/jobs/counts");
    assert_eq!((count(&counts, "failed"), count(&counts, "scheduled")), (2, 1), "nothing was done");
    let done = api.admin("POST", "/admin/jobs/discard", json!({ "filter": { "gateway": "/shop" } }));
    assert_eq!(done.json(), json!({ "discarded": 3 }));
    assert_eq!(count(&api.get("/admin/jobs/counts"), "discarded"), 3);
}

fn times_are_told(database: Database) {
    let api = Api::on(database);
    let ask = |query: &[(&str, &str)]| {
        api.admin("GET", &format!("/admin/schedules/times?{}", encoded(query)), Json::Null)
    };
    let times = ask(&[("cron", "0 9 1 1 *"), ("timezone", "America/New_York"), ("count", "3")]).json();
    let times: Vec<_> = times["times"]
        .as_array()
        .unwrap()
        .iter()
        .map(|time| time.as_str().unwrap()[4..].to_owned())
        .collect();
    assert_eq!(times, ["-01-01T14:00:00.000Z"; 3]);
    assert_eq!(ask(&[("cron", "* * * * *")]).json()["times"].as_array().unwrap().len(), 5);
    for (query, mentions) in [
        (&[("cron", "61 * * * *")][..], "minute"),
        (&[("cron", "* * * * *"), ("timezone", "Europe/Berlni")], "Europe/Berlin"),
        (&[("cron", "* * * * *"), ("count", "101")], "1 to 100"),
    ] {
        refused(&ask(query), 422, "VALIDATION_ERROR", mentions);
    }
    assert_eq!(api.get("/admin/schedules")["data"], json!([]));
}
