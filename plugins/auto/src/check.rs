//! What can be wrong with a configuration before a commit is known. Pointers name the fields as people write them.

use windlass_sdk::Problem;
use windlass_sdk::planner::{
    BuildConfig, Options, command_problems, common_problems, image_problem, path_problem,
};

use crate::detect::KINDS;

pub const BUILD_TYPE: &str = "auto";
/// The names that `options.baseImages` may give other images.
pub const BASES: [&str; 8] = ["node", "static", "python", "rust", "rust-runtime", "go", "go-runtime", "bun"];

pub fn problems(config: &BuildConfig) -> Vec<Problem> {
    let mut problems = common_problems(config, BUILD_TYPE);
    problems.extend(config.context_path.as_deref().and_then(|path| path_problem("contextPath", path)));
    let said = [
        ("dockerfilePath", config.dockerfile_path.is_some()),
        ("composePath", config.compose_path.is_some()),
        ("target", config.target.is_some()),
    ];
    for (field, _) in said.into_iter().filter(|(_, is_said)| *is_said) {
        problems.push(Problem::at(
            format!("/{field}"),
            format!(
                "The build type `{BUILD_TYPE}` finds out by itself how a project is built; remove `{field}`, or take \
                 the build type `docker_build` or `compose_only`."
            ),
        ));
    }
    match Options::of(config) {
        Ok(options) => {
            problems.extend(command_problems(config, &options));
            problems.extend(own_problems(&options));
        }
        Err(problem) => problems.push(problem),
    }
    problems
}

fn own_problems(options: &Options) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(kind) = &options.project_type
        && !KINDS.contains(&kind.as_str())
    {
        let message = format!("`{}` is none of {}.", kind.escape_debug(), KINDS.join(", "));
        problems.push(Problem::at("/options/projectType", message));
    }
    for (name, image) in &options.base_images {
        let pointer = format!("/options/baseImages/{name}");
        if BASES.contains(&name.as_str()) {
            problems.extend(image_problem(&pointer, image));
        } else {
            problems.push(Problem::at(pointer, format!("Base images are named {}.", BASES.join(", "))));
        }
    }
    if !options.commands.is_empty() {
        problems.push(Problem::at(
            "/options/commands",
            format!(
                "The build type `{BUILD_TYPE}` writes a Dockerfile. Make them `preBuildCommands`, or take the build type `script`."
            ),
        ));
    }
    problems
}
