//! GitHub and GitLab as forges and CI providers: the built-in plugins in the real host against stateful fakes, behind a
//! proxy that holds both sides to the vendor's own API document; and the vendors' own clients against the same fakes.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod clients;
mod github_actions;
mod gitlab_ci;
mod minted;

use windlass::domain::ci::CiBuild;
use windlass::domain::forge::{CommitState, CommitStatus, PlacementState, PullRequestState};
use windlass::error::{Error, PluginErrorKind};
use windlass::plugins::{Plugins, Secret, Target};
use windlass_tests::sample::placement;
use windlass_tests::vendors::bench::{Bench, spec, target};
use windlass_tests::vendors::github::{self, GitHub};
use windlass_tests::vendors::gitlab::{self, GitLab};

pub(crate) const PLAIN: &str = "on: workflow_dispatch\njobs: {}\n";
pub(crate) const PIPELINE: &str =
    "variables:\n  ENVIRONMENT: { value: staging, options: [staging, production] }\njob:\n  script: [make]\n";
pub(crate) const CLONE: &str = "https://github.com/octo/app.git";
const HOOK: &str = "https://windlass.example/api/webhooks/7";
const HOOK_SECRET: &str = "a-secret-of-the-webhook-0123456789";

/// Code and message of a failure that the plugin answered with.
pub(crate) fn failure(error: Error) -> (String, String) {
    match error {
        Error::Plugin(error) => match error.kind {
            PluginErrorKind::Failure { code, message, .. } => (code, message),
            other => panic!("{other}"),
        },
        other => panic!("{other}"),
    }
}

/// The whole log, piece by piece until it is complete.
pub(crate) async fn whole_log(plugins: &Plugins, name: &str, on: &Target, job: &str, build: &str) -> String {
    let (mut text, mut cursor) = (String::new(), None::<String>);
    for _ in 0..100 {
        let piece = plugins.provider_build_logs(name, on, job, build, cursor.as_deref()).await.unwrap();
        text.push_str(&piece.text);
        cursor = Some(piece.cursor);
        if piece.complete {
            return text;
        }
    }
    panic!("the log has no end: {text}");
}

pub(crate) async fn status(plugins: &Plugins, name: &str, on: &Target, job: &str, build: &str) -> CiBuild {
    plugins.provider_build_status(name, on, job, build).await.unwrap()
}

