//! The default strategy. With overlap: start the new release beside the old one, switch the requests over when it is
//! healthy, then stop the old one. Without: stop the old one first, because two copies cannot exist. If the new
//! release fails or somebody aborts, the old one serves again.

mod machine;
mod memory;
#[cfg(test)]
mod mutants;
#[cfg(test)]
mod tests;
mod view;

use windlass_sdk::params::{self, Param, Values};
use windlass_sdk::strategy::{self, Situation, Stack, Step, Strategy};
use windlass_sdk::{Failure, Manifest, Problem};

const PARAMS: &[Param] = &[
    Param::flag("recreate", false, "Stop the old release before the new one starts, although both could run"),
    Param::integer(
        "settle_ms",
        0,
        0..=600_000,
        "How long the new release has to stay healthy before the old one is stopped, in milliseconds",
    ),
];

pub struct Standard;

/// The parameters, read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub recreate: bool,
    pub settle_ms: u64,
}

impl From<Values> for Options {
    fn from(values: Values) -> Self {
        Self { recreate: values.flag("recreate"), settle_ms: values.integer("settle_ms") }
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
            Ok(values) if values.flag("recreate") && !allows_downtime(stack) => vec![Problem::at(
                "/recreate",
                "`recreate` stops what serves before its replacement is there; set `allowDowntime` on the stack to \
                 permit that, or leave it out.",
            )],
            Ok(_) => Vec::new(),
        }
    }

    fn decide(memory: &[u8], situation: Situation) -> Result<Step, Failure> {
        let options = params::read(PARAMS, &situation.params).map_err(|problems| {
            let messages: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
            Failure::permanent("invalid-parameters", messages.join(" "))
        })?;
        machine::step(&situation, options.into(), strategy::recall(memory)?)
    }
}

/// A host that does not say so is taken to allow it: it refuses by itself what it does not.
fn allows_downtime(stack: &Stack) -> bool {
    stack.extras.iter().all(|(name, value)| name != "allow-downtime" || value == "true")
}

windlass_sdk::export_strategy!(Standard);
