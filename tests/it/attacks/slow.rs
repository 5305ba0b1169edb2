//! Queries and transactions that hold everyone up.

use serde_json::{Value as Json, json};

use crate::support::api::{Api, encoded, make_gateway};
use crate::support::database::{Database, on_each_database};
use crate::support::polling::Polling;
use crate::support::server::{ADMIN_EMAIL, ADMIN_PASSWORD, Server, until};

on_each_database!(
    a_transaction_that_sleeps_or_fetches,
    slow_lists_of_one_caller_keep_nobody_from_signing_in,
    slow_scripts_keep_nobody_from_signing_in,
);

/// Runs until it is told to go on, or is ended: by the defaults, which other tests do not have.
const FOR_LONG: &[(&str, &str)] = &[
    ("SCRIPTS__TRANSACTION_IDLE_MS", "250"),
    ("SCRIPTS__TRANSACTION_MS", "1000"),
    ("SCRIPTS__OPERATIONS", "1000000000000"),
    ("SCRIPTS__DATABASE_CALLS", "1000000000"),
    ("SCRIPTS__TIMEOUT_MAX_MS", "600000"),
];

/// A server with the table `t`, which all may write, and a gateway with these events.
fn start(database: Database, settings: &[(&str, &str)], events: &[(&str, &str)]) -> Api {
    let api = Api::of(Server::start_on(database, settings, &[]));
    api.make(
        "/admin/tables",
        json!({ "name": "t", "columns": [{ "name": "n", "type": "integer" }, { "name": "s", "type": "text" }],
            "access": { "read": "public", "create": "public", "update": "admin", "delete": "admin" } }),
    );
    let fields =
        json!({ "path": "/t", "scriptTimeoutMs": if settings == FOR_LONG { 600_000 } else { 5000 } });
    make_gateway(&api.server, &api.token, fields, events);
    api
}

/// Signs in and out, which writes sessions.
fn sign_in_and_out(server: &Server) {
    let body = json!({ "email": ADMIN_EMAIL, "password": ADMIN_PASSWORD });
    let signed_in = server.call("POST", "/auth/login", Some(&body), &[]);
    assert_eq!(signed_in.status, 200, "{}", signed_in.body);
    let token = format!("Bearer {}", signed_in.json()["accessToken"].as_str().unwrap());
    let signed_out = server.call("POST", "/auth/logout", None, &[("authorization", &token)]);
    assert_eq!(signed_out.status, 204, "{}", signed_out.body);
}

/// Whoever waits within a transaction makes others wait for it: it is refused at once.
fn a_transaction_that_sleeps_or_fetches(database: Database) {
    let sleeps = "@TRANSACTION { #t.create(#{ data: #{ n: 1 } }); @HELPERS.sleep(1); }";
    let fetches =
        "@TRANSACTION { #t.create(#{ data: #{ n: 2 } }); @HELPERS.fetch(\"http://127.0.0.1:1/\"); }";
    let goes_on = "@TRANSACTION { try { @HELPERS.sleep(1); } catch {} #t.create(#{ data: #{ n: 3 } }); }
        @HELPERS.sleep(1); return 3;";
    let hooked = "#t.create(#{ data: #{ n: 99 } });";
    let api = start(
        database,
        &[],
        &[("sleeps", sleeps), ("fetches", fetches), ("goes", goes_on), ("hooked", hooked)],
    );
    let hook = json!({ "table": "t", "when": "before", "on": ["create"], "condition": { "n": 99 },
        "sourceCode": "@HELPERS.sleep(1);" });
    api.make("/admin/hooks", hook);
    let mut socket = Polling::connect(&api.server, "/t", None);
    for event in ["sleeps", "fetches", "hooked"] {
        let refused = socket.run(event, &json!({}));
        assert_eq!(refused["code"], "SCRIPT_EXECUTION_ERROR", "{refused}");
        assert!(refused["message"].as_str().unwrap().contains("before or after"), "{refused}");
    }
    assert_eq!(socket.run("goes", &json!({}))["result"], 3);
    assert_eq!(api.values("t", "n", &json!({})), [json!(3)], "what was refused is undone");
}

/// That a transaction which would go on for minutes is ended as soon as others want to write.
fn is_ended_for_others(held: &str) {
    let script = format!(
        "@TRANSACTION {{ #t.create(#{{ data: #{{ n: 1 }} }}); @SOCKET.reply(\"held\", 1); {held}
            #t.create(#{{ data: #{{ n: 2 }} }}); }}"
    );
    let events = [("hold", script.as_str()), ("go", "@CACHE.set(\"go\", 1);")];
    let api = start(Database::Sqlite, FOR_LONG, &events);
    let mut socket = Polling::connect(&api.server, "/t", None);
    let request = socket.ask("hold", &json!({}))["requestId"].clone();
    while socket.packet().data[0] != "held" {}
    sign_in_and_out(&api.server);
    let row = api.server.call("POST", "/data/t", Some(&json!({ "n": 3 })), &[]);
    assert_eq!(row.status, 201, "{}", row.body);
    Polling::connect(&api.server, "/t", None).run("go", &json!({}));
    let ended = loop {
        let packet = socket.packet();
        if packet.data[1]["requestId"] == request {
            break packet.data[1].clone();
        }
    };
    assert_eq!(ended["code"], "SCRIPT_TIMEOUT", "{ended}");
    assert!(ended["message"].as_str().unwrap().contains("kept others from writing"), "{ended}");
    assert_eq!(api.values("t", "n", &json!({})), [json!(3)], "it is undone");
}

