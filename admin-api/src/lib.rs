//! The admin REST API: handlers decode, authorise, call the core and encode.
//!
//! `router.rs` has every route on one page; one file per resource. What the API needs to know of
//! the running gateway is the trait [`Live`]. The UI that uses it is in `../ui`, and served by `ui.rs`.
//! This crate must not know Socket.IO.

mod app_keys;
mod caller;
pub mod error;
mod events;
mod extract;
mod gateways;
mod hooks;
mod jobs;
mod libraries;
mod list;
mod logs;
mod packs;
pub mod request;
mod router;
mod routes;
mod schedules;
mod script;
mod sessions;
mod state;
mod stats;
mod tables;
mod test_run;
mod test_subject;
mod tree;
mod ui;
mod users;

pub use caller::Caller;
pub use error::ApiError;
pub use extract::{
    Admin, Identity, Json, OptionalJson, Path, Query, body_of, check_origin, has_cookies_that_count, is_json,
};
pub use list::{ListAnswer, ListParams};
pub use logs::{RunQuery, RunView};
pub use router::router;
pub use state::{AdminState, Live, LiveSocket};
pub use stats::Figures;
pub use ui::ui;
pub use users::UserView;
