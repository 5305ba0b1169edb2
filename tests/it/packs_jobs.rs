//! Script tests of jobs: which a handler leaves, what runs when the time is moved on, and what asks for another attempt.

use serde_json::json;

use super::support::api::{Api, make_gateway};
use super::support::database::Database;
use super::support::place::{Done, Place};

const PACK: &str = r#"
name = "seats"
[[tables]]
name = "seat"
columns = [{ name = "n", type = "integer" }, { name = "takenAt", type = "datetime", default = "now" }]
[[gateways]]
path = "/seats"
requireAuth = false
[[gateways.events]]
name = "leave"
script = "leave.rhai"
[[gateways.events]]
name = "back"
script = "back.rhai"
[[gateways.events]]
name = "giveUp"
script = "give_up.rhai"
[[gateways.events]]
name = "again"
delivery = "durable"
retries = 3
script = "again.rhai"
[[gateways.events]]
name = "endless"
script = "endless.rhai"
[[gateways.events]]
name = "broken"
script = "broken.rhai"
[[gateways.events]]
name = "ask"
script = "ask.rhai"
"#;

/// The pack in a folder of its own.
struct Seats(Place);

impl Seats {
    fn new() -> Self {
        let place = Place::new();
        place.write("seats/pack.toml", PACK);
        for (name, script) in [
            (
                "leave",
                "let n = @BODY.n; return @JOB.after(10000, \"/seats\", \"giveUp\", #{ n: n }, #{ unique: `seat:${n}` });",
            ),
            ("back", "return @JOB.cancel(@BODY.id);"),
            (
                "give_up",
                "#seat.delete(#{ filter: #{ n: @BODY.n } });\n\
                @LOGS(@HELPERS.iso(), @USER == (), @JOB.attempt);\n\
                @SOCKET.emitToGateway(\"/seats\", \"free\", @BODY);\n\
                if @BODY.n > 1 { @JOB.at(@HELPERS.now() + 5000, \"/seats\", \"giveUp\", #{ n: @BODY.n - 1 }); }",
            ),
            (
                "again",
                "#seat.create(#{ data: #{ n: @JOB.attempt } });\n\
                @SOCKET.broadcast(\"tried\", @JOB.attempt);\n\
                @JOB.after(1, \"/seats\", \"broken\", 1);\n\
                if @JOB.attempt < @BODY.good { @LOGS(@HELPERS.iso()); @JOB.retry(50); }\n\
                return @JOB.attempt;",
            ),
            ("endless", "@JOB.after(0, \"/seats\", \"endless\", #{});"),
            ("broken", "#seat.create(#{ data: #{ n: 9 } }); return [][1];"),
            (
                "ask",
                "@JOB.after(5, \"/seats\", \"again\", @BODY, #{ key: \"k\" }); @JOB.after(6, \"/seats\", \"giveUp\", #{ n: 1 }, #{ key: \"k\", durable: false });",
            ),
        ] {
            place.write(&format!("seats/{name}.rhai"), script);
        }
        Self(place)
    }

    fn test(&self, test: &str) -> Done {
        self.0.write("seats/tests/all.toml", &format!("[[tests]]\nname = \"it\"\n{test}\n"));
        self.0.run(&["test", "seats"])
    }
}

#[test]
fn packs_tests_see_the_jobs_that_a_handler_leaves() {
    let seats = Seats::new();
    let leave = "event = \"leave\"\npayload = { n = 7 }\nnow = \"2026-01-01T00:00:00Z\"\n";
    let job = r#"{ gateway = "/seats", event = "giveUp", payload = { n = 7 }, after = 10000, dueAt = "2026-01-01T00:00:10Z", unique = "seat:7", durable = true }"#;
    seats.test(&format!("{leave}[tests.expect]\njobs = [{job}]\nresult = \"<any>\"")).check(0, &["1 passed"]);
    seats.test(&format!("{leave}[tests.expect]\njobs = [{{ payload = \"<any>\" }}]")).check(0, &[]);
    seats.test(&format!("{leave}[tests.expect]\njobs = [{{ after = 9 }}]")).check(1, &["10000", "jobs"]);
    seats.test(&format!("{leave}[tests.expect]\njobs = [{{ nope = 9 }}]")).check(1, &["nope"]);
    seats.test(&format!("{leave}[tests.expect]\njobs = []")).check(1, &["seat:7"]);
    // The one of its name is replaced, others stay.
    let waiting = "jobs = [{ event = \"giveUp\", after = 1, unique = \"seat:7\" }, { event = \"giveUp\", after = 2, key = \"x\" }]\n";
    seats
        .test(&format!("{leave}{waiting}[tests.expect]\njobs = [{{ after = 2, key = \"x\" }}, {job}]"))
        .check(0, &[]);
    let id = "0190a0a0-0000-7000-8000-000000000001";
    let back = format!("event = \"back\"\npayload = {{ id = \"{id}\" }}\n");
    let waiting = format!("jobs = [{{ id = \"{id}\", event = \"giveUp\" }}]\n");
    seats.test(&format!("{back}{waiting}[tests.expect]\nresult = true\njobs = []")).check(0, &[]);
    seats.test(&format!("{back}[tests.expect]\nresult = false")).check(0, &[]);
    // Part of a transaction, unless memory has it.
    let script = |ending: &str| {
        format!(
            "event = \"back\"\nscript = '''\ntry {{ @TRANSACTION {{ @JOB.after(1, \"/seats\", \"giveUp\", 1); \
             @JOB.after(2, \"/seats\", \"giveUp\", 2, #{{ durable: false }}); {ending} }} }} catch {{}}\n'''\n"
        )
    };
    seats
        .test(&format!(
            "{}[tests.expect]\njobs = [{{ payload = 1 }}, {{ payload = 2, durable = false }}]",
            script("")
        ))
        .check(0, &[]);
    seats.test(&format!("{}[tests.expect]\njobs = [{{ payload = 2 }}]", script("throw 1;"))).check(0, &[]);
    let unknown = "event = \"back\"\nscript = '@JOB.after(1, \"/seats\", \"giveup\", 1);'\n[tests.expect]\n";
    seats.test(unknown).check(1, &["giveup of /seats"]);
    seats.test(&format!("{unknown}error = \"RESOURCE_NOT_FOUND\"")).check(0, &[]);
}

