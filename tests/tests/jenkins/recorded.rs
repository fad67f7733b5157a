//! What real servers answered: the plugin reads it, and the fake answers in the same shape.

use std::path::Path;

use bytes::Bytes;
use serde_json::{Value, json};
use windlass::domain::ci::{CiEvent, CiStatus};
use windlass_tests::peer::{Peer, text};
use windlass_tests::vendors::jenkins::TOKEN;
use windlass_tests::vendors::rig::{Rig, target};
use windlass_tests::vendors::tools::contract;

use crate::{Bench, NAME, rig, trigger};

fn fixture(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A status asked for where a server gives these answers, by the beginning of the path.
async fn status(rig: &Rig, build: &str, answers: &[(&'static str, String)]) -> (CiStatus, String) {
    let answers: Vec<(&'static str, String)> = answers.to_vec();
    let peer = Peer::start(move |seen| {
        let found = answers.iter().find(|(path, _)| seen.target.starts_with(path));
        found.map_or_else(|| text(404, "Not Found"), |(_, body)| text(200, body.clone()))
    })
    .await;
    let target = target(&peer.url(), "token", TOKEN, json!({}));
    let build = rig.plugins.provider_build_status(NAME, &target, "fish", build).await.unwrap();
    (build.status, build.id)
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_answers_are_read() {
    let Some(folder) = contract("jenkins/jenkins-rest", "recorded_answers_are_read") else { return };
    let rig = rig().await;
    const ITEM: &str = "/queue/item/143/";
    for name in ["queueItemPending.json", "queueItemNullTaskName.json"] {
        let (word, id) = status(&rig, "queue-143", &[(ITEM, fixture(&folder, name))]).await;
        assert_eq!((word, id.as_str()), (CiStatus::Pending, "queue-143"), "{name}");
    }
    let (word, _) = status(
        &rig,
        "queue-3549",
        &[("/queue/item/3549/", fixture(&folder, "queueItemMissingTaskUrl.json"))],
    )
    .await;
    assert_eq!(word, CiStatus::Pending);
    let (word, _) = status(&rig, "queue-143", &[(ITEM, fixture(&folder, "queueItemCancelled.json"))]).await;
    assert_eq!(word, CiStatus::Cancelled);
    for name in
        ["queueItemRunning.json", "queueItemMultipleParameters.json", "queueItemEmptyParameterValue.json"]
    {
        for build in [
            "build-info.json",
            "build-info-no-params.json",
            "build-info-git-commit.json",
            "build-info-empty-and-null-params.json",
        ] {
            let answers = [(ITEM, fixture(&folder, name)), ("/job/fish/14/", fixture(&folder, build))];
            let (word, id) = status(&rig, "queue-143", &answers).await;
            assert_eq!((word, id.as_str()), (CiStatus::Success, "10"), "{name} {build}");
        }
    }
    // The item is forgotten; the queue's id of the recorded build is 73.
    let job =
        json!({ "builds": [serde_json::from_str::<Value>(&fixture(&folder, "build-info.json")).unwrap()] });
    let (_, id) = status(&rig, "queue-73", &[("/job/fish/api/json", job.to_string())]).await;
    assert_eq!(id, "10");

    let job = fixture(&folder, "job-info.json");
    let peer = Peer::start(move |_| text(200, job.clone())).await;
    let target = target(&peer.url(), "token", TOKEN, json!({}));
    let job = rig.plugins.provider_job_status(NAME, &target, "fish").await.unwrap();
    assert!(job.buildable && job.trigger_url.unwrap().ends_with("/job/fish/buildWithParameters"));
    let refused =
        rig.plugins.provider_trigger(NAME, &target, "fish", &trigger("k")).await.unwrap_err().to_string();
    assert!(refused.contains("no parameter `TARGET`") && refused.contains("bear, fish"), "{refused}");
}

/// Every field that the fake answers is in the recorded answer, with a value of the same kind.
fn expect_shape(fake: &Value, recorded: &Value, place: &str) {
    match (fake, recorded) {
        (Value::Object(fake), Value::Object(recorded)) => {
            for (name, value) in fake {
                let place = format!("{place}.{name}");
                match recorded.get(name) {
                    Some(recorded) => expect_shape(value, recorded, &place),
                    // Which fields an object has depends on its class, and older servers do not name it.
                    None => assert!(
                        name == "_class" || name == "choices",
                        "{place} was never seen on a real server"
                    ),
                }
            }
        }
        // Of a list, one entry has to be like it.
        (Value::Array(fake), Value::Array(recorded)) => {
            for value in fake.iter().filter(|value| value.as_object().is_none_or(|object| !object.is_empty()))
            {
                let like = recorded.iter().any(|other| {
                    let keys = |value: &Value| {
                        value.as_object().map(|object| object.keys().cloned().collect::<Vec<_>>())
                    };
                    let (Some(ours), Some(theirs)) = (keys(value), keys(other)) else { return false };
                    ours.iter().filter(|key| *key != "_class").all(|key| theirs.contains(key))
                });
                assert!(like || recorded.is_empty(), "{place}: {value} is like none of {recorded:?}");
            }
        }
        (Value::Null, _) | (_, Value::Null) => {}
        (fake, recorded) => assert_eq!(
            std::mem::discriminant(fake),
            std::mem::discriminant(recorded),
            "{place}: {fake} and {recorded}"
        ),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fake_answers_in_the_shape_of_the_recorded_answers() {
    let test = "the_fake_answers_in_the_shape_of_the_recorded_answers";
    let Some(folder) = contract("jenkins/jenkins-rest", test) else { return };
    let rig = rig().await;
    let (Bench { jenkins, target }, job) = Bench::with_job(&rig.plugins).await;
    rig.plugins.provider_trigger(NAME, &target, &job.id, &trigger("a")).await.unwrap();
    let client = reqwest::Client::new();
    let (user, token) = TOKEN.split_once(':').unwrap();
    let ask = async |path: &str| -> Value {
        let request = client.get(format!("{}{path}", jenkins.fake.url)).basic_auth(user, Some(token));
        request.send().await.unwrap().json().await.unwrap()
    };
    let recorded = |name: &str| -> Value { serde_json::from_str(&fixture(&folder, name)).unwrap() };
    expect_shape(&ask("/queue/item/143/api/json").await, &recorded("queueItemPending.json"), "waiting");
    expect_shape(
        &ask("/queue/api/json").await["items"][0]["task"],
        &recorded("queueItemPending.json")["task"],
        "task",
    );
    jenkins.world().start_next();
    expect_shape(&ask("/queue/item/143/api/json").await, &recorded("queueItemRunning.json"), "left");
    jenkins.world().build("team/app", 1).finish("SUCCESS");
    expect_shape(&ask("/job/team/job/app/1/api/json").await, &recorded("build-info.json"), "build");
    expect_shape(&ask("/job/team/job/app/api/json").await, &recorded("job-info.json"), "job");
    expect_shape(&ask("/me/api/json").await, &recorded("user.json"), "user");
    rig.plugins.provider_trigger(NAME, &target, &job.id, &trigger("b")).await.unwrap();
    rig.plugins.provider_cancel(NAME, &target, &job.id, "queue-144").await.unwrap();
    expect_shape(&ask("/queue/item/144/api/json").await, &recorded("queueItemCancelled.json"), "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_are_read_through_the_host() {
    let rig = rig().await;
    let parse = async |body: Value| {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        rig.plugins.provider_parse(NAME, headers, Bytes::from(body.to_string())).await.unwrap()
    };
    let seed = json!({ "jobId": "job-123", "status": "SUCCESS", "buildNumber": "123", "timestamp": "2024-03-20T12:00:00Z" });
    let plugin = json!({
        "name": "app", "display_name": "app", "url": "job/team/job/app/",
        "build": { "number": 7, "queue_id": 143, "phase": "FINALIZED", "status": "FAILURE", "url": "job/team/job/app/7/" },
    });
    for (body, job, number, status) in
        [(seed, "job-123", "123", CiStatus::Success), (plugin, "team/app", "7", CiStatus::Failure)]
    {
        let CiEvent::Builds(reports) = parse(body).await else { panic!("this is no report") };
        let (found, build) = &reports[0];
        assert_eq!((found.as_str(), build.number.as_str(), build.status), (job, number, status));
    }
}
