//! What the host knows of a plugin: the host's side of `windlass:plugin/manifest` and of the component's type.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::UnixMs;
use super::admission::{AskChange, Conformity, PluginState};
use super::breaker::BreakerStatus;

/// The kinds of plugin this host can load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginKind {
    CiProvider,
    GitForge,
    PipelineGenerator,
    BuildPlanner,
    DeploymentStrategy,
    Notifier,
}

impl PluginKind {
    pub const ALL: [Self; 6] = [
        Self::CiProvider,
        Self::GitForge,
        Self::PipelineGenerator,
        Self::BuildPlanner,
        Self::DeploymentStrategy,
        Self::Notifier,
    ];

    /// Whether a plugin of this kind talks to the other side of a connection. The others are pure.
    pub fn may_send_requests(self) -> bool {
        match self {
            Self::CiProvider | Self::GitForge => true,
            Self::PipelineGenerator | Self::BuildPlanner | Self::DeploymentStrategy | Self::Notifier => false,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::CiProvider => "ci-provider",
            Self::GitForge => "git-forge",
            Self::PipelineGenerator => "pipeline-generator",
            Self::BuildPlanner => "build-planner",
            Self::DeploymentStrategy => "deployment-strategy",
            Self::Notifier => "notifier",
        }
    }

    /// The interface that makes a component a plugin of this kind, without its version.
    pub fn interface(self) -> &'static str {
        match self {
            Self::CiProvider => "windlass:ci-provider/provider",
            Self::GitForge => "windlass:git-forge/forge",
            Self::PipelineGenerator => "windlass:pipeline-generator/generator",
            Self::BuildPlanner => "windlass:build-planner/planner",
            Self::DeploymentStrategy => "windlass:deployment-strategy/strategy",
            Self::Notifier => "windlass:notifier/renderer",
        }
    }
}

/// What a plugin can do beyond its kind: an optional interface, found in the component's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ability {
    Webhooks,
    Artifacts,
    Repository,
    WebhookAdmin,
    CommitStatus,
    PullRequests,
    Deployments,
    Timing,
}

impl Ability {
    pub const ALL: [Self; 8] = [
        Self::Webhooks,
        Self::Artifacts,
        Self::Repository,
        Self::WebhookAdmin,
        Self::CommitStatus,
        Self::PullRequests,
        Self::Deployments,
        Self::Timing,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhooks => "webhooks",
            Self::Artifacts => "artifacts",
            Self::Repository => "repository",
            Self::WebhookAdmin => "webhook-admin",
            Self::CommitStatus => "commit-status",
            Self::PullRequests => "pull-requests",
            Self::Deployments => "deployments",
            Self::Timing => "timing",
        }
    }

    /// The kind it belongs to.
    pub fn kind(self) -> PluginKind {
        match self {
            Self::Webhooks | Self::Artifacts => PluginKind::CiProvider,
            Self::Repository
            | Self::WebhookAdmin
            | Self::CommitStatus
            | Self::PullRequests
            | Self::Deployments => PluginKind::GitForge,
            Self::Timing => PluginKind::DeploymentStrategy,
        }
    }

    /// Its interface, without the version.
    pub fn interface(self) -> String {
        format!("windlass:{}/{}", self.kind().as_str(), self.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub name: String,
    pub version: String,
    pub summary: String,
    pub kinds: Vec<String>,
    /// JSON Schema 2020-12, as text.
    pub settings_schema: String,
    pub credentials: Vec<CredentialSlot>,
    pub permissions: Vec<Permission>,
    pub webhooks: Option<WebhookContract>,
    /// Where a forge's API is for repositories at a host: its name, or `*` for any, and the API's base URL.
    #[serde(default)]
    pub api_bases: Vec<(String, String)>,
    /// Of a CI/CD provider: the plugin that writes what it runs.
    #[serde(default)]
    pub generator: Option<String>,
    /// Of a CI/CD provider: whether starting a build twice with the same key starts one.
    #[serde(default)]
    pub keyed_trigger: bool,
    /// Base names of the files of a commit that a build planner wants to read.
    #[serde(default)]
    pub reads: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialSlot {
    pub name: String,
    pub summary: String,
    pub injection: String,
    pub required: bool,
    /// The recipe of a credential that the host mints.
    #[serde(default)]
    pub extras: Vec<(String, String)>,
}

/// What a connection's settings say for a variable of a recipe.
pub fn variable<'a>(settings: &'a Value, name: &str) -> Option<&'a str> {
    settings.get(name).and_then(Value::as_str).filter(|value| !value.is_empty())
}

/// The injection whose secret is an app's key.
const APP: &str = "app-jwt";
/// The injection whose secret is a refresh token.
const REFRESH: &str = "oauth2";
/// Parts of a recipe in which `{name}` stands for a variable.
const WITH_VARIABLES: [&str; 3] = ["mint-path", "mint-issuer", "mint-client"];

impl CredentialSlot {
    /// Whether tokens are made from its secret, which is an app's key.
    pub fn is_app(&self) -> bool {
        self.injection == APP
    }

    /// Whether its secret is a refresh token, which is traded for access tokens.
    pub fn is_refresh(&self) -> bool {
        self.injection == REFRESH
    }

    /// The user that git names beside a token which was made for this slot.
    pub fn git_user(&self) -> Option<&str> {
        let found = self.extras.iter().find(|(name, _)| name == "git-user");
        found.map(|(_, user)| user.as_str()).filter(|user| !user.is_empty())
    }

