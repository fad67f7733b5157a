//! CI/CD providers: how they are, their jobs, and a build with its log.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;

use super::log::{LogTail, ci_tail};
use super::page::{Frame, PageResult, render, render_with};
use super::session::Session;
use super::stack::to;
use super::stacks::PageQuery;
use super::ui::{Badge, Tone, When, duration, now};
use crate::api;
use crate::app::App;
use crate::app::cicd::{build, health, job, provider, successor};
use crate::domain::ci::{CiArtifact, CiStatus};
use crate::domain::cicd::{CicdBuild, CicdJob, CicdProvider, ProviderState};
use crate::domain::page::PageRequest;
use crate::error::{Error, Result};

/// Builds of a job that its row shows.
const LAST_BUILDS: i64 = 10;

struct ProviderRow {
    seq: i64,
    name: String,
    kind: String,
    url: String,
    badge: Badge,
    answers_in: String,
    errors: u32,
    checked: Option<When>,
    error: String,
    failing_since: Option<When>,
    account: String,
    version: String,
    /// Requests that it still takes; empty where it does not say.
    budget: String,
    /// It is asked less often for that.
    is_low: bool,
    budget_anew: Option<When>,
}

impl From<CicdProvider> for ProviderRow {
    fn from(row: CicdProvider) -> Self {
        let (state, health) = (row.health.state(now()), row.health);
        let (tone, word) = match state {
            _ if !row.is_active => (Tone::Stopped, "switched off"),
            ProviderState::Unknown => (Tone::Waiting, "not asked yet"),
            ProviderState::Healthy => (Tone::Good, "healthy"),
            ProviderState::Degraded => (Tone::Bad, "degraded"),
            ProviderState::Unauthorized => (Tone::Bad, "refuses the credential"),
            ProviderState::Limited => (Tone::Waiting, "asks for a pause"),
        };
        Self {
            seq: row.seq,
            name: row.name,
            kind: row.kind,
            url: row.url,
            badge: Badge { tone, word },
            answers_in: health.response_ms.map_or_else(|| "–".to_owned(), duration),
            errors: health.error_percent(),
            checked: health.checked_at.map(When::new),
            error: health.error.unwrap_or_default(),
            failing_since: health.failing_since.map(When::new),
            budget: health
                .budget
                .map_or_else(String::new, |budget| format!("{} of {}", budget.remaining, budget.limit)),
            is_low: health.budget.is_some_and(|budget| budget.is_low(now())),
            budget_anew: health.budget.and_then(|budget| budget.resets_at).map(When::new),
            account: health.account,
            version: health.server_version,
        }
    }
}

pub(super) fn badge(status: CiStatus) -> Badge {
    let (tone, word) = match status {
        CiStatus::Pending => (Tone::Waiting, "pending"),
        CiStatus::Running => (Tone::Running, "running"),
        CiStatus::Success => (Tone::Good, "success"),
        CiStatus::Failure => (Tone::Bad, "failure"),
        CiStatus::Cancelled => (Tone::Stopped, "cancelled"),
        CiStatus::Unknown => (Tone::Waiting, "unknown"),
    };
    Badge { tone, word }
}

#[derive(Template)]
#[template(path = "providers.html")]
struct ProvidersPage {
    frame: Frame,
    rows: Vec<ProviderRow>,
    next: Option<i64>,
    is_first: bool,
}

pub async fn list(State(app): State<App>, session: Session, Query(query): Query<PageQuery>) -> PageResult {
    let page =
        provider::provider_list(&app, PageRequest::new(query.before, None), &session.0.reach()).await?;
    render(&ProvidersPage {
        frame: Frame::new(&session, "providers", "Providers"),
        rows: page.items.into_iter().map(ProviderRow::from).collect(),
        next: page.next,
        is_first: query.before.is_none(),
    })
}

pub(super) struct BuildRow {
    pub seq: i64,
    /// At the provider; empty as long as it has none.
    pub number: String,
    pub badge: Badge,
    pub origin: &'static str,
    pub created: When,
    pub note: String,
}

