//! Schedules: what the clock sends, on both databases; once for each time, however many servers there are.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};

use super::support::api::{Api, encoded, id, make_gateway, refused};
use super::support::database::{Data, Database, on_each_database, run_sql};
use super::support::place::Place;
use super::support::server::until;

on_each_database!(
    every_second_comes_once,
    what_was_missed,
    run_now,
    an_edit_keeps_what_is_due,
    what_makes_no_sense,
    in_a_pack,
);

const EVERY_SECOND: &str = "* * * * * *";
const YEARLY: &str = "0 0 1 1 *";

/// A gateway whose event `tick` leaves a row that says what came with it.
fn with_clock(api: &Api) {
    api.table("tick", json!([{ "name": "what", "type": "string" }]));
    let script = "#tick.create(#{ data: #{ what: @BODY.what } });";
    let first = "#tick.create(#{ data: #{ what: @BODY[0] } });";
    let events = [("tick", script), ("first", first)];
    make_gateway(&api.server, &api.token, json!({ "path": "/clock" }), &events);
}

fn schedule(name: &str, cron: &str, more: Json) -> Json {
    let mut body = json!({ "name": name, "cron": cron, "gatewayPath": "/clock", "eventName": "tick", "payload": { "what": name } });
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    body
}

/// What the handler has left, in its order.
fn ticks(api: &Api) -> Vec<String> {
    let rows = api.rows("tick", &[("limit", "1000")]);
    rows.as_array().unwrap().iter().map(|row| row["what"].as_str().unwrap().to_owned()).collect()
}

fn job(api: &Api, id: &str) -> Json {
    api.get(&format!("/admin/jobs/{id}"))
}

/// Runs a schedule now; its job, once that has ended like this.
fn run(api: &Api, schedule: &Json, state: &str) -> Json {
    let answer = api.admin("POST", &format!("/admin/schedules/{}/run", id(schedule)), Json::Null);
    assert_eq!(answer.status, 202, "{}", answer.body);
    let made = answer.json();
    until(state, || Some(job(api, id(&made))).filter(|job| job["state"] == state))
}

fn seconds() -> usize {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as usize
}

fn sql(data: &Data, sql: &str) {
    let file = format!("sqlite://{}", data.path().join("gatewright.db").display());
    let url = if data.database_url().is_empty() { &file } else { data.database_url() };
    run_sql(url, sql).unwrap();
}

fn every_second_comes_once(database: Database) {
    let api = Api::on(database);
    with_clock(&api);
    // Two servers share a PostgreSQL; SQLite has one.
    let other = (database == Database::Postgres).then(|| Api::in_data(api.server.data.beside()));
    let began = seconds();
    let made = api.make("/admin/schedules", schedule("a", EVERY_SECOND, json!({})));
    until("several times", || (ticks(&api).len() >= 6).then_some(()));
    let (seen, passed) = (ticks(&api).len(), seconds() - began);
    assert!(seen <= passed, "{seen} in {passed} seconds");
    let metrics = api.admin("GET", "/metrics", Json::Null).body;
    assert!(metrics.contains("schedule_lag_seconds"), "{metrics}");

    // Disabled, it is due no more.
    let off = api.admin("PATCH", &format!("/admin/schedules/{}", id(&made)), json!({ "isEnabled": false }));
    assert_eq!((off.status, off.json()["nextAt"].clone()), (200, Json::Null), "{}", off.body);
    until("an end", || {
        let jobs = api.get("/admin/jobs?limit=1000");
        jobs["data"].as_array().unwrap().iter().all(|job| job["state"] == "done").then_some(())
    });
    let ended = ticks(&api).len();
    api.make("/admin/schedules", schedule("b", EVERY_SECOND, json!({})));
    let of = |name: &str| ticks(&api).iter().filter(|what| *what == name).count();
    until("others", || (of("b") >= 2).then_some(()));
    assert_eq!(of("a"), ended);
    drop(other);
}

fn what_was_missed(database: Database) {
    let api = Api::on(database);
    with_clock(&api);
    for missed in ["once", "skip"] {
        api.make("/admin/schedules", schedule(missed, YEARLY, json!({ "missed": missed })));
    }
    until("their times", || {
        let filter = json!({ "nextAt": { "_is_null": false } }).to_string();
        let query = encoded(&[("filter", &filter)]);
        let due = api.get(&format!("/admin/schedules?{query}"));
        (due["data"].as_array().unwrap().len() == 2).then_some(())
    });
    let before = api.get("/admin/schedules?fields=name,nextAt&sort=name");
    let (status, data, log) = api.server.stop();
    assert!(status.success(), "{log}");
    // As if the server had been down for some years.
    sql(&data, "UPDATE gw_schedule SET next_at = 1609459200000");
    let api = Api::in_data(data);
    until("what is next", || {
        (api.get("/admin/schedules?fields=name,nextAt&sort=name") == before).then_some(())
    });
    until("the one", || (!ticks(&api).is_empty()).then_some(()));
    let jobs = api.get("/admin/jobs?meta=*");
    assert_eq!(
        (jobs["meta"]["totalCount"].clone(), ticks(&api)),
        (json!(1), vec!["once".to_owned()]),
        "{jobs}"
    );
}

