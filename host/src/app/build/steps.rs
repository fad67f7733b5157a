//! Doing what a planner has planned, step by step.

use std::path::Path;
use std::time::{Duration, Instant};

use super::platforms::PlatformImage;
use super::publish;
use crate::app::App;
use crate::app::artifact::artifacts_keep;
use crate::app::compose::{Composed, Composition};
use crate::app::crash;
use crate::app::logs::LogWriter;
use crate::app::registry::{all_logins, image_ensure};
use crate::app::stack::StackView;
use crate::docker::{BuildExtras, BuildRequest, CommandRun, Docker, label};
use crate::domain::build::Build;
use crate::domain::build_config::BuildArg;
use crate::domain::build_options::Cache;
use crate::domain::path;
use crate::domain::plan::BuildStep;
use crate::error::{Error, Result};
use crate::git::Commit;
use crate::queue::TaskContext;

/// One build while it runs.
pub(super) struct Work<'a> {
    pub(super) app: &'a App,
    /// The engine that the stack runs on builds its images as well.
    pub(super) docker: Docker,
    pub(super) task: &'a TaskContext,
    pub(super) view: &'a StackView,
    pub(super) build: &'a Build,
    pub(super) log: &'a LogWriter,
    pub(super) checkout: &'a Path,
    pub(super) commit: &'a Commit,
    /// When the whole build has to be over.
    pub(super) deadline: Instant,
    pub(super) image: Option<(String, String)>,
    /// Where the image was built for several platforms: each of them, that of `image` as well.
    pub(super) platforms: Vec<PlatformImage>,
    pub(super) composition: Option<Composition<'a>>,
}

/// What a build leaves behind.
pub(super) enum Made {
    /// With the names that registries have given it.
    Image {
        tag: String,
        digest: String,
        pushed: Vec<String>,
    },
    Compose(Box<Composed>),
}

impl Made {
    /// Name and content address of what is routed.
    pub(super) fn image(&self) -> (&str, &str) {
        match self {
            Self::Image { tag, digest, .. } => (tag, digest),
            Self::Compose(composed) => (&composed.tag, &composed.digest),
        }
    }

    pub(super) fn pushed(&self) -> &[String] {
        match self {
            Self::Image { pushed, .. } => pushed,
            Self::Compose(_) => &[],
        }
    }

    pub(super) fn composed(&self) -> Option<&Composed> {
        match self {
            Self::Image { .. } => None,
            Self::Compose(composed) => Some(composed),
        }
    }
}

impl<'a> Work<'a> {
    pub(super) async fn make(&mut self, steps: &[BuildStep]) -> Result<Made> {
        for step in steps {
            self.step(step).await?;
            crash::point("build: after a step");
        }
        self.task.progress(85).await?;
        self.finish().await
    }

    async fn step(&mut self, step: &BuildStep) -> Result<()> {
        if self.task.cancel.is_cancelled() {
            return Err(Error::cancelled("the build"));
        }
        match step {
            BuildStep::DockerBuild { .. } => {
                let request = self.request(step).await?;
                self.image = Some(self.build_all(request).await?);
            }
            BuildStep::RunInContainer { image, commands, working_directory, outputs } => {
                self.run(image.as_deref(), commands, working_directory, outputs).await?;
            }
            BuildStep::Tag { source, target } => self.docker.tag(source, target).await?,
            BuildStep::ComposeConfig { path } => {
                let rendered =
                    Composition::render(self.app, self.task, self.view, self.log, self.checkout, path);
                self.composition = Some(rendered.await?);
            }
            BuildStep::ComposeBuild => {
                let (checkout, commit) = (self.checkout, self.commit);
                self.rendered()?.build(checkout, commit).await?;
            }
            BuildStep::ComposePull => self.rendered()?.pull().await?,
        }
        Ok(())
    }

