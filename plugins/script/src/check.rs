//! What can be wrong with a configuration before a commit is known. Pointers name the fields as people write them.

use windlass_sdk::Problem;
use windlass_sdk::planner::{BuildConfig, Options, command_problems, common_problems, image_problem};

pub const BUILD_TYPE: &str = "script";

pub fn problems(config: &BuildConfig) -> Vec<Problem> {
    let mut problems = common_problems(config, BUILD_TYPE);
    let is_elsewhere = |path: &&str| !matches!(*path, "" | "." | "./");
    let said = [
        ("contextPath", config.context_path.as_deref().filter(is_elsewhere).is_some()),
        ("dockerfilePath", config.dockerfile_path.is_some()),
        ("composePath", config.compose_path.is_some()),
        ("target", config.target.is_some()),
        ("buildArgs", !config.build_args.is_empty()),
    ];
    for (field, _) in said.into_iter().filter(|(_, is_said)| *is_said) {
        problems.push(Problem::at(
            format!("/{field}"),
            format!(
                "The build type `{BUILD_TYPE}` runs commands and reads no `{field}`; remove it. Commands get \
                 `environmentVariables`, and start in `options.workingDirectory`."
            ),
        ));
    }
    match Options::of(config) {
        Ok(options) => {
            problems.extend(command_problems(config, &options));
            problems.extend(own_problems(config, &options));
        }
        Err(problem) => problems.push(problem),
    }
    problems
}

fn own_problems(config: &BuildConfig, options: &Options) -> Vec<Problem> {
    let mut problems = Vec::new();
    if options.commands.is_empty() && config.pre_build_commands.is_empty() {
        problems.push(Problem::at(
            "/options/commands",
            "There are no commands. `options.commands` says how the files are made that become the image.",
        ));
    }
    problems.extend(
        options.runtime_image.as_deref().and_then(|image| image_problem("/options/runtimeImage", image)),
    );
    problems
}
