//! Health, metrics, logs, stopping and dying.

use std::collections::BTreeSet;

use std::time::Instant;

use serde_json::{Value as Json, json};

use super::support::api::make_gateway;
use super::support::node::{run_scenario, start_scenario};
use super::support::polling::Polling;
use super::support::port::Port;
use super::support::server::{ADMIN_EMAIL, ADMIN_PASSWORD, PATIENCE, Server, send, until};

#[test]
fn operation_health() {
    let server = Server::start();
    for path in ["/health/live", "/health/ready"] {
        let answer = server.call("GET", path, None, &[]);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    let answer = server.call("POST", "/health/ready", None, &[]);
    assert_eq!((answer.status, answer.code().as_str()), (405, "METHOD_NOT_ALLOWED"), "{}", answer.body);
}

#[test]
fn operation_metrics_are_for_admins() {
    let server = Server::start();
    let token = server.admin_token();
    let user = json!({ "email": "u@example.com", "password": "some password" });
    assert_eq!(server.admin(&token, "POST", "/admin/users", Some(&user)).status, 201);
    let signed_in = server.call("POST", "/auth/login", Some(&user), &[]).json();
    let user_token = signed_in["accessToken"].as_str().unwrap();

    let answer = server.call("GET", "/metrics", None, &[]);
    assert_eq!((answer.status, answer.code().as_str()), (401, "AUTHENTICATION_ERROR"), "{}", answer.body);
    let answer = server.admin(user_token, "GET", "/metrics", None);
    assert_eq!((answer.status, answer.code().as_str()), (403, "AUTHORIZATION_ERROR"), "{}", answer.body);
    let answer = server.admin(&token, "GET", "/metrics", None);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let content_type = answer.headers["content-type"].to_str().unwrap();
    assert!(content_type.starts_with("text/plain"), "{content_type}");
}

#[test]
fn operation_metrics_on_a_listener_of_their_own() {
    let port = Port::new();
    let address = port.address.to_string();
    let server = Server::start_with(&[("METRICS__LISTEN", &address)], &[]);
    let own = format!("http://{address}");
    let answer = send(&own, "GET", "/metrics", &[], b"");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.contains("gatewright_queue_depth"), "{}", answer.body);
    for path in ["/admin/gateways", "/health/ready", "/docs"] {
        assert_eq!(send(&own, "GET", path, &[], b"").status, 404, "{path} does not belong on that listener");
    }
    assert_eq!(
        server.call("GET", "/metrics", None, &[]).status,
        401,
        "the server's own listener stays closed"
    );
}

#[test]
fn operation_metrics_count_what_happens() {
    let server = Server::start();
    let token = server.admin_token();
    let script = "@SOCKET.reply(\"pong\", 1); return @BODY;";
    let limits = json!({ "eventsPerSecond": 1, "burst": 3 });
    make_gateway(
        &server,
        &token,
        json!({ "path": "/m", "limits": limits }),
        &[("go", script), ("bad", "throw 1")],
    );
    let mut socket = Polling::connect(&server, "/m", None);
    assert_eq!(socket.run("go", &json!({ "n": 1 }))["success"], true);
    assert_eq!(socket.run("bad", &json!({}))["success"], false);
    while socket.ask("go", &json!({}))["accepted"] == true {}

    // A run is counted after its packet has left, so the numbers may come a moment later.
    let text = until("the counts", || {
        let text = server.admin(&token, "GET", "/metrics", None).body;
        let done = value(
            &text,
            "gatewright_events_total",
            &["gateway=\"/m\"", "event=\"bad\"", "SCRIPT_EXECUTION_ERROR"],
        );
        (done >= 1.0 && value(&text, "gatewright_handler_seconds_count", &["event=\"go\""]) >= 1.0)
            .then_some(text)
    });
    let at_least = |name: &str, labels: &[&str], least: f64| {
        let found = value(&text, name, labels);
        assert!(found >= least, "{name}{labels:?} is {found}, not {least} or more\n{text}");
    };
    at_least("gatewright_connections", &["gateway=\"/m\""], 1.0);
    at_least("gatewright_events_total", &["gateway=\"/m\"", "event=\"go\"", "outcome=\"ok\""], 1.0);
    at_least("gatewright_queue_depth", &[], 0.0);
    at_least("gatewright_queue_wait_seconds_count", &[], 2.0);
    at_least("gatewright_handler_seconds_count", &["gateway=\"/m\"", "event=\"go\""], 1.0);
    at_least("gatewright_script_operations", &[], 1.0);
    at_least("gatewright_emitted_total", &[], 1.0);
    at_least("gatewright_slow_disconnects_total", &[], 0.0);
    at_least("gatewright_rate_limited_total", &[], 1.0);
    at_least("process_resident_memory_bytes", &[], 1.0);
    at_least("gatewright_db_seconds_count", &[], 1.0);
}

