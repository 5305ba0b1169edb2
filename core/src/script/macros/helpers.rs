//! `@HELPERS`: time, ids, hashes, tokens, and `fetch`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use regex::{Regex, RegexBuilder};
use rhai::{Blob, Dynamic, Engine, EvalAltResult, ImmutableString, Map};
use sha2::{Digest, Sha256};

use super::fetch::Fetcher;
use crate::auth::{Secret, hash_password, is_affordable, verify_password};
use crate::config;
use crate::error::{ErrorCode, Failure};
use crate::filter::{AnyField, Filter};
use crate::id::new_id;
use crate::moment::{from_ms, parse_time, time_text, to_ms};
use crate::queue;
use crate::script::failure::raise;
use crate::script::json;
use crate::script::memory::uncounted;
use crate::script::outside::{self, from_outside};
use crate::script::rows::{refuse_in_transaction, refused, to_row};
use crate::script::run::{self, time_left};

type Outcome<T> = Result<T, Box<EvalAltResult>>;
type Text = ImmutableString;

/// What `@HELPERS` stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Helpers;

/// What `@HELPERS.jwt` stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Jwt;

const RANDOM_BYTES_MAX: i64 = 1024;
const CLAIMS_BYTES_MAX: usize = 16 << 10;
const CLAIMS_DEPTH_MAX: usize = 16;

/// Bytes that a compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 64 << 10;
/// The longest text that a pattern is looked for in, in bytes: the time grows with both.
const MATCHED_BYTES_MAX: usize = 64 << 10;
/// Patterns that a thread keeps compiled.
const PATTERNS_MAX: usize = 32;

thread_local! {
    static PATTERNS: RefCell<HashMap<Text, Regex>> = RefCell::default();
}

/// Whether a text has a part that fits a pattern, in a time that grows with the text alone (docs.rs/regex).
fn matches(text: &str, pattern: &Text) -> Outcome<bool> {
    if text.len() > MATCHED_BYTES_MAX {
        let message = format!("matches takes a text of at most {MATCHED_BYTES_MAX} bytes");
        return Err(raise(Failure::new(ErrorCode::Validation, message)));
    }
    uncounted(|| {
        PATTERNS.with_borrow_mut(|known| {
            if let Some(regex) = known.get(pattern) {
                return Ok(regex.is_match(text));
            }
            let regex =
                RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build().map_err(|error| {
                    let message = format!("matches knows no such pattern: {}", last_line(&error.to_string()));
                    raise(Failure::new(ErrorCode::Validation, message))
                })?;
            if known.len() >= PATTERNS_MAX {
                known.clear();
            }
            let is_match = regex.is_match(text);
            known.insert(pattern.clone(), regex);
            Ok(is_match)
        })
    })
}

/// Whether a row in memory meets a filter, as the database would tell.
fn meets(row: &Dynamic, filter: &Dynamic) -> Outcome<bool> {
    uncounted(|| {
        let row = to_row("a row", row)?;
        let filter = Filter::parse(&outside::to_filter(filter)?, &AnyField).map_err(refused)?;
        Ok(filter.matches(&row))
    })
}

/// What is wrong with a pattern, without the drawing that stands before it.
fn last_line(error: &str) -> &str {
    error.lines().last().unwrap_or_default().trim_start_matches("error: ")
}

