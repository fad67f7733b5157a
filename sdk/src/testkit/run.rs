//! One rollout in one world, and what has to hold in it.

use super::promises::{Kept, check_capacity};
use super::rules::{Breach, Rule, hold};
use super::scenario::{Interruption, Moment, Scenario};
use super::subject::Subject;
use super::world::{STABLE, TARGET, World, known};
use super::{DEADLINE_MS, Terms};
use crate::strategy::{Action, Instance, InstanceState, Outcome, Situation, Stack, Step, Weight};

/// Steps after which a rollout is taken to be endless.
const MOST_STEPS: u32 = 10_000;
/// Steps in which the host also looks when nothing happened; later it only wakes as it was told.
const CURIOUS_STEPS: u32 = 40;
/// The host asks no more often than this, in milliseconds.
const SHORTEST_NAP_MS: u64 = 20;
const MEMORY_BYTES: usize = 64 << 10;
const ACTIONS: usize = 64;

/// How a rollout ended that kept its promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The strategy does not take these parameters for this stack.
    Refused,
    Succeeded,
    RolledBack,
    Failed,
}

pub(super) struct Told {
    pub breach: Breach,
    /// Milliseconds since the start, and what happened.
    pub tale: Vec<(u64, String)>,
}

pub(super) struct Run<'a, S: Subject> {
    subject: &'a S,
    pub(super) world: World<'a>,
    terms: Terms<'a>,
    kept: Kept,
    deadline_ms: u64,
    seed: u64,
    pub(super) steps: u32,
    memory: Vec<u8>,
    label: String,
    step_started: u64,
    progress: u8,
}

impl<'a, S: Subject> Run<'a, S> {
    pub(super) fn new(
        subject: &'a S,
        scenario: &'a Scenario,
        terms: Terms<'a>,
        seed: u64,
        telling: bool,
    ) -> Self {
        let world = World::new(scenario, telling);
        let step_started = world.now;
        Self {
            subject,
            world,
            terms,
            kept: Kept::default(),
            deadline_ms: DEADLINE_MS,
            seed,
            steps: 0,
            memory: Vec::new(),
            label: String::new(),
            step_started,
            progress: 0,
        }
    }

    /// The same run around another stack, which may take so long.
    pub(super) fn of_stack(mut self, stack: Stack, deadline_ms: u64) -> Self {
        self.world = self.world.of_stack(stack);
        self.deadline_ms = deadline_ms;
        self
    }

    pub(super) fn finish(&mut self) -> Result<Ending, Told> {
        self.drive().map_err(|breach| Told { breach, tale: self.world.tale.take().unwrap_or_default() })
    }

    fn drive(&mut self) -> Result<Ending, Breach> {
        let answers = |why: String| Breach { rule: Rule::Answers, why };
        let problems =
            self.subject.validate(&self.world.scenario.params, self.world.stack()).map_err(answers)?;
        if !problems.is_empty() {
            return Ok(Ending::Refused);
        }
        self.deadline_ms = match self.terms.deadline_ms {
            Some(deadline) => deadline,
            None => {
                let waits = self.subject.longest_wait(&self.world.scenario.params, self.world.stack());
                DEADLINE_MS.saturating_add(waits.map_err(answers)?)
            }
        };
        loop {
            if let (_, Some(ending)) = self.once()? {
                return Ok(ending);
            }
        }
    }

    /// Asks once and does what the answer says; how the rollout ended, if it did.
    pub(super) fn once(&mut self) -> Result<(Step, Option<Ending>), Breach> {
        let answers = |why: String| Breach { rule: Rule::Answers, why };
        hold(Rule::Ends, self.steps < MOST_STEPS, || {
            format!("it was asked {MOST_STEPS} times and had not ended")
        })?;
        self.steps += 1;
        let seen = self.world.situation(self.step_started);
        let step = self.subject.decide(&self.memory, &seen).map_err(answers)?;
        self.world.tell(|| said(&step));
        // Half of the steps are enough: there are thousands of worlds.
        if (u64::from(self.steps) + self.seed).is_multiple_of(2) {
            let again = self.subject.decide(&self.memory, &seen).map_err(answers)?;
            hold(Rule::IsPure, again == step, || {
                format!("asked again it answered otherwise: first {step:?}, then {again:?}")
            })?;
        }
        self.check(&step, &seen)?;
        self.kept.check(self.terms.promises, &step, &seen, &self.world)?;
        let ending = self.carry_out(&step, &seen)?;
        let elapsed = self.world.elapsed();
        hold(
            Rule::Ends,
            ending.is_some() || elapsed <= self.deadline_ms.saturating_add(self.world.waited),
            || format!("after {} s it had not ended", elapsed / 1_000),
        )?;
        Ok((step, ending))
    }