#[test]
fn operation_metric_labels_are_bounded() {
    let server = Server::start();
    let token = server.admin_token();
    let scripts = [("known", "return 1;"), ("any:*", "return @EVENT;")];
    make_gateway(&server, &token, json!({ "path": "/b" }), &scripts);
    let mut socket = Polling::connect(&server, "/b", None);
    socket.run("known", &json!({}));
    assert_eq!(socket.run("any:first", &json!({}))["result"], "any:first");
    assert_eq!(socket.ask("unknown first", &json!({}))["error"]["code"], "NO_HANDLER");
    let before = series(&server, &token);
    for number in 0..100 {
        assert_eq!(socket.ask(&format!("unknown {number}"), &json!({}))["error"]["code"], "NO_HANDLER");
        assert_eq!(socket.run(&format!("any:{number}"), &json!({}))["success"], true);
        assert_eq!(
            Polling::try_connect(&server.url, &format!("/nowhere{number}"), None).err().unwrap(),
            "Invalid namespace"
        );
    }
    let after = series(&server, &token);
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.is_empty(), "series that clients made: {new:?}");
}

#[test]
fn operation_metrics_forget_what_is_gone() {
    let server = Server::start();
    let token = server.admin_token();
    let before = series(&server, &token);
    for round in 0..3 {
        let path = format!("/gone{round}");
        let made = make_gateway(&server, &token, json!({ "path": path }), &[("e", "return 1;")]);
        let mut socket = Polling::connect(&server, &path, None);
        assert_eq!(socket.run("e", &json!({}))["result"], 1);
        assert_eq!(socket.ask("unknown", &json!({}))["error"]["code"], "NO_HANDLER");
        assert!(series(&server, &token).iter().any(|name| name.contains(&path)));
        let deleted = server.admin(&token, "DELETE", &format!("/admin/gateways/{}", made.id), None);
        assert_eq!(deleted.status, 204, "{}", deleted.body);
    }
    until("the series are gone", || {
        // Their last sockets may have been counted after they were forgotten; an edit forgets again.
        make_gateway(&server, &token, json!({ "path": format!("/kept{}", uuid::Uuid::new_v4()) }), &[]);
        (!series(&server, &token).iter().any(|name| name.contains("/gone"))).then_some(())
    });
    assert!(before.is_subset(&series(&server, &token)));
}

#[test]
fn operation_stop_finishes_accepted_jobs() {
    // Time enough for a slow machine: the jobs, and the client that reads late, are what the stop waits for.
    let patient = ["QUEUE__DRAIN_MS", "LIMITS__WRITE_TIMEOUT_MS", "LIMITS__PING_TIMEOUT_MS"];
    let server = Server::start_with(&patient.map(|name| (name, "600000")), &[]);
    run_scenario(&server, "stop");
    let Some(mut scenario) = start_scenario(&server, "stop", &[("GATEWRIGHT_TEST_PHASE", "stop")]) else {
        return;
    };
    scenario.until("jobs accepted");
    let (status, _, log) = server.stop();
    scenario.succeeds(&log);
    assert_eq!(status.code(), Some(0), "{log}");
}

#[test]
fn operation_second_signal_ends_at_once() {
    // Neither the job's time nor the drain time may be what ends it.
    let settings = [("QUEUE__DRAIN_MS", "600000"), ("SCRIPTS__TIMEOUT_MAX_MS", "600000")];
    let mut server = Server::start_with(&settings, &[]);
    let token = server.admin_token();
    let slow = "@HELPERS.sleep(590000); return 1;";
    make_gateway(&server, &token, json!({ "path": "/slow", "scriptTimeoutMs": 600_000 }), &[("slow", slow)]);
    let mut socket = Polling::connect(&server, "/slow", None);
    assert_eq!(socket.ask("slow", &json!({}))["accepted"], true);
    server.signal("TERM");
    until("not ready", || {
        let answer = server.call("GET", "/health/ready", None, &[]);
        (answer.status == 503).then_some(())
    });
    assert_eq!(
        server.call("GET", "/health/live", None, &[]).status,
        200,
        "the process lives while it drains"
    );
    assert_eq!(server.call("GET", "/socket.io/?EIO=4&transport=polling", None, &[]).status, 503);
    let refused = socket.ask("slow", &json!({}));
    assert_eq!((&refused["accepted"], &refused["error"]["code"]), (&json!(false), &json!("SHUTTING_DOWN")));
    let start = Instant::now();
    server.signal("TERM");
    let status = server.wait();
    assert_ne!(status.code(), Some(0), "a stop that was cut short is no success");
    assert!(start.elapsed() < PATIENCE, "the second signal waited for the job");
}

