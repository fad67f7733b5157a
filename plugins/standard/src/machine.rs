//! The state machine. One call goes through as many phases as the situation allows, and stops where it has to wait.

use windlass_sdk::Failure;
use windlass_sdk::strategy::{Action, Situation, Step, remember};

use crate::Options;
use crate::memory::{Ending, Memory, Phase};
use crate::view::View;

/// What a wait may take longer than the health timeout: the host has one of its own and should be the first to say
/// what is wrong.
const GRACE_MS: u64 = 5_000;
const ABORTED: &str = "aborted on request";

/// What a phase comes to.
enum Turn {
    Enter(Phase),
    Wait { label: String, progress: u8, until: u64 },
    End(Ending),
}

struct Rollout<'a> {
    view: View<'a>,
    memory: Memory,
    /// The phase began in this very call, so nothing that it ordered can have happened yet.
    entered: bool,
    actions: Vec<Action>,
}

pub fn step(situation: &Situation, options: Options, memory: Memory) -> Result<Step, Failure> {
    let mut rollout =
        Rollout { view: View { situation, options }, memory, entered: false, actions: Vec::new() };
    loop {
        match rollout.turn() {
            Turn::Enter(phase) => {
                rollout.memory.phase = phase;
                rollout.memory.since = situation.now;
                rollout.entered = true;
            }
            Turn::Wait { label, progress, until } => {
                let wake_after = until.saturating_sub(situation.now).max(1);
                return rollout.into_step(label, progress, Some(wake_after));
            }
            Turn::End(ending) => {
                // A failure stays one. Whether a release serves has to be seen again if the host died before it had
                // written the end down.
                if matches!(ending, Ending::Failed(_)) {
                    rollout.memory.phase = Phase::Finished(ending.clone());
                }
                let label = label_of(&ending);
                rollout.actions.push(Action::Finish(ending.into()));
                return rollout.into_step(label, 100, None);
            }
        }
    }
}

fn label_of(ending: &Ending) -> String {
    match ending {
        Ending::Succeeded => "The new release serves".to_owned(),
        Ending::RolledBack(reason) => format!("The previous release serves again: {reason}"),
        Ending::Failed(reason) => format!("The rollout failed: {reason}"),
    }
}

