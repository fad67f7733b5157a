//! Many small worlds with instances that crash, hang or are slow, hosts that die, and people who abort. Whatever
//! happens, the promises in [`World::check`] and [`World::perform`] hold.

use windlass_sdk::strategy::{
    Action, Instance, InstanceState, Outcome, Port, Situation, Step, Strategy, Volume,
};

use crate::Standard;
use crate::tests::{release, situation, traffic};

const WORLDS: u64 = 30_000;
const TIMEOUT: u64 = 10_000;
const MOST_STEPS: usize = 400;

/// Knuth's linear congruential generator.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// How an instance's life goes on from a start.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Healthy,
    /// Stays in `starting`, and nobody says why.
    Hangs,
    /// Fails the host's gate.
    Unhealthy,
    Exits,
    /// Is healthy for a while, then exits.
    ExitsLater,
    /// Exits and is restarted by the engine, again and again.
    Loops,
}

struct Unit {
    release: &'static str,
    number: u64,
    state: InstanceState,
    since: u64,
    restarts: u32,
    fate: Fate,
    /// When the next thing happens to it.
    next: Option<u64>,
    published: bool,
}

struct World {
    seed: u64,
    chance: Chance,
    now: u64,
    template: Situation,
    units: Vec<Unit>,
    numbers: u64,
    routed: Option<&'static str>,
    /// A route that takes effect later.
    pending: Option<&'static str>,
    fixed_port: bool,
    overlap: bool,
    bad_target: u64,
    bad_stable: u64,
    abort_at: Option<u64>,
    ended: Option<Outcome>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let mut template = situation();
        let stack = &mut template.stack;
        stack.health_timeout_ms = TIMEOUT;
        stack.rollback_on_failure = chance.percent(80);
        let fixed_port = chance.percent(40);
        stack.replicas = if fixed_port { 1 } else { 1 + chance.below(3) as u32 };
        let host = fixed_port.then_some(8080);
        stack.ports.push(Port { container: 80, host });
        let shares_volume = chance.percent(20);
        if chance.percent(40) {
            let (name, path) = ("data".to_owned(), "/data".to_owned());
            stack.volumes.push(Volume { name, path, read_only: !shares_volume });
        }
        let recreate = chance.percent(15);
        let settle = if chance.percent(50) { 0 } else { chance.below(5_000) };
        template.params = format!(r#"{{"recreate":{recreate},"settle_ms":{settle}}}"#);
        template.stable = match chance.below(10) {
            0 => None,
            1 => Some(release("new")),
            _ => Some(release("old")),
        };
        let writable = template.stack.volumes.iter().any(|volume| !volume.read_only);
        let has_old = template.stable.as_ref().is_some_and(|stable| stable.id == "old");
        let (bad_target, bad_stable) =
            ([0, 20, 60][chance.below(3) as usize], [0, 0, 30][chance.below(3) as usize]);
        let abort_at = chance.percent(25).then(|| chance.below(30_000));
        let mut world = Self {
            seed,
            chance,
            now: 1_000_000,
            template,
            units: Vec::new(),
            numbers: 0,
            routed: None,
            pending: None,
            fixed_port,
            overlap: !(has_old && (recreate || writable)),
            bad_target,
            bad_stable,
            abort_at: abort_at.map(|after| 1_000_000 + after),
            ended: None,
        };
        world.populate();
        world
    }

    fn populate(&mut self) {
        let Some(stable) = self.stable() else { return };
        for _ in 0..self.template.stack.replicas {
            self.launch(stable, self.fixed_port);
        }
        for unit in &mut self.units {
            (unit.state, unit.since, unit.fate, unit.next) = (InstanceState::Healthy, 1, Fate::Healthy, None);
        }
        self.routed = Some(stable);
        if self.chance.percent(10) {
            // Remains of an earlier try.
            self.launch("new", false);
            if let Some(unit) = self.units.last_mut() {
                (unit.state, unit.since, unit.next) = (InstanceState::Exited, 2, None);
            }
        }
    }

