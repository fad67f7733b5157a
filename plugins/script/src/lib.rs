//! The build type `script`: commands in a container make files, and the files become an image.

mod check;
mod plan;
#[cfg(test)]
mod tests;

use windlass_sdk::planner::{BuildConfig, BuildStep, Context, Options, Planner, refuse_problems};
use windlass_sdk::{Failure, Manifest, Problem};

pub struct Script;

impl Planner for Script {
    fn describe() -> Manifest {
        Manifest::new(
            "script",
            env!("CARGO_PKG_VERSION"),
            "Builds an image from what commands leave behind in a container",
        )
        .with("build-type", check::BUILD_TYPE)
    }

    fn validate(config: &BuildConfig) -> Vec<Problem> {
        check::problems(config)
    }

    fn plan(context: Context) -> Result<Vec<BuildStep>, Failure> {
        refuse_problems(check::problems(&context.config))?;
        let options = Options::of(&context.config).unwrap_or_default();
        Ok(plan::steps(&context, &options))
    }
}

windlass_sdk::export_planner!(Script);
