//! Signing in and out over HTTP: tokens, cookies, failed logins, and what never leaves.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::support::server::{ADMIN_EMAIL, ADMIN_PASSWORD, Answer, PATIENCE, Server, gatewright, until};

const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery";
const FOREIGN: &str = "https://evil.example";
const DAY_SECONDS: i64 = 86_400;

/// One user's tokens.
struct Session {
    access: String,
    refresh: String,
}

#[test]
fn login() {
    let server = Server::start();
    let id = make_user(&server, EMAIL);
    let body = json!({ "email": EMAIL, "password": PASSWORD });
    let answer = server.call("POST", "/auth/login", Some(&body), &[]);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let json = answer.json();
    assert_eq!(keys(&json), ["accessToken", "expTime", "refreshToken", "user"]);
    let now_ms =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let minutes_left = (json["expTime"].as_i64().unwrap() - now_ms) as f64 / 60_000.0;
    assert!((13.0..=15.1).contains(&minutes_left), "an access token of 15 minutes: {minutes_left}");
    assert_eq!((&json["user"]["id"], &json["user"]["email"]), (&json!(id), &json!(EMAIL)));
    assert_eq!((&json["user"]["role"], &json["user"]["isEnabled"]), (&json!("user"), &json!(true)));
    let of_body = session(&answer);
    for token in [&of_body.access, &of_body.refresh] {
        assert_eq!(token.split('.').count(), 3, "a JWT");
    }
    assert_ne!(of_body.access, of_body.refresh);

    let cookies = cookies(&answer);
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    assert_eq!(cookie(&cookies, "accessToken").value, of_body.access);
    assert_eq!(cookie(&cookies, "refreshToken").value, of_body.refresh);
    for cookie in &cookies {
        assert!(cookie.has("HttpOnly") && cookie.has("SameSite=Lax") && cookie.has("Path=/"), "{cookie:?}");
        assert!(!cookie.has("Secure"), "a browser drops a Secure cookie of plain HTTP: {cookie:?}");
    }
    assert!((6 * DAY_SECONDS..=7 * DAY_SECONDS).contains(&cookie(&cookies, "refreshToken").max_age()));
    assert!(cookie(&cookies, "accessToken").max_age() <= 15 * 60);

    let over_tls = server.call("POST", "/auth/login", Some(&body), &[("x-forwarded-proto", "https")]);
    for cookie in self::cookies(&over_tls) {
        assert!(cookie.has("Secure") && cookie.has("HttpOnly") && cookie.has("SameSite=Lax"), "{cookie:?}");
    }
    let remembered = json!({ "email": EMAIL, "password": PASSWORD, "remember": true });
    let answer = server.call("POST", "/auth/login", Some(&remembered), &[]);
    let days = cookie(&self::cookies(&answer), "refreshToken").max_age() / DAY_SECONDS;
    assert!((29..=30).contains(&days), "{days} days");
    // The session stays a remembered one.
    let answer = refresh(&server, &session(&answer).refresh);
    let days = cookie(&self::cookies(&answer), "refreshToken").max_age() / DAY_SECONDS;
    assert!((29..=30).contains(&days), "{days} days");
}

#[test]
fn wrong_logins_all_look_the_same() {
    let server = Server::start_with(&[("AUTH__LOGIN_FAILURES_PER_MINUTE", "1000000")], &[]);
    make_user(&server, EMAIL);
    let disabled = make_user(&server, "disabled@example.com");
    admin(&server, "PATCH", &format!("/admin/users/{disabled}"), Some(&json!({ "isEnabled": false })));
    let answers: Vec<Answer> = [
        (EMAIL, "wrong password"),
        ("nobody@example.com", "wrong password"),
        ("nobody@example.com", PASSWORD),
        ("disabled@example.com", PASSWORD),
        ("disabled@example.com", "wrong password"),
        ("no address", "wrong password"),
        (EMAIL, ""),
    ]
    .into_iter()
    .map(|(email, password)| try_login(&server, email, password, &[]))
    .collect();
    let (first, rest) = answers.split_first().unwrap();
    check_refused(first, 401, "AUTHENTICATION_ERROR");
    for answer in rest {
        assert_eq!(without_request_id(answer), without_request_id(first));
        assert_eq!(header_names(answer), header_names(first));
    }
    assert!(cookies(first).is_empty(), "no cookie for who is not in");

    // The least of all so far, taken in turns: noise makes a try longer, and never a hash shorter.
    let time = |email| {
        let start = Instant::now();
        assert_eq!(try_login(&server, email, "wrong password", &[]).status, 401);
        start.elapsed()
    };
    let (mut known, mut unknown, mut tries) = (Duration::MAX, Duration::MAX, 0);
    until("as long for both", || {
        known = known.min(time(EMAIL));
        unknown = unknown.min(time("nobody@example.com"));
        tries += 1;
        (tries >= 8 && unknown * 3 > known && known * 3 > unknown).then_some(())
    });
}

