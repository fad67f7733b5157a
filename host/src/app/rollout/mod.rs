//! The reconciler of one rollout: load, observe, decide, journal, act, sleep, until it is over.
//!
//! Nothing that matters lives in this process: the strategy's memory and every effect are written down before anything
//! is done, containers are found again by their labels, and effects are planned from what is there. So the loop may be
//! killed at any instruction and entered again from its start.

mod act;
mod begin;
mod carry;
mod finish;
mod gate;
mod history;
mod instance;
mod observe;
mod people;
mod sweep;
mod transition;
mod view;

use std::time::Duration;

pub use act::words;
pub use finish::end_before_start;
pub(super) use history::{GOOD_FOR, Histories};
pub use history::{rollout_history, rollout_history_lately};
pub use sweep::{sweep_all, sweep_left, sweep_stack};
pub(super) use transition::transition_event;
pub use view::{RolloutView, Seen, Side, rollout_view};

use tokio::sync::watch;

use super::approval::question_event;
use super::crash;
use super::deployment::deployment_view;
use super::logs::{LogKind, LogWriter, log_keep_after_task};
use super::stack::{StackView, stack_facts, stack_view};
use super::target::engine;
use super::{App, Ended, traffic};
use crate::docker::Docker;
use crate::domain::Id;
use crate::domain::approval::Approval;
use crate::domain::deployment::{Deployment, DeploymentStatus};
use crate::domain::event::{EventKind, NewEvent};
use crate::domain::health::REQUIRED_SUCCESSES;
use crate::domain::recording::Subject;
use crate::domain::release::{Release, ReleaseState};
use crate::domain::rollout::{Action, Outcome, ReleaseFacts, Situation, StackFacts, Step, fallback, rails};
use crate::error::{Error, PluginError, PluginErrorKind, Result};
use crate::plugins::with_subject;
use crate::queue::{CancelReason, SteppedAside, TaskContext};
use crate::store::{self, approvals, deployments, events, routes};
use observe::{Fleet, Observer};

/// The reconciler looks again after this long while something is on its way.
const BUSY: Duration = Duration::from_millis(100);
/// A strategy that wants to sleep so long waits for time or people to pass, and its place in the queue is free meanwhile.
const LONG: Duration = Duration::from_secs(2);
/// Health and people's wishes are looked at this often even then.
const IDLE: Duration = Duration::from_secs(1);
/// Looks after which a resumed rollout believes its gates.
const SETTLED_AFTER: u32 = REQUIRED_SUCCESSES + 1;
/// On top of the time that the instances may take, for everything else.
const GRACE_MS: i64 = 120_000;
/// How long the engine or the router may be away before the rollout is given up.
const PATIENCE: Duration = Duration::from_secs(60);

struct Rollout<'a> {
    app: &'a App,
    task: &'a TaskContext,
    view: StackView,
    /// Where the stack runs.
    docker: Docker,
    facts: StackFacts,
    deployment: Deployment,
    target: Release,
    stable: Option<Release>,
    log: LogWriter,
    /// An earlier attempt at this rollout was interrupted.
    resumed: bool,
    /// Containers of the target that were not healthy when last seen, by name: their last output is worth showing.
    unwell: Vec<String>,
    /// What it asked people and what they said unasked, the latest last.
    approvals: Vec<Approval>,
    /// What was said unasked last and has had its effect.
    heeded: Option<Id>,
    /// Memory, label and healthy instances when it was last tried whether the strategy would go on if told to.
    tried: Option<(Vec<u8>, String, usize)>,
    /// Changes when people may want something of it.
    wishes: watch::Receiver<u64>,
    /// While it only waits, others may have its place in the queue.
    aside: Option<SteppedAside>,
    /// When serving was interrupted to hand a port over, and has not been resumed yet.
    paused_at: Option<std::time::Instant>,
}

/// Runs or resumes the rollout of a deployment.
pub async fn rollout_run(app: &App, task: &TaskContext, deployment_id: &Id) -> Result<Ended> {
    let ended = attempt(app, task, deployment_id).await;
    log_keep_after_task(app, LogKind::Deployment, deployment_id).await;
    ended
}

