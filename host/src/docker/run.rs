//! Running commands in a container of their own. The checkout goes in as an archive and what is wanted comes out as one, so
//! no folder of this machine is mounted; the container is removed whatever happens.

use std::{
    collections::HashMap,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use bollard::{
    body_try_stream,
    models::{ContainerCreateBody, HostConfig},
    query_parameters::{
        CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder, ListContainersOptionsBuilder,
        UploadToContainerOptionsBuilder,
    },
};
use futures_util::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::{Docker, LogLine, context::Context, error, label, unpack};
use crate::{
    domain::{UnixMs, path},
    error::{Error, Result},
};

/// Where the checkout is in the container.
const WORKSPACE: &str = "workspace";
/// Processes that commands may have at a time.
const PROCESSES: i64 = 4096;
/// What is brought back, unpacked.
const LARGEST_OUTPUT: u64 = 4 << 30;
const MIB: i64 = 1 << 20;
/// The engine counts processor time in billionths of a core.
const NANOS_A_PERCENT: i64 = 10_000_000;

/// Commands, and what they need.
#[derive(Clone)]
pub struct CommandRun {
    /// The container's name. One that is left of an interrupted run is removed first.
    pub name: String,
    /// Has to be on the engine.
    pub image: String,
    pub stack: String,
    pub build: String,
    /// Run by `/bin/sh -e` in one shell.
    pub commands: Vec<String>,
    /// The checkout that is put into the container, and where in it the commands start. Without one they start where the image
    /// says, as its user.
    pub workspace: Option<(PathBuf, String)>,
    /// What is brought back into the checkout, relative to it; `.` for all of it.
    pub outputs: Vec<String>,
    /// In the container's environment only.
    pub environment: Vec<(String, String)>,
    pub memory_mb: Option<u32>,
    /// Of one core.
    pub cpu_percent: Option<u32>,
    /// Size of `/dev/shm`.
    pub shm_mb: Option<u32>,
    /// The time that files in the checkout bear.
    pub modified_at: UnixMs,
    pub timeout: Duration,
}

/// Removes the container also where the run is dropped in the middle.
struct Removal<'a> {
    docker: &'a Docker,
    name: &'a str,
    armed: bool,
}

impl Drop for Removal<'_> {
    fn drop(&mut self) {
        if self.armed
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (docker, name) = (self.docker.clone(), self.name.to_string());
            runtime.spawn(async move { docker.remove(&name, None).await });
        }
    }
}

impl Docker {
    /// Runs the commands and hands each line to `log` as it is written.
    ///
    /// # Errors
    /// `Failed` with the exit code, or naming a missing image or output; `Cancelled` and `Timeout` after the container is
    /// gone; `TooLarge` for outputs above 4 GiB; `Unavailable` if the engine is gone.
    pub async fn run_commands(
        &self,
        run: &CommandRun,
        mut log: impl FnMut(LogLine) + Send,
        cancel: &CancellationToken,
    ) -> Result<()> {
        self.remove(&run.name, None).await?;
        let mut removal = Removal { docker: self, name: &run.name, armed: true };
        let outcome = tokio::select! {
            outcome = tokio::time::timeout(run.timeout, self.run_in(run, &mut log)) => outcome
                .unwrap_or_else(|_| Err(Error::timeout("running the commands", run.timeout.as_secs()))),
            () = cancel.cancelled() => Err(Error::cancelled("the build")),
        };
        let removed = self.remove(&run.name, None).await;
        removal.armed = removed.is_err();
        if matches!(outcome, Err(Error::Cancelled(_) | Error::Timeout { .. })) {
            log(LogLine::progress("the engine has stopped the commands"));
        }
        outcome.and(removed)
    }

