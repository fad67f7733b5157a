//! The dashboard: pages rendered here, live by the events of the API, usable without any script.

mod access;
mod activity;
mod admin;
mod ansi;
mod assets;
mod audit;
mod backups;
mod badge;
mod build_plan;
mod calls;
mod ci_jobs;
mod code;
mod deployment;
mod forge;
mod form;
mod health_check;
mod history;
mod hosts;
mod job_edit;
mod job_form;
mod log;
mod look;
mod notify;
mod notify_channel;
mod overview;
mod page;
mod people;
mod plan;
mod plugins;
mod previews;
mod protection;
mod provider_form;
mod providers;
mod registries;
mod rollout_history;
mod schedules;
mod second_factor;
mod security;
mod session;
mod sign_on;
mod split;
mod stack;
mod stack_ci;
mod stack_edit;
mod stack_form;
mod stack_input;
mod stack_rows;
mod stacks;
mod status;
mod targets;
mod tasks;
mod team;
mod template_form;
mod templates;
mod tenants;
mod timeline;
mod ui;
mod webhook_secret;
mod webhooks;

use axum::extract::DefaultBodyLimit;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};

use crate::api::ApiError;
use crate::app::App;
use crate::error::Error;
pub use access::PAGES;
pub use ansi::{Span, spans};
use page::PageError;

/// Forms beyond this are refused; the largest legitimate one carries a few keys and variables.
const MAX_FORM_BYTES: usize = 1024 * 1024;

/// All pages.
pub fn router() -> Router<App> {
    Router::new()
        .route("/", get(stacks::list))
        .route("/login", get(session::login_page).post(session::login))
        .route("/login/oidc", get(sign_on::begin))
        .route("/login/oidc/callback", get(sign_on::back))
        .route("/logout", post(session::logout))
        .merge(stack_pages())
        .route("/webhooks", get(webhooks::list))
        .route("/webhooks/{event}", get(webhooks::show))
        .route("/webhooks/{event}/replay", post(webhooks::replay))
        .route("/plugins", get(plugins::list))
        .route("/plugins/calls", get(calls::list))
        .route("/plugins/calls/{call}", get(calls::show))
        .route("/plugins/calls/{call}/replay", post(calls::replay))
        .route("/plugins/{plugin}", get(plugins::show))
        .route("/plugins/{plugin}/enable", post(plugins::enable))
        .route("/plugins/{plugin}/disable", post(plugins::disable))
        .route("/plugins/{plugin}/approve", post(plugins::approve))
        .route("/plugins/{plugin}/remove", post(plugins::remove))
        .route("/templates", get(templates::list))
        .route("/template/new", get(templates::new).post(templates::create))
        .route("/template/preview", post(templates::preview))
        .route("/templates/{template}", get(templates::show).post(templates::update))
        .route("/templates/{template}/delete", post(templates::delete))
        .route("/targets", get(targets::list).post(targets::create))
        .route("/targets/{target}/test", post(targets::test))
        .route("/targets/{target}/remove", post(targets::remove))
        .merge(provider_pages())
        .route("/notifications", get(notify::list).post(notify::create))
        .route("/notifications/{channel}", get(notify_channel::show))
        .route("/notifications/{channel}/test", post(notify_channel::test))
        .route("/notifications/{channel}/rotate", post(notify_channel::rotate))
        .route("/notifications/{channel}/switch", post(notify_channel::switch))
        .route("/notifications/{channel}/delete", post(notify_channel::delete))
        .route("/notifications/{channel}/rules", post(notify_channel::rule_create))
        .route("/notifications/{channel}/rules/{rule}/delete", post(notify_channel::rule_delete))
        .route("/notifications/{channel}/deliveries/{delivery}/replay", post(notify_channel::replay))
        .route("/tokens", get(admin::tokens).post(admin::token_create))
        .route("/tokens/{token}/revoke", post(admin::token_revoke))
        .route("/people", get(people::list))
        .route("/people/users", post(people::user_create))
        .route("/people/users/{user}/disable", post(people::user_disable))
        .route("/people/users/{user}/enable", post(people::user_enable))
        .route("/people/tenants", get(tenants::list).post(tenants::create))
        .route("/people/tenants/{tenant}/rename", post(tenants::rename))
        .route("/people/tenants/{tenant}/delete", post(tenants::delete))
        .route("/people/teams", post(people::team_create))
        .route("/people/teams/{team}", get(team::show))
        .route("/people/teams/{team}/members", post(team::member_put))
        .route("/people/teams/{team}/remove", post(team::member_remove))
        .route("/people/teams/{team}/invitations", post(team::invite))
        .route("/people/teams/{team}/withdraw", post(team::withdraw))
        .route("/people/me/password", post(people::password))
        .route("/people/me/join", post(people::join))
        .route("/people/me/second-factor", post(second_factor::begin))
        .route("/people/me/second-factor/confirm", post(second_factor::confirm))
        .route("/people/me/second-factor/remove", post(second_factor::remove))
        .route("/invitation", get(session::invitation_page).post(session::invitation))
        .route("/invitation/oidc", post(sign_on::invited))
        .route("/audit", get(audit::list))
        .route("/backups", get(backups::list).post(backups::create))
        .route("/security", get(security::show))
        .route("/tasks", get(tasks::list))
        .route("/tasks/{task}/run-now", post(tasks::run_now))
        .route("/registries", get(registries::list).post(registries::create))
        .route("/registries/{registry}/test", post(registries::test))
        .route("/registries/{registry}/delete", post(registries::delete))
        .route("/hosts", get(hosts::list))
        .route("/hosts/forget", post(hosts::forget))
        .route("/status", get(status::show))
        .route("/assets/{name}", get(assets::asset))
        .fallback(missing)
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .layer(middleware::from_fn(page::headers))
}

