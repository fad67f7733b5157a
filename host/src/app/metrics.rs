//! What `/metrics` shows, in Prometheus' text format: base units, `_total` for counters.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::App;
use crate::domain::webhook::{MatchedSecret, ReasonCode};
use crate::error::{Error, Result};
use crate::plugins::Plugins;
use crate::store::{self, task_stats};

/// What the router's latencies are about.
const ROUTER_WINDOW_SECS: usize = 60;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Received {
    provider: String,
    verified: &'static str,
    /// Which secret it was signed with; `none` if it does not verify.
    secret: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskLabels {
    kind: String,
    status: String,
}

pub struct Metrics {
    registry: Registry,
    received: Family<Received, Counter>,
    processed: Family<Reason, Counter>,
    builds: Family<Status, Counter>,
    build_seconds: Histogram,
    deployments: Family<Status, Counter>,
    rollout_seconds: Histogram,
    images_removed: Counter,
    tasks: Family<TaskLabels, Gauge>,
    oldest_task_seconds: Gauge,
    uptime: Gauge,
}

impl Metrics {
    pub fn new(plugins: &Plugins) -> Self {
        let mut registry = Registry::with_prefix("windlass");
        let metrics = Self {
            received: Family::default(),
            processed: Family::default(),
            builds: Family::default(),
            build_seconds: Histogram::new(exponential_buckets(0.25, 2.0, 14)),
            deployments: Family::default(),
            rollout_seconds: Histogram::new(exponential_buckets(0.125, 2.0, 14)),
            images_removed: Counter::default(),
            tasks: Family::default(),
            oldest_task_seconds: Gauge::default(),
            uptime: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register(
            "webhooks_received",
            "Deliveries by forge, verdict and secret",
            metrics.received.clone(),
        );
        registry.register("webhooks_processed", "Deliveries by reason code", metrics.processed.clone());
        registry.register("builds", "Builds by how they ended", metrics.builds.clone());
        registry.register_with_unit(
            "build_duration",
            "How long builds took",
            Unit::Seconds,
            metrics.build_seconds.clone(),
        );
        registry.register("deployments", "Deployments by how they ended", metrics.deployments.clone());
        registry.register_with_unit(
            "rollout_duration",
            "How long rollouts took",
            Unit::Seconds,
            metrics.rollout_seconds.clone(),
        );
        registry.register(
            "images_removed",
            "Images removed because no rollback needs them any more",
            metrics.images_removed.clone(),
        );
        registry.register("tasks", "Tasks in the queue by kind and status", metrics.tasks.clone());
        registry.register_with_unit(
            "task_oldest_due",
            "How long the oldest task that could run has waited",
            Unit::Seconds,
            metrics.oldest_task_seconds.clone(),
        );
        registry.register_with_unit(
            "uptime",
            "Time since the server started",
            Unit::Seconds,
            metrics.uptime.clone(),
        );
        plugins.register_metrics(&mut registry);
        Self { registry, ..metrics }
    }

    pub fn webhook_received(&self, provider: &str, matched: Option<MatchedSecret>) {
        let verified = if matched.is_some() { "yes" } else { "no" };
        let secret = matched.map_or("none", MatchedSecret::as_str);
        self.received.get_or_create(&Received { provider: provider.to_string(), verified, secret }).inc();
    }

    pub fn webhook_processed(&self, reason: ReasonCode) {
        self.processed.get_or_create(&Reason { reason: reason.as_str() }).inc();
    }

    pub fn build_finished(&self, status: &str, took: Duration) {
        self.builds.get_or_create(&Status { status: status.to_string() }).inc();
        self.build_seconds.observe(took.as_secs_f64());
    }

    pub fn images_removed(&self, count: u64) {
        self.images_removed.inc_by(count);
    }

    pub fn rollout_finished(&self, status: &str, took: Duration) {
        self.deployments.get_or_create(&Status { status: status.to_string() }).inc();
        self.rollout_seconds.observe(took.as_secs_f64());
    }
}

/// The text of `/metrics`.
pub async fn metrics_text(app: &App) -> Result<String> {
    let mut conn = app.db.read().await?;
    let depth = task_stats::depth(&mut conn).await?;
    let oldest = task_stats::oldest_due(&mut conn, store::now()).await?;
    drop(conn);
    let metrics = &app.metrics;
    metrics.tasks.clear();
    for count in &depth {
        let labels = TaskLabels { kind: count.kind.clone(), status: count.status.as_str().to_string() };
        metrics.tasks.get_or_create(&labels).set(count.count);
    }
    metrics.oldest_task_seconds.set(oldest.map_or(0, |at| (store::now() - at) / 1000));
    metrics.uptime.set((store::now() - app.started_at) / 1000);
    let mut text = String::new();
    encode_registry(&mut text, &metrics.registry).map_err(Error::internal)?;
    if app.config.router.enabled {
        // A router that does not answer now is told by its absence; the rest is worth having.
        if let Ok(stats) = app.router.stats(ROUTER_WINDOW_SECS).await {
            encode_registry(&mut text, &super::router::registry(&stats)).map_err(Error::internal)?;
        }
    }
    encode_eof(&mut text).map_err(Error::internal)?;
    Ok(text)
}
