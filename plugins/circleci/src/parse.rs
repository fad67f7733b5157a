//! CircleCI's JSON (API v2, API v1.1 where v2 has nothing), as far as it matters.

use serde::Deserialize;

#[derive(Deserialize)]
pub struct User {
    pub login: String,
    pub name: Option<String>,
}

#[derive(Deserialize)]
pub struct Project {
    pub name: String,
}

#[derive(Deserialize)]
pub struct Pipeline {
    pub id: String,
    pub number: u64,
    /// `created`, `errored`, `setup-pending`, `setup`, `pending`. The work itself is in the workflows.
    pub state: String,
    pub created_at: Option<String>,
    pub project_slug: Option<String>,
    #[serde(default)]
    pub errors: Vec<PipelineError>,
}

#[derive(Deserialize)]
pub struct PipelineError {
    pub message: String,
}

#[derive(Clone, Deserialize)]
pub struct Workflow {
    pub id: String,
    pub name: String,
    pub status: String,
    pub created_at: String,
    pub stopped_at: Option<String>,
}

#[derive(Deserialize)]
pub struct PipelineConfig {
    #[serde(default)]
    pub source: String,
}

#[derive(Deserialize)]
pub struct Job {
    /// None until it begins, and for an approval.
    pub job_number: Option<u64>,
    pub name: String,
    pub status: String,
}

/// A job as API v1.1 shows it.
#[derive(Deserialize)]
pub struct Steps {
    #[serde(default)]
    pub steps: Vec<Step>,
}

#[derive(Deserialize)]
pub struct Step {
    pub name: String,
    #[serde(default)]
    pub actions: Vec<Action>,
}

/// A step on one of the job's machines.
#[derive(Deserialize)]
pub struct Action {
    #[serde(default)]
    pub index: u64,
    pub status: Option<String>,
    #[serde(default)]
    pub has_output: bool,
    pub output_url: Option<String>,
}

/// A piece of what an action wrote.
#[derive(Deserialize)]
pub struct Output {
    #[serde(default)]
    pub message: String,
}

#[derive(Deserialize)]
pub struct Artifact {
    pub path: String,
    pub url: String,
}

/// What a webhook delivers.
#[derive(Deserialize)]
pub struct Delivered {
    #[serde(rename = "type")]
    pub kind: String,
    pub project: Option<DeliveredProject>,
    pub pipeline: Option<DeliveredPipeline>,
    pub workflow: Option<DeliveredWorkflow>,
}

#[derive(Deserialize)]
pub struct DeliveredProject {
    pub slug: String,
}

#[derive(Deserialize)]
pub struct DeliveredPipeline {
    pub id: String,
    pub number: u64,
    pub created_at: Option<String>,
    /// Of projects by OAuth.
    pub vcs: Option<Ref>,
    /// Of all others.
    pub trigger_parameters: Option<TriggerParameters>,
}

#[derive(Deserialize)]
pub struct TriggerParameters {
    pub git: Option<Ref>,
}

#[derive(Deserialize)]
pub struct Ref {
    pub branch: Option<String>,
    pub tag: Option<String>,
}

#[derive(Deserialize)]
pub struct DeliveredWorkflow {
    pub name: Option<String>,
    pub status: Option<String>,
    pub stopped_at: Option<String>,
    pub url: Option<String>,
}
