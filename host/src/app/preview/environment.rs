//! The stack that shows a pull request: made of its parent's settings, and where it can be looked at.

use crate::app::build::credentials;
use crate::app::stack::{StackInput, StackView, stack_make, stack_update, stack_view, unchanged};
use crate::app::traffic::{is_routed, public_url};
use crate::app::{App, stack};
use crate::domain::preview::{Preview, PreviewWatch, build_settings, run_spec, stack_name};
use crate::domain::repository::RepositoryInput;
use crate::error::{Error, Result};
use crate::store::{projects, stacks};

/// Two copies never meet, so nothing has to be weighed: the plainest way of all.
const STRATEGY: &str = "standard";

/// The settings of a preview: its parent's with the pull request's branch. It is deployed by us and by no push, and keeps
/// nothing of what its parent keeps on the machine.
pub(super) async fn input(
    app: &App,
    parent: &StackView,
    watch: &PreviewWatch,
    row: &Preview,
) -> Result<StackInput> {
    let Some(repository) = &parent.repository else {
        return Err(Error::conflict("the stack has no repository any more".to_owned()));
    };
    let mut wanted = unchanged(app, parent.clone()).await?;
    wanted.name = stack_name(&parent.stack.name, row.number)?;
    wanted.description = format!("{}: {}", mark(parent, row), row.title);
    wanted.repository = Some(RepositoryInput {
        url: repository.url.clone(),
        branch: row.branch.clone(),
        provider: repository.provider.clone(),
        auth_type: repository.auth_type,
        credentials: Some(credentials(app, repository)?),
        webhook_secret: None,
        auto_sync: false,
        commit_status: repository.commit_status,
    });
    wanted.build = build_settings(&wanted.build);
    wanted.run = run_spec(&wanted.run);
    wanted.traffic = watch.settings.traffic(row.number);
    (wanted.strategy, wanted.strategy_params) = (STRATEGY.to_owned(), serde_json::json!({}));
    Ok(wanted)
}

fn mark(parent: &StackView, row: &Preview) -> String {
    format!("Preview of {}, pull request {}", parent.stack.name, row.number)
}

/// Makes the stack, or takes the one that was made just before a server ended.
pub(super) async fn make(app: &App, parent: &StackView, wanted: StackInput) -> Result<StackView> {
    let mut conn = app.db.read().await?;
    let found = stacks::find_opt(&mut conn, &wanted.name).await?;
    let project = projects::find(&mut conn, parent.stack.project_id.as_str()).await?;
    drop(conn);
    match found {
        None => Ok(stack_make(app, wanted, project.team_id).await?.0),
        Some(own) if is_own(&own, parent, &wanted) => {
            stack_update(app, own.id.as_str(), wanted).await?;
            stack_view(app, own.id.as_str()).await
        }
        Some(_) => Err(Error::conflict(format!(
            "a stack named `{}` exists already and is no preview; delete it, or rename what it is for",
            wanted.name
        ))),
    }
}

fn is_own(found: &crate::domain::stack::Stack, parent: &StackView, wanted: &StackInput) -> bool {
    let mark = wanted.description.split(':').next().unwrap_or_default();
    found.project_id == parent.stack.project_id && found.description.starts_with(mark)
}

/// Where a preview can be looked at; `None` while nothing of it serves.
pub async fn address(app: &App, child: &StackView) -> Option<String> {
    child.active_release.as_ref()?;
    if is_routed(app, &child.stack) {
        return public_url(app, &child.stack);
    }
    let containers = stack::containers(app, &child.stack).await?;
    let port = containers
        .into_iter()
        .filter(|view| view.container.running)
        .find_map(|view| view.ports.first().cloned())?;
    Some(format!("http://{}:{}/", port.address, port.host))
}
