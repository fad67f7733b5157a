//! What people say to a rollout: yes or no to its questions, wait, and go on.

use serde_json::json;

use super::App;
use super::access::Identity;
use super::cicd::deployment::is_carried;
use super::deployment::deployment_view;
use super::rollout::transition_event;
use crate::domain::approval::{Approval, ApprovalState, Verdict};
use crate::domain::deployment::Deployment;
use crate::domain::event::{EventKind, NewEvent};
use crate::domain::people::User;
use crate::domain::rollout::share_of;
use crate::domain::rollout::transition::Transition;
use crate::domain::{Id, UnixMs};
use crate::error::{Error, Result};
use crate::store::{self, Tx, approvals, deployments, events, protections};

/// So long the rollout has to hear what was said unasked; it looks every second.
const HEARD_MS: UnixMs = 10_000;
/// Characters of a comment.
const COMMENT: usize = 1000;

/// Everything a deployment asked, the latest last.
pub async fn approval_list(app: &App, deployment: &Id) -> Result<Vec<Approval>> {
    let mut conn = app.db.read().await?;
    approvals::list(&mut conn, deployment).await
}

/// Answers what a rollout waits for. With a plan's hash, only if that is still what is asked about.
pub async fn approval_decide(
    app: &App,
    reference: &str,
    verdict: Verdict,
    plan_hash: Option<&str>,
    comment: Option<String>,
    who: &Identity,
) -> Result<Deployment> {
    check_comment(comment.as_deref())?;
    let row = deployment_view(app, reference).await?;
    let asked = approval_list(app, &row.id).await?;
    let nothing = || Error::conflict(format!("deployment {} does not wait for an answer", row.seq));
    let question = asked.last().filter(|last| last.is_open()).cloned().ok_or_else(nothing)?;
    if plan_hash.is_some_and(|hash| hash != question.plan_hash) {
        return Err(Error::conflict(format!(
            "deployment {} asks about something else by now: {}. Please look again, then answer",
            row.seq, question.prompt
        )));
    }
    if let Some(comment) = &comment {
        super::audit::because(comment);
    }
    let (deployment, by, user) = (row.clone(), who.user.name.clone(), who.user.clone());
    let decided = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                let (state, now) = (verdict.state(), store::now());
                if verdict == Verdict::Approve && !suffices(tx, &deployment, &question, &user).await? {
                    let open = ApprovalState::Open;
                    events::append(tx, question_event(&deployment, &question, open, Some(&by))).await?;
                    return Ok(true);
                }
                // Of several who approve, all are named.
                let by = match protections::voters(tx, &question.id).await? {
                    names if verdict == Verdict::Approve && names.len() > 1 => names.join(", "),
                    _ => by,
                };
                let decided =
                    approvals::decide(tx, &question.id, state, &by, comment.as_deref(), now).await?;
                if decided {
                    events::append(tx, question_event(&deployment, &question, state, Some(&by))).await?;
                }
                Ok(decided)
            })
        })
        .await?;
    if decided { deployment_view(app, reference).await } else { Err(nothing()) }
}

fn check_comment(comment: Option<&str>) -> Result<()> {
    if comment.is_some_and(|text| text.chars().count() > COMMENT) {
        return Err(Error::invalid("comment", format!("a comment has at most {COMMENT} characters")));
    }
    Ok(())
}

/// Lets a rollout that waits for time to pass go on at once; if it asks a question, the answer is yes. With a share, only
/// if the new release gets that many percent of the requests still.
///
/// # Errors
/// `Conflict` if there is nothing to go on with, `Forbidden` for whoever asked for the deployment of a protected stack.
pub async fn deployment_promote(
    app: &App,
    reference: &str,
    share: Option<u32>,
    comment: Option<String>,
    who: &Identity,
) -> Result<Deployment> {
    check_comment(comment.as_deref())?;
    let row = deployment_view(app, reference).await?;
    if let Some(share) = share {
        check_share(app, &row, share).await?;
    }
    let asked = approval_list(app, &row.id).await?;
    if let Some(question) = asked.last().filter(|last| last.is_open()) {
        let hash = question.plan_hash.clone();
        return approval_decide(app, reference, Verdict::Approve, Some(&hash), comment, who).await;
    }
    check_waits(app, &row).await?;
    if let Some(comment) = &comment {
        super::audit::because(comment);
    }
    let (now, user) = (store::now(), who.user.clone());
    let word = Approval {
        id: store::new_id(),
        deployment_id: row.id.clone(),
        prompt: format!("Do not wait any longer: {}", row.rollout.label),
        plan_hash: String::new(),
        state: ApprovalState::Approved,
        asked_at: now,
        expires_at: now + HEARD_MS,
        decided_at: Some(now),
        decided_by: Some(user.name.clone()),
        comment,
    };
    let write = app.db.write(move |tx| {
        Box::pin(async move {
            suffices(tx, &row, &word, &user).await?;
            approvals::say(tx, &word).await?;
            let event = question_event(&row, &word, word.state, Some(&user.name));
            events::append(tx, event).await.map(|_| ())
        })
    });
    write.await?;
    deployment_view(app, reference).await
}

