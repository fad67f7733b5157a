//! GitHub's REST API, as far as a forge and a CI provider need it, with one repository in memory. What it writes is held to
//! GitHub's own document by Prism, and to GitHub's ways by PyGithub.

mod actions;
pub mod app;
mod contents;
pub mod deployments;
mod forge;
mod shapes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::fake::Fake;

pub const TOKEN: &str = "ghp_0123456789abcdefTOKEN";
/// The repository's full name; its default branch is `main`.
pub const REPOSITORY: &str = "octo/app";
/// Commit of everything that runs.
pub const COMMIT: &str = "7638417db6d59f3c431d3e1f261cc637155684cd";

/// How a server answers a dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dispatch {
    /// 200 with the run where the request asks for it, as github.com.
    #[default]
    Details,
    /// 204, whatever was asked for.
    Silent,
    /// 204, and 422 for a field that the server does not know.
    Strict,
}

/// Everything the server knows.
#[derive(Debug, Default)]
pub struct World {
    /// The server's own address.
    pub url: String,
    /// Files by branch and path.
    pub files: BTreeMap<(String, String), String>,
    pub runs: Vec<Run>,
    pub hooks: BTreeMap<u64, Value>,
    /// What every request about hooks is answered with instead, if anything.
    pub hook_failure: Option<u16>,
    pub statuses: Vec<Value>,
    /// Commits that can have a status beside [`COMMIT`].
    pub commits: Vec<String>,
    /// What a request for a status is answered with instead, if anything.
    pub status_failure: Option<u16>,
    pub deployments: Vec<deployments::Placed>,
    /// What a request about deployments is answered with instead, if anything.
    pub deployment_failure: Option<u16>,
    pub comments: Vec<Value>,
    /// Pull requests that are open; two pages of invented ones if absent.
    pub pulls: Option<Vec<Value>>,
    pub dispatch: Dispatch,
    /// What `x-oauth-scopes` says, if anything.
    pub scopes: Option<String>,
    /// Where logs and artifacts are kept; on the server itself if absent.
    pub store: Option<String>,
    /// State of the workflows that is not `active`.
    pub disabled: Option<String>,
    pub app: app::App,
}

#[derive(Debug, Clone)]
pub struct Run {
    pub id: u64,
    pub workflow: String,
    pub branch: String,
    pub title: String,
    pub inputs: Value,
    pub status: String,
    pub conclusion: Option<String>,
    pub attempt: u64,
    pub jobs: Vec<Job>,
}

#[derive(Debug, Clone)]
pub struct Job {
    pub id: u64,
    pub name: String,
    pub status: String,
    pub conclusion: Option<String>,
    /// Nothing if it was deleted, or never begun.
    pub log: Option<String>,
}

pub struct GitHub {
    pub fake: Fake,
    world: Shared,
}

pub(crate) type Shared = Arc<Mutex<World>>;

impl GitHub {
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// At the same address as what answers everything else, such as a git server.
    pub async fn start_before(rest: Router) -> Self {
        Self::start_with(Some(rest)).await
    }

