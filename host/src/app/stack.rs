//! Stacks with their repository and build configuration: created, changed and shown as one thing.

mod check;
mod input;
mod parts;
mod row;

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::App;
use super::access::{Identity, require};
use super::cicd::provider::check_teams;
use super::forge::{Shown, hook_drop};
use super::people::teams::{project_insert, team_for};
use super::repository::{branch_fill, keep_newest};
use super::webhook_secret::fresh;
use crate::docker::ContainerView;
use crate::domain::Id;
use crate::domain::access::{Reach, Role, Subject};
use crate::domain::build_config::{BuildConfig, BuildSettings};
use crate::domain::deployment::Deployment;
use crate::domain::event::{EventKind, NewEvent};
use crate::domain::look::Look;
use crate::domain::page::{Page, PageRequest};
use crate::domain::release::Release;
use crate::domain::repository::{self, GitRepository};
use crate::domain::rollout::StackFacts;
use crate::domain::stack::{RunSpec, Stack};
use crate::domain::target::LOCAL;
use crate::domain::traffic::Traffic;
use crate::error::{Error, Result};
use crate::store::{
    self, Tx, build_configs, deployments, events, git_looks, owners, projects, releases, repositories, stacks,
};

pub use input::StackInput;
pub(super) use parts::unchanged;
pub use parts::{stack_save_build, stack_save_repository};
use row::{Kept, is_elsewhere, repository_row, repository_save};

/// A stack with all that belongs to it (seed 2, `StackCICDExtension`).
#[derive(Debug, Clone)]
pub struct StackView {
    pub stack: Stack,
    pub repository: Option<GitRepository>,
    /// How looking for pushes goes; absent until the first time.
    pub look: Option<Look>,
    pub build: BuildConfig,
    pub latest_deployment: Option<Deployment>,
    pub active_release: Option<Release>,
}

/// The webhook of a new stack. The secret is shown this once.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WebhookSetup {
    pub url: String,
    pub secret: String,
}

/// Everything that can be said about an input before it is stored.
pub async fn stack_check(app: &App, input: &StackInput) -> Result<()> {
    check::check(app, input).await
}

pub async fn stack_create(
    app: &App,
    input: StackInput,
    who: &Identity,
) -> Result<(StackView, Option<WebhookSetup>)> {
    let team = project_team(app, &input, who).await?;
    stack_make(app, input, team).await
}

/// The same for the server itself: `team` is whose the stack will be.
pub(super) async fn stack_make(
    app: &App,
    mut input: StackInput,
    team: Id,
) -> Result<(StackView, Option<WebhookSetup>)> {
    check::check(app, &input).await?;
    branch_fill(app, input.repository.as_mut(), None).await;
    let now = store::now();
    let stack = Stack {
        id: store::new_id(),
        seq: 0,
        project_id: Id::from_text(""),
        name: input.name.clone(),
        description: input.description.clone(),
        run: input.run.clone(),
        traffic: input.traffic.clone(),
        strategy: input.strategy.clone(),
        strategy_params: input.strategy_params.clone(),
        target: input.target.clone().filter(|name| !name.is_empty() && name != LOCAL),
        active_release_id: None,
        created_at: now,
        updated_at: now,
    };
    let mut setup = None;
    let repository = match &input.repository {
        Some(given) => {
            let secret = match given.webhook_secret.clone().filter(|secret| !secret.is_empty()) {
                Some(secret) => secret,
                None => fresh(app.plugins.webhook_contract(&given.provider).ok().as_ref())?,
            };
            let row = repository_row(app, &stack.id, given, None, Some(&secret))?;
            setup = row.webhook_url.clone().map(|url| WebhookSetup { url, secret });
            Some(row)
        }
        None => None,
    };
    let build = seal_build(
        app,
        BuildConfig {
            id: store::new_id(),
            stack_id: stack.id.clone(),
            repository_id: repository.as_ref().map(|row| row.id.clone()),
            settings: input.build.clone(),
            created_at: now,
            updated_at: now,
        },
    )?;
    let (name, project) = (input.name.clone(), input.project.clone());
    let stored = repository.clone();
    let id = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                let project_id = project_ensure(tx, &project, team).await?;
                let stack = stacks::insert(tx, Stack { project_id, ..stack }).await?;
                if let Some(row) = &repository {
                    repositories::insert(tx, row).await?;
                }
                build_configs::insert(tx, &build).await?;
                tx.changed("stack", Value::Null, recorded(&stack, repository.as_ref(), &build));
                events::append(tx, changed(&stack.id, "created")).await?;
                Ok(stack.id)
            })
        })
        .await
        .map_err(|error| match error {
            Error::Conflict(_) => Error::conflict(format!(
                "a stack named `{name}` exists already; choose another name or change that one"
            )),
            other => other,
        })?;
    if let Some(row) = &stored {
        keep_newest(app, row).await;
    }
    Ok((stack_view(app, id.as_str()).await?, setup))
}

