//! The deciding part of a rollout: what a strategy sees, what it may order, and which effects an order needs.
//!
//! A strategy answers with [`Action`]s. [`plan::effects`] turns one action and what Docker shows into the [`Effect`]s that
//! are still missing, so carrying out an action twice is harmless. [`rails::check`] refuses what no strategy may do.
//! [`fallback::decide`] is the host's own strategy: back to what served before.

pub mod fallback;
pub mod history;
pub mod plan;
pub mod rails;
pub mod transition;

use serde::{Deserialize, Serialize};

use super::{Id, UnixMs, stack::RunSpec};

/// A release as a strategy sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseFacts {
    pub id: Id,
    pub image: String,
    pub commit: String,
    pub created: UnixMs,
}

#[derive(Debug, Clone, PartialEq)]
pub struct StackFacts {
    pub name: String,
    pub run: RunSpec,
    pub health_timeout_ms: i64,
    pub rollback_on_failure: bool,
    /// Its requests can be split between releases.
    pub can_split: bool,
    /// People can look at a release that does not serve yet.
    pub can_preview: bool,
}

/// What the traffic said of a release since the shares last changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub release: Id,
    pub requests: u64,
    /// Answers with a status of 500 or more, and requests that got none.
    pub errors_5xx: u64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    Starting,
    Healthy,
    Unhealthy,
    Exited,
}

impl InstanceState {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Exited => "exited",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    pub release: Id,
    /// The container's id.
    pub id: String,
    pub state: InstanceState,
    pub since: UnixMs,
    pub restarts: u32,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weight {
    pub release: Id,
    pub percent: u32,
}

/// A release's share of the requests, in percent.
pub fn share_of(weights: &[Weight], release: &Id) -> u32 {
    weights.iter().filter(|weight| weight.release == *release).map(|weight| weight.percent).sum()
}

/// What people said to a strategy's question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub approved: bool,
    pub by: String,
    pub at: UnixMs,
}

/// Everything a strategy may know.
#[derive(Debug, Clone, PartialEq)]
pub struct Situation {
    pub stack: StackFacts,
    pub target: ReleaseFacts,
    pub stable: Option<ReleaseFacts>,
    /// JSON text.
    pub params: String,
    pub now: UnixMs,
    pub started: UnixMs,
    pub step_started: UnixMs,
    pub fleet: Vec<Instance>,
    pub traffic: Vec<Weight>,
    pub samples: Vec<Sample>,
    /// The answer to what was asked last, once there is one.
    pub approval: Option<Decision>,
    pub abort_requested: bool,
}

impl Situation {
    pub fn healthy(&self, release: &Id) -> usize {
        self.count(release, |instance| instance.state == InstanceState::Healthy)
    }

    pub fn count(&self, release: &Id, wanted: impl Fn(&Instance) -> bool) -> usize {
        self.fleet.iter().filter(|instance| instance.release == *release && wanted(instance)).count()
    }

    pub fn is_routed(&self, release: &Id) -> bool {
        self.traffic.iter().any(|weight| weight.release == *release && weight.percent > 0)
    }
}

/// What a strategy orders. The host's side of `windlass:deployment-strategy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Scale { release: Id, count: u32 },
    Route { weights: Vec<Weight> },
    Drain { release: Id },
    Probe { release: Id },
    Ask { prompt: String },
    Finish { outcome: Outcome },
    Other { name: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Succeeded,
    RolledBack(String),
    Failed(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub memory: Vec<u8>,
    pub label: String,
    pub progress: u8,
    pub actions: Vec<Action>,
    /// Milliseconds.
    pub wake_after: Option<u64>,
}

/// One container of a stack as the engine shows it, with what our labels say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub id: String,
    pub name: String,
    pub release: Id,
    /// The deployment that created it.
    pub deployment: Id,
    /// Holds the stack's fixed host ports.
    pub published: bool,
    pub running: bool,
    /// Created but never started.
    pub created_only: bool,
}

/// One change to the outside world, journaled as intent before and as done after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// Create the container of that name if it is not there, without starting it: what can be done before a port is free.
    Create { release: Id, name: String, published: bool },
    /// Create the container of that name if it is not there, and start it if it does not run.
    Launch { release: Id, name: String, published: bool },
    /// Stop it, gracefully, and keep it.
    Stop { release: Id, name: String },
    /// Start it again.
    Start { release: Id, name: String },
    /// Stop it if it runs, and remove it. `gently` grants the stack's stop timeout.
    Remove { release: Id, name: String, gently: bool },
    /// Bring the services that run once for all releases to what this release says of them.
    Companions { release: Id },
    /// Record who gets the requests.
    SetRoute { weights: Vec<Weight> },
}

impl Effect {
    /// Which one it is, in a word or two.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create container",
            Self::Launch { .. } => "launch container",
            Self::Stop { .. } => "stop container",
            Self::Start { .. } => "start container",
            Self::Remove { .. } => "remove container",
            Self::Companions { .. } => "bring up companions",
            Self::SetRoute { .. } => "set route",
        }
    }
}

/// A row of the rollout's journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    pub id: Id,
    pub deployment_id: Id,
    /// Position in the deployment's journal, from 1.
    pub n: i64,
    /// The step's label when it was ordered.
    pub label: String,
    pub effect: Effect,
    pub state: JournalState,
    pub error: Option<String>,
    pub intended_at: UnixMs,
    pub done_at: Option<UnixMs>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalState {
    Intent,
    Done,
    Failed,
}

impl JournalState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Intent, Self::Done, Self::Failed].into_iter().find(|state| state.as_str() == text)
    }
}

/// Who gets a stack's requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub stack_id: Id,
    pub weights: Vec<Weight>,
    /// Raised with every change.
    pub version: i64,
    pub updated_at: UnixMs,
}
