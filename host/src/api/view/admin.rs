//! Webhook deliveries, tokens, plugins and events.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{time, times};
use crate::domain::access::Role;
use crate::domain::event::{Event, PastEvent};
use crate::domain::plugin::{PluginHealth, PluginStatus};
use crate::domain::token::Token;
use crate::domain::webhook::{StackOutcome, WebhookEvent};

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookEventView {
    pub id: String,
    pub seq: i64,
    pub repository_id: Option<String>,
    pub provider: String,
    pub event_type: String,
    pub delivery_id: Option<String>,
    pub verified: bool,
    /// Which secret it was signed with: current, previous, or global.
    pub matched_secret: Option<String>,
    /// Id of the event that this is a copy of, made to read it again.
    pub replay_of: Option<String>,
    /// How it came in: `delivery`, or found on the git server at the server's start (`start`) or by looking there (`poll`).
    pub origin: String,
    pub processed: bool,
    /// Why it ended as it did: deployed, branch_mismatch, skip_ci, bad_signature, …
    pub reason: Option<String>,
    pub detail: Option<String>,
    pub deployment_id: Option<String>,
    pub received_at: String,
    pub processed_at: Option<String>,
    pub error: Option<String>,
    /// What it meant for each stack and branch, where there is more than one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<StackOutcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<Vec<(String, String)>>,
    /// The body as text; only when one event is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
}

impl WebhookEventView {
    pub fn summary(event: WebhookEvent) -> Self {
        Self {
            id: event.id.to_string(),
            seq: event.seq,
            repository_id: event.repository_id.map(|id| id.to_string()),
            provider: event.provider,
            event_type: event.event_type,
            delivery_id: event.delivery_id,
            verified: event.verified,
            matched_secret: event.matched_secret.map(|secret| secret.as_str().into()),
            replay_of: event.replay_of.map(|id| id.to_string()),
            origin: event.origin.as_str().into(),
            processed: event.processed,
            reason: event.reason.map(|reason| reason.as_str().into()),
            detail: event.detail,
            deployment_id: event.deployment_id.map(|id| id.to_string()),
            received_at: time(event.received_at),
            processed_at: times(event.processed_at),
            error: event.error,
            outcomes: event.outcomes,
            headers: None,
            payload: None,
        }
    }

    pub fn whole(event: WebhookEvent) -> Self {
        let (headers, payload) =
            (event.headers.clone(), String::from_utf8_lossy(&event.payload).into_owned());
        Self { headers: Some(headers), payload: Some(payload), ..Self::summary(event) }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenView {
    pub id: String,
    pub name: String,
    /// The first characters, to recognise it by.
    pub prefix: String,
    pub created_at: String,
    pub last_used_at: Option<String>,
    pub expires_at: Option<String>,
    pub revoked_at: Option<String>,
    /// Whose it is.
    pub user_id: Option<String>,
    /// The most that it may do; absent: as much as its owner.
    pub role: Option<Role>,
    /// The only team, and the only project, that it is good for.
    pub team_id: Option<String>,
    pub project_id: Option<String>,
    /// The token itself; only in the answer to its creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl From<Token> for TokenView {
    fn from(token: Token) -> Self {
        Self {
            id: token.id.to_string(),
            name: token.name,
            prefix: token.prefix,
            created_at: time(token.created_at),
            last_used_at: times(token.last_used_at),
            expires_at: times(token.expires_at),
            revoked_at: times(token.revoked_at),
            user_id: token.user_id.map(|id| id.to_string()),
            role: token.limit.role,
            team_id: token.limit.team.map(|id| id.to_string()),
            project_id: token.limit.project.map(|id| id.to_string()),
            secret: None,
        }
    }
}

#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PluginView {
    pub name: String,
    pub version: String,
    pub summary: String,
    /// Read from the component's type.
    pub kinds: Vec<String>,
    /// Optional interfaces of these kinds that the component has, read from its type as well.
    pub abilities: Vec<String>,
    pub digest: String,
    pub source: String,
    pub size_bytes: u64,
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    pub settings_schema: Value,
    pub webhook_schemes: Vec<String>,
    /// Why it could not be loaded.
    pub error: Option<String>,
    /// enabled, disabled, quarantined or awaiting_approval. In the last two an earlier component runs, if there is one.
    pub state: String,
    /// Why it is in this state.
    pub reason: Option<String>,
    /// What the conformance suite says about the component that was found: passed, failed, skipped if the operator wants
    /// that, or unchecked if it is built in, does not load or may not run anyway.
    pub conformity: String,
    /// It was installed over the API, so it can be removed.
    pub installed: bool,
    /// sha256 of the component that is held back.
    pub held_digest: Option<String>,
    /// sha256 of the component that is returned to when this one fails.
    pub last_good_digest: Option<String>,
    /// What it may use.
    pub granted: Vec<String>,
    /// What it asks for beyond that.
    pub missing: Vec<String>,
    /// What the component that is held back asks for otherwise than the one that runs.
    pub change: AskChangeView,
    pub health: PluginHealthView,
}

#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AskChangeView {
    /// The one that runs does not ask for it; everything, if none runs.
    pub new: Vec<String>,
    /// Only the one that runs asks for it.
    pub gone: Vec<String>,
}

