//! Several nodes on one PostgreSQL.

use std::time::Duration;

use windlass::{
    domain::task::TaskStatus,
    queue::{self, Done, Queue, QueueConfig},
    store::{deployments, events, tasks},
};
use windlass_tests::{
    database::{TestDb, soon},
    sample,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_one_node_is_heard_on_the_other() {
    let Some(test) = TestDb::postgres().await else { return };
    let other = test.another().await;
    let mut heard = other.subscribe_events();
    let seq = test
        .db
        .write(|tx| Box::pin(async move { events::append(tx, sample::event(None)).await }))
        .await
        .unwrap();
    assert_eq!(soon("the event", heard.recv()).await.unwrap().seq, seq);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wanted_of_a_rollout_on_one_node_reaches_the_other() {
    let Some(test) = TestDb::postgres().await else { return };
    let sample = sample::store(&test.db, "web").await;
    let deployment = sample::store_deployments(&test.db, &sample.stack, 1).await.remove(0);
    let other = test.another().await;
    let mut wishes = other.subscribe_wishes();
    test.db
        .write(move |tx| Box::pin(async move { deployments::pause(tx, &deployment.id, 1).await }))
        .await
        .unwrap();
    soon("the wish", wishes.changed()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_of_one_node_wakes_the_other() {
    let Some(test) = TestDb::postgres().await else { return };
    // Without a wake-up, nothing would happen for an hour.
    let hour = Duration::from_secs(3600);
    let config = QueueConfig { poll: hour, heartbeat: hour, ..QueueConfig::new(1, "other") };
    let other = test.another().await;
    let handler: queue::Handler = std::sync::Arc::new(|_| Box::pin(async { Ok(Done::Finished) }));
    let queue = Queue::start_with(other.clone(), config, handler).await.unwrap();
    let new = sample::task("e");
    let id = new.id.clone();
    test.db.write(move |tx| Box::pin(async move { queue::enqueue(tx, &new).await })).await.unwrap();
    soon("the task's end", async {
        loop {
            let row = tasks::find(&mut other.read().await.unwrap(), id.as_str()).await.unwrap();
            if row.status == TaskStatus::Success {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    queue.stop(Duration::from_secs(5)).await.unwrap();
}
