//! What people say to a rollout: yes or no to its questions, wait, and go on.

use serde_json::json;

use super::App;
use super::deployment::deployment_view;
use crate::domain::Id;
use crate::domain::approval::{Approval, ApprovalState, Verdict};
use crate::domain::deployment::Deployment;
use crate::domain::event::{EventKind, NewEvent};
use crate::error::{Error, Result};
use crate::store::{self, approvals, deployments, events};

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
    by: &str,
) -> Result<Deployment> {
    if comment.as_ref().is_some_and(|text| text.chars().count() > COMMENT) {
        return Err(Error::invalid("comment", format!("a comment has at most {COMMENT} characters")));
    }
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
    let (deployment, by) = (row.clone(), by.to_string());
    let decided = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                let (state, now) = (verdict.state(), store::now());
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
    let words = if held { "Paused" } else { "Resumed" };
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
                events::append(tx, event).await.map(|_| ())
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
