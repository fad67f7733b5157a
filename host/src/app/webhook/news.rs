//! One push counts once, by however many ways it is told, and a delivery that was held up changes nothing.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::act::Verdict;
use crate::app::App;
use crate::app::look;
use crate::domain::Id;
use crate::domain::head::{self, Answer, BY_LOOKING, Head, News};
use crate::domain::reference;
use crate::domain::repository::GitRepository;
use crate::domain::webhook::{ChangeKind, Origin, RefChange, WebhookEvent};
use crate::error::Result;
use crate::git::RemoteRefs;
use crate::store::{Tx, git_heads};

/// How long a git server may take to say where a branch is. Without an answer a push counts.
const PATIENCE: Duration = Duration::from_secs(20);

/// What git servers said, by repository and branch.
pub(super) type Answers = HashMap<(Id, String), Answer>;

/// The way an event came in.
pub(super) fn via(event: &WebhookEvent) -> String {
    match (event.origin, &event.repository_id) {
        (Origin::Start | Origin::Poll, _) => BY_LOOKING.to_owned(),
        (Origin::Delivery, Some(id)) => id.to_string(),
        (Origin::Delivery, None) => format!("every repository of {}", event.provider),
    }
}

/// Branch and commit of a change that moves a branch to a place that can be named.
pub(super) fn moved(change: &RefChange) -> Option<(&str, &str)> {
    let commit = change.after.as_deref()?;
    let is_named = reference::check_name(&change.name).is_ok() && reference::check_commit(commit).is_ok();
    (change.kind == ChangeKind::BranchPushed && is_named).then_some((change.name.as_str(), commit))
}

/// Whether the change is news to its stack. What a person asked to read again always is, and so is what a look found:
/// it was compared with what is known when it was stored.
pub(super) async fn judge(
    tx: &mut Tx,
    event: &WebhookEvent,
    verdict: &Verdict,
    answers: &Answers,
) -> Result<News> {
    let Some((branch, commit)) = moved(&verdict.change) else { return Ok(News::Yes) };
    if event.replay_of.is_some() || event.origin != Origin::Delivery {
        return Ok(News::Yes);
    }
    let known = git_heads::find_opt(tx, &verdict.repository_id, branch).await?;
    let answer = answers.get(&(verdict.repository_id.clone(), branch.to_owned()));
    Ok(head::judge(known.as_ref(), &via(event), commit, answer))
}

/// Writes down where the branch is by this event, unless a newer one has said so already.
pub(super) async fn remember(tx: &mut Tx, event: &WebhookEvent, verdict: &Verdict) -> Result<()> {
    let change = &verdict.change;
    let known = git_heads::find_opt(tx, &verdict.repository_id, &change.name).await?;
    if known.is_some_and(|known| known.event > event.seq) {
        return Ok(());
    }
    if change.kind == ChangeKind::BranchDeleted {
        return git_heads::delete(tx, &verdict.repository_id, &change.name).await;
    }
    let Some((branch, commit)) = moved(change) else { return Ok(()) };
    let head = Head { branch: branch.into(), commit: commit.into(), via: via(event), event: event.seq };
    git_heads::put(tx, &verdict.repository_id, &[head]).await
}

/// Asks the git servers of these stacks where the branches of the push are, all at the same time.
pub(super) async fn ask(app: &App, rows: &[GitRepository], verdicts: &[Verdict]) -> Answers {
    let asked = rows.iter().map(|row| async move {
        let changes = verdicts.iter().filter(|verdict| verdict.repository_id == row.id);
        let branches: Vec<&str> =
            changes.filter_map(|verdict| moved(&verdict.change)).map(|(branch, _)| branch).collect();
        if branches.is_empty() {
            return Vec::new();
        }
        let there = listing(app, row).await;
        let answer = |branch: &str| match &there {
            None => Answer::Unknown,
            Some(refs) => refs.branch(branch).map_or(Answer::Gone, |at| Answer::At(at.to_owned())),
        };
        let key = |branch: &str| (row.id.clone(), branch.to_owned());
        branches.into_iter().map(|branch| (key(branch), answer(branch))).collect()
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// What a stack's git server has; `None` if it does not say so in time.
async fn listing(app: &App, row: &GitRepository) -> Option<RemoteRefs> {
    let (access, cancel) = (look::access(app, row).ok()?, CancellationToken::new());
    let listing = app.git.ls_remote(&access, &cancel);
    tokio::time::timeout(PATIENCE, listing).await.ok()?.ok()
}
