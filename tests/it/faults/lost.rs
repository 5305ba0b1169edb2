//! What is acknowledged is kept where the disk is full, or PostgreSQL is away; what cannot be kept is refused, or not
//! acknowledged.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{make_durable, until_quiet};
use crate::postgres::Proxy;
use crate::support::api::Api;
use crate::support::database::{Data, Database};
use crate::support::node::start_scenario;
use crate::support::polling::Polling;
use crate::support::server::{Server, until};

/// The longest file that the server may write, until there is room, in bytes and as the shell has it.
const LIMIT: &str = "trap '' XFSZ; ulimit -S -f 16384";
/// Text of an event.
const TEXT_BYTES: usize = 50_000;
/// Times that PostgreSQL goes away.
const ROUNDS: usize = 4;

/// Every file has a limit, which stands for a disk that is full.
#[test]
fn a_full_disk_refuses_events_until_there_is_room() {
    if Database::of_this_pass() == Database::Postgres {
        return;
    }
    let api = Api::of(Server::start_limited(LIMIT, &[("JOBS__RETRY_MS", "50")]));
    api.table("rows", json!([{ "name": "n", "type": "integer" }]));
    let write = "#rows.create(#{ data: #{ n: @BODY.n } });";
    let gateway = make_durable(&api, json!({ "path": "/full" }), &[("write", write, Json::Null)]);
    gateway.pause(&api);
    let mut socket = Polling::connect(&api.server, "/full", None);
    let text = "x".repeat(TEXT_BYTES);
    let mut send = |n: i32| socket.ask("write", &json!({ "n": n, "text": text }));
    let mut acked = Vec::new();
    let mut n = 0;
    // Until it is full, and a few more: what is refused takes no room.
    let mut refused = 0;
    while refused < 5 {
        let ack = send(n);
        if ack["accepted"] == true {
            acked.push(n);
        } else {
            assert_eq!(ack["error"]["code"], "UNAVAILABLE", "{ack}");
            refused += 1;
        }
        n += 1;
    }
    assert!(acked.len() > 10, "{acked:?}");
    assert_eq!(api.server.call("GET", "/health/live", None, &[]).status, 200);

    let pid = api.server.id().to_string();
    let room = Command::new("prlimit").args(["--fsize=unlimited:unlimited", "--pid", &pid]).status();
    assert!(room.unwrap().success());
    until("room", || {
        n += 1;
        (send(n)["accepted"] == true).then(|| acked.push(n))
    });
    // A change of the gateway may find the disk as it was a moment ago.
    gateway.resume(&api);
    until_quiet(&api);
    let found: Vec<_> =
        api.rows("rows", &[("sort", "createdAt,id"), ("limit", "1000")]).as_array().unwrap().clone();
    let found: Vec<_> = found.iter().map(|row| row["n"].as_i64().unwrap() as i32).collect();
    assert_eq!(found, acked);
}

/// The clients of `books.mjs`, whose PostgreSQL refuses, or never answers.
#[test]
fn the_books_are_clean_though_postgresql_was_away() {
    let Some(postgres) = Database::postgres_server() else { return };
    let data = Data::on(Database::Postgres);
    let proxy = Proxy::to(&postgres);
    let url = proxy.url_of(data.database_url());
    let settings = [("DATABASE_URL", url.as_str()), ("JOBS__LEASE_MS", "2000"), ("JOBS__RETRY_MS", "50")];
    let server = Server::start_in(data, &settings, &[]);
    let env = [("GATEWRIGHT_TEST_CLIENTS", "20"), ("GATEWRIGHT_TEST_ACK_MS", "3000")];
    let Some(mut clients) = start_scenario(&server, "books", &env) else { return };
    for round in 1..=ROUNDS {
        clients.tell(&format!("life {round} random 100 50"));
        clients.until(&format!("life {round}"));
        if round % 2 == 0 {
            proxy.swallow()
        } else {
            proxy.refuse()
        }
        std::thread::sleep(Duration::from_millis(rand::random_range(0..3000)));
        proxy.restore();
    }
    clients.tell(&format!("life {} random 100 50", ROUNDS + 1));
    clients.until(&format!("life {}", ROUNDS + 1));
    clients.tell("stop");
    let said = clients.finishes("");
    println!("{ROUNDS} times away; {}", said.lines().last().unwrap());
    let refused = said.split("\"refusals\":").last().unwrap().trim_end_matches(['}', '\n']);
    assert!(
        !refused.contains(':') || refused.starts_with("{\"UNAVAILABLE\":") && !refused.contains(','),
        "{said}"
    );
}
