//! GitLab CI.

use windlass::domain::ci::CiStatus;
use windlass::plugins::{Plugins, Target};
use windlass_tests::vendors::bench::{Bench, spec, target, trigger};
use windlass_tests::vendors::gitlab::{self, GitLab};
use windlass_tests::vendors::tools::Prism;

use crate::{PIPELINE, failure, of_a_repository, status};

#[tokio::test(flavor = "multi_thread")]
async fn a_gitlab_job_lives_behind_the_vendors_own_document() {
    let test = "a_gitlab_job_lives_behind_the_vendors_own_document";
    let (server, bench) = (GitLab::start().await, Bench::start().await);
    let document = "gitlab/gitlab.openapi_v2.subset.prism.json";
    let Some(prism) = Prism::start(document, &server.fake.url, test).await else { return };
    live_at_gitlab(&server, &bench.plugins, &target(&prism.url, gitlab::TOKEN)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gitlab_job_is_made_run_watched_cancelled_and_deleted() {
    let (server, mut bench) = (GitLab::start().await, Bench::start().await);
    let on = target(&server.fake.url, gitlab::TOKEN);
    live_at_gitlab(&server, &bench.plugins, &on).await;
    bench.update_cassette("gitlab");
    // What the document does not know of: artifacts.
    let job = "group/sub/app";
    server.world().pipelines[0].jobs[0].artifact = Some(b"PK, more or less".to_vec());
    let artifacts = bench.plugins.provider_artifacts("gitlab", &on, job, "301").await.unwrap();
    assert_eq!((artifacts.len(), artifacts[0].path.as_str()), (1, "build-3010.zip"));
    let piece = bench.plugins.provider_artifact("gitlab", &on, (job, "301", "3010"), None).await.unwrap();
    assert_eq!((&piece.bytes[..], piece.cursor), (&b"PK, more or less"[..], None));
    let gone = bench.plugins.provider_artifact("gitlab", &on, (job, "301", "3011"), None).await.unwrap_err();
    assert_eq!(failure(gone).0, "artifact-gone");
}

async fn live_at_gitlab(server: &GitLab, plugins: &Plugins, on: &Target) {
    let account = plugins.provider_test("gitlab", on).await.unwrap();
    assert_eq!((account.name.as_str(), account.server_version.as_str()), ("windlass", "18.5.0"));
    let asked = spec("https://gitlab.example/group/sub/app.git", ".gitlab-ci.yml", PIPELINE);
    let job = plugins.provider_create_job("gitlab", on, &asked).await.unwrap();
    assert_eq!((job.id.as_str(), job.buildable), ("group/sub/app", true));
    let writes = |server: &GitLab| {
        server
            .fake
            .seen()
            .iter()
            .filter(|seen| seen.path().contains("/files/") && seen.method != "GET")
            .count()
    };
    plugins.provider_create_job("gitlab", on, &asked).await.unwrap();
    assert_eq!(writes(server), 1, "the same once more changes nothing");
    let mut changed = asked.clone();
    changed.pipeline[0].1.push_str("# changed\n");
    plugins.provider_create_job("gitlab", on, &changed).await.unwrap();
    assert_eq!(writes(server), 2);

    for (parameters, word) in
        [([("ENVIRONMENT", "moon")], "staging, production"), ([("COLOUR", "x")], "`COLOUR`")]
    {
        let refused =
            plugins.provider_trigger("gitlab", on, &job.id, &trigger("k", &parameters)).await.unwrap_err();
        let (code, message) = failure(refused);
        assert!(code == "invalid-parameters" && message.contains(word), "{message}");
    }
    let started = trigger("key-1", &[("ENVIRONMENT", "production")]);
    let build = plugins.provider_trigger("gitlab", on, &job.id, &started).await.unwrap();
    assert_eq!((build.id.as_str(), build.number.as_str(), build.status), ("301", "1", CiStatus::Pending));
    let again = plugins.provider_trigger("gitlab", on, &job.id, &started).await.unwrap();
    assert_eq!((again.id.as_str(), server.world().pipelines.len()), ("301", 1));

    log_of_a_running_pipeline(server, plugins, on, &job.id).await;
    let ended = status(plugins, "gitlab", on, &job.id, "301").await;
    assert!(ended.status == CiStatus::Failure && ended.finished_at > ended.started_at, "{ended:?}");
    let job = plugins.provider_job_status("gitlab", on, &job.id).await.unwrap();
    assert_eq!(job.last_build.map(|build| build.id).as_deref(), Some("301"));

    let other = plugins.provider_trigger("gitlab", on, &job.id, &trigger("key-2", &[])).await.unwrap().id;
    for _ in 0..2 {
        plugins.provider_cancel("gitlab", on, &job.id, &other).await.unwrap();
    }
    assert_eq!(status(plugins, "gitlab", on, &job.id, &other).await.status, CiStatus::Cancelled);
    of_a_repository(plugins, "gitlab", on, gitlab::PROJECT, gitlab::COMMIT).await;
    assert!(server.world().hooks.is_empty(), "it was removed again");
    for _ in 0..2 {
        plugins.provider_delete_job("gitlab", on, &job.id).await.unwrap();
    }
    assert!(server.world().files.is_empty());
    assert_eq!(
        failure(plugins.provider_job_status("gitlab", on, "no/such").await.unwrap_err()).0,
        "no-such-job"
    );
    assert_eq!(
        failure(plugins.provider_build_status("gitlab", on, &job.id, "4").await.unwrap_err()).0,
        "no-such-build"
    );
}

/// The log grows while the jobs run; each piece comes once.
async fn log_of_a_running_pipeline(server: &GitLab, plugins: &Plugins, on: &Target, job: &str) {
    let mut cursor = None::<String>;
    let mut text = String::new();
    let steps: [(&str, [&str; 2], [&str; 2]); 4] = [
        ("running", ["running", "created"], ["one\ntwo", ""]),
        ("running", ["success", "manual"], ["one\ntwo\nthree\n", ""]),
        ("running", ["success", "manual"], ["one\ntwo\nthree\n", ""]),
        ("failed", ["success", "manual"], ["one\ntwo\nthree\n", ""]),
    ];
    for (nth, (state, jobs, traces)) in steps.into_iter().enumerate() {
        server.on_pipeline(|pipeline| {
            pipeline.status = state.into();
            for ((job, state), trace) in pipeline.jobs.iter_mut().zip(jobs).zip(traces) {
                (job.status, job.trace) = (state.into(), trace.into());
            }
        });
        let piece = plugins.provider_build_logs("gitlab", on, job, "301", cursor.as_deref()).await.unwrap();
        text.push_str(&piece.text);
        cursor = Some(piece.cursor);
        assert_eq!(piece.complete, nth == 3);
    }
    let (jobs, rest) = text.split_once("--- deploy prod:").unwrap();
    assert_eq!(jobs, "--- build ---\none\ntwo\nthree\n");
    assert!(rest.contains("waits for a person"), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_forbids_variables_can_be_built_without_any() {
    let (server, bench) = (GitLab::start().await, Bench::start().await);
    server.world().takes_variables = false;
    let on = target(&server.fake.url, gitlab::TOKEN);
    let asked = spec("git@gitlab.example:group/sub/app.git", ".gitlab-ci.yml", PIPELINE);
    let job = bench.plugins.provider_create_job("gitlab", &on, &asked).await.unwrap().id;
    bench.plugins.provider_trigger("gitlab", &on, &job, &trigger("k", &[])).await.unwrap();
    let refused = bench
        .plugins
        .provider_trigger("gitlab", &on, &job, &trigger("l", &[("ENVIRONMENT", "staging")]))
        .await;
    let (code, message) = failure(refused.unwrap_err());
    assert!(code == "invalid-parameters" && message.contains("Insufficient permissions"), "{message}");
}
