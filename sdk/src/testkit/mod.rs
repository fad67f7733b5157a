//! The test kit: puts a strategy into thousands of small worlds, and says in which one it breaks a promise.
//!
//! ```
//! use windlass_sdk::testkit::{Before, Simulation};
//! # use windlass_sdk::strategy::{self, Action, InstanceState, Outcome, Situation, Stack, Step, Strategy};
//! # use windlass_sdk::{Failure, Manifest, Problem};
//! # struct Hasty;
//! # impl Strategy for Hasty {
//! #     fn describe() -> Manifest { Manifest::new("hasty", "0.1.0", "") }
//! #     fn validate(_: &str, _: &Stack) -> Vec<Problem> { Vec::new() }
//! #     fn decide(_: &[u8], situation: Situation) -> Result<Step, Failure> {
//! #         let target = &situation.target.id;
//! #         let actions = vec![Action::scale(target, 1), Action::route_all(target)];
//! #         Ok(Step { memory: Vec::new(), label: "Hurrying".into(), progress: 0, actions, wake_after: None })
//! #     }
//! # }
//! // `Hasty` sends the requests to the new release without looking whether it is healthy.
//! let simulation = Simulation::new().worlds(100).in_worlds(|world| world.before = Before::Other);
//! let report = simulation.run::<Hasty>();
//! let broken = report.broken.expect("a world shows it");
//! assert_eq!(broken.rule.as_str(), "routes-to-healthy");
//! ```
//!
//! In a test of yours it is one line: `Simulation::new().run::<MyStrategy>().expect_good()`. A world is made from its
//! seed alone: instances that crash, hang, flap or loop, errors that rise with the traffic, people who answer late or
//! abort, a host that dies at any step, fixed ports, volumes. What has to hold is in [`Rule`]. `windlass plugin simulate`
//! and `windlass plugin check` run the same worlds against the compiled component.
//!
//! Most worlds let a strategy split the requests, show previews and ask people; in the others the host says that it cannot, by
//! the extras of the stack. What traffic there is differs too, from none to plenty.
//!
//! What sends requests meets [`Trouble`]: [`provider_in_trouble`] and [`forge_in_trouble`] answer each request of each call in
//! every wrong way, as the conformance suite does with the compiled component.

mod cassette;
mod chance;
mod forecast;
mod notifier;
mod outage;
mod promises;
mod provider;
mod report;
mod rules;
mod run;
mod scenario;
mod shrink;
mod story;
mod subject;
mod traffic;
mod trials;
mod trouble;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub use cassette::{Call, Cassette};
pub use forecast::{Forecast, Foreseen, Outlook, forecast};
pub use notifier::{failed_deployment, json_body, only_request, rendered};
pub use outage::{artifacts_in_trouble, deployments_in_trouble, forge_in_trouble, provider_in_trouble};
pub use provider::replay_provider;
pub use report::{Broken, Report, Told};
pub use rules::Rule;
pub use scenario::{Before, Errors, HEALTH_TIMEOUT_MS, Interruption, Life, Moment, Scenario};
pub use story::{STORY_TIMEOUT_MS, Story};
pub use subject::{Native, Subject};
pub use trials::{Ended, Trial, Trials};
pub use trouble::Trouble;

pub use crate::mutant;

use promises::Promises;
use run::{Ending, Run};

/// What the host grants a rollout besides three times the health timeout.
const SPARE_MS: u64 = 120_000;
const DEADLINE_MS: u64 = 3 * HEALTH_TIMEOUT_MS + SPARE_MS;
/// How long a broken world may be made simpler.
const PATIENCE: Duration = Duration::from_secs(5);

/// Worlds to go through.
#[derive(Clone, Debug)]
pub struct Simulation {
    seed: u64,
    worlds: u64,
    params: String,
    deadline_ms: Option<u64>,
    within: Duration,
    promises: Promises,
    threads: usize,
    adjust: fn(&mut Scenario),
}

impl Default for Simulation {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulation {
    /// 10,000 worlds, a strategy without parameters.
    pub fn new() -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        Self {
            seed: 1,
            worlds: 10_000,
            params: "{}".into(),
            deadline_ms: None,
            within: Duration::MAX,
            promises: Promises::default(),
            threads,
            adjust: |_| {},
        }
    }

    #[must_use]
    pub fn worlds(mut self, worlds: u64) -> Self {
        self.worlds = worlds;
        self
    }

