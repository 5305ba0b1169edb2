//! What only PostgreSQL has: servers that share it, and a network in between that fails.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use url::Url;

use super::support::api::make_gateway;
use super::support::database::{Data, Database, run_sql};
use super::support::place::Place;
use super::support::polling::Polling;
use super::support::port::Port;
use super::support::server::{Server, until};

/// How long requests may take without a database: well over the server's own bounds, for a slow
/// machine, and well under for ever.
const SOON: Duration = Duration::from_secs(120);
/// Connections of the server's pool.
const CONNECTIONS: usize = 8;
/// Keeps everybody from the gateways, until it is ended by [`GO_ON`].
const HOLD_UP: &str = "BEGIN; LOCK TABLE gw_gateway; SELECT pg_sleep(600)";
/// Keeps everybody from changing what is known of packs, until it is ended by [`GO_ON`].
const HOLD_PACKS_UP: &str = "BEGIN; LOCK TABLE gw_pack IN EXCLUSIVE MODE; SELECT pg_sleep(600)";
/// Fails until an install waits for the end of [`HOLD_PACKS_UP`].
const INSTALL_WAITS: &str = "DO $$ BEGIN ASSERT EXISTS (SELECT FROM pg_locks WHERE NOT granted
    AND relation = 'gw_pack'::regclass); END $$";
/// Fails until [`HOLD_PACKS_UP`] has begun.
const IS_HELD_UP: &str = "DO $$ BEGIN ASSERT EXISTS (SELECT FROM pg_locks WHERE granted
    AND relation = 'gw_pack'::regclass AND mode = 'ExclusiveLock'); END $$";
/// Fails until as many statements wait as the pool has connections.
const ALL_WAIT: &str = "DO $$ BEGIN ASSERT (SELECT count(*) FROM pg_locks WHERE NOT granted
    AND relation = 'gw_gateway'::regclass) >= 8; END $$";
const GO_ON: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND query LIKE '%pg_sleep(600)' AND pid <> pg_backend_pid()";

#[test]
fn servers_that_start_at_once_make_one_database() {
    if Database::postgres_server().is_none() {
        return;
    }
    let first = Data::on(Database::Postgres);
    let starting: Vec<_> = (0..4)
        .map(|_| first.beside())
        .map(|data| std::thread::spawn(|| Server::start_in(data, &[], &["--pack", "chat"])))
        .collect();
    let servers: Vec<_> = starting.into_iter().map(|server| server.join().unwrap()).collect();
    for server in &servers {
        // The first admin of all is the first admin of each, and each has the pack, once.
        let token = server.admin_token();
        let users = server.admin(&token, "GET", "/admin/users?meta=*", None).json();
        assert_eq!(users["data"].as_array().unwrap().len(), 1, "{users}");
        until("the pack", || Polling::try_connect(&server.url, "/chat", None).ok());
        let event = server.admin(&token, "GET", "/admin/gateways", None).json()["data"][0]["id"].clone();
        let history = format!("/admin/gateways/{}/revisions", event.as_str().unwrap());
        let revisions = server.admin(&token, "GET", &history, None).json();
        assert!(revisions["data"].as_array().unwrap().len() <= 2, "{revisions}");
    }
}

#[test]
fn a_database_that_refuses_connections_is_missed_and_found_again() {
    lose(Proxy::refuse);
}

#[test]
fn a_database_that_never_answers_is_missed_and_found_again() {
    lose(Proxy::swallow);
}

fn lose(cut: fn(&Proxy)) {
    let Some(postgres) = Database::postgres_server() else { return };
    let data = Data::on(Database::Postgres);
    let proxy = Proxy::to(&postgres);
    let url = proxy.url_of(data.database_url());
    let server = Server::start_in(data.clone(), &[("DATABASE_URL", url.as_str())], &[]);
    let token = server.admin_token();
    let made = make_gateway(&server, &token, json!({ "path": "/p" }), &[("e", "return 1;")]);
    let mut socket = Polling::connect(&server, "/p", None);
    assert_eq!(socket.run("e", &json!({}))["result"], 1);

    // Every connection of the pool is in the middle of a statement when the database is lost.
    let list = || server.admin(&token, "GET", "/admin/gateways", None);
    let is_lost = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let url = data.database_url();
        scope.spawn(move || run_sql(url, HOLD_UP).expect_err("it is ended from outside"));
        for _ in 0..2 * CONNECTIONS {
            let is_refused = || list().status == 500 && is_lost.load(Ordering::SeqCst);
            scope.spawn(move || until("a refusal", || is_refused().then_some(())));
        }
        until("statements that wait", || run_sql(url, ALL_WAIT).ok());
        cut(&proxy);
        is_lost.store(true, Ordering::SeqCst);
        run_sql(url, GO_ON).unwrap();
    });
    let start = Instant::now();
    let lost = list();
    assert_eq!((lost.status, lost.code().as_str()), (500, "DATABASE_ERROR"), "{}", lost.body);
    let login = json!({ "email": "nobody@example.com", "password": "some password" });
    assert_eq!(server.call("POST", "/auth/login", Some(&login), &[]).code(), "DATABASE_ERROR");
    assert_eq!(server.call("GET", "/health/ready", None, &[]).status, 503);
    assert_eq!(server.call("GET", "/health/live", None, &[]).status, 200);
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert_eq!(socket.run("e", &json!({}))["result"], 1, "what needs no database goes on");

    proxy.restore();
    until("readiness", || (server.call("GET", "/health/ready", None, &[]).status == 200).then_some(()));
    // All of the pool is there again, for reading and for writing.
    std::thread::scope(|scope| {
        for _ in 0..2 * CONNECTIONS {
            scope.spawn(|| until("an answer", || (list().status == 200).then_some(())));
        }
    });
    let event = format!("/admin/events/{}", made.events[0]);
    let change = json!({ "sourceCode": "return 2;" });
    assert_eq!(server.admin(&token, "PATCH", &event, Some(&change)).status, 200);
    assert_eq!(socket.run("e", &json!({}))["result"], 2);
    // And it follows the changes of others again.
    let elsewhere = "UPDATE gw_event SET source_code = 'return 3;', updated_at = now() + interval '1 s';
        UPDATE gw_change SET number = number + 1";
    run_sql(data.database_url(), elsewhere).unwrap();
    until("the change of another", || (socket.run("e", &json!({}))["result"] == 3).then_some(()));
}

