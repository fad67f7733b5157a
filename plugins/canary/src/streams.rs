//! Whole rollouts against streams of answers as a router would count them: right and wrong verdicts. Chance depends on the seed
//! alone; the times are lognormal, counted in buckets that are 2 % wide.

use windlass_sdk::strategy::InstanceState::Healthy;
use windlass_sdk::strategy::{Action, Outcome, Situation, Strategy, Weight};
use windlass_sdk::testkit::Story;

use crate::Canary;

/// Between two looks, as often as it judges by default.
const LOOK_MS: u64 = 10_000;
const SEEDS: u64 = 20;

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Box and Muller's way from uniform to normal.
    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.next()).ln()).sqrt() * (std::f64::consts::TAU * self.next()).cos()
    }
}

/// How a release answers.
#[derive(Clone, Copy, Debug)]
struct Answers {
    error_rate: f64,
    median_ms: f64,
    /// Standard deviation of the times' logarithms.
    spread: f64,
    /// One in ten answers takes so many times longer.
    tail: f64,
}

const USUAL: Answers = Answers { error_rate: 0.002, median_ms: 25.0, spread: 0.5, tail: 1.0 };

/// What a router counts for one release.
struct Counter {
    requests: u64,
    errors: u64,
    buckets: Vec<u64>,
}

impl Counter {
    const WIDTH: f64 = 1.02;

    fn new() -> Self {
        Self { requests: 0, errors: 0, buckets: vec![0; 800] }
    }

    fn count(&mut self, answers: Answers, chance: &mut Chance) {
        self.requests += 1;
        self.errors += u64::from(chance.next() < answers.error_rate);
        let slower = if chance.next() < 0.1 { answers.tail } else { 1.0 };
        let ms = answers.median_ms * slower * (answers.spread * chance.normal()).exp();
        let bucket = ((ms / 0.01).max(1.0).ln() / Self::WIDTH.ln()) as usize;
        self.buckets[bucket.min(799)] += 1;
    }

    fn percentile(&self, share: f64) -> f64 {
        let wanted = (share * self.requests as f64).ceil() as u64;
        let mut seen = 0;
        let at = self.buckets.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        0.01 * Self::WIDTH.powf(at.unwrap_or(0) as f64 + 0.5)
    }
}

/// How a rollout went.
#[derive(Debug, PartialEq)]
enum Went {
    /// To all requests.
    Through,
    /// Back from this share, with the reason.
    Back(u32, String),
}

fn roll_out(per_second: f64, old: Answers, new: Answers, seed: u64) -> Went {
    let mut chance = Chance(seed);
    let mut situation = Story::<Canary>::new("{}").situation;
    let (mut memory, mut counters) = (Vec::new(), [Counter::new(), Counter::new()]);
    let mut highest = 0;
    for _ in 0..2_000 {
        let step = Canary::decide(&memory, situation.clone()).expect("it decides");
        memory = step.memory;
        for action in step.actions {
            match action {
                Action::Scale(_) => situation.runs(&[("old", Healthy), ("new", Healthy)]),
                Action::Route(weights) => {
                    situation.traffic = weights;
                    counters = [Counter::new(), Counter::new()];
                }
                Action::Finish(Outcome::Succeeded) => return Went::Through,
                Action::Finish(Outcome::RolledBack(reason)) => return Went::Back(highest, reason),
                other => {
                    let is_harmless = matches!(other, Action::Probe(_) | Action::Drain(_));
                    assert!(is_harmless || other.told().is_some(), "{other:?}");
                }
            }
        }
        highest = highest.max(situation.share_of("new"));
        situation.now += LOOK_MS;
        count(&mut situation, &mut counters, per_second, [old, new], &mut chance);
    }
    panic!("the rollout does not end");
}

/// What the traffic says after another look's time.
fn count(
    situation: &mut Situation,
    counters: &mut [Counter; 2],
    per_second: f64,
    answers: [Answers; 2],
    chance: &mut Chance,
) {
    let requests = (per_second * LOOK_MS as f64 / 1_000.0).round() as u64;
    let share = f64::from(situation.share_of("new")) / 100.0;
    for _ in 0..requests {
        let side = usize::from(chance.next() < share);
        counters[side].count(answers[side], chance);
    }
    situation.samples.clear();
    for (release, counter) in ["old", "new"].into_iter().zip(counters.iter()) {
        let is_served = |weight: &Weight| weight.release == release && weight.percent > 0;
        if situation.traffic.iter().any(is_served) {
            situation.answers(release, counter.requests, counter.errors, 0.0);
            let Some(sample) = situation.samples.last_mut() else { continue };
            (sample.p50_ms, sample.p95_ms) = (counter.percentile(0.5), counter.percentile(0.95));
            sample.p99_ms = counter.percentile(0.99);
        }
    }
}

/// Services from five to a hundred requests a second: calm ones, such with a wide spread, and such that often fail.
fn services() -> Vec<(f64, Answers)> {
    let mut services = Vec::new();
    for per_second in [5.0, 30.0, 100.0] {
        services.push((per_second, USUAL));
        services.push((per_second, Answers { error_rate: 0.0, median_ms: 3.0, spread: 0.35, ..USUAL }));
    }
    // Who often fails by itself needs more requests for a verdict than a small service has in a step.
    for per_second in [30.0, 100.0] {
        services.push((per_second, Answers { error_rate: 0.02, spread: 0.8, ..USUAL }));
    }
    services
}

#[test]
fn a_good_release_is_never_taken_for_a_bad_one() {
    for (per_second, answers) in services() {
        for seed in 0..SEEDS {
            let went = roll_out(per_second, answers, answers, seed);
            assert_eq!(went, Went::Through, "{per_second} a second, {answers:?}, seed {seed}");
        }
    }
}

#[track_caller]
fn expect_back_from_the_first_step(
    services: Vec<(f64, Answers)>,
    change: impl Fn(Answers) -> Answers,
    reason: &str,
) {
    for (per_second, answers) in services {
        for seed in 0..SEEDS {
            match roll_out(per_second, answers, change(answers), seed) {
                Went::Back(10, said) if said.contains(reason) || said.contains("could not be judged") => {}
                went => panic!("{per_second} a second, {answers:?}, seed {seed}: {went:?}"),
            }
        }
    }
}

#[test]
fn five_percent_of_errors_more_are_found_in_the_first_step() {
    let fails = |answers: Answers| Answers { error_rate: answers.error_rate + 0.05, ..answers };
    expect_back_from_the_first_step(services(), fails, "answers of the new release failed");
}

#[test]
fn twice_the_latency_is_found_in_the_first_step() {
    let slower = |answers: Answers| Answers { median_ms: 2.0 * answers.median_ms, ..answers };
    expect_back_from_the_first_step(services(), slower, "slower");
}

#[test]
fn a_tenth_of_the_answers_four_times_slower_is_found_in_the_first_step() {
    let tail = |answers: Answers| Answers { tail: 4.0, ..answers };
    expect_back_from_the_first_step(vec![(30.0, USUAL), (100.0, USUAL)], tail, "slower");
}
