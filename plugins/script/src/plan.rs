//! A commit → commands in a container, and an image of what they have left behind.

use std::fmt::Write as _;

use windlass_sdk::planner::{
    BuildStep, Context, DockerBuild, Options, RunInContainer, after_build, image_tag,
};

/// Where the outputs are in the image; commands of containers start here.
const HOME: &str = "/app";

pub fn steps(context: &Context, options: &Options) -> Vec<BuildStep> {
    let config = &context.config;
    let outputs = outputs(options);
    let run = RunInContainer {
        image: options.image.clone(),
        commands: config.pre_build_commands.iter().chain(&options.commands).cloned().collect(),
        working_directory: options.working_directory.clone().unwrap_or_else(|| ".".to_owned()),
        outputs: outputs.clone(),
    };
    let mut build = DockerBuild::new(".", "Dockerfile", image_tag(context))
        .with_dockerfile(dockerfile(options, &outputs))
        .with_dockerignore("");
    build.labels = vec![("org.opencontainers.image.revision".to_owned(), context.commit.clone())];
    let steps = [BuildStep::run_in_container(&run), BuildStep::DockerBuild(build)];
    steps.into_iter().chain(after_build(config)).collect()
}

/// Without `./`, doubled and trailing slashes; all of the checkout where nothing is named.
fn outputs(options: &Options) -> Vec<String> {
    let normal = |path: &String| {
        let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
    };
    let mut outputs: Vec<String> = options.outputs.iter().map(normal).collect();
    if outputs.is_empty() || outputs.iter().any(|path| path == ".") {
        return vec![".".to_owned()];
    }
    outputs.dedup();
    outputs
}

/// What is in the image besides the runtime's own: the outputs, and nothing of the checkout, the commands' container or
/// their environment.
fn dockerfile(options: &Options, outputs: &[String]) -> String {
    let base = options.runtime_image.as_deref().or(options.image.as_deref()).unwrap_or("scratch");
    let mut text = format!("FROM {base}\nWORKDIR {HOME}\n");
    for output in outputs {
        let (from, to) = match output.as_str() {
            "." => (".".to_owned(), HOME.to_owned()),
            path => (literal(path), format!("{HOME}/{path}")),
        };
        // As JSON, where blanks and quotes mean nothing. Writing to a String cannot fail.
        let _ = writeln!(text, "COPY {}", serde_json::json!([from, to.replace('$', "\\$")]));
    }
    text
}

/// A name with characters that COPY would take for a pattern or a variable.
fn literal(path: &str) -> String {
    let mut text = String::new();
    for character in path.chars() {
        match character {
            '*' | '?' | '[' => {
                let _ = write!(text, "[{character}]");
            }
            '$' => text.push_str("\\$"),
            other => text.push(other),
        }
    }
    text
}
