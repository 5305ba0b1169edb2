//! The live side: from rows to a snapshot that events look at.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{EntityTrait, QuerySelect, Select};
use uuid::Uuid;

use super::events::{DURABLE, ON_DEAD_STOP, ORDER_BY_USER};
use super::hooks::live_hooks;
use super::libraries::{compiled, sources_of};
use super::live_routes::live_routes;
use super::{Catalog, Definition, EventTable, Gateway, GatewayLimits, LiveGateways};
use crate::config::Config;
use crate::data::{Tables, USERS};
use crate::error::Result;
use crate::script::{
    Durable, Handler, HandlerSource, Mounts, SCRIPT_ADMISSION, SCRIPT_CONNECTION, SCRIPT_DISCONNECTION,
    SCRIPT_EVENT, ScriptWork, run_on_script_thread,
};
use crate::store::{Concerns, definitions_number, event, gateway, hook, library, pack, route, table};

/// A gateway as events and connections see it.
pub struct LiveGateway {
    /// Its row.
    pub id: Uuid,
    /// Its path.
    pub path: Arc<str>,
    /// The pack that it came from.
    pub pack: Option<Arc<str>>,
    /// Whether it takes connections.
    pub is_enabled: bool,
    /// Whether a connection needs a token.
    pub require_auth: bool,
    /// Origins that may connect.
    pub allowed_origins: Vec<String>,
    /// What a socket may do.
    pub limits: Limits,
    /// The rooms that hear who joins and leaves.
    presence: EventTable<()>,
    /// Joins and leaves within this time cancel out, or are told together.
    pub presence_debounce: Duration,
    /// Other namespaces that lead here.
    aliases: Vec<Arc<str>>,
    /// Whether a connection needs an app key.
    pub require_app_key: bool,
    /// Decides about a connection before it is one.
    pub admission: Option<Arc<Handler>>,
    /// Whether its jobs wait.
    pub is_paused: bool,
    /// Runs before any event of a socket.
    pub connection: Option<Arc<Handler>>,
    /// Runs when a socket has gone.
    pub disconnection: Option<Arc<Handler>>,
    events: EventTable<Arc<Handler>>,
    /// Its events by name, those that are disabled too.
    pub all_events: Vec<LiveEvent>,
}

/// An event of a gateway, as a list of them tells it.
pub struct LiveEvent {
    /// Its row.
    pub id: Uuid,
    /// Its name.
    pub name: Box<str>,
    /// Whether its events are kept in the database.
    pub is_durable: bool,
    /// What handles it; none: it is disabled.
    pub handler: Option<Arc<Handler>>,
}

/// The limits of a socket, with the configured defaults filled in; 0 means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Events in a second.
    pub events_per_second: u32,
    /// Events at once.
    pub burst: u32,
    /// Rooms and topics.
    pub subscriptions_per_connection: u32,
    /// Bytes of one payload.
    pub message_bytes: u32,
}

impl LiveGateway {
    /// The handler of an event: the exact name, else the longest prefix.
    pub fn handler(&self, event: &str) -> Option<&Arc<Handler>> {
        self.events.find(event)
    }

    /// The namespaces that lead to it: its path and its aliases.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        std::iter::once(&self.path).chain(&self.aliases)
    }

    /// Whether a room hears who joins and leaves.
    pub fn tells_presence(&self, room: &str) -> bool {
        self.presence.find(room).is_some()
    }

    /// Whether its jobs wait: it is paused, or disabled.
    pub fn keeps_jobs_waiting(&self) -> bool {
        self.is_paused || !self.is_enabled
    }

    /// All handlers, admission, connection and disconnection scripts among them.
    pub fn handlers(&self) -> impl Iterator<Item = &Arc<Handler>> {
        let own = self.admission.iter().chain(&self.connection).chain(&self.disconnection);
        own.chain(self.events.all())
    }
}

impl Limits {
    /// A gateway's limits over the configured defaults.
    pub fn new(own: &GatewayLimits, config: &Config) -> Self {
        let defaults = &config.limits;
        let events_per_second = own.events_per_second.unwrap_or(defaults.events_per_second);
        Self {
            events_per_second,
            // A gateway that raises only the rate must not be held back by the default burst.
            burst: own.burst.unwrap_or(defaults.burst.max(1)).max(u32::from(events_per_second > 0)),
            subscriptions_per_connection: own
                .subscriptions_per_connection
                .unwrap_or(defaults.subscriptions_per_connection),
            message_bytes: own.message_bytes.unwrap_or(defaults.message_bytes),
        }
    }
}

