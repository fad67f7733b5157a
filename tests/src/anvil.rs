//! The server that the guests `anvil` and `mirror` talk to: a CI server and a forge, small and strict. It remembers every
//! request, so that a test can see what really went out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};

/// What every request has to carry: as bearer for the CI server, in `x-mirror-token` for the forge.
pub const TOKEN: &str = "anvil-token-4711";
/// What a build writes, in pieces of 16 bytes.
pub const LOG: &str = "strike one\nstrike two\nthe blade is done\n";
pub const ARTIFACT: &[u8] = b"a blade of 30 bytes, or about.";

pub struct Anvil {
    pub url: String,
    server: tokio::task::JoinHandle<()>,
    state: Shared,
}

type Shared = Arc<Mutex<Forge>>;

#[derive(Default)]
struct Forge {
    jobs: BTreeMap<String, Value>,
    /// By number; the idempotency key and the state.
    builds: BTreeMap<String, (String, String)>,
    hooks: BTreeMap<String, Value>,
    seen: Vec<Seen>,
}

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Anvil {
    pub async fn start() -> Self {
        let state = Shared::default();
        let app = Router::new()
            .route("/me", get(async || Json(json!({ "login": "smith", "version": "3.1" }))))
            .route("/jobs/{job}", put(job_put).get(job_get).delete(job_delete))
            .route("/jobs/{job}/builds", post(build_start))
            .route("/jobs/{job}/builds/{build}", get(build_get))
            .route("/jobs/{job}/builds/{build}/log", get(build_log))
            .route("/jobs/{job}/builds/{build}/cancel", post(build_cancel))
            .route("/jobs/{job}/builds/{build}/artifacts", get(artifacts))
            .route("/jobs/{job}/builds/{build}/artifacts/{artifact}", get(artifact))
            .route("/repos/{repository}", get(repository))
            .route("/repos/{repository}/hooks", post(hook_add))
            .route("/repos/{repository}/hooks/{hook}", delete(hook_remove))
            .route("/repos/{repository}/commits/{commit}/status", post(async || "ok"))
            .route("/repos/{repository}/places/{id}", put(place))
            .route("/repos/{repository}/pulls", get(pulls))
            .route("/repos/{repository}/pulls/{number}", get(pull))
            .route("/repos/{repository}/pulls/{number}/comments/{key}", put(async || "ok"))
            .layer(axum::middleware::from_fn_with_state(state.clone(), remember))
            .with_state(state.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("the server of a test runs");
        });
        Self { url, server, state }
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.state).seen.clone()
    }

    pub fn hooks(&self) -> Vec<Value> {
        lock(&self.state).hooks.values().cloned().collect()
    }

    /// Lets the newest build end.
    pub fn finish_build(&self, state: &str) {
        if let Some(mut build) = lock(&self.state).builds.last_entry() {
            build.get_mut().1 = state.to_owned();
        }
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock(state: &Shared) -> MutexGuard<'_, Forge> {
    state.lock().expect("no request panics")
}

