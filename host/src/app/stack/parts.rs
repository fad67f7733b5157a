//! One part of a stack changed by itself; everything else stays as it is.

use super::{StackInput, StackView, WebhookSetup, project_name, stack_update, stack_view};
use crate::app::App;
use crate::app::webhook_secret::fresh;
use crate::domain::build_config::BuildSettings;
use crate::domain::repository::RepositoryInput;
use crate::error::Result;

/// Gives the stack a repository, or changes the one it has. What is left out of the credentials is kept. A new repository
/// gets a webhook secret, which is answered this once.
///
/// # Errors
/// As [`stack_update`].
pub async fn stack_save_repository(
    app: &App,
    reference: &str,
    mut given: RepositoryInput,
) -> Result<(StackView, Option<WebhookSetup>)> {
    let view = stack_view(app, reference).await?;
    let is_new = view.repository.is_none();
    if is_new && given.webhook_secret.as_deref().unwrap_or_default().is_empty() {
        given.webhook_secret = Some(fresh(app.plugins.webhook_contract(&given.provider).ok().as_ref())?);
    }
    let secret = given.webhook_secret.clone();
    let input = StackInput { repository: Some(given), ..unchanged(app, view).await? };
    let view = stack_update(app, reference, input).await?;
    let url = view.repository.as_ref().and_then(|row| row.webhook_url.clone());
    let setup = secret.zip(url).filter(|_| is_new).map(|(secret, url)| WebhookSetup { url, secret });
    Ok((view, setup))
}

/// Changes how the stack is built.
///
/// # Errors
/// As [`stack_update`].
pub async fn stack_save_build(app: &App, reference: &str, build: BuildSettings) -> Result<StackView> {
    let view = stack_view(app, reference).await?;
    stack_update(app, reference, StackInput { build, ..unchanged(app, view).await? }).await
}

/// The input that changes nothing.
pub(in crate::app) async fn unchanged(app: &App, view: StackView) -> Result<StackInput> {
    let project = project_name(app, &view.stack.project_id).await?;
    Ok(StackInput {
        name: view.stack.name,
        project,
        team: None,
        description: view.stack.description,
        repository: None,
        build: view.build.settings,
        run: view.stack.run,
        traffic: view.stack.traffic,
        strategy: view.stack.strategy,
        strategy_params: view.stack.strategy_params,
        target: None,
    })
}
