//! Two servers on one PostgreSQL divide the jobs; where one is gone or hangs, the other goes on, and nothing is done
//! twice.

use crate::support::database::{Data, Database, run_sql};
use crate::support::node::start_scenario;
use crate::support::server::{Server, until};

const SETTINGS: [(&str, &str); 2] = [("JOBS__LEASE_MS", "2000"), ("JOBS__RETRY_MS", "50")];
/// Faults of each kind for each of both servers.
const ROUNDS: usize = 2;

/// Fails unless so many nodes own all shards, each its part.
fn shards_are_of(data: &Data, nodes: u32) -> Option<()> {
    let sql = format!(
        "DO $$ BEGIN IF (SELECT COUNT(*) FROM (SELECT owner FROM gw_shard WHERE expires_at > now() \
         GROUP BY owner HAVING COUNT(*) = 64 / {nodes}) AS o) <> {nodes} THEN RAISE 'not yet'; END IF; END $$"
    );
    run_sql(data.database_url(), &sql).ok()
}

#[test]
fn nodes_take_over_from_each_other() {
    if Database::postgres_server().is_none() {
        return;
    }
    let data = Data::on(Database::Postgres);
    let mut nodes = [data.clone(), data.beside()].map(|data| Some(Server::start_in(data, &SETTINGS, &[])));
    let url = |at: usize, nodes: &[Option<Server>; 2]| nodes[at].as_ref().unwrap().url.clone();
    let others = url(1, &nodes);
    let env = [
        ("GATEWRIGHT_TEST_CLIENTS", "20"),
        ("GATEWRIGHT_TEST_ACK_MS", "2000"),
        ("GATEWRIGHT_TEST_OTHERS", others.as_str()),
    ];
    let Some(mut clients) = start_scenario(nodes[0].as_ref().unwrap(), "books", &env) else { return };
    let mut lives = 0;
    let mut live = |clients: &mut crate::support::node::Scenario| {
        lives += 1;
        clients.tell(&format!("life {lives} random 100 100"));
        clients.until(&format!("life {lives}"));
    };
    for round in 0..2 * ROUNDS {
        let at = round % 2;
        until("both have their part", || shards_are_of(&data, 2));
        live(&mut clients);
        // It hangs for longer than its lease, and goes on as if nothing had happened.
        let one = nodes[at].as_ref().unwrap();
        one.signal("STOP");
        until("the other has taken over", || shards_are_of(&data, 1));
        live(&mut clients);
        one.signal("CONT");

        until("both have their part", || shards_are_of(&data, 2));
        live(&mut clients);
        let mut one = nodes[at].take().unwrap();
        one.kill();
        until("the other has taken over", || shards_are_of(&data, 1));
        live(&mut clients);
        nodes[at] = Some(one.start_again(&SETTINGS));
    }
    clients.tell("stop");
    let said = clients.finishes("");
    println!("{} faults of two nodes; {}", 4 * ROUNDS, said.lines().last().unwrap());
}
