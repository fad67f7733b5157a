//! What the plugins cost: calls by outcome, and how long they take.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::broker::Refusal;
use crate::domain::recording;
use crate::error::PluginErrorKind;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    plugin: String,
    kind: &'static str,
    call: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    plugin: String,
    kind: &'static str,
    call: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Sent {
    plugin: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Plugin {
    plugin: String,
    kind: &'static str,
}

#[derive(Clone)]
pub(super) struct Metrics {
    requests: Family<Sent, Counter>,
    cpu: Family<Plugin, Counter<f64, AtomicU64>>,
    opened: Family<Plugin, Counter>,
    calls: Family<Outcome, Counter>,
    durations: Family<Call, Histogram, fn() -> Histogram>,
}

/// 50 µs to 1.6 s, and everything above.
fn buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 2.0, 16))
}

impl Metrics {
    pub(super) fn new() -> Self {
        Self {
            requests: Family::default(),
            cpu: Family::default(),
            opened: Family::default(),
            calls: Family::default(),
            durations: Family::new_with_constructor(buckets),
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("plugin_calls", "Calls into plugins by outcome", self.calls.clone());
        registry.register(
            "plugin_call_seconds",
            "Duration of calls into plugins, waiting for a slot not included",
            self.durations.clone(),
        );
        registry.register_with_unit(
            "plugin_cpu",
            "Processor time of calls into plugins",
            Unit::Seconds,
            self.cpu.clone(),
        );
        registry.register(
            "plugin_breaker_openings",
            "How often calls were suspended after faults in a row",
            self.opened.clone(),
        );
        registry.register(
            "plugin_requests",
            "Requests that plugins wanted to send, by outcome: ok, or the reason why there was no response",
            self.requests.clone(),
        );
    }

    pub(super) fn record_request(&self, plugin: &str, refusal: Option<&Refusal>) {
        let outcome = refusal.map_or("ok", |refusal| refusal.reason);
        self.requests.get_or_create(&Sent { plugin: plugin.to_owned(), outcome }).inc();
    }

    /// `kind` is what the plugin was called as: it may be of several.
    pub(super) fn spent(&self, (plugin, kind): (&str, &'static str), cpu: Duration, opened: bool) {
        let labels = Plugin { plugin: plugin.to_owned(), kind };
        self.cpu.get_or_create(&labels).inc_by(cpu.as_secs_f64());
        if opened {
            self.opened.get_or_create(&labels).inc();
        }
    }

    pub(super) fn record(
        &self,
        (plugin, kind): (&str, &'static str),
        call: &'static str,
        error: Option<&PluginErrorKind>,
        took: Duration,
    ) {
        let outcome = error.map_or("ok", |kind| outcome(kind).as_str());
        self.calls.get_or_create(&Outcome { plugin: plugin.to_owned(), kind, call, outcome }).inc();
        self.durations
            .get_or_create(&Call { plugin: plugin.to_owned(), kind, call })
            .observe(took.as_secs_f64());
    }
}

/// The word for a call that ended like this.
pub(super) fn outcome(kind: &PluginErrorKind) -> recording::Outcome {
    match kind {
        PluginErrorKind::Failure { .. } => recording::Outcome::Failure,
        PluginErrorKind::Trap(_) => recording::Outcome::Trap,
        PluginErrorKind::Timeout { .. } => recording::Outcome::Timeout,
        PluginErrorKind::Memory { .. } => recording::Outcome::Memory,
        PluginErrorKind::Nonsense(_) => recording::Outcome::Nonsense,
        PluginErrorKind::Load(_)
        | PluginErrorKind::Missing(_)
        | PluginErrorKind::Budget { .. }
        | PluginErrorKind::Suspended { .. } => recording::Outcome::Refused,
    }
}
