//! What people have to do with a rollout: it asks them, hears their answer, and waits while they hold it.

use serde_json::json;
use sha2::{Digest, Sha256};

use super::{BUSY, Rollout};
use crate::app::approval::question_event;
use crate::domain::approval::{Approval, ApprovalState};
use crate::domain::deployment::RolloutState;
use crate::domain::rollout::{Action, Decision, InstanceState, Situation, Step};
use crate::domain::{Id, UnixMs};
use crate::error::Result;
use crate::plugins::unrecorded;
use crate::store::{self, approvals, events};

const HOUR_MS: i64 = 3_600_000;

impl Rollout<'_> {
    /// Reads what was answered. A question that nobody answered in time is refused.
    pub(super) async fn hear(&mut self) -> Result<()> {
        let mut conn = self.app.db.read().await?;
        // What was asked before the rollout began was the gate's question.
        let began = self.deployment.rollout.rollout_started_at.unwrap_or_default();
        let mut known = approvals::list(&mut conn, &self.deployment.id).await?;
        known.retain(|asked| asked.asked_at >= began);
        drop(conn);
        let was_open = self.approvals.last().is_some_and(Approval::is_open);
        let before = std::mem::replace(&mut self.approvals, known);
        let Some(last) = self.approvals.last().cloned() else { return Ok(()) };
        if last.is_open() {
            return if store::now() >= last.expires_at { self.expire(last).await } else { Ok(()) };
        }
        if was_open || self.is_new_word(&last) && before.iter().all(|known| known.id != last.id) {
            self.log.line(&told(&last));
        }
        Ok(())
    }

    /// Something that was said unasked, lately, and that the strategy has made nothing of yet. A strategy that takes any
    /// approval for an answer must not find one that was meant for an earlier wait.
    fn is_new_word(&self, last: &Approval) -> bool {
        last.is_unasked() && store::now() < last.expires_at && self.heeded.as_ref() != Some(&last.id)
    }

    /// The strategy has gone on: what was said unasked has had its effect.
    pub(super) fn heed(&mut self) {
        self.heeded = self.approvals.last().filter(|last| last.is_unasked()).map(|last| last.id.clone());
    }

    /// Something is being done, so nothing is waited for.
    pub(super) fn note_work(&mut self) {
        self.tried = None;
        self.app.seen.note_wait(&self.deployment.id, false);
    }

    /// Notes whether the strategy waits for time to pass, and would go on if somebody said so: it is asked.
    pub(super) async fn note_wait(&mut self, step: &Step, situation: &Situation) {
        let healthy = situation.fleet.iter().filter(|one| one.state == InstanceState::Healthy).count();
        let now = (step.memory.clone(), step.label.clone(), healthy);
        if self.tried.as_ref() == Some(&now) {
            return;
        }
        let is_its_own = self.deployment.rollout.fallback_reason.is_none() && !self.waits_for_people();
        let waits = is_its_own && self.would_go_on(step, situation).await;
        self.app.seen.note_wait(&self.deployment.id, waits);
        self.tried = Some(now);
    }

    async fn would_go_on(&self, step: &Step, situation: &Situation) -> bool {
        let quiet = Situation { now: situation.now + 2, ..situation.clone() };
        let said = Decision { approved: true, by: String::new(), at: situation.now + 1 };
        let hurried = Situation { approval: Some(said), ..quiet.clone() };
        let ask = |situation| async move {
            let name = &self.deployment.rollout.strategy;
            unrecorded(self.app.plugins.strategy_decide(name, step.memory.clone(), situation)).await
        };
        match (ask(&quiet).await, ask(&hurried).await) {
            (Ok(quiet), Ok(hurried)) => quiet != hurried,
            _ => false,
        }
    }

    async fn expire(&mut self, question: Approval) -> Result<()> {
        let (row, deployment) = (question.clone(), self.deployment.clone());
        self.app
            .db
            .write(move |tx| {
                Box::pin(async move {
                    let now = store::now();
                    if approvals::close_open(tx, &row.deployment_id, ApprovalState::Expired, now).await? {
                        events::append(tx, question_event(&deployment, &row, ApprovalState::Expired, None))
                            .await?;
                    }
                    Ok(())
                })
            })
            .await?;
        self.log.line(&format!("Nobody answered in time: {}", question.prompt));
        Ok(())
    }

    /// The question in a step, unless it is the one that was asked last.
    pub(super) fn question(&self, step: &Step, situation: &Situation) -> Option<Approval> {
        let prompt = step.actions.iter().find_map(|action| match action {
            Action::Ask { prompt } => Some(prompt),
            _ => None,
        })?;
        let last = self.approvals.last();
        if last.is_some_and(|last| last.prompt == *prompt && last.state != ApprovalState::Withdrawn) {
            return None;
        }
        let now = store::now();
        Some(Approval {
            id: store::new_id(),
            deployment_id: self.deployment.id.clone(),
            prompt: prompt.clone(),
            plan_hash: self.plan_hash(prompt, situation),
            state: ApprovalState::Open,
            asked_at: now,
            expires_at: now + i64::from(self.app.config.rollouts.approval_hours) * HOUR_MS,
            decided_at: None,
            decided_by: None,
            comment: None,
        })
    }

    /// Changes with everything that a person has to know for an answer, so that nobody approves something else.
    fn plan_hash(&self, prompt: &str, situation: &Situation) -> String {
        let rollout = &self.deployment.rollout;
        let stable = self.stable.as_ref().map(|release| release.id.as_str());
        let plan = json!([
            prompt,
            self.target.id.as_str(),
            self.target.config_hash,
            stable,
            rollout.strategy,
            rollout.strategy_digest,
            rollout.strategy_params,
            situation.traffic,
        ]);
        hex::encode(Sha256::digest(plan.to_string()))
    }

    pub(super) fn decision(&self) -> Option<Decision> {
        let last = self.approvals.last()?;
        if last.is_unasked() && !self.is_new_word(last) {
            return None;
        }
        let at = last.decided_at?;
        let by = last.decided_by.clone().unwrap_or_else(|| "windlass".into());
        Some(Decision { approved: last.state == ApprovalState::Approved, by, at })
    }

    pub(super) fn waits_for_people(&self) -> bool {
        self.approvals.last().is_some_and(Approval::is_open)
    }

    /// When the rollout has to be over. What people take for their answers is not the strategy's fault.
    pub(super) fn deadline(&self, now: UnixMs) -> UnixMs {
        let waited: i64 = self.approvals.iter().map(|approval| approval.waited_ms(now)).sum();
        self.deployment.rollout.deadline_at.map_or(UnixMs::MAX, |at| at.saturating_add(waited))
    }

    pub(super) fn is_held(&self) -> bool {
        let rollout = &self.deployment.rollout;
        // What went wrong is set right whoever holds it.
        rollout.paused_at.is_some() && rollout.fallback_reason.is_none() && !rollout.abort_requested
    }

    /// `row` is the rollout as it was just read.
    pub(super) fn heed_hold(&mut self, row: &RolloutState) {
        let rollout = &mut self.deployment.rollout;
        if rollout.paused_at == row.paused_at {
            return;
        }
        self.log.line(if row.paused_at.is_some() {
            "Paused by a person; nothing changes until it is resumed."
        } else {
            "Going on."
        });
        // The time that it was held was added to it.
        rollout.deadline_at = row.deadline_at;
        rollout.paused_at = row.paused_at;
    }

    /// While a person holds the rollout: does nothing. What serves goes on serving.
    pub(super) async fn rest(&mut self) {
        if self.aside.is_none() {
            self.aside = Some(self.task.step_aside());
        }
        tokio::select! {
            () = tokio::time::sleep(BUSY * 5) => {}
            _ = self.wishes.changed() => {}
            () = self.task.stopping.cancelled() => {}
            () = self.task.cancel.cancelled() => {}
        }
    }
}

fn told(approval: &Approval) -> String {
    let by = approval.decided_by.as_deref().unwrap_or("windlass");
    let comment = approval.comment.as_ref().map_or(String::new(), |text| format!(" ({text})"));
    format!("{} by {by}{comment}: {}", capital(approval.state.as_str()), approval.prompt)
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// Nobody has to answer what a rollout that has ended once asked.
pub(super) async fn withdraw(tx: &mut store::Tx, deployment: &Id, now: UnixMs) -> Result<()> {
    approvals::close_open(tx, deployment, ApprovalState::Withdrawn, now).await.map(|_| ())
}
