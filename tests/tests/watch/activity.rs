//! What happened to a stack: over the API, on the command line and on its page.

use serde_json::{Value, json};
use windlass_tests::server::TestServer;

/// A stack with a deployment that failed, because nobody answers at the address of its repository.
async fn with_failed_deployment() -> (TestServer, String) {
    let server = TestServer::start().await;
    let repository = json!({ "url": "http://127.0.0.1:9/web.git", "provider": "github" });
    server.create_stack(json!({ "name": "web", "repository": repository })).await;
    server.create_stack(json!({ "name": "other" })).await;
    let deployment = server.post("/api/v1/stacks/web/deploy", json!({})).await.expect(202);
    let seq = deployment["data"]["seq"].to_string();
    server.wait_deployment(&seq).await;
    (server, seq)
}

async fn history(server: &TestServer, query: &str) -> Vec<Value> {
    let page = server.get(&format!("/api/v1/events/history?{query}")).await.expect(200);
    page["data"]["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_to_a_stack_is_listed_newest_first_in_words_and_pages() {
    let (server, seq) = with_failed_deployment().await;
    let all = history(&server, "stack=web").await;
    let texts: Vec<&str> = all.iter().map(|event| event["text"].as_str().unwrap()).collect();
    let failed = format!("Deployment {seq} is failed");
    assert!(texts.contains(&failed.as_str()) && texts.contains(&"The stack was created"), "{texts:?}");
    assert!(all.iter().all(|event| event["stack"] == "web"), "{all:#?}");
    assert!(all.is_sorted_by(|one, next| one["seq"].as_i64() > next["seq"].as_i64()), "{all:#?}");

    let of_it = history(&server, &format!("deployment={seq}")).await;
    assert!(of_it.iter().any(|event| event["kind"] == "build.status"), "{of_it:#?}");
    assert!(of_it.iter().all(|event| event["kind"] != "stack.changed"), "{of_it:#?}");
    let statuses = history(&server, &format!("stack=web&deployment={seq}&kind=deployment.status")).await;
    assert_eq!(statuses[0]["data"]["status"], "failed", "{statuses:#?}");
    assert_eq!(statuses.last().unwrap()["data"]["status"], "pending", "{statuses:#?}");

    // Page by page, it is the same list.
    let (mut paged, mut before) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/events/history?stack=web&limit=2{before}");
        let page = server.get(&path).await.expect(200)["data"].clone();
        paged.extend(page["items"].as_array().unwrap().iter().map(|event| event["seq"].clone()));
        let Some(next) = page["next"].as_i64() else { break };
        before = format!("&before={next}");
    }
    let again = history(&server, "stack=web&limit=200").await;
    let again: Vec<Value> = again.iter().map(|event| event["seq"].clone()).collect();
    assert!(paged.len() >= all.len() && again.ends_with(&paged), "{again:?}, but {paged:?}");

    for (query, status) in
        [("stack=nothing", 404), ("deployment=99", 404), ("kind=no.such", 422), ("nonsense=1", 422)]
    {
        let answer = server.get(&format!("/api/v1/events/history?{query}")).await;
        assert_eq!(answer.status, status, "{query}: {}", answer.text);
    }
    let elsewhere = server.get(&format!("/api/v1/events/history?stack=other&deployment={seq}")).await;
    assert_eq!((elsewhere.status, &elsewhere.json["field"]), (422, &json!("deployment")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_and_the_page_say_the_same() {
    let (server, seq) = with_failed_deployment().await;
    let failed = format!("Deployment {seq} is failed");
    let told = server.cli(&["events", "web", "--kind", "deployment.status"]).expect(0).out;
    assert!(told.contains(&failed) && !told.contains("The stack was"), "{told}");
    let told = server.cli(&["events", "--deployment", &seq, "--limit", "1"]).expect(0).said();
    assert!(told.contains("Earlier ones: --before "), "{told}");
    let json = server.cli(&["events", "other", "-o", "json"]).expect(0).json();
    assert_eq!(json["items"][0]["text"], "The stack was created", "{json}");

    let page = server.get("/stacks/web/activity").await.text;
    assert!(page.contains(&failed) && page.contains(&format!("href=\"/deployments/{seq}\"")), "{page}");
    let page = server.get("/stacks/web/activity?kind=stack.changed").await.text;
    assert!(page.contains("The stack was created") && !page.contains(&failed), "{page}");
    assert!(page.contains("<option selected>stack.changed</option>"), "{page}");
    assert!(server.get("/stacks/web").await.text.contains("href=\"/stacks/web/activity\""));
}
