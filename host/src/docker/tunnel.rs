//! A socket on this machine that leads to an engine's socket on another one, by OpenSSH's client.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex as Plain, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use super::error::bounded;
use super::remote::FIRST_ANSWER;
use crate::domain::target::Address;
use crate::error::{Error, Result};

/// A socket's address has room for so many bytes.
const LONGEST_SOCKET: usize = 107;
const LOOK: Duration = Duration::from_millis(50);
/// The one that a pinned name does not mention.
const SSH_PORT: u16 = 22;

pub(super) struct Tunnel {
    /// For messages.
    address: String,
    /// Under which name the host key is pinned.
    pinned_as: String,
    /// Key and socket are in it.
    folder: TempDir,
    socket: PathBuf,
    arguments: Vec<String>,
    running: Mutex<Option<Child>>,
    /// What ssh complained of last.
    said: Arc<Plain<String>>,
}

impl Tunnel {
    pub(super) fn new(address: &str, parsed: &Address, folder: TempDir, known_hosts: &Path) -> Result<Self> {
        let Address::Ssh { user, host, port, socket: there } = parsed else {
            return Err(Error::internal(format!("{address} is not reached by ssh")));
        };
        let socket = folder.path().join("s");
        if socket.as_os_str().len() > LONGEST_SOCKET {
            return Err(Error::unavailable(format!(
                "{} is too long for a socket; set server.data_dir to a shorter path",
                socket.display()
            )));
        }
        let options = [
            "BatchMode=yes".to_string(),
            "IdentitiesOnly=yes".into(),
            "IdentityAgent=none".into(),
            "ConnectTimeout=10".into(),
            "ServerAliveInterval=10".into(),
            "ServerAliveCountMax=3".into(),
            "ExitOnForwardFailure=yes".into(),
            "StreamLocalBindMask=0177".into(),
            "StreamLocalBindUnlink=yes".into(),
            // Trusted when it is first seen and pinned from then on, as git's servers are.
            "StrictHostKeyChecking=accept-new".into(),
            "HashKnownHosts=no".into(),
            "GlobalKnownHostsFile=/dev/null".into(),
            format!("UserKnownHostsFile=\"{}\"", known_hosts.display()),
            "LogLevel=ERROR".into(),
        ];
        let mut arguments: Vec<String> = ["-F", "/dev/null", "-T", "-i"].map(String::from).to_vec();
        arguments.push(folder.path().join("key").display().to_string());
        arguments.extend(options.into_iter().flat_map(|option| ["-o".to_string(), option]));
        arguments.extend(["-p".to_string(), port.to_string(), "-l".into(), user.clone()]);
        arguments.extend(["-L".to_string(), format!("{}:{there}", socket.display())]);
        // It reads until this process is gone, however that ends, and ends the tunnel with it.
        arguments.extend(["--".to_string(), host.clone(), "cat".into()]);
        Ok(Self {
            address: address.to_string(),
            pinned_as: if *port == SSH_PORT { host.clone() } else { format!("[{host}]:{port}") },
            folder,
            socket,
            arguments,
            running: Mutex::default(),
            said: Arc::default(),
        })
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Returns when the socket takes connections.
    ///
    /// # Errors
    /// `Unavailable` with what ssh says.
    pub(super) async fn open(&self) -> Result<()> {
        let mut running = self.running.lock().await;
        if let Some(child) = running.as_mut()
            && matches!(child.try_wait(), Ok(None))
            && UnixStream::connect(&self.socket).await.is_ok()
        {
            return Ok(());
        }
        let _ = std::fs::remove_file(&self.socket);
        let mut child = self.spawn()?;
        let ready = async {
            loop {
                if UnixStream::connect(&self.socket).await.is_ok() {
                    return true;
                }
                if !matches!(child.try_wait(), Ok(None)) {
                    return false;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        match tokio::time::timeout(FIRST_ANSWER, ready).await {
            Ok(true) => {
                *running = Some(child);
                Ok(())
            }
            Ok(false) => {
                // Its last words may still be on their way.
                let _ = tokio::time::timeout(LOOK * 4, self.listened(&mut child)).await;
                Err(self.complaint())
            }
            Err(_) => Err(Error::unavailable(format!(
                "the Docker engine at {} cannot be reached: ssh did not connect within {} s",
                self.address,
                FIRST_ANSWER.as_secs()
            ))),
        }
    }

    async fn listened(&self, child: &mut Child) {
        let _ = child.wait().await;
        while self.said.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            tokio::time::sleep(LOOK / 5).await;
        }
    }

    /// Nothing of this server's own environment but what leads to the program.
    fn spawn(&self) -> Result<Child> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let kept = ["PATH", "HOME"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut child = Command::new("ssh")
            .args(&self.arguments)
            .env_clear()
            .envs(kept.collect::<Vec<_>>())
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .process_group(0)
            .spawn()
            .map_err(|error| {
                Error::unavailable(format!(
                    "targets by ssh need OpenSSH's client, which does not run on the server ({error}); install it there"
                ))
            })?;
        if let Some(complaints) = child.stderr.take() {
            let said = Arc::clone(&self.said);
            tokio::spawn(async move {
                let mut lines = BufReader::new(complaints).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                    *said = bounded(&format!("{said} {line}"));
                }
            });
        }
        Ok(child)
    }

    fn complaint(&self) -> Error {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let advice = if said.contains("IDENTIFICATION HAS CHANGED") || said.contains("verification failed") {
            format!(
                "its host key is not the pinned one: either the machine got a new key or somebody is in between; if the \
                 key is right, an administrator has the pinned one forgotten: `windlass git forget '{}'`",
                self.pinned_as
            )
        } else {
            format!(
                "ssh says: {}; check address, user and key",
                if said.is_empty() { "nothing" } else { &said }
            )
        };
        Error::unavailable(format!("the Docker engine at {} cannot be reached; {advice}", self.address))
    }
}
