//! The way in for webhook deliveries.

use tokio::task::JoinSet;
use windlass::{
    domain::{Id, access::Reach, page::PageRequest, task::Task, webhook::ReasonCode},
    error::Error,
    store::{
        new_id, now, tasks,
        webhook_events::{self, Finish},
        webhooks::{self, Ingested},
    },
};
use windlass_tests::{database::TestDb, on_both_databases, sample};

on_both_databases!(
    a_delivery_is_stored_with_its_task,
    a_duplicate_delivery_creates_no_second_task,
    concurrent_copies_of_a_delivery_have_one_original,
    every_concurrent_delivery_is_stored_and_numbered_once,
    a_bad_delivery_does_not_take_its_neighbours_down,
    forged_deliveries_are_bounded_and_block_no_real_one,
    an_event_ends_with_exactly_one_reason,
    a_replay_is_an_event_of_its_own_that_no_deduplication_swallows,
    misdirected_deliveries_are_bounded_as_forged_ones_are,
    a_delivery_outlives_its_repository,
    old_processed_deliveries_are_pruned_and_open_ones_stay,
);

fn stored(ingested: &Ingested) -> &Id {
    match ingested {
        Ingested::Stored { event_id } => event_id,
        Ingested::Duplicate { of } => panic!("a duplicate of {of}"),
    }
}

async fn a_delivery_is_stored_with_its_task(test: TestDb) {
    let mut new = sample::delivery("d1");
    new.payload = vec![0, 255, 1, 254];
    let id = stored(&webhooks::ingest(&test.db, new.clone()).await.unwrap()).clone();
    let mut conn = test.db.read().await.unwrap();
    let event = webhook_events::find(&mut conn, id.as_str()).await.unwrap();
    assert_eq!((event.payload, event.headers), (new.payload, new.headers));
    assert_eq!((event.delivery_id.as_deref(), event.signature), (Some("d1"), new.signature));
    assert!(event.verified && !event.processed && event.reason.is_none());
    let tasks = tasks::list_by_subject(&mut conn, &id).await.unwrap();
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].task, Task::Webhook { event_id: id });
}

async fn a_duplicate_delivery_creates_no_second_task(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let mut new = sample::delivery("d1");
    new.repository_id = Some(sample.repository.id.clone());
    let first = stored(&webhooks::ingest(&test.db, new.clone()).await.unwrap()).clone();
    let second = webhooks::ingest(&test.db, new.clone()).await.unwrap();
    assert_eq!(second, Ingested::Duplicate { of: first.clone() });
    let other_repository = sample::delivery("d1");
    stored(&webhooks::ingest(&test.db, other_repository).await.unwrap());
    let mut conn = test.db.read().await.unwrap();
    let page = webhook_events::list(
        &mut conn,
        PageRequest::first(10),
        Some(&sample.repository.id),
        &Reach::EVERYTHING,
    )
    .await
    .unwrap();
    assert_eq!(page.items.len(), 2, "the repeated one is recorded");
    let repeated = &page.items[0];
    assert_eq!(repeated.reason, Some(ReasonCode::DuplicateOf));
    assert_eq!(repeated.detail.as_deref(), Some(first.as_str()));
    assert!(repeated.processed);
    assert_eq!(tasks::list_by_subject(&mut conn, &first).await.unwrap().len(), 1);
    assert!(tasks::list_by_subject(&mut conn, &repeated.id).await.unwrap().is_empty());
}

async fn concurrent_copies_of_a_delivery_have_one_original(test: TestDb) {
    let mut callers = JoinSet::new();
    for n in 0..60 {
        let db = test.db.clone();
        callers.spawn(async move {
            webhooks::ingest(&db, sample::delivery(&format!("d{}", n % 3))).await.unwrap()
        });
    }
    let mut originals = 0;
    while let Some(ended) = callers.join_next().await {
        originals += usize::from(matches!(ended.unwrap(), Ingested::Stored { .. }));
    }
    assert_eq!(originals, 3);
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(tasks::list(&mut conn, None, 100).await.unwrap().len(), 3);
}

