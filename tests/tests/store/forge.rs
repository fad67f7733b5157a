//! What is remembered of the forge of a repository: what it was shown, and what went wrong.

use windlass::domain::deployment::{Deployment, DeploymentStatus};
use windlass::domain::forge::PlacementState;
use windlass::domain::repository::{GitRepository, normalized_url};
use windlass::error::Error;
use windlass::store::{at_forge, deployments, new_id, now, repositories};
use windlass_tests::{database::TestDb, on_both_databases, sample};

on_both_databases!(
    a_commits_newest_deployment_is_found_and_what_was_told_of_it,
    what_a_forge_takes_for_running_or_serving_is_listed_the_newest_first,
    what_a_forge_was_shown_is_forgotten_when_the_repository_is_at_another,
    an_error_is_news_only_when_it_changes,
    a_repository_is_found_by_every_form_of_its_url,
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
                at_forge::set_told(tx, &stored[1].id, DeploymentStatus::Building).await?;
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
    let told = at_forge::told(&mut conn, &stored[1].id).await.unwrap();
    assert_eq!(told, Some(DeploymentStatus::Building));
    assert_eq!(at_forge::told(&mut conn, &stored[0].id).await.unwrap(), None);
    assert_eq!(at_forge::told(&mut conn, &new_id()).await.unwrap(), None);
}

async fn what_a_forge_takes_for_running_or_serving_is_listed_the_newest_first(test: TestDb) {
    let stack = sample::store(&test.db, "web").await.stack;
    let (id, own) = (stack.id.clone(), stack.clone());
    let stored: Vec<Deployment> = test
        .db
        .write(move |tx| {
            Box::pin(async move {
                let mut stored = Vec::new();
                for _ in 0..5 {
                    stored.push(deployments::insert(tx, sample::deployment(&own)).await?);
                }
                for (n, state) in [
                    (0, PlacementState::Success),
                    (1, PlacementState::Inactive),
                    (2, PlacementState::Failure),
                    (3, PlacementState::InProgress),
                ] {
                    at_forge::set_placed(tx, &stored[n].id, Some(&format!("{n}7")), state).await?;
                }
                for (n, to) in [(0, DeploymentStatus::Successful), (3, DeploymentStatus::Failed)] {
                    let (one, now) = (&stored[n].id, now());
                    let deploying = DeploymentStatus::Deploying;
                    deployments::transition(tx, one, DeploymentStatus::Pending, deploying, None, now).await?;
                    deployments::transition(tx, one, deploying, to, None, now).await?;
                }
                Ok(stored)
            })
        })
        .await
        .unwrap();
    let mut conn = test.db.read().await.unwrap();
    let open = deployments::list_open_at_forge(&mut conn, &id).await.unwrap();
    let numbers: Vec<i64> = open.iter().map(|one| one.seq).collect();
    assert_eq!(numbers, [stored[3].seq, stored[0].seq]);
    let serving = deployments::latest_successful(&mut conn, &id).await.unwrap().unwrap();
    assert_eq!(serving.id, stored[0].id);
    assert_eq!(deployments::latest_successful(&mut conn, &new_id()).await.unwrap(), None);
    let known = at_forge::placed(&mut conn, &stored[0].id).await.unwrap();
    assert_eq!(known, (Some("07".to_owned()), Some(PlacementState::Success)));
    assert_eq!(at_forge::placed(&mut conn, &stored[4].id).await.unwrap(), (None, None));
    assert_eq!(at_forge::placed(&mut conn, &new_id()).await.unwrap(), (None, None));
    drop(conn);
    // What the forge has no more neither runs nor serves there.
    let one = stored[0].id.clone();
    let write = test.db.write(move |tx| {
        Box::pin(async move { at_forge::set_placed(tx, &one, None, PlacementState::Success).await })
    });
    write.await.unwrap();
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(deployments::list_open_at_forge(&mut conn, &id).await.unwrap().len(), 1);
}

async fn what_a_forge_was_shown_is_forgotten_when_the_repository_is_at_another(test: TestDb) {
    let (own, other) = (sample::store(&test.db, "web").await, sample::store(&test.db, "other").await);
    let both = [own, other].map(|at| (at.stack, at.repository.id));
    let [left, kept] = test
        .db
        .write(move |tx| {
            Box::pin(async move {
                let mut stored = Vec::new();
                for (stack, repository) in &both {
                    let repository_id = Some(repository.clone());
                    let one = Deployment { repository_id, ..sample::deployment(stack) };
                    let id = deployments::insert(tx, one).await?.id;
                    at_forge::set_told(tx, &id, DeploymentStatus::Successful).await?;
                    at_forge::set_placed(tx, &id, Some("7"), PlacementState::Success).await?;
                    stored.push(id);
                }
                at_forge::forget(tx, &both[0].1).await?;
                Ok([stored[0].clone(), stored[1].clone()])
            })
        })
        .await
        .unwrap();
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(at_forge::placed(&mut conn, &left).await.unwrap(), (None, None));
    assert_eq!(at_forge::told(&mut conn, &left).await.unwrap(), None);
    let known = at_forge::placed(&mut conn, &kept).await.unwrap();
    assert_eq!(known, (Some("7".to_owned()), Some(PlacementState::Success)));
    assert_eq!(at_forge::told(&mut conn, &kept).await.unwrap(), Some(DeploymentStatus::Successful));
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

async fn a_repository_is_found_by_every_form_of_its_url(test: TestDb) {
    let stored = sample::store(&test.db, "web").await.repository;
    let own = vec![stored.id.clone()];
    let found = async |provider: &str, url: &str| {
        let mut conn = test.db.read().await.unwrap();
        let rows = repositories::list_by_url(&mut conn, provider, &normalized_url(url)).await.unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let forms = ["https://git.example/app.git", "http://git.example/app/", "git@git.example:app.git"];
    for form in forms {
        assert_eq!(found("forge", form).await, own, "{form}");
    }
    assert!(found("forge", "https://git.example/app2").await.is_empty());
    assert!(found("other", forms[0]).await.is_empty());

    // As a node of an older version leaves it.
    let empty = || {
        test.db.write(|tx| {
            let sql = "UPDATE git_repositories SET url_key = ''";
            Box::pin(async move { sqlx::query(sql).execute(&mut **tx).await.map_err(Error::internal) })
        })
    };
    empty().await.unwrap();
    assert_eq!(found("forge", forms[2]).await, own);
    assert!(found("forge", "https://git.example/app2").await.is_empty());
    let keyed = || test.db.write(|tx| Box::pin(repositories::key_urls(tx)));
    assert_eq!((keyed().await.unwrap(), keyed().await.unwrap()), (1, 0));
    assert_eq!(found("forge", forms[2]).await, own);

    let moved = GitRepository { url: "https://git.example/moved".into(), ..stored.clone() };
    let change = test.db.write(move |tx| {
        let moved = moved.clone();
        Box::pin(async move { repositories::update(tx, &moved).await })
    });
    change.await.unwrap();
    assert!(found("forge", forms[0]).await.is_empty());
    assert_eq!(found("forge", "ssh://git@git.example/moved.git").await, own);
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