#[test]
fn requests_that_are_no_login() {
    let server = Server::start();
    for (body, named) in [
        (json!({ "email": EMAIL }), "password"),
        (json!({ "password": PASSWORD }), "email"),
        (json!({ "email": EMAIL, "password": PASSWORD, "admin": true, "extra": 1 }), "admin"),
        (json!({ "email": 5, "password": PASSWORD }), "string"),
        (json!([]), ""),
        (json!("text"), ""),
    ] {
        let answer = server.call("POST", "/auth/login", Some(&body), &[]);
        check_refused(&answer, 400, "BAD_REQUEST");
        assert!(answer.body.contains(named), "{} for {body}", answer.body);
    }
    for path in ["/auth/refresh-token", "/auth/register", "/auth/logout"] {
        let answer = server.call("POST", path, Some(&json!({ "unknownField": 1 })), &[]);
        assert!((400..=403).contains(&answer.status), "{path}: {}", answer.body);
    }
}

#[test]
fn failed_logins_are_counted_per_account_and_per_address() {
    let server = Server::start_with(&[("TRUSTED_IP_HEADER", "x-client-address")], &[]);
    for email in [EMAIL, "ben@example.com", "cleo@example.com"] {
        make_user(&server, email);
    }
    let from = |address: &str, email: &str, password: &str| {
        try_login(&server, email, password, &[("x-client-address", address)])
    };

    // Successes are no failures.
    for _ in 0..7 {
        assert_eq!(from("10.0.0.1", EMAIL, PASSWORD).status, 200);
    }
    for attempt in 1..=5 {
        assert_eq!(from("10.0.0.1", EMAIL, "wrong password").status, 401, "attempt {attempt}");
    }
    check_waits(&from("10.0.0.1", EMAIL, "wrong password"));
    check_waits(&from("10.0.0.1", EMAIL, PASSWORD));
    check_waits(&from("10.0.0.1", "ben@example.com", PASSWORD));
    check_waits(&from("10.0.0.2", EMAIL, PASSWORD));
    check_waits(&from("10.0.0.2", &EMAIL.to_uppercase(), PASSWORD));
    assert_eq!(from("10.0.0.2", "ben@example.com", PASSWORD).status, 200, "neither failed");

    // One address through many accounts, which need not exist.
    for attempt in 1..=5 {
        let email = format!("guess{attempt}@example.com");
        assert_eq!(from("10.0.0.3", &email, "wrong password").status, 401);
    }
    check_waits(&from("10.0.0.3", "cleo@example.com", PASSWORD));
    assert_eq!(from("10.0.0.4", "cleo@example.com", PASSWORD).status, 200);

    // One account through many addresses; that it does not exist must not show here either.
    for attempt in 1..=5 {
        let address = format!("10.0.1.{attempt}");
        assert_eq!(from(&address, "nobody@example.com", "wrong password").status, 401);
    }
    check_waits(&from("10.0.1.9", "nobody@example.com", "wrong password"));
    // An own account in between does not buy an address more guesses at others.
    for attempt in 1..=5 {
        assert_eq!(from("10.0.2.1", "cleo@example.com", PASSWORD).status, 200);
        assert_eq!(from("10.0.2.1", &format!("more{attempt}@example.com"), "wrong password").status, 401);
    }
    check_waits(&from("10.0.2.1", "cleo@example.com", PASSWORD));
}

#[test]
fn guesses_at_the_same_time_are_counted_too() {
    let server = Server::start();
    make_user(&server, EMAIL);
    let server_url = server.url.clone();
    let body = json!({ "email": EMAIL, "password": "wrong password" }).to_string();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let calls: Vec<_> =
            (0..20).map(|_| scope.spawn(|| post(&server_url, "/auth/login", &body))).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let answered = statuses.iter().filter(|status| **status == 401).count();
    assert!(answered <= 5, "{answered} guesses were answered: {statuses:?}");
    assert_eq!(answered + statuses.iter().filter(|status| **status == 429).count(), 20, "{statuses:?}");
}

