//! What can be wrong with a configuration before a commit is known. Pointers name the fields as people write them.

use windlass_sdk::Problem;
use windlass_sdk::planner::{BuildConfig, Options, path_problem};

pub const BUILD_TYPE: &str = "compose_only";

pub fn problems(config: &BuildConfig) -> Vec<Problem> {
    let mut problems = Vec::new();
    if config.build_type != BUILD_TYPE {
        problems.push(Problem::at(
            "/buildType",
            format!("The build type is `{}`, but this planner deploys `{BUILD_TYPE}`.", config.build_type),
        ));
    }
    if config.timeout_seconds == 0 {
        problems.push(Problem::at("/timeout", "The timeout is 0 seconds; it has to be at least 1."));
    }
    problems.extend(config.compose_path.as_deref().and_then(|path| path_problem("composePath", path)));
    let is_elsewhere = |path: &&str| !matches!(*path, "" | "." | "./");
    let said = [
        ("contextPath", config.context_path.as_deref().filter(is_elsewhere).is_some()),
        ("dockerfilePath", config.dockerfile_path.is_some()),
        ("target", config.target.is_some()),
        ("buildArgs", !config.build_args.is_empty()),
    ];
    for (field, _) in said.into_iter().filter(|(_, is_said)| *is_said) {
        problems.push(Problem::at(
            format!("/{field}"),
            format!("The compose file says how its services are built; remove `{field}` and write it there."),
        ));
    }
    for (field, commands) in
        [("preBuildCommands", &config.pre_build_commands), ("postBuildCommands", &config.post_build_commands)]
    {
        if !commands.is_empty() {
            problems.push(Problem::at(
                format!("/{field}"),
                format!(
                    "The build type `{BUILD_TYPE}` runs no commands. Make them a service of the compose file that \
                     the others depend on, and remove `{field}`."
                ),
            ));
        }
    }
    match Options::of(config) {
        Ok(options) => problems.extend(option_problems(&options)),
        Err(problem) => problems.push(problem),
    }
    problems
}

/// Options that would have no effect are not taken silently.
fn option_problems(options: &Options) -> Vec<Problem> {
    let said = [
        ("image", options.image.is_some()),
        ("commands", !options.commands.is_empty()),
        ("outputs", !options.outputs.is_empty()),
        ("push", !options.push.is_empty()),
        ("platforms", !options.platforms.is_empty()),
        ("cache", !options.cache.is_null()),
    ];
    let said = said.into_iter().filter(|(_, is_said)| *is_said);
    said.map(|(field, _)| {
        let message = format!("The build type `{BUILD_TYPE}` makes nothing of `options.{field}`; remove it.");
        Problem::at(format!("/options/{field}"), message)
    })
    .collect()
}
