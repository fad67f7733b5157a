//! Socket.IO, driven by socket.io-client: seed 3's calls, refusals, changes of a stack, and the log as a terminal.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod client;

use client::Client;
use serde_json::{Value, json};
use windlass_tests::fixture::Fixture;
use windlass_tests::server::{ADMIN_TOKEN, TestServer};

/// What a terminal has shown.
fn shown(client: &mut Client, name: &str, terminal: &str) -> String {
    let writes = client.pushes(name, "terminalWrite").into_iter().filter(|args| args[0] == terminal);
    writes.map(|args| args[1].as_str().unwrap().replace("\r\n", "\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nine_calls_answer_through_their_callbacks() {
    let Some(mut client) = Client::start("the_nine_calls_answer_through_their_callbacks") else { return };
    let fixture = Fixture::start(true).await;
    let (first, _) = fixture.deploy("one").await;
    client.connect("a", &fixture.server.url);

    let repository = client.data("a", "getGitRepository", json!(["web"]));
    assert_eq!(repository["url"], fixture.git.url("app"));
    // What was shown may be sent back as it is.
    let mut changed = repository.clone();
    changed["credentials"] = json!({ "token": "git-token-7" });
    changed["authType"] = json!("http_token");
    let saved = client.data("a", "saveGitRepository", json!(["web", changed]));
    assert_eq!(saved["hasCredentials"], true);
    assert!(!saved.to_string().contains("git-token-7"));
    let back = json!({ "url": repository["url"], "branch": "main", "provider": "github" });
    client.data("a", "saveGitRepository", json!(["web", back]));

    let reached = client.data("a", "testGitConnection", json!([back]));
    assert_eq!((&reached["connected"], &reached["branchExists"]), (&json!(true), &json!(true)), "{reached}");
    let missing = json!({ "url": fixture.git.url("nothing"), "branch": "main" });
    assert_eq!(client.call("a", "testGitConnection", json!([missing]))["ok"], false);

    let secret = json!([{ "name": "KEY", "value": "env-secret-9", "secret": true }]);
    let config = client.data(
        "a",
        "saveBuildConfig",
        json!(["web", { "environmentVariables": secret, "timeout": 77 }]),
    );
    assert_eq!(
        (&config["timeout"], &config["environmentVariables"][0]["value"]),
        (&json!(77), &json!("***"))
    );
    assert_eq!(config["healthCheckPath"], "/health", "what was left out stays");
    let config = client.data("a", "getBuildConfig", json!(["web"]));
    client.data("a", "saveBuildConfig", json!(["web", config]));

    let second = fixture.commit("two");
    let begun = client.data("a", "triggerBuild", json!(["web"]));
    let terminal = begun["terminal"].as_str().unwrap();
    client.data("a", "terminalJoin", json!([terminal]));
    assert_eq!(client.wait("a", "terminalExit", terminal)[1], "successful");
    let log = fixture.server.log_of(&begun["seq"].to_string()).await;
    assert_eq!(shown(&mut client, "a", terminal), log);
    assert!(log.contains(&second) && !log.contains("env-secret-9"));
    let container = &fixture.server.instances()[0];
    let environment = windlass_tests::server::docker(&["inspect", container]);
    assert!(environment.contains("KEY=env-secret-9"), "`***` keeps a secret as it was");

    let history = client.data("a", "getDeploymentHistory", json!(["web", 1]));
    assert_eq!((history.as_array().unwrap().len(), &history[0]["id"]), (1, &begun["id"]));
    let history = client.data("a", "getDeploymentHistory", json!(["web"]));
    let back = client.data("a", "rollbackDeployment", json!([history[1]["id"]]));
    assert_eq!(back["commitSha"], first);
    fixture.server.wait_deployment(back["id"].as_str().unwrap()).await;
    assert!(fixture.page().await.contains(&first));

    fixture.commit("sick");
    let begun = client.data("a", "triggerBuild", json!(["web"]));
    assert_eq!(client.data("a", "cancelBuild", json!([begun["seq"]]))["id"], begun["id"]);
    let ended = fixture.server.wait_deployment(begun["id"].as_str().unwrap()).await;
    assert_eq!(ended["status"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_without_a_token_that_counts_is_refused() {
    let Some(mut client) = Client::start("a_socket_without_a_token_that_counts_is_refused") else { return };
    let server = TestServer::start().await;
    let wrong = [
        json!({}),
        json!({ "auth": {} }),
        json!({ "auth": { "token": "no-token-of-this-server" } }),
        json!({ "auth": { "token": 7 } }),
        json!({ "headers": { "authorization": "Bearer nonsense-and-more" } }),
        // A page elsewhere could make a browser send it.
        json!({ "headers": { "cookie": format!("windlass_token={ADMIN_TOKEN}") } }),
    ];
    for how in wrong {
        let answer = client.try_connect("stranger", &server.url, how.clone());
        assert_eq!(answer["connected"], false, "{how}");
        assert!(answer["why"].as_str().unwrap().contains("token"), "{answer}");
    }
    let bearer =
        json!({ "headers": { "authorization": format!("Bearer {ADMIN_TOKEN}") }, "transports": ["polling"] });
    assert_eq!(client.try_connect("header", &server.url, bearer)["transport"], "polling");

    let token = server.post("/api/v1/tokens", json!({ "name": "short" })).await.expect(201)["data"].clone();
    let how = json!({ "auth": { "token": token["secret"] }, "transports": ["websocket"] });
    assert_eq!(client.try_connect("short", &server.url, how)["transport"], "websocket");
    assert_eq!(client.call("short", "getBuildConfig", json!(["nothing"]))["code"], "not_found");
    let id = token["token"]["id"].as_str().or(token["id"].as_str()).unwrap();
    server.delete(&format!("/api/v1/tokens/{id}")).await;
    assert_eq!(client.call("short", "getBuildConfig", json!(["nothing"]))["code"], "unauthenticated");
    client.wait("short", "disconnect", "io server disconnect");
}

/// Secret of a token of a new person, with that role in the team `default` if there is one.
async fn person(server: &TestServer, name: &str, role: Option<&str>) -> Value {
    server.post("/api/v1/users", json!({ "name": name })).await.expect(201);
    if let Some(role) = role {
        let path = format!("/api/v1/teams/default/members/{name}");
        server.put(&path, json!({ "role": role })).await.expect(200);
    }
    let made = server.post("/api/v1/tokens", json!({ "name": name, "user": name })).await.expect(201);
    made["data"]["secret"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_and_each_room_asks_for_the_role_that_its_route_asks_for() {
    let test = "each_call_and_each_room_asks_for_the_role_that_its_route_asks_for";
    let Some(mut client) = Client::start(test) else { return };
    let server = TestServer::start().await;
    let repository = json!({ "url": "http://127.0.0.1:9/app.git", "branch": "main", "provider": "github" });
    server.create_stack(json!({ "name": "web", "repository": repository })).await;
    let begun = server.post("/api/v1/stacks/web/deploy", json!({})).await.expect(202)["data"].clone();
    server.post(&format!("/api/v1/deployments/{}/cancel", begun["seq"]), json!({})).await;
    server.wait_deployment(&begun["seq"].to_string()).await;
    let terminal = json!(format!("deployment-{}", begun["seq"]));
    let roles = [
        ("loner", None),
        ("sees", Some("viewer")),
        ("makes", Some("developer")),
        ("ships", Some("deployer")),
    ];
    for (name, role) in roles {
        let token = person(&server, name, role).await;
        let how = json!({ "auth": { "token": token }, "transports": ["websocket"] });
        assert_eq!(client.try_connect(name, &server.url, how)["connected"], true);
    }
    // The call, with arguments that change nothing even where they are let in, and the least role.
    let calls = [
        ("getGitRepository", json!(["web"]), 1),
        ("getBuildConfig", json!(["web"]), 1),
        ("getDeploymentHistory", json!(["web"]), 1),
        ("subscribe", json!(["web"]), 1),
        ("terminalJoin", json!([terminal]), 1),
        ("saveGitRepository", json!(["web"]), 2),
        ("saveBuildConfig", json!(["web"]), 2),
        ("rollbackDeployment", json!([begun["id"]]), 3),
        ("cancelBuild", json!([begun["seq"]]), 3),
    ];
    for (call, args, least) in calls {
        for (rank, (name, _)) in roles.iter().enumerate() {
            let answer = client.call(name, call, args.clone());
            let refused =
                answer["ok"] == false && matches!(answer["code"].as_str(), Some("forbidden" | "not_found"));
            assert_eq!(refused, rank < least, "{call} by {name}: {answer}");
            if rank == 0 {
                assert_eq!(
                    answer["code"], "not_found",
                    "{call} tells a stranger that there is something: {answer}"
                );
            }
        }
    }
    let reached = client.call("sees", "testGitConnection", json!([repository]));
    assert_eq!(reached["code"], "forbidden", "{reached}");
    // Whoever was refused the room hears nothing of what happens in it.
    server.put("/api/v1/stacks/web", json!({ "name": "web", "description": "changed" })).await.expect(200);
    client.wait("sees", "stack.changed", "");
    assert!(client.pushes("loner", "stack.changed").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_call_says_what_is_wrong() {
    let Some(mut client) = Client::start("a_wrong_call_says_what_is_wrong") else { return };
    let fixture = Fixture::start(false).await;
    client.connect("a", &fixture.server.url);
    let cases = [
        ("getGitRepository", json!([]), "stackName"),
        ("getGitRepository", json!([{}]), "stackName"),
        ("saveGitRepository", json!(["web"]), "repository"),
        (
            "saveGitRepository",
            json!(["web", { "url": "ext::sh -c evil", "branch": "main" }]),
            "repository.url",
        ),
        ("saveGitRepository", json!(["web", { "url": "https://a/b", "colour": "red" }]), "repository"),
        ("testGitConnection", json!([{ "url": "file:///etc", "branch": "main" }]), "repository.url"),
        ("saveBuildConfig", json!(["web", { "timeout": "soon" }]), "config"),
        (
            "saveBuildConfig",
            json!(["web", { "environmentVariables": [{ "name": "A", "value": "***", "secret": true }] }]),
            "config.environmentVariables",
        ),
        ("getDeploymentHistory", json!(["web", "many"]), "limit"),
        ("cancelBuild", json!([null]), "deploymentId"),
        ("terminalJoin", json!(["build-1", { "after": "there" }]), "after"),
    ];
    for (event, args, field) in cases {
        let answer = client.call("a", event, args.clone());
        assert_eq!(
            (&answer["ok"], &answer["code"]),
            (&json!(false), &json!("invalid")),
            "{event} {args}: {answer}"
        );
        assert_eq!(answer["field"], field, "{event} {args}: {answer}");
        assert!(answer["msg"].as_str().unwrap().len() > 10);
    }
    for (event, args) in [
        ("triggerBuild", json!(["none"])),
        ("rollbackDeployment", json!([7])),
        ("terminalJoin", json!(["shell"])),
    ] {
        assert_eq!(client.call("a", event, args)["code"], "not_found", "{event}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_hears_of_its_stacks_only_and_misses_nothing_when_the_server_was_killed() {
    let test = "a_socket_hears_of_its_stacks_only_and_misses_nothing_when_the_server_was_killed";
    let Some(mut client) = Client::start(test) else { return };
    let mut fixture = Fixture::start(false).await;
    fixture.server.create_stack(json!({ "name": "other" })).await;
    for name in ["web", "other"] {
        client.connect(name, &fixture.server.url);
        client.follow(name, name);
    }
    let sha = fixture.commit("one");
    let number = fixture.push(&sha).await;
    fixture.server.wait_deployment(&number).await;
    let told = client.wait("web", "DEPLOYMENT_STATUS_UPDATE", "completed");
    let id = fixture.server.get(&format!("/api/v1/deployments/{number}")).await.json["data"]["id"].clone();
    assert_eq!(told[0]["deploymentId"], id);
    client.wait("web", "DEPLOYMENT_RUN_START", id.as_str().unwrap());

    fixture.server.kill();
    client.wait("web", "disconnect", "transport");
    fixture.server.launch(&[]).await.unwrap();
    let sha = fixture.commit("broken");
    let number = fixture.push(&sha).await;
    assert_eq!(fixture.server.wait_deployment(&number).await["status"], "rolled_back");
    client.wait("web", "deployment.status", "rolled_back");

    // Exactly what is in the outbox, once and in its order.
    let heard: Vec<Value> =
        client.pushes("web", "deployment.status").into_iter().map(|args| args[0]["seq"].clone()).collect();
    let mut all = Vec::new();
    fixture
        .server
        .wait_event("the last change", |event| {
            if event["kind"] == "deployment.status" {
                all.push(event["seq"].clone());
            }
            (event["data"]["status"] == "rolled_back").then_some(())
        })
        .await;
    assert_eq!(heard, all);
    assert!(client.pushes("other", "deployment.status").is_empty(), "another stack's room is another room");
    client.close("other");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_goes_on_where_it_was() {
    let Some(mut client) = Client::start("a_terminal_goes_on_where_it_was") else { return };
    let fixture = Fixture::start(false).await;
    fixture.deploy("one").await;
    client.connect("a", &fixture.server.url);
    client.data("a", "terminalJoin", json!(["build-1"]));
    client.wait("a", "terminalExit", "build-1");
    let build = shown(&mut client, "a", "build-1");
    client.data("a", "terminalJoin", json!(["deployment-1", { "after": "0:2" }]));
    client.wait("a", "terminalExit", "deployment-1");
    // Its last line comes after its end is told.
    let log = fixture.server.log_of("1").await;
    assert!(!build.is_empty() && log.starts_with(&build));
    let rest: String = log.split_inclusive('\n').skip(2).collect();
    assert_eq!(shown(&mut client, "a", "deployment-1"), rest);
    client.data("a", "terminalLeave", json!(["deployment-1"]));
}
