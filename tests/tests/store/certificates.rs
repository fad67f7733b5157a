//! Certificates and accounts at ACME servers.

use windlass::{domain::certificate::Certificate, store::certificates};
use windlass_tests::{database::TestDb, on_both_databases};

on_both_databases!(
    a_host_is_wanted_once_and_attended_to_by_one,
    what_was_issued_is_kept_until_nobody_wants_it,
    the_first_account_stays,
);

async fn list(test: &TestDb) -> Vec<Certificate> {
    certificates::list(&mut test.db.read().await.unwrap()).await.unwrap()
}

async fn want(test: &TestDb, host: &'static str, now: i64) -> bool {
    test.db.write(move |tx| Box::pin(async move { certificates::want(tx, host, now).await })).await.unwrap()
}

async fn a_host_is_wanted_once_and_attended_to_by_one(test: TestDb) {
    assert!(want(&test, "b.example.org", 5).await);
    assert!(!want(&test, "b.example.org", 9).await);
    assert!(want(&test, "a.example.org", 7).await);
    let due: Vec<(String, i64)> = list(&test).await.into_iter().map(|row| (row.host, row.due_at)).collect();
    assert_eq!(due, [("a.example.org".to_owned(), 7), ("b.example.org".to_owned(), 5)]);
    let postpone = async |was| {
        let moved = test.db.write(move |tx| {
            Box::pin(async move { certificates::postpone(tx, "b.example.org", was, 100).await })
        });
        moved.await.unwrap()
    };
    assert!(postpone(5).await, "the first one attends to it");
    assert!(!postpone(5).await, "the second one knows that it is too late");
}

async fn what_was_issued_is_kept_until_nobody_wants_it(test: TestDb) {
    let host = "a.example.org";
    want(&test, host, 1).await;
    let row = Certificate {
        host: host.into(),
        chain: Some("-----BEGIN".into()),
        sealed_key: Some("sealed".into()),
        not_before: Some(2),
        not_after: Some(3),
        due_at: 4,
        failures: 5,
        error: Some("a \"reason\"\nin two lines".into()),
        updated_at: 6,
    };
    let save = async |row: Certificate| {
        test.db.write(move |tx| Box::pin(async move { certificates::save(tx, &row).await })).await.unwrap();
    };
    save(row.clone()).await;
    assert_eq!(list(&test).await, std::slice::from_ref(&row));
    let found = certificates::find_opt(&mut test.db.read().await.unwrap(), host).await.unwrap();
    assert_eq!(found, Some(row.clone()));
    test.db.write(move |tx| Box::pin(async move { certificates::delete(tx, host).await })).await.unwrap();
    save(row).await;
    assert_eq!(list(&test).await, [], "an attempt that ends later brings nothing back");
}

async fn the_first_account_stays(test: TestDb) {
    let directory = "https://acme.example/directory";
    for sealed in ["first", "second"] {
        let insert = test.db.write(move |tx| {
            Box::pin(async move { certificates::insert_account(tx, directory, sealed, 1).await })
        });
        insert.await.unwrap();
    }
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(certificates::account(&mut conn, directory).await.unwrap().as_deref(), Some("first"));
    assert_eq!(certificates::account(&mut conn, "https://other.example").await.unwrap(), None);
}
