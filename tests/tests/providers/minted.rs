//! Tokens that are made from what the operator entered: a GitHub App's key, and a refresh token of GitLab.

use std::sync::Arc;

use serde_json::{Value, json};
use windlass::plugins::{Connection, Secret, Target};
use windlass_tests::vendors::bench::{Bench, spec};
use windlass_tests::vendors::github::{self, GitHub, app};
use windlass_tests::vendors::gitlab::{self, GitLab, oauth};

use crate::{CLONE, PIPELINE, PLAIN, failure, of_a_repository};

fn on(url: &str, secrets: &[(&str, &str)], settings: Value) -> Target {
    let connection =
        secrets.iter().fold(Connection::new("test", url).unwrap(), |connection, (slot, secret)| {
            connection.secret(slot, Secret::new(*secret)).unwrap()
        });
    Target { connection: Arc::new(connection), settings }
}

fn as_app(url: &str) -> Target {
    let settings = json!({ "app_id": app::ID, "installation_id": app::INSTALLATION });
    on(url, &[("app", app::KEY)], settings)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_github_app_serves_as_forge_and_provider_with_one_token_until_its_end() {
    let (server, bench) = (GitHub::start().await, Bench::start().await);
    let (plugins, on) = (&bench.plugins, as_app(&server.fake.url));
    let account = plugins.provider_test("github", &on).await.unwrap();
    assert_eq!(account.name, "octo");
    of_a_repository(plugins, "github", &on, github::REPOSITORY, github::COMMIT).await;
    let asked = spec(CLONE, ".github/workflows/deploy.yml", PLAIN);
    assert!(plugins.provider_create_job("github", &on, &asked).await.unwrap().buildable);
    assert_eq!(server.world().app.minted, 1);
    let used = server.fake.seen().into_iter().rfind(|seen| seen.path().contains("/actions/")).unwrap();
    assert_eq!(used.header("authorization"), Some(format!("Bearer {}", app::token(1)).as_str()));

    // It is refused before its time, and then made anew once.
    let branch = async || plugins.forge_default_branch("github", &on, github::REPOSITORY).await;
    server.world().app.revoked = 1;
    assert_eq!(branch().await.unwrap(), "main");
    assert_eq!(server.world().app.minted, 2);
    // One that has ended is not tried.
    (server.world().app.revoked, server.world().app.lives_secs) = (2, 0);
    branch().await.unwrap();
    server.fake.forget();
    branch().await.unwrap();
    assert_eq!(server.world().app.minted, 4);
    let asked = server.fake.trace();
    assert_eq!(asked[0], "POST /app/installations/678/access_tokens", "{asked:?}");
    // Git gets one as well, by the way that API calls take.
    let token = plugins.forge_token("github", &on, "app").await.unwrap();
    assert!(token == Secret::new(app::token(5)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_not_filled_in_rightly_says_what_is_wrong() {
    let (server, bench) = (GitHub::start().await, Bench::start().await);
    let url = server.fake.url.as_str();
    let wrong_key = PLAIN;
    for (key, settings, wanted) in [
        (app::KEY, json!({ "app_id": app::ID }), "lacks the variable `installation_id`"),
        (
            app::KEY,
            json!({ "app_id": "9", "installation_id": app::INSTALLATION }),
            "did not accept the secret `app`",
        ),
        (wrong_key, json!({ "app_id": app::ID, "installation_id": "1" }), "no private key in PEM"),
    ] {
        let refused = bench.plugins.provider_test("github", &on(url, &[("app", key)], settings)).await;
        let (code, message) = failure(refused.unwrap_err());
        assert!(code == "request-denied" && message.contains(wanted), "{message}");
    }
    let nothing = bench.plugins.provider_test("github", &on(url, &[], json!({}))).await;
    assert!(failure(nothing.unwrap_err()).1.contains("no secret for the slot"));
    assert_eq!(server.world().app.minted, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_of_gitlab_is_traded_once_for_all_calls_of_its_time() {
    let (server, bench) = (GitLab::start().await, Bench::start().await);
    let first = oauth::refresh_token(0);
    let secrets = [("oauth", first.as_str()), ("oauth-client", oauth::CLIENT_SECRET)];
    let on = on(&server.fake.url, &secrets, json!({ "client_id": oauth::CLIENT }));
    let plugins = &bench.plugins;
    assert_eq!(plugins.provider_test("gitlab", &on).await.unwrap().server_version, "18.5.0");
    let asked = spec("https://gitlab.example/group/sub/app.git", ".gitlab-ci.yml", PIPELINE);
    plugins.provider_create_job("gitlab", &on, &asked).await.unwrap();
    of_a_repository(plugins, "gitlab", &on, gitlab::PROJECT, gitlab::COMMIT).await;
    assert_eq!(server.world().oauth.traded, 1);
    // The connection still has the first refresh token, which GitLab would not take again.
    server.world().oauth.is_revoked = true;
    plugins.forge_default_branch("gitlab", &on, gitlab::PROJECT).await.unwrap();
    assert_eq!(server.world().oauth.traded, 2);
}
