//! Deployments and how they go.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::forge::fails;
use super::{COMMIT, MISSING, Refusal, Shared, lock, shapes};

type Made = Result<(StatusCode, Json<Value>), Refusal>;

/// A deployment that the server was told of.
#[derive(Debug, Clone)]
pub struct Placed {
    pub id: u64,
    /// As it was asked for.
    pub asked: Value,
    /// The newest last.
    pub statuses: Vec<Value>,
}

impl Placed {
    pub fn state(&self) -> &str {
        self.statuses.last().and_then(|status| status["state"].as_str()).unwrap_or("pending")
    }

    pub fn environment(&self) -> &str {
        self.asked["environment"].as_str().unwrap_or("production")
    }

    /// GitHub retires it by itself when a later one succeeds.
    fn is_retired_with(&self, environment: &str) -> bool {
        let is_kept = self.asked["transient_environment"] == true || self.environment() == "production";
        self.environment() == environment && self.state() == "success" && !is_kept
    }
}

pub(crate) async fn list(
    State(world): State<Shared>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Value>, Refusal> {
    let world = lock(&world);
    fails(world.deployment_failure)?;
    let fits = |name: &str, found: &str| query.get(name).is_none_or(|wanted| wanted == found);
    let found = world.deployments.iter().rev().filter(|one| {
        fits("environment", one.environment()) && fits("sha", one.asked["ref"].as_str().unwrap_or_default())
    });
    Ok(Json(found.map(|one| shapes::deployment(&world.url, one)).collect()))
}

pub(crate) async fn add(State(world): State<Shared>, Json(body): Json<Value>) -> Made {
    let mut world = lock(&world);
    fails(world.deployment_failure)?;
    let sha = body["ref"].as_str().unwrap_or_default();
    if sha != COMMIT && !world.commits.iter().any(|known| known == sha) {
        return Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, "No ref found for: that commit"));
    }
    if body["auto_merge"] != false || body["required_contexts"] != json!([]) {
        return Err(Refusal(StatusCode::CONFLICT, "Conflict: Commit status checks failed for that commit"));
    }
    let placed = Placed { id: 41 + world.deployments.len() as u64, asked: body, statuses: Vec::new() };
    let answer = shapes::deployment(&world.url, &placed);
    world.deployments.push(placed);
    Ok((StatusCode::CREATED, Json(answer)))
}

pub(crate) async fn status(
    State(world): State<Shared>,
    Path((_, _, id)): Path<(String, String, u64)>,
    Json(body): Json<Value>,
) -> Made {
    let mut world = lock(&world);
    fails(world.deployment_failure)?;
    let url = world.url.clone();
    let nth = world.deployments.iter().position(|one| one.id == id).ok_or(MISSING)?;
    let environment = world.deployments[nth].environment().to_owned();
    if body["state"] == "success" && body["auto_inactive"] != false {
        let before = world.deployments[..nth].iter_mut().filter(|one| one.is_retired_with(&environment));
        before.for_each(|one| one.statuses.push(json!({ "state": "inactive" })));
    }
    let answer = shapes::deployment_status(&url, id, &body);
    world.deployments[nth].statuses.push(body);
    Ok((StatusCode::CREATED, Json(answer)))
}
