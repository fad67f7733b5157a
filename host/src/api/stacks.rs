//! `/api/v1/stacks`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Body, PageQuery, Params, Success, ok};
use super::view::{
    BuildView, ConnectionView, DeploymentView, PageView, PlanView, RepositoryDetailsView, StackView, times,
};
use crate::app::access::require;
use crate::app::plan::{self, Wanted};
use crate::app::stack::{StackInput, WebhookSetup};
use crate::app::webhook_secret::{DEFAULT_OVERLAP_SECS, webhook_secret_rotate};
use crate::app::{App, build, deployment, forge, look, repository, stack};
use crate::domain::access::{Role, Subject};
use crate::domain::repository::RepositoryInput;
use crate::error::{Error, Result};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(stack_list, stack_create))
        .routes(routes!(stack_view, stack_update, stack_delete))
        .routes(routes!(stack_deployments))
        .routes(routes!(stack_builds))
        .routes(routes!(stack_plan))
        .routes(routes!(stack_deploy))
        .routes(routes!(stack_rollback_readiness, stack_rollback))
        .routes(routes!(stack_rotate_webhook_secret))
        .routes(routes!(stack_webhook_register, stack_webhook_remove))
        .routes(routes!(stack_repository))
        .routes(routes!(stack_sync))
        .routes(routes!(repository_test))
}

#[derive(Serialize, ToSchema)]
struct StackCreated {
    stack: StackView,
    /// Where the forge has to send its deliveries, and the secret to sign them with. Shown this once.
    webhook: Option<WebhookSetup>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeployInput {
    /// Branch, tag or commit; the repository's branch if left out.
    #[serde(default)]
    git_ref: Option<String>,
    /// An image that the engine has already; nothing is built then.
    #[serde(default)]
    image_tag: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PlanQuery {
    /// Branch, tag or commit; the repository's branch if left out.
    #[serde(rename = "ref")]
    git_ref: Option<String>,
    /// Id or number of a deployment to go back to.
    deployment: Option<String>,
}

impl PlanQuery {
    fn wanted(self) -> Result<Wanted> {
        match (self.git_ref, self.deployment) {
            (None, None) => Ok(Wanted::Branch),
            (Some(name), None) => Ok(Wanted::Ref(name)),
            (None, Some(reference)) => Ok(Wanted::Deployment(reference)),
            (Some(_), Some(_)) => {
                Err(Error::invalid("ref", "ref and deployment exclude each other; leave one of them out"))
            }
        }
    }
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RollbackInput {
    /// Id or number of the deployment to go back to; the last successful one before the current if left out.
    #[serde(default)]
    deployment: Option<String>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RotateInput {
    /// Seconds for which the previous secret counts as well: at most 30 days, a day if left out, 0 to end it at once.
    #[serde(default)]
    overlap: Option<u32>,
    /// The secret that the forge has made; one is made here if left out.
    #[serde(default)]
    #[schema(write_only)]
    secret: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RotatedView {
    url: String,
    /// Shown this once; absent if it was given.
    secret: Option<String>,
    /// Until when the previous secret counts as well; absent if it ended at once.
    previous_until: Option<String>,
    /// This server has registered the webhook and tells the forge, so nothing has to be entered there.
    registered: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TestInput {
    /// Id, number or name of a stack whose repository is tested, or whose stored credentials count for the same URL.
    #[serde(default)]
    stack: Option<String>,
    /// What to test instead of what is stored.
    #[serde(default)]
    repository: Option<RepositoryInput>,
}

#[derive(Serialize, ToSchema)]
struct RollbackReadiness {
    ready: bool,
    /// What a rollback would bring back.
    target: Option<DeploymentView>,
    /// Why it would not work.
    reason: Option<String>,
}

/// Lists stacks, newest first.
#[utoipa::path(get, path = "/api/v1/stacks", tag = "stacks", params(PageQuery),
    responses((status = 200, body = Success<PageView<StackView>>)),
    security(("token" = ["viewer:any"])))]
async fn stack_list(
    State(app): State<App>,
    auth: Auth,
    Params(page): Params<PageQuery>,
) -> ApiResult<Json<Success<PageView<StackView>>>> {
    Ok(ok(PageView::of(stack::stack_list(&app, page.request(), &auth.reach()).await?, StackView::from)))
}

/// Creates a stack with its repository and build configuration.
#[utoipa::path(post, path = "/api/v1/stacks", tag = "stacks", request_body = StackInput,
    responses((status = 201, body = Success<StackCreated>)),
    security(("token" = ["developer:any"])))]
async fn stack_create(
    State(app): State<App>,
    auth: Auth,
    Body(input): Body<StackInput>,
) -> ApiResult<(StatusCode, Json<Success<StackCreated>>)> {
    let (view, webhook) = stack::stack_create(&app, input, &auth.who).await?;
    Ok((StatusCode::CREATED, ok(StackCreated { stack: view.into(), webhook })))
}

/// Shows a stack by id, number or name.
#[utoipa::path(get, path = "/api/v1/stacks/{stack}", tag = "stacks", responses((status = 200, body = Success<StackView>)),
    security(("token" = ["viewer:stack"])))]
