//! The `pages` scenario: how long the admin UI waits for the data of each page on a large server. The requests are those
//! that the pages make when they are opened.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use sea_orm::{ConnectionTrait, DbBackend};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::admin::Admin;
use crate::client::{Endpoint, connect_many};
use crate::measure;
use crate::target::{Server, StartArgs, Target};

/// Namespaces that one client joins; a server lets no more join in a burst.
const NAMESPACES_EACH: usize = 100;
/// What each page is to be answered in.
const GOAL_MS: f64 = 200.0;

#[derive(clap::Args, Clone)]
pub struct PagesArgs {
    /// Gateways
    #[arg(long, default_value_t = 2_000, value_parser = crate::at_least_one)]
    pub gateways: usize,
    /// Events of each of them
    #[arg(long, default_value_t = 5, value_parser = crate::at_least_one)]
    pub events_each: usize,
    /// Sockets, a hundred for each connection
    #[arg(long, default_value_t = 100_000, value_parser = crate::at_least_one)]
    pub sockets: usize,
    /// Rows of the table
    #[arg(long, default_value_t = 1_000_000, value_parser = crate::at_least_one)]
    pub rows: usize,
    /// How often each request is sent, one after the other
    #[arg(long, default_value_t = 50, value_parser = crate::at_least_one)]
    pub times: usize,
}

/// Measures and prints what each request takes.
///
/// # Errors
/// When one is refused, or takes longer than it may.
pub async fn run(args: &PagesArgs, start: &StartArgs) -> Result<()> {
    let server = Target::Gatewright.start_with(start, &gateways(args)).await?;
    let admin = Admin::sign_in(server.endpoint.address).await?;
    fill(&server, args.rows).await?;
    let mut sockets = connect(args, &server.endpoint).await?;
    println!(
        "{} gateways, {} events, {} sockets, {} rows; each request {} times\n\n\
         | page | request | p50 ms | p99 ms | KiB |\n| --- | --- | ---: | ---: | ---: |",
        args.gateways,
        args.gateways * args.events_each,
        args.sockets,
        args.rows,
        args.times,
    );
    let mut slow = Vec::new();
    for (page, path) in requests(args, &admin).await? {
        let (mut latencies, mut bytes) = (measure::latencies()?, 0);
        for _ in 0..args.times {
            let begin = Instant::now();
            bytes = admin.get(&path).await?.len();
            measure::record(&mut latencies, begin.elapsed());
        }
        let (median, worst) = (measure::millis_at(&latencies, 50.0), measure::millis_at(&latencies, 99.0));
        println!("| {page} | `{path}` | {median:.1} | {worst:.1} | {} |", bytes >> 10);
        if worst > GOAL_MS {
            slow.push(path);
        }
    }
    ensure!(sockets.try_join_next().is_none(), "a client was sent away meanwhile");
    server.stop().await?;
    ensure!(slow.is_empty(), "p99 of more than {GOAL_MS} ms: {}", slow.join(", "));
    Ok(())
}

/// The gateways, as the pack has them.
fn gateways(args: &PagesArgs) -> String {
    let mut text = String::new();
    for gateway in 0..args.gateways {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n[[gateways]]\npath = \"{}\"\nrequireAuth = false\n", path_of(gateway));
        for event in 0..args.events_each {
            let _ = write!(
                text,
                "[[gateways.events]]\nname = \"event{event}\"\nscript = \"events/message.rhai\"\n"
            );
        }
    }
    text
}

fn path_of(gateway: usize) -> String {
    format!("/load/{gateway}")
}

/// Rows of the table `message`, of many senders and rooms.
async fn fill(server: &Server, rows: usize) -> Result<()> {
    let database = crate::backlog::open(server).await?;
    let columns = "(id, text, \"roomId\", \"senderId\", \"createdAt\", \"updatedAt\")";
    let sql = match database.get_database_backend() {
        DbBackend::Sqlite => format!(
            "INSERT INTO message {columns} \
             WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers LIMIT {rows}) \
             SELECT printf('00000000-0000-7000-8000-%012x', n), 'message ' || n, 'room' || (n % 1000), 'sender' || (n % 5000), \
             strftime('%Y-%m-%dT%H:%M:%S.000Z', 1767225600 + n, 'unixepoch'), '2026-01-01T00:00:00.000Z' FROM numbers; ANALYZE"
        ),
        _ => format!(
            "INSERT INTO message {columns} \
             SELECT lpad(to_hex(n), 32, '0')::uuid, 'message ' || n, 'room' || (n % 1000), 'sender' || (n % 5000), \
             to_timestamp(1767225600 + n), now() FROM generate_series(0, {rows} - 1) AS n; ANALYZE message"
        ),
    };
    database.execute_unprepared(&sql).await.context("cannot fill the table")?;
    Ok(database.close().await?)
}

