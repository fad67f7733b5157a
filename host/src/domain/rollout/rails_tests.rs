use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::domain::rollout::{Container, Effect, ReleaseFacts, StackFacts, plan};
use crate::domain::stack::{Port, RunSpec, Volume};

const LAST: &str = "the last healthy serving instance";
const GATE: &str = "passed the health gate";

fn id(name: &str) -> Id {
    Id::from_text(name)
}

fn facts(name: &str) -> ReleaseFacts {
    ReleaseFacts { id: id(name), image: String::new(), commit: String::new(), created: 0 }
}

fn instance(release: &str, number: usize, state: InstanceState) -> Instance {
    let name = format!("{release}{number}");
    Instance { release: id(release), id: name, state, since: 0, restarts: 0, reason: String::new() }
}

/// Who gets the requests, such as `old 90 new 10`.
fn shares(text: &str) -> Vec<Weight> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let share =
        |pair: &[&str]| Weight { release: id(pair[0]), percent: pair[1].parse().expect("a percentage") };
    words.chunks(2).map(share).collect()
}

/// A stack behind the router. The fleet is written as `old+ new~`: `+` is healthy, `~` starting, `-` unhealthy, `x` exited.
fn seen(fleet: &str, traffic: &str) -> Situation {
    let fleet = fleet.split_whitespace().enumerate().map(|(number, word)| {
        let (release, state) = word.split_at(word.len() - 1);
        let state = match state {
            "+" => InstanceState::Healthy,
            "~" => InstanceState::Starting,
            "-" => InstanceState::Unhealthy,
            _ => InstanceState::Exited,
        };
        instance(release, number, state)
    });
    Situation {
        stack: StackFacts {
            name: "web".into(),
            run: RunSpec { replicas: 2, ..RunSpec::default() },
            health_timeout_ms: 1000,
            rollback_on_failure: true,
            can_split: true,
            can_preview: true,
        },
        target: facts("new"),
        stable: Some(facts("old")),
        params: "{}".into(),
        now: 0,
        started: 0,
        step_started: 0,
        fleet: fleet.collect(),
        traffic: shares(traffic),
        samples: Vec::new(),
        approval: None,
        abort_requested: false,
    }
}

/// One copy, which holds a port of the machine.
fn with_port(mut situation: Situation) -> Situation {
    situation.stack.run = run_with_port();
    situation.stack.can_split = false;
    situation
}

fn run_with_port() -> RunSpec {
    let port = Port { container: 80, host: Some(8080), address: "127.0.0.1".into() };
    RunSpec { ports: vec![port], ..RunSpec::default() }
}

fn data() -> Volume {
    Volume { name: "data".into(), path: "/data".into(), read_only: false }
}

fn scale_to(release: &str, count: u32) -> Action {
    Action::Scale { release: id(release), count }
}

fn route(text: &str) -> Action {
    Action::Route { weights: shares(text) }
}

fn finish(outcome: Outcome) -> Action {
    Action::Finish { outcome }
}

fn drain(release: &str) -> Action {
    Action::Drain { release: id(release) }
}

fn rolled_back() -> Action {
    finish(Outcome::RolledBack("because".into()))
}

fn judge(situation: &Situation, actions: &[Action]) -> std::result::Result<(), Refusal> {
    check(actions, situation, |release| *release == id("old"))
}

#[track_caller]
fn passes(situation: &Situation, actions: &[Action]) {
    if let Err(refusal) = judge(situation, actions) {
        panic!("{refusal}");
    }
}

/// The action at that place, from 1, is refused with words like these.
#[track_caller]
fn refused(situation: &Situation, actions: &[Action], position: usize, words: &str) {
    let refusal = judge(situation, actions).expect_err("one of the actions is refused");
    assert_eq!(refusal.position, position, "{refusal}");
    assert!(refusal.reason.contains(words), "{refusal}");
}

