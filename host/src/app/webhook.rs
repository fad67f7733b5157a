//! The webhook inbox: verify, store, answer; then read and act.
//!
//! A delivery is answered only after its raw bytes are committed. What they mean is worked out afterwards by a task, so a
//! crash between the two loses nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::App;
use super::deployment::{self, Caller, NewDeployment};
use super::webhook_secret::{self, Key};
use crate::domain::Id;
use crate::domain::build_config::BuildSettings;
use crate::domain::deployment::TriggerType;
use crate::domain::event::{EventKind, NewEvent};
use crate::domain::page::{Page, PageRequest};
use crate::domain::plugin::WebhookContract;
use crate::domain::recording::Subject;
use crate::domain::repository::{GitRepository, normalized_url};
use crate::domain::webhook::{
    ForgeEvent, MatchedSecret, Push, ReasonCode, RefChange, WebhookEvent, reason_not_to_deploy,
};
use crate::error::{Error, PluginErrorKind, Result};
use crate::plugins::signature::{self, SignatureError};
use crate::plugins::{unrecorded, with_subject};
use crate::store::webhook_events::{self, Finish};
use crate::store::webhooks::{self, Ingested, NewDelivery};
use crate::store::{self, build_configs, events, repositories, stacks};

/// How long a looked-up endpoint is used without asking the database again.
const ENDPOINT_AGE: Duration = Duration::from_secs(10);
/// The same if a delivery does not verify: another node may have changed the secret. Strangers cannot make us ask more
/// often than this.
const DOUBTED_AGE: Duration = Duration::from_secs(1);

/// Where a delivery came in.
#[derive(Debug, Clone)]
pub enum Target {
    /// A URL of one repository.
    Repository(Id),
    /// A URL shared by all repositories of one forge plugin.
    Provider(String),
}

#[derive(Debug)]
pub struct Incoming {
    pub target: Target,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    Accepted { event_id: Id },
    Duplicate { of: Id },
}

/// What verification needs, looked up once for many deliveries.
struct Endpoint {
    repository_id: Option<Id>,
    provider: String,
    contract: Arc<WebhookContract>,
    keys: Vec<Key>,
}

/// Looked-up endpoints by repository.
#[derive(Default)]
pub struct Endpoints(Mutex<HashMap<Id, (Instant, Arc<Endpoint>)>>);

impl Endpoints {
    /// After a repository was changed.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn get(&self, id: &Id, age: Duration) -> Option<Arc<Endpoint>> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(id).filter(|(at, _)| at.elapsed() < age).map(|(_, endpoint)| endpoint.clone())
    }

    fn put(&self, id: &Id, endpoint: &Arc<Endpoint>) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, (at, _)| at.elapsed() < ENDPOINT_AGE);
        entries.insert(id.clone(), (Instant::now(), endpoint.clone()));
    }
}

/// Takes one delivery in.
///
/// # Errors
/// `NotFound` for an unknown repository, `Unauthenticated` if the signature does not verify (the delivery is recorded).
pub async fn webhook_receive(app: &App, incoming: Incoming) -> Result<Received> {
    let (endpoint, verdict) = match &incoming.target {
        Target::Repository(id) => judged(app, id, &incoming).await?,
        Target::Provider(name) => {
            let endpoint = provider_endpoint(app, name, &incoming).await?;
            let verdict = verified(&endpoint, &incoming);
            (endpoint, verdict)
        }
    };
    let delivery = delivery(&endpoint, incoming, verdict.as_ref().ok().copied());
    app.metrics.webhook_received(&delivery.provider, delivery.matched_secret);
    match verdict {
        Ok(_) => match webhooks::ingest(&app.db, delivery).await? {
            Ingested::Stored { event_id } => Ok(Received::Accepted { event_id }),
            Ingested::Duplicate { of } => Ok(Received::Duplicate { of }),
        },
        Err(reason) => {
            webhooks::reject(&app.db, delivery, &reason.to_string()).await?;
            Err(Error::Unauthenticated(format!("the delivery is refused: {reason}")))
        }
    }
}

