//! Foreign pages, and requests that no client of ours would send.

use serde_json::{Value as Json, json};

use crate::support::api::{Api, encoded, make_gateway, refused};
use crate::support::server::{ADMIN_EMAIL, ADMIN_PASSWORD, Answer, PATIENCE, Server, send};

const LISTED: &str = "https://listed.example";
const FOREIGN: &str = "https://evil.example";

fn api_with(settings: &[(&str, &str)]) -> Api {
    Api::of(Server::start_with(settings, &[]))
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// A page of another origin, listed or not, does nothing and reads nothing of the admin API with the
/// cookie of an admin who visits it.
#[test]
fn riding_on_an_admins_cookie() {
    let api = api_with(&[("ALLOWED_ORIGINS", LISTED)]);
    let cookie = format!("accessToken={}", api.token);
    let body = json!({ "email": "eve@example.com", "password": "some password", "role": "admin" });
    let from = |origin: Option<&str>, method: &str, path: &str, body: Option<&Json>| {
        let mut headers = vec![("cookie", cookie.as_str())];
        headers.extend(origin.map(|origin| ("origin", origin)));
        api.server.call(method, path, body, &headers)
    };
    for origin in [LISTED, FOREIGN, "null", &api.server.url.replace("http://", "https://")] {
        refused(&from(Some(origin), "POST", "/admin/users", Some(&body)), 403, "ORIGIN_NOT_ALLOWED", "");
        for path in ["/admin/users", "/admin/users?limit=1", "/admin/stats"] {
            refused(&from(Some(origin), "GET", path, None), 403, "ORIGIN_NOT_ALLOWED", "");
        }
    }
    for origin in [None, Some(api.server.url.as_str())] {
        assert_eq!(from(origin, "GET", "/admin/users", None).status, 200, "{origin:?}");
    }
    // Elsewhere a listed page may use its visitor's session.
    assert_eq!(from(Some(LISTED), "PATCH", "/me", Some(&json!({ "name": "A" }))).status, 200);
    // A token is no cookie.
    let bearer = format!("Bearer {}", api.token);
    let headers = [("authorization", bearer.as_str()), ("origin", FOREIGN)];
    assert_eq!(api.server.call("GET", "/admin/users", None, &headers).status, 200);
}

/// A page over plain HTTP is not of the origin that is reached by HTTPS, and only a trusted proxy
/// says which that is.
#[test]
fn a_page_of_another_scheme() {
    let change = |api: &Api, scheme: &str, forwarded: Option<&str>| {
        let origin = api.server.url.replace("http://", &format!("{scheme}://"));
        let cookie = format!("accessToken={}", api.token);
        let mut headers = vec![("cookie", cookie.as_str()), ("origin", origin.as_str())];
        headers.extend(forwarded.map(|forwarded| ("x-forwarded-proto", forwarded)));
        api.server.call("PATCH", "/me", Some(&json!({ "name": "A" })), &headers).status
    };
    let direct = api_with(&[]);
    assert_eq!((change(&direct, "http", None), change(&direct, "https", None)), (200, 403));
    assert_eq!(change(&direct, "https", Some("https")), 403, "no proxy is trusted");
    let proxied = api_with(&[("TRUSTED_IP_HEADER", "x-forwarded-for")]);
    assert_eq!(
        (change(&proxied, "https", Some("https")), change(&proxied, "http", Some("https"))),
        (200, 403)
    );
    assert_eq!((change(&proxied, "https", Some("http")), change(&proxied, "http", None)), (403, 200));
    assert_eq!(change(&proxied, "https", Some("https, http")), 403, "the proxy's own word is the last");
}

/// What a page of any origin may read of Socket.IO it reads without cookies.
#[test]
fn reading_socket_io_with_a_visitors_cookies() {
    let api = api_with(&[("ALLOWED_ORIGINS", &format!("*,{LISTED}"))]);
    let own_list = json!({ "path": "/own", "allowedOrigins": ["https://own.example"] });
    make_gateway(&api.server, &api.token, own_list, &[]);
    let open = |method: &str, origin: &str| {
        let headers = [("origin", origin), ("access-control-request-method", "GET")];
        send(&api.server.url, method, "/socket.io/?EIO=4&transport=polling", &headers, b"")
    };
    for method in ["GET", "OPTIONS"] {
        for origin in [FOREIGN, "null", "http://listed.example"] {
            let answer = open(method, origin);
            assert_eq!(header(&answer, "access-control-allow-origin"), "*", "{method} {origin}");
            assert_eq!(header(&answer, "access-control-allow-credentials"), "", "{method} {origin}");
        }
        for origin in [LISTED, "https://own.example", &api.server.url] {
            let answer = open(method, origin);
            assert_eq!(header(&answer, "access-control-allow-origin"), origin, "{method}");
            assert_eq!(header(&answer, "access-control-allow-credentials"), "true", "{method} {origin}");
            assert!(header(&answer, "vary").to_lowercase().contains("origin"), "{method} {origin}");
        }
    }
}

/// No answer is taken for what it is not, shown in another's frame, or told to other sites.
#[test]
fn framing_and_sniffing() {
    let api = api_with(&[]);
    make_route(&api, "/page", "@HEADER(\"content-type\", \"text/html\"); return \"<h1>hello</h1>\";");
    for path in [
        "/docs/",
        "/docs/swagger-initializer.js",
        "/openapi.json",
        "/me",
        "/admin/users",
        "/nowhere",
        "/page",
        "/health/live",
        "/socket.io/?EIO=4&transport=polling",
        "/socket.io/?EIO=3",
        "/socket.io/socket.io.js",
    ] {
        let answer = send(&api.server.url, "GET", path, &[], b"");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header(&answer, "x-frame-options"), "DENY", "{path}");
        assert_eq!(header(&answer, "referrer-policy"), "same-origin", "{path}");
        let policy = header(&answer, "content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe-eval") && !policy.contains('*'), "{path}: {policy}");
    }
    let docs = send(&api.server.url, "GET", "/docs/", &[], b"");
    assert!(header(&docs, "content-security-policy").contains("script-src 'self';"));
    assert!(!docs.body.contains("<script>"), "its policy lets no script in the page itself run");
    let body = json!({ "email": ADMIN_EMAIL, "password": ADMIN_PASSWORD });
    let login = api.server.call("POST", "/auth/login", Some(&body), &[]);
    assert_eq!(header(&login, "cache-control"), "no-store");
}

