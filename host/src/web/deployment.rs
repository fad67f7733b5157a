//! One deployment, live: status, log, where the time went, and what its strategy did.

use askama::Template;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::health_check::HealthCard;
use super::log::{LogTail, found, tail};
use super::page::{Frame, PageResult, render, render_with};
use super::rollout_history::{Charts, DecidedRow, decided_rows};
use super::session::Session;
use super::split::Split;
use super::stack::to;
use super::stacks::{stack_link, trigger};
use super::timeline::Timeline;
use super::ui::{Badge, Commit, When, duration, now, short, size};
use crate::api;
use crate::app::artifact::artifact_list;
use crate::app::cicd::deployment::{Carried, carried};
use crate::app::logs::deployment_logs_kept;
use crate::app::rollout::{RolloutView, rollout_history_lately, rollout_view, words};
use crate::app::stack::{StackView, stack_view, strategy_name};
use crate::app::{App, approval, build, deployment};
use crate::domain::access::Role;
use crate::domain::approval::{Approval, ApprovalState, Verdict};
use crate::domain::artifact::Artifact;
use crate::domain::build::Build;
use crate::domain::deployment::{Deployment, DeploymentStatus};
use crate::domain::log::LogSummary;
use crate::domain::rollout::JournalEntry;
use crate::error::{Error, Result};

/// The part that changes while it runs.
#[derive(Template)]
#[template(path = "parts/deployment.html")]
struct Live {
    seq: i64,
    stack: String,
    stack_link: String,
    badge: Badge,
    is_running: bool,
    /// A deployer sees what can be done about it.
    may_act: bool,
    /// Recorded calls are the installation's.
    sees_calls: bool,
    is_rolling: bool,
    is_paused: bool,
    question: Option<Question>,
    answers: Vec<Answer>,
    label: String,
    progress: i64,
    error: String,
    fallback: String,
    can_return: bool,
    can_retry: bool,
    /// Instances of it may run, whose health can be asked for.
    can_check: bool,
    /// Who gets the requests while it is rolled out.
    split: Option<Split>,
    /// The same over time, also afterwards.
    charts: Option<Charts>,
    decided: Vec<DecidedRow>,
    /// Of the new release, in percent, if the rollout waits for time to pass and may go on at once.
    promotable_at: Option<u32>,
    /// Requests go to the new release already.
    serves_new: bool,
    timeline: Timeline,
    steps: Vec<StepGroup>,
    facts: Vec<(&'static str, String)>,
    commit: Commit,
    author: String,
    started: When,
    completed: Option<When>,
    took: String,
}

impl askama::filters::HtmlSafe for Live {}

/// What the rollout waits for a person to say.
struct Question {
    prompt: String,
    plan_hash: String,
    asked: When,
    expires: When,
}

/// What somebody said to an earlier question.
struct Answer {
    word: &'static str,
    by: String,
    prompt: String,
    comment: String,
    at: When,
}

/// Effects that the strategy ordered under one label.
struct StepGroup {
    label: String,
    effects: Vec<EffectRow>,
}

struct EffectRow {
    badge: Badge,
    words: String,
    error: String,
    at: When,
    took: String,
}

#[derive(Template)]
#[template(path = "deployment.html")]
struct DeploymentPage {
    frame: Frame,
    alert: String,
    seq: i64,
    stack: String,
    is_running: bool,
    live: Live,
    health: Option<HealthCard>,
    artifacts: Vec<ArtifactRow>,
    log: LogTail,
    /// What is looked for in the log; then only lines with it are shown.
    find: String,
}

/// A file that the build has left behind.
struct ArtifactRow {
    link: String,
    path: String,
    size: String,
    expires: When,
}

impl From<Artifact> for ArtifactRow {
    fn from(row: Artifact) -> Self {
        Self {
            link: artifact_link(&row),
            path: row.path,
            size: size(row.size),
            expires: When::new(row.expires_at),
        }
    }
}

fn artifact_link(row: &Artifact) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("path", &row.path).finish();
    format!("/api/v1/builds/{}/artifacts/content?{query}", row.build_id)
}

#[derive(Deserialize)]
pub struct ShowQuery {
    #[serde(default)]
    find: String,
}

