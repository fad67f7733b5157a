//! What is told together, what is not told fifty times, and what rules are about.

use serde_json::{Value, json};
use windlass::domain::event::{EventKind, NewEvent};
use windlass::store::{Db, DbConfig, deployments, events};
use windlass_tests::docker::eventually;
use windlass_tests::peer::{Peer, text};
use windlass_tests::server::TestServer;

use super::{body, channel, deliveries, each, ended, failed_deployment, stack};

/// Appends events of this deployment while no server runs: how its state went on without one.
async fn meanwhile(server: &TestServer, deployment: &str, statuses: &[&str]) {
    let status = |status: &&str| (EventKind::DeploymentStatus, json!({ "status": status }));
    append(server, deployment, statuses.iter().map(status).collect()).await;
}

async fn append(server: &TestServer, deployment: &str, events: Vec<(EventKind, Value)>) {
    let url = format!("sqlite:{}", server.data().join("windlass.db").display());
    let db = Db::open(&DbConfig::new(&url)).await.unwrap();
    for (kind, data) in events {
        let key = deployment.to_owned();
        db.write(move |tx| {
            Box::pin(async move {
                let row = deployments::find(tx, &key).await?;
                let event = NewEvent { kind, stack_id: Some(row.stack_id), subject_id: Some(row.id), data };
                events::append(tx, event).await.map(|_| ())
            })
        })
        .await
        .unwrap();
    }
    db.close().await;
}

