//! `docker compose` version 2, as a child process, and what of its work the engine is asked directly.
//!
//! The program gets fixed arguments, an environment of our own, and a file on standard input that we have read, judged and
//! written anew; it never sees a repository's text. What it starts is found by labels, like all our containers.

mod companions;
mod place;
mod process;
mod read;

use std::path::Path;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use companions::Companion;
pub use read::{ComposeSource, read};

use super::{Docker, LaunchSpec, LogLine, label};
use crate::domain::compose::parts::{self, Instance};
use crate::domain::compose::{release_project, source};
use crate::error::{Error, Result};

/// Of the labels that compose gives its containers.
const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";

/// What a release's instances are made from.
pub struct ComposePart<'a> {
    pub file: &'a Value,
    /// The service that is routed.
    pub service: &'a str,
}

impl Docker {
    /// Renders a compose file: variables, anchors and defaults resolved, paths absolute. No engine is needed.
    ///
    /// # Errors
    /// `Invalid` with what compose says against the file; `Failed` where compose is missing.
    pub async fn compose_config(
        &self,
        source: &ComposeSource,
        project: &str,
        variables: &[(String, String)],
        cancel: &CancellationToken,
    ) -> Result<Value> {
        let run = process::Run {
            project,
            folder: &source.folder,
            file: &source.file,
            variables,
            arguments: &["config", "--format", "json"],
        };
        let mut said = String::new();
        let rendered = self.compose(run, |line| said = line.text, cancel).await;
        let rendered = rendered.map_err(|error| match error {
            Error::Failed(why) if !why.contains(process::MISSING) => Error::invalid(source::FIELD, why),
            other => other,
        })?;
        serde_json::from_str(&rendered)
            .map_err(|error| Error::internal(format!("docker compose config: {error}: {said}")))
    }

    /// The version of `docker compose` on this machine. No engine is needed.
    ///
    /// # Errors
    /// `Failed` where it is missing, saying what to do.
    pub async fn compose_version(&self) -> Result<String> {
        let (file, folder) = (Value::Object(serde_json::Map::new()), Path::new("/"));
        let arguments = ["version", "--short"];
        let run =
            process::Run { project: "windlass", folder, file: &file, variables: &[], arguments: &arguments };
        let said = self.compose(run, |_| (), &CancellationToken::new()).await?;
        Ok(said.trim().to_string())
    }

    /// Brings one instance of a release up: created, and started if `start`. One that is there already is taken as it is.
    ///
    /// # Errors
    /// `Conflict` if the container's name belongs to something else; `Failed` with what compose or the engine says.
    pub async fn compose_instance(
        &self,
        spec: &LaunchSpec,
        part: &ComposePart<'_>,
        start: bool,
        log: impl FnMut(LogLine) + Send,
        cancel: &CancellationToken,
    ) -> Result<()> {
        if let Some(found) = self.inspect(&spec.name).await? {
            let (_, state) = self.adopt(spec, found)?;
            // One that was only created may lack the files that compose puts into it before it starts.
            if state == "running" || !start {
                return Ok(());
            }
        }
        let project = release_project(&spec.stack, &spec.release);
        let tail = spec.name.strip_prefix(&project).unwrap_or(&spec.name).trim_start_matches('-');
        let key = format!("{}-{tail}", part.service);
        let labels: Vec<(String, String)> = self.labels(spec).into_iter().collect();
        let instance = Instance {
            name: &spec.name,
            key: &key,
            labels: &labels,
            environment: &spec.environment,
            published: spec.published,
            run: &spec.run,
            free_address: &self.free_address(),
        };
        let file = parts::instance_file(part.file, part.service, &instance)?;
        self.compose_up(&project, &file, start, log, cancel).await
    }

    /// Brings the companions up: what changed is replaced, what did not is left alone. None is removed.
    ///
    /// # Errors
    /// `Failed` with what compose or the engine says.
    pub async fn compose_companions(
        &self,
        stack: &str,
        project: &str,
        part: &ComposePart<'_>,
        log: impl FnMut(LogLine) + Send,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let labels = [(label::SERVER, self.server()), (label::STACK, stack)]
            .map(|(key, value)| (key.into(), value.into()));
        let Some(file) = parts::companions_file(part.file, part.service, &labels, label::CONFIG_HASH)? else {
            return Ok(());
        };
        self.compose_up(project, &file, true, log, cancel).await
    }

    async fn compose_up(
        &self,
        project: &str,
        file: &Value,
        start: bool,
        log: impl FnMut(LogLine) + Send,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let arguments = if start {
            ["up", "--no-build", "--pull", "never", "--detach"]
        } else {
            ["up", "--no-build", "--pull", "never", "--no-start"]
        };
        let folder = Path::new("/");
        let run = process::Run { project, folder, file, variables: &[], arguments: &arguments };
        self.compose(run, log, cancel).await.map(|_| ())
    }
}