pub async fn show(
    State(app): State<App>,
    session: Session,
    Path(id): Path<String>,
    Query(query): Query<ShowQuery>,
) -> PageResult {
    page(&app, &session, &id, query.find.trim(), None, None).await
}

pub(super) async fn page(
    app: &App,
    session: &Session,
    id: &str,
    find: &str,
    error: Option<Error>,
    health: Option<HealthCard>,
) -> PageResult {
    let (row, view, built) = load(app, id).await?;
    let status = error.as_ref().map_or(StatusCode::OK, api::status);
    let mut log = tail(app, &row, built.as_ref()).await?;
    if !find.is_empty() {
        (log.lines, log.cut) = found(app, &row, find).await?;
    }
    let live = live(app, session, (&row, &view, built.as_ref())).await?;
    let artifacts = match &built {
        Some(build) => artifact_list(app, build.id.as_str()).await?,
        None => Vec::new(),
    };
    let frame = Frame::new(session, "stacks", format!("Deployment {} of {}", row.seq, view.stack.name))
        .crumb("/", "Stacks")
        .crumb(stack_link(&view), view.stack.name.clone());
    let page = DeploymentPage {
        frame,
        alert: error.map_or(String::new(), |error| error.to_string()),
        seq: row.seq,
        stack: view.stack.name,
        is_running: !row.status.is_terminal(),
        live,
        health,
        artifacts: artifacts.into_iter().map(ArtifactRow::from).collect(),
        log,
        find: find.to_string(),
    };
    render_with(status, &page)
}

/// The live part alone, for the script.
pub async fn fragment(State(app): State<App>, session: Session, Path(id): Path<String>) -> PageResult {
    let (row, view, built) = load(&app, &id).await?;
    render(&live(&app, &session, (&row, &view, built.as_ref())).await?)
}

async fn load(app: &App, id: &str) -> Result<(Deployment, StackView, Option<Build>)> {
    let row = deployment::deployment_view(app, id).await?;
    let view = stack_view(app, row.stack_id.as_str()).await?;
    let built = match &row.build_id {
        Some(id) => Some(build::build_view(app, id.as_str()).await?),
        None => None,
    };
    Ok((row, view, built))
}

async fn live(
    app: &App,
    session: &Session,
    (row, view, built): (&Deployment, &StackView, Option<&Build>),
) -> Result<Live> {
    let journal = deployment::deployment_steps(app, &row.id).await?;
    let asked = approval::approval_list(app, &row.id).await?;
    let rolling = rollout_view(app, row).await?;
    let history = rollout_history_lately(app, row, &journal).await?;
    let carried = carried(app, &row.id).await?;
    let mut facts = match &carried {
        Some(carried) => carried_facts(row, carried),
        None => facts(app, row, view, built),
    };
    facts.extend(log_facts(deployment_logs_kept(app, &row.id).await?));
    let now = now();
    let serves = view.stack.active_release_id.is_some() && view.stack.active_release_id == row.release_id;
    // One that was rolled back by the rollout itself has an error, and a release that never served.
    let was_good = match row.status {
        DeploymentStatus::Successful => true,
        DeploymentStatus::RolledBack => row.error.is_none(),
        _ => false,
    };
    Ok(Live {
        seq: row.seq,
        stack: view.stack.name.clone(),
        stack_link: stack_link(view),
        badge: row.status.into(),
        is_running: !row.status.is_terminal(),
        is_rolling: row.status == DeploymentStatus::Deploying
            && !row.rollout.abort_requested
            && carried.is_none(),
        is_paused: row.rollout.paused_at.is_some(),
        question: asked.last().filter(|last| last.is_open() && !row.status.is_terminal()).map(question),
        answers: asked.iter().filter_map(answered).collect(),
        label: if carried.is_some() { row.rollout.label.clone() } else { label(row, serves) },
        progress: overall(row, built),
        error: row.error.clone().unwrap_or_default(),
        fallback: row.rollout.fallback_reason.clone().unwrap_or_default(),
        can_return: was_good && !serves && row.release_id.is_some(),
        can_retry: row.status.may_be_retried(),
        may_act: session.0.role >= Role::Deployer,
        sees_calls: session.0.who.rights.is_server_admin(),
        can_check: row.release_id.is_some() && (serves || row.status == DeploymentStatus::Deploying),
        promotable_at: rolling.as_ref().filter(|view| view.waits).map(RolloutView::share),
        serves_new: rolling.as_ref().is_some_and(|view| view.share() > 0),
        split: rolling.map(Split::from),
        charts: Charts::of(&history, now),
        decided: decided_rows(&history),
        timeline: Timeline::of(row, built, &journal, now),
        steps: groups(&journal),
        facts,
        commit: Commit::from(row),
        author: row.commit_author.clone().unwrap_or_default(),
        started: When::new(row.started_at),
        completed: row.completed_at.map(When::new),
        took: duration(row.completed_at.unwrap_or(now) - row.started_at),
    })
}

