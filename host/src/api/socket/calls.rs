//! The nine calls of seed 3, under its names. Each is the use case that the REST API has as well.

use serde_json::{Map, Value};
use socketioxide::extract::SocketRef;

use super::args::Args;
use super::{Guard, identity, on, shown};
use crate::api::view::{ConnectionView, DeploymentView, RepositoryView, StackView};
use crate::app::access::require;
use crate::app::deployment::{self, Caller};
use crate::app::stack::{StackView as Stack, stack_save_build, stack_save_repository, stack_view};
use crate::app::{App, repository};
use crate::domain::access::{Reach, Role, Subject};
use crate::domain::build_config::BuildSettings;
use crate::domain::page::PageRequest;
use crate::domain::repository::{RepositoryInput, redact_url};
use crate::error::{Error, Result};

/// Of a history whose length nobody said.
const HISTORY: i64 = 50;
/// What a repository is shown with and nobody can set; a client may send back what it got.
const SHOWN_REPOSITORY: [&str; 17] = [
    "id",
    "stackId",
    "hasCredentials",
    "webhookUrl",
    "hasWebhookSecret",
    "webhookRegistered",
    "webhookError",
    "previousWebhookSecretUntil",
    "lastSyncedAt",
    "lastSyncedCommit",
    "lookedAt",
    "nextLookAt",
    "lookFailures",
    "lookError",
    "commitStatusError",
    "createdAt",
    "updatedAt",
];
/// The same of a build configuration.
const SHOWN_CONFIG: [&str; 5] = ["id", "stackId", "repositoryId", "createdAt", "updatedAt"];
/// Stands for a secret that is not shown.
const HIDDEN: &str = "***";

pub fn listen(app: &App, socket: &SocketRef) {
    let stack = |role| Guard(role, Subject::Stack);
    let deployment = Guard(Role::Deployer, Subject::Deployment);
    on(app, socket, "getGitRepository", stack(Role::Viewer), |app, _, _, args| get_repository(app, args));
    on(app, socket, "saveGitRepository", stack(Role::Developer), |app, _, _, args| {
        save_repository(app, args)
    });
    on(app, socket, "testGitConnection", Guard(Role::Developer, Subject::Any), |app, socket, _, args| {
        test_connection(app, socket, args)
    });
    on(app, socket, "getBuildConfig", stack(Role::Viewer), |app, _, _, args| get_config(app, args));
    on(app, socket, "saveBuildConfig", stack(Role::Developer), |app, _, _, args| save_config(app, args));
    on(app, socket, "getDeploymentHistory", stack(Role::Viewer), |app, _, _, args| history(app, args));
    on(app, socket, "triggerBuild", stack(Role::Deployer), |app, _, caller, args| trigger(app, caller, args));
    on(app, socket, "cancelBuild", deployment, |app, _, _, args| cancel(app, args));
    on(app, socket, "rollbackDeployment", deployment, |app, _, caller, args| roll_back(app, caller, args));
}

/// `null` for a stack without a repository.
async fn get_repository(app: App, mut args: Args) -> Result<Value> {
    let view = stack_view(&app, &args.reference(0, "stackName")?).await?;
    shown(view.repository.map(RepositoryView::from))
}

async fn save_repository(app: App, mut args: Args) -> Result<Value> {
    let stack = args.reference(0, "stackName")?;
    let mut given = without(args.take(1, "repository")?, &SHOWN_REPOSITORY);
    let view = stack_view(&app, &stack).await?;
    if let Some(row) = &view.repository
        && given.get("url").and_then(Value::as_str) == Some(&redact_url(&row.url))
    {
        // What was hidden in the URL when it was shown stays in it.
        given.insert("url".into(), row.url.clone().into());
    }
    let input = repository_input(given)?;
    let (view, webhook) = stack_save_repository(&app, &stack, input).await?;
    let mut saved = shown(view.repository.map(RepositoryView::from))?;
    if let (Value::Object(saved), Some(webhook)) = (&mut saved, webhook) {
        // Of a new repository; shown this once.
        saved.insert("webhookSecret".into(), webhook.secret.into());
    }
    Ok(saved)
}