async fn stack_view(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
) -> ApiResult<Json<Success<StackView>>> {
    Ok(ok(stack::stack_view(&app, &name).await?.into()))
}

/// Changes a stack. Secrets that are left out are kept.
#[utoipa::path(put, path = "/api/v1/stacks/{stack}", tag = "stacks", request_body = StackInput,
    responses((status = 200, body = Success<StackView>)),
    security(("token" = ["developer:stack"])))]
async fn stack_update(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
    Body(input): Body<StackInput>,
) -> ApiResult<Json<Success<StackView>>> {
    Ok(ok(stack::stack_update(&app, &name, input).await?.into()))
}

/// Removes a stack, its history and its containers.
#[utoipa::path(delete, path = "/api/v1/stacks/{stack}", tag = "stacks", responses((status = 204)),
    security(("token" = ["admin:stack"])))]
async fn stack_delete(State(app): State<App>, _: Auth, Path(name): Path<String>) -> ApiResult<StatusCode> {
    stack::stack_delete(&app, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists a stack's deployments, newest first.
#[utoipa::path(get, path = "/api/v1/stacks/{stack}/deployments", tag = "stacks", params(PageQuery),
    responses((status = 200, body = Success<PageView<DeploymentView>>)),
    security(("token" = ["viewer:stack"])))]
async fn stack_deployments(
    State(app): State<App>,
    auth: Auth,
    Path(name): Path<String>,
    Params(page): Params<PageQuery>,
) -> ApiResult<Json<Success<PageView<DeploymentView>>>> {
    let id = stack::stack_view(&app, &name).await?.stack.id;
    let page = deployment::deployment_list(&app, Some(&id), page.request(), &auth.reach()).await?;
    Ok(ok(PageView::of(page, DeploymentView::from)))
}

/// Lists a stack's builds, newest first.
#[utoipa::path(get, path = "/api/v1/stacks/{stack}/builds", tag = "stacks", params(PageQuery),
    responses((status = 200, body = Success<PageView<BuildView>>)),
    security(("token" = ["viewer:stack"])))]
async fn stack_builds(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
    Params(page): Params<PageQuery>,
) -> ApiResult<Json<Success<PageView<BuildView>>>> {
    let id = stack::stack_view(&app, &name).await?.stack.id;
    Ok(ok(PageView::of(build::build_list(&app, &id, page.request()).await?, BuildView::from)))
}

/// Says what a deployment would do. Nothing is changed.
#[utoipa::path(get, path = "/api/v1/stacks/{stack}/plan", tag = "stacks", params(PlanQuery),
    responses((status = 200, body = Success<PlanView>), (status = 409)),
    security(("token" = ["viewer:stack"])))]
async fn stack_plan(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
    Params(query): Params<PlanQuery>,
) -> ApiResult<Json<Success<PlanView>>> {
    Ok(ok(plan::stack_plan(&app, &name, &query.wanted()?).await?.into()))
}

/// Deploys a branch, tag or commit, or an image that is there already.
#[utoipa::path(post, path = "/api/v1/stacks/{stack}/deploy", tag = "stacks", request_body = DeployInput,
    responses((status = 202, body = Success<DeploymentView>)),
    security(("token" = ["deployer:stack"])))]
async fn stack_deploy(
    State(app): State<App>,
    auth: Auth,
    Path(name): Path<String>,
    Body(input): Body<DeployInput>,
) -> ApiResult<(StatusCode, Json<Success<DeploymentView>>)> {
    let caller = auth.caller();
    let row = match &input.image_tag {
        Some(tag) => deployment::deployment_create_from_image(&app, &name, tag, input.reason, caller).await?,
        None => {
            deployment::deployment_create(&app, &name, input.git_ref.as_deref(), input.reason, caller).await?
        }
    };
    Ok((StatusCode::ACCEPTED, ok(row.into())))
}

/// Says whether a rollback would work now, and to what.
#[utoipa::path(get, path = "/api/v1/stacks/{stack}/rollback", tag = "stacks",
    responses((status = 200, body = Success<RollbackReadiness>)),
    security(("token" = ["viewer:stack"])))]
