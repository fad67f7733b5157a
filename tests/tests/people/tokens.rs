//! Tokens that may do less than their owner.

use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{World, ask, text};

async fn limited(world: &World, owner: &str, limit: Value) -> String {
    let mut body = json!({ "name": "limited" });
    body.as_object_mut().unwrap().extend(limit.as_object().unwrap().clone());
    let made = world.ask(owner, Method::POST, "/api/v1/tokens", Some(body)).await.expect(201);
    text(&made["data"]["secret"])
}

#[tokio::test]
async fn a_limited_token_does_what_its_limit_says_and_cannot_lift_it() {
    let world = World::start().await;
    let token = limited(&world, "owl-admin", json!({ "role": "viewer" })).await;
    let server = &world.server;
    ask(server, &token, Method::GET, "/api/v1/stacks/owl-web", None).await.expect(200);
    ask(server, &token, Method::POST, "/api/v1/stacks/owl-web/deploy", Some(json!({}))).await.expect(403);
    let body = Some(json!({ "name": "more" }));
    ask(server, &token, Method::POST, "/api/v1/tokens", body).await.expect(403);
    let body = Some(json!({ "new": "correct horse battery" }));
    ask(server, &token, Method::PUT, "/api/v1/me/password", body).await.expect(403);
    ask(server, &token, Method::POST, "/api/v1/me/second-factor", None).await.expect(403);
}

#[tokio::test]
async fn a_token_for_one_project_sees_that_project_only() {
    let world = World::start().await;
    let server = &world.server;
    let other = json!({ "name": "owl-other", "project": "owl-second", "team": "owls" });
    server.post("/api/v1/stacks", other).await.expect(201);
    let token = limited(&world, "owl-admin", json!({ "project": "owl-second" })).await;
    let list = ask(server, &token, Method::GET, "/api/v1/stacks", None).await.expect(200);
    let names: Vec<&Value> =
        list["data"]["items"].as_array().unwrap().iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["owl-other"]);
    ask(server, &token, Method::GET, "/api/v1/stacks/owl-web", None).await.expect(404);
    ask(server, &token, Method::GET, "/api/v1/teams/owls", None).await.expect(404);
    // The administrator's own, limited, ends at the limit too.
    let made =
        server.post("/api/v1/tokens", json!({ "name": "x", "project": "owl-second" })).await.expect(201);
    let token = text(&made["data"]["secret"]);
    ask(server, &token, Method::GET, "/api/v1/stacks/owl-other", None).await.expect(200);
    ask(server, &token, Method::GET, "/api/v1/stacks/owl-web", None).await.expect(404);
    ask(server, &token, Method::POST, "/api/v1/plugins/reload", None).await.expect(403);
    let list = ask(server, &token, Method::GET, "/api/v1/stacks", None).await.expect(200);
    assert_eq!(list["data"]["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn one_s_own_tokens_are_listed_and_revoked_and_nobody_else_s() {
    let world = World::start().await;
    let (id, secret) = world.token_of("owl-viewer").await;
    let path = format!("/api/v1/tokens/{id}");
    world.ask("owl-admin", Method::DELETE, &path, None).await.expect(404);
    let body = Some(json!({ "name": "forged", "user": "owl-admin" }));
    world.ask("owl-viewer", Method::POST, "/api/v1/tokens", body).await.expect(404);
    let list = world.ask("owl-admin", Method::GET, "/api/v1/tokens", None).await;
    assert!(list.status == 200 && !list.text.contains(&id));
    world.ask("owl-viewer", Method::DELETE, &path, None).await.expect_empty(204);
    ask(&world.server, &secret, Method::GET, "/api/v1/me", None).await.expect(401);
    // Prefix and checksum are what a scanner looks for.
    assert!(secret.starts_with("wl_") && secret.len() == 75, "{secret}");
}

#[tokio::test]
async fn an_expired_token_is_refused_and_one_cannot_be_made() {
    let world = World::start().await;
    let body = json!({ "name": "old", "expiresAt": "2001-01-01T00:00:00Z" });
    world.server.post("/api/v1/tokens", body).await.expect(422);
}
