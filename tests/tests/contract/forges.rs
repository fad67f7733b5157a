//! The optional interfaces of git forges, against a server.

use serde_json::json;
use windlass::domain::forge::{CommitState, CommitStatus, PullRequestState};
use windlass::plugins::Secret;
use windlass_tests::anvil::Anvil;
use windlass_tests::{components, sample};

use super::{code, invalid, plugins, target};

#[tokio::test]
async fn a_forge_tells_about_repositories_and_odd_answers_are_nonsense() {
    let anvil = Anvil::start().await;
    let (_folder, plugins) = plugins(&[("mirror", components::MIRROR)]).await;
    let target = target(&anvil.url, json!({}));
    let branch = async |name: &str| plugins.forge_default_branch("mirror", &target, name).await;
    assert_eq!(branch("smith/blade").await.expect("a branch"), "trunk");
    assert_eq!(code(branch("smith/empty").await), "empty-repository");
    assert_eq!(code(branch("smith/none").await), "no-such-repository");
    let odd = code(branch("smith/odd").await);
    assert!(odd.contains("--upload-pack") && odd.contains("no sense"), "{odd}");

    let details = plugins.forge_repository("mirror", &target, "smith/blade").await.expect("details");
    assert_eq!(details.default_branch.as_deref(), Some("trunk"));
    assert_eq!(details.web_url, None, "a link to a script is no link");
    let empty = plugins.forge_repository("mirror", &target, "smith/empty").await.expect("details");
    assert_eq!(empty.default_branch, None);
}

#[tokio::test]
async fn a_webhook_is_registered_with_a_secret_that_the_plugin_never_has() {
    let anvil = Anvil::start().await;
    let (_folder, plugins) = plugins(&[("mirror", components::MIRROR)]).await;
    let target = target(&anvil.url, json!({}));
    let register = async |secret: &str| {
        let hook = ("smith/blade", "https://windlass.example/hook");
        plugins.forge_register_hook("mirror", &target, hook, &Secret::new(secret)).await
    };
    let secret = "5ecret-of-the-webhook";
    let hook = register(secret).await.expect("it is registered");
    assert_eq!(hook, "h1");
    assert_eq!(anvil.hooks()[0], json!({ "url": "https://windlass.example/hook", "secret": secret }));
    plugins.forge_unregister_hook("mirror", &target, "smith/blade", &hook).await.expect("it is gone");
    plugins.forge_unregister_hook("mirror", &target, "smith/blade", &hook).await.expect("it still is");
    assert!(anvil.hooks().is_empty());
    for odd in ["with \"quotes\" in it", "short"] {
        assert_eq!(invalid(register(odd).await.expect_err("it is odd")).0, "secret");
    }
}

#[tokio::test]
async fn commit_statuses_deployments_and_pull_requests_go_both_ways() {
    let anvil = Anvil::start().await;
    let (_folder, plugins) = plugins(&[("mirror", components::MIRROR)]).await;
    let target = target(&anvil.url, json!({}));
    let status = CommitStatus {
        repository: "smith/blade".into(),
        commit: "0".repeat(40),
        state: CommitState::Success,
        context: "windlass/shop".into(),
        description: "Deployed".into(),
        url: None,
    };
    plugins.forge_set_status("mirror", &target, &status).await.expect("it is set");
    let seen = anvil.seen().pop().expect("a request");
    assert!(seen.path.ends_with("/commits/0000000000000000000000000000000000000000/status"), "{}", seen.path);
    assert!(seen.body.contains("good") && seen.body.contains("windlass/shop"), "{}", seen.body);

    let mut placement = sample::placement("smith/blade", &"0".repeat(40));
    for known in [None, Some("known-id".to_owned())] {
        placement.id = known.clone();
        let id = plugins.forge_set_deployment("mirror", &target, &placement).await.expect("it is told");
        assert_eq!(id, known.unwrap_or_else(|| placement.key.clone()));
    }
    let seen = anvil.seen().pop().expect("a request");
    assert!(seen.path.ends_with("/places/known-id"), "{}", seen.path);
    assert!(seen.body.contains("\"good\"") && seen.body.contains("\"shop\""), "{}", seen.body);

    let page =
        plugins.forge_open_pull_requests("mirror", &target, "smith/blade", None).await.expect("a page");
    assert_eq!((page.items.len(), page.cursor.as_deref()), (2, Some("2")));
    let last = plugins.forge_open_pull_requests("mirror", &target, "smith/blade", Some("2")).await;
    assert_eq!(last.expect("a page").cursor, None);
    let pull = plugins.forge_pull_request("mirror", &target, "smith/blade", 1).await.expect("one");
    assert_eq!((pull.state, pull.head_branch.as_str()), (PullRequestState::Merged, "sharper"));
    let missing = plugins.forge_pull_request("mirror", &target, "smith/blade", 99).await;
    assert_eq!(code(missing), "no-such-pull-request");
    plugins
        .forge_set_comment("mirror", &target, ("smith/blade", 1), "preview", "It is **out**.")
        .await
        .expect("it is left");
    let seen = anvil.seen().pop().expect("a request");
    assert!(seen.path.ends_with("/pulls/1/comments/preview") && seen.body.contains("**out**"), "{seen:?}");
}
