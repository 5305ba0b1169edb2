//! Scripts whose database is lost under them: each is told in its time, nothing is half written, and
//! all works again when the database is back.

use sea_orm::ConnectionTrait;
use serde_json::{Value as Json, json};

use super::postgres::Proxy;
use super::support::api::make_gateway;
use super::support::api::{Api, id, refused};
use super::support::database::{Data, Database, run_sql};
use super::support::polling::Polling;
use super::support::server::{Server, until};
use super::tables::sqlite_file;

/// The time of every event, in milliseconds.
const TIMEOUT_MS: u64 = 5000;
/// Goes on, once it has written, when the test has lost the database. A transaction may not sleep.
const HOLD: &str = r#"
    @SOCKET.reply("held", 1);
    while @CACHE.get("go") == () {}
"#;

/// Ends transactions whose client says nothing.
const END_IDLE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'idle in transaction'";

fn start(server: Server) -> Api {
    let api = Api::of(server);
    api.table(
        "t",
        json!([{ "name": "n", "type": "integer" }, { "name": "of", "type": "uuid", "references": "t" }]),
    );
    let create = |n: u32| format!("#t.create(#{{ data: #{{ n: {n} }} }});");
    let events = [
        ("count", "return #t.count();".to_owned()),
        ("create", create(1)),
        ("block", format!("@TRANSACTION {{ {} {} }}", create(2), create(3))),
        ("held", format!("@TRANSACTION {{ {} {HOLD} {} }}", create(4), create(5))),
        (
            "caught",
            format!(
                "@TRANSACTION {{ {} {HOLD} try {{ {} }} catch {{}} {} }}",
                create(6),
                create(7),
                create(8)
            ),
        ),
        (
            "inner",
            format!(
                "@TRANSACTION {{ {} {HOLD} try {{ @TRANSACTION {{ {} }} }} catch {{}} }}",
                create(9),
                create(10)
            ),
        ),
        ("go", "@CACHE.set(\"go\", 1);".to_owned()),
        ("else", "return 1;".to_owned()),
    ];
    let events: Vec<_> = events.iter().map(|(name, script)| (*name, script.as_str())).collect();
    make_gateway(&api.server, &api.token, json!({ "path": "/lost", "scriptTimeoutMs": TIMEOUT_MS }), &events);
    api
}

/// That a run has failed for the database, and in its time.
fn is_missed(api: &Api, outcome: &Json) {
    assert_eq!(outcome["code"], "DATABASE_ERROR", "{outcome}");
    let run = api.get(&format!("/admin/logs?requestId={}", outcome["requestId"].as_str().unwrap()));
    let took_ms = run["data"][0]["durationMs"].as_f64().unwrap();
    assert!(took_ms <= TIMEOUT_MS as f64, "{run}");
}

#[test]
fn a_script_is_told_that_postgresql_refuses() {
    lose_postgresql(Proxy::refuse);
}

#[test]
fn a_script_is_told_that_postgresql_never_answers() {
    lose_postgresql(Proxy::swallow);
}

/// A server that reaches its PostgreSQL by way of a proxy.
fn behind_proxy() -> Option<(Proxy, Api)> {
    let postgres = Database::postgres_server()?;
    let data = Data::on(Database::Postgres);
    let proxy = Proxy::to(&postgres);
    let url = proxy.url_of(data.database_url());
    let settings =
        [("DATABASE_URL", url.as_str()), ("QUEUE__WORKERS", "8"), ("SCRIPTS__OPERATIONS", "1000000000000")];
    Some((proxy, start(Server::start_in(data, &settings, &[]))))
}

