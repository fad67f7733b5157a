//! The record, driven from outside: every operation that may change something leaves an entry.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use reqwest::Method;
use serde_json::{Value, json};
use windlass_tests::cli::{NOBODY, command, run};
use windlass_tests::server::{ADMIN_TOKEN, TestServer};

const URL: &str = "https://git.example/team/app.git";

async fn entries(server: &TestServer, filter: &str) -> Vec<Value> {
    let answer = server.get(&format!("/api/v1/audit?limit=200&{filter}")).await.expect(200);
    answer["data"]["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mutating_operation_leaves_an_entry_that_names_it() {
    let server = TestServer::start().await;
    let document = serde_json::to_value(windlass::api::openapi()).unwrap();
    let mut tried = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let is_mutating = ["post", "put", "patch", "delete"].contains(&method.as_str());
            // Deliveries are not anybody's action; what becomes of them is the server's decision.
            if !is_mutating || operation["security"] == json!([{}]) || operation["security"] == json!([]) {
                continue;
            }
            let name = operation["operationId"].as_str().unwrap();
            let target: String = path
                .split('/')
                .map(|part| if part.starts_with('{') { "none" } else { part })
                .collect::<Vec<_>>()
                .join("/");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let before = entries(&server, &format!("action={name}")).await.len();
            let request = server.stranger(method, &target).bearer_auth(ADMIN_TOKEN).json(&json!({}));
            let status = request.send().await.unwrap().status();
            let after = entries(&server, &format!("action={name}")).await;
            assert!(after.len() > before, "{name} ({status}) left no entry");
            assert_eq!(
                (&after[0]["subject"], &after[0]["actor"]),
                (&json!(target), &json!("admin")),
                "{name}"
            );
            let outcome = if status.is_success() {
                "done"
            } else if status.is_client_error() {
                "refused"
            } else {
                "failed"
            };
            assert_eq!(after[0]["outcome"], outcome, "{name} ({status})");
            tried += 1;
        }
    }
    assert!(tried >= 25, "only {tried} operations were found");
    assert_eq!(server.get("/api/v1/audit/verify").await.expect(200)["data"]["intact"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_says_who_what_from_where_and_why_without_secrets() {
    let server = TestServer::start().await;
    let stack = json!({
        "name": "web",
        "description": "before",
        "build": { "environmentVariables": [{ "name": "KEY", "value": "planted-secret", "secret": true }] },
        "repository": { "url": URL, "provider": "github", "authType": "http_token", "credentials": { "token": "planted-token" } },
    });
    server.post("/api/v1/stacks", stack.clone()).await.expect(201);
    let mut changed = stack;
    changed["description"] = json!("after");
    server.put("/api/v1/stacks/web", changed).await.expect(200);
    let entry = entries(&server, "action=stack_update").await.remove(0);
    assert_eq!(entry["via"], "api");
    assert_eq!((&entry["address"], &entry["actorKind"]), (&json!("127.0.0.1"), &json!("token admin")));
    let change = &entry["changes"][0];
    assert_eq!(change["before"], json!({ "description": "before" }), "{entry:#}");
    assert_eq!(change["after"], json!({ "description": "after" }));
    assert_eq!(entry["changes"][1]["event"], "stack.changed");
    // Exactly one for each action.
    assert_eq!(entries(&server, "action=stack_update").await.len(), 1);
    let all = server.get("/api/v1/audit").await.text;
    assert!(all.contains("stack_create") && !all.contains("planted"), "{all}");

    let secret = server.cli(&["token", "create", "robot"]).expect(0).out;
    let entry = entries(&server, "action=token_create").await.remove(0);
    assert_eq!((&entry["via"], &entry["changes"][0]["after"]["name"]), (&json!("cli"), &json!("robot")));
    assert!(!server.get("/api/v1/audit").await.text.contains(secret.trim()));

    server
        .post(
            "/api/v1/stacks/web/deploy",
            json!({ "reason": "because I can", "imageTag": "no-such-image:1" }),
        )
        .await;
    server.delete("/api/v1/stacks/web").await.expect_empty(204);
    let entry = entries(&server, "action=stack_delete").await.remove(0);
    assert_eq!(entry["changes"][0]["before"]["name"], "web", "{entry:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_acts_in_the_name_of_another_by_what_a_token_is_called() {
    let server = TestServer::start().await;
    server.post("/api/v1/users", json!({ "name": "eve" })).await.expect(201);
    server.put("/api/v1/teams/default/members/eve", json!({ "role": "deployer" })).await.expect(200);
    // Called like the administrator.
    let made = server.post("/api/v1/tokens", json!({ "name": "admin", "user": "eve" })).await.expect(201);
    server.create_stack(json!({ "name": "web", "repository": { "url": URL, "provider": "github" } })).await;
    let request = server.stranger(Method::POST, "/api/v1/stacks/web/deploy").json(&json!({}));
    let request = request.bearer_auth(made["data"]["secret"].as_str().unwrap());
    let begun: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(begun["data"]["triggeredByUser"], "eve", "{begun:#}");
    let entry = entries(&server, "actor=eve").await.remove(0);
    assert_eq!((&entry["actorKind"], &entry["actor"]), (&json!("token admin"), &json!("eve")));
    let path = format!("/api/v1/deployments/{}/cancel", begun["data"]["seq"]);
    server.post(&path, json!({})).await.expect(202);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_ins_and_what_the_dashboard_does_are_recorded() {
    let server = TestServer::start().await;
    let form = async |path: &str, form: &str| {
        let request =
            server.stranger(Method::POST, path).header("content-type", "application/x-www-form-urlencoded");
        let request = if path == "/login" {
            request
        } else {
            let cookie = format!("windlass_token={ADMIN_TOKEN}");
            request.header("cookie", cookie).header("origin", &server.url)
        };
        request.body(form.to_owned()).send().await.unwrap().status().as_u16()
    };
    assert_eq!(form("/login", "token=wrong-token-0123456789").await, 401);
    form("/login", &format!("token={ADMIN_TOKEN}")).await;
    let logins = entries(&server, "action=login").await;
    let told: Vec<_> = logins
        .iter()
        .map(|entry| (entry["outcome"].as_str().unwrap(), entry["actor"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("done", "admin"), ("refused", "")]);
    assert_eq!(logins[0]["via"], "dashboard");
    assert!(!server.get("/api/v1/audit").await.text.contains("wrong-token"));

    assert_eq!(form("/tokens", "name=made-by-hand&days=").await, 201);
    let entry = entries(&server, "action=token_create").await.remove(0);
    assert_eq!((&entry["via"], &entry["actor"]), (&json!("dashboard"), &json!("admin")));
    let page = server.get("/audit?action=token_create").await.text;
    assert!(
        page.contains("made-by-hand") && page.contains("dashboard, 127.0.0.1") && !page.contains(">login<"),
        "{page}"
    );
    let page = server.get("/audit?verify=1").await.text;
    assert!(page.contains("intact") && page.contains("are what was written"), "{page}");
    // Looking changes nothing, and a stranger is nobody.
    server.get("/api/v1/stacks").await.expect(200);
    assert_eq!(server.stranger(Method::POST, "/api/v1/tokens").send().await.unwrap().status().as_u16(), 401);
    let all = entries(&server, "").await;
    assert_eq!(all.iter().filter(|entry| entry["action"] != "plugin.changed").count(), 4, "{all:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_found_by_date_and_by_time() {
    let server = TestServer::start().await;
    server.post("/api/v1/tokens", json!({ "name": "robot" })).await.expect(201);
    let at = entries(&server, "action=token_create").await[0]["at"].as_str().unwrap().to_owned();
    let day = &at[..10];
    let found = async |filter: &str| {
        let filter = filter.replace("AT", &at).replace("DAY", day);
        entries(&server, &format!("action=token_create&{filter}")).await.len()
    };
    // A moment is included where it begins and excluded where it ends; a day is included in both.
    for (filter, count) in [
        ("since=AT", 1),
        ("until=AT", 0),
        ("since=DAY", 1),
        ("until=DAY", 1),
        ("from=DAY&to=DAY", 1),
        ("since=2999-01-01", 0),
        ("until=2000-01-01", 0),
    ] {
        assert_eq!(found(filter).await, count, "{filter} of {at}");
    }
    let wrong = server.get("/api/v1/audit?since=yesterday").await;
    assert!(wrong.status == 422 && wrong.json["field"] == "since", "{}", wrong.text);
    let listed =
        server.cli(&["audit", "list", "--from", day, "--to", day, "--team", "default"]).expect(0).out;
    assert!(listed.contains("No entry"), "a token is about no team: {listed}");
    assert!(server.cli(&["audit", "list", "--since", day]).expect(0).out.contains("token_create"));
    let page = server.get(&format!("/audit?since={day}&until={day}")).await.text;
    assert!(page.contains("token_create") && page.contains(&format!("value=\"{day}\"")), "{page}");
    assert!(!server.get("/audit?since=2999-01-01").await.text.contains("token_create"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_decides_by_itself_is_recorded_with_its_cause() {
    let server = TestServer::start().await;
    let stack = json!({
        "name": "web",
        "repository": { "url": URL, "provider": "github" },
        "build": { "autoDeployOnPush": true, "autoDeployBranches": ["main"] },
    });
    let (path, secret) = server.create_stack(stack).await;
    let event = server.push_webhook(&path, &secret, URL, "main", &"a".repeat(40)).await;
    let shown = server.wait_webhook(&event).await;
    assert_eq!(shown["reason"], "deployed", "{shown}");
    let decided = entries(&server, "action=deployment.status").await;
    let first = decided.last().unwrap();
    assert_eq!((&first["actorKind"], &first["actor"]), (&json!("server"), &json!("windlass")));
    assert_eq!(first["why"], format!("task webhook {event}"));
    assert_eq!(first["changes"][0]["data"]["status"], "pending", "{first:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_verified_without_a_server_and_a_changed_one_is_not() {
    let server = TestServer::start().await;
    for n in 0..5 {
        server.post("/api/v1/tokens", json!({ "name": format!("token-{n}") })).await.expect(201);
    }
    server.cli(&["audit", "verify"]).expect(0);
    let listed = server.cli(&["audit", "list", "--action", "token_create"]);
    assert!(listed.out.contains("token_create"), "{listed:?}");
    let text = server.cli(&["audit", "export"]).expect(0).out;
    let path = server.folder.path().join("export.jsonl");
    let check = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let run = run(command(NOBODY, "", &["audit", "verify", "--file", path.to_str().unwrap()]));
        (run.code, run.out)
    };
    let (code, said) = check(&text);
    assert_eq!(code, 0, "{said}");
    let lines: Vec<&str> = text.lines().collect();
    let without = |at: usize| {
        let kept = lines.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, line)| *line);
        kept.collect::<Vec<_>>().join("\n")
    };
    for (at, line) in lines.iter().enumerate().skip(1) {
        assert_eq!(check(&without(at)).0, 1, "line {at} is not missed");
        let changed = line.replace("\"done\"", "\"made\"");
        assert_ne!(changed, *line);
        assert_eq!(check(&text.replace(line, &changed)).0, 1, "line {at} may be changed");
    }
    let mut swapped = lines.clone();
    swapped.swap(1, 2);
    assert_eq!(check(&swapped.join("\n")).0, 1);
    let forged = text.replacen("\"signature\":\"", "\"signature\":\"A", 1);
    if forged != text {
        assert_eq!(check(&forged).0, 1, "a signature may be changed");
    }
}
