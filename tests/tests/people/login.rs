//! Logging in, staying logged in, and out.

use reqwest::Method;
use serde_json::{Value, json};
use windlass::domain::totp;
use windlass_tests::server::TestServer;

use crate::world::{ask, text};

const PASSWORD: &str = "correct horse battery";

async fn with_ada() -> TestServer {
    let server = TestServer::start().await;
    server.post("/api/v1/users", json!({ "name": "ada", "password": PASSWORD })).await.expect(201);
    server
}

async fn try_login(server: &TestServer, body: Value) -> (u16, String, String) {
    let answer = ask(server, "", Method::POST, "/api/v1/sessions", Some(body)).await;
    let secret = answer.json["data"]["secret"].as_str().unwrap_or("").to_owned();
    (answer.status, secret, answer.json["error"].as_str().unwrap_or("").to_owned())
}

#[tokio::test]
async fn a_session_lasts_until_its_owner_logs_out() {
    let server = with_ada().await;
    let (status, session, _) = try_login(&server, json!({ "name": "ada", "password": PASSWORD })).await;
    assert_eq!(status, 201);
    let me = ask(&server, &session, Method::GET, "/api/v1/me", None).await.expect(200);
    assert_eq!(me["data"]["user"]["name"], "ada");
    ask(&server, &session, Method::DELETE, "/api/v1/sessions/current", None).await.expect_empty(204);
    ask(&server, &session, Method::GET, "/api/v1/me", None).await.expect(401);
}

#[tokio::test]
async fn whatever_is_wrong_with_a_log_in_the_words_are_the_same() {
    let server = with_ada().await;
    server.post("/api/v1/users", json!({ "name": "bob" })).await.expect(201);
    let mut told = Vec::new();
    for (name, password) in
        [("ada", "correct horse batterz"), ("nobody", PASSWORD), ("bob", ""), ("admin", "x")]
    {
        let (status, _, error) = try_login(&server, json!({ "name": name, "password": password })).await;
        assert_eq!(status, 401, "{name}");
        told.push(error);
    }
    assert!(told.iter().all(|text| *text == told[0]), "{told:?}");
}

#[tokio::test]
async fn a_new_password_ends_all_other_sessions() {
    let server = with_ada().await;
    let credentials = json!({ "name": "ada", "password": PASSWORD });
    let (_, first, _) = try_login(&server, credentials.clone()).await;
    let (_, second, _) = try_login(&server, credentials.clone()).await;
    let path = "/api/v1/me/password";
    let body = json!({ "current": "wrong", "new": "another horse battery" });
    ask(&server, &first, Method::PUT, path, Some(body)).await.expect(422);
    let body = json!({ "current": PASSWORD, "new": "short" });
    ask(&server, &first, Method::PUT, path, Some(body)).await.expect(422);
    let body = json!({ "current": PASSWORD, "new": "another horse battery" });
    ask(&server, &first, Method::PUT, path, Some(body)).await.expect_empty(204);
    ask(&server, &first, Method::GET, "/api/v1/me", None).await.expect(200);
    ask(&server, &second, Method::GET, "/api/v1/me", None).await.expect(401);
    assert_eq!(try_login(&server, credentials).await.0, 401);
}

