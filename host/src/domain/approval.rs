//! What a rollout asks people, and what they answer.

use serde::{Deserialize, Serialize};

use super::{Id, UnixMs};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    pub id: Id,
    pub deployment_id: Id,
    /// The strategy's question. Asking the same again while it is the latest one changes nothing.
    pub prompt: String,
    /// What the answer is about: releases, strategy, parameters and traffic at the time of asking. Empty for what somebody
    /// said unasked: that the rollout need not wait any longer.
    pub plan_hash: String,
    pub state: ApprovalState,
    pub asked_at: UnixMs,
    /// Unanswered until then, it counts as rejected. What was said unasked is of no use any more.
    pub expires_at: UnixMs,
    pub decided_at: Option<UnixMs>,
    pub decided_by: Option<String>,
    pub comment: Option<String>,
}

impl Approval {
    pub fn is_open(&self) -> bool {
        self.state == ApprovalState::Open
    }

    pub fn is_unasked(&self) -> bool {
        self.plan_hash.is_empty()
    }

    /// How long people took, or are taking.
    pub fn waited_ms(&self, now: UnixMs) -> i64 {
        (self.decided_at.unwrap_or(now) - self.asked_at).max(0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    Open,
    Approved,
    Rejected,
    /// Nobody answered in time.
    Expired,
    /// The rollout no longer wants to know.
    Withdrawn,
}

impl ApprovalState {
    pub const ALL: [Self; 5] = [Self::Open, Self::Approved, Self::Rejected, Self::Expired, Self::Withdrawn];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A person's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Approve,
    Reject,
}

impl Verdict {
    pub fn state(self) -> ApprovalState {
        match self {
            Self::Approve => ApprovalState::Approved,
            Self::Reject => ApprovalState::Rejected,
        }
    }
}
