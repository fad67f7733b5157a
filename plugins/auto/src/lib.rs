//! The build type `auto`: a project without a Dockerfile gets one that fits what its files say it is.

mod check;
mod detect;
mod dockerfile;
mod go;
mod node;
mod python;
mod rust;
mod site;
#[cfg(test)]
mod tests;

use windlass_sdk::planner::{
    BuildConfig, BuildStep, Context, DockerBuild, Options, Planner, READS, after_build, before_build,
    image_tag, refuse_problems,
};
use windlass_sdk::{Failure, Manifest, Problem};

use detect::Project;

/// The files that are read, wherever in the project they are.
const FILES: &str = "package.json .nvmrc .node-version pyproject.toml requirements.txt .python-version Pipfile Procfile \
                     Cargo.toml rust-toolchain rust-toolchain.toml go.mod";
/// What no image needs, where the project does not say it by itself.
const IGNORED: &str = ".git\n.env\n.env.*\n**/node_modules\n**/__pycache__\n**/.venv\ntarget\n*.log\n";

pub struct Auto;

impl Planner for Auto {
    fn describe() -> Manifest {
        Manifest::new(
            "auto",
            env!("CARGO_PKG_VERSION"),
            "Finds out what a project is (Node, Python, Rust, Go, or files of a site) and writes its Dockerfile",
        )
        .with("build-type", check::BUILD_TYPE)
        .with(READS, FILES)
    }

    fn validate(config: &BuildConfig) -> Vec<Problem> {
        check::problems(config)
    }

    fn plan(context: Context) -> Result<Vec<BuildStep>, Failure> {
        refuse_problems(check::problems(&context.config))?;
        let options = Options::of(&context.config).unwrap_or_default();
        let project = Project::new(&context, &options);
        let folder = if project.folder.is_empty() { "." } else { project.folder };
        let name =
            if project.folder.is_empty() { "Dockerfile".to_owned() } else { format!("{folder}/Dockerfile") };
        let mut step = DockerBuild::new(folder, &name, image_tag(&context));
        // Somebody who has written one knows better.
        if !project.has("Dockerfile") {
            let (kind, text) = detect::dockerfile(&project)?;
            step = step.with_dockerfile(text);
            if !project.has(".dockerignore") {
                step = step.with_dockerignore(IGNORED);
            }
            step.labels.push(("dev.windlass.project-type".to_owned(), kind.to_owned()));
        }
        step.build_args.clone_from(&context.config.build_args);
        step.labels.push(("org.opencontainers.image.revision".to_owned(), context.commit.clone()));
        let before = before_build(&context.config, &options);
        let after = after_build(&context.config);
        Ok(before.into_iter().chain([BuildStep::DockerBuild(step)]).chain(after).collect())
    }
}

windlass_sdk::export_planner!(Auto);
