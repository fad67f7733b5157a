//! What can be wrong with a configuration before a commit is known. Pointers name the fields as people write them.

use windlass_sdk::Problem;
use windlass_sdk::planner::{BuildConfig, Options, command_problems, common_problems, path_problem};

pub const BUILD_TYPE: &str = "docker_build";

pub fn problems(config: &BuildConfig) -> Vec<Problem> {
    let mut problems = common_problems(config, BUILD_TYPE);
    problems.extend(config.context_path.as_deref().and_then(|path| path_problem("contextPath", path)));
    problems.extend(config.dockerfile_path.as_deref().and_then(|path| path_problem("dockerfilePath", path)));
    if config.compose_path.is_some() {
        problems.push(Problem::at(
            "/composePath",
            format!("The build type `{BUILD_TYPE}` takes no compose file; remove `composePath`."),
        ));
    }
    problems.extend(stage_problem(config.target.as_deref()));
    problems.extend(build_arg_problems(&config.build_args));
    match Options::of(config) {
        Ok(options) => {
            problems.extend(command_problems(config, &options));
            problems.extend(option_problem(&options));
        }
        Err(problem) => problems.push(problem),
    }
    problems
}

fn stage_problem(stage: Option<&str>) -> Option<Problem> {
    let stage = stage?;
    let mut characters = stage.chars();
    let good = characters.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && characters.all(|other| other.is_ascii_alphanumeric() || matches!(other, '-' | '_' | '.'));
    (!good).then(|| {
        let message = format!("`{}` cannot be the name of a stage in a Dockerfile.", stage.escape_debug());
        Problem::at("/target", message)
    })
}

fn build_arg_problems(args: &[(String, String)]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (at, (name, value)) in args.iter().enumerate() {
        let shown = name.escape_debug();
        let mut find = |part: &str, message: String| {
            problems.push(Problem::at(format!("/buildArgs/{at}/{part}"), message));
        };
        if !is_variable_name(name) {
            find(
                "name",
                format!(
                    "`{shown}` is no name for a build argument: letters, digits and `_`, not beginning with a digit."
                ),
            );
        } else if args[..at].iter().any(|(earlier, _)| earlier == name) {
            find("name", format!("The build argument `{shown}` is given twice; remove one of the two."));
        }
        if value.contains('\0') {
            find("value", format!("The value of the build argument `{shown}` has a NUL character."));
        }
    }
    problems
}

fn is_variable_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Options that would have no effect are not taken silently.
fn option_problem(options: &Options) -> Option<Problem> {
    (!options.commands.is_empty()).then(|| {
        Problem::at(
            "/options/commands",
            format!(
                "The build type `{BUILD_TYPE}` runs a Dockerfile. Make them `preBuildCommands`, or take the build type `script`."
            ),
        )
    })
}
