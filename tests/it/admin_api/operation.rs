//! What operators ask: configuration, health, backups, and finding things; and where admins are served.

use serde_json::{Value as Json, json};

use super::{INVALID, check_time, encode};
use crate::support::api::{Api, make_gateway};
use crate::support::database::{Database, on_each_database};
use crate::support::port::Port;
use crate::support::server::{ADMIN_EMAIL, ADMIN_PASSWORD, Server, send, until};

#[test]
fn admin_api_config() {
    let settings = [
        ("LIMITS__BURST", "321"),
        ("AUTH__ISSUER__ISSUER", "https://login.example.com/"),
        ("AUTH__ISSUER__AUDIENCE", "us"),
        ("AUTH__ISSUER__ALGORITHM", "HS256"),
        ("AUTH__ISSUER__SECRET", "a secret that nobody may see, ever"),
        ("ALLOWED_ORIGINS", "https://a.example"),
    ];
    let api = Api::of(Server::start_with(&settings, &[]));
    let all = api.get("/admin/config")["data"].clone();
    let of = |key: &str| {
        let found = all.as_array().unwrap().iter().find(|setting| setting["key"] == key);
        let found = found.unwrap_or_else(|| panic!("no {key} in {all}"));
        (found["value"].as_str().unwrap().to_owned(), found["origin"].as_str().unwrap().to_owned())
    };
    let text = |value: &str, origin: &str| (value.to_owned(), origin.to_owned());
    assert_eq!(of("limits.burst"), text("321", "GATEWRIGHT_LIMITS__BURST"));
    assert_eq!(of("queue.jobs_per_socket"), text("10000", "default"));
    assert_eq!(of("admin_password").0, "(secret)");
    assert_eq!(of("auth.issuer.secret").0, "(secret)");
    for secret in [ADMIN_PASSWORD, "nobody may see"] {
        assert!(!all.to_string().contains(secret));
    }
}

fn admin_api_health(database: Database) {
    let api = Api::on(database);
    let health = api.get("/admin/health");
    assert_eq!(health["status"], "ok");
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    check_time(&health["startedAt"]);
    let kind = if database == Database::Sqlite { "sqlite" } else { "postgres" };
    assert_eq!((&health["database"]["kind"], &health["database"]["isUp"]), (&json!(kind), &json!(true)));
    assert!(health["database"]["latencyMs"].as_f64().unwrap() > 0.0, "{health}");
    assert_eq!(health["redis"], json!(null));
    let (total, free) = (health["disk"]["totalBytes"].as_u64(), health["disk"]["freeBytes"].as_u64());
    assert!(free.unwrap() <= total.unwrap() && total.unwrap() > 0, "{health}");
    let nodes = until("this node is known", || {
        let nodes = api.get("/admin/health")["nodes"].as_array().unwrap().clone();
        (!nodes.is_empty()).then_some(nodes)
    });
    assert_eq!((nodes.len(), &nodes[0]["isThis"]), (1, &json!(true)), "{nodes:?}");
}

on_each_database!(admin_api_health, admin_api_backup);

fn admin_api_backup(database: Database) {
    let api = Api::on(database);
    api.make("/admin/gateways", json!({ "path": "/saved" }));
    if database == Database::Postgres {
        let refused = api.try_call("POST", "/admin/backup", None);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (400, "BUSINESS_LOGIC_ERROR"),
            "{}",
            refused.body
        );
        assert!(refused.body.contains("pg_dump --format=custom"), "{}", refused.body);
        let list = api.get("/admin/backups");
        assert!(list["command"].as_str().unwrap().starts_with("pg_dump "), "{list}");
        return;
    }
    let begun = api.make("/admin/backup", Json::Null);
    let name = begun["name"].as_str().unwrap().to_owned();
    assert!(begun["ofBytes"].as_u64().unwrap() > 0, "{begun}");
    let done = until("the backup is whole", || {
        let list = api.get("/admin/backups")["data"].clone();
        assert_eq!((list.as_array().unwrap().len(), &list[0]["name"]), (1, &json!(name)), "{list}");
        assert_ne!(list[0]["state"], "failed", "{list}");
        (list[0]["state"] == "done").then(|| list[0].clone())
    });
    let path = format!("/admin/backups/{name}");
    let file = api.try_call("GET", &path, None);
    assert_eq!(file.status, 200);
    assert_eq!(file.headers["content-disposition"], format!("attachment; filename=\"{name}\"").as_str());
    assert_eq!(file.bytes.len() as u64, done["bytes"].as_u64().unwrap());
    assert!(file.bytes.starts_with(b"SQLite format 3\0"));
    // Another server goes on with it.
    let data = crate::support::database::Data::new();
    std::fs::write(data.path().join("gatewright.db"), &file.bytes).unwrap();
    let other = Api::in_data(data);
    assert_eq!(other.get("/admin/gateways")["data"][0]["path"], "/saved");

    use std::os::unix::fs::PermissionsExt;
    let kept = api.server.data.path().join("backups").join(&name);
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o077, 0, "nobody else reads it");
    for other in
        ["gatewright.db", "..%2Fgatewright.db", "..%2F..%2Fetc%2Fpasswd", "secret", "%2Fetc%2Fpasswd"]
    {
        for method in ["GET", "DELETE"] {
            let path = format!("/admin/backups/{other}");
            api.refuses((method, &path), None, (404, "RESOURCE_NOT_FOUND"), &[]);
        }
    }
    api.delete(&path);
    assert!(!kept.exists());
    api.refuses(("GET", &path), None, (404, "RESOURCE_NOT_FOUND"), &[&name]);
}

