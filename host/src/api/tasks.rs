//! `/api/v1/tasks`: the queue.

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Params, Success, ok};
use super::view::TaskView;
use crate::app::App;
use crate::app::task::{self, TaskChoice};
use crate::domain::Id;
use crate::error::Error;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(task_list)).routes(routes!(task_view)).routes(routes!(task_run_now))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TaskQuery {
    /// Only what is queued or runs, oldest first.
    #[serde(default)]
    unfinished: bool,
    /// `next` of the page before; not with `unfinished`.
    before: Option<String>,
    /// Tasks a page, 1 to 200; 50 if left out.
    limit: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
struct TasksView {
    items: Vec<TaskView>,
    /// Pass as `before` to get the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Lists tasks of the queue, newest first. Those that ended are kept for a while.
#[utoipa::path(get, path = "/api/v1/tasks", tag = "tasks", params(TaskQuery),
    responses((status = 200, body = Success<TasksView>), (status = 422)), security(("token" = ["admin:server"])))]
async fn task_list(
    State(app): State<App>,
    _: Auth,
    Params(query): Params<TaskQuery>,
) -> ApiResult<Json<Success<TasksView>>> {
    let choice = match (query.unfinished, query.before) {
        (true, Some(_)) => {
            let text = "what is unfinished is one list, oldest first, without pages: leave out `before`, or `unfinished`";
            return Err(Error::invalid("before", text).into());
        }
        (true, None) => TaskChoice::Unfinished,
        (false, before) => TaskChoice::All { before: before.map(Id::from_text) },
    };
    let page = task::task_list(&app, choice, query.limit).await?;
    let items = page.items.into_iter().map(TaskView::from).collect();
    Ok(ok(TasksView { items, next: page.next.map(|id| id.to_string()) }))
}

/// Shows a task of the queue.
#[utoipa::path(get, path = "/api/v1/tasks/{task}", tag = "tasks", responses((status = 200, body = Success<TaskView>)),
    security(("token" = ["viewer:task"])))]
async fn task_view(
    State(app): State<App>,
    _: Auth,
    Path(id): Path<String>,
) -> ApiResult<Json<Success<TaskView>>> {
    Ok(ok(task::task_view(&app, &Id::from_text(id)).await?.into()))
}

/// Lets a queued task run now, instead of waiting for its next attempt.
#[utoipa::path(post, path = "/api/v1/tasks/{task}/run-now", tag = "tasks",
    responses((status = 200, body = Success<TaskView>)), security(("token" = ["admin:server"])))]
async fn task_run_now(
    State(app): State<App>,
    _: Auth,
    Path(id): Path<String>,
) -> ApiResult<Json<Success<TaskView>>> {
    Ok(ok(task::task_run_now(&app, &Id::from_text(id)).await?.into()))
}
