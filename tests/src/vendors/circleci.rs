//! A CircleCI that keeps pipelines, workflows, jobs and what they wrote, as far as the plugin goes. `prism proxy --errors` holds
//! its answers to CircleCI's own document (API v2); API v1.1, which has the logs, has none.

#![allow(clippy::result_large_err, reason = "a refusal is the whole response")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::fake::Fake;

pub const TOKEN: &str = "CCIPAT_4711_aabbccddeeff";
/// The only project.
pub const SLUG: &str = "gh/org/app";
const AT: &str = "2024-05-01T10:00:00Z";
/// What the committed configuration declares.
pub const CONFIG: &str = "version: 2.1\nparameters:\n  target: { type: string, default: staging }\n  \
                          dry-run: { type: boolean, default: false }\njobs: {}\n";

pub struct CircleCi {
    pub fake: Fake,
    world: Shared,
}

type Shared = Arc<Mutex<World>>;
type Reply = Result<Json<Value>, Response>;
type Project = Path<(String, String, String)>;

#[derive(Default)]
pub struct World {
    url: String,
    pub pipelines: Vec<Pipeline>,
}

pub struct Pipeline {
    pub id: String,
    pub number: u64,
    pub branch: String,
    pub source: String,
    pub state: String,
    /// As they were sent.
    pub request: Value,
    pub workflows: Vec<Workflow>,
}

pub struct Workflow {
    pub id: String,
    pub name: String,
    pub status: String,
    /// Number, name and status.
    pub jobs: Vec<(u64, String, String)>,
    /// What the jobs wrote in their only step.
    pub output: BTreeMap<u64, String>,
}

impl CircleCi {
    pub async fn start() -> Self {
        let world = Shared::default();
        let shared = world.clone();
        let fake = Fake::start(move |url| {
            lock(&shared).url = url.to_owned();
            Router::new()
                .route(
                    "/api/v2/me",
                    get(async || Json(json!({ "id": uuid(1, 1), "login": "ada", "name": "Ada" }))),
                )
                .route("/api/v2/project/{system}/{organisation}/{project}", get(project))
                .route("/api/v2/project/{system}/{organisation}/{project}/pipeline", get(newest).post(start))
                .route("/api/v2/project/{system}/{organisation}/{project}/pipeline/run", post(start))
                .route("/api/v2/project/{system}/{organisation}/{project}/{job}/artifacts", get(artifacts))
                .route("/api/v2/pipeline/{id}", get(pipeline))
                .route("/api/v2/pipeline/{id}/config", get(config))
                .route("/api/v2/pipeline/{id}/workflow", get(workflows))
                .route("/api/v2/workflow/{id}/job", get(jobs))
                .route("/api/v2/workflow/{id}/cancel", post(cancel))
                .route("/api/v1.1/project/{system}/{organisation}/{project}/{job}", get(steps))
                .layer(from_fn(authorised))
                // Signed addresses need no token.
                .route("/api/private/output/presigned/{job}", get(output))
                .with_state(shared)
        })
        .await;
        Self { fake, world }
    }

    /// What happens there without anybody asking.
    pub fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }
}

impl World {
    /// Somebody pushed, and CircleCI ran what was committed.
    pub fn push(&mut self, branch: &str, source: &str) -> &mut Pipeline {
        let number = self.pipelines.len() as u64 + 1;
        self.pipelines.push(Pipeline {
            id: uuid(2, number),
            number,
            branch: branch.to_owned(),
            source: source.to_owned(),
            state: "pending".to_owned(),
            request: Value::Null,
            workflows: Vec::new(),
        });
        self.pipelines.last_mut().expect("it was just put there")
    }

    /// The newest pipeline gets a workflow with one job.
    pub fn workflow(&mut self, name: &str, status: &str) -> &mut Workflow {
        let pipeline = self.pipelines.last_mut().expect("there is a pipeline");
        pipeline.state = "created".to_owned();
        let number = pipeline.number * 10 + pipeline.workflows.len() as u64;
        pipeline.workflows.push(Workflow {
            id: uuid(3, number),
            name: name.to_owned(),
            status: status.to_owned(),
            jobs: vec![(number, format!("{name}-job"), status.to_owned())],
            output: BTreeMap::from([(number, format!("{name} wrote this\n"))]),
        });
        pipeline.workflows.last_mut().expect("it was just put there")
    }

