//! Builds: runs of a workflow.

use serde::Deserialize;
use serde_json::json;
use windlass_sdk::Failure;
use windlass_sdk::forge::unix_ms;
use windlass_sdk::http::{Request, Response};
use windlass_sdk::provider::{Build, BuildStatus, Trigger};

use crate::api::{Api, Codes, complaint};
use crate::definition::{Definition, KEY_INPUT};
use crate::names::{self, Job, Started};
use crate::repository::{self, Repository};
use crate::{files, time, words};

/// The answer to a start and the run's own time come from different machines.
const CLOCKS_MS: u64 = 5_000;
const NO_BUILD: Codes = &[(404, "no-such-build")];

#[derive(Debug, Deserialize)]
pub struct Runs {
    pub workflow_runs: Vec<Run>,
}

/// A run, in answers of the API and in webhooks.
#[derive(Debug, Deserialize)]
pub struct Run {
    pub id: u64,
    pub run_number: u64,
    pub run_attempt: Option<u64>,
    pub status: Option<String>,
    pub conclusion: Option<String>,
    pub html_url: Option<String>,
    pub head_branch: Option<String>,
    pub head_sha: Option<String>,
    pub display_title: Option<String>,
    pub path: Option<String>,
    pub run_started_at: Option<String>,
    pub updated_at: Option<String>,
}

#[derive(Deserialize)]
struct Dispatched {
    workflow_run_id: u64,
    html_url: Option<String>,
}

pub fn to_build(run: &Run) -> Build {
    let status = words::status(run.status.as_deref().unwrap_or("unknown"), run.conclusion.as_deref());
    let is_over = run.status.as_deref() == Some("completed") && status != BuildStatus::Pending;
    let at = |text: &Option<String>| text.as_deref().and_then(unix_ms);
    let extras = [
        ("attempt", run.run_attempt.map(|attempt| attempt.to_string())),
        ("commit", run.head_sha.clone()),
        ("ref", run.head_branch.clone()),
    ];
    let extras = extras.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Build {
        number: run.run_number.to_string(),
        url: run.html_url.clone(),
        started: at(&run.run_started_at).filter(|_| status != BuildStatus::Pending),
        finished: at(&run.updated_at).filter(|_| is_over),
        extras: extras.collect(),
        ..Build::new(run.id.to_string(), status)
    }
}

pub fn trigger(id: &str, trigger: &Trigger) -> Result<Build, Failure> {
    let (api, job) = (Api::default(), Job::read(id)?);
    let ref_name = match trigger.ref_name.as_ref().or(job.branch.as_ref()) {
        // Tags come by their full names, and GitHub lists runs by the short ones.
        Some(name) => name.strip_prefix("refs/tags/").unwrap_or(name).to_owned(),
        None => repository::get::<Repository>(&api, &job.repository, "no-such-job")?.default_branch,
    };
    let Some(file) = files::find(&api, &job.repository, &job.path(), &ref_name)? else {
        let said = format!("`{}` has no file {} at `{ref_name}`.", job.repository, job.path());
        return Err(Failure::permanent("no-such-job", said));
    };
    let definition = Definition::read(&file.text().unwrap_or_default())?;
    let inputs = definition.inputs_of(trigger)?;
    let key = inputs.get(KEY_INPUT).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    if !key.is_empty()
        && let Some(run) = with_key(recent(&api, &job, &ref_name, None)?, &key)
    {
        return Ok(to_build(&run));
    }
    let path = format!("{}/dispatches", job.workflow());
    let body = json!({ "ref": ref_name, "inputs": inputs, "return_run_details": true });
    let mut response = api.ask(Request::post(&path).json(&body)?)?;
    // Older servers do not know the wish to be told which run it became.
    if response.status == 422 && complaint(&response).contains("return_run_details") {
        let body = json!({ "ref": ref_name, "inputs": inputs });
        response = api.ask(Request::post(&path).json(&body)?)?;
    }
    let response = api.checked(response, &[(404, "no-such-job"), (422, "invalid-parameters")])?;
    if response.status != 204 {
        let started: Dispatched = api.json(&response)?;
        let build = Build::new(started.workflow_run_id.to_string(), BuildStatus::Pending);
        return Ok(Build { url: started.html_url, ..build });
    }
    Ok(look_for(&api, &job, ref_name, key, &response))
}

