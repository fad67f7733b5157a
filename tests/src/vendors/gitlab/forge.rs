//! The token, the project, its hooks, statuses, merge requests and notes.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{COMMIT, MISSING, PROJECT, Refusal, Shared, World, lock};

type Reply = Result<Json<Value>, Refusal>;

pub async fn token(State(world): State<Shared>) -> Json<Value> {
    Json(json!({
        "id": 3, "name": "windlass", "revoked": false, "scopes": lock(&world).scopes, "user_id": 1, "active": true,
        "created_at": "2026-03-04T05:06:07.000Z",
    }))
}

pub async fn project(State(world): State<Shared>) -> Json<Value> {
    let world = lock(&world);
    Json(json!({
        "id": 7, "name": "app", "path": "app", "path_with_namespace": PROJECT, "default_branch": "main",
        "description": "An application", "visibility": "private", "archived": false, "empty_repo": false,
        "http_url_to_repo": format!("{}/{PROJECT}.git", world.url), "ssh_url_to_repo": format!("git@gitlab.example:{PROJECT}.git"),
        "web_url": format!("{}/{PROJECT}", world.url), "ci_config_path": world.config_path.clone().unwrap_or_default(),
        "builds_access_level": "enabled",
    }))
}

/// GitLab's document calls the number a text, and never tells the token.
fn hook(id: u64, asked: &Value) -> Value {
    json!({
        "id": id.to_string(), "url": asked["url"], "project_id": "7", "push_events": asked["push_events"],
        "tag_push_events": asked["tag_push_events"], "enable_ssl_verification": true,
    })
}

pub async fn hooks(State(world): State<Shared>) -> Json<Value> {
    Json(lock(&world).hooks.iter().map(|(id, asked)| hook(*id, asked)).collect())
}

pub async fn hook_add(
    State(world): State<Shared>,
    Json(body): Json<Value>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    if !body["url"].as_str().is_some_and(|url| url.starts_with("http")) {
        return Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, "Invalid url given"));
    }
    let mut world = lock(&world);
    let id = 1 + world.hooks.len() as u64;
    let answer = hook(id, &body);
    world.hooks.insert(id, body);
    Ok((StatusCode::CREATED, Json(answer)))
}

pub async fn hook_change(
    State(world): State<Shared>,
    Path((_, id)): Path<(String, u64)>,
    Json(body): Json<Value>,
) -> Reply {
    let mut world = lock(&world);
    *world.hooks.get_mut(&id).ok_or(MISSING)? = body.clone();
    Ok(Json(hook(id, &body)))
}

pub async fn hook_remove(
    State(world): State<Shared>,
    Path((_, id)): Path<(String, u64)>,
) -> Result<StatusCode, Refusal> {
    lock(&world).hooks.remove(&id).map(|_| StatusCode::NO_CONTENT).ok_or(MISSING)
}

