//! Configuration: embedded defaults, then the file, then the environment, then validation.
//!
//! The embedded defaults are the manual (`windlass init` writes them); a key they do not list is an error.

mod oidc;
mod polling;
mod registry_login;
mod sections;
mod variable;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

pub use self::polling::Polling;
pub use self::registry_login::RegistryLogin;
pub use self::sections::{
    Acme, Backup, Build, Database, DockerConfig, Jobs, Log, LogFormat, Notifications, Oidc, Outgoing,
    OwnCertificate, Plugin, PluginInstall, PluginLimits, RecorderConfig, Retention, Rollouts, RouterConfig,
    Server, SignOnRule, Strategies, Telemetry, Webhooks,
};
pub use self::variable::{MasterKey, variable};
use crate::error::{Error, Result};

/// The commented file that `windlass init` writes.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// Environment variables and the settings they override. The last three names are the seeds'.
const ENVIRONMENT: &[(&str, &str, &str)] = &[
    ("WINDLASS_LISTEN", "server", "listen"),
    ("WINDLASS_DATA_DIR", "server", "data_dir"),
    ("WINDLASS_PUBLIC_URL", "server", "public_url"),
    ("WINDLASS_DATABASE_URL", "database", "url"),
    ("WINDLASS_LOG", "log", "level"),
    ("DOCKER_HOST", "docker", "host"),
    ("WINDLASS_ROUTER", "router", "enabled"),
    ("WINDLASS_ROUTER_HTTP", "router", "http"),
    ("WINDLASS_ROUTER_HTTPS", "router", "https"),
    ("WINDLASS_PRIVATE_NETWORKS", "outgoing", "private_networks"),
    ("WINDLASS_POLL_INTERVAL", "polling", "interval_secs"),
    ("WINDLASS_ACME_DIRECTORY", "acme", "directory"),
    ("WINDLASS_NOTIFY_ATTEMPTS", "notifications", "attempts"),
    ("WINDLASS_NOTIFY_RETRY", "notifications", "retry_secs"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry", "otlp_endpoint"),
    ("WINDLASS_OIDC_ISSUER", "oidc", "issuer"),
    ("WINDLASS_OIDC_CLIENT_ID", "oidc", "client_id"),
    ("WINDLASS_OIDC_CLIENT_SECRET", "oidc", "client_secret"),
    ("WINDLASS_BACKUP_RECIPIENTS", "backup", "recipients"),
    ("WINDLASS_BACKUP_FOLDER", "backup", "folder"),
    ("WEBHOOK_SECRET", "webhooks", "secret"),
    ("BUILD_LOG_DIR", "build", "log_dir"),
    ("JOB_WORKERS", "jobs", "workers"),
];

/// Keys of a plugin's section.
const PLUGIN_KEYS: [&str; 5] = ["source", "sha256", "grant", "cosign_key", "skip_conformance"];

#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    pub server: Server,
    pub database: Database,
    pub docker: DockerConfig,
    pub build: Build,
    pub jobs: Jobs,
    pub rollouts: Rollouts,
    pub retention: Retention,
    pub backup: Backup,
    pub webhooks: Webhooks,
    pub notifications: Notifications,
    pub outgoing: Outgoing,
    pub polling: Polling,
    pub log: Log,
    pub recorder: RecorderConfig,
    pub router: RouterConfig,
    pub acme: Acme,
    pub telemetry: Telemetry,
    pub oidc: Oidc,
    pub strategies: Strategies,
    pub plugin_limits: PluginLimits,
    pub plugin_install: PluginInstall,
    #[serde(default)]
    pub plugins: BTreeMap<String, Plugin>,
    /// Where the key is that seals secrets. It has no place in the file.
    #[serde(skip)]
    pub master_key: MasterKey,
    /// The file this was read from, to read it again.
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

impl Config {
    /// Reads the file, if one is named, and lays `environment` over it.
    ///
    /// # Errors
    /// `Invalid` with the file, the key and what is expected.
    pub fn load(file: Option<&Path>, environment: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let defaults = parse(DEFAULTS, "the built-in defaults")?;
        let mut table = defaults.clone();
        if let Some(path) = file {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Error::invalid(
                    "config",
                    format!("{} cannot be read: {error}; `windlass init` writes one", path.display()),
                )
            })?;
            let given = parse(&text, &path.display().to_string())?;
            refuse_unknown(&given, &defaults, path)?;
            overlay(&mut table, given);
        }
        for (variable, section, key) in ENVIRONMENT {
            if let Some(text) = self::variable(&environment, variable)? {
                set(&mut table, section, key, variable, text.to_string())?;
            }
        }
        let source = file.map_or("the environment".to_string(), |path| path.display().to_string());
        let config: Self = table.try_into().map_err(|error| {
            Error::invalid("config", format!("{source}: {}", error.to_string().trim().replace('\n', " ")))
        })?;
        config.check()?;
        let master_key = MasterKey::from(&environment)?;
        Ok(Self { master_key, file: file.map(Path::to_path_buf), ..config })
    }

    fn check(&self) -> Result<()> {
        self.check_numbers()?;
        self.polling.check()?;
        let router = &self.router;
        if router.http.len() + router.https.len() > 64 {
            return Err(Error::invalid("router.http", "the router can listen on at most 64 addresses"));
        }
        if router.access_log.is_empty() {
            return Err(Error::invalid(
                "router.access_log",
                "router.access_log has to be off, on or the path of a file",
            ));
        }
        self.check_certificates()?;
        self.oidc.check()?;
        let url = &self.server.public_url;
        if !url.is_empty() && !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(Error::invalid(
                "server.public_url",
                "server.public_url has to start with http:// or https://",
            ));
        }
        self.plugins.iter().try_for_each(|(name, plugin)| plugin.check(name))
    }

    fn check_numbers(&self) -> Result<()> {
        let Self { retention, recorder, webhooks, notifications, .. } = self;
        let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        // Room is taken in pieces, so that a body may take a little more than its length.
        let room = whole(webhooks.max_body_bytes.saturating_add(65_536));
        let any = i64::MAX;
        let bounds = [
            ("jobs.workers", whole(self.jobs.workers), 1, 64),
            ("server.patience_secs", self.server.patience_secs.into(), 1, 3600),
            ("rollouts.approval_hours", self.rollouts.approval_hours.into(), 1, 720),
            ("retention.releases", whole(retention.releases), 1, any),
            ("retention.webhook_days", retention.webhook_days.into(), 1, any),
            ("retention.event_days", retention.event_days.into(), 1, any),
            ("retention.log_days", retention.log_days.into(), 1, any),
            ("retention.audit_days", retention.audit_days.into(), 1, any),
            ("retention.artifact_days", retention.artifact_days.into(), 1, any),
            ("webhooks.max_body_bytes", whole(webhooks.max_body_bytes), 1024, 100 << 20),
            ("webhooks.max_buffered_bytes", whole(webhooks.max_buffered_bytes), room, 1 << 36),
            ("backup.keep", whole(self.backup.keep), 1, 10_000),
            ("recorder.keep_days", recorder.keep_days, 0, 3650),
            ("recorder.max_calls", recorder.max_calls, 100, 10_000_000),
            ("recorder.max_mib", recorder.max_mib, 1, 1 << 20),
            ("router.access_log_max_mib", self.router.access_log_max_mib.cast_signed(), 1, any),
            ("notifications.attempts", notifications.attempts.into(), 1, 20),
            ("notifications.retry_secs", notifications.retry_secs.into(), 1, 3600),
            ("plugin_limits.team_factor", self.plugin_limits.team_factor.into(), 1, any),
        ];
        for (key, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                let range = match most {
                    i64::MAX => format!("at least {least}"),
                    most => format!("between {least} and {most}"),
                };
                let message = format!("{} has to be {range}", with_variable(key));
                return Err(Error::invalid(key, message));
            }
        }
        Ok(())
    }

    fn check_certificates(&self) -> Result<()> {
        let own = &self.router.certificates;
        if let Some(path) = own.iter().flat_map(|own| [&own.chain, &own.key]).find(|path| !path.is_absolute())
        {
            let message = format!("router.certificates: {} has to be an absolute path", path.display());
            return Err(Error::invalid("router.certificates", message));
        }
        let directory = &self.acme.directory;
        if directory.is_empty() {
            return Ok(());
        }
        if !directory.starts_with("https://") {
            return Err(Error::invalid("acme.directory", "acme.directory has to start with https://"));
        }
        if self.router.https.is_empty() {
            return Err(Error::invalid(
                "acme.directory",
                "acme.directory gets certificates for the router, and router.https is empty: nothing would use them",
            ));
        }
        Ok(())
    }

    /// Without a trailing slash.
    pub fn public_url(&self) -> String {
        if self.server.public_url.is_empty() {
            format!("http://{}", self.server.listen)
        } else {
            self.server.public_url.trim_end_matches('/').to_string()
        }
    }

    pub fn database_url(&self) -> String {
        if self.database.url.is_empty() {
            format!("sqlite:{}", self.server.data_dir.join("windlass.db").display())
        } else {
            self.database.url.clone()
        }
    }
}

