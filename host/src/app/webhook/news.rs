//! One push counts once, by however many ways it is told, and a delivery that was held up changes nothing.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::act::Verdict;
use crate::app::App;
use crate::app::look;
use crate::domain::Id;
use crate::domain::head::{self, Answer, BY_LOOKING, Head, News, TAGS};
use crate::domain::reference;
use crate::domain::repository::GitRepository;
use crate::domain::webhook::{ChangeKind, Origin, RefChange, WebhookEvent};
use crate::error::Result;
use crate::git::RemoteRefs;
use crate::store::{Tx, git_heads};

/// How long a git server may take to say where a branch is. Without an answer a push counts.
const PATIENCE: Duration = Duration::from_secs(20);

/// What git servers said, by repository and branch or tag.
pub(super) type Answers = HashMap<(Id, String), Answer>;

/// The way an event came in.
pub(super) fn via(event: &WebhookEvent) -> String {
    match (event.origin, &event.repository_id) {
        (Origin::Start | Origin::Poll, _) => BY_LOOKING.to_owned(),
        (Origin::Delivery, Some(id)) => id.to_string(),
        (Origin::Delivery, None) => format!("every repository of {}", event.provider),
    }
}

/// The branch, or the tag after [`TAGS`], that a change is of.
fn name_of(change: &RefChange) -> Option<Cow<'_, str>> {
    match change.kind {
        ChangeKind::BranchPushed | ChangeKind::BranchDeleted => Some(Cow::Borrowed(change.name.as_str())),
        ChangeKind::TagPushed | ChangeKind::TagDeleted => Some(Cow::Owned(format!("{TAGS}{}", change.name))),
        ChangeKind::Other(_) => None,
    }
}

/// Branch or tag, and commit, of a change that moves it to a place that can be named.
fn moved(change: &RefChange) -> Option<(Cow<'_, str>, &str)> {
    let commit = change.commit()?;
    let is_named = reference::check_name(&change.name).is_ok() && reference::check_commit(commit).is_ok();
    let is_pushed = matches!(change.kind, ChangeKind::BranchPushed | ChangeKind::TagPushed);
    Some((name_of(change).filter(|_| is_pushed && is_named)?, commit))
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
    let known = git_heads::find_opt(tx, &verdict.repository_id, &branch).await?;
    let answer = answers.get(&(verdict.repository_id.clone(), branch.into_owned()));
    Ok(head::judge(known.as_ref(), &via(event), commit, answer))
}

/// Writes down where the branch is by this event, unless a newer one has said so already.
pub(super) async fn remember(tx: &mut Tx, event: &WebhookEvent, verdict: &Verdict) -> Result<()> {
    let change = &verdict.change;
    let Some(name) = name_of(change) else { return Ok(()) };
    let known = git_heads::find_opt(tx, &verdict.repository_id, &name).await?;
    if known.is_some_and(|known| known.event > event.seq) {
        return Ok(());
    }
    if matches!(change.kind, ChangeKind::BranchDeleted | ChangeKind::TagDeleted) {
        return git_heads::delete(tx, &verdict.repository_id, &name).await;
    }
    let Some((branch, commit)) = moved(change) else { return Ok(()) };
    let head = Head { branch: branch.into(), commit: commit.into(), via: via(event), event: event.seq };
    git_heads::put(tx, &verdict.repository_id, &[head]).await
}

/// Asks the git servers of these stacks where the branches and tags of the push are, all at the same time.
pub(super) async fn ask(app: &App, rows: &[GitRepository], verdicts: &[Verdict]) -> Answers {
    let asked = rows.iter().map(|row| async move {
        let changes = verdicts.iter().filter(|verdict| verdict.repository_id == row.id);
        let wanted: Vec<(Cow<'_, str>, &str)> =
            changes.filter_map(|verdict| moved(&verdict.change)).collect();
        if wanted.is_empty() {
            return Vec::new();
        }
        let there = listing(app, row).await;
        let answer = |name: &str, commit: &str| match &there {
            None => Answer::Unknown,
            Some(refs) => {
                refs.place(name).map_or(Answer::Gone, |place| Answer::At(place.at(commit).to_owned()))
            }
        };
        let pair = |(name, commit): (Cow<'_, str>, &str)| {
            let answer = answer(&name, commit);
            ((row.id.clone(), name.into_owned()), answer)
        };
        wanted.into_iter().map(pair).collect()
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// What a stack's git server has; `None` if it does not say so in time.
async fn listing(app: &App, row: &GitRepository) -> Option<RemoteRefs> {
    let (access, cancel) = (look::access(app, row).await.ok()?, CancellationToken::new());
    let listing = app.git.ls_remote(&access, &cancel);
    tokio::time::timeout(PATIENCE, listing).await.ok()?.ok()
}
