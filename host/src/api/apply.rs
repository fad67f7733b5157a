//! `/api/v1/apply`: a whole server as one file. And the JSON Schemas of the files that people write.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Body, Success, ok};
use crate::app::App;
use crate::app::apply::{self, Applied, ApplyPlan, Wanted};
use crate::domain::repo_file::RepoFile;
use crate::domain::server_file::ServerFile;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(apply_plan)).routes(routes!(apply_file))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PlanInput {
    /// What errors call the file.
    #[serde(default = "file_name")]
    name: String,
    /// The file's YAML.
    document: String,
    /// Values of the file's references `${NAME}`, by name. One that is left out keeps what is stored.
    #[serde(default)]
    secrets: BTreeMap<String, String>,
    /// Whether what the file does not mention is deleted.
    #[serde(default)]
    prune: bool,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ApplyInput {
    #[serde(default = "file_name")]
    name: String,
    document: String,
    #[serde(default)]
    secrets: BTreeMap<String, String>,
    #[serde(default)]
    prune: bool,
    /// Hash of the plan that is meant.
    plan_hash: String,
}

fn file_name() -> String {
    "file".into()
}

/// Says what applying a file would do: what is created, changed and deleted, value by value. Nothing is changed.
#[utoipa::path(post, path = "/api/v1/apply/plan", tag = "apply", request_body = PlanInput,
    responses((status = 200, body = Success<ApplyPlan>), (status = 422)),
    security(("token" = ["admin:server"])))]
async fn apply_plan(
    State(app): State<App>,
    auth: Auth,
    Body(input): Body<PlanInput>,
) -> ApiResult<Json<Success<ApplyPlan>>> {
    let PlanInput { name, document, secrets, prune } = input;
    let wanted = Wanted { name, text: document, secrets, prune };
    Ok(ok(apply::apply_plan(&app, &wanted, &auth.who).await?))
}

/// Makes the server what a file says, if that is still what its plan said.
#[utoipa::path(post, path = "/api/v1/apply", tag = "apply", request_body = ApplyInput,
    responses((status = 200, body = Success<Applied>), (status = 409), (status = 422)),
    security(("token" = ["admin:server"])))]
async fn apply_file(
    State(app): State<App>,
    auth: Auth,
    Body(input): Body<ApplyInput>,
) -> ApiResult<Json<Success<Applied>>> {
    let ApplyInput { name, document, secrets, prune, plan_hash } = input;
    let wanted = Wanted { name, text: document, secrets, prune };
    Ok(ok(apply::apply(&app, &wanted, &plan_hash, &auth.who).await?))
}

/// The JSON Schemas of the files that people write, by their names in `docs`; for editors.
pub fn file_schemas() -> [(&'static str, Value); 2] {
    [
        ("windlass.schema.json", schema::<RepoFile>("windlass.yaml: what a commit says about its own build")),
        ("server.schema.json", schema::<ServerFile>("A whole server, for windlass apply -f")),
    ]
}

fn schema<T: ToSchema>(title: &str) -> Value {
    let mut parts = Vec::new();
    T::schemas(&mut parts);
    let parts: serde_json::Map<String, Value> =
        parts.into_iter().map(|(name, part)| (name, json!(part))).collect();
    let mut whole = json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "title": title });
    if let (Some(whole), Value::Object(own)) = (whole.as_object_mut(), json!(T::schema())) {
        whole.extend(own);
        whole.insert("$defs".into(), Value::Object(parts));
    }
    within(whole)
}

/// References of an OpenAPI document lead to another place than those of a schema that stands alone.
fn within(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace("#/components/schemas/", "#/$defs/")),
        Value::Array(list) => list.into_iter().map(within).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, within(value))).collect(),
        other => other,
    }
}
