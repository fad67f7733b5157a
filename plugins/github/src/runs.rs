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
        Some("workflow_run") => reports(delivery.json()?),
        Some("ping") => delivery.json::<parse::Ping>().map(|_| Event::Ping),
        Some(other) => Ok(Event::Unsupported(other.to_owned())),
        None => Err(malformed("The header X-GitHub-Event is missing, so this was not sent by GitHub.")),
    }
}

/// A workflow is one for all branches, and a run does not say whether it was started for the job of its branch, or for the
/// other one with that branch asked for. The host knows at most one of them as the build's.
fn reports(payload: WorkflowRun) -> Result<Event, Failure> {
    let run = payload.workflow_run;
    // Old deliveries have the path only in `workflow`; newer ones have a branch behind it in places.
    let path = run.path.as_ref().or(payload.workflow.as_ref().map(|workflow| &workflow.path));
    let Some(path) = path else {
        return Err(malformed("Neither `workflow_run` nor `workflow` says which workflow it is."));
    };
    let Some(file) = path.split('@').next().and_then(|path| path.strip_prefix(WORKFLOWS)) else {
        // GitHub's own, such as those that publish pages, are in no file.
        return Ok(Event::Unsupported(format!("workflow_run of {path}")));
    };
    let other = run.head_branch.clone().filter(|branch| *branch != payload.repository.default_branch);
    let job =
        |branch| Job { repository: payload.repository.full_name.clone(), file: file.to_owned(), branch };
    let jobs = other.map(|branch| job(Some(branch))).into_iter().chain([job(None)]);
    Ok(Event::Builds(jobs.map(|job| BuildReport { job: job.id(), build: builds::to_build(&run) }).collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use windlass_sdk::provider::BuildStatus;

    use super::*;

    fn posted(event: &str, body: &Value) -> Result<Event, Failure> {
        let headers = vec![("x-github-event".to_owned(), event.to_owned())];
        read(&Delivery { headers, body: body.to_string().into_bytes() })
    }

    fn run(path: Option<&str>, branch: &str) -> Value {
        let run = json!({
            "id": 7, "run_number": 3, "run_attempt": 2, "status": "completed", "conclusion": "failure", "path": path,
            "head_branch": branch, "head_sha": "a", "run_started_at": "2020-10-05T16:33:24Z",
            "updated_at": "2020-10-05T16:33:49Z", "html_url": "https://github.com/o/r/actions/runs/7",
        });
        let repository = json!({ "full_name": "o/r", "default_branch": "main" });
        json!({ "workflow_run": run, "workflow": { "path": ".github/workflows/a.yml" }, "repository": repository })
    }

    #[test]
    fn a_run_is_a_build_of_its_workflow() {
        for path in [None, Some(".github/workflows/a.yml"), Some(".github/workflows/a.yml@refs/heads/main")] {
            let Ok(Event::Builds(reports)) = posted("workflow_run", &run(path, "main")) else {
                panic!("a build")
            };
            let (job, build) = (&reports[0].job, &reports[0].build);
            assert_eq!((reports.len(), job.as_str(), build.id.as_str()), (1, "o/r/a.yml", "7"));
            assert_eq!((&build.status, build.number.as_str()), (&BuildStatus::Failure, "3"));
            assert_eq!((build.started, build.finished), (Some(1_601_915_604_000), Some(1_601_915_629_000)));
        }
    }

    #[test]
    fn a_run_of_another_branch_may_be_of_either_job() {
        let Ok(Event::Builds(reports)) = posted("workflow_run", &run(None, "dev")) else { panic!("a build") };
        let jobs: Vec<&str> = reports.iter().map(|report| report.job.as_str()).collect();
        assert_eq!(jobs, ["o/r/a.yml@dev", "o/r/a.yml"]);
    }

    #[test]
    fn other_deliveries_are_told_from_bad_ones() {
        assert_eq!(posted("ping", &json!({ "zen": "x" })), Ok(Event::Ping));
        assert_eq!(posted("workflow_job", &json!({})), Ok(Event::Unsupported("workflow_job".to_owned())));
        let elsewhere = posted("workflow_run", &run(Some("dynamic/pages/pages-build-deployment"), "main"));
        assert!(matches!(elsewhere, Ok(Event::Unsupported(_))), "{elsewhere:?}");
        assert_eq!(posted("workflow_run", &json!({})).expect_err("it is bad").code, "malformed-payload");
        let nameless = read(&Delivery { headers: Vec::new(), body: b"{}".to_vec() });
        assert_eq!(nameless.expect_err("it has no event").code, "malformed-payload");
    }
}
