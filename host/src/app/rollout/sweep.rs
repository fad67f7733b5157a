//! Containers that nothing refers to any more are removed, and what should serve is made to serve.

use crate::app::target::{engine, stack_views};
use crate::app::{App, compose};
use crate::domain::Id;
use crate::domain::access::Reach;
use crate::domain::page::PageRequest;
use crate::error::{Error, Result};
use crate::store::{deployments, releases, stacks};

/// Removes the stack's containers that do not belong to the release that serves. Does nothing while a rollout runs.
pub async fn sweep_stack(app: &App, stack_id: &Id) -> Result<()> {
    let mut conn = app.db.read().await?;
    let stack = stacks::find(&mut conn, stack_id.as_str()).await?;
    let rolling = deployments::list_nonterminal(&mut conn).await?;
    let serving = match &stack.active_release_id {
        Some(id) => releases::find_opt(&mut conn, id.as_str()).await?,
        None => None,
    };
    drop(conn);
    if rolling.iter().any(|row| row.stack_id == *stack_id && row.rollout.rollout_started_at.is_some()) {
        return Ok(());
    }
    let routed = app.route_weights(stack_id).await?;
    let docker = engine(app, &stack).await?;
    for view in stack_views(app, &stack).await? {
        let container = &view.container;
        let serves = stack.active_release_id.as_ref() == Some(&container.release)
            || routed.iter().any(|weight| weight.release == container.release);
        // As the release was made: the stack may be configured in another way by now.
        let run = serving.as_ref().map_or(&stack.run, |release| &release.spec.run);
        let trial = run.has_fixed_port() && !container.published;
        if !serves || trial || container.created_only {
            tracing::info!(stack = %stack.name, container = %container.name, "removing a container that nothing refers to");
            docker.remove(&container.name, Some(stack.run.stop_timeout())).await?;
        } else if !container.running {
            tracing::info!(stack = %stack.name, container = %container.name, "starting a container that should serve");
            docker.start(&container.name).await?;
        }
    }
    compose::settle(app, &stack, serving.as_ref()).await
}

/// All stacks, one page after the other; one that cannot be swept is skipped with a warning. Answers which are left because their
/// engine does not answer.
pub async fn sweep_all(app: &App) -> Result<Vec<Id>> {
    let mut left = Vec::new();
    let mut before = None;
    loop {
        let mut conn = app.db.read().await?;
        let page = stacks::list(&mut conn, PageRequest::new(before, Some(100)), &Reach::EVERYTHING).await?;
        drop(conn);
        for stack in page.items {
            if let Err(error) = sweep_stack(app, &stack.id).await {
                if matches!(error, Error::Unavailable(_)) {
                    left.push(stack.id.clone());
                }
                tracing::warn!(stack = %stack.name, error = %error.for_log(), "the stack could not be swept");
            }
        }
        match page.next {
            Some(next) => before = Some(next),
            None => return Ok(left),
        }
    }
}

/// Those that were left, once more.
pub async fn sweep_left(app: &App, stacks: Vec<Id>) -> Vec<Id> {
    let mut left = Vec::new();
    for id in stacks {
        if let Err(Error::Unavailable(_)) = sweep_stack(app, &id).await {
            left.push(id);
        }
    }
    left
}
