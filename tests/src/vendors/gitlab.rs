//! GitLab's REST API, as far as a forge and a CI provider need it, with one project in memory. What it writes is held to
//! GitLab's own document by Prism, and to GitLab's ways by python-gitlab.

mod files;
mod forge;
pub mod oauth;
mod pipelines;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::fake::Fake;

pub const TOKEN: &str = "glpat-0123456789abcdefTOKEN";
/// The project's path; its default branch is `main`, and its number 7.
pub const PROJECT: &str = "group/sub/app";
/// Commit of everything that runs.
pub const COMMIT: &str = "da1560886d4f094c3e6c9ef40349f7d38b5d27d7";

/// Everything the server knows.
#[derive(Debug)]
pub struct World {
    pub url: String,
    /// Files by branch and path.
    pub files: BTreeMap<(String, String), String>,
    pub pipelines: Vec<Pipeline>,
    pub hooks: BTreeMap<u64, Value>,
    pub statuses: Vec<Value>,
    /// By the number less one: `environment`, `sha`, `ref`, `tag` and `status`.
    pub deployments: Vec<Value>,
    /// Where the one environment can be reached.
    pub external_url: Option<String>,
    /// Whether the one environment is.
    pub is_stopped: bool,
    pub notes: Vec<Value>,
    pub scopes: Vec<String>,
    /// The project's own path of its pipeline, if it has one.
    pub config_path: Option<String>,
    /// Whether the project lets pipelines be started with variables.
    pub takes_variables: bool,
    pub oauth: oauth::OAuth,
}

#[derive(Debug, Clone)]
pub struct Pipeline {
    pub id: u64,
    pub branch: String,
    pub status: String,
    pub variables: Vec<Value>,
    pub inputs: Value,
    pub jobs: Vec<Job>,
}

#[derive(Debug, Clone)]
pub struct Job {
    pub id: u64,
    pub name: String,
    pub status: String,
    pub trace: String,
    pub artifact: Option<Vec<u8>>,
}

pub struct GitLab {
    pub fake: Fake,
    world: Shared,
}

pub(crate) type Shared = Arc<Mutex<World>>;

impl GitLab {
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// At the same address as what answers everything else, such as a git server.
    pub async fn start_before(rest: Router) -> Self {
        Self::start_with(Some(rest)).await
    }

    async fn start_with(rest: Option<Router>) -> Self {
        let world = Arc::new(Mutex::new(World {
            url: String::new(),
            files: BTreeMap::new(),
            pipelines: Vec::new(),
            hooks: BTreeMap::new(),
            statuses: Vec::new(),
            deployments: Vec::new(),
            external_url: None,
            is_stopped: false,
            notes: Vec::new(),
            scopes: vec!["api".to_owned()],
            config_path: None,
            takes_variables: true,
            oauth: oauth::OAuth::default(),
        }));
        let kept = world.clone();
        let fake = Fake::start(move |url| {
            lock(&kept).url = url.to_owned();
            match rest {
                Some(rest) => router(kept).fallback_service(rest),
                None => router(kept),
            }
        })
        .await;
        Self { fake, world }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    /// Changes the newest pipeline.
    pub fn on_pipeline(&self, change: impl FnOnce(&mut Pipeline)) {
        change(self.world().pipelines.last_mut().expect("there is a pipeline"));
    }
}

fn lock(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().expect("no request panics while it holds the world")
}

fn router(world: Shared) -> Router {
    let at = |path: &str| format!("/api/v4/projects/{{project}}{path}");
    Router::new()
        .route("/api/v4/version", get(async || Json(json!({ "version": "18.5.0", "revision": "abcdef1" }))))
        .route("/api/v4/personal_access_tokens/self", get(forge::token))
        .route(&at(""), get(forge::project))
        .route(&at("/ci/lint"), post(pipelines::lint))
        .route(
            &at("/repository/files/{path}"),
            get(files::get).post(files::add).put(files::change).delete(files::delete),
        )
        .route(&at("/pipeline"), post(pipelines::start))
        .route(&at("/pipelines"), get(pipelines::list))
        .route(&at("/pipelines/{id}"), get(pipelines::get))
        .route(&at("/pipelines/{id}/variables"), get(pipelines::variables))
        .route(&at("/pipelines/{id}/jobs"), get(pipelines::jobs))
        .route(&at("/pipelines/{id}/cancel"), post(pipelines::cancel))
        .route(&at("/jobs/{id}"), get(pipelines::job))
        .route(&at("/jobs/{id}/trace"), get(pipelines::trace))
        .route(&at("/jobs/{id}/artifacts"), get(pipelines::artifacts))
        .route(&at("/hooks"), get(forge::hooks).post(forge::hook_add))
        .route(&at("/hooks/{id}"), put(forge::hook_change).delete(forge::hook_remove))
        .route(&at("/statuses/{sha}"), post(forge::status))
        .route(&at("/deployments"), post(forge::deployment_add))
        .route(&at("/deployments/{id}"), get(forge::deployment).put(forge::deployment_change))
        .route(&at("/environments/9"), get(forge::environment).put(forge::environment_change))
        .route(&at("/environments/9/stop"), post(forge::environment_stop))
        .route(&at("/merge_requests"), get(forge::merges))
        .route(&at("/merge_requests/{iid}"), get(forge::merge))
        .route(&at("/merge_requests/{iid}/notes"), get(forge::notes).post(forge::note_add))
        .route(&at("/merge_requests/{iid}/notes/{id}"), put(forge::note_change))
        .fallback(async || MISSING)
        .layer(from_fn_with_state(world.clone(), known_project))
        .layer(from_fn_with_state(world.clone(), authenticate))
        .route("/oauth/token", post(oauth::token))
        .with_state(world)
}

/// An error as GitLab words it.
pub(crate) struct Refusal(StatusCode, &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "message": self.1 }))).into_response()
    }
}

pub(crate) const MISSING: Refusal = Refusal(StatusCode::NOT_FOUND, "404 Not Found");

async fn authenticate(
    State(world): State<Shared>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let bearer = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_traded = lock(&world).oauth.takes(bearer.strip_prefix("Bearer ").unwrap_or_default());
    if is_traded || headers.get("private-token").is_some_and(|token| token == TOKEN) {
        return next.run(request).await;
    }
    Refusal(StatusCode::UNAUTHORIZED, "401 Unauthorized").into_response()
}

/// By its number or its path, encoded.
async fn known_project(State(_): State<Shared>, request: Request, next: Next) -> Response {
    let path = request.uri().path().trim_start_matches("/api/v4/projects/");
    let named = path.split('/').next().unwrap_or_default();
    let is_known =
        path == request.uri().path() || named == "7" || named.eq_ignore_ascii_case("group%2Fsub%2Fapp");
    if is_known {
        return next.run(request).await;
    }
    Refusal(StatusCode::NOT_FOUND, "404 Project Not Found").into_response()
}