async fn attempt(app: &App, task: &TaskContext, deployment_id: &Id) -> Result<Ended> {
    let deployment = deployment_view(app, deployment_id.as_str()).await?;
    if deployment.status.is_terminal() {
        finish::clean_up(app, &deployment.stack_id).await?;
        return Ok(Ended::Finished);
    }
    let view = stack_view(app, deployment.stack_id.as_str()).await?;
    let secrets = super::build::secrets_of(app, &view).await?;
    let log = app.logs.writer(LogKind::Deployment, &deployment.id, secrets)?;
    let resumed = deployment.rollout.rollout_started_at.is_some();
    if !resumed {
        match gate::pass(app, task, &deployment, &log).await? {
            gate::Passed::Through => {}
            gate::Passed::Interrupted => return Ok(Ended::Interrupted),
            gate::Passed::Ended => return Ok(Ended::Finished),
        }
    }
    let deployment = begin::begin(app, task, &view, deployment, &log).await?;
    let (target, stable) = begin::releases_of(app, &deployment).await?;
    // As the release was made, not as the stack is configured by now: that is how its containers run.
    let routed = traffic::routed(app, &view.stack);
    let facts = stack_facts(&view.stack.name, &target.spec.run, &view.build.settings, routed);
    let docker = engine(app, &view.stack).await?;
    let mut rollout = Rollout {
        app,
        task,
        view,
        docker,
        facts,
        deployment,
        target,
        stable,
        log,
        resumed,
        unwell: Vec::new(),
        approvals: Vec::new(),
        heeded: None,
        tried: None,
        wishes: app.db.subscribe_wishes(),
        aside: None,
        paused_at: None,
    };
    let started = std::time::Instant::now();
    let result = with_subject(Subject::deployment(deployment_id), rollout.drive()).await;
    app.seen.forget(deployment_id);
    match &result {
        Ok(Ended::Finished) => {
            app.metrics.rollout_finished(started.elapsed());
        }
        Ok(Ended::Interrupted) => rollout.log.line("The server stops; the rollout goes on when it is back."),
        Err(error) => rollout.log.line(&format!("Interrupted: {error}")),
    }
    result
}

