//! The steps of a build that are about a compose file.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::app::App;
use crate::app::logs::LogWriter;
use crate::app::registry::{all_logins, login_for};
use crate::app::stack::StackView;
use crate::app::target::engine;
use crate::docker::{BuildExtras, BuildRequest, Docker, Reach, label, read_compose};
use crate::domain::build_config::BuildArg;
use crate::domain::compose::{ServiceFacts, analysis, parts, policy, project, source};
use crate::domain::path;
use crate::domain::stack::RunSpec;
use crate::error::{Error, Result};
use crate::git::Commit;
use crate::queue::TaskContext;

/// A tag's longest part after the colon.
const TAG: usize = 128;

/// A rendered compose file whose images are being brought.
pub struct Composition<'a> {
    app: &'a App,
    docker: Docker,
    task: &'a TaskContext,
    view: &'a StackView,
    log: &'a LogWriter,
    file: Value,
    /// Content addresses by service.
    digests: HashMap<String, String>,
    /// Names by service.
    tags: HashMap<String, String>,
}

/// A compose file that is ready to be deployed.
pub struct Composed {
    /// With every image named by its content address.
    pub file: Value,
    /// The routed service.
    pub service: String,
    pub services: Vec<ServiceFacts>,
    /// How the routed service runs.
    pub run: RunSpec,
    /// The routed service's image.
    pub tag: String,
    pub digest: String,
}

impl<'a> Composition<'a> {
    /// Renders the file and judges it.
    pub async fn render(
        app: &'a App,
        task: &'a TaskContext,
        view: &'a StackView,
        log: &'a LogWriter,
        checkout: &Path,
        path: &str,
    ) -> Result<Self> {
        let (root, wanted) = (checkout.to_path_buf(), path.to_string());
        let source = tokio::task::spawn_blocking(move || read_compose(&root, &wanted)).await;
        let source = source.map_err(Error::internal)??;
        let known = view.build.settings.environment_variables.iter();
        let variables: Vec<(String, String)> = known
            .filter(|variable| {
                source.variables.contains(&variable.name) && !source::is_reserved(&variable.name)
            })
            .map(|variable| (variable.name.clone(), variable.value.clone()))
            .collect();
        let project = project(&view.stack.name, &view.stack.id);
        let docker = engine(app, &view.stack).await?;
        if docker.reach() == Reach::Nodes {
            return Err(Error::invalid(
                source::FIELD,
                "a swarm runs images, not compose files; choose a target that is an engine, or another way to build",
            ));
        }
        let file = docker.compose_config(&source, &project, &variables, &task.cancel).await?;
        policy::check(&file, &project, &view.stack.run.grants)?;
        no_files_of(&file, checkout)?;
        // What cannot be deployed is said before anything is built.
        let (service, definition) = analysis::routed(&file, view.stack.run.service.as_deref())?;
        analysis::run_spec(&file, definition, &view.stack.run)?;
        log.line(&format!("Rendered {path}: service {service} is routed"));
        Ok(Self { app, docker, task, view, log, file, digests: HashMap::new(), tags: HashMap::new() })
    }

    /// Builds every service that says how.
    pub async fn build(&mut self, checkout: &Path, commit: &Commit) -> Result<()> {
        let services = self.file.get("services").and_then(Value::as_object).cloned().unwrap_or_default();
        for (name, service) in &services {
            let Some(build) = service.get("build") else { continue };
            self.log.line(&format!("Building service {name}"));
            let mut request = self.request(name, build, checkout, commit)?;
            request.logins = all_logins(self.app).await?;
            let built =
                self.docker.build(request, |line| self.log.line(&line.text), &self.task.cancel).await?;
            self.digests.insert(name.clone(), built.digest);
            self.tags.insert(name.clone(), built.tag);
        }
        Ok(())
    }