/// Credentials that are left out are those of the stack that `stackId` names, if its repository has the same URL.
async fn test_connection(app: App, socket: SocketRef, mut args: Args) -> Result<Value> {
    let given: Map<String, Value> = args.take(0, "repository")?;
    let stack = given.get("stackId").and_then(Value::as_str).map(str::to_string);
    if let Some(name) = &stack {
        let who = identity(&app, &socket).await?;
        require(&app, &who.rights, Role::Developer, Subject::Stack, name).await?;
    }
    let input = repository_input(without(given, &SHOWN_REPOSITORY))?;
    let reached = repository::repository_test(&app, stack.as_deref(), Some(&input)).await?;
    shown(ConnectionView::from(reached))
}

async fn get_config(app: App, mut args: Args) -> Result<Value> {
    let view = stack_view(&app, &args.reference(0, "stackName")?).await?;
    config_of(view)
}

/// What is left out stays as it is; a secret variable whose value is `***` keeps its value.
async fn save_config(app: App, mut args: Args) -> Result<Value> {
    let stack = args.reference(0, "stackName")?;
    let given = without(args.take(1, "config")?, &SHOWN_CONFIG);
    let old = stack_view(&app, &stack).await?.build.settings;
    let Value::Object(mut all) = shown(&old)? else { return Err(Error::internal("settings are an object")) };
    all.extend(given);
    let mut settings: BuildSettings = serde_json::from_value(Value::Object(all)).map_err(|error| {
        Error::invalid("config", format!("the build configuration is not understood: {error}"))
    })?;
    let hidden =
        |variable: &&mut crate::domain::build_config::EnvVar| variable.secret && variable.value == HIDDEN;
    for variable in settings.environment_variables.iter_mut().filter(hidden) {
        let kept = old.environment_variables.iter().find(|old| old.secret && old.name == variable.name);
        let kept = kept.ok_or_else(|| {
            let text = format!("the secret variable `{}` has no value yet; give one", variable.name);
            Error::invalid("config.environmentVariables", text)
        })?;
        variable.value.clone_from(&kept.value);
    }
    config_of(stack_save_build(&app, &stack, settings).await?)
}

async fn history(app: App, mut args: Args) -> Result<Value> {
    let stack = stack_view(&app, &args.reference(0, "stackName")?).await?.stack;
    let limit = args.take_opt::<i64>(1, "limit")?.unwrap_or(HISTORY);
    let page = deployment::deployment_list(
        &app,
        Some(&stack.id),
        PageRequest::new(None, Some(limit)),
        &Reach::EVERYTHING,
    )
    .await?;
    shown(page.items.into_iter().map(DeploymentView::from).collect::<Vec<_>>())
}

async fn trigger(app: App, caller: Caller, mut args: Args) -> Result<Value> {
    let stack = args.reference(0, "stackName")?;
    begun(deployment::deployment_create(&app, &stack, None, None, caller).await?)
}

async fn cancel(app: App, mut args: Args) -> Result<Value> {
    shown(DeploymentView::from(
        deployment::deployment_cancel(&app, &args.reference(0, "deploymentId")?).await?,
    ))
}

/// Goes back to that deployment; from the one that serves, to the one before it.
async fn roll_back(app: App, caller: Caller, mut args: Args) -> Result<Value> {
    let row = deployment::deployment_view(&app, &args.reference(0, "deploymentId")?).await?;
    let view = stack_view(&app, row.stack_id.as_str()).await?;
    let serves = row.release_id.is_some() && row.release_id == view.stack.active_release_id;
    let target = (!serves).then_some(row.id.as_str());
    begun(deployment::deployment_rollback(&app, view.stack.id.as_str(), target, caller).await?)
}

/// A deployment that was started, and the terminal that shows it.
fn begun(row: crate::domain::deployment::Deployment) -> Result<Value> {
    let terminal = format!("deployment-{}", row.seq);
    let Value::Object(mut data) = shown(DeploymentView::from(row))? else {
        return Err(Error::internal("a deployment is an object"));
    };
    data.insert("terminal".into(), terminal.into());
    Ok(Value::Object(data))
}

fn config_of(view: Stack) -> Result<Value> {
    shown(StackView::from(view).build_config)
}

fn repository_input(given: Map<String, Value>) -> Result<RepositoryInput> {
    serde_json::from_value(Value::Object(given))
        .map_err(|error| Error::invalid("repository", format!("the repository is not understood: {error}")))
}

/// Neither what is only shown nor what is `null`.
fn without(mut given: Map<String, Value>, shown: &[&str]) -> Map<String, Value> {
    given.retain(|name, value| !shown.contains(&name.as_str()) && !value.is_null());
    given
}