#[test]
fn the_last_healthy_serving_instance_stays_however_many_actions_it_takes_to_remove_it() {
    let split = "old 50 new 50";
    for (fleet, traffic, actions, position) in [
        ("old+", "old 100", vec![scale_to("old", 0)], 1),
        ("old+ new+", "old 100", vec![scale_to("old", 0)], 1),
        ("old+ new+", split, vec![scale_to("old", 0), scale_to("new", 0)], 2),
        ("old+ new+", split, vec![scale_to("new", 0), scale_to("old", 0)], 2),
        ("old+ new-", split, vec![scale_to("old", 0)], 1),
        ("old+ new+", "old 100", vec![route(split), scale_to("new", 0), scale_to("old", 0)], 3),
        ("old+ new+", "old 100", vec![route("new 100"), scale_to("new", 0)], 2),
        ("old+ new+", "old 100", vec![route("new 100"), scale_to("old", 0)], 2),
        ("old+ new+", "old 100 new 0", vec![scale_to("old", 0)], 1),
        ("old+ new+", "new 0 old 100", vec![scale_to("new", 0), scale_to("old", 0)], 2),
        ("old+ new+", split, vec![route("old 100 new 0"), scale_to("old", 0)], 2),
        ("old+ old+ new+", split, vec![scale_to("old", 1), scale_to("new", 0), scale_to("old", 0)], 3),
    ] {
        refused(&seen(fleet, traffic), &actions, position, LAST);
    }
}

#[test]
fn a_release_without_requests_or_without_health_may_go() {
    for (fleet, traffic, actions) in [
        ("old+ new+", "old 100", vec![scale_to("new", 0)]),
        ("old+ new+", "old 100 new 0", vec![scale_to("new", 0)]),
        ("old+ new+", "old 50 new 50", vec![scale_to("old", 0)]),
        ("old+ new+", "old 100", vec![scale_to("new", 0), scale_to("old", 1)]),
        ("old+ old- old~", "old 100", vec![scale_to("old", 1)]),
        ("old- new+", "old 100", vec![route("new 100")]),
        ("old- new-", "old 100", vec![scale_to("old", 0), scale_to("new", 0)]),
        ("", "", vec![scale_to("new", 2)]),
    ] {
        passes(&seen(fleet, traffic), &actions);
    }
}

#[test]
fn nothing_is_routed_to_what_has_not_passed_its_gate() {
    for (fleet, actions, position) in [
        ("old+ new~", vec![route("new 100")], 1),
        ("old+ new-", vec![route("old 90 new 10")], 1),
        ("old+ newx", vec![route("new 100")], 1),
        ("old+", vec![scale_to("new", 1), route("new 100")], 2),
        ("old+ new+", vec![scale_to("new", 0), route("new 100")], 2),
        ("old+ new+", vec![scale_to("new", 0), scale_to("new", 1), route("new 1 old 99")], 3),
        ("old+ new+", vec![scale_to("new", 0), Action::Other { name: "preview new".into() }], 2),
    ] {
        refused(&seen(fleet, "old 100"), &actions, position, GATE);
    }
    let preview = |release: &str| [Action::Other { name: format!("preview {release}") }];
    refused(&seen("old+ new~", "old 100"), &preview("new"), 1, GATE);
    passes(&seen("old+ new+", "old 100"), &preview("new"));
    passes(&seen("old+ new-", "old 100"), &[route("old 100 new 0")]);
}

#[test]
fn shares_have_to_be_possible() {
    let situation = seen("old+ new+", "old 100");
    for (traffic, words) in [("old 60 new 50", "110 of 100"), ("old 0", "0 of 100"), ("", "0 of 100")] {
        refused(&situation, &[route(traffic)], 1, words);
    }
    refused(&situation, &[route("other 100")], 1, "release other is not part of this rollout");
    refused(&situation, &[route("old 100 other 0")], 1, "not part of this rollout");
    let mut without_router = situation.clone();
    without_router.stack.can_split = false;
    refused(&without_router, &[route("old 50 new 50")], 1, "without the router");
    passes(&without_router, &[route("new 100 old 0")]);
}

#[test]
fn what_is_foreign_or_unknown_or_too_much_is_refused() {
    let situation = seen("old+ new+", "old 100");
    refused(&situation, &[scale_to("other", 0)], 1, "not part of this rollout");
    refused(&situation, &[drain("other")], 1, "not part of this rollout");
    refused(&situation, &[Action::Probe { release: id("other") }], 1, "not part of this rollout");
    refused(&situation, &[scale_to("new", 5)], 1, "more than twice the stack's replicas");
    refused(&situation, &[Action::Other { name: "explode".into() }], 1, "does not know it");
    refused(&situation, &[Action::Other { name: "tell promoted it serves".into() }], 1, "does not know it");
    passes(&situation, &[Action::Other { name: "tell judged it is as good".into() }]);
    let mut hidden = situation;
    hidden.stack.can_preview = false;
    refused(&hidden, &[Action::Other { name: "preview new".into() }], 1, "does not know it");
}

