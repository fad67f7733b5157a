//! The default strategy. With overlap: start the new release beside the old one, switch the requests over when it is
//! healthy, then stop the old one. Without: stop the old one first, because two copies cannot exist. If the new
//! release fails or somebody aborts, the old one serves again.

mod machine;
#[cfg(test)]
mod mutants;
#[cfg(test)]
mod tests;

use windlass_sdk::params::{self, Param, Values};
use windlass_sdk::strategy::{Situation, Stack, Step, Strategy, Timing};
use windlass_sdk::{Failure, Manifest, Problem};

const PARAMS: &[Param] = &[
    Param::flag("recreate", false, "Stop the old release before the new one starts, although both could run"),
    Param::integer(
        "settle_ms",
        0,
        0..=600_000,
        "How long the new release has to stay healthy before the old one is stopped, in milliseconds",
    ),
    Param::integer(
        "bake_s",
        0,
        0..=86_400,
        "How long errors, restarts and health are watched after the switch, in seconds; the old copy stays ready, where two \
         can run",
    ),
    Param::integer(
        "error_points",
        3,
        1..=50,
        "During the bake: how many more of 100 answers may fail (status 500 and above) than before",
    ),
];

pub struct Standard;

/// The parameters, read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub recreate: bool,
    pub settle_ms: u64,
    pub bake_ms: u64,
    pub error_points: u64,
}

impl From<Values> for Options {
    fn from(values: Values) -> Self {
        Self {
            recreate: values.flag("recreate"),
            settle_ms: values.integer("settle_ms"),
            bake_ms: values.integer("bake_s") * 1_000,
            error_points: values.integer("error_points"),
        }
    }
}

impl Strategy for Standard {
    fn describe() -> Manifest {
        let summary = "Starts the new release, switches over when it is healthy, and goes back if it is not";
        Manifest::new("standard", env!("CARGO_PKG_VERSION"), summary).settings_schema(params::schema(PARAMS))
    }

    fn validate(params: &str, stack: &Stack) -> Vec<Problem> {
        match params::read(PARAMS, params) {
            Err(problems) => problems,
            Ok(values) if values.flag("recreate") && !stack.host_can("allow-downtime") => vec![Problem::at(
                "/recreate",
                "`recreate` stops what serves before its replacement is there; set `allowDowntime` on the stack to \
                 permit that, or leave it out.",
            )],
            Ok(_) => Vec::new(),
        }
    }

    fn decide(memory: &[u8], situation: Situation) -> Result<Step, Failure> {
        let options = params::required(PARAMS, &situation.params)?;
        machine::step(&situation, options.into(), memory)
    }
}

impl Timing for Standard {
    fn longest_wait(params: &str, _replicas: u32, health_timeout_ms: u64) -> u64 {
        let Ok(values) = params::read(PARAMS, params) else { return 0 };
        let options = Options::from(values);
        // Instances that are missing when the bake ends have the time of new ones.
        let bake = if options.bake_ms > 0 { options.bake_ms + health_timeout_ms } else { 0 };
        // It may settle before the switch and after it.
        2 * options.settle_ms + bake
    }
}

windlass_sdk::export_strategy!(Standard, timing);
