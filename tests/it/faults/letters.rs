//! Dead letters: handlers that never end, take all memory, are gone, or lose their server; and how they are made good.

use serde_json::{Value as Json, json};

use super::{Gateway, codes, job, make_durable, make_event, stored, tell_jobs, until_is};
use crate::support::api::Api;
use crate::support::database::{Database, on_each_database, run_sql};
use crate::support::polling::Polling;
use crate::support::server::Server;

/// The time of what never ends: enough for what it does before.
const TIME_MS: u32 = 1500;
/// A short lease, so that PostgreSQL's next node has its part of the jobs soon; operations without end, so that time is
/// what ends a loop.
const SETTINGS: [(&str, &str); 3] =
    [("JOBS__LEASE_MS", "2000"), ("JOBS__RETRY_MS", "50"), ("SCRIPTS__OPERATIONS", "1000000000000")];
const WRITE: &str = "#rows.create(#{ data: #{ n: @BODY.n } }); return @BODY.n;";
const LOOP: &str = "#rows.create(#{ data: #{ n: -1 } }); loop {}";
const HOG: &str = "let all = [blob(1000000, 1)]; loop { all += all; }";
/// Longer than any server of these tests lives.
const SLEEP: &str = "@HELPERS.sleep(29000); throw \"it has slept\";";

fn start(database: Database) -> Api {
    let api = Api::of(Server::start_on(database, &SETTINGS, &[]));
    api.table("rows", json!([{ "name": "n", "type": "integer" }]));
    api
}

/// A server killed and started again.
fn started_again(api: Api) -> Api {
    Api { server: api.server.kill_and_start(&SETTINGS), token: api.token }
}

/// The numbers of the rows, in the order in which they were written.
fn written(api: &Api) -> Vec<Json> {
    let rows = api.rows("rows", &[("sort", "createdAt,id"), ("limit", "1000")]);
    rows.as_array().unwrap().iter().map(|row| row["n"].clone()).collect()
}

fn poison_is_given_up(database: Database) {
    let api = start(database);
    let events = [
        ("loop", LOOP, json!({ "retries": 3, "timeoutMs": TIME_MS })),
        ("hog", HOG, json!({ "retries": 3, "timeoutMs": 30_000 })),
        ("write", WRITE, Json::Null),
    ];
    let gateway = make_durable(&api, json!({ "path": "/poison" }), &events);
    let mut socket = Polling::connect(&api.server, "/poison", None);
    let [looped, hog] = ["loop", "hog"].map(|event| stored(&mut socket, event, &json!({})));
    let last = stored(&mut socket, "write", &json!({ "n": 1 }));
    until_is(&api, &last, "done");
    assert_eq!(codes(&until_is(&api, &looped, "dead")), ["SCRIPT_TIMEOUT"; 3]);
    assert_eq!(codes(&until_is(&api, &hog, "dead")), ["SCRIPT_MEMORY_LIMIT"]);
    assert_eq!(written(&api), [json!(1)], "a poison has written nothing");

    // Both are told to be tried again as often, and end the same way; then one is mended.
    assert_eq!(tell_jobs(&api, "retry", json!({ "filter": { "state": "dead", "gateway": "/poison" } })), 2);
    assert_eq!(codes(&until_is_again(&api, &looped, 6)), ["SCRIPT_TIMEOUT"; 6]);
    assert_eq!(codes(&until_is_again(&api, &hog, 2)), ["SCRIPT_MEMORY_LIMIT"; 2]);
    gateway.mend(&api, 0, "#rows.create(#{ data: #{ n: 2 } });");
    assert_eq!(tell_jobs(&api, "retry", json!({ "ids": [looped] })), 1);
    until_is(&api, &looped, "done");
    assert_eq!(tell_jobs(&api, "discard", json!({ "ids": [hog] })), 1);
    until_is(&api, &hog, "discarded");
    assert_eq!(written(&api), [json!(1), json!(2)]);
}

/// Waits until a job is dead after so many attempts.
fn until_is_again(api: &Api, id: &str, attempts: u64) -> Json {
    crate::support::server::until("the last attempt", || {
        let job = job(api, id);
        (job["state"] == "dead" && job["attempt"] == attempts).then_some(job)
    })
}