/// A page that a route serves has nothing of its visitor's session, unless its script says so.
#[test]
fn a_page_of_a_route_with_its_visitors_session() {
    let api = api_with(&[]);
    let html = "@HEADER(\"content-type\", \"text/html\");";
    make_route(&api, "/page", &format!("{html} return \"<script>1</script>\";"));
    make_route(
        &api,
        "/own",
        &format!("{html} @HEADER(\"content-security-policy\", \"default-src 'self'\"); return \"x\";"),
    );
    make_route(&api, "/fails", &format!("{html} @THROW.badRequest(\"<script>1</script>\");"));
    let policy = |path: &str| {
        header(&send(&api.server.url, "GET", path, &[], b""), "content-security-policy").to_owned()
    };
    assert!(policy("/page").starts_with("sandbox "), "{}", policy("/page"));
    assert!(!policy("/page").contains("allow-same-origin"));
    assert_eq!(policy("/own"), "default-src 'self'");
    let failed = send(&api.server.url, "GET", "/fails", &[], b"");
    assert_eq!((failed.status, header(&failed, "content-type")), (400, "application/json"));
}

/// A foreign page does not sign its visitor in as somebody else.
#[test]
fn signing_a_visitor_in_as_somebody_else() {
    let api = api_with(&[("ALLOWED_ORIGINS", &format!("*,{LISTED}"))]);
    let body = json!({ "email": ADMIN_EMAIL, "password": ADMIN_PASSWORD });
    let login = |origin: &str| api.server.call("POST", "/auth/login", Some(&body), &[("origin", origin)]);
    let (foreign, own) = (login(FOREIGN), login(LISTED));
    assert_eq!((foreign.status, own.status), (200, 200), "with the password anyone may");
    assert!(!foreign.headers.contains_key("set-cookie"), "{:?}", foreign.headers);
    assert!(own.headers.contains_key("set-cookie"));
    let token = json!({ "refreshToken": own.json()["refreshToken"] });
    // What a form can send without asking.
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let headers = [("content-type", kind), ("origin", FOREIGN)];
        for path in ["/auth/refresh-token", "/auth/logout", "/auth/login"] {
            let answer = send(&api.server.url, "POST", path, &headers, token.to_string().as_bytes());
            assert_eq!(answer.status, 400, "{path} {kind}: {}", answer.body);
        }
    }
    let refreshed = api.server.call("POST", "/auth/refresh-token", Some(&token), &[("origin", FOREIGN)]);
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    assert!(!refreshed.headers.contains_key("set-cookie"));
}

