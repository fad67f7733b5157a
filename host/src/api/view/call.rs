//! Recorded calls into plugins.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::time;
use crate::domain::recording::{CallSummary, PluginCall, Replay, Subject};

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubjectView {
    /// `deployment`, `build` or `webhook_event`.
    pub kind: &'static str,
    pub id: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallView {
    pub id: String,
    pub seq: i64,
    pub plugin: String,
    /// sha256 of the component, in hex.
    pub digest: String,
    pub interface: String,
    pub function: String,
    /// What the call was made for, if it was made for one of these.
    pub subject: Option<SubjectView>,
    pub started_at: String,
    pub duration_us: i64,
    pub cpu_us: i64,
    /// ok, failure, trap, timeout, memory, nonsense or refused.
    pub outcome: &'static str,
    pub error: Option<String>,
    /// It was too large to be kept whole and cannot be replayed.
    pub cut: bool,
    pub size_bytes: i64,
    /// How often the same call was made in a row.
    pub count: i64,
    /// When the last of them began.
    pub last_at: String,
}

impl From<CallSummary> for CallView {
    fn from(call: CallSummary) -> Self {
        let subject =
            |subject: Subject| SubjectView { kind: subject.kind.as_str(), id: subject.id.to_string() };
        Self {
            id: call.id.to_string(),
            seq: call.seq,
            plugin: call.plugin,
            digest: call.digest,
            interface: call.interface,
            function: call.function,
            subject: call.subject.map(subject),
            started_at: time(call.started_at),
            duration_us: call.duration_us,
            cpu_us: call.cpu_us,
            outcome: call.outcome.as_str(),
            error: call.error,
            cut: call.cut,
            size_bytes: call.size_bytes,
            count: call.count,
            last_at: time(call.last_at),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordingView {
    #[serde(flatten)]
    pub call: CallView,
    /// The parameters.
    pub input: Value,
    /// What plugin and host told each other during the call.
    pub exchange: Value,
    /// The result; null if the call never returned.
    pub output: Value,
}

impl From<PluginCall> for RecordingView {
    fn from(call: PluginCall) -> Self {
        Self {
            call: call.summary.into(),
            input: json(&call.input),
            exchange: json(&call.exchange),
            output: json(call.output.as_deref().unwrap_or("null")),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplayView {
    /// Outcome, output and everything the plugin asked of the host are the recorded ones.
    pub identical: bool,
    pub outcome: &'static str,
    pub error: Option<String>,
    /// A line for each place that differs.
    pub differences: Vec<String>,
    pub exchange: Value,
    pub output: Value,
    pub duration_us: i64,
}

impl From<Replay> for ReplayView {
    fn from(replay: Replay) -> Self {
        Self {
            identical: replay.identical,
            outcome: replay.outcome.as_str(),
            error: replay.error,
            differences: replay.differences,
            exchange: json(&replay.exchange),
            output: json(replay.output.as_deref().unwrap_or("null")),
            duration_us: replay.duration_us,
        }
    }
}

/// What the recorder wrote is JSON.
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}
