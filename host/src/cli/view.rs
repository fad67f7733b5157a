//! The parts of the API's answers that are shown to people. `-o json` passes the answers on as they are.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::deployment::DeploymentStatus;
use crate::domain::webhook::StackOutcome;

#[derive(Debug, Deserialize)]
pub struct Items<T> {
    pub items: Vec<T>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    pub seq: i64,
    pub stack_id: String,
    pub commit_sha: String,
    pub commit_message: Option<String>,
    pub commit_author: Option<String>,
    pub branch: String,
    pub image_tag: String,
    pub reason: Option<String>,
    pub status: DeploymentStatus,
    pub label: String,
    pub progress: u64,
    pub strategy: String,
    pub error: Option<String>,
    pub triggered_by: String,
    pub triggered_by_user: Option<String>,
    #[serde(default)]
    pub paused_at: Option<String>,
    pub pause_ms: Option<i64>,
    pub started_at: String,
    pub completed_at: Option<String>,
    pub duration: Option<i64>,
    #[serde(default)]
    pub logs: Logs,
}

/// What is known of complete logs.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Logs {
    build: Option<Log>,
    rollout: Option<Log>,
}

#[derive(Debug, Clone, Deserialize)]
struct Log {
    bytes: u64,
    lines: u64,
    sha256: String,
}

impl Logs {
    pub fn build(&self) -> String {
        self.build.as_ref().map(Log::words).unwrap_or_default()
    }

    pub fn rollout(&self) -> String {
        self.rollout.as_ref().map(Log::words).unwrap_or_default()
    }
}

impl Log {
    fn words(&self) -> String {
        format!("{} lines, {} bytes, sha256 {}", self.lines, self.bytes, self.sha256)
    }
}

