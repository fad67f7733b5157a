//! What `Db::write` promises.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::task::JoinSet;
use windlass::{
    error::Error,
    store::{DbConfig, events, new_id, projects},
};
use windlass_tests::{
    database::{TestDb, soon},
    on_both_databases, sample,
};

on_both_databases!(
    one_failing_write_does_not_take_its_neighbours_down,
    a_panicking_write_does_not_stop_the_writer,
    a_transaction_that_the_database_ended_itself_is_lost_alone,
    a_rolled_back_write_publishes_nothing,
    subscribers_hear_events_in_the_order_of_their_numbers,
    a_caller_that_has_gone_leaves_the_others_alone,
    a_closed_database_says_so,
    reading_does_not_wait_for_writing,
);

async fn one_failing_write_does_not_take_its_neighbours_down(test: TestDb) {
    let mut callers = JoinSet::new();
    for n in 0..60 {
        let db = test.db.clone();
        callers.spawn(async move {
            let done = db
                .write(move |tx| {
                    Box::pin(async move {
                        projects::insert(tx, sample::project(&format!("p{n}"))).await?;
                        if n % 3 == 0 { Err(Error::failed("on purpose")) } else { Ok(n) }
                    })
                })
                .await;
            (n, done)
        });
    }
    while let Some(ended) = callers.join_next().await {
        let (n, done) = ended.unwrap();
        assert_eq!(done.is_err(), n % 3 == 0, "{n}: {done:?}");
    }
    let mut conn = test.db.read().await.unwrap();
    for n in 0..60 {
        let stored = projects::by_name(&mut conn, &format!("p{n}")).await.unwrap();
        assert_eq!(stored.is_some(), n % 3 != 0, "p{n}");
    }
}

async fn a_panicking_write_does_not_stop_the_writer(test: TestDb) {
    let panicked = test
        .db
        .write(|tx| {
            Box::pin(async move {
                projects::insert(tx, sample::project("lost")).await?;
                if tx.backend_name() != "nothing" {
                    panic!("on purpose");
                }
                Ok(())
            })
        })
        .await;
    assert!(
        matches!(&panicked, Err(Error::Internal(detail)) if detail.0.contains("on purpose")),
        "{panicked:?}"
    );
    sample::store(&test.db, "web").await;
    let mut conn = test.db.read().await.unwrap();
    assert!(projects::by_name(&mut conn, "lost").await.unwrap().is_none());
    assert!(projects::by_name(&mut conn, "web").await.unwrap().is_some());
}

/// As SQLite does when the disk is full in the middle of a transaction.
async fn a_transaction_that_the_database_ended_itself_is_lost_alone(test: TestDb) {
    for _ in 0..3 {
        let ended = test
            .db
            .write(|tx| {
                Box::pin(async move {
                    projects::insert(tx, sample::project("lost")).await?;
                    sqlx::raw_sql("ROLLBACK").execute(&mut **tx).await.unwrap();
                    Ok(())
                })
            })
            .await;
        assert!(ended.is_err() || test.db.engine() != "sqlite", "{ended:?}");
    }
    sample::store(&test.db, "web").await;
    let mut conn = test.db.read().await.unwrap();
    assert!(projects::by_name(&mut conn, "lost").await.unwrap().is_none());
    assert!(projects::by_name(&mut conn, "web").await.unwrap().is_some());
}

async fn a_rolled_back_write_publishes_nothing(test: TestDb) {
    let mut events = test.db.subscribe_events();
    let undone = sample::event(Some(&new_id()));
    let failed = test
        .db
        .write(move |tx| {
            Box::pin(async move {
                events::append(tx, undone).await?;
                Err::<(), _>(Error::failed("on purpose"))
            })
        })
        .await;
    assert!(failed.is_err());
    let seq = test
        .db
        .write(|tx| Box::pin(async move { events::append(tx, sample::event(None)).await }))
        .await
        .unwrap();
    assert_eq!(seq, 1, "a number is not used up by what was rolled back");
    let heard = soon("the event", events.recv()).await.unwrap();
    assert_eq!((heard.seq, &heard.stack_id), (seq, &None), "what was undone is not heard of");
}

async fn subscribers_hear_events_in_the_order_of_their_numbers(test: TestDb) {
    const COUNT: usize = 100;
    let mut events = test.db.subscribe_events();
    let mut callers = JoinSet::new();
    for _ in 0..COUNT {
        let db = test.db.clone();
        callers.spawn(async move {
            db.write(|tx| Box::pin(async move { events::append(tx, sample::event(None)).await }))
                .await
                .unwrap()
        });
    }
    let mut heard = Vec::new();
    while heard.len() < COUNT {
        heard.push(soon("an event", events.recv()).await.unwrap().seq);
    }
    assert_eq!(heard, (1..=COUNT as i64).collect::<Vec<_>>());
    while callers.join_next().await.is_some() {}
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(events::latest_seq(&mut conn).await.unwrap(), COUNT as i64);
}

async fn a_caller_that_has_gone_leaves_the_others_alone(test: TestDb) {
    let started = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for n in 0..40 {
        let (db, started) = (test.db.clone(), started.clone());
        callers.spawn(async move {
            db.write(move |tx| {
                Box::pin(async move {
                    started.fetch_add(1, Ordering::SeqCst);
                    projects::insert(tx, sample::project(&format!("gone{n}"))).await.map(|_| ())
                })
            })
            .await
        });
    }
    callers.abort_all();
    while callers.join_next().await.is_some() {}
    sample::store(&test.db, "web").await;
}

async fn a_closed_database_says_so(test: TestDb) {
    sample::store(&test.db, "web").await;
    soon("closing", test.db.close()).await;
    let refused = test.db.write(|_| Box::pin(async { Ok(()) })).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
}

async fn reading_does_not_wait_for_writing(test: TestDb) {
    sample::store(&test.db, "web").await;
    let (inside, is_inside) = tokio::sync::watch::channel(false);
    let (leave, may_leave) = tokio::sync::watch::channel(false);
    let inside = Arc::new(inside);
    let db = test.db.clone();
    let writer = tokio::spawn(async move {
        db.write(move |tx| {
            let mut may_leave = may_leave.clone();
            Box::pin(async move {
                projects::insert(tx, sample::project("slow")).await?;
                inside.send_replace(true);
                may_leave.wait_for(|leave| *leave).await.map_err(Error::internal)?;
                Ok(())
            })
        })
        .await
    });
    let mut is_inside = is_inside;
    soon("the writer", is_inside.wait_for(|inside| *inside)).await.unwrap();
    let mut conn = test.db.read().await.unwrap();
    let read = soon("reading", projects::by_name(&mut conn, "slow")).await.unwrap();
    assert!(read.is_none(), "what is not committed is not seen");
    leave.send_replace(true);
    writer.await.unwrap().unwrap();
    assert!(projects::by_name(&mut conn, "slow").await.unwrap().is_some());
}

#[tokio::test]
async fn a_reader_of_sqlite_cannot_write() {
    let test = TestDb::sqlite().await;
    let mut conn = test.db.read().await.unwrap();
    assert!(projects::insert(&mut conn, sample::project("p")).await.is_err());
}

#[tokio::test]
async fn an_url_of_another_database_is_refused_with_words() {
    for url in ["mysql://root@localhost/x", "", "/var/lib/x.db", "sqlite:", "sqlite::memory:"] {
        let refused = windlass::store::Db::open(&DbConfig::new(url)).await;
        assert!(matches!(refused.err(), Some(Error::Invalid { .. })), "{url}");
    }
}