/// The rows that the snapshots are made of.
struct Rows {
    gateways: Vec<gateway::Model>,
    events: Vec<event::Model>,
    routes: Vec<route::Model>,
    hooks: Vec<hook::Model>,
    libraries: Vec<library::Model>,
    tables: Vec<table::Model>,
    /// Names of packs, and where they are mounted.
    packs: Vec<(String, String)>,
    /// Of the last edit that they are of.
    number: i64,
}

impl Catalog {
    /// Makes the snapshots anew from the database; the number of the last edit that is in them.
    /// Handlers that have not changed are kept, with their record.
    pub(super) async fn load(&self) -> Result<i64> {
        let rows = self.read_rows().await?;
        let (number, data) = (rows.number, self.engine.data());
        let tables = data.map(|data| data.read(&rows.tables)).transpose()?.map(Arc::new).unwrap_or_default();
        let mut of_hooks = Tables::clone(&tables);
        if let Some(users) = data.and_then(|data| data.users_by_name(USERS)) {
            of_hooks.entry(USERS.into()).or_insert(users);
        }
        let mounts = mounts_of(&rows);
        let (engine, metrics, config, before) =
            (self.engine.clone(), self.metrics.clone(), self.config.clone(), self.handlers());
        let (built_in, libraries_before) = (self.built_in_paths, self.libraries());
        let (live, routes, hooks, libraries) = run_on_script_thread(ScriptWork::Compile, move || {
            let libraries = compiled(&engine, sources_of(&rows.libraries), &libraries_before);
            let kept: HashMap<_, _> =
                before.into_iter().map(|handler| ((handler.owner, handler.script_name), handler)).collect();
            let make = |from: HandlerSource<'_>| match kept.get(&(from.owner, from.script)) {
                Some(handler) if handler.is_from(&from, &libraries) => handler.clone(),
                _ => Arc::new(Handler::new(&from, &libraries, &engine, &metrics)),
            };
            let routes = live_routes(rows.routes, &config, built_in, &make);
            let hooks = live_hooks(rows.hooks, &config, &of_hooks, &make);
            (snapshot(&rows.gateways, &rows.events, &config, &make), routes, hooks, libraries)
        })
        .await?;
        if let Some(data) = data {
            data.set(tables);
        }
        self.live_libraries.store(libraries);
        self.live.store(Arc::new(live));
        self.live_routes.store(Arc::new(routes));
        let handlers = hooks.values().flatten().map(|hook| hook.handler.clone()).collect();
        self.live_hooks.store(Arc::new(handlers));
        self.engine.set_hooks(hooks);
        self.engine.set_mounts(mounts);
        self.forget_gone_series();
        Ok(number)
    }

    /// All rows as they are between two edits.
    async fn read_rows(&self) -> Result<Rows> {
        let read = self.store.read_together(Concerns::Definitions, async |on| {
            Ok(Rows {
                number: definitions_number(on).await?,
                gateways: gateway::Entity::find().all(on).await?,
                events: event::Entity::find().all(on).await?,
                routes: route::Entity::find().all(on).await?,
                hooks: hook::Entity::find().all(on).await?,
                libraries: library::Entity::find().all(on).await?,
                tables: table::Entity::find().all(on).await?,
                packs: mounts_query().into_tuple().all(on).await?,
            })
        });
        read.await
    }

    /// What is gone is counted no more: a server whose gateways come and go would never stop growing.
    fn forget_gone_series(&self) {
        let (handlers, gateways) = (self.handlers(), self.live());
        let live: HashSet<(&str, &str)> =
            handlers.iter().map(|handler| (&*handler.gateway, &*handler.name)).collect();
        self.metrics.forget_gone(|gateway, event| {
            live.contains(&(gateway, event)) || (event.is_empty() && gateways.contains_key(gateway))
        });
    }
}

/// The names of packs and their mounts, without all that else is kept of them.
fn mounts_query() -> Select<pack::Entity> {
    pack::Entity::find().select_only().column(pack::Column::Name).column(pack::Column::Mount)
}

