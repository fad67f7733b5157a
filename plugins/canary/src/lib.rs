//! Canary: a small share of the requests goes to the new release, and a larger one when its answers are as good as those of
//! the old release, in the same time and from the same traffic. If they are worse, the requests go back.

mod machine;
#[cfg(test)]
mod mutants;
mod options;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod tests;
mod watch;

use windlass_sdk::params;
use windlass_sdk::strategy::{Situation, Stack, Step, Strategy, Timing};
use windlass_sdk::{Failure, Manifest, Problem};

use options::{Options, PARAMS};

pub struct Canary;

impl Strategy for Canary {
    fn describe() -> Manifest {
        let summary =
            "Raises the new release's share of the requests as long as its answers are as good as before";
        Manifest::new("canary", env!("CARGO_PKG_VERSION"), summary).settings_schema(params::schema(PARAMS))
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
        machine::step(&situation, &options, memory)
    }
}

impl Timing for Canary {
    fn longest_wait(params: &str, _replicas: u32, health_timeout_ms: u64) -> u64 {
        params::read(PARAMS, params)
            .map_or(0, |values| Options::from(&values).longest_wait(health_timeout_ms))
    }
}

windlass_sdk::export_strategy!(Canary, timing);
