//! HTTP for programs: `/api/v1`, the seeds' routes, health and metrics, and their OpenAPI document.

mod admin;
mod apply;
mod audit;
mod backups;
mod badges;
mod builds;
mod calls;
mod certificates;
mod channels;
mod ci_builds;
mod ci_jobs;
mod cicd;
mod code;
mod deliveries;
mod document;
mod error;
mod extract;
mod hosts;
mod logs;
mod overview;
mod people;
mod pipelines;
mod plugins;
mod policy;
mod previews;
mod protections;
mod providers;
mod recorded;
mod registries;
mod rollouts;
mod runs;
mod schedules;
mod secrets;
mod security;
mod sessions;
mod socket;
mod stack_ci;
mod stacks;
mod stream;
mod targets;
mod tasks;
mod teams;
mod templates;
mod tenants;
mod view;
mod webhooks;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use bytes::Bytes;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder, SecurityRequirement};
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

pub use apply::file_schemas;
pub use error::{ApiError, status};
pub use extract::{Auth, COOKIE, same_origin};
pub use policy::{Policies, declared, is_public};
pub use recorded::recorded;
pub use sessions::client_address;
pub use socket::sockets;
pub use view::time;

/// JSON requests beyond this are refused.
pub const MAX_JSON_BYTES: usize = 1024 * 1024;

/// All routes for programs.
pub fn router() -> Router<App> {
    let (router, document) = routes().split_for_parts();
    // As bytes: a router is copied for each connection, and the document would be copied with it. Writing it cannot fail.
    let document = Bytes::from(serde_json::to_vec(&described(document)).unwrap_or_default());
    router
        .route(
            "/api/v1/openapi.json",
            get(move || async move { ([(CONTENT_TYPE, "application/json")], document) }),
        )
        .layer(DefaultBodyLimit::max(MAX_JSON_BYTES))
}

/// The OpenAPI document that is checked in as `docs/openapi.json`.
pub fn openapi() -> OpenApi {
    described(routes().into_openapi())
}

fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(stacks::router())
        .merge(code::router())
        .merge(hosts::router())
        .merge(apply::router())
        .merge(runs::router())
        .merge(tasks::router())
        .merge(schedules::router())
        .merge(builds::router())
        .merge(registries::router())
        .merge(previews::router())
        .merge(rollouts::router())
        .merge(stream::router())
        .merge(webhooks::router())
        .merge(admin::router())
        .merge(plugins::router())
        .merge(calls::router())
        .merge(pipelines::router())
        .merge(templates::router())
        .merge(certificates::router())
        .merge(channels::router())
        .merge(deliveries::router())
        .merge(cicd::router())
        .merge(protections::router())
        .merge(people::router())
        .merge(teams::router())
        .merge(tenants::router())
        .merge(sessions::router())
        .merge(providers::router())
        .merge(ci_jobs::router())
        .merge(ci_builds::router())
        .merge(stack_ci::router())
        .merge(targets::router())
        .merge(secrets::router())
        .merge(backups::router())
        .merge(security::router())
        .merge(audit::router())
        .merge(overview::router())
        .merge(badges::router())
}

fn described(mut document: OpenApi) -> OpenApi {
    let info = InfoBuilder::new()
        .title("Windlass")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("From a git push to running, healthy containers. Every request but webhooks and health checks needs a bearer token."))
        .build();
    document.info = info;
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    let mut components = document.components.take().unwrap_or_default();
    components.add_security_scheme("token", bearer);
    document.components = Some(components);
    document.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new())]);
    let mut document = OpenApiBuilder::from(document).build();
    document::complete(&mut document);
    document
}
