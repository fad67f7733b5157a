//! What came after the contract's version 0.1 and travels in its open cases: options, files, and steps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{BuildConfig, BuildStep, Context, DockerBuild};
use crate::{Failure, Problem};

/// The name under which a planner's manifest says which files it wants to read: base names, separated by blanks. The host
/// puts those of a commit that it finds into [`Context::file`], those nearest to the root first: at most 64, of at most
/// 64 KiB each.
pub const READS: &str = "reads";
const OPTIONS: &str = "options";
const FILE: &str = "file:";

/// How a build is done beyond the fields of the contract's version 0.1: `build.options` of a stack. A planner reads what it
/// understands; the host acts on the rest by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Options {
    /// The image that commands run in.
    pub image: Option<String>,
    pub commands: Vec<String>,
    /// Where commands start, relative to the repository's root.
    pub working_directory: Option<String>,
    /// What commands leave behind, relative to the repository's root.
    pub outputs: Vec<String>,
    /// The image that the outputs are put into.
    pub runtime_image: Option<String>,
    /// Images to use instead of a planner's own choices, by the names that the planner gives them.
    pub base_images: BTreeMap<String, String>,
    /// What kind of project it is, where a planner would have to guess.
    pub project_type: Option<String>,
    pub memory_mb: Option<u32>,
    pub cpu_percent: Option<u32>,
    /// Repositories that the host pushes the image to.
    pub push: Vec<String>,
    pub platforms: Vec<String>,
    /// Where layers come from, as the host has it; null for the engine's own cache.
    pub cache: serde_json::Value,
}

impl Options {
    /// The options of a configuration; defaults where it has none.
    ///
    /// # Errors
    /// A problem at `/options` if they are no JSON of this shape.
    pub fn of(config: &BuildConfig) -> Result<Self, Problem> {
        let Some((_, text)) = config.extras.iter().find(|(name, _)| name == OPTIONS) else {
            return Ok(Self::default());
        };
        serde_json::from_str(text)
            .map_err(|error| Problem::at("/options", format!("The options cannot be read: {error}.")))
    }
}

/// Commands in a container of their own, which is removed afterwards.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunInContainer {
    /// The image. None is the image that an earlier step has built: then there is no checkout in the container, and nothing
    /// is brought back.
    pub image: Option<String>,
    /// Run by `/bin/sh -e`, one after the other, in one shell.
    pub commands: Vec<String>,
    /// Where the commands start, relative to the checkout; `.` for its root.
    pub working_directory: String,
    /// What is brought back into the checkout, relative to its root; `.` for all of it.
    pub outputs: Vec<String>,
}

impl BuildStep {
    /// Runs commands in a container.
    pub fn run_in_container(run: &RunInContainer) -> Self {
        // Lists of texts can always be written.
        Self::Other(format!("run-in-container {}", serde_json::to_string(run).unwrap_or_default()))
    }
}

impl DockerBuild {
    /// Builds this text instead of a file of the repository. `dockerfile_path` is then only its name in logs.
    #[must_use]
    pub fn with_dockerfile(mut self, text: impl Into<String>) -> Self {
        self.extras.push(("dockerfile".to_owned(), text.into()));
        self
    }

    /// Leaves out of the context what these lines say, instead of what a `.dockerignore` of the repository says.
    #[must_use]
    pub fn with_dockerignore(mut self, text: impl Into<String>) -> Self {
        self.extras.push(("dockerignore".to_owned(), text.into()));
        self
    }
}

impl Context {
    /// The content of a file that the manifest names with [`READS`]; none if the commit has no such file, or a long one.
    pub fn file(&self, path: &str) -> Option<&str> {
        let wanted = |name: &str| name.strip_prefix(FILE).is_some_and(|name| name == path);
        self.config.extras.iter().find(|(name, _)| wanted(name)).map(|(_, text)| text.as_str())
    }
}