    /// Whether its secret goes into requests as it is, without a recipe.
    pub fn is_plain(&self) -> bool {
        !self.is_app() && !self.is_refresh() && self.injection != "crumb"
    }

    /// Name of the secret that may go with this one: the client's, with which a refresh token is traded.
    pub fn companion(&self) -> Option<String> {
        self.is_refresh().then(|| format!("{}-client", self.name))
    }

    /// The first variable of its recipe that these settings do not fill in.
    pub fn unfilled(&self, settings: &Value) -> Option<&str> {
        self.variables().into_iter().find(|name| variable(settings, name).is_none())
    }

    /// The variables of the connection that its recipe names: settings of the same names.
    pub fn variables(&self) -> Vec<&str> {
        let recipe = self.extras.iter().filter(|(name, _)| WITH_VARIABLES.contains(&name.as_str()));
        let mut names: Vec<&str> = recipe
            .flat_map(|(_, text)| text.split('{').skip(1))
            .map(|rest| rest.split_once('}').map_or(rest, |(name, _)| name))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    pub methods: Vec<String>,
    pub path: String,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookContract {
    pub schemes: Vec<WebhookScheme>,
    pub delivery_headers: Vec<String>,
    pub event_headers: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookScheme {
    pub name: String,
    pub algorithm: String,
    pub header: String,
    pub prefix: String,
    pub encoding: String,
    pub signed: String,
    /// Between several signatures in one header.
    #[serde(default)]
    pub separator: Option<char>,
    #[serde(default)]
    pub timestamp: Option<TimestampRule>,
    /// The secret is this and then the key in base64.
    #[serde(default)]
    pub secret_prefix: Option<String>,
}

/// When a delivery is too old to be believed, or comes from the future.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimestampRule {
    /// The header with Unix seconds.
    pub header: String,
    pub tolerance_secs: u32,
}

/// One loaded plugin, for lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginInfo {
    pub manifest: Manifest,
    /// sha256 of the component, in hex.
    pub digest: String,
    /// `builtin` or `path:…`.
    pub source: String,
    /// Read from the component's type, not from what it says.
    pub kinds: Vec<PluginKind>,
    /// Optional interfaces, read from the component's type as well.
    pub abilities: Vec<Ability>,
    /// Interfaces the component imports and exports, with versions.
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    pub size_bytes: u64,
}

/// One configured plugin, loaded or not. A plugin that does not load never stops the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginStatus {
    pub name: String,
    /// `builtin` or `path:…`.
    pub source: String,
    /// sha256 of the component, in hex, if its bytes could be read.
    pub digest: Option<String>,
    /// Present exactly if it is loaded.
    pub info: Option<PluginInfo>,
    /// Why it is not loaded, what differs, and what to do.
    pub error: Option<String>,
    pub admission: PluginAdmission,
    pub health: PluginHealth,
}

/// Whether the configured component may run, and if not, why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginAdmission {
    pub state: PluginState,
    /// Of the component that was found under this name, whether it runs or is held back.
    pub conformity: Conformity,
    /// It was installed over the API, so it can be removed.
    pub installed: bool,
    /// sha256 of the component that is held back, in hex, where another one runs or none.
    pub held_digest: Option<String>,
    pub last_good_digest: Option<String>,
    pub reason: Option<String>,
    /// What it may use.
    pub granted: Vec<String>,
    /// What it asks for beyond that; see [`super::admission::asks`].
    pub missing: Vec<String>,
    /// What the component that is held back asks for otherwise than the one that runs.
    pub change: AskChange,
}

/// How a plugin's calls went lately.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginHealth {
    /// Calls that ended in the last minute.
    pub calls_last_minute: u32,
    /// Of the last 256 calls, in microseconds; `None` before the first.
    pub p50_us: Option<u64>,
    pub p99_us: Option<u64>,
    /// Used in the last minute, in microseconds.
    pub cpu_us_last_minute: u64,
    pub wall_us_last_minute: u64,
    /// The last calls that ended badly, newest first.
    pub failures: Vec<PluginFailure>,
    /// Those that are not closed, or close to opening.
    pub breakers: Vec<BreakerStatus>,
}

impl PluginHealth {
    /// Whether calls to some connection are held back.
    pub fn is_suspended(&self) -> bool {
        self.breakers.iter().any(|breaker| breaker.state != "closed")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginFailure {
    pub at: UnixMs,
    pub call: String,
    pub message: String,
}

/// One finding of a plugin's `validate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// JSON pointer into the validated value; empty for the whole.
    pub path: String,
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_names_its_variables_once() {
        let extras = [
            ("mint-path", "/app/installations/{installation_id}/of/{app_id}"),
            ("mint-issuer", "{app_id}"),
            ("mint-token", "/{none}"),
        ];
        let slot = CredentialSlot {
            name: "app".into(),
            summary: String::new(),
            injection: "app-jwt".into(),
            required: false,
            extras: extras.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        };
        assert_eq!(slot.variables(), ["app_id", "installation_id"]);
        assert_eq!((slot.is_app(), slot.is_plain(), slot.companion()), (true, false, None));
        let settings = serde_json::json!({ "app_id": "7", "installation_id": "" });
        assert_eq!(slot.unfilled(&settings), Some("installation_id"));
        let refresh = CredentialSlot { injection: "oauth2".into(), ..slot };
        assert_eq!((refresh.companion().as_deref(), refresh.git_user()), (Some("app-client"), None));
        let user = vec![("git-user".to_owned(), "oauth2".to_owned())];
        assert_eq!(CredentialSlot { extras: user, ..refresh }.git_user(), Some("oauth2"));
    }
}
