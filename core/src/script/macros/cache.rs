//! `@CACHE`: values that scripts share, in memory, bounded, gone with the process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::ops::compute::Op;
use moka::sync::Cache as Memory;
use rhai::{Dynamic, Engine, EvalAltResult, ImmutableString};
use uuid::Uuid;

use crate::error::{ErrorCode, Failure};
use crate::script::failure::raise;
use crate::script::json;
use crate::script::memory::uncounted;
use crate::script::run::{self, host, with_run};

/// What an entry takes besides its key and value, about.
const ENTRY_OVERHEAD_BYTES: usize = 128;
/// The longest life, about a century: the end of a longer one has no place in the clock.
const LIFE_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// The longest key.
const KEY_BYTES_MAX: usize = 512;

/// A store of values by key with a time to live; the least used go first when it is full.
#[derive(Clone)]
pub struct Cache {
    entries: Memory<String, Entry>,
}

#[derive(Clone)]
struct Entry {
    json: Arc<str>,
    ttl: Option<Duration>,
}

struct ByEntry;

impl Expiry<String, Entry> for ByEntry {
    fn expire_after_create(&self, _: &String, entry: &Entry, _: Instant) -> Option<Duration> {
        entry.ttl
    }

    fn expire_after_update(
        &self,
        _: &String,
        entry: &Entry,
        _: Instant,
        left: Option<Duration>,
    ) -> Option<Duration> {
        // A counter keeps the life it was made with.
        if entry.ttl.is_some() { entry.ttl } else { left }
    }
}

impl Cache {
    /// A cache for at most so many bytes.
    pub fn new(bytes_max: u64) -> Self {
        let entries = Memory::builder()
            .max_capacity(bytes_max)
            .weigher(|key: &String, entry: &Entry| {
                u32::try_from(key.len() + entry.json.len() + ENTRY_OVERHEAD_BYTES).unwrap_or(u32::MAX)
            })
            .expire_after(ByEntry)
            .build();
        Self { entries }
    }

    fn get(&self, key: &str) -> Option<Arc<str>> {
        self.entries.get(key).map(|entry| entry.json)
    }

    fn set(&self, key: &str, json: String, ttl: Option<Duration>) {
        // Removed first: an entry without a life of its own must not inherit the old one's.
        self.entries.invalidate(key);
        self.entries.insert(key.to_owned(), Entry { json: json.into(), ttl });
    }

    fn delete(&self, key: &str) -> bool {
        self.entries.remove(key).is_some()
    }

    /// Adds to a number; a key without one starts at 0 and lives for `ttl`.
    fn increment(&self, key: &str, by: i64, ttl: Option<Duration>) -> Option<i64> {
        let mut sum = None;
        self.entries.entry(key.to_owned()).and_compute_with(|entry| {
            let (before, ttl) = match entry {
                None => (Some(0), ttl),
                Some(entry) => (entry.value().json.parse::<i64>().ok(), None),
            };
            sum = before.and_then(|before| before.checked_add(by));
            sum.map_or(Op::Nop, |sum| Op::Put(Entry { json: sum.to_string().into(), ttl }))
        });
        sum
    }

    /// Takes a lock for its owner; false when another holds it.
    fn acquire(&self, key: &str, owner: Uuid, ttl: Duration) -> bool {
        let owner: Arc<str> = owner.to_string().into();
        let entry =
            self.entries.entry(lock_key(key)).or_insert(Entry { json: owner.clone(), ttl: Some(ttl) });
        entry.value().json == owner
    }

    /// Gives a lock back; false when its owner no longer holds it.
    fn release(&self, key: &str, owner: Uuid) -> bool {
        let owner = owner.to_string();
        let mut released = false;
        self.entries.entry(lock_key(key)).and_compute_with(|entry| match entry {
            Some(entry) if *entry.value().json == owner => {
                released = true;
                Op::Remove
            }
            _ => Op::Nop,
        });
        released
    }
}

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
            let json = uncounted(|| host().cache().get(&key));
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
            let key = of.key(&key)?;
            Ok(uncounted(|| host().cache().delete(&key)))
        })
        .register_fn("acquire", |of: &mut CacheMacro, key: Text, ttl: i64| -> Outcome<bool> {
            let key = of.key(&key)?;
            let (ttl, owner) = (life(ttl)?, with_run(|run| run.request_id));
            Ok(uncounted(|| host().cache().acquire(&key, owner, ttl)))
        })
        .register_fn("release", |of: &mut CacheMacro, key: Text| -> Outcome<bool> {
            let key = of.key(&key)?;
            let owner = with_run(|run| run.request_id);
            Ok(uncounted(|| host().cache().release(&key, owner)))
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
                let is_of_gateway = run.hook_depth == 0 && run.request.is_none();
                format!("{}\0{key}", if is_of_gateway { &*run.gateway } else { "" })
            }),
        })
    }

    fn set(&self, key: &str, value: &Dynamic, ttl: Option<i64>) -> Outcome<()> {
        let key = self.key(key)?;
        let ttl = ttl.map(life).transpose()?;
        let json = with_run(|run| {
            uncounted(|| json::to_json(value, run.limits.value_depth, run.limits.result_bytes))
        });
        let json = json.map_err(|reason| run::unsendable("a cached value", reason))?;
        uncounted(|| host().cache().set(&key, json, ttl));
        Ok(())
    }

    fn increment(&self, key: &str, by: i64, ttl: Option<i64>) -> Outcome<i64> {
        let in_cache = self.key(key)?;
        let ttl = ttl.map(life).transpose()?;
        uncounted(|| host().cache().increment(&in_cache, by, ttl)).ok_or_else(|| {
            let message = format!("@CACHE.incr: {key} holds no integer, or is full");
            raise(Failure::new(ErrorCode::Validation, message))
        })
    }
}

/// Locks stand beside the values: no key of a value ends with NUL.
fn lock_key(key: &str) -> String {
    format!("{key}\0")
}

fn life(ttl_ms: i64) -> Outcome<Duration> {
    u64::try_from(ttl_ms)
        .ok()
        .filter(|ttl| *ttl > 0)
        .map(|ttl| Duration::from_millis(ttl).min(LIFE_MAX))
        .ok_or_else(|| "a time to live is milliseconds, more than 0".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_locks() {
        let cache = Cache::new(1 << 20);
        assert_eq!(cache.increment("a", 2, None), Some(2));
        assert_eq!(cache.increment("a", -5, None), Some(-3));
        cache.set("b", "\"text\"".into(), None);
        assert_eq!(cache.increment("b", 1, None), None);
        let (one, two) = (crate::id::new_id(), crate::id::new_id());
        let ttl = Duration::from_secs(60);
        assert!(cache.acquire("l", one, ttl));
        assert!(!cache.acquire("l", two, ttl));
        assert!(!cache.release("l", two));
        assert!(cache.release("l", one));
        assert!(cache.acquire("l", two, ttl));
        assert!(cache.get("l").is_none(), "a lock is no value");
    }

    #[test]
    fn is_bounded() {
        let cache = Cache::new(100_000);
        for number in 0..10_000 {
            cache.set(&number.to_string(), "0".repeat(1000), None);
        }
        cache.entries.run_pending_tasks();
        assert!(cache.entries.weighted_size() <= 100_000);
    }
}
