//! What each setting may be, beyond its type.

use super::{Config, ConfigError, issuer};

/// Refuses values that make no sense.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let limits = &config.limits;
    at_least("limits.packet_bytes", u64::from(limits.packet_bytes), 1024)?;
    at_least("limits.outgoing_packets", limits.outgoing_packets as u64, 16)?;
    at_least("limits.handshake_timeout_ms", limits.handshake_timeout_ms, 100)?;
    at_least("limits.write_timeout_ms", limits.write_timeout_ms, 100)?;
    at_least("limits.name_bytes", limits.name_bytes as u64, 1)?;
    at_least("limits.ping_interval_ms", limits.ping_interval_ms, 100)?;
    at_least("limits.ping_timeout_ms", limits.ping_timeout_ms, 100)?;
    at_least(
        "limits.connects_burst",
        u64::from(limits.connects_burst),
        u64::from(limits.connects_per_second > 0),
    )?;
    at_least(
        "limits.packets_burst",
        u64::from(limits.packets_burst),
        u64::from(limits.packets_per_second > 0),
    )?;
    at_least("limits.reads_per_caller", limits.reads_per_caller as u64, 1)?;
    at_least("limits.request_bytes", limits.request_bytes as u64, 1024)?;
    at_least("limits.request_head_timeout_ms", limits.request_head_timeout_ms, 100)?;
    at_least("limits.request_body_timeout_ms", limits.request_body_timeout_ms, 100)?;
    if limits.outgoing_bytes > 0 {
        // A buffer has to hold at least one result.
        at_least("limits.outgoing_bytes", limits.outgoing_bytes as u64, config.scripts.result_bytes as u64)?;
    }
    at_least("limits.burst", u64::from(limits.burst), u64::from(limits.events_per_second > 0))?;
    let per_ip = limits.connections_per_second_per_ip > 0;
    at_least(
        "limits.connections_burst_per_ip",
        u64::from(limits.connections_burst_per_ip),
        u64::from(per_ip),
    )?;
    at_most("limits.message_bytes", u64::from(limits.message_bytes), u64::from(limits.packet_bytes))?;
    check_queue(config)?;
    check_scripts(config)?;
    check_jobs(config)?;
    check_auth(config)?;
    at_least("audit.kept_days", u64::from(config.audit.kept_days), 1)?;
    at_most("audit.kept_days", u64::from(config.audit.kept_days), 36_500)?;
    at_least("audit.rows", u64::from(config.audit.rows), 100)?;
    check_text(config)
}

fn check_queue(config: &Config) -> Result<(), ConfigError> {
    let queue = &config.queue;
    at_most("queue.workers", queue.workers as u64, 1024)?;
    at_least("queue.waiting", queue.waiting as u64, 1)?;
    at_most("queue.waiting", queue.waiting as u64, 4096)?;
    at_least("queue.jobs_per_gateway", queue.jobs_per_gateway as u64, 1)?;
    at_least("queue.bytes_per_gateway", queue.bytes_per_gateway as u64, 1024)?;
    at_least("queue.jobs_per_socket", queue.jobs_per_socket as u64, 1)?;
    at_least("queue.bytes_per_socket", queue.bytes_per_socket as u64, 1024)?;
    at_least("queue.jobs", queue.jobs as u64, 1)?;
    at_least("queue.bytes", queue.bytes as u64, 1024)
}

fn check_scripts(config: &Config) -> Result<(), ConfigError> {
    let scripts = &config.scripts;
    at_least("scripts.timeout_ms", scripts.timeout_ms, 1)?;
    at_most("scripts.timeout_ms", scripts.timeout_ms, scripts.timeout_max_ms)?;
    at_most("scripts.timeout_max_ms", scripts.timeout_max_ms, 3_600_000)?;
    at_least("scripts.operations", scripts.operations, 1000)?;
    at_least("scripts.transaction_idle_ms", scripts.transaction_idle_ms, 10)?;
    at_least("scripts.transaction_ms", scripts.transaction_ms, scripts.transaction_idle_ms)?;
    at_least("scripts.memory_bytes", scripts.memory_bytes as u64, 1 << 16)?;
    at_least("scripts.elements", scripts.elements as u64, 1)?;
    // The stack of a worker thread is known to suffice up to these.
    at_most("scripts.elements", scripts.elements as u64, 100_000)?;
    at_most("scripts.memory_bytes", scripts.memory_bytes as u64, 1 << 26)?;
    for (key, depth) in [
        ("scripts.call_depth", scripts.call_depth),
        ("scripts.expression_depth", scripts.expression_depth),
        ("scripts.value_depth", scripts.value_depth),
    ] {
        at_least(key, depth as u64, 8)?;
        at_most(key, depth as u64, 256)?;
    }
    Ok(())
}