#[test]
fn refresh_tokens_count_once() {
    let server = Server::start();
    make_user(&server, EMAIL);
    let first = login_as(&server, EMAIL);
    let other = login_as(&server, EMAIL);

    let answer = refresh(&server, &first.refresh);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(keys(&answer.json()), ["accessToken", "expTime", "refreshToken", "user"]);
    let second = session(&answer);
    assert_ne!(second.refresh, first.refresh);
    assert_eq!(cookie(&cookies(&answer), "refreshToken").value, second.refresh);
    assert_eq!(cookie(&cookies(&answer), "accessToken").value, second.access);
    assert_eq!(me(&server, &second.access).status, 200);

    let by_cookie = [("cookie", &*format!("theme=dark; refreshToken={}", second.refresh))];
    let answer = server.call("POST", "/auth/refresh-token", None, &by_cookie);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let third = session(&answer);
    assert_eq!(me(&server, &third.access).status, 200);

    // Someone has copied the first one.
    check_refused(&refresh(&server, &first.refresh), 401, "AUTH_INVALID");
    check_refused(&refresh(&server, &third.refresh), 401, "AUTH_INVALID");
    for token in [&first.access, &second.access, &third.access] {
        check_refused(&me(&server, token), 401, "AUTH_INVALID");
    }
    assert_eq!(me(&server, &other.access).status, 200, "another login is another family");
    assert_eq!(refresh(&server, &other.refresh).status, 200);

    for token in ["nonsense", "", &other.access, &login_as(&server, EMAIL).access] {
        let answer = refresh(&server, token);
        assert_eq!(answer.status, 401, "{token}: {}", answer.body);
    }
    assert_eq!(server.call("POST", "/auth/refresh-token", None, &[]).status, 401);
    assert_eq!(server.call("POST", "/auth/refresh-token", Some(&json!({})), &[]).status, 401);
}

#[test]
fn a_refresh_token_counts_once_at_the_same_time_too() {
    let server = Server::start();
    make_user(&server, EMAIL);
    for _ in 0..5 {
        let body = json!({ "refreshToken": login_as(&server, EMAIL).refresh }).to_string();
        let (url, body) = (server.url.as_str(), body.as_str());
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let calls: Vec<_> =
                (0..6).map(|_| scope.spawn(move || post(url, "/auth/refresh-token", body))).collect();
            calls.into_iter().map(|call| call.join().unwrap()).collect()
        });
        assert!(statuses.iter().filter(|status| **status == 200).count() <= 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| [200, 401].contains(status)), "{statuses:?}");
    }
}

#[test]
fn refresh_tokens_of_who_may_not_come_back() {
    let server = Server::start();
    for (email, change) in [
        ("disabled@example.com", json!({ "isEnabled": false })),
        ("changed@example.com", json!({ "password": "another password" })),
    ] {
        let id = make_user(&server, email);
        let session = login_as(&server, email);
        admin(&server, "PATCH", &format!("/admin/users/{id}"), Some(&change));
        assert_eq!(refresh(&server, &session.refresh).status, 401, "{email}");
        assert_eq!(me(&server, &session.access).status, 401, "{email}");
    }
    let id = make_user(&server, "deleted@example.com");
    let session = login_as(&server, "deleted@example.com");
    assert_eq!(admin(&server, "DELETE", &format!("/admin/users/{id}"), None).status, 204);
    assert_eq!(refresh(&server, &session.refresh).status, 401);
    assert_eq!(me(&server, &session.access).status, 401);
    let id = make_user(&server, "revoked@example.com");
    let session = login_as(&server, "revoked@example.com");
    admin(&server, "POST", &format!("/admin/users/{id}/revoke-tokens"), None);
    assert_eq!(refresh(&server, &session.refresh).status, 401);
    assert_eq!(me(&server, &session.access).status, 401);
    // Enabled again, the old tokens stay dead.
    let id = make_user(&server, "back@example.com");
    let session = login_as(&server, "back@example.com");
    for is_enabled in [false, true] {
        admin(&server, "PATCH", &format!("/admin/users/{id}"), Some(&json!({ "isEnabled": is_enabled })));
    }
    assert_eq!(refresh(&server, &session.refresh).status, 401);
    assert_eq!(me(&server, &session.access).status, 401);
    login_as(&server, "back@example.com");
}

