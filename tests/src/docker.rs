//! A real Docker engine for tests: everything a test makes carries names of its own and goes when the test ends.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::PATIENCE;
use crate::port::free_port;
use tempfile::TempDir;
use windlass::docker::Docker;

/// The `SHELL` and `COPY` lines that make an image out of one static busybox.
pub const BUSYBOX: &str =
    "FROM scratch\nCOPY busybox /bin/busybox\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\n";

/// An engine handle with an instance id of its own; on drop, its containers and images are removed.
pub struct TestEngine {
    pub docker: Docker,
    /// The instance id, and the prefix of image and stack names that are cleaned up.
    pub name: String,
    pub folder: TempDir,
}

impl TestEngine {
    /// # Panics
    /// If no engine answers: the tests need one (`scripts/setup-docker.sh`).
    pub async fn start() -> Self {
        let name = unique("wl-test");
        let docker = Docker::connect(None, &name).unwrap();
        docker.ping().await.unwrap();
        Self { docker, name, folder: tempfile::tempdir().unwrap() }
    }

    /// A name that belongs to this test.
    pub fn named(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.name)
    }

    /// A build context with a static busybox and this Dockerfile in it.
    pub fn context(&self, dockerfile: &str) -> PathBuf {
        let folder = self.folder.path().join(unique("context"));
        fs::create_dir_all(&folder).unwrap();
        fs::copy(busybox(), folder.join("busybox")).unwrap();
        fs::write(folder.join("Dockerfile"), dockerfile).unwrap();
        folder
    }

    /// Builds an image of this name. It shares no layer with another test's, which would go when that test ends: `docker build`
    /// does not hold what it is about to use.
    ///
    /// # Panics
    /// With the builder's words if it fails.
    pub fn make_image(&self, name: &str, context: &Path) {
        let mut command = Command::new("docker");
        command.args(["build", "-q", "--no-cache", "-t", name]).arg(context).env("DOCKER_BUILDKIT", "0");
        let built = command.output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    }

    /// `docker` with these words; its output, whether it succeeds or not.
    pub fn cli(&self, words: &[&str]) -> String {
        docker_cli(words)
    }
}

impl Drop for TestEngine {
    fn drop(&mut self) {
        let label = format!("label=dev.windlass.server={}", self.name);
        for id in docker_cli(&["ps", "-aq", "--filter", &label]).split_whitespace() {
            docker_cli(&["rm", "-f", "-v", id]);
        }
        let images = format!("reference={}-*", self.name);
        let format = "{{.Repository}}:{{.Tag}}";
        for tag in docker_cli(&["images", "--format", format, "--filter", &images]).split_whitespace() {
            docker_cli(&["rmi", "-f", tag]);
        }
        let volumes = format!("name={}-", self.name);
        for volume in docker_cli(&["volume", "ls", "-q", "--filter", &volumes]).split_whitespace() {
            docker_cli(&["volume", "rm", "-f", volume]);
        }
    }
}

/// `docker` with these words; what it wrote.
fn docker_cli(words: &[&str]) -> String {
    let output = Command::new("docker").args(words).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_string()
}

/// A static busybox of this machine.
pub fn busybox() -> &'static Path {
    let found = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new).into_iter().find(|path| path.exists());
    found.expect("busybox-static is installed by scripts/setup-docker.sh")
}

/// A name nobody else uses, also not the test that runs at the same time.
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{prefix}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Asks until the answer is yes.
pub async fn eventually(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !ask().await {
        assert!(Instant::now() < deadline, "after {} s still not: {what}", PATIENCE.as_secs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A real registry that asks for a log-in, on a free loopback port; engines trust loopback registries without TLS.
pub struct Registry {
    child: std::process::Child,
    pub address: String,
    _folder: TempDir,
}

impl Registry {
    /// Of any user named `ada`.
    pub const PASSWORD: &str = "registry-pass";

    /// None where no `docker-registry` is installed.
    pub fn start() -> Option<Self> {
        Self::start_at(Ipv4Addr::LOCALHOST)
    }

    /// On an address of this machine that other machines reach.
    pub fn start_at(address: Ipv4Addr) -> Option<Self> {
        let paths = std::env::var_os("PATH")?;
        let binary = std::env::split_paths(&paths)
            .map(|path| path.join("docker-registry"))
            .find(|path| path.exists())?;
        let folder = tempfile::tempdir().unwrap();
        let users = folder.path().join("users");
        // bcrypt of the password above, at the lowest cost.
        fs::write(&users, "ada:$2b$05$abcdefghijklmnopqrstuuPjvWZA9Te8qmmwSCy0c40HUw16Nv/I6\n").unwrap();
        let address = format!("{address}:{}", free_port());
        let config = folder.path().join("config.yml");
        fs::write(&config, "version: 0.1\nstorage:\n  filesystem: {}\nauth:\n  htpasswd: {}\n").unwrap();
        let child = Command::new(binary)
            .arg("serve")
            .arg(&config)
            .env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", folder.path().join("data"))
            .env("REGISTRY_HTTP_ADDR", &address)
            .env("REGISTRY_AUTH_HTPASSWD_REALM", "test")
            .env("REGISTRY_AUTH_HTPASSWD_PATH", &users)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(&address).is_err() {
            assert!(Instant::now() < deadline, "the registry does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(Self { child, address, _folder: folder })
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