pub async fn stack_update(app: &App, reference: &str, mut input: StackInput) -> Result<StackView> {
    let old = stack_view(app, reference).await?;
    input.target = input.target.or_else(|| old.stack.target.clone());
    check::check(app, &input).await?;
    if input.name != old.stack.name {
        return Err(Error::invalid(
            "name",
            "a stack cannot be renamed: its containers and images carry the name",
        ));
    }
    let target = check::target_of(app, &old, &input).await?;
    branch_fill(app, input.repository.as_mut(), old.repository.as_ref()).await;
    let now = store::now();
    let before = recorded(&old.stack, old.repository.as_ref(), &old.build);
    let stack = Stack {
        description: input.description.clone(),
        run: input.run.clone(),
        traffic: input.traffic.clone(),
        strategy: input.strategy.clone(),
        strategy_params: input.strategy_params.clone(),
        target,
        updated_at: now,
        ..old.stack
    };
    let repository = match &input.repository {
        Some(given) => Some(repository_row(app, &stack.id, given, old.repository.as_ref(), None)?),
        None => old.repository.clone(),
    };
    let build = seal_build(
        app,
        BuildConfig {
            settings: input.build.clone(),
            repository_id: repository.as_ref().map(|row| row.id.clone()),
            updated_at: now,
            ..old.build
        },
    )?;
    let (is_new, id) = (old.repository.is_none(), stack.id.clone());
    let kept = Kept::by(input.repository.as_ref());
    let given = input.repository.as_ref().is_some_and(|given| given.credentials.is_some());
    let stored = repository.clone().filter(|_| given);
    let left =
        old.repository.clone().filter(|old| repository.as_ref().is_some_and(|new| is_elsewhere(old, new)));
    let shown = match &left {
        Some(row) => Shown::at(app, row, &stack).await?,
        None => None,
    };
    app.db
        .write(move |tx| {
            Box::pin(async move {
                stacks::update(tx, &stack).await?;
                check_teams(tx, &stack.id).await?;
                match &repository {
                    Some(row) if is_new => repositories::insert(tx, row).await?,
                    Some(row) => repository_save(tx, row, kept).await?,
                    None => {}
                }
                build_configs::update(tx, &build).await?;
                tx.changed("stack", before, recorded(&stack, repository.as_ref(), &build));
                events::append(tx, changed(&stack.id, "changed")).await?;
                Ok(())
            })
        })
        .await?;
    app.endpoints.forget();
    super::traffic::refresh(app).await;
    if let Some(row) = &stored {
        keep_newest(app, row).await;
    }
    if let Some(row) = &left {
        hook_drop(app, row).await;
    }
    if let Some(shown) = shown {
        shown.retire(app).await;
    }
    stack_view(app, id.as_str()).await
}

pub async fn stack_view(app: &App, reference: &str) -> Result<StackView> {
    let mut conn = app.db.read().await?;
    let stack = stacks::find(&mut conn, reference).await?;
    let repository = repositories::by_stack(&mut conn, &stack.id).await?;
    let look = match &repository {
        Some(row) => git_looks::find_opt(&mut conn, &row.id).await?,
        None => None,
    };
    let build = build_configs::by_stack(&mut conn, &stack.id)
        .await?
        .ok_or_else(|| Error::internal(format!("stack {} has no build configuration", stack.name)))?;
    let latest_deployment = deployments::latest_by_stack(&mut conn, &stack.id).await?;
    let active_release = match &stack.active_release_id {
        Some(id) => Some(releases::find(&mut conn, id.as_str()).await?),
        None => None,
    };
    drop(conn);
    let build = BuildConfig { settings: open_settings(app, &build)?, ..build };
    Ok(StackView { stack, repository, look, build, latest_deployment, active_release })
}

