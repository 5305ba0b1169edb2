//! Lays the sources over each other and says where each value came from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config::{Environment, File, FileFormat, Value, ValueKind};

use super::{Config, DEFAULTS, check};
use crate::nearest::nearest;

/// What prefixes an environment variable of ours.
const ENV_PREFIX: &str = "GATEWRIGHT_";
/// Variables with this prefix belong to the test suite, not to the configuration.
const ENV_TEST_PREFIX: &str = "GATEWRIGHT_TEST_";
/// Settings that are never shown.
const SECRETS: [&str; 3] = ["admin_password", "auth.issuer.secret", "database_url"];

/// Where settings come from besides the defaults.
#[derive(Debug, Default)]
pub struct Sources {
    /// A file that must exist.
    pub file: Option<PathBuf>,
    /// A file that is read if it exists.
    pub optional_file: Option<PathBuf>,
    /// The environment's variables.
    pub env: Vec<(String, String)>,
    /// Flags as `(key, value)`.
    pub flags: Vec<(&'static str, FlagValue)>,
}

/// The value of a flag.
#[derive(Debug, Clone)]
pub enum FlagValue {
    /// One value.
    Text(String),
    /// A flag that may stand several times.
    List(Vec<String>),
}

/// One effective setting, for people.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The dotted key.
    pub key: String,
    /// The value as TOML, secrets masked.
    pub value: String,
    /// `default`, a file, a variable or `flag`.
    pub origin: String,
}

/// The parsed configuration and its story.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What the program uses.
    pub config: Config,
    /// Every setting with its origin, by key.
    pub settings: Vec<Setting>,
}

/// A configuration that makes no sense; says which key, which value and what is allowed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub(super) String);

/// Lays `sources` over the defaults, parses and checks the outcome.
///
/// # Errors
/// On a missing or malformed file, an unknown key (with the nearest known one), a value of the
/// wrong type or one that is not allowed.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let known = flatten(&parse(File::from_str(DEFAULTS, FileFormat::Toml))?);
    let mut builder = config::Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
    if let Some(path) = &sources.file {
        builder = builder.add_source(toml_file(path).required(true));
    } else if let Some(path) = &sources.optional_file {
        builder = builder.add_source(toml_file(path).required(false));
    }
    let env = own_variables(&sources.env);
    builder = builder.add_source(
        Environment::with_prefix("GATEWRIGHT").prefix_separator("_").separator("__").source(Some(env)),
    );
    for (key, value) in &sources.flags {
        builder = match value {
            FlagValue::Text(text) => builder.set_override(*key, text.as_str()),
            FlagValue::List(list) => builder.set_override(*key, list.clone()),
        }
        .map_err(readable)?;
    }
    let merged = builder.build().map_err(readable)?;
    let settings = flatten(&merged);
    for (key, value) in &settings {
        reject_unknown(key, value, &known, sources)?;
    }
    let config: Config = merged.try_deserialize().map_err(readable)?;
    check::check(&config)?;
    let settings = settings
        .into_iter()
        .map(|(key, value)| {
            let origin = origin(&key, &value, sources);
            // A variable is text whatever it is for.
            let is_text = known.get(&key).is_none_or(|known| matches!(known.kind, ValueKind::String(_)));
            describe(key, &value, is_text, origin)
        })
        .collect();
    Ok(Loaded { config, settings })
}

fn toml_file(path: &Path) -> File<config::FileSourceFile, FileFormat> {
    File::new(&path.to_string_lossy(), FileFormat::Toml)
}

fn parse(source: impl config::Source + Send + Sync + 'static) -> Result<config::Config, ConfigError> {
    config::Config::builder().add_source(source).build().map_err(readable)
}

fn own_variables(env: &[(String, String)]) -> config::Map<String, String> {
    env.iter()
        .filter(|(name, _)| name.starts_with(ENV_PREFIX) && !name.starts_with(ENV_TEST_PREFIX))
        .cloned()
        .collect()
}

/// Every leaf by its dotted key.
fn flatten(config: &config::Config) -> BTreeMap<String, Value> {
    fn walk(prefix: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
        if let ValueKind::Table(table) = &value.kind {
            for (key, value) in table {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                walk(&key, value, into);
            }
        } else {
            into.insert(prefix.to_owned(), value.clone());
        }
    }
    let mut leaves = BTreeMap::new();
    walk("", &config.cache, &mut leaves);
    leaves
}

fn reject_unknown(
    key: &str,
    value: &Value,
    known: &BTreeMap<String, Value>,
    sources: &Sources,
) -> Result<(), ConfigError> {
    if known.contains_key(key) {
        return Ok(());
    }
    // Perhaps the section was left out.
    let in_section = known.keys().map(String::as_str).find(|known| known.ends_with(&format!(".{key}")));
    let nearest = in_section.or_else(|| nearest(key, known.keys().map(String::as_str)));
    let hint = nearest.map_or_else(String::new, |nearest| format!(" Did you mean `{nearest}`?"));
    Err(ConfigError(format!("`{key}` ({}) is no setting.{hint}", origin(key, value, sources))))
}

/// Which source a value comes from. Defaults and flags have no address of their own in `config`.
fn origin(key: &str, value: &Value, sources: &Sources) -> String {
    match value.origin() {
        None if sources.flags.iter().any(|(flag, _)| *flag == key) => "flag".to_owned(),
        None => "default".to_owned(),
        Some("the environment") => format!("{ENV_PREFIX}{}", key.to_uppercase().replace('.', "__")),
        Some(file) => file.to_owned(),
    }
}

fn describe(key: String, value: &Value, is_text: bool, origin: String) -> Setting {
    let text = value.to_string();
    let value = match &value.kind {
        _ if SECRETS.contains(&key.as_str()) && !text.is_empty() => "(secret)".to_owned(),
        ValueKind::String(text) if is_text => format!("{text:?}"),
        ValueKind::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| format!("{:?}", item.to_string())).collect();
            format!("[{}]", items.join(", "))
        }
        _ => text,
    };
    Setting { key, value, origin }
}

fn readable(error: config::ConfigError) -> ConfigError {
    ConfigError(error.to_string())
}
