//! GitHub Actions.

use std::sync::Arc;

use serde_json::json;
use windlass::domain::ci::CiStatus;
use windlass::network::Network;
use windlass::plugins::{Connection, Plugins, Secret, Target};
use windlass_tests::guests::trusted;
use windlass_tests::peer::{Net, Peer, text};
use windlass_tests::vendors::bench::{Bench, spec, target, target_with, trigger};
use windlass_tests::vendors::github::{self, Dispatch, GitHub};
use windlass_tests::vendors::tools::Prism;

use crate::{CLONE, PLAIN, failure, of_a_repository, status, whole_log};

const WORKFLOW: &str = "name: Deploy
run-name: Deploy (${{ inputs.windlass_run }})
on:
  workflow_dispatch:
    inputs:
      environment: { type: choice, options: [staging, production], required: true }
      windlass_run: { type: string }
jobs:
  build: { runs-on: ubuntu-latest, steps: [{ run: make }] }
";

#[tokio::test(flavor = "multi_thread")]
async fn a_github_job_lives_behind_the_vendors_own_document() {
    let test = "a_github_job_lives_behind_the_vendors_own_document";
    let (server, bench) = (GitHub::start().await, Bench::start().await);
    let document = "github/api.github.com.subset.prism.json";
    let Some(prism) = Prism::start(document, &server.fake.url, test).await else { return };
    live_at_github(&server, &bench.plugins, &target(&prism.url, github::TOKEN)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_github_job_is_made_run_watched_cancelled_and_deleted() {
    let (server, mut bench) = (GitHub::start().await, Bench::start().await);
    let on = target(&server.fake.url, github::TOKEN);
    live_at_github(&server, &bench.plugins, &on).await;
    bench.update_cassette("github");
    // What the document does not know of: the artifact itself.
    let (job, build) = ("octo/app/deploy.yml", "901");
    let artifacts = bench.plugins.provider_artifacts("github", &on, job, build).await.unwrap();
    assert_eq!(artifacts[0].path, "report.zip");
    // Its address redirects to where it is kept, which is a path that nobody asked for here.
    let refused = bench.plugins.provider_artifact("github", &on, (job, build, "9"), None).await;
    let (code, message) = failure(refused.unwrap_err());
    assert!(code == "request-denied" && message.contains("redirect"), "{message}");
}

async fn live_at_github(server: &GitHub, plugins: &Plugins, on: &Target) {
    server.world().scopes = Some("repo, workflow".into());
    assert_eq!(plugins.provider_test("github", on).await.unwrap().name, "octo");
    let asked = spec(CLONE, ".github/workflows/deploy.yml", WORKFLOW);
    let job = plugins.provider_create_job("github", on, &asked).await.unwrap();
    assert_eq!((job.id.as_str(), job.name.as_str(), job.buildable), ("octo/app/deploy.yml", "Deploy", true));
    // The same once more changes nothing.
    let writes = |server: &GitHub| server.fake.seen().iter().filter(|seen| seen.method == "PUT").count();
    assert_eq!(writes(server), 1);
    plugins.provider_create_job("github", on, &asked).await.unwrap();
    assert_eq!(writes(server), 1);

    let (code, message) =
        failure(plugins.provider_trigger("github", on, &job.id, &trigger("k", &[])).await.unwrap_err());
    assert!(code == "invalid-parameters" && message.contains("`environment`"), "{message}");
    let started = trigger("key-1", &[("environment", "production")]);
    let build = plugins.provider_trigger("github", on, &job.id, &started).await.unwrap();
    assert_eq!((build.id.as_str(), build.status), ("901", CiStatus::Pending));
    assert_eq!(
        server.world().runs[0].inputs,
        json!({ "environment": "production", "windlass_run": "key-1" })
    );
    // A second attempt at the same build finds it.
    let again = plugins.provider_trigger("github", on, &job.id, &started).await.unwrap();
    assert_eq!((again.id.as_str(), server.world().runs.len()), ("901", 1));

    server.on_run(|run| {
        run.status = "in_progress".into();
        (run.jobs[0].status, run.jobs[0].conclusion) = ("completed".into(), Some("success".into()));
    });
    let running = status(plugins, "github", on, &job.id, "901").await;
    assert_eq!(
        (running.status, running.number.as_str(), running.finished_at),
        (CiStatus::Running, "1", None)
    );
    server.finish("success");
    let ended = status(plugins, "github", on, &job.id, "901").await;
    assert!(ended.status == CiStatus::Success && ended.finished_at > ended.started_at, "{ended:?}");
    let job = plugins.provider_job_status("github", on, &job.id).await.unwrap();
    assert_eq!(job.last_build.map(|build| build.id).as_deref(), Some("901"));

    let other = plugins
        .provider_trigger("github", on, &job.id, &trigger("key-2", &[("environment", "staging")]))
        .await;
    let other = other.unwrap().id;
    for _ in 0..2 {
        plugins.provider_cancel("github", on, &job.id, &other).await.unwrap();
    }
    assert_eq!(status(plugins, "github", on, &job.id, &other).await.status, CiStatus::Cancelled);
    let log = whole_log(plugins, "github", on, &job.id, &other).await;
    assert_eq!(log.matches("never started").count(), 2, "{log}");
    of_a_repository(plugins, "github", on, "octo/app", github::COMMIT).await;
    assert!(server.world().hooks.is_empty(), "it was removed again");

    for _ in 0..2 {
        plugins.provider_delete_job("github", on, &job.id).await.unwrap();
    }
    assert!(server.world().files.is_empty());
    let gone = failure(plugins.provider_job_status("github", on, &job.id).await.unwrap_err());
    assert_eq!(gone.0, "no-such-job");
    assert_eq!(
        failure(plugins.provider_build_status("github", on, &job.id, "4").await.unwrap_err()).0,
        "no-such-build"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_and_artifacts_are_fetched_from_githubs_store_without_the_credential() {
    let server = GitHub::start().await;
    let store = Peer::start(|seen| match seen.target.as_str() {
        "/_store/jobs/9010?sig=once" => text(200, "\u{feff}the build\n"),
        "/_store/jobs/9011?sig=once" => text(200, "the deployment"),
        _ => text(200, vec![7; 5 << 20]),
    })
    .await;
    let (base, kept) = ("203.0.113.4".parse().unwrap(), "203.0.113.5".parse().unwrap());
    let mut net = Net::default()
        .name("api.github.example", &[&["203.0.113.4"]])
        .name("results.xblob.core.windows.net", &[&["203.0.113.5"]])
        .name("elsewhere.example", &[&["203.0.113.5"]]);
    net.servers.insert(base, server.fake.url.trim_start_matches("http://").parse().unwrap());
    net.servers.insert(kept, store.address);
    let net: Arc<dyn Network> = Arc::new(net);
    let bench = Bench::start_with(|settings| {
        let path = settings.folder.with_file_name("github.wasm");
        std::fs::write(&path, with_an_http_store(Plugins::builtin("github").unwrap())).unwrap();
        settings.network = net;
        let mut source = trusted("github", path);
        let stores = ["http://*.xblob.core.windows.net", "https://*.actions.githubusercontent.com"];
        let more = ["https://*.amazonaws.com", "https://storage.googleapis.com"];
        source.grant.extend(stores.into_iter().chain(more).map(|origin| format!("http:{origin}")));
        settings.sources = vec![source];
    })
    .await;
    let connection = Connection::new("test", "http://api.github.example").unwrap();
    let connection = connection.secret("token", Secret::new(github::TOKEN)).unwrap();
    let granted = connection.clone().grant(&["http:self", "http:http://*.xblob.core.windows.net"]);
    let on = Target { connection: Arc::new(granted), settings: json!({}) };
    let asked = spec(CLONE, ".github/workflows/deploy.yml", PLAIN);
    let job = bench.plugins.provider_create_job("github", &on, &asked).await.unwrap().id;
    let build = bench.plugins.provider_trigger("github", &on, &job, &trigger("k", &[])).await.unwrap().id;
    server.world().store = Some("http://results.xblob.core.windows.net".into());
    server.on_run(|run| run.jobs[0].status = "completed".into());
    let piece = bench.plugins.provider_build_logs("github", &on, &job, &build, None).await.unwrap();
    assert_eq!((piece.text.as_str(), piece.complete), ("--- build ---\nthe build\n", false));
    server.finish("success");
    let rest =
        bench.plugins.provider_build_logs("github", &on, &job, &build, Some(&piece.cursor)).await.unwrap();
    assert_eq!((rest.text.as_str(), rest.complete), ("--- deploy ---\nthe deployment\n", true));

    let artifact = (job.as_str(), build.as_str(), "9");
    let first = bench.plugins.provider_artifact("github", &on, artifact, None).await.unwrap();
    assert_eq!((first.bytes.len(), first.cursor.as_deref()), (4 << 20, Some("4194304")));
    let last =
        bench.plugins.provider_artifact("github", &on, artifact, first.cursor.as_deref()).await.unwrap();
    assert_eq!((last.bytes.len(), last.cursor), (1 << 20, None));
    for seen in store.seen() {
        assert_eq!((seen.header("authorization"), seen.method.as_str()), (None, "GET"));
    }
    // The operator has the last word, and a server that nobody knows is never asked.
    let strict = Target { connection: Arc::new(connection), settings: json!({}) };
    let refused = bench.plugins.provider_build_logs("github", &strict, &job, &build, None).await.unwrap_err();
    assert!(failure(refused).1.contains("did not grant `http:http://*.xblob.core.windows.net`"));
    server.world().store = Some("http://elsewhere.example".into());
    let refused = bench.plugins.provider_build_logs("github", &on, &job, &build, None).await.unwrap_err();
    assert_eq!(failure(refused).0, "request-denied");
}

/// The component with one of its stores at an origin without TLS, of which a test can be the other side.
fn with_an_http_store(component: &[u8]) -> Vec<u8> {
    let (is, wanted) =
        (&b"https://*.blob.core.windows.net/**"[..], &b"http://*.xblob.core.windows.net/**"[..]);
    let at =
        component.windows(is.len()).position(|window| window == is).expect("the manifest names the store");
    let mut changed = component.to_vec();
    changed[at..at + is.len()].copy_from_slice(wanted);
    changed
}

#[tokio::test(flavor = "multi_thread")]
async fn older_github_servers_do_not_say_which_run_they_started_and_it_is_found() {
    let bench = Bench::start().await;
    for (dispatch, workflow, parameters) in [
        (Dispatch::Silent, WORKFLOW, vec![("environment", "staging")]),
        (Dispatch::Strict, WORKFLOW, vec![("environment", "staging")]),
        (Dispatch::Silent, PLAIN, vec![]),
        (Dispatch::Strict, PLAIN, vec![]),
    ] {
        let server = GitHub::start().await;
        server.world().dispatch = dispatch;
        let on = target(&server.fake.url, github::TOKEN);
        let asked = spec(CLONE, ".github/workflows/deploy.yml", workflow);
        let job = bench.plugins.provider_create_job("github", &on, &asked).await.unwrap().id;
        let build = bench
            .plugins
            .provider_trigger("github", &on, &job, &trigger("key-1", &parameters))
            .await
            .unwrap();
        assert_eq!((build.id.as_str(), build.status), ("901", CiStatus::Pending), "{dispatch:?}");
        let asked_for = server.fake.seen().into_iter().rfind(|seen| seen.path().ends_with("/runs")).unwrap();
        assert!(asked_for.target.contains("created=%3E%3D20"), "{}", asked_for.target);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_not_listed_yet_gets_its_number_later() {
    let (server, bench) = (GitHub::start().await, Bench::start().await);
    server.world().dispatch = Dispatch::Silent;
    let on = target(&server.fake.url, github::TOKEN);
    let asked = spec(CLONE, ".github/workflows/deploy.yml", WORKFLOW);
    let job = bench.plugins.provider_create_job("github", &on, &asked).await.unwrap().id;
    let started = trigger("key-1", &[("environment", "staging")]);
    // The list hides the run until the title is known.
    bench
        .plugins
        .provider_trigger("github", &on, &job, &trigger("other", &[("environment", "staging")]))
        .await
        .unwrap();
    server.on_run(|run| run.title = "Deploy (somebody else)".into());
    let build = bench.plugins.provider_trigger("github", &on, &job, &started).await.unwrap();
    assert_eq!(build.id, "902");
    server.on_run(|run| run.title = "Deploy".into());
    let hidden = build_id_of(&server, &bench.plugins, &on, &job).await;
    assert!(hidden.starts_with("started:"), "{hidden}");
    let waiting = status(&bench.plugins, "github", &on, &job, &hidden).await;
    assert_eq!((waiting.id.as_str(), waiting.status), (hidden.as_str(), CiStatus::Pending));
    server.on_run(|run| run.title = "Deploy (key-3)".into());
    assert_eq!(status(&bench.plugins, "github", &on, &job, &hidden).await.id, "903");
}

/// The id of a build that is started while its run does not show its key.
async fn build_id_of(server: &GitHub, plugins: &Plugins, on: &Target, job: &str) -> String {
    let text = WORKFLOW.replace("run-name: ", "name2: ");
    let place = ("main".to_owned(), ".github/workflows/deploy.yml".to_owned());
    server.world().files.insert(place, text);
    let started = trigger("key-3", &[("environment", "staging")]);
    plugins.provider_trigger("github", on, job, &started).await.unwrap().id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_for_another_branch_is_on_that_branch_and_can_be_started() {
    let (server, bench) = (GitHub::start().await, Bench::start().await);
    let on = target(&server.fake.url, github::TOKEN);
    let mut asked = spec(CLONE, ".github/workflows/deploy.yml", PLAIN);
    asked.branch = "dev".into();
    let job = bench.plugins.provider_create_job("github", &on, &asked).await.unwrap();
    assert_eq!((job.id.as_str(), job.buildable), ("octo/app/deploy.yml@dev", true));
    let branches: Vec<String> = server.world().files.keys().map(|(branch, _)| branch.clone()).collect();
    assert_eq!(branches, ["dev", "main"]);
    bench.plugins.provider_trigger("github", &on, &job.id, &trigger("k", &[])).await.unwrap();
    assert_eq!(server.world().runs[0].branch, "dev");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_commits_its_pipelines_itself_keeps_them() {
    let (server, bench) = (GitHub::start().await, Bench::start().await);
    let on = target_with(&server.fake.url, github::TOKEN, json!({ "commit_files": false }));
    let asked = spec(CLONE, ".github/workflows/deploy.yml", PLAIN);
    let job = bench.plugins.provider_create_job("github", &on, &asked).await.unwrap();
    assert!(!job.buildable, "there is no such file yet");
    let place = ("main".to_owned(), ".github/workflows/deploy.yml".to_owned());
    server.world().files.insert(place, PLAIN.into());
    server.world().disabled = Some("disabled_inactivity".into());
    assert!(bench.plugins.provider_create_job("github", &on, &asked).await.unwrap().buildable);
    bench.plugins.provider_delete_job("github", &on, &job.id).await.unwrap();
    assert_eq!(server.world().files.len(), 1);
}