    fn request(
        &self,
        service: &str,
        build: &Value,
        checkout: &Path,
        commit: &Commit,
    ) -> Result<BuildRequest> {
        let text = |key: &str| build.get(key).and_then(Value::as_str);
        let context = text("context").unwrap_or_default();
        let context =
            Path::new(context).strip_prefix(checkout).ok().and_then(Path::to_str).ok_or_else(|| {
                Error::invalid(
                    source::FIELD,
                    format!(
                        "service `{service}` builds `{}`, which is no folder of the repository",
                        context.escape_debug()
                    ),
                )
            })?;
        if !context.is_empty() {
            path::check_relative(source::FIELD, context)?;
        }
        let dockerfile = text("dockerfile").unwrap_or("Dockerfile");
        path::check_relative(source::FIELD, dockerfile)?;
        let pairs = |key: &str| {
            let all = build.get(key).and_then(Value::as_object).into_iter().flatten();
            // The rendered file is written to be read again: there a `$` is doubled.
            all.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().replace("$$", "$")))
                .collect::<Vec<_>>()
        };
        let stack = (label::STACK.to_string(), self.view.stack.name.clone());
        let own: Vec<_> =
            pairs("labels").into_iter().filter(|(name, _)| !name.starts_with("dev.windlass.")).collect();
        Ok(BuildRequest {
            root: checkout.to_path_buf(),
            context: context.to_string(),
            dockerfile: dockerfile.to_string(),
            target: text("target").filter(|target| !target.is_empty()).map(str::to_string),
            args: pairs("args").into_iter().map(|(name, value)| BuildArg { name, value }).collect(),
            // Nothing of the commit: a service whose files did not change is to have the same image as before.
            labels: own.into_iter().chain([stack]).collect(),
            tags: vec![tag(&self.view.stack.name, service, commit)],
            platform: None,
            modified_at: Some(commit.at),
            logins: Vec::new(),
            timeout: Duration::from_secs(u64::from(self.view.build.settings.timeout)),
            extras: BuildExtras::of(&self.view.build.settings),
        })
    }

    /// Sees to it that the engine has the images of the other services. One that is there is taken as it is, unless its
    /// service says `pull_policy: always`.
    pub async fn pull(&mut self) -> Result<()> {
        let docker = &self.docker;
        for (service, image) in parts::images(&self.file) {
            if self.digests.contains_key(&service) {
                continue;
            }
            let policy =
                self.file.pointer(&format!("/services/{service}/pull_policy")).and_then(Value::as_str);
            let is_there = docker.image_exists(&image).await?;
            if policy == Some("always") || (!is_there && policy != Some("never")) {
                self.log.line(&format!("Pulling {image} for service {service}"));
                let login = login_for(self.app, &image).await?;
                docker.pull(&image, &login, |line| self.log.line(&line.text), &self.task.cancel).await?;
            }
            let facts = docker.image_inspect(&image).await.map_err(|error| match error {
                Error::NotFound { .. } => Error::failed(format!(
                    "the engine has no image `{image}`, which service `{service}` needs, and it may not be pulled"
                )),
                other => other,
            })?;
            self.digests.insert(service.clone(), facts.digest);
            self.tags.insert(service, image);
        }
        Ok(())
    }

    /// Names every image by its content address, and says of each service what a deployment means for it.
    pub fn finish(mut self) -> Result<Composed> {
        let digests = &self.digests;
        parts::pin(&mut self.file, |name| digests.get(name).cloned())?;
        let stack = &self.view.stack;
        let (service, definition) = analysis::routed(&self.file, stack.run.service.as_deref())?;
        let run = analysis::run_spec(&self.file, definition, &stack.run)?;
        let mut services = Vec::new();
        for (name, image) in parts::images(&self.file) {
            let definition = &self.file["services"][&name];
            let (routed, why) = (name == service, analysis::conflicts(&self.file, definition));
            let reason = analysis::sentence(routed, &why);
            self.log.line(&format!("Service {name}: {reason}"));
            let hash = parts::hash(&self.file, &name, service)?;
            services.push(ServiceFacts { routed, can_overlap: why.is_empty(), reason, image, hash, name });
        }
        let known = |all: &HashMap<String, String>| all.get(service).cloned().unwrap_or_default();
        Ok(Composed {
            service: service.to_string(),
            services,
            run,
            tag: known(&self.tags),
            digest: known(&self.digests),
            file: self.file,
        })
    }
}

/// Files of the repository are gone when the containers run.
fn no_files_of(file: &Value, checkout: &Path) -> Result<()> {
    for (name, service) in file.get("services").and_then(Value::as_object).into_iter().flatten() {
        let volumes = service.get("volumes").and_then(Value::as_array).into_iter().flatten();
        let sources = volumes.filter_map(|volume| volume.get("source")?.as_str());
        if let Some(inside) =
            sources.filter_map(|source| Path::new(source).strip_prefix(checkout).ok()).next()
        {
            return Err(Error::invalid(
                source::FIELD,
                format!(
                    "service `{name}` mounts `./{}` of the repository, and the checkout is gone when it runs; put the file \
                     into the image, or into `configs` with `content`",
                    inside.display()
                ),
            ));
        }
    }
    Ok(())
}

/// `web:api-0123456`: housekeeping knows the stack's images by what is before the colon.
fn tag(stack: &str, service: &str, commit: &Commit) -> String {
    let commit: String = commit.sha.chars().take(7).collect();
    let service: String = service.chars().take(TAG - commit.len() - 1).collect();
    format!("{stack}:{}-{commit}", service.trim_start_matches(['-', '.']))
}
