//! A rollout as a walk through phases. One step goes through as many of them as the situation allows and stops where it has
//! to wait; what has to be remembered is written down by the walk.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use windlass_sdk::strategy::{Action, Ending, Situation, Step, Turn, Walk};
//! use windlass_sdk::Failure;
//!
//! #[derive(Clone, Default, Serialize, Deserialize)]
//! enum Phase {
//!     #[default]
//!     Starting,
//!     Switching,
//!     Restoring(String),
//! }
//!
//! fn decide(memory: &[u8], situation: &Situation) -> Result<Step, Failure> {
//!     Walk::<Phase>::step(memory, situation, |walk| {
//!         let (fleet, target) = (walk.fleet, walk.fleet.target());
//!         match walk.phase() {
//!             Phase::Starting if fleet.healthy(target) > 0 => Turn::Enter(Phase::Switching),
//!             Phase::Starting if walk.is_late() => walk.give_up("it is not healthy".into(), Phase::Restoring),
//!             Phase::Starting => {
//!                 walk.order(Action::scale(target, fleet.replicas()));
//!                 walk.wait("Starting the new release", 10)
//!             }
//!             Phase::Switching if fleet.has_all_traffic(target) => Turn::End(Ending::Succeeded),
//!             Phase::Switching if walk.is_late() => walk.give_up("it gets no requests".into(), Phase::Restoring),
//!             Phase::Switching => {
//!                 walk.order(Action::route_all(target));
//!                 walk.wait("Switching", 50)
//!             }
//!             Phase::Restoring(reason) => walk.restore(reason, false),
//!         }
//!     })
//! }
//! ```

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Action, Decision, Fleet, News, Outcome, Situation, Step, recall, remember, words};
use crate::Failure;

/// What a wait may take longer than the health timeout: the host has one of its own and should be the first to say
/// what is wrong.
const GRACE_MS: u64 = 5_000;
/// After a route was ordered, it is looked whether it took effect.
const ROUTE_MS: u64 = 500;
/// More turns in one step than any good strategy takes.
const TURNS: usize = 100;

/// What a phase comes to.
pub enum Turn<P> {
    /// Another phase begins, or the same one anew.
    Enter(P),
    /// Nothing more can be done before something happens, or before `until`.
    Wait {
        label: String,
        progress: u8,
        until: u64,
    },
    End(Ending),
}

/// An [`Outcome`] that can be remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    Succeeded,
    RolledBack(String),
    Failed(String),
}

impl From<Ending> for Outcome {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Succeeded => Self::Succeeded,
            Ending::RolledBack(reason) => Self::RolledBack(reason),
            Ending::Failed(reason) => Self::Failed(reason),
        }
    }
}

impl Ending {
    fn label(&self) -> String {
        match self {
            Self::Succeeded => "The new release serves".to_owned(),
            Self::RolledBack(reason) => format!("The previous release serves again: {reason}"),
            Self::Failed(reason) => format!("The rollout failed: {reason}"),
        }
    }
}

/// What is remembered between two steps: where the walk is, and the strategy's own notes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Memory<P, N> {
    phase: P,
    /// When the phase began.
    since: u64,
    /// When instances of the target were first ordered.
    ordered: Option<u64>,
    progress: u8,
    /// A failure stays one.
    failed: Option<String>,
    notes: N,
}

/// One step of a rollout that goes through phases `P` and takes notes `N`.
pub struct Walk<'a, P, N = ()> {
    pub fleet: Fleet<'a>,
    /// What the strategy wants to know at the next step.
    pub notes: N,
    memory: Memory<P, ()>,
    /// The phase began in this very call, so nothing that it ordered can have happened yet.
    entered: bool,
    actions: Vec<Action>,
    /// Stays true, whatever is ordered after it.
    told: Vec<Action>,
}

