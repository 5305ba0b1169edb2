//! The `watched` scenario: the `events` scenario while an admin watches all runs and the stats, beside the same
//! while nobody does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, ensure};

use crate::admin::Admin;
use crate::client::{Client, Endpoint};
use crate::events::{self, EventsArgs};
use crate::measure::PhaseArgs;
use crate::packet::Packet;
use crate::report::Metric;
use crate::target::Server;

/// Where admins watch.
const NAMESPACE: &str = "/@admin";
const TOPICS: [&str; 2] = ["runs", "stats"];

/// The events of `events`, watched.
pub async fn run(args: &EventsArgs, phases: &PhaseArgs, server: &Server) -> Result<Vec<Metric>> {
    let admin = Admin::sign_in(server.endpoint.address).await?;
    let endpoint =
        Endpoint { namespace: NAMESPACE.into(), token: Some(admin.token), ..server.endpoint.clone() };
    let mut client = Client::connect(&endpoint, 0).await?;
    for (number, topic) in (0..).zip(TOPICS) {
        let event = serde_json::json!(["watch", { "topic": topic }]).to_string();
        Client::emit(client.outbox(), NAMESPACE, number, event.as_bytes());
    }
    let batches = Arc::new(AtomicU64::new(0));
    let watching = tokio::spawn(watch(client, batches.clone()));
    let metrics = events::run(args, phases, server).await?;
    ensure!(!watching.is_finished(), "the admin was sent away: {:?}", watching.await);
    watching.abort();
    ensure!(batches.load(Ordering::Relaxed) > 0, "the admin saw no runs");
    Ok(metrics)
}

/// Takes all that comes, and counts the batches of runs; returns only with an error.
async fn watch(mut client: Client, batches: Arc<AtomicU64>) -> Result<()> {
    loop {
        client.flush().await?;
        client.fill().await?;
        client.drain(|packet, _| {
            match packet {
                Packet::Event(event) if event.starts_with(br#"["runs","#) => {
                    batches.fetch_add(1, Ordering::Relaxed);
                }
                Packet::Ack { body, .. } => ensure!(body == br#"[{"ok":true}]"#, "a watch was refused"),
                _ => {}
            }
            Ok(())
        })?;
    }
}
