//! Webhook secrets that are rotated, and components that all nodes share.

use windlass::{
    domain::{
        repository::GitRepository,
        webhook::{MatchedSecret, ReasonCode},
    },
    store::{
        now, plugin_components, plugins, repositories, webhook_events,
        webhooks::{self, Ingested},
    },
};
use windlass_tests::{database::TestDb, on_both_databases, sample};

on_both_databases!(
    a_rotation_keeps_the_secret_before_it_until_its_time_is_over,
    a_rotation_without_overlap_keeps_nothing,
    a_delivery_remembers_which_secret_it_was_signed_with,
    a_component_stays_as_long_as_a_plugin_may_need_it,
);

async fn rotate(
    test: &TestDb,
    row: &GitRepository,
    secret: &'static str,
    until: Option<i64>,
) -> GitRepository {
    let id = row.id.clone();
    test.db
        .write(move |tx| {
            Box::pin(async move {
                repositories::rotate_webhook_secret(tx, &id, secret, Some("global"), until, 7).await?;
                repositories::find(tx, &id).await
            })
        })
        .await
        .unwrap()
}

async fn forget(test: &TestDb, at: i64) -> u64 {
    test.db
        .write(move |tx| Box::pin(async move { repositories::forget_previous_secrets(tx, at).await }))
        .await
        .unwrap()
}

fn secrets(row: &GitRepository) -> (Option<&str>, Option<&str>, Option<i64>) {
    let previous = row.previous_webhook_secret.as_deref();
    (row.webhook_secret.as_deref(), previous, row.previous_webhook_secret_until)
}

async fn a_rotation_keeps_the_secret_before_it_until_its_time_is_over(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let row = rotate(&test, &sample.repository, "second", Some(1000)).await;
    assert_eq!(secrets(&row), (Some("second"), Some("sealed too"), Some(1000)));
    assert_eq!(row.updated_at, 7);
    let row = rotate(&test, &row, "third", Some(2000)).await;
    assert_eq!(secrets(&row), (Some("third"), Some("second"), Some(2000)), "the oldest one is gone");
    assert_eq!(forget(&test, 1999).await, 0);
    assert_eq!(forget(&test, 2000).await, 1);
    assert_eq!(forget(&test, 2000).await, 0);
    let mut conn = test.db.read().await.unwrap();
    let row = repositories::find(&mut conn, &row.id).await.unwrap();
    assert_eq!(secrets(&row), (Some("third"), None, None));
}

async fn a_rotation_without_overlap_keeps_nothing(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let row = rotate(&test, &sample.repository, "second", Some(1000)).await;
    let row = rotate(&test, &row, "third", None).await;
    assert_eq!(secrets(&row), (Some("third"), None, None));
    let without = GitRepository { webhook_secret: None, ..row };
    let update = without.clone();
    test.db.write(move |tx| Box::pin(async move { repositories::update(tx, &update).await })).await.unwrap();
    let row = rotate(&test, &without, "own", Some(3000)).await;
    assert_eq!(secrets(&row), (Some("own"), Some("global"), Some(3000)), "what counted instead counts on");
}

async fn a_delivery_remembers_which_secret_it_was_signed_with(test: TestDb) {
    let mut conn = test.db.read().await.unwrap();
    for matched in [MatchedSecret::Current, MatchedSecret::Previous, MatchedSecret::Global] {
        let mut new = sample::delivery(matched.as_str());
        new.matched_secret = Some(matched);
        let Ingested::Stored { event_id } = webhooks::ingest(&test.db, new).await.unwrap() else {
            panic!("it is new")
        };
        let event = webhook_events::find(&mut conn, event_id.as_str()).await.unwrap();
        assert_eq!(event.matched_secret, Some(matched));
    }
    let forged = webhooks::reject(&test.db, sample::delivery("forged"), ReasonCode::BadSignature, "no match")
        .await
        .unwrap();
    let event = webhook_events::find(&mut conn, forged.as_str()).await.unwrap();
    assert_eq!((event.verified, event.matched_secret), (false, None));
}

async fn a_component_stays_as_long_as_a_plugin_may_need_it(test: TestDb) {
    let component: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    let digests = ["runs", "was good", "unused", "new"].map(|name| format!("{name:0>64}"));
    let record = windlass::domain::admission::PluginRecord {
        name: "p".into(),
        digest: Some(digests[0].clone()),
        source: "upload".into(),
        state: windlass::domain::admission::PluginState::Enabled,
        last_good_digest: Some(digests[1].clone()),
        granted: Vec::new(),
        reason: None,
        installed: true,
        created_at: now(),
        updated_at: now(),
    };
    let packed = plugin_components::pack(component.clone()).await.unwrap();
    let all = digests.clone();
    let removed = test
        .db
        .write(move |tx| {
            Box::pin(async move {
                plugins::save(tx, &record).await?;
                for (digest, at) in all.iter().zip([1, 1, 1, 100]) {
                    plugin_components::insert(tx, digest, &packed, at).await?;
                }
                // Once more, as when two nodes install the same.
                plugin_components::insert(tx, &all[0], &packed, 2).await?;
                plugin_components::prune(tx, 50).await
            })
        })
        .await
        .unwrap();
    assert_eq!(removed, 1);
    let mut conn = test.db.read().await.unwrap();
    for digest in [&digests[0], &digests[1], &digests[3]] {
        let found = plugin_components::find_opt(&mut conn, digest).await.unwrap();
        assert!(found.as_ref() == Some(&component), "{digest}");
    }
    assert_eq!(plugin_components::find_opt(&mut conn, &digests[2]).await.unwrap(), None);
}
