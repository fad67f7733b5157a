//! What a simulation found, for people and for programs.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::rules::Rule;
use super::scenario::{Before, Scenario};

/// What came of a simulation.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Worlds that were gone through.
    pub worlds: u64,
    /// Those in which the strategy refused its parameters, so nothing was rolled out.
    pub refused: u64,
    pub succeeded: u64,
    pub rolled_back: u64,
    pub failed: u64,
    /// Steps of the longest rollout.
    pub longest: u32,
    /// Steps of all rollouts.
    pub steps: u64,
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub took: Duration,
    /// The first world in which a rule was broken, made as simple as possible.
    pub broken: Option<Broken>,
}

/// A world in which a rule was broken.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Broken {
    pub rule: Rule,
    pub why: String,
    /// `Simulation::seed` of that world; a simulation of one world with it shows it again.
    pub seed: u64,
    /// How often the world could be made simpler.
    pub simplified: u32,
    pub scenario: Scenario,
    pub timeline: Vec<Told>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// Milliseconds since the rollout began.
    pub at_ms: u64,
    pub what: String,
    /// How often the very same followed at once.
    pub again: u32,
}

/// What repeats itself is told once.
pub(super) fn timeline(tale: Vec<(u64, String)>) -> Vec<Told> {
    let mut timeline: Vec<Told> = Vec::new();
    for (at_ms, what) in tale {
        match timeline.last_mut() {
            Some(last) if last.what == what => last.again += 1,
            _ => timeline.push(Told { at_ms, what, again: 0 }),
        }
    }
    timeline
}

fn seconds<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(took.as_secs_f64())
}

impl Report {
    /// For tests: panics with the story of the broken world, or if no world let the strategy do anything.
    #[track_caller]
    pub fn expect_good(&self) {
        if let Some(broken) = &self.broken {
            panic!("{broken}");
        }
        assert!(
            self.refused < self.worlds,
            "the strategy refused its parameters in all {} worlds",
            self.worlds
        );
    }

    /// Worlds gone through in a second.
    pub fn worlds_per_second(&self) -> f64 {
        self.worlds as f64 / self.took.as_secs_f64().max(f64::EPSILON)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(broken) = &self.broken {
            write!(f, "{broken}\n\n")?;
        }
        write!(
            f,
            "{} worlds in {:.1} s ({:.0} a second): {} succeeded, {} rolled back, {} failed, {} refused; at most {} \
             steps",
            self.worlds,
            self.took.as_secs_f64(),
            self.worlds_per_second(),
            self.succeeded,
            self.rolled_back,
            self.failed,
            self.refused,
            self.longest
        )
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "The rule `{}` is broken: {}.", self.rule, self.why)?;
        writeln!(f, "The rule says: {}.", self.rule.sentence())?;
        writeln!(f, "The world of seed {}, made simpler {} times:", self.seed, self.simplified)?;
        for fact in facts(&self.scenario) {
            writeln!(f, "  - {fact}")?;
        }
        write!(f, "What happened:")?;
        for told in &self.timeline {
            write!(f, "\n  {:>7}.{} s  {}", told.at_ms / 1_000, told.at_ms % 1_000 / 100, told.what)?;
            if told.again > 0 {
                write!(f, " ({} times more)", told.again)?;
            }
        }
        Ok(())
    }
}

/// A world in sentences; what goes without saying is left out.
fn facts(world: &Scenario) -> Vec<String> {
    let mut facts = vec![match world.before {
        Before::Nothing => "nothing served before".to_owned(),
        Before::Other => format!("`old` serves, `new` is deployed, {} wanted", instances(world.replicas)),
        Before::Same => format!("`new` serves and is deployed again, {} wanted", instances(world.replicas)),
    }];
    let mut say = |holds: bool, text: String| facts.extend(holds.then_some(text));
    say(!matches!(world.params.as_str(), "" | "{}"), format!("parameters {}", world.params));
    say(world.fixed_port, "the stack has a fixed port".to_owned());
    say(world.read_only_volume == Some(true), "it has a read-only volume".to_owned());
    say(
        world.read_only_volume == Some(false),
        "it has a volume that both releases would write to".to_owned(),
    );
    say(!world.rollback_on_failure, "nobody wants a rollback".to_owned());
    say(world.allow_downtime, "downtime is allowed".to_owned());
    say(world.leftover, "an ended instance of `new` is left from an earlier try".to_owned());
    say(
        !world.target_lives.is_empty(),
        format!("instances of `new`, as they start: {:?}", world.target_lives),
    );
    say(
        !world.stable_lives.is_empty(),
        format!("instances of `old`, as they start: {:?}", world.stable_lives),
    );
    say(!world.serving_lives.is_empty(), format!("instances that serve already: {:?}", world.serving_lives));
    if let Some(after) = world.abort_after {
        say(true, format!("somebody aborts after {after} ms"));
    }
    if let Some(after) = world.hurry_after {
        say(true, format!("somebody says after {after} ms that it need not wait any longer"));
    }
    let answer = if world.approved { "yes" } else { "no" };
    match world.answer_after {
        Some(after) => {
            say(after > 0 || !world.approved, format!("people answer `{answer}` after {after} ms"))
        }
        None => say(true, "people never answer".to_owned()),
    }
    if let Some(errors) = &world.errors {
        let (from, share, slower) = (errors.from_percent, errors.per_mille, errors.slower_percent);
        say(
            true,
            format!(
                "from {from} % of the requests on, {share} of 1000 answers of `new` fail, and they take {slower} % \
                 longer"
            ),
        );
    }
    say(true, format!("{} requests come in a minute", world.requests_a_minute));
    say(world.plain_host, "the host can neither split requests nor ask people nor show previews".to_owned());
    say(world.routes_late, "a route takes effect at the host's next look".to_owned());
    say(world.stop_takes > 0, format!("stopping takes {} ms", world.stop_takes));
    if let Some(every) = world.looks_every {
        say(true, format!("the host looks at least every {every} ms"));
    }
    for interruption in &world.interruptions {
        let (step, away) = (interruption.step, interruption.away);
        say(true, format!("the host dies at step {step} ({:?}), for {away} ms", interruption.at));
    }
    facts
}

fn instances(count: u32) -> String {
    if count == 1 { "1 instance".to_owned() } else { format!("{count} instances") }
}
