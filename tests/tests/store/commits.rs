//! What became of commits.

use windlass::domain::deployment::{Deployment, DeploymentStatus};
use windlass::store::{commit_fates, deployments};
use windlass_tests::{database::TestDb, on_both_databases, sample};

on_both_databases!(the_newest_deployment_of_each_commit_is_told, another_stacks_deployments_are_not_told);

async fn store(test: &TestDb, deployment: Deployment) -> i64 {
    let write = test.db.write(move |tx| Box::pin(async move { deployments::insert(tx, deployment).await }));
    write.await.unwrap().seq
}

async fn the_newest_deployment_of_each_commit_is_told(test: TestDb) {
    let stack = sample::store(&test.db, "web").await.stack;
    let (one, two, three) = ("1".repeat(40), "2".repeat(40), "3".repeat(40));
    let of = |sha: &str, status| Deployment { commit_sha: sha.into(), status, ..sample::deployment(&stack) };
    store(&test, of(&one, DeploymentStatus::Successful)).await;
    let newest = store(&test, of(&one, DeploymentStatus::Failed)).await;
    store(&test, of("", DeploymentStatus::Pending)).await;
    let failed = store(&test, of(&two, DeploymentStatus::Failed)).await;
    store(&test, of(&"4".repeat(40), DeploymentStatus::Successful)).await;
    let asked = [one.as_str(), two.as_str(), three.as_str()];
    let mut conn = test.db.read().await.unwrap();
    let mut found = commit_fates::list(&mut conn, &stack.id, &asked).await.unwrap();
    found.sort_by_key(|fate| fate.seq);
    let told: Vec<_> = found
        .iter()
        .map(|fate| (fate.commit_sha.as_str(), fate.seq, fate.status, fate.was_successful))
        .collect();
    let wanted = [
        (one.as_str(), newest, DeploymentStatus::Failed, true),
        (two.as_str(), failed, DeploymentStatus::Failed, false),
    ];
    assert_eq!(told, wanted);
    assert_eq!(commit_fates::list(&mut conn, &stack.id, &[]).await.unwrap(), []);
}

async fn another_stacks_deployments_are_not_told(test: TestDb) {
    let (web, shop) =
        (sample::store(&test.db, "web").await.stack, sample::store(&test.db, "shop").await.stack);
    let deployment = sample::deployment(&web);
    let sha = deployment.commit_sha.clone();
    store(&test, deployment).await;
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(commit_fates::list(&mut conn, &shop.id, &[&sha]).await.unwrap(), []);
    assert_eq!(commit_fates::list(&mut conn, &web.id, &[&sha]).await.unwrap().len(), 1);
}
