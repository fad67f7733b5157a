//! What a deployment would do, as a page with the button that does it.

use askama::Template;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use windlass_sdk::testkit::Foreseen;

use super::page::{Frame, PageResult, render};
use super::session::Session;
use super::stack;
use super::stacks::stack_link;
use super::ui::{Badge, Tone, duration, short};
use crate::app::App;
use crate::app::plan::{Plan, Wanted, stack_plan};
use crate::app::stack::stack_view;
use crate::domain::change::Change;
use crate::error::Error;

#[derive(Default, Deserialize)]
pub struct PlanQuery {
    #[serde(default)]
    git_ref: String,
    #[serde(default)]
    deployment: String,
}

#[derive(Template)]
#[template(path = "plan.html")]
struct PlanPage {
    frame: Frame,
    name: String,
    link: String,
    source: String,
    git_ref: String,
    /// The deployment that would be gone back to; empty if a ref would be built.
    deployment: String,
    changes: Vec<Side>,
    strategy: String,
    took: String,
    problem: String,
    steps: Vec<StepRow>,
    downtime: Option<(String, String)>,
    way_back: Badge,
    way_back_words: String,
    assumptions: Vec<String>,
    hash: String,
}

struct Side {
    what: String,
    from: String,
    to: String,
}

struct StepRow {
    after: String,
    label: String,
    question: String,
    new: usize,
    old: usize,
    share: u32,
}

pub async fn show(
    State(app): State<App>,
    session: Session,
    Path(name): Path<String>,
    Query(query): Query<PlanQuery>,
) -> PageResult {
    let git_ref = query.git_ref.trim();
    let wanted = match (git_ref, query.deployment.as_str()) {
        ("", "") => Wanted::Branch,
        ("", deployment) => Wanted::Deployment(deployment.to_string()),
        (git_ref, _) => Wanted::Ref(git_ref.to_string()),
    };
    let plan = match stack_plan(&app, &name, &wanted).await {
        Ok(plan) => plan,
        Err(error @ Error::NotFound { .. }) => return Err(error.into()),
        Err(error) => return stack::again(&app, &session, &name, error).await,
    };
    let link = stack_link(&stack_view(&app, &name).await?);
    let frame = Frame::new(&session, "stacks", format!("Plan for {}", plan.stack)).crumb("/", "Stacks");
    let frame = frame.crumb(link.clone(), plan.stack.clone());
    let deployment = if git_ref.is_empty() { query.deployment.clone() } else { String::new() };
    render(&page(frame, link, git_ref.to_string(), deployment, plan))
}

fn page(frame: Frame, link: String, git_ref: String, deployment: String, plan: Plan) -> PlanPage {
    let (steps, took, problem) = match plan.forecast {
        Ok(told) => (told.steps.iter().map(step_row).collect(), span(told.took_ms), String::new()),
        Err(problem) => (Vec::new(), String::new(), problem),
    };
    let way_back = match &plan.way_back {
        Ok(_) => Badge { tone: Tone::Good, word: "ready" },
        Err(_) => Badge { tone: Tone::Stopped, word: "not ready" },
    };
    let (Ok(way_back_words) | Err(way_back_words)) = plan.way_back;
    PlanPage {
        frame,
        name: plan.stack,
        link,
        source: plan.source,
        git_ref,
        deployment,
        changes: plan.changes.into_iter().map(side).collect(),
        strategy: plan.strategy,
        took,
        problem,
        steps,
        downtime: plan.downtime.map(|pause| (duration(pause.expected_ms), pause.why)),
        way_back,
        way_back_words,
        assumptions: plan.assumptions,
        hash: short(&plan.hash),
    }
}

fn side(change: Change) -> Side {
    // A whole digest or commit says no more to people than its beginning.
    let is_hash = matches!(change.what.as_str(), "image" | "commit");
    let shown = |side: Option<String>| match side {
        Some(text) if is_hash => short(&text),
        Some(text) => text,
        None => "–".to_string(),
    };
    Side { what: change.what, from: shown(change.from), to: shown(change.to) }
}

fn step_row(step: &Foreseen) -> StepRow {
    StepRow {
        after: span(step.at_ms),
        label: step.label.clone(),
        question: step.question.clone().unwrap_or_default(),
        new: step.instances[0],
        old: step.instances[1],
        share: step.share,
    }
}

fn span(ms: u64) -> String {
    duration(i64::try_from(ms).unwrap_or(i64::MAX))
}