/// What both forges do alike, and their documents describe.
pub(crate) async fn of_a_repository(
    plugins: &Plugins,
    name: &str,
    on: &Target,
    repository: &str,
    commit: &str,
) {
    let details = plugins.forge_repository(name, on, repository).await.unwrap();
    assert_eq!((details.default_branch.as_deref(), details.private), (Some("main"), true));
    assert_eq!(plugins.forge_default_branch(name, on, repository).await.unwrap(), "main");
    let missing = failure(plugins.forge_default_branch(name, on, "octo/none").await.unwrap_err());
    assert_eq!(missing.0, "no-such-repository");
    let secret = Secret::new(HOOK_SECRET);
    let id = plugins.forge_register_hook(name, on, (repository, HOOK), &secret).await.unwrap();
    let again = plugins.forge_register_hook(name, on, (repository, HOOK), &secret).await.unwrap();
    assert_eq!(id, again, "it is changed and not doubled");
    for _ in 0..2 {
        plugins.forge_unregister_hook(name, on, repository, &id).await.unwrap();
    }
    let mut status = CommitStatus {
        repository: repository.into(),
        commit: commit.into(),
        state: CommitState::Running,
        context: "windlass/shop".into(),
        description: "x".repeat(300),
        url: Some("https://windlass.example/d/7".into()),
    };
    for _ in 0..2 {
        plugins.forge_set_status(name, on, &status).await.unwrap();
    }
    status.commit = "0".repeat(39) + "1";
    assert_eq!(failure(plugins.forge_set_status(name, on, &status).await.unwrap_err()).0, "no-such-commit");
    let mut placed = placement(repository, commit);
    let mut states = vec![PlacementState::InProgress, PlacementState::Success];
    match name {
        // How an environment gets its address, or ends, is not in the part of the document that there is.
        "gitlab" => placed.url = None,
        _ => states.push(PlacementState::Inactive),
    }
    for state in states {
        placed.state = state;
        let id = plugins.forge_set_deployment(name, on, &placed).await.unwrap();
        assert_eq!(placed.id.get_or_insert(id.clone()), &id, "it stays the same one");
    }
    (placed.id, placed.commit) = (None, "0".repeat(39) + "1");
    let unknown = plugins.forge_set_deployment(name, on, &placed).await.unwrap_err();
    assert_eq!(failure(unknown).0, "no-such-commit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_told_in_each_vendors_words_and_an_unknown_one_is_named() {
    let (github, gitlab, bench) = (GitHub::start().await, GitLab::start().await, Bench::start().await);
    let (hub, lab) = (target(&github.fake.url, github::TOKEN), target(&gitlab.fake.url, gitlab::TOKEN));
    for (state, at_github, at_gitlab) in [
        (PlacementState::Queued, "queued", "running"),
        (PlacementState::InProgress, "in_progress", "running"),
        (PlacementState::Success, "success", "success"),
        (PlacementState::Failure, "failure", "failed"),
        (PlacementState::Cancelled, "error", "canceled"),
        (PlacementState::RolledBack, "inactive", "failed"),
        (PlacementState::Inactive, "inactive", "success"),
    ] {
        let mut told = placement("octo/app", github::COMMIT);
        (told.state, told.key) = (state, state.as_str().replace('_', "-"));
        let first = bench.plugins.forge_set_deployment("github", &hub, &told).await.unwrap();
        // An attempt whose answer got lost: the key says that it is there.
        assert_eq!(bench.plugins.forge_set_deployment("github", &hub, &told).await.unwrap(), first);
        assert_eq!(github.world().deployments.last().unwrap().state(), at_github);
        (told.repository, told.commit) = (gitlab::PROJECT.into(), gitlab::COMMIT.into());
        bench.plugins.forge_set_deployment("gitlab", &lab, &told).await.unwrap();
        assert_eq!(gitlab.world().deployments.last().unwrap()["status"], at_gitlab);
    }
    assert_eq!((github.world().deployments.len(), gitlab.world().deployments.len()), (7, 7));
    assert!(gitlab.world().is_stopped, "nothing serves there any more");
    assert_eq!(gitlab.world().external_url.as_deref(), Some("https://shop.example/"));
    let mut moved = placement(gitlab::PROJECT, gitlab::COMMIT);
    moved.url = Some("https://elsewhere.example/".into());
    bench.plugins.forge_set_deployment("gitlab", &lab, &moved).await.unwrap();
    let kept = gitlab.world().external_url.clone();
    assert_eq!(kept.as_deref(), Some("https://shop.example/"), "people may have entered it");
    let mut before = placement(gitlab::PROJECT, gitlab::COMMIT);
    (before.id, before.state) = (Some("3".into()), PlacementState::Inactive);
    bench.plugins.forge_set_deployment("gitlab", &lab, &before).await.unwrap();
    assert!(!gitlab.world().is_stopped, "another one has taken its place");
    let whole = github.world().deployments[2].clone();
    assert_eq!((whole.environment(), &whole.asked["transient_environment"]), ("shop", &false.into()));
    let told = whole.statuses.last().unwrap();
    assert_eq!(told["environment_url"], "https://shop.example/");
    assert_eq!(told["log_url"], "https://windlass.example/deployments/7");
    for (name, on, repository, commit) in
        [("github", &hub, "octo/app", github::COMMIT), ("gitlab", &lab, gitlab::PROJECT, gitlab::COMMIT)]
    {
        for id in ["9999", "no number"] {
            let mut gone = placement(repository, commit);
            gone.id = Some(id.into());
            let refused = bench.plugins.forge_set_deployment(name, on, &gone).await.unwrap_err();
            assert_eq!(failure(refused).0, "no-such-deployment", "{name}");
        }
        // What the token may not see was not removed for that.
        let mut hidden = placement("octo/none", commit);
        hidden.id = Some("1".into());
        let refused = bench.plugins.forge_set_deployment(name, on, &hidden).await.unwrap_err();
        assert_eq!(failure(refused).0, "no-such-repository", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhooks_secret_reaches_the_forge_and_no_plugin() {
    let (github, gitlab, mut bench) = (GitHub::start().await, GitLab::start().await, Bench::start().await);
    let secret = Secret::new(HOOK_SECRET);
    for (name, on, repository) in [
        ("github", target(&github.fake.url, github::TOKEN), "octo/app"),
        ("gitlab", target(&gitlab.fake.url, gitlab::TOKEN), "group/sub/app"),
    ] {
        bench.plugins.forge_register_hook(name, &on, (repository, HOOK), &secret).await.unwrap();
        let recording = bench.last_recording();
        assert!(!format!("{recording:?}").contains(HOOK_SECRET));
    }
    assert_eq!(github.world().hooks[&1]["config"]["secret"], HOOK_SECRET);
    assert_eq!(gitlab.world().hooks[&1]["token"], HOOK_SECRET);
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_requests_are_listed_and_have_one_comment_of_ours() {
    let (github, gitlab, bench) = (GitHub::start().await, GitLab::start().await, Bench::start().await);
    for (name, on, repository) in [
        ("github", target(&github.fake.url, github::TOKEN), "octo/app"),
        ("gitlab", target(&gitlab.fake.url, gitlab::TOKEN), "group/sub/app"),
    ] {
        let first = bench.plugins.forge_open_pull_requests(name, &on, repository, None).await.unwrap();
        assert_eq!((first.items.len(), first.items[0].number), (100, 201));
        let cursor = first.cursor.as_deref();
        let last = bench.plugins.forge_open_pull_requests(name, &on, repository, cursor).await.unwrap();
        assert_eq!((last.items.len(), last.cursor), (2, None));
        let fork = bench.plugins.forge_pull_request(name, &on, repository, 3).await.unwrap();
        assert!(fork.from_fork && fork.state == PullRequestState::Open, "{fork:?}");
        let merged = bench.plugins.forge_pull_request(name, &on, repository, 1).await.unwrap();
        assert!(!merged.from_fork && merged.state == PullRequestState::Merged, "{merged:?}");
        let none = bench.plugins.forge_pull_request(name, &on, repository, 999).await.unwrap_err();
        assert_eq!(failure(none).0, "no-such-pull-request");
        for text in ["first", "second"] {
            bench.plugins.forge_set_comment(name, &on, (repository, 3), "preview", text).await.unwrap();
        }
    }
    for comments in [&github.world().comments, &gitlab.world().notes] {
        assert_eq!(comments.len(), 1);
        assert_eq!(comments[0]["body"], "<!-- windlass:preview -->\nsecond");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_vendor_would_not_take_is_said_before_anything_is_committed() {
    let (github, gitlab, bench) = (GitHub::start().await, GitLab::start().await, Bench::start().await);
    let hub = target(&github.fake.url, github::TOKEN);
    let lab = target(&gitlab.fake.url, gitlab::TOKEN);
    let clone = "https://gitlab.example/group/sub/app.git";
    for (name, on, asked, word) in [
        ("github", &hub, spec(CLONE, ".github/workflows/a.yml", "on: push\n"), "workflow_dispatch"),
        ("github", &hub, spec(CLONE, ".github/workflows/a.yml", "a: ["), "YAML"),
        ("github", &hub, spec(CLONE, "deploy.yml", PLAIN), ".github/workflows/"),
        ("github", &hub, spec("https://github.com/octo", ".github/workflows/a.yml", PLAIN), "owner/name"),
        ("github", &hub, spec("https://github.com/octo/none", ".github/workflows/a.yml", PLAIN), "404"),
        ("gitlab", &lab, spec(clone, ".gitlab-ci.yml", "a: 1\n"), "visible job"),
        ("gitlab", &lab, spec(clone, "ci.yml", PIPELINE), ".gitlab-ci.yml"),
        ("gitlab", &lab, spec("https://gitlab.example/none/app", ".gitlab-ci.yml", PIPELINE), "404"),
    ] {
        let refused = bench.plugins.provider_create_job(name, on, &asked).await.unwrap_err();
        let (code, message) = failure(refused);
        assert!(code == "invalid-job" && message.contains(word), "{name}: {code} {message}");
    }
    assert!(github.world().files.is_empty() && gitlab.world().files.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_too_few_scopes_is_told_which_one_is_missing() {
    let (github, gitlab, bench) = (GitHub::start().await, GitLab::start().await, Bench::start().await);
    github.world().scopes = Some("repo, gist".into());
    gitlab.world().scopes = vec!["read_api".into()];
    for (name, on, word) in [
        ("github", target(&github.fake.url, github::TOKEN), "`workflow`"),
        ("gitlab", target(&gitlab.fake.url, gitlab::TOKEN), "`api`"),
    ] {
        let (code, message) = failure(bench.plugins.provider_test(name, &on).await.unwrap_err());
        assert!(code == "missing-scope" && message.contains(word), "{message}");
    }
}
