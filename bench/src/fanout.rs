//! The `fanout` scenario: one publisher, many subscribers in one room. Every delivery carries the
//! number of its publish; each subscriber checks that it misses none and gets them in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::client::{Client, NAMESPACE, connect_many};
use crate::measure::{self, Phase, PhaseArgs};
use crate::packet::{self, Packet};
use crate::report::Metric;
use crate::target::Server;

#[derive(clap::Args, Clone)]
pub struct FanoutArgs {
    /// Sockets in the room
    #[arg(long, default_value_t = 1_000, value_parser = crate::at_least_one)]
    pub subscribers: usize,
    /// Publishes under way at a time; the oldest must have reached everybody before the next
    #[arg(long, default_value_t = 2, value_parser = crate::at_least_one)]
    pub outstanding: usize,
    /// Bytes of padding in each published message
    #[arg(long, default_value_t = 64)]
    pub data_bytes: usize,
}

const ROOM: &str = "everybody";

pub async fn run(args: &FanoutArgs, phases: &PhaseArgs, server: &Server) -> Result<Vec<Metric>> {
    let fan = Arc::new(Fan::new(args));
    let mut tasks = fill_room(args, server, &fan).await?;
    let client = Client::connect(&server.endpoint, 0).await?;
    tasks.spawn(Publisher::new(client, fan.clone(), args)?.drive());
    let cost = measure::run(phases, server.pid, &fan.phase, &mut tasks).await?;
    let rounds = timeout(server.endpoint.patience, last_delivery(&mut tasks))
        .await
        .unwrap_or_else(|_| bail!("some deliveries never arrived"))?;
    fan.check_all_delivered()?;
    let deliveries = fan.measured.load(Ordering::Relaxed);
    Ok(vec![
        Metric::compared("deliveries/s", cost.per_second(deliveries), 0),
        Metric::compared("CPU µs/delivery", measure::micros_each(cost.server_cpu, deliveries), 2),
        Metric::plain("p50 ms to the last", measure::millis_at(&rounds, 50.0), 2),
        Metric::plain("p99 ms to the last", measure::millis_at(&rounds, 99.0), 2),
        Metric::plain("client CPU µs/delivery", measure::micros_each(cost.client_cpu, deliveries), 2),
    ])
}

/// Connects the subscribers and has each join the room.
async fn fill_room(
    args: &FanoutArgs,
    server: &Server,
    fan: &Arc<Fan>,
) -> Result<JoinSet<Result<Histogram<u64>>>> {
    let event = serde_json::json!(["join", { "room": ROOM }]).to_string();
    let mut tasks = JoinSet::new();
    for mut client in connect_many(&server.endpoint, args.subscribers).await? {
        timeout(server.endpoint.patience, client.call(NAMESPACE, event.as_bytes()))
            .await
            .context("joining the room took too long")??;
        tasks.spawn(subscribe(client, fan.clone()));
    }
    Ok(tasks)
}

/// What publisher and subscribers share.
struct Fan {
    phase: Phase,
    subscribers: u64,
    /// Deliveries so far of the publishes under way; publish `n` counts in slot `n % len`.
    under_way: Vec<AtomicU64>,
    delivered: AtomicU64,
    /// Deliveries within the measured phase.
    measured: AtomicU64,
    /// Publishes that have reached everybody.
    finished: AtomicU64,
    progress: Notify,
}

impl Fan {
    fn new(args: &FanoutArgs) -> Self {
        Self {
            phase: Phase::new(),
            subscribers: args.subscribers as u64,
            under_way: (0..args.outstanding).map(|_| AtomicU64::new(0)).collect(),
            delivered: AtomicU64::new(0),
            measured: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            progress: Notify::new(),
        }
    }

    fn check_all_delivered(&self) -> Result<()> {
        let delivered = self.delivered.load(Ordering::Relaxed);
        let expected = self.finished.load(Ordering::Relaxed) * self.subscribers;
        ensure!(delivered == expected, "{delivered} of {expected} delivered");
        Ok(())
    }

