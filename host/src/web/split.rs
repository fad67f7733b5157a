//! The releases of a rollout beside each other: their share of the requests, how they answer, and what runs of them.

use askama::Template;
use askama::filters::HtmlSafe;

use super::ui::{Badge, Tone, When, short};
use crate::app::rollout::{RolloutView, Side};
use crate::domain::rollout::{Instance, InstanceState, Sample};

#[derive(Template)]
#[template(path = "parts/split.html")]
pub struct Split {
    sides: Vec<SideRow>,
    /// Of the new release, in percent.
    share: u32,
    has_old: bool,
    is_routed: bool,
}

impl HtmlSafe for Split {}

struct SideRow {
    is_new: bool,
    release: i64,
    commit: String,
    percent: u32,
    answers: Option<AnswerRow>,
    instances: Vec<InstanceRow>,
}

struct AnswerRow {
    requests: u64,
    errors: String,
    p50: String,
    p95: String,
}

struct InstanceRow {
    badge: Badge,
    name: String,
    since: When,
    restarts: u32,
    reason: String,
}

impl From<RolloutView> for Split {
    fn from(view: RolloutView) -> Self {
        Self {
            share: view.share(),
            has_old: view.sides.iter().any(|side| !side.is_new),
            is_routed: view.is_routed,
            sides: view.sides.into_iter().map(SideRow::from).collect(),
        }
    }
}

impl From<Side> for SideRow {
    fn from(side: Side) -> Self {
        let release = side.release;
        Self {
            is_new: side.is_new,
            release: release.seq,
            commit: if release.commit_sha.is_empty() {
                release.image_tag
            } else {
                short(&release.commit_sha)
            },
            percent: side.percent,
            answers: side.sample.map(AnswerRow::from),
            instances: side.instances.into_iter().map(InstanceRow::from).collect(),
        }
    }
}

impl From<Sample> for AnswerRow {
    fn from(sample: Sample) -> Self {
        let errors = 100.0 * sample.errors_5xx as f64 / sample.requests.max(1) as f64;
        Self {
            requests: sample.requests,
            errors: format!("{errors:.1} %"),
            p50: milliseconds(sample.p50_ms),
            p95: milliseconds(sample.p95_ms),
        }
    }
}

pub fn milliseconds(ms: f64) -> String {
    if ms < 10.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

impl From<Instance> for InstanceRow {
    fn from(instance: Instance) -> Self {
        let tone = match instance.state {
            InstanceState::Healthy => Tone::Good,
            InstanceState::Starting => Tone::Running,
            InstanceState::Unhealthy => Tone::Bad,
            InstanceState::Exited => Tone::Stopped,
        };
        Self {
            badge: Badge { tone, word: instance.state.as_str() },
            name: instance.id.chars().take(12).collect(),
            since: When::new(instance.since),
            restarts: instance.restarts,
            reason: instance.reason,
        }
    }
}