type Verdict = Result<MatchedSecret, SignatureError>;

/// Judges a delivery by what is known of the repository, and by what is stored if that makes it forged.
async fn judged(app: &App, id: &Id, incoming: &Incoming) -> Result<(Arc<Endpoint>, Verdict)> {
    let endpoint = repository_endpoint(app, id, ENDPOINT_AGE).await?;
    let verdict = verified(&endpoint, incoming);
    if verdict.is_ok() {
        return Ok((endpoint, verdict));
    }
    let newer = repository_endpoint(app, id, DOUBTED_AGE).await?;
    let verdict = if Arc::ptr_eq(&newer, &endpoint) { verdict } else { verified(&newer, incoming) };
    Ok((newer, verdict))
}

/// Which secret the delivery was signed with.
fn verified(endpoint: &Endpoint, incoming: &Incoming) -> Verdict {
    let now = store::now();
    let keys: Vec<&Key> = endpoint.keys.iter().filter(|key| key.counts_at(now)).collect();
    let secrets: Vec<&[u8]> = keys.iter().map(|key| key.bytes.as_slice()).collect();
    let matched = signature::verify(&endpoint.contract, &incoming.headers, &incoming.body, &secrets, now)?;
    keys.get(matched).map(|key| key.which).ok_or(SignatureError::NoSecret)
}

/// Reads a stored event and acts on it. Ends with exactly one reason code; doing it twice changes nothing.
pub async fn webhook_process(app: &App, event_id: &Id) -> Result<()> {
    let mut conn = app.db.read().await?;
    let event = webhook_events::find(&mut conn, event_id.as_str()).await?;
    drop(conn);
    if event.processed {
        return Ok(());
    }
    let subject = Subject::webhook_event(&event.id);
    let (headers, body) = (event.headers.clone(), Bytes::from(event.payload.clone()));
    let parsed = with_subject(subject, app.plugins.forge_parse(&event.provider, headers, body)).await;
    match parsed {
        Ok(ForgeEvent::Ping) => {
            finish(app, &event, ReasonCode::Ping, "the forge tested the connection").await
        }
        Ok(ForgeEvent::Unsupported(name)) => {
            let detail = format!("`{}` events are of no consequence here", name.escape_debug());
            finish(app, &event, ReasonCode::UnsupportedEvent, &detail).await
        }
        Ok(ForgeEvent::Push(push)) => act_on_push(app, &event, &push).await,
        Err(Error::Plugin(error)) => {
            let reason = match error.kind {
                PluginErrorKind::Failure { retryable: true, .. } => return Err(Error::Plugin(error)),
                _ if error.kind.pause_ms().is_some() => return Err(Error::Plugin(error)),
                PluginErrorKind::Failure { .. } => ReasonCode::Malformed,
                _ => ReasonCode::PluginFailed,
            };
            finish(app, &event, reason, &error.to_string()).await
        }
        Err(error) => Err(error),
    }
}

pub async fn webhook_list(
    app: &App,
    repository: Option<&Id>,
    page: PageRequest,
) -> Result<Page<WebhookEvent>> {
    let mut conn = app.db.read().await?;
    webhook_events::list(&mut conn, page, repository).await
}

pub async fn webhook_view(app: &App, reference: &str) -> Result<WebhookEvent> {
    let mut conn = app.db.read().await?;
    webhook_events::find(&mut conn, reference).await
}

async fn repository_endpoint(app: &App, id: &Id, age: Duration) -> Result<Arc<Endpoint>> {
    if let Some(endpoint) = app.endpoints.get(id, age) {
        return Ok(endpoint);
    }
    let mut conn = app.db.read().await?;
    let row = repositories::find(&mut conn, id).await?;
    drop(conn);
    let endpoint = Arc::new(Endpoint {
        repository_id: Some(row.id.clone()),
        contract: Arc::new(app.plugins.webhook_contract(&row.provider)?),
        keys: keys(app, &row)?,
        provider: row.provider,
    });
    app.endpoints.put(id, &endpoint);
    Ok(endpoint)
}

