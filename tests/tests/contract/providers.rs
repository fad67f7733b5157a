//! CI/CD providers with webhooks and artifacts, against a server.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use windlass::domain::ci::{CiEvent, CiJobSpec, CiStatus, CiTrigger};
use windlass::plugins::{Connection, Secret, Target, signature};
use windlass_tests::anvil::{ARTIFACT, Anvil, LOG};
use windlass_tests::components;

use super::{code, plugins, target};

fn spec() -> CiJobSpec {
    CiJobSpec {
        name: "sword".into(),
        description: String::new(),
        folder: None,
        repository_url: "https://forge.example/sword.git".into(),
        branch: "main".into(),
        pipeline: vec![("anvil.txt".into(), "strike twice".into())],
        parameters: Vec::new(),
    }
}

fn trigger(key: &str) -> CiTrigger {
    CiTrigger {
        ref_name: Some("main".into()),
        parameters: vec![("EDGE".into(), "sharp".into())],
        idempotency_key: key.into(),
    }
}

#[tokio::test]
async fn a_provider_makes_a_job_runs_it_and_says_how_it_ended() {
    let anvil = Anvil::start().await;
    let (_folder, plugins) = plugins(&[("anvil", components::ANVIL)]).await;
    let target = target(&anvil.url, json!({ "folder": "blades/long" }));
    let account = plugins.provider_test("anvil", &target).await.expect("it answers");
    assert_eq!((account.name.as_str(), account.server_version.as_str()), ("smith", "3.1"));

    let job = plugins.provider_create_job("anvil", &target, &spec()).await.expect("a job");
    assert_eq!((job.id.as_str(), job.url.as_deref()), ("sword", Some("https://anvil.example/sword")));
    let build = plugins.provider_trigger("anvil", &target, "sword", &trigger("k-1")).await.expect("a build");
    assert_eq!((build.id.as_str(), build.status), ("1", CiStatus::Pending));
    let again = plugins.provider_trigger("anvil", &target, "sword", &trigger("k-1")).await.expect("a build");
    assert_eq!(again.id, build.id, "the same key starts no second build");

    for (word, status) in
        [("forging", CiStatus::Running), ("hot", CiStatus::Unknown), ("good", CiStatus::Success)]
    {
        anvil.finish_build(word);
        let build = plugins.provider_build_status("anvil", &target, "sword", "1").await.expect("a build");
        assert_eq!(build.status, status);
        assert_eq!(build.status_word.as_deref(), (status == CiStatus::Unknown).then_some("hot"));
        assert_eq!((build.started_at, build.poll_after_secs), (Some(1_700_000_000_000), Some(2)));
    }
    let job = plugins.provider_job_status("anvil", &target, "sword").await.expect("a job");
    assert_eq!(job.last_build.map(|build| build.status), Some(CiStatus::Success));

    plugins.provider_trigger("anvil", &target, "sword", &trigger("k-2")).await.expect("a build");
    plugins.provider_cancel("anvil", &target, "sword", "2").await.expect("it is cancelled");
    let build = plugins.provider_build_status("anvil", &target, "sword", "2").await.expect("a build");
    assert_eq!(build.status, CiStatus::Cancelled);

    plugins.provider_delete_job("anvil", &target, "sword").await.expect("it is deleted");
    plugins.provider_delete_job("anvil", &target, "sword").await.expect("and is so a second time");
    assert_eq!(code(plugins.provider_job_status("anvil", &target, "sword").await), "no-such-job");
    let put = anvil.seen().into_iter().find(|seen| seen.method == "PUT").expect("the job was made");
    assert!(put.body.contains("strike twice") && put.body.contains("blades/long"), "{}", put.body);
}