/// Registers the calls of `@HELPERS`.
pub(crate) fn register(engine: &mut Engine, limits: &config::Scripts, secret: Arc<Secret>) {
    engine
        .register_type_with_name::<Helpers>("@HELPERS")
        .register_fn("now", |_: &mut Helpers| run::now_ms())
        .register_fn("iso", |_: &mut Helpers| time_text(run::now()))
        .register_fn("iso", |_: &mut Helpers, ms: i64| -> Outcome<String> {
            let time = from_ms(ms).filter(|time| (0..=9999).contains(&time.year()));
            let refused =
                || Failure::new(ErrorCode::Validation, format!("{ms} is no time in milliseconds since 1970"));
            time.map(time_text).ok_or_else(|| raise(refused()))
        })
        .register_fn("parseTime", |_: &mut Helpers, text: Dynamic| {
            let time = text.into_immutable_string().ok().and_then(|text| parse_time(&text));
            time.map_or(Dynamic::UNIT, |time| to_ms(time).into())
        })
        .register_fn("matches", |_: &mut Helpers, text: Text, pattern: Text| matches(&text, &pattern))
        .register_fn("uuid", |_: &mut Helpers| new_id().to_string())
        .register_fn("slug", |_: &mut Helpers, text: Text| slug(&text))
        .register_fn("meets", |_: &mut Helpers, row: Dynamic, filter: Dynamic| meets(&row, &filter))
        .register_fn("filter", |_: &mut Helpers, filter: Dynamic| outside::let_through(&filter))
        .register_fn("sleep", |_: &mut Helpers, ms: i64| sleep(ms))
        .register_fn("sha256", |_: &mut Helpers, text: Text| hex(&Sha256::digest(text.as_bytes())))
        .register_fn("hmacSha256", |_: &mut Helpers, key: Text, text: Text| hmac_sha256(&key, &text))
        .register_fn("randomBytes", |_: &mut Helpers, count: i64| random_bytes(count))
        .register_fn("hashPassword", |_: &mut Helpers, password: Text| -> String {
            // The work takes 19 MiB for a moment; they are not the script's.
            let hash = uncounted(|| hash_password(&password));
            let counted = hash.clone();
            uncounted(|| drop(hash));
            counted
        })
        .register_fn("verifyPassword", |_: &mut Helpers, password: Text, hash: Text| -> Outcome<bool> {
            if !uncounted(|| is_affordable(&hash)) {
                let message = "verifyPassword: the hash asks for more memory or passes than it may";
                return Err(raise(Failure::new(ErrorCode::Validation, message)));
            }
            Ok(uncounted(|| verify_password(&password, Some(&hash))))
        });
    register_jwt(engine, secret);
    register_fetch(engine, limits);
}

fn register_jwt(engine: &mut Engine, secret: Arc<Secret>) {
    engine
        .register_type_with_name::<Jwt>("@HELPERS.jwt")
        .register_get("jwt", |_: &mut Helpers| Jwt)
        .register_fn("sign", move |_: &mut Jwt, claims: Map, ttl_ms: i64| -> Outcome<String> {
            let text = json::to_json(&claims.into(), CLAIMS_DEPTH_MAX, CLAIMS_BYTES_MAX)
                .map_err(|reason| run::unsendable("the claims", reason))?;
            let claims = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            let ttl = u64::try_from(ttl_ms).map_err(|_| "a time to live is milliseconds, more than 0")?;
            Ok(secret.sign_for_scripts(claims, Duration::from_millis(ttl)))
        });
}

fn register_fetch(engine: &mut Engine, limits: &config::Scripts) {
    let fetcher = Arc::new(Fetcher::new(limits));
    let plain = fetcher.clone();
    engine
        .register_fn("fetch", move |_: &mut Helpers, url: Text| plain.fetch(&url, &Map::new()))
        .register_fn("fetch", move |_: &mut Helpers, url: Text, options: Map| fetcher.fetch(&url, &options));
}

/// Lower-case ASCII letters and digits with single dashes between.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for character in text.chars().flat_map(char::to_lowercase) {
        if character.is_ascii_alphanumeric() {
            slug.push(character);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

/// Sleeps within the script's time.
fn sleep(ms: i64) -> Outcome<()> {
    let wanted = Duration::from_millis(u64::try_from(ms).map_err(|_| "sleep takes milliseconds, 0 or more")?);
    refuse_in_transaction("@HELPERS.sleep")?;
    let left = time_left();
    uncounted(|| queue::wait(|| std::thread::sleep(wanted.min(left))));
    if wanted < left {
        return Ok(());
    }
    Err(run::terminate(ErrorCode::ScriptTimeout, "The script took longer than it may"))
}

fn random_bytes(count: i64) -> Outcome<Blob> {
    if !(1..=RANDOM_BYTES_MAX).contains(&count) {
        return Err(format!("randomBytes takes 1 to {RANDOM_BYTES_MAX}").into());
    }
    let mut bytes = vec![0; count as usize];
    rand::Rng::fill_bytes(&mut rand::rng(), &mut bytes);
    Ok(bytes)
}

fn hmac_sha256(key: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    hex(&mac.finalize().into_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A value for `@HELPERS.fetch`'s answer.
pub(crate) fn text_map(pairs: impl Iterator<Item = (String, String)>) -> Dynamic {
    from_outside(pairs.map(|(key, value)| (key.into(), value.into())).collect::<Map>().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs() {
        for (text, expected) in [("Héllo, World!", "h-llo-world"), ("--a  b--", "a-b"), ("", ""), ("ß", "")]
        {
            assert_eq!(slug(text), expected, "{text}");
        }
    }

    #[test]
    fn hashes() {
        assert_eq!(
            hex(&Sha256::digest(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            hmac_sha256("Jefe", "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
