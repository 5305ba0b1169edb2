//! `gatewright jobs` beside a server on the same data, which takes over what the command does.

use serde_json::{Value as Json, json};

use super::cli::data_of;
use super::support::api::{Api, make_gateway};
use super::support::database::{Database, on_each_database};
use super::support::place::{Done, Place};
use super::support::server::until;

/// A server with a gateway `/shop`, and the command line beside it.
struct Shop {
    api: Api,
    place: Place,
    events: Vec<String>,
}

impl Shop {
    fn on(database: Database) -> Self {
        let api = Api::on(database);
        let events = [
            ("broken", "return [][@BODY.n];"),
            ("refuse", "@THROW.conflict(\"no\");"),
            ("flaky", "@JOB.retry(3600000);"),
            ("kept", "return @BODY.n;"),
        ];
        let made = make_gateway(&api.server, &api.token, json!({ "path": "/shop" }), &events);
        let place = Place::beside(&api.server);
        Self { events: made.events.iter().map(ToString::to_string).collect(), place, api }
    }

    fn jobs(&self, args: &[&str]) -> Done {
        let data = data_of(&self.api.server);
        let all: Vec<_> = ["jobs"].iter().chain(args).chain(&["--data", &data]).copied().collect();
        self.place.run(&all)
    }

    /// What `list` says, as JSON.
    fn listed(&self, args: &[&str]) -> Vec<Json> {
        let done = self.jobs(&[&["list", "--json"], args].concat());
        done.check(0, &[]);
        serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}: {}", done.all()))
    }

    /// Leaves a job; its id.
    fn leave(&self, call: &str) -> String {
        let script = format!("return @JOB.{call};");
        let run = self.api.test_run(json!({ "kind": "script", "script": script, "commit": true }));
        run["result"].as_str().unwrap_or_else(|| panic!("{run}")).to_owned()
    }

    fn until(&self, id: &str, state: &str) {
        until(&format!("{id} is {state}"), || {
            let job = self.api.get(&format!("/admin/jobs/{id}"));
            (job["state"] == state).then_some(())
        });
    }

    fn change(&self, event: usize, script: &str) {
        let path = format!("/admin/events/{}", self.events[event]);
        assert_eq!(self.api.admin("PATCH", &path, json!({ "sourceCode": script })).status, 200);
    }
}

fn cli_lists_retries_and_discards_jobs(database: Database) {
    let shop = Shop::on(database);
    shop.jobs(&["list"]).check(0, &["no such jobs"]);
    let broken = shop.leave("after(0, \"/shop\", \"broken\", #{ n: 1, mark: \"order-17\" })");
    let refused = shop.leave("after(0, \"/shop\", \"refuse\", #{})");
    let flaky = shop.leave("after(0, \"/shop\", \"flaky\", #{}, #{ key: \"k\" })");
    let later = shop.leave("at(\"2100-01-01T00:00:00Z\", \"/shop\", \"kept\", #{})");
    for (id, state) in [(&broken, "dead"), (&refused, "failed"), (&flaky, "retrying"), (&later, "scheduled")]
    {
        shop.until(id, state);
    }

    let table = shop.jobs(&["list"]);
    table.check(0, &["ID", "ATTEMPT", "WHEN", "2100-01-01T00:00:00Z"]);
    let line = |id: &str| table.out.lines().find(|line| line.starts_with(id)).unwrap().to_owned();
    let words = |id: &str| line(id).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&broken)[1..5], ["dead", "/shop", "broken", "1"]);
    assert_eq!(words(&broken)[6], "SCRIPT_EXECUTION_ERROR");
    assert_eq!(words(&refused)[6], "DUPLICATE_RESOURCE");
    assert_eq!(words(&later)[1..5], ["scheduled", "/shop", "kept", "0"]);
    shop.jobs(&["list", "--limit", "1"]).check(0, &["3 more", "--limit"]);
    shop.jobs(&["list", "--limit", "0"]).check(2, &["--limit"]);
    shop.jobs(&["list", "--state", "deed"]).check(1, &["deed", "dead"]);
    let found = shop.listed(&["--q", "order-17"]);
    assert_eq!(found.len(), 1);
    let of_api = shop.api.get(&format!("/admin/jobs/{broken}"));
    assert_eq!(found[0], of_api, "the command line shows what the admin API shows");
    assert_eq!(shop.listed(&["--event", "kept", "--gateway", "/shop", "--state", "scheduled"]).len(), 1);
    assert_eq!(shop.listed(&["--gateway", "/nothing"]), Vec::<Json>::new());

    // Which ones has to be said.
    shop.jobs(&["retry"]).check(1, &["--state", "--all"]);
    shop.jobs(&["discard"]).check(1, &["--all"]);
    shop.jobs(&["retry", &broken, "--all"]).check(2, &["cannot be used with"]);
    shop.jobs(&["retry", "--all", "--state", "dead"]).check(2, &["cannot be used with"]);
    shop.jobs(&["retry", "nonsense"]).check(2, &["nonsense"]);
    shop.jobs(&["retry", &later]).check(1, &["none of these", "jobs list"]);
    shop.jobs(&["retry", "--gateway", "/nothing"]).check(0, &["0 jobs are run again"]);

    // The script is mended, and the server takes the job up by itself.
    shop.change(0, "return @BODY.n;");
    shop.jobs(&["retry", &broken]).check(0, &["1 job is run again"]);
    shop.until(&broken, "done");
    shop.jobs(&["retry", "--state", "failed", "--event", "refuse"]).check(0, &["1 job is run again"]);
    shop.until(&refused, "failed");
    until("it was refused again", || (shop.listed(&["--event", "refuse"])[0]["attempt"] == 2).then_some(()));

    // What waited behind a job that is discarded goes on.
    let behind = shop.leave("after(0, \"/shop\", \"kept\", #{ n: 5 }, #{ key: \"k\" })");
    shop.until(&behind, "waiting");
    shop.jobs(&["discard", &flaky]).check(0, &["1 job is discarded"]);
    shop.until(&behind, "done");
    shop.until(&flaky, "discarded");
    shop.jobs(&["discard", &flaky]).check(1, &["none of these"]);
    shop.jobs(&["discard", "--all"]).check(0, &["2 jobs are discarded"]);
    shop.until(&later, "discarded");
    assert_eq!(shop.listed(&["--state", "done"]).len(), 2);
}

on_each_database!(cli_lists_retries_and_discards_jobs);
