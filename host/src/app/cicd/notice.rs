//! What providers report by themselves (seed 1).
//!
//! A report that is signed with the secret of a connection is believed. One that nobody signed only makes us ask the
//! provider sooner than we would have: whoever sends it cannot say anything that the provider does not say.

use bytes::Bytes;

use super::{apply, build, provider, watch};
use crate::app::App;
use crate::domain::Id;
use crate::domain::ci::{CiBuild, CiEvent};
use crate::domain::cicd::{CicdJob, CicdProvider};
use crate::domain::plugin::{PluginKind, WebhookContract};
use crate::domain::webhook::{MatchedSecret, Origin, ReasonCode};
use crate::error::{Error, Result};
use crate::plugins::signature::{self, SignatureError};
use crate::plugins::unrecorded;
use crate::store::webhooks::{self, NewDelivery};
use crate::store::{self, Conn, Tx, ci_builds, cicd_jobs, cicd_providers};

/// A report as it came in.
#[derive(Debug)]
pub struct Incoming {
    /// The plugin that the address names.
    pub kind: String,
    pub tenant: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// What became of a report.
#[derive(Debug)]
pub struct Noticed {
    pub event_id: Id,
    /// Whether it was signed, and so believed.
    pub verified: bool,
    /// Builds and jobs that it was about.
    pub known: usize,
}

/// Takes a report in, and acts on it before it is answered: reading it takes no request.
///
/// # Errors
/// `NotFound` for a plugin that is no provider, `Unauthenticated` for a signature that does not verify (which is recorded),
/// `RateLimited` if there are too many, the plugin's for a body that makes no sense.
pub async fn notice(app: &App, incoming: Incoming) -> Result<Noticed> {
    let kind = incoming.kind.clone();
    app.plugins.check(&kind, PluginKind::CiProvider).map_err(|_| Error::not_found("provider", &kind))?;
    let contract = app.plugins.provider_webhook_contract(&kind)?;
    let mut conn = app.db.read().await?;
    let mut providers = cicd_providers::list_by_type(&mut conn, &kind).await?;
    drop(conn);
    providers.retain(|one| one.tenant_id.as_deref().is_none_or(|tenant| tenant == incoming.tenant));
    let signer = signer(app, &contract, &providers, &incoming);
    app.metrics.webhook_received(&kind, signer.as_ref().ok().and(Some(MatchedSecret::Current)));
    app.limits.webhook_take(&format!("provider {kind}"), matches!(signer, Ok(Some(_))), store::now())?;
    let signer = match signer {
        Ok(signer) => signer,
        Err(why) => {
            let delivery = delivery(&contract, &incoming, false);
            webhooks::reject(&app.db, delivery, ReasonCode::BadSignature, &why.to_string()).await?;
            tracing::warn!("[@webhook:{kind}] Error processing webhook: {why}");
            return Err(Error::Unauthenticated(format!("the report is refused: {why}")));
        }
    };
    let verified = signer.is_some();
    if let Some(one) = signer {
        providers = vec![one];
    }
    let read = app.plugins.provider_parse(&kind, incoming.headers.clone(), incoming.body.clone());
    // Strangers would push out of the recordings what is worth keeping.
    let read = if verified { read.await } else { unrecorded(read).await };
    let event =
        read.inspect_err(|error| tracing::warn!("[@webhook:{kind}] Error processing webhook: {error}"))?;
    let (known, detail) = match event {
        CiEvent::Ping => (0, "the provider tested the connection".to_owned()),
        CiEvent::Unsupported(name) => (0, format!("`{}` is of no consequence here", name.escape_debug())),
        CiEvent::Builds(reports) => act(app, &kind, &providers, reports, verified).await?,
    };
    let reason = if verified { ReasonCode::CiStatus } else { ReasonCode::CiHint };
    let event_id =
        webhooks::record(&app.db, delivery(&contract, &incoming, verified), reason, &detail).await?;
    app.metrics.webhook_processed(reason);
    Ok(Noticed { event_id, verified, known })
}

/// The connection whose secret signed it; none if nobody did.
fn signer(
    app: &App,
    contract: &WebhookContract,
    providers: &[CicdProvider],
    incoming: &Incoming,
) -> std::result::Result<Option<CicdProvider>, SignatureError> {
    let mut secrets = Vec::new();
    for one in providers {
        match provider::webhook_secret(app, one) {
            Ok(Some(secret)) => secrets.push((one, secret)),
            Ok(None) => {}
            Err(error) => tracing::warn!("[@service:cicd:notice] {}: {}", one.name, error.for_log()),
        }
    }
    let is_signed =
        contract.schemes.iter().any(|scheme| incoming.headers.iter().any(|(name, _)| *name == scheme.header));
    if !is_signed {
        return Ok(None);
    }
    let bytes: Vec<&[u8]> = secrets.iter().map(|(_, secret)| secret.as_slice()).collect();
    let matched = signature::verify(contract, &incoming.headers, &incoming.body, &bytes, store::now())?;
    Ok(secrets.get(matched).map(|(one, _)| (*one).clone()))
}

/// A report about a job that is known here.
#[derive(Clone)]
struct Known {
    job: CicdJob,
    said: CiBuild,
    /// Its row, if it is followed.
    build: Option<Id>,
}

async fn act(
    app: &App,
    kind: &str,
    providers: &[CicdProvider],
    reports: Vec<(String, CiBuild)>,
    verified: bool,
) -> Result<(usize, String)> {
    let mut conn = app.db.read().await?;
    let mut known: Vec<Known> = Vec::new();
    let mut names = Vec::new();
    for (name, said) in reports {
        tracing::info!("[@webhook:{kind}] Received status update for job: {}", name.escape_debug());
        for job in jobs(&mut conn, providers, &name).await? {
            let build = ci_builds::find_external(&mut conn, &job.id, &said.id).await?.map(|build| build.id);
            add(&mut known, Known { job, said: said.clone(), build });
        }
        names.push(name);
    }
    drop(conn);
    if known.is_empty() {
        return Ok((0, format!("no job here is one of: {}", names.join(", ").escape_debug())));
    }
    let count = known.len();
    let shown: Vec<String> =
        known.iter().map(|one| format!("{} {}", one.job.name, one.said.number)).collect();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                for one in &known {
                    take(tx, one, verified).await?;
                }
                Ok(())
            })
        })
        .await?;
    let how = if verified { "taken over" } else { "the provider was asked" };
    Ok((count, format!("{}: {how}", shown.join(", "))))
}