    /// Carries the step out as far as the host lives; how it ended, if it did.
    fn carry_out(&mut self, step: &Step, seen: &Situation) -> Result<Option<Ending>, Breach> {
        let scenario = self.world.scenario;
        let strikes = |interruption: &&Interruption| interruption.step == self.steps;
        let interruption = scenario.interruptions.iter().find(strikes);
        if let Some(Interruption { at: Moment::BeforeWriting, away, .. }) = interruption {
            self.world.tell(|| "the host died before it had written that down".to_owned());
            self.world.pass_until(self.world.now + away);
            return Ok(None);
        }
        self.remember(step);
        let done = match interruption {
            Some(Interruption { at: Moment::WhileActing { done }, .. }) => *done,
            _ => usize::MAX,
        };
        let before = self.world.print();
        for action in step.actions.iter().take(done) {
            let healthy = self.world.healthy(TARGET) + self.world.healthy(STABLE);
            self.perform(action, seen)?;
            check_capacity(self.terms.promises, step, healthy, &self.world)?;
        }
        if let Some(interruption) = interruption.filter(|_| done < step.actions.len()) {
            // An outcome counts once it was written down.
            self.world.ended = None;
            self.world.tell(|| format!("the host died after {done} of these actions"));
            self.world.pass_until(self.world.now + interruption.away);
            return Ok(None);
        }
        if let Some(outcome) = self.world.ended.take() {
            return self.check_end(&outcome, seen).map(Some);
        }
        // Whoever has changed something looks at once what came of it.
        let acted = self.world.print() != before;
        self.sleep(if acted { Some(0) } else { step.wake_after });
        Ok(None)
    }

    fn remember(&mut self, step: &Step) {
        self.memory.clone_from(&step.memory);
        self.progress = step.progress;
        if self.label != step.label {
            self.label.clone_from(&step.label);
            self.step_started = self.world.now;
        }
    }

    /// Until something happens, or the strategy or the host wants to look.
    fn sleep(&mut self, wake_after: Option<u64>) {
        let now = self.world.now;
        let wake = wake_after.map(|after| now.saturating_add(after.max(SHORTEST_NAP_MS)));
        let look = self.world.scenario.looks_every.filter(|_| self.steps < CURIOUS_STEPS);
        let times = [wake, look.map(|every| now + every), self.world.next_event()];
        // Where nothing ever happens, the deadline does.
        let last = now.saturating_add(self.deadline_ms).saturating_add(1);
        let until = times.into_iter().flatten().min().unwrap_or(last).min(last);
        self.world.pass_until(until);
    }

    /// What holds for every step.
    fn check(&self, step: &Step, seen: &Situation) -> Result<(), Breach> {
        hold(Rule::ProgressNeverFalls, (self.progress..=100).contains(&step.progress), || {
            format!("its progress went from {} to {}", self.progress, step.progress)
        })?;
        let sense = |holds, why: &dyn Fn() -> String| hold(Rule::MakesSense, holds, why);
        sense(!step.label.trim().is_empty(), &|| "its label is empty".to_owned())?;
        sense(step.memory.len() <= MEMORY_BYTES, &|| format!("its memory has {} bytes", step.memory.len()))?;
        sense(step.actions.len() <= ACTIONS, &|| format!("it ordered {} actions", step.actions.len()))?;
        for action in &step.actions {
            match action {
                Action::Route(weights) => self.check_route(weights, seen)?,
                Action::Scale(scale) => {
                    let most = seen.stack.replicas.saturating_mul(2).max(2);
                    sense(known(&scale.release).is_some(), &|| unknown(&scale.release))?;
                    sense(scale.count <= most, &|| {
                        format!("it wanted {} instances, more than twice the replicas", scale.count)
                    })?;
                    if scale.count == 0 {
                        self.check_removal(&scale.release, seen)?;
                    }
                }
                Action::Drain(release) | Action::Probe(release) => {
                    sense(known(release).is_some(), &|| unknown(release))?;
                }
                Action::Ask(prompt) => {
                    sense(!prompt.trim().is_empty(), &|| "it asked nothing".to_owned())?;
                    sense(self.world.offers("ask"), &|| {
                        "it asked for an approval on a host that says it cannot ask".to_owned()
                    })?;
                }
                Action::Other(word) if word.starts_with("preview ") => self.check_preview(word, seen)?,
                Action::Other(_) if action.told().is_some() => {}
                Action::Finish(Outcome::Other(name)) | Action::Other(name) => {
                    sense(false, &|| format!("it ordered `{name}`, which no host knows"))?;
                }
                Action::Finish(_) => {}
            }
        }
        let finish = step.actions.iter().position(|action| matches!(action, Action::Finish(_)));
        sense(finish.is_none_or(|at| at + 1 == step.actions.len()), &|| {
            "it ordered something after the end".to_owned()
        })
    }

