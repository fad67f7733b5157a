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
    /// Files that the planner's manifest asks for: path and content.
    pub contents: Vec<(String, String)>,
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
        /// A Dockerfile that the planner has written; then `dockerfile_path` is only its name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dockerfile: Option<String>,
        /// What is left out of the context, instead of what the repository's `.dockerignore` says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dockerignore: Option<String>,
    },
    /// Run commands in a container that is removed afterwards.
    RunInContainer {
        /// None is the image that an earlier step has built: then the checkout is not in the container.
        image: Option<String>,
        commands: Vec<String>,
        /// Relative to the checkout; checked.
        working_directory: String,
        /// What is brought back into the checkout, relative to it; checked.
        outputs: Vec<String>,
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

impl BuildStep {
    /// The step in a few words, for plans and logs.
    pub fn words(&self) -> String {
        match self {
            Self::DockerBuild { dockerfile_path, dockerfile: None, .. } => format!("Build {dockerfile_path}"),
            Self::DockerBuild { dockerfile: Some(_), .. } => {
                "Build the Dockerfile that the planner wrote".into()
            }
            Self::RunInContainer { image: Some(image), .. } => format!("Run commands in {image}"),
            Self::RunInContainer { image: None, .. } => "Run commands in the image that was built".into(),
            Self::Tag { source, target } => format!("Name {source} also {target}"),
            Self::ComposeConfig { path } => format!("Render {path}"),
            Self::ComposeBuild => "Build the services that say how".into(),
            Self::ComposePull => "Pull the images of the other services".into(),
        }
    }
}