impl Plugin {
    fn check(&self, name: &str) -> Result<()> {
        let wrong = |key: &str, why: String| {
            let field = format!("plugins.{name}.{key}");
            Err(Error::invalid(field.clone(), format!("{field} {why}")))
        };
        let is_pinned = self.source.strip_prefix("oci:").is_some_and(|reference| {
            reference.split_once("@sha256:").is_some_and(|(_, hex)| hex.len() == 64)
        });
        if self.source != "builtin" && !self.source.starts_with("path:") && !is_pinned {
            let expected = "has to be \"builtin\", \"path:<file>\" or \"oci:<reference>@sha256:<digest>\"";
            return wrong("source", format!("{expected}, not `{}`", self.source));
        }
        if self.cosign_key.is_some() && !is_pinned {
            return wrong("cosign_key", "is for plugins from a registry (oci:…)".into());
        }
        Ok(())
    }
}

/// A setting's key, and the variable that overrides it.
fn with_variable(key: &str) -> String {
    match ENVIRONMENT.iter().find(|(_, section, name)| key.split_once('.') == Some((*section, *name))) {
        Some((variable, ..)) => format!("{key} ({variable})"),
        None => key.to_string(),
    }
}

fn parse(text: &str, source: &str) -> Result<Table> {
    text.parse::<Table>().map_err(|error| {
        Error::invalid("config", format!("{source} is not valid TOML: {}", error.to_string().trim()))
    })
}