#[test]
fn an_outcome_that_is_not_true_is_refused() {
    let success = || finish(Outcome::Succeeded);
    for (fleet, traffic, actions, position) in [
        ("old+ new+", "old 100", vec![success()], 1),
        ("old+ new-", "new 100", vec![success()], 1),
        ("old+ new+", "old 100 new 0", vec![success()], 1),
        // Whether the requests really go there has to be seen first.
        ("old+ new+", "old 100", vec![route("new 100"), success()], 2),
        ("old+ new+", "new 100", vec![route("old 100"), success()], 2),
        ("old+ new+", "new 50 old 50", vec![scale_to("new", 0), success()], 2),
    ] {
        refused(&seen(fleet, traffic), &actions, position, "does not serve healthily");
    }
    for (fleet, traffic, actions) in [
        ("old+ new+", "new 100", vec![rolled_back()]),
        ("old- new-", "old 100", vec![rolled_back()]),
        ("old+ new+", "old 50 new 50", vec![scale_to("old", 0), rolled_back()]),
    ] {
        let position = actions.len();
        refused(&seen(fleet, traffic), &actions, position, "the previous release does not serve");
    }
    let mut first = seen("new+", "new 100");
    first.stable = None;
    refused(&first, &[rolled_back()], 1, "the previous release does not serve");
    passes(&seen("old- new-", "new 100"), &[finish(Outcome::Failed("because".into()))]);
}

#[test]
fn what_the_built_in_strategies_order_in_one_answer_passes() {
    let done = || vec![drain("old"), scale_to("old", 0), finish(Outcome::Succeeded)];
    let undone = || vec![scale_to("new", 0), rolled_back()];
    for (fleet, traffic, actions) in [
        // A rollout that went well, and one whose old release is gone already.
        ("old+ old+ new+ new+", "new 100", done()),
        ("new+ new+", "new 100", vec![scale_to("old", 0), finish(Outcome::Succeeded)]),
        // The new release is scaled and routed to while the rest of it starts.
        ("old+ new+ new~", "old 100", vec![scale_to("new", 2), route("new 50 old 50")]),
        ("old+ new+", "old 100", vec![route("new 100"), scale_to("new", 2)]),
        // A canary raises its share and the number of its instances.
        ("old+ old+ new+", "old 100", vec![route("new 10 old 90"), scale_to("new", 2)]),
        ("old+ old+ new+", "new 10 old 90", vec![scale_to("new", 2), route("new 50 old 50")]),
        // While it bakes, what is missing of either comes back.
        ("oldx new+", "new 100", vec![scale_to("new", 2), route("new 100"), scale_to("old", 2)]),
        // Rolling takes instances away as the new ones come.
        ("old+ old+ new+", "new 33 old 67", vec![scale_to("new", 2), scale_to("old", 1)]),
        ("old+ old~ old-", "old 100", vec![scale_to("new", 1), scale_to("old", 1)]),
        // The way back.
        ("old+ old+ new-", "new 100", vec![route("old 100")]),
        ("oldx new+", "new 100", vec![scale_to("old", 2)]),
        ("old+ old~ new-", "new 100", vec![scale_to("old", 2), route("old 100")]),
        ("old+ new-", "old 100", undone()),
        ("old+ new+", "old 100", undone()),
        ("old+ new-", "new 100", vec![route("old 100"), scale_to("new", 0), rolled_back()]),
        // Nothing could be restored, or nothing has to be.
        ("old+ new-", "old 100", vec![scale_to("new", 0), finish(Outcome::Failed("because".into()))]),
    ] {
        passes(&seen(fleet, traffic), &actions);
    }
}

#[test]
fn where_two_copies_cannot_coexist_the_only_one_may_be_stopped_first() {
    for (fleet, traffic) in [("old+", "old 100"), ("old+ new-", "old 100"), ("new+ oldx", "new 100")] {
        let both = [scale_to("old", 0), scale_to("new", 0)];
        let mut shares_volume = seen(fleet, traffic);
        shares_volume.stack.run.volumes.push(data());
        passes(&shares_volume, &both);
        let mut exclusive = seen(fleet, traffic);
        exclusive.stack.run.exclusive = Some("it holds a lock".into());
        passes(&exclusive, &both);
        let mut tolerant = seen(fleet, traffic);
        tolerant.stack.run.allow_downtime = true;
        passes(&tolerant, &both);
        assert!(judge(&seen(fleet, traffic), &both).is_err());
        // A volume that is only read can be shared.
        let mut reads_volume = seen(fleet, traffic);
        reads_volume.stack.run.volumes.push(Volume { read_only: true, ..data() });
        assert!(judge(&reads_volume, &both).is_err());
    }
}

