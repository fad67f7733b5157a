//! What the flight recorder keeps of a call into a plugin.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Id, UnixMs};

/// What a call was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    Deployment,
    Build,
    WebhookEvent,
}

impl SubjectKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::Build => "build",
            Self::WebhookEvent => "webhook_event",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [Self::Deployment, Self::Build, Self::WebhookEvent].into_iter().find(|kind| kind.as_str() == word)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Subject {
    pub kind: SubjectKind,
    pub id: Id,
}

impl Subject {
    pub fn deployment(id: &Id) -> Self {
        Self { kind: SubjectKind::Deployment, id: id.clone() }
    }

    pub fn build(id: &Id) -> Self {
        Self { kind: SubjectKind::Build, id: id.clone() }
    }

    pub fn webhook_event(id: &Id) -> Self {
        Self { kind: SubjectKind::WebhookEvent, id: id.clone() }
    }
}

/// One way a call can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    /// The plugin answered with a failure.
    Failure,
    Trap,
    Timeout,
    Memory,
    /// There is an answer that makes no sense.
    Nonsense,
    /// The host could not carry the call out.
    Refused,
}

impl Outcome {
    pub const ALL: [Self; 7] =
        [Self::Ok, Self::Failure, Self::Trap, Self::Timeout, Self::Memory, Self::Nonsense, Self::Refused];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failure => "failure",
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::Nonsense => "nonsense",
            Self::Refused => "refused",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One call as it was. The JSON is described in `docs/cassettes.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    pub plugin: String,
    /// sha256 of the component, in hex.
    pub digest: String,
    /// With its version: `windlass:deployment-strategy/strategy@0.1.0`.
    pub interface: String,
    pub function: String,
    pub subject: Option<Subject>,
    pub started_at: UnixMs,
    /// On the clock, waiting for a slot not included.
    pub duration_us: i64,
    /// On the processor.
    pub cpu_us: i64,
    pub outcome: Outcome,
    /// What the caller was told, if it did not end well.
    pub error: Option<String>,
    /// JSON list of the parameters.
    pub input: String,
    /// JSON list of what the guest and the host told each other during the call.
    pub exchange: String,
    /// JSON of the result; `None` if the guest never returned.
    pub output: Option<String>,
    /// Something was too large to be kept whole. Such a call cannot be replayed.
    pub cut: bool,
}

impl Recording {
    /// Bytes that it takes, roughly.
    pub fn size(&self) -> usize {
        self.input.len() + self.exchange.len() + self.output.as_ref().map_or(0, String::len) + 512
    }
}

/// A stored call as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallSummary {
    pub id: Id,
    pub seq: i64,
    pub plugin: String,
    pub digest: String,
    pub interface: String,
    pub function: String,
    pub subject: Option<Subject>,
    pub started_at: UnixMs,
    pub duration_us: i64,
    pub cpu_us: i64,
    pub outcome: Outcome,
    pub error: Option<String>,
    pub cut: bool,
    pub size_bytes: i64,
    /// How often the same call was made in a row, this one included. "The same" leaves aside what time it was.
    pub count: i64,
    /// When the last of them began.
    pub last_at: UnixMs,
}

/// A stored call with its recording; the JSON is [`Recording`]'s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginCall {
    pub summary: CallSummary,
    pub input: String,
    pub exchange: String,
    pub output: Option<String>,
}

/// How much is kept. What is beyond any of the bounds goes, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Calls that were last made before this.
    pub before: UnixMs,
    pub rows: i64,
    /// Of input, exchange and output together.
    pub bytes: i64,
}

/// What a list of calls is narrowed to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallFilter {
    pub plugin: Option<String>,
    pub function: Option<String>,
    pub outcome: Option<Outcome>,
    pub subject: Option<Id>,
}

/// What became of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Outcome, output and everything the guest asked of the host are the recorded ones.
    pub identical: bool,
    pub outcome: Outcome,
    pub error: Option<String>,
    /// JSON, like the recording's.
    pub exchange: String,
    pub output: Option<String>,
    /// What differs: a line each, beginning with where.
    pub differences: Vec<String>,
    pub duration_us: i64,
}