/// A repository's own secret comes first, the global one is for repositories without one.
fn keys(app: &App, row: &GitRepository) -> Result<Vec<Key>> {
    let own = webhook_secret::own(app, row)?;
    Ok(if row.webhook_secret.is_some() { own } else { webhook_secret::global(app) })
}

/// On a shared URL the secrets of the repositories that the delivery claims to be about count, and the global one.
///
/// To find them the body is read by the plugin before it is verified; that is harmless, because the plugin is pure and
/// its answer only chooses which secrets are tried.
async fn provider_endpoint(app: &App, provider: &str, incoming: &Incoming) -> Result<Arc<Endpoint>> {
    let contract = Arc::new(app.plugins.webhook_contract(provider)?);
    let mut keys = Vec::new();
    // Anybody can cause this call, so it is not recorded: strangers would push out what is worth keeping.
    let (headers, body) = (incoming.headers.clone(), incoming.body.clone());
    let parsed = unrecorded(app.plugins.forge_parse(provider, headers, body)).await;
    if let Ok(ForgeEvent::Push(push)) = parsed {
        for row in matching(app, provider, &push).await? {
            keys.extend(webhook_secret::own(app, &row)?);
        }
    }
    keys.extend(webhook_secret::global(app));
    Ok(Arc::new(Endpoint { repository_id: None, provider: provider.to_string(), contract, keys }))
}

/// The repositories of a forge that a push is about.
async fn matching(app: &App, provider: &str, push: &Push) -> Result<Vec<GitRepository>> {
    let urls: Vec<String> = push.repository.urls.iter().map(|url| normalized_url(url)).collect();
    let mut conn = app.db.read().await?;
    let mut rows = repositories::list_by_provider(&mut conn, provider).await?;
    rows.retain(|row| urls.contains(&normalized_url(&row.url)));
    Ok(rows)
}

/// The row of a delivery. Headers that carry a secret are stored without it.
fn delivery(endpoint: &Endpoint, incoming: Incoming, matched: Option<MatchedSecret>) -> NewDelivery {
    let first = |names: &[String]| {
        names
            .iter()
            .find_map(|name| incoming.headers.iter().find(|(key, _)| key == name))
            .map(|(_, value)| value.clone())
    };
    let contract = &endpoint.contract;
    let is_secret = |name: &str| {
        matches!(name, "authorization" | "proxy-authorization" | "cookie")
            || contract
                .schemes
                .iter()
                .any(|scheme| scheme.algorithm == "shared-token" && scheme.header == name)
    };
    let schemes = contract.schemes.iter().filter(|scheme| scheme.algorithm != "shared-token");
    let signature = schemes
        .filter_map(|scheme| incoming.headers.iter().find(|(name, _)| *name == scheme.header))
        .map(|(_, value)| value.chars().take(512).collect())
        .next();
    NewDelivery {
        repository_id: endpoint.repository_id.clone(),
        provider: endpoint.provider.clone(),
        event_type: first(&contract.event_headers).unwrap_or_default(),
        delivery_id: first(&contract.delivery_headers),
        signature,
        headers: incoming
            .headers
            .into_iter()
            .map(|(name, value)| if is_secret(&name) { (name, "(removed)".into()) } else { (name, value) })
            .collect(),
        // Without a copy, where nobody else holds the body.
        payload: incoming.body.into(),
        verified: matched.is_some(),
        matched_secret: matched,
    }
}