#[test]
fn a_fixed_port_is_handed_over_and_back_and_whoever_got_it_stays() {
    let before = with_port(seen("old+ new+", "old 100"));
    passes(&before, &[route("new 100")]);
    refused(&before, &[route("new 100"), scale_to("new", 0)], 2, LAST);
    refused(&before, &[route("new 100"), scale_to("old", 0)], 2, LAST);
    let after = with_port(seen("oldx new-", "new 100"));
    passes(&after, &[route("old 100")]);
    refused(&after, &[route("old 100"), scale_to("old", 0)], 2, LAST);
    let gone = with_port(seen("new-", "new 100"));
    passes(&gone, &[route("old 100")]);
    let done = [scale_to("old", 0), finish(Outcome::Succeeded)];
    passes(&with_port(seen("oldx new+", "new 100")), &done);
    // Only what has served healthily before comes back without having passed its gate.
    refused(&with_port(seen("old+ new~", "old 100")), &[route("new 100")], 1, GATE);
}

#[test]
fn a_refusal_names_the_action_and_the_reason() {
    let actions = [route("new 100"), scale_to("new", 0)];
    let refusal = judge(&seen("old+ new+", "old 100"), &actions).expect_err("it is refused");
    assert_eq!(
        refusal.to_string(),
        "its action 2, `scale new to 0`, was refused: it would have removed the last healthy serving instance; set \
         `allowDowntime` on the stack to permit that"
    );
}

/// Containers as the engine has them, and which of them are healthy: those that were when it was looked.
struct World {
    run: RunSpec,
    containers: Vec<Container>,
    healthy: Vec<String>,
    traffic: Vec<Weight>,
}

impl World {
    fn random(random: &mut StdRng) -> Self {
        let mut one_of = |n: u32| random.random_range(0..n) == 0;
        let mut run = if one_of(3) { run_with_port() } else { RunSpec { replicas: 2, ..RunSpec::default() } };
        run.allow_downtime = one_of(8);
        run.volumes.extend(one_of(8).then(data));
        let fixed = run.has_fixed_port();
        let (mut containers, mut healthy) = (Vec::<Container>::new(), Vec::new());
        for release in ["old", "new"] {
            for slot in 0..random.random_range(0..4) {
                let [published, running, is_healthy] = [2, 4, 3].map(|n| random.random_range(0..n) > 0);
                let is_held = containers.iter().any(|c| c.published && c.running);
                let published = fixed && published && !(is_held && running);
                let name = format!("{release}-{slot}");
                healthy.extend((running && is_healthy).then(|| name.clone()));
                containers.push(container(id(release), &name, published, running));
            }
        }
        // What holds a fixed port never was one of two that shared the requests.
        let known = if fixed { &TRAFFIC[..5] } else { &TRAFFIC[..] };
        let traffic = shares(pick(random, known));
        Self { run, containers, healthy, traffic }
    }

    fn situation(&self) -> Situation {
        let fleet = self.containers.iter().enumerate().map(|(number, c)| {
            let state = match (c.running, self.is_healthy(c)) {
                (false, _) => InstanceState::Exited,
                (true, true) => InstanceState::Healthy,
                (true, false) if number % 2 == 0 => InstanceState::Starting,
                (true, false) => InstanceState::Unhealthy,
            };
            Instance { id: c.id.clone(), ..instance(c.release.as_str(), number, state) }
        });
        let mut situation = seen("", "");
        situation.stack.can_split = !self.run.has_fixed_port();
        situation.stack.run = self.run.clone();
        situation.fleet = fleet.collect();
        situation.traffic.clone_from(&self.traffic);
        situation
    }

    fn is_healthy(&self, container: &Container) -> bool {
        container.running && self.healthy.contains(&container.name)
    }

    fn gets_requests(&self, container: &Container) -> bool {
        let is_routed =
            self.traffic.iter().any(|weight| weight.release == container.release && weight.percent > 0);
        // A fixed port leads to one container, whatever else runs.
        is_routed && container.running && (container.published || !self.run.has_fixed_port())
    }

