//! Recorded calls: what was recorded comes back, is found by what it was for, and is kept within bounds.

use windlass::{
    domain::{
        Id,
        page::PageRequest,
        recording::{CallFilter, Outcome, Recording, Retention, Subject, SubjectKind},
        rollout::history::Asked,
    },
    error::Error,
    store::{Conn, Db, new_id, plugin_calls},
};
use windlass_tests::{database::TestDb, on_both_databases};

on_both_databases!(
    a_recording_comes_back_as_it_was,
    a_list_is_narrowed_and_paged,
    the_same_call_again_is_counted,
    old_many_and_large_recordings_are_pruned,
    what_a_strategy_was_asked_is_thinned_out_evenly,
);

pub fn recording(plugin: &str, outcome: Outcome) -> Recording {
    Recording {
        plugin: plugin.into(),
        digest: format!("digest of {plugin}"),
        interface: "windlass:deployment-strategy/strategy@0.1.0".into(),
        function: "decide".into(),
        subject: None,
        started_at: 1_000,
        duration_us: 85,
        cpu_us: 40,
        outcome,
        error: None,
        input: "[{\"text\":\"a\\u0000\\u202e\"}]".into(),
        exchange: "[]".into(),
        output: Some("{\"ok\":null}".into()),
        cut: false,
    }
}

async fn insert(db: &Db, recordings: Vec<Recording>) -> Vec<Id> {
    let rows: Vec<_> = recordings.into_iter().map(|call| (call.clone(), 1, call.started_at)).collect();
    db.write(move |tx| Box::pin(async move { plugin_calls::insert_all(tx, &rows).await })).await.unwrap()
}

async fn seqs(conn: &mut Conn, filter: &CallFilter) -> Vec<i64> {
    let page = plugin_calls::list(conn, PageRequest::first(50), filter).await.unwrap();
    page.items.iter().map(|call| call.seq).collect()
}

async fn a_recording_comes_back_as_it_was(test: TestDb) {
    let subject = Some(Subject { kind: SubjectKind::Build, id: new_id() });
    let error = Some("plugin `p` trapped: \0".into());
    let whole = Recording { subject, error, output: None, cut: true, ..recording("p", Outcome::Trap) };
    let ids = insert(&test.db, vec![whole.clone()]).await;
    let mut conn = test.db.read().await.unwrap();
    let call = plugin_calls::find(&mut conn, "1").await.unwrap();
    assert_eq!(plugin_calls::find(&mut conn, ids[0].as_str()).await.unwrap(), call);
    let summary = &call.summary;
    assert_eq!((&summary.subject, summary.cut, summary.outcome), (&whole.subject, true, Outcome::Trap));
    assert_eq!((&call.input, &call.exchange, &call.output), (&whole.input, &whole.exchange, &None));
    assert_eq!(summary.error.as_deref(), Some("plugin `p` trapped: \u{fffd}"));
    assert_eq!((summary.count, summary.last_at, summary.duration_us, summary.cpu_us), (1, 1_000, 85, 40));
    let missing = plugin_calls::find(&mut conn, "2").await;
    assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
}

