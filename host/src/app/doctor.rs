//! What a server needs of the machine it runs on, looked at without changing anything.

mod router;
mod security;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::backup;
use crate::config::Config;
use crate::docker::Docker;
pub use security::{security, security_check};

/// People who repair something look at the page about it, which looks anew each time.
pub(super) const SECURITY_GOOD_FOR: Duration = Duration::from_secs(10);
/// Less than this is not enough for one build's log and a database.
const LEAST_FREE: u64 = 256 * 1024 * 1024;
const ENOUGH_FREE: u64 = 2 * 1024 * 1024 * 1024;
const ENGINE_PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Ok,
    /// It will work, but not as it should.
    Warn,
    /// It will not work.
    Fail,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub verdict: Verdict,
    pub detail: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// The first so many of a list, and how many more there are.
pub(in crate::app) fn some_of<T: ToString>(all: &[T], most: usize) -> String {
    let first: Vec<String> = all.iter().take(most).map(ToString::to_string).collect();
    match all.len() - first.len() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

impl Check {
    pub fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, detail: detail.into(), advice: None }
    }

    pub fn warn(name: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warn, detail: detail.into(), advice: Some(advice.into()) }
    }

    pub fn fail(name: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Fail, detail: detail.into(), advice: Some(advice.into()) }
    }
}

#[derive(Debug)]
pub struct Report {
    pub checks: Vec<Check>,
    /// The configured address, if somebody listens there: perhaps a server that can be asked the rest.
    pub taken: Option<SocketAddr>,
}

/// Everything that can be found out without a server.
pub async fn local_checks(file: Option<&Path>, environment: impl Fn(&str) -> Option<String>) -> Report {
    let config = match Config::load(file, environment) {
        Ok(config) => config,
        Err(error) => {
            let advice = "Correct it; `windlass init FILE` writes one that explains every setting.";
            return Report { checks: vec![Check::fail("config", error.to_string(), advice)], taken: None };
        }
    };
    let mut checks =
        vec![config_check(file), data_check(&config.server.data_dir), log_check(&config.build.log_dir)];
    checks.extend(disk_check(&config.server.data_dir));
    checks.extend(backup_check(&config));
    checks.extend(config.plugins.iter().filter_map(|(name, plugin)| {
        let path = plugin.source.strip_prefix("path:")?;
        Some(plugin_check(name, Path::new(path), plugin.sha256.as_deref()))
    }));
    checks.push(engine_check(&config.docker.host).await);
    checks.push(compose_check(&config.docker.host).await);
    checks.push(Check::ok("git", "built in; neither git nor ssh has to be installed"));
    checks.extend(router::router_checks(&config).await);
    let (check, taken) = port_check(config.server.listen);
    checks.extend(check);
    Report { checks, taken }
}

/// Only stacks with a compose file need it.
async fn compose_check(host: &str) -> Check {
    let found = match Docker::connect(Some(host).filter(|host| !host.is_empty()), "doctor") {
        Ok(docker) => tokio::time::timeout(ENGINE_PATIENCE, docker.compose_version()).await,
        Err(error) => Ok(Err(error)),
    };
    let advice = "Install Docker's compose plugin, unless no stack has a compose file.";
    match found {
        Ok(Ok(version)) => Check::ok("compose", format!("docker compose {version}")),
        Ok(Err(error)) => Check::warn("compose", error.to_string(), advice),
        Err(_) => Check::warn("compose", "docker compose does not answer", advice),
    }
}

fn config_check(file: Option<&Path>) -> Check {
    match file {
        Some(path) => Check::ok("config", format!("{} is understood", path.display())),
        None if Path::new("windlass.toml").exists() => Check::warn(
            "config",
            "windlass.toml is here but not used: no --config was given",
            "Pass --config windlass.toml.",
        ),
        None => Check::ok("config", "the defaults and the environment; no file was given"),
    }
}

/// Nothing where all is well: how backups go, only the server knows.
fn backup_check(config: &Config) -> Option<Check> {
    let advice = "Correct the section [backup] of the configuration.";
    backup::Settings::of(config).err().map(|error| Check::fail("backup", error.to_string(), advice))
}

fn data_check(folder: &Path) -> Check {
    let advice = "Set server.data_dir (WINDLASS_DATA_DIR) to a folder that is yours.";
    let check = writable("data", folder, advice);
    if check.verdict != Verdict::Ok {
        return check;
    }
    let mode = std::fs::metadata(folder).map(|data| data.permissions().mode() & 0o077);
    match mode {
        Ok(mode) if mode != 0 => Check::warn(
            "data",
            format!("{} holds keys and can be read by others", folder.display()),
            format!("chmod 700 {}; `windlass serve` does so when it starts.", folder.display()),
        ),
        _ => check,
    }
}

fn log_check(folder: &Path) -> Check {
    writable("logs", folder, "Set build.log_dir (BUILD_LOG_DIR) to a folder that is yours.")
}

/// Tries it with a file that is gone at once, in the folder or where it will be made.
fn writable(name: &'static str, folder: &Path, advice: &str) -> Check {
    let Some(existing) = nearest(folder) else {
        return Check::fail(name, format!("{} cannot be looked at", folder.display()), advice);
    };
    if !existing.is_dir() {
        return Check::fail(name, format!("{} is not a folder", existing.display()), advice);
    }
    match tempfile::tempfile_in(&existing) {
        Ok(_) if existing == folder => Check::ok(name, format!("{} is writable", folder.display())),
        Ok(_) => Check::ok(name, format!("{} will be created", folder.display())),
        Err(error) => Check::fail(name, format!("{} is not writable: {error}", existing.display()), advice),
    }
}

