//! What the queue promises about rows: claims, fences, keys, order. No queue runs here.

use std::collections::HashMap;

use tokio::task::JoinSet;
use windlass::{
    domain::{
        Id,
        task::{NewTask, TaskRow, TaskStatus},
    },
    error::Error,
    queue,
    store::{Db, now, tasks},
};
use windlass_tests::{
    database::TestDb,
    on_both_databases,
    sample::{self, enqueue, find_task},
};

on_both_databases!(
    lease_races_have_one_winner_each,
    a_stale_fence_changes_nothing,
    a_task_whose_attempts_are_used_up_fails,
    cancelling_a_queued_task_ends_it,
    a_unique_key_is_taken_while_its_task_is_open,
    higher_priority_goes_first,
    finished_tasks_are_pruned,
    a_task_for_later_can_be_told_to_run_now,
);

async fn claim_one(db: &Db, owner: &str, until: i64) -> TaskRow {
    let lease = tasks::Lease { owner: owner.into(), boot: "b".into(), until };
    let mut rows =
        db.write(move |tx| Box::pin(async move { tasks::claim(tx, &lease, now(), 1).await })).await.unwrap();
    rows.pop().expect("a task to claim")
}

async fn lease_races_have_one_winner_each(test: TestDb) {
    const TASKS: usize = 400;
    const CLAIMERS: usize = 16;
    test.db
        .write(|tx| {
            Box::pin(async move {
                let new: Vec<NewTask> = (0..TASKS).map(|n| sample::task(&format!("e{n}"))).collect();
                tasks::insert_all(tx, &new).await
            })
        })
        .await
        .unwrap();
    let mut claimers = JoinSet::new();
    for n in 0..CLAIMERS {
        let db = if n % 2 == 0 { test.db.clone() } else { test.another().await };
        claimers.spawn(async move {
            let mut won = Vec::new();
            loop {
                let lease = tasks::Lease { owner: format!("n{n}"), boot: "b".into(), until: now() + 60_000 };
                let rows = db
                    .write(move |tx| Box::pin(async move { tasks::claim(tx, &lease, now(), 5).await }))
                    .await
                    .unwrap();
                if rows.is_empty() {
                    return won;
                }
                won.extend(rows.into_iter().map(|row| row.id));
            }
        });
    }
    let mut winners: HashMap<Id, usize> = HashMap::new();
    while let Some(ended) = claimers.join_next().await {
        for id in ended.unwrap() {
            *winners.entry(id).or_default() += 1;
        }
    }
    assert_eq!(winners.len(), TASKS);
    assert!(winners.values().all(|count| *count == 1));
}

async fn a_stale_fence_changes_nothing(test: TestDb) {
    let id = enqueue(&test.db, sample::task("e")).await;
    let old = claim_one(&test.db, "old", now() - 1).await.fence;
    let rescued =
        test.db.write(|tx| Box::pin(async move { tasks::rescue_expired(tx, now()).await })).await.unwrap();
    assert_eq!((rescued.queued, rescued.ended), (1, 0));
    let new = claim_one(&test.db, "new", now() + 60_000).await.fence;
    let (task, back) = (id.clone(), tasks::Return { run_at: 0, error: None, counts: true });
    let stale = test
        .db
        .write(move |tx| {
            Box::pin(async move {
                Ok((
                    tasks::finish(tx, &task, old, TaskStatus::Failed, Some("late"), now()).await?,
                    tasks::give_back(tx, &task, old, &back, now()).await?,
                    tasks::heartbeat(tx, &task, old, 0).await?,
                    tasks::set_progress(tx, &task, old, 7).await?,
                    tasks::succeed_all(tx, &[(task.clone(), old)], now()).await?,
                    tasks::heartbeat(tx, &task, new, 1).await?,
                ))
            })
        })
        .await
        .unwrap();
    assert_eq!(stale, (false, None, None, false, 0, Some(false)));
    let row = find_task(&test.db, &id).await;
    assert_eq!((row.status, row.lease_until, row.progress), (TaskStatus::Running, Some(1), 0));
}

async fn a_task_whose_attempts_are_used_up_fails(test: TestDb) {
    let id = enqueue(&test.db, sample::task("e")).await;
    let attempts = sample::task("e").task.max_attempts();
    for attempt in 1..=attempts {
        assert_eq!(claim_one(&test.db, "n", now() - 1).await.attempt, attempt);
        test.db.write(|tx| Box::pin(async move { tasks::rescue_expired(tx, now()).await })).await.unwrap();
    }
    let row = find_task(&test.db, &id).await;
    assert_eq!((row.status, row.attempt), (TaskStatus::Failed, attempts));
    assert!(row.error.is_some_and(|error| error.contains("stopped")));
}

