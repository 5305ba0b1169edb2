//! The history of scripts, and how one comes back.

use serde_json::{Value as Json, json};

use super::{BAD, INVALID, MISSING, NOBODY, NOT_COMPILED, check_time};
use crate::support::api::{Api, make_gateway};
use crate::support::polling::Polling;
use crate::support::server::ADMIN_EMAIL;

#[test]
fn admin_api_revisions() {
    let api = Api::start();
    let scripts = [("e", "return 1;")];
    let made =
        make_gateway(&api.server, &api.token, json!({ "path": "/r", "connectionScript": "// c1" }), &scripts);
    let event = format!("/admin/events/{}", made.events[0]);
    for script in ["return 2;", "return 3;"] {
        api.patch(&event, json!({ "sourceCode": script }));
    }
    api.patch(&event, json!({ "description": "no script, no revision" }));
    api.refuses(("PATCH", &event), Some(json!({ "sourceCode": "{{{" })), NOT_COMPILED, &[]);
    let history = format!("{event}/revisions");
    let revisions = api.get(&history);
    let sources = |list: &Json| -> Vec<(i64, String)> {
        let row = |row: &Json| (row["number"].as_i64().unwrap(), row["source"].as_str().unwrap().to_owned());
        list["data"].as_array().unwrap().iter().map(row).collect()
    };
    let expect = |list: &[(i64, &str)]| {
        list.iter().map(|(number, text)| (*number, (*text).to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(sources(&revisions), expect(&[(3, "return 3;"), (2, "return 2;"), (1, "return 1;")]));
    for row in revisions["data"].as_array().unwrap() {
        assert_eq!(row["author"], ADMIN_EMAIL, "{row}");
        check_time(&row["createdAt"]);
    }
    let list = api.get(&format!("{history}?limit=1&page=2&meta=*"));
    assert_eq!((sources(&list), &list["meta"]["totalCount"]), (expect(&[(2, "return 2;")]), &json!(3)));

    let restored = api.call("POST", &format!("{history}/1/restore"), None, 200);
    assert_eq!((&restored["sourceCode"], &restored["id"]), (&json!("return 1;"), &json!(made.events[0])));
    assert_eq!(api.get(&event)["sourceCode"], "return 1;");
    let expected = expect(&[(4, "return 1;"), (3, "return 3;"), (2, "return 2;"), (1, "return 1;")]);
    assert_eq!(sources(&api.get(&history)), expected, "a restore is a save like any other");
    let mut socket = Polling::connect(&api.server, "/r", None);
    assert_eq!(socket.run("e", &json!({}))["result"], 1, "what is restored is live");
    for number in ["0", "5", "99"] {
        api.refuses(("POST", &format!("{history}/{number}/restore")), None, MISSING, &[]);
    }

    let gateway = format!("/admin/gateways/{}", made.id);
    api.patch(&gateway, json!({ "connectionScript": "// c2", "disconnectionScript": "// d1" }));
    api.patch(&gateway, json!({ "connectionScript": null }));
    let history = format!("{gateway}/revisions");
    let oldest = api.get(&format!("{history}?sort=number"))["data"][0].clone();
    assert_eq!((&oldest["number"], &oldest["source"]), (&json!(1), &json!("// c1")));
    let restored = api.call("POST", &format!("{history}/1/restore"), None, 200);
    assert_eq!(restored["connectionScript"], "// c1");
    assert_eq!(restored["disconnectionScript"], "// d1", "a restore touches only its script");
    for path in ["gateways", "events"] {
        api.refuses(("GET", &format!("/admin/{path}/{NOBODY}/revisions")), None, MISSING, &[]);
        api.refuses(("POST", &format!("/admin/{path}/{NOBODY}/revisions/1/restore")), None, MISSING, &[]);
    }
}

/// Who saves says why; who has not seen the newest version is told of it, and saves nothing.
#[test]
fn admin_api_saves_with_a_message_and_an_expected_revision() {
    let api = Api::start();
    let gateway = api.make("/admin/gateways", json!({ "path": "/m", "message": "no script yet" }));
    assert_eq!(gateway["revision"], 0, "{gateway}");
    let events = format!("/admin/gateways/{}/events", gateway["id"].as_str().unwrap());
    let body = json!({ "eventName": "e", "sourceCode": "return 1;", "message": "the first" });
    let made = api.make(&events, body);
    assert_eq!(made["revision"], 1, "{made}");
    assert_eq!(made.get("message"), None, "it is of the revision, not of the event");
    let event = format!("/admin/events/{}", made["id"].as_str().unwrap());
    let changed =
        api.patch(&event, json!({ "sourceCode": "return 2;", "message": "2", "expectedRevision": 1 }));
    assert_eq!(changed["revision"], 2, "{changed}");
    let changed = api.patch(&event, json!({ "description": "d", "expectedRevision": 2 }));
    assert_eq!(changed["revision"], 2, "no script, no revision");

    let late = json!({ "sourceCode": "return 3;", "description": "lost", "expectedRevision": 1 });
    let answer = api.try_call("PATCH", &event, Some(late));
    assert_eq!((answer.status, answer.code().as_str()), (409, "CONFLICT"), "{}", answer.body);
    let details = &answer.json()["error"]["details"];
    assert_eq!((&details["revision"], &details["author"]), (&json!(2), &json!(ADMIN_EMAIL)), "{details}");
    check_time(&details["createdAt"]);
    let row = api.get(&event);
    assert_eq!((&row["sourceCode"], &row["description"]), (&json!("return 2;"), &json!("d")));
    assert_eq!(row["revision"], 2);
    assert_eq!(api.get(&events)["data"][0]["revision"], 2, "lists have it too");

    api.call("POST", &format!("{event}/revisions/1/restore"), None, 200);
    let messages = |list: &Json| -> Vec<Json> {
        list["data"].as_array().unwrap().iter().map(|row| row["message"].clone()).collect()
    };
    let history = api.get(&format!("{event}/revisions"));
    assert_eq!(messages(&history), [json!("Revision 1 again"), json!("2"), json!("the first")]);
    let found = api.get(&format!("{event}/revisions?filter=%7B%22message%22%3A%222%22%7D"));
    assert_eq!(messages(&found), [json!("2")]);

    for (method, path, body, (status, code), mentions) in [
        ("PATCH", &event, json!({ "message": 1 }), BAD, "message"),
        ("PATCH", &event, json!({ "expectedRevision": "1" }), BAD, "expectedRevision"),
        ("PATCH", &event, json!({ "message": "x".repeat(1001) }), BAD, "1000"),
        (
            "POST",
            &events,
            json!({ "eventName": "f", "sourceCode": "1", "expectedRevision": 0 }),
            INVALID,
            "changes",
        ),
    ] {
        let answer = api.try_call(method, path, Some(body));
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.body);
        assert!(answer.body.contains(mentions), "{}", answer.body);
    }
    let schedule =
        json!({ "name": "s", "cron": "* * * * *", "gatewayPath": "/m", "eventName": "e", "message": "x" });
    api.refuses(("POST", "/admin/schedules"), Some(schedule), BAD, &["message"]);
}
