//! The `raw` baseline: axum and socketioxide answering as Gatewright does, with no script, no
//! queue and no authentication. It is the ceiling the gateway is measured against, so it does
//! everything in the event's own task, before a future is returned, and never reads a payload
//! it does not need.

use std::future::{Future, Ready, ready};
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context as TaskContext, Waker};

use anyhow::{Context, Result};
use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt;
use serde::{Deserialize, Serialize};
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::client::NAMESPACE;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Accepted {
    accepted: bool,
    queued: bool,
    request_id: Uuid,
    event_name: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Finished<R> {
    request_id: Uuid,
    event_name: &'static str,
    success: bool,
    result: R,
    logs: [(); 0],
}

#[derive(Serialize)]
struct Sent {
    sent: bool,
}

#[derive(Serialize)]
struct Joined {
    joined: String,
}

#[derive(Serialize)]
struct Published {
    published: bool,
}

#[derive(Deserialize)]
struct Join {
    room: String,
}

#[derive(Deserialize)]
struct Publish {
    room: String,
    data: serde_json::Value,
}

/// Serves until the process is ended.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(listen: SocketAddr) -> Result<()> {
    let (layer, io) = SocketIo::new_layer();
    io.ns(NAMESPACE, connected);
    let app = Router::new().route("/health/ready", get(|| ready("ready")));
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}"))?
        .tap_io(|stream| {
            // Ack and result are two small writes: with Nagle the second waits for the client.
            if let Err(error) = stream.set_nodelay(true) {
                eprintln!("cannot set TCP_NODELAY: {error}");
            }
        });
    axum::serve(listener, app.layer(layer)).await?;
    Ok(())
}

/// Registers the handlers before a future is returned, so that no event can come too early.
fn connected(socket: SocketRef) -> Ready<()> {
    socket.on("message", on_message);
    socket.on("join", on_join);
    socket.on("publish", on_publish);
    ready(())
}

fn on_message(socket: SocketRef, ack: AckSender) -> Ready<()> {
    answer(&socket, ack, "message", Sent { sent: true });
    ready(())
}

fn on_join(socket: SocketRef, Data(join): Data<Join>, ack: AckSender) -> Ready<()> {
    socket.join(join.room.clone());
    answer(&socket, ack, "join", Joined { joined: join.room });
    ready(())
}

fn on_publish(socket: SocketRef, Data(publish): Data<Publish>, ack: AckSender) -> Ready<()> {
    // `within` is the room with everybody in it, as the gateway's `emitToCurrentRoom` is.
    let broadcast = socket.within(publish.room).emit("tick", &publish.data);
    // The local adapter is done at the first poll. Left to a task of its own, a publish could
    // overtake the one before it.
    let _ = pin!(broadcast).poll(&mut TaskContext::from_waker(Waker::noop()));
    answer(&socket, ack, "publish", Published { published: true });
    ready(())
}

/// Sends the ack and the result. A socket that has gone gets neither, which is no error here.
fn answer<R: Serialize>(socket: &SocketRef, ack: AckSender, event_name: &'static str, result: R) {
    let request_id = Uuid::now_v7();
    let accepted = Accepted { accepted: true, queued: true, request_id, event_name };
    let finished = Finished { request_id, event_name, success: true, result, logs: [] };
    ack.send(&accepted).ok();
    socket.emit("ws:result", &finished).ok();
}
