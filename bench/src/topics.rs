//! The `topics` scenario: what a publish costs, by how many different filters its topic's subscriptions have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::client::{Client, Endpoint, connect_many};
use crate::measure::{self, micros_each};
use crate::packet::Packet;
use crate::proc;
use crate::target::{Server, StartArgs, Target};

const NAMESPACE: &str = "/topics";

#[derive(clap::Args, Clone)]
pub struct TopicsArgs {
    /// Sockets that subscribe
    #[arg(long, default_value_t = 500, value_parser = crate::at_least_one)]
    pub subscribers: usize,
    /// Subscriptions of each of them
    #[arg(long, default_value_t = 20, value_parser = crate::at_least_one)]
    pub each: usize,
    /// Different filters that the subscriptions have, each time on a server of its own, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "1,10,100", value_parser = crate::at_least_one)]
    pub filters: Vec<usize>,
    /// Publishes that are measured, one after the other
    #[arg(long, default_value_t = 100, value_parser = crate::at_least_one)]
    pub publishes: usize,
}

/// What has reached subscribers.
#[derive(Default)]
struct Heard {
    count: AtomicU64,
    progress: Notify,
}

/// Measures and prints the costs.
///
/// # Errors
/// When an event does not reach its subscriptions in time.
pub async fn run(args: &TopicsArgs, start: &StartArgs) -> Result<()> {
    let subscriptions = args.subscribers * args.each;
    println!("A publish to {subscriptions} subscriptions, of which those of one filter match\n");
    println!("| filters | deliveries | CPU µs/publish | p50 ms to the last | p99 ms |");
    println!("| ---: | ---: | ---: | ---: | ---: |");
    for filters in &args.filters {
        let server = Target::Gatewright.start(start).await?;
        println!("{}", run_once(args, *filters, &server).await?);
        server.stop().await?;
    }
    Ok(())
}

async fn run_once(args: &TopicsArgs, filters: usize, server: &Server) -> Result<String> {
    let endpoint = Endpoint { namespace: NAMESPACE.into(), ..server.endpoint.clone() };
    let heard = Arc::new(Heard::default());
    let mut tasks = JoinSet::new();
    for (index, mut client) in connect_many(&endpoint, args.subscribers).await?.into_iter().enumerate() {
        let body = serde_json::json!({ "count": args.each, "first": index * args.each, "filters": filters });
        client.call(NAMESPACE, event("subscribe", &body).as_bytes()).await?;
        tasks.spawn(listen(client, heard.clone()));
    }
    let mut publisher = Client::connect(&endpoint, args.subscribers).await?;
    let (mut rounds, mut expected) = (measure::latencies()?, 0);
    let cpu = proc::cpu_time(server.pid)?;
    for number in 0..args.publishes {
        let n = number % filters;
        expected += (0..args.subscribers * args.each).filter(|index| index % filters == n).count() as u64;
        let begin = Instant::now();
        publisher.call(NAMESPACE, event("tick", &serde_json::json!({ "n": n })).as_bytes()).await?;
        timeout(endpoint.patience, reach(&heard, expected)).await.context("some deliveries never arrived")?;
        measure::record(&mut rounds, begin.elapsed());
    }
    let cpu = proc::cpu_time(server.pid)? - cpu;
    Ok(format!(
        "| {filters} | {} | {:.0} | {:.2} | {:.2} |",
        expected / args.publishes as u64,
        micros_each(cpu, args.publishes as u64),
        measure::millis_at(&rounds, 50.0),
        measure::millis_at(&rounds, 99.0),
    ))
}

fn event(name: &str, body: &serde_json::Value) -> String {
    serde_json::json!([name, body]).to_string()
}

/// Waits until so many have been heard in all.
async fn reach(heard: &Heard, expected: u64) {
    while heard.count.load(Ordering::Acquire) < expected {
        heard.progress.notified().await;
    }
}

/// Counts what comes; never returns unless something is wrong.
async fn listen(mut client: Client, heard: Arc<Heard>) -> Result<()> {
    loop {
        client.flush().await?;
        client.fill().await?;
        let mut events = 0;
        client.drain(|packet, _| {
            events += u64::from(matches!(packet, Packet::Event(event) if event.starts_with(br#"["event","#)));
            Ok(())
        })?;
        heard.count.fetch_add(events, Ordering::Release);
        heard.progress.notify_one();
    }
}