fn a_stopped_key_waits_for_an_admin(database: Database) {
    let mut api = start(database);
    let looping = json!({ "retries": 2, "onDead": "stop", "timeoutMs": TIME_MS });
    let events = [("loop", LOOP, looping), ("write", WRITE, Json::Null)];
    let gateway = make_durable(&api, json!({ "path": "/stop" }), &events);
    for n in [10, 20] {
        let mut socket = Polling::connect(&api.server, "/stop", None);
        let looped = stored(&mut socket, "loop", &json!({}));
        let behind = [n, n + 1].map(|n| stored(&mut socket, "write", &json!({ "n": n })));
        until_is(&api, &looped, "dead");
        waits(&api, &behind, n + 2);
        api = started_again(api);
        waits(&api, &behind, n + 3);
        if n == 10 {
            assert_eq!(tell_jobs(&api, "retry", json!({ "ids": [looped] })), 1);
            until_is_again(&api, &looped, 4);
            waits(&api, &behind, n + 4);
            gateway.mend(&api, 0, "#rows.create(#{ data: #{ n: 9 } });");
            assert_eq!(tell_jobs(&api, "retry", json!({ "ids": [looped] })), 1);
            until_is(&api, &looped, "done");
            gateway.mend(&api, 0, LOOP);
        } else {
            assert_eq!(tell_jobs(&api, "discard", json!({ "ids": [looped] })), 1);
        }
        behind.iter().for_each(|id| _ = until_is(&api, id, "done"));
    }
    let all = [12, 13, 14, 9, 10, 11, 22, 23, 20, 21];
    assert_eq!(written(&api), all.map(|n| json!(n)));
}

/// That jobs wait while the job of another socket is done.
fn waits(api: &Api, ids: &[String], n: i32) {
    let other = stored(&mut Polling::connect(&api.server, "/stop", None), "write", &json!({ "n": n }));
    until_is(api, &other, "done");
    for id in ids {
        assert_eq!(job(api, id)["state"], "waiting");
    }
}

/// A gateway whose two jobs wait since it is paused.
fn paused(api: &Api, path: &str) -> (Gateway, [String; 2]) {
    let gateway = make_durable(api, json!({ "path": path }), &[("write", WRITE, Json::Null)]);
    gateway.pause(api);
    let mut socket = Polling::connect(&api.server, path, None);
    let jobs = [1, 2].map(|n| stored(&mut socket, "write", &json!({ "n": n })));
    (gateway, jobs)
}

fn a_key_goes_on_without_a_job_that_is_discarded(database: Database) {
    let api = start(database);
    let events = [("again", "@JOB.retry(3600000);", Json::Null), ("write", WRITE, Json::Null)];
    make_durable(&api, json!({ "path": "/discarded" }), &events);
    let mut socket = Polling::connect(&api.server, "/discarded", None);
    let again = stored(&mut socket, "again", &json!({}));
    until_is(&api, &again, "retrying");
    let behind = [1, 2].map(|n| stored(&mut socket, "write", &json!({ "n": n })));
    assert_eq!(tell_jobs(&api, "discard", json!({ "ids": [again] })), 1);
    behind.iter().for_each(|id| _ = until_is(&api, id, "done"));
    assert_eq!(written(&api), [json!(1), json!(2)]);
}

fn a_handler_is_deleted_while_its_jobs_wait(database: Database) {
    let api = start(database);
    let (gateway, jobs) = paused(&api, "/gone");
    let answer = api.admin("DELETE", &format!("/admin/events/{}", gateway.events[0]), Json::Null);
    assert_eq!(answer.status, 204, "{}", answer.body);
    gateway.resume(&api);
    for id in &jobs {
        assert_eq!(codes(&until_is(&api, id, "dead")), ["NO_HANDLER"]);
    }
    make_event(&api, &gateway.id, "write", WRITE, &Json::Null);
    assert_eq!(tell_jobs(&api, "retry", json!({ "filter": { "state": "dead", "gateway": "/gone" } })), 2);
    jobs.iter().for_each(|id| _ = until_is(&api, id, "done"));
    assert_eq!(written(&api), [json!(1), json!(2)]);
}

