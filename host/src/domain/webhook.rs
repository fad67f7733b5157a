//! The webhook inbox (seed 2, `WebhookEvent`; DESIGN §6).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Id, UnixMs};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookEvent {
    pub id: Id,
    pub seq: i64,
    /// Absent when the delivery matches no repository.
    pub repository_id: Option<Id>,
    /// Name of the forge plugin that reads it.
    pub provider: String,
    pub event_type: String,
    /// The raw body.
    pub payload: Vec<u8>,
    /// Names in lower case, secrets replaced; as JSON pairs.
    pub headers: Vec<(String, String)>,
    pub signature: Option<String>,
    /// Unique for a provider and repository.
    pub delivery_id: Option<String>,
    pub verified: bool,
    /// Which secret it was signed with; absent where it is not verified, and for deliveries of older versions.
    pub matched_secret: Option<MatchedSecret>,
    /// The event that a person asked to read again; this is its copy.
    pub replay_of: Option<Id>,
    pub origin: Origin,
    pub processed: bool,
    pub reason: Option<ReasonCode>,
    /// More words on the reason, for people.
    pub detail: Option<String>,
    pub deployment_id: Option<Id>,
    pub received_at: UnixMs,
    pub processed_at: Option<UnixMs>,
    pub error: Option<String>,
    /// What it meant for each stack and branch, where there is more than one; `reason` is the event's own.
    pub outcomes: Vec<StackOutcome>,
}

/// How an event came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A forge posted it.
    Delivery,
    /// Found on the git server when this server started: pushed while nobody listened.
    Start,
    /// Found on the git server by looking there regularly, or because somebody asked to look.
    Poll,
}

impl Origin {
    const ALL: [Self; 3] = [Self::Delivery, Self::Start, Self::Poll];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::Start => "start",
            Self::Poll => "poll",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.as_str() == word)
    }
}

/// What one push of a branch meant for one stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StackOutcome {
    /// Name of the stack.
    pub stack: String,
    /// Branch or tag.
    pub branch: String,
    #[schema(value_type = String)]
    pub reason: ReasonCode,
    pub detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub deployment_id: Option<Id>,
}

/// A secret by which a delivery verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchedSecret {
    /// The repository's own.
    Current,
    /// The one before it, which counts for a while after a rotation.
    Previous,
    /// The one of the configuration, for repositories without one.
    Global,
}

impl MatchedSecret {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Previous => "previous",
            Self::Global => "global",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [Self::Current, Self::Previous, Self::Global].into_iter().find(|secret| secret.as_str() == word)
    }
}

/// Why an event ended as it did. Exactly one for each event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    Deployed,
    Ping,
    BranchMismatch,
    BranchDeleted,
    TagIgnored,
    SkipCi,
    AutoDeployOff,
    /// None of the changed files is one that the stack deploys for.
    PathMismatch,
    /// A newer push of the branch came first.
    Superseded,
    BadSignature,
    /// Sent to the address of another forge than the repository's.
    WrongProvider,
    DuplicateOf,
    NoMapping,
    UnsupportedEvent,
    Malformed,
    InvalidRef,
    PluginFailed,
    /// A provider's signed report, whose builds were taken over if they are known.
    CiStatus,
    /// A provider's report that nobody signed: the provider was asked.
    CiHint,
}

impl ReasonCode {
    pub const ALL: [Self; 19] = [
        Self::Deployed,
        Self::Ping,
        Self::BranchMismatch,
        Self::BranchDeleted,
        Self::TagIgnored,
        Self::SkipCi,
        Self::AutoDeployOff,
        Self::PathMismatch,
        Self::Superseded,
        Self::BadSignature,
        Self::WrongProvider,
        Self::DuplicateOf,
        Self::NoMapping,
        Self::UnsupportedEvent,
        Self::Malformed,
        Self::InvalidRef,
        Self::PluginFailed,
        Self::CiStatus,
        Self::CiHint,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployed => "deployed",
            Self::Ping => "ping",
            Self::BranchMismatch => "branch_mismatch",
            Self::BranchDeleted => "branch_deleted",
            Self::TagIgnored => "tag_ignored",
            Self::SkipCi => "skip_ci",
            Self::AutoDeployOff => "auto_deploy_off",
            Self::PathMismatch => "path_mismatch",
            Self::Superseded => "superseded",
            Self::BadSignature => "bad_signature",
            Self::WrongProvider => "wrong_provider",
            Self::DuplicateOf => "duplicate_of",
            Self::NoMapping => "no_mapping",
            Self::UnsupportedEvent => "unsupported_event",
            Self::Malformed => "malformed",
            Self::InvalidRef => "invalid_ref",
            Self::PluginFailed => "plugin_failed",
            Self::CiStatus => "ci_status",
            Self::CiHint => "ci_hint",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// What a forge plugin read out of a delivery; the host's side of `windlass:git-forge`.
#[derive(Debug, Clone, PartialEq)]
pub enum ForgeEvent {
    Ping,
    Push(Push),
    Unsupported(String),
}

/// Also the payload of an event that this server found itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Push {
    pub repository: PushRepository,
    pub sender: String,
    pub changes: Vec<RefChange>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushRepository {
    pub full_name: String,
    pub urls: Vec<String>,
    pub default_branch: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefChange {
    pub kind: ChangeKind,
    pub name: String,
    pub before: Option<String>,
    pub after: Option<String>,
    pub head: Option<PushCommit>,
    pub skip_ci: bool,
    pub paths: Vec<String>,
    /// Whether `paths` are all that changed between the two commits.
    pub all_paths: bool,
}

impl RefChange {
    /// The commit that was pushed. Of an annotated tag, `after` may be the tag itself.
    pub fn commit(&self) -> Option<&str> {
        let after = self.after.as_deref()?;
        let named = self.head.as_ref().filter(|_| self.kind == ChangeKind::TagPushed);
        Some(named.map_or(after, |head| head.sha.as_str()))
    }

    /// The name of a tag that was pushed.
    pub fn tag(&self) -> Option<&str> {
        (self.kind == ChangeKind::TagPushed).then_some(self.name.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushCommit {
    pub sha: String,
    pub message: String,
    pub author: String,
    pub at: Option<UnixMs>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    BranchPushed,
    BranchDeleted,
    TagPushed,
    TagDeleted,
    Other(String),
}
