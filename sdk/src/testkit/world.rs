//! A small world: instances that live as the scenario says, traffic, people, and a clock that only moves when told.

use super::rules::{Breach, Rule, hold};
use super::scenario::{Before, HEALTH_TIMEOUT_MS, Life, Scenario};
use super::traffic::Traffic;
use crate::strategy::{
    Decision, Instance, InstanceState, Outcome, Port, Release, Situation, Stack, Volume, Weight,
};

pub(super) const TARGET: &str = "new";
pub(super) const STABLE: &str = "old";
const START: u64 = 1_000_000;
/// So long the host tells what people said unasked.
const HURRY_MS: u64 = 10_000;
/// Restarts of a crash loop, and turns of a flapping instance, until it stays as it is.
const TURNS: u32 = 20;

struct Unit {
    release: &'static str,
    number: u32,
    state: InstanceState,
    since: u64,
    turns: u32,
    restarts: u32,
    life: Life,
    /// When the next thing happens to it.
    next: Option<u64>,
    /// It holds the fixed port, or did until it was stopped.
    published: bool,
}

pub(super) struct World<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) now: u64,
    template: Situation,
    units: Vec<Unit>,
    started: u32,
    lives_used: [usize; 2],
    traffic: Traffic,
    question: Option<(String, u64)>,
    /// Time that people were waited for; it does not count against the deadline.
    pub(super) waited: u64,
    /// Time in which nothing answered requests.
    pub(super) unserved: u64,
    pub(super) ended: Option<Outcome>,
    /// What happened, if anybody wants to know.
    pub(super) tale: Option<Vec<(u64, String)>>,
}

impl<'a> World<'a> {
    pub(super) fn new(scenario: &'a Scenario, telling: bool) -> Self {
        let mut world = Self {
            scenario,
            now: START,
            template: template(scenario),
            units: Vec::new(),
            started: 0,
            lives_used: [0, 0],
            traffic: Traffic::default(),
            question: None,
            waited: 0,
            unserved: 0,
            ended: None,
            tale: telling.then(Vec::new),
        };
        world.populate();
        world
    }

    fn populate(&mut self) {
        if let Some(stable) = self.stable() {
            for n in 0..self.scenario.replicas {
                let life = self.scenario.serving_lives.get(n as usize).cloned().unwrap_or(Life::GOOD);
                self.add(stable, self.scenario.fixed_port, life);
            }
            for unit in &mut self.units {
                unit.state = InstanceState::Healthy;
                unit.next = match unit.life {
                    Life::Healthy { .. } | Life::Hangs => None,
                    Life::Unhealthy => Some(START + HEALTH_TIMEOUT_MS),
                    Life::Exits { after } | Life::Loops { after } => Some(START + after),
                    Life::Dies { healthy_for, .. } => Some(START + healthy_for),
                    Life::Flaps { every, .. } => Some(START + every),
                };
            }
            self.traffic.set(vec![Weight { release: stable.to_owned(), percent: 100 }], START);
        }
        if self.scenario.leftover {
            self.add(TARGET, false, Life::Hangs);
            if let Some(unit) = self.units.last_mut() {
                (unit.state, unit.since, unit.next) = (InstanceState::Exited, 2, None);
            }
        }
    }

