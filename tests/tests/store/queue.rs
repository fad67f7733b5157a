//! The queue: who runs what, when, and what becomes of it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::mpsc;
use windlass::{
    domain::{
        Id,
        task::{NewTask, TaskRow, TaskStatus},
    },
    error::{Disposition, Error, PluginError, PluginErrorKind},
    queue::{self, CancelReason, Cancelled, Done, Handler, Queue, QueueConfig, TaskContext, TaskError},
    store::{BoxFuture, Db, tasks},
};
use windlass_tests::{
    database::{TestDb, soon},
    on_both_databases,
    sample::{self, enqueue, find_task},
};

on_both_databases!(
    a_task_runs_once_and_ends,
    a_task_of_a_dead_node_runs_again,
    a_node_that_starts_again_takes_its_tasks_back_at_once,
    cancel_reaches_the_running_work,
    a_transient_error_is_tried_again_and_another_is_not,
    a_panicking_handler_is_tried_again,
    tasks_of_one_key_run_one_at_a_time_in_order,
    a_snoozed_task_comes_back_without_losing_an_attempt,
    a_task_rolled_back_with_its_cause_never_runs,
    progress_and_statistics_are_shown,
    stopping_puts_unfinished_work_back,
    what_was_claimed_ahead_does_not_wait_for_slow_work,
    who_steps_aside_leaves_the_place_to_others,
);