async fn stack_rollback_readiness(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
) -> ApiResult<Json<Success<RollbackReadiness>>> {
    Ok(ok(match deployment::rollback_readiness(&app, &name).await? {
        Ok(target) => RollbackReadiness { ready: true, target: Some(target.into()), reason: None },
        Err(reason) => RollbackReadiness { ready: false, target: None, reason: Some(reason) },
    }))
}

/// Brings a kept release back.
#[utoipa::path(post, path = "/api/v1/stacks/{stack}/rollback", tag = "stacks", request_body = RollbackInput,
    responses((status = 202, body = Success<DeploymentView>)),
    security(("token" = ["deployer:stack"])))]
async fn stack_rollback(
    State(app): State<App>,
    auth: Auth,
    Path(name): Path<String>,
    Body(input): Body<RollbackInput>,
) -> ApiResult<(StatusCode, Json<Success<DeploymentView>>)> {
    let row =
        deployment::deployment_rollback(&app, &name, input.deployment.as_deref(), auth.caller()).await?;
    Ok((StatusCode::ACCEPTED, ok(row.into())))
}

/// Gives the stack's repository a new webhook secret, made here or by the forge. The previous one counts as well until the overlap is over.
#[utoipa::path(post, path = "/api/v1/stacks/{stack}/rotate-webhook-secret", tag = "stacks", request_body = RotateInput,
    responses((status = 200, body = Success<RotatedView>), (status = 409)),
    security(("token" = ["developer:stack"])))]
async fn stack_rotate_webhook_secret(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
    Body(input): Body<RotateInput>,
) -> ApiResult<Json<Success<RotatedView>>> {
    let overlap = input.overlap.unwrap_or(DEFAULT_OVERLAP_SECS);
    let rotated = webhook_secret_rotate(&app, &name, overlap, input.secret.as_deref()).await?;
    Ok(ok(RotatedView {
        url: rotated.url,
        secret: rotated.secret,
        previous_until: times(rotated.previous_until),
        registered: rotated.registered,
    }))
}

/// Registers the stack's webhook at the forge, with the repository's token and the present secret; one that is there already is
/// changed. From then on the forge is told of each new secret.
#[utoipa::path(post, path = "/api/v1/stacks/{stack}/webhook", tag = "stacks",
    responses((status = 200, body = Success<StackView>), (status = 409), (status = 502)),
    security(("token" = ["developer:stack"])))]
async fn stack_webhook_register(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
) -> ApiResult<Json<Success<StackView>>> {
    Ok(ok(forge::hook_register(&app, &name).await?.into()))
}

/// Removes the webhook that was registered at the forge from here.
#[utoipa::path(delete, path = "/api/v1/stacks/{stack}/webhook", tag = "stacks",
    responses((status = 204), (status = 409), (status = 502)),
    security(("token" = ["developer:stack"])))]
async fn stack_webhook_remove(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
) -> ApiResult<StatusCode> {
    forge::hook_remove(&app, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Looks at the stack's git server for pushes that no delivery told, now instead of later.
#[utoipa::path(post, path = "/api/v1/stacks/{stack}/sync", tag = "stacks",
    responses((status = 202, body = Success<StackView>), (status = 409)),
    security(("token" = ["deployer:stack"])))]
async fn stack_sync(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
) -> ApiResult<(StatusCode, Json<Success<StackView>>)> {
    Ok((StatusCode::ACCEPTED, ok(look::look_now(&app, &name).await?.into())))
}

/// Asks the forge about the stack's repository, with the repository's own token. Its plugin needs the optional interface
/// `repository`.
#[utoipa::path(get, path = "/api/v1/stacks/{stack}/repository", tag = "stacks",
    responses((status = 200, body = Success<RepositoryDetailsView>), (status = 409)),
    security(("token" = ["viewer:stack"])))]
async fn stack_repository(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
) -> ApiResult<Json<Success<RepositoryDetailsView>>> {
    Ok(ok(repository::repository_details(&app, &name).await?.into()))
}

/// Connects to a repository as a build would: one that is described, or that of a stack.
#[utoipa::path(post, path = "/api/v1/repositories/test", tag = "stacks", request_body = TestInput,
    responses((status = 200, body = Success<ConnectionView>), (status = 422), (status = 502), (status = 503)),
    security(("token" = ["developer:any"])))]
async fn repository_test(
    State(app): State<App>,
    auth: Auth,
    Body(input): Body<TestInput>,
) -> ApiResult<Json<Success<ConnectionView>>> {
    let TestInput { stack, repository } = input;
    if let Some(name) = &stack {
        require(&app, &auth.who.rights, Role::Developer, Subject::Stack, name).await?;
    }
    Ok(ok(repository::repository_test(&app, stack.as_deref(), repository.as_ref()).await?.into()))
}