    fn deliver(&self, seq: u64) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
        if self.phase.is_measured() {
            self.measured.fetch_add(1, Ordering::Relaxed);
        }
        let slot = &self.under_way[(seq % self.under_way.len() as u64) as usize];
        if slot.fetch_add(1, Ordering::Relaxed) + 1 == self.subscribers {
            // Free for the publish that may start once this one counts as finished.
            slot.store(0, Ordering::Relaxed);
            self.finished.fetch_add(1, Ordering::Release);
            self.progress.notify_one();
        }
    }
}

/// Never returns unless something is wrong; ended by dropping the task.
async fn subscribe(mut client: Client, fan: Arc<Fan>) -> Result<Histogram<u64>> {
    let mut expected = 0;
    loop {
        client.flush().await?;
        client.fill().await?;
        client.drain(|packet, _| {
            let Packet::Event(event) = packet else {
                return Ok(());
            };
            let seq = packet::sequence(event)?;
            ensure!(seq == expected, "a subscriber got publish {seq} instead of {expected}");
            expected += 1;
            fan.deliver(seq);
            Ok(())
        })?;
    }
}

struct Publisher {
    client: Client,
    fan: Arc<Fan>,
    outstanding: usize,
    pad: String,
    /// When each publish that has not reached everybody was sent, oldest first.
    under_way: VecDeque<Instant>,
    sent: u64,
    acks: u64,
    results: u64,
    /// Time from a publish to its last delivery, within the measured phase.
    rounds: Histogram<u64>,
}

impl Publisher {
    fn new(client: Client, fan: Arc<Fan>, args: &FanoutArgs) -> Result<Self> {
        Ok(Self {
            client,
            fan,
            outstanding: args.outstanding,
            pad: "x".repeat(args.data_bytes),
            under_way: VecDeque::new(),
            sent: 0,
            acks: 0,
            results: 0,
            rounds: measure::latencies()?,
        })
    }

    /// Publishes until the run is over and everybody has got everything.
    async fn drive(mut self) -> Result<Histogram<u64>> {
        loop {
            self.note_finished();
            if !self.fan.phase.is_over() {
                self.send();
            }
            if self.under_way.is_empty() && self.acks == self.sent && self.results == self.sent {
                return Ok(self.rounds);
            }
            self.client.flush().await?;
            tokio::select! {
                () = self.fan.progress.notified() => {}
                filled = self.client.fill() => filled?,
            }
            self.client.drain(|packet, _| {
                match packet {
                    Packet::Ack { body, .. } => self.acks += packet::accepted(body).map(|_| 1)?,
                    Packet::Event(event) => {
                        self.results += u64::from(packet::succeeded(event)?.is_some());
                    }
                    Packet::Connected => {}
                }
                Ok(())
            })?;
        }
    }

    fn note_finished(&mut self) {
        let left = self.sent - self.fan.finished.load(Ordering::Acquire);
        while self.under_way.len() as u64 > left
            && let Some(sent) = self.under_way.pop_front()
        {
            if self.fan.phase.is_measured() {
                let micros = u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.rounds.saturating_record(micros);
            }
        }
    }

    fn send(&mut self) {
        while self.under_way.len() < self.outstanding {
            let data = serde_json::json!({ "seq": self.sent, "pad": self.pad });
            let event = serde_json::json!(["publish", { "room": ROOM, "data": data }]).to_string();
            Client::emit(self.client.outbox(), NAMESPACE, self.sent, event.as_bytes());
            self.under_way.push_back(Instant::now());
            self.sent += 1;
        }
    }
}

/// Waits for the publisher, the only task that ends well.
async fn last_delivery(tasks: &mut JoinSet<Result<Histogram<u64>>>) -> Result<Histogram<u64>> {
    tasks
        .join_next()
        .await
        .context("the publisher is missing")??
        .context("a socket failed at the end of the run")
}
