//! `@PACK`: the pack that a script belongs to.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rhai::{Engine, EvalAltResult};

use crate::script::failure::raise;
use crate::script::library::own_pack;
use crate::script::memory::uncounted;
use crate::script::own_pack::Mounts;

/// What `@PACK` stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PackMacro;

/// Registers the calls of `@PACK`.
pub(crate) fn register(engine: &mut Engine, mounts: Arc<ArcSwap<Mounts>>) {
    engine.register_type_with_name::<PackMacro>("@PACK");
    engine.register_fn("path", move |_: &mut PackMacro, path: &str| {
        let found = uncounted(|| match own_pack() {
            Some(pack) => mounts.load().find(&pack, path),
            None => Ok(path.to_owned()),
        });
        let path = found.map_err(raise)?;
        // The script's own copy is the script's to pay for.
        let copy = path.clone();
        uncounted(|| drop(path));
        Ok::<String, Box<EvalAltResult>>(copy)
    });
}
