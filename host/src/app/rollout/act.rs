//! Carrying effects out, each journaled before and after.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::json;
use tracing::Instrument as _;

use super::Rollout;
use super::observe::Fleet;
use super::transition;
use crate::app::deployment::environment_of;
use crate::app::{crash, traffic};
use crate::docker::{LaunchSpec, LogOptions};
use crate::domain::Id;
use crate::domain::event::{EventKind, NewEvent};
use crate::domain::release::Release;
use crate::domain::rollout::{
    Action, Container, Effect, Instance, InstanceState, JournalEntry, JournalState, Situation, Step, Weight,
    plan,
};
use crate::error::{Error, Result};
use crate::store::{self, events, rollout_steps, routes};
use crate::telemetry::{failed, step_span};

/// How long the next line of a container's last output may take.
const TAIL_PATIENCE: Duration = Duration::from_secs(2);

impl Rollout<'_> {
    /// Carries a step's actions out; false if the world already was as ordered.
    ///
    /// Effects are planned action by action against the containers seen at the beginning of the step, corrected by what
    /// the actions before have done.
    pub(super) async fn act(
        &mut self,
        step: &Step,
        situation: &Situation,
        seen: &[Container],
    ) -> Result<bool> {
        if step.actions.is_empty() {
            // A rollout that waits looks many times a second; the engine is not asked for what nobody ordered.
            return Ok(false);
        }
        let mut containers = seen.to_vec();
        let mut traffic = situation.traffic.clone();
        let mut acted = false;
        let mut stale = self.stale().await?;
        for action in &step.actions {
            let effects = {
                let view = plan::View {
                    stack: &self.view.stack.name,
                    deployment: &self.deployment.id,
                    fixed_port: situation.stack.run.has_fixed_port(),
                    containers: &containers,
                    fleet: &situation.fleet,
                    traffic: &traffic,
                    stale: &stale,
                };
                plan::effects(action, &view)
            };
            if effects.is_empty() {
                continue;
            }
            acted = true;
            let news = transition::batch(&self.deployment, self.stable.as_ref(), action, &effects);
            for entry in self.intend(&step.label, effects, news).await? {
                self.carry_out(&entry).await?;
            }
            if let Action::Route { weights } = action {
                traffic.clone_from(weights);
            }
            stale = self.stale().await?;
            containers = self
                .docker
                .list(&self.view.stack.name)
                .await?
                .into_iter()
                .map(|view| view.container)
                .collect();
        }
        Ok(acted)
    }

    /// What was begun before an interruption is done first; every effect may be done twice.
    pub(super) async fn redo_open_effects(&mut self) -> Result<()> {
        let mut conn = self.app.db.read().await?;
        let open = rollout_steps::list_open(&mut conn, &self.deployment.id).await?;
        drop(conn);
        for entry in open {
            self.log.line(&format!("Again, because it may have been interrupted: {}", words(&entry.effect)));
            if let Err(error) = self.carry_out(&entry).await {
                // The reconciler looks at the world next and orders what is missing, so a failure here is not the end.
                self.log.line(&format!("That did not work: {error}"));
            }
        }
        Ok(())
    }

    /// `news` is what these effects mean together.
    async fn intend(
        &mut self,
        label: &str,
        effects: Vec<Effect>,
        news: Option<NewEvent>,
    ) -> Result<Vec<JournalEntry>> {
        let now = store::now();
        let mut entries: Vec<JournalEntry> = effects
            .into_iter()
            .map(|effect| JournalEntry {
                id: store::new_id(),
                deployment_id: self.deployment.id.clone(),
                n: 0,
                label: label.to_string(),
                effect,
                state: JournalState::Intent,
                error: None,
                intended_at: now,
                done_at: None,
            })
            .collect();
        crash::point("rollout: before effects are journaled");
        let deployment_id = self.deployment.id.clone();
        let stored = self
            .app
            .db
            .write(move |tx| {
                Box::pin(async move {
                    let first = rollout_steps::next_n(tx, &deployment_id).await?;
                    for (n, entry) in (first..).zip(entries.iter_mut()) {
                        entry.n = n;
                    }
                    rollout_steps::append(tx, &entries).await?;
                    if let Some(news) = news {
                        events::append(tx, news).await?;
                    }
                    Ok(entries)
                })
            })
            .await?;
        crash::point("rollout: after effects are journaled");
        Ok(stored)
    }

    async fn carry_out(&mut self, entry: &JournalEntry) -> Result<()> {
        let text = words(&entry.effect);
        crash::point("rollout: before an effect");
        let span = step_span(entry.effect.name(), &entry.label);
        let result = self.effect(&entry.effect).instrument(span.clone()).await;
        if result.is_err() {
            failed(&span);
        }
        crash::point("rollout: after an effect");
        match &result {
            Ok(()) => self.log.line(&text),
            Err(error) => self.log.line(&format!("{text}: failed: {error}")),
        }
        let (id, error) = (entry.id.clone(), result.as_ref().err().map(ToString::to_string));
        let event = NewEvent {
            kind: EventKind::DeploymentStep,
            stack_id: Some(self.deployment.stack_id.clone()),
            subject_id: Some(self.deployment.id.clone()),
            data: json!({ "label": entry.label, "progress": self.deployment.rollout.progress, "effect": text, "error": error }),
        };
        self.app
            .db
            .write(move |tx| {
                Box::pin(async move {
                    match &error {
                        None => rollout_steps::mark_done(tx, &id, store::now()).await?,
                        Some(error) => rollout_steps::mark_failed(tx, &id, error, store::now()).await?,
                    }
                    events::append(tx, event).await.map(|_| ())
                })
            })
            .await?;
        crash::point("rollout: after an effect is marked as done");
        result
    }

    async fn effect(&mut self, effect: &Effect) -> Result<()> {
        let docker = self.docker.clone();
        match effect {
            Effect::Create { release, name, published } => {
                self.bring_up(release, name, *published, false).await
            }
            Effect::Launch { release, name, published } => {
                self.bring_up(release, name, *published, true).await
            }
            Effect::Companions { release } => self.bring_up_companions(release).await,
            Effect::Stop { release, name } => {
                self.paused_at.get_or_insert_with(std::time::Instant::now);
                self.stop_gently(release, name, async |docker, grace| docker.stop(name, grace).await).await
            }
            Effect::Start { name, .. } => docker.start(name).await,
            Effect::Remove { release, name, gently } => {
                self.show_last_output(name).await;
                if !gently {
                    return docker.remove(name, None).await;
                }
                if self.runs_alone(name).await? {
                    self.paused_at.get_or_insert_with(std::time::Instant::now);
                }
                self.stop_gently(release, name, async |docker, grace| docker.remove(name, Some(grace)).await)
                    .await
            }
            Effect::SetRoute { weights } => {
                self.set_route(weights.clone()).await?;
                if traffic::is_routed(self.app, &self.view.stack) {
                    traffic::publish(self.app).await?;
                }
                Ok(())
            }
        }
    }

    async fn set_route(&self, weights: Vec<Weight>) -> Result<()> {
        let (deployment, target) = (self.deployment.clone(), self.target.clone());
        self.app
            .db
            .write(move |tx| {
                Box::pin(async move {
                    let before = routes::get(tx, &deployment.stack_id).await?;
                    let before = before.map(|route| route.weights).unwrap_or_default();
                    routes::set(tx, &deployment.stack_id, &weights, store::now()).await?;
                    // Done a second time it moves nothing, and tells nothing.
                    if let Some(news) = transition::moved(&deployment, &target, &before, &weights) {
                        events::append(tx, news).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// Which containers of the target are not healthy, so that their output can be shown should they be removed. A program that
    /// never listens is none that failed: until its time is over it is starting.
    pub(super) fn remember_unwell(&mut self, fleet: &Fleet) {
        let of_target = fleet.instances.iter().filter(|instance| instance.release == self.target.id);
        let unwell = of_target.filter(|instance| instance.state != InstanceState::Healthy);
        let name = |id: &str| fleet.containers.iter().find(|c| c.id == id).map(|c| c.name.clone());
        self.unwell = unwell.filter_map(|instance| name(&instance.id)).collect();
    }

    /// When a new release failed, the last thing its program said usually tells why.
    async fn show_last_output(&self, name: &str) {
        if !self.unwell.iter().any(|unwell| unwell == name) {
            return;
        }
        let options = LogOptions { tail: Some(20), ..LogOptions::default() };
        let Ok(lines) = self.docker.logs(name, options).await else { return };
        self.log.line(&format!("Last output of {name}:"));
        let mut lines = std::pin::pin!(lines);
        while let Ok(Some(Ok(line))) = tokio::time::timeout(TAIL_PATIENCE, lines.next()).await {
            self.log.line(&format!("  {}", line.text));
        }
    }

    pub(super) fn release(&self, id: &Id) -> Result<&Release> {
        [Some(&self.target), self.stable.as_ref()]
            .into_iter()
            .flatten()
            .find(|release| release.id == *id)
            .ok_or_else(|| {
                Error::internal(format!("release {id} is not part of deployment {}", self.deployment.seq))
            })
    }

    pub(super) fn launch_spec(&self, release: &Id, name: &str, published: bool) -> Result<LaunchSpec> {
        let release = self.release(release)?;
        let mut variables = self.own_variables(release);
        let environment = environment_of(self.app, release)?;
        variables.extend(environment.into_iter().map(|variable| (variable.name, variable.value)));
        Ok(LaunchSpec {
            name: name.to_string(),
            image: release.image_digest.clone(),
            stack: self.view.stack.name.clone(),
            release: release.id.clone(),
            deployment: self.deployment.id.clone(),
            config_hash: release.config_hash.clone(),
            published,
            run: release.spec.run.clone(),
            environment: variables,
            registry: None,
        })
    }

    /// What a program may want to know of itself. A stack's own variables of the same name win.
    fn own_variables(&self, release: &Release) -> Vec<(String, String)> {
        [
            ("WINDLASS_STACK", self.view.stack.name.clone()),
            ("WINDLASS_RELEASE", release.id.to_string()),
            ("WINDLASS_COMMIT", release.commit_sha.clone()),
            ("WINDLASS_IMAGE", release.image_tag.clone()),
        ]
        .map(|(name, value)| (name.to_string(), value))
        .to_vec()
    }

    /// The pause that a hand-over cost, once something healthy serves again.
    pub(super) fn measure_pause(&mut self, instances: &[Instance]) {
        let Some(since) = self.paused_at else { return };
        let serving = instances.iter().any(|instance| instance.state == InstanceState::Healthy);
        if serving {
            let pause = i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX);
            self.deployment.rollout.pause_ms = Some(self.deployment.rollout.pause_ms.unwrap_or(0) + pause);
            let is_routed = traffic::is_routed(self.app, &self.view.stack);
            let waited = if is_routed { "; requests waited meanwhile" } else { "" };
            self.log.line(&format!("Nothing served for {pause} ms{waited}"));
            self.paused_at = None;
        }
    }
}

/// An effect in words, for the log and the dashboard.
pub fn words(effect: &Effect) -> String {
    match effect {
        Effect::Create { name, .. } => format!("Create {name}, ready to take the stack's port"),
        Effect::Companions { release } => {
            format!("Bring the other services to what release {} says", release.short())
        }
        Effect::Launch { name, published: true, .. } => format!("Start {name} on the stack's port"),
        Effect::Launch { name, published: false, .. } => format!("Start {name}"),
        Effect::Stop { name, .. } => format!("Stop {name} and keep it"),
        Effect::Start { name, .. } => format!("Start {name} again"),
        Effect::Remove { name, .. } => format!("Remove {name}"),
        Effect::SetRoute { weights } => {
            let shares: Vec<String> = weights
                .iter()
                .map(|weight| format!("{} % to release {}", weight.percent, weight.release.short()))
                .collect();
            format!("Route {}", shares.join(", "))
        }
    }
}