pub async fn stack_list(app: &App, page: PageRequest, reach: &Reach) -> Result<Page<Stack>> {
    let mut conn = app.db.read().await?;
    stacks::list(&mut conn, page, reach).await
}

/// Names for a list that mentions stacks by id; those that are gone are left out.
pub async fn stack_names(app: &App, ids: &[Id]) -> Result<HashMap<Id, String>> {
    let mut conn = app.db.read().await?;
    let mut names = HashMap::new();
    for id in ids {
        if !names.contains_key(id)
            && let Some(stack) = stacks::find_opt(&mut conn, id.as_str()).await?
        {
            names.insert(id.clone(), stack.name);
        }
    }
    Ok(names)
}

/// The same for a list that mentions repositories.
pub async fn stack_names_by_repository(app: &App, ids: &[Id]) -> Result<HashMap<Id, String>> {
    let mut conn = app.db.read().await?;
    let mut names = HashMap::new();
    for id in ids {
        if !names.contains_key(id)
            && let Some(row) = repositories::find_opt(&mut conn, id).await?
            && let Some(stack) = stacks::find_opt(&mut conn, row.stack_id.as_str()).await?
        {
            names.insert(id.clone(), stack.name);
        }
    }
    Ok(names)
}

/// The releases of the stack's running containers, one entry a container; `None` if the engine does not answer soon.
pub async fn instances(app: &App, stack: &Stack) -> Option<Vec<Id>> {
    let running = containers(app, stack).await?.into_iter().filter(|view| view.container.running);
    Some(running.map(|view| view.container.release).collect())
}

/// The stack's containers; `None` if the engine does not answer soon.
pub(super) async fn containers(app: &App, stack: &Stack) -> Option<Vec<ContainerView>> {
    let asked = super::target::stack_views(app, stack);
    tokio::time::timeout(std::time::Duration::from_secs(2), asked).await.ok()?.ok()
}

pub async fn project_name(app: &App, id: &Id) -> Result<String> {
    let mut conn = app.db.read().await?;
    Ok(projects::find(&mut conn, id.as_str()).await?.name)
}

/// The integers of a stack and its project, which seed 4 shows as ids.
pub async fn stack_numbers(app: &App, id: &Id) -> Result<(i64, i64)> {
    let mut conn = app.db.read().await?;
    let stack = stacks::find(&mut conn, id.as_str()).await?;
    let project = projects::find(&mut conn, stack.project_id.as_str()).await?;
    Ok((project.seq, stack.seq))
}

/// Removes the stack, its history and its containers. Refused while a deployment runs.
pub async fn stack_delete(app: &App, reference: &str) -> Result<()> {
    let view = stack_view(app, reference).await?;
    let running = view.latest_deployment.as_ref().filter(|deployment| !deployment.status.is_terminal());
    if let Some(running) = running {
        return Err(Error::conflict(format!(
            "deployment {} of stack `{}` is still running; cancel it first",
            running.seq, view.stack.name
        )));
    }
    super::preview::preview_end_all(app, &view.stack.id).await?;
    let docker = super::target::engine(app, &view.stack).await?;
    for container in docker.list(&view.stack.name).await? {
        docker.remove(&container.container.name, Some(view.stack.run.stop_timeout())).await?;
    }
    super::compose::remove(app, &view.stack).await?;
    if let Some(row) = &view.repository
        && let Some(shown) = Shown::at(app, row, &view.stack).await?
    {
        shown.retire(app).await;
    }
    let id = view.stack.id.clone();
    let before = recorded(&view.stack, view.repository.as_ref(), &view.build);
    app.db
        .write(move |tx| {
            Box::pin(async move {
                // Once it is gone, nobody can be asked whose it was.
                if let Some(owner) = owners::owner(tx, Subject::Stack, id.as_str()).await? {
                    tx.is_about(owner);
                }
                stacks::delete(tx, &id).await?;
                tx.changed("stack", before, Value::Null);
                events::append(tx, changed(&id, "deleted")).await?;
                Ok(())
            })
        })
        .await?;
    app.endpoints.forget();
    super::traffic::refresh(app).await;
    if let Some(row) = &view.repository {
        hook_drop(app, row).await;
    }
    Ok(())
}

