//! The admin REST API: handlers decode, authorise, call the core and encode.
//!
//! `router.rs` has every route on one page; one file per resource. What the API needs to know of
//! the running gateway is the trait [`Live`]. The UI that uses it is in `../ui`, and served by `ui.rs`.
//! This crate must not know Socket.IO.

mod app_keys;
mod audit;
mod backups;
mod caller;
mod captures;
mod config;
pub mod error;
mod events;
mod extract;
mod gateways;
mod health;
mod hooks;
mod jobs;
mod libraries;
mod list;
mod logs;
mod pack_files;
mod pack_place;
mod packs;
pub mod request;
mod router;
mod routes;
mod schedules;
mod script;
mod search;
mod sessions;
mod sockets;
mod state;
mod stats;
mod table_access;
mod table_csv;
mod table_rows;
mod tables;
mod test_run;
mod test_subject;
mod tests;
mod tree;
mod ui;
mod users;

pub use audit::{AuditLayer, Note, record};
pub use caller::Caller;
pub use error::ApiError;
pub use extract::{
    Admin, Identity, Json, OptionalJson, Path, Query, body_of, check_origin, has_cookies_that_count, is_json,
};
pub use jobs::JobCountsView;
pub use list::{ListAnswer, ListParams};
pub use logs::{RunQuery, RunView};
pub use router::router;
pub use sockets::SocketFigures;
pub use state::{AdminState, Cursor, Live, LivePage, LiveRoom, LiveSocket, RoomQuery, SocketQuery};
pub use stats::Figures;
pub use ui::ui;
pub use users::OwnView;
