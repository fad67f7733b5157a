//! Events of the past, in pages.

use windlass::{
    domain::{
        Id,
        access::Reach,
        event::{EventKind, NewEvent},
        page::PageRequest,
    },
    store::{
        events::{self, EventFilter},
        new_id,
    },
};
use windlass_tests::{database::TestDb, on_both_databases, sample};

on_both_databases!(past_events_are_listed_newest_first_and_narrowed_by_stack_subject_and_kind);

/// The numbers of what is listed, by which it was made.
async fn listed(test: &TestDb, filter: &EventFilter, page: PageRequest, reach: &Reach) -> Vec<i64> {
    let mut conn = test.db.read().await.unwrap();
    let page = events::list(&mut conn, page, filter, reach).await.unwrap();
    page.items.iter().map(|past| past.event.number("n").unwrap()).collect()
}

async fn past_events_are_listed_newest_first_and_narrowed_by_stack_subject_and_kind(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let (stack, gone) = (sample.stack.id, new_id());
    let [deployment, build]: [Id; 2] = std::array::from_fn(|_| new_id());
    let all = [
        (Some(&stack), None, EventKind::StackChanged),
        (Some(&stack), Some(&deployment), EventKind::DeploymentStatus),
        (Some(&stack), Some(&build), EventKind::BuildStatus),
        (Some(&gone), Some(&gone), EventKind::StackChanged),
        (None, None, EventKind::PluginChanged),
    ];
    for (n, (stack_id, subject_id, kind)) in all.into_iter().enumerate() {
        let data = serde_json::json!({ "n": n });
        let event = NewEvent { kind, stack_id: stack_id.cloned(), subject_id: subject_id.cloned(), data };
        test.db
            .write(move |tx| Box::pin(async move { events::append(tx, event).await.map(|_| ()) }))
            .await
            .unwrap();
    }
    let (everything, page) = (Reach::EVERYTHING, PageRequest::first(10));
    let of = |stack: &Id| EventFilter { stack: Some(stack.clone()), ..EventFilter::default() };
    let whole = EventFilter::default();
    assert_eq!(listed(&test, &whole, page, &everything).await, [4, 3, 2, 1, 0]);
    assert_eq!(listed(&test, &of(&stack), page, &everything).await, [2, 1, 0]);
    let subjects = vec![deployment, build];
    let both = EventFilter { subjects: subjects.clone(), ..of(&stack) };
    assert_eq!(listed(&test, &both, page, &everything).await, [2, 1]);
    let one = EventFilter { subjects: subjects[..1].to_vec(), ..of(&stack) };
    assert_eq!(listed(&test, &one, page, &everything).await, [1]);
    let changed = EventFilter { kind: Some(EventKind::StackChanged), ..EventFilter::default() };
    assert_eq!(listed(&test, &changed, page, &everything).await, [3, 0]);
    let changed = EventFilter { kind: Some(EventKind::StackChanged), ..of(&stack) };
    assert_eq!(listed(&test, &changed, page, &everything).await, [0]);

    // Nothing for a token that sees nothing.
    let nobody = Reach::of_token(&new_id());
    assert_eq!(listed(&test, &whole, page, &nobody).await, [] as [i64; 0]);
    assert_eq!(listed(&test, &of(&stack), page, &nobody).await, [] as [i64; 0]);

    let mut conn = test.db.read().await.unwrap();
    let first = events::list(&mut conn, PageRequest::first(2), &whole, &everything).await.unwrap();
    let next = PageRequest::new(first.next, Some(2));
    let second = events::list(&mut conn, next, &whole, &everything).await.unwrap();
    let names: Vec<_> = first.items.iter().chain(&second.items).map(|past| past.stack.as_deref()).collect();
    assert_eq!(names, [None, None, Some("web"), Some("web")]);
}
