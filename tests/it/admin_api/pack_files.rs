//! Packs as files: exported, sent to another server, tested; and what is refused.

use serde_json::{Value as Json, json};

use super::MISSING;
use crate::support::api::Api;
use crate::support::database::{Database, on_each_database};
use crate::support::server::Answer;

const ZIP: (&str, &str) = ("content-type", "application/zip");

impl Api {
    fn upload(&self, query: &str, bytes: &[u8]) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        self.send("POST", &format!("/admin/packs/upload{query}"), &[("authorization", &bearer), ZIP], bytes)
    }

    fn export(&self, name: &str) -> Vec<u8> {
        let answer = self.try_call("GET", &format!("/admin/packs/{name}/export"), None);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.headers["content-type"], "application/zip");
        assert!(answer.headers["content-disposition"].to_str().unwrap().contains(&format!("{name}.zip")));
        answer.bytes
    }
}

fn admin_api_packs_as_files(database: Database) {
    let api = Api::on(database);
    let built_in = api.export("chat");
    assert!(built_in.starts_with(b"PK"));
    api.make("/admin/packs", json!({ "name": "chat" }));
    assert_eq!(api.get("/admin/packs/chat")["edited"], json!([]));
    let tested = api.call("POST", "/admin/packs/chat/test", None, 200);
    assert!(tested["passed"].as_u64().unwrap() > 5 && tested["failed"] == 0, "{tested}");

    // What was edited since is told, exported and tested.
    let event = api.get("/admin/tree")["gateways"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|gateway| gateway["events"].as_array().unwrap().clone())
        .find(|event| event["eventName"] == "typing")
        .unwrap();
    let path = format!("/admin/events/{}", event["id"].as_str().unwrap());
    api.patch(&path, json!({ "sourceCode": "return \"edited <b>\";" }));
    assert_eq!(api.get("/admin/packs/chat")["edited"], json!(["/chat typing"]));
    let edited = api.export("chat");
    assert_ne!(edited, built_in);
    let tested = api.call("POST", "/admin/packs/chat/test", None, 200);
    assert!(tested["failed"].as_u64().unwrap() > 0, "{tested}");
    let failed = tested["tests"].as_array().unwrap().iter().find(|test| test["passed"] == false).unwrap();
    assert!(failed["expected"].is_string() && failed["found"].is_string(), "{failed}");
    assert_eq!(api.get("/admin/logs?limit=1")["data"], json!([]), "tests are no runs of this server");

    // Another server.
    let other = Api::on(database);
    let looked = other.upload("?dryRun=true", &edited);
    assert_eq!(looked.status, 200, "{}", looked.body);
    assert!(!looked.json()["changes"].as_array().unwrap().is_empty());
    assert_eq!(other.get("/admin/gateways")["data"], json!([]), "nothing is installed");
    let installed = other.upload("?mount=/m", &edited);
    assert_eq!(installed.status, 201, "{}", installed.body);
    let view = installed.json();
    assert_eq!(
        (&view["name"], &view["isInstalled"], &view["mount"]),
        (&json!("chat"), &json!(true), &json!("/m"))
    );
    assert_eq!(other.export("chat"), edited, "what comes in goes out");
    let again = other.upload("", &built_in);
    assert_eq!(again.status, 201, "what the pack itself has changed is no conflict: {}", again.body);
    let entries = other.get("/admin/audit?sort=id&fields=action,kind")["data"].clone();
    let uploads = entries.as_array().unwrap().iter().filter(|entry| entry["action"] == "upload");
    assert_eq!(uploads.count(), 2, "{entries}");

    api.refuses(("GET", "/admin/packs/nothing/export"), None, MISSING, &["nothing"]);
    api.refuses(("POST", "/admin/packs/nothing/test"), None, MISSING, &["nothing"]);
}

on_each_database!(admin_api_packs_as_files);

#[test]
fn admin_api_packs_that_are_none() {
    let api = Api::start();
    let refused = |answer: Answer, status: u16, mentions: &str| {
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.body.contains(mentions), "{mentions}: {}", answer.body);
    };
    refused(api.upload("", b"no zip at all"), 422, "ZIP");
    let whole = api.export("hubtel");
    refused(api.upload("", &whole[..whole.len() / 2]), 422, "ZIP");
    let mut broken = whole.clone();
    let middle = broken.len() / 2;
    broken[middle..middle + 40].fill(0x55);
    refused(api.upload("", &broken), 422, "archive");
    refused(api.upload("?mont=/a", &whole), 400, "mont");
    let bearer = format!("Bearer {}", api.token);
    for content_type in ["text/plain", "multipart/form-data", "application/json"] {
        let headers = [("authorization", &*bearer), ("content-type", content_type)];
        refused(api.send("POST", "/admin/packs/upload", &headers, &whole), 400, "application/zip");
    }
    let headers = [("authorization", &*bearer), ZIP];
    refused(api.send("POST", "/admin/packs/upload", &headers, &vec![0; 5 << 20]), 413, "too large");
    refused(api.send("POST", "/admin/packs/upload", &[ZIP], &whole), 401, "Sign in");
    let there: Vec<Json> = api.get("/admin/packs")["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|pack| pack["isInstalled"] == true)
        .cloned()
        .collect();
    assert!(there.is_empty(), "{there:?}");
}
