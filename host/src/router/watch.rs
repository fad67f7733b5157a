//! Keeps a router running beside the server, and leaves it running when the server ends.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::client::RouterClient;
use super::state::build_of;
use crate::config::Config;
use crate::error::{Error, Result};

/// How long a router process gets until it answers.
const START_PATIENCE: Duration = Duration::from_secs(15);
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// A router that ends again this soon is not started again at once.
const SETTLED: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// A router that starts begins a new log if this one is larger.
const LOG_BYTES: u64 = 10 * 1024 * 1024;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The router of one server.
#[derive(Debug)]
pub struct Keeper {
    client: RouterClient,
    program: PathBuf,
    build: String,
    data: PathBuf,
    config: Option<PathBuf>,
}

impl Keeper {
    /// `program` is what is started, with `router` as its first argument.
    pub fn new(config: &Config, program: &Path) -> Self {
        Self {
            client: RouterClient::new(&config.server.data_dir),
            program: program.to_path_buf(),
            build: build_of(program),
            data: config.server.data_dir.clone(),
            config: config.file.clone(),
        }
    }

    /// Adopts the router that runs, replaces one of another version, and starts one whenever there is none.
    pub async fn keep(&self, stop: CancellationToken) {
        let mut pause = Duration::ZERO;
        loop {
            let since = Instant::now();
            tokio::select! {
                () = stop.cancelled() => return,
                result = self.attend() => if let Err(error) = result {
                    tracing::error!("[@router:watch] {}", error.for_log());
                }
            }
            // One that has served is started again at once.
            pause = if since.elapsed() >= SETTLED {
                Duration::ZERO
            } else {
                (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE)
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Returns when the router has ended or was replaced.
    async fn attend(&self) -> Result<()> {
        let health = match self.client.health().await {
            Ok(health) if health.build == self.build => {
                tracing::info!(pid = health.pid, "[@router:watch] the router runs already");
                health
            }
            Ok(health) => {
                tracing::info!(
                    pid = health.pid,
                    "[@router:watch] the router is another version and is replaced"
                );
                self.start().await?
            }
            Err(_) => self.start().await?,
        };
        self.client.watch().await?;
        tracing::warn!(pid = health.pid, "[@router:watch] the router has ended or was replaced");
        Ok(())
    }

    /// Starts a router, which takes over from the one that runs, if there is one.
    async fn start(&self) -> Result<super::report::Health> {
        let mut command = tokio::process::Command::new(&self.program);
        command.arg("router");
        if let Some(file) = &self.config {
            command.arg("--config").arg(file);
        }
        // A process group of its own: Ctrl-C is for the server. A log of its own: nobody may read the server's any more.
        command
            .arg("--data-dir")
            .arg(&self.data)
            // It opens no secret.
            .env_remove("WINDLASS_MASTER_KEY")
            .env_remove("WINDLASS_ADMIN_TOKEN")
            .env_remove("WEBHOOK_SECRET")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(self.log()?)
            .process_group(0);
        let mut child = command.spawn().map_err(|error| {
            Error::unavailable(format!("the router {} cannot be started: {error}", self.program.display()))
        })?;
        let started = Instant::now();
        loop {
            if let Ok(health) = self.client.health().await
                && Some(health.pid) == child.id()
            {
                tracing::info!(
                    pid = health.pid,
                    version = health.version,
                    milliseconds = started.elapsed().as_millis(),
                    "[@router:watch] the router runs"
                );
                return Ok(health);
            }
            if let Ok(Some(status)) = child.try_wait() {
                return Err(Error::failed(format!(
                    "the router ended at once ({status}); {} says why",
                    self.log_path().display()
                )));
            }
            if started.elapsed() > START_PATIENCE {
                let _ = child.kill().await;
                return Err(Error::timeout("the start of the router", START_PATIENCE.as_secs()));
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }

    fn log_path(&self) -> PathBuf {
        super::folder(&self.data).join("router.log")
    }

    fn log(&self) -> Result<std::fs::File> {
        let path = self.log_path();
        let open = || {
            use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(super::folder(&self.data))?;
            // It grows slowly, and what one process has written so far stays readable while the next one starts.
            if std::fs::metadata(&path).is_ok_and(|log| log.len() > LOG_BYTES) {
                std::fs::rename(&path, path.with_extension("log.1"))?;
            }
            std::fs::File::options().create(true).append(true).mode(0o600).open(&path)
        };
        open().map_err(|error| Error::unavailable(format!("{} cannot be written: {error}", path.display())))
    }
}