    fn check_route(&self, weights: &[Weight], seen: &Situation) -> Result<(), Breach> {
        let sense = |holds, why: &dyn Fn() -> String| hold(Rule::MakesSense, holds, why);
        for weight in weights {
            sense(known(&weight.release).is_some(), &|| unknown(&weight.release))?;
        }
        let sum: u64 = weights.iter().map(|weight| u64::from(weight.percent)).sum();
        sense(sum == 100, &|| format!("the shares of its route add up to {sum}, not to 100"))?;
        let served: Vec<&Weight> = weights.iter().filter(|weight| weight.percent > 0).collect();
        sense(served.len() == 1 || !self.world.scenario.fixed_port, &|| {
            "it split the requests of a fixed port, which only one instance can hold".to_owned()
        })?;
        sense(served.len() == 1 || self.world.offers("split"), &|| {
            "it split the requests on a host that says it cannot".to_owned()
        })?;
        for weight in served {
            let is_healthy = |instance: &Instance| instance.state == InstanceState::Healthy;
            // The host starts the container again that held the port before.
            let swaps_back =
                self.world.scenario.fixed_port && self.world.stable() == Some(weight.release.as_str());
            hold(
                Rule::RoutesToHealthy,
                swaps_back || seen.instances_of(&weight.release).any(is_healthy),
                || format!("it sent requests to `{}`, which has no healthy instance", weight.release),
            )?;
        }
        Ok(())
    }

    fn check_preview(&self, word: &str, seen: &Situation) -> Result<(), Breach> {
        let release = word.trim_start_matches("preview ");
        hold(Rule::MakesSense, known(release).is_some(), || unknown(release))?;
        hold(Rule::MakesSense, self.world.offers("preview"), || {
            "it ordered a preview on a host that says it has none".to_owned()
        })?;
        let mut instances = seen.instances_of(release);
        hold(Rule::RoutesToHealthy, instances.any(|one| one.state == InstanceState::Healthy), || {
            format!("it showed `{release}` to people, which has no healthy instance")
        })
    }

    /// Judged by what the strategy saw, as the host's rails do.
    fn check_removal(&self, release: &str, seen: &Situation) -> Result<(), Breach> {
        let serves = |release: &str| {
            seen.share_of(release) > 0
                && seen.instances_of(release).any(|instance| instance.state == InstanceState::Healthy)
        };
        let others_serve =
            seen.traffic.iter().any(|weight| weight.release != release && serves(&weight.release));
        let allowed = self.world.scenario.allows_downtime();
        hold(Rule::KeepsServing, allowed || others_serve || !serves(release), || {
            format!("it removed `{release}`, the last release that served")
        })
    }

