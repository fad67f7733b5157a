//! The build type `compose_only`: a compose file, whose services have their images already or say how to build them.

mod check;
mod plan;
#[cfg(test)]
mod tests;

use windlass_sdk::planner::{BuildConfig, BuildStep, Context, Planner};
use windlass_sdk::{Failure, Manifest, Problem};

pub struct ComposeOnly;

impl Planner for ComposeOnly {
    fn describe() -> Manifest {
        Manifest::new(
            "compose-only",
            env!("CARGO_PKG_VERSION"),
            "Deploys the services of the repository's compose file",
        )
        .with("build-type", check::BUILD_TYPE)
    }

    fn validate(config: &BuildConfig) -> Vec<Problem> {
        check::problems(config)
    }

    fn plan(context: Context) -> Result<Vec<BuildStep>, Failure> {
        let problems: Vec<String> =
            check::problems(&context.config).into_iter().map(|problem| problem.message).collect();
        if !problems.is_empty() {
            return Err(Failure::permanent("invalid-configuration", problems.join(" ")));
        }
        plan::steps(&context)
    }
}

windlass_sdk::export_planner!(ComposeOnly);
