//! The calls of `@CACHE`.

use super::Entry;

const fn call(signature: &'static str, gives: &'static str, about: &'static str) -> Entry {
    Entry::new("@CACHE", signature, gives, about)
}

pub(super) const ENTRIES: [Entry; 8] = [
    call("get(key)", "the value or `()`", "A value.")
        .example("let topic = @CACHE.get(\"topic\");"),
    call("set(key, value, ttlMs?)", "", "Keeps a value, for so many milliseconds if that is said.")
        .errors("`SCRIPT_OUTPUT_LIMIT` for a value over 1 MiB")
        .example("@CACHE.set(\"topic\", #{ title: \"News\" }, 60000);"),
    call("incr(key, by?, ttlMs?)", "the sum", "Adds to a number, 1 by default; no other script can come between. A new one begins at 0 and lives for so many milliseconds.")
        .errors("`VALIDATION_ERROR` where there is something else")
        .example("if @CACHE.incr(`sent ${@SOCKET.id}`, 1, 60000) > 10 { @THROW.rateLimit(\"Ten a minute\"); }"),
    call("delete(key)", "whether it was there", "Forgets a value.")
        .example("@CACHE.delete(\"topic\");"),
    call("acquire(key, ttlMs)", "true, or false when another run has it", "Takes a lock for at most so long.")
        .example("if !@CACHE.acquire(\"report\", 5000) { return \"somebody is at it\"; }\n@CACHE.release(\"report\");"),
    call("release(key)", "false when this run no longer has it", "Gives a lock back.")
        .example("@CACHE.acquire(\"report\", 5000);\nreturn @CACHE.release(\"report\");"),
    call("common", "`@CACHE`", "The keys that all scripts have in common.")
        .example("@CACHE.common.set(\"maintenance\", true);"),
    call("of(path)", "`@CACHE`", "The keys of the gateway with this path: so a route reads what an event of its pack has kept.")
        .example("return @CACHE.of(\"/chat\").get(\"topic\");"),
];