    fn find(&self, id: &str) -> Option<&Pipeline> {
        self.pipelines.iter().find(|pipeline| pipeline.id == id)
    }
}

impl Workflow {
    pub fn end(&mut self, status: &str) {
        self.status = status.to_owned();
        self.jobs.iter_mut().for_each(|(_, _, job)| *job = status.to_owned());
    }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().expect("no request panics while it holds the world")
}

fn uuid(kind: u64, number: u64) -> String {
    format!("{kind:08x}-0000-4000-8000-{number:012x}")
}

fn refusal(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}

fn missing(what: &str) -> Response {
    refusal(StatusCode::NOT_FOUND, &format!("{what} not found"))
}

async fn authorised(request: Request, next: Next) -> Response {
    match request.headers().get("circle-token") {
        Some(token) if token == TOKEN => next.run(request).await,
        _ => refusal(StatusCode::UNAUTHORIZED, "You must log in first."),
    }
}

fn known((system, organisation, project): &(String, String, String)) -> Result<(), Response> {
    let slug = format!("{system}/{organisation}/{project}");
    if slug == SLUG || slug == "github/org/app" { Ok(()) } else { Err(missing("Project")) }
}

async fn project(Path(path): Project) -> Reply {
    known(&path)?;
    Ok(Json(json!({
        "slug": SLUG, "name": "app", "id": uuid(4, 1), "organization_name": "org", "organization_slug": "gh/org",
        "organization_id": uuid(4, 2),
        "vcs_info": { "vcs_url": "https://github.com/org/app", "provider": "GitHub", "default_branch": "main" },
    })))
}

async fn newest(
    State(world): State<Shared>,
    Path(path): Project,
    Query(query): Query<BTreeMap<String, String>>,
) -> Reply {
    known(&path)?;
    let world = lock(&world);
    let of_branch =
        |pipeline: &&Pipeline| query.get("branch").is_none_or(|branch| *branch == pipeline.branch);
    let items: Vec<Value> = world.pipelines.iter().rev().filter(of_branch).map(shown).collect();
    Ok(Json(json!({ "items": items, "next_page_token": null })))
}

/// Checks parameters as CircleCI does: by the types that the configuration declares.
async fn start(State(world): State<Shared>, Path(path): Project, Json(body): Json<Value>) -> Response {
    if let Err(refusal) = known(&path) {
        return refusal;
    }
    for (name, value) in body["parameters"].as_object().into_iter().flatten() {
        let fits = match name.as_str() {
            "target" => value.is_string(),
            "dry-run" => value.is_boolean(),
            _ => return refusal(StatusCode::BAD_REQUEST, &format!("Unexpected argument(s): {name}")),
        };
        if !fits {
            return refusal(StatusCode::BAD_REQUEST, &format!("Type error for argument {name}"));
        }
    }
    let branch = body["branch"].as_str().or(body["config"]["branch"].as_str()).unwrap_or_default().to_owned();
    let mut world = lock(&world);
    let pipeline = world.push(&branch, CONFIG);
    pipeline.request = body;
    let created =
        json!({ "id": pipeline.id, "number": pipeline.number, "state": "pending", "created_at": AT });
    (StatusCode::CREATED, Json(created)).into_response()
}

fn shown(pipeline: &Pipeline) -> Value {
    json!({
        "id": pipeline.id, "number": pipeline.number, "state": pipeline.state, "errors": [], "project_slug": SLUG,
        "created_at": AT, "updated_at": AT,
        "trigger": { "type": "api", "received_at": AT, "actor": { "login": "ada", "avatar_url": "https://a.example/a.png" } },
    })
}

async fn pipeline(State(world): State<Shared>, Path(id): Path<String>) -> Reply {
    lock(&world).find(&id).map(|found| Json(shown(found))).ok_or_else(|| missing("Pipeline"))
}

