//! Other origins, other pages, slow and endless requests.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::server::{PATIENCE, Server, until};

/// Sends the head of a request, and its body a byte at a time: the time is for all of the body.
#[test]
fn bodies_that_drip() {
    let server = Server::start_with(&[("LIMITS__REQUEST_BODY_TIMEOUT_MS", "300")], &[]);
    let mut stream = connect(&server);
    let head = "POST /auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    // As long as the server listens to it.
    while stream.write_all(b" ").is_ok() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Opens connections and says nothing: the time for a head is also that of an idle connection.
#[test]
fn heads_that_never_come() {
    let server = Server::start_with(&[("LIMITS__REQUEST_HEAD_TIMEOUT_MS", "300")], &[]);
    let mut stream = connect(&server);
    stream.write_all(b"GET / HTTP/1.1\r\nhost:").unwrap();
    assert_eq!(stream.read_to_end(&mut Vec::new()).map_err(|error| error.kind()).unwrap_or(0), 0);
}

/// Opens more connections than one address may have: those that are there stay, one that goes makes room.
#[test]
fn connections_of_one_address() {
    let server = Server::start_with(&[("LIMITS__TCP_CONNECTIONS_PER_IP", "3")], &[]);
    let answers = |stream: &mut TcpStream| {
        let sent = stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n");
        let mut start = [0; 12];
        sent.is_ok() && stream.read_exact(&mut start).is_ok() && &start == b"HTTP/1.1 200"
    };
    let mut held: Vec<_> = std::iter::repeat_with(|| {
        let mut stream = connect(&server);
        // The one that asked whether the server is up may still be there.
        until("an answer", || {
            if answers(&mut stream) {
                return Some(());
            }
            stream = connect(&server);
            None
        });
        stream
    })
    .take(3)
    .collect();
    assert!(!answers(&mut connect(&server)));
    held.pop();
    until("there is room again", || answers(&mut connect(&server)).then_some(()));
}

/// Holds every file that the process may open: the server still answers others.
#[test]
fn connections_beyond_the_open_files() {
    let server = Server::start_limited("ulimit -n 300", &[]);
    let held: Vec<_> = (0..400).map(|_| connect(&server)).collect();
    until("an answer", || {
        let mut stream = connect(&server);
        let asked = stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n");
        let mut start = [0; 9];
        (asked.is_ok() && stream.read_exact(&mut start).is_ok() && &start == b"HTTP/1.1 ").then_some(())
    });
    drop(held);
    let token = server.admin_token();
    assert_eq!(server.admin(&token, "GET", "/admin/gateways", None).status, 200);
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}