fn run_now(database: Database) {
    let api = Api::on(database);
    with_clock(&api);
    let made =
        api.make("/admin/schedules", schedule("yearly", YEARLY, json!({ "timezone": "Europe/Berlin" })));
    let next = made["nextAt"].as_str().unwrap().to_owned();
    assert!(next.ends_with("-12-31T23:00:00Z"), "{next}");
    let done = run(&api, &made, "done");
    assert_eq!((&done["schedule"], &done["key"]), (&json!("yearly"), &json!("schedule yearly")), "{done}");
    assert_eq!((ticks(&api), done["userId"].clone()), (vec!["yearly".to_owned()], Json::Null));
    assert_eq!(api.get(&format!("/admin/schedules/{}", id(&made)))["nextAt"], next);
    // One that is disabled, and payloads of all kinds.
    let body = schedule(
        "off",
        YEARLY,
        json!({ "isEnabled": false, "eventName": "first", "payload": ["a", 1, null] }),
    );
    let off = api.make("/admin/schedules", body);
    assert_eq!((&off["payload"], &off["nextAt"]), (&json!(["a", 1, null]), &Json::Null), "{off}");
    run(&api, &off, "done");
    assert_eq!(ticks(&api), ["yearly", "a"]);
    let text = api.make("/admin/schedules", schedule("text", YEARLY, json!({ "payload": "x" })));
    assert_eq!(api.get(&format!("/admin/schedules/{}", id(&text)))["payload"], "x");
    // Nobody takes it.
    let nowhere = json!({ "gatewayPath": "/nowhere" });
    let dead = run(&api, &api.make("/admin/schedules", schedule("nowhere", YEARLY, nowhere)), "dead");
    assert_eq!(dead["error"]["code"], "NO_HANDLER", "{dead}");
    let unknown = format!("/admin/schedules/{}/run", uuid::Uuid::new_v4());
    refused(&api.admin("POST", &unknown, Json::Null), 404, "RESOURCE_NOT_FOUND", "schedule");
}

/// What is edited while it is due is neither missed nor forgotten, unless its times are others.
fn an_edit_keeps_what_is_due(database: Database) {
    let place = Place::new();
    let pack = |what: &str, cron: &str| {
        let of = |name: &str, cron: &str| {
            format!(
                "[[schedules]]\nname = \"{name}\"\ncron = \"{cron}\"\ngatewayPath = \"/clock\"\neventName = \"tick\"\n\
                 payload = {{ what = \"{what} {name}\" }}\n"
            )
        };
        place.write("p/pack.toml", &format!("name = \"p\"\n{}{}", of("kept", YEARLY), of("moved", cron)));
    };
    pack("old", YEARLY);
    let api = Api::on(database);
    with_clock(&api);
    let (_, data, _) = api.server.stop();
    place.run_on(&data, &["pack", "install", "p"]).check(0, &["+ schedule kept", "+ schedule moved"]);
    sql(&data, "UPDATE gw_schedule SET next_at = 1609459200000");
    pack("new", "0 0 1 2 *");
    place.run_on(&data, &["pack", "install", "p"]).check(0, &["~ schedule kept", "~ schedule moved"]);
    let api = Api::in_data(data);
    until("what was due", || (!ticks(&api).is_empty()).then_some(()));
    let made = api.make("/admin/schedules", schedule("last", YEARLY, json!({})));
    run(&api, &made, "done");
    assert_eq!(ticks(&api), ["new kept", "last"]);
}