    pub(super) fn stable(&self) -> Option<&'static str> {
        match self.scenario.before {
            Before::Nothing => None,
            Before::Other => Some(STABLE),
            Before::Same => Some(TARGET),
        }
    }

    pub(super) fn stack(&self) -> &Stack {
        &self.template.stack
    }

    /// The same world around another stack.
    pub(super) fn of_stack(mut self, stack: Stack) -> Self {
        self.template.stack = stack;
        self
    }

    /// Whether the host can do this, as the stack's extras say.
    pub(super) fn offers(&self, ability: &str) -> bool {
        self.template.stack.extras.iter().any(|(name, value)| name == ability && value == "true")
    }

    /// Milliseconds since the rollout began.
    pub(super) fn elapsed(&self) -> u64 {
        self.now - START
    }

    pub(super) fn tell(&mut self, text: impl FnOnce() -> String) {
        let at = self.elapsed();
        if let Some(tale) = &mut self.tale {
            tale.push((at, text()));
        }
    }

    pub(super) fn healthy(&self, release: &str) -> usize {
        let is_healthy = |unit: &&Unit| unit.release == release && unit.state == InstanceState::Healthy;
        self.units.iter().filter(is_healthy).count()
    }

    /// How many there are of the new release and of the one before.
    pub(super) fn instances(&self) -> [usize; 2] {
        [TARGET, STABLE].map(|release| self.units.iter().filter(|unit| unit.release == release).count())
    }

    pub(super) fn share(&self, release: &str) -> u32 {
        self.traffic.share(release)
    }

    /// Somebody gets an answer.
    pub(super) fn serves(&self) -> bool {
        [TARGET, STABLE].iter().any(|release| self.share(release) > 0 && self.healthy(release) > 0)
    }

    pub(super) fn abort_requested(&self) -> bool {
        self.scenario.abort_after.is_some_and(|after| self.elapsed() >= after)
    }

    /// What people said last, as the host tells it.
    fn approval(&self) -> Option<Decision> {
        let hurry = self.hurried_at().filter(|at| self.now < at + HURRY_MS).map(said);
        hurry.or_else(|| self.answer())
    }

    /// What people answered, once they did.
    fn answer(&self) -> Option<Decision> {
        let (_, asked) = self.question.as_ref()?;
        let at = asked + self.scenario.answer_after?.max(1);
        (self.now >= at).then(|| Decision { approved: self.scenario.approved, ..said(at) })
    }

    /// When somebody said that it need not wait, if they did and were not asked for something then or later.
    pub(super) fn hurried_at(&self) -> Option<u64> {
        let at = START + self.scenario.hurry_after?;
        let asked = self.question.as_ref().is_some_and(|(_, asked)| {
            let answered = self.scenario.answer_after.map(|after| asked + after.max(1));
            answered.is_none_or(|answered| at <= answered)
        });
        (self.now >= at && !asked).then_some(at)
    }

    pub(super) fn was_hurried(&self) -> bool {
        self.scenario.hurry_after.is_some_and(|after| self.elapsed() >= after)
    }

    pub(super) fn refused_by_people(&self) -> bool {
        self.answer().is_some_and(|decision| !decision.approved)
    }

    pub(super) fn ask(&mut self, prompt: &str) {
        if self.question.as_ref().is_none_or(|(asked, _)| asked != prompt) {
            self.question = Some((prompt.to_owned(), self.now));
        }
    }

    pub(super) fn situation(&self, step_started: u64) -> Situation {
        let fleet = self.units.iter().map(|unit| Instance {
            release: unit.release.to_owned(),
            id: format!("{}-{}", unit.release, unit.number),
            state: unit.state.clone(),
            since: unit.since,
            restarts: unit.restarts,
            reason: String::new(),
        });
        Situation {
            now: self.now,
            step_started,
            fleet: fleet.collect(),
            traffic: self.traffic.weights.clone(),
            samples: self.traffic.samples(self.scenario, self.now),
            approval: self.approval(),
            abort_requested: self.abort_requested(),
            ..self.template.clone()
        }
    }

    fn next_life(&mut self, release: &'static str) -> Life {
        let (side, lives) = if release == TARGET {
            (0, &self.scenario.target_lives)
        } else {
            (1, &self.scenario.stable_lives)
        };
        let life = lives.get(self.lives_used[side]).cloned().unwrap_or(Life::GOOD);
        self.lives_used[side] += 1;
        life
    }

    fn add(&mut self, release: &'static str, published: bool, life: Life) {
        self.started += 1;
        self.units.push(Unit {
            release,
            number: self.started,
            state: InstanceState::Starting,
            since: self.now,
            turns: 0,
            restarts: 0,
            next: first_event(&life).map(|after| self.now + after),
            life,
            published,
        });
    }

    fn launch(&mut self, release: &'static str, published: bool) {
        let life = self.next_life(release);
        self.add(release, published, life);
    }

    fn restart(&mut self, at: usize) {
        let life = self.next_life(self.units[at].release);
        let unit = &mut self.units[at];
        unit.next = first_event(&life).map(|after| self.now + after);
        (unit.state, unit.since, unit.turns, unit.life) = (InstanceState::Starting, self.now, 0, life);
    }

    /// Differs when instances were started or stopped, or the requests sent elsewhere.
    pub(super) fn print(&self) -> (u32, Vec<(u32, u64)>, u64) {
        let units = self.units.iter().map(|unit| (unit.number, unit.since)).collect();
        (self.started, units, self.traffic.changes)
    }

    /// When something happens by itself the next time.
    pub(super) fn next_event(&self) -> Option<u64> {
        let abort = self.scenario.abort_after.map(|after| START + after);
        let answer = self.question.as_ref().zip(self.scenario.answer_after);
        let answer = answer.map(|((_, asked), after)| asked + after.max(1));
        let hurry = self.scenario.hurry_after.map(|after| START + after);
        let events = self.units.iter().filter_map(|unit| unit.next).chain(abort).chain(answer).chain(hurry);
        events.filter(|&at| at > self.now).min()
    }

    /// Lets the time pass.
    pub(super) fn pass_until(&mut self, until: u64) {
        if !self.serves() {
            self.unserved += until - self.now;
        }
        if self.question.is_some() && self.answer().is_none() {
            self.waited += until - self.now;
        }
        self.now = until;
        self.traffic.settle(until);
        let mut changes = Vec::new();
        for unit in &mut self.units {
            while let Some(at) = unit.next.filter(|&at| at <= until) {
                unit.live_on(at);
                changes.push((at, unit.release, unit.number, unit.state.clone()));
            }
        }
        self.units.retain(|unit| !matches!(unit.state, InstanceState::Other(_)) || unit.next.is_some());
        changes.sort_by_key(|change| change.0);
        if let Some(tale) = &mut self.tale {
            let words = |(at, release, number, state)| (at - START, told(release, number, &state));
            tale.extend(changes.into_iter().map(words));
        }
    }

    pub(super) fn scale(&mut self, release: &'static str, count: usize) -> Result<(), Breach> {
        if count == 0 {
            self.stop_all(release);
            return Ok(());
        }
        let other = if release == TARGET { STABLE } else { TARGET };
        let other_runs =
            self.units.iter().any(|unit| unit.release == other && unit.state != InstanceState::Exited);
        hold(Rule::RunsOneAtATime, !(self.scenario.excludes_overlap() && other_runs), || {
            format!("it started `{release}` while `{other}` still ran, and both write to one volume")
        })?;
        let is_held = self.port_is_held();
        let mut own: Vec<usize> =
            (0..self.units.len()).filter(|&at| self.units[at].release == release).collect();
        // Surplus is taken from those that do not run.
        own.sort_by_key(|&at| {
            let unit = &self.units[at];
            (unit.state == InstanceState::Exited, !unit.published, unit.number)
        });
        for &at in own.iter().take(count) {
            let waits_for_port = self.units[at].published && is_held;
            if self.units[at].state == InstanceState::Exited && !waits_for_port {
                self.restart(at);
            }
        }
        let surplus: Vec<u32> = own.iter().skip(count).map(|&at| self.units[at].number).collect();
        self.units.retain(|unit| !surplus.contains(&unit.number));
        for _ in own.len()..count {
            let published = self.scenario.fixed_port && !self.port_is_held();
            self.launch(release, published);
        }
        Ok(())
    }

    fn stop_all(&mut self, release: &str) {
        let (now, takes) = (self.now, self.scenario.stop_takes);
        self.units
            .retain(|unit| unit.release != release || (takes > 0 && unit.state != InstanceState::Exited));
        for unit in self.units.iter_mut().filter(|unit| unit.release == release) {
            if !matches!(unit.state, InstanceState::Other(_)) {
                unit.next = Some(now + takes);
                (unit.state, unit.since) = (InstanceState::Other("stopping".to_owned()), now);
            }
        }
    }

    fn port_is_held(&self) -> bool {
        self.units.iter().any(|unit| unit.published && unit.state != InstanceState::Exited)
    }

    pub(super) fn route(&mut self, weights: &[Weight]) {
        let winner = weights.iter().find(|weight| weight.percent > 0).map(|weight| known(&weight.release));
        if let (true, Some(winner)) = (self.scenario.fixed_port, winner.flatten()) {
            self.hand_over(winner);
        }
        if self.scenario.routes_late {
            self.traffic.set_later(weights.to_vec());
        } else {
            self.traffic.set(weights.to_vec(), self.now);
        }
    }

    /// A fixed port belongs to one instance: the holder is stopped and kept, and the winner's starts with the port.
    fn hand_over(&mut self, winner: &'static str) {
        let holds = |unit: &Unit| unit.release == winner && unit.published;
        if !self.units.iter().any(|unit| holds(unit) && unit.state != InstanceState::Exited) {
            let now = self.now;
            for unit in self.units.iter_mut().filter(|unit| unit.release != winner && unit.published) {
                (unit.state, unit.since, unit.next) = (InstanceState::Exited, now, None);
            }
            match self.units.iter().position(holds) {
                Some(at) => self.restart(at),
                None => self.launch(winner, true),
            }
        }
        self.units.retain(|unit| unit.release != winner || unit.published);
    }
}

