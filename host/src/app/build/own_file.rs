//! `windlass.yaml` of the commit that is built, laid over the stack's settings for this build and its release.

use std::borrow::Cow;

use super::DEFAULT_DOCKERFILE;
use crate::app::App;
use crate::app::logs::LogWriter;
use crate::app::stack::StackView;
use crate::domain::Id;
use crate::domain::build::Build;
use crate::domain::{repo_file, yaml};
use crate::error::{Error, Result};
use crate::plugins::planner_name;

/// What is built and how, as the commit wants it. Without the file everything stays as it is.
///
/// # Errors
/// `Failed`, with line and column of what is wrong in the file: building the commit again would not help.
pub(super) async fn laid_over<'a>(
    app: &App,
    (view, build): (&'a StackView, &'a Build),
    mirror: &Id,
    commit: &str,
    log: &LogWriter,
) -> Result<(Cow<'a, StackView>, Cow<'a, Build>)> {
    let bytes = match app.git.file(mirror, commit, repo_file::NAME).await {
        Ok(bytes) => bytes,
        Err(Error::NotFound { .. }) => return Ok((Cow::Borrowed(view), Cow::Borrowed(build))),
        Err(error) => return Err(error),
    };
    let wrong = |error: Error| match error {
        Error::Invalid { message, .. } => Error::failed(message),
        other => other,
    };
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::failed(format!("{} is not UTF-8 text", repo_file::NAME)))?;
    let (mut view, mut build) = (view.clone(), build.clone());
    let before = view.build.settings.clone();
    let settings = &mut view.build.settings;
    repo_file::overlay(&text, settings, &mut view.stack.run).map_err(wrong)?;
    // What a request for this one build has said wins (seed 4).
    if settings.context_path != before.context_path {
        build.context_path = settings.context_path.clone().unwrap_or_else(|| ".".into());
    }
    if settings.dockerfile_path != before.dockerfile_path {
        build.dockerfile = settings.dockerfile_path.clone().unwrap_or_else(|| DEFAULT_DOCKERFILE.into());
    }
    if settings.build_type != before.build_type {
        build.planner = planner_name(&settings.build_type);
        build.planner_digest = app.plugins.digest(&build.planner).unwrap_or_default();
    }
    let problems = app.plugins.planner_validate(&build.planner, settings).await?;
    if let Some(problem) = problems.first() {
        let field = format!("build{}", problem.path.replace('/', "."));
        let error = Error::invalid(field, problem.message.clone());
        return Err(wrong(yaml::place(repo_file::NAME, &text, "", error)));
    }
    log.line(&format!("{} of the commit counts for this build", repo_file::NAME));
    Ok((Cow::Owned(view), Cow::Owned(build)))
}
