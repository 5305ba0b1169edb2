//! `@CACHE`: values that scripts share.

use std::time::Duration;

use rhai::{Dynamic, Engine, EvalAltResult, ImmutableString};

use crate::cache::Cache;
use crate::error::{ErrorCode, Failure};
use crate::script::failure::raise;
use crate::script::json;
use crate::script::memory::uncounted;
use crate::script::run::{self, host, with_run};

/// The longest life, about a century: the end of a longer one has no place in the clock.
const LIFE_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// The longest key.
const KEY_BYTES_MAX: usize = 512;

/// What `@CACHE`, `@CACHE.common` and `@CACHE.of(path)` stand for: whose keys.
#[derive(Debug, Clone)]
pub(crate) enum CacheMacro {
    /// Of the gateway whose script this is; in a route or a hook, which belong to none, the common.
    Own,
    /// Of all scripts.
    Common,
    /// Of the gateway with this path.
    Of(ImmutableString),
}

type Outcome<T> = Result<T, Box<EvalAltResult>>;
type Text = ImmutableString;

/// Registers the calls of `@CACHE`.
pub(crate) fn register(engine: &mut Engine) {
    engine
        .register_type_with_name::<CacheMacro>("@CACHE")
        .register_get("common", |_: &mut CacheMacro| CacheMacro::Common)
        .register_fn("of", |_: &mut CacheMacro, path: Text| -> Outcome<CacheMacro> {
            if !path.starts_with('/') || path.len() > KEY_BYTES_MAX || path.contains('\0') {
                return Err("@CACHE.of takes the path of a gateway, such as \"/chat\"".into());
            }
            Ok(CacheMacro::Of(path))
        })
        .register_fn("get", |of: &mut CacheMacro, key: Text| -> Outcome<Dynamic> {
            let key = of.key(&key)?;
            let json = in_cache(|cache| cache.get(&key))?;
            Ok(json.and_then(|json| json::from_json(&json).ok()).unwrap_or(Dynamic::UNIT))
        })
        .register_fn("set", |of: &mut CacheMacro, key: Text, value: Dynamic| of.set(&key, &value, None))
        .register_fn("set", |of: &mut CacheMacro, key: Text, value: Dynamic, ttl: i64| {
            of.set(&key, &value, Some(ttl))
        })
        .register_fn("incr", |of: &mut CacheMacro, key: Text| of.increment(&key, 1, None))
        .register_fn("incr", |of: &mut CacheMacro, key: Text, by: i64| of.increment(&key, by, None))
        .register_fn("incr", |of: &mut CacheMacro, key: Text, by: i64, ttl: i64| {
            of.increment(&key, by, Some(ttl))
        })
        .register_fn("delete", |of: &mut CacheMacro, key: Text| -> Outcome<bool> {
            run::refuse_in_admission("@CACHE.delete")?;
            let key = of.key(&key)?;
            in_cache(|cache| cache.delete(&key))
        })
        .register_fn("acquire", |of: &mut CacheMacro, key: Text, ttl: i64| -> Outcome<bool> {
            run::refuse_in_admission("@CACHE.acquire")?;
            let key = of.key(&key)?;
            let (ttl, owner) = (life(ttl)?, with_run(|run| run.request_id));
            in_cache(|cache| cache.acquire(&key, owner, ttl))
        })
        .register_fn("release", |of: &mut CacheMacro, key: Text| -> Outcome<bool> {
            run::refuse_in_admission("@CACHE.release")?;
            let key = of.key(&key)?;
            let owner = with_run(|run| run.request_id);
            in_cache(|cache| cache.release(&key, owner))
        });
}

impl CacheMacro {
    /// A script's key as the cache has it: after whose it is, from which NUL divides it.
    fn key(&self, key: &str) -> Outcome<String> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX || key.contains('\0') {
            return Err(format!("a key of @CACHE has 1 to {KEY_BYTES_MAX} bytes, none of them NUL").into());
        }
        Ok(match self {
            Self::Common => format!("\0{key}"),
            Self::Of(path) => format!("{path}\0{key}"),
            Self::Own => with_run(|run| {
                let gateway = run.origin.gateway().filter(|_| run.hook_depth == 0);
                format!("{}\0{key}", gateway.map_or("", |path| path))
            }),
        })
    }

    fn set(&self, key: &str, value: &Dynamic, ttl: Option<i64>) -> Outcome<()> {
        run::refuse_in_admission("@CACHE.set")?;
        let key = self.key(key)?;
        let ttl = ttl.map(life).transpose()?;
        let json = with_run(|run| {
            uncounted(|| json::to_json(value, run.limits.value_depth, run.limits.result_bytes))
        });
        let json = json.map_err(|reason| run::unsendable("a cached value", reason))?;
        in_cache(|cache| cache.set(&key, json, ttl))
    }

    fn increment(&self, key: &str, by: i64, ttl: Option<i64>) -> Outcome<i64> {
        run::refuse_in_admission("@CACHE.incr")?;
        let full_key = self.key(key)?;
        let ttl = ttl.map(life).transpose()?;
        in_cache(|cache| cache.increment(&full_key, by, ttl))?.ok_or_else(|| {
            let message = format!("@CACHE.incr: {key} holds no integer, or is full");
            raise(Failure::new(ErrorCode::Validation, message))
        })
    }
}

/// Asks the cache, which is not counted as the script's.
fn in_cache<T>(ask: impl FnOnce(&dyn Cache) -> Result<T, Failure>) -> Outcome<T> {
    let host = host();
    uncounted(|| ask(host.cache())).map_err(raise)
}

fn life(ttl_ms: i64) -> Outcome<Duration> {
    u64::try_from(ttl_ms)
        .ok()
        .filter(|ttl| *ttl > 0)
        .map(|ttl| Duration::from_millis(ttl).min(LIFE_MAX))
        .ok_or_else(|| "a time to live is milliseconds, more than 0".into())
}