fn said(at: u64) -> Decision {
    Decision { approved: true, by: "ada".to_owned(), at }
}

/// The release of that name, if the rollout has it.
pub(super) fn known(release: &str) -> Option<&'static str> {
    [TARGET, STABLE].into_iter().find(|known| *known == release)
}

/// Milliseconds after its start at which the first thing happens to an instance.
fn first_event(life: &Life) -> Option<u64> {
    match life {
        Life::Hangs => None,
        Life::Unhealthy => Some(HEALTH_TIMEOUT_MS),
        Life::Healthy { after }
        | Life::Exits { after }
        | Life::Dies { after, .. }
        | Life::Loops { after }
        | Life::Flaps { after, .. } => Some(*after),
    }
}

impl Unit {
    /// What was due at that time happens.
    fn live_on(&mut self, at: u64) {
        let was_healthy = self.state == InstanceState::Healthy;
        let (state, next) = match (&self.life, &self.state) {
            // Stopped at last; the world forgets it.
            (_, InstanceState::Other(_)) => (self.state.clone(), None),
            (Life::Healthy { .. } | Life::Hangs, _) => (InstanceState::Healthy, None),
            (Life::Unhealthy, _) => (InstanceState::Unhealthy, None),
            (Life::Dies { healthy_for, .. }, InstanceState::Starting) => {
                (InstanceState::Healthy, Some(at + healthy_for))
            }
            (Life::Exits { .. } | Life::Dies { .. }, _) => (InstanceState::Exited, None),
            (Life::Loops { .. }, _) if self.turns < TURNS => {
                self.restarts += 1;
                (InstanceState::Starting, Some(at + 1_000))
            }
            (Life::Loops { .. }, _) => (InstanceState::Exited, None),
            (Life::Flaps { every, .. }, _) => {
                let state = if was_healthy { InstanceState::Unhealthy } else { InstanceState::Healthy };
                (state, (self.turns < TURNS).then_some(at + every))
            }
        };
        self.turns += 1;
        (self.state, self.since, self.next) = (state, at, next);
    }
}