fn what_makes_no_sense(database: Database) {
    let api = Api::on(database);
    let refuses = |more: Json, mentions: &str| {
        let answer = api.admin("POST", "/admin/schedules", schedule("s", YEARLY, more));
        refused(&answer, 422, "VALIDATION_ERROR", mentions);
    };
    refuses(json!({ "cron": "0 25 * * *" }), "cron: the hour (field 2 of 5) is \"25\"");
    refuses(json!({ "cron": "* * *" }), "must have 5 fields");
    refuses(json!({ "cron": "0 0 30 2 *" }), "never comes");
    refuses(json!({ "timezone": "Europe/Brelin" }), "did you mean Europe/Berlin?");
    refuses(json!({ "missed": "twice" }), "missed");
    refuses(json!({ "gatewayPath": "clock" }), "gatewayPath");
    refuses(json!({ "eventName": "" }), "eventName");
    refuses(json!({ "name": "" }), "name");
    refuses(json!({ "payload": { "a": "\0" } }), "payload");
    refused(
        &api.admin("POST", "/admin/schedules", json!({ "name": "s" })),
        422,
        "VALIDATION_ERROR",
        "cron: is missing",
    );
    let unknown = api.admin("POST", "/admin/schedules", schedule("s", YEARLY, json!({ "timeZone": "UTC" })));
    refused(&unknown, 400, "BAD_REQUEST", "did you mean timezone?");

    let made = api.make("/admin/schedules", schedule("s", YEARLY, json!({})));
    assert!(made.get("suspended").is_none(), "{made}");
    assert_eq!(
        (&made["missed"], &made["timezone"], &made["pack"]),
        (&json!("once"), &json!("UTC"), &Json::Null)
    );
    let again = api.admin("POST", "/admin/schedules", schedule("s", YEARLY, json!({})));
    refused(&again, 409, "DUPLICATE_RESOURCE", "There is a schedule s already");
    let path = format!("/admin/schedules/{}", id(&made));
    let changed = api.admin("PATCH", &path, json!({ "cron": "0 12 1 2 *", "description": "noon" })).json();
    assert!(changed["nextAt"].as_str().unwrap().contains("-02-01T12:00:00"), "{changed}");
    refused(&api.admin("PATCH", &path, json!({ "cron": "x" })), 422, "VALIDATION_ERROR", "cron");
    assert_eq!(api.get("/admin/schedules")["data"], json!([api.get(&path)]));
    let listed = |filter: Json| {
        let query = encoded(&[("filter", &filter.to_string())]);
        api.admin("GET", &format!("/admin/schedules?{query}"), Json::Null)
    };
    until("when it is next", || {
        let next = json!({ "_or": [{ "name": "other" }, { "nextAt": { "_between": [changed["nextAt"], changed["nextAt"]] } }] });
        (listed(next).json()["data"][0]["name"] == "s").then_some(())
    });
    assert_eq!(listed(json!({ "nextAt": { "_lt": changed["nextAt"] } })).json()["data"], json!([]));
    refused(&listed(json!({ "nextAt": "soon" })), 422, "VALIDATION_ERROR", "nextAt: takes a moment");
    assert_eq!(api.admin("DELETE", &path, Json::Null).status, 204);
    assert_eq!(api.admin("GET", &path, Json::Null).status, 404);
}

fn in_a_pack(database: Database) {
    let (api, place) = (Api::on(database), Place::new());
    place.small_pack("p", "1");
    let manifest = std::fs::read_to_string(place.path("p/pack.toml")).unwrap();
    let has = |cron: &str| {
        let schedule = format!(
            "[[schedules]]\nname = \"clean up\"\ncron = \"{cron}\"\ntimezone = \"Europe/Berlin\"\ngatewayPath = \"/small\"\n\
             eventName = \"e\"\nmissed = \"skip\"\n[schedules.payload]\ndays = 7\n\
             [[schedules]]\nname = \"elsewhere\"\ncron = \"{YEARLY}\"\ngatewayPath = \"/other\"\neventName = \"e\"\n"
        );
        place.write("p/pack.toml", &format!("{manifest}{schedule}"));
    };
    has("0 24 * * *");
    let refusal = ["schedule clean up: cron: the hour (field 2 of 5) is \"24\"", "--> p/pack.toml:"];
    place.run(&["check", "p"]).check(1, &refusal);
    let pack = |args: &[&str]| place.run_on(&api.server.data, &[&["pack"], args].concat());
    pack(&["install", "p"]).check(1, &refusal[..0]);
    has("0 3 * * *");
    place.run(&["check", "p"]).check(0, &["0 errors"]);
    pack(&["install", "p", "--mount", "/app"]).check(0, &["+ schedule clean up", "+ schedule elsewhere"]);
    pack(&["install", "p", "--mount", "/app"]).check(0, &["nothing to change"]);
    let schedules = api.get("/admin/schedules?sort=name&fields=name,gatewayPath,pack,payload");
    let expected = json!([
        { "name": "clean up", "gatewayPath": "/app/small", "pack": "small", "payload": { "days": 7 } },
        { "name": "elsewhere", "gatewayPath": "/other", "pack": "small", "payload": {} },
    ]);
    assert_eq!(schedules["data"], expected);
    let view = api.get("/admin/packs/small");
    assert_eq!(view["schedules"], json!(["clean up", "elsewhere"]), "{view}");

    // An export is the pack again.
    let out = place.text("out");
    pack(&["export", "small", &out]).check(0, &[]);
    pack(&["diff", &out]).check(0, &["nothing to change"]);
    has("0 4 * * *");
    pack(&["install", "p", "--mount", "/app"]).check(0, &["~ schedule clean up"]);
    // What an admin has edited stays.
    let row = &api.get("/admin/schedules?filter=%7B%22name%22%3A%22clean%20up%22%7D")["data"][0];
    let edited = api.admin("PATCH", &format!("/admin/schedules/{}", id(row)), json!({ "cron": "0 5 * * *" }));
    assert_eq!(edited.status, 200, "{}", edited.body);
    has("0 6 * * *");
    pack(&["install", "p", "--mount", "/app"]).check(1, &["schedule clean up", "--force"]);
    pack(&["uninstall", "small", "--force"]).check(0, &["- schedule clean up", "- /app/small"]);
    assert_eq!(api.get("/admin/schedules")["data"], json!([]));
}
