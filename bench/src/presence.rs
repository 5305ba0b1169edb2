//! The `presence` scenario: what it costs that members of a large room come and go, with and without a debounce.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::client::{Client, Endpoint};
use crate::packet::Packet;
use crate::proc;
use crate::target::{Server, StartArgs, Target};

const ROOM: &str = "everybody";
/// The gateways, and what they are called in the table.
const GATEWAYS: [(&str, &str); 2] = [("/presence", "at once"), ("/presence/debounced", "250 ms")];

#[derive(clap::Args, Clone)]
pub struct PresenceArgs {
    /// Sockets that stay in the room
    #[arg(long, default_value_t = 5_000, value_parser = crate::at_least_one)]
    pub members: usize,
    /// Joins and leaves in a second, at most
    #[arg(long, default_value_t = 100, value_parser = crate::at_least_one)]
    pub rate: usize,
    /// Joins and leaves that are measured
    #[arg(long, default_value_t = 500, value_parser = crate::at_least_one)]
    pub changes: usize,
}

/// Measures and prints the costs.
///
/// # Errors
/// When a member is lost.
pub async fn run(args: &PresenceArgs, start: &StartArgs) -> Result<()> {
    println!("{} joins and leaves in a room of {}\n", args.changes, args.members);
    println!("| told | changes/s | packets for each member | CPU ms/change |\n| --- | ---: | ---: | ---: |");
    for (path, told) in GATEWAYS {
        let server = Target::Gatewright.start(start).await?;
        println!("| {told} {}", run_once(args, path, &server).await?);
        server.stop().await?;
    }
    Ok(())
}

async fn run_once(args: &PresenceArgs, path: &str, server: &Server) -> Result<String> {
    proc::allow_open_files(args.members)?;
    let endpoint = Endpoint { namespace: path.into(), ..server.endpoint.clone() };
    let heard = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    // One after the other: who is connected and does not read yet answers no pings.
    for number in 0..args.members {
        let mut client = Client::connect(&endpoint, number).await?;
        client.call(path, event("join").as_bytes()).await?;
        tasks.spawn(listen(client, heard.clone()));
    }
    // What the members themselves are told of each other comes before.
    settle(&heard).await;
    let mut guest = Client::connect(&endpoint, args.members).await?;
    let (before, cpu, begin) = (heard.load(Ordering::Acquire), proc::cpu_time(server.pid)?, Instant::now());
    let mut turns = interval(Duration::from_secs(1) / args.rate as u32);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0..args.changes {
        turns.tick().await;
        let name = if number % 2 == 0 { "join" } else { "leave" };
        guest.call(path, event(name).as_bytes()).await?;
    }
    let wall = begin.elapsed();
    settle(&heard).await;
    let cpu = proc::cpu_time(server.pid)? - cpu;
    Ok(format!(
        "| {:.0} | {:.1} | {:.2} |",
        args.changes as f64 / wall.as_secs_f64(),
        (heard.load(Ordering::Acquire) - before) as f64 / args.members as f64,
        cpu.as_secs_f64() * 1e3 / args.changes as f64,
    ))
}

fn event(name: &str) -> String {
    serde_json::json!([name, { "room": ROOM }]).to_string()
}

/// Waits until nothing more comes for a second.
async fn settle(heard: &AtomicU64) {
    let mut before = None;
    while before != Some(heard.load(Ordering::Acquire)) {
        before = Some(heard.load(Ordering::Acquire));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Counts what comes; never returns unless something is wrong.
async fn listen(mut client: Client, heard: Arc<AtomicU64>) -> Result<()> {
    loop {
        client.flush().await?;
        client.fill().await?;
        let mut events = 0;
        client.drain(|packet, _| {
            events +=
                u64::from(matches!(packet, Packet::Event(event) if event.starts_with(br#"["presence","#)));
            Ok(())
        })?;
        heard.fetch_add(events, Ordering::Release);
    }
}
