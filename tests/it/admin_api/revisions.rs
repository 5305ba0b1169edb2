//! The history of scripts, and how one comes back.

use serde_json::{Value as Json, json};

use super::{MISSING, NOBODY, NOT_COMPILED, check_time};
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