impl Rollout<'_> {
    fn into_step(mut self, label: String, progress: u8, wake_after: Option<u64>) -> Result<Step, Failure> {
        let progress = progress.max(self.memory.progress);
        self.memory.progress = progress;
        Ok(Step { memory: remember(&self.memory)?, label, progress, actions: self.actions, wake_after })
    }

    fn turn(&mut self) -> Turn {
        let phase = self.memory.phase.clone();
        let is_underway =
            matches!(phase, Phase::New | Phase::StoppingStable | Phase::StartingTarget | Phase::Switching);
        if is_underway && self.view.situation.abort_requested {
            return self.give_up(ABORTED.to_owned());
        }
        match phase {
            Phase::New if self.view.excludes_overlap() => Turn::Enter(Phase::StoppingStable),
            Phase::New => Turn::Enter(Phase::StartingTarget),
            Phase::StoppingStable => self.stop_stable(),
            Phase::StartingTarget => self.start_target(),
            Phase::Switching => self.switch(),
            Phase::RemovingTarget(reason) => self.remove_target(reason),
            Phase::RestoringStable(reason) => self.restore_stable(reason),
            Phase::Finished(ending) => Turn::End(ending),
        }
    }

    fn stop_stable(&mut self) -> Turn {
        let Some(old) = self.view.old().filter(|old| self.view.live(old) > 0) else {
            return Turn::Enter(Phase::StartingTarget);
        };
        if self.is_late() {
            return self.give_up(format!("the previous release did not stop within {}", self.patience()));
        }
        self.actions.push(Action::scale(old, 0));
        self.wait("Stopping the previous release, because the two cannot run side by side".to_owned(), 10)
    }

    fn start_target(&mut self) -> Turn {
        let (target, replicas) = (self.view.target(), self.view.replicas());
        if self.entered {
            self.memory.ordered = self.view.situation.now;
        }
        if let Some(reason) = self.view.target_failure(self.memory.ordered, false) {
            return self.give_up(reason);
        }
        if self.entered || self.view.live(target) < replicas {
            self.actions.push(Action::scale(target, replicas));
        }
        // Without overlap nothing serves meanwhile: settling is for after the switch.
        let settle = if self.view.excludes_overlap() { 0 } else { self.view.options.settle_ms };
        self.await_health(replicas, settle, 20).unwrap_or(Turn::Enter(Phase::Switching))
    }

    fn switch(&mut self) -> Turn {
        let target = self.view.target();
        if let Some(reason) = self.view.target_failure(self.memory.ordered, true) {
            return self.give_up(reason);
        }
        let is_routed = self.view.has_all_traffic(target);
        if !is_routed && self.view.healthy(target) > 0 {
            self.actions.push(Action::route_all(target));
        }
        // With a fixed port the host swaps the container that holds it, and there is one.
        let wanted = if self.view.has_fixed_port() { 1 } else { self.view.replicas() };
        if !self.view.has_fixed_port() && self.view.live(target) < wanted {
            self.actions.push(Action::scale(target, self.view.replicas()));
        }
        if let Some(turn) = self.await_health(wanted, self.view.options.settle_ms, 70) {
            return turn;
        }
        if is_routed {
            return self.succeed();
        }
        if self.is_late() {
            return self.give_up(format!(
                "the requests could not be sent to the new release within {}",
                self.patience()
            ));
        }
        self.wait("Sending the requests to the new release".to_owned(), 70)
    }

    fn succeed(&mut self) -> Turn {
        if let Some(old) = self.view.old() {
            if self.view.live(old) > 0 {
                self.actions.push(Action::Drain(old.to_owned()));
            }
            self.actions.push(Action::scale(old, 0));
        }
        Turn::End(Ending::Succeeded)
    }

    /// Waits until so many instances of the target are healthy, and have been for so long; `None` if they are.
    fn await_health(&mut self, wanted: u32, settle: u64, progress: u8) -> Option<Turn> {
        let now = self.view.situation.now;
        let Some(since) = self.view.target_healthy_since(wanted) else {
            let healthy = self.view.healthy(self.view.target());
            if self.is_late() {
                return Some(self.give_up(format!(
                    "the new release did not become healthy within {}: {healthy} of {wanted} instances are",
                    self.patience()
                )));
            }
            // Less than 30 more, since fewer are healthy than wanted.
            let progress = progress + u8::try_from(healthy * 30 / wanted.max(1)).unwrap_or_default();
            let label =
                format!("Waiting until the new release is healthy: {healthy} of {wanted} instances are");
            return Some(self.wait(label, progress));
        };
        let settled = since.saturating_add(settle);
        if now >= settled {
            return None;
        }
        let last = self.deadline().saturating_add(settle);
        if now >= last {
            return Some(self.give_up("the new release did not stay healthy".to_owned()));
        }
        let label = "Watching whether the new release stays healthy".to_owned();
        Some(Turn::Wait { label, progress: progress + 30.min(90 - progress), until: settled.min(last) })
    }

    /// The rollout is not going to succeed: back to the stable release, where there is one and it is wanted.
    fn give_up(&mut self, reason: String) -> Turn {
        // What was ordered in this call would contradict what comes now.
        self.actions.clear();
        let target = self.view.target();
        if self.view.old().is_some() && self.view.situation.stack.rollback_on_failure {
            let in_the_way = self.view.excludes_overlap() && self.view.live(target) > 0;
            return Turn::Enter(if in_the_way {
                Phase::RemovingTarget(reason)
            } else {
                Phase::RestoringStable(reason)
            });
        }
        if !self.view.is_redeployment() && self.view.situation.share_of(target) == 0 {
            self.actions.push(Action::scale(target, 0));
        }
        Turn::End(Ending::Failed(reason))
    }

    fn remove_target(&mut self, reason: String) -> Turn {
        let target = self.view.target();
        if self.view.live(target) == 0 {
            return Turn::Enter(Phase::RestoringStable(reason));
        }
        if self.is_late() {
            return Turn::End(Ending::Failed(format!(
                "{reason}; the previous release could not be restored, because the new one did not stop within {}",
                self.patience()
            )));
        }
        self.actions.push(Action::scale(target, 0));
        self.wait(format!("Removing the new release: {reason}"), 80)
    }

    fn restore_stable(&mut self, reason: String) -> Turn {
        let Some(old) = self.view.old() else {
            return Turn::End(Ending::Failed(reason));
        };
        let (is_healthy, is_routed) = (self.view.healthy(old) > 0, self.view.has_all_traffic(old));
        if is_healthy && is_routed {
            self.actions.push(Action::scale(self.view.target(), 0));
            return Turn::End(Ending::RolledBack(reason));
        }
        if self.is_late() {
            return Turn::End(Ending::Failed(format!(
                "{reason}; and the previous release did not serve again within {}",
                self.patience()
            )));
        }
        if self.view.has_fixed_port() && !self.view.excludes_overlap() {
            // The host kept the container that held the port, and starts it again when told to route.
            if !is_routed || self.view.live(old) == 0 {
                self.actions.push(Action::route_all(old));
            }
        } else {
            if self.view.live(old) < self.view.replicas() {
                self.actions.push(Action::scale(old, self.view.replicas()));
            }
            if is_healthy {
                self.actions.push(Action::route_all(old));
            }
        }
        self.wait(format!("Restoring the previous release: {reason}"), 90)
    }

    fn wait(&self, label: String, progress: u8) -> Turn {
        Turn::Wait { label, progress, until: self.deadline() }
    }

    fn deadline(&self) -> u64 {
        let patience = self.view.situation.stack.health_timeout_ms.saturating_add(GRACE_MS);
        self.memory.since.saturating_add(patience)
    }

    fn is_late(&self) -> bool {
        self.view.situation.now >= self.deadline()
    }

    /// The health timeout in words.
    fn patience(&self) -> String {
        let ms = self.view.situation.stack.health_timeout_ms;
        if ms.is_multiple_of(1_000) { format!("{} s", ms / 1_000) } else { format!("{ms} ms") }
    }
}
