//! Users, as admins see them.

use serde_json::{Value as Json, json};

use super::{BAD, INVALID, MISSING, NOBODY, TAKEN, check_row, check_time};
use crate::support::api::{Api, make_gateway};
use crate::support::database::{Database, on_each_database};
use crate::support::polling::Polling;
use crate::support::server::{ADMIN_EMAIL, ADMIN_PASSWORD};

#[test]
fn admin_api_users() {
    let api = Api::start();
    let new = json!({ "email": "ada@example.com", "password": "first password" });
    let row = api.make("/admin/users", new);
    check_row(&row, json!({ "email": "ada@example.com", "role": "user", "isEnabled": true }));
    let path = format!("/admin/users/{}", row["id"].as_str().unwrap());
    assert_eq!(api.get(&path), row);
    let login = |password: &str| {
        let body = json!({ "email": "ada@example.com", "password": password });
        api.server.call("POST", "/auth/login", Some(&body), &[])
    };
    let signed_in = login("first password").json();
    let token = signed_in["accessToken"].as_str().unwrap();
    let changed = api.patch(&path, json!({ "name": "Ada", "role": "moderator" }));
    check_row(
        &changed,
        json!({ "name": "Ada", "role": "moderator", "email": "ada@example.com", "isEnabled": true }),
    );
    api.patch(&path, json!({ "password": "second password" }));
    assert_eq!(login("first password").status, 401);
    assert_eq!(login("second password").status, 200);
    assert_eq!(api.server.admin(token, "GET", "/me", None).status, 401, "a new password ends the sessions");

    let token = login("second password").json()["accessToken"].as_str().unwrap().to_owned();
    api.patch(&path, json!({ "isEnabled": false }));
    assert_eq!(api.server.admin(&token, "GET", "/me", None).status, 401);
    assert_eq!(login("second password").status, 401);
    api.patch(&path, json!({ "isEnabled": true }));
    assert_eq!(login("second password").status, 200);

    let list = api.get("/admin/users?sort=email&meta=*");
    let emails: Vec<_> =
        list["data"].as_array().unwrap().iter().map(|row| row["email"].as_str().unwrap()).collect();
    assert_eq!((emails, &list["meta"]["totalCount"]), (vec!["ada@example.com", ADMIN_EMAIL], &json!(2)));
    for text in
        [list.to_string(), api.get(&path).to_string(), changed.to_string(), signed_in["user"].to_string()]
    {
        for secret in ["assword", "argon2", "ash\"", ADMIN_PASSWORD] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }

    let refuse = |body: Json, expected: (u16, &str), mentions: &[&str]| {
        let mut new = json!({ "email": "new@example.com", "password": "some password" });
        new.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        api.refuses(("POST", "/admin/users"), Some(new), expected, mentions);
        api.refuses(("PATCH", &path), Some(body), expected, mentions);
    };
    refuse(json!({ "email": ADMIN_EMAIL }), TAKEN, &[]);
    for email in ["", "nobody", "@"] {
        refuse(json!({ "email": email }), INVALID, &["email"]);
    }
    refuse(json!({ "password": "short" }), INVALID, &["password"]);
    refuse(json!({ "passwordHash": "x" }), BAD, &["passwordHash"]);
    refuse(json!({ "isEnabled": "yes" }), BAD, &["isEnabled"]);
    refuse(json!({ "id": NOBODY }), BAD, &["id"]);
    let without_password = json!({ "email": "new@example.com" });
    api.refuses(("POST", "/admin/users"), Some(without_password), BAD, &["password"]);
    let without_email = json!({ "password": "some password" });
    api.refuses(("POST", "/admin/users"), Some(without_email), BAD, &["email"]);

    let token = login("second password").json()["accessToken"].as_str().unwrap().to_owned();
    api.delete(&path);
    assert_eq!(api.server.admin(&token, "GET", "/me", None).status, 401);
    api.refuses(("GET", &path), None, MISSING, &[]);
    api.refuses(("DELETE", &path), None, MISSING, &[]);
    api.refuses(("PATCH", &path), Some(json!({ "name": "x" })), MISSING, &[]);
}