#[tokio::test]
async fn a_second_factor_is_asked_for_and_no_code_counts_twice() {
    let server = with_ada().await;
    let login = |code: Option<&str>| json!({ "name": "ada", "password": PASSWORD, "code": code });
    let (_, session, _) = try_login(&server, login(None)).await;
    let begun = ask(&server, &session, Method::POST, "/api/v1/me/second-factor", None).await.expect(201);
    let secret = text(&begun["data"]["secret"]);
    // Nothing has changed until it is confirmed.
    assert_eq!(try_login(&server, login(None)).await.0, 201);
    let code = code_of(&secret, 0);
    let path = "/api/v1/me/second-factor/confirm";
    let body = json!({ "code": "000000x" });
    ask(&server, &session, Method::POST, path, Some(body)).await.expect(422);
    let confirmed =
        ask(&server, &session, Method::POST, path, Some(json!({ "code": code }))).await.expect(200);
    let recovery = confirmed["data"]["recoveryCodes"].as_array().unwrap().clone();
    assert_eq!(recovery.len(), 10);
    let (status, _, error) = try_login(&server, login(None)).await;
    assert!(status == 401 && error.contains("authenticator"), "{error}");
    // The code that confirmed it was used; the next one is good, once.
    assert_eq!(try_login(&server, login(Some(&code))).await.0, 401);
    let next = code_of(&secret, 1);
    assert_eq!(try_login(&server, login(Some(&next))).await.0, 201);
    assert_eq!(try_login(&server, login(Some(&next))).await.0, 401);
    let recovery = text(&recovery[3]);
    assert_eq!(try_login(&server, login(Some(&recovery))).await.0, 201);
    assert_eq!(try_login(&server, login(Some(&recovery))).await.0, 401);
    // An administrator helps whoever has lost everything.
    server.delete("/api/v1/users/ada/second-factor").await.expect_empty(204);
    assert_eq!(try_login(&server, login(None)).await.0, 201);
}

/// The code of the half minute that many after this one.
fn code_of(secret: &str, ahead: i64) -> String {
    let key = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    totp::code_at(&key, totp::step_at(windlass::store::now()) + ahead)
}

#[tokio::test]
async fn wrong_log_ins_are_counted_where_they_come_from_and_a_header_does_not_change_that() {
    let server = with_ada().await;
    let mut last = 0;
    for n in 0..12 {
        let request = server.stranger(Method::POST, "/api/v1/sessions");
        let request = request.header("x-forwarded-for", format!("10.1.1.{n}"));
        let body = json!({ "name": format!("guess-{n}"), "password": "x" });
        last = request.json(&body).send().await.unwrap().status().as_u16();
    }
    assert_eq!(last, 429);
    assert_eq!(try_login(&server, json!({ "name": "ada", "password": PASSWORD })).await.0, 429);
}

#[tokio::test]
async fn behind_a_configured_proxy_its_word_counts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("windlass.toml");
    std::fs::write(&file, "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n").unwrap();
    let server = TestServer::start_with(&[("WINDLASS_CONFIG", file.to_str().unwrap())]).await;
    server.post("/api/v1/users", json!({ "name": "ada", "password": PASSWORD })).await.expect(201);
    let send = |from: &'static str, password: &'static str| {
        let request = server.stranger(Method::POST, "/api/v1/sessions").header("x-forwarded-for", from);
        request.json(&json!({ "name": "ada", "password": password })).send()
    };
    for _ in 0..11 {
        send("6.6.6.6, 10.1.1.1", "x").await.unwrap();
    }
    assert_eq!(send("7.7.7.7, 10.1.1.1", PASSWORD).await.unwrap().status().as_u16(), 429);
    assert_eq!(send("10.1.1.2", PASSWORD).await.unwrap().status().as_u16(), 201);
}

#[tokio::test]
async fn a_form_of_another_site_does_nothing_with_the_cookie() {
    let server = with_ada().await;
    let (_, session, _) = try_login(&server, json!({ "name": "ada", "password": PASSWORD })).await;
    let cookie = format!("windlass_token={session}");
    let own = server.url.clone();
    for (headers, status) in [
        (vec![("origin", "https://evil.example")], 403),
        (vec![("origin", "null")], 403),
        (vec![("sec-fetch-site", "cross-site")], 403),
        (vec![("origin", own.as_str()), ("sec-fetch-site", "same-site")], 403),
        (vec![], 403),
        (vec![("origin", own.as_str())], 201),
    ] {
        let mut request = server.stranger(Method::POST, "/api/v1/tokens").header("cookie", &cookie);
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let answer = request.json(&json!({ "name": "made" })).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{headers:?}");
    }
}