#[test]
fn packs_tests_move_their_time_on() {
    let seats = Seats::new();
    let leave = "event = \"leave\"\npayload = { n = 2 }\nnow = \"2026-01-01T00:00:00Z\"\nrows.seat = [{ n = 1 }, { n = 2 }]\n";
    let free = |n: u8| format!(r#"{{ method = "emitToGateway", args = ["/seats", "free", {{ n = {n} }}] }}"#);
    seats
        .test(&format!(
            "{leave}moveOn = 10000\n[tests.expect]\nemitted = [{}]\njobs = [{{ dueAt = \"2026-01-01T00:00:15Z\", after = 5000 }}]\n\
             rows.seat = [{{ n = 1, takenAt = \"2026-01-01T00:00:00.000Z\", createdAt = \"2026-01-01T00:00:00.000Z\" }}]\n\
             logs = [\"2026-01-01T00:00:10.000Z\", true, 1]\nwrites = [{{ table = \"seat\", operation = \"delete\", row = {{ n = 2 }} }}]",
            free(2)
        ))
        .check(0, &["1 passed"]);
    seats
        .test(&format!(
            "{leave}moveOn = 15000\n[tests.expect]\nemitted = [{}, {}]\njobs = []\nrows.seat = []",
            free(2),
            free(1)
        ))
        .check(0, &[]);
    seats
        .test(&format!(
            "{leave}moveOn = 9999\n[tests.expect]\nemitted = []\nrows.seat = [{{ n = 1 }}, {{ n = 2 }}]"
        ))
        .check(0, &[]);
    // A user's job is the user's.
    seats
        .test(&format!(
            "{leave}moveOn = 10000\nuser = {{ id = \"u1\" }}\n[tests.expect]\nlogs = [\"<any>\", false, 1]"
        ))
        .check(0, &[]);
    seats.test("event = \"endless\"\nmoveOn = 1\n[tests.expect]").check(1, &["without an end", "endless"]);
    seats
        .test("event = \"back\"\nnow = \"tomorrow\"\n[tests.expect]")
        .check(1, &["tomorrow", "2026-01-31T12:00:00Z"]);
}

#[test]
fn packs_tests_run_jobs() {
    let seats = Seats::new();
    // What an attempt did that asks for another is undone.
    let again = "event = \"again\"\npayload = { good = 3 }\n";
    seats
        .test(&format!(
            "{again}[tests.expect]\nretryAfter = 50\nemitted = []\nwrites = []\njobs = []\nrows.seat = []"
        ))
        .check(0, &["1 passed"]);
    seats.test(&format!("{again}[tests.expect]\nretryAfter = 51")).check(1, &["50"]);
    seats.test(&format!("{again}[tests.expect]")).check(1, &["another attempt"]);
    let id = "0190a0a0-0000-7000-8000-000000000001";
    let third = format!("{again}job = {{ attempt = 3, id = \"{id}\" }}\n");
    seats
        .test(&format!(
            "{third}[tests.expect]\nresult = 3\nrows.seat = [{{ n = 3 }}]\njobs = [{{ event = \"broken\" }}]"
        ))
        .check(0, &[]);
    let own = |kind: &str| {
        format!(
            "kind = \"{kind}\"\n{third}script = '@SOCKET.reply(\"a\", 1); return @JOB.id;'\n[tests.expect]\n"
        )
    };
    seats
        .test(&format!(
            "{}result = \"{id}\"\nemitted = [{{ method = \"reply\", args = [\"a\", 1] }}]",
            own("event")
        ))
        .check(0, &[]);
    seats.test(&own("job")).check(1, &["no socket sent"]);

    // Once more, each at its own time; what the last attempt leaves runs then, and what fails is said.
    let ask = "event = \"ask\"\nnow = \"2026-01-01T00:00:00Z\"\nmoveOn = 105\n";
    let tried = |n: u8| format!("{{ method = \"broadcast\", args = [\"tried\", {n}] }}");
    seats
        .test(&format!(
            "{ask}payload = {{ good = 3 }}\n[tests.expect]\n\
             logs = [\"2026-01-01T00:00:00.005Z\", \"2026-01-01T00:00:00.055Z\", \"2026-01-01T00:00:00.105Z\", true, 1]\n\
             emitted = [{}, {{ method = \"emitToGateway\", args = \"<any>\" }}]\njobs = [{{ event = \"broken\", after = 1 }}]",
            tried(3)
        ))
        .check(0, &[]);
    let failed =
        |code: &str, event: &str| format!("failedJobs = [{{ event = \"{event}\", error = \"{code}\" }}]\n");
    let good = "payload = { good = 1 }\n[tests.expect]\n";
    seats
        .test(&format!("{ask}{good}{}rows.seat = []", failed("SCRIPT_EXECUTION_ERROR", "broken")))
        .check(0, &[]);
    seats.test(&format!("{ask}{good}")).check(1, &["failedJobs", "SCRIPT_EXECUTION_ERROR"]);
    let too_often = "payload = { good = 9 }\n[tests.expect]\n";
    seats.test(&format!("{ask}{too_often}{}", failed("SERVICE_UNAVAILABLE", "again"))).check(0, &[]);
}

#[test]
fn packs_test_runs_of_admins_show_jobs() {
    let api = Api::on(Database::Sqlite);
    make_gateway(&api.server, &api.token, json!({ "path": "/g" }), &[("e", "1")]);
    let script = "@JOB.after(50, \"/g\", \"e\", #{ a: 1 }, #{ key: \"k\" });";
    let run = |script: &str| api.test_run(json!({ "kind": "script", "script": script }));
    let jobs = &run(script)["jobs"];
    let due_at = &jobs[0]["dueAt"];
    assert!(due_at.is_string());
    assert_eq!(
        *jobs,
        json!([{ "gateway": "/g", "event": "e", "payload": { "a": 1 }, "dueAt": due_at, "after": 50, "key": "k", "durable": true }])
    );
    assert_eq!(api.admin("GET", "/admin/jobs", json!(null)).json()["data"], json!([]), "nothing is left");
    let unknown = run("@JOB.after(50, \"/g\", \"f\", 1);");
    assert_eq!(unknown["error"]["code"], "RESOURCE_NOT_FOUND", "{unknown}");
    let event = json!({ "eventName": "kept", "delivery": "durable",
        "sourceCode": "@SOCKET.reply(\"a\", @JOB.attempt); @JOB.retry(70);" });
    let gateways = api.admin("GET", "/admin/gateways", json!(null)).json();
    let id = gateways["data"][0]["id"].as_str().unwrap();
    assert_eq!(api.admin("POST", &format!("/admin/gateways/{id}/events"), event).status, 201);
    let kept = api.test_run(json!({ "kind": "websocket_event", "gatewayPath": "/g", "eventName": "kept" }));
    assert_eq!((&kept["retryAfter"], &kept["emitted"]), (&json!(70), &json!([])), "{kept}");
}

#[test]
fn packs_tests_give_jobs_an_app_key() {
    let seats = Seats::new();
    let app = "app = { id = \"1\", name = \"shop\", scopes = [] }\n";
    let asks = "script = 'return @APP?.name;'\n";
    for event in ["kind = \"job\"\nevent = \"giveUp\"\n", "event = \"again\"\n"] {
        seats.test(&format!("{event}{asks}{app}[tests.expect]\nresult = \"shop\"")).check(0, &["1 passed"]);
    }
    // Jobs that a handler leaves have it too, when the time is moved on to them.
    let leaves = "event = \"leave\"\nscript = '@JOB.after(1, \"/seats\", \"named\", ());'\nmoveOn = 1\n";
    seats.0.write("seats/named.rhai", "@LOGS(@APP?.name);");
    let event = "[[gateways.events]]\nname = \"named\"\nscript = \"named.rhai\"\n";
    seats.0.write("seats/pack.toml", &format!("{PACK}{event}"));
    seats.test(&format!("{leaves}{app}[tests.expect]\nlogs = [\"shop\"]")).check(0, &["1 passed"]);
    seats.test(&format!("{leaves}[tests.expect]\nlogs = [\"shop\"]")).check(1, &["logs"]);
}
