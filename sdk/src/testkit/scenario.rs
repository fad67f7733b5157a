//! What a world is like: everything that chance decides, written down, so that it can be read, repeated and made simpler.

use serde::Serialize;

use super::chance::Chance;

/// The stack's `health-timeout-ms` in every world.
pub const HEALTH_TIMEOUT_MS: u64 = 10_000;
/// Requests in a minute that are enough to judge a release by a tenth of them.
const BUSY: u64 = 1_200;
/// A time within which people who mind their rollout answer.
const SOON_MS: u64 = 600_000;
/// Rollouts that take their time take about so long, in milliseconds.
const LATER_MS: u64 = 1_200_000;

/// How an instance's life goes on from its start; all times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    /// Passes its gate after a while, and stays healthy.
    Healthy { after: u64 },
    /// Stays in `starting`, and nobody says why.
    Hangs,
    /// Fails its gate when the health timeout is over.
    Unhealthy,
    /// Ends before it was healthy.
    Exits { after: u64 },
    /// Is healthy for a while, then ends.
    Dies { after: u64, healthy_for: u64 },
    /// Ends and is started again by the engine, again and again.
    Loops { after: u64 },
    /// Turns healthy and unhealthy in turns.
    Flaps { after: u64, every: u64 },
}

impl Life {
    pub(super) const GOOD: Self = Self::Healthy { after: 1_000 };

    pub(super) fn is_good(&self) -> bool {
        matches!(self, Self::Healthy { .. })
    }

    fn any(chance: &mut Chance, bad: u64) -> Self {
        let after = chance.below(HEALTH_TIMEOUT_MS / 2);
        if !chance.percent(bad) {
            return Self::Healthy { after };
        }
        match chance.below(6) {
            0 => Self::Hangs,
            1 => Self::Unhealthy,
            2 => Self::Exits { after },
            3 => Self::Dies { after, healthy_for: soon_or_later(chance, 10_000) },
            4 => Self::Loops { after },
            _ => Self::Flaps { after, every: 500 + chance.below(4_000) },
        }
    }
}

/// What served before the rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Before {
    /// The first deployment of the stack.
    Nothing,
    /// Another release, which is the stable one.
    Other,
    /// The very release that is deployed again.
    Same,
}

/// The host dies, and comes back after `away` milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Interruption {
    /// At which step, from 1.
    pub step: u32,
    pub at: Moment,
    pub away: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// The step was never written down: the strategy is asked again with its memory of before.
    BeforeWriting,
    /// Its memory was written and so many of its actions were carried out; the others have to be ordered again.
    WhileActing { done: usize },
}

/// Answers of the target that fail or come late, once it gets at least so many percent of the requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Errors {
    pub from_percent: u32,
    pub per_mille: u64,
    /// How much longer answers take than those of the stable release.
    pub slower_percent: u64,
}

/// One world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Scenario {
    /// The strategy's parameters, as JSON.
    pub params: String,
    pub replicas: u32,
    pub fixed_port: bool,
    /// Whether the stack has a volume, and if so, whether it is read-only.
    pub read_only_volume: Option<bool>,
    pub rollback_on_failure: bool,
    pub allow_downtime: bool,
    pub before: Before,
    /// The n-th life is that of the n-th instance started; those after the last live well.
    pub target_lives: Vec<Life>,
    /// Of instances of the stable release that are started during the rollout.
    pub stable_lives: Vec<Life>,
    /// Of the instances that serve when the rollout begins.
    pub serving_lives: Vec<Life>,
    /// An exited instance of the target is left from an earlier try.
    pub leftover: bool,
    /// Somebody aborts, so many milliseconds after the start.
    pub abort_after: Option<u64>,
    /// How long people take to answer a question, in milliseconds, if they ever do, and what they say.
    pub answer_after: Option<u64>,
    pub approved: bool,
    /// Somebody says unasked that it need not wait any longer, so many milliseconds after the start.
    pub hurry_after: Option<u64>,
    pub errors: Option<Errors>,
    /// Requests that all releases together get in a minute.
    pub requests_a_minute: u64,
    /// The host cannot split requests, ask people or show previews, and says so.
    pub plain_host: bool,
    /// A route only takes effect when the host looks the next time.
    pub routes_late: bool,
    /// How long an instance takes to stop, in milliseconds.
    pub stop_takes: u64,
    /// The host asks at least so often, although nothing happened.
    pub looks_every: Option<u64>,
    pub interruptions: Vec<Interruption>,
}