#[test]
fn operation_kill_loses_nothing_saved() {
    let mut server = Server::start();
    let token = server.admin_token();
    let ids = make_gateway(
        &server,
        &token,
        json!({ "path": "/kept", "description": "one" }),
        &[("e", "return 0;")],
    );
    for number in 1..=50 {
        let body = json!({ "sourceCode": format!("return {number};") });
        let answer = server.admin(&token, "PATCH", &format!("/admin/events/{}", ids.events[0]), Some(&body));
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let user = json!({ "email": "kept@example.com", "password": "some password" });
    assert_eq!(server.admin(&token, "POST", "/admin/users", Some(&user)).status, 201);
    server.signal("KILL");
    server.wait();

    let server = Server::start_in(server.data.clone(), &[], &[]);
    let event = server.admin(&token, "GET", &format!("/admin/events/{}", ids.events[0]), None);
    assert_eq!(event.status, 200, "a token from before counts after; {}", event.body);
    assert_eq!(event.json()["sourceCode"], "return 50;");
    let history = format!("/admin/events/{}/revisions?limit=1000", ids.events[0]);
    assert_eq!(server.admin(&token, "GET", &history, None).json()["data"].as_array().unwrap().len(), 51);
    assert_eq!(server.call("POST", "/auth/login", Some(&user), &[]).status, 200);
    assert_eq!(Polling::connect(&server, "/kept", None).run("e", &json!({}))["result"], 50);
}

#[test]
fn operation_logs_are_json_without_secrets() {
    check_log("debug");
}

#[test]
fn operation_logs_hold_no_secrets_at_trace_either() {
    check_log("trace");
}

/// What a server at this level writes while secrets of every kind pass through it.
fn check_log(level: &str) {
    let server = Server::start_with(&[("LOGS__LEVEL", level)], &[]);
    let signed_in = json!({ "email": ADMIN_EMAIL, "password": ADMIN_PASSWORD });
    let signed_in = server.call("POST", "/auth/login", Some(&signed_in), &[]).json();
    let text = |field: &str| signed_in[field].as_str().unwrap().to_owned();
    let (token, refresh_token) = (text("accessToken"), text("refreshToken"));
    let wrong = json!({ "email": ADMIN_EMAIL, "password": "wrong-password-7f3a" });
    assert_eq!(server.call("POST", "/auth/login", Some(&wrong), &[]).status, 401);
    let renewed =
        server.call("POST", "/auth/refresh-token", Some(&json!({ "refreshToken": refresh_token })), &[]);
    let renewed = renewed.json()["accessToken"].as_str().unwrap().to_owned();
    let socket_token = server.admin(&token, "POST", "/auth/websocket-token", None).json();
    let socket_token = socket_token["token"].as_str().unwrap().to_owned();
    let user = json!({ "email": "quiet@example.com", "password": "user-password-91bc" });
    assert_eq!(server.admin(&token, "POST", "/admin/users", Some(&user)).status, 201);
    let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } } });
    let scripts =
        [("talk", "@LOGS(\"a line of the script\"); return @BODY;"), ("fail", "throw @BODY.secret;")];
    let ids = make_gateway(&server, &token, json!({ "path": "/quiet", "requireAuth": true }), &scripts);
    let body = json!({ "payloadSchema": schema });
    assert_eq!(
        server.admin(&token, "PATCH", &format!("/admin/events/{}", ids.events[1]), Some(&body)).status,
        200
    );
    let mut socket = Polling::connect(&server, "/quiet", Some(&socket_token));
    assert_eq!(socket.run("talk", &json!({ "secret": "payload-4e1d" }))["success"], true);
    assert_eq!(socket.run("fail", &json!({ "secret": "payload-4e1d" }))["success"], false);
    assert_eq!(socket.ask("fail", &json!({ "n": "payload-4e1d" }))["error"]["code"], "INVALID_PAYLOAD");
    assert_eq!(socket.ask("nobody", &json!({ "n": "payload-4e1d" }))["error"]["code"], "NO_HANDLER");
    assert!(Polling::try_connect(&server.url, "/quiet", Some("bad-token-55aa")).is_err());
    let test = json!({ "kind": "script", "script": "return @BODY;", "payload": "payload-4e1d" });
    assert_eq!(server.admin(&token, "POST", "/admin/test/run", Some(&test)).json()["success"], true);

    let (status, _, log) = server.stop();
    assert!(status.success());
    for line in log.lines() {
        let line: Json = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line.is_object(), "{line}");
    }
    let secrets = [
        ("an access token", token.as_str()),
        ("a refresh token", &refresh_token),
        ("a renewed token", &renewed),
        ("a socket's token", &socket_token),
        ("a bad token", "bad-token-55aa"),
        ("the admin's password", ADMIN_PASSWORD),
        ("a wrong password", "wrong-password-7f3a"),
        ("a user's password", "user-password-91bc"),
        ("a payload", "payload-4e1d"),
        ("a password's hash", "$argon2"),
    ];
    let leaked: Vec<_> = secrets
        .iter()
        .filter_map(|(what, secret)| Some((what, log.lines().find(|line| line.contains(secret))?)))
        .map(|(what, line)| format!("{what}: {}", &line[..line.len().min(400)]))
        .collect();
    assert!(leaked.is_empty(), "in the log at {level}:\n{}", leaked.join("\n"));
}

