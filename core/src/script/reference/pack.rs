//! The calls of `@PACK`.

use super::Entry;

pub(super) const ENTRIES: [Entry; 1] = [Entry::new(
    "@PACK",
    "path(path)",
    "text",
    "The path at which a gateway of the script's own pack is mounted, by the path that `pack.toml` has for it: \
     with `--mount /engage`, `/` is at `/engage`. A script that belongs to no pack gets the path itself.",
)
.errors("`RESOURCE_NOT_FOUND` where the pack has no such gateway")
.example("@SOCKET.emitToRoom(@PACK.path(\"/chat\"), \"lobby\", \"news\", @BODY);")];
