//! A build: a commit becomes an image (seed 4, `Build`).

use serde::{Deserialize, Serialize};

use super::{Id, UnixMs};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    pub id: Id,
    pub seq: i64,
    pub project_id: Id,
    pub stack_id: Id,
    /// The deployment that waits for this build; a build on its own has none.
    pub deployment_id: Option<Id>,
    pub git_url: String,
    /// Branch, tag or commit that was asked for.
    pub git_ref: String,
    /// Full commit id; empty until the fetch has resolved `git_ref`.
    pub commit_sha: String,
    pub context_path: String,
    pub dockerfile: String,
    /// Empty until the planner has named it.
    pub image_tag: String,
    /// Content address of the image: `sha256:…`. Empty until built.
    pub image_digest: String,
    pub status: BuildStatus,
    pub error: Option<String>,
    pub log_path: Option<String>,
    pub log_size: i64,
    pub planner: String,
    pub planner_digest: String,
    pub started_at: Option<UnixMs>,
    pub finished_at: Option<UnixMs>,
    pub created_at: UnixMs,
    /// Names with digests that registries have given the image: `registry.example/web@sha256:…`.
    pub pushed: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildStatus {
    Queued,
    Building,
    Success,
    Failed,
    Cancelled,
}

impl BuildStatus {
    pub const ALL: [Self; 5] = [Self::Queued, Self::Building, Self::Success, Self::Failed, Self::Cancelled];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Building => "building",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Success | Self::Failed | Self::Cancelled)
    }

    /// The word of seed 4, which knows no cancelled builds.
    pub fn seed4(self) -> &'static str {
        match self {
            Self::Cancelled => "failed",
            other => other.as_str(),
        }
    }
}
