//! Script tests: `tests/*.toml` of a pack, run on the same runner as the admin API's test runs.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::manifest::{GatewaySpec, Pack, PackError};
use crate::script::{CallUser, ScriptEngine, TestCall, TestOutcome, run_test};

/// Stands for any value in what is expected.
const ANY: &str = "<any>";
/// The time of one test's run.
const TIMEOUT: Duration = Duration::from_secs(5);

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
struct Test {
    name: String,
    #[serde(default)]
    kind: TestKind,
    /// The gateway's path; may be left out where the pack has one gateway.
    gateway: Option<String>,
    event: Option<String>,
    payload: Option<Json>,
    user: Option<Json>,
    /// Rooms that the socket is in.
    #[serde(default)]
    rooms: Vec<String>,
    expect: Expect,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TestKind {
    #[default]
    Event,
    Connection,
    Disconnection,
}

/// What must come of it; what is left out may be anything, but a run must not fail unexpectedly.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    result: Option<Json>,
    error: Option<String>,
    message: Option<String>,
    emitted: Option<Json>,
    logs: Option<Json>,
}

/// Runs all tests of a pack.
///
/// # Errors
/// When a test file cannot be read or names what the pack does not have.
pub async fn run_tests(engine: &Arc<ScriptEngine>, pack: &Pack) -> Result<TestReport, PackError> {
    let mut report = TestReport::default();
    let files = pack.files.iter().filter(|(name, _)| name.starts_with("tests/") && name.ends_with(".toml"));
    for (file, text) in files {
        let tests: TestFile = toml::from_str(text).map_err(|error| PackError(format!("{file}: {error}")))?;
        for test in tests.tests {
            let name = format!("{file}: {}", test.name);
            let (source, event, gateway) =
                script_of(pack, &test).map_err(|error| PackError(format!("{name}: {error}")))?;
            let call = TestCall {
                source,
                gateway,
                event,
                payload: test.payload.clone().unwrap_or_else(|| default_payload(test.kind)),
                user: test.user.clone().map(|user| CallUser::Given(Arc::new(user))),
                request: None,
                has_socket: true,
                rooms: test.rooms.clone(),
                timeout: TIMEOUT,
                is_live: false,
                old: Json::Null,
                rows: Default::default(),
                rows_of: Vec::new(),
            };
            let outcome = run_test(engine, call).await.map_err(|error| PackError(error.to_string()))?;
            report.results.push(TestResult { name, difference: difference(&test.expect, &outcome) });
        }
    }
    Ok(report)
}

fn script_of(pack: &Pack, test: &Test) -> Result<(String, String, String), String> {
    let gateway = gateway_of(pack, test.gateway.as_deref())?;
    let (source, event) = match test.kind {
        TestKind::Connection => (gateway.connection_script.clone(), "connection".to_owned()),
        TestKind::Disconnection => (gateway.disconnection_script.clone(), "disconnection".to_owned()),
        TestKind::Event => {
            let event = test.event.clone().ok_or("name the event")?;
            let matching = gateway.events.iter().filter(|(name, _)| {
                **name == event || name.strip_suffix('*').is_some_and(|prefix| event.starts_with(prefix))
            });
            let best = matching.max_by_key(|(name, _)| (!name.ends_with('*'), name.len()));
            (best.map(|(_, spec)| spec.source_code.clone()), event)
        }
    };
    let source = source.ok_or_else(|| format!("{} has no script for {event}", gateway.path))?;
    Ok((source, event, gateway.path.clone()))
}

fn gateway_of<'a>(pack: &'a Pack, path: Option<&str>) -> Result<&'a GatewaySpec, String> {
    match (path, pack.gateways.as_slice()) {
        (Some(path), gateways) => gateways
            .iter()
            .find(|gateway| gateway.path == path)
            .ok_or_else(|| format!("there is no gateway {path}")),
        (None, [only]) => Ok(only),
        (None, _) => Err("the pack has several gateways; name one".to_owned()),
    }
}

fn default_payload(kind: TestKind) -> Json {
    match kind {
        TestKind::Event => json!({}),
        TestKind::Connection => {
            json!({ "id": "test-socket", "ip": "127.0.0.1", "headers": {}, "auth": {}, "query": {} })
        }
        TestKind::Disconnection => {
            json!({ "reason": "transport close", "rooms": [], "connectedAt": "2026-01-01T00:00:00Z" })
        }
    }
}

/// What was expected and what came, as text, where they differ.
fn difference(expect: &Expect, outcome: &TestOutcome) -> Option<(String, String)> {
    let (mut wanted, mut found) = (serde_json::Map::new(), serde_json::Map::new());
    let mut compare = |name: &str, expected: Option<Json>, got: Json| {
        if let Some(expected) = expected
            && !matches(&expected, &got)
        {
            wanted.insert(name.to_owned(), expected);
            found.insert(name.to_owned(), got);
        }
    };
    let failure = outcome.result.as_ref().err();
    if expect.error.is_none() && expect.message.is_none() {
        let got = failure.map_or(Json::Null, |failure| json!(failure.to_string()));
        compare("error", Some(Json::Null), got);
    } else {
        compare(
            "error",
            expect.error.clone().map(Json::from),
            json!(failure.map(|failure| failure.code.as_str())),
        );
        compare(
            "message",
            expect.message.clone().map(Json::from),
            json!(failure.map(|failure| &failure.message)),
        );
    }
    compare("result", expect.result.clone(), outcome.result.clone().unwrap_or_default());
    compare("emitted", expect.emitted.clone(), json!(outcome.emitted));
    compare("logs", expect.logs.clone(), outcome.logs.clone());
    (!wanted.is_empty())
        .then(|| (format!("{:#}", Json::Object(wanted)), format!("{:#}", Json::Object(found))))
}

/// Whether a value is as expected; `"<any>"` stands for any value.
fn matches(expected: &Json, found: &Json) -> bool {
    match (expected, found) {
        (Json::String(text), _) if text == ANY => true,
        (Json::Object(expected), Json::Object(found)) => {
            expected.len() == found.len()
                && expected
                    .iter()
                    .all(|(key, value)| found.get(key).is_some_and(|found| matches(value, found)))
        }
        (Json::Array(expected), Json::Array(found)) => {
            expected.len() == found.len()
                && expected.iter().zip(found).all(|(value, found)| matches(value, found))
        }
        _ => expected == found,
    }
}
