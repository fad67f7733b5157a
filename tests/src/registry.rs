//! A real registry, Debian's `docker-registry`, started for one test.

use crate::PATIENCE;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::port::free_port;
use crate::tools::skipped;

pub const USER: &str = "ada";
pub const PASSWORD: &str = "secret of ada";
/// bcrypt of the password.
const HASH: &str = "$2y$05$abcdefghijklmnopqrstuuaa.gy2lqlKN28VVAP6NW1sL3oLzg3GS";

pub struct Registry {
    /// Host and port.
    pub address: String,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Registry {
    /// `None` where there is no such program; says which test is skipped and how to get it.
    pub async fn start(test: &str) -> Option<Self> {
        Self::start_with(test, false).await
    }

    /// Only for [`USER`] with [`PASSWORD`].
    pub async fn start_private(test: &str) -> Option<Self> {
        Self::start_with(test, true).await
    }

    async fn start_with(test: &str, is_private: bool) -> Option<Self> {
        let found = Command::new("docker-registry")
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !found.is_ok_and(|status| status.success()) {
            skipped(test, "there is no docker-registry; scripts/setup-test.sh installs it");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let config = folder.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n",
            folder.path().join("data").display()
        );
        let auth = if is_private {
            let file = folder.path().join("htpasswd");
            std::fs::write(&file, format!("{USER}:{HASH}\n")).unwrap();
            format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display())
        } else {
            String::new()
        };
        std::fs::write(&config, text + &auth).unwrap();
        let mut command = Command::new("docker-registry");
        let command = command.arg("serve").arg(&config).env("OTEL_TRACES_EXPORTER", "none");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let registry = Self { address, child, _folder: folder };
        let started = Instant::now();
        while reqwest::get(format!("http://{}/v2/", registry.address)).await.is_err() {
            assert!(started.elapsed() < PATIENCE, "the registry does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Some(registry)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
