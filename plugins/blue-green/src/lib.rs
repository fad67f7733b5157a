//! Blue-green: a full copy of the new release beside the old one, checked before anybody depends on it; then one switch of
//! all requests. The old copy stays ready for a while, and gets the requests back if the new one turns out to be bad.

mod machine;
#[cfg(test)]
mod mutants;
#[cfg(test)]
mod tests;

use windlass_sdk::params::{self, Param, Values};
use windlass_sdk::strategy::{Situation, Stack, Step, Strategy, Timing};
use windlass_sdk::{Failure, Manifest, Problem};

const DAY_S: u64 = 86_400;

const PARAMS: &[Param] = &[
    Param::choice(
        "promotion",
        "at-once",
        &["at-once", "timer", "approval"],
        "What has to happen before the requests are switched to the new release, once it has passed its checks",
    ),
    Param::integer(
        "promote_after_s",
        60,
        0..=DAY_S,
        "With `timer`: how long the new release waits, in seconds",
    ),
    Param::integer(
        "approval_s",
        DAY_S,
        60..=30 * DAY_S,
        "With `approval`: how long people have to answer before the rollout is given up, in seconds",
    ),
    Param::flag(
        "preview",
        false,
        "Let people look at the new release at the stack's preview address before it is promoted",
    ),
    Param::integer(
        "checks",
        3,
        0..=100,
        "Health checks that every instance of the new release has to pass before promotion, one a second",
    ),
    Param::integer(
        "bake_s",
        300,
        0..=DAY_S,
        "How long the old copy stays ready after the switch while errors, restarts and health are watched, in seconds",
    ),
    Param::integer(
        "error_points",
        3,
        1..=50,
        "How many more of 100 answers may fail (status 500 and above) than before, until the switch is undone",
    ),
];

pub struct BlueGreen;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promotion {
    AtOnce,
    Timer { ms: u64 },
    Approval { patience_ms: u64 },
}

/// The parameters, read. Times in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub promotion: Promotion,
    pub preview: bool,
    pub checks: u64,
    pub bake_ms: u64,
    pub error_points: u64,
}

impl From<&Values> for Options {
    fn from(values: &Values) -> Self {
        let ms = |name| values.integer(name) * 1_000;
        let promotion = match values.choice("promotion") {
            "timer" => Promotion::Timer { ms: ms("promote_after_s") },
            "approval" => Promotion::Approval { patience_ms: ms("approval_s") },
            _ => Promotion::AtOnce,
        };
        Self {
            promotion,
            preview: values.flag("preview"),
            checks: values.integer("checks"),
            bake_ms: ms("bake_s"),
            error_points: values.integer("error_points"),
        }
    }
}

impl Options {
    fn problems(&self, stack: &Stack) -> Vec<Problem> {
        let mut problems = stack.overlap_problems();
        if self.preview && !stack.host_can("preview") {
            problems.push(Problem::at(
                "/preview",
                "`preview` needs a way to the new release that its promotion does not need: a router, and a preview address \
                 or a header for testers (traffic.previewHosts, traffic.testers); this stack has none. Set one, or leave \
                 `preview` out.",
            ));
        }
        if matches!(self.promotion, Promotion::Approval { .. }) && !stack.host_can("ask") {
            problems.push(Problem::at(
                "/promotion",
                "`promotion` by `approval` needs somebody who can be asked, and this server cannot ask yet; use \
                 `at-once` or `timer`.",
            ));
        }
        problems
    }
}

impl Strategy for BlueGreen {
    fn describe() -> Manifest {
        let summary =
            "Switches all requests at once to a full copy, and keeps the old copy ready for a while";
        Manifest::new("blue-green", env!("CARGO_PKG_VERSION"), summary)
            .settings_schema(params::schema(PARAMS))
    }

    fn validate(params: &str, stack: &Stack) -> Vec<Problem> {
        match params::read(PARAMS, params) {
            Err(problems) => problems,
            Ok(values) => Options::from(&values).problems(stack),
        }
    }

    fn decide(memory: &[u8], situation: Situation) -> Result<Step, Failure> {
        let options = Options::from(&params::required(PARAMS, &situation.params)?);
        situation.suits(options.problems(&situation.stack))?;
        machine::step(&situation, options, memory)
    }
}

impl Timing for BlueGreen {
    fn longest_wait(params: &str, _replicas: u32, health_timeout_ms: u64) -> u64 {
        let Ok(values) = params::read(PARAMS, params) else { return 0 };
        let options = Options::from(&values);
        let before = if let Promotion::Timer { ms } = options.promotion { ms } else { 0 };
        // Instances that are missing when the bake ends have the time of new ones.
        before + options.checks * machine::CHECK_EVERY_MS + options.bake_ms + health_timeout_ms
    }
}

windlass_sdk::export_strategy!(BlueGreen, timing);
