//! Files, through the contents API.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

use super::{COMMIT, MISSING, REPOSITORY, Refusal, Shared, lock};

type Place = Path<(String, String, String)>;

/// Stands for git's id of a blob.
fn sha(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..20])
}

fn file(url: &str, path: &str, text: &str) -> Value {
    let base = format!("{url}/repos/{REPOSITORY}/contents/{path}");
    // GitHub breaks the lines.
    let packed: Vec<u8> = STANDARD.encode(text).bytes().collect();
    let lines: Vec<String> =
        packed.chunks(60).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    json!({
        "type": "file", "encoding": "base64", "size": text.len(), "name": path.rsplit('/').next(), "path": path,
        "content": lines.join("\n"), "sha": sha(text), "url": base, "git_url": base, "html_url": base, "download_url": base,
        "_links": { "git": base, "self": base, "html": base },
    })
}

fn commit(url: &str, content: Value, message: &Value) -> Value {
    let link = format!("{url}/repos/{REPOSITORY}/git/commits/{COMMIT}");
    let who = json!({ "name": "Octo", "email": "octo@example.org", "date": "2026-03-04T05:06:07Z" });
    json!({
        "content": content,
        "commit": {
            "sha": COMMIT, "node_id": "C_1", "url": link, "html_url": link, "author": who, "committer": who,
            "message": message, "tree": { "url": link, "sha": COMMIT }, "parents": [],
            "verification": { "verified": false, "reason": "unsigned", "signature": null, "payload": null, "verified_at": null },
        },
    })
}

pub async fn get(
    State(world): State<Shared>,
    Path((_, _, path)): Place,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Value>, Refusal> {
    let world = lock(&world);
    let branch = query.get("ref").map_or("main", String::as_str).to_owned();
    let text = world.files.get(&(branch, path.clone())).ok_or(MISSING)?;
    Ok(Json(file(&world.url, &path, text)))
}

pub async fn put(
    State(world): State<Shared>,
    Path((_, _, path)): Place,
    Json(body): Json<Value>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let invalid = |why| Refusal(StatusCode::UNPROCESSABLE_ENTITY, why);
    let mut world = lock(&world);
    let branch = body["branch"].as_str().unwrap_or("main").to_owned();
    if !matches!(branch.as_str(), "main" | "dev") {
        return Err(Refusal(StatusCode::NOT_FOUND, "Branch not found"));
    }
    let content = STANDARD.decode(body["content"].as_str().unwrap_or_default());
    let text = String::from_utf8(content.map_err(|_| invalid("content is not valid Base64"))?);
    let text = text.map_err(|_| invalid("content is no text"))?;
    let key = (branch, path.clone());
    let there = world.files.get(&key).map(|text| sha(text));
    match (&there, body["sha"].as_str()) {
        (None, _) => {}
        (Some(_), None) => return Err(invalid("Invalid request. \"sha\" wasn't supplied.")),
        (Some(there), Some(given)) if given != there => {
            return Err(Refusal(StatusCode::CONFLICT, "is at another sha than was given"));
        }
        _ => {}
    }
    let status = if there.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    let answer = commit(&world.url, file(&world.url, &path, &text), &body["message"]);
    world.files.insert(key, text);
    Ok((status, Json(answer)))
}

pub async fn delete(
    State(world): State<Shared>,
    Path((_, _, path)): Place,
    Json(body): Json<Value>,
) -> Result<Json<Value>, Refusal> {
    let mut world = lock(&world);
    let key = (body["branch"].as_str().unwrap_or("main").to_owned(), path);
    let there = world.files.get(&key).ok_or(MISSING)?;
    if body["sha"].as_str() != Some(sha(there).as_str()) {
        return Err(Refusal(StatusCode::CONFLICT, "is at another sha than was given"));
    }
    world.files.remove(&key);
    Ok(Json(commit(&world.url, Value::Null, &body["message"])))
}