    /// The first world's seed; the next ones count on from there.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The strategy's parameters, as JSON.
    #[must_use]
    pub fn params(mut self, json: impl Into<String>) -> Self {
        self.params = json.into();
        self
    }

    /// How long a rollout may take, in milliseconds; waiting for people does not count. Without this it is what the host
    /// grants: three times the health timeout of 10 s, 120 s more, and what the strategy itself says that it may take.
    #[must_use]
    pub fn deadline_ms(mut self, deadline: u64) -> Self {
        self.deadline_ms = Some(deadline);
        self
    }

    /// The strategy promises that the old copy stays complete until the new release has had all requests for so many
    /// milliseconds.
    #[must_use]
    pub fn keeps_the_old_copy_for(mut self, ms: u64) -> Self {
        self.promises.old_copy_for_ms = Some(ms);
        self
    }

    /// The strategy promises that the new release's share only rises, and once it fell to nothing stays there.
    #[must_use]
    pub fn shares_rise(mut self) -> Self {
        self.promises.shares_rise = true;
        self
    }

    /// The strategy promises that at most so many of the replicas are missing by its doing, unless it goes back.
    #[must_use]
    pub fn misses_at_most(mut self, instances: u32) -> Self {
        self.promises.may_miss = Some(instances);
        self
    }

    /// The strategy promises to see when the new release's answers fail much more often than the old one's.
    #[must_use]
    pub fn judges_errors(mut self) -> Self {
        self.promises.judges_errors = true;
        self
    }

    /// The strategy promises to see when the new release's answers take much longer than the old one's.
    #[must_use]
    pub fn judges_latency(mut self) -> Self {
        self.promises.judges_latency = true;
        self
    }

    /// How long to look: where that is over before the last world, the report tells of fewer. Without this all worlds are
    /// gone through, however long it takes.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    /// Uses no more threads than this. Without it there is one a processor.
    #[must_use]
    pub fn at_most_threads(mut self, threads: usize) -> Self {
        self.threads = self.threads.min(threads);
        self
    }

    /// Changes each world after chance has made it, for instance to allow downtime everywhere.
    #[must_use]
    pub fn in_worlds(mut self, adjust: fn(&mut Scenario)) -> Self {
        self.adjust = adjust;
        self
    }

    /// Runs a strategy that is compiled into this program.
    pub fn run<T: crate::strategy::Strategy>(&self) -> Report {
        self.run_subject(&Native::<T>::default())
    }

    /// Like [`Self::run`], for a strategy that says how long it waits.
    pub fn run_timed<T: crate::strategy::Timing>(&self) -> Report {
        self.run_subject(&Native::<T>::timed())
    }

