//! The queue: what is to do, what is done, and what went wrong.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::page::{Frame, PageError, PageResult, render, render_with};
use super::session::Session;
use super::stack::to;
use super::ui::{Badge, Tone, When, duration, now};
use crate::api;
use crate::app::App;
use crate::app::task::{TaskChoice, task_list, task_run_now};
use crate::domain::Id;
use crate::domain::task::{Task, TaskRow, TaskStatus};
use crate::error::{Error, Result};

struct Row {
    id: Id,
    what: &'static str,
    /// The page of what it is about; empty if there is none.
    link: String,
    badge: Badge,
    attempt: String,
    created: When,
    took: String,
    /// When a queued one runs, if that is not now.
    later: Option<When>,
    error: String,
}

fn described(task: &Task) -> (&'static str, String) {
    match task {
        Task::Webhook { event_id } => ("Delivery", format!("/webhooks/{event_id}")),
        Task::Build { .. } => ("Build", String::new()),
        Task::Deploy { deployment_id } => ("Rollout", format!("/deployments/{deployment_id}")),
        Task::CiBuild { build_id } => ("Build at a provider", format!("/ci-builds/{build_id}")),
        Task::CiJob { job_id } => ("Job at a provider", format!("/ci-jobs/{job_id}")),
        Task::RotateKeys { .. } => ("Change of the master key", String::new()),
        Task::Backup { .. } => ("Backup", "/backups".into()),
        Task::Notify { .. } => ("Notification", String::new()),
        Task::CommitStatus { .. } => ("Commit status", String::new()),
        Task::ForgeHook { .. } => ("Webhook at a forge", String::new()),
    }
}

impl From<TaskRow> for Row {
    fn from(row: TaskRow) -> Self {
        let (what, link) = described(&row.task);
        let is_later = row.status == TaskStatus::Queued && row.run_at > now();
        let (tone, word) = match row.status {
            TaskStatus::Queued if is_later && row.attempt > 0 => (Tone::Waiting, "waits to try again"),
            TaskStatus::Queued => (Tone::Waiting, "queued"),
            TaskStatus::Running if row.cancel_requested => (Tone::Running, "stopping"),
            TaskStatus::Running => (Tone::Running, "running"),
            TaskStatus::Success => (Tone::Good, "done"),
            TaskStatus::Failed => (Tone::Bad, "failed"),
            TaskStatus::Cancelled => (Tone::Stopped, "cancelled"),
        };
        let begun = row.started_at.filter(|_| row.status != TaskStatus::Queued);
        let took = begun.map(|start| duration(row.finished_at.unwrap_or_else(now) - start));
        Self {
            what,
            link,
            badge: Badge { tone, word },
            attempt: format!("{} of {}", row.attempt, row.max_attempts),
            created: When::new(row.created_at),
            took: took.unwrap_or_else(|| "–".into()),
            later: is_later.then(|| When::new(row.run_at)),
            error: row.error.unwrap_or_default(),
            id: row.id,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct TasksQuery {
    all: bool,
    before: Option<String>,
}

#[derive(Template)]
#[template(path = "tasks.html")]
struct TasksPage {
    frame: Frame,
    all: bool,
    rows: Vec<Row>,
    is_later: bool,
    next: Option<Id>,
    error: String,
}

async fn page(app: &App, session: &Session, query: TasksQuery) -> Result<TasksPage> {
    let TasksQuery { all, before } = query;
    let is_later = before.is_some();
    let choice = match all {
        true => TaskChoice::All { before: before.map(Id::from_text) },
        false => TaskChoice::Unfinished,
    };
    let found = task_list(app, choice, None).await?;
    Ok(TasksPage {
        frame: Frame::new(session, "tasks", "Tasks"),
        all,
        rows: found.items.into_iter().map(Row::from).collect(),
        is_later,
        next: found.next,
        error: String::new(),
    })
}

pub async fn list(State(app): State<App>, session: Session, Query(query): Query<TasksQuery>) -> PageResult {
    render(&page(&app, &session, query).await?)
}

pub async fn run_now(
    State(app): State<App>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    match task_run_now(&app, &Id::from_text(id)).await {
        Ok(_) => Ok(to("/tasks")),
        Err(error @ Error::Conflict(_)) => {
            let page =
                TasksPage { error: error.to_string(), ..page(&app, &session, TasksQuery::default()).await? };
            render_with(api::status(&error), &page)
        }
        Err(error) => Err(error.into()),
    }
}
