//! The topics of a gateway: who subscribed to what, by topic and by filter, so that an event is held against
//! each filter once, however many subscriptions have it.

use std::collections::HashMap;
use std::sync::Arc;

use gatewright_core::filter::Filter;
use parking_lot::Mutex;
use uuid::Uuid;

use super::connection::Connection;

/// Different filters of one topic, at most: each event of it is held against all of them.
const FILTERS_MAX: usize = 10_000;

/// Those that somebody subscribed to, by name.
#[derive(Default)]
pub struct Topics {
    by_name: HashMap<Box<str>, Arc<Topic>>,
}

/// A topic that somebody subscribed to.
pub struct Topic {
    /// Its name.
    pub name: Box<str>,
    filters: Mutex<Kept<Arc<Filter>, Arc<Subscribers>>>,
}

/// The subscriptions to a topic that have the same filter.
pub struct Subscribers {
    filter: Arc<Filter>,
    subscriptions: Mutex<Kept<Uuid, Subscriber>>,
}

/// A subscription, with whom it belongs to.
#[derive(Clone)]
pub struct Subscriber {
    pub id: Uuid,
    pub connection: Arc<Connection>,
}

/// Where a subscription stands.
pub struct Subscription {
    topic: Arc<Topic>,
    subscribers: Arc<Subscribers>,
}

/// The topic has as many different filters as it may have.
#[derive(Debug)]
pub struct TooManyFilters;

/// Values by key, and all of them for those who go through them; that is made when it is asked for.
struct Kept<K, V> {
    by_key: HashMap<K, V>,
    all: Option<Arc<[V]>>,
}

impl Topics {
    /// A topic by its name, if anybody subscribed to it.
    pub fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.by_name.get(name).cloned()
    }

    /// Adds a subscription.
    pub fn add(
        &mut self,
        name: &str,
        filter: Filter,
        subscriber: Subscriber,
    ) -> Result<Subscription, TooManyFilters> {
        let topic = self.by_name.get(name).cloned().unwrap_or_else(|| {
            let topic = Arc::new(Topic { name: name.into(), filters: Mutex::default() });
            self.by_name.insert(name.into(), topic.clone());
            topic
        });
        let subscribers = topic.with_filter(filter)?;
        subscribers.subscriptions.lock().insert(subscriber.id, subscriber);
        Ok(Subscription { topic, subscribers })
    }

    /// Takes a subscription out; its topic goes with the last.
    pub fn remove(&mut self, id: Uuid, subscription: &Subscription) {
        let Subscription { topic, subscribers } = subscription;
        if !subscribers.subscriptions.lock().remove(&id) {
            return;
        }
        if topic.filters.lock().remove(&subscribers.filter) {
            self.by_name.remove(&topic.name);
        }
    }
}

impl Topic {
    fn with_filter(&self, filter: Filter) -> Result<Arc<Subscribers>, TooManyFilters> {
        let mut filters = self.filters.lock();
        if let Some(subscribers) = filters.by_key.get(&filter) {
            return Ok(subscribers.clone());
        }
        if filters.by_key.len() >= FILTERS_MAX {
            return Err(TooManyFilters);
        }
        let filter = Arc::new(filter);
        let subscribers = Arc::new(Subscribers { filter: filter.clone(), subscriptions: Mutex::default() });
        filters.insert(filter, subscribers.clone());
        Ok(subscribers)
    }

    /// Its subscriptions, by their filters. Nothing is held meanwhile.
    pub fn by_filter(&self) -> Arc<[Arc<Subscribers>]> {
        self.filters.lock().all()
    }
}

impl Subscribers {
    /// The filter that they have in common.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// All of them. Nothing is held meanwhile.
    pub fn all(&self) -> Arc<[Subscriber]> {
        self.subscriptions.lock().all()
    }
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self { by_key: HashMap::new(), all: None }
    }
}

impl<K: Eq + std::hash::Hash, V: Clone> Kept<K, V> {
    fn insert(&mut self, key: K, value: V) {
        self.all = None;
        self.by_key.insert(key, value);
    }

    /// Takes one out; whether it was the last.
    fn remove(&mut self, key: &K) -> bool {
        self.all = None;
        self.by_key.remove(key);
        self.by_key.is_empty()
    }

    fn all(&mut self) -> Arc<[V]> {
        let by_key = &self.by_key;
        self.all.get_or_insert_with(|| by_key.values().cloned().collect()).clone()
    }
}
