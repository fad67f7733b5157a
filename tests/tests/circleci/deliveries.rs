//! The webhooks of CircleCI's own documentation, signed as there, through the host.

use bytes::Bytes;
use serde_json::{Value, json};
use windlass::domain::ci::{CiEvent, CiStatus};
use windlass_tests::vendors::rig::Rig;
use windlass_tests::vendors::tools::contract;

use crate::NAME;

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_deliveries_are_read() {
    let Some(folder) = contract("circleci/webhooks", "the_documented_deliveries_are_read") else { return };
    let rig = Rig::start(NAME).await;
    let parse = async |name: &str| {
        let body = Bytes::from(std::fs::read(folder.join(name)).unwrap());
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        rig.plugins.provider_parse(NAME, headers, body).await.unwrap()
    };
    for (name, job, number, status) in [
        ("workflow-completed.vcs-oauth.json", "gh/circleci/webhook-service:main", "130", CiStatus::Running),
        (
            "workflow-completed.trigger-parameters.json",
            "circleci/DdaVtNusHqi24D4YT3X4eu/6EkDPZoN4ZdMKKZtBkRodt:main",
            "1",
            CiStatus::Failure,
        ),
    ] {
        let CiEvent::Builds(reports) = parse(name).await else { panic!("{name} is no report") };
        let (found, build) = &reports[0];
        assert_eq!((found.as_str(), build.number.as_str(), build.status), (job, number, status), "{name}");
    }
    for name in ["job-completed.vcs-oauth.json", "job-completed.trigger-parameters.json"] {
        assert_eq!(parse(name).await, CiEvent::Unsupported("job-completed".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifest_says_how_deliveries_are_signed() {
    let rig = Rig::start(NAME).await;
    let manifest = rig.plugins.inspect(NAME).unwrap().info.unwrap().manifest;
    let schemes: Value = serde_json::to_value(manifest.webhooks.unwrap().schemes).unwrap();
    assert_eq!(schemes[0]["header"], "circleci-signature");
    assert_eq!((&schemes[0]["prefix"], &schemes[0]["algorithm"]), (&json!("v1="), &json!("hmac-sha256")));
}
