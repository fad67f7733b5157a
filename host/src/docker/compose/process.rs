//! The child process: its arguments, its environment, its time, and its end.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::super::{Docker, LogLine, error};
use crate::error::{Error, Result};

/// One call, which may wait for containers to stop and others to become healthy.
const PATIENCE: Duration = Duration::from_secs(180);
/// What a process that was asked to end gets before it is killed.
const GRACE: Duration = Duration::from_secs(2);
/// A rendered file larger than this is none.
const LARGEST_OUTPUT: u64 = 8 << 20;
/// Of what it complains about, the last lines count.
const LAST_LINES: usize = 6;
/// Begins the message of a machine without compose.
pub(super) const MISSING: &str = "compose stacks need `docker compose` version 2";

/// One call of `docker compose`.
pub(super) struct Run<'a> {
    pub project: &'a str,
    /// Relative paths in the file count from here.
    pub folder: &'a Path,
    pub file: &'a Value,
    /// For variables in the file.
    pub variables: &'a [(String, String)],
    pub arguments: &'a [&'a str],
}

impl Docker {
    /// Runs it to its end and returns what it wrote to standard output; what it says meanwhile goes to `log`.
    pub(super) async fn compose(
        &self,
        run: Run<'_>,
        mut log: impl FnMut(LogLine) + Send,
        cancel: &CancellationToken,
    ) -> Result<String> {
        self.ready().await?;
        let mut child = Group(self.command(&run).spawn().map_err(|error| missing(&error.to_string()))?);
        let text = serde_json::to_vec(run.file).map_err(Error::internal)?;
        let mut last = Vec::new();
        let work = converse(&mut child.0, &text, |line| {
            last.push(line.clone());
            if last.len() > LAST_LINES {
                last.remove(0);
            }
            log(LogLine::progress(line));
        });
        let outcome = tokio::select! {
            outcome = tokio::time::timeout(PATIENCE, work) => outcome
                .unwrap_or_else(|_| Err(Error::timeout("docker compose", PATIENCE.as_secs()))),
            () = cancel.cancelled() => Err(Error::cancelled("docker compose")),
        };
        match outcome {
            Ok(output) => {
                let status = child.0.wait().await.map_err(Error::internal)?;
                if status.success() { Ok(output) } else { Err(self.complaint(&last)) }
            }
            Err(error) => {
                child.end().await;
                Err(error)
            }
        }
    }

    /// Nothing of this server's own environment but what leads to the program, its log-ins and the engine.
    fn command(&self, run: &Run<'_>) -> Command {
        let kept = ["PATH", "HOME", "DOCKER_CONFIG"];
        let kept = kept.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut command = Command::new("docker");
        command
            .args([
                "compose",
                "--ansi",
                "never",
                "--progress",
                "plain",
                "--env-file",
                "/dev/null",
                "--file",
                "-",
            ])
            .args(["--project-name", run.project])
            .arg("--project-directory")
            .arg(run.folder)
            .args(run.arguments)
            .env_clear()
            .envs(run.variables.iter().map(|(name, value)| (name, value)))
            .envs(kept.collect::<Vec<(&str, OsString)>>())
            .envs(self.way())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        command
    }

    fn complaint(&self, last: &[String]) -> Error {
        // Before it says what is wrong, it says what it did.
        let from = last.iter().position(|line| line.starts_with("Error")).unwrap_or(0);
        let said = last[from..].join("\n");
        if said.contains("Cannot connect to the Docker daemon") {
            return Error::unavailable(format!("the Docker engine at {} cannot be reached", self.host()));
        }
        if said.contains("unknown command")
            || said.contains("is not a docker command")
            || said.contains("unknown flag")
        {
            return missing(&said);
        }
        error::refused(&said)
    }
}

fn missing(why: &str) -> Error {
    Error::failed(format!(
        "{MISSING}, which does not run on the server ({}); install Docker's compose plugin there",
        error::bounded(why)
    ))
}

/// Gives it the file and reads both of its outputs until they end.
async fn converse(child: &mut Child, file: &[u8], mut line: impl FnMut(String)) -> Result<String> {
    let (input, output, complaint) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut input), Some(output), Some(complaint)) = (input, output, complaint) else {
        return Err(Error::internal("a child process has no pipes"));
    };
    let write = async move {
        // One that does not read to the end says why itself.
        let _ = input.write_all(file).await;
    };
    let mut text = String::new();
    let mut output = output.take(LARGEST_OUTPUT);
    let mut lines = BufReader::new(complaint).lines();
    let say = async {
        while let Ok(Some(said)) = lines.next_line().await {
            if !said.trim().is_empty() {
                line(error::bounded(&said));
            }
        }
    };
    let ((), read, ()) = tokio::join!(write, output.read_to_string(&mut text), say);
    read.map_err(|error| Error::internal(format!("docker compose: {error}")))?;
    if text.len() as u64 >= LARGEST_OUTPUT {
        return Err(Error::TooLarge { what: "rendered compose file", limit: LARGEST_OUTPUT });
    }
    Ok(text)
}

/// The process and all that it has started. None of them is left when this goes.
struct Group(Child);

impl Group {
    /// Asks all of them to end, and kills after a moment what has not, also what outlived the first of them.
    async fn end(mut self) {
        let Some(group) = self.leader() else { return };
        let _ = kill_process_group(group, Signal::TERM);
        let _ = tokio::time::timeout(GRACE, self.0.wait()).await;
        let _ = kill_process_group(group, Signal::KILL);
        let _ = tokio::time::timeout(GRACE, self.0.wait()).await;
    }

    /// None once it was waited for: its number may belong to somebody else then.
    fn leader(&self) -> Option<Pid> {
        self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.leader() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
