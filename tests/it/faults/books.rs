//! Servers are killed again and again while clients send durable events and keep their own books; then the books are
//! compared with the rows. See `tests/client/scenarios/books.mjs`.

use std::time::Duration;

use crate::support::database::{Database, on_each_database};
use crate::support::node::start_scenario;
use crate::support::server::Server;

/// Kills, where `GATEWRIGHT_TEST_KILLS` does not say.
const KILLS: usize = 24;
const CLIENTS: &str = "50";
/// A short lease, so that PostgreSQL's next node has its part of the jobs soon.
const SETTINGS: [(&str, &str); 2] = [("JOBS__LEASE_MS", "1000"), ("JOBS__RETRY_MS", "50")];

/// When a server is killed.
struct Moment {
    mode: &'static str,
    /// Events that are acknowledged before, and results that have come.
    acks: usize,
    results: usize,
    /// How long after that at most.
    within_ms: u64,
}

/// At any moment, while handlers sleep, in the middle of commits, right after an ack.
const MOMENTS: [Moment; 4] = [
    Moment { mode: "random", acks: 0, results: 0, within_ms: 800 },
    Moment { mode: "asleep", acks: 50, results: 20, within_ms: 50 },
    Moment { mode: "flood", acks: 200, results: 100, within_ms: 20 },
    Moment { mode: "acked", acks: 1, results: 0, within_ms: 0 },
];

fn the_books_are_clean(database: Database) {
    let kills = std::env::var("GATEWRIGHT_TEST_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let mut server = Server::start_on(database, &SETTINGS, &[]);
    let Some(mut clients) = start_scenario(&server, "books", &[("GATEWRIGHT_TEST_CLIENTS", CLIENTS)]) else {
        return;
    };
    for number in 1..=kills {
        let Moment { mode, acks, results, within_ms } = &MOMENTS[number % MOMENTS.len()];
        clients.tell(&format!("life {number} {mode} {acks} {results}"));
        if acks + results > 0 {
            clients.until(&format!("life {number}"));
        }
        std::thread::sleep(Duration::from_micros(rand::random_range(0..=within_ms * 1000)));
        server = server.kill_and_start(&SETTINGS);
    }
    clients.tell("stop");
    let said = clients.finishes("");
    let (status, _, log) = server.stop();
    assert!(status.success(), "{log}");
    println!("{kills} kills on {database:?}; {}", said.lines().last().unwrap());
}

on_each_database!(the_books_are_clean);
