//! Very many jobs that are due at the same second.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sea_orm::ConnectionTrait;
use serde_json::json;

use super::until_quiet;
use crate::support::api::{Api, make_gateway};
use crate::support::database::{Data, Database, on_each_database, run_sql};
use crate::support::polling::Polling;
use crate::support::server::Server;
use crate::tables::sqlite_file;

const JOBS: u32 = 100_000;

/// As `@JOB.after` stores them: each is a key of its own.
const INSERT: &str = "INSERT INTO gw_job (id, shard, job_key, gateway, event, caller, payload, accepted_at, due_at, \
                      attempt, lost) SELECT id, n % 64, 'later ' || id, '/crowd', 'come', '{}', '[\"come\",' || n || ']', \
                      DUE, DUE, 0, 0 FROM ALL_OF_THEM";

fn all_who_are_due_at_once_come_once(database: Database) {
    let api = Api::of(Server::start_on(database, &[], &[]));
    let events = [("come", "@CACHE.incr(\"came\");"), ("count", "return @CACHE.get(\"came\");")];
    make_gateway(&api.server, &api.token, json!({ "path": "/crowd" }), &events);
    let due = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let all = match database {
        Database::Postgres => {
            format!("(SELECT n, gen_random_uuid()::text AS id FROM generate_series(1, {JOBS}) AS n) AS t")
        }
        Database::Sqlite => format!(
            "(WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < {JOBS}) \
             SELECT n, printf('%08x-0000-7000-8000-%012x', n, n) AS id FROM t)"
        ),
    };
    execute(&api.server.data, &INSERT.replace("DUE", &due.to_string()).replace("ALL_OF_THEM", &all));
    let start = Instant::now();
    until_quiet(&api);
    println!("{JOBS} jobs due at once on {database:?}: {:?}", start.elapsed());
    assert_eq!(Polling::connect(&api.server, "/crowd", None).run("count", &json!({}))["result"], JOBS);
    let done = api.get("/admin/jobs?state=done&limit=1&meta=*");
    assert_eq!(done["meta"]["filterCount"], JOBS);
}

/// Runs a statement beside the product.
fn execute(data: &Data, sql: &str) {
    if !data.database_url().is_empty() {
        return run_sql(data.database_url(), sql).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut options = sea_orm::ConnectOptions::new(format!("sqlite:{}", sqlite_file(data)));
        options.max_connections(1).sqlx_logging(false);
        let connection = sea_orm::Database::connect(options).await.unwrap();
        connection.execute_unprepared(sql).await.unwrap();
        connection.close().await.unwrap();
    });
}

on_each_database!(all_who_are_due_at_once_come_once);
