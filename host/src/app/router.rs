//! The router as the server and the command line see it.

use std::path::Path;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use serde::Serialize;

use crate::config::Config;
use crate::domain::route::RouteTable;
use crate::error::Result;
use crate::router::client::RouterClient;
use crate::router::report::Stats;
use crate::router::stats::{BOUNDS_MS, Latencies};

/// What a router does now.
#[derive(Debug, Clone, Serialize)]
pub struct RouterStatus {
    pub table: RouteTable,
    pub stats: Stats,
}

/// Asks the router of a data folder: the configured one, or `data`.
///
/// # Errors
/// `Unavailable` if no router runs there.
pub async fn router_status(file: Option<&Path>, data: Option<&Path>, seconds: usize) -> Result<RouterStatus> {
    let config = Config::load(file, |name| std::env::var(name).ok())?;
    let client = RouterClient::new(data.unwrap_or(&config.server.data_dir));
    Ok(RouterStatus { stats: client.stats(seconds).await?, table: client.table().await? })
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReleaseLabels {
    route: String,
    release: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    route: String,
    release: String,
    /// `2xx` and so on.
    status: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuantileLabels {
    route: String,
    release: String,
    quantile: &'static str,
}

/// Histograms that somebody else has counted.
#[derive(Debug)]
struct Counted(Vec<(ReleaseLabels, Latencies)>);

impl Collector for Counted {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::result::Result<(), std::fmt::Error> {
        let help = "Time to the head of the answer, since the router began";
        let mut metric =
            encoder.encode_descriptor("response", help, Some(&Unit::Seconds), MetricType::Histogram)?;
        let bounds = BOUNDS_MS.map(|ms| f64::from(ms) / 1000.0).into_iter().chain([f64::INFINITY]);
        for (labels, told) in &self.0 {
            let buckets: Vec<(f64, u64)> = bounds.clone().zip(told.counts).collect();
            let sum = told.sum_us as f64 / 1_000_000.0;
            let count = told.counts.iter().sum();
            metric.encode_family(labels)?.encode_histogram::<ReleaseLabels>(sum, count, &buckets, None)?;
        }
        Ok(())
    }
}

/// The router's counts as metrics. The router keeps them, so they are made anew for each look.
pub fn registry(stats: &Stats) -> Registry {
    let mut registry = Registry::with_prefix("windlass_router");
    let (requests, broken) =
        (Family::<StatusLabels, Counter>::default(), Family::<ReleaseLabels, Counter>::default());
    let in_flight = Family::<ReleaseLabels, Gauge>::default();
    let latency = Family::<QuantileLabels, Gauge<f64, std::sync::atomic::AtomicU64>>::default();
    let mut counted = Vec::new();
    let (unrouted, version) = (Counter::<u64>::default(), Gauge::<i64>::default());
    for report in &stats.releases {
        let (route, release) = (&report.route, &report.release);
        let labels = ReleaseLabels { route: route.clone(), release: release.clone() };
        for (class, count) in report.total.status.iter().enumerate() {
            let status = format!("{}xx", class + 1);
            let labels = StatusLabels { route: route.clone(), release: release.clone(), status };
            requests.get_or_create(&labels).inc_by(*count);
        }
        counted.push((labels.clone(), report.total.latencies.clone()));
        broken.get_or_create(&labels).inc_by(report.total.broken);
        in_flight.get_or_create(&labels).set(i64::try_from(report.in_flight).unwrap_or(i64::MAX));
        let window = &report.window;
        for (quantile, ms) in [("0.5", window.p50_ms), ("0.95", window.p95_ms), ("0.99", window.p99_ms)] {
            let labels = QuantileLabels { route: route.clone(), release: release.clone(), quantile };
            latency.get_or_create(&labels).set(ms / 1000.0);
        }
    }
    unrouted.inc_by(stats.unrouted);
    version.set(i64::try_from(stats.health.version).unwrap_or(i64::MAX));
    registry.register("requests", "Requests by release and status class", requests);
    registry.register("broken", "Answers that a release began and did not finish", broken);
    registry.register("in_flight", "Requests and WebSockets in flight", in_flight);
    registry.register_with_unit(
        "latency",
        "Time to the head of the answer over the last minute",
        Unit::Seconds,
        latency,
    );
    registry.register_collector(Box::new(Counted(counted)));
    registry.register("unrouted", "Requests that no route was for", unrouted);
    registry.register("table_version", "Version of the route table in use", version);
    registry
}
