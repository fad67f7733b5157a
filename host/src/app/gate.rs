//! Before a deployment begins: what its stack's protection says, and of a preview its parent's if that covers it. Whatever
//! asked for the deployment and whoever carries it out, it comes by here; going back to what served before does not wait.

use serde_json::json;
use sha2::{Digest, Sha256};

use super::App;
use super::approval::question_event;
use crate::domain::approval::{Approval, ApprovalState};
use crate::domain::deployment::Deployment;
use crate::domain::event::{EventKind, NewEvent};
use crate::error::Result;
use crate::store::{self, approvals, deployments, events, protections};

const HOUR_MS: i64 = 3_600_000;
/// A deployment that may not begin for so long is ended: somebody has forgotten it.
const PATIENCE_MS: i64 = 14 * 24 * HOUR_MS;

/// Whether a deployment may begin now.
pub enum Gate {
    Open,
    /// Not yet, and why.
    Shut(String),
    /// Never, and why.
    Refused(String),
}

/// What people have said so far.
enum Consent {
    Given,
    Awaited,
    Refused(String),
}

/// Asks people if they have to be asked, and looks at what they said, at the time, and whether there is a freeze.
pub async fn gate_look(app: &App, row: &Deployment) -> Result<Gate> {
    if row.previous_deployment_id.is_some() {
        return Ok(Gate::Open);
    }
    let rules = protections::in_force(&mut *app.db.read().await?, &row.stack_id).await?;
    let needed = rules.iter().map(|rule| rule.approvals).max().unwrap_or_default();
    let obstacle = match consent(app, row, needed).await? {
        Consent::Refused(why) => return Ok(Gate::Refused(why)),
        Consent::Awaited => Some("people have not approved it yet".to_owned()),
        Consent::Given => rules.iter().find_map(|rule| rule.obstacle(store::now())),
    };
    Ok(match obstacle {
        None => Gate::Open,
        Some(why) if store::now() > row.started_at + PATIENCE_MS => {
            Gate::Refused(format!("it could not begin within 14 days: {why}"))
        }
        Some(why) => Gate::Shut(why),
    })
}

/// Tells whoever watches what a deployment waits for; false if they know.
pub async fn gate_tell(app: &App, row: &Deployment, obstacle: &str) -> Result<bool> {
    let label = format!("Waiting: {obstacle}");
    if row.rollout.label == label {
        return Ok(false);
    }
    let event = NewEvent {
        kind: EventKind::DeploymentStep,
        stack_id: Some(row.stack_id.clone()),
        subject_id: Some(row.id.clone()),
        data: json!({ "label": label, "progress": row.rollout.progress }),
    };
    let id = row.id.clone();
    let tell = app.db.write(move |tx| {
        Box::pin(async move {
            deployments::set_label(tx, &id, &label).await?;
            events::append(tx, event).await.map(|_| ())
        })
    });
    tell.await.map(|()| true)
}

/// Asks people if they have to be asked, and reads what they said.
async fn consent(app: &App, row: &Deployment, needed: u32) -> Result<Consent> {
    if needed == 0 {
        return Ok(Consent::Given);
    }
    let asked = approvals::list(&mut *app.db.read().await?, &row.id).await?;
    let Some(last) = asked.last() else {
        ask(app, row, needed).await?;
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

async fn ask(app: &App, row: &Deployment, needed: u32) -> Result<()> {
    let people = if needed == 1 { "one person".to_owned() } else { format!("{needed} people") };
    let names = [&row.commit_sha, &row.image_tag, &row.branch];
    let what = names.into_iter().find(|name| !name.is_empty()).map_or("it", String::as_str);
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
