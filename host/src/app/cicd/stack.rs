//! Stacks that are deployed by a provider: which, and how.

use crate::app::App;
use crate::app::access::{Identity, require};
use crate::app::stack::stack_view;
use crate::domain::Id;
use crate::domain::access::{Role, Subject};
use crate::domain::cicd::{
    CicdProvider, JobParams, JobRepository, StackCi, StackCiSettings, check_retries, values,
};
use crate::domain::event::{EventKind, NewEvent};
use crate::domain::stack::Stack;
use crate::error::{Error, Result};
use crate::store::{self, cicd_providers, events, stack_ci};

use super::job::{active, files};
use super::provider::{check_teams, provider_view};
use super::successor;

/// The job as it is to be: named after the stack and about its repository, unless it says otherwise.
pub(super) fn completed(mut job: JobParams, stack: &str, repository: JobRepository) -> JobParams {
    if job.name.is_empty() {
        stack.clone_into(&mut job.name);
    }
    job.repository.get_or_insert(repository);
    job
}

/// From now on the stack is deployed by that provider.
pub async fn stack_ci_put(
    app: &App,
    who: &Identity,
    stack: &str,
    provider: &str,
    mut settings: StackCiSettings,
) -> Result<(StackCi, CicdProvider)> {
    let view = stack_view(app, stack).await?;
    // Whoever may change the stack does not for that get hold of any provider's credential.
    require(app, &who.rights, Role::Admin, Subject::Provider, provider).await?;
    let provider = provider_view(app, provider).await?;
    active(&provider)?;
    let name = &view.stack.name;
    let Some(repository) = view
        .repository
        .as_ref()
        .map(|row| JobRepository { url: row.url.clone(), branch: row.branch.clone() })
    else {
        return Err(Error::conflict(format!(
            "stack `{name}` has no repository that a job could build; add one first"
        )));
    };
    if !(10..=604_800).contains(&settings.timeout_secs) {
        return Err(Error::invalid("timeoutSecs", "timeoutSecs has to be from 10 to 604800, a week"));
    }
    check_retries("retries", settings.retries)?;
    values("parameters", &settings.parameters)?;
    let second = successor::check(app, &provider, &mut settings.job).await?;
    let job = completed(settings.job.clone(), name, repository);
    job.check()?;
    // A pipeline that cannot be written shows now, and not at the first deployment.
    files(app, &provider, &job).await?;
    successor::try_out(app, second.as_ref(), &job).await?;
    let mut conn = app.db.read().await?;
    let old = stack_ci::find_opt(&mut conn, &view.stack.id).await?;
    drop(conn);
    let now = store::now();
    let job_id = old.as_ref().filter(|old| old.provider_id == provider.id).and_then(|old| old.job_id.clone());
    let row = StackCi {
        stack_id: view.stack.id.clone(),
        provider_id: provider.id.clone(),
        job_id,
        settings,
        created_at: old.map_or(now, |old| old.created_at),
        updated_at: now,
    };
    let stored = row.clone();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                stack_ci::put(tx, &stored).await?;
                check_teams(tx, &stored.stack_id).await?;
                events::append(tx, changed(&stored.stack_id)).await.map(|_| ())
            })
        })
        .await?;
    Ok((row, provider))
}

/// How the stack is deployed, if by a provider.
pub async fn stack_ci_view(app: &App, stack: &str) -> Result<(StackCi, CicdProvider)> {
    let view = stack_view(app, stack).await?;
    let mut conn = app.db.read().await?;
    let Some(row) = stack_ci::find_opt(&mut conn, &view.stack.id).await? else {
        return Err(Error::not_found("provider of the stack", view.stack.name));
    };
    let provider = cicd_providers::find(&mut conn, row.provider_id.as_str()).await?;
    Ok((row, provider))
}

/// What a provider does with a deployment is its job's matter.
///
/// # Errors
/// `Conflict` for a stack that a provider deploys.
pub async fn refuse_plan(app: &App, stack: &Stack) -> Result<()> {
    let mut conn = app.db.read().await?;
    let Some(row) = stack_ci::find_opt(&mut conn, &stack.id).await? else { return Ok(()) };
    let provider = cicd_providers::find(&mut conn, row.provider_id.as_str()).await?;
    Err(Error::conflict(format!(
        "stack `{}` is deployed by provider `{}`: what a deployment does there is written in its job, and cannot be planned here",
        stack.name, provider.name
    )))
}

/// From now on the stack is deployed by this server again. The job stays.
pub async fn stack_ci_delete(app: &App, stack: &str) -> Result<()> {
    let id = stack_view(app, stack).await?.stack.id;
    app.db
        .write(move |tx| {
            Box::pin(async move {
                stack_ci::delete(tx, &id).await?;
                events::append(tx, changed(&id)).await.map(|_| ())
            })
        })
        .await
}

fn changed(stack: &Id) -> NewEvent {
    NewEvent {
        kind: EventKind::StackChanged,
        stack_id: Some(stack.clone()),
        subject_id: Some(stack.clone()),
        data: serde_json::json!({ "change": "provider" }),
    }
}