fn mounts_of(rows: &Rows) -> Mounts {
    let mut mounts = Mounts::default();
    for (name, mount) in &rows.packs {
        mounts.add_pack(name, mount.clone());
    }
    for gateway in &rows.gateways {
        if let Some(pack) = &gateway.pack {
            mounts.add_gateway(pack, &gateway.path);
        }
    }
    mounts
}

fn snapshot(
    gateways: &[gateway::Model],
    events: &[event::Model],
    config: &Config,
    make: &dyn Fn(HandlerSource<'_>) -> Arc<Handler>,
) -> LiveGateways {
    let mut live = LiveGateways::new();
    let mut by_gateway: HashMap<Uuid, Vec<&event::Model>> = HashMap::new();
    for event in events {
        by_gateway.entry(event.gateway_id).or_default().push(event);
    }
    for row in gateways {
        let mut events = by_gateway.remove(&row.id).unwrap_or_default();
        events.sort_by(|a, b| a.event_name.cmp(&b.event_name));
        let gateway = live_gateway(row, &events, config, make);
        live.insert(gateway.path.clone(), Arc::new(gateway));
    }
    live
}

fn live_gateway(
    row: &gateway::Model,
    events: &[&event::Model],
    config: &Config,
    make: &dyn Fn(HandlerSource<'_>) -> Arc<Handler>,
) -> LiveGateway {
    let timeout = timeout(row.script_timeout_ms, config);
    let own_script = |script, name, source: &Option<String>| {
        source.as_deref().map(|source| {
            let (owner, version, gateway) = (row.id, row.updated_at, row.path.as_str());
            make(HandlerSource {
                owner,
                script,
                version,
                gateway,
                name,
                source,
                pack: row.pack.as_deref(),
                schema: None,
                timeout,
                durable: None,
            })
        })
    };
    let handler = |event: &event::Model| {
        make(HandlerSource {
            owner: event.id,
            script: SCRIPT_EVENT,
            version: event.updated_at,
            gateway: &row.path,
            name: &event.event_name,
            source: &event.source_code,
            pack: row.pack.as_deref(),
            schema: event.payload_schema.as_ref(),
            timeout: event.timeout_ms.map_or(timeout, |ms| Duration::from_millis(ms.unsigned_abs())),
            durable: (event.delivery == DURABLE).then(|| Durable {
                is_of_user: event.order_by == ORDER_BY_USER,
                attempts: event.retries.map_or(config.jobs.attempts, |retries| retries as u32),
                stops_key: event.on_dead == ON_DEAD_STOP,
            }),
        })
    };
    let all_events = events.iter().map(|event| LiveEvent {
        id: event.id,
        name: event.event_name.as_str().into(),
        is_durable: event.delivery == DURABLE,
        handler: event.is_enabled.then(|| handler(event)),
    });
    let all_events: Vec<_> = all_events.collect();
    let enabled =
        all_events.iter().filter_map(|event| Some((event.name.to_string(), event.handler.clone()?)));
    let events = enabled.collect();
    let definition = Gateway::of_row(row.clone()).definition;
    LiveGateway {
        id: row.id,
        path: row.path.as_str().into(),
        pack: row.pack.as_deref().map(Arc::from),
        is_enabled: row.is_enabled,
        require_auth: row.require_auth,
        allowed_origins: definition.allowed_origins.unwrap_or_else(|| config.allowed_origins.clone()),
        limits: Limits::new(&definition.limits, config),
        presence: definition.presence.into_patterns().into_iter().map(|pattern| (pattern, ())).collect(),
        presence_debounce: Duration::from_millis(definition.presence_debounce_ms.unsigned_abs()),
        aliases: definition.aliases.into_iter().map(Arc::from).collect(),
        require_app_key: row.require_app_key,
        is_paused: row.is_paused,
        admission: own_script(SCRIPT_ADMISSION, "admission", &row.admission_script),
        connection: own_script(SCRIPT_CONNECTION, "connection", &row.connection_script),
        disconnection: own_script(SCRIPT_DISCONNECTION, "disconnection", &row.disconnection_script),
        events,
        all_events,
    }
}

/// The time of one run: its own, or the configured.
pub(super) fn timeout(own_ms: Option<i64>, config: &Config) -> Duration {
    Duration::from_millis(own_ms.map_or(config.scripts.timeout_ms, i64::unsigned_abs))
}