async fn a_list_is_narrowed_and_paged(test: TestDb) {
    let subject = Subject { kind: SubjectKind::Deployment, id: new_id() };
    let mut calls: Vec<_> = (0..4).map(|_| recording("a", Outcome::Ok)).collect();
    calls.push(recording("a", Outcome::Trap));
    calls.push(Recording { subject: Some(subject.clone()), ..recording("b", Outcome::Trap) });
    calls.push(Recording { function: "validate".into(), ..recording("b", Outcome::Ok) });
    insert(&test.db, calls).await;
    let mut conn = test.db.read().await.unwrap();
    let all = CallFilter::default();
    let of = |plugin: &str| CallFilter { plugin: Some(plugin.into()), ..CallFilter::default() };
    let trapped = CallFilter { outcome: Some(Outcome::Trap), ..CallFilter::default() };
    assert_eq!(seqs(&mut conn, &all).await, [7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(seqs(&mut conn, &of("b")).await, [7, 6]);
    assert_eq!(seqs(&mut conn, &trapped).await, [6, 5]);
    assert_eq!(seqs(&mut conn, &CallFilter { outcome: trapped.outcome, ..of("a") }).await, [5]);
    assert_eq!(seqs(&mut conn, &CallFilter { function: Some("validate".into()), ..all.clone() }).await, [7]);
    let made_for = CallFilter { subject: Some(subject.id), ..CallFilter::default() };
    assert_eq!(seqs(&mut conn, &made_for).await, [6]);
    assert_eq!(seqs(&mut conn, &CallFilter { plugin: Some("a".into()), ..made_for }).await, [0_i64; 0]);
    let first = plugin_calls::list(&mut conn, PageRequest::first(3), &all).await.unwrap();
    let second = plugin_calls::list(&mut conn, PageRequest::new(first.next, Some(10)), &all).await.unwrap();
    assert_eq!((first.next, second.items.len(), second.next), (Some(5), 4, None));
}

async fn the_same_call_again_is_counted(test: TestDb) {
    let id = insert(&test.db, vec![recording("a", Outcome::Ok)]).await.remove(0);
    let (repeated, gone) = (id.clone(), new_id());
    let counted = test.db.write(move |tx| {
        Box::pin(async move {
            plugin_calls::repeat(tx, &repeated, 3, 2_000).await?;
            plugin_calls::repeat(tx, &gone, 1, 2_000).await
        })
    });
    counted.await.unwrap();
    let mut conn = test.db.read().await.unwrap();
    let summary = plugin_calls::find(&mut conn, id.as_str()).await.unwrap().summary;
    assert_eq!((summary.count, summary.started_at, summary.last_at), (4, 1_000, 2_000));
}

async fn prune(test: &TestDb, keep: Retention) -> u64 {
    test.db.write(move |tx| Box::pin(async move { plugin_calls::prune(tx, &keep).await })).await.unwrap()
}

async fn old_many_and_large_recordings_are_pruned(test: TestDb) {
    let at = |started_at: i64| Recording { started_at, ..recording("a", Outcome::Ok) };
    let large = Recording { input: "x".repeat(10_000), ..at(30) };
    insert(&test.db, vec![at(10), at(20), large, at(40), Recording { digest: "other".into(), ..at(50) }])
        .await;
    let everything = Retention { before: 0, rows: 100, bytes: 1 << 20 };
    assert_eq!(prune(&test, everything).await, 0);
    assert_eq!(prune(&test, Retention { before: 20, ..everything }).await, 1);
    assert_eq!(prune(&test, Retention { rows: 3, ..everything }).await, 1);
    // The two newest are small; with the large one they are too much.
    assert_eq!(prune(&test, Retention { bytes: 5_000, ..everything }).await, 1);
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(seqs(&mut conn, &CallFilter::default()).await, [5, 4]);
    let digests = plugin_calls::digests(&mut conn).await.unwrap();
    assert_eq!(digests, ["digest of a", "other"].map(String::from).into());
}

async fn what_a_strategy_was_asked_is_thinned_out_evenly(test: TestDb) {
    let subject = Subject { kind: SubjectKind::Deployment, id: new_id() };
    let asked = |at: i64| Recording {
        subject: Some(subject.clone()),
        started_at: at,
        input: format!("[{at}]"),
        ..recording("a", Outcome::Ok)
    };
    let mut calls: Vec<Recording> = (1..=10).map(asked).collect();
    // None of these is a strategy's answer for this deployment.
    calls.push(Recording { function: "validate".into(), ..asked(11) });
    calls.push(Recording { outcome: Outcome::Trap, ..asked(12) });
    calls.push(Recording { subject: None, ..asked(13) });
    insert(&test.db, calls).await;
    let mut conn = test.db.read().await.unwrap();
    let row = |at: i64| Asked { seq: at, at, last_at: at, input: format!("[{at}]") };
    for (most, wanted) in [
        (100, (1..=10).collect::<Vec<i64>>()),
        (5, vec![2, 4, 6, 8, 10]),
        (4, vec![1, 4, 7, 10]),
        (1, vec![10]),
    ] {
        let found = plugin_calls::asked(&mut conn, &subject.id, most).await.unwrap();
        assert_eq!(found, wanted.into_iter().map(row).collect::<Vec<_>>(), "at most {most}");
    }
    assert_eq!(plugin_calls::asked(&mut conn, &new_id(), 5).await.unwrap(), []);
    for (at, below, wanted) in [(7, i64::MAX, Some(row(7))), (7, 6, Some(row(5))), (0, i64::MAX, None)] {
        let found = plugin_calls::asked_before(&mut conn, &subject.id, at, below).await.unwrap();
        assert_eq!(found, wanted, "until {at}, below {below}");
    }
}