impl Deployment {
    /// `main abc1234 "Fix the login"`, or the image where there is no commit.
    pub fn source(&self) -> String {
        let message = self.commit_message.as_deref().and_then(|text| text.lines().next()).unwrap_or("");
        let parts = [
            self.branch.clone(),
            // A deployment of a commit has it in both fields.
            if self.commit_sha == self.branch { String::new() } else { super::text::short(&self.commit_sha) },
            if message.is_empty() { String::new() } else { format!("\"{message}\"") },
        ];
        let words: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        if words.is_empty() { self.image_tag.clone() } else { words.join(" ") }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    pub prompt: String,
    pub plan_hash: String,
    pub state: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    pub n: i64,
    pub effect: String,
    pub state: String,
    pub error: Option<String>,
    pub intended_at: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stack {
    pub name: String,
    pub description: String,
    pub run: Run,
    pub strategy: String,
    #[serde(default)]
    pub target: String,
    pub created_at: String,
    pub git_repository: Option<Repository>,
    pub build_config: Option<BuildConfig>,
    pub latest_deployment: Option<Deployment>,
    pub active_release: Option<Release>,
}

#[derive(Debug, Deserialize)]
pub struct Run {
    pub replicas: u32,
    pub ports: Vec<Port>,
}

impl Run {
    /// `127.0.0.1:8080->3000`, or the container's port alone where the machine's is chosen by the engine.
    pub fn ports(&self) -> String {
        let port = |port: &Port| match port.host {
            Some(host) => format!("{}:{host}->{}", port.address, port.container),
            None => port.container.to_string(),
        };
        self.ports.iter().map(port).collect::<Vec<_>>().join(", ")
    }
}

#[derive(Debug, Deserialize)]
pub struct Port {
    pub container: u16,
    pub host: Option<u16>,
    pub address: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Repository {
    pub id: String,
    pub url: String,
    pub branch: String,
    pub provider: String,
    pub webhook_url: Option<String>,
    #[serde(default)]
    pub auto_sync: bool,
    #[serde(default)]
    pub looked_at: Option<String>,
    #[serde(default)]
    pub look_error: Option<String>,
    #[serde(default)]
    pub webhook_registered: bool,
    #[serde(default)]
    pub webhook_error: Option<String>,
    #[serde(default)]
    pub auth_type: String,
    #[serde(default)]
    pub commit_status: bool,
    #[serde(default)]
    pub commit_status_error: Option<String>,
}

impl Repository {
    /// Where the forge is to send its deliveries, and whether it knows.
    pub fn webhook(&self) -> String {
        let url = self.webhook_url.as_deref().unwrap_or_default();
        match &self.webhook_error {
            Some(error) => format!("{url} (registered at the forge; failed: {error})"),
            None if self.webhook_registered => format!("{url} (registered at the forge)"),
            None => url.to_owned(),
        }
    }

    /// Whether the forge is shown what becomes of each commit.
    pub fn statuses(&self) -> String {
        match &self.commit_status_error {
            _ if !self.commit_status => "not shown".to_owned(),
            _ if self.auth_type != "http_token" => "not shown: there is no access token".to_owned(),
            Some(error) => format!("shown; failed: {error}"),
            None => "shown".to_owned(),
        }
    }

    /// How looking for pushes on its git server goes.
    pub fn looks(&self) -> String {
        let how = if self.auto_sync { "regularly" } else { "at the server's start" };
        let last = self.looked_at.as_deref().map(super::text::ago);
        let last = last.map_or(String::new(), |ago| format!(", last {ago}"));
        let error = self.look_error.as_deref().map_or(String::new(), |error| format!("; failed: {error}"));
        format!("{how}{last}{error}")
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryDetails {
    pub full_name: String,
    pub default_branch: Option<String>,
    pub clone_urls: Vec<String>,
    pub web_url: Option<String>,
    pub description: String,
    pub private: bool,
    pub archived: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildConfig {
    pub build_type: String,
    pub health_check_path: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    pub image_tag: String,
    pub created_at: String,
    #[serde(default)]
    pub services: Vec<Service>,
}

/// One of a compose stack.
#[derive(Debug, Deserialize)]
pub struct Service {
    pub name: String,
    pub routed: bool,
    pub reason: String,
}

/// Without `Debug`, so that the secret is not printed by accident.
#[derive(Deserialize)]
pub struct Webhook {
    pub url: String,
    pub secret: String,
}

/// Without `Debug`, as above.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotated {
    pub url: String,
    pub secret: Option<String>,
    pub previous_until: Option<String>,
    #[serde(default)]
    pub registered: bool,
}

#[derive(Debug, Deserialize)]
pub struct Readiness {
    pub ready: bool,
    pub target: Option<Deployment>,
    pub reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookEvent {
    pub id: String,
    pub seq: i64,
    pub provider: String,
    pub event_type: String,
    pub delivery_id: Option<String>,
    pub verified: bool,
    #[serde(default)]
    pub matched_secret: Option<String>,
    #[serde(default)]
    pub replay_of: Option<String>,
    #[serde(default)]
    pub origin: String,
    #[serde(default)]
    pub outcomes: Vec<StackOutcome>,
    pub reason: Option<String>,
    pub detail: Option<String>,
    pub deployment_id: Option<String>,
    pub received_at: String,
    pub error: Option<String>,
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    pub payload: Option<String>,
}

/// Without `Debug`, so that the secret is not printed by accident.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    pub id: String,
    pub name: String,
    pub prefix: String,
    pub created_at: String,
    pub last_used_at: Option<String>,
    pub expires_at: Option<String>,
    pub revoked_at: Option<String>,
    pub role: Option<String>,
    pub secret: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plugin {
    pub name: String,
    pub version: String,
    pub summary: String,
    pub kinds: Vec<String>,
    #[serde(default)]
    pub abilities: Vec<String>,
    #[serde(default)]
    pub conformity: String,
    pub digest: String,
    pub source: String,
    pub size_bytes: u64,
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    pub settings_schema: Value,
    pub webhook_schemes: Vec<String>,
    pub error: Option<String>,
    pub state: String,
    pub reason: Option<String>,
    pub held_digest: Option<String>,
    pub granted: Vec<String>,
    pub missing: Vec<String>,
    #[serde(default)]
    pub change: AskChange,
    pub health: PluginHealth,
}

#[derive(Debug, Default, Deserialize)]
pub struct AskChange {
    pub new: Vec<String>,
    pub gone: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginHealth {
    pub suspended: bool,
    pub calls_last_minute: u32,
    pub p50_us: Option<u64>,
    pub p99_us: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    pub id: String,
    pub seq: i64,
    pub plugin: String,
    pub digest: String,
    pub interface: String,
    pub function: String,
    pub subject: Option<Subject>,
    pub started_at: String,
    pub duration_us: i64,
    pub cpu_us: i64,
    pub outcome: String,
    pub error: Option<String>,
    pub cut: bool,
    pub count: i64,
    #[serde(default)]
    pub input: Value,
    #[serde(default)]
    pub exchange: Value,
    #[serde(default)]
    pub output: Value,
}

#[derive(Debug, Deserialize)]
pub struct Subject {
    pub kind: String,
    pub id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    pub identical: bool,
    pub outcome: String,
    pub differences: Vec<String>,
    pub duration_us: i64,
}
