//! The dashboard: pages rendered here, live by the events of the API, usable without any script.

mod admin;
mod assets;
mod calls;
mod deployment;
mod form;
mod history;
mod log;
mod page;
mod plan;
mod plugins;
mod session;
mod stack;
mod stack_edit;
mod stack_form;
mod stack_input;
mod stack_rows;
mod stacks;
mod status;
mod timeline;
mod ui;
mod webhook_secret;
mod webhooks;

use axum::extract::DefaultBodyLimit;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router, middleware};

use crate::api::ApiError;
use crate::app::App;
use crate::error::Error;
use page::PageError;

/// Forms beyond this are refused; the largest legitimate one carries a few keys and variables.
const MAX_FORM_BYTES: usize = 1024 * 1024;

/// All pages.
pub fn router() -> Router<App> {
    Router::new()
        .route("/", get(stacks::list))
        .route("/login", get(session::login_page).post(session::login))
        .route("/logout", post(session::logout))
        .route("/stacks/new", get(stack_edit::new).post(stack_edit::create))
        .route("/stacks/{stack}", get(stack::show))
        .route("/stacks/{stack}/edit", get(stack_edit::edit).post(stack_edit::update))
        .route("/stacks/{stack}/plan", get(plan::show))
        .route("/stacks/{stack}/deploy", post(stack::deploy))
        .route("/stacks/{stack}/rollback", post(stack::rollback))
        .route("/stacks/{stack}/delete", post(stack::delete))
        .route("/stacks/{stack}/rotate-webhook-secret", post(webhook_secret::rotate))
        .route("/deployments", get(stacks::deployments))
        .route("/deployments/{deployment}", get(deployment::show))
        .route("/deployments/{deployment}/fragment", get(deployment::fragment))
        .route("/deployments/{deployment}/cancel", post(deployment::cancel))
        .route("/deployments/{deployment}/rollback", post(deployment::rollback))
        .route("/deployments/{deployment}/answer", post(deployment::answer))
        .route("/deployments/{deployment}/pause", post(deployment::pause))
        .route("/deployments/{deployment}/resume", post(deployment::resume))
        .route("/webhooks", get(webhooks::list))
        .route("/webhooks/{event}", get(webhooks::show))
        .route("/plugins", get(plugins::list))
        .route("/plugins/calls", get(calls::list))
        .route("/plugins/calls/{call}", get(calls::show))
        .route("/plugins/calls/{call}/replay", post(calls::replay))
        .route("/plugins/{plugin}", get(plugins::show))
        .route("/plugins/{plugin}/enable", post(plugins::enable))
        .route("/plugins/{plugin}/disable", post(plugins::disable))
        .route("/plugins/{plugin}/approve", post(plugins::approve))
        .route("/plugins/{plugin}/remove", post(plugins::remove))
        .route("/tokens", get(admin::tokens).post(admin::token_create))
        .route("/tokens/{token}/revoke", post(admin::token_revoke))
        .route("/status", get(status::show))
        .route("/assets/{name}", get(assets::asset))
        .fallback(missing)
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .layer(Extension(session::Limiter::default()))
        .layer(middleware::from_fn(page::headers))
}

/// Programs get the envelope that they expect, people a page.
async fn missing(uri: Uri) -> Response {
    let path = uri.path();
    if path.starts_with("/api/") || path.starts_with("/v1/") {
        return ApiError(Error::not_found("route", path)).into_response();
    }
    PageError::Failed(Error::not_found("page", path)).into_response()
}