async fn remember(
    State(state): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("a small body");
    let has = |name: &str, value: &str| headers.get(name).is_some_and(|found| found == value);
    let is_known = has("authorization", &format!("Bearer {TOKEN}")) || has("x-mirror-token", TOKEN);
    lock(&state).seen.push(Seen {
        method,
        path: uri.to_string(),
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    if !is_known {
        return (StatusCode::UNAUTHORIZED, "who are you?").into_response();
    }
    next.run(axum::extract::Request::from_parts(parts, body.into())).await
}

type Reply = Result<Json<Value>, StatusCode>;

async fn job_put(State(state): State<Shared>, Path(job): Path<String>, Json(body): Json<Value>) -> Reply {
    if body["pipeline"].as_str().is_none_or(str::is_empty) {
        return Err(StatusCode::UNPROCESSABLE_ENTITY);
    }
    lock(&state).jobs.insert(job.clone(), body);
    Ok(Json(json!({ "id": job, "name": job, "url": format!("https://anvil.example/{job}") })))
}

async fn job_get(State(state): State<Shared>, Path(job): Path<String>) -> Reply {
    let state = lock(&state);
    state.jobs.get(&job).ok_or(StatusCode::NOT_FOUND)?;
    let last = state.builds.last_key_value().map(|(id, (_, word))| json!({ "id": id, "state": word }));
    Ok(Json(json!({ "id": job, "name": job, "last": last })))
}

async fn job_delete(State(state): State<Shared>, Path(job): Path<String>) -> StatusCode {
    if lock(&state).jobs.remove(&job).is_some() { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

async fn build_start(State(state): State<Shared>, Path(job): Path<String>, headers: HeaderMap) -> Reply {
    let mut state = lock(&state);
    state.jobs.get(&job).ok_or(StatusCode::NOT_FOUND)?;
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default().to_owned();
    let known = state.builds.iter().find(|(_, (other, _))| *other == key).map(|(id, _)| id.clone());
    let id = known.unwrap_or_else(|| (state.builds.len() + 1).to_string());
    state.builds.entry(id.clone()).or_insert((key, "queued".to_owned()));
    Ok(Json(json!({ "id": id, "state": "queued" })))
}

async fn build_get(State(state): State<Shared>, Path((_, build)): Path<(String, String)>) -> Reply {
    let state = lock(&state);
    let (_, word) = state.builds.get(&build).ok_or(StatusCode::NOT_FOUND)?;
    Ok(Json(json!({ "id": build, "state": word, "started": 1_700_000_000_000u64 })))
}

/// A piece of `bytes` with the headers that say where the next one begins.
fn piece(bytes: &[u8], query: &BTreeMap<String, String>) -> Response {
    let from = query.get("from").and_then(|from| from.parse().ok()).unwrap_or(0usize).min(bytes.len());
    let to = (from + 16).min(bytes.len());
    let mut response = bytes[from..to].to_vec().into_response();
    let headers = response.headers_mut();
    let more = to < bytes.len();
    if more || query.contains_key("log") {
        headers.insert("x-next", to.into());
    }
    if more {
        headers.insert("x-more", 1.into());
    }
    response
}

/// The log of a build of `stuck` never moves on.
async fn build_log(
    Path((job, _)): Path<(String, String)>,
    Query(mut query): Query<BTreeMap<String, String>>,
) -> Response {
    query.insert("log".into(), String::new());
    let mut response = piece(LOG.as_bytes(), &query);
    if job == "stuck" {
        response.headers_mut().insert("x-next", 0.into());
        response.headers_mut().insert("x-more", 1.into());
    }
    response
}

async fn build_cancel(State(state): State<Shared>, Path((_, build)): Path<(String, String)>) -> StatusCode {
    match lock(&state).builds.get_mut(&build) {
        Some((_, word)) => {
            *word = "dropped".into();
            StatusCode::ACCEPTED
        }
        None => StatusCode::NOT_FOUND,
    }
}

async fn artifacts() -> Json<Value> {
    Json(json!([{ "id": "a1", "path": "../../etc/blade", "size": ARTIFACT.len() }]))
}

async fn artifact(Query(query): Query<BTreeMap<String, String>>) -> Response {
    piece(ARTIFACT, &query)
}

async fn repository(Path(repository): Path<String>) -> Reply {
    match repository.as_str() {
        "smith/blade" => Ok(Json(json!({
            "name": repository, "branch": "trunk", "clone": ["https://mirror.example/smith/blade.git"],
        }))),
        "smith/empty" => Ok(Json(json!({ "name": repository, "branch": null, "clone": [] }))),
        "smith/odd" => Ok(Json(json!({ "name": repository, "branch": "--upload-pack=x", "clone": [] }))),
        _ => Err(StatusCode::NOT_FOUND),
    }
}

async fn hook_add(State(state): State<Shared>, Json(hook): Json<Value>) -> String {
    let mut state = lock(&state);
    let id = format!("h{}", state.hooks.len() + 1);
    state.hooks.insert(id.clone(), hook);
    id
}

async fn hook_remove(State(state): State<Shared>, Path((_, hook)): Path<(String, String)>) -> StatusCode {
    if lock(&state).hooks.remove(&hook).is_some() { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

async fn place(Path((_, id)): Path<(String, String)>) -> Json<Value> {
    Json(json!({ "id": id }))
}

fn pull_of(number: u64) -> Value {
    json!({
        "number": number, "title": format!("Sharper {number}"), "open": number > 1, "head": "sharper",
        "commit": "0".repeat(40),
    })
}

async fn pulls(Query(query): Query<BTreeMap<String, String>>, _: Bytes) -> Response {
    let mut response = Json(json!([pull_of(3), pull_of(2)])).into_response();
    if query.get("page").is_some_and(|page| page == "1") {
        response.headers_mut().insert("x-next", 2.into());
    }
    response
}

async fn pull(Path((_, number)): Path<(String, u64)>) -> Reply {
    if number <= 3 { Ok(Json(pull_of(number))) } else { Err(StatusCode::NOT_FOUND) }
}
