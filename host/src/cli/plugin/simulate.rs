//! `plugin simulate`.

use std::time::Duration;

use clap::Args;
use windlass_sdk::testkit::Simulation;

use super::failed;
use crate::app::plugin_tool::plugin_simulate;
use crate::cli::failure::{Failure, Outcome, exit};
use crate::cli::output::Output;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass plugin simulate ./my-strategy.wasm
  windlass plugin simulate standard --params '{\"settle_ms\": 5000}' --worlds 50000
  windlass plugin simulate ./my-strategy.wasm --seed 4711 --worlds 1     # one world again

In each world instances crash, hang, flap or loop, errors rise with the traffic, people answer late or abort, and the
server dies at any step. Exit code 1 if a rule is broken; the simplest world that breaks it is told step by step.")]
pub struct SimulateArgs {
    /// A component's file, or the name of a built-in strategy.
    component: String,
    /// The strategy's parameters, as JSON.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    params: String,
    /// How many worlds.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    worlds: u64,
    /// The first world's seed; the next ones count on from there.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Stop after so many seconds, although there are more worlds: for strategies in slow languages.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    within: Option<u64>,
    /// Seconds that a rollout may take; waiting for people does not count. Without it, what a server grants a stack whose
    /// health timeout is 10 s.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    deadline: Option<u64>,
    /// The stack of every world allows downtime.
    #[arg(long)]
    allow_downtime: bool,
}

pub async fn simulate(out: &Output, args: &SimulateArgs) -> Outcome<u8> {
    if let Err(error) = serde_json::from_str::<serde_json::Value>(&args.params) {
        return Err(Failure::usage(format!("--params is no JSON: {error}.")));
    }
    let mut simulation = Simulation::new().worlds(args.worlds).seed(args.seed).params(args.params.as_str());
    if let Some(seconds) = args.deadline {
        simulation = simulation.deadline_ms(seconds * 1_000);
    }
    if let Some(seconds) = args.within {
        simulation = simulation.within(Duration::from_secs(seconds));
    }
    if args.allow_downtime {
        simulation = simulation.in_worlds(|world| world.allow_downtime = true);
    }
    let report = plugin_simulate(&args.component, simulation).await.map_err(failed)?;
    if out.is_json() {
        let value = serde_json::to_value(&report).map_err(|error| Failure::local(error.to_string(), ""))?;
        out.json(&value);
    } else {
        out.line(&report.to_string());
        if let Some(broken) = &report.broken {
            out.note(&format!("Again: --seed {} --worlds 1", broken.seed));
        }
    }
    if report.broken.is_none() && report.refused == report.worlds {
        return Err(Failure::local(
            "The strategy refused these parameters for every stack, so nothing was simulated.",
            "`windlass plugin docs` shows what it takes.",
        ));
    }
    Ok(if report.broken.is_none() { exit::SUCCESS } else { exit::FAILED })
}