/// Clients that have joined gateway after gateway, and stay.
async fn connect(args: &PagesArgs, endpoint: &Endpoint) -> Result<JoinSet<Result<()>>> {
    let first = Endpoint { namespace: path_of(0).into(), ..endpoint.clone() };
    let mut clients = JoinSet::new();
    let namespaces: Arc<[String]> = (0..args.gateways).map(path_of).collect();
    for (index, mut client) in
        connect_many(&first, args.sockets.div_ceil(NAMESPACES_EACH)).await?.into_iter().enumerate()
    {
        // One of them it has joined with its connection.
        let others = namespaces.iter().skip(1).cycle().skip(index * NAMESPACES_EACH % args.gateways);
        for namespace in others.take(NAMESPACES_EACH - 1) {
            client.join(namespace, endpoint.token.as_deref()).await?;
        }
        clients.spawn(client.stay());
    }
    Ok(clients)
}

/// What the pages ask for, by page.
async fn requests(args: &PagesArgs, admin: &Admin) -> Result<Vec<(&'static str, String)>> {
    let tree = admin.call("GET", "/admin/tree", serde_json::Value::Null).await?;
    let gateway = tree["gateways"]
        .as_array()
        .and_then(|gateways| gateways.iter().find(|gateway| gateway["path"] == path_of(args.gateways / 2)))
        .context("the tree has no such gateway")?;
    let (gateway_id, event_id) =
        (gateway["id"].as_str().unwrap_or_default(), gateway["events"][0]["id"].as_str().unwrap_or_default());
    let tables = admin
        .call("GET", "/admin/tables?filter=%7B%22name%22%3A%22message%22%7D", serde_json::Value::Null)
        .await?;
    let table_id = tables["data"][0]["id"].as_str().context("there is no table message")?;
    let rows = format!("/admin/tables/{table_id}/rows?limit=100");
    // Where who has paged through half of the table goes on.
    let middle =
        format!("%7B%22id%22%3A%7B%22_lt%22%3A%2200000000-0000-7000-8000-{:012x}%22%7D%7D", args.rows / 2);
    let page = admin.get(&format!("/admin/tables/{table_id}/rows?limit=1&sort=-id&filter={middle}")).await?;
    let page: serde_json::Value = serde_json::from_str(&page)?;
    let cursor = page["next"].as_str().context("there is nothing behind the middle")?;
    let (gateway_path, text) = (path_of(args.gateways / 2), "not%20there");
    let all = [
        ("Overview", "/admin/stats".to_owned()),
        ("Overview", "/admin/stats/history?window=24h".to_owned()),
        ("Gateways", "/admin/tree".to_owned()),
        ("Gateways", format!("/admin/gateways/{gateway_id}")),
        ("Editor", format!("/admin/events/{event_id}")),
        ("Editor", "/admin/script/api".to_owned()),
        ("Palette", format!("/admin/search?q={text}")),
        ("Runs", "/admin/logs?limit=200".to_owned()),
        ("Sockets", "/admin/sockets/stats".to_owned()),
        ("Sockets", "/admin/sockets?limit=100".to_owned()),
        ("Sockets", format!("/admin/sockets?limit=100&gateway={gateway_path}")),
        ("Sockets", format!("/admin/sockets?limit=100&q={text}")),
        ("Sockets", "/admin/sockets/rooms?limit=100".to_owned()),
        ("Tables", "/admin/tables/counts".to_owned()),
        ("Tables", rows.clone()),
        ("Tables", format!("{rows}&sort=-id")),
        ("Tables", format!("{rows}&sort=-id&cursor={cursor}")),
        ("Tables", format!("/admin/tables/{table_id}/count")),
        ("Jobs", "/admin/jobs/counts".to_owned()),
        ("Jobs", "/admin/jobs?limit=100".to_owned()),
        ("Users", "/admin/users?limit=100&sort=email".to_owned()),
        ("Packs", "/admin/packs".to_owned()),
        ("Settings", "/admin/health".to_owned()),
        ("Settings", "/admin/audit?limit=100".to_owned()),
    ];
    Ok(all.into())
}