pub async fn status(
    State(world): State<Shared>,
    Path((_, sha)): Path<(String, String)>,
    Json(body): Json<Value>,
) -> Result<Response, Refusal> {
    let mut world = lock(&world);
    if sha != COMMIT {
        return Err(Refusal(StatusCode::NOT_FOUND, "404 Commit Not Found"));
    }
    if world.statuses.iter().any(|known| known["name"] == body["name"] && known["state"] == body["state"]) {
        let why = json!({ "message": { "status": ["Cannot transition status via :run from :running"] } });
        return Ok((StatusCode::BAD_REQUEST, Json(why)).into_response());
    }
    world.statuses.retain(|known| known["name"] != body["name"]);
    world.statuses.push(body.clone());
    let answer = json!({
        "id": 1, "sha": sha, "ref": "main", "status": body["state"], "name": body["name"],
        "description": body["description"], "created_at": "2026-03-04T05:06:07.000Z",
    });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// GitLab answers with the environment as an object.
fn deployment_of(world: &World, id: usize) -> Value {
    let told = &world.deployments[id - 1];
    let mut environment = environment_of(world);
    environment["name"] = told["environment"].clone();
    json!({
        "id": id, "iid": id, "ref": told["ref"], "sha": told["sha"], "status": told["status"],
        "created_at": "2026-03-04T05:06:07.000Z", "updated_at": "2026-03-04T05:06:07.000Z",
        "environment": environment,
    })
}

fn environment_of(world: &World) -> Value {
    let mut environment = json!({ "id": 9, "name": "app", "slug": "app" });
    if let Some(url) = &world.external_url {
        environment["external_url"] = url.as_str().into();
    }
    environment
}

/// Only an environment that is asked for by itself tells its state and its last good deployment.
pub async fn environment(State(world): State<Shared>) -> Json<Value> {
    let world = lock(&world);
    let mut environment = environment_of(&world);
    environment["state"] = if world.is_stopped { "stopped" } else { "available" }.into();
    if let Some(nth) = world.deployments.iter().rposition(|told| told["status"] == "success") {
        environment["last_deployment"] = deployment_of(&world, nth + 1);
    }
    Json(environment)
}

pub async fn environment_stop(State(world): State<Shared>) -> Json<Value> {
    let mut world = lock(&world);
    world.is_stopped = true;
    Json(environment_of(&world))
}

pub async fn environment_change(State(world): State<Shared>, Json(body): Json<Value>) -> Json<Value> {
    let mut world = lock(&world);
    world.external_url = body["external_url"].as_str().map(str::to_owned);
    Json(environment_of(&world))
}

pub async fn deployment_add(State(world): State<Shared>, Json(body): Json<Value>) -> Response {
    let mut world = lock(&world);
    let why = match () {
        () if body["sha"] != COMMIT => json!({ "sha": ["The commit does not exist"] }),
        () if body["ref"] != "main" => json!({ "ref": ["The branch or tag does not exist"] }),
        () => Value::Null,
    };
    if !why.is_null() {
        return (StatusCode::BAD_REQUEST, Json(json!({ "message": why }))).into_response();
    }
    world.is_stopped &= body["status"] != "success";
    world.deployments.push(body);
    let number = world.deployments.len();
    (StatusCode::CREATED, Json(deployment_of(&world, number))).into_response()
}

pub async fn deployment(State(world): State<Shared>, Path((_, id)): Path<(String, usize)>) -> Reply {
    let world = lock(&world);
    if !(1..=world.deployments.len()).contains(&id) {
        return Err(MISSING);
    }
    Ok(Json(deployment_of(&world, id)))
}

pub async fn deployment_change(
    State(world): State<Shared>,
    Path((_, id)): Path<(String, usize)>,
    Json(body): Json<Value>,
) -> Reply {
    let mut world = lock(&world);
    let told = id.checked_sub(1).and_then(|nth| world.deployments.get_mut(nth)).ok_or(MISSING)?;
    if told["status"] == body["status"] {
        return Err(Refusal(StatusCode::BAD_REQUEST, "Status cannot transition"));
    }
    told["status"] = body["status"].clone();
    world.is_stopped &= body["status"] != "success";
    Ok(Json(deployment_of(&world, id)))
}

fn merge_of(url: &str, iid: u64) -> Value {
    let (state, source) = match iid {
        1 => ("merged", 7),
        2 => ("closed", 7),
        3 => ("opened", 99),
        _ => ("opened", 7),
    };
    json!({
        "iid": iid, "title": format!("Change {iid}"), "state": state, "author": { "username": "octo" },
        "source_branch": "feature", "target_branch": "main", "source_project_id": source, "target_project_id": 7,
        "sha": COMMIT, "web_url": format!("{url}/{PROJECT}/-/merge_requests/{iid}"),
    })
}

pub async fn merges(
    State(world): State<Shared>,
    Query(query): Query<HashMap<String, String>>,
) -> Json<Value> {
    let url = lock(&world).url.clone();
    // A full page and a short one.
    let numbers = if query.get("page").is_some_and(|page| page == "2") { 100..=101 } else { 102..=201 };
    Json(numbers.rev().map(|iid| merge_of(&url, iid)).collect())
}

pub async fn merge(State(world): State<Shared>, Path((_, iid)): Path<(String, u64)>) -> Reply {
    if iid > 201 { Err(MISSING) } else { Ok(Json(merge_of(&lock(&world).url, iid))) }
}

pub async fn notes(State(world): State<Shared>) -> Json<Value> {
    Json(json!(lock(&world).notes))
}

pub async fn note_add(State(world): State<Shared>, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    let mut world = lock(&world);
    let note = json!({ "id": 1 + world.notes.len(), "body": body["body"] });
    world.notes.push(note.clone());
    (StatusCode::CREATED, Json(note))
}

pub async fn note_change(
    State(world): State<Shared>,
    Path((_, _, id)): Path<(String, u64, u64)>,
    Json(body): Json<Value>,
) -> Reply {
    let mut world = lock(&world);
    let note = world.notes.iter_mut().find(|note| note["id"] == id).ok_or(MISSING)?;
    note["body"] = body["body"].clone();
    Ok(Json(note.clone()))
}
