//! Releases of compose stacks on the engine.

use tokio_util::sync::CancellationToken;

use super::file_of;
use crate::app::App;
use crate::app::logs::LogWriter;
use crate::app::target::engine;
use crate::docker::{Companion, ComposePart, LaunchSpec, LogLine};
use crate::domain::compose::{ComposeRelease, parts, project};
use crate::domain::release::Release;
use crate::domain::stack::Stack;
use crate::error::Result;

/// Brings an instance of a release up: created, and started if `start`. Without git and without a registry.
///
/// # Errors
/// `Failed` with what compose or the engine says.
pub async fn bring_up(
    app: &App,
    stack: &Stack,
    release: &Release,
    compose: &ComposeRelease,
    (spec, start): (&LaunchSpec, bool),
    log: &LogWriter,
) -> Result<()> {
    let file = file_of(app, release, compose)?;
    let docker = engine(app, stack).await?;
    docker.compose_place(&stack.name, &file).await?;
    if start {
        let wanted = parts::conditions(&file, &compose.service);
        let project = project(&stack.name, &stack.id);
        docker.await_companions(&stack.name, &project, &wanted).await?;
    }
    let part = ComposePart { file: &file, service: &compose.service };
    // A rollout that is cancelled restores what served; its effects are carried out to their end.
    let never = CancellationToken::new();
    docker.compose_instance(spec, &part, start, |line| log.line(&line.text), &never).await
}

/// Brings the companions to what a release says of them.
///
/// # Errors
/// `Failed` with what compose or the engine says.
pub async fn bring_up_companions(
    app: &App,
    stack: &Stack,
    release: &Release,
    log: impl FnMut(LogLine) + Send,
) -> Result<()> {
    let Some(compose) = &release.spec.compose else { return Ok(()) };
    let file = file_of(app, release, compose)?;
    let docker = engine(app, stack).await?;
    docker.compose_place(&stack.name, &file).await?;
    let part = ComposePart { file: &file, service: &compose.service };
    let (project, never) = (project(&stack.name, &stack.id), CancellationToken::new());
    docker.compose_companions(&stack.name, &project, &part, log, &never).await
}

/// Whether a companion is missing or is not what the release says of it.
///
/// # Errors
/// `Unavailable` if the engine does not answer.
pub async fn companions_stale(app: &App, stack: &Stack, release: &Release) -> Result<bool> {
    let Some(compose) = &release.spec.compose else { return Ok(false) };
    if compose.companions().next().is_none() {
        return Ok(false);
    }
    let docker = engine(app, stack).await?;
    let there = docker.companions(&stack.name, &project(&stack.name, &stack.id)).await?;
    let is_right = |service: &str, hash: &str| {
        let is_it = |one: &&Companion| one.service == service && one.hash == hash;
        // One that was only created was left by a server that died meanwhile.
        there.iter().any(|one| is_it(&one) && one.state != "created")
    };
    Ok(compose.companions().any(|facts| !is_right(&facts.name, &facts.hash)))
}

/// After a rollout: companions that the release which serves does not have are removed, and its own are as it says.
///
/// # Errors
/// `Unavailable` if the engine does not answer.
pub async fn settle(app: &App, stack: &Stack, serving: Option<&Release>) -> Result<()> {
    let compose = serving.and_then(|release| release.spec.compose.as_ref());
    let known: Vec<&str> = compose
        .into_iter()
        .flat_map(|compose| compose.companions().map(|facts| facts.name.as_str()))
        .collect();
    let docker = engine(app, stack).await?;
    for companion in docker.companions(&stack.name, &project(&stack.name, &stack.id)).await? {
        if !known.contains(&companion.service.as_str()) {
            tracing::info!(stack = %stack.name, container = %companion.container, "removing a service that the stack has no more");
            docker.remove(&companion.container, Some(stack.run.stop_timeout())).await?;
        }
    }
    if let Some(release) = serving
        && companions_stale(app, stack, release).await?
    {
        let say = |line: LogLine| tracing::info!(stack = %stack.name, "[@deploy:compose] {}", line.text);
        bring_up_companions(app, stack, release, say).await?;
    }
    Ok(())
}

/// With the stack go its companions and networks. Its volumes stay: they have its data.
///
/// # Errors
/// `Unavailable` if the engine does not answer.
pub async fn remove(app: &App, stack: &Stack) -> Result<()> {
    settle(app, stack, None).await?;
    engine(app, stack).await?.remove_networks(&stack.name).await
}
