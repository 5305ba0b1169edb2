//! Accepting connections.
//!
//! A loop of our own instead of axum's: the gateway needs a handle on the TCP connection under a
//! socket, requests must not wait for ever for their headers, and an HTTP/2 state machine that
//! nobody uses would cost memory with each connection.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use gatewright_core::config::Config;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::{Service, ServiceBuilder, ServiceExt};

use super::body::TimedBody;
use super::peers::{Peers, Place};
use super::transport::{BeyondCapacity, Endable};

/// How long the loop waits when the system has no file handles left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long idle keep-alive connections may take to end at the stop.
const GOODBYE: Duration = Duration::from_millis(500);

/// How long a client may take for its request when the server is full: the few places that are left
/// have to be free again soon.
const HEAD_BEYOND: Duration = Duration::from_secs(1);

/// What a connection may take, and how long.
#[derive(Clone)]
pub struct Patience {
    head: Duration,
    body: Duration,
    write: Duration,
    peers: Peers,
}

impl Patience {
    /// As configured.
    pub fn new(config: &Config) -> Self {
        let limits = &config.limits;
        Self {
            head: Duration::from_millis(limits.request_head_timeout_ms),
            body: Duration::from_millis(limits.request_body_timeout_ms),
            write: Duration::from_millis(limits.write_timeout_ms),
            peers: Peers::new(config),
        }
    }
}

/// Serves `service` on `listener` until `shutdown` comes. Then it takes no more connections, and gives
/// requests that have begun a moment to end.
pub async fn serve<S>(
    listener: TcpListener,
    service: S,
    patience: Patience,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request<TimedBody>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let (stop, stopped) = watch::channel(());
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, peer)) => match patience.peers.take_place(peer.ip()) {
                Some(place) => {
                    let (service, stopped) = (service.clone(), stopped.clone());
                    tokio::spawn(serve_connection(stream, peer, place, service, patience.clone(), stopped));
                }
                None => tracing::debug!(%peer, "closed: too many connections"),
            },
            Err(error) => {
                // Whether it concerns one connection or the whole process, the next may work.
                tracing::debug!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    drop(stopped);
    let _ = stop.send(());
    let _ = tokio::time::timeout(GOODBYE, stop.closed()).await;
}

async fn serve_connection<S>(
    stream: TcpStream,
    peer: std::net::SocketAddr,
    place: Place,
    service: S,
    patience: Patience,
    mut stopped: watch::Receiver<()>,
) where
    S: Service<Request<TimedBody>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    // An ack and a result are two small writes: without this the second waits for the client's
    // delayed acknowledgement of the first.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "could not set TCP_NODELAY");
    }
    let is_beyond_capacity = place.is_beyond_capacity();
    let (stream, handle) = Endable::new(stream, patience.write, place);
    let service = ServiceBuilder::new()
        .map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(handle.clone());
            if is_beyond_capacity {
                request.extensions_mut().insert(BeyondCapacity);
            }
            request.map(|body| TimedBody::new(body, patience.body))
        })
        .service(service)
        .boxed_clone();
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(if is_beyond_capacity { patience.head.min(HEAD_BEYOND) } else { patience.head })
        .keep_alive(!is_beyond_capacity)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::trace!(%error, %peer, "connection ended");
    }
}
