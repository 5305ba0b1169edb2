//! What a script knows of the pack that it belongs to: where its gateways are mounted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::error::{ErrorCode, Failure};
use crate::nearest::did_you_mean;

/// The gateways of all packs, by the pack's name.
#[derive(Debug, Default)]
pub struct Mounts(BTreeMap<Arc<str>, Mounted>);

/// Where the gateways of a pack are.
#[derive(Debug, Default)]
struct Mounted {
    mount: String,
    gateways: BTreeSet<String>,
}

/// A path of a pack where the pack is mounted: `/` at `/engage` is `/engage`, and `/v1` is `/engage/v1`.
pub fn mounted_path(mount: &str, path: &str) -> String {
    match path {
        "/" if !mount.is_empty() => mount.to_owned(),
        path => format!("{mount}{path}"),
    }
}

/// The path that a pack itself gives to one of its own where it is mounted; one elsewhere stays as it is.
pub fn unmounted_path<'a>(mount: &str, path: &'a str) -> &'a str {
    match path.strip_prefix(mount) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    }
}

impl Mounts {
    /// Adds a pack.
    pub fn add_pack(&mut self, name: &str, mount: String) {
        self.0.entry(name.into()).or_default().mount = mount;
    }

    /// Adds a gateway of a pack.
    pub fn add_gateway(&mut self, pack: &str, path: &str) {
        self.0.entry(pack.into()).or_default().gateways.insert(path.to_owned());
    }

    /// Where a gateway is that its pack calls by this path.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND` for a path that is no gateway of the pack.
    pub(super) fn find(&self, pack: &str, path: &str) -> Result<String, Failure> {
        let nothing = Mounted::default();
        let of_pack = self.0.get(pack).unwrap_or(&nothing);
        let mounted = mounted_path(&of_pack.mount, path);
        if of_pack.gateways.contains(&mounted) {
            return Ok(mounted);
        }
        let known = of_pack.gateways.iter().map(|gateway| unmounted_path(&of_pack.mount, gateway));
        let hint = did_you_mean(path, known.clone());
        let known = known.collect::<Vec<_>>().join(", ");
        let message = format!("The pack {pack} has no gateway {path}{hint}; known: {known}");
        Err(Failure::new(ErrorCode::ResourceNotFound, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds() {
        let mut mounts = Mounts::default();
        mounts.add_pack("moved", "/engage".to_owned());
        for path in ["/engage", "/engage/chat"] {
            mounts.add_gateway("moved", path);
        }
        mounts.add_gateway("alone", "/chat");
        for (pack, path, expected) in [
            ("moved", "/", Ok("/engage")),
            ("moved", "/chat", Ok("/engage/chat")),
            ("moved", "/engage", Err("The pack moved has no gateway /engage; known: /, /chat")),
            ("alone", "/chat", Ok("/chat")),
            ("alone", "/caht", Err("The pack alone has no gateway /caht; did you mean /chat?; known: /chat")),
        ] {
            let found = mounts.find(pack, path).map_err(|failure| failure.message.into_owned());
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{pack} {path}");
        }
    }
}