#[test]
fn logout() {
    let server = Server::start();
    make_user(&server, EMAIL);
    let session = login_as(&server, EMAIL);
    let answer = server.call("POST", "/auth/logout", None, &[("authorization", &bearer(&session.access))]);
    assert!((200..300).contains(&answer.status), "{}", answer.body);
    for name in ["accessToken", "refreshToken"] {
        let cookies = cookies(&answer);
        let cleared = cookie(&cookies, name);
        assert_eq!((cleared.value.as_str(), cleared.max_age()), ("", 0));
    }
    assert_eq!(me(&server, &session.access).status, 401);
    assert_eq!(refresh(&server, &session.refresh).status, 401);
    assert_eq!(server.call("POST", "/auth/logout", None, &[]).status, 401);

    // A browser brings its cookies, of which the access token may have run out.
    for kept in ["accessToken", "refreshToken"] {
        let session = login_as(&server, EMAIL);
        let token = if kept == "accessToken" { &session.access } else { &session.refresh };
        let answer = server.call("POST", "/auth/logout", None, &[("cookie", &format!("{kept}={token}"))]);
        assert!((200..300).contains(&answer.status), "{}", answer.body);
        assert_eq!(me(&server, &session.access).status, 401, "{kept}");
        assert_eq!(refresh(&server, &session.refresh).status, 401, "{kept}");
    }
}

#[test]
fn the_own_account() {
    let server = Server::start();
    let id = make_user(&server, EMAIL);
    make_user(&server, "taken@example.com");
    let session = login_as(&server, EMAIL);
    let header = bearer(&session.access);
    let headers = [("authorization", &*header)];
    let get = || server.call("GET", "/me", None, &headers);
    let patch = |body: Json| server.call("PATCH", "/me", Some(&body), &headers);

    check_refused(&server.call("GET", "/me", None, &[]), 401, "AUTHENTICATION_ERROR");
    check_refused(&server.call("PATCH", "/me", Some(&json!({})), &[]), 401, "AUTHENTICATION_ERROR");
    check_refused(&me(&server, &session.refresh), 401, "AUTH_INVALID");
    let row = get().json();
    assert_eq!((&row["id"], &row["email"], &row["role"]), (&json!(id), &json!(EMAIL), &json!("user")));
    assert_eq!(keys(&row), ["createdAt", "email", "id", "isEnabled", "name", "role", "updatedAt"]);

    let answer = patch(json!({ "name": "Ada" }));
    assert_eq!((answer.status, &answer.json()["name"]), (200, &json!("Ada")));
    assert_eq!(get().json()["name"], "Ada");
    // Nobody makes an admin of themselves, and what is not known is named.
    for (body, named) in [
        (json!({ "role": "admin" }), "role"),
        (json!({ "isEnabled": false }), "isEnabled"),
        (json!({ "id": "x" }), "id"),
        (json!({ "name": "Bob", "passwordHash": "x" }), "passwordHash"),
    ] {
        let answer = patch(body);
        check_refused(&answer, 400, "BAD_REQUEST");
        assert!(answer.body.contains(named), "{}", answer.body);
    }
    let taken = json!({ "email": "taken@example.com", "currentPassword": PASSWORD });
    check_refused(&patch(taken), 422, "VALIDATION_ERROR");
    for body in [
        json!({ "email": "no address", "currentPassword": PASSWORD }),
        json!({ "password": "short", "currentPassword": PASSWORD }),
        json!({ "password": "another password" }),
        json!({ "name": "n".repeat(10_000) }),
    ] {
        let answer = patch(body);
        check_refused(&answer, 422, "VALIDATION_ERROR");
    }
    let row = get().json();
    assert_eq!((&row["email"], &row["name"], &row["role"]), (&json!(EMAIL), &json!("Ada"), &json!("user")));

    let address = json!({ "email": "new@example.com", "currentPassword": PASSWORD });
    assert_eq!(patch(address).json()["email"], "new@example.com");
    assert_eq!(try_login(&server, EMAIL, PASSWORD, &[]).status, 401);
    assert_eq!(try_login(&server, "new@example.com", PASSWORD, &[]).status, 200);
    let password = json!({ "password": "another password", "currentPassword": PASSWORD });
    assert_eq!(patch(password).status, 200);
    assert_eq!(try_login(&server, "new@example.com", PASSWORD, &[]).status, 401);
    assert_eq!(try_login(&server, "new@example.com", "another password", &[]).status, 200);
    assert_eq!(refresh(&server, &session.refresh).status, 401, "a new password ends what the old one opened");
}

