//! The `events` and `single` scenarios: a closed loop of events, each finished when both its ack
//! and its result have arrived. Checks on the way that acks and results of a socket pair up in
//! the order in which the events were sent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::client::{Client, connect_many};
use crate::measure::{self, Cost, Phase, PhaseArgs};
use crate::packet::{self, Packet, RequestId};
use crate::report::Metric;
use crate::target::Server;

/// About the length of a chat message.
pub const TEXT_BYTES: usize = 64;

#[derive(clap::Args, Clone)]
pub struct EventsArgs {
    /// Sockets that send events
    #[arg(long, default_value_t = 64, value_parser = crate::at_least_one)]
    pub sockets: usize,
    /// Events each socket keeps in flight
    #[arg(long, default_value_t = 8, value_parser = crate::at_least_one)]
    pub window: usize,
    /// Bytes of text in each message
    #[arg(long, default_value_t = TEXT_BYTES)]
    pub text_bytes: usize,
}

#[derive(clap::Args, Clone)]
pub struct SingleArgs {
    /// Milliseconds of rest between an answer and the next event
    #[arg(long, default_value_t = 5)]
    pub pause_ms: u64,
}

/// Events for every socket of a load to go round, each from a place of its own; JSON arrays.
pub type Events = Arc<[Box<str>]>;

/// Throughput, cost and latency under load.
pub async fn run(args: &EventsArgs, phases: &PhaseArgs, server: &Server) -> Result<Vec<Metric>> {
    let (latencies, cost) = load(args, Duration::ZERO, phases, server).await?;
    let events = latencies.len();
    Ok(vec![
        Metric::compared("events/s", cost.per_second(events), 0),
        Metric::compared("CPU µs/event", measure::micros_each(cost.server_cpu, events), 2),
        Metric::plain("p50 ms", measure::millis_at(&latencies, 50.0), 2),
        Metric::plain("p99 ms", measure::millis_at(&latencies, 99.0), 2),
        Metric::plain("client CPU µs/event", measure::micros_each(cost.client_cpu, events), 2),
    ])
}

/// Latency of one event at a time on an otherwise idle server.
pub async fn run_single(args: &SingleArgs, phases: &PhaseArgs, server: &Server) -> Result<Vec<Metric>> {
    let one = EventsArgs { sockets: 1, window: 1, text_bytes: TEXT_BYTES };
    let pause = Duration::from_millis(args.pause_ms);
    let (latencies, _) = load(&one, pause, phases, server).await?;
    let latencies = &latencies;
    Ok(vec![
        Metric::compared("p50 ms", measure::millis_at(latencies, 50.0), 3),
        Metric::compared("p99 ms", measure::millis_at(latencies, 99.0), 3),
        Metric::plain("max ms", latencies.max() as f64 / 1e3, 3),
        Metric::plain("events", latencies.len() as f64, 0),
    ])
}

/// The event that every target answers at once.
pub fn message(text_bytes: usize) -> Events {
    let body = serde_json::json!({ "text": "x".repeat(text_bytes), "roomId": "general" });
    let event = serde_json::json!(["message", body]).to_string();
    Arc::new([event.into()])
}

async fn load(
    args: &EventsArgs,
    pause: Duration,
    phases: &PhaseArgs,
    server: &Server,
) -> Result<(Histogram<u64>, Cost)> {
    let events = message(args.text_bytes);
    let phase = Arc::new(Phase::new());
    let mut tasks = JoinSet::new();
    for (index, client) in connect_many(&server.endpoint, args.sockets).await?.into_iter().enumerate() {
        let socket =
            Socket::new(client, &server.endpoint.namespace, &events, index).window(args.window).pause(pause);
        tasks.spawn(socket.drive(phase.clone()));
    }
    let cost = measure::run(phases, server.pid, &phase, &mut tasks).await?;
    let latencies = timeout(server.endpoint.patience, sum(tasks)).await.unwrap_or_else(|_| unfinished())?;
    ensure!(!latencies.is_empty(), "no event was finished while measuring");
    Ok((latencies, cost))
}

/// The latencies of all sockets together.
pub async fn sum(mut tasks: JoinSet<Result<Histogram<u64>>>) -> Result<Histogram<u64>> {
    let mut total = measure::latencies()?;
    while let Some(latencies) = tasks.join_next().await {
        total.add(latencies??)?;
    }
    Ok(total)
}

/// What a run in which answers are missing ends with.
pub fn unfinished<T>() -> Result<T> {
    bail!("some events never got both ack and result")
}

/// One socket of a load.
pub struct Socket {
    client: Client,
    namespace: Arc<str>,
    events: Events,
    next: usize,
    window: usize,
    pause: Duration,
    measures_acks: bool,
}

impl Socket {
    /// The socket with this number, one event in flight and no pauses.
    pub fn new(client: Client, namespace: &Arc<str>, events: &Events, index: usize) -> Self {
        // Far from where the others are.
        let next = index * 7919 % events.len();
        let namespace = namespace.clone();
        Self {
            client,
            namespace,
            events: events.clone(),
            next,
            window: 1,
            pause: Duration::ZERO,
            measures_acks: false,
        }
    }

    /// So many events in flight.
    pub fn window(self, window: usize) -> Self {
        Self { window, ..self }
    }