#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PluginHealthView {
    /// Calls to some connection are held back after faults in a row.
    pub suspended: bool,
    pub calls_last_minute: u32,
    /// Microseconds; of the last 256 calls.
    pub p50_us: Option<u64>,
    pub p99_us: Option<u64>,
    pub cpu_us_last_minute: u64,
    pub wall_us_last_minute: u64,
    /// The last calls that ended badly, newest first.
    pub failures: Vec<PluginFailureView>,
    pub breakers: Vec<BreakerView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PluginFailureView {
    pub at: String,
    pub call: String,
    pub message: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BreakerView {
    /// Empty for calls that need no connection.
    pub connection: String,
    /// closed, open or half-open.
    pub state: String,
    pub faults: u32,
    /// When the next call is let through.
    pub until: Option<String>,
    pub reason: String,
}

impl From<PluginHealth> for PluginHealthView {
    fn from(health: PluginHealth) -> Self {
        let failures = health.failures.iter().map(|failure| PluginFailureView {
            at: time(failure.at),
            call: failure.call.clone(),
            message: failure.message.clone(),
        });
        let breakers = health.breakers.iter().map(|breaker| BreakerView {
            connection: breaker.connection.clone(),
            state: breaker.state.clone(),
            faults: breaker.faults,
            until: times(breaker.until),
            reason: breaker.reason.clone(),
        });
        Self {
            suspended: health.is_suspended(),
            calls_last_minute: health.calls_last_minute,
            p50_us: health.p50_us,
            p99_us: health.p99_us,
            cpu_us_last_minute: health.cpu_us_last_minute,
            wall_us_last_minute: health.wall_us_last_minute,
            failures: failures.collect(),
            breakers: breakers.collect(),
        }
    }
}

impl From<PluginStatus> for PluginView {
    fn from(status: PluginStatus) -> Self {
        let admission = status.admission;
        let known = Self {
            name: status.name,
            digest: status.digest.unwrap_or_default(),
            source: status.source,
            error: status.error,
            state: admission.state.as_str().into(),
            reason: admission.reason,
            conformity: admission.conformity.as_str().into(),
            installed: admission.installed,
            held_digest: admission.held_digest,
            last_good_digest: admission.last_good_digest,
            granted: admission.granted,
            missing: admission.missing,
            change: AskChangeView { new: admission.change.new, gone: admission.change.gone },
            health: status.health.into(),
            ..Self::default()
        };
        let Some(info) = status.info else { return known };
        let schemes = info.manifest.webhooks.map(|contract| contract.schemes).unwrap_or_default();
        Self {
            version: info.manifest.version,
            summary: info.manifest.summary,
            kinds: info.kinds.iter().map(|kind| kind.as_str().to_string()).collect(),
            abilities: info.abilities.iter().map(|ability| ability.as_str().to_string()).collect(),
            size_bytes: info.size_bytes,
            imports: info.imports,
            exports: info.exports,
            settings_schema: serde_json::from_str(&info.manifest.settings_schema).unwrap_or_default(),
            webhook_schemes: schemes.into_iter().map(|scheme| scheme.name).collect(),
            ..known
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    pub seq: i64,
    pub kind: String,
    pub stack_id: Option<String>,
    pub subject_id: Option<String>,
    pub data: Value,
    pub at: String,
}

/// An event of the past.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PastEventView {
    #[serde(flatten)]
    pub event: EventView,
    /// Name of its stack; absent if it is about none, or about one that is gone.
    pub stack: Option<String>,
    /// What it says, in a line.
    pub text: String,
}

impl From<PastEvent> for PastEventView {
    fn from(past: PastEvent) -> Self {
        Self { text: past.event.words(), stack: past.stack, event: past.event.into() }
    }
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        Self {
            seq: event.seq,
            kind: event.kind.as_str().into(),
            stack_id: event.stack_id.map(|id| id.to_string()),
            subject_id: event.subject_id.map(|id| id.to_string()),
            data: event.data,
            at: time(event.at),
        }
    }
}
