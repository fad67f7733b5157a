//! Build planners: a commit → the steps that make an image of it. The host executes the steps.
//!
//! ```
//! use windlass_sdk::planner::{BuildConfig, BuildStep, Context, DockerBuild, Planner};
//! use windlass_sdk::{Failure, Manifest, Problem};
//!
//! struct Plain;
//!
//! impl Planner for Plain {
//!     fn describe() -> Manifest {
//!         Manifest::new("plain", "0.1.0", "Builds the Dockerfile at the root, whatever the configuration says")
//!     }
//!
//!     fn validate(_config: &BuildConfig) -> Vec<Problem> {
//!         Vec::new()
//!     }
//!
//!     fn plan(context: Context) -> Result<Vec<BuildStep>, Failure> {
//!         if !context.files.iter().any(|file| file == "Dockerfile") {
//!             return Err(Failure::permanent("file-missing", "The repository has no `Dockerfile` at its root."));
//!         }
//!         let tag = format!("{}:{}", context.stack, &context.commit[..7]);
//!         Ok(vec![BuildStep::DockerBuild(DockerBuild::new(".", "Dockerfile", tag))])
//!     }
//! }
//!
//! windlass_sdk::export_planner!(Plain);
//! ```

mod later;

use std::marker::PhantomData;

use crate::bindings::base::exports::windlass::plugin::manifest::Guest as ManifestGuest;
use crate::bindings::planner::exports::windlass::build_planner::planner as wit;
use crate::{Failure, Manifest, Problem};

pub use later::{
    Options, READS, RunInContainer, after_build, before_build, command_problems, image_problem, image_tag,
    refuse_problems,
};
pub use wit::{BuildConfig, BuildStep, Context, DockerBuild, ImageTag};

/// A build planner. Export it with [`crate::export_planner!`].
pub trait Planner {
    /// What the plugin says about itself. Must not depend on anything.
    fn describe() -> Manifest;

    /// Says what is wrong with a configuration before anything runs. An empty list is good. Pure.
    fn validate(config: &BuildConfig) -> Vec<Problem>;

    /// The steps for one commit. Pure.
    ///
    /// # Errors
    /// `permanent` if the repository cannot be built this way, with a message that names the missing file.
    fn plan(context: Context) -> Result<Vec<BuildStep>, Failure>;
}

impl DockerBuild {
    /// Builds one image without build arguments and labels.
    pub fn new(context_path: &str, dockerfile_path: &str, tag: impl Into<String>) -> Self {
        Self {
            context_path: context_path.to_owned(),
            dockerfile_path: dockerfile_path.to_owned(),
            target: None,
            build_args: Vec::new(),
            labels: Vec::new(),
            tags: vec![tag.into()],
            extras: Vec::new(),
        }
    }
}

/// Steps for a compose file. They came after the contract's version 0.1 and travel as its open case: a name and, where it
/// has one, an argument after a blank.
impl BuildStep {
    /// Renders the compose file at a path relative to the repository's root. The steps below are about this file.
    pub fn compose_config(path: &str) -> Self {
        Self::Other(format!("compose-config {path}"))
    }

    /// Builds the images of those of the file's services that say how.
    pub fn compose_build() -> Self {
        Self::Other("compose-build".to_owned())
    }

    /// Pulls the images of the other services, where the engine does not have them.
    pub fn compose_pull() -> Self {
        Self::Other("compose-pull".to_owned())
    }
}

#[doc(hidden)]
pub const KIND: &str = "build-planner";

/// Makes a [`Planner`] a component.
#[doc(hidden)]
pub struct Component<T>(PhantomData<T>);

impl<T: Planner> ManifestGuest for Component<T> {
    fn describe() -> Manifest {
        T::describe().of_kind(KIND)
    }
}

impl<T: Planner> wit::Guest for Component<T> {
    fn validate(config: BuildConfig) -> Vec<Problem> {
        T::validate(&config)
    }

    fn plan(context: Context) -> Result<Vec<BuildStep>, Failure> {
        T::plan(context)
    }
}

/// What every planner asks of a configuration: that it is meant for this one, and leaves time to build.
pub fn common_problems(config: &BuildConfig, build_type: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    if config.build_type != build_type {
        problems.push(Problem::at(
            "/buildType",
            format!("The build type is `{}`, but this planner builds `{build_type}`.", config.build_type),
        ));
    }
    if config.timeout_seconds == 0 {
        problems.push(Problem::at("/timeout", "The timeout is 0 seconds; it has to be at least 1."));
    }
    problems
}

/// What is wrong with a path of the configuration that has to lie inside of the repository; `field` names it as people write
/// it. Example: `contextPath`.
pub fn path_problem(field: &str, path: &str) -> Option<Problem> {
    let complaint = if path.is_empty() {
        "is empty"
    } else if path.starts_with('/') {
        "is absolute"
    } else if path.starts_with('-') {
        "begins with `-` and could be taken for an option"
    } else if path.split('/').any(|part| part == "..") {
        "has a part `..`"
    } else if path.contains('\\') {
        "has a backslash"
    } else if path.chars().any(char::is_control) {
        "has a control character"
    } else {
        return None;
    };
    Some(Problem::at(
        format!("/{field}"),
        format!(
            "`{}` {complaint}; `{field}` has to be a path inside of the repository.",
            path.escape_debug()
        ),
    ))
}