fn titles(told: &Value) -> Vec<String> {
    let events = told["events"].as_array().unwrap().iter();
    events.map(|event| event["title"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_without_a_server_is_told_once_and_the_recovery_with_it() {
    let peer = Peer::start(|_| text(204, "")).await;
    let mut server = TestServer::start().await;
    stack(&server, "web").await;
    let (seq, id) = failed_deployment(&server, "web").await;
    // What happened before the rule is nobody's news.
    let rule = json!({ "events": ["deployment.failed"], "windowSecs": 1 });
    let (hook, _) = channel(&server, &peer.url(), json!({ "rules": [rule] })).await;
    server.terminate();
    server.wait();
    let mut statuses = vec!["failed"; 50];
    statuses.extend(["deploying", "successful", "successful"]);
    meanwhile(&server, &id, &statuses).await;
    server.launch(&[]).await.unwrap();
    let told = ended(&server, &hook, "delivered").await;
    let (failed, well) = (
        format!("web: deployment {seq} failed"),
        format!("web: deployment {seq} was successful, after 50 failures"),
    );
    assert_eq!(titles(&told), [failed, well.clone()], "{told:#}");
    assert_eq!((deliveries(&server, &hook).await.len(), peer.seen().len()), (1, 1));
    let body = body(&peer, 0);
    assert_eq!(body["title"], format!("web: 2 events, at last: {well}"));
    assert_eq!(body["severity"], "error", "as bad as the worst of them");
}

/// A canary of ten steps that ends well, as the outbox has it.
fn ten_steps() -> Vec<(EventKind, Value)> {
    let transition = |word: &str, share: u32| {
        let data = json!({ "transition": word, "text": "As it says", "share": share, "by": null });
        (EventKind::DeploymentTransition, data)
    };
    let mut events: Vec<_> = (1..=10).map(|step| transition("share_moved", 9 * step)).collect();
    events.push(transition("promoted", 100));
    events.push(transition("baking", 100));
    events.push((EventKind::DeploymentStatus, json!({ "status": "successful" })));
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn the_steps_of_a_canary_are_one_message_with_what_they_lead_to() {
    let peer = Peer::start(|_| text(204, "")).await;
    let mut server = TestServer::start().await;
    stack(&server, "web").await;
    let (seq, id) = failed_deployment(&server, "web").await;
    let rule = |events: &str| json!([{ "events": [events], "windowSecs": 1 }]);
    let (all, _) = channel(&server, &peer.url(), json!({ "rules": rule("deployment.*") })).await;
    let steps = json!({ "name": "steps", "rules": rule("deployment.share_moved") });
    let (steps, _) = channel(&server, &peer.url(), steps).await;
    let program =
        json!({ "name": "program", "rules": [each(&["deployment.promoted", "deployment.share_moved"])] });
    let (program, _) = channel(&server, &peer.url(), program).await;
    server.terminate();
    server.wait();
    append(&server, &id, ten_steps()).await;
    server.launch(&[]).await.unwrap();
    let told = titles(&ended(&server, &all, "delivered").await);
    assert_eq!(told.len(), 13, "{told:#?}");
    assert_eq!(told[0], format!("web: deployment {seq} sends 9 % of the requests to the new release"));
    assert_eq!(
        told[10..12],
        [
            format!("web: deployment {seq} was promoted"),
            format!("web: deployment {seq} is watched after its promotion"),
        ]
    );
    // What they led to brings them forward even where nobody wants to hear of that.
    assert_eq!(titles(&ended(&server, &steps, "delivered").await).len(), 10);
    for (channel, messages) in [(&all, 1), (&steps, 1), (&program, 11)] {
        eventually("all is told", async || {
            let told = deliveries(&server, channel).await;
            told.len() == messages && told.iter().all(|one| one["status"] == "delivered")
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_tells_of_its_stack_and_its_team_in_its_own_words() {
    let peer = Peer::start(|_| text(204, "")).await;
    let server = TestServer::start().await;
    stack(&server, "web").await;
    stack(&server, "api").await;
    server.post("/api/v1/teams", json!({ "name": "others" })).await.expect(201);
    let (hook, _) = channel(&server, &peer.url(), json!({})).await;
    let rules = format!("/api/v1/channels/{hook}/rules");
    let mut plan = each(&["deployment.failed"]);
    plan["title"] = json!("[{{severity}}] {{stack}} {{kind}}");
    server.post(&rules, json!({ "stack": "web", "plan": plan })).await.expect(201);
    // Another team's channel hears nothing of these stacks.
    let other = json!({ "name": "theirs", "plugin": "webhook-notify", "url": peer.url(), "privateNetwork": true,
        "rules": [each(&["*"])] });
    let other = server.post("/api/v1/teams/others/channels", other).await.expect(201);
    let other = other["data"]["channel"]["seq"].to_string();
    let unknown = server.post(&rules, json!({ "plan": each(&["deployment.faild"]) })).await;
    assert!(unknown.status == 422 && unknown.text.contains("deployment.faild"), "{}", unknown.text);
    let mut wrong = each(&["*"]);
    wrong["title"] = json!("{{titel}}");
    let wrong = server.post(&rules, json!({ "plan": wrong })).await;
    assert!(wrong.status == 422 && wrong.text.contains("titel"), "{}", wrong.text);

    failed_deployment(&server, "api").await;
    failed_deployment(&server, "web").await;
    ended(&server, &hook, "delivered").await;
    // Both deployments have been asked about by now, the first one first.
    assert_eq!(peer.seen().len(), 1);
    assert_eq!(body(&peer, 0)["title"], "[error] web deployment.failed");
    assert_eq!(deliveries(&server, &other).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_the_installation_is_told_where_its_administrator_says_so() {
    let peer = Peer::start(|_| text(204, "")).await;
    let server = TestServer::start().await;
    let mut plan = each(&["provider.degraded"]);
    plan["installation"] = json!(true);
    let (hook, _) = channel(&server, &peer.url(), json!({ "rules": [plan] })).await;
    let (deaf, _) = channel(&server, &peer.url(), json!({ "name": "deaf", "rules": [each(&["*"])] })).await;
    let provider = json!({ "type": "jenkins", "name": "ci", "url": "http://127.0.0.1:9",
        "credentials": { "token": "token-0123456789" } });
    server.post("/api/v1/providers", provider).await.expect(201);
    server.post("/api/v1/providers/ci/test", json!({})).await.expect(200);
    let told = ended(&server, &hook, "delivered").await;
    assert_eq!(titles(&told), ["Provider ci does not answer as it should"]);
    assert_eq!(deliveries(&server, &deaf).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_switched_off_is_told_nothing() {
    let peer = Peer::start(|_| text(204, "")).await;
    let server = TestServer::start().await;
    stack(&server, "web").await;
    let (hook, _) = channel(&server, &peer.url(), json!({ "rules": [each(&["build.failed"])] })).await;
    let (on, _) =
        channel(&server, &peer.url(), json!({ "name": "on", "rules": [each(&["build.failed"])] })).await;
    let off = json!({ "name": "hook", "plugin": "webhook-notify", "url": peer.url(), "privateNetwork": true,
        "enabled": false });
    server.put(&format!("/api/v1/channels/{hook}"), off).await.expect(200);
    failed_deployment(&server, "web").await;
    ended(&server, &on, "delivered").await;
    eventually("only one was told", async || peer.seen().len() == 1).await;
    assert_eq!(deliveries(&server, &hook).await, Vec::<Value>::new());
    assert_eq!(server.post(&format!("/api/v1/channels/{hook}/test"), json!({})).await.status, 409);
}
