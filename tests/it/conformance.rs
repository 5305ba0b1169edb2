//! The protocols as stock clients expect them: Engine.IO and Socket.IO by hand
//! (`tests/client/conformance`), and a client of another language.

use super::support::node::run_client;
use super::support::python::run_python;
use super::support::server::Server;

#[test]
fn conformance_engine_io() {
    run_client(&Server::start(), "conformance/engine.mjs");
}

#[test]
fn conformance_socket_io() {
    run_client(&Server::start(), "conformance/socket.mjs");
}

#[test]
fn conformance_python_client() {
    run_python(&Server::start(), "conformance");
}
