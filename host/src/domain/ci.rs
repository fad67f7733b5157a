//! Jobs and builds at a CI/CD provider: the host's side of `windlass:ci-provider`.

use serde::{Deserialize, Serialize};

use super::UnixMs;

/// State of a build at a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CiStatus {
    Pending,
    Running,
    Success,
    Failure,
    Cancelled,
    /// The provider says something that has no counterpart.
    Unknown,
}

impl CiStatus {
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Running, Self::Success, Self::Failure, Self::Cancelled, Self::Unknown];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether it stays as it is. What is unknown may still become known.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Success | Self::Failure | Self::Cancelled)
    }
}

/// Whom the credential belongs to and what answers; empty where the provider does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CiAccount {
    pub name: String,
    pub server_version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CiParameter {
    pub name: String,
    pub default: String,
    pub description: String,
}

/// A job to be made at a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CiJobSpec {
    pub name: String,
    pub description: String,
    pub folder: Option<String>,
    pub repository_url: String,
    pub branch: String,
    /// Path and content; the first file is the one that the provider starts from.
    pub pipeline: Vec<(String, String)>,
    pub parameters: Vec<CiParameter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CiJob {
    /// The provider's own name for it; opaque.
    pub id: String,
    pub name: String,
    pub url: Option<String>,
    pub trigger_url: Option<String>,
    pub buildable: bool,
    pub last_build: Option<CiBuild>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CiBuild {
    /// The provider's own name for it; opaque.
    pub id: String,
    /// Empty as long as there is none.
    pub number: String,
    pub status: CiStatus,
    /// The provider's word for an unknown status.
    pub status_word: Option<String>,
    pub url: Option<String>,
    pub started_at: Option<UnixMs>,
    pub finished_at: Option<UnixMs>,
    /// When it makes sense to ask again.
    pub poll_after_secs: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CiTrigger {
    pub ref_name: Option<String>,
    pub parameters: Vec<(String, String)>,
    /// The same for each attempt at one build.
    pub idempotency_key: String,
}

/// A piece of a build's log and where the next one begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CiLogChunk {
    pub text: String,
    pub cursor: String,
    pub complete: bool,
}

/// What a provider's webhook says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CiEvent {
    Ping,
    /// Job id and build.
    Builds(Vec<(String, CiBuild)>),
    Unsupported(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CiArtifact {
    pub id: String,
    /// As the build named it; never a path on our disk.
    pub path: String,
    pub size_bytes: Option<u64>,
}

/// A piece of an artifact; without a cursor it is the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CiArtifactChunk {
    pub bytes: Vec<u8>,
    pub cursor: Option<String>,
}
