//! What a rendered compose file may ask of the machine. Everything that is not known to be harmless is refused: a file in
//! a repository is written by whoever may push to it.

use serde_json::Value;

use super::source::FIELD;
use super::{Grant, is_true, list, section, text};
use crate::domain::path::join;
use crate::error::{Error, Result};

/// What a service may say; the values of some are looked at below.
const SERVICE: &[&str] = &[
    "attach",
    "blkio_config",
    "build",
    "cap_add",
    "cap_drop",
    "cgroup",
    "cgroup_parent",
    "command",
    "configs",
    "container_name",
    "cpu_count",
    "cpu_percent",
    "cpu_period",
    "cpu_quota",
    "cpu_shares",
    "cpus",
    "cpuset",
    "depends_on",
    "deploy",
    "develop",
    "device_cgroup_rules",
    "devices",
    "dns",
    "dns_opt",
    "dns_search",
    "domainname",
    "entrypoint",
    "environment",
    "expose",
    "extra_hosts",
    "group_add",
    "healthcheck",
    "hostname",
    "image",
    "init",
    "ipc",
    "labels",
    "links",
    "logging",
    "mac_address",
    "mem_limit",
    "mem_reservation",
    "mem_swappiness",
    "memswap_limit",
    "network_mode",
    "networks",
    "pid",
    "pids_limit",
    "platform",
    "ports",
    "privileged",
    "profiles",
    "pull_policy",
    "read_only",
    "restart",
    "scale",
    "security_opt",
    "shm_size",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "storage_opt",
    "sysctls",
    "tmpfs",
    "tty",
    "ulimits",
    "user",
    "userns_mode",
    "uts",
    "volumes",
    "working_dir",
];
const BUILD: &[&str] = &["context", "dockerfile", "args", "target", "labels", "pull"];
/// Of these, whatever is not empty needs the grant.
const PRIVILEGED: &[&str] = &[
    "cap_add",
    "cgroup",
    "cgroup_parent",
    "device_cgroup_rules",
    "devices",
    "ipc",
    "pid",
    "security_opt",
    "userns_mode",
    "uts",
];
const SOCKETS: [&str; 2] = ["/var/run/docker.sock", "/run/docker.sock"];

/// # Errors
/// `Invalid` that names the service, what it asks for, and the grant that would allow it.
pub fn check(file: &Value, project: &str, grants: &[Grant]) -> Result<()> {
    let granted = |grant: Grant| grants.contains(&grant);
    for (name, service) in section(file, "services") {
        let complaint = Complaint { service: name, granted: &granted };
        complaint.keys(service)?;
        complaint.rights(service)?;
        complaint.network(service)?;
        complaint.labels(service)?;
        for volume in list(service, "volumes") {
            complaint.volume(volume)?;
        }
    }
    for kind in ["volumes", "networks"] {
        for (name, item) in section(file, kind) {
            check_owner(kind, name, item, project, &granted)?;
            check_driver(kind, name, item, &granted)?;
        }
    }
    Ok(())
}

struct Complaint<'a> {
    service: &'a str,
    granted: &'a dyn Fn(Grant) -> bool,
}