fn handler<F, R>(work: F) -> Handler
where
    F: Fn(TaskContext) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Done, TaskError>> + Send + 'static,
{
    Arc::new(move |context| Box::pin(work(context)) as BoxFuture<'static, _>)
}

/// Leases that end soon, so that a rescue can be waited for.
fn quick(node: &str) -> QueueConfig {
    QueueConfig {
        lease: Duration::from_millis(600),
        heartbeat: Duration::from_millis(100),
        grace: Duration::from_secs(5),
        ..QueueConfig::new(4, node)
    }
}

/// Waits until the task has that status. The queue tells of no ends, so this looks again and again.
async fn becomes(db: &Db, id: &Id, status: TaskStatus) -> TaskRow {
    soon("the task's end", async {
        loop {
            let row = find_task(db, id).await;
            if row.status == status {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

async fn a_task_runs_once_and_ends(test: TestDb) {
    let (ran, mut runs) = mpsc::unbounded_channel();
    let work = handler(move |context| {
        let ran = ran.clone();
        async move {
            ran.send((context.row.clone(), context.fence())).unwrap();
            Ok(Done::Finished)
        }
    });
    let queue = Queue::start(test.db.clone(), 2, "n", work).await.unwrap();
    let id = enqueue(&test.db, sample::task("e")).await;
    let (row, fence) = soon("the run", runs.recv()).await.unwrap();
    assert_eq!((row.id, row.attempt, row.status), (id.clone(), 1, TaskStatus::Running));
    assert!(fence > 0);
    let row = becomes(&test.db, &id, TaskStatus::Success).await;
    assert_eq!((row.progress, row.lease_owner, row.error), (100, None, None));
    assert!(row.finished_at.is_some() && row.started_at.is_some());
    queue.stop(Duration::from_secs(5)).await.unwrap();
    assert!(runs.recv().await.is_none(), "it ran once");
}

async fn a_task_of_a_dead_node_runs_again(test: TestDb) {
    let (ran, mut runs) = mpsc::unbounded_channel();
    let forever = ran.clone();
    let hang = handler(move |context| {
        let ran = forever.clone();
        async move {
            ran.send(("first", context.fence())).unwrap();
            std::future::pending().await
        }
    });
    let first = Queue::start_with(test.db.clone(), quick("first"), hang).await.unwrap();
    let id = enqueue(&test.db, sample::task("e")).await;
    let (_, fence) = soon("the first run", runs.recv()).await.unwrap();
    let finish = handler(move |context| {
        let ran = ran.clone();
        async move {
            ran.send(("second", context.fence())).unwrap();
            Ok(Done::Finished)
        }
    });
    let second = Queue::start_with(test.another().await, quick("second"), finish).await.unwrap();
    drop(first);
    let (by, later) = soon("the second run", runs.recv()).await.unwrap();
    assert_eq!(by, "second");
    assert!(later > fence, "the fencing token grows: {fence}, {later}");
    let row = becomes(&test.db, &id, TaskStatus::Success).await;
    assert_eq!(row.attempt, 2);
    second.stop(Duration::from_secs(5)).await.unwrap();
}

async fn a_node_that_starts_again_takes_its_tasks_back_at_once(test: TestDb) {
    let (ran, mut runs) = mpsc::unbounded_channel();
    let hang = handler(move |_| {
        let ran = ran.clone();
        async move {
            ran.send(()).unwrap();
            std::future::pending().await
        }
    });
    // A lease that outlasts the test: nobody else would take the task over.
    let config = QueueConfig { lease: Duration::from_secs(3600), ..QueueConfig::new(1, "n") };
    let first = Queue::start_with(test.db.clone(), config.clone(), hang).await.unwrap();
    let id = enqueue(&test.db, sample::task("e")).await;
    soon("the first run", runs.recv()).await.unwrap();
    drop(first);
    let second =
        Queue::start_with(test.db.clone(), config, handler(|_| async { Ok(Done::Finished) })).await.unwrap();
    becomes(&test.db, &id, TaskStatus::Success).await;
    second.stop(Duration::from_secs(5)).await.unwrap();
}

async fn cancel_reaches_the_running_work(test: TestDb) {
    let (told, mut tells) = mpsc::unbounded_channel();
    let work = handler(move |context| {
        let told = told.clone();
        async move {
            told.send(None).unwrap();
            context.cancel.cancelled().await;
            told.send(context.cancel_reason()).unwrap();
            Err(Error::failed("stopped in the middle").into())
        }
    });
    // A heartbeat that never comes: only the wake-up can bring the news. Another node asks.
    let config = QueueConfig { heartbeat: Duration::from_secs(3600), ..QueueConfig::new(1, "n") };
    let queue = Queue::start_with(test.db.clone(), config, work).await.unwrap();
    let id = enqueue(&test.db, sample::task("e")).await;
    assert_eq!(soon("the run", tells.recv()).await.unwrap(), None);
    let asker = if test.db.engine() == "postgres" { test.another().await } else { test.db.clone() };
    let wanted = id.clone();
    let answer =
        asker.write(move |tx| Box::pin(async move { queue::cancel(tx, &wanted).await })).await.unwrap();
    assert_eq!(answer, Cancelled::Requested);
    assert_eq!(soon("the news", tells.recv()).await.unwrap(), Some(CancelReason::Requested));
    becomes(&test.db, &id, TaskStatus::Cancelled).await;
    let late = asker.write(move |tx| Box::pin(async move { queue::cancel(tx, &id).await })).await.unwrap();
    assert_eq!(late, Cancelled::TooLate);
    queue.stop(Duration::from_secs(5)).await.unwrap();
}

async fn a_transient_error_is_tried_again_and_another_is_not(test: TestDb) {
    let kind = |retryable| PluginErrorKind::Failure {
        code: "busy".into(),
        message: "later".into(),
        disposition: if retryable { Disposition::Retry(Some(0)) } else { Disposition::Permanent },
        request_sent: false,
    };
    let work = handler(move |context| async move {
        let error = match context.row.task.subject().as_str() {
            "retried" if context.row.attempt == 1 => {
                PluginError { plugin: "p".into(), call: "c", kind: kind(true) }
            }
            "hopeless" => PluginError { plugin: "p".into(), call: "c", kind: kind(false) },
            "stopped" => return Err(Error::cancelled("the work").into()),
            _ => return Ok(Done::Finished),
        };
        Err(Error::from(error).into())
    });
    let queue = Queue::start(test.db.clone(), 4, "n", work).await.unwrap();
    let retried = enqueue(&test.db, sample::task("retried")).await;
    let hopeless = enqueue(&test.db, sample::task("hopeless")).await;
    let stopped = enqueue(&test.db, sample::task("stopped")).await;
    assert_eq!(becomes(&test.db, &retried, TaskStatus::Success).await.attempt, 2);
    let failed = becomes(&test.db, &hopeless, TaskStatus::Failed).await;
    assert_eq!(failed.attempt, 1);
    assert!(failed.error.is_some_and(|error| error.contains("busy")));
    becomes(&test.db, &stopped, TaskStatus::Cancelled).await;
    queue.stop(Duration::from_secs(5)).await.unwrap();
}

async fn a_panicking_handler_is_tried_again(test: TestDb) {
    let work = handler(|context| async move {
        assert!(context.row.attempt > 1, "on purpose");
        Ok(Done::Finished)
    });
    let queue = Queue::start(test.db.clone(), 1, "n", work).await.unwrap();
    let id = enqueue(&test.db, sample::task("e")).await;
    assert_eq!(becomes(&test.db, &id, TaskStatus::Success).await.attempt, 2);
    queue.stop(Duration::from_secs(5)).await.unwrap();
}

async fn tasks_of_one_key_run_one_at_a_time_in_order(test: TestDb) {
    const EACH: usize = 12;
    let log: Arc<Mutex<Vec<String>>> = Arc::default();
    let running = Arc::new(Mutex::new(HashMap::<String, usize>::new()));
    let (seen, inside) = (log.clone(), running.clone());
    let work = handler(move |context| {
        let (seen, inside) = (seen.clone(), inside.clone());
        async move {
            let key = context.row.concurrency_key.clone().unwrap();
            {
                let mut inside = inside.lock().unwrap();
                let count = inside.entry(key.clone()).or_default();
                *count += 1;
                assert_eq!(*count, 1, "two of {key} at once");
            }
            seen.lock().unwrap().push(context.row.task.subject().as_str().to_owned());
            tokio::task::yield_now().await;
            *inside.lock().unwrap().get_mut(&key).unwrap() -= 1;
            Ok(Done::Finished)
        }
    });
    let mut last = Vec::new();
    for n in 0..EACH {
        for key in ["a", "b"] {
            let new = NewTask { concurrency_key: Some(key.into()), ..sample::task(&format!("{key}{n:02}")) };
            last.push(enqueue(&test.db, new).await);
        }
    }
    let second = if test.db.engine() == "postgres" { test.another().await } else { test.db.clone() };
    let first = Queue::start(test.db.clone(), 8, "n1", work.clone()).await.unwrap();
    let second = Queue::start(second, 8, "n2", work).await.unwrap();
    for id in &last {
        assert_eq!(becomes(&test.db, id, TaskStatus::Success).await.attempt, 1, "none panicked");
    }
    let log = log.lock().unwrap().clone();
    for key in ["a", "b"] {
        let order: Vec<&String> = log.iter().filter(|entry| entry.starts_with(key)).collect();
        assert!(order.is_sorted() && order.len() == EACH, "{order:?}");
    }
    first.stop(Duration::from_secs(5)).await.unwrap();
    second.stop(Duration::from_secs(5)).await.unwrap();
}

async fn a_snoozed_task_comes_back_without_losing_an_attempt(test: TestDb) {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let work = handler(move |context| {
        let runs = counted.clone();
        async move {
            assert_eq!(context.row.attempt, 1);
            let last = runs.fetch_add(1, Ordering::SeqCst) == 19;
            Ok(if last { Done::Finished } else { Done::Snooze(Duration::from_millis(1)) })
        }
    });
    let queue = Queue::start(test.db.clone(), 1, "n", work).await.unwrap();
    let id = enqueue(&test.db, sample::task("e")).await;
    becomes(&test.db, &id, TaskStatus::Success).await;
    assert_eq!(runs.load(Ordering::SeqCst), 20, "more often than it has attempts");
    queue.stop(Duration::from_secs(5)).await.unwrap();
}

async fn a_task_rolled_back_with_its_cause_never_runs(test: TestDb) {
    let (ran, mut runs) = mpsc::unbounded_channel();
    let work = handler(move |context| {
        let ran = ran.clone();
        async move {
            ran.send(context.row.task.subject().as_str().to_owned()).unwrap();
            Ok(Done::Finished)
        }
    });
    let queue = Queue::start(test.db.clone(), 1, "n", work).await.unwrap();
    let failed = test
        .db
        .write(|tx| {
            Box::pin(async move {
                queue::enqueue(tx, &sample::task("undone")).await?;
                Err::<(), _>(Error::failed("on purpose"))
            })
        })
        .await;
    assert!(failed.is_err());
    enqueue(&test.db, sample::task("done")).await;
    assert_eq!(soon("the run", runs.recv()).await.unwrap(), "done");
    queue.stop(Duration::from_secs(5)).await.unwrap();
}

async fn progress_and_statistics_are_shown(test: TestDb) {
    let (shown, mut shows) = mpsc::unbounded_channel();
    let leave = Arc::new(tokio::sync::Notify::new());
    let may_leave = leave.clone();
    let work = handler(move |context| {
        let (shown, may_leave) = (shown.clone(), may_leave.clone());
        async move {
            context.progress(45).await?;
            shown.send(()).unwrap();
            may_leave.notified().await;
            Ok(Done::Finished)
        }
    });
    let queue = Queue::start(test.db.clone(), 1, "n", work).await.unwrap();
    let id = enqueue(&test.db, sample::task("e")).await;
    enqueue(&test.db, sample::task("waits")).await;
    soon("progress", shows.recv()).await.unwrap();
    assert_eq!(find_task(&test.db, &id).await.progress, 45);
    let stats = queue.stats().await.unwrap();
    let mut depth: Vec<(TaskStatus, i64)> =
        stats.depth.iter().map(|depth| (depth.status, depth.count)).collect();
    depth.sort_by_key(|(status, _)| status.as_str());
    assert_eq!(depth, [(TaskStatus::Queued, 1), (TaskStatus::Running, 1)]);
    assert!(stats.oldest_ms.is_some_and(|age| age >= 0));
    leave.notify_one();
    becomes(&test.db, &id, TaskStatus::Success).await;
    assert_eq!(queue.stats().await.unwrap().kinds["webhook"].success, 1);
    leave.notify_one();
    queue.stop(Duration::from_secs(5)).await.unwrap();
}

async fn stopping_puts_unfinished_work_back(test: TestDb) {
    let (told, mut tells) = mpsc::unbounded_channel();
    let work = handler(move |context| {
        let told = told.clone();
        async move {
            told.send("started").unwrap();
            match context.row.task.subject().as_str() {
                "polite" => {
                    context.stopping.cancelled().await;
                    told.send("polite").unwrap();
                    Ok(Done::Snooze(Duration::ZERO))
                }
                "stubborn" => std::future::pending().await,
                _ => {
                    context.cancel.cancelled().await;
                    assert_eq!(context.cancel_reason(), Some(CancelReason::Shutdown));
                    Err(TaskError::Cancelled)
                }
            }
        }
    });
    let config = QueueConfig { grace: Duration::from_millis(200), ..QueueConfig::new(3, "n") };
    let queue = Queue::start_with(test.db.clone(), config, work).await.unwrap();
    let mut ids = Vec::new();
    for subject in ["polite", "stubborn", "other"] {
        ids.push(enqueue(&test.db, sample::task(subject)).await);
        assert_eq!(soon("the start", tells.recv()).await, Some("started"));
    }
    soon("stopping", queue.stop(Duration::from_millis(200))).await.unwrap();
    assert_eq!(tells.recv().await, Some("polite"));
    for id in ids {
        let row = find_task(&test.db, &id).await;
        assert_eq!((row.status, row.attempt), (TaskStatus::Queued, 0), "{:?}", row.task);
    }
}

async fn what_was_claimed_ahead_does_not_wait_for_slow_work(test: TestDb) {
    let new: Vec<NewTask> = ["quick", "slow", "left-1", "left-2"].map(sample::task).to_vec();
    let left = [new[2].id.clone(), new[3].id.clone()];
    test.db.write(move |tx| Box::pin(async move { tasks::insert_all(tx, &new).await })).await.unwrap();
    let (told, mut tells) = mpsc::unbounded_channel();
    let work = handler(move |context| {
        let told = told.clone();
        async move {
            if context.row.task.subject().as_str() == "slow" {
                told.send(()).unwrap();
                context.cancel.cancelled().await;
            }
            Ok(Done::Finished)
        }
    });
    let config = QueueConfig { workers: 1, ..quick("first") };
    let first = Queue::start_with(test.db.clone(), config, work).await.unwrap();
    soon("the slow task", tells.recv()).await.unwrap();
    for id in &left {
        assert_eq!(find_task(&test.db, id).await.status, TaskStatus::Running, "claimed ahead");
    }
    let other = test.another().await;
    let finish = handler(|_| async { Ok(Done::Finished) });
    let second = Queue::start_with(other, quick("second"), finish).await.unwrap();
    for id in &left {
        assert_eq!(becomes(&test.db, id, TaskStatus::Success).await.attempt, 1);
    }
    first.stop(Duration::ZERO).await.unwrap();
    second.stop(Duration::from_secs(5)).await.unwrap();
}

async fn who_steps_aside_leaves_the_place_to_others(test: TestDb) {
    let (waiter, other) = (sample::task("waits"), sample::task("works"));
    let (wanted, go_on) = (waiter.id.clone(), Arc::new(tokio::sync::Notify::new()));
    let (wanted_too, woken) = (wanted.clone(), go_on.clone());
    let work = handler(move |context| {
        let (waits, go_on) = (context.row.id == wanted_too, go_on.clone());
        async move {
            if waits {
                let _aside = context.step_aside();
                go_on.notified().await;
            }
            Ok(Done::Finished)
        }
    });
    let queue = Queue::start(test.db.clone(), 1, "n", work).await.unwrap();
    enqueue(&test.db, waiter).await;
    becomes(&test.db, &wanted, TaskStatus::Running).await;
    let other = enqueue(&test.db, other).await;
    becomes(&test.db, &other, TaskStatus::Success).await;
    assert_eq!(find_task(&test.db, &wanted).await.status, TaskStatus::Running);
    woken.notify_one();
    becomes(&test.db, &wanted, TaskStatus::Success).await;
    queue.stop(Duration::from_secs(5)).await.unwrap();
}
