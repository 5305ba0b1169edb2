//! Guessing passwords, misusing tokens, and finding out who has an account.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value as Json, json};

use crate::support::api::{Api, make_gateway, refused};
use crate::support::polling::Polling;
use crate::support::server::{Answer, Server, send};

const PASSWORD: &str = "some password";
const BEHIND_PROXY: (&str, &str) = ("TRUSTED_IP_HEADER", "x-client-address");

/// A login from an address, in a thread of its own.
fn login(url: &str, from: &str, email: &str, password: &str) -> Answer {
    let headers = [("content-type", "application/json"), ("x-client-address", from)];
    let body = json!({ "email": email, "password": password }).to_string();
    send(url, "POST", "/auth/login", &headers, body.as_bytes())
}

/// The statuses of so many calls at once.
fn at_once(count: usize, call: impl Fn(usize) -> Answer + Sync) -> Vec<u16> {
    std::thread::scope(|scope| {
        let call = &call;
        let calls: Vec<_> = (0..count).map(|number| scope.spawn(move || call(number).status)).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    })
}

fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|one| **one == status).count()
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn open_to_all(settings: &[(&str, &str)]) -> Api {
    let mut all = vec![("AUTH__REGISTER", "true"), BEHIND_PROXY];
    all.extend(settings);
    Api::of(Server::start_with(&all, &[]))
}

/// Guesses that are sent at once are counted before they are looked at: for one address through many
/// accounts, for one account through many addresses, and for the many addresses of one client.
#[test]
fn guesses_at_once() {
    let api = open_to_all(&[]);
    let url = &api.server.url;
    let guesses: [(&str, &(dyn Fn(usize) -> Answer + Sync)); 3] = [
        ("one address", &|n| login(url, "10.0.0.1", &format!("a{n}@example.com"), "wrong")),
        ("one account", &|n| login(url, &format!("10.1.0.{n}"), "admin@example.com", "wrong")),
        ("one network", &|n| login(url, &format!("2001:db8::{n:x}"), &format!("b{n}@example.com"), "wrong")),
    ];
    for (what, guess) in guesses {
        let statuses = at_once(40, guess);
        assert_eq!((count(&statuses, 401), count(&statuses, 429)), (5, 35), "{what}: {statuses:?}");
    }
    assert_eq!(login(url, "2001:db8:0:1::1", "c@example.com", "wrong").status, 401, "another network");
}

