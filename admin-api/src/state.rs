//! What the handlers work with.

use std::collections::BTreeMap;
use std::sync::Arc;

use gatewright_core::auth::Accounts;
use gatewright_core::catalog::Catalog;
use gatewright_core::config::Config;
use gatewright_core::jobs::Jobs;
use gatewright_core::pack::Pack;
use gatewright_core::run::{History, RunLog};
use gatewright_core::store::Time;
use uuid::Uuid;

/// What the admin API needs to know of the running gateway: one of the two trait borders.
pub trait Live: Send + Sync {
    /// Open connections by gateway path.
    fn connections(&self) -> BTreeMap<String, usize>;
    /// The sockets of a user.
    fn sockets_of(&self, user_id: &str) -> Vec<LiveSocket>;
    /// Jobs that wait or run.
    fn queue_depth(&self) -> usize;
}

/// A socket of a user.
pub struct LiveSocket {
    /// Its id, as clients know it.
    pub socket_id: String,
    /// The path of its gateway.
    pub gateway: String,
    /// The session whose token it shows; none: the token is of another issuer.
    pub session_id: Option<Uuid>,
    /// When it connected.
    pub connected_at: Time,
}

/// What the handlers work with.
#[derive(Clone)]
pub struct AdminState {
    /// The effective configuration.
    pub config: Arc<Config>,
    /// Users and their tokens.
    pub accounts: Arc<Accounts>,
    /// Gateways, events and their scripts.
    pub catalog: Arc<Catalog>,
    /// The last runs.
    pub runs: Arc<RunLog>,
    /// How the server has fared.
    pub history: Arc<History>,
    /// Durable events, and jobs for later.
    pub jobs: Arc<Jobs>,
    /// The running gateway.
    pub live: Arc<dyn Live>,
    /// The packs that can be installed.
    pub packs: Arc<Vec<Pack>>,
}
