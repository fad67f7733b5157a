//! GitLab's words → ours.

use windlass_sdk::Failure;
use windlass_sdk::forge::{Commit, Push, RefUpdate, Repository, asks_to_skip_ci, unix_ms};
use windlass_sdk::provider::BuildReport;

use crate::names::Job;
use crate::{builds, parse};

pub fn push(payload: parse::Push) -> Result<Push, Failure> {
    let update =
        RefUpdate { name: &payload.name, before: &payload.before, after: &payload.after, deleted: false };
    let mut change = update.change()?;
    if change.after.is_some() {
        let tip = payload.checkout_sha.as_deref().unwrap_or(&payload.after);
        let head = payload.commits.iter().find(|commit| commit.id == tip).or(payload.commits.last());
        change.head = head.map(commit);
        change.skip_ci = change.head.as_ref().is_some_and(|head| asks_to_skip_ci(&head.message));
        // Twenty commits at most are told of. Half a list of paths would look like a whole one.
        if payload.total_commits_count <= payload.commits.len() {
            change.paths = paths(&payload.commits);
        }
    }
    Ok(Push {
        repository: repository(payload.project),
        sender: payload.user_username.or(payload.user_name).unwrap_or_default(),
        changes: vec![change],
    })
}

fn commit(commit: &parse::Commit) -> Commit {
    let author = commit.author.as_ref();
    let author = match author.map(|author| (&author.name, &author.email)) {
        Some((Some(name), Some(email))) => format!("{name} <{email}>"),
        Some((Some(name), None)) => name.clone(),
        Some((None, Some(email))) => format!("<{email}>"),
        _ => String::new(),
    };
    Commit {
        sha: commit.id.clone(),
        message: commit.message.clone(),
        author,
        at: commit.timestamp.as_deref().and_then(unix_ms),
    }
}

/// Sorted, each once.
fn paths(commits: &[parse::Commit]) -> Vec<String> {
    let all = commits.iter().flat_map(|commit| [&commit.added, &commit.modified, &commit.removed]);
    let mut paths: Vec<String> = all.flatten().cloned().collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

fn repository(project: parse::Project) -> Repository {
    let urls = [project.git_http_url, project.git_ssh_url, project.web_url];
    Repository {
        full_name: project.path_with_namespace,
        urls: urls.into_iter().flatten().filter(|url| !url.is_empty()).collect(),
        default_branch: project.default_branch,
    }
}

/// A pipeline does not say whether it was started for the job of its branch, or for the one of the default branch with that
/// branch asked for. The host knows at most one of them as the build's.
pub fn pipeline(payload: parse::PipelineChanged) -> Vec<BuildReport> {
    let parse::PipelineChanged { object_attributes: pipeline, project } = payload;
    let other = pipeline.ref_name.clone().filter(|branch| Some(branch) != project.default_branch.as_ref());
    let job = |branch| Job { project: project.path_with_namespace.clone(), branch };
    let jobs = other.map(|branch| job(Some(branch))).into_iter().chain([job(None)]);
    let mut build = builds::to_build(&pipeline);
    if build.url.is_none() {
        build.url = project.web_url.as_ref().map(|url| format!("{url}/-/pipelines/{}", pipeline.id));
    }
    jobs.map(|job| BuildReport { job: job.id(), build: build.clone() }).collect()
}