    async fn start_with(rest: Option<Router>) -> Self {
        let world = Shared::default();
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

    /// Changes the newest run.
    pub fn on_run(&self, change: impl FnOnce(&mut Run)) {
        change(self.world().runs.last_mut().expect("there is a run"));
    }

    /// Ends the newest run and all its jobs.
    pub fn finish(&self, conclusion: &str) {
        self.on_run(|run| {
            (run.status, run.conclusion) = ("completed".to_owned(), Some(conclusion.to_owned()));
            for job in &mut run.jobs {
                (job.status, job.conclusion) = ("completed".to_owned(), Some(conclusion.to_owned()));
            }
        });
    }
}

fn lock(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().expect("no request panics while it holds the world")
}

fn router(world: Shared) -> Router {
    let r = "/repos/{owner}/{repo}";
    let at = |path: &str| format!("{r}{path}");
    let api = Router::new()
        .route("/user", get(user))
        .route("/installation/repositories", get(app::repositories))
        .route(r, get(forge::repository))
        .route(&at("/contents/{*path}"), get(contents::get).put(contents::put).delete(contents::delete))
        .route(&at("/actions/workflows/{file}"), get(actions::workflow))
        .route(&at("/actions/workflows/{file}/enable"), put(actions::enable))
        .route(&at("/actions/workflows/{file}/dispatches"), post(actions::dispatch))
        .route(&at("/actions/workflows/{file}/runs"), get(actions::runs))
        .route(&at("/actions/runs/{run}"), get(actions::run))
        .route(&at("/actions/runs/{run}/jobs"), get(actions::jobs))
        .route(&at("/actions/runs/{run}/cancel"), post(actions::cancel))
        .route(&at("/actions/runs/{run}/artifacts"), get(actions::artifacts))
        .route(&at("/actions/jobs/{job}/logs"), get(actions::log))
        .route(&at("/actions/artifacts/{artifact}/zip"), get(actions::artifact))
        .route(&at("/hooks"), get(forge::hooks).post(forge::hook_add))
        .route(&at("/hooks/{hook}"), patch(forge::hook_change).delete(forge::hook_remove))
        .route(&at("/statuses/{sha}"), post(forge::status))
        .route(&at("/deployments"), get(deployments::list).post(deployments::add))
        .route(&at("/deployments/{id}/statuses"), post(deployments::status))
        .route(&at("/commits/{sha}"), get(forge::commit))
        .route(&at("/pulls"), get(forge::pulls))
        .route(&at("/pulls/{number}"), get(forge::pull))
        .route(&at("/issues/{number}/comments"), get(forge::comments).post(forge::comment_add))
        .route(&at("/issues/comments/{id}"), patch(forge::comment_change))
        .fallback(async || Refusal(StatusCode::NOT_FOUND, "Not Found"))
        .layer(from_fn_with_state(world.clone(), authenticate))
        .route("/app/installations/{id}/access_tokens", post(app::access_token))
        // Who is sent there has a signed address instead of a credential.
        .route("/_store/jobs/{job}", get(actions::stored_log))
        .route("/_store/artifacts/{artifact}", get(async || actions::ARTIFACT))
        .with_state(world);
    // An Enterprise Server has its API below a path, github.com on a host of its own.
    api.clone().nest("/api/v3", api)
}

/// An error as GitHub words it.
pub(crate) struct Refusal(StatusCode, &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "message": self.1, "documentation_url": "https://docs.github.com/rest", "status": self.0.as_str() });
        (self.0, Json(body)).into_response()
    }
}

pub(crate) const MISSING: Refusal = Refusal(StatusCode::NOT_FOUND, "Not Found");

async fn authenticate(
    State(world): State<Shared>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let given = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Both words are taken.
    let token = given.strip_prefix("Bearer ").or(given.strip_prefix("token ")).unwrap_or_default();
    let is_app = lock(&world).app.takes(token);
    if token != TOKEN && !is_app {
        return Refusal(StatusCode::UNAUTHORIZED, "Bad credentials").into_response();
    }
    if !headers.contains_key("user-agent") {
        return Refusal(StatusCode::FORBIDDEN, "Request forbidden by administrative rules.").into_response();
    }
    // The one is for people, the other for apps.
    let of_another = if is_app { "/user" } else { "/installation/repositories" };
    if request.uri().path() == of_another {
        return Refusal(StatusCode::FORBIDDEN, "Resource not accessible by integration").into_response();
    }
    let is_known = matches!(request.uri().path(), "/user" | "/installation/repositories")
        || request.uri().path().starts_with(&format!("/repos/{REPOSITORY}/"))
        || request.uri().path() == format!("/repos/{REPOSITORY}");
    if !is_known {
        return MISSING.into_response();
    }
    let scopes = lock(&world).scopes.clone();
    let mut response = next.run(request).await;
    if let Some(scopes) = scopes {
        response.headers_mut().insert("x-oauth-scopes", scopes.parse().expect("a header"));
    }
    response
}

async fn user(State(world): State<Shared>) -> Json<Value> {
    Json(shapes::whole_user(&lock(&world).url))
}