async fn cancelling_a_queued_task_ends_it(test: TestDb) {
    let id = enqueue(&test.db, sample::task("build-1")).await;
    let other = enqueue(&test.db, sample::task("build-2")).await;
    let count = test
        .db
        .write(|tx| Box::pin(async move { queue::cancel_subject(tx, &Id::from_text("build-1")).await }))
        .await
        .unwrap();
    assert_eq!(count, 1);
    assert_eq!(find_task(&test.db, &id).await.status, TaskStatus::Cancelled);
    assert_eq!(find_task(&test.db, &other).await.status, TaskStatus::Queued);
    let unknown =
        test.db.write(|tx| Box::pin(async move { queue::cancel(tx, &Id::from_text("x")).await })).await;
    assert!(matches!(unknown, Err(Error::NotFound { .. })));
}

async fn a_unique_key_is_taken_while_its_task_is_open(test: TestDb) {
    let new = || NewTask { unique_key: Some("stack-1".into()), ..sample::task("e") };
    let id = enqueue(&test.db, new()).await;
    let again = |new: NewTask| {
        let db = test.db.clone();
        async move { db.write(move |tx| Box::pin(async move { queue::enqueue(tx, &new).await })).await.unwrap() }
    };
    assert!(!again(new()).await, "it is queued");
    let row = claim_one(&test.db, "n", now() + 60_000).await;
    assert!(!again(new()).await, "it runs");
    test.db
        .write(move |tx| Box::pin(async move { tasks::succeed_all(tx, &[(id, row.fence)], now()).await }))
        .await
        .unwrap();
    assert!(again(new()).await, "it has ended");
}

async fn higher_priority_goes_first(test: TestDb) {
    let soon_due = NewTask { run_at: Some(now() + 3_600_000), priority: 9, ..sample::task("later") };
    enqueue(&test.db, soon_due).await;
    for (subject, priority) in [("low", -1), ("first", 0), ("second", 0), ("high", 5)] {
        enqueue(&test.db, NewTask { priority, ..sample::task(subject) }).await;
    }
    let lease = tasks::Lease { owner: "n".into(), boot: "b".into(), until: now() + 60_000 };
    let rows = test
        .db
        .write(move |tx| Box::pin(async move { tasks::claim(tx, &lease, now() + 1, 10).await }))
        .await
        .unwrap();
    let order: Vec<&str> = rows.iter().map(|row| row.task.subject().as_str()).collect();
    assert_eq!(order, ["high", "first", "second", "low"]);
}

async fn finished_tasks_are_pruned(test: TestDb) {
    let open = enqueue(&test.db, sample::task("open")).await;
    let done = enqueue(&test.db, sample::task("done")).await;
    let cancel = done.clone();
    test.db.write(move |tx| Box::pin(async move { queue::cancel(tx, &cancel).await })).await.unwrap();
    let pruned =
        test.db.write(|tx| Box::pin(async move { tasks::prune(tx, now() + 1, 100).await })).await.unwrap();
    assert_eq!(pruned, 1);
    let mut conn = test.db.read().await.unwrap();
    assert!(tasks::find_opt(&mut conn, open.as_str()).await.unwrap().is_some());
    assert!(tasks::find_opt(&mut conn, done.as_str()).await.unwrap().is_none());
}

async fn a_task_for_later_can_be_told_to_run_now(test: TestDb) {
    let later = NewTask { run_at: Some(now() + 3_600_000), ..sample::task("later") };
    let id = enqueue(&test.db, later).await;
    let unfinished = tasks::list_unfinished(&mut test.db.read().await.unwrap(), 10).await.unwrap();
    assert_eq!(unfinished.iter().map(|row| &row.id).collect::<Vec<_>>(), [&id]);
    let tell = || {
        let (db, id) = (test.db.clone(), id.clone());
        async move { db.write(move |tx| Box::pin(async move { queue::run_now(tx, &id).await })).await.unwrap() }
    };
    assert!(tell().await);
    let row = claim_one(&test.db, "n", now() + 60_000).await;
    assert_eq!(row.id, id);
    assert!(!tell().await, "it runs");
}
