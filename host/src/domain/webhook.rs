//! The webhook inbox (seed 2, `WebhookEvent`; DESIGN §6).

use serde::{Deserialize, Serialize};

use super::{Id, UnixMs, build_config::BuildSettings, reference};

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
    pub processed: bool,
    pub reason: Option<ReasonCode>,
    /// More words on the reason, for people.
    pub detail: Option<String>,
    pub deployment_id: Option<Id>,
    pub received_at: UnixMs,
    pub processed_at: Option<UnixMs>,
    pub error: Option<String>,
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
    BadSignature,
    DuplicateOf,
    NoMapping,
    UnsupportedEvent,
    Malformed,
    InvalidRef,
    PluginFailed,
}

impl ReasonCode {
    pub const ALL: [Self; 14] = [
        Self::Deployed,
        Self::Ping,
        Self::BranchMismatch,
        Self::BranchDeleted,
        Self::TagIgnored,
        Self::SkipCi,
        Self::AutoDeployOff,
        Self::BadSignature,
        Self::DuplicateOf,
        Self::NoMapping,
        Self::UnsupportedEvent,
        Self::Malformed,
        Self::InvalidRef,
        Self::PluginFailed,
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
            Self::BadSignature => "bad_signature",
            Self::DuplicateOf => "duplicate_of",
            Self::NoMapping => "no_mapping",
            Self::UnsupportedEvent => "unsupported_event",
            Self::Malformed => "malformed",
            Self::InvalidRef => "invalid_ref",
            Self::PluginFailed => "plugin_failed",
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

#[derive(Debug, Clone, PartialEq)]
pub struct Push {
    pub repository: PushRepository,
    pub sender: String,
    pub changes: Vec<RefChange>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PushRepository {
    pub full_name: String,
    pub urls: Vec<String>,
    pub default_branch: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RefChange {
    pub kind: ChangeKind,
    pub name: String,
    pub before: Option<String>,
    pub after: Option<String>,
    pub head: Option<PushCommit>,
    pub skip_ci: bool,
    pub paths: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PushCommit {
    pub sha: String,
    pub message: String,
    pub author: String,
    pub at: Option<UnixMs>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    BranchPushed,
    BranchDeleted,
    TagPushed,
    TagDeleted,
    Other(String),
}

/// What a change of a ref means for one stack: `None` deploys it.
pub fn reason_not_to_deploy(
    change: &RefChange,
    default_branch: &str,
    settings: &BuildSettings,
) -> Option<(ReasonCode, String)> {
    match &change.kind {
        ChangeKind::BranchDeleted => {
            return Some((
                ReasonCode::BranchDeleted,
                format!("branch `{}` was deleted", change.name.escape_debug()),
            ));
        }
        ChangeKind::TagPushed | ChangeKind::TagDeleted => {
            return Some((
                ReasonCode::TagIgnored,
                format!("tag `{}`: tags are not deployed", change.name.escape_debug()),
            ));
        }
        ChangeKind::Other(kind) => {
            return Some((
                ReasonCode::UnsupportedEvent,
                format!("a change of kind `{}`", kind.escape_debug()),
            ));
        }
        ChangeKind::BranchPushed => {}
    }
    if let Err(error) = reference::check_name(&change.name) {
        return Some((ReasonCode::InvalidRef, error.to_string()));
    }
    let Some(after) = &change.after else {
        return Some((ReasonCode::Malformed, "the delivery does not say which commit was pushed".into()));
    };
    if let Err(error) = reference::check_commit(after) {
        return Some((ReasonCode::InvalidRef, error.to_string()));
    }
    if !settings.auto_deploy_on_push {
        return Some((ReasonCode::AutoDeployOff, "autoDeployOnPush is off for this stack".into()));
    }
    match settings.deploys_branch(&change.name, default_branch) {
        Ok(true) => {}
        Ok(false) => {
            let wanted = if settings.auto_deploy_branches.is_empty() {
                format!("only `{default_branch}` is deployed")
            } else {
                format!("only branches matching {} are deployed", settings.auto_deploy_branches.join(", "))
            };
            return Some((ReasonCode::BranchMismatch, format!("branch `{}`: {wanted}", change.name)));
        }
        Err(error) => return Some((ReasonCode::BranchMismatch, error.to_string())),
    }
    if change.skip_ci {
        return Some((ReasonCode::SkipCi, "the commit message asks not to be built".into()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(name: &str) -> RefChange {
        RefChange {
            kind: ChangeKind::BranchPushed,
            name: name.into(),
            before: None,
            after: Some("a".repeat(40)),
            head: None,
            skip_ci: false,
            paths: Vec::new(),
        }
    }

    fn reason(change: &RefChange) -> Option<ReasonCode> {
        reason_not_to_deploy(change, "main", &BuildSettings::default()).map(|(reason, _)| reason)
    }

    #[test]
    fn a_push_to_the_default_branch_deploys() {
        assert_eq!(reason(&push("main")), None);
    }

    #[test]
    fn every_other_change_has_its_own_reason() {
        assert_eq!(reason(&push("dev")), Some(ReasonCode::BranchMismatch));
        assert_eq!(reason(&push("-h")), Some(ReasonCode::InvalidRef));
        assert_eq!(reason(&RefChange { skip_ci: true, ..push("main") }), Some(ReasonCode::SkipCi));
        assert_eq!(
            reason(&RefChange { kind: ChangeKind::TagPushed, ..push("v1") }),
            Some(ReasonCode::TagIgnored)
        );
        assert_eq!(
            reason(&RefChange { kind: ChangeKind::BranchDeleted, after: None, ..push("main") }),
            Some(ReasonCode::BranchDeleted)
        );
        assert_eq!(reason(&RefChange { after: None, ..push("main") }), Some(ReasonCode::Malformed));
        assert_eq!(
            reason(&RefChange { after: Some("HEAD".into()), ..push("main") }),
            Some(ReasonCode::InvalidRef)
        );
    }
}
