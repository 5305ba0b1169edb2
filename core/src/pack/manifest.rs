//! Reading a pack: `pack.toml`, with the scripts that it names put in.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::catalog::GatewayLimits;

/// Files of a pack, at most, and bytes of all together.
const FILES_MAX: usize = 2000;
const BYTES_MAX: u64 = 32 << 20;
const MANIFEST: &str = "pack.toml";

/// The text files of a pack by their path within it.
pub type PackFiles = BTreeMap<String, String>;

/// A pack that cannot be read; says which file and where.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PackError(pub String);

/// A pack, read.
#[derive(Debug, Clone)]
pub struct Pack {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its gateways, scripts included.
    pub gateways: Vec<GatewaySpec>,
    /// All its files, for error messages and tests.
    pub files: PackFiles,
}

/// A gateway as a pack has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields of a gateway")]
pub struct GatewaySpec {
    pub path: String,
    pub description: String,
    pub is_enabled: bool,
    pub require_auth: bool,
    pub connection_script: Option<String>,
    pub disconnection_script: Option<String>,
    pub script_timeout_ms: Option<i64>,
    pub allowed_origins: Option<Vec<String>>,
    pub limits: GatewayLimits,
    pub presence: bool,
    pub events: BTreeMap<String, EventSpec>,
    /// Where its scripts are, by script name and event; not part of what it is.
    #[serde(skip)]
    pub script_files: Vec<(String, String)>,
}

/// An event as a pack has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields of an event")]
pub struct EventSpec {
    pub description: String,
    pub is_enabled: bool,
    pub source_code: String,
    pub timeout_ms: Option<i64>,
    pub payload_schema: Option<Json>,
}

/// `pack.toml`, as written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Manifest {
    pub name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub gateways: Vec<ManifestGateway>,
}

/// `[[gateways]]`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ManifestGateway {
    pub path: String,
    #[serde(default)]
    pub description: String,
    #[serde(default = "yes")]
    pub is_enabled: bool,
    #[serde(default = "yes")]
    pub require_auth: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disconnection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script_timeout_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_origins: Option<Vec<String>>,
    #[serde(default)]
    pub presence: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: GatewayLimits,
    #[serde(default)]
    pub events: Vec<ManifestEvent>,
}

/// `[[gateways.events]]`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ManifestEvent {
    pub name: String,
    pub script: String,
    #[serde(default)]
    pub description: String,
    #[serde(default = "yes")]
    pub is_enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_schema: Option<Json>,
}

fn yes() -> bool {
    true
}

fn is_default(limits: &GatewayLimits) -> bool {
    *limits == GatewayLimits::default()
}

impl Pack {
    /// Reads a pack from a folder.
    ///
    /// # Errors
    /// When a file is missing, is no UTF-8, or `pack.toml` is wrong.
    pub fn from_folder(folder: &Path) -> Result<Self, PackError> {
        let mut files = PackFiles::new();
        let mut bytes = 0;
        read_folder(folder, "", &mut files, &mut bytes)
            .map_err(|error| PackError(format!("{}: {error}", folder.display())))?;
        Self::from_files(files).map_err(|error| PackError(format!("{}: {error}", folder.display())))
    }

    /// Reads a pack from its files.
    ///
    /// # Errors
    /// As [`Self::from_folder`].
    pub fn from_files(files: PackFiles) -> Result<Self, PackError> {
        let manifest = files.get(MANIFEST).ok_or_else(|| PackError(format!("there is no {MANIFEST}")))?;
        let manifest: Manifest =
            toml::from_str(manifest).map_err(|error| PackError(format!("{MANIFEST}: {error}")))?;
        if manifest.name.is_empty() {
            return Err(PackError(format!("{MANIFEST}: name is empty")));
        }
        let gateways =
            manifest.gateways.into_iter().map(|gateway| gateway.read(&files)).collect::<Result<_, _>>()?;
        Ok(Self { name: manifest.name, description: manifest.description, gateways, files })
    }

    /// The same pack with its gateways under another path: `/` at `/engage` is `/engage`.
    pub fn mounted(mut self, mount: &str) -> Self {
        let mount = mount.trim_end_matches('/');
        for gateway in &mut self.gateways {
            gateway.path = match gateway.path.as_str() {
                "/" if !mount.is_empty() => mount.to_owned(),
                path => format!("{mount}{path}"),
            };
        }
        self
    }
}

impl ManifestGateway {
    fn read(self, files: &PackFiles) -> Result<GatewaySpec, PackError> {
        let mut script_files = Vec::new();
        let mut script = |what: &str, file: &str| {
            script_files.push((what.to_owned(), file.to_owned()));
            let missing =
                || PackError(format!("{MANIFEST}: there is no file {file} ({what} of {})", self.path));
            files.get(file).cloned().ok_or_else(missing)
        };
        let mut events = BTreeMap::new();
        for event in self.events {
            let spec = EventSpec {
                source_code: script(&format!("event {}", event.name), &event.script)?,
                description: event.description,
                is_enabled: event.is_enabled,
                timeout_ms: event.timeout_ms,
                payload_schema: event.payload_schema,
            };
            if events.insert(event.name.clone(), spec).is_some() {
                return Err(PackError(format!(
                    "{MANIFEST}: {} has the event {} twice",
                    self.path, event.name
                )));
            }
        }
        Ok(GatewaySpec {
            connection_script: self
                .connection
                .as_deref()
                .map(|file| script("connection", file))
                .transpose()?,
            disconnection_script: self
                .disconnection
                .as_deref()
                .map(|file| script("disconnection", file))
                .transpose()?,
            path: self.path,
            description: self.description,
            is_enabled: self.is_enabled,
            require_auth: self.require_auth,
            script_timeout_ms: self.script_timeout_ms,
            allowed_origins: self.allowed_origins,
            limits: self.limits,
            presence: self.presence,
            events,
            script_files,
        })
    }
}

fn read_folder(folder: &Path, prefix: &str, files: &mut PackFiles, bytes: &mut u64) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type()?;
        let is_wanted = name.ends_with(".toml") || name.ends_with(".rhai");
        if kind.is_dir() && !name.starts_with('.') {
            read_folder(&entry.path(), &format!("{name}/"), files, bytes)?;
        } else if kind.is_file() && is_wanted {
            *bytes += entry.metadata()?.len();
            if files.len() >= FILES_MAX || *bytes > BYTES_MAX {
                return Err(std::io::Error::other("the pack has too many or too large files"));
            }
            files.insert(name, std::fs::read_to_string(entry.path())?);
        }
    }
    Ok(())
}
