//! What changes outside of a socket's own doing: saved gateways, ended sessions, tokens that run
//! out, addresses that fall quiet.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gatewright_core::auth::SignedIn;
use gatewright_core::run::Sample;
use gatewright_core::script::memory::give_back;
use gatewright_core::store::ChangeNumbers;
use tokio::time::MissedTickBehavior;

use super::admin_feed::feed_admins;
use super::hub::Hub;

/// How often the database is asked whether anything changed: with what follows, a change by
/// another process is live, and an ended session disconnected, within a second.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often memory is given back, at first and at most so seldom.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(5);
const GIVE_BACK_EVERY_AT_MOST: Duration = Duration::from_secs(15);
/// A difference in memory that is worth a look.
const WORTH_A_LOOK_BYTES: u64 = 16 << 20;

/// How often quiet addresses are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(10);

/// Watches until `stopped` comes.
pub async fn watch_changes(hub: Arc<Hub>, stopped: impl Future<Output = ()>) {
    let watches = async {
        tokio::join!(
            watch_database(&hub),
            hub.expiries.watch(),
            forget_quiet_addresses(&hub),
            take_samples(&hub),
            feed_admins(&hub),
            give_memory_back(),
        )
    };
    tokio::select! {
        _ = watches => {}
        () = stopped => {}
    }
}

async fn watch_database(hub: &Arc<Hub>) {
    let mut sessions_seen = None;
    loop {
        match hub.accounts.change_numbers().await {
            Ok(numbers) => {
                if let Err(error) = follow(hub, numbers, &mut sessions_seen).await {
                    tracing::warn!(%error, "could not follow a change; trying again");
                }
            }
            Err(error) => tracing::warn!(%error, "the database does not answer"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = hub.check_sessions.notified() => {}
        }
    }
}

/// Takes over what changed.
async fn follow(
    hub: &Hub,
    numbers: ChangeNumbers,
    sessions_seen: &mut Option<i64>,
) -> gatewright_core::Result<()> {
    hub.runner.catalog.catch_up(numbers.definitions).await?;
    if *sessions_seen != Some(numbers.sessions) {
        follow_sessions(hub).await?;
        *sessions_seen = Some(numbers.sessions);
    }
    Ok(())
}

/// Ends the connections whose session no longer counts; the others have their user as it is now.
async fn follow_sessions(hub: &Hub) -> gatewright_core::Result<()> {
    let (connections, admins) = (hub.signed_in_connections(), hub.admins.sockets());
    let of_connections = connections.iter().filter_map(|connection| connection.identity()?.session_id);
    let of_admins = admins.iter().filter_map(|admin| admin.identity().session_id);
    let sessions: Vec<_> = of_connections.chain(of_admins).collect();
    let live = hub.accounts.live_sessions(&sessions).await?;
    admins.iter().for_each(|admin| admin.follow_session(&live));
    for connection in connections {
        let Some(identity) = connection.identity() else { continue };
        // A token of another issuer has no session: it counts until it expires.
        let Some(session_id) = identity.session_id else { continue };
        match live.get(&session_id) {
            Some(user) => connection.set_identity(SignedIn { user: user.clone(), ..identity }),
            None => connection.end(),
        }
    }
    follow_app_keys(hub).await
}

/// The same with the app keys that connections showed.
async fn follow_app_keys(hub: &Hub) -> gatewright_core::Result<()> {
    let shown = hub.connections_with_app_key().into_iter();
    let shown: Vec<_> = shown.filter_map(|one| Some((one.app_key()?, one))).collect();
    let ids: BTreeSet<_> = shown.iter().map(|(key, _)| key.id).collect();
    let live = hub.accounts.live_app_keys(&Vec::from_iter(ids)).await?;
    for (before, connection) in shown {
        // One with another secret is not the one that was shown.
        match live.get(&before.id).filter(|now| now.has_secret_of(&before)) {
            None => connection.end(),
            Some(now) if *now != before => {
                connection.set_app_key(now.clone());
                hub.expiries.add_app_key(&connection);
            }
            Some(_) => {}
        }
    }
    Ok(())
}

async fn forget_quiet_addresses(hub: &Hub) {
    loop {
        tokio::time::sleep(FORGET_EVERY).await;
        hub.addresses.forget_quiet();
    }
}

/// Gives memory back that a flood has left free. Looks more seldom while there is little to give.
async fn give_memory_back() {
    let mut wait = GIVE_BACK_EVERY;
    let mut after = resident_bytes();
    loop {
        tokio::time::sleep(wait).await;
        let before = resident_bytes();
        // In quiet times the resident bytes stay; what was of no use once is then of none again.
        if before.abs_diff(after) < WORTH_A_LOOK_BYTES && wait < GIVE_BACK_EVERY_AT_MOST {
            wait = (wait * 2).min(GIVE_BACK_EVERY_AT_MOST);
            continue;
        }
        // The allocator may take a while, and holds whoever allocates from the same arena.
        let _ = tokio::task::spawn_blocking(give_back).await;
        after = resident_bytes();
        let is_useful = before.saturating_sub(after) >= WORTH_A_LOOK_BYTES;
        wait = if is_useful { GIVE_BACK_EVERY } else { (wait * 2).min(GIVE_BACK_EVERY_AT_MOST) };
    }
}

/// The memory of the process that is in use as the system sees it; 0 where it does not tell.
fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * PAGE_BYTES
}

/// Keeps how the server fares, once a second.
async fn take_samples(hub: &Hub) {
    const SECOND: Duration = Duration::from_secs(1);
    let mut seconds = tokio::time::interval_at(tokio::time::Instant::now() + SECOND, SECOND);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        let (connections, queue_depth) = (hub.connection_count(), hub.runner.queue.depth());
        hub.runner.history.take(Sample { connections, queue_depth });
    }
}
