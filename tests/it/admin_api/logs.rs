//! The log of runs, and the counts.

use serde_json::{Value as Json, json};

use super::BAD;
use crate::support::api::{Api, make_gateway, refused};
use crate::support::polling::Polling;
use crate::support::server::until;

#[test]
fn admin_api_logs() {
    let api = Api::start();
    let scripts = [
        ("good", "@LOGS(\"seen\", @BODY); return 1;"),
        ("bad", "@LOGS(\"then\"); @THROW.notFound(\"gone\");"),
    ];
    make_gateway(&api.server, &api.token, json!({ "path": "/l" }), &scripts);
    make_gateway(&api.server, &api.token, json!({ "path": "/other" }), &scripts);
    let me = api.get("/me");
    let mut guest = Polling::connect(&api.server, "/l", None);
    let mut member = Polling::connect(&api.server, "/other", Some(&api.token));
    let ids = [
        guest.run("good", &json!({ "n": 1 }))["requestId"].clone(),
        guest.run("bad", &json!({}))["requestId"].clone(),
        member.run("good", &json!({}))["requestId"].clone(),
        member.run("bad", &json!({}))["requestId"].clone(),
    ];
    until("all runs in the log", || {
        (api.get("/admin/logs")["data"].as_array().unwrap().len() == 4).then_some(())
    });
    let check = |query: &str, expected: &[usize]| {
        let found = api.get(&format!("/admin/logs?{query}"));
        let found: Vec<_> =
            found["data"].as_array().unwrap().iter().map(|run| run["requestId"].clone()).collect();
        let expected: Vec<_> = expected.iter().map(|index| ids[*index].clone()).collect();
        assert_eq!(found, expected, "{query}: newest first");
    };
    check("", &[3, 2, 1, 0]);
    check("gateway=/l", &[1, 0]);
    check("gateway=/nowhere", &[]);
    check("eventName=good", &[2, 0]);
    check("outcome=error", &[3, 1]);
    check("outcome=ok", &[2, 0]);
    check("code=RESOURCE_NOT_FOUND", &[3, 1]);
    check("code=SCRIPT_TIMEOUT", &[]);
    check(&format!("userId={}", me["id"].as_str().unwrap()), &[3, 2]);
    check(&format!("requestId={}", ids[1].as_str().unwrap()), &[1]);
    check("gateway=/l&outcome=error", &[1]);
    check("limit=1", &[3]);
    check("limit=1&page=2", &[2]);
    check("limit=3&page=2", &[0]);
    check("page=9", &[]);

    let runs = api.get("/admin/logs");
    let (bad, good) = (&runs["data"][2], &runs["data"][3]);
    let expected = json!({
        "requestId": ids[0], "gateway": "/l", "eventName": "good", "userId": null, "outcome": "ok", "code": null,
        "logs": ["seen", { "n": 1 }],
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&good[name], value, "{good}");
    }
    let failed = (&bad["outcome"], &bad["code"], &bad["logs"]);
    assert_eq!(failed, (&json!("error"), &json!("RESOURCE_NOT_FOUND"), &json!(["then"])));
    assert_eq!(runs["data"][0]["userId"], me["id"]);
    for field in ["durationMs", "queuedMs"] {
        assert!(good[field].as_f64().unwrap() >= 0.0, "{good}");
    }
    assert!(good["operations"].as_u64().unwrap() > 0);
    for wrong in ["colour=1", "requestId=5", "outcome=maybe"] {
        let name = wrong.split('=').next().unwrap();
        api.refuses(("GET", &format!("/admin/logs?{wrong}")), None, BAD, &[name]);
    }
}

#[test]
fn admin_api_logs_take_the_parameters_of_lists() {
    let api = Api::start();
    let mut wrong = Vec::new();
    let mut check = |query: &str, status: &[u16]| {
        let answer = api.try_call("GET", &format!("/admin/logs?{query}"), None);
        if !status.contains(&answer.status) {
            wrong.push(format!("{query}: {} {}", answer.status, answer.body));
        }
    };
    for refused in ["limit=0", "limit=1001", "page=0"] {
        check(refused, &[400, 422]);
    }
    for taken in
        ["filter=%7B%22outcome%22:%22error%22%7D", "sort=-durationMs", "fields=requestId,code", "meta=*"]
    {
        check(taken, &[200]);
    }
    assert!(wrong.is_empty(), "other than every list:\n{}", wrong.join("\n"));
}

#[test]
fn admin_api_stats() {
    let api = Api::start();
    let scripts = [("good", "return 1;"), ("bad", "throw 1;")];
    make_gateway(
        &api.server,
        &api.token,
        json!({ "path": "/st", "connectionScript": "return 1;" }),
        &scripts,
    );
    let stats = api.get("/admin/stats");
    assert_eq!(stats["connections"]["total"], 0);
    let mut one = Polling::connect(&api.server, "/st", None);
    let mut two = Polling::connect(&api.server, "/st", None);
    for _ in 0..3 {
        assert_eq!(one.run("good", &json!({}))["success"], true);
    }
    assert_eq!(two.run("bad", &json!({}))["success"], false);
    // A refused event is no run.
    assert_eq!(two.ask("nobody", &json!({}))["error"]["code"], "NO_HANDLER");
    let handler = |stats: &Json, name: &str| {
        let handlers = stats["handlers"].as_array().unwrap();
        handlers
            .iter()
            .find(|row| row["gateway"] == "/st" && row["eventName"] == name)
            .cloned()
            .unwrap_or_default()
    };
    // A job gives its place back just after its outcome is told.
    let stats = until("the counts", || {
        let stats = api.get("/admin/stats");
        let all_ran = handler(&stats, "good")["count"] == 3 && handler(&stats, "bad")["count"] == 1;
        (all_ran && stats["queueDepth"] == 0).then_some(stats)
    });
    assert_eq!(
        (&handler(&stats, "good")["errors"], &handler(&stats, "bad")["errors"]),
        (&json!(0), &json!(1))
    );
    let good = handler(&stats, "good");
    let quantiles: Vec<_> =
        ["p50Ms", "p95Ms", "p99Ms"].iter().map(|name| good[name].as_f64().unwrap()).collect();
    assert!(quantiles.is_sorted() && quantiles[0] > 0.0, "{good}");
    assert_eq!(stats["connections"], json!({ "total": 2, "gateways": { "/st": 2 } }));
    assert!(stats["eventsPerSecond"].as_f64().unwrap() >= 0.0);
}

