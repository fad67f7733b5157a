//! The repository, its hooks, statuses, pull requests and comments.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::collections::HashMap;

use super::{COMMIT, MISSING, Refusal, Shared, lock, shapes};

type Named<T> = Path<(String, String, T)>;
type Reply = Result<Json<Value>, Refusal>;
type Made = Result<(StatusCode, Json<Value>), Refusal>;

pub async fn repository(State(world): State<Shared>) -> Json<Value> {
    Json(shapes::repository(&lock(&world).url))
}

pub async fn hooks(State(world): State<Shared>) -> Reply {
    let world = lock(&world);
    fails(world.hook_failure)?;
    Ok(Json(world.hooks.iter().map(|(id, asked)| shapes::hook(&world.url, *id, asked)).collect()))
}

/// Refuses if a test wants that.
pub(super) fn fails(code: Option<u16>) -> Result<(), Refusal> {
    match code.and_then(|code| StatusCode::from_u16(code).ok()) {
        Some(code) => Err(Refusal(code, "This does not work now")),
        None => Ok(()),
    }
}

pub async fn hook_add(State(world): State<Shared>, Json(body): Json<Value>) -> Made {
    let mut world = lock(&world);
    if world.hooks.values().any(|hook| hook["config"]["url"] == body["config"]["url"]) {
        return Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, "Hook already exists on this repository"));
    }
    let id = 1 + world.hooks.len() as u64;
    let answer = shapes::hook(&world.url, id, &body);
    world.hooks.insert(id, body);
    Ok((StatusCode::CREATED, Json(answer)))
}

pub async fn hook_change(
    State(world): State<Shared>,
    Path((_, _, id)): Named<u64>,
    Json(body): Json<Value>,
) -> Reply {
    let mut world = lock(&world);
    *world.hooks.get_mut(&id).ok_or(MISSING)? = body.clone();
    Ok(Json(shapes::hook(&world.url, id, &body)))
}

pub async fn hook_remove(
    State(world): State<Shared>,
    Path((_, _, id)): Named<u64>,
) -> Result<StatusCode, Refusal> {
    lock(&world).hooks.remove(&id).map(|_| StatusCode::NO_CONTENT).ok_or(MISSING)
}

pub async fn status(
    State(world): State<Shared>,
    Path((_, _, sha)): Named<String>,
    Json(body): Json<Value>,
) -> Made {
    let mut world = lock(&world);
    fails(world.status_failure)?;
    if sha != COMMIT && !world.commits.contains(&sha) {
        return Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, "No commit found for SHA"));
    }
    if body["description"].as_str().is_some_and(|text| text.chars().count() > 140) {
        return Err(Refusal(
            StatusCode::UNPROCESSABLE_ENTITY,
            "description is too long (maximum is 140 characters)",
        ));
    }
    let answer = shapes::status(&world.url, &body);
    world.statuses.push(body);
    Ok((StatusCode::CREATED, Json(answer)))
}

pub async fn commit(State(world): State<Shared>, Path((_, _, sha)): Named<String>) -> Reply {
    let url = format!("{}/repos/octo/app/commits/{sha}", lock(&world).url);
    if sha == COMMIT { Ok(Json(json!({ "sha": sha, "url": url }))) } else { Err(MISSING) }
}

pub async fn pulls(State(world): State<Shared>, Query(query): Query<HashMap<String, String>>) -> Json<Value> {
    let world = lock(&world);
    if let Some(pulls) = &world.pulls {
        return Json(json!(pulls));
    }
    let page: u64 = query.get("page").and_then(|page| page.parse().ok()).unwrap_or(1);
    // A full page and a short one.
    let numbers = if page == 1 { 102..=201 } else { 100..=101 };
    Json(numbers.rev().map(|number| shapes::pull(&world.url, number)).collect())
}

pub async fn pull(State(world): State<Shared>, Path((_, _, number)): Named<u64>) -> Reply {
    if number > 201 { Err(MISSING) } else { Ok(Json(shapes::pull(&lock(&world).url, number))) }
}

pub async fn comments(State(world): State<Shared>) -> Json<Value> {
    Json(json!(lock(&world).comments))
}

pub async fn comment_add(State(world): State<Shared>, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    let mut world = lock(&world);
    let comment = json!({ "id": 1 + world.comments.len(), "body": body["body"] });
    world.comments.push(comment.clone());
    (StatusCode::CREATED, Json(comment))
}

pub async fn comment_change(
    State(world): State<Shared>,
    Path((_, _, id)): Named<u64>,
    Json(body): Json<Value>,
) -> Reply {
    let mut world = lock(&world);
    let comment = world.comments.iter_mut().find(|comment| comment["id"] == id).ok_or(MISSING)?;
    comment["body"] = body["body"].clone();
    Ok(Json(comment.clone()))
}
