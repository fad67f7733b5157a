//! What a build would do, said before anything runs.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::run::plan;
use super::source::access;
use super::{BuildSource, queued_build};
use crate::app::App;
use crate::app::stack::stack_view;
use crate::domain::plan::BuildStep;
use crate::domain::reference;
use crate::error::{Error, Result};

/// How long the git server may take.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub struct BuildPlan {
    pub stack: String,
    pub planner: String,
    pub planner_digest: String,
    pub git_ref: String,
    pub commit_sha: String,
    /// The commit message's first line.
    pub commit_subject: String,
    pub steps: Vec<BuildStep>,
}

/// Fetches the branch, tag or commit (the repository's branch if none is named) and asks the planner. Nothing is built.
///
/// # Errors
/// `Conflict` if the stack has no repository; the planner's failure, in its words.
pub async fn build_plan(app: &App, stack: &str, git_ref: Option<&str>) -> Result<BuildPlan> {
    let view = stack_view(app, stack).await?;
    let row = view.repository.as_ref().ok_or_else(|| {
        Error::conflict(format!(
            "stack `{}` has no repository, so there is nothing that could be built",
            view.stack.name
        ))
    })?;
    let name = git_ref.unwrap_or(&row.branch).to_string();
    reference::check_name(&name)?;
    let settings = &view.build.settings;
    let source = BuildSource {
        git_url: row.url.clone(),
        git_ref: name.clone(),
        commit_sha: String::new(),
        context_path: settings.context_path.clone(),
        dockerfile: settings.dockerfile_path.clone(),
    };
    // A row that is stored nowhere: what the build would begin with.
    let build = queued_build(app, &view.stack, &settings.build_type, source);
    let access = access(app, &view, &build).await?;
    let cancel = CancellationToken::new();
    let fetched =
        tokio::time::timeout(PATIENCE, app.git.fetch(&access, &cancel, Arc::new(|_: &str| ()))).await;
    cancel.cancel();
    fetched.unwrap_or_else(|_| Err(Error::timeout("fetching the repository", PATIENCE.as_secs())))?;
    let commit = app.git.resolve(&access.id, &name).await?;
    let steps = plan(app, &view, &build, (&access.id, &commit)).await?;
    Ok(BuildPlan {
        stack: view.stack.name.clone(),
        planner: build.planner,
        planner_digest: build.planner_digest,
        git_ref: name,
        commit_subject: commit.subject().to_string(),
        commit_sha: commit.sha,
        steps,
    })
}
