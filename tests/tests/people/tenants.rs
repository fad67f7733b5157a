//! Tenants: made, renamed and removed by the installation's administrators, over the API, on the command line and on their page.

use reqwest::Method;
use serde_json::{Value, json};
use windlass::domain::people::DEFAULT_ID;
use windlass_tests::server::TestServer;

use crate::world::{ask, person};

async fn tenant(server: &TestServer, key: &str) -> Value {
    server.get(&format!("/api/v1/tenants/{key}")).await.expect(200)["data"].clone()
}

#[tokio::test]
async fn a_tenant_is_removed_once_nobody_is_in_it() {
    let server = TestServer::start().await;
    server.post("/api/v1/tenants", json!({ "name": "acme" })).await.expect(201);
    server.post("/api/v1/tenants", json!({ "name": "acme" })).await.expect(409);
    server.post("/api/v1/tenants", json!({ "name": "No Name" })).await.expect(422);
    server.post("/api/v1/teams", json!({ "name": "owls", "tenant": "acme" })).await.expect(201);
    let found = tenant(&server, "acme").await;
    assert_eq!((&found["teams"], &found["people"]), (&json!(1), &json!(0)), "{found}");
    let refused = server.delete("/api/v1/tenants/acme").await.expect(409).to_string();
    assert!(refused.contains("has 1 teams"), "{refused}");
    server.delete("/api/v1/teams/owls").await.expect_empty(204);
    server.delete("/api/v1/tenants/acme").await.expect_empty(204);
    server.get("/api/v1/tenants/acme").await.expect(404);

    // People stay where they are.
    let alien = json!({ "name": "alien", "tenant": "mars" });
    let alien = server.post("/api/v1/users", alien).await.expect(201)["data"].clone();
    assert_eq!(alien["tenantId"], tenant(&server, "mars").await["id"], "{alien}");
    let refused = server.delete("/api/v1/tenants/mars").await.expect(409).to_string();
    assert!(refused.contains("people"), "{refused}");
    let refused = server.delete("/api/v1/tenants/default").await.expect(409).to_string();
    assert!(refused.contains("first tenant stays"), "{refused}");

    let record = server.get("/api/v1/audit?action=tenant_delete&outcome=done").await.expect(200);
    assert_eq!(record["data"]["items"][0]["subject"], "/api/v1/tenants/acme", "{record}");
}

#[tokio::test]
async fn who_names_no_tenant_is_put_into_the_first_one_whatever_it_is_called_by_now() {
    let server = TestServer::start().await;
    let renamed = server.put("/api/v1/tenants/default", json!({ "name": "house" })).await.expect(200);
    assert_eq!(renamed["data"]["id"], DEFAULT_ID, "{renamed}");
    let made = server.post("/api/v1/teams", json!({ "name": "owls" })).await.expect(201);
    assert_eq!(made["data"]["tenantId"], DEFAULT_ID, "{made}");
    let token = person(&server, "ada").await;
    server.put("/api/v1/teams/owls/members/ada", json!({ "role": "admin" })).await.expect(200);
    let listed = server.get("/api/v1/tenants").await.expect(200)["data"].clone();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    assert_eq!((&listed[0]["name"], &listed[0]["teams"]), (&json!("house"), &json!(2)), "{listed}");
    // Whose installation it is not, may not even look.
    ask(&server, &token, Method::GET, "/api/v1/tenants", None).await.expect(403);
    let page = server.stranger(Method::GET, "/people").header("cookie", format!("windlass_token={token}"));
    assert!(!page.send().await.unwrap().text().await.unwrap().contains("/people/tenants"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_are_kept_on_the_command_line_and_on_their_page() {
    let server = TestServer::start().await;
    server.cli(&["tenant", "create", "acme"]).expect(0);
    server.cli(&["tenant", "rename", "acme", "zoo"]).expect(0);
    let listed = server.cli(&["tenant", "list"]).expect(0).out;
    assert!(listed.contains("zoo") && !listed.contains("acme"), "{listed}");
    let page = server.get("/people/tenants").await.text;
    assert!(page.contains("Remove “zoo”") && !page.contains("Remove “default”"), "{page}");
    assert!(server.get("/people").await.text.contains("<option>zoo</option>"), "teams may be made there");
    let id = tenant(&server, "zoo").await["id"].as_str().unwrap().to_owned();
    let form = async |path: &str, body: &str| {
        let request = server
            .stranger(Method::POST, path)
            .header("cookie", format!("windlass_token={}", windlass_tests::server::ADMIN_TOKEN))
            .header("origin", &server.url)
            .header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(body.to_owned()).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, page) = form(&format!("/people/tenants/{id}/rename"), "name=default").await;
    assert!(status == 409 && page.contains("already exists"), "{status} {page}");
    form("/people/teams", "name=bears&tenant=zoo").await;
    assert_eq!(tenant(&server, "zoo").await["teams"], 1);
    let (status, page) = form(&format!("/people/tenants/{id}/delete"), "").await;
    assert!(status == 409 && page.contains("remove them first"), "{status} {page}");
    server.cli(&["team", "delete", "bears"]).expect(0);
    server.cli(&["tenant", "delete", "zoo"]).expect(0);
    assert!(server.cli(&["tenant", "delete", "zoo"]).expect(1).err.contains("does not exist"));
}
