//! GitHub Actions.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{Dispatch, Job, MISSING, REPOSITORY, Refusal, Run, Shared, World, lock, shapes};

pub const ARTIFACT: &[u8] = b"PK\x03\x04 not really a zip file, and nobody looks";

type Named<T> = Path<(String, String, T)>;
type Asked = Query<HashMap<String, String>>;
type Reply = Result<Json<Value>, Refusal>;

/// GitHub knows a workflow once its file is on the default branch. It goes by its number as well.
fn file_of(world: &World, named: &str) -> Result<String, Refusal> {
    let known =
        |file: &str| world.files.contains_key(&("main".to_owned(), format!(".github/workflows/{file}")));
    let file = if named == "71" { "deploy.yml" } else { named };
    if known(file) { Ok(file.to_owned()) } else { Err(MISSING) }
}

pub async fn workflow(State(world): State<Shared>, Path((_, _, file)): Named<String>) -> Reply {
    let world = lock(&world);
    let file = file_of(&world, &file)?;
    Ok(Json(shapes::workflow(&world, &file)))
}

pub async fn enable(
    State(world): State<Shared>,
    Path((_, _, file)): Named<String>,
) -> Result<StatusCode, Refusal> {
    let mut world = lock(&world);
    file_of(&world, &file)?;
    world.disabled = None;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn dispatch(
    State(world): State<Shared>,
    Path((_, _, file)): Named<String>,
    Json(body): Json<Value>,
) -> Result<Response, Refusal> {
    let refuse = |why| Refusal(StatusCode::UNPROCESSABLE_ENTITY, why);
    let mut world = lock(&world);
    let file = file_of(&world, &file)?;
    if world.dispatch == Dispatch::Strict && body.get("return_run_details").is_some() {
        return Err(refuse("Invalid request. \"return_run_details\" is not a permitted key."));
    }
    let branch = body["ref"].as_str().ok_or(refuse("Invalid request. \"ref\" wasn't supplied."))?.to_owned();
    let text = world.files.get(&(branch.clone(), format!(".github/workflows/{file}")));
    let text = text.ok_or(refuse("No ref found for: that branch"))?;
    if !text.contains("workflow_dispatch") {
        return Err(refuse("Workflow does not have 'workflow_dispatch' trigger"));
    }
    let key = body["inputs"]["windlass_run"].as_str().filter(|_| text.contains("run-name:"));
    let title = key.map_or("Deploy".to_owned(), |key| format!("Deploy ({key})"));
    let id = 901 + world.runs.len() as u64;
    let jobs = ["build", "deploy"].iter().zip([0, 1]).map(|(name, nth)| Job {
        id: id * 10 + nth,
        name: (*name).to_owned(),
        status: "queued".to_owned(),
        conclusion: None,
        log: Some(format!("\u{feff}2026-03-04T05:06:07Z {name} begins\n2026-03-04T05:06:08Z {name} ends\n")),
    });
    let jobs = jobs.collect();
    let inputs = body["inputs"].clone();
    let status = "queued".to_owned();
    world.runs.push(Run {
        id,
        workflow: file,
        branch,
        title,
        inputs,
        status,
        conclusion: None,
        attempt: 1,
        jobs,
    });
    if world.dispatch == Dispatch::Details && body["return_run_details"] == true {
        let run_url = format!("{}/repos/{REPOSITORY}/actions/runs/{id}", world.url);
        let html_url = format!("https://github.com/{REPOSITORY}/actions/runs/{id}");
        let body = json!({ "workflow_run_id": id, "run_url": run_url, "html_url": html_url });
        return Ok(Json(body).into_response());
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub async fn runs(
    State(world): State<Shared>,
    Path((_, _, file)): Named<String>,
    Query(query): Asked,
) -> Reply {
    let world = lock(&world);
    let file = file_of(&world, &file)?;
    let branch = query.get("branch");
    let fits = |run: &&Run| run.workflow == file && branch.is_none_or(|branch| *branch == run.branch);
    let count = query.get("per_page").and_then(|count| count.parse().ok()).unwrap_or(30);
    let runs: Vec<Value> =
        world.runs.iter().rev().filter(fits).take(count).map(|run| shapes::run(&world, run)).collect();
    Ok(Json(json!({ "total_count": runs.len(), "workflow_runs": runs })))
}

fn find(world: &World, id: u64) -> Result<&Run, Refusal> {
    world.runs.iter().find(|run| run.id == id).ok_or(MISSING)
}

pub async fn run(State(world): State<Shared>, Path((_, _, id)): Named<u64>) -> Reply {
    let world = lock(&world);
    Ok(Json(shapes::run(&world, find(&world, id)?)))
}

pub async fn jobs(State(world): State<Shared>, Path((_, _, id)): Named<u64>, Query(query): Asked) -> Reply {
    let world = lock(&world);
    let run = find(&world, id)?;
    let page: usize = query.get("page").and_then(|page| page.parse().ok()).unwrap_or(1);
    let all = run.jobs.iter().skip((page - 1) * 100).take(100);
    let jobs: Vec<Value> = all.map(|job| shapes::job(&world, run, job)).collect();
    Ok(Json(json!({ "total_count": run.jobs.len(), "jobs": jobs })))
}

pub async fn cancel(
    State(world): State<Shared>,
    Path((_, _, id)): Named<u64>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let mut world = lock(&world);
    let run = world.runs.iter_mut().find(|run| run.id == id).ok_or(MISSING)?;
    if run.status == "completed" {
        return Err(Refusal(StatusCode::CONFLICT, "Cannot cancel a workflow run that is completed."));
    }
    (run.status, run.conclusion) = ("completed".to_owned(), Some("cancelled".to_owned()));
    for job in run.jobs.iter_mut().filter(|job| job.status != "completed") {
        (job.status, job.conclusion, job.log) = ("completed".to_owned(), Some("cancelled".to_owned()), None);
    }
    Ok((StatusCode::ACCEPTED, Json(json!({}))))
}

pub async fn artifacts(State(world): State<Shared>, Path((_, _, id)): Named<u64>) -> Reply {
    let world = lock(&world);
    find(&world, id)?;
    Ok(Json(json!({ "total_count": 1, "artifacts": [shapes::artifact(&world, id, ARTIFACT.len())] })))
}

/// 302 to where it is kept.
fn kept(world: &World, what: &str, id: u64) -> Response {
    let store = world.store.as_ref().unwrap_or(&world.url);
    let place = format!("{store}/_store/{what}/{id}?sig=once");
    (StatusCode::FOUND, [("location", place)]).into_response()
}

pub async fn log(State(world): State<Shared>, Path((_, _, id)): Named<u64>) -> Result<Response, Refusal> {
    let world = lock(&world);
    let job = world.runs.iter().flat_map(|run| &run.jobs).find(|job| job.id == id).ok_or(MISSING)?;
    // There is none before the job has ended.
    if job.status != "completed" || job.log.is_none() {
        return Err(MISSING);
    }
    Ok(kept(&world, "jobs", id))
}

pub async fn stored_log(State(world): State<Shared>, Path(id): Path<u64>) -> Result<String, Refusal> {
    let world = lock(&world);
    let job = world.runs.iter().flat_map(|run| &run.jobs).find(|job| job.id == id);
    job.and_then(|job| job.log.clone()).ok_or(MISSING)
}

pub async fn artifact(State(world): State<Shared>, Path((_, _, id)): Named<u64>) -> Response {
    kept(&lock(&world), "artifacts", id)
}