/// Many logins of one address wait for each other, and nobody of another address for all of them.
#[test]
fn logins_of_one_address_in_the_way_of_others() {
    let api = open_to_all(&[]);
    let url = &api.server.url;
    let emails: Vec<String> = (0..9).map(|n| format!("u{n}@example.com")).collect();
    for email in &emails {
        api.make("/admin/users", json!({ "email": email, "password": PASSWORD }));
    }
    let (flood, done) = (32, AtomicUsize::new(0));
    let seen = std::thread::scope(|scope| {
        for number in 0..flood {
            let (email, done) = (&emails[number % 8], &done);
            scope.spawn(move || {
                assert_eq!(login(url, "10.0.0.1", email, PASSWORD).status, 200);
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
        while done.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        assert_eq!(login(url, "10.0.0.2", &emails[8], PASSWORD).status, 200);
        done.load(Ordering::SeqCst)
    });
    assert!(seen < flood - 4, "{seen} of {flood} went first");
}

/// More logins at once than may wait are sent away with a time to come back.
#[test]
fn more_logins_than_may_wait() {
    let api = open_to_all(&[("AUTH__PASSWORDS_WAITING", "2"), ("AUTH__LOGIN_FAILURES_PER_MINUTE", "1000")]);
    let url = &api.server.url;
    let away = AtomicUsize::new(0);
    let statuses = at_once(48, |n| {
        let answer = login(url, &format!("10.0.0.{n}"), &format!("u{n}@example.com"), "wrong");
        if answer.status == 503 {
            assert!(answer.headers.contains_key("retry-after"), "{:?}", answer.headers);
            away.fetch_add(1, Ordering::SeqCst);
        }
        answer
    });
    assert!(away.load(Ordering::SeqCst) > 0, "{statuses:?}");
    assert_eq!(count(&statuses, 401) + count(&statuses, 503), 48, "{statuses:?}");
    assert!(count(&statuses, 401) > 0, "{statuses:?}");
}

/// Nobody fills the database with accounts.
#[test]
fn registering_many_accounts() {
    let api = open_to_all(&[("AUTH__REGISTRATIONS_PER_MINUTE", "4")]);
    let register = |from: &str, n: usize| {
        let headers = [("content-type", "application/json"), ("x-client-address", from)];
        let body = json!({ "email": format!("r{n}@example.com"), "password": PASSWORD }).to_string();
        send(&api.server.url, "POST", "/auth/register", &headers, body.as_bytes())
    };
    let statuses = at_once(20, |n| register("10.0.0.1", n));
    assert_eq!((count(&statuses, 201), count(&statuses, 429)), (4, 16), "{statuses:?}");
    let refused = register("10.0.0.1", 99);
    assert_eq!(refused.status, 429);
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(register("10.0.0.2", 100).status, 201, "another address");
}

/// Registering an address that is taken looks like registering one that is not, and changes nothing.
#[test]
fn registering_to_find_out_who_has_an_account() {
    let api = open_to_all(&[]);
    let register = |email: &str| {
        let body = json!({ "email": email, "password": "another password", "name": "Name" });
        let answer = api.server.call("POST", "/auth/register", Some(&body), &[]);
        let mut names: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
        names.sort();
        let mut json = answer.json();
        assert_eq!(json["email"], email);
        json["email"].take();
        (answer.status, json, names)
    };
    let (_, token) = api.user("ada@example.com");
    let fresh = register("new@example.com");
    assert_eq!(fresh.0, 201);
    assert_eq!(register("ada@example.com"), fresh);
    assert_eq!(register("admin@example.com"), fresh);
    // What was there stays: its name, its password, its session.
    let me = api.server.call("GET", "/me", None, &[("authorization", &bearer(&token))]).json();
    assert_eq!(me["name"], "ada@example.com");
    let tries = |email: &str, password: &str| login(&api.server.url, "", email, password).status;
    assert_eq!(tries("ada@example.com", "another password"), 401);
    assert_eq!(tries("ada@example.com", PASSWORD), 200);
    assert_eq!(tries("new@example.com", "another password"), 200);
}

/// A stolen access token takes no account over: address and password need the present password, and
/// guesses at that are counted with the logins. Nor does a change of address tell many who is here.
#[test]
fn taking_over_an_account_with_its_access_token() {
    let api = open_to_all(&[]);
    let (_, token) = api.user("ada@example.com");
    api.user("bob@example.com");
    let change =
        |body: Json| api.server.call("PATCH", "/me", Some(&body), &[("authorization", &bearer(&token))]);
    for body in [json!({ "password": "chosen by others" }), json!({ "email": "eve@example.com" })] {
        refused(&change(body), 422, "VALIDATION_ERROR", "currentPassword");
    }
    assert_eq!(change(json!({ "name": "Ada" })).status, 200, "a name needs none");
    let new = |email: &str, current: &str| change(json!({ "email": email, "currentPassword": current }));
    assert_eq!(new("ada2@example.com", PASSWORD).json()["email"], "ada2@example.com");
    for _ in 0..2 {
        refused(&new("bob@example.com", PASSWORD), 422, "VALIDATION_ERROR", "email");
    }
    for _ in 0..3 {
        refused(&new("eve@example.com", "wrong"), 422, "VALIDATION_ERROR", "currentPassword");
    }
    let waits = new("eve@example.com", PASSWORD);
    refused(&waits, 429, "RATE_LIMIT_EXCEEDED", "");
    assert!(waits.headers.contains_key("retry-after"));
    assert_eq!(login(&api.server.url, "", "ada2@example.com", PASSWORD).status, 429, "they count for logins");
}

/// A new password ends what others have opened.
#[test]
fn staying_signed_in_after_a_new_password() {
    let api = open_to_all(&[]);
    let (_, token) = api.user("ada@example.com");
    let thief = login(&api.server.url, "", "ada@example.com", PASSWORD).json();
    let body = json!({ "password": "a new password", "currentPassword": PASSWORD });
    let changed = api.server.call("PATCH", "/me", Some(&body), &[("authorization", &bearer(&token))]);
    assert_eq!(changed.status, 200, "{}", changed.body);
    let theirs = bearer(thief["accessToken"].as_str().unwrap());
    assert_eq!(api.server.call("GET", "/me", None, &[("authorization", &theirs)]).status, 401);
    let body = json!({ "refreshToken": thief["refreshToken"] });
    assert_eq!(api.server.call("POST", "/auth/refresh-token", Some(&body), &[]).status, 401);
}

/// A token for sockets is for sockets: no request counts with it, and it makes no other token.
#[test]
fn a_websocket_token_for_anything_else() {
    let api = Api::of(Server::start());
    make_gateway(
        &api.server,
        &api.token,
        json!({ "path": "/in", "requireAuth": true }),
        &[("who", "return @USER.email;")],
    );
    let (_, access) = api.user("ada@example.com");
    let websocket_token = |token: &str| {
        api.server.call("POST", "/auth/websocket-token", None, &[("authorization", &bearer(token))])
    };
    for access in [&access, &api.token] {
        let token = websocket_token(access).json()["token"].as_str().unwrap().to_owned();
        refused(&websocket_token(&token), 401, "AUTH_INVALID", "");
        let body = json!({ "refreshToken": token });
        refused(&api.server.call("POST", "/auth/refresh-token", Some(&body), &[]), 401, "AUTH_INVALID", "");
        for (method, path) in
            [("GET", "/me"), ("GET", "/admin/users"), ("GET", "/data/x"), ("GET", "/metrics")]
        {
            let by_header = api.server.call(method, path, None, &[("authorization", &bearer(&token))]);
            assert_eq!(by_header.status, 401, "{path}: {}", by_header.body);
        }
        let cookie = format!("accessToken={token}");
        for path in ["/me", "/admin/users"] {
            assert_eq!(api.server.call("GET", path, None, &[("cookie", &cookie)]).status, 401, "{path}");
        }
        let mut socket = Polling::connect(&api.server, "/in", Some(&token));
        assert_eq!(socket.run("who", &json!({}))["success"], true);
        assert_eq!(socket.ask("token_refresh", &json!({ "token": token }))["ok"], true);
    }
    // Of an ended session it opens nothing.
    let token = websocket_token(&access).json()["token"].as_str().unwrap().to_owned();
    assert_eq!(
        api.server.call("POST", "/auth/logout", None, &[("authorization", &bearer(&access))]).status,
        204
    );
    assert!(Polling::try_connect(&api.server.url, "/in", Some(&token)).is_err());
}

/// No token lives longer than its session, whoever asks for one shortly before the end.
#[test]
fn a_websocket_token_past_the_end_of_its_session() {
    let api = Api::of(Server::start());
    let mut command = crate::support::server::gatewright();
    command.args(["token", "--user", crate::support::server::ADMIN_EMAIL, "--ttl", "2m"]);
    api.server.data.give_to(&mut command);
    let short = String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned();
    let made = api.server.call("POST", "/auth/websocket-token", None, &[("authorization", &bearer(&short))]);
    assert_eq!(made.status, 200, "{}", made.body);
    let end = |token: &str| claims(token)["exp"].as_i64().unwrap();
    assert!(end(made.json()["token"].as_str().unwrap()) <= end(&short));
}

/// A script's own tokens, other algorithms, other kinds and other sessions are no tokens of ours.
#[test]
fn tokens_that_are_made_up() {
    let api = Api::of(Server::start());
    let claims = claims(&api.token);
    let of_script =
        api.run(&format!("return @HELPERS.jwt.sign({}, 60000);", format!("#{claims}").replace(":{", ":#{")));
    let parts: Vec<&str> = api.token.split('.').collect();
    let base64 = |json: Json| {
        use base64::Engine;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json.to_string())
    };
    let none = base64(json!({ "alg": "none", "typ": "JWT" }));
    let mut of_another = claims.clone();
    of_another["typ"] = json!("access");
    of_another["sid"] = json!(uuid::Uuid::new_v4());
    for token in [
        of_script.as_str().unwrap().to_owned(),
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], base64(of_another), parts[2]),
        format!("{}.{}", api.token, parts[2]),
        format!("{}.", parts[0]),
        "a".repeat(60_000),
    ] {
        let answer = send(&api.server.url, "GET", "/me", &[("authorization", &bearer(&token))], b"");
        assert!([400, 401].contains(&answer.status), "{token}: {}", answer.body);
    }
}

fn claims(token: &str) -> Json {
    use base64::Engine;
    let payload = token.split('.').nth(1).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}
