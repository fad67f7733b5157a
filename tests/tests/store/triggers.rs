//! What starts deployments beside deliveries: known branches, looks at git servers, schedules.

use futures_util::future::join_all;
use windlass::{
    domain::{
        head::Head,
        look::{Cause, Look},
        schedule::{Missed, Schedule, ScheduleOf, SchedulePlan},
        webhook::Origin,
    },
    error::Error,
    store::{git_heads, git_looks, new_id, now, repositories, schedules, webhook_events, webhooks},
};
use windlass_tests::{database::TestDb, on_both_databases, sample};

on_both_databases!(
    a_branch_is_remembered_replaced_and_forgotten,
    a_repository_is_looked_at_by_one_node_at_a_time,
    a_look_that_was_asked_for_meanwhile_is_not_put_off,
    a_due_time_is_taken_once,
    a_push_that_was_found_is_an_event_like_others,
);

fn head(branch: &str, commit: &str, event: i64) -> Head {
    Head { branch: branch.into(), commit: commit.into(), via: "look".into(), event }
}

async fn a_branch_is_remembered_replaced_and_forgotten(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let id = sample.repository.id.clone();
    let many: Vec<Head> = (0..300).map(|n| head(&format!("b{n:03}"), "1", n)).collect();
    let (first, expected) = (many.clone(), many.clone());
    let kept = test
        .db
        .write(move |tx| {
            let (id, first) = (id.clone(), first.clone());
            Box::pin(async move {
                git_heads::put(tx, &id, &first).await?;
                let all = git_heads::list(tx, &id).await?;
                git_heads::put(tx, &id, &[head("b001", "2", 7)]).await?;
                git_heads::delete(tx, &id, "b002").await?;
                Ok(all)
            })
        })
        .await
        .unwrap();
    assert_eq!(kept, expected);
    let id = &sample.repository.id;
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(git_heads::find_opt(&mut conn, id, "b001").await.unwrap(), Some(head("b001", "2", 7)));
    assert_eq!(git_heads::find_opt(&mut conn, id, "b002").await.unwrap(), None);
    assert_eq!(git_heads::list(&mut conn, id).await.unwrap().len(), 299);
    drop(conn);
    let gone = id.clone();
    test.db.write(move |tx| Box::pin(async move { repositories::delete(tx, &gone).await })).await.unwrap();
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(git_heads::list(&mut conn, id).await.unwrap(), [], "they go with their repository");
}

async fn claim(test: &TestDb, at: i64, until: i64) -> Vec<Look> {
    let work = test.db.write(move |tx| Box::pin(async move { git_looks::claim(tx, at, until, 100).await }));
    work.await.unwrap()
}

async fn a_repository_is_looked_at_by_one_node_at_a_time(test: TestDb) {
    for n in 0..8 {
        sample::store(&test.db, &format!("web{n}")).await;
    }
    let at = now();
    let mut conn = test.db.read().await.unwrap();
    assert!(git_looks::any_due(&mut conn, at).await.unwrap(), "nobody has looked yet");
    drop(conn);
    let claims = join_all((0..4).map(|_| claim(&test, at, at + 1000))).await;
    let mut ids: Vec<_> = claims.into_iter().flatten().map(|look| look.repository_id).collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((count, ids.len()), (8, 8));
    // Whoever claimed them is gone; a second later they are free again.
    assert_eq!(claim(&test, at + 500, at + 1500).await.len(), 0);
    assert_eq!(claim(&test, at + 1000, at + 2000).await.len(), 8);
}

