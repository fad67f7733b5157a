//! Badges: nothing is shown until somebody makes one, and then to whoever knows its address.

use reqwest::Method;
use serde_json::json;
use windlass_tests::server::TestServer;

/// Status, type and body of what somebody without a log-in gets.
async fn stranger(server: &TestServer, url: &str) -> (u16, String, String) {
    let path = url.strip_prefix(&server.url).unwrap_or(url);
    let response = server.stranger(Method::GET, path).send().await.unwrap();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    (response.status().as_u16(), kind, response.text().await.unwrap())
}

#[tokio::test]
async fn a_badge_shows_the_newest_state_to_whoever_knows_its_address_until_it_is_taken_away() {
    let server = TestServer::start().await;
    let repository = json!({ "url": "http://127.0.0.1:9/web.git", "provider": "github" });
    server.create_stack(json!({ "name": "web", "repository": repository })).await;
    let stack = server.get("/api/v1/stacks/web").await.expect(200)["data"]["id"].as_str().unwrap().to_owned();
    // Neither the id nor the name of a stack leads to anything.
    for key in [stack.as_str(), "web", "0", ""] {
        let (status, ..) = stranger(&server, &format!("/api/badges/{key}/status.svg")).await;
        assert_eq!(status, 404, "{key}");
    }
    assert_eq!(server.get("/api/v1/stacks/web/badge").await.expect(200)["data"]["public"], false);
    let made = server.put("/api/v1/stacks/web/badge", json!({})).await.expect(200)["data"].clone();
    let (svg, cctray) = (made["svg"].as_str().unwrap(), made["cctray"].as_str().unwrap());
    let again = server.put("/api/v1/stacks/web/badge", json!({})).await.expect(200);
    assert_eq!(again["data"]["svg"], svg, "it keeps its address");

    let (status, kind, body) = stranger(&server, svg).await;
    assert_eq!((status, kind.as_str()), (200, "image/svg+xml"));
    assert!(body.contains("never deployed"), "{body}");
    let document = roxmltree::Document::parse(&body).unwrap();
    assert_eq!(document.root_element().tag_name().name(), "svg");

    let deployment = server.post("/api/v1/stacks/web/deploy", json!({})).await.expect(202);
    let number = deployment["data"]["seq"].to_string();
    server.wait_deployment(&number).await;
    assert!(stranger(&server, svg).await.2.contains("deployment: failed"));
    assert!(stranger(&server, &format!("{svg}?branch=other")).await.2.contains("never deployed"));
    let (status, kind, body) = stranger(&server, cctray).await;
    assert_eq!((status, kind.as_str()), (200, "text/xml; charset=utf-8"));
    let document = roxmltree::Document::parse(&body).unwrap();
    let project = document.descendants().find(|node| node.has_tag_name("Project")).unwrap();
    let read = |name| project.attribute(name).unwrap();
    assert_eq!((read("name"), read("activity"), read("lastBuildStatus")), ("web", "Sleeping", "Failure"));
    assert_eq!(read("lastBuildLabel"), number);
    assert!(read("webUrl").ends_with(&format!("/deployments/{number}")));
    chrono::DateTime::parse_from_rfc3339(read("lastBuildTime")).unwrap();

    server.delete("/api/v1/stacks/web/badge").await.expect_empty(204);
    assert_eq!(stranger(&server, svg).await.0, 404);
    let fresh = server.put("/api/v1/stacks/web/badge", json!({})).await.expect(200);
    assert_ne!(fresh["data"]["svg"], svg, "an address that was taken away does not come back");
}
