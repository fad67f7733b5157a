//! What `/metrics` shows, in Prometheus' text format: base units, `_total` for counters.

mod text;

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::domain::ci::CiStatus;
use crate::domain::cicd::{CicdProvider, ProviderState};
use crate::domain::deployment::{Deployment, DeploymentStatus};
use crate::domain::target::{Target, TargetState};
use crate::domain::webhook::{MatchedSecret, ReasonCode};
use crate::plugins::Plugins;
use crate::store;
pub use text::metrics_text;

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
struct LookResult {
    result: &'static str,
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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskKind {
    kind: &'static str,
}

/// From ten milliseconds to nearly three hours.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.01, 4.0, 11))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CiLabels {
    /// The plugin.
    provider: String,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProviderLabels {
    provider: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProviderName {
    provider: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetLabels {
    target: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetName {
    target: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HostLabels {
    host: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NotifyLabels {
    plugin: String,
    status: &'static str,
}

pub struct Metrics {
    registry: Registry,
    received: Family<Received, Counter>,
    processed: Family<Reason, Counter>,
    looks: Family<LookResult, Counter>,
    builds: Family<Status, Counter>,
    build_seconds: Histogram,
    deployments: Family<Status, Counter>,
    rollout_seconds: Histogram,
    images_removed: Counter,
    logins: Family<Status, Counter>,
    notifications: Family<NotifyLabels, Counter>,
    notifications_open: Gauge,
    tasks: Family<TaskLabels, Gauge>,
    ci_builds: Family<CiLabels, Counter>,
    ci_builds_open: Family<CiLabels, Gauge>,
    provider_state: Family<ProviderLabels, Gauge>,
    provider_seconds: Family<ProviderName, Gauge<f64, AtomicU64>>,
    provider_errors: Family<ProviderName, Gauge>,
    provider_limit: Family<ProviderName, Gauge>,
    provider_remaining: Family<ProviderName, Gauge>,
    target_state: Family<TargetLabels, Gauge>,
    target_seconds: Family<TargetName, Gauge<f64, AtomicU64>>,
    oldest_task_seconds: Gauge,
    oldest_open_seconds: Gauge,
    task_seconds: Family<TaskLabels, Histogram, fn() -> Histogram>,
    task_wait_seconds: Family<TaskKind, Histogram, fn() -> Histogram>,
    deployment_seconds: Histogram,
    disk_free_bytes: Gauge,
    backup_success: Gauge,
    backup_seconds: Gauge<f64, AtomicU64>,
    backup_bytes: Gauge,
    backup_failing: Gauge,
    certificate_expiry: Family<HostLabels, Gauge>,
    uptime: Gauge,
    log_viewers: Gauge,
    sockets: Gauge,
}

/// Something that is there as long as this is kept.
pub struct Present(Gauge);

impl Drop for Present {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn present(gauge: &Gauge) -> Present {
    gauge.inc();
    Present(gauge.clone())
}

impl Metrics {
    pub fn new(plugins: &Plugins) -> Self {
        let mut registry = Registry::with_prefix("windlass");
        let metrics = Self {
            received: Family::default(),
            processed: Family::default(),
            looks: Family::default(),
            builds: Family::default(),
            build_seconds: Histogram::new(exponential_buckets(0.25, 2.0, 14)),
            deployments: Family::default(),
            rollout_seconds: Histogram::new(exponential_buckets(0.125, 2.0, 14)),
            images_removed: Counter::default(),
            logins: Family::default(),
            notifications: Family::default(),
            notifications_open: Gauge::default(),
            tasks: Family::default(),
            ci_builds: Family::default(),
            ci_builds_open: Family::default(),
            provider_state: Family::default(),
            provider_seconds: Family::default(),
            provider_errors: Family::default(),
            provider_limit: Family::default(),
            provider_remaining: Family::default(),
            target_state: Family::default(),
            target_seconds: Family::default(),
            oldest_task_seconds: Gauge::default(),
            oldest_open_seconds: Gauge::default(),
            task_seconds: Family::new_with_constructor(durations),
            task_wait_seconds: Family::new_with_constructor(durations),
            deployment_seconds: Histogram::new(exponential_buckets(1.0, 2.0, 14)),
            disk_free_bytes: Gauge::default(),
            backup_success: Gauge::default(),
            backup_seconds: Gauge::default(),
            backup_bytes: Gauge::default(),
            backup_failing: Gauge::default(),
            certificate_expiry: Family::default(),
            uptime: Gauge::default(),
            log_viewers: Gauge::default(),
            sockets: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register(
            "webhooks_received",
            "Deliveries by forge, verdict and secret",
            metrics.received.clone(),
        );
        registry.register("webhooks_processed", "Deliveries by reason code", metrics.processed.clone());
        registry.register("git_looks", "Looks at git servers for pushes, by result", metrics.looks.clone());
        registry.register("builds", "Builds by how they ended", metrics.builds.clone());
        registry.register_with_unit(
            "build_duration",
            "How long builds took",
            Unit::Seconds,
            metrics.build_seconds.clone(),
        );
        registry.register("logins", "Log-ins by password, by how they ended", metrics.logins.clone());
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
            "certificate_expiry",
            "When the certificate of a host expires, in Unix time; 0 as long as there is none",
            Unit::Seconds,
            metrics.certificate_expiry.clone(),
        );
        registry.register_with_unit(
            "uptime",
            "Time since the server started",
            Unit::Seconds,
            metrics.uptime.clone(),
        );
        metrics.register_ci(&mut registry);
        metrics.register_outside(&mut registry);
        metrics.register_work(&mut registry);
        metrics.register_backups(&mut registry);
        registry.register("log_viewers", "Who follows a log now", metrics.log_viewers.clone());
        registry.register("sockets", "Socket.IO clients that are connected", metrics.sockets.clone());
        plugins.register_metrics(&mut registry);
        Self { registry, ..metrics }
    }

    fn register_ci(&self, registry: &mut Registry) {
        registry.register("ci_builds", "Builds at providers by how they ended", self.ci_builds.clone());
        registry.register(
            "ci_builds_open",
            "Builds at providers that are followed",
            self.ci_builds_open.clone(),
        );
        registry.register(
            "provider_state",
            "1 for the state that a provider is in",
            self.provider_state.clone(),
        );
        registry.register(
            "provider_response_seconds",
            "How long a provider took to answer when it was last checked",
            self.provider_seconds.clone(),
        );
        registry.register(
            "provider_error_percent",
            "How many of the last checks of a provider failed",
            self.provider_errors.clone(),
        );
        registry.register(
            "provider_rate_limit_requests",
            "Requests that a provider takes in one window, where it says so",
            self.provider_limit.clone(),
        );
        registry.register(
            "provider_rate_limit_remaining_requests",
            "What is left of them",
            self.provider_remaining.clone(),
        );
    }

    /// Targets, and messages to people.
    fn register_outside(&self, registry: &mut Registry) {
        registry.register("target_state", "1 for the state that a target is in", self.target_state.clone());
        registry.register(
            "target_response_seconds",
            "How long a target's engine took to answer when it was last checked",
            self.target_seconds.clone(),
        );
        registry.register(
            "notifications",
            "Attempts at messages by plugin and how they ended",
            self.notifications.clone(),
        );
        registry.register(
            "notifications_open",
            "Messages that are neither delivered nor given up",
            self.notifications_open.clone(),
        );
    }

    fn register_backups(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "backup_last_success",
            "When the last good backup was begun, in Unix time; 0 as long as there is none",
            Unit::Seconds,
            self.backup_success.clone(),
        );
        registry.register_with_unit(
            "backup_last_duration",
            "How long the last good backup took",
            Unit::Seconds,
            self.backup_seconds.clone(),
        );
        registry.register_with_unit(
            "backup_last_size",
            "How large the last good backup is",
            Unit::Bytes,
            self.backup_bytes.clone(),
        );
        registry.register("backup_failing", "1 if the last backup failed", self.backup_failing.clone());
    }

    fn register_work(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "task_oldest_nonterminal",
            "Age of the oldest task that has not ended",
            Unit::Seconds,
            self.oldest_open_seconds.clone(),
        );
        registry.register_with_unit(
            "task_duration",
            "How long attempts at tasks took, by kind and how they ended, on this node",
            Unit::Seconds,
            self.task_seconds.clone(),
        );
        registry.register_with_unit(
            "task_wait",
            "How long tasks were due before their first attempt, on this node",
            Unit::Seconds,
            self.task_wait_seconds.clone(),
        );
        registry.register_with_unit(
            "deployment_lead_time",
            "How long successful deployments took from the push, or whatever asked for them",
            Unit::Seconds,
            self.deployment_seconds.clone(),
        );
        registry.register_with_unit(
            "disk_free",
            "Room where the data folder is",
            Unit::Bytes,
            self.disk_free_bytes.clone(),
        );
        registry.register(
            "build",
            "The version, as a label",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
    }

    /// A task's turn has come for the first time, so long after it was due.
    pub fn task_waited(&self, kind: &'static str, waited: Duration) {
        self.task_wait_seconds.get_or_create(&TaskKind { kind }).observe(waited.as_secs_f64());
    }

    /// `success`, `retry`, `failed` or `cancelled`.
    pub fn task_ended(&self, kind: &str, status: &str, took: Duration) {
        let labels = TaskLabels { kind: kind.to_string(), status: status.to_string() };
        self.task_seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub fn ci_build_finished(&self, provider: &str, status: CiStatus) {
        let labels = CiLabels { provider: provider.to_string(), status: status.as_str() };
        self.ci_builds.get_or_create(&labels).inc();
    }

    fn show_provider(&self, provider: &CicdProvider) {
        let (name, health) = (provider.name.clone(), &provider.health);
        let state = health.state(store::now());
        for one in ProviderState::ALL {
            let labels = ProviderLabels { provider: name.clone(), state: one.as_str() };
            self.provider_state.get_or_create(&labels).set(i64::from(one == state));
        }
        let labels = ProviderName { provider: name };
        let seconds = health.response_ms.unwrap_or(0) as f64 / 1000.0;
        self.provider_seconds.get_or_create(&labels).set(seconds);
        self.provider_errors.get_or_create(&labels).set(health.error_percent().into());
        if let Some(budget) = &health.budget {
            self.provider_limit.get_or_create(&labels).set(budget.limit);
            self.provider_remaining.get_or_create(&labels).set(budget.remaining);
        }
    }

    fn show_target(&self, target: &Target) {
        let state = target.health.state();
        for one in TargetState::ALL {
            let labels = TargetLabels { target: target.name.clone(), state: one.as_str() };
            self.target_state.get_or_create(&labels).set(i64::from(one == state));
        }
        if let Some(took) = target.health.response_ms {
            let labels = TargetName { target: target.name.clone() };
            self.target_seconds.get_or_create(&labels).set(took as f64 / 1000.0);
        }
    }

    pub fn webhook_received(&self, provider: &str, matched: Option<MatchedSecret>) {
        let verified = if matched.is_some() { "yes" } else { "no" };
        let secret = matched.map_or("none", MatchedSecret::as_str);
        self.received.get_or_create(&Received { provider: provider.to_string(), verified, secret }).inc();
    }

    pub fn webhook_processed(&self, reason: ReasonCode) {
        self.processed.get_or_create(&Reason { reason: reason.as_str() }).inc();
    }

    pub fn notified(&self, plugin: &str, status: &'static str) {
        self.notifications.get_or_create(&NotifyLabels { plugin: plugin.to_string(), status }).inc();
    }

    /// `found`, `unchanged` or `failed`.
    pub fn looked(&self, result: &'static str) {
        self.looks.get_or_create(&LookResult { result }).inc();
    }

    pub fn build_finished(&self, status: &str, took: Duration) {
        self.builds.get_or_create(&Status { status: status.to_string() }).inc();
        self.build_seconds.observe(took.as_secs_f64());
    }

    pub fn log_viewer(&self) -> Present {
        present(&self.log_viewers)
    }

    pub fn socket(&self) -> Present {
        present(&self.sockets)
    }

    pub fn images_removed(&self, count: u64) {
        self.images_removed.inc_by(count);
    }

    pub fn login(&self, status: &str) {
        self.logins.get_or_create(&Status { status: status.to_string() }).inc();
    }

    /// Whether it was rolled out here or by a provider.
    pub fn deployment_ended(&self, deployment: &Deployment) {
        self.deployments.get_or_create(&Status { status: deployment.status.as_str().to_string() }).inc();
        if deployment.status == DeploymentStatus::Successful {
            let end = deployment.completed_at.unwrap_or_else(store::now);
            let lead = Duration::from_millis((end - deployment.started_at).max(0).unsigned_abs());
            self.deployment_seconds.observe(lead.as_secs_f64());
        }
    }

    pub fn rollout_finished(&self, took: Duration) {
        self.rollout_seconds.observe(took.as_secs_f64());
    }
}
