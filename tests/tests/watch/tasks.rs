//! The queue, as an administrator sees it.

use serde_json::json;
use windlass::domain::task::NewTask;
use windlass::store::{Db, DbConfig, now};
use windlass_tests::cli::run;
use windlass_tests::docker::eventually;
use windlass_tests::sample::{self, enqueue};
use windlass_tests::server::TestServer;

/// A server whose queue has a task for later: about a delivery that is gone by then, so it fails as soon as it runs.
async fn with_task_for_later() -> (TestServer, String) {
    let server = TestServer::start().await;
    let url = format!("sqlite:{}", server.data().join("windlass.db").display());
    let db = Db::open(&DbConfig::new(&url)).await.unwrap();
    let later = NewTask { run_at: Some(now() + 3_600_000), ..sample::task("no-such-delivery") };
    let id = enqueue(&db, later).await.to_string();
    db.close().await;
    (server, id)
}

async fn status(server: &TestServer, id: &str) -> String {
    let task = server.get(&format!("/api/v1/tasks/{id}")).await.expect(200)["data"].clone();
    task["status"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_waits_is_listed_and_can_be_told_to_run_now() {
    let (server, id) = with_task_for_later().await;
    let unfinished = server.get("/api/v1/tasks?unfinished=true").await.expect(200)["data"].clone();
    let task = &unfinished["items"][0];
    assert_eq!(
        (&task["id"], &task["kind"], &task["status"]),
        (&json!(id), &json!("webhook"), &json!("queued"))
    );
    assert_eq!((&task["subjectId"], &task["attempt"]), (&json!("no-such-delivery"), &json!(0)));

    // That list has no pages, and does not act as if it had.
    let refused = server.get(&format!("/api/v1/tasks?unfinished=true&before={id}")).await;
    assert_eq!((refused.status, &refused.json["field"]), (422, &json!("before")), "{}", refused.text);

    let words = |words: &[&str]| run(server.command(words));
    let listed = words(&["task", "list"]);
    assert!(listed.code == 0 && listed.out.contains(&id) && listed.out.contains("queued"), "{listed:#?}");
    let told = words(&["task", "run-now", &id]);
    assert!(told.code == 0 && told.out.contains(&id), "{told:#?}");
    eventually("the task has failed", async || status(&server, &id).await == "failed").await;

    let again = words(&["task", "run-now", &id]);
    assert!(again.code != 0 && again.err.contains("its state is `failed`"), "{again:#?}");
    assert!(words(&["task", "list"]).out.contains("nothing to do"));
    let all = server.get("/api/v1/tasks?limit=1").await.expect(200)["data"].clone();
    assert_eq!(all["items"][0]["id"], json!(id));
    server.post(&format!("/api/v1/tasks/{}/run-now", "unknown"), json!({})).await.expect(404);
}
