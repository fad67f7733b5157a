//! What the plugin says about itself.

use windlass_sdk::{Manifest, WebhookContract, WebhookScheme, params};

use crate::jobs::SETTINGS;

pub fn describe() -> Manifest {
    let schemes = vec![WebhookScheme::standard_webhooks(), WebhookScheme::shared_token("x-gitlab-token", "")];
    // The first stays the same when GitLab tries again; events that one event caused share the last.
    let ids = ["idempotency-key", "webhook-id", "x-gitlab-event-uuid"];
    let manifest = Manifest::new(
        "gitlab",
        env!("CARGO_PKG_VERSION"),
        "Reads GitLab's webhooks, asks it about projects, and runs jobs with GitLab CI",
    )
    .settings_schema(params::schema(SETTINGS))
    .credential(
        "token",
        "A personal, group or project access token; or leave it empty and fill in `oauth`",
        "header:private-token",
        true,
    )
    .minted_credential(
        "oauth",
        "A refresh token of an OAuth application, with its secret as `oauth-client` and the setting `client_id`",
        "oauth2",
        false,
        &[("mint-path", "/oauth/token"), ("mint-client", "{client_id}"), ("git-user", "oauth2")],
    )
    .with("generator", "gitlab-ci")
    .with("trigger", "keyed")
    .webhooks(WebhookContract::new(schemes, &ids, &["x-gitlab-event"]));
    builds(projects(manifest))
}

fn projects(manifest: Manifest) -> Manifest {
    manifest
        .permission(&["GET"], "/api/v4/version", "says which version answers")
        .permission(&["GET"], "/api/v4/personal_access_tokens/self", "says what the token may do")
        .permission(&["GET"], "/api/v4/projects/*%2F*", "reads a project's default branch and details")
        .permission(&["GET", "POST"], "/api/v4/projects/*%2F*/hooks", "finds and registers the webhook")
        .permission(&["PUT", "DELETE"], "/api/v4/projects/*%2F*/hooks/*", "renews and removes the webhook")
        .permission(&["POST"], "/api/v4/projects/*%2F*/statuses/*", "shows a deployment beside its commit")
        .permission(&["POST"], "/api/v4/projects/*%2F*/deployments", "shows what was deployed where")
        .permission(&["GET", "PUT"], "/api/v4/projects/*%2F*/deployments/*", "shows how a deployment goes")
        .permission(&["GET", "PUT"], "/api/v4/projects/*%2F*/environments/*", "says where it can be reached")
        .permission(&["POST"], "/api/v4/projects/*%2F*/environments/*/stop", "says that nothing serves there")
        .permission(&["GET"], "/api/v4/projects/*%2F*/merge_requests", "lists merge requests")
        .permission(&["GET"], "/api/v4/projects/*%2F*/merge_requests/*", "reads a merge request")
        .permission(
            &["GET", "POST"],
            "/api/v4/projects/*%2F*/merge_requests/*/notes",
            "comments on a merge request",
        )
        .permission(&["PUT"], "/api/v4/projects/*%2F*/merge_requests/*/notes/*", "renews its comment")
}

fn builds(manifest: Manifest) -> Manifest {
    manifest
        .permission(
            &["GET", "POST", "PUT", "DELETE"],
            "/api/v4/projects/*%2F*/repository/files/*%2F*",
            "commits the pipelines of jobs",
        )
        .permission(&["POST"], "/api/v4/projects/*%2F*/ci/lint", "checks a pipeline before it is committed")
        .permission(&["POST"], "/api/v4/projects/*%2F*/pipeline", "starts builds")
        .permission(&["GET"], "/api/v4/projects/*%2F*/pipelines/**", "reads pipelines and their jobs")
        .permission(&["POST"], "/api/v4/projects/*%2F*/pipelines/*/cancel", "cancels builds")
        .permission(&["GET"], "/api/v4/projects/*%2F*/jobs/*/trace", "reads logs")
        .permission(&["GET"], "/api/v4/projects/*%2F*/jobs/*/artifacts", "reads artifacts")
        .permission(
            &["GET"],
            "https://storage.googleapis.com/**",
            "fetches artifacts and old logs from where gitlab.com keeps them",
        )
}