impl Scenario {
    /// One replica, nothing goes wrong, a release serves already.
    pub fn calm(params: &str) -> Self {
        Self {
            params: params.to_owned(),
            replicas: 1,
            fixed_port: false,
            read_only_volume: None,
            rollback_on_failure: true,
            allow_downtime: false,
            before: Before::Other,
            target_lives: Vec::new(),
            stable_lives: Vec::new(),
            serving_lives: Vec::new(),
            leftover: false,
            abort_after: None,
            answer_after: Some(0),
            approved: true,
            hurry_after: None,
            errors: None,
            requests_a_minute: BUSY,
            plain_host: false,
            routes_late: false,
            stop_takes: 0,
            looks_every: None,
            interruptions: Vec::new(),
        }
    }

    /// The world of a seed.
    pub fn of_seed(seed: u64, params: &str) -> Self {
        let mut chance = Chance::new(seed);
        let chance = &mut chance;
        let mut world = Self::calm(params);
        world.rollback_on_failure = chance.percent(80);
        world.fixed_port = chance.percent(35);
        world.replicas = if world.fixed_port { 1 } else { 1 + u32::try_from(chance.below(3)).unwrap_or(0) };
        world.read_only_volume = chance.percent(40).then(|| chance.percent(60));
        world.allow_downtime = chance.percent(15);
        world.before = match chance.below(10) {
            0 => Before::Nothing,
            1 => Before::Same,
            _ => Before::Other,
        };
        let bad = [0, 20, 60][chance.few(2)];
        world.target_lives = (0..chance.few(6)).map(|_| Life::any(chance, bad)).collect();
        let bad = [0, 0, 30][chance.few(2)];
        world.stable_lives = (0..chance.few(4)).map(|_| Life::any(chance, bad)).collect();
        let bad = [0, 0, 0, 30][chance.few(3)];
        world.serving_lives = (0..chance.few(3)).map(|_| Life::any(chance, bad)).collect();
        world.leftover = chance.percent(10);
        world.abort_after = chance.percent(25).then(|| soon_or_later(chance, 30_000));
        world.answer_after = [Some(0), Some(1_000), Some(SOON_MS), Some(86_400_000), None][chance.few(4)];
        world.approved = chance.percent(80);
        world.errors = chance.percent(25).then(|| Errors {
            from_percent: [1, 10, 50, 100][chance.few(3)],
            per_mille: [0, 5 + chance.below(500)][chance.few(1)],
            slower_percent: [0, 0, 100, 900][chance.few(3)],
        });
        world.requests_a_minute = [0, 3, 120, BUSY, 10 * BUSY][chance.few(4)];
        world.plain_host = chance.percent(20);
        world.routes_late = chance.percent(50);
        world.stop_takes = chance.below(2_000);
        world.looks_every = chance.percent(50).then(|| 100 + chance.below(5_000));
        world.interruptions = (0..chance.few(3)).map(|_| interruption(chance)).collect();
        world.hurry_after = chance.percent(20).then(|| soon_or_later(chance, 30_000));
        world
    }

    /// Nothing in it is a reason for not succeeding: the host's own deaths are none.
    pub fn is_calm(&self) -> bool {
        let lives = self.target_lives.iter().chain(&self.stable_lives).chain(&self.serving_lives);
        lives.into_iter().all(Life::is_good)
            && self.abort_after.is_none()
            && self.approved
            && self.answer_after.is_some_and(|after| after <= SOON_MS)
            && self.errors.is_none()
            && self.requests_a_minute >= BUSY
    }

    /// The stable release does what it should whenever it runs.
    pub(super) fn stable_is_sound(&self) -> bool {
        self.stable_lives.iter().chain(&self.serving_lives).all(Life::is_good)
    }

    /// Both releases would write to one volume.
    pub(super) fn excludes_overlap(&self) -> bool {
        self.read_only_volume == Some(false)
    }

    pub(super) fn allows_downtime(&self) -> bool {
        self.allow_downtime || self.excludes_overlap()
    }
}

fn interruption(chance: &mut Chance) -> Interruption {
    let at =
        if chance.percent(40) { Moment::BeforeWriting } else { Moment::WhileActing { done: chance.few(2) } };
    let last = [12, 80][chance.few(1)];
    Interruption { step: 1 + u32::try_from(chance.below(last)).unwrap_or(0), at, away: chance.below(2_000) }
}

/// While a quick rollout goes on, or while one does that takes its time.
fn soon_or_later(chance: &mut Chance, soon: u64) -> u64 {
    let last = [soon, soon, LATER_MS][chance.few(2)];
    chance.below(last)
}
