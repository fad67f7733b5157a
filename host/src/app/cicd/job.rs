//! Jobs: made at a provider, looked at, removed.

use serde_json::{Map, Value};

use super::provider::{provider_view, report_url};
use super::{successor, target};
use crate::app::App;
use crate::app::deployment::Caller;
use crate::domain::Id;
use crate::domain::access::Reach;
use crate::domain::ci::CiJob;
use crate::domain::cicd::{CicdJob, CicdProvider, JobParams};
use crate::domain::page::{Page, PageRequest};
use crate::domain::stack::Stack;
use crate::error::{Error, Result};
use crate::store::{self, ci_builds, cicd_jobs, cicd_providers, stack_ci, stacks};

/// The header that reports of our own pipelines are signed in.
const OWN_SIGNATURE: &str = "x-windlass-signature";

/// Seed 0, `createJob`: makes the job at the provider, or brings the one of that name into the state asked for.
pub async fn job_create(
    app: &App,
    provider: &str,
    mut params: JobParams,
    caller: &Caller,
) -> Result<CicdJob> {
    let provider = provider_view(app, provider).await?;
    active(&provider)?;
    params.check()?;
    let second = successor::check(app, &provider, &mut params).await?;
    successor::try_out(app, second.as_ref(), &params).await?;
    let said = make(app, &provider, &params).await?;
    let job = CicdJob { external_id: said.id.clone(), ..new(&provider, params, caller.user.clone()) };
    let id = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                let known = cicd_jobs::find_external(tx, &job.provider_id, &said.id).await?;
                let now = store::now();
                let row = match known {
                    Some(known) => CicdJob { id: known.id, ..job },
                    None => cicd_jobs::insert(tx, job).await?,
                };
                cicd_jobs::respecify(tx, &row, now).await?;
                cicd_jobs::made(tx, &row, &said, now).await
            })
        })
        .await?;
    let job = job_view(app, id.as_str()).await?;
    tracing::info!("[@service:cicd:job] job {} is made at provider {}", job.external_id, provider.name);
    Ok(job)
}

/// The row of a job that no provider has yet.
pub(super) fn new(provider: &CicdProvider, spec: JobParams, creator: Option<String>) -> CicdJob {
    let (id, now) = (store::new_id(), store::now());
    CicdJob {
        seq: 0,
        provider_id: provider.id.clone(),
        external_id: id.to_string(),
        name: spec.name.clone(),
        description: Some(spec.description.clone()).filter(|text| !text.is_empty()),
        parameters: spec.parameters.clone(),
        trigger_token: None,
        trigger_url: None,
        job_url: None,
        status: None,
        last_build_number: None,
        last_synced_at: None,
        spec,
        made_at: None,
        look_at: None,
        creator_id: creator,
        team_id: provider.team_id.clone(),
        created_at: now,
        updated_at: now,
        id,
    }
}

pub(super) fn active(provider: &CicdProvider) -> Result<()> {
    if provider.is_active {
        return Ok(());
    }
    Err(Error::conflict(format!(
        "provider `{}` is switched off (is_active); switch it on first",
        provider.name
    )))
}

/// Has the provider make it.
pub(super) async fn make(app: &App, provider: &CicdProvider, params: &JobParams) -> Result<CiJob> {
    let spec = params.spec(files(app, provider, params).await?)?;
    app.plugins.provider_create_job(&provider.kind, &target(app, provider)?, &spec).await
}

/// The pipeline's files: given, written by a generator, or none where the repository has them.
pub(super) async fn files(
    app: &App,
    provider: &CicdProvider,
    params: &JobParams,
) -> Result<Vec<(String, String)>> {
    if params.committed {
        return Ok(Vec::new());
    }
    if !params.files.is_empty() {
        return Ok(params.files.iter().map(|file| (file.path.clone(), file.content.clone())).collect());
    }
    let own = app.plugins.inspect(&provider.kind)?.info.and_then(|info| info.manifest.generator);
    let generator = params.generator.clone().or(own).ok_or_else(|| {
        let kind = &provider.kind;
        let message =
            format!("name the generator that writes the pipeline: the plugin `{kind}` has none of its own");
        Error::invalid("generator", message)
    })?;
    let report = if params.report { Some(report_target(app, provider)?) } else { None };
    let (model, settings) = (params.model(report)?, Value::Object(params.settings.clone()));
    if let Some(problem) = app.plugins.generator_validate(&generator, &model, &settings).await?.first() {
        return Err(Error::invalid(
            problem.path.trim_start_matches('/').replace('/', "."),
            problem.message.clone(),
        ));
    }
    let files = app.plugins.generator_generate(&generator, &model, &settings).await?;
    Ok(files.into_iter().map(|file| (file.path, file.content)).collect())
}

