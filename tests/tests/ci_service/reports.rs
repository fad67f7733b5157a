//! What providers report by themselves (seed 1): believed if it is signed, and otherwise a reason to ask.

use reqwest::Method;
use serde_json::{Value, json};
use windlass_tests::server::sign;
use windlass_tests::vendors::jenkins::Jenkins;

use crate::{Service, Vendor};

impl<V: Vendor> Service<V> {
    /// Posts a report, signed with this secret if there is one; status and answer.
    async fn report(&self, body: &Value, secret: Option<&str>) -> (u16, Value) {
        let text = body.to_string();
        let mut request =
            self.server.stranger(Method::POST, &self.report.0).header("content-type", "application/json");
        if let Some(secret) = secret {
            request = request.header("x-windlass-signature", sign(secret, text.as_bytes()));
        }
        let response = request.body(text).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn reported(&self, body: &Value, secret: Option<&str>) -> Value {
        let (status, answer) = self.report(body, secret).await;
        assert_eq!(status, 202, "{answer}");
        answer["data"].clone()
    }
}

fn seed(job: &str, status: &str, number: &str) -> Value {
    json!({ "jobId": job, "status": status, "buildNumber": number, "timestamp": "2024-03-20T12:00:00Z" })
}

/// As the Notification plugin posts it.
fn notification(phase: &str, status: Option<&str>, number: u64) -> Value {
    json!({
        "name": "web", "display_name": "web", "url": "job/web/",
        "build": {
            "full_url": format!("http://ci.example/job/web/{number}/"), "number": number, "queue_id": 143,
            "timestamp": 1_710_936_000_000_u64, "duration": 5, "phase": phase, "status": status,
            "url": format!("job/web/{number}/"), "scm": {}, "parameters": {}, "log": "", "notes": "", "artifacts": {}
        }
    })
}

/// A deployment whose build runs, with its number at the provider and its job's id here.
async fn running() -> (Service<Jenkins>, String, String) {
    let service = Service::<Jenkins>::start().await;
    let number = service.deploy().await;
    service.wait_started(&number).await;
    let ours = service
        .server
        .wait_event("the build's number", |event| {
            (event["kind"] == "ci_build.status" && event["data"]["number"] == "1")
                .then(|| event["data"].clone())
        })
        .await;
    (service, number, ours["job_id"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_report_moves_the_deployment_and_late_or_repeated_ones_change_nothing() {
    let (service, number, job) = running().await;
    let secret = Some(service.report.1.as_str());
    // By our id, by the provider's name, and by the name that generated pipelines know.
    let answer = service.reported(&seed(&job, "RUNNING", "1"), secret).await;
    assert_eq!((&answer["verified"], &answer["known"]), (&json!(true), &json!(1)), "{answer}");
    let done = service.reported(&seed("web", "success", "1"), secret).await;
    assert_eq!(service.server.wait_deployment(&number).await["status"], "successful");
    for late in ["RUNNING", "FAILURE", "SUCCESS", "whatever"] {
        service.reported(&seed("web", late, "1"), secret).await;
    }
    let carried = service.carried(&number).await;
    assert_eq!(
        (&carried["status"], &carried["job"]["status"]),
        (&json!("completed"), &json!("success")),
        "{carried}"
    );
    let event = done["event_id"].as_str().unwrap();
    let stored = service.server.get(&format!("/api/v1/webhooks/{event}")).await.expect(200)["data"].clone();
    assert_eq!((&stored["reason"], &stored["verified"]), (&json!("ci_status"), &json!(true)), "{stored}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsigned_report_is_not_believed_but_makes_the_server_ask() {
    let (service, number, _) = running().await;
    let answer = service.reported(&notification("FINALIZED", Some("FAILURE"), 1), None).await;
    assert_eq!((&answer["verified"], &answer["known"]), (&json!(false), &json!(1)), "{answer}");
    service.vendor.fake().forget();
    service.vendor.finish(true);
    // The plugin's STARTED carries the status of the build before.
    service.reported(&notification("STARTED", Some("FAILURE"), 1), None).await;
    assert_eq!(service.server.wait_deployment(&number).await["status"], "successful");
    assert!(
        service.vendor.fake().trace().iter().any(|line| line == "GET /job/web/1/api/json"),
        "the provider was asked"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_report_is_refused_and_recorded() {
    let (service, number, job) = running().await;
    let (status, answer) =
        service.report(&seed(&job, "SUCCESS", "1"), Some("another secret altogether")).await;
    assert_eq!(status, 401, "{answer}");
    assert_eq!(service.deployment(&number).await["status"], "deploying");
    let newest = service.server.get("/api/v1/webhooks?limit=1").await.expect(200)["data"]["items"][0].clone();
    assert_eq!(
        (&newest["reason"], &newest["verified"]),
        (&json!("bad_signature"), &json!(false)),
        "{newest}"
    );
    let (status, _) = service.report(&json!({ "nothing": "known" }), None).await;
    assert_eq!(status, 422);
    let unknown = service.reported(&seed("nobody", "SUCCESS", "1"), None).await;
    assert_eq!(unknown["known"], 0);
    let elsewhere =
        service.server.stranger(Method::POST, "/en/default/deployment/webhooks/nobody").send().await;
    assert_eq!(elsewhere.unwrap().status().as_u16(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_somebody_else_started_is_followed() {
    let (service, number, job) = running().await;
    service.vendor.finish(true);
    service.server.wait_deployment(&number).await;
    service.vendor.world().enqueue("web", vec![("TARGET".into(), "theirs".into())]);
    service.reported(&notification("STARTED", None, 2), None).await;
    let outside = service.server.wait_event("the build from outside", |event| {
        (event["kind"] == "ci_build.status" && event["data"]["number"] == "2")
            .then(|| event["data"]["build"].to_string())
    });
    let outside = outside.await;
    service.vendor.run();
    service.vendor.finish(true);
    let build = service.settled(&outside).await;
    assert_eq!((&build["origin"], &build["status"]), (&json!("outside"), &json!("success")), "{build}");
    let log = service.server.get(&format!("/api/v1/ci/builds/{outside}/logs")).await.text;
    assert!(log.contains("it is deployed"), "{log}");
    let builds = service.server.get(&format!("/api/v1/ci/jobs/{job}/builds")).await.expect(200);
    assert_eq!(builds["data"]["items"].as_array().unwrap().len(), 2);
}