#[test]
fn tokens_for_sockets() {
    let server = Server::start();
    make_user(&server, EMAIL);
    check_refused(&server.call("POST", "/auth/websocket-token", None, &[]), 401, "AUTHENTICATION_ERROR");
    let session = login_as(&server, EMAIL);
    for headers in [
        [("authorization", bearer(&session.access))],
        [("cookie", format!("accessToken={}", session.access))],
    ] {
        let headers = [(headers[0].0, &*headers[0].1)];
        let answer = server.call("POST", "/auth/websocket-token", None, &headers);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let json = answer.json();
        assert_eq!(keys(&json), ["expiresAt", "token"]);
        assert!(json["expiresAt"].as_str().unwrap().ends_with('Z'), "{json}");
        assert_eq!(json["token"].as_str().unwrap().split('.').count(), 3);
        assert_eq!(refresh(&server, json["token"].as_str().unwrap()).status, 401, "it opens no session");
    }
}

#[test]
fn tokens_of_the_command_line() {
    let server = Server::start();
    make_user(&server, EMAIL);
    let token = |email, ttl| {
        let mut command = gatewright();
        command.args(["token", "--user", email, "--ttl", ttl]);
        server.data.give_to(&mut command);
        output(&mut command)
    };
    assert_eq!(me(&server, &token(EMAIL, "10m").1).json()["email"], EMAIL);
    assert_eq!(me(&server, &token(ADMIN_EMAIL, "10m").1).json()["role"], "admin");
    assert!(!token("nobody@example.com", "10m").0);
    assert!(!token(EMAIL, "soon").0);
    let short = token(EMAIL, "2s").1;
    let start = Instant::now();
    while me(&server, &short).status != 401 {
        assert!(start.elapsed() < PATIENCE, "it never runs out");
        std::thread::sleep(Duration::from_millis(100));
    }
    check_refused(&me(&server, &short), 401, "AUTH_INVALID");
}

#[test]
fn registering() {
    let ada = json!({ "email": EMAIL, "password": PASSWORD, "name": "Ada" });
    let closed = Server::start();
    check_refused(&closed.call("POST", "/auth/register", Some(&ada), &[]), 403, "AUTHORIZATION_ERROR");
    assert_eq!(try_login(&closed, EMAIL, PASSWORD, &[]).status, 401);

    let open = Server::start_with(&[("AUTH__REGISTER", "true")], &[]);
    let answer = open.call("POST", "/auth/register", Some(&ada), &[]);
    assert_eq!(answer.status, 201, "{}", answer.body);
    let row = answer.json();
    assert_eq!((&row["email"], &row["name"], &row["role"]), (&json!(EMAIL), &json!("Ada"), &json!("user")));
    assert!(!answer.body.to_lowercase().contains("password"), "{}", answer.body);
    let session = login_as(&open, EMAIL);
    assert_eq!(open.admin(&session.access, "GET", "/admin/users", None).status, 403);
    // That there is one is not told, and it stays.
    for email in [EMAIL, &EMAIL.to_uppercase()] {
        let again = json!({ "email": email, "password": "another password", "name": "Eve" });
        assert_eq!(open.call("POST", "/auth/register", Some(&again), &[]).status, 201);
    }
    assert_eq!(try_login(&open, EMAIL, "another password", &[]).status, 401);
    assert_eq!(me(&open, &login_as(&open, EMAIL).access).json()["name"], "Ada");
    for field in ["role", "isEnabled", "id", "passwordHash"] {
        let mut body = json!({ "email": "eve@example.com", "password": PASSWORD, "name": "Eve" });
        body[field] = json!("admin");
        let answer = open.call("POST", "/auth/register", Some(&body), &[]);
        check_refused(&answer, 400, "BAD_REQUEST");
        assert!(answer.body.contains(field), "{}", answer.body);
    }
    for (email, password) in [("no address", PASSWORD), ("eve@example.com", "short"), ("", PASSWORD)] {
        let body = json!({ "email": email, "password": password, "name": "Eve" });
        check_refused(&open.call("POST", "/auth/register", Some(&body), &[]), 422, "VALIDATION_ERROR");
    }
}

