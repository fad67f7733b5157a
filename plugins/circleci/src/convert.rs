//! CircleCI's words → ours.

use windlass_sdk::Connection;
use windlass_sdk::forge::unix_ms;
use windlass_sdk::provider::{Build, BuildStatus};

use crate::name::Slug;
use crate::parse::{Pipeline, Workflow};

/// A workflow's word.
pub fn workflow(word: &str) -> BuildStatus {
    match word {
        "on_hold" => BuildStatus::Pending,
        "running" | "failing" => BuildStatus::Running,
        "success" => BuildStatus::Success,
        "failed" | "error" | "unauthorized" => BuildStatus::Failure,
        "canceled" | "not_run" => BuildStatus::Cancelled,
        other => BuildStatus::Other(other.to_owned()),
    }
}

/// A job's word.
pub fn job(word: &str) -> BuildStatus {
    match word {
        "queued" | "not_running" | "on_hold" | "blocked" => BuildStatus::Pending,
        "running" => BuildStatus::Running,
        "success" => BuildStatus::Success,
        "failed" | "infrastructure_fail" | "timedout" | "unauthorized" => BuildStatus::Failure,
        // What was retried ends here and goes on in another job.
        "canceled" | "not_run" | "retried" => BuildStatus::Cancelled,
        other => BuildStatus::Other(other.to_owned()),
    }
}

pub fn is_final(status: &BuildStatus) -> bool {
    matches!(status, BuildStatus::Success | BuildStatus::Failure | BuildStatus::Cancelled)
}

/// What weighs more decides on the whole: first what still goes on, then what went worst.
fn weight(status: &BuildStatus) -> u8 {
    match status {
        BuildStatus::Running => 5,
        BuildStatus::Pending => 4,
        BuildStatus::Failure => 3,
        BuildStatus::Other(_) => 2,
        BuildStatus::Cancelled => 1,
        BuildStatus::Success => 0,
    }
}

/// The newest workflow of each name: one that was run again leaves the old one in the list.
pub fn current(workflows: &[Workflow]) -> Vec<&Workflow> {
    let mut newest: Vec<&Workflow> = Vec::new();
    for workflow in workflows {
        match newest.iter_mut().find(|other| other.name == workflow.name) {
            Some(other) if unix_ms(&other.created_at) < unix_ms(&workflow.created_at) => *other = workflow,
            Some(_) => {}
            None => newest.push(workflow),
        }
    }
    newest
}

/// The pipeline with its workflows: the worst of them tells how it ended.
pub fn build(connection: &Connection, pipeline: &Pipeline, workflows: &[Workflow]) -> Build {
    let current = current(workflows);
    let statuses: Vec<BuildStatus> = current.iter().map(|found| workflow(&found.status)).collect();
    let worst = statuses.iter().max_by_key(|status| weight(status)).cloned();
    let status = worst.unwrap_or_else(|| state(&pipeline.state));
    let mut build = Build::new(pipeline.id.clone(), status);
    build.number = pipeline.number.to_string();
    build.url = pipeline
        .project_slug
        .as_deref()
        .and_then(Slug::of)
        .map(|slug| page(connection, &slug, pipeline.number));
    build.started = current.iter().filter_map(|found| unix_ms(&found.created_at)).min();
    if is_final(&build.status) {
        let ends = current.iter().filter_map(|found| found.stopped_at.as_deref().and_then(unix_ms));
        build.finished = ends.max().or_else(|| pipeline.created_at.as_deref().and_then(unix_ms));
    }
    for found in current {
        build.extras.push((format!("workflow:{}", found.name), found.status.clone()));
    }
    for error in &pipeline.errors {
        build.extras.push(("error".to_owned(), error.message.clone()));
    }
    build
}

/// A pipeline's word, as long as it has no workflows.
fn state(word: &str) -> BuildStatus {
    match word {
        "created" | "pending" | "setup-pending" | "setup" => BuildStatus::Pending,
        "errored" => BuildStatus::Failure,
        other => BuildStatus::Other(other.to_owned()),
    }
}

/// The page for people. In the cloud it is on another host than the API.
pub fn page(connection: &Connection, slug: &Slug, number: u64) -> String {
    let host = match connection.base_url.as_str() {
        "https://circleci.com" => "https://app.circleci.com",
        own => own,
    };
    format!("{host}/pipelines/{}/{number}", slug.long())
}
