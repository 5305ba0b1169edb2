//! Durable events and jobs under faults: kills, poison, a disk that is full, a database that is gone, nodes that hang.

mod books;
mod clock;
mod crowd;
mod letters;
mod lost;
mod nodes;

use serde_json::{Value as Json, json};

use super::support::api::Api;
use super::support::polling::Polling;
use super::support::server::until;

/// A gateway of durable events, public and without a limit of their rate.
struct Gateway {
    id: String,
    /// The ids of its events, as they were given.
    events: Vec<String>,
}

/// Makes such a gateway; each event has a name, a script and more fields.
fn make_durable(api: &Api, mut fields: Json, events: &[(&str, &str, Json)]) -> Gateway {
    fields["requireAuth"] = json!(false);
    fields["limits"] = json!({ "eventsPerSecond": 0 });
    let id = id_of(&api.make("/admin/gateways", fields));
    let events = events.iter().map(|(name, script, more)| make_event(api, &id, name, script, more)).collect();
    Gateway { id, events }
}

/// Makes a durable event; its id.
fn make_event(api: &Api, gateway: &str, name: &str, script: &str, more: &Json) -> String {
    let mut event = json!({ "eventName": name, "sourceCode": script, "delivery": "durable" });
    for (name, value) in more.as_object().into_iter().flatten() {
        event[name] = value.clone();
    }
    id_of(&api.make(&format!("/admin/gateways/{gateway}/events"), event))
}

impl Gateway {
    fn pause(&self, api: &Api) {
        self.told(api, "pause");
    }

    fn resume(&self, api: &Api) {
        self.told(api, "resume");
    }

    fn told(&self, api: &Api, what: &str) {
        let answer = api.admin("POST", &format!("/admin/gateways/{}/{what}", self.id), Json::Null);
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// Gives an event another script.
    fn mend(&self, api: &Api, event: usize, script: &str) {
        let path = format!("/admin/events/{}", self.events[event]);
        let answer = api.admin("PATCH", &path, json!({ "sourceCode": script }));
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

fn id_of(row: &Json) -> String {
    row["id"].as_str().unwrap_or_else(|| panic!("no id: {row}")).to_owned()
}

/// Sends a durable event that is taken; the id of its job.
fn stored(socket: &mut Polling, event: &str, payload: &Json) -> String {
    let ack = socket.ask(event, payload);
    assert_eq!((&ack["accepted"], &ack["queued"]), (&json!(true), &json!(true)), "{event}: {ack}");
    ack["requestId"].as_str().unwrap().to_owned()
}

fn job(api: &Api, id: &str) -> Json {
    api.get(&format!("/admin/jobs/{id}"))
}

/// Waits until a job has this state; the job.
fn until_is(api: &Api, id: &str, state: &str) -> Json {
    let mut last = Json::Null;
    until(&format!("{id} {state}"), || {
        last = job(api, id);
        // Told at once where it has ended otherwise.
        let is_over = ["done", "failed", "dead", "discarded"].iter().any(|end| last["state"] == **end);
        assert!(!is_over || last["state"] == state, "not {state}: {last}");
        (last["state"] == state).then_some(())
    });
    last
}

/// Tells jobs to be retried or discarded; how many were.
fn tell_jobs(api: &Api, what: &str, body: Json) -> u64 {
    let answer = api.admin("POST", &format!("/admin/jobs/{what}"), body);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()[if what == "retry" { "retried" } else { "discarded" }].as_u64().unwrap()
}

/// The codes of the attempts that failed.
fn codes(job: &Json) -> Vec<&str> {
    job["attempts"].as_array().unwrap().iter().map(|attempt| attempt["code"].as_str().unwrap()).collect()
}

/// Waits until no job waits or runs, as long as they become fewer.
fn until_quiet(api: &Api) {
    let count = |state: &&str| {
        let jobs = api.get(&format!("/admin/jobs?state={state}&limit=1&meta=*"));
        jobs["meta"]["filterCount"].as_u64().unwrap()
    };
    let mut left = u64::MAX;
    while left > 0 {
        left = until("fewer jobs", || {
            let now = ["scheduled", "waiting", "running", "retrying"].iter().map(count).sum();
            (now < left).then_some(now)
        });
        // Counting very many takes the time of those that run.
        std::thread::sleep(std::time::Duration::from_millis((left / 100).min(500)));
    }
}
