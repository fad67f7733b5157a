//! What the plugin says about itself.

use windlass_sdk::{Manifest, WebhookContract, WebhookScheme, params};

use crate::jobs::SETTINGS;

/// Where GitHub keeps logs and artifacts, for a minute under a signed address each; Enterprise Servers keep them in the
/// blob store that they were given.
const STORES: [&str; 4] = [
    "https://*.blob.core.windows.net/**",
    "https://*.actions.githubusercontent.com/**",
    "https://*.amazonaws.com/**",
    "https://storage.googleapis.com/**",
];

pub fn describe() -> Manifest {
    // The older header `x-hub-signature` is SHA-1 and is not taken.
    let signed = WebhookScheme::hmac_sha256_hex("x-hub-signature-256", "sha256=");
    let manifest = Manifest::new(
        "github",
        env!("CARGO_PKG_VERSION"),
        "Reads GitHub's webhooks, asks it about repositories, and runs jobs with GitHub Actions",
    )
    .settings_schema(params::schema(SETTINGS))
    .with("api-base", "github.com https://api.github.com")
    .with("api-base", "* {origin}/api/v3")
    .with("generator", "github-workflow")
    .with("trigger", "keyed")
    .credential("token", "A personal access token; or leave it empty and fill in `app`", "bearer", true)
    .minted_credential(
        "app",
        "The private key of a GitHub App in PEM, with the settings `app_id` and `installation_id`",
        "app-jwt",
        false,
        &[("mint-path", "/app/installations/{installation_id}/access_tokens"), ("mint-issuer", "{app_id}")],
    )
    .webhooks(WebhookContract::new(vec![signed], &["x-github-delivery"], &["x-github-event"]));
    STORES.iter().fold(permissions(manifest), |manifest, store| {
        manifest.permission(&["GET"], store, "fetches logs and artifacts from where GitHub keeps them")
    })
}

fn permissions(manifest: Manifest) -> Manifest {
    manifest
        .permission(&["GET"], "/user", "says whom the token belongs to")
        .permission(&["GET"], "/installation/repositories", "says where an app is installed")
        .permission(&["GET"], "/repos/*/*", "reads a repository's default branch and details")
        .permission(&["GET"], "/repos/*/*/branches/*%2F*", "sees whether a repository is empty")
        .permission(&["GET", "PUT", "DELETE"], "/repos/*/*/contents/**", "commits the workflow files of jobs")
        .permission(&["GET"], "/repos/*/*/actions/**", "reads workflows, runs, logs and artifacts")
        .permission(&["POST"], "/repos/*/*/actions/workflows/*/dispatches", "starts builds")
        .permission(&["PUT"], "/repos/*/*/actions/workflows/*/enable", "enables the workflows of jobs")
        .permission(&["POST"], "/repos/*/*/actions/runs/*/cancel", "cancels builds")
        .permission(&["GET", "POST"], "/repos/*/*/hooks", "finds and registers the webhook")
        .permission(&["PATCH", "DELETE"], "/repos/*/*/hooks/*", "renews and removes the webhook")
        .permission(&["POST"], "/repos/*/*/statuses/*", "shows a deployment beside its commit")
        .permission(&["GET", "POST"], "/repos/*/*/deployments", "shows what was deployed where")
        .permission(&["POST"], "/repos/*/*/deployments/*/statuses", "shows how a deployment goes")
        .permission(&["GET"], "/repos/*/*/pulls", "lists pull requests")
        .permission(&["GET"], "/repos/*/*/pulls/*", "reads a pull request")
        .permission(&["GET", "POST"], "/repos/*/*/issues/*/comments", "comments on a pull request")
        .permission(&["PATCH"], "/repos/*/*/issues/comments/*", "renews its comment")
        // GitHub sends on to these where a repository was renamed.
        .permission(&["GET"], "/repositories/**", "follows a repository that was renamed")
        .permission(&["POST"], "/repositories/*/actions/**", "follows a repository that was renamed")
}
