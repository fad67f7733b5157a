//! Which stacks show their pull requests, and what is known of each.

use windlass::domain::Id;
use windlass::domain::preview::{Preview, PreviewSettings, PreviewState, PreviewWatch};
use windlass::store::{previews, stacks};
use windlass_tests::{database::TestDb, on_both_databases, sample};

on_both_databases!(
    a_hint_during_the_work_is_not_lost,
    who_is_at_work_keeps_it_and_who_lost_it_does_not,
    what_is_known_of_a_pull_request_comes_back,
    what_is_off_is_forgotten_at_the_end,
);

fn watch(stack: &Id, enabled: bool) -> PreviewWatch {
    PreviewWatch {
        stack_id: stack.clone(),
        settings: PreviewSettings { host: "pr-{number}.shop.example".into(), days: 3, most: 2 },
        enabled,
        next_at: 100,
        ask_at: 100,
        asked_at: None,
        error: None,
    }
}

async fn switch(test: &TestDb, watch: &PreviewWatch) {
    let watch = watch.clone();
    test.db.write(move |tx| Box::pin(async move { previews::switch(tx, &watch).await })).await.unwrap();
}

async fn claim(test: &TestDb, now: i64, until: i64) -> Vec<PreviewWatch> {
    test.db.write(move |tx| Box::pin(previews::claim(tx, now, until, 10))).await.unwrap()
}

async fn done(test: &TestDb, before: &PreviewWatch, after: &PreviewWatch) {
    let (before, after) = (before.clone(), after.clone());
    let write = test.db.write(move |tx| Box::pin(async move { previews::done(tx, &before, &after).await }));
    write.await.unwrap();
}

async fn stored(test: &TestDb, stack: &Id) -> Option<PreviewWatch> {
    previews::watch_opt(&mut test.db.read().await.unwrap(), stack).await.unwrap()
}

async fn a_hint_during_the_work_is_not_lost(test: TestDb) {
    let stack = sample::store(&test.db, "web").await.stack.id;
    switch(&test, &watch(&stack, true)).await;
    assert_eq!(claim(&test, 99, 500).await, []);
    let claimed = claim(&test, 100, 500).await;
    assert_eq!(claimed, [watch(&stack, true)]);
    assert_eq!(claim(&test, 100, 500).await, [], "it is another's");
    let after = PreviewWatch { next_at: 900, ask_at: 900, asked_at: Some(100), ..claimed[0].clone() };
    let id = stack.clone();
    test.db.write(move |tx| Box::pin(async move { previews::set_due(tx, &id, 200).await })).await.unwrap();
    assert_eq!(claim(&test, 200, 500).await, [], "it still is another's");
    done(&test, &claimed[0], &after).await;
    let found = stored(&test, &stack).await.unwrap();
    assert_eq!((found.next_at, found.ask_at, found.asked_at), (200, 200, Some(100)));
    let claimed = claim(&test, 200, 600).await;
    done(&test, &claimed[0], &after).await;
    assert_eq!(stored(&test, &stack).await.unwrap(), after);
}

async fn who_is_at_work_keeps_it_and_who_lost_it_does_not(test: TestDb) {
    let stack = sample::store(&test.db, "web").await.stack.id;
    switch(&test, &watch(&stack, true)).await;
    assert_eq!(claim(&test, 100, 500).await.len(), 1);
    assert!(hold(&test, &stack, 500, 700).await);
    assert_eq!(claim(&test, 500, 900).await, [], "it was held");
    assert_eq!(claim(&test, 700, 900).await.len(), 1);
    assert!(!hold(&test, &stack, 700, 999).await, "it is another's");
    assert!(hold(&test, &stack, 900, 999).await);
}

async fn hold(test: &TestDb, stack: &Id, held: i64, until: i64) -> bool {
    let id = stack.clone();
    let write = test.db.write(move |tx| Box::pin(async move { previews::hold(tx, &id, held, until).await }));
    write.await.unwrap()
}

async fn what_is_known_of_a_pull_request_comes_back(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let child = sample::store(&test.db, "web-pr-7").await.stack.id;
    let row = Preview {
        parent_id: sample.stack.id.clone(),
        number: 7,
        title: "A change\u{1f600}".into(),
        url: "https://forge.example/7".into(),
        branch: "change".into(),
        commit: "a".repeat(40),
        state: PreviewState::Waiting,
        stack_id: None,
        deployed: None,
        told: None,
        expires_at: 1,
        error: None,
    };
    let shown = Preview {
        state: PreviewState::Live,
        stack_id: Some(child.clone()),
        deployed: Some("a".repeat(40)),
        told: Some("b".repeat(40)),
        expires_at: 2,
        error: Some("why".into()),
        ..row.clone()
    };
    for row in [&row, &shown] {
        let put = row.clone();
        test.db.write(move |tx| Box::pin(async move { previews::put(tx, &put).await })).await.unwrap();
        let mut conn = test.db.read().await.unwrap();
        assert_eq!(previews::list(&mut conn, &sample.stack.id).await.unwrap(), std::slice::from_ref(row));
    }
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(previews::by_stack(&mut conn, &child).await.unwrap(), Some(shown.clone()));
    drop(conn);
    test.db.write(move |tx| Box::pin(async move { stacks::delete(tx, &child).await })).await.unwrap();
    let mut conn = test.db.read().await.unwrap();
    let left = previews::list(&mut conn, &sample.stack.id).await.unwrap();
    assert_eq!(left, [Preview { stack_id: None, ..shown.clone() }], "it outlives its stack");
    drop(conn);
    test.db.write(move |tx| Box::pin(async move { previews::delete(tx, &shown).await })).await.unwrap();
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(previews::list(&mut conn, &sample.stack.id).await.unwrap(), []);
}

async fn what_is_off_is_forgotten_at_the_end(test: TestDb) {
    let stack = sample::store(&test.db, "web").await.stack.id;
    for enabled in [true, false] {
        switch(&test, &watch(&stack, enabled)).await;
        let id = stack.clone();
        test.db.write(move |tx| Box::pin(async move { previews::set_due(tx, &id, 7).await })).await.unwrap();
        let id = stack.clone();
        test.db.write(move |tx| Box::pin(async move { previews::forget(tx, &id).await })).await.unwrap();
        let next = stored(&test, &stack).await.map(|watch| watch.next_at);
        assert_eq!(next, enabled.then_some(7));
    }
}
