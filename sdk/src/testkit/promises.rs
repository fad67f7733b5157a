//! What a strategy may promise beyond what all of them do.

use super::rules::{Breach, Rule, hold};
use super::scenario::{Before, Scenario};
use super::world::{STABLE, TARGET, World};
use crate::strategy::{Action, Outcome, Situation, Step};

/// Errors and slowness beyond any doubt.
const PLAIN_PER_MILLE: u64 = 200;
const PLAIN_SLOWER_PERCENT: u64 = 900;
/// Requests in a minute of which a tenth shows it.
const PLAIN_REQUESTS: u64 = 1_200;

/// Which further promises a simulation checks.
#[derive(Clone, Debug, Default)]
pub(super) struct Promises {
    pub(super) old_copy_for_ms: Option<u64>,
    pub(super) shares_rise: bool,
    pub(super) may_miss: Option<u32>,
    pub(super) judges_errors: bool,
    pub(super) judges_latency: bool,
}

/// What has to be remembered for them.
#[derive(Default)]
pub(super) struct Kept {
    promoted: Option<u64>,
    has_fallen: bool,
}

impl Kept {
    /// Looks at a step before it is carried out.
    pub(super) fn check(
        &mut self,
        promises: &Promises,
        step: &Step,
        seen: &Situation,
        world: &World<'_>,
    ) -> Result<(), Breach> {
        let share = seen.share_of(TARGET);
        self.promoted = if share == 100 { self.promoted.or(Some(world.now)) } else { None };
        let outcome = step.actions.iter().find_map(|action| match action {
            Action::Finish(outcome) => Some(outcome),
            _ => None,
        });
        if promises.shares_rise {
            self.check_shares(step, share)?;
        }
        if let Some(ms) = promises.old_copy_for_ms.filter(|_| world.scenario.before == Before::Other) {
            self.check_old_copy(ms, step, outcome, world)?;
        }
        if let Some(outcome) = outcome {
            // Who hurries it takes the judgement upon himself.
            if !world.was_hurried() {
                check_judgement(promises, outcome, world.scenario)?;
            }
        }
        Ok(())
    }

    fn check_shares(&mut self, step: &Step, share: u32) -> Result<(), Breach> {
        for action in &step.actions {
            let Action::Route(weights) = action else { continue };
            let next: u32 =
                weights.iter().filter(|weight| weight.release == TARGET).map(|weight| weight.percent).sum();
            hold(Rule::SharesRise, next == 0 || next >= share && !self.has_fallen, || {
                format!("the new release's share went from {share} to {next} %")
            })?;
            self.has_fallen |= next == 0;
        }
        Ok(())
    }

    fn check_old_copy(
        &self,
        ms: u64,
        step: &Step,
        outcome: Option<&Outcome>,
        world: &World<'_>,
    ) -> Result<(), Breach> {
        let replicas = world.scenario.replicas;
        let served = self.promoted.map_or(0, |since| world.now - since);
        let is_hurried = self.promoted.is_some_and(|since| world.hurried_at().is_some_and(|at| at > since));
        let is_over = outcome == Some(&Outcome::Succeeded) && (served >= ms || is_hurried);
        for action in &step.actions {
            let Action::Scale(scale) = action else { continue };
            let shrinks = scale.release == STABLE && scale.count < replicas;
            hold(Rule::KeepsTheOldCopy, !shrinks || is_over, || {
                format!("the old copy was reduced when the new release had served for {served} ms")
            })?;
        }
        Ok(())
    }
}

/// Where everybody can see it, it has to be seen.
fn check_judgement(promises: &Promises, outcome: &Outcome, scenario: &Scenario) -> Result<(), Breach> {
    let is_plain = scenario.before == Before::Other
        && scenario.requests_a_minute >= PLAIN_REQUESTS
        && scenario.errors.as_ref().is_some_and(|errors| {
            let errs = promises.judges_errors && errors.per_mille >= PLAIN_PER_MILLE;
            let dawdles = promises.judges_latency && errors.slower_percent >= PLAIN_SLOWER_PERCENT;
            errors.from_percent <= 10 && (errs || dawdles)
        });
    hold(Rule::JudgesAnswers, !is_plain || *outcome != Outcome::Succeeded, || {
        "it succeeded although its answers were plainly worse than the old release's".to_owned()
    })
}

/// Looks at what scaling has done.
pub(super) fn check_capacity(
    promises: &Promises,
    step: &Step,
    before: usize,
    world: &World<'_>,
) -> Result<(), Breach> {
    let goes_back = step
        .actions
        .iter()
        .any(|action| matches!(action, Action::Finish(Outcome::RolledBack(_) | Outcome::Failed(_))));
    // Of an old release whose instances fail by themselves nobody knows which one is taken away.
    let is_sound = world.scenario.stable_is_sound();
    let Some(missing) = promises.may_miss.filter(|_| !goes_back && is_sound) else { return Ok(()) };
    let wanted = world.scenario.replicas.saturating_sub(missing) as usize;
    let after = world.healthy(TARGET) + world.healthy(STABLE);
    hold(Rule::KeepsCapacity, after >= wanted.min(before), || {
        format!("only {after} healthy instances are left of {before}, and {wanted} have to stay")
    })
}