    fn serves(&self) -> bool {
        self.containers.iter().any(|c| self.gets_requests(c) && self.is_healthy(c))
    }

    /// As little as a port that was just handed over leaves: somebody is there to become healthy.
    fn answers_soon(&self) -> bool {
        self.containers.iter().any(|c| self.gets_requests(c))
    }

    fn is_ready(&self, release: &Id) -> bool {
        self.containers
            .iter()
            .any(|c| c.release == *release && (self.is_healthy(c) || c.published && c.running))
    }

    fn act(&mut self, action: &Action, fleet: &[Instance]) {
        let deployment = id("d");
        let view = plan::View {
            stack: "web",
            deployment: &deployment,
            fixed_port: self.run.has_fixed_port(),
            containers: &self.containers,
            fleet,
            traffic: &self.traffic,
            stale: &[],
        };
        for effect in plan::effects(action, &view) {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Create { release, name, published } => self.put(release, &name, published, false),
            Effect::Launch { release, name, published } => self.put(release, &name, published, true),
            Effect::Start { release, name } => self.put(release, &name, false, true),
            Effect::Stop { name, .. } => {
                self.healthy.retain(|healthy| *healthy != name);
                self.containers.iter_mut().filter(|c| c.name == name).for_each(|c| c.running = false);
            }
            Effect::Remove { name, .. } => {
                self.healthy.retain(|healthy| *healthy != name);
                self.containers.retain(|c| c.name != name);
            }
            Effect::SetRoute { weights } => self.traffic = weights,
            Effect::Companions { .. } => {}
        }
    }

    fn put(&mut self, release: Id, name: &str, published: bool, running: bool) {
        match self.containers.iter_mut().find(|c| c.name == name) {
            Some(container) => container.running |= running,
            None => self.containers.push(container(release, name, published, running)),
        }
    }
}

const TRAFFIC: [&str; 9] = [
    "old 100",
    "old 100",
    "new 100",
    "old 100 new 0",
    "new 100 old 0",
    "old 50 new 50",
    "old 1 new 99",
    "old 60 new 60",
    "",
];

fn pick<'a>(random: &mut StdRng, list: &[&'a str]) -> &'a str {
    list[random.random_range(0..list.len())]
}

fn container(release: Id, name: &str, published: bool, running: bool) -> Container {
    let (id, name) = (name.to_string(), name.to_string());
    Container { id, name, release, deployment: self::id("d"), published, running, created_only: false }
}

fn random_action(random: &mut StdRng) -> Action {
    let release = pick(random, &["old", "new"]);
    match random.random_range(0..12) {
        0..6 => scale_to(release, random.random_range(0..5)),
        6..10 => route(pick(random, &TRAFFIC)),
        10 => drain(release),
        _ => finish(pick_outcome(random)),
    }
}

fn pick_outcome(random: &mut StdRng) -> Outcome {
    match random.random_range(0..3) {
        0 => Outcome::Succeeded,
        1 => Outcome::RolledBack(String::new()),
        _ => Outcome::Failed(String::new()),
    }
}

#[test]
fn no_answer_that_passes_leaves_nothing_healthy_serving_or_routes_to_what_is_not_ready() {
    let mut random = StdRng::seed_from_u64(48);
    let (mut accepted, mut refused) = (0, 0);
    for n in 0..60_000 {
        let mut world = World::random(&mut random);
        let actions: Vec<Action> =
            (0..random.random_range(1..6)).map(|_| random_action(&mut random)).collect();
        let situation = world.situation();
        if !world.serves() || world.run.allows_downtime() {
            continue;
        }
        if judge(&situation, &actions).is_err() {
            refused += 1;
            continue;
        }
        accepted += usize::from(actions.len() > 1);
        for action in &actions {
            if let Action::Route { weights } = action {
                for weight in weights.iter().filter(|weight| weight.percent > 0) {
                    let swaps_back = world.run.has_fixed_port() && weight.release == id("old");
                    assert!(world.is_ready(&weight.release) || swaps_back, "world {n}: {actions:?}");
                }
            }
            world.act(action, &situation.fleet);
            let serves = if world.run.has_fixed_port() { world.answers_soon() } else { world.serves() };
            assert!(serves, "world {n}: after {action:?} of {actions:?}: {:?}", world.containers);
        }
    }
    assert!(accepted > 2_000 && refused > 2_000, "{accepted} passed, {refused} were refused");
}