    /// The containers that run commands of builds: id and build. After a crash some may be left.
    ///
    /// # Errors
    /// `Unavailable` if the engine does not answer.
    pub async fn command_containers(&self) -> Result<Vec<(String, String)>> {
        let wanted = vec![format!("{}={}", label::SERVER, self.server()), label::BUILD.to_string()];
        let filters = HashMap::from([("label".to_string(), wanted)]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let found = self.client().await?.list_containers(Some(options)).await;
        let found = found.map_err(|error| self.explain(error))?;
        Ok(found
            .into_iter()
            .filter_map(|one| Some((one.id?, one.labels?.get(label::BUILD)?.clone())))
            .collect())
    }

    async fn run_in(&self, run: &CommandRun, log: &mut (impl FnMut(LogLine) + Send)) -> Result<()> {
        let options = CreateContainerOptionsBuilder::default().name(&run.name).build();
        let session = self.session().await?;
        let created =
            session.client.create_container(Some(options), self.command_body(run, session.facts.init));
        let id = match created.await {
            Ok(created) => created.id,
            Err(error) if error::is_missing(&error) => {
                return Err(Error::failed(format!(
                    "the engine has no image `{}` to run commands in",
                    run.image
                )));
            }
            Err(error) => return Err(self.explain(error)),
        };
        if let Some((checkout, _)) = &run.workspace {
            self.put(&id, checkout, run).await?;
        }
        // Listening before they start: not a line is missed, however fast the commands write.
        let mut lines = self.output(&run.name).await?.boxed();
        self.begin(&run.name, &id).await.map_err(|error| no_shell(error, &run.image))?;
        while let Some(ready) = lines.next().await {
            ready?.into_iter().for_each(&mut *log);
        }
        let code = self.wait_exit(&run.name).await?;
        if code != 0 {
            return Err(self.command_error(run, code).await?);
        }
        let Some((checkout, _)) = &run.workspace else { return Ok(()) };
        for output in &run.outputs {
            self.bring(&id, checkout, output).await?;
        }
        Ok(())
    }

    async fn command_error(&self, run: &CommandRun, code: i64) -> Result<Error> {
        let found = self.inspect_own(&run.name).await?.and_then(|found| found.state);
        if found.and_then(|state| state.oom_killed).unwrap_or_default()
            && let Some(limit) = run.memory_mb
        {
            return Ok(Error::failed(format!(
                "the commands needed more than the {limit} MiB that `build.options.memoryMb` allows, and were stopped"
            )));
        }
        Ok(Error::failed(format!("the commands in `{}` ended with exit code {code}", run.image)))
    }

    fn command_body(&self, run: &CommandRun, init: bool) -> ContainerCreateBody {
        let pair = |(name, value): &(String, String)| format!("{name}={value}");
        let labels = [
            (label::SERVER, self.server()),
            (label::STACK, run.stack.as_str()),
            (label::BUILD, run.build.as_str()),
        ];
        let in_checkout = run.workspace.as_ref().map(|(_, folder)| folder);
        ContainerCreateBody {
            image: Some(run.image.clone()),
            entrypoint: Some(vec!["/bin/sh".into(), "-e".into(), "-c".into(), script(&run.commands)]),
            cmd: Some(Vec::new()),
            env: Some(run.environment.iter().map(pair).collect()),
            // What was put in belongs to root.
            user: in_checkout.map(|_| "0:0".to_string()),
            working_dir: in_checkout.map(|folder| format!("/{}", path::join(WORKSPACE, folder))),
            labels: Some(labels.map(|(key, value)| (key.to_string(), value.to_string())).into()),
            host_config: Some(HostConfig {
                memory: run.memory_mb.map(|mb| i64::from(mb) * MIB),
                // As much as the memory: no swap besides.
                memory_swap: run.memory_mb.map(|mb| i64::from(mb) * MIB),
                shm_size: run.shm_mb.map(|mb| i64::from(mb) * MIB),
                nano_cpus: run.cpu_percent.map(|percent| i64::from(percent) * NANOS_A_PERCENT),
                pids_limit: Some(PROCESSES),
                security_opt: Some(vec!["no-new-privileges".into()]),
                init: init.then_some(true),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        }
    }

    async fn put(&self, id: &str, checkout: &Path, run: &CommandRun) -> Result<()> {
        let folder = checkout.to_path_buf();
        let context = tokio::task::spawn_blocking(move || Context::whole(&folder, WORKSPACE)).await;
        let seconds = u64::try_from(run.modified_at / 1000).unwrap_or_default();
        let (blocks, packing) = context.map_err(Error::internal)??.pack(seconds, self.reach());
        let options = UploadToContainerOptionsBuilder::default().path("/").build();
        let body = body_try_stream(ReceiverStream::new(blocks));
        let client = self.client().await?.with_timeout(run.timeout);
        let sent = client.upload_to_container(id, Some(options), body).await;
        match packing.await.map_err(Error::internal)? {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Error::internal(format!("packing the checkout: {error}")))
            }
            _ => sent.map_err(|error| self.explain(error)),
        }
    }

    /// Replaces a path of the checkout by what is in the container.
    async fn bring(&self, id: &str, checkout: &Path, output: &str) -> Result<()> {
        let inside = path::join(WORKSPACE, output);
        let mut archive = tempfile::tempfile().map_err(Error::internal)?;
        let options = DownloadFromContainerOptionsBuilder::default().path(&format!("/{inside}")).build();
        let client = self.client().await?;
        let mut blocks = client.download_from_container(id, Some(options)).boxed();
        let mut bytes = 0;
        while let Some(block) = blocks.next().await {
            let block = match block {
                Ok(block) => block,
                Err(error) if error::is_missing(&error) => {
                    return Err(Error::failed(format!(
                        "the commands have not made `{output}`, which `build.options.outputs` names"
                    )));
                }
                Err(error) => return Err(self.explain(error)),
            };
            bytes += block.len() as u64;
            if bytes > LARGEST_OUTPUT {
                return Err(Error::TooLarge { what: "commands' output", limit: LARGEST_OUTPUT });
            }
            archive.write_all(&block).map_err(Error::internal)?;
        }
        let (checkout, output) = (checkout.to_path_buf(), path::join("", output));
        tokio::task::spawn_blocking(move || unpack::replace(archive, &checkout, &output))
            .await
            .map_err(Error::internal)?
    }
}

/// Says each command before it is run.
fn script(commands: &[String]) -> String {
    let quoted = |command: &String| format!("'$ {}'", command.replace('\'', "'\\''"));
    commands.iter().map(|command| format!("echo {}\n{command}\n", quoted(command))).collect()
}

fn no_shell(error: Error, image: &str) -> Error {
    match error {
        Error::Failed(why) if why.contains("/bin/sh") => Error::failed(format!(
            "commands cannot run in `{image}`: it has no /bin/sh; take an image that has a shell"
        )),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_said_as_it_is_written() {
        let commands = vec!["echo 'a b'".to_string(), "make".to_string()];
        assert_eq!(script(&commands), "echo '$ echo '\\''a b'\\'''\necho 'a b'\necho '$ make'\nmake\n");
    }
}