impl Complaint<'_> {
    fn keys(&self, service: &Value) -> Result<()> {
        let known = |key: &str| SERVICE.contains(&key) || key.starts_with("x-");
        let unknown =
            service.as_object().into_iter().flatten().find(|(key, value)| !known(key) && !is_empty(value));
        if let Some((key, _)) = unknown {
            return self.refuse(&format!("`{}`, which this server does not deploy", key.escape_debug()));
        }
        if let Some(build) = service.get("build") {
            let odd = build.as_object().into_iter().flatten().find(|(key, _)| !BUILD.contains(&key.as_str()));
            if let Some((key, _)) = odd {
                return self.refuse(&format!(
                    "`build.{}`, which this server does not build with",
                    key.escape_debug()
                ));
            }
        }
        match service.get("logging").and_then(|logging| text(logging, "driver")) {
            None | Some("json-file" | "local" | "none") => Ok(()),
            Some(driver) => self.refuse(&format!(
                "the log driver `{}`; take json-file, local or none",
                driver.escape_debug()
            )),
        }
    }

    fn rights(&self, service: &Value) -> Result<()> {
        if is_true(service, "privileged") {
            self.needs(Grant::Privileged, "a privileged container")?;
        }
        let harmless = |key: &str, value: &Value| match key {
            "security_opt" => value.as_array().is_some_and(|all| {
                all.iter().all(|one| one.as_str().is_some_and(|text| text.starts_with("no-new-privileges")))
            }),
            "ipc" | "cgroup" => matches!(value.as_str(), Some("private" | "shareable" | "none")),
            _ => false,
        };
        for key in PRIVILEGED {
            if let Some(value) = service.get(key).filter(|value| !is_empty(value) && !harmless(key, value)) {
                self.needs(Grant::Privileged, &format!("`{key}: {value}`"))?;
            }
        }
        let devices = service.pointer("/deploy/resources/reservations/devices");
        if devices.is_some_and(|devices| !is_empty(devices)) {
            self.needs(Grant::Privileged, "devices of the machine")?;
        }
        Ok(())
    }

    fn network(&self, service: &Value) -> Result<()> {
        match text(service, "network_mode") {
            None | Some("" | "none" | "bridge") => Ok(()),
            Some("host") => self.needs(Grant::HostNetwork, "the machine's network"),
            Some(mode) => {
                self.refuse(&format!("the network mode `{}`; list its networks instead", mode.escape_debug()))
            }
        }
    }

    /// By our labels a restarted server finds its containers, and compose finds its own by its labels.
    fn labels(&self, service: &Value) -> Result<()> {
        let taken = |key: &str| key.starts_with("dev.windlass.") || key.starts_with("com.docker.compose.");
        let deployed = service.get("deploy").into_iter().flat_map(|deploy| section(deploy, "labels"));
        match section(service, "labels").chain(deployed).find(|(key, _)| taken(key)) {
            Some((key, _)) => {
                self.refuse(&format!("the label `{}`, which is not its own", key.escape_debug()))
            }
            None => Ok(()),
        }
    }

    fn volume(&self, volume: &Value) -> Result<()> {
        let source = text(volume, "source").unwrap_or_default();
        match text(volume, "type") {
            Some("volume" | "tmpfs") => Ok(()),
            Some("bind") if reaches_socket(source) => self.needs(
                Grant::DockerSocket,
                &format!("`{}`, which has the engine's socket", source.escape_debug()),
            ),
            Some("bind") => {
                self.needs(Grant::HostMounts, &format!("`{}` of the machine", source.escape_debug()))
            }
            _ => self.refuse("a volume of a type that this server does not know"),
        }
    }

    fn needs(&self, grant: Grant, what: &str) -> Result<()> {
        if (self.granted)(grant) {
            return Ok(());
        }
        Err(Error::invalid(
            FIELD,
            format!(
                "service `{}` asks for {what}, which the stack has no grant for; remove it, or add `{}` to the stack's \
                 run.grants",
                self.service.escape_debug(),
                grant.as_str()
            ),
        ))
    }

    fn refuse(&self, what: &str) -> Result<()> {
        Err(Error::invalid(FIELD, format!("service `{}` asks for {what}", self.service.escape_debug())))
    }
}

/// Names that do not begin with the stack's own may belong to anybody.
fn check_owner(
    kind: &str,
    key: &str,
    item: &Value,
    project: &str,
    granted: &dyn Fn(Grant) -> bool,
) -> Result<()> {
    let name = text(item, "name").unwrap_or_default();
    if name == "host" && kind == "networks" && !granted(Grant::HostNetwork) {
        return Err(refused(kind, key, "is the machine's own network", Grant::HostNetwork));
    }
    let own = name == format!("{project}_{key}") && !is_true(item, "external");
    if own || granted(Grant::External) {
        return Ok(());
    }
    Err(refused(kind, key, "may belong to something else than this stack", Grant::External))
}

fn check_driver(kind: &str, key: &str, item: &Value, granted: &dyn Fn(Grant) -> bool) -> Result<()> {
    let (usual, grant) =
        if kind == "volumes" { ("local", Grant::HostMounts) } else { ("bridge", Grant::HostNetwork) };
    let driver = text(item, "driver").unwrap_or(usual);
    let has_options = item.get("driver_opts").is_some_and(|options| !is_empty(options));
    if (driver == usual && !has_options) || granted(grant) {
        return Ok(());
    }
    Err(refused(kind, key, "has a driver or options that may reach the machine", grant))
}

fn refused(kind: &str, key: &str, why: &str, grant: Grant) -> Error {
    let kind = kind.trim_end_matches('s');
    Error::invalid(
        FIELD,
        format!(
            "the {kind} `{}` {why}, which the stack has no grant for; change it, or add `{}` to the stack's run.grants",
            key.escape_debug(),
            grant.as_str()
        ),
    )
}

/// The socket itself, and every folder that it lies in. Where `..` leads depends on the machine's links, so it may lead there.
fn reaches_socket(path: &str) -> bool {
    let path = format!("/{}/", join(path, ""));
    let above = |socket: &str| path == "//" || format!("{socket}/").starts_with(&path);
    SOCKETS.iter().any(|socket| above(socket)) || path.ends_with("docker.sock/") || path.contains("/../")
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(given) => !given,
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        Value::Number(_) => false,
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