fn question(open: &Approval) -> Question {
    Question {
        prompt: open.prompt.clone(),
        plan_hash: open.plan_hash.clone(),
        asked: When::new(open.asked_at),
        expires: When::new(open.expires_at),
    }
}

fn answered(row: &Approval) -> Option<Answer> {
    let word = match row.state {
        ApprovalState::Approved => "Approved",
        ApprovalState::Rejected => "Rejected",
        ApprovalState::Expired => "Not answered in time",
        ApprovalState::Open | ApprovalState::Withdrawn => return None,
    };
    Some(Answer {
        word,
        by: row.decided_by.clone().unwrap_or_default(),
        prompt: row.prompt.clone(),
        comment: row.comment.clone().unwrap_or_default(),
        at: When::new(row.decided_at?),
    })
}

/// What it is doing, or what has become of it.
fn label(row: &Deployment, serves: bool) -> String {
    match row.status {
        DeploymentStatus::Building => "Building the image".into(),
        DeploymentStatus::Successful if serves => "It serves now".into(),
        DeploymentStatus::Successful => "It served, and was followed by another one".into(),
        DeploymentStatus::RolledBack if row.error.is_none() => "It served until somebody rolled back".into(),
        _ if row.status.is_terminal() => String::new(),
        _ if row.rollout.paused_at.is_some() => format!("Paused: {}", row.rollout.label),
        _ if row.rollout.abort_requested => "Cancelling; what served before goes on serving".into(),
        _ => row.rollout.label.clone(),
    }
}

/// Of build and rollout together, each a half; one without a build is all rollout.
fn overall(row: &Deployment, built: Option<&Build>) -> i64 {
    match (row.status, built) {
        (status, _) if status.is_terminal() => 100,
        (DeploymentStatus::Pending, _) => 0,
        (DeploymentStatus::Building, _) => 25,
        (_, Some(_)) => 50 + row.rollout.progress / 2,
        (_, None) => row.rollout.progress,
    }
}

fn groups(journal: &[JournalEntry]) -> Vec<StepGroup> {
    let mut groups: Vec<StepGroup> = Vec::new();
    for entry in journal {
        let row = EffectRow {
            badge: entry.state.into(),
            words: words(&entry.effect),
            error: entry.error.clone().unwrap_or_default(),
            at: When::new(entry.intended_at),
            took: entry.done_at.map_or(String::new(), |at| duration(at - entry.intended_at)),
        };
        match groups.last_mut() {
            Some(group) if group.label == entry.label => group.effects.push(row),
            _ => groups.push(StepGroup { label: entry.label.clone(), effects: vec![row] }),
        }
    }
    groups
}

fn facts(
    app: &App,
    row: &Deployment,
    view: &StackView,
    built: Option<&Build>,
) -> Vec<(&'static str, String)> {
    let mut facts = vec![("Trigger", trigger(row))];
    if let Some(reason) = &row.reason {
        facts.push(("Reason", reason.clone()));
    }
    if !row.image_tag.is_empty() {
        facts.push(("Image", row.image_tag.clone()));
    }
    let strategy =
        if row.rollout.strategy.is_empty() { strategy_name(app, &view.stack) } else { &row.rollout.strategy };
    facts.push(("Strategy", with_digest(strategy, &row.rollout.strategy_digest)));
    if let Some(built) = built {
        facts.push(("Build planner", with_digest(&built.planner, &built.planner_digest)));
        if let (Some(from), Some(to)) = (built.started_at, built.finished_at) {
            facts.push(("Build", format!("#{}, {}", built.seq, duration(to - from))));
        }
    }
    if let Some(pause) = row.rollout.pause_ms {
        facts.push(("Pause of the hand-over", duration(pause)));
    }
    facts
}

