//! How providers are: asked when a person wants to know, and every minute.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::provider::{changed, provider_view};
use super::target;
use crate::app::App;
use crate::domain::access::Reach;
use crate::domain::ci::CiAccount;
use crate::domain::cicd::{CicdProvider, ProviderHealth, RateBudget};
use crate::domain::page::PageRequest;
use crate::domain::{Id, UnixMs};
use crate::error::{Disposition, Error, PluginErrorKind, Result};
use crate::plugins::unrecorded;
use crate::store::{self, cicd_providers, events};

const PAUSE: Duration = Duration::from_secs(60);
/// After which a provider that has not answered counts as not answering.
const PATIENCE: Duration = Duration::from_secs(20);
/// Providers that are asked at the same time.
const AT_ONCE: usize = 8;

/// Asks all active providers every minute until `stop`.
pub async fn health_watch(app: App, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
        if let Err(error) = check_all(&app).await {
            tracing::warn!("[@service:cicd:health] the providers cannot be checked: {}", error.for_log());
        }
    }
}

async fn check_all(app: &App) -> Result<()> {
    let mut before = None;
    loop {
        let mut conn = app.db.read().await?;
        let page =
            cicd_providers::list(&mut conn, PageRequest::new(before, Some(200)), &Reach::EVERYTHING).await?;
        drop(conn);
        let active = page.items.into_iter().filter(|provider| provider.is_active);
        // Nobody wants to replay a thousand checks that went well.
        let check = |provider| async move { unrecorded(check(app, &provider)).await };
        let mut checks = futures_util::stream::iter(active.map(check)).buffer_unordered(AT_ONCE);
        while let Some(checked) = checks.next().await {
            if let Err(error) = checked {
                tracing::warn!("[@service:cicd:health] a check was lost: {}", error.for_log());
            }
        }
        drop(checks);
        before = page.next;
        if before.is_none() {
            return Ok(());
        }
    }
}

/// Seed 0, `testConnection`: asks now, and remembers the answer.
pub async fn provider_test(app: &App, key: &str) -> Result<CicdProvider> {
    let provider = provider_view(app, key).await?;
    check(app, &provider).await?;
    provider_view(app, provider.id.as_str()).await
}

async fn check(app: &App, provider: &CicdProvider) -> Result<()> {
    let (at, began) = (store::now(), Instant::now());
    let mut health = provider.health.clone();
    match ask(app, provider).await {
        Ok(account) => {
            let took = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
            health.well(at, took, account.name, account.server_version);
        }
        Err(error) => unwell(&mut health, &error, at),
    }
    remember(app, provider, health).await
}

pub(super) async fn ask(app: &App, provider: &CicdProvider) -> Result<CiAccount> {
    let target = target(app, provider)?;
    let answer = tokio::time::timeout(PATIENCE, app.plugins.provider_test(&provider.kind, &target)).await;
    answer.map_err(|_| Error::timeout("the answer of the provider", PATIENCE.as_secs()))?
}

/// A call about something else met a provider that is not well.
pub(super) async fn note_trouble(app: &App, provider: &CicdProvider, error: &Error) -> Result<()> {
    let mut health = provider_view(app, provider.id.as_str()).await?.health;
    unwell(&mut health, error, store::now());
    remember(app, provider, health).await
}

fn unwell(health: &mut ProviderHealth, error: &Error, at: UnixMs) {
    let (mut unauthorized, mut limited) = (false, None);
    if let Error::Plugin(error) = error
        && let PluginErrorKind::Failure { disposition, .. } = &error.kind
    {
        unauthorized = *disposition == Disposition::AuthRequired;
        if let Disposition::RateLimited(secs) = disposition {
            limited = Some(at + i64::from(secs.unwrap_or(60)) * 1000);
        }
    }
    health.unwell(at, error.to_string(), unauthorized, limited);
}

/// What the providers' answers last said of how many requests they still take, by provider.
#[derive(Default)]
pub struct Budgets(Mutex<HashMap<Id, RateBudget>>);

impl Budgets {
    fn lock(&self) -> MutexGuard<'_, HashMap<Id, RateBudget>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, provider: &Id, budget: RateBudget) {
        self.lock().insert(provider.clone(), budget);
    }

    fn get(&self, provider: &Id) -> Option<RateBudget> {
        self.lock().get(provider).copied()
    }

    /// How long to wait before a provider is asked again, in milliseconds: longer if it takes few requests more.
    pub(super) fn stretched(&self, provider: &Id, wait: UnixMs) -> UnixMs {
        self.get(provider).map_or(wait, |budget| budget.stretched(wait, store::now()))
    }
}

async fn remember(app: &App, provider: &CicdProvider, mut health: ProviderHealth) -> Result<()> {
    let now = store::now();
    health.budget = app.ci_budgets.get(&provider.id).or(health.budget).filter(|budget| !budget.is_over(now));
    let (was, is) = (provider.health.state(now), health.state(now));
    if was != is {
        let (name, why) = (&provider.name, health.error.as_deref().unwrap_or("it answers"));
        tracing::info!("[@service:cicd:health] provider {name} is {}: {why}", is.as_str());
    }
    let (provider, is_new) = (provider.clone(), was != is);
    app.db
        .write(move |tx| {
            Box::pin(async move {
                cicd_providers::set_health(tx, &provider.id, &health).await?;
                if is_new {
                    events::append(tx, changed(&provider, is.as_str())).await?;
                }
                Ok(())
            })
        })
        .await
}
