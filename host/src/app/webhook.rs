//! The webhook inbox: verify, store, answer; then read and act.
//!
//! A delivery is answered only after its raw bytes are committed. What they mean is worked out afterwards by a task, so a
//! crash between the two loses nothing.

mod act;
mod limits;
mod news;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::App;
use super::webhook_secret::{self, Key};
use crate::domain::Id;
use crate::domain::access::Reach;
use crate::domain::page::{Page, PageRequest};
use crate::domain::plugin::WebhookContract;
use crate::domain::repository::{GitRepository, normalized_url};
use crate::domain::webhook::{ForgeEvent, MatchedSecret, Origin, Push, ReasonCode, WebhookEvent};
use crate::error::{Error, Result};
use crate::plugins::signature::{self, SignatureError};
use crate::plugins::unrecorded;
use crate::store::webhooks::{self, Ingested, NewDelivery};
use crate::store::{self, repositories, webhook_events};
pub use act::webhook_process;
pub use limits::Limits;

/// How long a looked-up endpoint is used without asking the database again.
const ENDPOINT_AGE: Duration = Duration::from_secs(10);
/// The same if a delivery does not verify: another node may have changed the secret. Strangers cannot make us ask more
/// often than this.
const DOUBTED_AGE: Duration = Duration::from_secs(1);

/// Where a delivery came in.
#[derive(Debug, Clone)]
pub enum Target {
    /// A URL of one repository, and the forge plugin that it names, if it names one.
    Repository { id: Id, provider: Option<String> },
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
/// `NotFound` for an unknown repository, `Unauthenticated` if the signature does not verify and `Conflict` if the address
/// names another forge (both are recorded), `RateLimited` if there are too many.
pub async fn webhook_receive(app: &App, incoming: Incoming) -> Result<Received> {
    let (endpoint, verdict) = match incoming.target.clone() {
        Target::Repository { id, provider } => {
            let (endpoint, verdict) = judged(app, &id, &incoming).await?;
            if let Some(named) = provider.filter(|named| *named != endpoint.provider) {
                return misdirected(app, &endpoint, (&id, &named), incoming).await;
            }
            (endpoint, verdict)
        }
        Target::Provider(name) => {
            let endpoint = provider_endpoint(app, &name, &incoming).await?;
            let verdict = verified(&endpoint, &incoming);
            (endpoint, verdict)
        }
    };
    let bucket = endpoint.repository_id.as_ref().map_or(endpoint.provider.clone(), Id::to_string);
    let delivery = delivery(&endpoint, incoming, verdict.as_ref().ok());
    app.metrics.webhook_received(&delivery.provider, delivery.matched_secret);
    // Only after the signature was checked: nobody can use up what is for others.
    app.limits.webhook_take(&bucket, verdict.is_ok(), store::now())?;
    match verdict {
        Ok(_) => match webhooks::ingest(&app.db, delivery).await? {
            Ingested::Stored { event_id } => Ok(Received::Accepted { event_id }),
            Ingested::Duplicate { of } => Ok(Received::Duplicate { of }),
        },
        Err(reason) => {
            webhooks::reject(&app.db, delivery, ReasonCode::BadSignature, &reason.to_string()).await?;
            Err(Error::Unauthenticated(format!("the delivery is refused: {reason}")))
        }
    }
}

/// Which forge a delivery comes from is the repository's matter: headers can be anybody's, and some forges send those of
/// others as well. So an address that names another forge was entered in the wrong place.
async fn misdirected(
    app: &App,
    endpoint: &Endpoint,
    (id, named): (&Id, &str),
    incoming: Incoming,
) -> Result<Received> {
    let delivery = delivery(endpoint, incoming, None);
    app.metrics.webhook_received(&delivery.provider, None);
    app.limits.webhook_take(id.as_str(), false, store::now())?;
    let right = &endpoint.provider;
    let detail = format!(
        "this address is for deliveries of `{}`, but the repository's come from `{right}`: enter the address \
         /api/webhooks/{right}/{id} at the forge, or change the repository's provider",
        named.escape_debug()
    );
    webhooks::reject(&app.db, delivery, ReasonCode::WrongProvider, &detail).await?;
    Err(Error::conflict(detail))
}

/// What a delivery was signed with.
struct Proof {
    which: MatchedSecret,
    /// Whose secret that is.
    repository_id: Option<Id>,
}

type Verdict = Result<Proof, SignatureError>;

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
    let proof = |key: &&Key| Proof { which: key.which, repository_id: key.repository_id.clone() };
    keys.get(matched).map(proof).ok_or(SignatureError::NoSecret)
}

pub async fn webhook_list(
    app: &App,
    repository: Option<&Id>,
    page: PageRequest,
    reach: &Reach,
) -> Result<Page<WebhookEvent>> {
    let mut conn = app.db.read().await?;
    webhook_events::list(&mut conn, page, repository, reach).await
}

/// Has a delivery read and acted on once more, as a new event with the same headers and body. It counts as the newest push
/// of its branch.
///
/// # Errors
/// `Conflict` for a delivery that was not verified, or whose body is not kept.
pub async fn webhook_replay(app: &App, reference: &str) -> Result<WebhookEvent> {
    let event = webhook_view(app, reference).await?;
    let (seq, reason) = (event.seq, event.reason);
    let refuse = |why: &str| Err(Error::conflict(format!("delivery {seq} cannot be replayed: {why}")));
    if matches!(reason, Some(ReasonCode::CiStatus | ReasonCode::CiHint)) {
        return refuse("it reports a build at a provider, whom the server asks anyway");
    }
    if !event.verified {
        return refuse("it was refused when it came in, and only the beginning of its body is kept");
    }
    if reason == Some(ReasonCode::DuplicateOf) && event.payload.is_empty() {
        return refuse("it repeats another one, which has the body; replay that one");
    }
    if !event.processed {
        return refuse("it has not been read yet");
    }
    let copy = NewDelivery {
        repository_id: event.repository_id,
        provider: event.provider,
        event_type: event.event_type,
        payload: event.payload,
        headers: event.headers,
        signature: event.signature,
        // Else it would be a repetition.
        delivery_id: None,
        verified: true,
        matched_secret: event.matched_secret,
        replay_of: Some(event.id),
        origin: event.origin,
    };
    let (Ingested::Stored { event_id: id } | Ingested::Duplicate { of: id }) =
        webhooks::ingest(&app.db, copy).await?;
    tracing::info!("[@webhooks:replay] delivery {seq} is read again");
    webhook_view(app, id.as_str()).await
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
    // Its addresses for http, ssh and people mostly have one key.
    let keys: BTreeSet<String> = push.repository.urls.iter().map(|url| normalized_url(url)).collect();
    let mut conn = app.db.read().await?;
    let mut rows = Vec::new();
    for key in keys {
        rows.extend(repositories::list_by_url(&mut conn, provider, &key).await?);
    }
    Ok(rows)
}

/// The row of a delivery. Headers that carry a secret are stored without it.
fn delivery(endpoint: &Endpoint, incoming: Incoming, proof: Option<&Proof>) -> NewDelivery {
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
        // On an address that many share, a repository's own secret says whose delivery it is.
        repository_id: proof.and_then(|proof| proof.repository_id.clone()).or(endpoint.repository_id.clone()),
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
        verified: proof.is_some(),
        matched_secret: proof.map(|proof| proof.which),
        replay_of: None,
        origin: Origin::Delivery,
    }
}
