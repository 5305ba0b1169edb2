//! The calls of `@HELPERS`.

use super::Entry;

const fn call(signature: &'static str, gives: &'static str, about: &'static str) -> Entry {
    Entry::new("@HELPERS", signature, gives, about)
}

pub(super) const ENTRIES: [Entry; 16] = [
    call("now()", "a number", "Milliseconds since 1970.").example("return @HELPERS.now();"),
    call("iso(ms?)", "text", "The time, or that of so many milliseconds since 1970, as `2026-01-31T12:00:00.000Z`.")
        .errors("`VALIDATION_ERROR` outside of the years 0 to 9999")
        .example("return @HELPERS.iso(@HELPERS.now() + 60000);"),
    call("parseTime(text)", "a number or `()`", "The milliseconds since 1970 of an RFC 3339 time; `()` where it is none.")
        .example("let at = @HELPERS.parseTime(\"2026-01-31T12:00:00Z\");\nif at == () { @THROW.validation(\"at is no time\"); }"),
    call("matches(text, pattern)", "true or false", "Whether a text has a part that fits a regular expression, in a time that grows with the text alone: there are no look-arounds and no back-references. `^` and `$` bind it to the whole text.")
        .errors("`VALIDATION_ERROR` for a pattern that is none or too large, and for a text over 64 KiB")
        .example("return @HELPERS.matches(\"ABC-1\", `^[A-Z]{3}-[0-9]+$`);"),
    call("uuid()", "text", "A new id; later ones sort after it.").example("return @HELPERS.uuid();"),
    call("slug(text)", "text", "Lower-case letters and digits with single dashes between.")
        .example("return @HELPERS.slug(\"Hello, World!\");"),
    call("sha256(text)", "text", "The hash in hex.").example("return @HELPERS.sha256(\"abc\");"),
    call("hmacSha256(key, text)", "text", "The keyed hash in hex.")
        .example("return @HELPERS.hmacSha256(\"key\", \"text\");"),
    call("randomBytes(count)", "a blob", "Bytes that nobody can guess, 1 to 1,024.")
        .example("let key = @HELPERS.randomBytes(16);"),
    call("hashPassword(password)", "text", "A hash to keep in the place of a password.")
        .example("let hash = @HELPERS.hashPassword(\"correct horse\");"),
    call("verifyPassword(password, hash)", "true or false", "Whether a password is that of the hash.")
        .example("let hash = @HELPERS.hashPassword(\"correct horse\");\nreturn @HELPERS.verifyPassword(\"wrong\", hash);"),
    call("sleep(ms)", "", "Waits, within the time of the run.").errors("`SCRIPT_TIMEOUT` when the time is up")
        .example("@HELPERS.sleep(1);"),
    call("filter(value)", "the same as a filter", "Lets a client's filter through, operators and all: without it a map that comes from outside is a value in a filter.")
        .example("let filter = @HELPERS.filter(@BODY.filter);\nreturn #message.find(#{ filter: filter }).data;"),
    call("meets(row, filter)", "true or false", "Whether a map meets a filter, as `#table.find` would tell of a row; a field that it does not have is null. A filter that is kept in a table goes through `@HELPERS.filter` first.")
        .errors("`VALIDATION_ERROR` for an unknown operator")
        .example("return @HELPERS.meets(#{ status: \"new\", total: 50 }, #{ status: \"new\", total: #{ _gte: 20 } });"),
    call("fetch(url, options?)", "`#{ status, headers, body }`, the body as text", "An HTTP request to a host of `scripts.fetch_hosts`, within 5 s and 1 MiB, never to a private address. Options: `method`, `headers`, `body` (text). A test run only reads.")
        .errors("`VALIDATION_ERROR` for another host, `SERVICE_UNAVAILABLE` when there is no answer")
        .example("let answer = @HELPERS.fetch(\"https://api.example.com/rates\", #{ headers: #{ accept: \"application/json\" } });\nreturn parse_json(answer.body);"),
    call("jwt", "`@HELPERS.jwt`", "Tokens of your own: see below.")
        .example("let jwt = @HELPERS.jwt;"),
];

pub(super) const JWT: [Entry; 1] = [Entry::new(
    "@HELPERS.jwt",
    "sign(claims, ttlMs)",
    "text",
    "A token with these claims that ends after so many milliseconds. It signs nobody in here.",
)
.example("return @HELPERS.jwt.sign(#{ room: \"lobby\" }, 60000);")];
