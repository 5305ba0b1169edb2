//! What the tests of tables share: a server with an admin, and short ways to its API.

use serde_json::{Value as Json, json};

use super::database::{Data, Database};
use super::polling::Polling;
use super::server::{Answer, Server, send};

/// A server and its admin.
pub struct Api {
    pub server: Server,
    pub token: String,
}

impl Api {
    /// On empty data.
    pub fn on(database: Database) -> Self {
        Self::of(Server::start_on(database, &[], &[]))
    }

    /// On data that is there.
    pub fn in_data(data: Data) -> Self {
        Self::of(Server::start_in(data, &[], &[]))
    }

    pub fn of(server: Server) -> Self {
        let token = server.admin_token();
        Self { server, token }
    }

    /// A call by the admin.
    pub fn admin(&self, method: &str, path: &str, body: Json) -> Answer {
        let body = (!body.is_null()).then_some(&body);
        self.server.admin(&self.token, method, path, body)
    }

    /// A GET by the admin that finds something.
    pub fn get(&self, path: &str) -> Json {
        let answer = self.admin("GET", path, Json::Null);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    /// A POST by the admin that makes something.
    pub fn make(&self, path: &str, body: Json) -> Json {
        let answer = self.admin("POST", path, body);
        assert_eq!(answer.status, 201, "{path}: {}", answer.body);
        answer.json()
    }

    /// A table with columns, which only admins use.
    pub fn table(&self, name: &str, columns: Json) -> Json {
        self.make("/admin/tables", json!({ "name": name, "columns": columns }))
    }

    /// Changes a table.
    pub fn alter(&self, table: &Json, body: Json) -> Answer {
        self.admin("PATCH", &format!("/admin/tables/{}", id(table)), body)
    }

    /// Changes a table, which must do.
    pub fn altered(&self, table: &Json, body: Json) -> Json {
        let answer = self.alter(table, body.clone());
        assert_eq!(answer.status, 200, "{body}: {}", answer.body);
        answer.json()
    }

    /// A new row, by the admin.
    pub fn row(&self, table: &str, row: Json) -> Json {
        self.make(&format!("/data/{table}"), row)
    }

    /// Rows by the admin; the query is encoded here.
    pub fn rows(&self, table: &str, query: &[(&str, &str)]) -> Json {
        let answer = self.list(table, query);
        assert_eq!(answer.status, 200, "{query:?}: {}", answer.body);
        answer.json()["data"].clone()
    }

    /// A list, whatever comes of it.
    pub fn list(&self, table: &str, query: &[(&str, &str)]) -> Answer {
        self.admin("GET", &format!("/data/{table}?{}", encoded(query)), Json::Null)
    }

    /// The values of one column of the rows that meet a filter, in the order of the column.
    pub fn values(&self, table: &str, column: &str, filter: &Json) -> Vec<Json> {
        let filter = filter.to_string();
        let rows = self.rows(table, &[("filter", &filter), ("sort", column), ("limit", "1000")]);
        rows.as_array().unwrap().iter().map(|row| row[column].clone()).collect()
    }

    /// A hook before or after the writes of a table.
    pub fn hook(&self, table: &str, when: &str, on: &[&str], script: &str) -> Json {
        let body = json!({ "table": table, "when": when, "on": on, "sourceCode": script });
        self.make("/admin/hooks", body)
    }

    /// Runs a script as a test that leaves nothing; its answer.
    pub fn test_run(&self, body: Json) -> Json {
        let answer = self.admin("POST", "/admin/test/run", body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// Runs a script for good; its result.
    pub fn run(&self, script: &str) -> Json {
        let answer = self.test_run(json!({ "kind": "script", "script": script, "commit": true }));
        assert_eq!(answer["success"], true, "{script}: {answer}");
        answer["result"].clone()
    }

    /// Runs a script that fails; the code and the message.
    pub fn fails(&self, script: &str) -> (String, String) {
        let answer = self.test_run(json!({ "kind": "script", "script": script, "commit": true }));
        assert_eq!(answer["success"], false, "{script}: {answer}");
        let text = |name: &str| answer["error"][name].as_str().unwrap().to_owned();
        (text("code"), text("message"))
    }

    /// A user who is signed in: the row, and the token.
    pub fn user(&self, email: &str) -> (Json, String) {
        let body = json!({ "email": email, "password": "some password", "name": email });
        let user = self.make("/admin/users", body.clone());
        let body = json!({ "email": email, "password": "some password" });
        let signed_in = self.server.call("POST", "/auth/login", Some(&body), &[]);
        (user, signed_in.json()["accessToken"].as_str().unwrap().to_owned())
    }

    /// An app key with these scopes.
    pub fn app_key(&self, scopes: &[&str]) -> String {
        let key = self.make("/admin/app-keys", json!({ "name": "key", "scopes": scopes }));
        key["key"].as_str().unwrap().to_owned()
    }

    /// A socket of a gateway with one event `e`.
    pub fn socket(&self, path: &str, script: &str, token: Option<&str>) -> Polling {
        make_gateway(&self.server, &self.token, json!({ "path": path }), &[("e", script)]);
        Polling::connect(&self.server, path, token)
    }

    /// A call with these headers and a body that need not be JSON.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        send(&self.server.url, method, path, headers, body)
    }
}

/// The id of a row.
pub fn id(row: &Json) -> &str {
    row["id"].as_str().unwrap_or_else(|| panic!("no id: {row}"))
}

/// A query as it stands in a path.
pub fn encoded(query: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish()
}

/// That an answer is a refusal with this status and code whose message mentions this.
#[track_caller]
pub fn refused(answer: &Answer, status: u16, code: &str, mentions: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.body);
    let body = answer.json();
    let message = body["message"].as_str().unwrap();
    assert!(message.contains(mentions), "{message:?} does not mention {mentions:?}");
    for internal in ["SELECT ", "INSERT ", "UPDATE ", "constraint", "relation ", "savepoint"] {
        assert!(!message.contains(internal), "{message:?} tells internals");
    }
}

/// What [`make_gateway`] made.
pub struct Made {
    pub id: String,
    pub events: Vec<String>,
}

/// Makes a gateway, public unless the fields say otherwise, with events.
pub fn make_gateway(server: &Server, token: &str, mut fields: Json, events: &[(&str, &str)]) -> Made {
    if fields["requireAuth"].is_null() {
        fields["requireAuth"] = json!(false);
    }
    let create = |path: &str, body: &Json| {
        let answer = server.admin(token, "POST", path, Some(body));
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let id = create("/admin/gateways", &fields);
    let path = format!("/admin/gateways/{id}/events");
    let make =
        |(name, script): &(&str, &str)| create(&path, &json!({ "eventName": name, "sourceCode": script }));
    let events = events.iter().map(make).collect();
    Made { id, events }
}