/// Only a plugin that knows our own signature can read the reports of pipelines that we write.
fn report_target(app: &App, provider: &CicdProvider) -> Result<String> {
    let contract = app.plugins.provider_webhook_contract(&provider.kind)?;
    if contract.schemes.iter().any(|scheme| scheme.header == OWN_SIGNATURE) {
        return Ok(report_url(app, provider));
    }
    let message = format!(
        "pipelines at `{}` cannot report by themselves; set up the provider's own webhooks to {}",
        provider.name,
        report_url(app, provider)
    );
    Err(Error::invalid("report", message))
}

/// `key` is an id or a number.
pub async fn job_view(app: &App, key: &str) -> Result<CicdJob> {
    let mut conn = app.db.read().await?;
    cicd_jobs::find(&mut conn, key).await
}

/// The stack that is deployed by it, which it then follows.
pub async fn job_stack(app: &App, id: &Id) -> Result<Option<Stack>> {
    let mut conn = app.db.read().await?;
    match stack_ci::by_job(&mut conn, id).await? {
        Some(row) => stacks::find(&mut conn, row.stack_id.as_str()).await.map(Some),
        None => Ok(None),
    }
}

/// Newest first.
pub async fn job_list(app: &App, page: PageRequest, reach: &Reach) -> Result<Page<CicdJob>> {
    let mut conn = app.db.read().await?;
    cicd_jobs::list(&mut conn, page, reach).await
}

/// Those of one provider.
pub async fn job_list_of(app: &App, provider: &str, page: PageRequest) -> Result<Page<CicdJob>> {
    let mut conn = app.db.read().await?;
    let provider = cicd_providers::find(&mut conn, provider).await?;
    cicd_jobs::list_by_provider(&mut conn, &provider.id, page).await
}

/// A job and where it is, in one look.
pub(super) async fn job_and_provider(app: &App, id: &Id) -> Result<(CicdJob, CicdProvider)> {
    let mut conn = app.db.read().await?;
    let job = cicd_jobs::find(&mut conn, id.as_str()).await?;
    let provider = cicd_providers::find(&mut conn, job.provider_id.as_str()).await?;
    Ok((job, provider))
}

/// Deletes the job at the provider, and with it what is known of its builds.
///
/// # Errors
/// `Conflict` while a stack is deployed by it or one of its builds has not ended; the provider's if it refuses.
pub async fn job_delete(app: &App, key: &str) -> Result<()> {
    let job = job_view(app, key).await?;
    let (job, provider) = job_and_provider(app, &job.id).await?;
    if let Some(stack) = job_stack(app, &job.id).await? {
        let (job, stack) = (job.name, stack.name);
        return Err(Error::conflict(format!(
            "stack `{stack}` is deployed by job `{job}`; remove its provider first"
        )));
    }
    let mut conn = app.db.read().await?;
    if let Some(build) =
        ci_builds::list_open(&mut conn).await?.into_iter().find(|build| build.job_id == job.id)
    {
        let (job, seq) = (job.name, build.seq);
        return Err(Error::conflict(format!("build {seq} of job `{job}` has not ended; cancel it first")));
    }
    drop(conn);
    if job.made_at.is_some() {
        let target = target(app, &provider)?;
        app.plugins.provider_delete_job(&provider.kind, &target, &job.external_id).await?;
    }
    app.db.write(move |tx| Box::pin(async move { cicd_jobs::delete(tx, &job.id).await })).await
}

/// What a build is started with: the job's own values, and what was asked for.
pub(super) fn with_defaults(job: &CicdJob, given: Map<String, Value>) -> Map<String, Value> {
    let mut all = job.parameters.clone();
    all.extend(given);
    all
}
