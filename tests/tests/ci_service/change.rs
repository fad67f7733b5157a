//! Jobs that are changed in place, and keep what was built.

use serde_json::{Value, json};
use windlass_tests::vendors::circleci::{CONFIG, CircleCi};
use windlass_tests::vendors::github::GitHub;
use windlass_tests::vendors::gitlab::GitLab;
use windlass_tests::vendors::jenkins::Jenkins;

use crate::ci_service::faces::cli;
use crate::{Service, Vendor};

fn wanted<V: Vendor>() -> Value {
    json!({
        "provider": "ci", "name": "web", "repository": { "url": V::REPOSITORY, "branch": "main" },
        "scripts": [{ "path": "deploy.sh" }], "parameters": { "TARGET": "staging" },
    })
}

/// What is added somewhere, as one text.
fn added(change: &Value) -> String {
    let files = change["files"].as_array().unwrap().iter().map(|file| &file["lines"]);
    let lines = files.chain([&change["definition"]]).flat_map(|lines| lines.as_array().unwrap());
    let lines = lines.filter(|line| line["change"] == "added");
    lines.map(|line| format!("{}\n", line["text"].as_str().unwrap())).collect()
}

async fn is_changed<V: Vendor>() {
    let service = Service::<V>::start().await;
    let server = &service.server;
    let job = server.post("/api/v1/ci/jobs", wanted::<V>()).await.expect(201)["data"].clone();
    let path = format!("/api/v1/ci/jobs/{}", job["seq"]);
    server.post(&format!("{path}/trigger"), json!({})).await.expect(202);
    let begun = server.wait_event("the build begins", |event| {
        (event["kind"] == "ci_build.status" && event["data"]["number"] != "").then_some(())
    });
    begun.await;
    service.vendor.run();
    service.vendor.finish(true);
    service.settled("1").await;

    // Name and repository stay where they are not said.
    let change = json!({
        "scripts": [{ "path": "release.sh" }], "parameters": { "TARGET": "staging" }, "retries": 2,
    });
    let was = service.vendor.pipeline();
    let told = server.post(&format!("{path}/diff"), change.clone()).await.expect(200)["data"].clone();
    assert!(added(&told).contains("release.sh") && added(&told).contains("\"retries\": 2"), "{told}");
    assert_eq!(service.vendor.pipeline(), was, "nothing is done yet");
    let changed = server.put(&path, change).await.expect(200)["data"].clone();
    assert_eq!((&changed["id"], &changed["external_id"]), (&job["id"], &job["external_id"]), "{changed}");
    assert_eq!((&changed["spec"]["retries"], &changed["spec"]["name"]), (&json!(2), &json!("web")));
    let is = service.vendor.pipeline();
    assert!(is.contains("release.sh") && !is.contains("deploy.sh"), "{is}");
    let builds = server.get(&format!("{path}/builds")).await.expect(200)["data"]["items"].clone();
    assert_eq!((&builds[0]["status"], builds.as_array().unwrap().len()), (&json!("success"), 1), "{builds}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_at_jenkins_is_changed_in_place() {
    is_changed::<Jenkins>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_at_github_is_changed_in_place() {
    is_changed::<GitHub>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_at_gitlab_is_changed_in_place() {
    is_changed::<GitLab>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_at_circleci_takes_what_is_committed_and_says_what_has_to_be() {
    let service = Service::<CircleCi>::start().await;
    let server = &service.server;
    let file = |content: &str| json!([{ "path": ".circleci/config.yml", "content": content }]);
    let mut asked = wanted::<CircleCi>();
    asked["scripts"] = json!([]);
    asked["files"] = file(CONFIG);
    let job = server.post("/api/v1/ci/jobs", asked).await.expect(201)["data"].clone();
    let path = format!("/api/v1/ci/jobs/{}", job["seq"]);
    let new = format!("{CONFIG}# of another kind\n");
    let change = json!({ "files": file(&new), "parameters": { "TARGET": "staging" } });
    let told = server.post(&format!("{path}/diff"), change.clone()).await.expect(200)["data"].clone();
    assert_eq!(added(&told), "# of another kind\n", "{told}");
    let refused = server.put(&path, change.clone()).await;
    assert!(refused.status >= 400 && refused.text.contains("commit"), "{}", refused.text);
    assert_eq!(server.get(&path).await.expect(200)["data"]["spec"], job["spec"], "it is as it was");
    // Somebody commits it, and CircleCI runs it.
    service.vendor.world().push("main", &new);
    let changed = server.put(&path, change).await.expect(200)["data"].clone();
    assert_eq!(changed["spec"]["files"][0]["content"], new);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_another_job_or_is_not_free_is_refused_with_words() {
    let service = Service::<Jenkins>::start().await;
    let server = &service.server;
    let mut asked = wanted::<Jenkins>();
    asked["name"] = json!("alone");
    let job = server.post("/api/v1/ci/jobs", asked.clone()).await.expect(201)["data"].clone();
    let path = format!("/api/v1/ci/jobs/{}", job["seq"]);
    for (field, value) in [
        ("name", json!("other")),
        ("folder", json!("elsewhere")),
        ("repository", json!({ "url": Jenkins::REPOSITORY, "branch": "dev" })),
        ("provider", json!("nobody")),
    ] {
        let mut wrong = asked.clone();
        wrong[field] = value;
        let refused = server.put(&path, wrong).await.expect(422);
        assert_eq!(refused["field"], field, "{refused}");
    }
    server.put(&path, json!({ "parameters": {} })).await.expect(422);
    server.put(&path, json!({ "scritps": [] })).await.expect(422);

    // The job of a stack follows the stack.
    let number = service.deploy().await;
    service.wait_started(&number).await;
    let of_stack = service.carried(&number).await["job"]["seq"].to_string();
    let refused = server.put(&format!("/api/v1/ci/jobs/{of_stack}"), asked.clone()).await.expect(409);
    assert!(refused["error"].as_str().unwrap().contains("windlass provider assign web"), "{refused}");
    let provider = server.get("/api/v1/providers/ci").await.expect(200)["data"].clone();
    let off = json!({ "type": "jenkins", "name": "ci", "url": provider["url"], "is_active": false });
    server.put("/api/v1/providers/ci", off).await.expect(200);
    let refused = server.put(&path, asked).await.expect(409);
    assert!(refused["error"].as_str().unwrap().contains("switched off"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_of_a_template_becomes_a_jobs_pipeline_from_the_command_line() {
    let service = Service::<GitLab>::start().await;
    let server = &service.server;
    let job = server.post("/api/v1/ci/jobs", wanted::<GitLab>()).await.expect(201)["data"].clone();
    let number = job["seq"].to_string();
    let words = ["job", "update", &number, "--template", "deploy", "--generator", "gitlab-ci"];
    for script in ["first.sh", "second.sh"] {
        let model = json!({
            "name": "web", "repository": { "url": GitLab::REPOSITORY, "branch": "main" },
            "environments": [{ "name": "production" }], "scripts": [{ "path": script }],
        });
        server.put("/api/v1/templates/deploy", json!({ "model": model })).await.expect(200);
        let (code, text) = cli(server, &words).await;
        assert!(code == 0 && text.contains(script), "{text}");
        assert!(!service.vendor.pipeline().contains(script), "it was only shown");
        let (code, text) = cli(server, &[&words[..], &["--yes"]].concat()).await;
        assert!(code == 0 && service.vendor.pipeline().contains(script), "{text}");
    }
    assert!(!service.vendor.pipeline().contains("first.sh"));
    let changed = server.get(&format!("/api/v1/ci/jobs/{number}")).await.expect(200)["data"].clone();
    assert_eq!((&changed["id"], &changed["parameters"]), (&job["id"], &job["parameters"]), "{changed}");
}
