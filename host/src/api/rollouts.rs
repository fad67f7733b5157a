//! A rollout while it runs and afterwards, and what people say to it: `/api/v1/deployments/{deployment}/rollout`, `/history`,
//! `/approve`, `/health-check` and neighbours.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Body, Success, ok};
use super::view::{ApprovalView, DeploymentView, HealthCheckView, HistoryView, RolloutView};
use crate::app::{App, approval, deployment, rollout};
use crate::domain::approval::Verdict;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(rollout_view))
        .routes(routes!(rollout_history))
        .routes(routes!(approval_list))
        .routes(routes!(deployment_approve))
        .routes(routes!(deployment_reject))
        .routes(routes!(deployment_promote))
        .routes(routes!(deployment_pause))
        .routes(routes!(deployment_resume))
        .routes(routes!(deployment_check_health))
        .routes(routes!(stack_check_health))
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AnswerInput {
    /// `planHash` of the question that is answered; if the rollout asks about something else by now, nothing is answered.
    #[serde(default)]
    plan_hash: Option<String>,
    /// Why, for the record; at most 1,000 characters.
    #[serde(default)]
    comment: Option<String>,
}

/// A rollout while it runs: who gets the requests, what runs, and how it answers.
#[utoipa::path(get, path = "/api/v1/deployments/{deployment}/rollout", tag = "deployments",
    responses((status = 200, body = Success<RolloutView>)),
    security(("token" = ["viewer:deployment"])))]
async fn rollout_view(
    State(app): State<App>,
    _: Auth,
    Path(id): Path<String>,
) -> ApiResult<Json<Success<RolloutView>>> {
    let row = deployment::deployment_view(&app, &id).await?;
    Ok(ok(rollout::rollout_view(&app, &row).await?.into()))
}

/// What a rollout was like, while it runs and afterwards: the share of the new release and how both releases answered, over
/// time, and what was decided and why.
#[utoipa::path(get, path = "/api/v1/deployments/{deployment}/history", tag = "deployments",
    responses((status = 200, body = Success<HistoryView>)),
    security(("token" = ["viewer:deployment"])))]
async fn rollout_history(
    State(app): State<App>,
    _: Auth,
    Path(id): Path<String>,
) -> ApiResult<Json<Success<HistoryView>>> {
    let row = deployment::deployment_view(&app, &id).await?;
    Ok(ok(rollout::rollout_history(&app, &row).await?.into()))
}

/// Everything a rollout asked people, the latest last.
#[utoipa::path(get, path = "/api/v1/deployments/{deployment}/approvals", tag = "deployments",
    responses((status = 200, body = Success<Vec<ApprovalView>>)),
    security(("token" = ["viewer:deployment"])))]
async fn approval_list(
    State(app): State<App>,
    _: Auth,
    Path(id): Path<String>,
) -> ApiResult<Json<Success<Vec<ApprovalView>>>> {
    let row = deployment::deployment_view(&app, &id).await?;
    let asked = approval::approval_list(&app, &row.id).await?;
    Ok(ok(asked.into_iter().map(ApprovalView::from).collect()))
}

/// Says yes to what a rollout waits for.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/approve", tag = "deployments", request_body = AnswerInput,
    responses((status = 200, body = Success<DeploymentView>), (status = 409)),
    security(("token" = ["deployer:deployment"])))]
async fn deployment_approve(
    State(app): State<App>,
    auth: Auth,
    Path(id): Path<String>,
    Body(input): Body<AnswerInput>,
) -> ApiResult<Json<Success<DeploymentView>>> {
    answer(&app, &auth, &id, Verdict::Approve, input).await
}

/// Says no to what a rollout waits for; its strategy then restores what served before.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/reject", tag = "deployments", request_body = AnswerInput,
    responses((status = 200, body = Success<DeploymentView>), (status = 409)),
    security(("token" = ["deployer:deployment"])))]
async fn deployment_reject(
    State(app): State<App>,
    auth: Auth,
    Path(id): Path<String>,
    Body(input): Body<AnswerInput>,
) -> ApiResult<Json<Success<DeploymentView>>> {
    answer(&app, &auth, &id, Verdict::Reject, input).await
}

async fn answer(
    app: &App,
    auth: &Auth,
    id: &str,
    verdict: Verdict,
    input: AnswerInput,
) -> ApiResult<Json<Success<DeploymentView>>> {
    let hash = input.plan_hash.as_deref();
    let row = approval::approval_decide(app, id, verdict, hash, input.comment, &auth.who).await?;
    Ok(ok(row.into()))
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PromoteInput {
    /// The new release's share of the requests that you saw, in percent; if it has another one by now, nothing is done.
    #[serde(default)]
    share: Option<u32>,
    /// Why, for the record; at most 1,000 characters.
    #[serde(default)]
    comment: Option<String>,
}

/// Lets a rollout go on that waits for time to pass: a canary's pause, a timer, a batch that settles, the time in which the
/// old copy stays ready. If it asks a question, the answer is yes.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/promote", tag = "deployments", request_body = PromoteInput,
    responses((status = 200, body = Success<DeploymentView>), (status = 409)),
    security(("token" = ["deployer:deployment"])))]
async fn deployment_promote(
    State(app): State<App>,
    auth: Auth,
    Path(id): Path<String>,
    Body(input): Body<PromoteInput>,
) -> ApiResult<Json<Success<DeploymentView>>> {
    let row = approval::deployment_promote(&app, &id, input.share, input.comment, &auth.who).await?;
    Ok(ok(row.into()))
}

/// Holds a rollout where it is; what serves goes on serving. The time does not count against its deadline.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/pause", tag = "deployments",
    responses((status = 200, body = Success<DeploymentView>), (status = 409)),
    security(("token" = ["deployer:deployment"])))]
async fn deployment_pause(
    State(app): State<App>,
    auth: Auth,
    Path(id): Path<String>,
) -> ApiResult<Json<Success<DeploymentView>>> {
    Ok(ok(approval::deployment_pause(&app, &id, &auth.who.user.name).await?.into()))
}

/// Lets a paused rollout go on.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/resume", tag = "deployments",
    responses((status = 200, body = Success<DeploymentView>), (status = 409)),
    security(("token" = ["deployer:deployment"])))]
async fn deployment_resume(
    State(app): State<App>,
    auth: Auth,
    Path(id): Path<String>,
) -> ApiResult<Json<Success<DeploymentView>>> {
    Ok(ok(approval::deployment_resume(&app, &id, &auth.who.user.name).await?.into()))
}

/// Asks the instances of the release that a deployment brought into service whether they are well, now, as the health gate
/// does.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/health-check", tag = "deployments",
    responses((status = 200, body = Success<HealthCheckView>), (status = 409)),
    security(("token" = ["viewer:deployment"])))]
async fn deployment_check_health(
    State(app): State<App>,
    _: Auth,
    Path(id): Path<String>,
) -> ApiResult<Json<Success<HealthCheckView>>> {
    Ok(ok(deployment::deployment_check_health(&app, &id).await?.into()))
}

/// Asks the instances that serve a stack now whether they are well.
#[utoipa::path(post, path = "/api/v1/stacks/{stack}/health-check", tag = "stacks",
    responses((status = 200, body = Success<HealthCheckView>), (status = 409)),
    security(("token" = ["viewer:stack"])))]
async fn stack_check_health(
    State(app): State<App>,
    _: Auth,
    Path(name): Path<String>,
) -> ApiResult<Json<Success<HealthCheckView>>> {
    Ok(ok(deployment::stack_check_health(&app, &name).await?.into()))
}