/// Of a deployment that a provider carries out.
fn carried_facts(row: &Deployment, carried: &Carried) -> Vec<(&'static str, String)> {
    let mut facts = vec![("Trigger", trigger(row))];
    if let Some(reason) = &row.reason {
        facts.push(("Reason", reason.clone()));
    }
    facts.push(("Provider", carried.provider.name.clone()));
    facts.push(("Job", carried.job.name.clone()));
    if let Some(number) = &carried.mapping.build_number {
        facts.push(("Build there", number.clone()));
    }
    if let Some(url) = &carried.mapping.build_url {
        facts.push(("Page there", url.clone()));
    }
    facts
}

/// Of its logs, once they are complete.
fn log_facts((build, rollout): (Option<LogSummary>, Option<LogSummary>)) -> Vec<(&'static str, String)> {
    let words = |log: LogSummary| {
        let bytes = size(i64::try_from(log.bytes).unwrap_or(i64::MAX));
        format!("{} lines, {bytes}, sha256 {}", log.lines, short(&log.sha256))
    };
    let build = build.map(|log| ("Build log", words(log)));
    build.into_iter().chain(rollout.map(|log| ("Rollout log", words(log)))).collect()
}

fn with_digest(name: &str, digest: &str) -> String {
    if digest.is_empty() { name.to_string() } else { format!("{name} ({})", short(digest)) }
}

pub async fn cancel(State(app): State<App>, session: Session, Path(id): Path<String>) -> PageResult {
    let result = deployment::deployment_cancel(&app, &id).await;
    back(&app, &session, &id, result).await
}

/// Shows the deployment that came of it, or this one with what went wrong.
async fn back(app: &App, session: &Session, id: &str, result: Result<Deployment>) -> PageResult {
    match result {
        Ok(row) => Ok(to(&format!("/deployments/{}", row.seq))),
        Err(error @ Error::NotFound { .. }) => Err(error.into()),
        Err(error) => page(app, session, id, "", Some(error), None).await,
    }
}

pub async fn pause(State(app): State<App>, session: Session, Path(id): Path<String>) -> PageResult {
    let result = approval::deployment_pause(&app, &id, &session.0.who.user.name).await;
    back(&app, &session, &id, result).await
}

pub async fn resume(State(app): State<App>, session: Session, Path(id): Path<String>) -> PageResult {
    let result = approval::deployment_resume(&app, &id, &session.0.who.user.name).await;
    back(&app, &session, &id, result).await
}

#[derive(Deserialize)]
pub struct PromoteForm {
    share: u32,
}

/// Ends the wait that was on the page.
pub async fn promote(
    State(app): State<App>,
    session: Session,
    Path(id): Path<String>,
    Form(form): Form<PromoteForm>,
) -> PageResult {
    let who = &session.0.who;
    let result = approval::deployment_promote(&app, &id, Some(form.share), None, who).await;
    back(&app, &session, &id, result).await
}

#[derive(Deserialize)]
pub struct AnswerForm {
    verdict: Verdict,
    plan: String,
}

/// Answers the question that was on the page.
pub async fn answer(
    State(app): State<App>,
    session: Session,
    Path(id): Path<String>,
    Form(form): Form<AnswerForm>,
) -> PageResult {
    let who = &session.0.who;
    let result = approval::approval_decide(&app, &id, form.verdict, Some(&form.plan), None, who).await;
    back(&app, &session, &id, result).await
}

/// Brings the release of this deployment back.
pub async fn rollback(State(app): State<App>, session: Session, Path(id): Path<String>) -> PageResult {
    let row = deployment::deployment_view(&app, &id).await?;
    let result = deployment::deployment_rollback(
        &app,
        row.stack_id.as_str(),
        Some(row.id.as_str()),
        session.0.caller(),
    )
    .await;
    back(&app, &session, &id, result).await
}

/// Starts what this deployment wanted again.
pub async fn retry(State(app): State<App>, session: Session, Path(id): Path<String>) -> PageResult {
    let result = deployment::deployment_retry(&app, &id, session.0.caller()).await;
    back(&app, &session, &id, result).await
}
