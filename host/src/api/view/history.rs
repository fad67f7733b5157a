//! What a rollout was like, as `/api/v1` shows it.

use serde::Serialize;
use utoipa::ToSchema;

use super::{time, times};
use crate::domain::rollout::history::{Answers, Both, Decided, History, Point, Verdict};

/// A rollout told: figures over time, and what was decided. Of one that did not begin, both lists are empty.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryView {
    pub begun_at: Option<String>,
    pub ended_at: Option<String>,
    /// Oldest first, at most some hundred, spread evenly. None after the strategy's calls were removed from the record.
    pub points: Vec<PointView>,
    /// Oldest first.
    pub decided: Vec<DecidedView>,
}

/// What the strategy saw at one time.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PointView {
    pub at: String,
    /// Of the requests that the new release got.
    pub percent: u32,
    #[serde(flatten)]
    pub answers: BothView,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecidedView {
    pub at: String,
    /// `share`: the new release gets another share of the requests; `step`: the strategy starts, waits, asks or watches;
    /// `end`.
    pub what: &'static str,
    /// The new release's share of the requests from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
    /// In the strategy's words.
    pub reason: String,
    /// Until then.
    #[serde(flatten)]
    pub answers: BothView,
}

/// How both releases answered; a release of which nothing was counted is absent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BothView {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<AnsweredView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable: Option<AnsweredView>,
}

/// How a release answered since the shares last changed, or in the last quarter of an hour, whichever is shorter.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnsweredView {
    pub requests: u64,
    /// Absent before this rollout moved any requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<f64>,
    /// Answers with a status of 500 or more and requests that got none, of 100.
    pub error_percent: f64,
    pub p50_ms: f64,
    pub p95_ms: f64,
}

impl From<History> for HistoryView {
    fn from(history: History) -> Self {
        Self {
            begun_at: times(history.begun_at),
            ended_at: times(history.ended_at),
            points: history.points.into_iter().map(Into::into).collect(),
            decided: history.decided.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Point> for PointView {
    fn from(point: Point) -> Self {
        Self { at: time(point.at), percent: point.percent, answers: point.answers.into() }
    }
}

impl From<Decided> for DecidedView {
    fn from(decided: Decided) -> Self {
        let (what, percent) = match decided.verdict {
            Verdict::Share(percent) => ("share", Some(percent)),
            Verdict::Step => ("step", None),
            Verdict::End => ("end", None),
        };
        Self { at: time(decided.at), what, percent, reason: decided.reason, answers: decided.answers.into() }
    }
}

impl From<Both> for BothView {
    fn from(both: Both) -> Self {
        Self { new: both.new.map(Into::into), stable: both.stable.map(Into::into) }
    }
}

impl From<Answers> for AnsweredView {
    fn from(answers: Answers) -> Self {
        Self {
            requests: answers.requests,
            requests_per_second: answers.per_second,
            error_percent: answers.error_percent,
            p50_ms: answers.p50_ms,
            p95_ms: answers.p95_ms,
        }
    }
}