/// Stacks and what was done with them.
fn stack_pages() -> Router<App> {
    Router::new()
        .route("/stacks/new", get(stack_edit::new).post(stack_edit::create))
        .route("/stacks/{stack}", get(stack::show))
        .route("/stacks/{stack}/edit", get(stack_edit::edit).post(stack_edit::update))
        .route("/stacks/{stack}/activity", get(activity::show))
        .route("/stacks/{stack}/plan", get(plan::show))
        .route("/stacks/{stack}/build-plan", get(build_plan::show))
        .route("/stacks/{stack}/commits", get(code::commits))
        .route("/stacks/{stack}/files", get(code::files))
        .route("/stacks/{stack}/deploy", post(stack::deploy))
        .route("/stacks/{stack}/rollback", post(stack::rollback))
        .route("/stacks/{stack}/delete", post(stack::delete))
        .route("/stacks/{stack}/rotate-webhook-secret", post(webhook_secret::rotate))
        .route("/stacks/{stack}/webhook/register", post(forge::register))
        .route("/stacks/{stack}/webhook/remove", post(forge::remove))
        .route("/stacks/{stack}/sync", post(look::sync))
        .route("/stacks/{stack}/ci", get(stack_ci::show).post(stack_ci::update))
        .route("/stacks/{stack}/ci/remove", post(stack_ci::remove))
        .route("/stacks/{stack}/previews", get(previews::list).post(previews::enable))
        .route("/stacks/{stack}/previews/disable", post(previews::disable))
        .route("/stacks/{stack}/badge", post(badge::switch))
        .route("/stacks/{stack}/protection", get(protection::show).post(protection::update))
        .route("/stacks/{stack}/schedules", get(schedules::list).post(schedules::create))
        .route("/stacks/{stack}/schedules/{schedule}/switch", post(schedules::switch))
        .route("/stacks/{stack}/schedules/{schedule}/delete", post(schedules::delete))
        .route("/deployments", get(stacks::deployments))
        .route("/deployments/{deployment}", get(deployment::show))
        .route("/deployments/{deployment}/fragment", get(deployment::fragment))
        .route("/deployments/{deployment}/cancel", post(deployment::cancel))
        .route("/deployments/{deployment}/retry", post(deployment::retry))
        .route("/deployments/{deployment}/rollback", post(deployment::rollback))
        .route("/deployments/{deployment}/answer", post(deployment::answer))
        .route("/deployments/{deployment}/pause", post(deployment::pause))
        .route("/deployments/{deployment}/promote", post(deployment::promote))
        .route("/deployments/{deployment}/resume", post(deployment::resume))
        .route("/deployments/{deployment}/health-check", post(health_check::check))
}

/// Providers, their jobs and their builds.
fn provider_pages() -> Router<App> {
    Router::new()
        .route("/providers", get(providers::list))
        .route("/providers/new", get(provider_form::new).post(provider_form::create))
        .route("/providers/{provider}", get(providers::show))
        .route("/providers/{provider}/edit", get(provider_form::edit).post(provider_form::update))
        .route("/providers/{provider}/jobs/new", get(ci_jobs::new).post(ci_jobs::create))
        .route("/providers/{provider}/test", post(providers::test))
        .route("/ci-jobs/{ci_job}", get(ci_jobs::show))
        .route("/ci-jobs/{ci_job}/trigger", post(ci_jobs::trigger))
        .route("/ci-jobs/{ci_job}/edit", get(job_edit::edit).post(job_edit::update))
        .route("/ci-jobs/{ci_job}/sync", post(ci_jobs::sync))
        .route("/ci-jobs/{ci_job}/delete", post(ci_jobs::delete))
        .route("/ci-jobs/{ci_job}/schedules", get(schedules::job_list).post(schedules::job_create))
        .route("/ci-jobs/{ci_job}/schedules/{schedule}/switch", post(schedules::job_switch))
        .route("/ci-jobs/{ci_job}/schedules/{schedule}/delete", post(schedules::job_delete))
        .route("/ci-builds/{ci_build}", get(providers::build))
        .route("/ci-builds/{ci_build}/artifacts", get(providers::artifacts))
        .route("/ci-builds/{ci_build}/cancel", post(providers::cancel))
        .route("/ci-builds/{ci_build}/rerun", post(providers::rerun))
}

/// Programs get the envelope that they expect, people a page.
async fn missing(uri: Uri) -> Response {
    let path = uri.path();
    if path.starts_with("/api/") || path.starts_with("/v1/") {
        return ApiError(Error::not_found("route", path)).into_response();
    }
    PageError::Failed(Error::not_found("page", path)).into_response()
}