#[test]
fn cookies_from_foreign_pages() {
    let server = Server::start_with(&[("ALLOWED_ORIGINS", "*,https://listed.example")], &[]);
    let victim = make_user(&server, EMAIL);
    let admin_cookie = format!("accessToken={}", server.admin_token());
    let session = login_as(&server, EMAIL);
    let user_cookie = format!("accessToken={}; refreshToken={}", session.access, session.refresh);
    let user_path = format!("/admin/users/{victim}");
    let gateway = json!({ "path": "/made-by-a-foreign-page" });
    let writes: [(&str, &str, Option<Json>, &str); 9] = [
        ("POST", "/admin/gateways", Some(gateway), &admin_cookie),
        ("PATCH", &user_path, Some(json!({ "role": "admin" })), &admin_cookie),
        ("DELETE", &user_path, None, &admin_cookie),
        ("POST", "/auth/logout", None, &user_cookie),
        ("POST", "/auth/refresh-token", None, &user_cookie),
        ("POST", "/auth/websocket-token", None, &user_cookie),
        ("PATCH", "/me", Some(json!({ "password": "chosen by others" })), &user_cookie),
        ("POST", "/auth/login", Some(json!({ "email": EMAIL, "password": PASSWORD })), &user_cookie),
        ("PUT", "/me", Some(json!({})), &user_cookie),
    ];
    let port_of_another =
        format!("{}0", &server.url[..server.url.len() - 1]).replace("127.0.0.1", "127.0.0.2");
    for origin in
        [FOREIGN, "http://listed.example", "https://listed.example.evil.example", "null", &port_of_another]
    {
        for (method, path, body, cookie) in &writes {
            let answer = server.call(method, path, body.as_ref(), &[("cookie", cookie), ("origin", origin)]);
            assert_eq!(answer.status, 403, "{method} {path} from {origin}: {}", answer.body);
            check_refused(&answer, 403, "ORIGIN_NOT_ALLOWED");
        }
        // A token beside the cookie does not make the page any less foreign.
        let headers =
            [("cookie", &*user_cookie), ("origin", origin), ("authorization", &bearer(&session.access))];
        assert_eq!(server.call("PATCH", "/me", Some(&json!({ "name": "x" })), &headers).status, 403);
    }
    // Nothing of it was done.
    assert_eq!(me(&server, &session.access).json()["role"], "user");
    let paths = admin(&server, "GET", "/admin/gateways", None).body;
    assert!(!paths.contains("made-by-a-foreign-page"), "{paths}");

    for method in ["GET", "HEAD"] {
        let answer = server.call(method, "/me", None, &[("cookie", &user_cookie), ("origin", FOREIGN)]);
        assert_eq!(answer.status, 200, "{method}: {}", answer.body);
    }
    let (same, change) = (server.url.clone(), json!({ "name": "Ada" }));
    for origin in [Some(&*same), Some("https://listed.example"), None] {
        let mut headers = vec![("cookie", &*user_cookie)];
        headers.extend(origin.map(|origin| ("origin", origin)));
        let answer = server.call("PATCH", "/me", Some(&change), &headers);
        assert_eq!(answer.status, 200, "{origin:?}: {}", answer.body);
    }
    // Without a cookie there is no session to ride on.
    let headers = [("authorization", &*bearer(&session.access)), ("origin", FOREIGN)];
    assert_eq!(server.call("PATCH", "/me", Some(&change), &headers).status, 200);
    // A page that may not write may not read the answer to a cookie either.
    let answer = server.call("GET", "/me", None, &[("cookie", &user_cookie), ("origin", FOREIGN)]);
    let allowed = answer.headers.get("access-control-allow-origin");
    assert!(allowed.is_none_or(|origin| origin != FOREIGN), "{:?}", answer.headers);
}

