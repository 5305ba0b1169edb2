//! Ports of this machine.

use std::net::SocketAddr;

use tokio::net::TcpSocket;

/// A port that the system gives to nobody else while this is there, also while nobody listens on it: neither to
/// another test nor to a client that connects to it and could find itself there.
#[derive(Debug)]
pub struct Port {
    pub address: SocketAddr,
    _socket: TcpSocket,
}

impl Port {
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // So whoever names it may listen on it.
        socket.set_reuseaddr(true).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self { address: socket.local_addr().unwrap(), _socket: socket }
    }
}