/// Every key has to be one of the defaults'; `plugins.<name>` is free in its name only.
fn refuse_unknown(given: &Table, defaults: &Table, path: &Path) -> Result<()> {
    let mut sections: Vec<&str> = defaults.keys().map(String::as_str).collect();
    sections.push("plugins");
    for (section, value) in given {
        if !sections.contains(&section.as_str()) {
            return Err(unknown(path, section, &sections));
        }
        let Value::Table(entries) = value else {
            return Err(Error::invalid(
                "config",
                format!("{}: `{section}` has to be a section", path.display()),
            ));
        };
        if section == "plugins" {
            for (name, entry) in entries {
                let keys = entry.as_table().into_iter().flat_map(Table::keys);
                if let Some(key) = keys.into_iter().find(|key| !PLUGIN_KEYS.contains(&key.as_str())) {
                    return Err(unknown(path, &format!("plugins.{name}.{key}"), &PLUGIN_KEYS));
                }
            }
            continue;
        }
        let known: Vec<&str> = defaults
            .get(section)
            .and_then(Value::as_table)
            .into_iter()
            .flat_map(Table::keys)
            .map(String::as_str)
            .collect();
        if let Some(key) = entries.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(unknown(path, &format!("{section}.{key}"), &known));
        }
    }
    Ok(())
}

fn unknown(path: &Path, key: &str, known: &[&str]) -> Error {
    let last = key.rsplit('.').next().unwrap_or(key);
    let nearest =
        known.iter().max_by(|a, b| strsim::jaro_winkler(a, last).total_cmp(&strsim::jaro_winkler(b, last)));
    let hint = nearest.map_or(String::new(), |name| format!("; the nearest known one is `{name}`"));
    Error::invalid("config", format!("{}: unknown key `{key}`{hint}", path.display()))
}

