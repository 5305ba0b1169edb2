//! What the server counts, in the terms of Prometheus. Label values are bounded: gateways and
//! event names come from the catalog, never from clients.

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// Upper bounds of the time buckets, in seconds: from 50 µs to 30 s.
const TIME_BUCKETS: [f64; 20] = [
    0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5,
    1.0, 2.0, 5.0, 10.0, 30.0,
];

/// All metrics of one server.
pub struct Metrics {
    registry: Registry,
    /// Open connections by gateway.
    pub connections: IntGaugeVec,
    /// Events by gateway, event and outcome.
    pub events: IntCounterVec,
    /// Jobs that wait or run.
    pub queue_depth: IntGauge,
    /// Seconds from acceptance to start.
    pub queue_wait: Histogram,
    /// Seconds of a handler by gateway and event.
    pub handler_seconds: HistogramVec,
    /// Rhai operations of all runs.
    pub script_operations: IntCounter,
    /// Emits of scripts.
    pub emitted: IntCounter,
    /// Sockets disconnected because they did not read.
    pub slow_disconnects: IntCounter,
    /// Events and connections refused for their rate.
    pub rate_limited: IntCounter,
    /// Requests and connections that the guard of Socket.IO refused or ended, by its reason.
    pub guard: IntCounterVec,
    /// How often the definitions were read anew.
    pub definitions_loaded: IntCounter,
    /// Seconds of database work.
    pub db_seconds: Histogram,
    /// Jobs in the database by state and gateway.
    pub jobs: IntGaugeVec,
    /// Seconds since the oldest job was accepted that is not for later.
    pub jobs_oldest_seconds: IntGauge,
    /// Keys whose jobs wait for another attempt, or for an admin.
    pub job_keys_blocked: IntGauge,
    /// Durable events stored.
    pub jobs_stored: IntCounter,
    /// Attempts that failed and are made again.
    pub job_retries: IntCounter,
    /// Jobs that were given up.
    pub jobs_dead: IntCounter,
    /// Parts of the jobs that were taken over from a node that was lost.
    pub job_shards_taken_over: IntCounter,
    /// Runs that were undone because another node had taken their job over.
    pub jobs_fenced: IntCounter,
    /// Jobs of one commit.
    pub job_commit_rows: Histogram,
    /// Seconds of one commit of jobs.
    pub job_commit_seconds: Histogram,
    /// Seconds by which the last job of a schedule was late.
    pub schedule_lag_seconds: prometheus::Gauge,
}