async fn config(State(world): State<Shared>, Path(id): Path<String>) -> Reply {
    let world = lock(&world);
    let found = world.find(&id).ok_or_else(|| missing("Pipeline"))?;
    Ok(Json(json!({ "source": found.source, "compiled": found.source })))
}

async fn workflows(State(world): State<Shared>, Path(id): Path<String>) -> Reply {
    let world = lock(&world);
    let found = world.find(&id).ok_or_else(|| missing("Pipeline"))?;
    let workflow = |workflow: &Workflow| {
        let is_over = !matches!(workflow.status.as_str(), "running" | "failing" | "on_hold");
        json!({
            "id": workflow.id, "name": workflow.name, "status": workflow.status, "created_at": AT,
            "stopped_at": is_over.then_some("2024-05-01T10:05:00Z"), "pipeline_id": found.id,
            "pipeline_number": found.number, "project_slug": SLUG, "started_by": uuid(1, 1),
        })
    };
    let items: Vec<Value> = found.workflows.iter().map(workflow).collect();
    Ok(Json(json!({ "items": items, "next_page_token": null })))
}

async fn jobs(State(world): State<Shared>, Path(id): Path<String>) -> Reply {
    let world = lock(&world);
    let mut all = world.pipelines.iter().flat_map(|pipeline| &pipeline.workflows);
    let found = all.find(|workflow| workflow.id == id).ok_or_else(|| missing("Workflow"))?;
    let job = |(number, name, status): &(u64, String, String)| {
        json!({
            "id": uuid(5, *number), "job_number": number, "name": name, "status": status, "type": "build",
            "started_at": AT, "dependencies": [], "project_slug": SLUG,
        })
    };
    Ok(Json(json!({ "items": found.jobs.iter().map(job).collect::<Vec<_>>(), "next_page_token": null })))
}

async fn cancel(State(world): State<Shared>, Path(id): Path<String>) -> Response {
    let mut world = lock(&world);
    let mut all = world.pipelines.iter_mut().flat_map(|pipeline| &mut pipeline.workflows);
    let Some(found) = all.find(|workflow| workflow.id == id) else {
        return missing("Workflow");
    };
    found.end("canceled");
    (StatusCode::ACCEPTED, Json(json!({ "message": "Accepted." }))).into_response()
}

async fn artifacts(
    State(world): State<Shared>,
    Path((system, organisation, project, job)): Path<(String, String, String, u64)>,
) -> Reply {
    known(&(system, organisation, project))?;
    let url = format!("{}/api/private/output/presigned/{job}", lock(&world).url);
    let items = json!([{ "path": "out/report.json", "node_index": 0, "url": url }]);
    Ok(Json(json!({ "items": items, "next_page_token": null })))
}

/// A job as API v1.1 has it: one step, whose output is elsewhere.
async fn steps(
    State(world): State<Shared>,
    Path((system, organisation, project, job)): Path<(String, String, String, u64)>,
) -> Reply {
    known(&(system, organisation, project))?;
    let world = lock(&world);
    let mut all =
        world.pipelines.iter().flat_map(|pipeline| &pipeline.workflows).flat_map(|workflow| &workflow.jobs);
    let (_, _, status) = all.find(|(number, ..)| *number == job).ok_or_else(|| missing("Build"))?;
    let action = json!({
        "index": 0, "step": 101, "name": "Deploy", "status": status, "has_output": true,
        "output_url": format!("{}/api/private/output/presigned/{job}", world.url),
    });
    Ok(Json(json!({ "build_num": job, "steps": [{ "name": "Deploy", "actions": [action] }] })))
}

async fn output(State(world): State<Shared>, Path(job): Path<u64>) -> Reply {
    let world = lock(&world);
    let mut all = world.pipelines.iter().flat_map(|pipeline| &pipeline.workflows);
    let text = all.find_map(|workflow| workflow.output.get(&job)).ok_or_else(|| missing("Output"))?;
    Ok(Json(json!([{ "type": "out", "time": AT, "message": text }])))
}
