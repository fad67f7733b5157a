//! Providers, jobs and builds by hand.

use serde_json::{Value, json};
use windlass_tests::server::TestServer;
use windlass_tests::vendors::jenkins::{Jenkins, TOKEN};

use crate::{Service, Vendor};

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_never_shown_and_not_sent_to_a_new_address() {
    let (vendor, server) = (Jenkins::start().await, TestServer::start().await);
    let (url, token) = (vendor.fake.url.clone(), TOKEN);
    let mut input = json!({ "type": "jenkins", "name": "ci", "url": url, "credentials": { "token": token } });
    let made = server.post("/api/v1/providers", input.clone()).await;
    assert!(!made.text.contains(token), "{}", made.text);
    let made = made.expect(201)["data"]["provider"].clone();
    assert_eq!(
        (&made["has_credentials"], &made["health"]["state"]),
        (&json!(true), &json!("unknown")),
        "{made}"
    );
    server.post("/api/v1/providers", input.clone()).await.expect(409);
    input["credentials"] = Value::Null;
    input["is_active"] = json!(false);
    let changed = server.put("/api/v1/providers/ci", input.clone()).await.expect(200)["data"].clone();
    assert_eq!((&changed["is_active"], &changed["has_credentials"]), (&json!(false), &json!(true)));
    input["url"] = json!("http://127.0.0.1:9");
    let refused = server.put("/api/v1/providers/ci", input.clone()).await.expect(422);
    assert_eq!(refused["field"], "credentials", "{refused}");
    for (field, value) in
        [("settings", json!({ "nonsense": 1 })), ("type", json!("nobody")), ("name", json!("1"))]
    {
        let mut wrong = input.clone();
        wrong[field] = value;
        let status = server.post("/api/v1/providers", wrong).await.status;
        assert_eq!(status, 422, "{field}");
    }
    server.delete("/api/v1/providers/ci").await.expect_empty(204);
    server.get("/api/v1/providers/ci").await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_told_by_the_test_and_shown_as_unauthorized() {
    let (vendor, server) = (Jenkins::start().await, TestServer::start().await);
    let credentials = json!({ "username": "admin", "token": "not-the-token" });
    let input =
        json!({ "type": "jenkins", "name": "ci", "url": vendor.fake.url, "credentials": credentials });
    server.post("/api/v1/providers", input).await.expect(201);
    let tested = server.post("/api/v1/providers/ci/test", json!({})).await.expect(200)["data"].clone();
    assert_eq!(tested["connected"], false, "{tested}");
    let health = &tested["provider"]["health"];
    assert_eq!(
        (&health["state"], &health["error_percent"]),
        (&json!("unauthorized"), &json!(100)),
        "{health}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_made_started_run_again_cancelled_and_deleted() {
    let service = Service::<Jenkins>::start().await;
    let (server, vendor) = (&service.server, &service.vendor);
    let asked = json!({
        "provider": "ci", "name": "web", "description": "By hand",
        "repository": { "url": Jenkins::REPOSITORY, "branch": "main" },
        "hosts": [{ "name": "a", "ip": "192.0.2.1", "environment": "prod" }],
        "scripts": [{ "path": "deploy.sh", "parameters": { "LEVEL": 3 } }], "parameters": { "TARGET": "staging" },
    });
    let mut typo = asked.clone();
    typo["scritps"] = json!([]);
    server.post("/api/v1/ci/jobs", typo).await.expect(422);
    let job = server.post("/api/v1/ci/jobs", asked.clone()).await.expect(201)["data"].clone();
    assert_eq!((&job["external_id"], &job["description"]), (&json!("web"), &json!("By hand")), "{job}");
    assert!(vendor.world().items["web"].config.contains("192.0.2.1"), "the pipeline was generated");
    let same = server.post("/api/v1/ci/jobs", asked).await.expect(201)["data"].clone();
    assert_eq!(same["id"], job["id"], "made once more, it is the same one");

    let path = format!("/api/v1/ci/jobs/{}", job["seq"]);
    let wanted = json!({ "parameters": { "TARGET": "qa" } });
    let build = server.post(&format!("{path}/trigger"), wanted).await.expect(202)["data"].clone();
    assert_eq!((&build["status"], &build["origin"]), (&json!("pending"), &json!("api")), "{build}");
    let number = |nth: &'static str| {
        server.wait_event("the build's number", move |event| {
            (event["kind"] == "ci_build.status" && event["data"]["number"] == nth).then_some(())
        })
    };
    number("1").await;
    let sent = vendor.world().build("web", 1).parameters.clone();
    assert!(sent.contains(&("TARGET".into(), "qa".into())), "{sent:?}");
    vendor.run();
    vendor.world().build("web", 1).artifacts.insert("out/report.txt".into(), b"all well".to_vec());
    vendor.finish(true);
    let ended = service.settled(&build["seq"].to_string()).await;
    assert_eq!((&ended["status"], &ended["number"]), (&json!("success"), &json!("1")), "{ended}");
    let artifacts = server.get(&format!("/api/v1/ci/builds/{}/artifacts", build["seq"])).await.expect(200);
    let artifact = artifacts["data"][0]["id"].as_str().unwrap().replace('/', "%2F");
    let file = server.get(&format!("/api/v1/ci/builds/{}/artifacts/{artifact}", build["seq"])).await;
    assert_eq!((file.status, file.text.as_str()), (200, "all well"));

    let rerun = format!("/api/v1/ci/builds/{}/rerun", build["seq"]);
    let again = server.post(&rerun, json!({})).await.expect(202)["data"].clone();
    number("2").await;
    assert_eq!(again["parameters"], build["parameters"]);
    server.delete(&path).await.expect(409);
    server.post(&format!("/api/v1/ci/builds/{}/cancel", again["seq"]), json!({})).await.expect(202);
    let stopped = service.settled(&again["seq"].to_string()).await;
    assert_eq!(stopped["status"], "cancelled", "{stopped}");
    server.delete(&path).await.expect_empty(204);
    assert!(!vendor.world().items.contains_key("web"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_a_stack_needs_stays_and_such_a_stack_takes_no_images() {
    let service = Service::<Jenkins>::start().await;
    let refused = service.server.delete("/api/v1/providers/ci").await.expect(409);
    assert!(refused["error"].as_str().unwrap().contains("stack `web`"), "{refused}");
    service.server.delete("/api/v1/stacks/web/ci").await.expect_empty(204);
    service.server.get("/api/v1/stacks/web/ci").await.expect(404);
    service.server.delete("/api/v1/providers/ci").await.expect_empty(204);
}