#[test]
fn a_stop_waits_for_the_install_of_a_watched_pack() {
    if Database::postgres_server().is_none() {
        return;
    }
    let place = Place::new();
    place.small_pack("small", "return 1;");
    let data = Data::on(Database::Postgres);
    let url = data.database_url();
    let mut server = Server::start_in(data.clone(), &[], &["--watch", &place.text("small")]);
    let is_installed = |script: &str| {
        let installed = format!("SELECT FROM gw_pack WHERE content::text LIKE '%{script}%'");
        run_sql(url, &format!("DO $$ BEGIN ASSERT EXISTS ({installed}); END $$"))
    };
    until("the pack", || is_installed("return 1;").ok());
    std::thread::scope(|scope| {
        scope.spawn(move || run_sql(url, HOLD_PACKS_UP).expect_err("it is ended from outside"));
        until("the lock", || run_sql(url, IS_HELD_UP).ok());
        place.small_pack("small", "return 2;");
        until("an install that waits", || run_sql(url, INSTALL_WAITS).ok());
        server.signal("TERM");
        let address = server.url.strip_prefix("http://").unwrap();
        until("a server that takes no connections", || TcpStream::connect(address).err());
        run_sql(url, GO_ON).unwrap();
    });
    assert!(server.wait().success());
    is_installed("return 2;").unwrap();
}

/// A network between the server and its database that can fail.
pub struct Proxy {
    port: Port,
    state: Arc<Mutex<State>>,
}

struct State {
    listener: Option<TcpListener>,
    /// Whether new connections lead nowhere.
    swallows: bool,
    connections: Vec<Connection>,
    is_over: bool,
}

struct Connection {
    ends: Vec<TcpStream>,
    /// Whether all that comes is swallowed; it never lives again.
    is_dead: Arc<AtomicBool>,
}

impl Proxy {
    /// To this server.
    pub fn to(database: &Url) -> Self {
        let host = format!("{}:{}", database.host_str().unwrap(), database.port().unwrap_or(5432));
        let state = State { listener: None, swallows: false, connections: Vec::new(), is_over: false };
        let proxy = Self { port: Port::new(), state: Arc::new(Mutex::new(state)) };
        proxy.restore();
        let state = proxy.state.clone();
        let target = host.to_socket_addrs().unwrap().next().unwrap();
        std::thread::spawn(move || {
            while accept(&mut state.lock().unwrap(), target) {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        proxy
    }

    /// The same database by way of this.
    pub fn url_of(&self, database: &str) -> Url {
        let mut url: Url = database.parse().unwrap();
        url.set_ip_host(self.port.address.ip()).unwrap();
        url.set_port(Some(self.port.address.port())).unwrap();
        url
    }

    /// As a stopped server: connections end, and there are no new ones.
    pub fn refuse(&self) {
        let mut state = self.state.lock().unwrap();
        state.listener = None;
        state.connections.drain(..).for_each(|connection| connection.end());
    }

    /// As a broken network: nothing that is sent arrives, and nobody hears of it.
    pub fn swallow(&self) {
        let mut state = self.state.lock().unwrap();
        state.swallows = true;
        state.connections.iter().for_each(|connection| connection.is_dead.store(true, Ordering::SeqCst));
    }

    /// New connections work; the old ones stay as they are.
    pub fn restore(&self) {
        let mut state = self.state.lock().unwrap();
        state.swallows = false;
        if state.listener.is_none() {
            let listener = TcpListener::bind(self.port.address).unwrap();
            listener.set_nonblocking(true).unwrap();
            state.listener = Some(listener);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.lock().unwrap().is_over = true;
        self.refuse();
    }
}

/// Takes the connections that wait; false when it is over.
fn accept(state: &mut State, target: SocketAddr) -> bool {
    while let Some(Ok((client, _))) = state.listener.as_ref().map(TcpListener::accept) {
        client.set_nonblocking(false).unwrap();
        let is_dead = Arc::new(AtomicBool::new(state.swallows));
        let mut ends = vec![client.try_clone().unwrap()];
        if !state.swallows {
            let server = TcpStream::connect(target).unwrap();
            ends.push(server.try_clone().unwrap());
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                let is_dead = is_dead.clone();
                std::thread::spawn(move || pump(from, to, &is_dead));
            }
        }
        state.connections.push(Connection { ends, is_dead });
    }
    !state.is_over
}

fn pump(mut from: TcpStream, mut to: TcpStream, is_dead: &AtomicBool) {
    let mut buffer = [0; 8192];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !is_dead.load(Ordering::SeqCst) && to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    if !is_dead.load(Ordering::SeqCst) {
        let _ = to.shutdown(Shutdown::Both);
    }
}

impl Connection {
    fn end(self) {
        for end in self.ends {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}