/// `web:feature-login-0123456`: the stack, what was built, and the commit, in the characters that a tag may have.
pub fn image_tag(context: &Context) -> String {
    const LONGEST: usize = 128;
    let commit: String = context.commit.chars().take(7).collect();
    let fitting = |character: char| match character.to_ascii_lowercase() {
        fitting @ ('a'..='z' | '0'..='9' | '.' | '_' | '-') => fitting,
        _ => '-',
    };
    let name: String = context.ref_name.trim().chars().map(fitting).collect();
    let room = LONGEST - commit.len() - 1;
    let name: String = name.trim_matches(['-', '.']).chars().take(room).collect();
    // A tag may not begin with a dot or a dash.
    let name = name.trim_matches(['-', '.']);
    let separator = if name.is_empty() { "" } else { "-" };
    format!("{}:{name}{separator}{commit}", context.stack)
}

/// All problems of a configuration as the failure of a plan; `Ok` if there are none.
///
/// # Errors
/// `permanent` with all messages.
pub fn refuse_problems(problems: Vec<Problem>) -> Result<(), Failure> {
    if problems.is_empty() {
        return Ok(());
    }
    let messages: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
    Err(Failure::permanent("invalid-configuration", messages.join(" ")))
}

/// What is wrong with the commands around a build, and with what they need.
pub fn command_problems(config: &BuildConfig, options: &Options) -> Vec<Problem> {
    let mut problems = Vec::new();
    let has_commands = !config.pre_build_commands.is_empty() || !options.commands.is_empty();
    match &options.image {
        None if has_commands => problems.push(Problem::at(
            "/options/image",
            "Commands run in a container, and `options.image` does not say of which image. Example: `alpine:3.22`.",
        )),
        Some(image) => problems.extend(image_problem("/options/image", image)),
        None => {}
    }
    let directory = options.working_directory.as_deref();
    problems.extend(directory.and_then(|path| super::path_problem("options/workingDirectory", path)));
    let outputs = options.outputs.iter().enumerate();
    problems
        .extend(outputs.filter_map(|(at, path)| super::path_problem(&format!("options/outputs/{at}"), path)));
    let lists = [
        ("preBuildCommands", &config.pre_build_commands),
        ("options/commands", &options.commands),
        ("postBuildCommands", &config.post_build_commands),
    ];
    for (field, commands) in lists {
        for (at, command) in commands.iter().enumerate() {
            if command.trim().is_empty() || command.contains('\0') {
                problems.push(Problem::at(
                    format!("/{field}/{at}"),
                    "A command is empty or has a NUL character; remove it.",
                ));
            }
        }
    }
    problems
}

/// What is wrong with the name of an image; `pointer` says where it is written.
pub fn image_problem(pointer: &str, image: &str) -> Option<Problem> {
    let fits = (1..=512).contains(&image.len())
        && image.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte))
        && image.starts_with(|first: char| first.is_ascii_alphanumeric());
    (!fits)
        .then(|| Problem::at(pointer, format!("`{}` cannot be the name of an image.", image.escape_debug())))
}

/// The steps before a build: its commands, in the image that the options name.
pub fn before_build(config: &BuildConfig, options: &Options) -> Option<BuildStep> {
    (!config.pre_build_commands.is_empty()).then(|| {
        let all = vec![".".to_owned()];
        BuildStep::run_in_container(&RunInContainer {
            image: options.image.clone(),
            commands: config.pre_build_commands.clone(),
            working_directory: options.working_directory.clone().unwrap_or_else(|| ".".to_owned()),
            outputs: if options.outputs.is_empty() { all } else { options.outputs.clone() },
        })
    })
}

/// The steps after a build: its commands, in the image that was built.
pub fn after_build(config: &BuildConfig) -> Option<BuildStep> {
    (!config.post_build_commands.is_empty()).then(|| {
        BuildStep::run_in_container(&RunInContainer {
            image: None,
            commands: config.post_build_commands.clone(),
            working_directory: ".".to_owned(),
            outputs: Vec::new(),
        })
    })
}
