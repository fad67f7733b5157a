//! How targets are: asked when a person wants to know, and every minute.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::{changed, engines, target_list, target_view};
use crate::app::App;
use crate::domain::target::{Target, TargetHealth, TargetKind};
use crate::error::{Error, Result};
use crate::store::{self, events, targets};

const PAUSE: Duration = Duration::from_secs(60);
/// Longer than a connection takes that comes about.
const PATIENCE: Duration = Duration::from_secs(40);
/// Targets that are asked at the same time.
const AT_ONCE: usize = 8;

/// Asks all targets every minute until `stop`.
pub async fn target_watch(app: App, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
        if let Err(error) = check_all(&app).await {
            tracing::warn!(error = error.for_log(), "[@deploy:target] the targets cannot be checked");
        }
    }
}

async fn check_all(app: &App) -> Result<()> {
    let check = |target| async move { check(app, &target).await };
    let mut checks =
        futures_util::stream::iter(target_list(app).await?.into_iter().map(check)).buffer_unordered(AT_ONCE);
    while let Some(checked) = checks.next().await {
        if let Err(error) = checked {
            tracing::warn!(error = error.for_log(), "[@deploy:target] a check was lost");
        }
    }
    Ok(())
}

/// Asks now, and remembers the answer.
///
/// # Errors
/// `NotFound`; a target that does not answer is no error but what its health says.
pub async fn target_test(app: &App, key: &str) -> Result<Target> {
    let target = target_view(app, key).await?;
    check(app, &target).await?;
    target_view(app, target.id.as_str()).await
}

async fn check(app: &App, target: &Target) -> Result<()> {
    let (at, began) = (store::now(), Instant::now());
    let mut health = target.health.clone();
    match tokio::time::timeout(PATIENCE, ask(app, target)).await {
        Ok(Ok(answer)) => {
            let took = i64::try_from(began.elapsed().as_millis()).ok();
            health = TargetHealth { checked_at: Some(at), response_ms: took, ..answer };
        }
        Ok(Err(error)) => health.unwell(at, error.to_string()),
        Err(_) => {
            health.unwell(at, Error::timeout("the answer of the engine", PATIENCE.as_secs()).to_string())
        }
    }
    app.engines.note(&target.name, health.error.is_none());
    remember(app, target, health).await
}

async fn ask(app: &App, target: &Target) -> Result<TargetHealth> {
    let docker = engines::of_target(app, target)?;
    docker.ping().await?;
    let facts = docker.version().await?;
    if facts.os != "linux" {
        return Err(Error::failed(format!("the engine runs {} containers; take one for Linux", facts.os)));
    }
    let nodes = match target.kind {
        TargetKind::Engine => 1,
        TargetKind::Swarm => docker.swarm_facts().await?.ready,
    };
    Ok(TargetHealth {
        version: facts.version,
        platform: format!("{}/{}", facts.os, facts.arch),
        nodes,
        ..TargetHealth::default()
    })
}

async fn remember(app: &App, target: &Target, health: TargetHealth) -> Result<()> {
    let (was, is) = (target.health.state(), health.state());
    if was != is {
        let (name, why) = (&target.name, health.error.as_deref().unwrap_or("it answers"));
        tracing::info!("[@deploy:target] target {name} is {}: {why}", is.as_str());
    }
    let (target, is_new) = (target.clone(), was != is);
    app.db
        .write(move |tx| {
            Box::pin(async move {
                targets::set_health(tx, &target.id, &health).await?;
                if is_new {
                    events::append(tx, changed(&target, is.as_str())).await?;
                }
                Ok(())
            })
        })
        .await
}