fn overlay(base: &mut Table, given: Table) {
    for (key, value) in given {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(new)) => overlay(inner, new),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// A variable's text becomes the type that the default has.
fn set(table: &mut Table, section: &str, key: &str, variable: &str, text: String) -> Result<()> {
    let Some(slot) =
        table.get_mut(section).and_then(Value::as_table_mut).and_then(|entries| entries.get_mut(key))
    else {
        return Err(Error::internal(format!("{section}.{key} has no default")));
    };
    *slot = match slot {
        Value::Integer(_) => Value::Integer(text.trim().parse().map_err(|_| {
            Error::invalid(
                variable,
                format!("{variable} has to be a whole number, not `{}`", text.escape_debug()),
            )
        })?),
        Value::Boolean(_) => match text.trim() {
            "true" | "1" => Value::Boolean(true),
            "false" | "0" => Value::Boolean(false),
            _ => {
                return Err(Error::invalid(
                    variable,
                    format!("{variable} has to be true or false, not `{}`", text.escape_debug()),
                ));
            }
        },
        Value::Array(_) => {
            let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
            Value::Array(words.map(|word| Value::String(word.to_string())).collect())
        }
        _ => Value::String(text),
    };
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("windlass.toml");
        std::fs::write(&path, text).unwrap();
        let environment: BTreeMap<&str, &str> = environment.iter().copied().collect();
        Config::load(Some(&path), |name| environment.get(name).map(ToString::to_string))
    }

    #[test]
    fn the_written_file_is_the_default_configuration() {
        let config = load(DEFAULTS, &[]).unwrap();
        assert_eq!(config.jobs.workers, 2);
        assert_eq!(config.build.log_dir, PathBuf::from("./logs"));
        assert_eq!(config.public_url(), "http://127.0.0.1:8080");
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one() {
        let error = load("[jobs]\nworker = 3\n", &[]).unwrap_err().to_string();
        assert!(error.contains("`jobs.worker`") && error.contains("`workers`"), "{error}");
        let error = load("[job]\nworkers = 3\n", &[]).unwrap_err().to_string();
        assert!(error.contains("`jobs`"), "{error}");
        let error = load("[plugins.x]\nsorce = \"builtin\"\n", &[]).unwrap_err().to_string();
        assert!(error.contains("`source`"), "{error}");
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let config = load("[jobs]\nworkers = 3\n", &[("JOB_WORKERS", "7"), ("WEBHOOK_SECRET", "s")]).unwrap();
        assert_eq!((config.jobs.workers, config.webhooks.secret.as_str()), (7, "s"));
        let error = load("", &[("JOB_WORKERS", "many")]).unwrap_err().to_string();
        assert!(error.contains("JOB_WORKERS") && error.contains("many"), "{error}");
    }

    #[test]
    fn a_variable_may_be_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "from a file\n").unwrap();
        let path = path.to_str().unwrap();
        let config = load("", &[("WEBHOOK_SECRET_FILE", path), ("WINDLASS_MASTER_KEY_FILE", path)]).unwrap();
        assert_eq!(config.webhooks.secret, "from a file");
        assert!(matches!(&config.master_key, MasterKey::File(file) if file.to_str() == Some(path)));
        let error = load("", &[("WEBHOOK_SECRET_FILE", path), ("WEBHOOK_SECRET", "x")]).unwrap_err();
        assert!(error.to_string().contains("one of the two"), "{error}");
        let error = load("", &[("WEBHOOK_SECRET_FILE", "/nowhere")]).unwrap_err().to_string();
        assert!(error.contains("/nowhere") && error.contains("WEBHOOK_SECRET_FILE"), "{error}");
    }

    #[test]
    fn the_master_key_may_be_a_credential_of_the_service_manager() {
        let folder = tempfile::tempdir().unwrap();
        let given = [("CREDENTIALS_DIRECTORY", folder.path().to_str().unwrap())];
        assert!(matches!(load("", &given).unwrap().master_key, MasterKey::DataFolder));
        std::fs::write(folder.path().join("windlass-master-key"), "x").unwrap();
        assert!(matches!(load("", &given).unwrap().master_key, MasterKey::File(_)));
        let key = load("", &[("WINDLASS_MASTER_KEY", "planted")]).unwrap().master_key;
        assert!(!format!("{key:?}").contains("planted"));
    }

    #[test]
    fn private_networks_are_those_of_a_site_and_not_this_machine_unless_it_is_said() {
        let reaches = |config: &Config, address: &str| {
            let address: std::net::IpAddr = address.parse().unwrap();
            config.outgoing.private_networks.iter().any(|net| net.contains(&address))
        };
        let usual = load("", &[]).unwrap();
        assert!(reaches(&usual, "10.1.2.3") && reaches(&usual, "192.168.0.1") && reaches(&usual, "fd00::1"));
        assert!(!reaches(&usual, "127.0.0.1") && !reaches(&usual, "100.64.0.1") && !reaches(&usual, "::1"));
        let own = load("", &[("WINDLASS_PRIVATE_NETWORKS", "127.0.0.1, 10.0.0.0/8")]).unwrap();
        assert!(reaches(&own, "127.0.0.1") && !reaches(&own, "192.168.0.1"));
        let error = load("[outgoing]\nprivate_networks = [\"home\"]\n", &[]).unwrap_err().to_string();
        assert!(error.contains("`home`") && error.contains("10.0.0.0/8"), "{error}");
    }

    #[test]
    fn values_out_of_range_are_refused() {
        assert!(load("[jobs]\nworkers = 0\n", &[]).is_err());
        let error = load("[recorder]\nmax_calls = 1\n", &[]).unwrap_err().to_string();
        assert!(error.contains("recorder.max_calls") && error.contains("100"), "{error}");
        assert!(load("[server]\nlisten = \"nowhere\"\n", &[]).is_err());
        assert!(load("[plugins.x]\nsource = \"oci:x\"\n", &[]).is_err());
    }
}