async fn every_concurrent_delivery_is_stored_and_numbered_once(test: TestDb) {
    const CALLERS: i64 = 150;
    let mut callers = JoinSet::new();
    for n in 0..CALLERS {
        let db = test.db.clone();
        callers
            .spawn(async move { webhooks::ingest(&db, sample::delivery(&format!("d{n}"))).await.unwrap() });
    }
    while let Some(ended) = callers.join_next().await {
        stored(&ended.unwrap());
    }
    let mut conn = test.db.read().await.unwrap();
    let page =
        webhook_events::list(&mut conn, PageRequest::first(200), None, &Reach::EVERYTHING).await.unwrap();
    let numbers: Vec<i64> = page.items.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=CALLERS).rev().collect::<Vec<_>>());
    assert_eq!(tasks::list(&mut conn, None, 200).await.unwrap().len(), numbers.len());
}

async fn a_bad_delivery_does_not_take_its_neighbours_down(test: TestDb) {
    let mut callers = JoinSet::new();
    for n in 0..40 {
        let db = test.db.clone();
        callers.spawn(async move {
            let mut new = sample::delivery(&format!("d{n}"));
            // A repository that does not exist.
            new.repository_id = (n % 10 == 0).then(new_id);
            (n, webhooks::ingest(&db, new).await)
        });
    }
    while let Some(ended) = callers.join_next().await {
        let (n, outcome) = ended.unwrap();
        assert_eq!(outcome.is_err(), n % 10 == 0, "{n}: {outcome:?}");
    }
}

const FORGED: ReasonCode = ReasonCode::BadSignature;

