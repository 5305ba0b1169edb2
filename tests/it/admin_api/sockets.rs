//! Sockets and rooms as admins see them: page by page, one by one, and what is said to them.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value as Json, json};

use super::{INVALID, MISSING, check_error, check_time, encode};
use crate::support::api::{Api, make_gateway};
use crate::support::polling::Polling;
use crate::support::server::{Server, until};

/// A crowd from one address, all at once.
const SETTINGS: [(&str, &str); 2] =
    [("LIMITS__CONNECTIONS_PER_SECOND_PER_IP", "0"), ("LIMITS__CONNECTIONS_BURST_PER_IP", "0")];
const SCRIPTS: [(&str, &str); 3] = [
    ("join", "@SOCKET.join(@BODY.room);"),
    ("id", "return @SOCKET.id;"),
    ("bad", "@THROW.badRequest(\"no\");"),
];

fn start() -> Api {
    Api::of(Server::start_with(&SETTINGS, &[]))
}

/// The id of a socket, as clients know it.
fn id_of(socket: &mut Polling) -> String {
    socket.run("id", &json!({}))["result"].as_str().unwrap().to_owned()
}

/// All of a list, and of how many pages it was.
fn all(api: &Api, path: &str) -> (Vec<Json>, usize) {
    all_behind(api, path, None)
}

fn all_behind(api: &Api, path: &str, behind: Option<&str>) -> (Vec<Json>, usize) {
    let cursor_of = |place: &str| format!("&cursor={}", encode(place));
    let (mut found, mut cursor, mut pages) = (Vec::new(), behind.map(cursor_of).unwrap_or_default(), 0);
    loop {
        let answer = api.get(&format!("{path}{cursor}"));
        found.extend(answer["data"].as_array().unwrap().iter().cloned());
        pages += 1;
        match answer["nextCursor"].as_str() {
            Some(next) => cursor = cursor_of(next),
            None => return (found, pages),
        }
    }
}

#[test]
fn admin_api_sockets_page_by_page() {
    // More than are looked at while the rooms of a gateway are held.
    const CROWD: usize = 300;
    let api = start();
    for path in ["/a", "/b"] {
        make_gateway(&api.server, &api.token, json!({ "path": path }), &SCRIPTS);
    }
    let crowd: Vec<_> = (0..CROWD)
        .map(|number| {
            let mut socket = Polling::connect(&api.server, if number % 3 == 0 { "/b" } else { "/a" }, None);
            if number % 2 == 0 {
                socket.run("join", &json!({ "room": "even" }));
            }
            socket
        })
        .collect();
    let key = |socket: &Json| (socket["gateway"].to_string(), socket["id"].to_string());
    for limit in [1000, 7, 256] {
        let (found, pages) = all(&api, &format!("/admin/sockets?limit={limit}"));
        let keys: Vec<_> = found.iter().map(key).collect();
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), CROWD, "each once");
        assert!(keys.is_sorted() && found.len() == CROWD && pages >= CROWD / limit, "{pages} pages");
    }
    assert_eq!(all(&api, "/admin/sockets?gateway=/b&limit=9").0.len(), CROWD / 3);
    assert_eq!(all(&api, "/admin/sockets?room=even&limit=9").0.len(), CROWD / 2);
    assert_eq!(all(&api, "/admin/sockets?room=even&gateway=/b&limit=1000").0.len(), CROWD / 6);
    assert!(all(&api, "/admin/sockets?room=nothing&limit=9").0.is_empty());

    // Who stays is on one of the pages, whoever goes between them.
    let first = api.get("/admin/sockets?limit=100");
    let seen: BTreeSet<_> = first["data"].as_array().unwrap().iter().map(key).collect();
    drop(crowd);
    let mut stays = Polling::connect(&api.server, "/b", None);
    let id = id_of(&mut stays);
    let (rest, _) = all_behind(&api, "/admin/sockets?limit=100", first["nextCursor"].as_str());
    let rest: BTreeSet<_> = rest.iter().map(key).collect();
    assert!(rest.is_disjoint(&seen));
    assert!(rest.contains(&("\"/b\"".to_owned(), json!(id).to_string())), "it is behind those of /a");
}

