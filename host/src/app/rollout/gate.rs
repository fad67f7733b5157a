//! Before a rollout: waits until the stack's protection lets it begin. Whatever asked for the deployment, it comes by here;
//! going back to what served before does not wait.

use serde_json::json;
use sha2::{Digest, Sha256};

use super::BUSY;
use crate::app::App;
use crate::app::approval::question_event;
use crate::app::deployment::{deployment_view, status_event};
use crate::app::logs::LogWriter;
use crate::domain::approval::{Approval, ApprovalState};
use crate::domain::deployment::{Deployment, DeploymentStatus};
use crate::domain::event::{EventKind, NewEvent};
use crate::domain::protection::Protection;
use crate::error::Result;
use crate::queue::{CancelReason, TaskContext};
use crate::store::{self, approvals, deployments, events, protections};

const HOUR_MS: i64 = 3_600_000;
/// A deployment that may not begin for so long is ended: somebody has forgotten it.
const PATIENCE_MS: i64 = 14 * 24 * HOUR_MS;

/// How the waiting ended.
pub(super) enum Gate {
    Open,
    /// The server stops; to be waited for again.
    Interrupted,
    /// The deployment has ended.
    Closed,
}

/// What people have said so far.
enum Consent {
    Given,
    Awaited,
    Refused(String),
}

/// Waits for the time, for people, and for the end of a freeze.
pub(super) async fn pass(
    app: &App,
    task: &TaskContext,
    deployment: &Deployment,
    log: &LogWriter,
) -> Result<Gate> {
    let (mut aside, mut told) = (None, String::new());
    let mut wishes = app.db.subscribe_wishes();
    loop {
        wishes.mark_unchanged();
        let lost = matches!(task.cancel_reason(), Some(CancelReason::Shutdown | CancelReason::LeaseLost));
        if lost || task.stopping.is_cancelled() {
            return Ok(Gate::Interrupted);
        }
        let row = deployment_view(app, deployment.id.as_str()).await?;
        if row.status.is_terminal() {
            return Ok(Gate::Closed);
        }
        if row.rollout.abort_requested {
            return close(app, &row, "cancelled on request", log).await;
        }
        let found = protections::find_opt(&mut *app.db.read().await?, &row.stack_id).await?;
        let Some(protection) = found.filter(|_| row.previous_deployment_id.is_none()) else {
            return Ok(Gate::Open);
        };
        let obstacle = match consent(app, &row, &protection, log).await? {
            Consent::Refused(why) => return close(app, &row, &why, log).await,
            Consent::Awaited => Some("people have not approved it yet".to_owned()),
            Consent::Given => protection.obstacle(store::now()),
        };
        let Some(obstacle) = obstacle else { return Ok(Gate::Open) };
        if store::now() > row.started_at + PATIENCE_MS {
            return close(app, &row, &format!("it could not begin within 14 days: {obstacle}"), log).await;
        }
        if obstacle != told {
            tell(app, &row, &obstacle, log).await?;
            told = obstacle;
        }
        if aside.is_none() {
            aside = Some(task.step_aside());
        }
        tokio::select! {
            () = tokio::time::sleep(BUSY * 5) => {}
            _ = wishes.changed() => {}
            () = task.stopping.cancelled() => {}
            () = task.cancel.cancelled() => {}
        }
    }
}

/// In the log, and to whoever watches.
async fn tell(app: &App, row: &Deployment, obstacle: &str, log: &LogWriter) -> Result<()> {
    let label = format!("Waiting: {obstacle}");
    log.line(&label);
    let event = NewEvent {
        kind: EventKind::DeploymentStep,
        stack_id: Some(row.stack_id.clone()),
        subject_id: Some(row.id.clone()),
        data: json!({ "label": label, "progress": row.rollout.progress }),
    };
    app.db.write(move |tx| Box::pin(async move { events::append(tx, event).await.map(|_| ()) })).await
}

/// Asks people if they have to be asked, and reads what they said.
async fn consent(app: &App, row: &Deployment, protection: &Protection, log: &LogWriter) -> Result<Consent> {
    if protection.approvals == 0 {
        return Ok(Consent::Given);
    }
    let asked = approvals::list(&mut *app.db.read().await?, &row.id).await?;
    let Some(last) = asked.last() else {
        ask(app, row, protection.approvals, log).await?;
        return Ok(Consent::Awaited);
    };
    let by = last.decided_by.as_deref().unwrap_or("nobody");
    Ok(match last.state {
        ApprovalState::Approved => Consent::Given,
        ApprovalState::Open if store::now() < last.expires_at => Consent::Awaited,
        ApprovalState::Rejected => Consent::Refused(format!("{by} rejected it")),
        _ => Consent::Refused("nobody approved it in time".into()),
    })
}

async fn ask(app: &App, row: &Deployment, needed: u32, log: &LogWriter) -> Result<()> {
    let people = if needed == 1 { "one person".to_owned() } else { format!("{needed} people") };
    let what = if row.commit_sha.is_empty() { &row.image_tag } else { &row.commit_sha };
    let prompt = format!("May {what} come into service? It takes {people}.");
    let plan = json!([prompt, row.id.as_str(), row.release_id.as_ref().map(|id| id.as_str())]);
    let now = store::now();
    let question = Approval {
        id: store::new_id(),
        deployment_id: row.id.clone(),
        plan_hash: hex::encode(Sha256::digest(plan.to_string())),
        state: ApprovalState::Open,
        asked_at: now,
        expires_at: now + i64::from(app.config.rollouts.approval_hours) * HOUR_MS,
        decided_at: None,
        decided_by: None,
        comment: None,
        prompt,
    };
    log.line(&question.prompt);
    let row = row.clone();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                approvals::insert(tx, &question).await?;
                events::append(tx, question_event(&row, &question, ApprovalState::Open, None))
                    .await
                    .map(|_| ())
            })
        })
        .await
}

async fn close(app: &App, row: &Deployment, why: &str, log: &LogWriter) -> Result<Gate> {
    log.line(&format!("Deployment {} ends before its rollout: {why}", row.seq));
    let (row, why) = (row.clone(), why.to_owned());
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let (next, now) = (DeploymentStatus::Cancelled, store::now());
                let withdrawn = ApprovalState::Withdrawn;
                approvals::close_open(tx, &row.id, withdrawn, now).await?;
                deployments::transition(tx, &row.id, row.status, next, Some(&why), now).await?;
                events::append(tx, status_event(&row, next)).await.map(|_| ())
            })
        })
        .await?;
    Ok(Gate::Closed)
}
