//! Tenants, and who is in them.

use windlass::{
    domain::{
        Id,
        people::{Tenant, User},
    },
    error::Error,
    store::{new_id, tenants, users},
};
use windlass_tests::{database::TestDb, on_both_databases};

on_both_databases!(
    a_tenant_is_found_by_id_and_name_and_its_name_is_taken_once,
    a_tenant_counts_its_people_and_goes_only_without_them,
);

async fn made(test: &TestDb, name: &'static str) -> Tenant {
    let made = test.db.write(move |tx| {
        Box::pin(async move {
            let id = new_id();
            tenants::insert(tx, &id, name, 5).await?;
            tenants::find(tx, id.as_str()).await
        })
    });
    made.await.unwrap()
}

async fn a_tenant_is_found_by_id_and_name_and_its_name_is_taken_once(test: TestDb) {
    let (acme, zoo) = (made(&test, "acme").await, made(&test, "zoo").await);
    let twice =
        test.db.write(|tx| Box::pin(async move { tenants::insert(tx, &new_id(), "acme", 5).await })).await;
    assert!(matches!(&twice, Err(Error::Conflict(text)) if text.contains("`acme`")), "{twice:?}");
    let id = zoo.id.clone();
    let renamed = test.db.write(move |tx| Box::pin(async move { tenants::rename(tx, &id, "acme").await }));
    assert!(matches!(renamed.await, Err(Error::Conflict(_))));
    let id = zoo.id.clone();
    test.db
        .write(move |tx| Box::pin(async move { tenants::rename(tx, &id, "aardvark").await }))
        .await
        .unwrap();
    let mut conn = test.db.read().await.unwrap();
    let renamed = Tenant { name: "aardvark".into(), ..zoo };
    assert_eq!(tenants::list(&mut conn).await.unwrap(), [renamed.clone(), acme]);
    assert_eq!(tenants::find(&mut conn, "aardvark").await.unwrap(), renamed);
    assert!(matches!(tenants::find(&mut conn, "zoo").await, Err(Error::NotFound { .. })));
}

async fn a_tenant_counts_its_people_and_goes_only_without_them(test: TestDb) {
    let (full, empty) = (made(&test, "full").await, made(&test, "empty").await);
    let user = User {
        id: new_id(),
        tenant_id: full.id.clone(),
        name: "ada".into(),
        is_admin: false,
        password_hash: None,
        totp_secret: None,
        totp_active: false,
        created_at: 5,
        last_login_at: None,
        disabled_at: None,
    };
    test.db.write(move |tx| Box::pin(async move { users::insert(tx, &user).await })).await.unwrap();
    let mut conn = test.db.read().await.unwrap();
    let found = tenants::find(&mut conn, "full").await.unwrap();
    assert_eq!((found.teams, found.people), (0, 1));
    drop(conn);
    let removed = |id: Id| test.db.write(move |tx| Box::pin(async move { tenants::delete(tx, &id).await }));
    assert!(matches!(removed(full.id).await, Err(Error::Conflict(_))));
    removed(empty.id.clone()).await.unwrap();
    assert!(matches!(removed(empty.id).await, Err(Error::NotFound { .. })));
}
