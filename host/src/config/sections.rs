//! The sections of the configuration. `defaults.toml` says what each setting is for.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
pub struct PluginLimits {
    pub cpu_seconds_per_minute: u64,
    pub wall_seconds_per_minute: u64,
    pub team_factor: u32,
}

/// What is installed over the API.
#[derive(Debug, Clone, Deserialize)]
pub struct PluginInstall {
    /// Public key in PEM that has to have signed it; empty: none has to.
    pub cosign_key: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Notifications {
    /// After which a message is given up; at least 1.
    pub attempts: u32,
    pub retry_secs: u32,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Server {
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    pub public_url: String,
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    pub patience_secs: u32,
    pub requests_per_minute: u32,
}

/// Where the server goes for URLs that people of a team write.
#[derive(Debug, Clone, Deserialize)]
pub struct Outgoing {
    #[serde(deserialize_with = "networks")]
    pub private_networks: Vec<IpNet>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Database {
    pub url: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct DockerConfig {
    pub host: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Build {
    pub log_dir: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Jobs {
    pub workers: usize,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Rollouts {
    /// Unanswered for so long, a question counts as rejected.
    pub approval_hours: u32,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Retention {
    /// Good releases of a stack whose images stay; at least 1.
    pub releases: usize,
    pub webhook_days: u32,
    pub event_days: u32,
    pub log_days: u32,
    /// Entries of the record.
    pub audit_days: u32,
    pub artifact_days: u32,
    pub mirrors_gib: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Backup {
    /// Public keys of age. Without one, none are made.
    pub recipients: Vec<String>,
    /// Empty: one in the data folder.
    pub folder: PathBuf,
    /// Empty: only when somebody asks.
    pub schedule: String,
    pub time_zone: String,
    /// Files that stay; at least 1.
    pub keep: usize,
}

#[derive(Clone, Deserialize)]
pub struct Webhooks {
    pub secret: String,
    pub max_body_bytes: usize,
    /// Bodies that are held in memory at the same time.
    pub max_buffered_bytes: usize,
    /// Of one address, 0 for no limit.
    pub per_minute: u32,
    pub refused_per_minute: u32,
}

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhooks").field("max_body_bytes", &self.max_body_bytes).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Deserialize)]
pub struct Log {
    pub level: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub struct RecorderConfig {
    /// 0 turns the flight recorder off.
    pub keep_days: i64,
    pub max_calls: i64,
    pub max_mib: i64,
}

#[derive(Debug, Clone, Deserialize)]
pub struct RouterConfig {
    /// Whether `windlass serve` starts it.
    pub enabled: bool,
    pub http: Vec<SocketAddr>,
    pub https: Vec<SocketAddr>,
    /// `off`, `on` or a path.
    pub access_log: String,
    pub trust_forwarded: bool,
    /// Above this it begins anew, and the one before is kept.
    pub access_log_max_mib: u64,
    /// Seconds that a router gets to finish after another one has taken over.
    pub drain_secs: u64,
    /// Of the operator's own.
    pub certificates: Vec<OwnCertificate>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnCertificate {
    /// Empty: every name that no other certificate is for.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// PEM files.
    pub chain: PathBuf,
    pub key: PathBuf,
}

/// Where certificates come from.
#[derive(Debug, Clone, Deserialize)]
pub struct Acme {
    /// Address of the ACME server's directory; empty: none are got.
    pub directory: String,
    pub email: String,
    /// PEM file of a further authority for the ACME server itself; empty: none.
    pub root: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Strategies {
    pub default: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    /// `builtin`, `path:<file>` or `oci:<reference>@sha256:<digest>`.
    pub source: String,
    #[serde(default)]
    pub sha256: Option<String>,
    /// What it may ask for, such as `http:self`.
    #[serde(default)]
    pub grant: Vec<String>,
    #[serde(default)]
    pub cosign_key: Option<PathBuf>,
    /// Take it in without the conformance suite.
    #[serde(default)]
    pub skip_conformance: bool,
}

/// Where traces go.
#[derive(Debug, Clone, Deserialize)]
pub struct Telemetry {
    /// Address of an OpenTelemetry collector; empty: nothing is traced.
    pub otlp_endpoint: String,
}

/// Log-ins through an OpenID provider.
#[derive(Clone, Deserialize)]
pub struct Oidc {
    /// Empty: there are none.
    pub issuer: String,
    pub client_id: String,
    pub client_secret: String,
    /// On the button.
    pub label: String,
    pub scopes: Vec<String>,
    pub groups_claim: String,
    pub private_network: bool,
    /// PEM file of a further authority; empty: none.
    pub root: PathBuf,
    /// Whether names and passwords are taken as well.
    pub password_login: bool,
    pub admin_groups: Vec<String>,
    pub rules: Vec<SignOnRule>,
}

impl std::fmt::Debug for Oidc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Oidc").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// Whoever fits gets the role in the team.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignOnRule {
    /// A verified address, or `*@` and a domain.
    #[serde(default)]
    pub email: String,
    #[serde(default)]
    pub group: String,
    pub team: String,
    /// `viewer`, `developer`, `deployer` or `admin`.
    pub role: String,
}

/// Networks; an address alone is the smallest one.
fn networks<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let parse = |text: &String| {
        let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        net.map_err(|_| {
            serde::de::Error::custom(format!("`{text}` is neither an address nor a network like 10.0.0.0/8"))
        })
    };
    texts.iter().map(parse).collect()
}

/// An address whose error shows what was written.
fn address<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        serde::de::Error::custom(format!(
            "server.listen (WINDLASS_LISTEN) has to be an address and a port, like 127.0.0.1:8080, not `{}`",
            text.escape_debug()
        ))
    })
}
