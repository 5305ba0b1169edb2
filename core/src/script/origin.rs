//! What started a run.

use std::sync::Arc;

use super::host::Socket;
use super::request::HttpRequest;

/// What stands for a gateway's path where the script is a route's. No path is this.
pub(crate) const ROUTES: &str = "routes";
/// The same where a write over `/data` runs hooks.
const DATA: &str = "data";

/// What started a run, with what the script may ask of it.
#[derive(Clone)]
pub enum Origin {
    /// A socket of a gateway: that it connected, an event of it, or that it went.
    Socket {
        /// The gateway's path.
        gateway: Arc<str>,
        /// The socket.
        socket: Arc<dyn Socket>,
    },
    /// No socket, in the name of a gateway: the path.
    Gateway(Arc<str>),
    /// A request to a route.
    Route(Arc<HttpRequest>),
    /// A write over `/data`.
    Data,
}

impl Origin {
    /// The gateway's path, where there is a gateway.
    pub fn gateway(&self) -> Option<&Arc<str>> {
        match self {
            Self::Socket { gateway, .. } | Self::Gateway(gateway) => Some(gateway),
            Self::Route(_) | Self::Data => None,
        }
    }

    /// What `@GATEWAY` is: the gateway's path, or a word that no path is.
    pub fn gateway_or_word(&self) -> &str {
        match self {
            Self::Socket { gateway, .. } | Self::Gateway(gateway) => gateway,
            Self::Route(_) => ROUTES,
            Self::Data => DATA,
        }
    }

    /// The socket that triggered the run, if one did.
    pub fn socket(&self) -> Option<&Arc<dyn Socket>> {
        if let Self::Socket { socket, .. } = self { Some(socket) } else { None }
    }

    /// The request that the script answers, if it answers one.
    pub fn request(&self) -> Option<&Arc<HttpRequest>> {
        if let Self::Route(request) = self { Some(request) } else { None }
    }
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self {
            Self::Socket { .. } => "Socket",
            Self::Gateway(_) => "Gateway",
            Self::Route(_) => "Route",
            Self::Data => "Data",
        };
        f.debug_tuple(name).field(&self.gateway_or_word()).finish()
    }
}
