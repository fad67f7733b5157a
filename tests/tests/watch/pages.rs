//! The overview, protection, badge and second factor, as people meet them in a browser.

use serde_json::json;
use windlass::domain::totp::{code_at, step_at};
use windlass_tests::browser::Browser;
use windlass_tests::server::TestServer;

const PASSWORD: &str = "correct horse battery";

async fn with_stack() -> TestServer {
    let server = TestServer::start().await;
    let repository = json!({ "url": "http://127.0.0.1:9/web.git", "provider": "github" });
    server.create_stack(json!({ "name": "web", "repository": repository })).await;
    server
}

#[tokio::test]
async fn the_first_page_says_whether_everything_is_all_right() {
    let Some(browser) = Browser::start("the first page says whether everything is all right").await else {
        return;
    };
    let server = with_stack().await;
    browser.log_in(&server).await;
    browser.wait_text("#overview", "Deployments a day").await;
    browser.wait_text("#overview .checks", "Database").await;
    browser.wait_text("#stacks", "web").await;
    let deployment = server.post("/api/v1/stacks/web/deploy", json!({})).await.expect(202);
    server.wait_deployment(&deployment["data"]["seq"].to_string()).await;
    // Nobody has to reload it.
    browser.wait_text("#overview h1", "Something needs a look").await;
    browser.wait_text("#overview .troubled", "web #1").await;
    let wide = browser.run("return document.documentElement.scrollWidth <= innerWidth").await;
    assert_eq!(wide, json!(true));
    browser.become_phone(360).await;
    let narrow = browser.run("return document.documentElement.scrollWidth <= innerWidth").await;
    assert_eq!(narrow, json!(true), "the page is wider than a phone");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_stack_is_protected_and_shows_its_badge_through_its_pages() {
    let Some(browser) = Browser::start("a stack is protected and shows its badge").await else { return };
    let server = with_stack().await;
    browser.log_in(&server).await;
    browser.open(&format!("{}/stacks/web/protection", server.url)).await;
    browser.fill("#approvals", "2").await;
    browser.fill("#windows", "someday 09:00-16:00").await;
    browser.press(".form-foot button").await;
    // The error stands at its field, and nothing that was typed is lost.
    browser.wait_text("#windows-error", "mon,tue 09:00-16:00").await;
    assert_eq!(browser.value("#approvals").await, "2");
    browser.fill("#windows", "mon,tue 09:00-16:00").await;
    browser.fill("#freeze", "the sale runs").await;
    browser.press(".form-foot button").await;
    browser.wait_text(".notice", "frozen: the sale runs").await;
    let stored = server.get("/api/v1/stacks/web/protection").await.expect(200)["data"].clone();
    assert_eq!((&stored["approvals"], &stored["freeze"]), (&json!(2), &json!("the sale runs")));
    assert_eq!(stored["windows"][0]["days"], json!(["mon", "tue"]));
    browser.open(&format!("{}/stacks/web", server.url)).await;
    browser.wait_text("body", "2 people approve and it is time and the freeze ends").await;

    browser.press("#badge button").await;
    browser.wait_text("#badge-url", "/status.svg").await;
    let shown = "const i = document.querySelector('#badge img'); return i.complete && i.naturalWidth > 50";
    assert_eq!(browser.run(shown).await, json!(true), "the picture is not shown");
    // The browser mentions the form that was refused; nothing of ours was against the policy for content.
    let complaints = browser.complaints().await;
    assert!(!complaints.iter().any(|text| text.contains("Content Security Policy")), "{complaints:?}");
}

#[tokio::test]
async fn a_second_factor_is_set_up_with_a_picture_and_removed_with_a_code() {
    let Some(browser) = Browser::start("a second factor is set up with a picture").await else { return };
    let server = TestServer::start().await;
    server.put("/api/v1/users/admin/password", json!({ "password": PASSWORD })).await.expect_empty(204);
    browser.log_in(&server).await;
    browser.open(&format!("{}/people", server.url)).await;
    browser.press("#begin-factor button").await;
    browser.wait_for("svg.qr path").await;
    let secret = browser.text("#totp-secret").await.replace(' ', "");
    let secret = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    let step = step_at(chrono::Utc::now().timestamp_millis());
    browser.fill("#factor-code", "000000x").await;
    browser.press("#confirm-factor button").await;
    browser.wait_text("#factor-error", "not right").await;
    browser.fill("#factor-code", &code_at(&secret, step)).await;
    browser.press("#confirm-factor button").await;
    browser.wait_text("#h-recovery", "Recovery codes").await;
    let codes: Vec<String> =
        browser.text("#recovery-codes").await.split_whitespace().map(str::to_owned).collect();
    assert_eq!(codes.len(), 10);
    // From now on a password alone does not lead in.
    let session = |code: serde_json::Value| {
        let body = json!({ "name": "admin", "password": PASSWORD, "code": code });
        server.stranger(reqwest::Method::POST, "/api/v1/sessions").json(&body).send()
    };
    assert_eq!(session(json!(null)).await.unwrap().status().as_u16(), 401);
    assert_eq!(session(json!(codes[0])).await.unwrap().status().as_u16(), 201);
    browser.open(&format!("{}/people", server.url)).await;
    browser.fill("#remove-code", &codes[0]).await;
    browser.press("#remove-factor button").await;
    browser.wait_text("[role=alert]", "not right").await;
    browser.fill("#remove-code", &codes[1]).await;
    browser.press("#remove-factor button").await;
    browser.wait_text("[role=status]", "removed").await;
    assert_eq!(session(json!(null)).await.unwrap().status().as_u16(), 201);
    let complaints = browser.complaints().await;
    assert!(!complaints.iter().any(|text| text.contains("Content Security Policy")), "{complaints:?}");
}
