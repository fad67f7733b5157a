//! Plans of builds, artifacts and registries.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::time;
use crate::app::build::BuildPlan;
use crate::domain::artifact::Artifact;
use crate::domain::plan::BuildStep;
use crate::domain::registry::Registry;

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BuildPlanView {
    pub stack: String,
    pub planner: String,
    pub planner_digest: String,
    pub git_ref: String,
    pub commit_sha: String,
    /// The commit message's first line.
    pub commit_subject: String,
    pub steps: Vec<BuildStepView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BuildStepView {
    /// The step for people.
    pub words: String,
    /// All of it; `step` is its kind.
    pub step: Value,
    /// The Dockerfile that the planner has written, or the commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl From<BuildPlan> for BuildPlanView {
    fn from(plan: BuildPlan) -> Self {
        Self {
            stack: plan.stack,
            planner: plan.planner,
            planner_digest: plan.planner_digest,
            git_ref: plan.git_ref,
            commit_sha: plan.commit_sha,
            commit_subject: plan.commit_subject,
            steps: plan.steps.into_iter().map(BuildStepView::from).collect(),
        }
    }
}

impl From<BuildStep> for BuildStepView {
    fn from(step: BuildStep) -> Self {
        let text = match &step {
            BuildStep::DockerBuild { dockerfile, .. } => dockerfile.clone(),
            BuildStep::RunInContainer { commands, .. } => Some(commands.join("\n")),
            _ => None,
        };
        // A step is made of texts and lists of them, which can always be written.
        Self { words: step.words(), step: serde_json::to_value(&step).unwrap_or_default(), text }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactView {
    pub id: String,
    pub build_id: String,
    /// Relative to the repository's root.
    pub path: String,
    /// In bytes.
    pub size: i64,
    /// In hex.
    pub sha256: String,
    pub created_at: String,
    pub expires_at: String,
}

impl From<Artifact> for ArtifactView {
    fn from(row: Artifact) -> Self {
        Self {
            id: row.id.to_string(),
            build_id: row.build_id.to_string(),
            path: row.path,
            size: row.size,
            sha256: row.sha256,
            created_at: time(row.created_at),
            expires_at: time(row.expires_at),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryView {
    pub id: String,
    pub seq: i64,
    pub name: String,
    pub address: String,
    pub username: String,
    pub has_password: bool,
    pub created_at: String,
    pub updated_at: String,
}

impl From<Registry> for RegistryView {
    fn from(row: Registry) -> Self {
        Self {
            id: row.id.to_string(),
            seq: row.seq,
            name: row.name,
            address: row.address,
            username: row.username,
            has_password: row.password.is_some(),
            created_at: time(row.created_at),
            updated_at: time(row.updated_at),
        }
    }
}