#[test]
fn secrets_stay_inside() {
    let server = Server::start_with(&[("LOGS__LEVEL", "trace"), ("AUTH__REGISTER", "true")], &[]);
    let id = make_user(&server, EMAIL);
    let first = login_as(&server, EMAIL);
    let second = session(&refresh(&server, &first.refresh));
    let admin_token = server.admin_token();
    let websocket =
        server.call("POST", "/auth/websocket-token", None, &[("authorization", &bearer(&second.access))]);
    let websocket = websocket.json()["token"].as_str().unwrap().to_owned();
    let new_password = "a password of later";
    let registered = json!({ "email": "eve@example.com", "password": "registered password", "name": "Eve" });

    let calls: Vec<(&str, String, Option<Json>)> = vec![
        ("GET", "/me".into(), None),
        ("GET", "/admin/users".into(), None),
        ("GET", format!("/admin/users/{id}"), None),
        ("GET", "/admin/users?fields=*".into(), None),
        ("GET", "/admin/users?fields=id,passwordHash,password,password_hash".into(), None),
        ("GET", "/admin/users?fields=passwordHash".into(), None),
        ("GET", "/admin/users?sort=passwordHash".into(), None),
        ("GET", "/admin/users?meta=*".into(), None),
        ("GET", "/admin/logs".into(), None),
        ("GET", "/admin/stats".into(), None),
        ("GET", "/admin/gateways".into(), None),
        ("GET", "/metrics".into(), None),
        ("GET", "/openapi.json".into(), None),
        ("GET", "/health/ready".into(), None),
        ("POST", "/auth/register".into(), Some(registered)),
        (
            "POST",
            "/admin/users".into(),
            Some(json!({ "email": "new@example.com", "password": new_password })),
        ),
        ("PATCH", format!("/admin/users/{id}"), Some(json!({ "password": new_password }))),
        ("POST", "/admin/users".into(), Some(json!({ "email": EMAIL, "password": new_password }))),
        ("POST", "/auth/login".into(), Some(json!({ "email": EMAIL, "password": "a wrong password" }))),
        (
            "POST",
            "/auth/login".into(),
            Some(json!({ "email": "a wrong password", "password": "a wrong password " })),
        ),
        ("POST", "/auth/login".into(), Some(json!({ "email": EMAIL, "password": ["a wrong password"] }))),
        (
            "POST",
            "/auth/login".into(),
            Some(json!({ "email": EMAIL, "password": { "a wrong password": 1 } })),
        ),
        ("POST", "/auth/refresh-token".into(), Some(json!({ "refreshToken": first.refresh }))),
        ("POST", "/auth/refresh-token".into(), Some(json!({ "refreshToken": [first.refresh] }))),
    ];
    let header = bearer(&admin_token);
    let mut answers = String::new();
    for (method, path, body) in &calls {
        let answer = server.call(method, path, body.as_ref(), &[("authorization", &header)]);
        assert!(answer.status < 500, "{method} {path}: {}", answer.body);
        answers.push_str(&format!("{method} {path}: {} {:?}\n", answer.body, answer.headers));
    }
    // A filter on what cannot be seen would tell it letter by letter.
    for filter in [r#"{"passwordHash":{"_starts_with":"$argon2"}}"#, r#"{"password_hash":{"_contains":"a"}}"#]
    {
        let query: String = url_encoded(filter);
        let answer = admin(&server, "GET", &format!("/admin/users?filter={query}"), None);
        assert!((400..500).contains(&answer.status), "{filter}: {}", answer.body);
    }
    // Tokens in the wrong places: of a failing request, of the path, of the query.
    for path in ["/nowhere", &format!("/{}", second.access), &format!("/me?token={}", second.access)] {
        server.call("GET", path, None, &[("authorization", &format!("Bearer {}x", second.access))]);
    }

    let greeting = server.greeting.clone();
    let secret_file = std::fs::read(server.data.path().join("secret")).unwrap();
    let mode =
        std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(server.data.path().join("secret")).unwrap());
    assert_eq!(mode & 0o777, 0o600, "the signing secret is for its owner");
    let (status, _data, log) = server.stop();
    assert!(status.success());
    assert!(!log.is_empty());
    let passwords =
        [PASSWORD, ADMIN_PASSWORD, new_password, "registered password", "a wrong password", "$argon2"];
    let tokens = [&first.access, &first.refresh, &second.access, &second.refresh, &admin_token, &websocket];
    let hex: String = secret_file.iter().map(|byte| format!("{byte:02x}")).collect();
    for (place, text) in [("an answer", &answers), ("the log", &log), ("the greeting", &greeting)] {
        for secret in passwords.iter().copied().chain(tokens.iter().map(|token| token.as_str())) {
            let at = text
                .find(secret)
                .map(|at| &text[at.saturating_sub(200)..(at + secret.len()).min(text.len())]);
            assert!(at.is_none(), "{place} has {secret}: {at:?}");
        }
        assert!(!text.contains(&hex), "{place} has the signing secret");
        // The part that makes a token one.
        for token in tokens {
            assert!(!text.contains(token.rsplit('.').next().unwrap()), "{place} has a token's signature");
        }
    }
}