/// The folder itself or the nearest one above it that exists.
fn nearest(folder: &Path) -> Option<PathBuf> {
    let found = folder.ancestors().find(|path| path.exists() || path.as_os_str().is_empty())?;
    Some(if found.as_os_str().is_empty() { PathBuf::from(".") } else { found.to_path_buf() })
}

/// Bytes that are free where the folder is or will be.
pub(super) fn free_bytes(folder: &Path) -> Option<u64> {
    let facts = rustix::fs::statvfs(nearest(folder)?).ok()?;
    Some(facts.f_bavail.saturating_mul(facts.f_frsize))
}

/// How much room there is; nothing where that cannot be found out.
pub(super) fn disk_check(folder: &Path) -> Option<Check> {
    let free = free_bytes(folder)?;
    let detail = format!("{} MiB are free for {}", free / 1_048_576, folder.display());
    Some(match free {
        0..LEAST_FREE => Check::fail("disk", detail, "Make room; a full disk stops builds and the database."),
        LEAST_FREE..ENOUGH_FREE => Check::warn("disk", detail, "Make room before builds need it."),
        _ => Check::ok("disk", detail),
    })
}

/// Whether the file is there and the one that was pinned; the server finds out whether it fits.
fn plugin_check(name: &str, path: &Path, pinned: Option<&str>) -> Check {
    let advice = format!("Correct plugins.{name} in the configuration.");
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            return Check::fail(
                "plugin",
                format!("{name}: {} cannot be read: {error}", path.display()),
                advice,
            );
        }
    };
    let digest = hex::encode(Sha256::digest(&bytes));
    match pinned {
        Some(pinned) if pinned.eq_ignore_ascii_case(&digest) => {
            Check::ok("plugin", format!("{name}: the file is the pinned one"))
        }
        Some(_) => Check::fail(
            "plugin",
            format!("{name}: {} has sha256 {digest}, not the pinned one", path.display()),
            advice,
        ),
        None => Check::warn(
            "plugin",
            format!("{name}: any change of {} goes unnoticed", path.display()),
            format!("Pin it: sha256 = \"{digest}\"."),
        ),
    }
}

async fn engine_check(host: &str) -> Check {
    let advice = "Start the Docker engine, or set docker.host (DOCKER_HOST) to its address.";
    let docker = match Docker::connect(Some(host).filter(|host| !host.is_empty()), "doctor") {
        Ok(docker) => docker,
        Err(error) => return Check::fail("docker", error.to_string(), advice),
    };
    match tokio::time::timeout(ENGINE_PATIENCE, docker.version()).await {
        Ok(Ok(facts)) => {
            let engine = format!("engine {} (API {}) at {}", facts.version, facts.api_version, docker.host());
            if facts.buildkit {
                Check::ok("docker", format!("{engine}, with BuildKit"))
            } else {
                Check::warn(
                    "docker",
                    format!("{engine}, without BuildKit"),
                    "Build secrets and caches need Docker 23 or newer on Linux.",
                )
            }
        }
        Ok(Err(error)) => Check::fail("docker", error.to_string(), advice),
        Err(_) => {
            let seconds = ENGINE_PATIENCE.as_secs();
            Check::fail(
                "docker",
                format!("the engine at {} does not answer within {seconds} s", docker.host()),
                advice,
            )
        }
    }
}

fn port_check(address: SocketAddr) -> (Option<Check>, Option<SocketAddr>) {
    match TcpListener::bind(address) {
        Ok(_) => (Some(Check::ok("port", format!("{address} is free"))), None),
        Err(error) if error.kind() == ErrorKind::AddrInUse => (None, Some(address)),
        Err(error) => {
            let advice =
                "Set server.listen (WINDLASS_LISTEN) to an address of this machine and a port from 1024 on.";
            (Some(Check::fail("port", format!("{address} cannot be listened on: {error}"), advice)), None)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_does_not_exist_yet_is_fine_where_it_can_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let check = writable("data", &folder.path().join("a/b"), "");
        assert_eq!((check.verdict, check.detail.ends_with("will be created")), (Verdict::Ok, true));
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert_eq!(writable("data", &folder.path().join("file/b"), "").verdict, Verdict::Fail);
        assert!(std::fs::read_dir(folder.path()).unwrap().count() == 1, "nothing is left behind");
    }

    #[test]
    fn a_port_that_is_taken_is_left_to_be_asked() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(port_check(address), (None, Some(address)));
        drop(listener);
        assert_eq!(port_check(address).0.unwrap().verdict, Verdict::Ok);
    }

    #[test]
    fn a_plugin_that_is_not_the_pinned_one_fails() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wasm");
        assert_eq!(plugin_check("x", &path, None).verdict, Verdict::Fail);
        std::fs::write(&path, "x").unwrap();
        assert_eq!(plugin_check("x", &path, None).verdict, Verdict::Warn);
        assert_eq!(plugin_check("x", &path, Some("00")).verdict, Verdict::Fail);
        let digest = hex::encode(Sha256::digest("x"));
        assert_eq!(plugin_check("x", &path, Some(&digest.to_uppercase())).verdict, Verdict::Ok);
    }
}
