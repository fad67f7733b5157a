//! GitLab CI.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{COMMIT, Job, MISSING, Pipeline, Refusal, Shared, World, lock};

type Named = Path<(String, u64)>;
type Asked = Query<HashMap<String, String>>;
type Reply = Result<Json<Value>, Refusal>;

const CREATED: &str = "2026-03-04T05:06:07.000Z";
const UPDATED: &str = "2026-03-04T05:09:07.000Z";
const ENDED: [&str; 4] = ["success", "failed", "canceled", "skipped"];

fn pipeline(world: &World, pipeline: &Pipeline) -> Value {
    let ended = ENDED.contains(&pipeline.status.as_str());
    let started = if pipeline.status == "created" { Value::Null } else { json!(CREATED) };
    json!({
        "id": pipeline.id, "iid": pipeline.id - 300, "project_id": 7, "sha": COMMIT, "ref": pipeline.branch,
        "status": pipeline.status, "source": "api", "created_at": CREATED,
        "updated_at": if ended { UPDATED } else { CREATED },
        "web_url": format!("{}/group/sub/app/-/pipelines/{}", world.url, pipeline.id), "started_at": started,
        "finished_at": if ended { json!(UPDATED) } else { Value::Null },
    })
    .as_object()
    .map(|map| {
        map.iter().filter(|(_, value)| !value.is_null()).map(|(k, v)| (k.clone(), v.clone())).collect()
    })
    .unwrap_or_default()
}

fn shape(world: &World, job: &Job, branch: &str) -> Value {
    let mut shape = json!({
        "id": job.id, "status": job.status, "stage": "test", "name": job.name, "ref": branch, "tag": false,
        "allow_failure": false, "created_at": CREATED, "web_url": format!("{}/group/sub/app/-/jobs/{}", world.url, job.id),
    });
    if let Some(artifact) = &job.artifact {
        shape["artifacts_file"] = json!({ "filename": "artifacts.zip", "size": artifact.len() });
    }
    shape
}

pub async fn lint(Json(body): Json<Value>) -> Json<Value> {
    let content = body["content"].as_str().unwrap_or_default();
    let is_valid = content.contains("script:");
    let errors =
        if is_valid { json!([]) } else { json!(["jobs config should contain at least one visible job"]) };
    Json(json!({ "valid": is_valid, "errors": errors, "warnings": [], "merged_yaml": content }))
}

pub async fn start(State(world): State<Shared>, Json(body): Json<Value>) -> Result<Response, Refusal> {
    let refuse =
        |why: &str| (StatusCode::BAD_REQUEST, Json(json!({ "message": { "base": [why] } }))).into_response();
    let mut world = lock(&world);
    let branch = body["ref"].as_str().unwrap_or_default().to_owned();
    if !matches!(branch.as_str(), "main" | "dev") {
        return Ok(refuse("Reference not found"));
    }
    let path = world.config_path.clone().unwrap_or_else(|| ".gitlab-ci.yml".to_owned());
    if !world.files.contains_key(&(branch.clone(), path)) {
        return Ok(refuse("Missing CI config file"));
    }
    let variables = body["variables"].as_array().cloned().unwrap_or_default();
    if !variables.is_empty() && !world.takes_variables {
        return Ok(refuse("Insufficient permissions to set pipeline variables"));
    }
    let id = 301 + world.pipelines.len() as u64;
    let job = |nth: u64, name: &str| Job {
        id: id * 10 + nth,
        name: name.to_owned(),
        status: "created".to_owned(),
        trace: String::new(),
        artifact: None,
    };
    let jobs = vec![job(0, "build"), job(1, "deploy prod")];
    let inputs = body["inputs"].clone();
    world.pipelines.push(Pipeline { id, branch, status: "created".to_owned(), variables, inputs, jobs });
    let made = world.pipelines.last().ok_or(MISSING)?;
    Ok((StatusCode::CREATED, Json(pipeline(&world, made))).into_response())
}

pub async fn list(State(world): State<Shared>, Query(query): Asked) -> Json<Value> {
    let world = lock(&world);
    let count = query.get("per_page").and_then(|count| count.parse().ok()).unwrap_or(20);
    let fits = |pipeline: &&Pipeline| query.get("ref").is_none_or(|branch| *branch == pipeline.branch);
    let newest = world.pipelines.iter().rev().filter(fits).take(count);
    Json(newest.map(|found| basic(pipeline(&world, found))).collect())
}

/// A list does not say when a pipeline began and ended.
fn basic(mut whole: Value) -> Value {
    if let Some(fields) = whole.as_object_mut() {
        fields.retain(|name, _| !matches!(name.as_str(), "started_at" | "finished_at"));
    }
    whole
}

fn find(world: &World, id: u64) -> Result<&Pipeline, Refusal> {
    world.pipelines.iter().find(|pipeline| pipeline.id == id).ok_or(MISSING)
}

pub async fn get(State(world): State<Shared>, Path((_, id)): Named) -> Reply {
    let world = lock(&world);
    Ok(Json(pipeline(&world, find(&world, id)?)))
}

pub async fn variables(State(world): State<Shared>, Path((_, id)): Named) -> Reply {
    Ok(Json(json!(find(&lock(&world), id)?.variables)))
}

pub async fn jobs(State(world): State<Shared>, Path((_, id)): Named, Query(query): Asked) -> Reply {
    let world = lock(&world);
    let found = find(&world, id)?;
    let number = |name: &str, usual| query.get(name).and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (page, count): (usize, usize) = (number("page", 1), number("per_page", 20));
    // Newest first.
    let jobs = found.jobs.iter().rev().skip((page - 1) * count).take(count);
    Ok(Json(jobs.map(|job| shape(&world, job, &found.branch)).collect()))
}

pub async fn cancel(
    State(world): State<Shared>,
    Path((_, id)): Named,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let mut world = lock(&world);
    let found = world.pipelines.iter_mut().find(|pipeline| pipeline.id == id).ok_or(MISSING)?;
    if !ENDED.contains(&found.status.as_str()) {
        found.status = "canceled".to_owned();
        for job in found.jobs.iter_mut().filter(|job| !ENDED.contains(&job.status.as_str())) {
            job.status = "canceled".to_owned();
        }
    }
    Ok((StatusCode::CREATED, Json(pipeline(&world, find(&world, id)?))))
}

fn with_job<T>(world: &World, id: u64, use_it: impl FnOnce(&Job, &str) -> T) -> Result<T, Refusal> {
    let holds = |pipeline: &&Pipeline| pipeline.jobs.iter().any(|job| job.id == id);
    let pipeline = world.pipelines.iter().find(holds).ok_or(MISSING)?;
    let job = pipeline.jobs.iter().find(|job| job.id == id).ok_or(MISSING)?;
    Ok(use_it(job, &pipeline.branch))
}

pub async fn job(State(world): State<Shared>, Path((_, id)): Named) -> Reply {
    let world = lock(&world);
    with_job(&world, id, |job, branch| shape(&world, job, branch)).map(Json)
}

pub async fn trace(State(world): State<Shared>, Path((_, id)): Named) -> Result<String, Refusal> {
    with_job(&lock(&world), id, |job, _| job.trace.clone())
}

pub async fn artifacts(State(world): State<Shared>, Path((_, id)): Named) -> Result<Vec<u8>, Refusal> {
    with_job(&lock(&world), id, |job, _| job.artifact.clone())?.ok_or(MISSING)
}