impl Metrics {
    /// Fresh metrics, with those of the process.
    pub fn new() -> Self {
        let registry = Registry::new();
        let metrics = Self {
            connections: IntGaugeVec::new(opts("connections", "Open connections"), &["gateway"])
                .expect(VALID),
            events: IntCounterVec::new(
                opts("events_total", "Events by outcome: ok or the error code"),
                &["gateway", "event", "outcome"],
            )
            .expect(VALID),
            queue_depth: IntGauge::with_opts(opts("queue_depth", "Jobs that wait or run")).expect(VALID),
            queue_wait: Histogram::with_opts(times("queue_wait_seconds", "Time from acceptance to start"))
                .expect(VALID),
            handler_seconds: HistogramVec::new(
                times("handler_seconds", "Time of a handler"),
                &["gateway", "event"],
            )
            .expect(VALID),
            script_operations: counter("script_operations", "Rhai operations of all runs"),
            emitted: counter("emitted_total", "Emits of scripts"),
            slow_disconnects: counter(
                "slow_disconnects_total",
                "Sockets disconnected because they did not read",
            ),
            rate_limited: counter("rate_limited_total", "Events and connections refused for their rate"),
            guard: IntCounterVec::new(
                opts("guard_total", "Requests and connections of Socket.IO refused or ended, by reason"),
                &["reason"],
            )
            .expect(VALID),
            definitions_loaded: counter(
                "definitions_loaded_total",
                "Times that gateways, routes, tables and all else that admins define were read anew",
            ),
            db_seconds: Histogram::with_opts(times("db_seconds", "Time of database work")).expect(VALID),
            jobs: IntGaugeVec::new(opts("jobs", "Jobs in the database"), &["state", "gateway"]).expect(VALID),
            jobs_oldest_seconds: IntGauge::with_opts(opts(
                "jobs_oldest_seconds",
                "Time since the oldest job was accepted that is not for later",
            ))
            .expect(VALID),
            job_keys_blocked: IntGauge::with_opts(opts(
                "job_keys_blocked",
                "Keys whose jobs wait for another attempt, or for an admin",
            ))
            .expect(VALID),
            jobs_stored: counter("jobs_stored_total", "Durable events stored"),
            job_retries: counter("job_retries_total", "Attempts that failed and are made again"),
            jobs_dead: counter("jobs_dead_total", "Jobs that were given up"),
            job_shards_taken_over: counter(
                "job_shards_taken_over_total",
                "Parts of the jobs taken over from a node that was lost",
            ),
            jobs_fenced: counter(
                "jobs_fenced_total",
                "Runs undone because their job was no longer this node's",
            ),
            job_commit_rows: Histogram::with_opts(
                HistogramOpts::new("job_commit_rows", "Jobs of one commit")
                    .namespace("gatewright")
                    .buckets(vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0]),
            )
            .expect(VALID),
            job_commit_seconds: Histogram::with_opts(times(
                "job_commit_seconds",
                "Time of one commit of jobs",
            ))
            .expect(VALID),
            schedule_lag_seconds: prometheus::Gauge::with_opts(opts(
                "schedule_lag_seconds",
                "Time by which the last job of a schedule was late",
            ))
            .expect(VALID),
            registry,
        };
        metrics.register();
        metrics
    }

    fn register(&self) {
        let collectors: [Box<dyn Collector>; 23] = [
            Box::new(self.connections.clone()),
            Box::new(self.events.clone()),
            Box::new(self.queue_depth.clone()),
            Box::new(self.queue_wait.clone()),
            Box::new(self.handler_seconds.clone()),
            Box::new(self.script_operations.clone()),
            Box::new(self.emitted.clone()),
            Box::new(self.slow_disconnects.clone()),
            Box::new(self.rate_limited.clone()),
            Box::new(self.guard.clone()),
            Box::new(self.definitions_loaded.clone()),
            Box::new(self.db_seconds.clone()),
            Box::new(self.jobs.clone()),
            Box::new(self.jobs_oldest_seconds.clone()),
            Box::new(self.job_keys_blocked.clone()),
            Box::new(self.jobs_stored.clone()),
            Box::new(self.job_retries.clone()),
            Box::new(self.jobs_dead.clone()),
            Box::new(self.job_shards_taken_over.clone()),
            Box::new(self.jobs_fenced.clone()),
            Box::new(self.job_commit_rows.clone()),
            Box::new(self.job_commit_seconds.clone()),
            Box::new(self.schedule_lag_seconds.clone()),
        ];
        for collector in collectors {
            self.registry.register(collector).expect("each metric is registered once");
        }
        #[cfg(target_os = "linux")]
        self.registry
            .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
            .expect("each metric is registered once");
    }

    /// Forgets the series of handlers and gateways that have gone; `is_live` tells of a gateway and an
    /// event, which is empty where a series is of the gateway alone.
    pub fn forget_gone(&self, is_live: impl Fn(&str, &str) -> bool) {
        for labels in labels_of(&self.events, ["gateway", "event", "outcome"]) {
            if !is_live(&labels[0], &labels[1]) {
                // Another may have removed it, which is the same.
                let _ = self.events.remove_label_values(&labels);
            }
        }
        for labels in labels_of(&self.handler_seconds, ["gateway", "event"]) {
            if !is_live(&labels[0], &labels[1]) {
                let _ = self.handler_seconds.remove_label_values(&labels);
            }
        }
    }

    /// All values in the text format of Prometheus.
    pub fn text(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// A quantile (0 to 1) of a histogram in seconds, interpolated within its bucket as Prometheus
/// does; none without samples.
pub fn quantile(histogram: &Histogram, quantile: f64) -> Option<f64> {
    let proto = prometheus::core::Metric::metric(histogram);
    let proto = proto.get_histogram();
    let total = proto.get_sample_count();
    if total == 0 {
        return None;
    }
    let rank = quantile * total as f64;
    let (mut bound_before, mut count_before) = (0.0, 0);
    for bucket in proto.get_bucket() {
        let (bound, count) = (bucket.upper_bound(), bucket.cumulative_count());
        if count as f64 >= rank && count > count_before {
            let part = (rank - count_before as f64) / (count - count_before) as f64;
            return Some(bound_before + (bound - bound_before) * part.max(0.0));
        }
        (bound_before, count_before) = (bound, count);
    }
    Some(bound_before)
}

/// The values of these labels, for each series.
fn labels_of<const N: usize>(collector: &impl Collector, names: [&str; N]) -> Vec<[String; N]> {
    let families = collector.collect();
    let series = families.iter().flat_map(|family| family.get_metric());
    let value = |metric: &prometheus::proto::Metric, name: &str| {
        let label = metric.get_label().iter().find(|label| label.name() == name);
        label.map_or_else(String::new, |label| label.value().to_owned())
    };
    series.map(|metric| names.map(|name| value(metric, name))).collect()
}

const VALID: &str = "names and labels are valid";

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("gatewright")
}

fn times(name: &str, help: &str) -> HistogramOpts {
    HistogramOpts::new(name, help).namespace("gatewright").buckets(TIME_BUCKETS.to_vec())
}

fn counter(name: &str, help: &str) -> IntCounter {
    IntCounter::with_opts(opts(name, help)).expect(VALID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        let metrics = Metrics::new();
        assert_eq!(quantile(&metrics.db_seconds, 0.5), None);
        for _ in 0..100 {
            metrics.db_seconds.observe(0.004);
        }
        let median = quantile(&metrics.db_seconds, 0.5).unwrap();
        assert!((0.003..=0.005).contains(&median), "{median}");
        assert!(metrics.text().contains("gatewright_db_seconds_count 100"));
    }
}
