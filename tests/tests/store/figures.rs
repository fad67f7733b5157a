//! The figures of delivery, counted in a history that is known.

use windlass::{
    domain::{
        access::Reach,
        deployment::{Deployment, DeploymentStatus},
        overview::DayCount,
        people::User,
        stack::Stack,
    },
    error::Error,
    store::{badges, deployments, figures, new_id, oidc_identities, stacks, tenants, users},
};
use windlass_tests::{database::TestDb, on_both_databases, sample};

on_both_databases!(
    deployments_are_counted_by_the_day_on_which_they_ended,
    the_time_to_restore_begins_with_the_first_of_several_failures,
    a_badge_goes_with_its_stack_and_keeps_its_key,
    an_account_at_a_provider_belongs_to_one_person,
);

const DAY: i64 = 86_400_000;
const NOW: i64 = 20_000 * DAY;

use DeploymentStatus::{Cancelled, Failed, RolledBack, Successful};

/// Deployments that ended like this: status, start, end.
async fn history(test: &TestDb, stack: &Stack, rows: &[(DeploymentStatus, i64, i64)]) {
    for (status, started_at, completed_at) in rows.iter().copied() {
        let row =
            Deployment { status, started_at, completed_at: Some(completed_at), ..sample::deployment(stack) };
        test.db
            .write(move |tx| {
                let row = row.clone();
                Box::pin(async move { deployments::insert(tx, row).await.map(|_| ()) })
            })
            .await
            .unwrap();
    }
}

async fn deployments_are_counted_by_the_day_on_which_they_ended(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let rows = [
        (Successful, NOW - 50, NOW + 1),
        (Successful, NOW, NOW + 30),
        (RolledBack, NOW, NOW + 2),
        (Cancelled, NOW, NOW + 3),
        (Failed, NOW - DAY, NOW - 1),
        (Failed, NOW - 40 * DAY, NOW - 31 * DAY),
    ];
    history(&test, &sample.stack, &rows).await;
    let mut conn = test.db.read().await.unwrap();
    let all = Reach::EVERYTHING;
    let mut found = figures::ended_by_day(&mut conn, NOW - 2 * DAY, &all).await.unwrap();
    found.sort_by_key(|row| (row.day, row.status.as_str()));
    let count = |day, status, count| DayCount { day, status, count };
    let wanted = [
        count(19_999, Failed, 1),
        count(20_000, Cancelled, 1),
        count(20_000, RolledBack, 1),
        count(20_000, Successful, 2),
    ];
    assert_eq!(found, wanted);
    let mut leads = figures::lead_times(&mut conn, NOW - 2 * DAY, &all).await.unwrap();
    leads.sort_unstable();
    assert_eq!(leads, [30, 51]);
    // Somebody who sees no project has no figures.
    let nobody = Reach::of_token(&new_id());
    assert!(figures::ended_by_day(&mut conn, 0, &nobody).await.unwrap().is_empty());
    assert!(figures::lead_times(&mut conn, 0, &nobody).await.unwrap().is_empty());
    assert!(figures::troubled(&mut conn, 0, &nobody).await.unwrap().is_empty());
}

async fn the_time_to_restore_begins_with_the_first_of_several_failures(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let rows = [
        (Successful, NOW, NOW + 1),
        (Failed, NOW, NOW + 10),
        (RolledBack, NOW, NOW + 20),
        (Cancelled, NOW, NOW + 25),
        (Successful, NOW, NOW + 110),
        (Failed, NOW, NOW + 200),
    ];
    history(&test, &sample.stack, &rows).await;
    let mut conn = test.db.read().await.unwrap();
    let all = Reach::EVERYTHING;
    // From the first failure to the success; the last one is not restored yet.
    assert_eq!(figures::restore_times(&mut conn, NOW, &all).await.unwrap(), [100]);
    let troubled = figures::troubled(&mut conn, NOW, &all).await.unwrap();
    assert_eq!((troubled.len(), troubled[0].stack.as_str(), troubled[0].status), (1, "web", Failed));
    drop(conn);
    history(&test, &sample.stack, &[(Successful, NOW, NOW + 300)]).await;
    let mut conn = test.db.read().await.unwrap();
    let mut times = figures::restore_times(&mut conn, NOW, &all).await.unwrap();
    times.sort_unstable();
    assert_eq!(times, [100, 100]);
    assert!(figures::troubled(&mut conn, NOW, &all).await.unwrap().is_empty());
    let latest = deployments::latest_status(&mut conn, &sample.stack.id, None).await.unwrap();
    assert_eq!(latest, Some(Successful));
    assert_eq!(deployments::latest_status(&mut conn, &sample.stack.id, Some("other")).await.unwrap(), None);
}

async fn a_badge_goes_with_its_stack_and_keeps_its_key(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let id = sample.stack.id.clone();
    test.db
        .write(move |tx| {
            let id = id.clone();
            Box::pin(async move {
                badges::insert(tx, &id, "first", 1).await?;
                badges::insert(tx, &id, "second", 2).await
            })
        })
        .await
        .unwrap();
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(badges::stack_of(&mut conn, "first").await.unwrap(), Some(sample.stack.id.clone()));
    assert_eq!(badges::stack_of(&mut conn, "second").await.unwrap(), None);
    drop(conn);
    let id = sample.stack.id.clone();
    test.db.write(move |tx| Box::pin(async move { stacks::delete(tx, &id).await })).await.unwrap();
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(badges::stack_of(&mut conn, "first").await.unwrap(), None);
}

async fn an_account_at_a_provider_belongs_to_one_person(test: TestDb) {
    const SUBJECT: (&str, &str) = ("https://id.example", "7");
    let user = test
        .db
        .write(|tx| {
            Box::pin(async move {
                let tenant_id = tenants::ensure(tx, &new_id(), "acme", 1).await?;
                let user = User {
                    id: new_id(),
                    tenant_id,
                    name: "ada".into(),
                    is_admin: false,
                    password_hash: None,
                    totp_secret: None,
                    totp_active: false,
                    created_at: 1,
                    last_login_at: None,
                    disabled_at: None,
                };
                users::insert(tx, &user).await?;
                oidc_identities::insert(tx, SUBJECT, &user.id, None, 1).await?;
                oidc_identities::seen(tx, SUBJECT, Some("ada@example.org"), 2).await?;
                Ok(user.id)
            })
        })
        .await
        .unwrap();
    let mut conn = test.db.read().await.unwrap();
    let found = oidc_identities::user_of(&mut conn, SUBJECT.0, SUBJECT.1).await.unwrap();
    assert_eq!(found, Some(user.clone()));
    let elsewhere = oidc_identities::user_of(&mut conn, "https://other.example", SUBJECT.1).await.unwrap();
    assert_eq!(elsewhere, None, "the same number at another provider is somebody else");
    drop(conn);
    let again = test
        .db
        .write(move |tx| {
            let user = user.clone();
            Box::pin(async move { oidc_identities::insert(tx, SUBJECT, &user, None, 3).await })
        })
        .await;
    assert!(matches!(again, Err(Error::Conflict(_))), "{again:?}");
}