/// Whoever tries, and however many at once: an admin who can sign in is left.
fn admin_api_last_admin(database: Database) {
    let mut api = Api::on(database);
    let own = api.get("/me")["id"].as_str().unwrap().to_owned();
    let path = format!("/admin/users/{own}");
    for change in [json!({ "role": "user" }), json!({ "isEnabled": false })] {
        api.refuses(("PATCH", &path), Some(change), (409, "CONFLICT"), &["last admin"]);
    }
    api.refuses(("DELETE", &path), None, (409, "CONFLICT"), &["last admin"]);
    api.patch(&path, json!({ "name": "Still here", "role": "admin", "isEnabled": true }));
    // One who cannot sign in is no help.
    let disabled =
        json!({ "email": "d@example.com", "password": "some password", "role": "admin", "isEnabled": false });
    api.make("/admin/users", disabled);
    api.refuses(("DELETE", &path), None, (409, "CONFLICT"), &["last admin"]);

    for round in 0..6 {
        let new = |name: &str| {
            let email = format!("{name}{round}@example.com");
            let body = json!({ "email": email, "password": "some password", "role": "admin" });
            let user = api.make("/admin/users", body.clone());
            let signed_in = api.server.call("POST", "/auth/login", Some(&body_of_login(&email)), &[]).json();
            (
                format!("/admin/users/{}", user["id"].as_str().unwrap()),
                signed_in["accessToken"].as_str().unwrap().to_owned(),
            )
        };
        // Two admins beside the first, who goes for the round: each of the two removes the other.
        let ((one, token_of_one), (two, token_of_two)) = (new("one"), new("two"));
        api.server.admin(&token_of_one, "PATCH", &path, Some(&json!({ "role": "user" })));
        let change =
            [json!({ "role": "user" }), json!({ "isEnabled": false }), Json::Null][round % 3].clone();
        let method = if change.is_null() { "DELETE" } else { "PATCH" };
        let body = (!change.is_null()).then_some(&change);
        let (first, second) = std::thread::scope(|scope| {
            let first = scope.spawn(|| api.server.admin(&token_of_one, method, &two, body).status);
            let second = scope.spawn(|| api.server.admin(&token_of_two, method, &one, body).status);
            (first.join().unwrap(), second.join().unwrap())
        });
        let is_done = |status: u16| (200..300).contains(&status);
        // The other comes too late in one way or another: the last one, or no admin any more.
        assert!(is_done(first) != is_done(second), "{first} and {second}");
        let left = if is_done(first) { &token_of_one } else { &token_of_two };
        let back = api.server.admin(left, "PATCH", &path, Some(&json!({ "role": "admin" })));
        assert_eq!(back.status, 200, "{}", back.body);
        let rest = if is_done(first) { one } else { two };
        let signed_in = api.server.call(
            "POST",
            "/auth/login",
            Some(&json!({ "email": ADMIN_EMAIL, "password": ADMIN_PASSWORD })),
            &[],
        );
        let token = signed_in.json()["accessToken"].as_str().unwrap().to_owned();
        assert_eq!(api.server.admin(&token, "DELETE", &rest, None).status, 204);
        api = Api { token, ..api };
    }
}

fn body_of_login(email: &str) -> Json {
    json!({ "email": email, "password": "some password" })
}

/// Who signs in with the password of the first start is told so, until it is another.
#[test]
fn admin_api_first_password() {
    let api = Api::start();
    let login = |password: &str| {
        let body = json!({ "email": ADMIN_EMAIL, "password": password });
        let answer = api.server.call("POST", "/auth/login", Some(&body), &[]);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    };
    assert_eq!(api.get("/me")["hasFirstPassword"], true);
    let signed_in = login(ADMIN_PASSWORD);
    assert_eq!(signed_in["user"]["hasFirstPassword"], true);
    let token = signed_in["accessToken"].as_str().unwrap();
    let renamed = api.server.admin(token, "PATCH", "/me", Some(&json!({ "name": "N" }))).json();
    assert_eq!(renamed["hasFirstPassword"], true, "another name is no other password");
    let change = json!({ "password": "my own password", "currentPassword": ADMIN_PASSWORD });
    let changed = api.server.admin(token, "PATCH", "/me", Some(&change)).json();
    assert_eq!(changed.get("hasFirstPassword"), None, "{changed}");
    assert_eq!(login("my own password")["user"].get("hasFirstPassword"), None);
}

on_each_database!(admin_api_last_admin);

/// The sessions of a user, with their sockets; one ends, the other goes on.
#[test]
fn admin_api_sessions() {
    let api = Api::start();
    make_gateway(&api.server, &api.token, json!({ "path": "/s" }), &[("e", "return 1;")]);
    let (user, first) = api.user("s@example.com");
    let signed_in = json!({ "email": "s@example.com", "password": "some password" });
    let second = api.server.call("POST", "/auth/login", Some(&signed_in), &[]).json();
    let second = second["accessToken"].as_str().unwrap();
    let mut one = Polling::connect(&api.server, "/s", Some(&first));
    let mut two = Polling::connect(&api.server, "/s", Some(second));
    let path = format!("/admin/users/{}/sessions", user["id"].as_str().unwrap());
    let sessions = api.get(&path)["data"].clone();
    assert_eq!(sessions.as_array().unwrap().len(), 2, "{sessions}");
    for session in sessions.as_array().unwrap() {
        for name in ["createdAt", "expiresAt", "lastUsedAt"] {
            check_time(&session[name]);
        }
        assert_eq!(session["sockets"].as_array().unwrap().len(), 1, "{session}");
        assert_eq!(session["sockets"][0]["gateway"], "/s");
        check_time(&session["sockets"][0]["connectedAt"]);
    }
    // Newest first.
    let ended = format!("/admin/sessions/{}", sessions[0]["id"].as_str().unwrap());
    api.delete(&ended);
    while two.packet().kind != '1' {}
    assert_eq!(one.run("e", &json!({}))["result"], 1, "the other session counts on");
    let left = api.get(&path)["data"].clone();
    assert_eq!((left.as_array().unwrap().len(), &left[0]["id"]), (1, &sessions[1]["id"]));
    let headers = [("authorization", format!("Bearer {second}"))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(api.server.call("GET", "/me", None, &headers).status, 401);
    api.refuses(("DELETE", &ended), None, MISSING, &["session"]);
    api.refuses(("GET", &format!("/admin/users/{NOBODY}/sessions")), None, MISSING, &[]);
}