    /// With so much rest before an event.
    pub fn pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// With the time to the ack measured, not that to the result.
    pub fn measuring_acks(self) -> Self {
        Self { measures_acks: true, ..self }
    }

    /// Sends events until the last phase; the latencies of those that ended in the measured one.
    pub async fn drive(mut self, phase: Arc<Phase>) -> Result<Histogram<u64>> {
        let mut flight = Flight::default();
        let mut latencies = measure::latencies()?;
        loop {
            if flight.events.len() < self.window && !phase.is_over() {
                if !self.pause.is_zero() {
                    sleep(self.pause).await;
                }
                self.send(&mut flight);
            }
            if flight.events.is_empty() {
                return Ok(latencies);
            }
            self.client.flush().await?;
            self.client.fill().await?;
            let now = Instant::now();
            let measured = phase.is_measured();
            let measures_acks = self.measures_acks;
            self.client.drain(|packet, _| {
                if let (Packet::Ack { id, .. }, true, true) = (&packet, measured, measures_acks) {
                    let sent = flight.pending(*id)?.sent;
                    measure::record(&mut latencies, now - sent);
                }
                flight.arrived(packet)?;
                flight.land(|sent| {
                    if measured && !measures_acks {
                        measure::record(&mut latencies, now - sent);
                    }
                })
            })?;
        }
    }

    fn send(&mut self, flight: &mut Flight) {
        let now = Instant::now();
        while flight.events.len() < self.window {
            let ack_id = flight.launch(now);
            let event = self.events[self.next].as_bytes();
            Client::emit(self.client.outbox(), &self.namespace, ack_id, event);
            self.next = (self.next + 1) % self.events.len();
        }
    }
}

/// The events of one socket that are not finished, oldest first.
#[derive(Default)]
struct Flight {
    events: VecDeque<Pending>,
    /// Ack id of the oldest; ids count up from zero.
    oldest_id: u64,
    /// How many results have arrived. They come in order, so this is the id of the next one.
    results: u64,
}

struct Pending {
    sent: Instant,
    ack: Option<RequestId>,
    result: Option<RequestId>,
}

impl Flight {
    fn launch(&mut self, sent: Instant) -> u64 {
        self.events.push_back(Pending { sent, ack: None, result: None });
        self.oldest_id + self.events.len() as u64 - 1
    }

    fn arrived(&mut self, packet: Packet<'_>) -> Result<()> {
        match packet {
            Packet::Ack { id, body } => {
                let request_id = packet::accepted(body)?;
                self.pending(id)?.ack = Some(request_id);
            }
            Packet::Event(event) => {
                if let Some(request_id) = packet::succeeded(event)? {
                    let id = self.results;
                    self.pending(id)?.result = Some(request_id);
                    self.results += 1;
                }
            }
            Packet::Connected => {}
        }
        Ok(())
    }

    fn pending(&mut self, id: u64) -> Result<&mut Pending> {
        id.checked_sub(self.oldest_id)
            .and_then(|at| self.events.get_mut(usize::try_from(at).ok()?))
            .with_context(|| format!("an answer to event {id}, which is not in flight"))
    }

    /// Takes out the oldest events as far as they are finished; gives when each was sent.
    fn land(&mut self, mut each: impl FnMut(Instant)) -> Result<()> {
        while let Some(Pending { sent, ack: Some(ack), result: Some(result) }) = self.events.front() {
            ensure!(ack == result, "the results of a socket came out of order");
            each(*sent);
            self.events.pop_front();
            self.oldest_id += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(flight: &mut Flight, id: u64, request: &str) -> Result<()> {
        let body = format!(r#"[{{"accepted":true,"requestId":"{request:0>36}"}}]"#);
        let body = body.as_bytes();
        flight.arrived(Packet::Ack { id, body })
    }

    fn result(flight: &mut Flight, request: &str) -> Result<()> {
        let event = format!(r#"["ws:result",{{"requestId":"{request:0>36}","success":true}}]"#);
        flight.arrived(Packet::Event(event.as_bytes()))
    }

    fn landed(flight: &mut Flight) -> Result<usize> {
        let mut count = 0;
        flight.land(|_| count += 1).map(|()| count)
    }

    #[test]
    fn an_event_lands_with_both_answers() {
        let mut flight = Flight::default();
        assert_eq!(flight.launch(Instant::now()), 0);
        assert_eq!(flight.launch(Instant::now()), 1);
        ack(&mut flight, 0, "a").unwrap();
        ack(&mut flight, 1, "b").unwrap();
        assert_eq!(landed(&mut flight).unwrap(), 0);
        result(&mut flight, "a").unwrap();
        assert_eq!(landed(&mut flight).unwrap(), 1);
        result(&mut flight, "b").unwrap();
        assert_eq!(landed(&mut flight).unwrap(), 1);
        assert_eq!(flight.launch(Instant::now()), 2);
    }

    #[test]
    fn results_out_of_order_are_an_error() {
        let mut flight = Flight::default();
        flight.launch(Instant::now());
        flight.launch(Instant::now());
        ack(&mut flight, 0, "a").unwrap();
        result(&mut flight, "b").unwrap();
        assert!(landed(&mut flight).is_err());
    }

    #[test]
    fn an_answer_too_many_is_an_error() {
        assert!(result(&mut Flight::default(), "a").is_err());
        assert!(ack(&mut Flight::default(), 0, "a").is_err());
    }
}
