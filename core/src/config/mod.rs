//! The effective configuration: parsed and checked once, so that nothing later asks "is it set?".
//!
//! The documented defaults are `config.default.toml`, embedded; [`load`] lays the other sources
//! over it. This module must not know what any setting is for beyond its allowed values.

mod check;
mod issuer;
mod listen;
mod load;

use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

pub use check::is_origin;
pub use issuer::{Issuer, IssuerAlgorithm, IssuerKey};
pub use listen::ListenAddress;
pub use load::{ConfigError, FlagValue, Loaded, Setting, Sources, load};

/// The documented defaults, as shipped.
pub const DEFAULTS: &str = include_str!("config.default.toml");

/// Every setting. Names, units and defaults are documented in `config.default.toml`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "each field is documented where its default is")]
pub struct Config {
    #[serde(deserialize_with = "address")]
    pub listen: ListenAddress,
    pub data_dir: PathBuf,
    pub database_url: String,
    pub admin_email: String,
    pub admin_password: String,
    #[serde(deserialize_with = "list")]
    pub packs: Vec<String>,
    #[serde(deserialize_with = "optional")]
    pub watch: Option<PathBuf>,
    #[serde(deserialize_with = "list")]
    pub allowed_origins: Vec<String>,
    #[serde(deserialize_with = "optional")]
    pub trusted_ip_header: Option<String>,
    pub limits: Limits,
    pub queue: Queue,
    pub scripts: Scripts,
    pub jobs: Jobs,
    pub cache: Cache,
    pub auth: Auth,
    pub logs: Logs,
    pub metrics: Metrics,
    pub audit: Audit,
    pub admin: Admin,
}

/// `[limits]`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "each field is documented where its default is")]
pub struct Limits {
    pub events_per_second: u32,
    pub burst: u32,
    pub subscriptions_per_connection: u32,
    pub message_bytes: u32,
    pub packet_bytes: u32,
    pub name_bytes: usize,
    pub attachments: u32,
    pub packets_per_second: u32,
    pub packets_burst: u32,
    pub connects_per_second: u32,
    pub connects_burst: u32,
    pub ping_interval_ms: u64,
    pub ping_timeout_ms: u64,
    pub outgoing_packets: usize,
    pub outgoing_bytes: usize,
    pub connections: usize,
    pub connections_per_second_per_ip: u32,
    pub connections_burst_per_ip: u32,
    pub handshake_timeout_ms: u64,
    pub write_timeout_ms: u64,
    pub tcp_connections_per_ip: u32,
    pub reads_per_caller: usize,
    pub reads_waiting_per_caller: usize,
    pub request_bytes: usize,
    pub request_head_timeout_ms: u64,
    pub request_body_timeout_ms: u64,
}

/// `[queue]`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "each field is documented where its default is")]
pub struct Queue {
    pub workers: usize,
    pub waiting: usize,
    pub jobs_per_socket: usize,
    pub bytes_per_socket: usize,
    pub jobs_per_gateway: usize,
    pub bytes_per_gateway: usize,
    pub jobs: usize,
    pub bytes: usize,
    pub drain_ms: u64,
}

/// `[scripts]`: the caps of the sandbox.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "each field is documented where its default is")]
pub struct Scripts {
    pub timeout_ms: u64,
    pub timeout_max_ms: u64,
    pub operations: u64,
    pub memory_bytes: usize,
    pub elements: usize,
    pub call_depth: usize,
    pub expression_depth: usize,
    pub value_depth: usize,
    pub emits: usize,
    pub emit_bytes: usize,
    pub database_calls: usize,
    pub transaction_idle_ms: u64,
    pub transaction_ms: u64,
    pub log_bytes: usize,
    pub result_bytes: usize,
    pub string_bytes: usize,
    pub source_bytes: usize,
    pub left_behind_bytes: u64,
    #[serde(deserialize_with = "list")]
    pub fetch_hosts: Vec<String>,
    pub fetch_timeout_ms: u64,
    pub fetch_bytes: usize,
}

/// `[jobs]`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "each field is documented where its default is")]
pub struct Jobs {
    pub attempts: u32,
    pub retry_ms: u64,
    pub retry_max_ms: u64,
    pub kept_hours: u32,
    pub event_ids_kept_hours: u32,
    pub loaded: usize,
    pub lease_ms: u64,
}

/// `[cache]`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "each field is documented where its default is")]
pub struct Cache {
    pub bytes: u64,
}

/// `[auth]`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "each field is documented where its default is")]
pub struct Auth {
    pub access_token_minutes: u32,
    pub websocket_token_minutes: u32,
    pub refresh_token_days: u32,
    pub remember_days: u32,
    pub register: bool,
    pub login_failures_per_minute: u32,
    pub registrations_per_minute: u32,
    pub passwords_waiting: usize,
    pub issuer: Issuer,
}

/// `[logs]`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "each field is documented where its default is")]
pub struct Logs {
    pub level: String,
    #[serde(deserialize_with = "log_format")]
    pub format: LogFormat,
    pub runs: usize,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// `[metrics]`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "each field is documented where its default is")]
pub struct Metrics {
    #[serde(deserialize_with = "optional_address")]
    pub listen: Option<ListenAddress>,
}

/// `[audit]`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "each field is documented where its default is")]
pub struct Audit {
    pub kept_days: u32,
    pub rows: u32,
}

/// `[admin]`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "each field is documented where its default is")]
pub struct Admin {
    #[serde(deserialize_with = "optional_address")]
    pub listen: Option<ListenAddress>,
}

impl Config {
    /// The documented defaults alone.
    pub fn defaults() -> Self {
        load(&Sources::default()).expect("the embedded defaults are valid").config
    }

    /// The database that is really used: the configured one, or SQLite in the data folder.
    pub fn effective_database_url(&self) -> String {
        if self.database_url.is_empty() {
            format!("sqlite://{}", self.data_dir.join("gatewright.db").display())
        } else {
            self.database_url.clone()
        }
    }

    /// The file of the database, where it is SQLite.
    pub fn sqlite_file(&self) -> Option<PathBuf> {
        let url = self.effective_database_url();
        let rest = url.strip_prefix("sqlite:")?;
        let file = rest.strip_prefix("//").unwrap_or(rest);
        Some(file.split('?').next().unwrap_or(file).into())
    }
}

/// A list, or text with commas (from the environment).
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum List {
        Many(Vec<String>),
        Text(String),
    }
    Ok(match List::deserialize(deserializer)? {
        List::Many(items) => items,
        List::Text(text) => {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
        }
    })
}

/// Empty text is none.
fn optional<'de, D: Deserializer<'de>, T: From<String>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((!text.is_empty()).then(|| text.into()))
}

/// An address with a port.
fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ListenAddress, D::Error> {
    parse_address(&String::deserialize(deserializer)?)
}

/// Empty text is none; else an address with a port.
fn optional_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ListenAddress>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Ok(None) } else { parse_address(&text).map(Some) }
}

fn parse_address<E: serde::de::Error>(text: &str) -> Result<ListenAddress, E> {
    text.parse().map_err(E::custom)
}

fn log_format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LogFormat, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "auto" => Ok(LogFormat::Auto),
        "pretty" => Ok(LogFormat::Pretty),
        "json" => Ok(LogFormat::Json),
        other => Err(serde::de::Error::custom(format!("is {other:?}; allowed: auto, pretty, json"))),
    }
}
