//! The build type `docker_build`: one image from a Dockerfile.

mod check;
mod plan;
#[cfg(test)]
mod tests;

use windlass_sdk::planner::{BuildConfig, BuildStep, Context, Planner};
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
        let problems: Vec<String> =
            check::problems(&context.config).into_iter().map(|problem| problem.message).collect();
        if !problems.is_empty() {
            return Err(Failure::permanent("invalid-configuration", problems.join(" ")));
        }
        plan::steps(context)
    }
}

windlass_sdk::export_planner!(DockerBuild);