fn told(release: &str, number: u32, state: &InstanceState) -> String {
    match state {
        InstanceState::Starting => format!("{release}-{number} ended and is started again by the engine"),
        InstanceState::Healthy => format!("{release}-{number} is healthy"),
        InstanceState::Unhealthy => format!("{release}-{number} is unhealthy"),
        InstanceState::Exited => format!("{release}-{number} ended"),
        InstanceState::Other(_) => format!("{release}-{number} has stopped"),
    }
}

fn template(scenario: &Scenario) -> Situation {
    let release = |id: &str, created| Release {
        id: id.to_owned(),
        image: format!("app@sha256:{id}"),
        commit: String::new(),
        created,
        extras: Vec::new(),
    };
    let volume = |read_only| Volume { name: "data".to_owned(), path: "/data".to_owned(), read_only };
    let stack = Stack {
        name: "app".to_owned(),
        replicas: scenario.replicas,
        ports: vec![Port { container: 80, host: scenario.fixed_port.then_some(8080) }],
        volumes: scenario.read_only_volume.map(volume).into_iter().collect(),
        health_timeout_ms: HEALTH_TIMEOUT_MS,
        rollback_on_failure: scenario.rollback_on_failure,
        extras: vec![
            ("allow-downtime".to_owned(), scenario.allows_downtime().to_string()),
            ("split".to_owned(), (!scenario.plain_host).to_string()),
            ("ask".to_owned(), (!scenario.plain_host).to_string()),
            ("preview".to_owned(), (!scenario.plain_host).to_string()),
        ],
    };
    let stable = match scenario.before {
        Before::Nothing => None,
        Before::Other => Some(release(STABLE, 1)),
        Before::Same => Some(release(TARGET, 2)),
    };
    Situation {
        stack,
        target: release(TARGET, 2),
        stable,
        params: scenario.params.clone(),
        now: START,
        started: START,
        step_started: START,
        fleet: Vec::new(),
        traffic: Vec::new(),
        samples: Vec::new(),
        approval: None,
        abort_requested: false,
    }
}