    /// Runs anything that can be asked like a strategy. The same simulation always finds the same broken world, unless its
    /// time is over before.
    pub fn run_subject<S: Subject>(&self, subject: &S) -> Report {
        let started = Instant::now();
        // The lowest world found broken so far; nobody needs to look beyond it.
        let broken_at = AtomicU64::new(u64::MAX);
        let threads = self.threads.max(1);
        let mut report = Report {
            worlds: 0,
            refused: 0,
            succeeded: 0,
            rolled_back: 0,
            failed: 0,
            longest: 0,
            steps: 0,
            took: Duration::ZERO,
            broken: None,
        };
        thread::scope(|scope| {
            let broken_at = &broken_at;
            let shares: Vec<_> = (0..threads as u64)
                .map(|first| scope.spawn(move || self.share(subject, first, threads, broken_at)))
                .collect();
            for share in shares {
                match share.join() {
                    Ok(share) => report.add(&share),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
        let broken_at = broken_at.into_inner();
        if broken_at != u64::MAX {
            report.broken = self.simplest(subject, self.seed.wrapping_add(broken_at));
        }
        report.took = started.elapsed();
        report
    }

    fn terms(&self) -> Terms<'_> {
        Terms { deadline_ms: self.deadline_ms, promises: &self.promises }
    }

    fn scenario(&self, seed: u64) -> Scenario {
        let mut scenario = Scenario::of_seed(seed, &self.params);
        (self.adjust)(&mut scenario);
        scenario
    }

    /// Every `threads`-th world, until one is broken.
    fn share<S: Subject>(&self, subject: &S, first: u64, threads: usize, broken_at: &AtomicU64) -> Share {
        let mut share = Share::default();
        let started = Instant::now();
        for n in (first..self.worlds).step_by(threads) {
            let is_late = share.worlds > 0 && started.elapsed() >= self.within;
            if is_late || n >= broken_at.load(Ordering::Relaxed) {
                break;
            }
            let seed = self.seed.wrapping_add(n);
            let scenario = self.scenario(seed);
            let mut run = Run::new(subject, &scenario, self.terms(), seed, false);
            let ending = run.finish();
            share.worlds += 1;
            share.steps += u64::from(run.steps);
            share.longest = share.longest.max(run.steps);
            match ending {
                Ok(ending) => share.endings[ending as usize] += 1,
                Err(_) => {
                    broken_at.fetch_min(n, Ordering::Relaxed);
                    break;
                }
            }
        }
        share
    }

    /// The simplest world found that breaks the same rule, with its story.
    fn simplest<S: Subject>(&self, subject: &S, seed: u64) -> Option<Broken> {
        let attempt = |scenario: &Scenario, telling| {
            Run::new(subject, scenario, self.terms(), seed, telling).finish().err()
        };
        let started = Instant::now();
        let mut scenario = self.scenario(seed);
        let rule = attempt(&scenario, false)?.breach.rule;
        let mut simplified = 0;
        'again: loop {
            for mut simpler in shrink::simpler(&scenario) {
                if started.elapsed() > PATIENCE {
                    break 'again;
                }
                (self.adjust)(&mut simpler);
                let breaks = |told: run::Told| told.breach.rule == rule;
                if simpler != scenario && attempt(&simpler, false).is_some_and(breaks) {
                    scenario = simpler;
                    simplified += 1;
                    continue 'again;
                }
            }
            break;
        }
        let told = attempt(&scenario, true)?;
        let timeline = report::timeline(told.tale);
        Some(Broken { rule, why: told.breach.why, seed, simplified, scenario, timeline })
    }
}

/// What holds besides the rules for all.
#[derive(Clone, Copy)]
struct Terms<'a> {
    deadline_ms: Option<u64>,
    promises: &'a Promises,
}

/// What one thread counted.
#[derive(Default)]
struct Share {
    worlds: u64,
    steps: u64,
    longest: u32,
    /// By `Ending`.
    endings: [u64; 4],
}

impl Report {
    fn add(&mut self, share: &Share) {
        self.worlds += share.worlds;
        self.steps += share.steps;
        self.longest = self.longest.max(share.longest);
        self.refused += share.endings[Ending::Refused as usize];
        self.succeeded += share.endings[Ending::Succeeded as usize];
        self.rolled_back += share.endings[Ending::RolledBack as usize];
        self.failed += share.endings[Ending::Failed as usize];
    }
}

/// A strategy with one thing broken, for tests of the tests: the simulation has to notice. It decides as the function says,
/// and everything else is the original's.
///
/// ```ignore
/// mutant!(Deaf of Standard, |memory, mut situation| {
///     situation.abort_requested = false;
///     Standard::decide(memory, situation)
/// });
/// assert_eq!(Simulation::new().run::<Deaf>().broken.expect("it is noticed").rule, Rule::HearsPeople);
/// ```
#[macro_export]
macro_rules! mutant {
    ($name:ident of $original:ty, $decide:expr) => {
        struct $name;

        impl $crate::strategy::Strategy for $name {
            fn describe() -> $crate::Manifest {
                <$original as $crate::strategy::Strategy>::describe()
            }

            fn validate(params: &str, stack: &$crate::strategy::Stack) -> Vec<$crate::Problem> {
                <$original as $crate::strategy::Strategy>::validate(params, stack)
            }

            fn decide(
                memory: &[u8],
                situation: $crate::strategy::Situation,
            ) -> Result<$crate::strategy::Step, $crate::Failure> {
                type Decide =
                    fn(&[u8], $crate::strategy::Situation) -> Result<$crate::strategy::Step, $crate::Failure>;
                let decide: Decide = $decide;
                decide(memory, situation)
            }
        }

        impl $crate::strategy::Timing for $name {
            fn longest_wait(params: &str, replicas: u32, health_timeout_ms: u64) -> u64 {
                <$original as $crate::strategy::Timing>::longest_wait(params, replicas, health_timeout_ms)
            }
        }
    };
}
