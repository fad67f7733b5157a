//! Deploy targets, and the stacks that name them.

use std::net::IpAddr;

use windlass::{
    domain::{
        stack::Stack,
        target::{Target, TargetHealth, TargetKind, TargetState},
    },
    error::Error,
    store::{new_id, now, stacks, targets},
};
use windlass_tests::{database::TestDb, on_both_databases, sample};

on_both_databases!(
    a_target_comes_back_as_it_was_and_is_found_by_id_number_and_name,
    a_target_that_a_stack_names_stays,
);

fn target(name: &str) -> Target {
    Target {
        id: new_id(),
        seq: 0,
        name: name.into(),
        kind: TargetKind::Engine,
        address: "tcp://10.0.0.7:2376".into(),
        routes: Some(IpAddr::from([10, 0, 0, 7])),
        credentials: Some("sealed".into()),
        health: TargetHealth::default(),
        created_at: now(),
        updated_at: now(),
    }
}

async fn stored(test: &TestDb, target: Target) -> Target {
    test.db.write(move |tx| Box::pin(async move { targets::insert(tx, target).await })).await.unwrap()
}

async fn a_target_comes_back_as_it_was_and_is_found_by_id_number_and_name(test: TestDb) {
    let first = stored(&test, target("cellar")).await;
    let swarm = Target { kind: TargetKind::Swarm, routes: None, credentials: None, ..target("attic") };
    let swarm = stored(&test, swarm).await;
    let mut conn = test.db.read().await.unwrap();
    for key in [first.id.as_str(), &first.seq.to_string(), "cellar"] {
        assert_eq!(targets::find(&mut conn, key).await.unwrap(), first, "{key}");
    }
    assert_eq!(targets::by_name(&mut conn, "attic").await.unwrap().as_ref(), Some(&swarm));
    assert_eq!(
        targets::by_name(&mut conn, &first.seq.to_string()).await.unwrap(),
        None,
        "a number is no name"
    );
    assert_eq!(targets::list(&mut conn).await.unwrap(), [swarm, first.clone()]);
    drop(conn);

    let double =
        test.db.write(move |tx| Box::pin(async move { targets::insert(tx, target("cellar")).await })).await;
    assert!(matches!(double, Err(Error::Conflict(_))), "{double:?}");

    let mut health = TargetHealth::default();
    health.unwell(5, "it is \0 away".into());
    let changed = Target { address: "ssh://u@h".into(), updated_at: first.updated_at + 1, ..first.clone() };
    let row = changed.clone();
    test.db
        .write(move |tx| {
            let (row, health) = (row.clone(), health.clone());
            Box::pin(async move {
                targets::update(tx, &row).await?;
                targets::set_health(tx, &row.id, &health).await
            })
        })
        .await
        .unwrap();
    let mut conn = test.db.read().await.unwrap();
    let found = targets::find(&mut conn, "cellar").await.unwrap();
    assert_eq!(found.health.state(), TargetState::Unreachable);
    assert_eq!((found.health.failing_since, &found.address), (Some(5), &changed.address));
}

async fn a_target_that_a_stack_names_stays(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let target = stored(&test, target("cellar")).await;
    let stack = Stack { target: Some("cellar".into()), ..sample.stack.clone() };
    let row = stack.clone();
    test.db
        .write(move |tx| {
            let row = row.clone();
            Box::pin(async move { stacks::update(tx, &row).await })
        })
        .await
        .unwrap();
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(stacks::find(&mut conn, "web").await.unwrap().target, stack.target);
    assert_eq!(stacks::list_by_target(&mut conn, "cellar").await.unwrap().len(), 1);
    assert_eq!(stacks::list_by_target(&mut conn, "attic").await.unwrap().len(), 0);
    drop(conn);
    let id = target.id.clone();
    let refused = test
        .db
        .write(move |tx| {
            let id = id.clone();
            Box::pin(async move { targets::delete(tx, &id).await })
        })
        .await;
    assert!(refused.is_err(), "the database itself keeps it");
    let id = sample.stack.id.clone();
    test.db
        .write(move |tx| {
            let (stack, target) = (id.clone(), target.id.clone());
            Box::pin(async move {
                stacks::delete(tx, &stack).await?;
                targets::delete(tx, &target).await
            })
        })
        .await
        .unwrap();
    assert_eq!(targets::list(&mut test.db.read().await.unwrap()).await.unwrap(), []);
}
