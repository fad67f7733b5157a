//! Who may have what told, and the command line and the dashboard.

use serde_json::json;
use windlass_tests::peer::{Peer, text};
use windlass_tests::server::{ADMIN_TOKEN, Answer, TestServer};

use super::{channel, test};

/// The token of an account that is in the team with that role.
async fn member(server: &TestServer, team: &str, role: &str) -> String {
    let name = format!("{team}-{role}");
    server.post("/api/v1/users", json!({ "name": name })).await.expect(201);
    server.put(&format!("/api/v1/teams/{team}/members/{name}"), json!({ "role": role })).await.expect(200);
    let made = server.post("/api/v1/tokens", json!({ "name": name, "user": name })).await.expect(201);
    made["data"]["secret"].as_str().unwrap().to_owned()
}

async fn ask(server: &TestServer, token: &str, path: &str, body: serde_json::Value) -> Answer {
    let request = server.stranger(reqwest::Method::POST, path).bearer_auth(token).json(&body);
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    Answer { status, json: serde_json::from_str(&text).unwrap_or_default(), text }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_installations_administrators_lead_a_channel_into_a_private_network() {
    let peer = Peer::start(|_| text(204, "")).await;
    let server = TestServer::start().await;
    server.post("/api/v1/teams", json!({ "name": "owls" })).await.expect(201);
    let admin = member(&server, "owls", "admin").await;
    let channels = "/api/v1/teams/owls/channels";
    let input = |more: serde_json::Value| {
        let mut input = json!({ "name": "hook", "plugin": "webhook-notify", "url": peer.url() });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let refused = ask(&server, &admin, channels, input(json!({ "privateNetwork": true }))).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    let about_all = json!({ "rules": [{ "events": ["*"], "installation": true }] });
    assert_eq!(ask(&server, &admin, channels, input(about_all)).await.status, 403);
    // Without the word, an address inside is not reached, however the URL spells it.
    let port = peer.address.port();
    let metadata = "http://169.254.169.254/latest".to_owned();
    let spelled = ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1", "2130706433"];
    let urls = spelled.iter().map(|host| format!("http://{host}:{port}")).chain([metadata]);
    for (n, url) in urls.enumerate() {
        let made = ask(&server, &admin, channels, input(json!({ "name": format!("h{n}"), "url": url })))
            .await
            .expect(201);
        let id = made["data"]["channel"]["seq"].to_string();
        let told = ask(&server, &admin, &format!("/api/v1/channels/{id}/test"), json!({})).await.expect(200);
        let reason = told["data"]["reason"].as_str().unwrap_or_default();
        assert!(told["data"]["status"] == "dead" && reason.contains("may not reach"), "{url}: {told:#}");
    }
    assert_eq!(peer.seen().len(), 0);
    // What an administrator granted is for that address only, and stored credentials stay with theirs.
    let made =
        server.post(channels, input(json!({ "name": "inside", "privateNetwork": true }))).await.expect(201);
    let path = format!("/api/v1/channels/{}", made["data"]["channel"]["seq"]);
    let put = async |input: serde_json::Value| {
        let request = server.stranger(reqwest::Method::PUT, &path).bearer_auth(&admin).json(&input);
        request.send().await.unwrap().status().as_u16()
    };
    let elsewhere = json!({ "name": "inside", "url": "http://127.0.0.1:1", "privateNetwork": true,
        "credentials": { "signing": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" } });
    assert_eq!(put(input(elsewhere)).await, 403);
    assert_eq!(put(input(json!({ "name": "renamed", "privateNetwork": true }))).await, 200);
    assert_eq!(put(input(json!({ "name": "renamed", "url": "https://a.example" }))).await, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_adds_tests_lists_and_sends_again() {
    let peer = Peer::start(|_| text(204, "")).await;
    let server = TestServer::start().await;
    let (hook, _) = channel(&server, &peer.url(), json!({})).await;
    let windlass = |words: &[&str]| {
        let run = server.cli(words);
        (run.code, run.said())
    };
    let (code, text) = windlass(&["notify", "channel", "test", &hook]);
    assert!(code == 0 && text.contains("delivered") && text.contains("204"), "{text}");
    let add = [
        "notify",
        "channel",
        "add",
        "default",
        "--name",
        "out",
        "--plugin",
        "webhook-notify",
        "--url",
        "https://127.0.0.1:9/x",
        "--events",
        "deployment.failed,build.*",
    ];
    let (code, text) = windlass(&add);
    assert!(code == 0 && text.contains("shown this once: whsec_"), "{text}");
    let (code, text) = windlass(&["notify", "channel", "test", "2"]);
    assert!(code == 1 && text.contains("dead") && text.contains("may not reach"), "{text}");
    let (code, text) = windlass(&["notify", "channel", "list"]);
    assert!(
        code == 0 && text.contains("out") && text.contains("dead") && text.contains("delivered"),
        "{text}"
    );
    let (code, text) =
        windlass(&["notify", "rule", "add", &hook, "--events", "deployment.*", "--quiet", "0"]);
    assert!(code == 0 && text.contains("deployment.*"), "{text}");
    let (code, text) = windlass(&["notify", "rule", "list", "2"]);
    assert!(code == 0 && text.contains("deployment.failed, build.*"), "{text}");
    let (code, text) = windlass(&["notify", "delivery", "replay", &hook, "1"]);
    assert!(code == 0 && text.contains("This is a test"), "{text}");
    super::ended(&server, &hook, "delivered").await;
    assert_eq!(peer.seen().len(), 2);
    let (code, text) = windlass(&["notify", "channel", "rotate", &hook, "--overlap", "60"]);
    assert!(code == 0 && text.contains("whsec_"), "{text}");
    let (code, text) = windlass(&["notify", "delivery", "list", &hook]);
    assert!(code == 0 && text.contains("delivered"), "{text}");
    let (code, text) = windlass(&["notify", "rule", "remove", "2", "1"]);
    assert!(code == 0, "{text}");
    let (code, text) = windlass(&["notify", "channel", "remove", "2"]);
    assert!(code == 0, "{text}");
    let (code, text) = windlass(&["notify", "channel", "show", "2"]);
    assert!(code == 1 && text.contains("channel list"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_adds_a_channel_shows_its_secret_once_and_what_failed() {
    let server = TestServer::start().await;
    let page = async |path: &str, form: Option<&[(&str, &str)]>| {
        let method = if form.is_some() { reqwest::Method::POST } else { reqwest::Method::GET };
        let mut request = server.stranger(method, path).bearer_auth(ADMIN_TOKEN);
        if let Some(form) = form {
            let body: String = url_encoded(form);
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let form = [
        ("team", "default"),
        ("plugin", "webhook-notify"),
        ("name", "chat"),
        ("url", "https://127.0.0.1:9/x"),
        ("settings", "{}"),
        ("events", "deployment.failed"),
        ("credential", ""),
    ];
    let (status, text) = page("/notifications", Some(&form)).await;
    assert!(status == 200 && text.contains("whsec_"), "{text}");
    let mut wrong = form;
    wrong[5] = ("events", "deployment.faild");
    wrong[2] = ("name", "second");
    let (status, text) = page("/notifications", Some(&wrong)).await;
    assert!(status == 422 && text.contains("no event is called") && text.contains("second"), "{text}");
    test(&server, "1").await;
    let (_, list) = page("/notifications", None).await;
    assert!(
        list.contains("given up") && list.contains("may not reach") && !list.contains("whsec_"),
        "{list}"
    );
    let rule = [("events", "build.failed"), ("stack", ""), ("window", "0"), ("quiet", "0")];
    page("/notifications/1/rules", Some(&rule)).await;
    let (_, shown) = page("/notifications/1", None).await;
    assert!(
        shown.contains("build.failed") && shown.contains("Send again") && shown.contains("This is a test"),
        "{shown}"
    );
    let rule = [("events", "build.failed"), ("stack", ""), ("window", "x")];
    let (status, text) = page("/notifications/1/rules", Some(&rule)).await;
    assert!(status == 422 && text.contains("number of seconds"), "{text}");
}

fn url_encoded(form: &[(&str, &str)]) -> String {
    let mut url = reqwest::Url::parse("http://a/").unwrap();
    url.query_pairs_mut().extend_pairs(form);
    url.query().unwrap_or_default().to_owned()
}