fn check_jobs(config: &Config) -> Result<(), ConfigError> {
    let jobs = &config.jobs;
    at_least("jobs.attempts", u64::from(jobs.attempts), 1)?;
    at_most("jobs.attempts", u64::from(jobs.attempts), 100)?;
    at_least("jobs.retry_ms", jobs.retry_ms, 10)?;
    at_least("jobs.retry_max_ms", jobs.retry_max_ms, jobs.retry_ms)?;
    at_least("jobs.kept_hours", u64::from(jobs.kept_hours), 1)?;
    at_least("jobs.event_ids_kept_hours", u64::from(jobs.event_ids_kept_hours), 1)?;
    at_least("jobs.loaded", jobs.loaded as u64, 100)?;
    at_least("jobs.lease_ms", jobs.lease_ms, 1000)
}

fn check_auth(config: &Config) -> Result<(), ConfigError> {
    let auth = &config.auth;
    at_least("auth.access_token_minutes", u64::from(auth.access_token_minutes), 1)?;
    at_least("auth.websocket_token_minutes", u64::from(auth.websocket_token_minutes), 1)?;
    at_least("auth.refresh_token_days", u64::from(auth.refresh_token_days), 1)?;
    at_least("auth.remember_days", u64::from(auth.remember_days), 1)?;
    at_least("auth.login_failures_per_minute", u64::from(auth.login_failures_per_minute), 1)?;
    at_least("auth.registrations_per_minute", u64::from(auth.registrations_per_minute), 1)?;
    at_least("auth.passwords_waiting", auth.passwords_waiting as u64, 1)?;
    issuer::check(&auth.issuer)
}

fn check_text(config: &Config) -> Result<(), ConfigError> {
    let url = &config.database_url;
    if !(url.is_empty()
        || url.starts_with("sqlite:")
        || url.starts_with("postgres:")
        || url.starts_with("postgresql:"))
    {
        let allowed = "nothing, sqlite://FILE or postgres://USER@HOST/NAME";
        return Err(ConfigError(format!("`database_url` has an unknown scheme; allowed: {allowed}")));
    }
    let is_level = |level: &str| {
        ["off", "error", "warn", "info", "debug", "trace"].contains(&level.to_lowercase().as_str())
    };
    let mut directives =
        config.logs.level.split(',').map(|part| part.rsplit('=').next().unwrap_or(part).trim());
    if !directives.all(is_level) {
        let allowed = "off, error, warn, info, debug, trace, or directives such as \"info,gatewright=debug\"";
        return Err(wrong("logs.level", &config.logs.level, allowed));
    }
    if !config.admin_email.contains('@') {
        return Err(wrong("admin_email", &config.admin_email, "an e-mail address"));
    }
    for origin in &config.allowed_origins {
        if !is_origin(origin) {
            return Err(wrong("allowed_origins", origin, "\"*\" or SCHEME://HOST[:PORT] without a path"));
        }
    }
    Ok(())
}

/// Whether `text` may stand in a list of allowed origins.
pub fn is_origin(text: &str) -> bool {
    text == "*"
        || text.split_once("://").is_some_and(|(scheme, host)| {
            !scheme.is_empty() && !host.is_empty() && !host.contains(['/', ' ', ','])
        })
}

fn at_least(key: &str, value: u64, least: u64) -> Result<(), ConfigError> {
    if value >= least { Ok(()) } else { Err(wrong(key, value, format!("{least} or more"))) }
}

fn at_most(key: &str, value: u64, most: u64) -> Result<(), ConfigError> {
    if value <= most { Ok(()) } else { Err(wrong(key, value, format!("{most} or less"))) }
}

pub(super) fn wrong(
    key: &str,
    value: impl std::fmt::Display,
    allowed: impl std::fmt::Display,
) -> ConfigError {
    ConfigError(format!("`{key}` is {value}; allowed: {allowed}"))
}