impl<'a, P, N> Walk<'a, P, N>
where
    P: Clone + Default + Serialize + DeserializeOwned,
    N: Default + Serialize + DeserializeOwned,
{
    /// Asks `turn` until the walk has to wait or is over.
    ///
    /// # Errors
    /// `foreign-memory` for the memory of another strategy, `endless-phases` if the phases lead nowhere.
    pub fn step(
        memory: &[u8],
        situation: &'a Situation,
        mut turn: impl FnMut(&mut Self) -> Turn<P>,
    ) -> Result<Step, Failure> {
        let Memory { phase, since, ordered, progress, failed, notes } = recall::<Memory<P, N>>(memory)?;
        let is_first = memory.is_empty();
        let since = if is_first { situation.now } else { since };
        let memory = Memory { phase, since, ordered, progress, failed, notes: () };
        let fleet = Fleet { situation };
        let mut walk =
            Self { fleet, notes, memory, entered: is_first, actions: Vec::new(), told: Vec::new() };
        for _ in 0..TURNS {
            let next = match &walk.memory.failed {
                Some(reason) => Turn::End(Ending::Failed(reason.clone())),
                None => turn(&mut walk),
            };
            match next {
                Turn::Enter(phase) => {
                    walk.memory.phase = phase;
                    walk.memory.since = situation.now;
                    walk.entered = true;
                }
                Turn::Wait { label, progress, until } => {
                    // Where the requests go shows only when one looks again.
                    let is_routing = walk.actions.iter().any(|action| matches!(action, Action::Route(_)));
                    let longest = if is_routing { ROUTE_MS } else { u64::MAX };
                    let wake_after = until.saturating_sub(situation.now).clamp(1, longest);
                    return walk.into_step(label, progress, Some(wake_after));
                }
                Turn::End(ending) => {
                    // Whether a release serves has to be seen again if the host died before it had written the end down.
                    if let Ending::Failed(reason) = &ending {
                        walk.memory.failed = Some(reason.clone());
                    }
                    let label = ending.label();
                    walk.actions.push(Action::Finish(ending.into()));
                    return walk.into_step(label, 100, None);
                }
            }
        }
        Err(Failure::permanent("endless-phases", "The strategy went from phase to phase and never waited."))
    }

    fn into_step(self, label: String, progress: u8, wake_after: Option<u64>) -> Result<Step, Failure> {
        let progress = progress.max(self.memory.progress);
        let Memory { phase, since, ordered, failed, .. } = self.memory;
        let memory = Memory { phase, since, ordered, progress, failed, notes: self.notes };
        let actions = self.told.into_iter().chain(self.actions).collect();
        Ok(Step { memory: remember(&memory)?, label, progress, actions, wake_after })
    }

    pub fn phase(&self) -> P {
        self.memory.phase.clone()
    }

    /// When the phase began.
    pub fn since(&self) -> u64 {
        self.memory.since
    }

    /// The phase began in this very call, so nothing that it ordered can have happened yet.
    pub fn entered(&self) -> bool {
        self.entered
    }

    pub fn now(&self) -> u64 {
        self.fleet.situation.now
    }

    pub fn order(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// Lets those hear of it who want to. To be said where a phase begins or ends, since it is told whenever the memory
    /// changes.
    pub fn tell(&mut self, news: News, words: impl AsRef<str>) {
        self.told.push(Action::tell(news, words.as_ref()));
    }

    /// Orders so many instances of the target, if fewer run or none was ordered yet.
    pub fn start_target(&mut self, count: u32) {
        let is_first = self.memory.ordered.is_none();
        if is_first {
            self.memory.ordered = Some(self.now());
        }
        if is_first || self.fleet.live(self.fleet.target()) < count {
            self.order(Action::scale(self.fleet.target(), count));
        }
    }

    /// Why the target will not do, if an instance shows it.
    pub fn target_failure(&self, switching: bool) -> Option<String> {
        self.fleet.target_failure(self.memory.ordered.unwrap_or(self.now()), switching)
    }

    /// Asks people, as long as the phase goes on. Whether they approved already.
    ///
    /// # Errors
    /// Why it will not go on: they refused, or nobody answered in time.
    pub fn ask(&mut self, prompt: String, patience_ms: u64) -> Result<bool, String> {
        match self.answer() {
            Some(answer) if answer.approved => return Ok(true),
            Some(answer) => return Err(format!("{} refused to approve it", answer.by)),
            None => {}
        }
        if self.now() >= self.memory.since.saturating_add(patience_ms) {
            return Err(format!("nobody approved it within {}", words::duration(patience_ms)));
        }
        self.order(Action::Ask(prompt));
        Ok(false)
    }

    /// Somebody said, since the phase began, that it need not wait for time to pass. What is not healthy yet is to be
    /// waited for all the same.
    pub fn is_hurried(&self) -> bool {
        self.answer().is_some_and(|answer| answer.approved)
    }

    /// What people said since the phase began: before that, they spoke of something else.
    fn answer(&self) -> Option<&'a Decision> {
        self.fleet.situation.approval.as_ref().filter(|answer| answer.at > self.memory.since)
    }

    /// Waits at most until the phase is late.
    pub fn wait(&self, label: impl Into<String>, progress: u8) -> Turn<P> {
        self.wait_until(label, progress, self.deadline())
    }

    pub fn wait_until(&self, label: impl Into<String>, progress: u8, until: u64) -> Turn<P> {
        Turn::Wait { label: label.into(), progress, until }
    }

    /// Until when the phase should have come to its end: the health timeout, and a little.
    pub fn deadline(&self) -> u64 {
        let patience = self.fleet.situation.stack.health_timeout_ms.saturating_add(GRACE_MS);
        self.memory.since.saturating_add(patience)
    }

    pub fn is_late(&self) -> bool {
        self.now() >= self.deadline()
    }

    /// The health timeout in words.
    pub fn patience(&self) -> String {
        words::duration(self.fleet.situation.stack.health_timeout_ms)
    }

    /// That too few of the target's instances became healthy in time, with what was last seen wrong with one of the others.
    pub fn too_few_healthy(&self, wanted: u32) -> String {
        let (healthy, patience) = (self.fleet.healthy(self.fleet.target()), self.patience());
        self.with_trouble(format!(
            "the new release did not become healthy within {patience}: {healthy} of {wanted} instances are"
        ))
    }

    /// The sentence, with what was last seen wrong with an instance of the target that is not healthy.
    pub fn with_trouble(&self, sentence: String) -> String {
        match self.fleet.target_trouble() {
            "" => sentence,
            trouble => format!("{sentence}; last seen: {trouble}"),
        }
    }

    /// The rollout is not going to succeed: back to the stable release, where there is one and a rollback is wanted.
    pub fn give_up(&mut self, reason: String, back: impl FnOnce(String) -> P) -> Turn<P> {
        if self.fleet.situation.stack.rollback_on_failure {
            return self.go_back(reason, back);
        }
        self.abandon(reason)
    }

    /// Back to the stable release, where there is one.
    pub fn go_back(&mut self, reason: String, back: impl FnOnce(String) -> P) -> Turn<P> {
        if self.fleet.old().is_none() {
            return self.abandon(reason);
        }
        // What was ordered in this call would contradict what comes now.
        self.actions.clear();
        Turn::Enter(back(reason))
    }

    /// Ends in failure, and removes the target if nobody depends on it.
    pub fn abandon(&mut self, reason: String) -> Turn<P> {
        self.actions.clear();
        let target = self.fleet.target();
        if !self.fleet.is_redeployment() && self.fleet.situation.share_of(target) == 0 {
            self.order(Action::scale(target, 0));
        }
        Turn::End(Ending::Failed(reason))
    }

    /// The phase in which the stable release comes back into service and the target goes. `swaps_port`: the host kept
    /// the container that held the stack's fixed port, and starts it again when told to route.
    pub fn restore(&mut self, reason: String, swaps_port: bool) -> Turn<P> {
        let Some(old) = self.fleet.old() else {
            return Turn::End(Ending::Failed(reason));
        };
        let wanted = if self.fleet.has_fixed_port() { 1 } else { self.fleet.replicas() };
        let (healthy, is_routed) = (self.fleet.healthy(old), self.fleet.has_all_traffic(old));
        let is_late = self.is_late();
        if is_routed && (healthy >= wanted || healthy > 0 && is_late) {
            self.order(Action::scale(self.fleet.target(), 0));
            return Turn::End(Ending::RolledBack(reason));
        }
        // Healthy and still without requests: what keeps them away will not go by itself.
        let is_hopeless = self.now() >= self.deadline().saturating_add(GRACE_MS);
        if is_late && healthy == 0 || is_hopeless {
            return Turn::End(Ending::Failed(format!(
                "{reason}; and the previous release did not serve again within {}",
                self.patience()
            )));
        }
        if swaps_port {
            if !is_routed || self.fleet.live(old) == 0 {
                self.order(Action::route_all(old));
            }
        } else {
            if self.fleet.live(old) < wanted {
                self.order(Action::scale(old, wanted));
            }
            // Half of it can take the requests of a release that is given up, and less than that if nobody else can.
            let can_serve = healthy > 0
                && (2 * healthy >= wanted || is_late || self.fleet.healthy(self.fleet.target()) == 0);
            if can_serve && !is_routed {
                self.order(Action::route_all(old));
            }
        }
        let until = if is_late { self.now().saturating_add(1_000) } else { self.deadline() };
        self.wait_until(format!("Restoring the previous release: {reason}"), 90, until)
    }
}