/// The run that a server started without naming it, or what to look for later. The run has been started, so this cannot
/// fail any more.
fn look_for(api: &Api, job: &Job, ref_name: String, key: String, response: &Response) -> Build {
    let now = response.header("date").and_then(time::of_date).unwrap_or_default();
    let started = Started { since: now.saturating_sub(CLOCKS_MS), ref_name, key };
    find(api, job, &started).unwrap_or_else(|_| waiting(&started))
}

fn waiting(started: &Started) -> Build {
    Build { poll_after: Some(3), ..Build::new(started.id(), BuildStatus::Pending) }
}

/// With a key only the run that shows it can be the one; without one, the only run that began since then.
fn find(api: &Api, job: &Job, started: &Started) -> Result<Build, Failure> {
    let runs = recent(api, job, &started.ref_name, Some(&time::to_text(started.since)))?;
    if !started.key.is_empty() {
        return Ok(with_key(runs, &started.key).map_or_else(|| waiting(started), |run| to_build(&run)));
    }
    Ok(match runs.as_slice() {
        [] => waiting(started),
        [run] => to_build(run),
        _ => Build::new(started.id(), BuildStatus::Other("ambiguous-run".to_owned())),
    })
}

fn with_key(runs: Vec<Run>, key: &str) -> Option<Run> {
    runs.into_iter().find(|run| run.display_title.as_ref().is_some_and(|title| title.contains(key)))
}

/// Runs of the workflow that were started by hand, newest first.
fn recent(api: &Api, job: &Job, ref_name: &str, since: Option<&str>) -> Result<Vec<Run>, Failure> {
    let mut request = Request::get(format!("{}/runs", job.workflow()))
        .query("event", "workflow_dispatch")
        .query("branch", ref_name)
        .query("per_page", "50");
    if let Some(since) = since {
        request = request.query("created", &format!(">={since}"));
    }
    Ok(api.get::<Runs>(request.path, &[(404, "no-such-job")])?.workflow_runs)
}

pub fn status(job: &str, build: &str) -> Result<Build, Failure> {
    let (api, job) = (Api::default(), Job::read(job)?);
    match Started::read(build) {
        Some(started) => find(&api, &job, &started),
        None => Ok(to_build(&get(&api, &job, names::run(build)?)?)),
    }
}

pub fn get(api: &Api, job: &Job, run: u64) -> Result<Run, Failure> {
    api.get(format!("/repos/{}/actions/runs/{run}", job.repository), NO_BUILD)
}

pub fn cancel(job: &str, build: &str) -> Result<(), Failure> {
    let (api, job) = (Api::default(), Job::read(job)?);
    let run = match Started::read(build) {
        None => names::run(build)?,
        Some(started) => find(&api, &job, &started)?.id.parse().map_err(|_| {
            let said = "GitHub has not said yet which run it started, so there is nothing to cancel.";
            Failure::retry(Some(3), "not-started-yet", said)
        })?,
    };
    let response = api.ask(Request::post(format!("/repos/{}/actions/runs/{run}/cancel", job.repository)))?;
    // A conflict is said of a run that has ended, and of one that cannot be cancelled just now.
    if response.status == 409 {
        if get(&api, &job, run)?.status.as_deref() == Some("completed") {
            return Ok(());
        }
        let said = format!("GitHub cannot cancel the run just now: {}.", complaint(&response));
        return Err(api.failed(Failure::retry(Some(5), "not-cancellable-yet", said)));
    }
    api.checked(response, NO_BUILD).map(|_| ())
}
