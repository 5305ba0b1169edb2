//! Writing gateways of the database as a pack.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::install::spec_of;
use super::manifest::{GatewaySpec, Manifest, ManifestEvent, ManifestGateway, PackFiles};
use crate::error::{Error, Failure, Result};
use crate::store::{Store, gateway, pack};

/// The files of a pack with all gateways that came from the pack `name`, or, when `paths` are
/// given, with those.
///
/// # Errors
/// `RESOURCE_NOT_FOUND` when there is no such gateway.
pub async fn export(store: &Store, name: &str, paths: &[String]) -> Result<PackFiles> {
    let mut select = gateway::Entity::find().order_by_asc(gateway::Column::Path);
    select = if paths.is_empty() {
        select.filter(gateway::Column::Pack.eq(name))
    } else {
        select.filter(gateway::Column::Path.is_in(paths))
    };
    let rows = select.all(store.db()).await?;
    if rows.is_empty() {
        return Err(Failure::not_found("gateway of pack", name).into());
    }
    let description = pack::Entity::find_by_id(name).one(store.db()).await?.map(|row| row.description);
    let mut files = PackFiles::new();
    let mut gateways = Vec::new();
    for row in rows {
        let events = store.events_of(row.id).await?;
        gateways.push(write_gateway(spec_of(row, events), &mut files));
    }
    let manifest = Manifest { name: name.to_owned(), description: description.unwrap_or_default(), gateways };
    let text = toml::to_string_pretty(&manifest).map_err(|error| Error::Internal(error.to_string()))?;
    files.insert("pack.toml".to_owned(), text);
    Ok(files)
}

fn write_gateway(spec: GatewaySpec, files: &mut PackFiles) -> ManifestGateway {
    let folder = folder_of(&spec.path);
    let mut write = |file: String, source: String| {
        files.insert(file.clone(), source);
        file
    };
    let events = spec
        .events
        .into_iter()
        .map(|(name, event)| ManifestEvent {
            script: write(format!("{folder}events/{}.rhai", file_name(&name)), event.source_code),
            name,
            description: event.description,
            is_enabled: event.is_enabled,
            timeout_ms: event.timeout_ms,
            payload_schema: event.payload_schema,
        })
        .collect();
    ManifestGateway {
        connection: spec.connection_script.map(|source| write(format!("{folder}connection.rhai"), source)),
        disconnection: spec
            .disconnection_script
            .map(|source| write(format!("{folder}disconnection.rhai"), source)),
        path: spec.path,
        description: spec.description,
        is_enabled: spec.is_enabled,
        require_auth: spec.require_auth,
        script_timeout_ms: spec.script_timeout_ms,
        allowed_origins: spec.allowed_origins,
        presence: spec.presence,
        limits: spec.limits,
        events,
    }
}

/// A gateway's folder in the pack: `/a/b` in `a_b/`.
fn folder_of(path: &str) -> String {
    match path.trim_start_matches('/') {
        "" => "root/".to_owned(),
        name => format!("{}/", file_name(name)),
    }
}

/// Names that differ give files that differ: what a file name cannot hold is written in hex.
fn file_name(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            'a'..='z' | '0'..='9' | '-' | '.' => c.to_string(),
            'A'..='Z' => c.to_string(),
            '_' | ':' | '/' => "_".to_owned(),
            '*' => "any".to_owned(),
            other => format!("~{:x}", other as u32),
        })
        .collect()
}
