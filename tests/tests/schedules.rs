//! Deployments at set times: kept, shown, and carried out once for each due time.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use serde_json::{Value, json};
use windlass::store::{Db, DbConfig, now, schedules};
use windlass_tests::database::TestDb;
use windlass_tests::docker::eventually;
use windlass_tests::server::{ADMIN_TOKEN, TestServer};

/// Nobody answers there: a build of it fails.
const URL: &str = "http://127.0.0.1:9/app.git";

async fn stack(server: &TestServer) {
    let input = json!({ "name": "web", "repository": { "url": URL, "provider": "generic" } });
    server.create_stack(input).await;
}

async fn create(server: &TestServer, plan: Value) -> Value {
    server.post("/api/v1/stacks/web/schedules", plan).await.expect(201)["data"].clone()
}

async fn show(server: &TestServer, seq: &Value) -> Value {
    server.get(&format!("/api/v1/schedules/{seq}")).await.expect(200)["data"].clone()
}

async fn scheduled(server: &TestServer) -> Vec<Value> {
    let all = server.get("/api/v1/stacks/web/deployments").await.expect(200)["data"]["items"].clone();
    all.as_array().unwrap().iter().filter(|row| row["triggeredBy"] == "scheduled").cloned().collect()
}

/// Makes a schedule due at this time, as if it had been waited for.
async fn make_due(db: &Db, seq: &Value, at: i64) {
    let key = seq.to_string();
    db.write(move |tx| {
        Box::pin(async move {
            let mut row = schedules::find(tx, &key).await?;
            row.next_at = Some(at);
            schedules::update(tx, &row).await
        })
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_kept_changed_and_deleted() {
    let server = TestServer::start().await;
    stack(&server).await;
    let plan =
        json!({ "name": "nightly", "cron": "30 2 * * *", "timeZone": "Europe/Berlin", "gitRef": "v1" });
    let made = create(&server, plan.clone()).await;
    assert_eq!(made["upcoming"].as_array().unwrap().len(), 5, "{made:#}");
    assert_eq!((&made["missed"], &made["enabled"]), (&json!("run_once"), &json!(true)));
    let twice = server.post("/api/v1/stacks/web/schedules", plan).await;
    assert!(twice.status == 409 && twice.text.contains("nightly"), "{}", twice.text);
    for (plan, words) in [
        (json!({ "name": "a", "cron": "soon" }), "five parts"),
        (json!({ "name": "a", "cron": "* * * * *", "timeZone": "Europe/Berln" }), "Europe/Berlin"),
        (json!({ "name": "a", "cron": "* * * * *", "color": "red" }), "color"),
    ] {
        let refused = server.post("/api/v1/stacks/web/schedules", plan).await;
        assert!((400..500).contains(&refused.status) && refused.text.contains(words), "{}", refused.text);
    }
    let path = format!("/api/v1/schedules/{}", made["seq"]);
    let off = json!({ "name": "weekly", "cron": "@weekly", "enabled": false, "missed": "skip" });
    let changed = server.put(&path, off).await.expect(200)["data"].clone();
    assert_eq!((&changed["name"], &changed["nextAt"]), (&json!("weekly"), &Value::Null), "{changed:#}");
    assert_eq!(
        server.get("/api/v1/schedules").await.expect(200)["data"]["items"].as_array().unwrap().len(),
        1
    );
    server.delete(&path).await.expect_empty(204);
    assert_eq!(server.get(&path).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_due_time_without_a_server_is_made_up_for_once_or_skipped() {
    let mut server = TestServer::start().await;
    stack(&server).await;
    let made_up = create(&server, json!({ "name": "made up", "cron": "@yearly" })).await;
    let skipped = create(&server, json!({ "name": "skipped", "cron": "@yearly", "missed": "skip" })).await;
    server.terminate();
    server.wait();
    let url = format!("sqlite:{}", server.data().join("windlass.db").display());
    let db = Db::open(&DbConfig::new(&url)).await.unwrap();
    // Three hours without a server.
    for schedule in [&made_up, &skipped] {
        make_due(&db, &schedule["seq"], now() - 3 * 3_600_000).await;
    }
    db.close().await;
    server.launch(&[]).await.unwrap();
    eventually("both due times are dealt with", async || {
        show(&server, &made_up["seq"]).await["lastResult"].is_string()
            && show(&server, &skipped["seq"]).await["lastResult"].is_string()
    })
    .await;
    let rows = scheduled(&server).await;
    assert_eq!(rows.len(), 1, "{rows:#?}");
    assert!(rows[0]["reason"].as_str().unwrap().contains("made up"), "{rows:#?}");
    let left_out = show(&server, &skipped["seq"]).await;
    assert!(left_out["lastResult"].as_str().unwrap().contains("no server ran"), "{left_out:#}");
    let next = show(&server, &made_up["seq"]).await["nextAt"].as_str().unwrap().to_owned();
    assert!(next.as_str() > rows[0]["startedAt"].as_str().unwrap(), "the next one is in the future: {next}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_due_time_is_carried_out_once_by_however_many_servers() {
    let Some(database) = TestDb::postgres().await else { return };
    let key = "11".repeat(32);
    let variables = [("WINDLASS_DATABASE_URL", database.url.as_str()), ("WINDLASS_MASTER_KEY", key.as_str())];
    let (one, two) = (TestServer::start_with(&variables).await, TestServer::start_with(&variables).await);
    stack(&one).await;
    let mut seqs = Vec::new();
    for n in 0..5 {
        seqs.push(create(&two, json!({ "name": format!("s{n}"), "cron": "@yearly" })).await["seq"].clone());
    }
    for seq in &seqs {
        make_due(&database.db, seq, now()).await;
    }
    for seq in &seqs {
        eventually("its due time", async || show(&one, seq).await["lastResult"].is_string()).await;
    }
    let rows = scheduled(&one).await;
    assert_eq!(rows.len(), seqs.len(), "{rows:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_and_the_dashboard_have_schedules() {
    let server = TestServer::start().await;
    stack(&server).await;
    let windlass = |words: &[&str]| {
        let run = server.cli(words);
        (run.code, run.said())
    };
    let create = [
        "schedule",
        "create",
        "web",
        "--name",
        "nightly",
        "--cron",
        "30 4 * * *",
        "--time-zone",
        "Asia/Tokyo",
    ];
    let (code, text) = windlass(&create);
    assert!(code == 0 && text.contains("Asia/Tokyo") && text.contains("T04:30:00+09:00"), "{text}");
    let (code, text) = windlass(&["schedule", "list", "--stack", "web"]);
    assert!(code == 0 && text.contains("nightly"), "{text}");
    let (code, text) = windlass(&["schedule", "disable", "1"]);
    assert!(code == 0 && text.contains("off"), "{text}");
    let (code, text) = windlass(&["schedule", "edit", "1", "--cron", "nonsense"]);
    assert!(code == 1 && text.contains("five parts"), "{text}");
    let (code, text) = windlass(&["schedule", "delete", "7"]);
    assert!(code == 1 && text.contains("schedule list"), "{text}");

    let page = server.get("/stacks/web/schedules").await;
    assert!(page.status == 200 && page.text.contains("nightly") && page.text.contains("Asia/Tokyo"));
    let post = async |path: &str, body: &'static str| {
        let request = server.stranger(reqwest::Method::POST, path).bearer_auth(ADMIN_TOKEN);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, page) = post("/stacks/web/schedules", "name=weekly&cron=soon&time_zone=UTC").await;
    assert!(
        status == 422 && page.contains("cron-error") && page.contains("value=\"soon\""),
        "{status}: {page}"
    );
    let (_, page) = post("/stacks/web/schedules", "name=weekly&cron=@weekly&time_zone=&skip=on").await;
    assert!(page.contains("weekly") && page.contains("@weekly"), "{page}");
    let (_, page) = post("/stacks/web/schedules/2/switch", "").await;
    assert!(page.contains("Switch on"), "{page}");
    let (_, page) = post("/stacks/web/schedules/2/delete", "").await;
    assert!(!page.contains("Delete “weekly”") && page.contains("Delete “nightly”"), "{page}");
}