fn make_user(server: &Server, email: &str) -> String {
    let answer =
        admin(server, "POST", "/admin/users", Some(&json!({ "email": email, "password": PASSWORD })));
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// A call by the first admin, with a token from the command line: it leaves the counts of logins alone.
fn admin(server: &Server, method: &str, path: &str, body: Option<&Json>) -> Answer {
    let mut command = gatewright();
    command.args(["token", "--user", ADMIN_EMAIL]);
    server.data.give_to(&mut command);
    let (made, token) = output(&mut command);
    assert!(made, "{token}");
    server.admin(&token, method, path, body)
}

/// Whether a command succeeded, and what it printed.
fn output(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

fn try_login(server: &Server, email: &str, password: &str, headers: &[(&str, &str)]) -> Answer {
    server.call("POST", "/auth/login", Some(&json!({ "email": email, "password": password })), headers)
}

fn login_as(server: &Server, email: &str) -> Session {
    let answer = try_login(server, email, PASSWORD, &[]);
    assert_eq!(answer.status, 200, "{}", answer.body);
    session(&answer)
}

fn session(answer: &Answer) -> Session {
    let json = answer.json();
    let text = |name: &str| json[name].as_str().unwrap_or_else(|| panic!("no {name}: {json}")).to_owned();
    Session { access: text("accessToken"), refresh: text("refreshToken") }
}

fn refresh(server: &Server, token: &str) -> Answer {
    server.call("POST", "/auth/refresh-token", Some(&json!({ "refreshToken": token })), &[])
}

fn me(server: &Server, token: &str) -> Answer {
    server.call("GET", "/me", None, &[("authorization", &bearer(token))])
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// The status of a POST; unlike [`Server::call`] it can be used by many threads at once.
fn post(url: &str, path: &str, body: &str) -> u16 {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .build()
        .into();
    let request = agent.post(format!("{url}{path}")).header("content-type", "application/json");
    request.send(body).unwrap().status().as_u16()
}

/// The shape of every error.
#[track_caller]
fn check_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    let json = answer.json();
    assert_eq!(json["success"], false, "{json}");
    assert_eq!(json["statusCode"], status, "{json}");
    assert_eq!(json["error"]["code"], code, "{json}");
    assert!(json["message"].as_str().is_some_and(|message| !message.is_empty()), "{json}");
    assert!(json["error"]["message"].is_string() && json["error"]["requestId"].is_string(), "{json}");
}

/// Too many failed logins: refused until a minute has passed.
#[track_caller]
fn check_waits(answer: &Answer) {
    check_refused(answer, 429, "RATE_LIMIT_EXCEEDED");
    let seconds: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
}

fn without_request_id(answer: &Answer) -> (u16, Json) {
    let mut json = answer.json();
    json["error"].as_object_mut().unwrap().remove("requestId").unwrap();
    (answer.status, json)
}

fn header_names(answer: &Answer) -> Vec<&str> {
    answer.headers.keys().map(|name| name.as_str()).collect()
}

fn keys(json: &Json) -> Vec<&str> {
    let mut keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// A `Set-Cookie`.
#[derive(Debug)]
struct Cookie {
    name: String,
    value: String,
    attributes: Vec<String>,
}

impl Cookie {
    fn has(&self, attribute: &str) -> bool {
        self.attributes.iter().any(|own| own.eq_ignore_ascii_case(attribute))
    }

    fn max_age(&self) -> i64 {
        let max_age = self.attributes.iter().find_map(|own| own.strip_prefix("Max-Age="));
        max_age.unwrap_or_else(|| panic!("no Max-Age: {self:?}")).parse().unwrap()
    }
}

fn cookies(answer: &Answer) -> Vec<Cookie> {
    let lines = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    lines
        .map(|line| {
            let mut parts = line.split("; ");
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            let attributes = parts.map(str::to_owned).collect();
            Cookie { name: name.to_owned(), value: value.to_owned(), attributes }
        })
        .collect()
}

fn cookie<'a>(cookies: &'a [Cookie], name: &str) -> &'a Cookie {
    cookies.iter().find(|cookie| cookie.name == name).unwrap_or_else(|| panic!("no {name}: {cookies:?}"))
}

fn url_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