#[tokio::test]
async fn a_log_and_an_artifact_are_read_piece_by_piece() {
    let anvil = Anvil::start().await;
    let (_folder, plugins) = plugins(&[("anvil", components::ANVIL)]).await;
    let target = target(&anvil.url, json!({}));
    let (mut log, mut cursor, mut pieces) = (String::new(), None, 0);
    loop {
        let chunk = plugins.provider_build_logs("anvil", &target, "sword", "1", cursor.as_deref()).await;
        let chunk = chunk.expect("a piece");
        log.push_str(&chunk.text);
        cursor = Some(chunk.cursor);
        pieces += 1;
        assert!(pieces < 10, "it ends");
        if chunk.complete {
            break;
        }
    }
    assert_eq!((log.as_str(), pieces), (LOG, LOG.len().div_ceil(16)));

    let artifacts = plugins.provider_artifacts("anvil", &target, "sword", "1").await.expect("artifacts");
    assert_eq!((artifacts[0].id.as_str(), artifacts[0].size_bytes), ("a1", Some(ARTIFACT.len() as u64)));
    let of = ("sword", "1", "a1");
    let first = plugins.provider_artifact("anvil", &target, of, None).await.expect("a piece");
    let last =
        plugins.provider_artifact("anvil", &target, of, first.cursor.as_deref()).await.expect("a piece");
    assert_eq!([first.bytes, last.bytes].concat(), ARTIFACT);
    assert_eq!(last.cursor, None);
}

#[tokio::test]
async fn a_log_that_does_not_move_on_is_nonsense() {
    let anvil = Anvil::start().await;
    let (_folder, plugins) = plugins(&[("anvil", components::ANVIL)]).await;
    let target = target(&anvil.url, json!({}));
    let first = plugins.provider_build_logs("anvil", &target, "stuck", "1", None).await.expect("a piece");
    let second = plugins.provider_build_logs("anvil", &target, "stuck", "1", Some(&first.cursor)).await;
    assert!(code(second).contains("does not move on"));
}

#[tokio::test]
async fn a_wrong_token_is_a_failure_of_its_own_and_is_not_in_the_error() {
    let anvil = Anvil::start().await;
    let (_folder, plugins) = plugins(&[("anvil", components::ANVIL)]).await;
    let connection = Connection::new("test", &anvil.url).expect("a base URL");
    let connection = connection.secret("token", Secret::new("wrong-token-0815")).expect("a secret");
    let target = Target { connection: Arc::new(connection), settings: json!({}) };
    let error = plugins.provider_test("anvil", &target).await.expect_err("nobody knows it");
    assert!(error.to_string().contains("status-401") && !error.to_string().contains("0815"), "{error}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_providers_webhook_is_verified_by_the_host_and_read_by_the_plugin() {
    let (_folder, plugins) = plugins(&[("anvil", components::ANVIL)]).await;
    let contract = plugins.provider_webhook_contract("anvil").expect("it declares one");
    assert!(plugins.webhook_contract("anvil").is_err(), "it is no forge");
    let body = br#"{ "job": "sword", "build": { "id": "7", "state": "cracked" } }"#;
    let mut headers: Vec<(String, String)> = [("webhook-id", "m1"), ("X-Anvil-Event", "build")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    // Anyone can post; without a signature nothing is believed.
    assert!(signature::verify(&contract, &headers, body, &[b"whsec_c2VjcmV0"], 0).is_err());
    headers.push(("webhook-signature".into(), "v1,AAAA".into()));
    assert!(signature::verify(&contract, &headers, body, &[b"whsec_c2VjcmV0"], 0).is_err());

    let event = plugins.provider_parse("anvil", headers, Bytes::from_static(body)).await.expect("an event");
    let CiEvent::Builds(builds) = event else { panic!("{event:?}") };
    assert_eq!((builds[0].0.as_str(), builds[0].1.status), ("sword", CiStatus::Failure));
    let ping = vec![("x-anvil-event".to_owned(), "ping".to_owned())];
    assert_eq!(
        plugins.provider_parse("anvil", ping.clone(), Bytes::new()).await.expect("an event"),
        CiEvent::Ping
    );
    let broken = vec![("x-anvil-event".to_owned(), "build".to_owned())];
    assert_eq!(code(plugins.provider_parse("anvil", broken, Bytes::new()).await), "malformed-payload");
}
