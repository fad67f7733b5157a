//! The dashboard as two people in different roles meet it.

use serde_json::json;
use windlass_tests::browser::Browser;
use windlass_tests::server::TestServer;

const PASSWORD: &str = "correct horse battery";

async fn log_in(browser: &Browser, server: &TestServer, name: &str, password: &str) {
    browser.open(&format!("{}/login", server.url)).await;
    browser.fill("#name", name).await;
    browser.fill("#password", password).await;
    browser.press("#by-password button").await;
}

#[tokio::test]
async fn an_administrator_invites_somebody_who_then_sees_what_a_viewer_may() {
    let Some(browser) = Browser::start("an administrator invites somebody").await else { return };
    let server = TestServer::start().await;
    server.put("/api/v1/users/admin/password", json!({ "password": PASSWORD })).await.expect_empty(204);
    server.create_stack(json!({ "name": "secret-web", "project": "other" })).await;
    // A wrong password says so, and the right one leads in.
    log_in(&browser, &server, "admin", "wrong horse battery").await;
    browser.wait_text("#name-error", "not right").await;
    log_in(&browser, &server, "admin", PASSWORD).await;
    browser.wait_text(".who-name", "admin").await;
    browser.open(&format!("{}/people", server.url)).await;
    browser.fill("#team-name", "owls").await;
    browser.press("#new-team button").await;
    browser.wait_text("h1", "Team owls").await;
    browser.fill("#invite-name", "ada").await;
    browser.press("#new-invitation button").await;
    browser.wait_text("#h-new", "ada").await;
    let secret = browser.text("#secret").await;
    assert!(secret.starts_with("wli_"), "{secret}");
    let input = json!({ "name": "owl-web", "project": "owl-project", "team": "owls" });
    server.create_stack(input).await;
    browser.press(".who button").await;
    browser.wait_text("h1", "Log in").await;
    // Ada chooses her password and is in; she sees her team's stack and no other.
    browser.open(&format!("{}/invitation", server.url)).await;
    browser.fill("#invitation", &secret).await;
    browser.fill("#name", "ada").await;
    browser.fill("#password", "another horse battery").await;
    browser.press("form.stack-v button").await;
    browser.wait_text(".who-name", "ada").await;
    browser.wait_text("main", "owl-web").await;
    assert!(!browser.client.source().await.unwrap().contains("secret-web"));
    // What she may not do is refused in words, and what is not hers is not there.
    browser.open(&format!("{}/stacks/owl-web/edit", server.url)).await;
    browser.wait_text("main", "needs the role developer").await;
    browser.open(&format!("{}/stacks/secret-web", server.url)).await;
    browser.wait_text("h1", "There is nothing here").await;
    browser.open(&format!("{}/people/teams/owls", server.url)).await;
    browser.wait_text("#members", "viewer").await;
    assert!(!browser.client.source().await.unwrap().contains("new-invitation"));
    // The invitation is used up.
    browser.press(".who button").await;
    browser.wait_text("h1", "Log in").await;
    browser.open(&format!("{}/invitation", server.url)).await;
    browser.fill("#invitation", &secret).await;
    browser.fill("#name", "ada").await;
    browser.fill("#password", "another horse battery").await;
    browser.press("form.stack-v button").await;
    browser.wait_text("[role=alert]", "does not exist").await;
    // The browser mentions the pages that were refused; nothing of ours was against the policy for content.
    let complaints = browser.complaints().await;
    assert!(!complaints.iter().any(|text| text.contains("Content Security Policy")), "{complaints:?}");
}
