//! Deployments that a provider carries out: the job, the mapping, the build.

use super::build::{self, Wanted};
use super::{job, stack, successor};
use crate::app::App;
use crate::app::forge::announce;
use crate::domain::Id;
use crate::domain::build::Build;
use crate::domain::cicd::{CicdBuild, CicdJob, CicdProvider, JobRepository, Mapping, Origin, StackCi};
use crate::domain::deployment::Deployment;
use crate::domain::head::TAGS;
use crate::error::{Error, Result};
use crate::store::{
    self, Tx, ci_builds, cicd_jobs, cicd_providers, deployment_cicd_mappings as mappings, deployments,
    repositories, stack_ci, stacks,
};

/// Inserts a deployment of a stack that a provider deploys, in the caller's transaction: the job first, then the deployment,
/// the mapping between them, and the build with the task that starts it. `source` says what is to be built.
pub async fn enter(tx: &mut Tx, ci: StackCi, deployment: &Deployment, source: &Build) -> Result<Deployment> {
    let provider = cicd_providers::find(tx, ci.provider_id.as_str()).await?;
    let job = job_of(tx, &ci, &provider, deployment, source).await?;
    let mut deployment = Deployment { build_id: None, ..deployment.clone() };
    deployment.rollout.label = format!("Waiting for job {} at {}", job.name, provider.name);
    let deployment = deployments::insert(tx, deployment).await?;
    announce(tx, &deployment, deployment.status).await?;
    let name = full_name(&deployment, source);
    let own_branch = job.spec.repository.as_ref().is_some_and(|repository| repository.branch == name);
    let wanted = Wanted {
        parameters: ci.settings.parameters.clone(),
        ref_name: (!own_branch).then_some(name),
        timeout_secs: Some(ci.settings.timeout_secs),
        retries: Some(ci.settings.retries),
    };
    let build = build::new(&job, Origin::Deployment, wanted);
    let build = CicdBuild { deployment_id: Some(deployment.id.clone()), ..build };
    let now = store::now();
    let mapping = Mapping {
        id: store::new_id(),
        deployment_id: deployment.id.clone(),
        cicd_job_id: job.id,
        parameters: build.parameters.clone(),
        build_number: None,
        build_url: None,
        created_at: now,
        updated_at: now,
    };
    mappings::insert(tx, &mapping).await?;
    build::insert(tx, build).await?;
    Ok(deployment)
}

/// What is built: a tag by its full name, since providers that want to know which of the two it is cannot tell.
fn full_name(deployment: &Deployment, source: &Build) -> String {
    match &deployment.tag {
        Some(tag) if *tag == source.git_ref => format!("{TAGS}{tag}"),
        _ => source.git_ref.clone(),
    }
}

/// The branch whose job it is to be: a tag has none, so it is the one that the stack follows.
async fn branch_of(tx: &mut Tx, deployment: &Deployment, source: &Build) -> Result<String> {
    let repository = match &deployment.repository_id {
        Some(id) if full_name(deployment, source).starts_with(TAGS) => repositories::find_opt(tx, id).await?,
        _ => None,
    };
    Ok(repository.map_or_else(|| source.git_ref.clone(), |row| row.branch))
}

/// The stack's job as it is to be now. It is made, or made anew if it has changed, before the build starts.
async fn job_of(
    tx: &mut Tx,
    ci: &StackCi,
    provider: &CicdProvider,
    deployment: &Deployment,
    source: &Build,
) -> Result<CicdJob> {
    let name = stacks::find(tx, ci.stack_id.as_str()).await?.name;
    let known = match &ci.job_id {
        Some(id) => Some(cicd_jobs::find(tx, id.as_str()).await?),
        None => None,
    };
    // A job builds one branch; another one that is asked for now and then is no reason to change it.
    let kept = known.as_ref().and_then(|job| job.spec.repository.clone());
    let repository = match kept.filter(|kept| kept.url == source.git_url) {
        Some(kept) => kept,
        None => {
            let branch = branch_of(tx, deployment, source).await?;
            JobRepository { url: source.git_url.clone(), branch }
        }
    };
    let spec = stack::completed(ci.settings.job.clone(), &name, repository);
    if let Some(job) = known {
        if job.spec == spec {
            return Ok(job);
        }
        return successor::respecify(tx, provider, job, spec).await;
    }
    let creator = deployment.triggered_by_user.clone();
    let job = cicd_jobs::insert(tx, job::new(provider, spec, creator)).await?;
    let row = StackCi { job_id: Some(job.id.clone()), updated_at: store::now(), ..ci.clone() };
    stack_ci::put(tx, &row).await?;
    Ok(job)
}

/// A stack that a provider deploys has no images or releases of its own.
pub fn refuse(stack: &str) -> Error {
    Error::conflict(format!(
        "stack `{stack}` is deployed by a CI/CD provider: deploy a branch or tag, which starts its job; images and earlier \
         releases are the provider's matter"
    ))
}

/// How a provider carries a deployment out.
#[derive(Debug, Clone)]
pub struct Carried {
    pub mapping: Mapping,
    pub job: CicdJob,
    pub provider: CicdProvider,
    /// Oldest first.
    pub builds: Vec<CicdBuild>,
}

/// Whether a provider carries it out.
pub async fn is_carried(app: &App, deployment: &Id) -> Result<bool> {
    let mut conn = app.db.read().await?;
    mappings::has(&mut conn, deployment).await
}

/// None if this server carries it out itself.
pub async fn carried(app: &App, deployment: &Id) -> Result<Option<Carried>> {
    let mut conn = app.db.read().await?;
    let Some(mapping) = mappings::by_deployment(&mut conn, deployment).await? else { return Ok(None) };
    let job = cicd_jobs::find(&mut conn, mapping.cicd_job_id.as_str()).await?;
    let provider = cicd_providers::find(&mut conn, job.provider_id.as_str()).await?;
    let builds = ci_builds::list_by_deployment(&mut conn, deployment).await?;
    Ok(Some(Carried { mapping, job, provider, builds }))
}

/// Has the builds of a deployment stopped; false if no provider carries it out.
pub async fn deployment_stop(app: &App, deployment: &Id) -> Result<bool> {
    let id = deployment.clone();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                if !mappings::has(tx, &id).await? {
                    return Ok(false);
                }
                for build in ci_builds::list_by_deployment(tx, &id).await? {
                    build::cancel(tx, &build.id).await?;
                }
                Ok(true)
            })
        })
        .await
}
