//! Deployments at the forge: where a commit was deployed to, which one serves there, and where it can be reached.
//!
//! As with a commit's status nothing carries a state: each time it is looked which deployments the forge has a wrong idea of.
//! Those are the newest one of the commit, the ones that it takes for running or serving, and the one that serves again after
//! a rollback.

use std::time::Duration;

use super::status::{both, is_shown};
use crate::app::deployment::page_of;
use crate::app::traffic::public_url;
use crate::app::{App, repository};
use crate::domain::Id;
use crate::domain::deployment::Deployment;
use crate::domain::forge::{Placement, PlacementState, environment};
use crate::domain::plugin::Ability;
use crate::domain::repository::GitRepository;
use crate::domain::stack::Stack;
use crate::error::{Error, PluginErrorKind, Result};
use crate::store::{at_forge, deployments, previews};

/// What a forge gets to hear that a stack has left it.
const LAST_TRY: Duration = Duration::from_secs(10);
/// What a plugin says of an id that the forge does not know any more.
const GONE: &str = "no-such-deployment";

/// What is to be shown of one deployment.
struct Due {
    deployment: Deployment,
    /// The forge's id of it, if it has one.
    known: Option<String>,
    state: PlacementState,
}

/// Shows the forge what it does not know yet; `None` if that is nothing. One that fails does not keep the others back.
pub(super) async fn deployments_show(
    app: &App,
    row: &GitRepository,
    stack: &Stack,
    newest: &Deployment,
) -> Option<Result<()>> {
    if !app.plugins.has_ability(&row.provider, Ability::Deployments) {
        return None;
    }
    let due = match due(app, row, stack, newest).await {
        Ok(due) if due.is_empty() => return None,
        Ok(due) => due,
        Err(error) => return Some(Err(error)),
    };
    let mut outcome = Ok(());
    for due in &due {
        outcome = both(outcome, show(app, row, stack, due).await);
    }
    Some(outcome)
}

/// The newest first, so that a forge which retires older ones by itself does it once.
async fn due(app: &App, row: &GitRepository, stack: &Stack, newest: &Deployment) -> Result<Vec<Due>> {
    let mut conn = app.db.read().await?;
    let serving = deployments::latest_successful(&mut conn, &stack.id).await?;
    let mut all = deployments::list_open_at_forge(&mut conn, &stack.id).await?;
    all.extend(serving.clone());
    all.push(newest.clone());
    all.sort_by_key(|deployment| std::cmp::Reverse(deployment.seq));
    all.dedup_by_key(|deployment| deployment.seq);
    let mut due = Vec::new();
    for deployment in all.into_iter().filter(|one| one.repository_id.as_ref() == Some(&row.id)) {
        let (known, told) = at_forge::placed(&mut conn, &deployment.id).await?;
        let serves = serving.as_ref().is_some_and(|serving| serving.id == deployment.id);
        let state = PlacementState::of(deployment.status, serves);
        // What was over before the forge was told of anything is no news.
        let is_wanted = known.is_some() || deployment.id == newest.id;
        if is_wanted && told != Some(state) {
            due.push(Due { deployment, known, state });
        }
    }
    Ok(due)
}

async fn show(app: &App, row: &GitRepository, stack: &Stack, due: &Due) -> Result<()> {
    let told = match tell(app, row, stack, due).await {
        Ok(id) => Some(id),
        // Somebody has removed it there. If there is more to tell of it, that makes a new one.
        Err(error) if is_gone(&error) => None,
        Err(error) => return Err(error),
    };
    let (id, state) = (due.deployment.id.clone(), due.state);
    let write = app.db.write(move |tx| {
        Box::pin(async move { at_forge::set_placed(tx, &id, told.as_deref(), state).await })
    });
    write.await
}

async fn tell(app: &App, row: &GitRepository, stack: &Stack, due: &Due) -> Result<String> {
    let (target, repository) = repository::target(app, row)?;
    let deployment = &due.deployment;
    let is_preview = is_preview(app, &stack.id).await?;
    let found_by = deployment.tag.clone().unwrap_or_else(|| deployment.branch.clone());
    let placement = Placement {
        repository,
        commit: deployment.commit_sha.clone(),
        ref_name: if found_by.is_empty() { deployment.commit_sha.clone() } else { found_by },
        is_tag: deployment.tag.is_some(),
        environment: environment(&stack.name, is_preview),
        transient: is_preview,
        key: deployment.id.to_string(),
        id: due.known.clone(),
        state: due.state,
        url: public_url(app, stack).filter(|_| due.state == PlacementState::Success),
        log_url: Some(page_of(app, deployment)),
    };
    app.plugins.forge_set_deployment(&row.provider, &target, &placement).await
}

async fn is_preview(app: &App, stack: &Id) -> Result<bool> {
    Ok(previews::by_stack(&mut *app.db.read().await?, stack).await?.is_some())
}

fn is_gone(error: &Error) -> bool {
    let Error::Plugin(error) = error else { return false };
    matches!(&error.kind, PluginErrorKind::Failure { code, .. } if code == GONE)
}

/// What a forge takes for running or serving of a stack that leaves it.
pub(in crate::app) struct Shown {
    row: GitRepository,
    stack: Stack,
    due: Vec<Due>,
}

impl Shown {
    /// Looked up before the stack is deleted, or its repository is another one; `None` where nothing is shown.
    pub(in crate::app) async fn at(app: &App, row: &GitRepository, stack: &Stack) -> Result<Option<Self>> {
        if !is_shown(row) || !app.plugins.has_ability(&row.provider, Ability::Deployments) {
            return Ok(None);
        }
        let mut conn = app.db.read().await?;
        let mut due = Vec::new();
        for deployment in deployments::list_open_at_forge(&mut conn, &stack.id).await? {
            let (known, _) = at_forge::placed(&mut conn, &deployment.id).await?;
            let state = match PlacementState::of(deployment.status, false) {
                // The forge will not hear how it ends.
                PlacementState::Queued | PlacementState::InProgress => PlacementState::Cancelled,
                state => state,
            };
            due.push(Due { deployment, known, state });
        }
        Ok(Some(Self { row: row.clone(), stack: stack.clone(), due }))
    }

    /// Tells the forge that nothing of it serves there any more. There is nobody left who could try again, and nothing that is
    /// waited for.
    pub(in crate::app) async fn retire(&self, app: &App) {
        let why = match tokio::time::timeout(LAST_TRY, self.retire_each(app)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.for_log(),
            Err(_) => format!("no answer within {} s", LAST_TRY.as_secs()),
        };
        tracing::warn!(stack = %self.stack.name, why, "[@deploy:forge] a forge goes on showing what is gone");
    }

    /// One that fails does not keep the others back. Nothing is noted: no later state follows.
    async fn retire_each(&self, app: &App) -> Result<()> {
        let mut outcome = Ok(());
        for due in self.due.iter().filter(|due| due.known.is_some()) {
            let told = tell(app, &self.row, &self.stack, due).await;
            let told = told.map(|_| ()).or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) });
            outcome = both(outcome, told);
        }
        outcome
    }
}
