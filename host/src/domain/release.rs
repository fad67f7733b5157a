//! A release: what a deployment produced and a rollback needs.

use serde::{Deserialize, Serialize};

use super::{Id, UnixMs, compose::ComposeRelease, health::HealthCheck, stack::RunSpec};

#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    pub id: Id,
    pub seq: i64,
    pub stack_id: Id,
    /// The deployment that produced it.
    pub deployment_id: Option<Id>,
    pub build_id: Option<Id>,
    /// `repository:tag`, for people.
    pub image_tag: String,
    /// Content address, `sha256:…`: what is actually run.
    pub image_digest: String,
    pub commit_sha: String,
    /// Everything that decides how its containers look, frozen.
    pub spec: ReleaseSpec,
    /// sha256 of `spec` and the image, in hex.
    pub config_hash: String,
    /// Names and digests of the plugins that made it.
    pub plugin_digests: serde_json::Value,
    pub state: ReleaseState,
    pub created_at: UnixMs,
}

impl Release {
    /// Content addresses of all images that it needs, without repetition.
    pub fn images(&self) -> Vec<&str> {
        let mut images = vec![self.image_digest.as_str()];
        images.extend(
            self.spec.compose.iter().flat_map(|compose| &compose.services).map(|facts| facts.image.as_str()),
        );
        images.sort_unstable();
        images.dedup();
        images
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseSpec {
    pub run: RunSpec,
    pub health: HealthCheck,
    /// Sealed JSON of the containers' environment, opened when a container is created.
    #[serde(default)]
    pub sealed_environment: Option<String>,
    /// Its compose file, if it has one.
    #[serde(default)]
    pub compose: Option<ComposeRelease>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseState {
    /// Never served yet.
    Candidate,
    /// Has served healthily: it can be rolled back to.
    Good,
    /// Failed its rollout.
    Bad,
}

impl ReleaseState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Good => "good",
            Self::Bad => "bad",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Candidate, Self::Good, Self::Bad].into_iter().find(|state| state.as_str() == text)
    }
}