/// The server's lines about one run whose script logs a text.
fn lines_of_a_run() -> Vec<String> {
    let server = Server::start_with(&[("LOGS__LEVEL", "debug")], &[]);
    let token = server.admin_token();
    make_gateway(
        &server,
        &token,
        json!({ "path": "/told" }),
        &[("tell", "@LOGS(\"a line of the script\");")],
    );
    let outcome = Polling::connect(&server, "/told", Some(&token)).run("tell", &json!({}));
    let id = outcome["requestId"].as_str().unwrap();
    let (_, _, log) = server.stop();
    let lines: Vec<_> = log.lines().filter(|line| line.contains(id)).map(str::to_owned).collect();
    assert!(!lines.is_empty(), "nothing about the run {id}\n{log}");
    lines
}

#[test]
fn operation_logs_of_a_run_say_whose_it_is() {
    for line in lines_of_a_run() {
        for field in ["request_id", "gateway", "event", "user_id", "socket_id"] {
            assert!(line.contains(&format!("\"{field}\"")), "{field} is not in {line}");
        }
    }
}

#[test]
fn operation_logs_hold_what_scripts_log() {
    let lines = lines_of_a_run();
    assert!(lines.iter().any(|line| line.contains("a line of the script")), "{}", lines.join("\n"));
}

#[test]
fn operation_an_existing_folder_starts_with_one_line() {
    let server = Server::start();
    let first = server.greeting.clone();
    let (status, data, _) = server.stop();
    assert!(status.success());
    let server = Server::start_in(data, &[], &[]);
    for greeting in [&first, &server.greeting] {
        assert_eq!(greeting.lines().count(), 1, "{greeting}");
        assert!(greeting.contains(&format!("{}/docs", url_in(greeting))), "{greeting}");
        assert!(!greeting.contains(ADMIN_PASSWORD), "{greeting}");
    }
}

fn url_in(greeting: &str) -> &str {
    let from = greeting.find("http://").unwrap();
    greeting[from..].split([',', ' ']).next().unwrap()
}

/// The sum of the samples of a name whose labels contain all these texts; -1 without a sample.
fn value(text: &str, name: &str, labels: &[&str]) -> f64 {
    let samples = text.lines().filter(|line| {
        let is_name = line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        is_name && labels.iter().all(|label| line.contains(label))
    });
    let values = samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.fold(None, |sum: Option<f64>, value| Some(sum.unwrap_or(0.0) + value)).unwrap_or(-1.0)
}

/// The names of all series, labels included.
fn series(server: &Server, token: &str) -> BTreeSet<String> {
    let text = server.admin(token, "GET", "/metrics", None).body;
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
}