#[test]
fn admin_api_sockets_one_by_one() {
    let api = start();
    for path in ["/one", "/two"] {
        make_gateway(&api.server, &api.token, json!({ "path": path }), &SCRIPTS);
    }
    let (user, token) = api.user("Ada.<b>@example.com");
    let mut socket = Polling::connect(&api.server, "/one", Some(&token));
    let mut guest = Polling::connect(&api.server, "/one", None);
    let (id, of_guest) = (id_of(&mut socket), id_of(&mut guest));
    for room in ["red", "<i>blue</i>"] {
        socket.run("join", &json!({ "room": room }));
    }
    socket.run("bad", &json!({}));

    // A job gives its place back just after its outcome is told.
    let found = until("nothing waits", || {
        let found = api.get(&format!("/admin/sockets/{id}"));
        (found["queuedEvents"] == 0).then_some(found)
    });
    assert_eq!(
        (&found["id"], &found["gateway"], &found["transport"]),
        (&json!(id), &json!("/one"), &json!("polling"))
    );
    assert_eq!((&found["rooms"], &found["roomCount"]), (&json!(["red", "<i>blue</i>"]), &json!(2)));
    assert_eq!((&found["user"]["id"], &found["address"]), (&user["id"], &json!("127.0.0.1")));
    assert!(found["sessionId"].is_string() && found["queuedBytes"].is_u64(), "{found}");
    check_time(&found["connectedAt"]);
    let runs: Vec<_> = found["lastRuns"].as_array().unwrap().iter().map(|run| &run["eventName"]).collect();
    assert_eq!(runs, ["bad", "join", "join", "id"], "its own, newest first");
    assert_eq!(found["lastRuns"][0]["code"], "BUSINESS_LOGIC_ERROR");
    assert_eq!(api.get(&format!("/admin/logs?socketId={of_guest}"))["data"].as_array().unwrap().len(), 1);

    let ids = |query: &str| -> BTreeSet<String> {
        let (found, _) = all(&api, &format!("/admin/sockets?limit=1000&{query}"));
        found.iter().map(|socket| socket["id"].as_str().unwrap().to_owned()).collect()
    };
    let (both, its): (BTreeSet<_>, BTreeSet<_>) =
        ([id.clone(), of_guest.clone()].into(), [id.clone()].into());
    assert_eq!(ids("q=127.0.0"), both);
    for query in [
        format!("userId={}", user["id"].as_str().unwrap()),
        "q=ADA.%3CB".to_owned(),
        "room=red".to_owned(),
        format!("q={id}"),
    ] {
        assert_eq!(ids(&query), its, "{query}");
    }
    let query = format!("userId={}&room=green", user["id"].as_str().unwrap());
    assert!(ids(&query).is_empty());

    let emit = format!("/admin/sockets/{id}/emit");
    let body = json!({ "event": "news", "data": { "text": "hi" } });
    assert_eq!(api.call("POST", &emit, Some(body), 200), json!({ "delivered": 1 }));
    assert_eq!(socket.wait_for("news"), json!({ "text": "hi" }));
    assert!(guest.unread().is_empty());

    // A transport in two gateways has one id in both.
    assert!(socket.try_post("40/two,"));
    until("two connections", || (ids(&format!("q={id}&gateway=/two")).len() == 1).then_some(()));
    api.refuses(("GET", &format!("/admin/sockets/{id}")), None, INVALID, &["/one, /two"]);
    assert_eq!(api.get(&format!("/admin/sockets/{id}?gateway=/two"))["gateway"], "/two");
    let body = json!({ "event": "news", "gateway": "/two" });
    assert_eq!(api.call("POST", &emit, Some(body), 200), json!({ "delivered": 1 }));
    let body = json!({ "event": "news" });
    assert_eq!(api.call("POST", &emit, Some(body), 200), json!({ "delivered": 2 }));
    let disconnect = format!("/admin/sockets/{id}/disconnect");
    assert_eq!(
        api.call("POST", &disconnect, Some(json!({ "gateway": "/two" })), 200),
        json!({ "disconnected": 1 })
    );
    until("one connection", || {
        (ids(&format!("q={id}")).len() == 1 && ids("gateway=/two").is_empty()).then_some(())
    });
    assert_eq!(api.call("POST", &disconnect, None, 200), json!({ "disconnected": 1 }));
    until("none", || ids(&format!("q={id}")).is_empty().then_some(()));
    assert_eq!(ids("q=127"), [of_guest.clone()].into(), "nobody else is cut");

    for path in [emit.as_str(), disconnect.as_str()] {
        let body = path.ends_with("emit").then(|| json!({ "event": "e" }));
        api.refuses(("POST", path), body, MISSING, &[&id]);
    }
    let emit = format!("/admin/sockets/{of_guest}/emit");
    api.refuses(("POST", &emit), Some(json!({ "event": "ws:result" })), INVALID, &["ws:result"]);
    api.refuses(("POST", &emit), Some(json!({ "event": "e", "gateway": "/none" })), MISSING, &["/none"]);
    for (query, error) in
        [("limit=0", INVALID), ("limit=1001", INVALID), ("cursor=x", INVALID), ("gateway=/none", MISSING)]
    {
        for list in ["sockets", "sockets/rooms"] {
            api.refuses(("GET", &format!("/admin/{list}?{query}")), None, error, &[]);
        }
    }
    for (method, path) in [("GET", "/admin/sockets"), ("GET", "/admin/sockets/rooms"), ("POST", &disconnect)]
    {
        let answer = api.server.admin(&token, method, path, None);
        check_error(path, &answer, 403, "AUTHORIZATION_ERROR", &[]);
    }
}