#[test]
fn admin_api_stats_history() {
    let api = Api::start();
    let stats = api.get("/admin/stats");
    assert_eq!((&stats["p50Ms"], &stats["p99Ms"]), (&Json::Null, &Json::Null), "nothing ran: {stats}");
    assert_eq!(stats["errorsPerSecond"], 0.0);
    let scripts = [("good", "return 1;"), ("bad", "throw 1;")];
    make_gateway(&api.server, &api.token, json!({ "path": "/st" }), &scripts);
    let mut socket = Polling::connect(&api.server, "/st", None);
    assert_eq!(socket.run("good", &json!({}))["success"], true);
    assert_eq!(socket.run("bad", &json!({}))["success"], false);
    let points = until("the runs in the history", || {
        let answer = api.get("/admin/stats/history?window=15m");
        assert_eq!(answer["stepSeconds"], 1);
        let points = answer["points"].as_array().unwrap().clone();
        let has = |name: &str| points.iter().any(|point| point[name].as_f64().unwrap() > 0.0);
        (has("eventsPerSecond") && has("errorsPerSecond")).then_some(points)
    });
    assert!(points.iter().map(|point| point["at"].as_str().unwrap()).is_sorted(), "oldest first");
    let ran = points.iter().find(|point| point["eventsPerSecond"].as_f64().unwrap() > 0.0).unwrap();
    assert!(ran["p50Ms"].as_f64().unwrap() > 0.0, "{ran}");
    assert!(ran["p99Ms"].as_f64() >= ran["p95Ms"].as_f64(), "{ran}");
    assert_eq!((&ran["connections"], ran["queueDepth"].is_u64()), (&json!(1), true), "{ran}");
    let stats = api.get("/admin/stats");
    assert!(stats["p50Ms"].as_f64().unwrap() > 0.0, "{stats}");
    assert!(stats["uptimeSeconds"].is_u64(), "{stats}");
}

#[test]
fn admin_api_stats_history_says_what_is_allowed() {
    let api = Api::start();
    for (query, step) in [("", 1), ("?step=5", 5), ("?window=1h", 5), ("?window=24h&step=60", 60)] {
        assert_eq!(api.get(&format!("/admin/stats/history{query}"))["stepSeconds"], step, "{query}");
    }
    for (query, mentions) in [
        ("?window=2h", "15m, 1h or 24h"),
        ("?window=", "15m, 1h or 24h"),
        ("?step=2", "1 or 5 or 60"),
        ("?step=-1", "1 or 5 or 60"),
        ("?window=24h&step=1", "is 60"),
        ("?windows=1h", "windows"),
    ] {
        let answer = api.admin("GET", &format!("/admin/stats/history{query}"), Json::Null);
        refused(&answer, 400, "BAD_REQUEST", mentions);
    }
}

/// One run by its id, with the hooks of its writes; and those that took long.
#[test]
fn admin_api_one_run_and_slow_runs() {
    let api = Api::start();
    api.table("noted", json!([{ "name": "a", "type": "string" }]));
    api.hook("noted", "before", &["create"], "@LOGS(1);");
    let scripts =
        [("write", "#noted.create(#{ data: #{ a: \"x\" } }); return 1;"), ("slow", "@HELPERS.sleep(50);")];
    make_gateway(&api.server, &api.token, json!({ "path": "/one" }), &scripts);
    let mut socket = Polling::connect(&api.server, "/one", None);
    let id = socket.run("write", &json!({}))["requestId"].as_str().unwrap().to_owned();
    let slow = socket.run("slow", &json!({}))["requestId"].clone();
    let run = until("the run", || {
        let answer = api.admin("GET", &format!("/admin/logs/{id}"), Json::Null);
        (answer.status == 200).then(|| answer.json())
    });
    assert_eq!(
        (&run["requestId"], &run["kind"], &run["eventName"]),
        (&json!(id), &json!("event"), &json!("write"))
    );
    assert_eq!(run["hooks"].as_array().unwrap().len(), 1, "{run}");
    assert_eq!((&run["hooks"][0]["kind"], &run["hooks"][0]["requestId"]), (&json!("hook"), &json!(id)));
    let found = until("the slow run", || {
        let list = api.get("/admin/logs?gateway=/one&slowerThanMs=49.5&kind=event&eventName=slow");
        list["data"].as_array().filter(|all| !all.is_empty()).cloned()
    });
    assert_eq!(found[0]["requestId"], slow);
    assert_eq!(api.get("/admin/logs?gateway=/one&slowerThanMs=100000000")["data"], json!([]));
    let nobody = format!("/admin/logs/{}", super::NOBODY);
    refused(&api.admin("GET", &nobody, Json::Null), 404, "RESOURCE_NOT_FOUND", "among the last");
    refused(&api.admin("GET", "/admin/logs/x", Json::Null), 400, "BAD_REQUEST", "requestId");
    refused(&api.admin("GET", "/admin/logs?slowerThanMs=-1", Json::Null), 400, "BAD_REQUEST", "slowerThanMs");
}