/// The build settings with secret variables in the clear, for use and never for output.
pub fn open_settings(app: &App, config: &BuildConfig) -> Result<BuildSettings> {
    let mut settings = config.settings.clone();
    for variable in settings.environment_variables.iter_mut().filter(|variable| variable.secret) {
        let plain = app.vault.open_sealed(&env_context(&config.id, &variable.name), &variable.value)?;
        variable.value = String::from_utf8_lossy(&plain).into_owned();
    }
    Ok(settings)
}

pub fn strategy_name<'a>(app: &'a App, stack: &'a Stack) -> &'a str {
    if stack.strategy.is_empty() { &app.config.strategies.default } else { &stack.strategy }
}

/// `traffic`: how its requests arrive, if the router carries them.
pub fn stack_facts(
    name: &str,
    run: &RunSpec,
    settings: &BuildSettings,
    traffic: Option<&Traffic>,
) -> StackFacts {
    StackFacts {
        name: name.to_string(),
        run: run.clone(),
        health_timeout_ms: i64::from(settings.health_timeout_secs()) * 1000,
        rollback_on_failure: settings.rollback_on_failure,
        can_split: traffic.is_some() && !run.has_fixed_port(),
        can_preview: traffic.is_some_and(Traffic::has_preview),
    }
}

/// Secret variables are sealed before they reach the database.
fn seal_build(app: &App, mut config: BuildConfig) -> Result<BuildConfig> {
    for variable in config.settings.environment_variables.iter_mut().filter(|variable| variable.secret) {
        variable.value =
            app.vault.seal(&env_context(&config.id, &variable.name), variable.value.as_bytes())?;
    }
    Ok(config)
}

/// Whose the project is: of one that exists, a team in which the caller is a developer; else the one that it will be.
async fn project_team(app: &App, input: &StackInput, who: &Identity) -> Result<Id> {
    let found = projects::by_name(&mut *app.db.read().await?, &input.project).await?;
    match found {
        Some(project) => {
            // By its id: a name of digits would be read as a number.
            require(app, &who.rights, Role::Developer, Subject::Project, project.id.as_str()).await.map_err(
                |error| match error {
                    Error::NotFound { what, .. } => Error::not_found(what, &input.project),
                    other => other,
                },
            )?;
            Ok(project.team_id)
        }
        None => team_for(app, who, input.team.as_deref()).await,
    }
}

/// `team` is the one that was asked for a moment ago; another team's project is not taken.
async fn project_ensure(tx: &mut Tx, name: &str, team: Id) -> Result<Id> {
    match projects::by_name(tx, name).await? {
        Some(project) if project.team_id == team => Ok(project.id),
        Some(_) => Err(Error::not_found("project", name)),
        None => Ok(project_insert(tx, name, team).await?.id),
    }
}

/// A stack as the record compares it. Of credentials it says only whether there are any.
fn recorded(stack: &Stack, repository: Option<&GitRepository>, build: &BuildConfig) -> Value {
    let repository = repository.map(|row| {
        json!({
            "url": repository::redact_url(&row.url),
            "branch": row.branch,
            "provider": row.provider,
            "authType": row.auth_type,
            "hasCredentials": row.credentials.is_some(),
            "hasWebhookSecret": row.webhook_secret.is_some(),
            "autoSync": row.auto_sync,
            "commitStatus": row.commit_status,
        })
    });
    json!({
        "name": stack.name,
        "description": stack.description,
        "run": stack.run,
        "traffic": stack.traffic,
        "strategy": stack.strategy,
        "strategyParams": stack.strategy_params,
        "target": stack.target,
        "repository": repository,
        "build": build.settings,
    })
}

pub(super) fn changed(stack_id: &Id, how: &str) -> NewEvent {
    NewEvent {
        kind: EventKind::StackChanged,
        stack_id: Some(stack_id.clone()),
        subject_id: Some(stack_id.clone()),
        data: serde_json::json!({ "change": how }),
    }
}

pub fn credentials_context(repository_id: &Id) -> String {
    format!("git_repositories/{repository_id}/credentials")
}

fn env_context(config_id: &Id, name: &str) -> String {
    format!("env_vars/{config_id}/{name}")
}