fn a_table_is_changed_while_jobs_wait(database: Database) {
    let api = start(database);
    let (gateway, jobs) = paused(&api, "/changed");
    let table = api.get("/admin/tables")["data"][0].clone();
    let changed = api.altered(&table, json!({ "drop": ["n"] }));
    gateway.resume(&api);
    for id in &jobs {
        let failed = until_is(&api, id, "failed");
        assert_eq!(codes(&failed), ["VALIDATION_ERROR"]);
        assert_eq!(failed["error"]["code"], "VALIDATION_ERROR");
    }
    api.altered(&changed, json!({ "add": [{ "name": "n", "type": "integer" }] }));
    assert_eq!(
        tell_jobs(&api, "retry", json!({ "filter": { "state": "failed", "gateway": "/changed" } })),
        2
    );
    jobs.iter().for_each(|id| _ = until_is(&api, id, "done"));
    assert_eq!(written(&api), [json!(1), json!(2)]);
}

fn rows_that_the_database_refuses_hold_up_no_others(database: Database) {
    const REFUSE: [&str; 2] = [
        "CREATE TRIGGER refuse BEFORE INSERT ON rows WHEN NEW.n = 3 BEGIN SELECT RAISE(ABORT, 'no'); END",
        "CREATE FUNCTION refuse() RETURNS trigger AS 'BEGIN RAISE EXCEPTION ''no''; END' LANGUAGE plpgsql; \
         CREATE TRIGGER refuse BEFORE INSERT ON rows FOR EACH ROW WHEN (NEW.n = 3) EXECUTE FUNCTION refuse()",
    ];
    let api = start(database);
    let url = api.server.data.sql_url();
    let (refuse, accept) = match database {
        Database::Sqlite => (REFUSE[0], "DROP TRIGGER refuse"),
        Database::Postgres => (REFUSE[1], "DROP TRIGGER refuse ON rows"),
    };
    let gateway =
        make_durable(&api, json!({ "path": "/refused" }), &[("write", WRITE, json!({ "retries": 2 }))]);
    gateway.pause(&api);
    run_sql(&url, refuse).unwrap();
    let jobs: Vec<_> = (0..8)
        .map(|n| stored(&mut Polling::connect(&api.server, "/refused", None), "write", &json!({ "n": n })))
        .collect();
    gateway.resume(&api);
    for (n, id) in jobs.iter().enumerate() {
        until_is(&api, id, if n == 3 { "dead" } else { "done" });
    }
    assert_eq!(codes(&job(&api, &jobs[3])), ["DATABASE_ERROR"; 2]);
    run_sql(&url, accept).unwrap();
    assert_eq!(tell_jobs(&api, "retry", json!({ "ids": [jobs[3]] })), 1);
    until_is(&api, &jobs[3], "done");
    let mut all: Vec<_> = written(&api).iter().map(|n| n.as_i64().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, Vec::from_iter(0..8));
}

fn a_job_that_loses_its_servers_is_given_up(database: Database) {
    let mut api = start(database);
    let events = [("sleep", SLEEP, Json::Null), ("write", WRITE, Json::Null)];
    let gateway = make_durable(&api, json!({ "path": "/lost", "scriptTimeoutMs": 30000 }), &events);
    let mut socket = Polling::connect(&api.server, "/lost", None);
    let sleeper = stored(&mut socket, "sleep", &json!({}));
    let behind = stored(&mut socket, "write", &json!({ "n": 1 }));
    for attempt in 1..=3 {
        crate::support::server::until("an attempt", || {
            let job = job(&api, &sleeper);
            (job["state"] == "running" && job["attempt"] == attempt).then_some(())
        });
        api = started_again(api);
    }
    let dead = until_is(&api, &sleeper, "dead");
    assert_eq!(dead["error"]["code"], "WORKER_LOST", "{dead}");
    assert!(codes(&dead).iter().all(|code| *code == "WORKER_LOST"), "{dead}");
    until_is(&api, &behind, "done");
    gateway.mend(&api, 0, "#rows.create(#{ data: #{ n: 2 } }); return @JOB.attempt;");
    assert_eq!(tell_jobs(&api, "retry", json!({ "ids": [sleeper] })), 1);
    assert_eq!(until_is(&api, &sleeper, "done")["result"], 4);
    assert_eq!(written(&api), [json!(1), json!(2)]);
}

on_each_database!(
    poison_is_given_up,
    a_stopped_key_waits_for_an_admin,
    a_key_goes_on_without_a_job_that_is_discarded,
    a_handler_is_deleted_while_its_jobs_wait,
    a_table_is_changed_while_jobs_wait,
    rows_that_the_database_refuses_hold_up_no_others,
    a_job_that_loses_its_servers_is_given_up,
);