async fn check_share(app: &App, row: &Deployment, share: u32) -> Result<()> {
    let weights = app.route_weights(&row.stack_id).await?;
    let is = row.release_id.as_ref().map_or(0, |release| share_of(&weights, release));
    if is == share {
        return Ok(());
    }
    Err(Error::conflict(format!(
        "deployment {} gets {is} % of the requests by now, not {share} %. Please look again, then decide",
        row.seq
    )))
}

/// Whether it waits for nothing but time, as far as this server knows.
async fn check_waits(app: &App, row: &Deployment) -> Result<()> {
    let (seq, rollout) = (row.seq, &row.rollout);
    let why = if row.status.is_terminal() {
        format!("it is {} already", row.status.as_str())
    } else if is_carried(app, &row.id).await? {
        "a provider carries it out".to_owned()
    } else if rollout.abort_requested || rollout.fallback_reason.is_some() {
        "it is being taken back".to_owned()
    } else if rollout.paused_at.is_some() {
        "it is paused; resume it first".to_owned()
    } else if rollout.rollout_started_at.is_none() {
        "its rollout has not begun".to_owned()
    } else if app.seen.waits(&row.id) == Some(false) {
        format!("it does not wait for time to pass ({})", rollout.label)
    } else {
        return Ok(());
    };
    Err(Error::conflict(format!("deployment {seq} cannot be promoted now: {why}")))
}

/// Whether this person's approval is the last one that a protected stack asks for; on others one is enough.
///
/// # Errors
/// `Forbidden` for whoever asked for the deployment, `Conflict` for whoever has approved already.
async fn suffices(tx: &mut Tx, row: &Deployment, question: &Approval, user: &User) -> Result<bool> {
    let rules = protections::in_force(tx, &row.stack_id).await?;
    let Some(needed) = rules.iter().map(|rule| rule.approvals).max() else { return Ok(true) };
    let is_own_allowed = rules.iter().all(|rule| rule.self_approval);
    if !is_own_allowed && deployments::requester(tx, &row.id).await?.as_ref() == Some(&user.id) {
        let text = format!("you asked for deployment {}, so somebody else has to approve it", row.seq);
        return Err(Error::Forbidden(text));
    }
    // What a strategy asks later, one person answers.
    if row.rollout.rollout_started_at.is_some() {
        return Ok(true);
    }
    if !protections::vote(tx, &question.id, &user.id, &user.name, store::now()).await? {
        let text = format!("you have approved deployment {} already; it takes others as well", row.seq);
        return Err(Error::conflict(text));
    }
    let voters = protections::voters(tx, &question.id).await?;
    Ok(voters.len() >= usize::try_from(needed).unwrap_or(usize::MAX))
}

/// Holds a rollout where it is. What serves goes on serving, and the rollout's deadline waits too.
pub async fn deployment_pause(app: &App, reference: &str, by: &str) -> Result<Deployment> {
    let row = deployment_view(app, reference).await?;
    if row.status.is_terminal() {
        return Err(Error::conflict(format!(
            "deployment {} is {} already; there is nothing to pause",
            row.seq,
            row.status.as_str()
        )));
    }
    if row.rollout.abort_requested {
        return Err(Error::conflict(format!("deployment {} is being cancelled", row.seq)));
    }
    if is_carried(app, &row.id).await? {
        let seq = row.seq;
        return Err(Error::conflict(format!(
            "deployment {seq} is carried out by a provider, which cannot be paused"
        )));
    }
    hold(app, &row, true, by).await?;
    deployment_view(app, reference).await
}

/// Lets a rollout that was held go on.
pub async fn deployment_resume(app: &App, reference: &str, by: &str) -> Result<Deployment> {
    let row = deployment_view(app, reference).await?;
    hold(app, &row, false, by).await?;
    deployment_view(app, reference).await
}

async fn hold(app: &App, row: &Deployment, held: bool, by: &str) -> Result<()> {
    let (id, seq) = (row.id.clone(), row.seq);
    let (words, transition) =
        if held { ("Paused", Transition::Paused) } else { ("Resumed", Transition::Resumed) };
    let news = transition_event(row, transition, &format!("{words} by {by}"), Some(by));
    let event = NewEvent {
        kind: EventKind::DeploymentStep,
        stack_id: Some(row.stack_id.clone()),
        subject_id: Some(row.id.clone()),
        data: json!({ "label": format!("{words} by {by}"), "progress": row.rollout.progress, "paused": held }),
    };
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let now = store::now();
                let changed = if held {
                    deployments::pause(tx, &id, now).await?
                } else {
                    deployments::resume(tx, &id, now).await?
                };
                if !changed {
                    let is = if held { "is paused already" } else { "is not paused" };
                    return Err(Error::conflict(format!("deployment {seq} {is}")));
                }
                events::append(tx, event).await?;
                events::append(tx, news).await.map(|_| ())
            })
        })
        .await
}

/// Tells whoever listens what has become of a question.
pub(super) fn question_event(
    deployment: &Deployment,
    question: &Approval,
    state: ApprovalState,
    by: Option<&str>,
) -> NewEvent {
    NewEvent {
        kind: EventKind::DeploymentApproval,
        stack_id: Some(deployment.stack_id.clone()),
        subject_id: Some(deployment.id.clone()),
        data: json!({
            "deployment": deployment.seq,
            "prompt": question.prompt,
            "planHash": question.plan_hash,
            "state": state.as_str(),
            "by": by,
        }),
    }
}
