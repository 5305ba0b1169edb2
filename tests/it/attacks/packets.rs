//! Packets of Engine.IO and Socket.IO that no client would send, and too many that any would.

use serde_json::json;

use crate::support::api::Api;
use crate::support::database::Database;
use crate::support::websocket::RawSocket;

/// A packet of a type that does not exist ends its own connection, and no other.
#[test]
fn packets_of_no_known_type() {
    let api = Api::on(Database::Sqlite);
    let mut bystander = api.socket("/junk", "return 1;", None);
    let mut socket = RawSocket::connect(&api.server.url, "/junk");
    socket.send("9 what is this");
    socket.until_end();
    assert_eq!(bystander.run("e", &json!({}))["result"], 1);
}