fn lose_postgresql(cut: fn(&Proxy)) {
    let Some((proxy, api)) = behind_proxy() else { return };
    let connect = || Polling::connect(&api.server, "/lost", None);
    let (mut first, mut second) = (connect(), connect());
    assert_eq!(first.run("create", &json!({}))["success"], true);
    assert_eq!(first.run("block", &json!({}))["success"], true);
    for _ in 0..3 {
        assert_eq!(first.run("count", &json!({}))["success"], true);
    }
    let mut outcomes = Vec::new();
    std::thread::scope(|scope| {
        // All are connected before the first begins to hold: its time is short.
        let sockets = ["held", "caught", "inner"].map(|event| (event, connect()));
        let held: Vec<_> = sockets
            .map(|(event, mut socket)| {
                let ack = socket.ask(event, &json!({}));
                while socket.packet().data[0] != "held" {}
                scope.spawn(move || {
                    loop {
                        let packet = socket.packet();
                        if packet.data[1]["requestId"] == ack["requestId"] {
                            break packet.data[1].clone();
                        }
                    }
                })
            })
            .into_iter()
            .collect();
        cut(&proxy);
        second.run("go", &json!({}));
        outcomes.extend(held.into_iter().map(|one| one.join().unwrap()));
    });
    for event in ["count", "create", "block"] {
        outcomes.push(first.run(event, &json!({})));
    }
    let read = api.server.call("GET", "/data/t", None, &[]);
    assert!([401, 500].contains(&read.status), "{}", read.body);
    assert_eq!(second.run("else", &json!({}))["result"], 1, "what needs no database goes on");

    proxy.restore();
    until("rows", || (first.run("count", &json!({}))["result"] == 3).then_some(()));
    outcomes.iter().for_each(|outcome| is_missed(&api, outcome));
    assert_eq!(api.values("t", "n", &json!({})), [json!(1), json!(2), json!(3)], "nothing is half written");
    for event in ["create", "block"] {
        until("a write", || (first.run(event, &json!({}))["success"] == true).then_some(()));
    }
    // What PostgreSQL takes for open still holds the table, for a minute.
    run_sql(api.server.data.database_url(), END_IDLE).unwrap();
    let table = &api.get("/admin/tables")["data"][0];
    api.altered(table, json!({ "add": [{ "name": "s", "type": "string" }] }));
    assert_eq!(api.row("t", json!({ "s": "x" }))["s"], "x");
}

#[test]
fn a_script_is_told_that_sqlite_is_locked() {
    let api = start(Server::start_on(Database::Sqlite, &[], &[]));
    let mut socket = Polling::connect(&api.server, "/lost", None);
    assert_eq!(socket.run("create", &json!({}))["success"], true);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let execute = |connection: &sea_orm::DatabaseConnection, sql: &str| {
        runtime.block_on(connection.execute_unprepared(sql)).unwrap();
    };
    let mut options = sea_orm::ConnectOptions::new(format!("sqlite:{}", sqlite_file(&api.server.data)));
    options.max_connections(1).sqlx_logging(false);
    let other = runtime.block_on(sea_orm::Database::connect(options)).unwrap();
    execute(&other, "BEGIN EXCLUSIVE");
    std::thread::scope(|scope| {
        for event in ["create", "block", "create", "block"] {
            let api = &api;
            scope.spawn(move || {
                is_missed(api, &Polling::connect(&api.server, "/lost", None).run(event, &json!({})))
            });
        }
    });
    assert_eq!(socket.run("count", &json!({}))["result"], 1, "who reads is not held up");
    refused(&api.admin("POST", "/data/t", json!({ "n": 20 })), 500, "DATABASE_ERROR", "");
    let table = &api.get("/admin/tables")["data"][0].clone();
    refused(&api.alter(table, json!({ "drop": ["of"] })), 500, "DATABASE_ERROR", "");
    execute(&other, "ROLLBACK");

    until("a write", || (socket.run("create", &json!({}))["success"] == true).then_some(()));
    until("a transaction", || (socket.run("block", &json!({}))["success"] == true).then_some(()));
    let mut values = api.values("t", "n", &json!({}));
    values.dedup();
    assert_eq!(values, [json!(1), json!(2), json!(3)], "what was told to have failed is not done");
    assert_eq!(api.values("t", "n", &json!({ "n": 2 })).len(), 1);
    let nowhere = json!({ "of": uuid::Uuid::nil() });
    refused(&api.admin("POST", "/data/t", nowhere), 422, "VALIDATION_ERROR", "of");
    api.altered(table, json!({ "add": [{ "name": "s", "type": "string" }] }));
    assert!(!id(&api.row("t", json!({ "s": "x" }))).is_empty());
}

/// A stop waits for nothing that may never come: neither the pool nor a script's statement.
#[test]
fn a_stop_while_postgres_is_a_black_hole() {
    let Some((proxy, mut api)) = behind_proxy() else { return };
    proxy.swallow();
    let mut socket = Polling::connect(&api.server, "/lost", None);
    assert_eq!(socket.ask("create", &json!({}))["accepted"], true);
    api.server.signal("TERM");
    let status = api.server.wait();
    assert!(status.success(), "{status}");
}
