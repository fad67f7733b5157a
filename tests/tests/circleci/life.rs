//! A pipeline from its start to its end.

use serde_json::{Value, json};
use windlass::domain::ci::{CiStatus, CiTrigger};
use windlass_tests::vendors::circleci::{CONFIG, TOKEN};
use windlass_tests::vendors::rig::{Rig, target};
use windlass_tests::vendors::tools::Prism;

use crate::{DOCUMENT, JOB, NAME, bench, spec, trigger};

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_lives_from_its_start_to_its_end_within_circlecis_own_document() {
    let test = "a_pipeline_lives_from_its_start_to_its_end_within_circlecis_own_document";
    let (circleci, _) = bench().await;
    let Some(prism) = Prism::start(DOCUMENT, &circleci.fake.url, test).await else { return };
    let rig = Rig::start(NAME).await;
    let plugins = &rig.plugins;
    let target = target(&prism.url, "token", TOKEN, json!({}));
    assert_eq!(plugins.provider_test(NAME, &target).await.unwrap().name, "ada");

    // What is not committed cannot be made here, and what is can.
    let refused =
        plugins.provider_create_job(NAME, &target, &spec("version: 2.1\njobs: { new: {} }\n")).await;
    let failed = rig.last(&refused).unwrap_err();
    assert_eq!((failed.code.as_str(), failed.sent), ("needs-forge", false));
    let job = plugins.provider_create_job(NAME, &target, &spec(CONFIG)).await.unwrap();
    assert_eq!((job.id.as_str(), job.last_build.unwrap().status), (JOB, CiStatus::Success));

    let started = plugins.provider_trigger(NAME, &target, JOB, &trigger()).await.unwrap();
    assert_eq!((started.number.as_str(), started.status), ("2", CiStatus::Pending));
    let sent = circleci.world().pipelines[1].request.clone();
    assert_eq!(sent, json!({ "branch": "main", "parameters": { "target": "production", "dry-run": true } }));
    let status = async || plugins.provider_build_status(NAME, &target, JOB, &started.id).await.unwrap();
    assert_eq!(status().await.status, CiStatus::Pending);
    circleci.world().workflow("build", "running");
    circleci.world().workflow("deploy", "on_hold");
    assert_eq!(status().await.status, CiStatus::Running);
    circleci.world().pipelines[1].workflows[0].end("success");
    assert_eq!(status().await.status, CiStatus::Pending);
    circleci.world().pipelines[1].workflows[1].end("success");
    let ended = status().await;
    assert_eq!(ended.status, CiStatus::Success);
    assert!(ended.finished_at > ended.started_at);
    let found = plugins.provider_artifacts(NAME, &target, JOB, &started.id).await.unwrap();
    assert_eq!((found.len(), found[0].path.as_str()), (2, "out/report.json"));

    let other = plugins.provider_trigger(NAME, &target, JOB, &trigger()).await.unwrap();
    let early = plugins.provider_cancel(NAME, &target, JOB, &other.id).await;
    assert_eq!(rig.last(&early).unwrap_err().advice, "retry");
    circleci.world().workflow("build", "running");
    plugins.provider_cancel(NAME, &target, JOB, &other.id).await.unwrap();
    let status = plugins.provider_build_status(NAME, &target, JOB, &other.id).await.unwrap().status;
    assert_eq!(status, CiStatus::Cancelled);
    let kept = plugins.provider_delete_job(NAME, &target, JOB).await;
    assert_eq!(rig.last(&kept).unwrap_err().code, "needs-forge");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_is_started_within_circlecis_own_document() {
    let test = "a_definition_is_started_within_circlecis_own_document";
    let (circleci, _) = bench().await;
    let Some(prism) = Prism::start(DOCUMENT, &circleci.fake.url, test).await else { return };
    let rig = Rig::start(NAME).await;
    let id = "0f8fad5b-d9cb-469f-a165-70867728950e";
    let target = target(&prism.url, "token", TOKEN, json!({ "definitions": { "gh/org/app": id } }));
    rig.plugins.provider_trigger(NAME, &target, JOB, &trigger()).await.unwrap();
    let sent = circleci.world().pipelines[1].request.clone();
    assert_eq!((&sent["definition_id"], &sent["config"]), (&json!(id), &json!({ "branch": "main" })));
    let of_tag = CiTrigger { ref_name: Some("refs/tags/v1".into()), ..trigger() };
    rig.plugins.provider_trigger(NAME, &target, JOB, &of_tag).await.unwrap();
    let sent = circleci.world().pipelines[2].request.clone();
    assert_eq!((&sent["config"], &sent["checkout"]), (&json!({ "tag": "v1" }), &json!({ "tag": "v1" })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_is_started_as_one_within_circlecis_own_document() {
    let test = "a_tag_is_started_as_one_within_circlecis_own_document";
    let (circleci, _) = bench().await;
    let Some(prism) = Prism::start(DOCUMENT, &circleci.fake.url, test).await else { return };
    let rig = Rig::start(NAME).await;
    let target = target(&prism.url, "token", TOKEN, json!({}));
    let of_tag = CiTrigger { ref_name: Some("refs/tags/v1".into()), ..trigger() };
    rig.plugins.provider_trigger(NAME, &target, JOB, &of_tag).await.unwrap();
    let sent = circleci.world().pipelines[1].request.clone();
    assert_eq!((&sent["tag"], &sent["branch"]), (&json!("v1"), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_read_step_by_step_and_the_token_stays_at_home() {
    let rig = Rig::start(NAME).await;
    let (circleci, target) = bench().await;
    circleci.world().workflow("deploy", "running");
    let build = circleci.world().pipelines[0].id.clone();
    circleci.fake.forget();
    let read = async |cursor: Option<&str>| {
        rig.plugins.provider_build_logs(NAME, &target, JOB, &build, cursor).await.unwrap()
    };
    let first = read(None).await;
    assert_eq!(
        (first.text.as_str(), first.complete),
        ("==> build-job / Deploy [0]\nbuild wrote this\n", false)
    );
    circleci.world().pipelines[0].workflows[1].end("failed");
    let second = read(Some(&first.cursor)).await;
    assert_eq!(
        (second.text.as_str(), second.complete),
        ("==> deploy-job / Deploy [0]\ndeploy wrote this\n", true)
    );
    for seen in circleci.fake.seen() {
        let is_signed = seen.path().starts_with("/api/private/output/");
        assert_eq!(seen.header("circle-token").is_none(), is_signed, "{}", seen.target);
    }
    let found = rig.plugins.provider_artifacts(NAME, &target, JOB, &build).await.unwrap();
    let which = (JOB, build.as_str(), found[0].id.as_str());
    let piece = rig.plugins.provider_artifact(NAME, &target, which, None).await.unwrap();
    assert!(String::from_utf8_lossy(&piece.bytes).contains("build wrote this"));
}
