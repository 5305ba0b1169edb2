//! Events: acknowledgements, matching, payloads, outcomes, order, and the chat pack that is made of them.

use std::time::Instant;

use super::support::database::{Database, on_each_database};
use super::support::node::run_scenario;
use super::support::server::{PATIENCE, Server, send};
use serde_json::json;

/// Small queues: the scenario fills them.
#[test]
fn events() {
    let settings = [("QUEUE__JOBS_PER_SOCKET", "20"), ("QUEUE__JOBS", "60"), ("QUEUE__WORKERS", "8")];
    run_scenario(&Server::start_with(&settings, &[]), "events");
}

#[test]
fn order() {
    run_scenario(&Server::start_with(&[("QUEUE__WORKERS", "4")], &[]), "order");
}

fn chat(database: Database) {
    run_scenario(&Server::start_on(database, &[], &["--pack", "chat"]), "chat");
}

on_each_database!(chat);

/// A client by hand, over polling: the signal has to come while its job runs, and only this
/// process may send it.
#[test]
fn a_stopping_server_refuses_events_and_finishes_accepted_ones() {
    let mut server = Server::start_with(&[("QUEUE__DRAIN_MS", "30000")], &[]);
    let token = server.admin_token();
    let limits = json!({ "eventsPerSecond": 0 });
    let gateway = json!({ "path": "/drain", "requireAuth": false, "limits": limits });
    let gateway = server.admin(&token, "POST", "/admin/gateways", Some(&gateway));
    let events = format!("/admin/gateways/{}/events", gateway.json()["id"].as_str().unwrap());
    let slow = "@SOCKET.reply(\"started\", 1); @HELPERS.sleep(4000); return \"finished\";";
    for (name, script) in [("slow", slow), ("quick", "return \"also finished\";")] {
        let event = json!({ "eventName": name, "sourceCode": script, "timeoutMs": 20000 });
        assert_eq!(server.admin(&token, "POST", &events, Some(&event)).status, 201);
    }

    let mut client = Poller::connect(&server.url, "/drain");
    client.send("42/drain,1[\"slow\",{}]");
    client.wait_for("\"started\"");
    server.signal("TERM");
    let (accepted, refused) = client.ask_until_refused();
    assert!(refused.contains("SHUTTING_DOWN") && refused.contains("\"queued\":false"), "{refused}");
    client.send("42/drain,[\"slow\",{}]");
    let told = client.wait_for("\"ws:error\"");
    assert!(told.contains("\"SHUTTING_DOWN\"") && told.contains("\"success\":false"), "{told}");
    let newcomer = send(&server.url, "GET", "/socket.io/?EIO=4&transport=polling", &[], b"");
    assert_eq!(newcomer.status, 503, "{}", newcomer.body);
    assert!(newcomer.headers.contains_key("retry-after"));
    assert!(client.wait_for("\"ws:result\"").contains("\"finished\""));
    for _ in 0..accepted {
        assert!(client.wait_for("\"ws:result\"").contains("\"also finished\""));
    }
    assert!(server.wait().success());
    assert!(!client.packets.iter().any(|packet| packet.starts_with("41")), "{:?}", client.packets);
}

/// A Socket.IO client over HTTP long polling.
struct Poller {
    url: String,
    /// What came and nobody has waited for yet.
    packets: Vec<String>,
}

impl Poller {
    fn open(server: &str) -> Self {
        let url = format!("{server}/socket.io/?EIO=4&transport=polling");
        let text = ureq::get(&url).call().unwrap().body_mut().read_to_string().unwrap();
        let open: serde_json::Value = serde_json::from_str(text.strip_prefix('0').unwrap()).unwrap();
        Self { url: format!("{url}&sid={}", open["sid"].as_str().unwrap()), packets: Vec::new() }
    }

    fn connect(server: &str, namespace: &str) -> Self {
        let mut client = Self::open(server);
        let answer = client.join(namespace);
        assert!(answer.starts_with("40"), "{answer}");
        client
    }

    /// The answer to the wish to join a namespace.
    fn join(&mut self, namespace: &str) -> String {
        self.send(&format!("40{namespace},"));
        self.wait_for(namespace)
    }

    fn send(&self, packet: &str) {
        let sent = ureq::post(&self.url).header("content-type", "text/plain").send(packet).unwrap();
        assert_eq!(sent.status(), 200);
    }

    /// The next packet that contains `part`; the others before it stay.
    fn wait_for(&mut self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(place) = self.packets.iter().position(|packet| packet.contains(part)) {
                return self.packets.remove(place);
            }
            assert!(Instant::now() < deadline, "no {part} in {:?}", self.packets);
            let text = ureq::get(&self.url).call().unwrap().body_mut().read_to_string().unwrap();
            for packet in text.split('\u{1e}') {
                if packet == "2" {
                    self.send("3");
                } else {
                    self.packets.push(packet.to_owned());
                }
            }
        }
    }

    /// Sends events until one is refused: the signal takes a moment. How many were accepted, and
    /// the ack of the refused one.
    fn ask_until_refused(&mut self) -> (usize, String) {
        let deadline = Instant::now() + PATIENCE;
        for accepted in 0.. {
            let number = 100 + accepted;
            self.send(&format!("42/drain,{number}[\"quick\",{{}}]"));
            let ack = self.wait_for(&format!("43/drain,{number}"));
            if !ack.contains("\"accepted\":true") {
                return (accepted, ack);
            }
            assert!(Instant::now() < deadline, "it never stopped");
        }
        unreachable!()
    }
}