async fn act_on_push(app: &App, event: &WebhookEvent, push: &Push) -> Result<()> {
    let rows = match &event.repository_id {
        Some(id) => {
            let mut conn = app.db.read().await?;
            vec![repositories::find(&mut conn, id).await?]
        }
        None => matching(app, &event.provider, push).await?,
    };
    if rows.is_empty() {
        let detail = format!(
            "no stack uses {}; its URLs are {}",
            push.repository.full_name.escape_debug(),
            push.repository.urls.join(", ")
        );
        return finish(app, event, ReasonCode::NoMapping, &detail).await;
    }
    let mut wanted = Vec::new();
    let mut reasons = Vec::new();
    for row in &rows {
        let mut conn = app.db.read().await?;
        let Some(config) = build_configs::by_stack(&mut conn, &row.stack_id).await? else { continue };
        let settings = config.settings;
        let stack = stacks::find(&mut conn, row.stack_id.as_str()).await?;
        drop(conn);
        for change in &push.changes {
            match reason_not_to_deploy(change, &row.branch, &settings) {
                None => wanted.push(deployment::prepare(
                    app,
                    &stack,
                    new_deployment(row, &settings, change, push),
                )),
                Some(reason) => reasons.push(reason),
            }
        }
    }
    let Some(first) = wanted.first().map(|prepared| prepared.deployment_id().clone()) else {
        let (reason, detail) = reasons
            .into_iter()
            .next()
            .unwrap_or((ReasonCode::UnsupportedEvent, "the push changes no branch and no tag".into()));
        return finish(app, event, reason, &detail).await;
    };
    let detail = format!("started {} deployment(s)", wanted.len());
    let (event_id, stack_id) = (event.id.clone(), rows.first().map(|row| row.stack_id.clone()));
    app.db
        .write(move |tx| {
            Box::pin(async move {
                for prepared in &wanted {
                    deployment::insert(tx, prepared).await?;
                }
                let finish = Finish {
                    reason: ReasonCode::Deployed,
                    detail: Some(detail),
                    deployment_id: Some(first),
                    error: None,
                };
                webhook_events::finish(tx, &event_id, &finish, store::now()).await?;
                events::append(tx, processed(&event_id, stack_id, ReasonCode::Deployed)).await?;
                Ok(())
            })
        })
        .await?;
    app.metrics.webhook_processed(ReasonCode::Deployed);
    Ok(())
}

fn new_deployment(
    row: &GitRepository,
    settings: &BuildSettings,
    change: &RefChange,
    push: &Push,
) -> NewDeployment {
    let head = change.head.as_ref();
    NewDeployment {
        repository: row.clone(),
        settings: settings.clone(),
        git_ref: change.name.clone(),
        branch: change.name.clone(),
        commit_sha: change.after.clone().unwrap_or_default(),
        commit_message: head.map(|commit| commit.message.clone()),
        commit_author: head.map(|commit| commit.author.clone()),
        caller: Caller {
            trigger: TriggerType::Webhook,
            user: Some(push.sender.clone()).filter(|sender| !sender.is_empty()),
        },
        reason: None,
    }
}

async fn finish(app: &App, event: &WebhookEvent, reason: ReasonCode, detail: &str) -> Result<()> {
    // Read here and not in the transaction, which everybody who writes waits for.
    let stack_id = match &event.repository_id {
        Some(id) => {
            let mut conn = app.db.read().await?;
            repositories::find_opt(&mut conn, id).await?.map(|row| row.stack_id)
        }
        None => None,
    };
    let (id, detail) = (event.id.clone(), detail.to_string());
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let error = matches!(reason, ReasonCode::PluginFailed | ReasonCode::Malformed)
                    .then(|| detail.clone());
                let finish = Finish { reason, detail: Some(detail), deployment_id: None, error };
                webhook_events::finish(tx, &id, &finish, store::now()).await?;
                events::append(tx, processed(&id, stack_id, reason)).await?;
                Ok(())
            })
        })
        .await?;
    app.metrics.webhook_processed(reason);
    Ok(())
}

fn processed(id: &Id, stack_id: Option<Id>, reason: ReasonCode) -> NewEvent {
    NewEvent {
        kind: EventKind::WebhookProcessed,
        stack_id,
        subject_id: Some(id.clone()),
        data: serde_json::json!({ "reason": reason.as_str() }),
    }
}