fn admin_api_search(database: Database) {
    let api = Api::on(database);
    let made = make_gateway(
        &api.server,
        &api.token,
        json!({ "path": "/needle", "connectionScript": "// nothing\nlet NEEDLE = 1;" }),
        &[("findNeedle", "return 1;"), ("other", "let a = 1;\n  return \"<b>nEEdle</b>\"; // 100%_\\")],
    );
    api.make(
        "/admin/routes",
        json!({ "method": "GET", "path": "/r/needle", "sourceCode": "1", "access": "public" }),
    );
    api.table("needle_table", json!([{ "name": "a", "type": "string" }]));
    api.make(
        "/admin/hooks",
        json!({ "table": "needle_table", "when": "after", "on": ["create"], "sourceCode": "1" }),
    );
    api.make("/admin/libraries", json!({ "name": "needles", "sourceCode": "fn f() { 1 }" }));
    api.make("/admin/schedules", json!({ "name": "every needle", "cron": "0 0 * * *", "gatewayPath": "/needle", "eventName": "other" }));
    api.user("needle@example.com");
    let search = |text: &str| {
        api.get(&format!("/admin/search?q={}", encode(text)))["data"].as_array().unwrap().clone()
    };
    let found = search(" Needle ");
    let named: Vec<_> = found
        .iter()
        .filter(|one| one.get("line").is_none())
        .map(|one| (one["kind"].as_str().unwrap(), one["name"].as_str().unwrap()))
        .collect();
    let expected = [
        ("gateway", "/needle"),
        ("event", "/needle findNeedle"),
        ("event", "/needle other"),
        ("route", "GET /r/needle"),
        ("hook", "after create of needle_table"),
        ("library", "needles"),
        ("table", "needle_table"),
        ("schedule", "every needle"),
        ("user", "needle@example.com"),
    ];
    assert_eq!(named, expected);
    let lines: Vec<_> = found.iter().filter(|one| one.get("line").is_some()).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(
        (lines[0]["script"].as_str(), lines[0]["line"].as_u64(), lines[0]["text"].as_str()),
        (Some("connectionScript"), Some(2), Some("let NEEDLE = 1;"))
    );
    assert_eq!((&lines[1]["id"], &lines[1]["line"]), (&json!(made.events[1]), &json!(2)));
    assert_eq!(lines[1]["text"], "return \"<b>nEEdle</b>\"; // 100%_\\");
    // What means something in patterns of a database means itself.
    assert_eq!(search("100%_\\").len(), 1);
    assert_eq!(search("%").iter().filter(|one| one["kind"] == "user").count(), 0);
    assert_eq!(search("needle@").len(), 1);
    let packs: Vec<_> = search("engage").into_iter().filter(|one| one["kind"] == "pack").collect();
    assert_eq!((packs.len(), &packs[0]["id"]), (1, &json!("engagefabric")));
    assert!(search("there is no such thing").is_empty());
    for wrong in ["", "%20", &"x".repeat(201)] {
        api.refuses(("GET", &format!("/admin/search?q={wrong}")), None, INVALID, &["q"]);
    }
    // Bounded.
    for number in 0..30 {
        api.make(
            "/admin/libraries",
            json!({ "name": format!("many{number}"), "sourceCode": "fn many() { 1 }" }),
        );
    }
    assert_eq!(search("many").len(), 40);
}

on_each_database!(admin_api_search);

/// With a listener of their own, admins are served there and nowhere else.
#[test]
fn admin_api_on_a_listener_of_its_own() {
    let port = Port::new();
    let address = port.address.to_string();
    let admin_url = format!("http://{address}");
    let server = Server::start_with(&[("ADMIN__LISTEN", &address)], &[]);
    assert!(server.greeting.contains(&format!("admin UI at {admin_url}/_/")), "{}", server.greeting);
    let body = json!({ "email": ADMIN_EMAIL, "password": ADMIN_PASSWORD }).to_string();
    let json_type = ("content-type", "application/json");
    let login = send(&admin_url, "POST", "/auth/login", &[json_type], body.as_bytes());
    assert_eq!(login.status, 200, "{}", login.body);
    let bearer = format!("Bearer {}", login.json()["accessToken"].as_str().unwrap());
    let signed = [("authorization", &*bearer)];
    for path in ["/_/", "/admin/gateways", "/admin/stats", "/openapi.json", "/health/ready", "/me"] {
        assert_eq!(send(&admin_url, "GET", path, &signed, b"").status, 200, "{path}");
    }
    for path in ["/", "/_", "/_/", "/admin", "/admin/gateways", "/admin/stats", "/admin/audit"] {
        assert_eq!(send(&server.url, "GET", path, &signed, b"").status, 404, "{path}");
    }
    let gateway = json!({ "path": "/g", "requireAuth": false }).to_string();
    let refused = send(&server.url, "POST", "/admin/gateways", &[json_type, signed[0]], gateway.as_bytes());
    assert_eq!(refused.status, 404, "{}", refused.body);
    let made = send(&admin_url, "POST", "/admin/gateways", &[json_type, signed[0]], gateway.as_bytes());
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(send(&server.url, "GET", "/health/ready", &[], b"").status, 200);
    assert_eq!(send(&server.url, "GET", "/me", &signed, b"").status, 200, "users sign in there too");
    let described = send(&server.url, "GET", "/openapi.json", &signed, b"").json();
    assert!(described["paths"].as_object().unwrap().keys().all(|path| !path.starts_with("/admin")));

    let token = login.json()["accessToken"].as_str().unwrap().to_owned();
    use crate::support::polling::Polling;
    let refused = Polling::try_connect(&server.url, "/@admin", Some(&token)).err();
    assert!(refused.is_some_and(|message| message.contains("admin.listen")));
    assert!(Polling::try_connect(&admin_url, "/@admin", Some(&token)).is_ok());
    until("the gateway is live", || Polling::try_connect(&server.url, "/g", None).ok());
}