    fn stable(&self) -> Option<&'static str> {
        self.template.stable.as_ref().map(|stable| name(&stable.id))
    }

    fn healthy(&self, release: &str) -> usize {
        let is_healthy = |unit: &&Unit| unit.release == release && unit.state == InstanceState::Healthy;
        self.units.iter().filter(is_healthy).count()
    }

    fn fate(&mut self, release: &str) -> (Fate, u64) {
        let bad = if release == "new" { self.bad_target } else { self.bad_stable };
        if !self.chance.percent(bad) {
            return (Fate::Healthy, self.now + self.chance.below(TIMEOUT));
        }
        let fates = [Fate::Hangs, Fate::Unhealthy, Fate::Exits, Fate::ExitsLater, Fate::Loops];
        let fate = fates[self.chance.below(5) as usize];
        (fate, self.now + if fate == Fate::Unhealthy { TIMEOUT } else { self.chance.below(TIMEOUT) })
    }

    fn launch(&mut self, release: &'static str, published: bool) {
        let (fate, next) = self.fate(release);
        self.numbers += 1;
        let (number, since) = (self.numbers, self.now);
        self.units.push(Unit {
            release,
            number,
            state: InstanceState::Starting,
            since,
            restarts: 0,
            fate,
            next: Some(next),
            published,
        });
    }

    fn restart(&mut self, at: usize) {
        let (fate, next) = self.fate(self.units[at].release);
        let unit = &mut self.units[at];
        (unit.state, unit.since, unit.fate, unit.next) =
            (InstanceState::Starting, self.now, fate, Some(next));
    }

    /// What happens by itself until `self.now`.
    fn live_on(&mut self) {
        if let Some(release) = self.pending.take() {
            self.routed = Some(release);
        }
        let (now, chance) = (self.now, &mut self.chance);
        self.units.retain(|unit| !matches!(unit.state, InstanceState::Other(_)) || unit.next > Some(now));
        for unit in &mut self.units {
            if unit.next.is_none_or(|next| next > now) {
                continue;
            }
            let (state, next) = match (unit.fate, &unit.state) {
                (Fate::Hangs, _) => (unit.state.clone(), None),
                (Fate::Healthy, _) => (InstanceState::Healthy, None),
                (Fate::Unhealthy, _) => (InstanceState::Unhealthy, None),
                (Fate::ExitsLater, InstanceState::Starting) => {
                    (InstanceState::Healthy, Some(now + chance.below(10_000)))
                }
                (Fate::Loops, _) if unit.restarts < 20 => {
                    unit.restarts += 1;
                    (InstanceState::Starting, Some(now + 500 + chance.below(1_000)))
                }
                _ => (InstanceState::Exited, None),
            };
            (unit.state, unit.since, unit.next) = (state, now, next);
        }
    }

    fn situation(&self) -> Situation {
        let fleet = self.units.iter().map(|unit| Instance {
            release: unit.release.to_owned(),
            id: unit.number.to_string(),
            state: unit.state.clone(),
            since: unit.since,
            restarts: unit.restarts,
            reason: String::new(),
        });
        Situation {
            now: self.now,
            fleet: fleet.collect(),
            traffic: self.routed.map(traffic).unwrap_or_default(),
            abort_requested: self.abort_at.is_some_and(|at| self.now >= at),
            ..self.template.clone()
        }
    }

    fn perform(&mut self, action: &Action) {
        assert!(self.ended.is_none(), "seed {}: something comes after the end", self.seed);
        match action {
            Action::Scale(scale) => self.scale(name(&scale.release), scale.count),
            Action::Route(weights) => {
                assert_eq!((weights.len(), weights[0].percent), (1, 100), "seed {}", self.seed);
                self.route(name(&weights[0].release));
            }
            Action::Drain(release) => {
                assert_ne!(self.routed, Some(name(release)), "seed {}: what serves was drained", self.seed);
            }
            Action::Finish(outcome) => self.ended = Some(outcome.clone()),
            other => panic!("seed {}: {other:?} was ordered", self.seed),
        }
    }

    fn scale(&mut self, release: &'static str, count: u32) {
        if count == 0 {
            self.check_removal(release);
            for unit in self.units.iter_mut().filter(|unit| unit.release == release) {
                if !matches!(unit.state, InstanceState::Other(_)) {
                    unit.next = Some(self.now + self.chance.below(2_000));
                    (unit.state, unit.since) = (InstanceState::Other("stopping".to_owned()), self.now);
                }
            }
            return;
        }
        if !self.overlap {
            let other = if release == "new" { "old" } else { "new" };
            let both =
                self.units.iter().any(|unit| unit.release == other && unit.state != InstanceState::Exited);
            assert!(!both, "seed {}: two releases run where only one can", self.seed);
        }
        let own: Vec<usize> = (0..self.units.len()).filter(|&at| self.units[at].release == release).collect();
        for &at in own.iter().take(count as usize) {
            if self.units[at].state == InstanceState::Exited {
                self.restart(at);
            }
        }
        for _ in own.len()..count as usize {
            let published = self.fixed_port && !self.units.iter().any(|unit| unit.published);
            self.launch(release, published);
        }
    }

    fn check_removal(&self, release: &str) {
        if !self.overlap {
            return;
        }
        assert!(
            self.routed != Some(name(release)) || self.healthy(release) == 0,
            "seed {}: what serves was removed",
            self.seed
        );
        if release == "old" {
            let serves = self.routed == Some("new") && self.healthy("new") > 0;
            assert!(serves, "seed {}: the old release went before the new one served", self.seed);
        }
    }

    fn route(&mut self, release: &'static str) {
        if self.fixed_port {
            self.hand_over(release);
        }
        if self.chance.percent(50) { self.pending = Some(release) } else { self.routed = Some(release) }
    }

    fn hand_over(&mut self, release: &'static str) {
        let is_holder = |unit: &Unit| unit.release == release && unit.published;
        if !self.units.iter().any(|unit| is_holder(unit) && unit.state != InstanceState::Exited) {
            for unit in self.units.iter_mut().filter(|unit| unit.release != release && unit.published) {
                (unit.state, unit.since, unit.next) = (InstanceState::Exited, self.now, None);
            }
            match self.units.iter().position(is_holder) {
                Some(at) => self.restart(at),
                None => self.launch(release, true),
            }
        }
        self.units.retain(|unit| unit.release != release || unit.published);
    }

    /// What holds for every step and for the end.
    fn check(&self, before: u8, seen: &Situation, step: &Step) {
        let seed = self.seed;
        assert!((before..=100).contains(&step.progress), "seed {seed}: progress fell");
        assert!(!step.label.is_empty() && step.memory.len() <= 65_536, "seed {seed}");
        let finishes = step.actions.iter().any(|action| matches!(action, Action::Finish(_)));
        assert_eq!(step.wake_after.is_none(), finishes, "seed {seed}: it neither ends nor wakes up");
        assert_ne!(step.wake_after, Some(0), "seed {seed}");
        for weight in step.actions.iter().filter_map(|action| match action {
            Action::Route(weights) => Some(&weights[0]),
            _ => None,
        }) {
            // The host starts the container again that held the port before.
            let swaps_back = self.fixed_port && self.stable() == Some(name(&weight.release));
            let is_healthy =
                seen.instances_of(&weight.release).any(|instance| instance.state == InstanceState::Healthy);
            assert!(is_healthy || swaps_back, "seed {seed}: routed to what is not healthy");
        }
    }

    fn check_end(&self, seen: &Situation) {
        let serves = |release: &str| self.routed == Some(name(release)) && self.healthy(release) > 0;
        match &self.ended {
            Some(Outcome::Succeeded) => {
                assert!(serves("new"), "seed {}: success without service", self.seed);
                assert!(!seen.abort_requested, "seed {}: an abort was not heard", self.seed);
            }
            Some(Outcome::RolledBack(_)) => {
                assert!(serves("old"), "seed {}: rolled back to nothing", self.seed);
                assert!(seen.stack.rollback_on_failure, "seed {}: nobody wanted that", self.seed);
            }
            Some(Outcome::Failed(reason)) => {
                let untouched = self.overlap && !seen.stack.rollback_on_failure && self.routed == Some("old");
                assert!(!untouched || serves("old") || self.fixed_port, "seed {}: {reason}", self.seed);
            }
            other => panic!("seed {}: {other:?}", self.seed),
        }
    }

    /// The next moment at which the host calls.
    fn sleep(&mut self, wake_after: u64) {
        let event = self.units.iter().filter_map(|unit| unit.next).filter(|&next| next > self.now).min();
        let until = (self.now + wake_after).min(event.unwrap_or(u64::MAX));
        self.now = if self.chance.percent(20) { self.now + 1 + self.chance.below(2_000) } else { until };
        self.live_on();
    }

    fn run(mut self) -> (Outcome, usize) {
        let (mut memory, mut progress) = (Vec::new(), 0);
        for steps in 1..MOST_STEPS {
            let seen = self.situation();
            let step = Standard::decide(&memory, seen.clone()).expect("it decides");
            let again = Standard::decide(&memory, seen.clone());
            assert_eq!(again.as_ref(), Ok(&step), "seed {}: asked again it answers otherwise", self.seed);
            self.check(progress, &seen, &step);
            if self.chance.percent(5) {
                // The host dies before it has written the step down, and comes back later.
                self.sleep(1_000);
                continue;
            }
            (memory, progress) = (step.memory.clone(), step.progress);
            // The host dies while it acts, and acts again.
            let half =
                if self.chance.percent(10) { self.chance.below(step.actions.len() as u64 + 1) } else { 0 };
            let unfinished = step.actions.iter().take(half as usize);
            for action in
                unfinished.filter(|action| !matches!(action, Action::Finish(_))).chain(&step.actions)
            {
                self.perform(action);
            }
            if let Some(outcome) = self.ended.clone() {
                self.check_end(&seen);
                return (outcome, steps);
            }
            self.sleep(step.wake_after.unwrap_or(1));
        }
        panic!("seed {}: it does not end", self.seed);
    }
}

fn name(release: &str) -> &'static str {
    if release == "new" { "new" } else { "old" }
}

#[test]
fn in_every_world_a_rollout_ends_and_keeps_its_promises() {
    let (mut succeeded, mut rolled_back, mut failed, mut longest) = (0, 0, 0, 0);
    for seed in 1..=WORLDS {
        let (outcome, steps) = World::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).run();
        longest = longest.max(steps);
        match outcome {
            Outcome::Succeeded => succeeded += 1,
            Outcome::RolledBack(_) => rolled_back += 1,
            _ => failed += 1,
        }
    }
    println!("{succeeded} succeeded, {rolled_back} rolled back, {failed} failed; at most {longest} steps");
    assert!(
        succeeded > WORLDS / 4 && rolled_back > WORLDS / 10 && failed > WORLDS / 50,
        "the worlds are too alike"
    );
}

#[test]
fn without_trouble_every_rollout_succeeds() {
    for seed in 1..=2_000 {
        let mut world = World::new(seed);
        (world.bad_target, world.bad_stable, world.abort_at) = (0, 0, None);
        assert_eq!(world.run().0, Outcome::Succeeded, "seed {seed}");
    }
}