impl Rollout<'_> {
    async fn drive(&mut self) -> Result<Ended> {
        let mut observer = Observer::new(&self.docker, &self.view.stack.name);
        let mut lost: Option<std::time::Instant> = None;
        self.redo_open_effects().await?;
        let mut looks = 0;
        loop {
            // Before anything is read, so that no later wish is slept through.
            self.wishes.mark_unchanged();
            if self.is_interrupted().await? {
                return Ok(Ended::Interrupted);
            }
            if self.is_held() {
                self.rest().await;
                continue;
            }
            self.hear().await?;
            let fleet = match observer.look(&self.target, self.stable.as_ref()).await {
                Ok(fleet) => fleet,
                Err(error) => {
                    self.endure(&mut lost, error).await?;
                    continue;
                }
            };
            if let Some(target) = &self.view.stack.target {
                // Whoever thought that it is away asks it again.
                self.app.engines.note(target, true);
            }
            self.app.seen.note(&self.deployment.id, &fleet);
            looks += 1;
            if self.resumed && looks < SETTLED_AFTER {
                // The gates are new; what was healthy before the interruption has to be seen healthy again first.
                tokio::time::sleep(BUSY / 2).await;
                continue;
            }
            self.remember_unwell(&fleet);
            self.measure_pause(&fleet.instances);
            match self.prove(&fleet).await {
                Err(error @ Error::Unavailable(_)) => {
                    self.endure(&mut lost, error).await?;
                    continue;
                }
                proved => proved?,
            }
            lost = None;
            let situation = self.situation(&fleet).await?;
            let step = self.decide(&situation).await?;
            let outcome = step.actions.iter().find_map(|action| match action {
                Action::Finish { outcome } => Some(outcome.clone()),
                _ => None,
            });
            let question = self.question(&step, &situation);
            self.remember(&step, question).await?;
            let acted = self.act(&step, &situation, &fleet.containers).await;
            let acted = match acted {
                Ok(acted) => acted,
                Err(error) if matches!(error, Error::Unavailable(_)) => {
                    self.endure(&mut lost, error).await?;
                    continue;
                }
                Err(error) => {
                    self.take_over(&error.to_string()).await?;
                    tokio::time::sleep(BUSY).await;
                    continue;
                }
            };
            if let Some(outcome) = outcome.filter(|_| !acted || self.may_finish(&step)) {
                self.finish(outcome).await?;
                return Ok(Ended::Finished);
            }
            if acted {
                self.aside = None;
                self.note_work();
            } else {
                self.note_wait(&step, &situation).await;
                self.sleep(&step, &observer).await;
            }
        }
    }

    /// A strategy's outcome that came with other actions counts once those are carried out; the host's own only when it
    /// found nothing left to do.
    fn may_finish(&self, step: &Step) -> bool {
        let own = self.deployment.rollout.fallback_reason.is_some();
        !own && matches!(step.actions.last(), Some(Action::Finish { .. }))
    }

    /// True if the server stops or another node has taken over: then nothing more is written, and the rollout is resumed
    /// elsewhere or later. A person's wish to cancel is not an interruption: the strategy hears of it and restores.
    async fn is_interrupted(&mut self) -> Result<bool> {
        let lost =
            matches!(self.task.cancel_reason(), Some(CancelReason::Shutdown | CancelReason::LeaseLost));
        if lost || self.task.stopping.is_cancelled() {
            return Ok(true);
        }
        if !self.deployment.rollout.abort_requested {
            let row = deployment_view(self.app, self.deployment.id.as_str()).await?.rollout;
            self.heed_hold(&row);
            if row.abort_requested {
                self.log.line("Cancelled on request; restoring what served before.");
                self.deployment.rollout.abort_requested = true;
            }
        }
        Ok(false)
    }

    /// The engine or the router does not answer. For a while that is nothing to act on: what runs keeps running without
    /// us.
    async fn endure(&mut self, lost: &mut Option<std::time::Instant>, error: Error) -> Result<()> {
        let since = *lost.get_or_insert_with(|| {
            self.log.line(&format!("{error}; the rollout waits until that is over"));
            std::time::Instant::now()
        });
        if since.elapsed() < PATIENCE && store::now() < self.deadline(store::now()) {
            tokio::time::sleep(BUSY * 5).await;
            return Ok(());
        }
        self.log.line("That was not over in time.");
        let text = format!("the rollout could not go on: {error}");
        self.give_up(&text).await?;
        Err(Error::failed(text))
    }

    async fn situation(&self, fleet: &Fleet) -> Result<Situation> {
        let rollout = &self.deployment.rollout;
        let now = store::now();
        let route = routes::get(&mut *self.app.db.read().await?, &self.view.stack.id).await?;
        Ok(Situation {
            stack: self.facts.clone(),
            target: facts(&self.target),
            stable: self.stable.as_ref().map(facts),
            params: rollout.strategy_params.to_string(),
            now,
            started: rollout.rollout_started_at.unwrap_or(now),
            step_started: rollout.step_started_at.unwrap_or(now),
            fleet: fleet.instances.clone(),
            traffic: route.as_ref().map(|route| route.weights.clone()).unwrap_or_default(),
            samples: self.samples(route.as_ref()).await,
            approval: self.decision(),
            abort_requested: rollout.abort_requested,
        })
    }

    /// The strategy's step, or the host's own once the strategy has disqualified itself.
    async fn decide(&mut self, situation: &Situation) -> Result<Step> {
        let deadline = self.deadline(situation.now);
        if self.deployment.rollout.fallback_reason.is_none() && situation.now > deadline {
            self.take_over("the rollout passed its total deadline").await?;
        }
        if self.deployment.rollout.fallback_reason.is_none() {
            let name = self.deployment.rollout.strategy.clone();
            let memory = self.deployment.rollout.memory.clone();
            match self.app.plugins.strategy_decide(&name, memory.clone(), situation).await {
                // Nothing is wrong with it: it has to wait, and what serves goes on serving.
                Err(Error::Plugin(PluginError {
                    kind: PluginErrorKind::Budget { free_in_ms, .. }, ..
                })) => {
                    let label = format!("waiting for the budget of strategy `{name}`");
                    let wake_after = Some(free_in_ms);
                    return Ok(Step { memory, label, progress: 0, actions: Vec::new(), wake_after });
                }
                Ok(step) => match self.check(&step, situation) {
                    Ok(()) => return Ok(step),
                    Err(why) => self.take_over(&format!("strategy `{name}` was overruled: {why}")).await?,
                },
                Err(error) => self.take_over(&error.to_string()).await?,
            }
        }
        let reason = self.deployment.rollout.fallback_reason.clone().unwrap_or_default();
        let given_up = situation.now > deadline + situation.stack.health_timeout_ms + GRACE_MS / 2;
        Ok(fallback::decide(situation, &reason, given_up))
    }

    /// Whether the whole step may be carried out; if one of its actions may not, none is.
    fn check(&self, step: &Step, situation: &Situation) -> std::result::Result<(), rails::Refusal> {
        let is_good = |id: &Id| {
            self.stable.as_ref().is_some_and(|stable| stable.id == *id && stable.state == ReleaseState::Good)
        };
        rails::check(&step.actions, situation, is_good)
    }

    /// From here on the host restores what served before, whatever the strategy says.
    async fn take_over(&mut self, reason: &str) -> Result<()> {
        if self.deployment.rollout.fallback_reason.is_some() {
            return Ok(());
        }
        self.log.line(&format!("The server takes over: {reason}"));
        tracing::warn!(deployment = self.deployment.seq, reason, "the host takes over from the strategy");
        self.deployment.rollout.fallback_reason = Some(reason.to_string());
        self.save(Vec::new(), None).await
    }

    /// Writes down what the strategy decided, before anything is done about it.
    async fn remember(&mut self, step: &Step, question: Option<Approval>) -> Result<()> {
        let rollout = &mut self.deployment.rollout;
        let progress = i64::from(step.progress).max(rollout.progress);
        let relabelled = rollout.label != step.label;
        let own_step = rollout.fallback_reason.is_none();
        if !relabelled && rollout.progress == progress && (!own_step || rollout.memory == step.memory) {
            return Ok(());
        }
        rollout.progress = progress;
        let mut events = Vec::new();
        if own_step && rollout.memory != step.memory {
            rollout.memory.clone_from(&step.memory);
            self.heed();
            // With the same memory it would tell the same again.
            events.extend(transition::told(&self.deployment, step));
        }
        let rollout = &mut self.deployment.rollout;
        if relabelled {
            rollout.label.clone_from(&step.label);
            rollout.step_started_at = Some(store::now());
            self.log.line(&step.label);
            events.push(NewEvent {
                kind: EventKind::DeploymentStep,
                stack_id: Some(self.deployment.stack_id.clone()),
                subject_id: Some(self.deployment.id.clone()),
                data: serde_json::json!({ "label": step.label, "progress": progress }),
            });
        }
        self.task.progress(u8::try_from(progress).unwrap_or(100)).await?;
        let Some(question) = question else { return self.save(events, None).await };
        self.log.line(&format!("Waiting for an answer: {}", question.prompt));
        events.push(question_event(&self.deployment, &question, question.state, None));
        self.save(events, Some(question.clone())).await?;
        self.approvals.push(question);
        Ok(())
    }

    async fn save(&self, news: Vec<NewEvent>, question: Option<Approval>) -> Result<()> {
        let (row, fence) = (self.deployment.clone(), self.task.fence());
        crash::point("rollout: before a step is remembered");
        self.app
            .db
            .write(move |tx| {
                Box::pin(async move {
                    deployments::save_rollout(tx, &row, fence).await?;
                    if let Some(question) = question {
                        approvals::insert(tx, &question).await?;
                    }
                    for event in news {
                        events::append(tx, event).await?;
                    }
                    Ok(())
                })
            })
            .await?;
        crash::point("rollout: after a step is remembered");
        Ok(())
    }

    /// Until the strategy wants to be asked again, or something happens that it should know of.
    async fn sleep(&mut self, step: &Step, observer: &Observer) {
        let wanted = step.wake_after.map_or(BUSY, Duration::from_millis);
        let waits = self.waits_for_people() || wanted >= LONG;
        if waits && self.aside.is_none() {
            self.aside = Some(self.task.step_aside());
        }
        let nap = wanted.clamp(Duration::from_millis(20), if waits { IDLE } else { BUSY });
        tokio::select! {
            () = tokio::time::sleep(nap) => {}
            () = observer.changed() => {}
            _ = self.wishes.changed() => {}
            () = self.task.stopping.cancelled() => {}
        }
    }
}

fn facts(release: &Release) -> ReleaseFacts {
    ReleaseFacts {
        id: release.id.clone(),
        image: release.image_digest.clone(),
        commit: release.commit_sha.clone(),
        created: release.created_at,
    }
}

/// The status that an outcome leaves the deployment in.
fn status_of(outcome: &Outcome, aborted: bool) -> (DeploymentStatus, Option<String>) {
    match outcome {
        Outcome::Succeeded => (DeploymentStatus::Successful, None),
        Outcome::RolledBack(_) if aborted => {
            (DeploymentStatus::Cancelled, Some("cancelled on request".into()))
        }
        Outcome::RolledBack(reason) => (DeploymentStatus::RolledBack, Some(reason.clone())),
        Outcome::Failed(_) if aborted => (DeploymentStatus::Cancelled, Some("cancelled on request".into())),
        Outcome::Failed(reason) => (DeploymentStatus::Failed, Some(reason.clone())),
    }
}
