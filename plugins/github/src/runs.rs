//! What GitHub posts about runs: the event `workflow_run`.

use serde::Deserialize;
use windlass_sdk::Failure;
use windlass_sdk::provider::{BuildReport, Delivery, Event, malformed};

use crate::builds::{self, Run};
use crate::names::{Job, WORKFLOWS};
use crate::parse;

#[derive(Deserialize)]
struct WorkflowRun {
    workflow_run: Run,
    workflow: Option<Workflow>,
    repository: Repository,
}

#[derive(Deserialize)]
struct Workflow {
    path: String,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
    default_branch: String,
}

pub fn read(delivery: &Delivery) -> Result<Event, Failure> {
    match delivery.header("x-github-event") {
        Some("workflow_run") => Ok(Event::Builds(reports(delivery.json()?)?)),
        Some("ping") => delivery.json::<parse::Ping>().map(|_| Event::Ping),
        Some(other) => Ok(Event::Unsupported(other.to_owned())),
        None => Err(malformed("The header X-GitHub-Event is missing, so this was not sent by GitHub.")),
    }
}

/// A workflow is one for all branches, and a run does not say whether it was started for the job of its branch, or for the
/// other one with that branch asked for. The host knows at most one of them as the build's.
fn reports(payload: WorkflowRun) -> Result<Vec<BuildReport>, Failure> {
    let run = payload.workflow_run;
    // Old deliveries have the path only in `workflow`; newer ones have a branch behind it in places.
    let path = run.path.as_ref().or(payload.workflow.as_ref().map(|workflow| &workflow.path));
    let file = path
        .map(|path| path.split('@').next().unwrap_or_default())
        .and_then(|path| path.strip_prefix(WORKFLOWS));
    let Some(file) = file else {
        return Err(malformed(
            "Neither `workflow_run` nor `workflow` says which file below .github/workflows it is.",
        ));
    };
    let other = run.head_branch.clone().filter(|branch| *branch != payload.repository.default_branch);
    let job =
        |branch| Job { repository: payload.repository.full_name.clone(), file: file.to_owned(), branch };
    let jobs = other.map(|branch| job(Some(branch))).into_iter().chain([job(None)]);
    Ok(jobs.map(|job| BuildReport { job: job.id(), build: builds::to_build(&run) }).collect())
}