/// The description tells of a table or a route only to who may use it.
#[test]
fn reading_the_description_of_what_one_may_not_use() {
    let api = api_with(&[]);
    let columns = json!([{ "name": "salary", "type": "integer" }]);
    for (name, access) in [
        ("open", json!({ "read": "public", "create": "user" })),
        ("inner", json!({ "read": "user" })),
        ("hidden", json!({})),
    ] {
        api.make("/admin/tables", json!({ "name": name, "columns": columns, "access": access }));
    }
    for access in ["public", "user", "admin", "app"] {
        let route =
            json!({ "method": "GET", "path": format!("/r/{access}"), "access": access, "sourceCode": "1" });
        api.make("/admin/routes", route);
    }
    let (_, user) = api.user("ada@example.com");
    let (reads, routes) = (api.app_key(&["data:read"]), api.app_key(&["routes"]));
    let seen = |headers: &[(&str, &str)]| {
        let answer = api.server.call("GET", "/openapi.json", None, headers);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(header(&answer, "cache-control").contains("private"), "{:?}", answer.headers);
        for name in ["authorization", "cookie", "x-app-token"] {
            let varies =
                answer.headers.get_all("vary").iter().any(|value| value.to_str().unwrap().contains(name));
            assert!(varies, "{name}: {:?}", answer.headers);
        }
        let paths = answer.json()["paths"].as_object().unwrap().clone();
        let mut seen = Vec::new();
        for (path, item) in paths {
            let is_ours =
                ["/data/open", "/data/inner", "/data/hidden", "/r/"].iter().any(|one| path.starts_with(one));
            let methods = item.as_object().unwrap().keys().filter(|_| is_ours);
            seen.extend(
                methods.filter(|name| *name != "parameters").map(|method| format!("{method} {path}")),
            );
        }
        seen.sort();
        seen.join(", ")
    };
    let open = "get /data/open, get /data/open/{id}";
    assert_eq!(seen(&[]), format!("{open}, get /r/public"));
    assert_eq!(
        seen(&[("authorization", &format!("Bearer {user}"))]),
        format!(
            "get /data/inner, get /data/inner/{{id}}, {open}, get /r/public, get /r/user, post /data/open"
        )
    );
    let all = seen(&[("authorization", &format!("Bearer {}", api.token))]);
    for one in [
        "delete /data/hidden/{id}",
        "post /data/hidden",
        "patch /data/inner/{id}",
        "get /r/app",
        "get /r/admin",
    ] {
        assert!(all.contains(one), "{one}: {all}");
    }
    let of_key = seen(&[("x-app-token", &reads)]);
    assert!(
        of_key.contains("get /data/hidden") && !of_key.contains("post") && !of_key.contains("/r/app"),
        "{of_key}"
    );
    assert!(seen(&[("x-app-token", &routes)]).contains("get /r/app"));
    assert!(!seen(&[("x-app-token", &routes)]).contains("hidden"));
    assert_eq!(api.server.call("GET", "/openapi.json", None, &[("authorization", "Bearer x")]).status, 401);
}

