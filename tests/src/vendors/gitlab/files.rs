//! Files of the repository.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{COMMIT, Refusal, Shared, World, lock};

type Place = Path<(String, String)>;
type Asked = Query<HashMap<String, String>>;

const NO_FILE: Refusal = Refusal(StatusCode::NOT_FOUND, "404 File Not Found");

fn bad(why: &'static str) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, why)
}

pub async fn get(
    State(world): State<Shared>,
    Path((_, path)): Place,
    Query(query): Asked,
) -> Result<Json<Value>, Refusal> {
    let branch = query.get("ref").ok_or(bad("ref is missing"))?;
    let world = lock(&world);
    let text = world.files.get(&(branch.clone(), path.clone())).ok_or(NO_FILE)?;
    Ok(Json(json!({
        "file_name": path.rsplit('/').next(), "file_path": path, "size": text.len(), "encoding": "base64",
        "content": STANDARD.encode(text), "ref": branch, "blob_id": COMMIT, "commit_id": COMMIT, "last_commit_id": COMMIT,
    })))
}

/// The text to write and where to.
fn written(path: String, body: &Value) -> Result<((String, String), String), Refusal> {
    let branch = body["branch"].as_str().ok_or(bad("branch is missing"))?;
    if !matches!(branch, "main" | "dev") {
        return Err(bad("You can only create or edit files when you are on a branch"));
    }
    let content = body["content"].as_str().ok_or(bad("content is missing"))?;
    let text = match body["encoding"].as_str() {
        Some("base64") => {
            let bytes = STANDARD.decode(content).map_err(|_| bad("content is invalid"))?;
            String::from_utf8(bytes).map_err(|_| bad("content is invalid"))?
        }
        _ => content.to_owned(),
    };
    Ok(((branch.to_owned(), path), text))
}

fn answer(world: &mut World, key: (String, String), text: String) -> Json<Value> {
    let (branch, path) = key.clone();
    world.files.insert(key, text);
    Json(json!({ "file_path": path, "branch": branch }))
}

pub async fn add(
    State(world): State<Shared>,
    Path((_, path)): Place,
    Json(body): Json<Value>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let (key, text) = written(path, &body)?;
    let mut world = lock(&world);
    if world.files.contains_key(&key) {
        return Err(bad("A file with this name already exists"));
    }
    Ok((StatusCode::CREATED, answer(&mut world, key, text)))
}

pub async fn change(
    State(world): State<Shared>,
    Path((_, path)): Place,
    Json(body): Json<Value>,
) -> Result<Json<Value>, Refusal> {
    let (key, text) = written(path, &body)?;
    let mut world = lock(&world);
    if !world.files.contains_key(&key) {
        return Err(bad("A file with this name doesn't exist"));
    }
    if body.get("last_commit_id").is_some_and(|last| last != COMMIT) {
        return Err(bad("You are attempting to update a file that has changed in the meantime"));
    }
    Ok(answer(&mut world, key, text))
}

pub async fn delete(
    State(world): State<Shared>,
    Path((_, path)): Place,
    Query(query): Asked,
) -> Result<StatusCode, Refusal> {
    let branch = query.get("branch").ok_or(bad("branch is missing"))?.clone();
    query.get("commit_message").ok_or(bad("commit_message is missing"))?;
    lock(&world).files.remove(&(branch, path)).map(|_| StatusCode::NO_CONTENT).ok_or(NO_FILE)
}
