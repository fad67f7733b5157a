//! A build planner: decides which steps turn a commit into an image. The host executes them.

use windlass_sdk::planner::{BuildConfig, BuildStep, Context, DockerBuild, Planner};
use windlass_sdk::{Failure, Manifest, Problem};

/// Where the Dockerfile may be, if nobody says; the first one that is there is taken.
const USUAL_PLACES: [&str; 3] = ["Dockerfile", "docker/Dockerfile", "build/Dockerfile"];

pub struct Plugin;

impl Planner for Plugin {
    fn describe() -> Manifest {
        Manifest::new("{{name}}", env!("CARGO_PKG_VERSION"), "Looks for the Dockerfile in the usual places")
    }

    fn validate(config: &BuildConfig) -> Vec<Problem> {
        let paths = [("/contextPath", &config.context_path), ("/dockerfilePath", &config.dockerfile_path)];
        let bad = paths.into_iter().filter(|(_, path)| path.as_deref().is_some_and(|path| !is_inside(path)));
        bad.map(|(place, _)| Problem::at(place, "The path has to lead to a place inside of the repository."))
            .collect()
    }

    fn plan(context: Context) -> Result<Vec<BuildStep>, Failure> {
        if let Some(problem) = Self::validate(&context.config).into_iter().next() {
            return Err(Failure::permanent("invalid-configuration", problem.message));
        }
        let is_there = |path: &&str| context.files.iter().any(|file| file == path);
        let dockerfile = match &context.config.dockerfile_path {
            Some(path) => Some(path.as_str()).filter(|path| is_there(path)),
            None => USUAL_PLACES.into_iter().find(is_there),
        };
        let Some(dockerfile) = dockerfile else {
            let looked = context.config.dockerfile_path.clone().unwrap_or_else(|| USUAL_PLACES.join(", "));
            let message = format!("The commit has no Dockerfile; looked for {looked}. Add one, or set its path.");
            return Err(Failure::permanent("file-missing", message));
        };
        let commit: String = context.commit.chars().take(12).collect();
        let folder = context.config.context_path.as_deref().unwrap_or(".");
        let mut build = DockerBuild::new(folder, dockerfile, format!("{}:{commit}", context.stack));
        build.target = context.config.target.clone();
        build.build_args = context.config.build_args.clone();
        Ok(vec![BuildStep::DockerBuild(build)])
    }
}

windlass_sdk::export_planner!(Plugin);

/// Whether a path stays inside of the repository.
fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.starts_with(['/', '-'])
        && !path.split('/').any(|part| part == "..")
        && !path.contains('\\')
        && !path.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(files: &[&str]) -> Context {
        let config = BuildConfig {
            build_type: "{{name}}".replace('-', "_"),
            context_path: None,
            dockerfile_path: None,
            compose_path: None,
            target: None,
            build_args: Vec::new(),
            pre_build_commands: Vec::new(),
            post_build_commands: Vec::new(),
            timeout_seconds: 60,
            extras: Vec::new(),
        };
        Context {
            stack: "shop".to_owned(),
            ref_name: "main".to_owned(),
            commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            files: files.iter().map(|&file| file.to_owned()).collect(),
            config,
        }
    }

    #[test]
    fn the_first_usual_place_is_taken() {
        let steps = Plugin::plan(context(&["build/Dockerfile", "docker/Dockerfile"])).expect("it is there");
        let BuildStep::DockerBuild(build) = &steps[0] else { panic!("{steps:?}") };
        assert_eq!((build.dockerfile_path.as_str(), build.tags[0].as_str()), ("docker/Dockerfile", "shop:0123456789ab"));
    }

    #[test]
    fn a_missing_dockerfile_is_named() {
        let failure = Plugin::plan(context(&["README.md"])).expect_err("there is none");
        assert!(failure.message.contains("docker/Dockerfile"), "{}", failure.message);
    }

    #[test]
    fn a_path_out_of_the_repository_is_refused() {
        let mut context = context(&["Dockerfile"]);
        context.config.dockerfile_path = Some("../Dockerfile".to_owned());
        assert_eq!(Plugin::plan(context).expect_err("it leads out").code, "invalid-configuration");
    }
}
