//! What a build would do, as a page: the planner's steps, and the Dockerfile that it would write.

use askama::Template;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::page::{Frame, PageResult, render};
use super::session::Session;
use super::stack;
use super::stacks::stack_link;
use super::ui::short;
use crate::app::App;
use crate::app::build::build_plan;
use crate::app::stack::stack_view;
use crate::domain::plan::BuildStep;
use crate::error::Error;

#[derive(Default, Deserialize)]
pub struct BuildPlanQuery {
    #[serde(default)]
    git_ref: String,
}

#[derive(Template)]
#[template(path = "build_plan.html")]
struct BuildPlanPage {
    frame: Frame,
    name: String,
    link: String,
    planner: String,
    git_ref: String,
    commit: String,
    subject: String,
    steps: Vec<StepRow>,
}

struct StepRow {
    words: String,
    /// The Dockerfile that the planner has written, or the commands.
    text: String,
    facts: Vec<(&'static str, String)>,
}

pub async fn show(
    State(app): State<App>,
    session: Session,
    Path(name): Path<String>,
    Query(query): Query<BuildPlanQuery>,
) -> PageResult {
    let git_ref = Some(query.git_ref.trim()).filter(|name| !name.is_empty());
    let plan = match build_plan(&app, &name, git_ref).await {
        Ok(plan) => plan,
        Err(error @ Error::NotFound { what: "stack", .. }) => return Err(error.into()),
        Err(error) => return stack::again(&app, &session, &name, error).await,
    };
    let link = stack_link(&stack_view(&app, &name).await?);
    let frame = Frame::new(&session, "stacks", format!("Build of {}", plan.stack)).crumb("/", "Stacks");
    render(&BuildPlanPage {
        frame: frame.crumb(link.clone(), plan.stack.clone()),
        name: plan.stack,
        link,
        planner: plan.planner,
        git_ref: plan.git_ref,
        commit: short(&plan.commit_sha),
        subject: plan.commit_subject,
        steps: plan.steps.into_iter().map(row).collect(),
    })
}

fn row(step: BuildStep) -> StepRow {
    let words = step.words();
    let (mut text, mut facts) = (String::new(), Vec::new());
    match step {
        BuildStep::DockerBuild { context_path, target, tags, dockerfile, .. } => {
            text = dockerfile.unwrap_or_default();
            facts.push(("Context", context_path));
            facts.extend(target.map(|target| ("Stage", target)));
            facts.push(("Image", tags.join(", ")));
        }
        BuildStep::RunInContainer { commands, working_directory, outputs, .. } => {
            text = commands.join("\n");
            facts.push(("Starts in", working_directory));
            if !outputs.is_empty() {
                facts.push(("Brings back", outputs.join(", ")));
            }
        }
        _ => {}
    }
    StepRow { words, text, facts }
}