impl From<CicdBuild> for BuildRow {
    fn from(row: CicdBuild) -> Self {
        Self {
            seq: row.seq,
            number: row.number,
            badge: badge(row.status),
            origin: row.origin.label(),
            created: When::new(row.created_at),
            note: row.error.or(row.trouble).unwrap_or_default(),
        }
    }
}

struct JobRow {
    seq: i64,
    name: String,
    page: Option<String>,
    external: String,
    badge: Option<Badge>,
    builds: Vec<BuildRow>,
}

impl JobRow {
    fn new(job: CicdJob, builds: Vec<CicdBuild>) -> Self {
        let is_made = job.external_id != job.id.as_str();
        Self {
            seq: job.seq,
            name: job.name,
            page: job.job_url,
            external: if is_made { job.external_id } else { String::new() },
            badge: job.status.map(badge),
            builds: builds.into_iter().map(BuildRow::from).collect(),
        }
    }
}

#[derive(Template)]
#[template(path = "provider.html")]
struct ProviderPage {
    frame: Frame,
    row: ProviderRow,
    report_url: String,
    jobs: Vec<JobRow>,
    next: Option<i64>,
    is_first: bool,
}

/// One provider with its jobs, each with its last builds.
pub async fn show(
    State(app): State<App>,
    session: Session,
    Path(key): Path<String>,
    Query(query): Query<PageQuery>,
) -> PageResult {
    let row = provider::provider_view(&app, &key).await?;
    let page = job::job_list_of(&app, row.id.as_str(), PageRequest::new(query.before, Some(20))).await?;
    let mut jobs = Vec::new();
    for one in page.items {
        let builds = build::build_list(&app, one.id.as_str(), PageRequest::first(LAST_BUILDS)).await?;
        jobs.push(JobRow::new(one, builds.items));
    }
    render(&ProviderPage {
        frame: Frame::new(&session, "providers", row.name.clone()).crumb("/providers", "Providers"),
        report_url: provider::report_url(&app, &row),
        row: row.into(),
        jobs,
        next: page.next,
        is_first: query.before.is_none(),
    })
}

pub async fn test(State(app): State<App>, _: Session, Path(key): Path<String>) -> PageResult {
    let row = health::provider_test(&app, &key).await?;
    Ok(to(&format!("/providers/{}", row.seq)))
}

