//! One stack: what serves, what happened, and the buttons that change it.

use askama::Template;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::forge::ForgeState;
use super::history::{BARS, History};
use super::look::LookState;
use super::page::{Frame, PageError, PageResult, render_with};
use super::session::Session;
use super::stacks::{DeploymentRow, address, stack_link};
use super::ui::{Badge, Commit, Tone, When, now, short};
use super::webhooks::EventRow;
use crate::api;
use crate::app::badge::{BadgeView, badge_view};
use crate::app::certificate::certificate_list;
use crate::app::cicd::stack::stack_ci_view;
use crate::app::protection::protection_in_force;
use crate::app::stack::{StackView, instances, stack_delete, stack_view, strategy_name};
use crate::app::{App, deployment, schedule, webhook};
use crate::domain::Id;
use crate::domain::compose::ServiceFacts;
use crate::domain::page::PageRequest;
use crate::domain::repository::redact_url;
use crate::error::{Error, Result};

/// Deployments a page of the history shows.
const HISTORY: i64 = 20;
const EVENTS: i64 = 8;

#[derive(Default, Deserialize)]
pub struct ShowQuery {
    before: Option<i64>,
    #[serde(default)]
    saved: bool,
}

#[derive(Template)]
#[template(path = "stack.html")]
struct StackPage {
    frame: Frame,
    name: String,
    link: String,
    description: String,
    /// What an action of this page answered; empty if all is well.
    alert: String,
    saved: bool,
    serving: Option<Serving>,
    /// The latest deployment while it runs.
    running: Option<i64>,
    has_repository: bool,
    default_ref: String,
    rollback: Rollback,
    history: History,
    rows: Vec<DeploymentRow>,
    next: Option<i64>,
    is_first: bool,
    show_stack: bool,
    events: Vec<EventRow>,
    services: Vec<ServiceFacts>,
    facts: Vec<(&'static str, String)>,
    webhook_url: String,
    forge: ForgeState,
    look: Option<LookState>,
    provider: String,
    schedules: usize,
    /// Where the badge is, if there is one.
    badge: Option<BadgeView>,
    /// What deployments wait for, in a few words.
    protection: String,
    /// Until when the secret before this one counts as well.
    previous_secret: Option<When>,
}

struct Serving {
    release: i64,
    commit: Commit,
    image: String,
    digest: String,
    deployment: Option<i64>,
    since: Option<When>,
    replicas: String,
    url: Option<String>,
}

/// Whether a rollback would work, said beforehand.
struct Rollback {
    target: Option<DeploymentRow>,
    reason: String,
}

pub async fn show(
    State(app): State<App>,
    session: Session,
    Path(name): Path<String>,
    Query(query): Query<ShowQuery>,
) -> PageResult {
    page(&app, &session, &name, query, None).await
}

async fn page(
    app: &App,
    session: &Session,
    name: &str,
    query: ShowQuery,
    error: Option<Error>,
) -> PageResult {
    let view = stack_view(app, name).await?;
    let id = view.stack.id.clone();
    let reach = session.0.reach();
    let (history, recent) = tokio::try_join!(
        deployment::deployment_list(app, Some(&id), PageRequest::new(query.before, Some(HISTORY)), &reach),
        deployment::deployment_list(app, Some(&id), PageRequest::first(BARS), &reach),
    )?;
    let events = match &view.repository {
        Some(row) => {
            webhook::webhook_list(app, Some(&row.id), PageRequest::first(EVENTS), &reach).await?.items
        }
        None => Vec::new(),
    };
    let rollback = rollback_state(app, &view).await?;
    let status = error.as_ref().map_or(StatusCode::OK, api::status);
    let template = StackPage {
        frame: Frame::new(session, "stacks", view.stack.name.clone()).crumb("/", "Stacks"),
        link: stack_link(&view),
        description: view.stack.description.clone(),
        alert: error.map_or(String::new(), |error| error.to_string()),
        saved: query.saved,
        serving: serving(app, &view).await?,
        running: view.latest_deployment.as_ref().filter(|row| !row.status.is_terminal()).map(|row| row.seq),
        has_repository: view.repository.is_some(),
        default_ref: view.repository.as_ref().map_or(String::new(), |row| row.branch.clone()),
        rollback,
        history: History::of(&recent.items, now()),
        rows: history.items.iter().map(|row| DeploymentRow::new(row, &view.stack.name)).collect(),
        next: history.next,
        is_first: query.before.is_none(),
        show_stack: false,
        events: events.into_iter().map(|event| EventRow::new(event, &view.stack.name)).collect(),
        services: services(&view).cloned().collect(),
        facts: facts(app, &view).into_iter().chain(certificates(app, &view).await?).collect(),
        forge: ForgeState::of(app, &view),
        look: LookState::of(app, &view),
        provider: provider_of(app, &id).await?,
        schedules: schedule::schedule_list(app, Some(id.as_str())).await?.len(),
        badge: badge_view(app, id.as_str()).await?,
        protection: protected(app, id.as_str()).await?,
        previous_secret: view
            .repository
            .as_ref()
            .and_then(|row| row.previous_webhook_secret_until)
            .filter(|until| *until > now())
            .map(When::new),
        webhook_url: view.repository.as_ref().and_then(|row| row.webhook_url.clone()).unwrap_or_default(),
        name: view.stack.name,
    };
    render_with(status, &template)
}

/// The CI/CD provider that deploys the stack; empty if this server does.
async fn provider_of(app: &App, stack: &Id) -> Result<String> {
    match stack_ci_view(app, stack.as_str()).await {
        Ok((_, provider)) => Ok(provider.name),
        Err(Error::NotFound { .. }) => Ok(String::new()),
        Err(error) => Err(error),
    }
}

async fn serving(app: &App, view: &StackView) -> Result<Option<Serving>> {
    let Some(release) = &view.active_release else { return Ok(None) };
    let brought = deployment::deployment_serving(app, view).await?;
    let wanted = release.spec.run.replicas;
    let replicas = match instances(app, &view.stack).await {
        Some(running) => {
            let own = running.iter().filter(|found| **found == release.id).count();
            format!("{own} of {wanted} running")
        }
        None => format!("{wanted} wanted; the engine does not answer"),
    };
    Ok(Some(Serving {
        release: release.seq,
        commit: brought.as_ref().map_or_else(|| Commit::of_sha(&release.commit_sha), Commit::from),
        image: release.image_tag.clone(),
        digest: short(&release.image_digest),
        deployment: brought.as_ref().map(|row| row.seq),
        since: brought.and_then(|row| row.completed_at).map(When::new),
        replicas,
        url: address(app, view),
    }))
}

async fn rollback_state(app: &App, view: &StackView) -> Result<Rollback> {
    Ok(match deployment::rollback_readiness(app, view.stack.id.as_str()).await? {
        Ok(target) => {
            Rollback { target: Some(DeploymentRow::new(&target, &view.stack.name)), reason: String::new() }
        }
        Err(reason) => Rollback { target: None, reason },
    })
}

/// Of a compose stack: the services of what serves.
fn services(view: &StackView) -> impl Iterator<Item = &ServiceFacts> {
    let release = view.active_release.as_ref();
    release
        .and_then(|release| release.spec.compose.as_ref())
        .into_iter()
        .flat_map(|compose| &compose.services)
}

/// The configuration in a few lines.
/// The certificates of the stack's hosts, in a sentence.
async fn certificates(app: &App, view: &StackView) -> Result<Option<(&'static str, String)>> {
    let hosts = view.stack.traffic.all_hosts();
    let rows = certificate_list(app).await?;
    let own = rows.iter().filter(|row| hosts.clone().any(|host| host.eq_ignore_ascii_case(&row.host)));
    let told: Vec<String> = own
        .map(|row| {
            let state = row.state(now()).as_str().replace('_', " ");
            let until = row.not_after.map_or(String::new(), |end| format!(" until {}", api::time(end)));
            let why = row.error.as_ref().map_or(String::new(), |error| format!(": {error}"));
            format!("{}: {state}{until}{why}", row.host)
        })
        .collect();
    Ok((!told.is_empty()).then(|| ("Certificates", told.join("; "))))
}

fn facts(app: &App, view: &StackView) -> Vec<(&'static str, String)> {
    let (settings, run) = (&view.build.settings, &view.stack.run);
    let mut facts = Vec::new();
    if let Some(row) = &view.repository {
        facts.push(("Repository", redact_url(&row.url)));
        facts.push(("Branch", row.branch.clone()));
        facts.push(("Forge", row.provider.clone()));
        let auth = if row.credentials.is_some() {
            format!("{}, stored", row.auth_type.as_str())
        } else {
            "none".into()
        };
        facts.push(("Credentials", auth.replace('_', " ")));
        let statuses = match (row.commit_status, row.has_token()) {
            (false, _) => "not shown at the forge",
            (true, false) => "need an access token to be shown at the forge",
            (true, true) => "shown at the forge",
        };
        facts.push(("Commit statuses", statuses.to_owned()));
    }
    if settings.compose_path.is_some() || run.service.is_some() || services(view).next().is_some() {
        facts.push((
            "Compose file",
            settings.compose_path.clone().unwrap_or_else(|| "by its usual name".into()),
        ));
        facts.push(("Routed service", run.service.clone().unwrap_or_else(|| "the only one".into())));
        let grants: Vec<&str> = run.grants.iter().map(|grant| grant.as_str()).collect();
        facts.push(("Granted", if grants.is_empty() { "nothing".into() } else { grants.join(", ") }));
    } else {
        let context = settings.context_path.as_deref().unwrap_or(".");
        facts.push(("Dockerfile", settings.dockerfile_path.clone().unwrap_or_else(|| "Dockerfile".into())));
        facts.push(("Context", context.to_string()));
    }
    let auto = match (settings.auto_deploy_on_push, settings.auto_deploy_branches.as_slice()) {
        (false, _) => "off".to_string(),
        (true, []) => "on pushes to the branch".to_string(),
        (true, patterns) => format!("on pushes to {}", patterns.join(", ")),
    };
    facts.push(("Automatic deployment", auto));
    if settings.auto_deploy_on_push && !settings.auto_deploy_tags.is_empty() {
        facts.push(("Tags that are deployed", settings.auto_deploy_tags.join(", ")));
    }
    if settings.auto_deploy_on_push && !settings.auto_deploy_paths.is_empty() {
        facts.push(("Only for changes of", settings.auto_deploy_paths.join(", ")));
    }
    facts.push(("Strategy", strategy_name(app, &view.stack).to_string()));
    facts.push(("Runs on", view.stack.target.clone().unwrap_or_else(|| "this server's engine".to_owned())));
    facts.push(("Replicas", run.replicas.to_string()));
    if view.stack.traffic.is_routed() {
        let path = view.stack.traffic.path.trim_end_matches('/');
        let places = view.stack.traffic.hosts.iter().map(|host| format!("{host}{path}"));
        facts.push(("Hosts", places.collect::<Vec<_>>().join(", ")));
        if !view.stack.traffic.preview_hosts.is_empty() {
            facts.push(("New releases are shown at", view.stack.traffic.preview_hosts.join(", ")));
        }
        if let Some(testers) = &view.stack.traffic.testers {
            facts.push(("Testers send", format!("{}: {}", testers.header, testers.value)));
        }
    }
    let ports: Vec<String> = run
        .ports
        .iter()
        .map(|port| match port.host {
            Some(host) => format!("{}:{host} → {}", port.address, port.container),
            None => format!("{} on a free port", port.container),
        })
        .collect();
    if !ports.is_empty() {
        facts.push(("Ports", ports.join(", ")));
    }
    let volumes: Vec<String> =
        run.volumes.iter().map(|volume| format!("{} → {}", volume.name, volume.path)).collect();
    if !volumes.is_empty() {
        facts.push(("Volumes", volumes.join(", ")));
    }
    let path = settings.health_check_path.as_deref().unwrap_or("the image's own check, or an open port");
    facts.push(("Health", format!("{path}, within {} s", settings.health_timeout_secs())));
    let secrets = settings.environment_variables.iter().filter(|variable| variable.secret).count();
    if !settings.environment_variables.is_empty() {
        facts.push((
            "Variables",
            format!("{}, {secrets} of them secret", settings.environment_variables.len()),
        ));
    }
    let failure =
        if settings.rollback_on_failure { "goes back to what served before" } else { "stays as it is" };
    facts.push(("If a rollout fails, it", failure.to_string()));
    facts
}

#[derive(Deserialize)]
pub struct DeployForm {
    #[serde(default)]
    git_ref: String,
}

pub async fn deploy(
    State(app): State<App>,
    session: Session,
    Path(name): Path<String>,
    Form(form): Form<DeployForm>,
) -> PageResult {
    let result =
        deployment::deployment_create(&app, &name, Some(form.git_ref.trim()), None, session.0.caller()).await;
    to_deployment(&app, &session, &name, result.map(|row| row.seq)).await
}

#[derive(Deserialize)]
pub struct RollbackForm {
    /// What the question named. Something else may have become the latest since it was asked.
    deployment: String,
}

pub async fn rollback(
    State(app): State<App>,
    session: Session,
    Path(name): Path<String>,
    Form(form): Form<RollbackForm>,
) -> PageResult {
    let result =
        deployment::deployment_rollback(&app, &name, Some(&form.deployment), session.0.caller()).await;
    to_deployment(&app, &session, &name, result.map(|row| row.seq)).await
}

/// On to what was started, or back to the page with what stands against it.
async fn to_deployment(app: &App, session: &Session, name: &str, result: Result<i64>) -> PageResult {
    match result {
        Ok(seq) => Ok(to(&format!("/deployments/{seq}"))),
        Err(error @ Error::NotFound { .. }) => Err(error.into()),
        Err(error) => again(app, session, name, error).await,
    }
}

async fn protected(app: &App, stack: &str) -> Result<String> {
    let rules = protection_in_force(app, stack).await?;
    let mut waits = Vec::new();
    match rules.iter().map(|rule| rule.approvals).max().unwrap_or_default() {
        0 => {}
        1 => waits.push("one person approves".to_owned()),
        many => waits.push(format!("{many} people approve")),
    }
    if rules.iter().any(|rule| !rule.windows.is_empty()) {
        waits.push("it is time".to_owned());
    }
    if rules.iter().any(|rule| rule.freeze.is_some()) {
        waits.push("the freeze ends".to_owned());
    }
    Ok(if waits.is_empty() {
        "Deployments wait for nothing.".into()
    } else {
        format!("Deployments wait until {}.", waits.join(" and "))
    })
}

/// The page with what stands against an action.
pub async fn again(app: &App, session: &Session, name: &str, error: Error) -> PageResult {
    page(app, session, name, ShowQuery::default(), Some(error)).await
}

pub async fn delete(State(app): State<App>, session: Session, Path(name): Path<String>) -> PageResult {
    match stack_delete(&app, &name).await {
        Ok(()) => Ok(to("/")),
        Err(error @ Error::NotFound { .. }) => Err(PageError::Failed(error)),
        Err(error) => again(&app, &session, &name, error).await,
    }
}

/// 303: whatever the method was, the next one is GET.
pub fn to(path: &str) -> Response {
    Redirect::to(path).into_response()
}
