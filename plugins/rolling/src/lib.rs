//! Rolling: a few instances at a time. The new release grows as the old one shrinks, so a stack of many instances needs
//! little room for a rollout, and a bad release only ever has a few of them.

mod machine;
#[cfg(test)]
mod mutants;
#[cfg(test)]
mod tests;

use windlass_sdk::params::{self, Param, Values};
use windlass_sdk::strategy::{Situation, Stack, Step, Strategy, Timing};
use windlass_sdk::{Failure, Manifest, Problem};

const PARAMS: &[Param] = &[
    Param::integer(
        "max_surge",
        1,
        0..=100,
        "How many instances may run on top of the stack's replicas while the rollout goes on",
    ),
    Param::integer(
        "max_unavailable",
        0,
        0..=100,
        "How many of the stack's replicas may be missing while the rollout goes on",
    ),
    Param::integer(
        "settle_s",
        5,
        0..=3_600,
        "How long the instances of a batch have to stay healthy before the next batch, in seconds",
    ),
    Param::integer(
        "bake_s",
        0,
        0..=86_400,
        "How long errors, restarts and health are watched after the last batch, in seconds",
    ),
    Param::integer(
        "error_points",
        3,
        1..=50,
        "During the bake: how many more of 100 answers may fail (status 500 and above) than before",
    ),
];

pub struct Rolling;

/// The parameters, read.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub max_surge: u32,
    pub max_unavailable: u32,
    pub settle_ms: u64,
    pub bake_ms: u64,
    pub error_points: u64,
    /// Whether the requests can go to both releases at once.
    pub splits: bool,
}

impl Options {
    fn new(values: &Values, stack: &Stack) -> Self {
        let count = |name| u32::try_from(values.integer(name)).unwrap_or(u32::MAX);
        Self {
            max_surge: count("max_surge"),
            max_unavailable: count("max_unavailable"),
            settle_ms: values.integer("settle_s") * 1_000,
            bake_ms: values.integer("bake_s") * 1_000,
            error_points: values.integer("error_points"),
            splits: stack.host_can("split"),
        }
    }

    fn problems(self, stack: &Stack) -> Vec<Problem> {
        let mut problems = stack.overlap_problems();
        if self.max_surge == 0 && self.max_unavailable == 0 {
            problems.push(Problem::at(
                "/max_surge",
                "With `max_surge` and `max_unavailable` both 0 no instance could ever be replaced; set one of them to 1.",
            ));
        } else if self.max_surge == 0 && stack.replicas <= 1 {
            problems.push(Problem::at(
                "/max_surge",
                "With `max_surge` 0 the only instance would have to go before its replacement is there; set it to 1, \
                 or raise the stack's replicas.",
            ));
        }
        problems
    }
}

impl Strategy for Rolling {
    fn describe() -> Manifest {
        let summary = "Replaces a few instances at a time, and goes on when those are healthy";
        Manifest::new("rolling", env!("CARGO_PKG_VERSION"), summary).settings_schema(params::schema(PARAMS))
    }

    fn validate(params: &str, stack: &Stack) -> Vec<Problem> {
        match params::read(PARAMS, params) {
            Err(problems) => problems,
            Ok(values) => Options::new(&values, stack).problems(stack),
        }
    }

    fn decide(memory: &[u8], situation: Situation) -> Result<Step, Failure> {
        let values = params::required(PARAMS, &situation.params)?;
        let options = Options::new(&values, &situation.stack);
        situation.suits(options.problems(&situation.stack))?;
        machine::step(&situation, options, memory)
    }
}

impl Timing for Rolling {
    fn longest_wait(params: &str, replicas: u32, health_timeout_ms: u64) -> u64 {
        let Ok(values) = params::read(PARAMS, params) else { return 0 };
        // At worst each batch is a single instance that becomes healthy in the last moment.
        let batches = u64::from(replicas)
            * (values.integer("settle_s") * 1_000 + health_timeout_ms + machine::BATCH_MS);
        let bake_ms = values.integer("bake_s") * 1_000;
        // Instances that are missing when the bake ends have the time of new ones.
        batches + if bake_ms > 0 { bake_ms + health_timeout_ms } else { 0 }
    }
}

windlass_sdk::export_strategy!(Rolling, timing);
