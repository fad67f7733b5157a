//! What is remembered of the forge of a repository: what it was shown, and what went wrong.

use windlass::domain::deployment::{Deployment, DeploymentStatus};
use windlass::store::{deployments, new_id, repositories};
use windlass_tests::{database::TestDb, on_both_databases, sample};

on_both_databases!(
    a_commits_newest_deployment_is_found_and_what_was_told_of_it,
    an_error_is_news_only_when_it_changes,
    a_hook_is_remembered_until_it_is_gone,
);

const COMMIT: &str = "7638417db6d59f3c431d3e1f261cc637155684cd";

async fn a_commits_newest_deployment_is_found_and_what_was_told_of_it(test: TestDb) {
    let stack = sample::store(&test.db, "web").await.stack;
    let other = sample::store(&test.db, "other").await.stack;
    let (id, own) = (stack.id.clone(), stack.clone());
    let stored: Vec<Deployment> = test
        .db
        .write(move |tx| {
            let (own, other) = (own.clone(), other.clone());
            Box::pin(async move {
                let mut stored = Vec::new();
                for stack in [&own, &own, &own, &other] {
                    stored.push(deployments::insert(tx, sample::deployment(stack)).await?);
                }
                for n in [0, 1, 3] {
                    deployments::set_commit(tx, &stored[n].id, COMMIT, Some("v1")).await?;
                }
                deployments::set_told(tx, &stored[1].id, DeploymentStatus::Building).await?;
                Ok(stored)
            })
        })
        .await
        .unwrap();
    let mut conn = test.db.read().await.unwrap();
    let found = deployments::latest_of_commit(&mut conn, &id, COMMIT).await.unwrap().unwrap();
    assert_eq!((&found.id, found.commit_sha.as_str()), (&stored[1].id, COMMIT));
    assert_eq!(found.tag.as_deref(), Some("v1"));
    assert_eq!(deployments::latest_of_commit(&mut conn, &id, "else").await.unwrap(), None);
    let told = deployments::told(&mut conn, &stored[1].id).await.unwrap();
    assert_eq!(told, Some(DeploymentStatus::Building));
    assert_eq!(deployments::told(&mut conn, &stored[0].id).await.unwrap(), None);
    assert_eq!(deployments::told(&mut conn, &new_id()).await.unwrap(), None);
}

async fn an_error_is_news_only_when_it_changes(test: TestDb) {
    let repository = sample::store(&test.db, "web").await.repository;
    let id = repository.id.clone();
    let news = test
        .db
        .write(move |tx| {
            let id = id.clone();
            Box::pin(async move {
                let mut news = Vec::new();
                for error in [None, Some("away"), Some("away"), Some("refused"), None, None, Some("away")] {
                    news.push(repositories::set_commit_status_error(tx, &id, error).await?);
                }
                // What a person changes is something else.
                repositories::update(tx, &repository).await?;
                Ok(news)
            })
        })
        .await
        .unwrap();
    assert_eq!(news, [false, true, false, true, true, false, true]);
    let mut conn = test.db.read().await.unwrap();
    let sample = repositories::list_by_provider(&mut conn, "forge").await.unwrap();
    assert_eq!(sample[0].commit_status_error.as_deref(), Some("away"));
}

async fn a_hook_is_remembered_until_it_is_gone(test: TestDb) {
    let repository = sample::store(&test.db, "web").await.repository;
    let id = repository.id.clone();
    let seen = test
        .db
        .write(move |tx| {
            Box::pin(async move {
                let mut seen = Vec::new();
                // Nobody is told of what is not there.
                let is_there = repositories::set_hook_told(tx, &id, "7", Ok("1")).await?;
                repositories::set_hook(tx, &id, Some("7")).await?;
                let row = repositories::find(tx, &id).await?;
                seen.push((is_there, row.hook_id, row.hook_error));
                // The second is about one that somebody has registered anew meanwhile.
                for (known, told) in [("7", Err("away")), ("6", Ok("9")), ("7", Ok("8"))] {
                    let is_there = repositories::set_hook_told(tx, &id, known, told).await?;
                    let row = repositories::find(tx, &id).await?;
                    seen.push((is_there, row.hook_id, row.hook_error));
                }
                repositories::set_hook_told(tx, &id, "8", Err("away")).await?;
                // What a person changes is something else.
                repositories::update(tx, &repository).await?;
                repositories::set_hook(tx, &id, None).await?;
                let row = repositories::find(tx, &id).await?;
                seen.push((false, row.hook_id, row.hook_error));
                Ok(seen)
            })
        })
        .await
        .unwrap();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        seen,
        [
            (false, text("7"), None),
            (true, text("7"), text("away")),
            (false, text("7"), text("away")),
            (true, text("8"), None),
            (false, None, None),
        ]
    );
}