/// A transaction that computes for minutes between two statements.
#[test]
fn a_transaction_that_computes() {
    is_ended_for_others("while @CACHE.get(\"go\") == () {}");
}

/// A transaction whose statements have no end.
#[test]
fn a_transaction_that_never_stops_asking() {
    is_ended_for_others("while @CACHE.get(\"go\") == () { #t.count(); }");
}

/// A test run that goes on for a minute after it has written, on SQLite, where it is a transaction.
#[test]
fn a_test_run_that_sleeps_after_a_write() {
    let api = start(Database::Sqlite, FOR_LONG, &[]);
    let script = "#t.create(#{ data: #{ n: 1 } }); for n in 0..1200 { @HELPERS.sleep(50); #t.count(); }";
    std::thread::scope(|scope| {
        let run = json!({ "kind": "script", "script": script, "timeoutMs": 300_000 });
        let run = scope.spawn(|| api.test_run(run));
        let mut guests = 0;
        while !run.is_finished() {
            let row = api.server.call("POST", "/data/t", Some(&json!({ "n": 3 })), &[]);
            assert_eq!(row.status, 201, "{}", row.body);
            guests += 1;
        }
        let answer = run.join().unwrap();
        assert_eq!(answer["error"]["code"], "SCRIPT_TIMEOUT", "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains("kept others"), "{answer}");
        assert_eq!(api.values("t", "n", &json!({})).len(), guests.min(1000), "nothing of it is kept");
    });
}

/// A filter that makes the database read much text many times.
fn slow_filter() -> Json {
    let terms: Vec<Json> = (0..200).map(|n| json!({ "s": { "_contains": format!("b{n}") } })).collect();
    json!({ "_or": terms })
}

/// Fills `t` with rows that [`slow_filter`] takes long for.
fn fill(api: &Api) {
    let script = "let s = \"\"; s.pad(2000, \"ab\"); let rows = [];
        for n in 0..500 { rows.push(#{ n: n, s: s }); }
        return #t.createMany(#{ data: rows }).len();";
    // One run each, since a busy machine takes long for all of them.
    (0..20).for_each(|_| assert_eq!(api.run(script), 500));
}

/// Many slow lists by one caller: most wait or are told to, and others do what they do.
fn slow_lists_of_one_caller_keep_nobody_from_signing_in(database: Database) {
    let settings = [("LIMITS__READS_PER_CALLER", "2"), ("LIMITS__READS_WAITING_PER_CALLER", "2")];
    let api = start(database, &settings, &[]);
    fill(&api);
    let path = format!("/data/t?{}", encoded(&[("filter", &slow_filter().to_string())]));
    std::thread::scope(|scope| {
        let (server, path) = (&api.server, &path);
        let lists: Vec<_> =
            (0..16).map(|_| scope.spawn(move || server.call("GET", path, None, &[]))).collect();
        sign_in_and_out(server);
        let answers: Vec<_> = lists.into_iter().map(|list| list.join().unwrap()).collect();
        let of_status = |status| answers.iter().filter(|answer| answer.status == status).count();
        assert!(of_status(429) > 0 && of_status(429) < 16, "{answers:?}");
        assert_eq!(of_status(429) + of_status(200) + of_status(500), 16, "{answers:?}");
        let refused = answers.iter().find(|answer| answer.status == 429).unwrap();
        assert_eq!(refused.code(), "RATE_LIMIT_EXCEEDED");
    });
    // Every place is free again.
    until("a connection is free", || {
        (api.server.call("GET", "/data/t?limit=1", None, &[]).status == 200).then_some(())
    });
}

/// Scripts that ask for more than the database can answer in their time are ended, and their
/// statements with them.
fn slow_scripts_keep_nobody_from_signing_in(database: Database) {
    let filter = slow_filter().to_string().replace('{', "#{");
    let script = format!("@SOCKET.reply(\"began\", 1); loop {{ #t.count({filter}); }}");
    let api = start(database, &[], &[("e", &script)]);
    fill(&api);
    let mut sockets: Vec<_> = (0..12).map(|_| Polling::connect(&api.server, "/t", None)).collect();
    let requests: Vec<_> =
        sockets.iter_mut().map(|socket| socket.ask("e", &json!({}))["requestId"].clone()).collect();
    while sockets[0].packet().data[0] != "began" {}
    sign_in_and_out(&api.server);
    for (socket, request) in sockets.iter_mut().zip(&requests) {
        let ended = loop {
            let packet = socket.packet();
            if packet.data[1]["requestId"] == *request {
                break packet.data[1].clone();
            }
        };
        let code = ended["code"].as_str().unwrap();
        assert!(["DATABASE_ERROR", "SCRIPT_TIMEOUT", "SCRIPT_OUTPUT_LIMIT"].contains(&code), "{ended}");
    }
    until("a connection is free", || (api.list("t", &[("limit", "1")]).status == 200).then_some(()));
}
