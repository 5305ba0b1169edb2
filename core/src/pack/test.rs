//! Script tests: `tests/*.toml` of a pack, run on the same runner as the admin API's test runs.
//!
//! They run where the pack is installed, each in a transaction that is undone, so that hooks of
//! the pack run and no test sees another's rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::expect::{Expect, difference};
use super::install::install;
use super::manifest::{Pack, PackError, readable};
use super::plan::InstallOptions;
use super::test_job::{RunJob, WaitingJob, clock};
use super::thing::Thing;
use crate::catalog::{Catalog, Event, EventTable, Found, Gateway, Hook, RouteTable, normal_method};
use crate::data::Row;
use crate::run::{MoveOn, TestCall, Trigger, run_test};
use crate::script::{CallUser, Handler, HttpRequest, OtherSocket, Within};

/// What came of one test.
#[derive(Debug, Clone)]
pub struct TestResult {
    /// The file and the test's name.
    pub name: String,
    /// What was expected and what came, where they differ; none: it passed.
    pub difference: Option<(String, String)>,
}

/// What came of a pack's tests.
#[derive(Debug, Clone, Default)]
pub struct TestReport {
    /// Each test, in order.
    pub results: Vec<TestResult>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TestFile {
    tests: Vec<Test>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Test {
    name: String,
    #[serde(default)]
    kind: TestKind,
    /// The gateway's path; may be left out where the pack has one gateway.
    gateway: Option<String>,
    event: Option<String>,
    /// Of a request; GET by default.
    method: Option<String>,
    /// Of a request, such as `/orders/42/ship`.
    path: Option<String>,
    /// `@PARAMS`; without it those of the path.
    params: Option<Map<String, Json>>,
    #[serde(default)]
    query: Map<String, Json>,
    #[serde(default)]
    headers: Map<String, Json>,
    /// `@APP`, of a request, a socket or a job.
    app: Option<Json>,
    /// Of a hook: its table, what is done to the row, and where several hooks do, which.
    table: Option<String>,
    operation: Option<String>,
    when: Option<String>,
    priority: Option<i64>,
    /// The row before, of a hook.
    #[serde(default)]
    old: Json,
    /// What runs instead of the pack's own script.
    script: Option<String>,
    /// `@BODY`; of a hook, the row.
    #[serde(alias = "row")]
    payload: Option<Json>,
    user: Option<Json>,
    /// Rooms that the socket is in.
    #[serde(default)]
    rooms: Vec<String>,
    /// Other sockets.
    #[serde(default)]
    sockets: Vec<TestSocket>,
    /// Rows that exist, by table.
    #[serde(default)]
    rows: BTreeMap<String, Vec<Row>>,
    /// Jobs for later that wait.
    #[serde(default)]
    jobs: Vec<WaitingJob>,
    /// Which job it is, of a job or of a durable event.
    #[serde(default)]
    job: RunJob,
    /// The time, which stands still.
    now: Option<String>,
    /// How far the time is moved on after the script, in milliseconds.
    move_on: Option<u32>,
    expect: Expect,
}

/// A socket besides the one that triggers the run.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TestSocket {
    id: String,
    /// May be left out where the pack has one gateway.
    gateway: Option<String>,
    user_id: Option<String>,
    #[serde(default)]
    rooms: Vec<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TestKind {
    #[default]
    Event,
    Admission,
    Connection,
    Disconnection,
    Job,
    Route,
    Hook,
}

/// What a test is about.
pub(super) struct Tested {
    /// What tells the thing from all others.
    pub key: String,
    /// The handler by the name that runs have, such as `/chat sendMessage`.
    pub name: String,
}

/// What a test runs, and as what.
struct Subject {
    source: String,
    /// Its own time, if it has one.
    timeout_ms: Option<i64>,
    event: String,
    trigger: Trigger,
    tested: Option<Tested>,
}

/// Installs a pack, whatever is there, and runs all its tests. The catalog has to be one for this
/// purpose alone.
///
/// # Errors
/// When the pack does not install, or a test file cannot be read or names what the pack does not
/// have.
pub async fn run_tests(catalog: &Catalog, pack: &Pack) -> Result<TestReport, PackError> {
    let installed = install(catalog, pack, InstallOptions::forced(true)).await;
    installed.map_err(|error| PackError(error.into_failure().to_string()))?;
    let mut report = TestReport::default();
    for (file, text) in pack.test_files() {
        let tests: TestFile =
            toml::from_str(text).map_err(|error| PackError(format!("{file}: {}", readable(&error))))?;
        for test in tests.tests {
            let name = format!("{file}: {}", test.name);
            let difference = run_one(catalog, pack, test).await;
            let difference = difference.map_err(|error| PackError(format!("{name}: {error}")))?;
            report.results.push(TestResult { name, difference });
        }
    }
    Ok(report)
}

/// Runs a test against what is live, of which `pack` has all; what was expected and what came, where they differ.
pub(super) async fn run_one(
    catalog: &Catalog,
    pack: &Pack,
    test: Test,
) -> Result<Option<(String, String)>, String> {
    let subject = test.subject(pack)?;
    let now_ms = clock(test.now.as_deref())?;
    let waiting = test.jobs.into_iter().map(|job| {
        let gateway = gateway_of(pack, job.gateway.as_deref())?;
        Ok(job.later(&gateway.path, now_ms))
    });
    let waiting = waiting.collect::<Result<Vec<_>, String>>()?;
    let sockets = test.sockets.into_iter().map(|socket| {
        let gateway = gateway_of(pack, socket.gateway.as_deref())?.path.clone();
        Ok(OtherSocket { id: socket.id, gateway, user_id: socket.user_id, rooms: socket.rooms })
    });
    let sockets = sockets.collect::<Result<Vec<_>, String>>()?;
    let attempts = catalog.job_attempts();
    let mut rows = test.rows;
    let mut ordered: Vec<_> =
        pack.table_names().into_iter().filter_map(|name| rows.remove_entry(name)).collect();
    ordered.extend(rows);
    let checked_by = checked_by(catalog, test.kind, &subject);
    let call = TestCall {
        source: subject.source,
        within: Within {
            libraries: catalog.libraries(),
            pack: (!pack.name.is_empty()).then(|| pack.name.as_str().into()),
        },
        checked_by,
        trigger: subject.trigger,
        app: test.app,
        event: subject.event,
        payload: test.payload.unwrap_or_else(|| default_payload(test.kind)),
        user: test.user.map(|user| CallUser::Given(Arc::new(user))),
        timeout: catalog.timeout(subject.timeout_ms),
        is_live: false,
        old: test.old,
        clock_ms: Some(now_ms),
        waiting,
        events: Some(catalog.live()),
        move_on: test.move_on.map(|ms| MoveOn { ms: ms.into(), attempts }),
        sockets,
        rows: ordered,
        rows_of: test.expect.rows.keys().cloned().collect(),
    };
    let outcome = run_test(catalog.engine(), call).await;
    let outcome = outcome.map_err(|error| error.into_failure().to_string())?;
    Ok(difference(&test.expect, &outcome))
}

/// The event whose schema the payload of a test has to fit, as that of a client.
fn checked_by(catalog: &Catalog, kind: TestKind, subject: &Subject) -> Option<Arc<Handler>> {
    match &subject.trigger {
        Trigger::Socket { gateway, .. } | Trigger::Job { gateway, .. } if kind == TestKind::Event => {
            catalog.handler(gateway, &subject.event)
        }
        _ => None,
    }
}

impl Test {
    /// What it is about, where that is there.
    pub(super) fn tested(&self, pack: &Pack) -> Option<Tested> {
        self.subject(pack).ok()?.tested
    }

    /// That all that it names is there.
    ///
    /// # Errors
    /// What is not, in a sentence.
    pub(super) fn check(&self, pack: &Pack) -> Result<(), String> {
        self.subject(pack)?;
        clock(self.now.as_deref())?;
        let of_sockets = self.sockets.iter().map(|socket| socket.gateway.as_deref());
        let of_jobs = self.jobs.iter().map(|job| job.gateway.as_deref());
        of_sockets.chain(of_jobs).try_for_each(|path| gateway_of(pack, path).map(drop))
    }

    fn subject(&self, pack: &Pack) -> Result<Subject, String> {
        match self.kind {
            TestKind::Route => self.route(pack),
            TestKind::Hook => self.hook(pack),
            TestKind::Event
            | TestKind::Admission
            | TestKind::Connection
            | TestKind::Disconnection
            | TestKind::Job => self.of_gateway(pack),
        }
    }

    fn of_gateway(&self, pack: &Pack) -> Result<Subject, String> {
        let gateway = gateway_of(pack, self.gateway.as_deref())?;
        let mut timeout_ms = gateway.script_timeout_ms;
        let mut is_job = self.kind == TestKind::Job;
        let mut tested = Thing::Gateway(gateway.clone()).key();
        let (source, event) = match self.kind {
            TestKind::Admission => (gateway.admission_script.clone(), "admission".to_owned()),
            TestKind::Connection => (gateway.connection_script.clone(), "connection".to_owned()),
            TestKind::Disconnection => (gateway.disconnection_script.clone(), "disconnection".to_owned()),
            _ => {
                let name = self.event.clone().ok_or("name the event")?;
                let event = event_of(pack, &gateway.path, &name);
                timeout_ms = event.and_then(|event| event.timeout_ms).or(timeout_ms);
                is_job |= event.is_some_and(Event::is_durable);
                if let Some(event) = event {
                    tested = Thing::Event { gateway: gateway.path.clone(), event: event.clone() }.key();
                }
                (event.map(|event| event.source_code.clone()), name)
            }
        };
        let source = self.script.clone().or(source);
        let source = source.ok_or_else(|| format!("{} has no script for {event}", gateway.path))?;
        let gateway = gateway.path.clone();
        let trigger = if self.kind == TestKind::Admission {
            Trigger::Admission(gateway)
        } else if is_job {
            let attempt = self.job.attempt.unwrap_or(1);
            let id = self.job.id.unwrap_or_else(crate::id::new_id);
            let rooms = (self.kind != TestKind::Job).then(|| self.rooms.clone());
            Trigger::Job { gateway, id, attempt, rooms }
        } else {
            Trigger::Socket { gateway, rooms: self.rooms.clone() }
        };
        let name = match self.kind {
            TestKind::Event | TestKind::Job => tested.clone(),
            _ => format!("{tested} {event}"),
        };
        Ok(Subject { source, timeout_ms, event, trigger, tested: Some(Tested { key: tested, name }) })
    }

    fn route(&self, pack: &Pack) -> Result<Subject, String> {
        let method = normal_method(self.method.as_deref().unwrap_or("GET"));
        let method = method.map_err(|failure| failure.message.into_owned())?;
        let path = self.path.clone().ok_or("name the path")?;
        let mut table = RouteTable::default();
        for thing in &pack.things {
            if let Thing::Route(route) = thing {
                table.insert(&route.method, &route.path, (thing, route));
            }
        }
        let found = table.find(&method, &path).map_err(|failure| failure.message.into_owned())?;
        let (own, event, params, tested) = match found {
            Found::Route((thing, route), params) => {
                let tested = Tested { key: thing.key(), name: format!("routes {}", thing.subject()) };
                (Some(route), thing.subject(), params, Some(tested))
            }
            _ => (None, format!("{method} {path}"), Map::new(), None),
        };
        let (timeout_ms, own) = (own.and_then(|own| own.timeout_ms), own.map(|own| own.source_code.clone()));
        let source = self.script.clone().or(own).ok_or_else(|| format!("the pack has no route {event}"))?;
        let params = self.params.clone().unwrap_or(params);
        let request = HttpRequest::new(method, path, "127.0.0.1".to_owned(), params, self.query.clone());
        let request = request.with_headers(self.headers.clone()).with_app(self.app.clone());
        let trigger = Trigger::Route(Arc::new(request));
        Ok(Subject { source, timeout_ms, event, trigger, tested })
    }

    fn hook(&self, pack: &Pack) -> Result<Subject, String> {
        let table = self.table.clone().ok_or("name the table")?;
        let operation = self.operation.clone().ok_or("name the operation: create, update or delete")?;
        let mut matching = pack.things.iter().filter_map(|thing| match thing {
            Thing::Hook(hook) if hook.table == table && hook.on.contains(&operation) => Some((thing, hook)),
            _ => None,
        });
        let mut is_meant = |(_, hook): &(&Thing, &Hook)| {
            self.when.as_ref().is_none_or(|when| *when == hook.when)
                && self.priority.is_none_or(|priority| priority == hook.priority)
        };
        let found = matching.find(&mut is_meant);
        let source = match (&self.script, found) {
            (Some(script), _) => script.clone(),
            (None, None) => return Err(format!("the pack has no such hook for {operation} of {table}")),
            (None, Some(_)) if matching.any(|found| is_meant(&found)) => {
                return Err(format!(
                    "the pack has several hooks for {operation} of {table}; name `when` or `priority`"
                ));
            }
            (None, Some((_, hook))) => hook.source_code.clone(),
        };
        let tested = found.map(|(thing, hook)| Tested {
            key: thing.key(),
            name: format!("hooks {} {} {}", hook.when, hook.on.join(","), hook.table),
        });
        let gateway = self.gateway.clone().unwrap_or_else(|| "/".to_owned());
        let trigger = Trigger::Gateway(gateway);
        Ok(Subject { source, timeout_ms: None, event: operation, trigger, tested })
    }
}

fn gateway_of<'a>(pack: &'a Pack, path: Option<&str>) -> Result<&'a Gateway, String> {
    let mut gateways = pack.things.iter().filter_map(|thing| match thing {
        Thing::Gateway(gateway) => Some(gateway),
        _ => None,
    });
    match (path, gateways.next(), gateways.next()) {
        (None, Some(only), None) => Ok(only),
        (None, None, _) => Err("the pack has no gateway".to_owned()),
        (None, ..) => Err("the pack has several gateways; name one".to_owned()),
        (Some(path), first, second) => {
            let mut all = first.into_iter().chain(second).chain(gateways);
            all.find(|gateway| gateway.path == path).ok_or_else(|| format!("there is no gateway {path}"))
        }
    }
}

/// The event that takes this name.
fn event_of<'a>(pack: &'a Pack, path: &str, name: &str) -> Option<&'a Event> {
    let events = pack.things.iter().filter_map(|thing| match thing {
        Thing::Event { gateway, event } if gateway == path => Some((event.event_name.clone(), event)),
        _ => None,
    });
    events.collect::<EventTable<_>>().find(name).copied()
}

fn default_payload(kind: TestKind) -> Json {
    match kind {
        TestKind::Event | TestKind::Job | TestKind::Route | TestKind::Hook => json!({}),
        TestKind::Admission | TestKind::Connection => {
            json!({ "id": "test-socket", "ip": "127.0.0.1", "headers": {}, "auth": {}, "query": {} })
        }
        TestKind::Disconnection => {
            json!({ "reason": "transport close", "rooms": [], "connectedAt": "2026-01-01T00:00:00Z" })
        }
    }
}
