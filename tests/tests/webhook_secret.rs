//! A webhook's secret is rotated without a delivery being lost, and the old one ends.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use reqwest::Method;
use serde_json::{Value, json};
use windlass_tests::cli::run;
use windlass_tests::server::{ADMIN_TOKEN, TestServer, push_body, sign};

const URL: &str = "https://git.example/team/app.git";

fn stack(name: &str) -> Value {
    json!({ "name": name, "repository": { "url": URL, "provider": "github" } })
}

/// Posts a push of a branch that nobody wants, signed so often as there are secrets; the status and the event's id.
async fn deliver(server: &TestServer, path: &str, id: &str, secrets: &[&str]) -> (u16, Value) {
    let body = push_body(URL, "other", &"0".repeat(40)).to_string();
    let request = server
        .stranger(Method::POST, path)
        .header("x-github-event", "push")
        .header("x-github-delivery", id)
        .header("content-type", "application/json");
    let signed = secrets.iter().fold(request, |request, secret| {
        request.header("x-hub-signature-256", sign(secret, body.as_bytes()))
    });
    let response = signed.body(body.clone()).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

async fn matched(server: &TestServer, answer: &Value) -> Value {
    let id = answer["event_id"].as_str().unwrap();
    server.get(&format!("/api/v1/webhooks/{id}")).await.expect(200)["data"]["matchedSecret"].clone()
}

async fn rotate(server: &TestServer, overlap: Value) -> Value {
    server.post("/api/v1/stacks/web/rotate-webhook-secret", overlap).await.expect(200)["data"].clone()
}

fn secret(rotated: &Value) -> String {
    rotated["secret"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_secrets_count_until_the_overlap_is_over() {
    let server = TestServer::start().await;
    let (path, first) = server.create_stack(stack("web")).await;
    let rotated = rotate(&server, json!({})).await;
    let second = secret(&rotated);
    assert!(second != first && second.len() == first.len());
    assert!(rotated["url"].as_str().unwrap().ends_with(&path));
    assert!(rotated["previousUntil"].as_str().unwrap() > "2026", "{rotated}");

    let (status, answer) = deliver(&server, &path, "d1", &[&first]).await;
    assert_eq!((status, matched(&server, &answer).await), (202, json!("previous")));
    let (status, answer) = deliver(&server, &path, "d2", &[&second]).await;
    assert_eq!((status, matched(&server, &answer).await), (202, json!("current")));
    // On the address that all repositories share as well.
    let (status, answer) = deliver(&server, "/v1/webhooks/github", "d3", &[&first]).await;
    assert_eq!((status, matched(&server, &answer).await), (202, json!("previous")));
    for signatures in [&[&*first, &*second][..], &[&*second, &*second], &[], &["no secret of ours"]] {
        assert_eq!(deliver(&server, &path, "d4", signatures).await.0, 401, "{signatures:?}");
    }
    let metrics = server.get("/metrics").await.text;
    assert!(metrics.contains("secret=\"previous\"") && metrics.contains("secret=\"none\""), "{metrics}");

    let third = secret(&rotate(&server, json!({ "overlap": 3600 })).await);
    assert_eq!(deliver(&server, &path, "d5", &[&first]).await.0, 401, "it is older than the previous one");
    assert_eq!(deliver(&server, &path, "d6", &[&second]).await.0, 202);
    let rotated = rotate(&server, json!({ "overlap": 0 })).await;
    assert_eq!(rotated["previousUntil"], Value::Null);
    for old in [&first, &second, &third] {
        assert_eq!(deliver(&server, &path, "d7", &[old]).await.0, 401);
    }
    assert_eq!(deliver(&server, &path, "d8", &[&secret(&rotated)]).await.0, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_set_by_hand_ends_all_others() {
    let server = TestServer::start().await;
    let (path, first) = server.create_stack(stack("web")).await;
    rotate(&server, json!({})).await;
    let shown = server.get("/api/v1/stacks/web").await.expect(200);
    let until = shown["data"]["gitRepository"]["previousWebhookSecretUntil"].clone();
    assert!(until.is_string(), "{shown:#}");
    // A change of something else leaves it as it is.
    server.put("/api/v1/stacks/web", stack("web")).await.expect(200);
    assert_eq!(deliver(&server, &path, "d1", &[&first]).await.0, 202);
    let mut changed = stack("web");
    changed["repository"]["webhookSecret"] = json!("set-by-hand-0123456789");
    let shown = server.put("/api/v1/stacks/web", changed).await.expect(200);
    assert_eq!(shown["data"]["gitRepository"]["previousWebhookSecretUntil"], Value::Null);
    assert_eq!(deliver(&server, &path, "d2", &[&first]).await.0, 401);
    assert_eq!(deliver(&server, &path, "d3", &["set-by-hand-0123456789"]).await.0, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_the_forge_made_takes_over_with_an_overlap() {
    let server = TestServer::start().await;
    let (path, first) = server.create_stack(stack("web")).await;
    let given = "made-by-the-forge-0123456789";
    let rotated = rotate(&server, json!({ "secret": given })).await;
    assert_eq!(rotated["secret"], Value::Null, "whoever gave it has it: {rotated}");
    assert!(rotated["previousUntil"].is_string(), "{rotated}");
    let (status, answer) = deliver(&server, &path, "d1", &[given]).await;
    assert_eq!((status, matched(&server, &answer).await), (202, json!("current")));
    let (status, answer) = deliver(&server, &path, "d2", &[&first]).await;
    assert_eq!((status, matched(&server, &answer).await), (202, json!("previous")));
    for bad in ["short", " with a blank before it", "two\nlines of a secret", &"x".repeat(1025)] {
        let path = "/api/v1/stacks/web/rotate-webhook-secret";
        let refused = server.post(path, json!({ "secret": bad })).await.expect(422).to_string();
        assert!(refused.contains("as the forge shows it") && !refused.contains(bad), "{refused}");
    }
    assert_eq!(deliver(&server, &path, "d3", &[given]).await.0, 202, "a refused one changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_is_bounded_and_needs_a_repository() {
    let server = TestServer::start().await;
    server.create_stack(stack("web")).await;
    server.create_stack(json!({ "name": "bare" })).await;
    let path = "/api/v1/stacks/web/rotate-webhook-secret";
    let refused = server.post(path, json!({ "overlap": 30 * 86_400 + 1 })).await.expect(422);
    assert!(refused.to_string().contains("30 days"), "{refused}");
    server.post(path, json!({ "overlap": -1 })).await.expect(422);
    let refused = server.post("/api/v1/stacks/bare/rotate-webhook-secret", json!({})).await.expect(409);
    assert!(refused.to_string().contains("no repository"), "{refused}");
    server.post("/api/v1/stacks/none/rotate-webhook-secret", json!({})).await.expect(404);
    let stranger = server.stranger(Method::POST, path).json(&json!({})).send().await.unwrap();
    assert_eq!(stranger.status().as_u16(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_and_the_dashboard_show_the_new_secret_once() {
    let server = TestServer::start().await;
    let (path, _) = server.create_stack(stack("web")).await;
    let rotated = server.cli(&["webhook", "rotate", "web", "--overlap", "60", "-o", "json"]).expect(0).json();
    assert_eq!(deliver(&server, &path, "d1", &[&secret(&rotated)]).await.0, 202);

    let mut command = server.command(&["webhook", "rotate", "web", "--secret-env", "OF_THE_FORGE"]);
    command.env("OF_THE_FORGE", "given-by-the-forge-0123");
    let said = run(command).expect(0).said();
    assert!(!said.contains("given-by-the-forge"), "{said}");
    assert_eq!(deliver(&server, &path, "d1b", &["given-by-the-forge-0123"]).await.0, 202);

    let page = async |method: Method, path: &str, form: &str| {
        let request = server.stranger(method, path).bearer_auth(ADMIN_TOKEN);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let response = request.body(form.to_owned()).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (status, shown) = page(Method::GET, "/stacks/web", "").await;
    assert!(status == 200 && shown.contains("New secret…") && shown.contains("counts as well"), "{shown}");
    let (status, shown) = page(Method::POST, "/stacks/web/rotate-webhook-secret", "overlap=3600").await;
    assert_eq!(status, 200, "{shown}");
    let start = shown.find("id=\"secret\">").unwrap() + "id=\"secret\">".len();
    let made = shown[start..].split('<').next().unwrap();
    assert_eq!(deliver(&server, &path, "d2", &[made]).await.0, 202);
    let given = "overlap=3600&secret=pasted-from-the-forge";
    let (status, shown) = page(Method::POST, "/stacks/web/rotate-webhook-secret", given).await;
    assert!(status == 200 && !shown.contains("pasted-from-the-forge"), "{shown}");
    assert_eq!(deliver(&server, &path, "d3", &["pasted-from-the-forge"]).await.0, 202);
    let (status, shown) = page(Method::POST, "/stacks/web/rotate-webhook-secret", "overlap=9999999").await;
    assert!(status == 422 && shown.contains("30 days"), "{status} {shown}");
}