async fn misdirected_deliveries_are_bounded_as_forged_ones_are(test: TestDb) {
    let mut callers = JoinSet::new();
    for _ in 0..64 {
        let db = test.db.clone();
        callers.spawn(async move {
            for _ in 0..16 {
                let reason = ReasonCode::WrongProvider;
                webhooks::reject(&db, sample::delivery("d1"), reason, "no").await.unwrap();
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    let mut conn = test.db.read().await.unwrap();
    let count = sqlx::query("SELECT COUNT(*) FROM webhook_events").fetch_one(&mut *conn).await.unwrap();
    assert_eq!(sqlx::Row::get::<i64, _>(&count, 0), 1000);
}

async fn forged_deliveries_are_bounded_and_block_no_real_one(test: TestDb) {
    let mut forged = sample::delivery("d1");
    forged.payload = vec![b'x'; 10_000];
    let id =
        webhooks::reject(&test.db, forged.clone(), FORGED, "the signature does not match").await.unwrap();
    let mut conn = test.db.read().await.unwrap();
    let event = webhook_events::find(&mut conn, id.as_str()).await.unwrap();
    assert_eq!((event.reason, event.payload.len()), (Some(ReasonCode::BadSignature), 4096));
    assert!(!event.verified && event.processed);
    stored(&webhooks::ingest(&test.db, sample::delivery("d1")).await.unwrap());
    let mut callers = JoinSet::new();
    for _ in 0..64 {
        let (db, forged) = (test.db.clone(), forged.clone());
        callers.spawn(async move {
            for _ in 0..16 {
                webhooks::reject(&db, forged.clone(), FORGED, "no").await.unwrap();
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    let (mut kept, mut real, mut before) = (0, 0, None);
    loop {
        let page =
            webhook_events::list(&mut conn, PageRequest::new(before, Some(200)), None, &Reach::EVERYTHING)
                .await
                .unwrap();
        kept += page.items.iter().filter(|event| !event.verified).count();
        real += page.items.iter().filter(|event| event.verified).count();
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!((kept, real), (1000, 1));
    assert!(
        webhook_events::find_opt(&mut conn, id.as_str()).await.unwrap().is_none(),
        "the oldest went first"
    );
}

async fn an_event_ends_with_exactly_one_reason(test: TestDb) {
    let id = stored(&webhooks::ingest(&test.db, sample::delivery("d1")).await.unwrap()).clone();
    let finish = |reason| {
        let (db, id) = (test.db.clone(), id.clone());
        async move {
            let finish = Finish {
                reason,
                detail: Some("a\0b".into()),
                deployment_id: None,
                error: None,
                outcomes: Vec::new(),
            };
            db.write(move |tx| Box::pin(async move { webhook_events::finish(tx, &id, &finish, now()).await }))
                .await
        }
    };
    finish(ReasonCode::SkipCi).await.unwrap();
    assert!(matches!(finish(ReasonCode::Deployed).await, Err(Error::Conflict(_))));
    let mut conn = test.db.read().await.unwrap();
    let event = webhook_events::find(&mut conn, "1").await.unwrap();
    assert_eq!(event.reason, Some(ReasonCode::SkipCi));
    assert_eq!(event.detail.as_deref(), Some("a\u{fffd}b"), "a NUL would be refused by PostgreSQL");
}

async fn a_replay_is_an_event_of_its_own_that_no_deduplication_swallows(test: TestDb) {
    let first = stored(&webhooks::ingest(&test.db, sample::delivery("d1")).await.unwrap()).clone();
    for _ in 0..2 {
        let mut copy = sample::delivery("d1");
        (copy.delivery_id, copy.replay_of) = (None, Some(first.clone()));
        let again = stored(&webhooks::ingest(&test.db, copy).await.unwrap()).clone();
        let mut conn = test.db.read().await.unwrap();
        let event = webhook_events::find(&mut conn, again.as_str()).await.unwrap();
        assert_eq!((event.replay_of, event.processed), (Some(first.clone()), false));
        assert_eq!(tasks::list_by_subject(&mut conn, &again).await.unwrap().len(), 1);
    }
}

async fn a_delivery_outlives_its_repository(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let mut new = sample::delivery("d1");
    new.repository_id = Some(sample.repository.id.clone());
    let id = stored(&webhooks::ingest(&test.db, new).await.unwrap()).clone();
    let stack = sample.stack.id.clone();
    test.db
        .write(move |tx| Box::pin(async move { windlass::store::stacks::delete(tx, &stack).await }))
        .await
        .unwrap();
    let mut conn = test.db.read().await.unwrap();
    assert!(webhook_events::find(&mut conn, id.as_str()).await.unwrap().repository_id.is_none());
}

async fn old_processed_deliveries_are_pruned_and_open_ones_stay(test: TestDb) {
    let processed = stored(&webhooks::ingest(&test.db, sample::delivery("d1")).await.unwrap()).clone();
    let open = stored(&webhooks::ingest(&test.db, sample::delivery("d2")).await.unwrap()).clone();
    let (id, finish) = (
        processed.clone(),
        Finish {
            reason: ReasonCode::Ping,
            detail: None,
            deployment_id: None,
            error: None,
            outcomes: Vec::new(),
        },
    );
    test.db
        .write(move |tx| Box::pin(async move { webhook_events::finish(tx, &id, &finish, now()).await }))
        .await
        .unwrap();
    let prune = async |before: i64| {
        test.db
            .write(move |tx| Box::pin(async move { webhook_events::prune(tx, before, 10).await }))
            .await
            .unwrap()
    };
    assert_eq!(prune(now() - 60_000).await, 0, "it is not old enough");
    assert_eq!(prune(now() + 60_000).await, 1);
    let mut conn = test.db.read().await.unwrap();
    assert!(webhook_events::find_opt(&mut conn, processed.as_str()).await.unwrap().is_none());
    assert!(webhook_events::find_opt(&mut conn, open.as_str()).await.unwrap().is_some());
}