#[derive(Template)]
#[template(path = "ci_build.html")]
struct CiBuildPage {
    frame: Frame,
    alert: String,
    seq: i64,
    job: String,
    badge: Badge,
    /// Its log may grow.
    is_running: bool,
    can_cancel: bool,
    can_rerun: bool,
    error: String,
    trouble: String,
    facts: Vec<(&'static str, String)>,
    page: Option<String>,
    deployment: Option<i64>,
    job_link: String,
    /// The build that took its place.
    successor: Option<i64>,
    can_have_artifacts: bool,
    created: When,
    finished: Option<When>,
    log: LogTail,
}

pub async fn build(State(app): State<App>, session: Session, Path(key): Path<String>) -> PageResult {
    build_page(&app, &session, &key, None).await
}

async fn build_page(app: &App, session: &Session, key: &str, error: Option<Error>) -> PageResult {
    let row = build::build_view(app, key).await?;
    let job = job::job_view(app, row.job_id.as_str()).await?;
    let at = provider::provider_view(app, job.provider_id.as_str()).await?;
    let deployment = match &row.deployment_id {
        Some(id) => Some(crate::app::deployment::deployment_view(app, id.as_str()).await?.seq),
        None => None,
    };
    let status = error.as_ref().map_or(StatusCode::OK, api::status);
    let (log, successor) = (ci_tail(app, &row).await?, successor(app, &row).await?);
    let frame = Frame::new(session, "providers", format!("Build {} of {}", row.seq, job.name))
        .crumb("/providers", "Providers")
        .crumb(format!("/providers/{}", at.seq), at.name);
    let page = CiBuildPage {
        frame,
        alert: error.map_or(String::new(), |error| error.to_string()),
        seq: row.seq,
        job: job.name,
        badge: badge(row.status),
        is_running: row.settled_at.is_none(),
        can_cancel: !row.status.is_final() && !row.cancel_requested,
        can_rerun: row.status.is_final() && row.deployment_id.is_none(),
        facts: facts(&row),
        error: row.error.unwrap_or_default(),
        trouble: row.trouble.unwrap_or_default(),
        can_have_artifacts: row.external_id.is_some(),
        successor,
        job_link: format!("/ci-jobs/{}", job.seq),
        page: row.url,
        deployment,
        created: When::new(row.created_at),
        finished: row.finished_at.map(When::new),
        log,
    };
    render_with(status, &page)
}

fn facts(row: &CicdBuild) -> Vec<(&'static str, String)> {
    let mut facts = vec![("Started by", row.origin.label().to_owned())];
    if !row.number.is_empty() {
        facts.push(("Number there", row.number.clone()));
    }
    if let Some(name) = &row.ref_name {
        facts.push(("Branch or tag", name.clone()));
    }
    if let (Some(from), Some(until)) = (row.started_at, row.finished_at) {
        facts.push(("Took", duration(until - from)));
    }
    if let Some(word) = &row.status_word {
        facts.push(("The provider says", word.clone()));
    }
    for (name, value) in &row.parameters {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        facts.push(("Parameter", format!("{name} = {value}")));
    }
    facts
}

struct ArtifactRow {
    path: String,
    name: String,
    size: String,
    link: String,
}

#[derive(Template)]
#[template(path = "ci_artifacts.html")]
struct ArtifactsPage {
    frame: Frame,
    seq: i64,
    alert: String,
    rows: Vec<ArtifactRow>,
}

/// What a build made. The provider is asked now, which may go wrong.
pub async fn artifacts(State(app): State<App>, session: Session, Path(key): Path<String>) -> PageResult {
    let row = build::build_view(&app, &key).await?;
    let found = build::artifact_list(&app, row.id.as_str()).await;
    let status = found.as_ref().err().map_or(StatusCode::OK, api::status);
    let alert = found.as_ref().err().map_or(String::new(), ToString::to_string);
    let shown = |artifact: CiArtifact| ArtifactRow {
        size: artifact
            .size_bytes
            .map_or_else(|| "–".to_owned(), |bytes| format!("{} KiB", bytes.div_ceil(1024))),
        name: artifact.path.rsplit('/').next().unwrap_or_default().to_owned(),
        link: format!("/api/v1/ci/builds/{}/artifacts/{}", row.seq, url_part(&artifact.id)),
        path: artifact.path,
    };
    let frame = Frame::new(&session, "providers", "Artifacts")
        .crumb("/providers", "Providers")
        .crumb(format!("/ci-builds/{}", row.seq), format!("Build {}", row.seq));
    let rows = found.unwrap_or_default().into_iter().map(shown).collect();
    render_with(status, &ArtifactsPage { frame, seq: row.seq, alert, rows })
}

/// One part of a path, whatever stands in it.
fn url_part(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

pub async fn cancel(State(app): State<App>, session: Session, Path(key): Path<String>) -> PageResult {
    let result = build::build_cancel(&app, &key).await;
    back(&app, &session, &key, result).await
}

pub async fn rerun(State(app): State<App>, session: Session, Path(key): Path<String>) -> PageResult {
    let result = build::build_rerun(&app, &key).await;
    back(&app, &session, &key, result).await
}

/// Shows the build, or the old one with what went wrong.
async fn back(app: &App, session: &Session, key: &str, result: Result<CicdBuild>) -> PageResult {
    match result {
        Ok(row) => Ok(to(&format!("/ci-builds/{}", row.seq))),
        Err(error @ Error::NotFound { .. }) => Err(error.into()),
        Err(error) => build_page(app, session, key, Some(error)).await,
    }
}