async fn a_look_that_was_asked_for_meanwhile_is_not_put_off(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let (at, id) = (now(), sample.repository.id.clone());
    let mine = claim(&test, at, at + 1000).await.remove(0);
    assert_eq!((mine.cause, mine.looked_at, mine.url.as_str()), (Cause::Poll, None, ""));
    let done = Look {
        url: sample.repository.url.clone(),
        next_at: Some(at + 9000),
        looked_at: Some(at),
        error: Some("a\0b".into()),
        failures: 2,
        ..mine
    };
    let work = test.db.write(move |tx| {
        let (done, id) = (done.clone(), id.clone());
        Box::pin(async move {
            git_looks::set_due(tx, &id, at + 5).await?;
            git_looks::done(tx, &done, at + 1000).await?;
            git_looks::find_opt(tx, &id).await
        })
    });
    let kept = work.await.unwrap().unwrap();
    assert_eq!((kept.next_at, kept.failures, kept.looked_at), (Some(at + 5), 2, Some(at)));
    assert_eq!(kept.error.as_deref(), Some("a\u{fffd}b"));
    test.db.write(move |tx| Box::pin(async move { git_looks::all_due(tx, at).await })).await.unwrap();
    let again = claim(&test, at, at + 1000).await.remove(0);
    assert_eq!((again.cause, again.failures), (Cause::Start, 0));
}

async fn a_due_time_is_taken_once(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let plan = SchedulePlan {
        name: "nightly".into(),
        cron: "30 4 * * *".into(),
        time_zone: "Europe/Berlin".into(),
        git_ref: Some("v1".into()),
        missed: Missed::Skip,
        enabled: true,
    };
    let schedule = Schedule {
        id: new_id(),
        seq: 0,
        of: ScheduleOf::Stack(sample.stack.id.clone()),
        plan,
        next_at: Some(50),
        last_due_at: None,
        last_result: None,
        last_deployment_id: None,
        last_build_id: None,
        created_at: 1,
        updated_at: 1,
    };
    let insert = |schedule: Schedule| {
        test.db.write(move |tx| {
            let schedule = schedule.clone();
            Box::pin(async move { schedules::insert(tx, schedule).await })
        })
    };
    let stored = insert(schedule.clone()).await.unwrap();
    let twice = insert(Schedule { id: new_id(), ..schedule }).await;
    assert!(matches!(&twice, Err(Error::Conflict(text)) if text.contains("nightly")), "{twice:?}");
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(schedules::find(&mut conn, &stored.seq.to_string()).await.unwrap(), stored);
    assert_eq!(schedules::list_due(&mut conn, 49).await.unwrap(), []);
    assert_eq!(schedules::list_due(&mut conn, 50).await.unwrap(), std::slice::from_ref(&stored));
    drop(conn);
    let taken = join_all((0..4).map(|_| {
        let id = stored.id.clone();
        test.db.write(move |tx| {
            let id = id.clone();
            Box::pin(async move { schedules::claim(tx, &id, 50, Some(90)).await })
        })
    }))
    .await;
    assert_eq!(taken.into_iter().filter(|taken| *taken.as_ref().unwrap()).count(), 1);
    let mut conn = test.db.read().await.unwrap();
    let after = schedules::list_by_stack(&mut conn, stored.of.stack().unwrap()).await.unwrap().remove(0);
    assert_eq!((after.next_at, after.last_due_at), (Some(90), Some(50)));
}

async fn a_push_that_was_found_is_an_event_like_others(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let id = &sample.repository.id;
    let push = webhooks::found(id, "forge", Origin::Start, b"{}".to_vec()).await.unwrap();
    let work = test.db.write(move |tx| {
        let push = push.clone();
        Box::pin(async move { webhooks::insert_found(tx, &push).await })
    });
    let seq = work.await.unwrap();
    let mut conn = test.db.read().await.unwrap();
    let event = webhook_events::find(&mut conn, &seq.to_string()).await.unwrap();
    assert_eq!((event.origin, event.verified, event.processed), (Origin::Start, true, false));
    assert_eq!((event.repository_id.as_ref(), event.payload.as_slice()), (Some(id), b"{}".as_slice()));
    let tasks = windlass::store::tasks::list_by_subject(&mut conn, &event.id).await.unwrap();
    assert_eq!(tasks.len(), 1, "it waits to be acted on");
}