    fn rendered(&mut self) -> Result<&mut Composition<'a>> {
        self.composition
            .as_mut()
            .ok_or_else(|| Error::failed("the planner planned steps for a compose file before rendering one"))
    }

    /// After the last step: what is kept, and where the image is sent.
    async fn finish(&mut self) -> Result<Made> {
        let options = &self.view.build.settings.options;
        if !options.artifacts.is_empty() {
            let kept = artifacts_keep(self.app, self.build, &options.artifacts, self.checkout).await?;
            self.log.line(&format!("Kept {kept} artifacts"));
        }
        match (self.composition.take(), self.image.take()) {
            (Some(composition), _) => Ok(Made::Compose(Box::new(composition.finish()?))),
            (None, Some((tag, digest))) => {
                let pushed = publish::push(self, &tag, &digest).await?;
                Ok(Made::Image { tag, digest, pushed })
            }
            (None, None) => {
                let planner = &self.build.planner;
                Err(Error::failed(format!("planner `{planner}` planned no step that makes an image")))
            }
        }
    }

    /// What is left of the build's time.
    pub(super) fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    async fn request(&self, step: &BuildStep) -> Result<BuildRequest> {
        let BuildStep::DockerBuild {
            context_path,
            dockerfile_path,
            target,
            build_args,
            labels,
            tags,
            dockerfile,
            dockerignore,
        } = step
        else {
            return Err(Error::internal("not a docker build"));
        };
        path::check_relative("contextPath", context_path)?;
        path::check_relative("dockerfilePath", dockerfile_path)?;
        if let Some(text) = dockerfile {
            self.log.line("The planner wrote this Dockerfile:");
            text.lines().for_each(|line| self.log.line(&format!("  {line}")));
        }
        let settings = &self.view.build.settings;
        let cache_from = publish::cache_from(self).await?;
        let args =
            build_args.iter().map(|(name, value)| BuildArg { name: name.clone(), value: value.clone() });
        let stack = (label::STACK.to_string(), self.view.stack.name.clone());
        Ok(BuildRequest {
            root: self.checkout.to_path_buf(),
            context: context_path.clone(),
            dockerfile: dockerfile_path.clone(),
            target: target.clone(),
            args: args.collect(),
            labels: labels.iter().cloned().chain([stack]).collect(),
            tags: tags.clone(),
            platform: settings.options.platforms.first().cloned(),
            modified_at: Some(self.commit.at),
            logins: all_logins(self.app).await?,
            timeout: self.remaining(),
            extras: BuildExtras {
                dockerfile: dockerfile.clone(),
                dockerignore: dockerignore.clone(),
                cache_from,
                inline_cache: settings.options.cache != Cache::Local,
                ..BuildExtras::of(settings)
            },
        })
    }

    async fn run(
        &self,
        image: Option<&str>,
        commands: &[String],
        directory: &str,
        outputs: &[String],
    ) -> Result<()> {
        let settings = &self.view.build.settings;
        let (image, workspace) = match (image, &self.image) {
            (Some(image), _) => {
                image_ensure(self.app, &self.docker, image, &|line| self.log.line(line), &self.task.cancel)
                    .await?;
                (image.to_string(), Some((self.checkout.to_path_buf(), directory.to_string())))
            }
            (None, Some((_, digest))) => (digest.clone(), None),
            (None, None) => {
                return Err(Error::failed("the planner planned commands for an image before building one"));
            }
        };
        let shown = if workspace.is_some() { image.as_str() } else { "the image that was built" };
        self.log.line(&format!("Running commands in {shown}"));
        let own = [
            ("CI", "true".to_string()),
            ("WINDLASS_STACK", self.view.stack.name.clone()),
            ("WINDLASS_COMMIT", self.commit.sha.clone()),
            ("WINDLASS_REF", self.build.git_ref.clone()),
        ];
        let own = own.map(|(name, value)| (name.to_string(), value));
        let run = CommandRun {
            name: format!("windlass-build-{}", self.build.id),
            image,
            stack: self.view.stack.name.clone(),
            build: self.build.id.to_string(),
            commands: commands.to_vec(),
            workspace,
            outputs: outputs.to_vec(),
            environment: own.into_iter().chain(settings.command_environment()).collect(),
            memory_mb: settings.options.memory_mb,
            cpu_percent: settings.options.cpu_percent,
            shm_mb: settings.options.shm_mb,
            modified_at: self.commit.at,
            timeout: self.remaining(),
        };
        self.docker.run_commands(&run, |line| self.log.line(&line.text), &self.task.cancel).await
    }
}