/// A provider may not be able to tell for which of two jobs a build is: at most one of them has it, and else it is the first.
fn add(known: &mut Vec<Known>, new: Known) {
    match known
        .iter_mut()
        .find(|one| one.said.id == new.said.id && one.job.provider_id == new.job.provider_id)
    {
        None => known.push(new),
        Some(one) if one.build.is_none() && new.build.is_some() => *one = new,
        Some(_) => {}
    }
}

/// The jobs that a report may mean: by our id, by the provider's, or by the name that our own pipelines report.
async fn jobs(conn: &mut Conn, providers: &[CicdProvider], name: &str) -> Result<Vec<CicdJob>> {
    let mut found = Vec::new();
    for one in providers {
        if let Some(job) = cicd_jobs::find_external(conn, &one.id, name).await? {
            found.push(job);
            continue;
        }
        match cicd_jobs::find_id(conn, name).await?.filter(|job| job.provider_id == one.id) {
            Some(job) => found.push(job),
            None => found.extend(cicd_jobs::list_by_name(conn, &one.id, name).await?),
        }
    }
    Ok(found)
}

async fn take(tx: &mut Tx, one: &Known, verified: bool) -> Result<()> {
    match &one.build {
        Some(id) => {
            if verified {
                apply::learn(tx, id, &one.said).await?;
            }
            build::hint(tx, id).await
        }
        None => {
            // One of ours may only have a place in a queue so far.
            let open = ci_builds::list_open(tx).await?;
            for build in open.iter().filter(|build| build.job_id == one.job.id && build.number.is_empty()) {
                build::hint(tx, &build.id).await?;
            }
            watch::look(tx, &one.job.id).await
        }
    }
}

/// The row of a report. Headers that carry a secret are stored without it.
fn delivery(contract: &WebhookContract, incoming: &Incoming, verified: bool) -> NewDelivery {
    let first = |names: &[String]| {
        let find = |name: &String| incoming.headers.iter().find(|(key, _)| key == name);
        names.iter().find_map(find).map(|(_, value)| value.chars().take(255).collect::<String>())
    };
    let is_secret = |name: &str| {
        let shared = |scheme: &crate::domain::plugin::WebhookScheme| {
            scheme.algorithm == "shared-token" && scheme.header == name
        };
        matches!(name, "authorization" | "proxy-authorization" | "cookie")
            || contract.schemes.iter().any(shared)
    };
    let hidden = |(name, value): &(String, String)| {
        let value = if is_secret(name) { "(removed)".to_owned() } else { value.clone() };
        (name.clone(), value)
    };
    NewDelivery {
        repository_id: None,
        provider: incoming.kind.clone(),
        event_type: first(&contract.event_headers).unwrap_or_else(|| "build".to_owned()),
        payload: incoming.body.to_vec(),
        headers: incoming.headers.iter().map(hidden).collect(),
        signature: None,
        // Taking a report over twice changes nothing, and a provider's id may be a forge's as well.
        delivery_id: None,
        verified,
        matched_secret: verified.then_some(MatchedSecret::Current),
        replay_of: None,
        origin: Origin::Delivery,
    }
}
