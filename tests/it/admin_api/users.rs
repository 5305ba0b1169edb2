//! Users, as admins see them.

use serde_json::{Value as Json, json};

use super::{BAD, INVALID, MISSING, NOBODY, TAKEN, check_row, check_time};
use crate::support::api::{Api, make_gateway};
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