/// Bodies, headers, queries and paths that are wrong in every way are refused, and nothing falls over.
#[test]
fn malformed_requests() {
    let api = api_with(&[]);
    api.table("t", json!([{ "name": "j", "type": "json" }]));
    make_route(&api, "/echo", "return @BODY;");
    let bearer = format!("Bearer {}", api.token);
    let post = |path: &str, body: &[u8]| {
        let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
        send(&api.server.url, "POST", path, &headers, body)
    };
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for path in ["/auth/login", "/data/t", "/echo", "/admin/gateways", "/auth/refresh-token"] {
        for body in [
            deep.clone().into_bytes(),
            format!(r#"{{"j":{deep}}}"#).into_bytes(),
            b"{\"email\":\"a\",\"email\":\"b\",\"password\":".to_vec(),
            b"\xff\xfe{}".to_vec(),
            b"{} {}".to_vec(),
            vec![b' '; 1 << 20].into_iter().chain(*b"{").collect(),
        ] {
            let answer = post(path, &body);
            assert!((400..500).contains(&answer.status), "{path}: {} {}", answer.status, answer.body);
        }
    }
    // The same key twice is not one key for the check and another for the use.
    let twice = br#"{"email":"admin@example.com","email":"x","password":"a"}"#;
    assert_eq!(post("/auth/login", twice).status, 400);
    for filter in
        [format!(r#"{{"_not":{}1{}}}"#, r#"{"_not":"#.repeat(1000), "}".repeat(1000)), "{".to_owned()]
    {
        let path = format!("/data/t?{}", encoded(&[("filter", &filter)]));
        let answer = send(&api.server.url, "GET", &path, &[("authorization", &bearer)], b"");
        assert!((400..500).contains(&answer.status), "{} {}", answer.status, answer.body);
    }
    for path in [
        "/docs/../../etc/passwd",
        "/docs/..%2f..%2fetc%2fpasswd",
        "/docs/%2e%2e/%2e%2e/secret",
        "/%00",
        "//admin/users",
        "/admin/users/../../secret",
        "/admin//users",
        "/demo/..%2fsecret",
        "/socket.io/../secret",
        "/socket.io/..%2fsecret",
    ] {
        let answer = send(&api.server.url, "GET", path, &[], b"");
        assert!((400..500).contains(&answer.status), "{path}: {} {}", answer.status, answer.body);
        assert!(!answer.body.contains("root:"), "{path}");
    }
    let long = "a".repeat(200_000);
    let all = |first: &str, header: &str| {
        raw(&api, &format!("{first} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\r\n\r\n"))
    };
    let status =
        |answer: &str| answer.split(' ').nth(1).unwrap_or_default().parse::<u16>().unwrap_or_default();
    for answer in [
        all(&format!("GET /me?x={long}"), "accept: */*"),
        all("GET /admin/users", &format!("x-app-token: {long}")),
        all("GET /admin/users", &format!("cookie: {long}")),
        all("GET /admin/users", "x-app-token: gw_wrong"),
        all("GET /admin/users", "x-app-token: \u{e9}"),
        all("GET /admin/users", &"a: b\r\n".repeat(1000)),
        all("GET admin/users", "a: b"),
        all("GET /me\r\n GET /admin/users", "a: b"),
    ] {
        let start = answer.lines().next().unwrap_or_default();
        assert!([400, 401, 414, 431].contains(&status(&answer)), "{start}");
    }
    // A token in the address, where logs and histories keep it, is none.
    for name in ["token", "access_token", "accessToken", "x-app-token"] {
        let path = format!("/me?{name}={}", api.token);
        assert_eq!(send(&api.server.url, "GET", &path, &[], b"").status, 401, "{name}");
    }
    for method in ["TRACE", "CONNECT", "PUT", "PROPFIND"] {
        let answer = all(&format!("{method} /me"), &format!("authorization: {bearer}"));
        assert!((400..500).contains(&status(&answer)), "{method}: {answer}");
        assert!(!answer.contains(&api.token), "{method} tells the token back");
    }
    let head = send(&api.server.url, "HEAD", "/me", &[("authorization", &bearer)], b"");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(api.get("/me")["email"], ADMIN_EMAIL, "it still serves");
}

fn make_route(api: &Api, path: &str, script: &str) {
    let method = if path == "/echo" { "POST" } else { "GET" };
    api.make(
        "/admin/routes",
        json!({ "method": method, "path": path, "access": "public", "sourceCode": script }),
    );
}

/// The answer to bytes that no HTTP client would send.
fn raw(api: &Api, request: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(api.server.url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The server may answer and close before it has read all.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}
