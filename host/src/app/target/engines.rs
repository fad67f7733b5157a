//! From a stack to the engine that it runs on.

use std::collections::HashMap;
use std::future::pending;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::select_all;

use super::credentials;
use crate::app::App;
use crate::docker::{ContainerView, Docker, Reach, Watch};
use crate::domain::UnixMs;
use crate::domain::stack::Stack;
use crate::domain::target::{Target, TargetKind};
use crate::error::{Error, Result};
use crate::store::targets;

/// In which another machine says what runs on it, for those who cannot wait.
const PATIENCE: Duration = Duration::from_secs(3);
/// An engine that did not answer is left alone for so long by those who cannot wait.
const SILENCE: Duration = Duration::from_secs(30);

/// The connections that are open, by name of the target.
#[derive(Default)]
pub struct Engines {
    open: Mutex<HashMap<String, (UnixMs, Docker)>>,
    silent: Mutex<HashMap<String, Instant>>,
}

impl Engines {
    /// Its connection ends with the last one who uses it.
    pub fn forget(&self, name: &str) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    fn is_silent(&self, name: &str) -> bool {
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        silent.get(name).is_some_and(|since| since.elapsed() < SILENCE)
    }

    /// Whether the target's engine answered just now.
    pub fn note(&self, name: &str, answers: bool) {
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        if answers {
            silent.remove(name);
        } else {
            silent.insert(name.to_string(), Instant::now());
        }
    }
}

/// A handle on the target's engine as it is configured; nothing is contacted.
pub(super) fn open(app: &App, target: &Target) -> Result<Docker> {
    let reach = match (target.kind, target.routes) {
        (TargetKind::Swarm, _) => Reach::Nodes,
        (TargetKind::Engine, Some(address)) => Reach::Published(address),
        (TargetKind::Engine, None) => {
            return Err(Error::internal(format!("target {} has no address for routes", target.name)));
        }
    };
    let folder = app.config.server.data_dir.join("targets");
    Docker::remote(&target.address, &credentials(app, target)?, reach, &folder, &app.instance)
}

/// The target's engine; the same connection until somebody changes the target.
pub(super) fn of_target(app: &App, target: &Target) -> Result<Docker> {
    let mut all = app.engines.open.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((at, docker)) = all.get(&target.name)
        && *at == target.updated_at
    {
        return Ok(docker.clone());
    }
    let docker = open(app, target)?;
    all.insert(target.name.clone(), (target.updated_at, docker.clone()));
    Ok(docker)
}

/// The engine that a stack runs on. It need not answer.
///
/// # Errors
/// `Internal` if the target's credentials cannot be opened.
pub async fn engine(app: &App, stack: &Stack) -> Result<Docker> {
    let Some(name) = &stack.target else { return Ok(app.docker.clone()) };
    let found = targets::by_name(&mut *app.db.read().await?, name).await?;
    let target = found.ok_or_else(|| Error::not_found("target", name))?;
    of_target(app, &target)
}

/// All engines: the local one, and those of targets whose connection can be opened.
///
/// # Errors
/// Those of the database.
pub async fn engines(app: &App) -> Result<Vec<Docker>> {
    let mut all = vec![app.docker.clone()];
    for target in super::target_list(app).await? {
        match of_target(app, &target) {
            Ok(docker) => all.push(docker),
            Err(error) => {
                tracing::warn!(target = %target.name, error = error.for_log(), "[@deploy:target] a target cannot be used");
            }
        }
    }
    Ok(all)
}

/// What runs of a stack, for those who cannot wait long for another machine.
///
/// # Errors
/// `Unavailable` if its engine does not answer soon, or did not a moment ago.
pub async fn stack_views(app: &App, stack: &Stack) -> Result<Vec<ContainerView>> {
    let Some(name) = &stack.target else { return app.docker.list(&stack.name).await };
    let silent = || Error::unavailable(format!("target `{name}` does not answer"));
    if app.engines.is_silent(name) {
        return Err(silent());
    }
    let docker = engine(app, stack).await?;
    let found = tokio::time::timeout(PATIENCE, docker.list(&stack.name)).await;
    let found = found.unwrap_or_else(|_| Err(silent()));
    app.engines.note(name, found.is_ok());
    found
}

/// Rings when something has started or ended on any engine. Asked anew, it knows of new targets.
pub struct Bells {
    of: Vec<(String, UnixMs)>,
    watches: Vec<Watch>,
}

/// Listens to the local engine and to all targets; `old` is kept if the targets are the same.
///
/// # Errors
/// Those of the database.
pub async fn watch_all(app: &App, old: Option<Bells>) -> Result<Bells> {
    let targets = super::target_list(app).await?;
    let of: Vec<_> = targets.iter().map(|target| (target.name.clone(), target.updated_at)).collect();
    if let Some(old) = old
        && old.of == of
    {
        return Ok(old);
    }
    let watches = engines(app).await?.iter().map(|docker| docker.watch(None)).collect();
    Ok(Bells { of, watches })
}

impl Bells {
    /// Cancel-safe, as [`Watch::changed`].
    pub async fn changed(&self) {
        if self.watches.is_empty() {
            return pending().await;
        }
        select_all(self.watches.iter().map(|watch| Box::pin(watch.changed()))).await;
    }
}

/// Keys that a server left behind which was killed. What it knew of host keys stays.
///
/// # Errors
/// `Unavailable` if the folder cannot be read.
pub fn forget_keys(data: &Path) -> Result<()> {
    let folder = data.join("targets");
    let unusable =
        |error: std::io::Error| Error::unavailable(format!("{} cannot be used: {error}", folder.display()));
    if !folder.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(&folder).map_err(unusable)? {
        let path = entry.map_err(unusable)?.path();
        if path.is_dir() {
            std::fs::remove_dir_all(&path).map_err(unusable)?;
        }
    }
    Ok(())
}
