//! What a build planner sees and answers; the host's side of `windlass:build-planner`.

use serde::{Deserialize, Serialize};

use super::build_config::BuildSettings;

/// Everything a planner may know of one commit.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanContext {
    /// The stack's name: the image's repository.
    pub stack: String,
    /// Branch or tag the commit was found on.
    pub ref_name: String,
    /// 40 or 64 lower-case hex digits.
    pub commit: String,
    /// Paths of the files in the commit.
    pub files: Vec<String>,
    pub settings: BuildSettings,
}

/// One thing the host has to do, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum BuildStep {
    DockerBuild {
        /// Relative to the repository's root and inside it; checked.
        context_path: String,
        /// Relative to the repository's root and inside it; checked.
        dockerfile_path: String,
        target: Option<String>,
        build_args: Vec<(String, String)>,
        labels: Vec<(String, String)>,
        /// `repository:tag`, never empty; the first is the release's name.
        tags: Vec<String>,
    },
    /// Give an image that an earlier step made another name.
    Tag { source: String, target: String },
    /// Render the compose file that the steps below are about.
    ComposeConfig {
        /// Relative to the repository's root and inside it; checked.
        path: String,
    },
    /// Build the images of those services that say how.
    ComposeBuild,
    /// Pull the images of the others, where the engine does not have them.
    ComposePull,
}