    fn perform(&mut self, action: &Action, seen: &Situation) -> Result<(), Breach> {
        let served = self.world.serves();
        match action {
            Action::Scale(scale) => {
                let Some(release) = known(&scale.release) else { return Ok(()) };
                self.world.scale(release, scale.count as usize)?;
                let allowed = self.world.scenario.allows_downtime();
                hold(Rule::KeepsServing, allowed || !served || self.world.serves(), || {
                    format!("scaling `{release}` to {} left nothing that serves", scale.count)
                })
            }
            Action::Route(weights) => {
                self.check_left(weights)?;
                self.world.route(weights);
                Ok(())
            }
            Action::Drain(release) => {
                let gets = self.world.share(release).min(seen.share_of(release));
                hold(Rule::KeepsServing, gets == 0, || {
                    format!("it drained `{release}`, which got {gets} % of the requests")
                })
            }
            Action::Ask(prompt) => {
                self.world.ask(prompt);
                Ok(())
            }
            Action::Finish(outcome) => {
                self.world.ended = Some(outcome.clone());
                Ok(())
            }
            Action::Probe(_) | Action::Other(_) => Ok(()),
        }
    }

    /// What the actions before it have removed gets no requests. With a fixed port the host starts the winner anew.
    fn check_left(&self, weights: &[Weight]) -> Result<(), Breach> {
        for Weight { release, .. } in weights.iter().filter(|weight| weight.percent > 0) {
            let is_left = self.world.scenario.fixed_port || self.world.healthy(release) > 0;
            hold(Rule::RoutesToHealthy, is_left, || {
                format!("it sent requests to `{release}`, whose healthy instances it had just removed")
            })?;
        }
        Ok(())
    }

    fn check_end(&self, outcome: &Outcome, seen: &Situation) -> Result<Ending, Breach> {
        let (world, scenario) = (&self.world, self.world.scenario);
        let serves = |release: &str| world.share(release) > 0 && world.healthy(release) > 0;
        let ending = match outcome {
            Outcome::Succeeded => {
                hold(Rule::HearsPeople, !seen.abort_requested && !world.refused_by_people(), || {
                    "it succeeded although somebody had aborted or refused".to_owned()
                })?;
                let served = seen.share_of(TARGET) > 0
                    && seen.instances_of(TARGET).any(|one| one.state == InstanceState::Healthy);
                hold(Rule::TellsTheTruth, served && serves(TARGET), || {
                    "it declared success before it saw the new release serve healthily".to_owned()
                })?;
                Ending::Succeeded
            }
            Outcome::RolledBack(_) => {
                hold(Rule::RollbackRestores, world.stable().is_some_and(serves), || {
                    "it declared a rollback, and the stable release does not serve".to_owned()
                })?;
                Ending::RolledBack
            }
            Outcome::Failed(_) | Outcome::Other(_) => {
                let owed = scenario.rollback_on_failure && scenario.stable_is_sound();
                hold(Rule::RollbackRestores, !owed || world.stable().is_none_or(serves), || {
                    "it gave up, and the stable release, which is sound, does not serve".to_owned()
                })?;
                Ending::Failed
            }
        };
        hold(Rule::Succeeds, ending == Ending::Succeeded || !scenario.is_calm(), || {
            format!("nothing went wrong, and still it ended with {}", in_words(outcome))
        })?;
        Ok(ending)
    }
}

fn unknown(release: &str) -> String {
    format!("it named the release `{release}`, which is not part of this rollout")
}

fn said(step: &Step) -> String {
    let actions: Vec<String> = step.actions.iter().map(ordered).collect();
    let actions = if actions.is_empty() { "orders nothing".to_owned() } else { actions.join(", ") };
    format!("the strategy says \"{}\" ({} %): {actions}", step.label, step.progress)
}

fn ordered(action: &Action) -> String {
    match action {
        Action::Scale(scale) => format!("scale {} to {}", scale.release, scale.count),
        Action::Route(weights) => {
            let shares: Vec<String> =
                weights.iter().map(|weight| format!("{} % to {}", weight.percent, weight.release)).collect();
            format!("route {}", shares.join(" and "))
        }
        Action::Drain(release) => format!("drain {release}"),
        Action::Probe(release) => format!("probe {release}"),
        Action::Ask(prompt) => format!("ask \"{prompt}\""),
        Action::Finish(outcome) => format!("finish with {}", in_words(outcome)),
        Action::Other(name) => format!("`{name}`"),
    }
}

fn in_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Succeeded => "success".to_owned(),
        Outcome::RolledBack(reason) => format!("a rollback ({reason})"),
        Outcome::Failed(reason) => format!("a failure ({reason})"),
        Outcome::Other(name) => format!("`{name}`"),
    }
}
