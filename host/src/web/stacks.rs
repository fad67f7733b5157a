//! The front page, and the deployments of all stacks.

use askama::Template;
use axum::extract::{Query, State};
use serde::Deserialize;

use super::history::{BARS, History};
use super::overview::OverviewPart;
use super::page::{Frame, PageResult, render};
use super::session::Session;
use super::ui::{Badge, Commit, When, duration, now};
use crate::app::overview::overview;
use crate::app::stack::{StackView, stack_list, stack_view};
use crate::app::{App, deployment, stack};
use crate::domain::Id;
use crate::domain::deployment::Deployment;
use crate::domain::page::{Page, PageRequest};
use crate::error::Error;

/// Stacks a page shows; each costs a few look-ups.
const STACKS: i64 = 50;

#[derive(Deserialize)]
pub struct PageQuery {
    pub before: Option<i64>,
}

#[derive(Template)]
#[template(path = "stacks.html")]
struct StacksPage {
    frame: Frame,
    /// On the first page.
    overview: Option<OverviewPart>,
    rows: Vec<StackRow>,
    next: Option<i64>,
    is_first: bool,
}

struct StackRow {
    name: String,
    link: String,
    description: String,
    badge: Option<Badge>,
    commit: Option<Commit>,
    latest: Option<(i64, When)>,
    url: Option<String>,
    history: History,
}

/// Whether everything is all right, then the stacks, newest first.
pub async fn list(State(app): State<App>, session: Session, Query(query): Query<PageQuery>) -> PageResult {
    let page = stack_list(&app, PageRequest::new(query.before, Some(STACKS)), &session.0.reach()).await?;
    let mut rows = Vec::new();
    for row in page.items {
        let view = match stack_view(&app, row.id.as_str()).await {
            Ok(view) => view,
            // Deleted since the list was read.
            Err(Error::NotFound { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        let recent = PageRequest::first(BARS);
        let recent =
            deployment::deployment_list(&app, Some(&view.stack.id), recent, &session.0.reach()).await?;
        rows.push(stack_row(&app, view, &recent.items));
    }
    let is_first = query.before.is_none();
    let is_admin = session.0.who.rights.is_server_admin();
    // Before anybody has a stack, the one thing to say is how to make one.
    let overview = match is_first && !rows.is_empty() {
        true => Some(OverviewPart::new(overview(&app, &session.0.who).await?, is_admin)),
        false => None,
    };
    let title = if is_first { "Overview" } else { "Stacks" };
    let frame = Frame::new(&session, "stacks", title);
    render(&StacksPage { frame, overview, rows, next: page.next, is_first })
}

fn stack_row(app: &App, view: StackView, recent: &[Deployment]) -> StackRow {
    let latest = view.latest_deployment.as_ref();
    StackRow {
        link: stack_link(&view),
        badge: latest.map(|row| Badge::from(row.status)),
        commit: latest.map(Commit::from),
        latest: latest.map(|row| (row.seq, When::new(row.completed_at.unwrap_or(row.started_at)))),
        url: address(app, &view),
        history: History::of(recent, now()),
        description: view.stack.description,
        name: view.stack.name,
    }
}

/// A name that would be read as a number or as one of our own pages is replaced by the id.
pub fn stack_link(view: &StackView) -> String {
    let name = &view.stack.name;
    let ambiguous = name == "new" || name.bytes().all(|byte| byte.is_ascii_digit());
    format!("/stacks/{}", if ambiguous { view.stack.id.as_str() } else { name })
}

/// Where a stack that serves can be reached, if its port is fixed.
pub fn address(app: &App, view: &StackView) -> Option<String> {
    let port = view.active_release.as_ref()?.spec.run.ports.iter().find(|port| port.host.is_some())?;
    let number = port.host?;
    let host = match port.address.as_str() {
        // Every address of the machine: the one by which people reach us is as good as any.
        "0.0.0.0" | "::" => public_host(app),
        other if other.contains(':') => format!("[{other}]"),
        other => other.to_string(),
    };
    Some(format!("http://{host}:{number}"))
}

fn public_host(app: &App) -> String {
    let url = app.config.public_url();
    let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    host.to_string()
}

/// A deployment in a list.
pub struct DeploymentRow {
    pub seq: i64,
    pub stack: String,
    pub badge: Badge,
    pub commit: Commit,
    pub trigger: String,
    pub started: When,
    pub took: String,
    pub error: String,
}

impl DeploymentRow {
    pub fn new(row: &Deployment, stack: &str) -> Self {
        Self {
            seq: row.seq,
            stack: stack.to_string(),
            badge: row.status.into(),
            commit: Commit::from(row),
            trigger: trigger(row),
            started: When::new(row.started_at),
            took: row.completed_at.map_or(String::new(), |at| duration(at - row.started_at)),
            error: row.error.clone().unwrap_or_default(),
        }
    }
}

/// What caused a deployment, in words.
pub fn trigger(row: &Deployment) -> String {
    match &row.triggered_by_user {
        Some(user) => format!("{} by {user}", row.triggered_by.as_str()),
        None => row.triggered_by.as_str().to_string(),
    }
}

#[derive(Template)]
#[template(path = "deployments.html")]
struct DeploymentsPage {
    frame: Frame,
    rows: Vec<DeploymentRow>,
    next: Option<i64>,
    is_first: bool,
    show_stack: bool,
}

/// The deployments of all stacks, newest first.
pub async fn deployments(
    State(app): State<App>,
    session: Session,
    Query(query): Query<PageQuery>,
) -> PageResult {
    let page = PageRequest::new(query.before, None);
    let page: Page<Deployment> = deployment::deployment_list(&app, None, page, &session.0.reach()).await?;
    let ids: Vec<Id> = page.items.iter().map(|row| row.stack_id.clone()).collect();
    let names = stack::stack_names(&app, &ids).await?;
    let name = |row: &Deployment| names.get(&row.stack_id).cloned().unwrap_or_default();
    let rows = page.items.iter().map(|row| DeploymentRow::new(row, &name(row))).collect();
    let frame = Frame::new(&session, "deployments", "Deployments");
    let is_first = query.before.is_none();
    render(&DeploymentsPage { frame, rows, next: page.next, is_first, show_stack: true })
}