#[test]
fn admin_api_rooms() {
    let api = start();
    for path in ["/a", "/b"] {
        make_gateway(&api.server, &api.token, json!({ "path": path }), &SCRIPTS);
    }
    let rooms = ["alpha", "beta", "<b>Gamma</b> & more", "\u{202e}delta", "z y"];
    let mut one = Polling::connect(&api.server, "/a", None);
    rooms.iter().for_each(|room| drop(one.run("join", &json!({ "room": room }))));
    let mut other = Polling::connect(&api.server, "/b", None);
    other.run("join", &json!({ "room": "alpha" }));
    let mut third = Polling::connect(&api.server, "/a", None);
    third.run("join", &json!({ "room": "alpha" }));
    for limit in [1, 2, 100] {
        let (found, _) = all(&api, &format!("/admin/sockets/rooms?limit={limit}"));
        let name = |room: &Json| {
            (room["gateway"].as_str().unwrap().to_owned(), room["name"].as_str().unwrap().to_owned())
        };
        let names: Vec<_> = found.iter().map(name).collect();
        assert!(names.is_sorted() && names.len() == rooms.len() + 1, "{names:?}");
    }
    let (found, _) = all(&api, "/admin/sockets/rooms?q=ALP");
    assert_eq!(
        found,
        [
            json!({ "name": "alpha", "gateway": "/a", "members": 2 }),
            json!({ "name": "alpha", "gateway": "/b", "members": 1 })
        ]
    );
    assert_eq!(all(&api, "/admin/sockets/rooms?gateway=/a&q=gamma").0[0]["name"], rooms[2]);
    let stats = api.get("/admin/sockets/stats");
    assert_eq!((&stats["rooms"]["total"], &stats["rooms"]["gateways"]["/b"]), (&json!(6), &json!(1)));
    assert_eq!(stats["connections"]["total"], 3);
}

/// Where the Socket Service had its page: relative, since only a client knows the prefix of a proxy.
#[test]
fn admin_api_socket_page_is_found() {
    let api = Api::start();
    let head = |method: &str, path: &str| {
        let mut stream = TcpStream::connect(api.server.url.strip_prefix("http://").unwrap()).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        let mut head = String::new();
        stream.read_to_string(&mut head).unwrap();
        head.to_ascii_lowercase()
    };
    let found = head("GET", "/socket");
    assert!(found.contains(" 307 ") && found.contains("location: _/#/sockets\r\n"), "{found}");
    assert!(head("POST", "/socket").contains(" 404 "));
    assert!(head("GET", "/socket/more").contains(" 404 "));
    let route =
        json!({ "method": "GET", "path": "/{name}", "sourceCode": "@PARAMS.name", "access": "public" });
    api.make("/admin/routes", route);
    let found = head("GET", "/socket");
    assert!(
        found.contains(" 200 ") && !found.contains("location:"),
        "a route of an admin goes first: {found}"
    );
}
