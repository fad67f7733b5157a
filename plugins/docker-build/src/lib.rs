//! The build type `docker_build`: one image from a Dockerfile.

mod check;
mod plan;
#[cfg(test)]
mod tests;

use windlass_sdk::planner::{BuildConfig, BuildStep, Context, Options, Planner, refuse_problems};
use windlass_sdk::{Failure, Manifest, Problem};

pub struct DockerBuild;

impl Planner for DockerBuild {
    fn describe() -> Manifest {
        Manifest::new(
            "docker-build",
            env!("CARGO_PKG_VERSION"),
            "Builds an image from the repository's Dockerfile",
        )
        .with("build-type", check::BUILD_TYPE)
    }

    fn validate(config: &BuildConfig) -> Vec<Problem> {
        check::problems(config)
    }

    fn plan(context: Context) -> Result<Vec<BuildStep>, Failure> {
        refuse_problems(check::problems(&context.config))?;
        let options = Options::of(&context.config).unwrap_or_default();
        plan::steps(context, &options)
    }
}

windlass_sdk::export_planner!(DockerBuild);
