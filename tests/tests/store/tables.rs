//! Every table: what goes in comes out, what must not happen is refused, lists page.

use serde_json::json;
use windlass::{
    domain::{
        Id,
        build::BuildStatus,
        deployment::DeploymentStatus,
        page::PageRequest,
        release::ReleaseState,
        rollout::{Effect, JournalEntry, JournalState, Weight},
        token::Token,
    },
    error::Error,
    store::{
        build_configs, builds, deployments, events, new_id, now, projects, releases, repositories,
        rollout_steps, routes, stacks, tokens,
    },
};
use windlass_tests::{database::TestDb, on_both_databases, sample};

on_both_databases!(
    a_stack_is_found_by_id_number_and_name,
    names_are_taken_once,
    a_repository_and_a_build_configuration_come_back_as_they_were,
    a_build_moves_only_along_its_states,
    a_deployment_moves_only_along_its_states,
    a_rollout_is_saved_by_its_latest_owner_only,
    an_abort_is_asked_for_once_and_survives_saving,
    a_rollback_finds_the_last_good_deployment_of_another_release,
    deleting_a_stack_deletes_what_hangs_on_it,
    the_journal_of_a_rollout_keeps_its_order,
    a_route_counts_its_versions,
    a_token_records_its_use_once_a_minute,
    pages_follow_each_other_without_gap_or_overlap,
    events_are_read_from_a_cursor_and_pruned,
);

fn not_found<T>(outcome: &Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::NotFound { .. }))
}

fn conflict<T>(outcome: &Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::Conflict(_)))
}

async fn a_stack_is_found_by_id_number_and_name(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let mut conn = test.db.read().await.unwrap();
    for key in [sample.stack.id.as_str(), &sample.stack.seq.to_string(), "web"] {
        assert_eq!(stacks::find(&mut conn, key).await.unwrap(), sample.stack, "{key}");
    }
    for key in [sample.project.id.as_str(), &sample.project.seq.to_string(), "web"] {
        assert_eq!(projects::find(&mut conn, key).await.unwrap(), sample.project, "{key}");
    }
    for key in ["nothing", "99", "", "99999999999999999999999"] {
        assert!(not_found(&stacks::find(&mut conn, key).await), "{key}");
    }
    let mut changed = sample.stack.clone();
    changed.description = "other".into();
    changed.strategy_params = json!([1, null]);
    let update = changed.clone();
    test.db.write(move |tx| Box::pin(async move { stacks::update(tx, &update).await })).await.unwrap();
    assert_eq!(stacks::find(&mut conn, "web").await.unwrap(), changed);
    changed.id = new_id();
    changed.name = "unheard-of".into();
    let outcome = test.db.write(move |tx| Box::pin(async move { stacks::update(tx, &changed).await })).await;
    assert!(not_found(&outcome), "{outcome:?}");
}

async fn names_are_taken_once(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let project = sample.project.clone();
    let twice = test
        .db
        .write(move |tx| Box::pin(async move { stacks::insert(tx, sample::stack(&project, "web")).await }))
        .await;
    assert!(matches!(&twice, Err(Error::Conflict(text)) if text.contains("`web`")), "{twice:?}");
    let stack = sample.stack.clone();
    let second = test
        .db
        .write(move |tx| Box::pin(async move { repositories::insert(tx, &sample::repository(&stack)).await }))
        .await;
    assert!(conflict(&second), "{second:?}");
    let mut orphan = sample::stack(&sample.project, "orphan");
    orphan.project_id = new_id();
    let orphan = test.db.write(move |tx| Box::pin(async move { stacks::insert(tx, orphan).await })).await;
    assert!(conflict(&orphan), "{orphan:?}");
}

async fn a_repository_and_a_build_configuration_come_back_as_they_were(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let config = sample::build_config(&sample.stack, Some(&sample.repository));
    let mut changed = config.clone();
    changed
        .settings
        .build_args
        .push(windlass::domain::build_config::BuildArg { name: "B".into(), value: "\n".into() });
    changed.settings.environment_variables.truncate(1);
    changed.settings.health_check_timeout = None;
    let (insert, update) = (config.clone(), changed.clone());
    let mut conn = test.db.read().await.unwrap();
    test.db.write(move |tx| Box::pin(async move { build_configs::insert(tx, &insert).await })).await.unwrap();
    assert_eq!(build_configs::by_stack(&mut conn, &sample.stack.id).await.unwrap(), Some(config));
    test.db.write(move |tx| Box::pin(async move { build_configs::update(tx, &update).await })).await.unwrap();
    assert_eq!(build_configs::find(&mut conn, &changed.id).await.unwrap(), changed);
    let mut repository = sample.repository.clone();
    repository.auto_sync = false;
    repository.webhook_secret = None;
    let update = repository.clone();
    test.db
        .write(move |tx| {
            Box::pin(async move {
                repositories::update(tx, &update).await?;
                repositories::set_synced(tx, &update.id, "abc", 5).await
            })
        })
        .await
        .unwrap();
    (repository.last_synced_commit, repository.last_synced_at) = (Some("abc".into()), Some(5));
    assert_eq!(repositories::by_stack(&mut conn, &sample.stack.id).await.unwrap(), Some(repository.clone()));
    assert_eq!(repositories::list_by_provider(&mut conn, "forge").await.unwrap(), [repository]);
    assert!(repositories::list_by_provider(&mut conn, "other").await.unwrap().is_empty());
}

async fn a_build_moves_only_along_its_states(test: TestDb) {
    use BuildStatus::{Building, Cancelled, Failed, Queued, Success};
    let sample = sample::store(&test.db, "web").await;
    let stack = sample.stack.clone();
    let build = test
        .db
        .write(move |tx| Box::pin(async move { builds::insert(tx, sample::build(&stack, None)).await }))
        .await
        .unwrap();
    let step = |from, to, now| {
        let (db, id) = (test.db.clone(), build.id.clone());
        async move {
            db.write(move |tx| {
                Box::pin(async move { builds::set_status(tx, &id, from, to, None, now).await })
            })
            .await
        }
    };
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(builds::list_nonterminal(&mut conn).await.unwrap(), [build.clone()]);
    for (from, to) in [(Queued, Success), (Queued, Queued), (Success, Failed), (Building, Failed)] {
        assert!(conflict(&step(from, to, 1).await), "{from:?} -> {to:?}");
    }
    assert_eq!(step(Queued, Building, 10).await.unwrap().started_at, Some(10));
    assert!(conflict(&step(Queued, Cancelled, 11).await), "somebody else was faster");
    let done = step(Building, Success, 20).await.unwrap();
    assert_eq!((done.started_at, done.finished_at, done.status), (Some(10), Some(20), Success));
    assert!(builds::list_nonterminal(&mut conn).await.unwrap().is_empty());
    let mut known = done.clone();
    (known.image_tag, known.image_digest, known.log_path) =
        ("app:1".into(), "sha256:9".into(), Some("b/1.log".into()));
    let update = known.clone();
    test.db
        .write(move |tx| {
            Box::pin(async move {
                builds::update(tx, &update).await?;
                builds::set_log_size(tx, &update.id, 77).await
            })
        })
        .await
        .unwrap();
    known.log_size = 77;
    assert_eq!(builds::find(&mut conn, &known.seq.to_string()).await.unwrap(), known);
}

async fn a_deployment_moves_only_along_its_states(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let mut conn = test.db.read().await.unwrap();
    for from in DeploymentStatus::ALL {
        for to in DeploymentStatus::ALL {
            let mut new = sample::deployment(&sample.stack);
            (new.status, new.started_at) = (from, 1_000);
            let (outcome, id) = test
                .db
                .write(move |tx| {
                    Box::pin(async move {
                        let id = deployments::insert(tx, new).await?.id;
                        Ok((deployments::transition(tx, &id, from, to, Some("why"), 4_500).await, id))
                    })
                })
                .await
                .unwrap();
            assert_eq!(outcome.is_ok(), from.may_become(to), "{from:?} -> {to:?}: {outcome:?}");
            let now = deployments::find(&mut conn, id.as_str()).await.unwrap();
            assert_eq!(now.status, if outcome.is_ok() { to } else { from });
            assert_eq!(now.completed_at, (outcome.is_ok() && to.is_terminal()).then_some(4_500));
        }
    }
    let stored = sample::store_deployments(&test.db, &sample.stack, 1).await.remove(0);
    let raced = test
        .db
        .write(move |tx| {
            Box::pin(async move {
                use DeploymentStatus::{Building, Deploying, Failed};
                deployments::transition(tx, &stored.id, DeploymentStatus::Pending, Building, None, 1).await?;
                deployments::transition(tx, &stored.id, DeploymentStatus::Pending, Deploying, None, 1)
                    .await
                    .map(|_| Failed)
            })
        })
        .await;
    assert!(conflict(&raced), "{raced:?}");
}

async fn a_rollout_is_saved_by_its_latest_owner_only(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let mut deployment = sample::store_deployments(&test.db, &sample.stack, 1).await.remove(0);
    let save = |label: &str, fence| {
        let (db, mut changed) = (test.db.clone(), deployment.clone());
        changed.rollout.label = label.into();
        changed.rollout.memory = vec![255; 300];
        changed.rollout.progress = 40;
        async move {
            db.write(move |tx| Box::pin(async move { deployments::save_rollout(tx, &changed, fence).await }))
                .await
        }
    };
    save("first", 5).await.unwrap();
    save("again", 5).await.unwrap();
    save("newer", 9).await.unwrap();
    assert!(conflict(&save("stale", 5).await));
    let mut conn = test.db.read().await.unwrap();
    deployment.rollout.label = "newer".into();
    deployment.rollout.memory = vec![255; 300];
    deployment.rollout.progress = 40;
    assert_eq!(deployments::find(&mut conn, deployment.id.as_str()).await.unwrap(), deployment);
}

async fn an_abort_is_asked_for_once_and_survives_saving(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let deployment = sample::store_deployments(&test.db, &sample.stack, 1).await.remove(0);
    let id = deployment.id.clone();
    let (first, second) = test
        .db
        .write(move |tx| {
            Box::pin(async move {
                let first = deployments::request_abort(tx, &id).await?;
                // The rollout's owner writes what it had read before.
                deployments::save_rollout(tx, &deployment, 1).await?;
                let second = deployments::request_abort(tx, &id).await?;
                deployments::transition(tx, &id, deployment.status, DeploymentStatus::Cancelled, None, now())
                    .await?;
                Ok((first, second))
            })
        })
        .await
        .unwrap();
    assert!(first && !second);
    let mut conn = test.db.read().await.unwrap();
    let ended = deployments::latest_by_stack(&mut conn, &sample.stack.id).await.unwrap().unwrap();
    assert!(ended.rollout.abort_requested);
    let late = test
        .db
        .write(move |tx| Box::pin(async move { deployments::request_abort(tx, &ended.id).await }))
        .await;
    assert!(conflict(&late), "{late:?}");
}

async fn a_rollback_finds_the_last_good_deployment_of_another_release(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let stack = sample.stack.clone();
    let (older, newer) = test
        .db
        .write(move |tx| {
            Box::pin(async move {
                let mut stored = Vec::new();
                for status in
                    [DeploymentStatus::Successful, DeploymentStatus::Successful, DeploymentStatus::Failed]
                {
                    let release = releases::insert(tx, sample::release(&stack, None)).await?;
                    let mut new = sample::deployment(&stack);
                    (new.status, new.release_id) = (status, Some(release.id));
                    stored.push(deployments::insert(tx, new).await?);
                }
                Ok((stored[0].clone(), stored[1].clone()))
            })
        })
        .await
        .unwrap();
    let mut conn = test.db.read().await.unwrap();
    let stack = &sample.stack.id;
    let active = newer.release_id.clone().unwrap();
    let found = deployments::last_successful_before(&mut conn, stack, i64::MAX, None).await.unwrap();
    assert_eq!(found, Some(newer.clone()));
    let found = deployments::last_successful_before(&mut conn, stack, i64::MAX, Some(&active)).await.unwrap();
    assert_eq!(found, Some(older.clone()));
    let found =
        deployments::last_successful_before(&mut conn, stack, older.seq, Some(&active)).await.unwrap();
    assert_eq!(found, None);
    assert_eq!(deployments::latest_of_release(&mut conn, stack, &active).await.unwrap(), Some(newer));
}

async fn deleting_a_stack_deletes_what_hangs_on_it(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let stack = sample.stack.clone();
    let (deployment, build, release) = test
        .db
        .write(move |tx| {
            Box::pin(async move {
                let deployment = deployments::insert(tx, sample::deployment(&stack)).await?;
                let build = builds::insert(tx, sample::build(&stack, Some(&deployment.id))).await?;
                let mut release = sample::release(&stack, Some(&deployment.id));
                release.build_id = Some(build.id.clone());
                let release = releases::insert(tx, release).await?;
                releases::set_state(tx, &release.id, ReleaseState::Good).await?;
                let mut known = deployment.clone();
                (known.build_id, known.release_id) = (Some(build.id.clone()), Some(release.id.clone()));
                deployments::update(tx, &known).await?;
                deployments::set_logs(tx, &known.id, Some("b.log"), None).await?;
                stacks::set_active_release(tx, &stack.id, Some(&release.id), now()).await?;
                routes::set(tx, &stack.id, &[], now()).await?;
                build_configs::insert(tx, &sample::build_config(&stack, None)).await?;
                Ok((deployment, build, release))
            })
        })
        .await
        .unwrap();
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(stacks::find(&mut conn, "web").await.unwrap().active_release_id, Some(release.id.clone()));
    let stored = releases::find(&mut conn, release.id.as_str()).await.unwrap();
    assert_eq!((stored.state, &stored.spec), (ReleaseState::Good, &release.spec));
    let id = sample.stack.id.clone();
    test.db.write(move |tx| Box::pin(async move { stacks::delete(tx, &id).await })).await.unwrap();
    assert!(not_found(&deployments::find(&mut conn, deployment.id.as_str()).await));
    assert!(not_found(&builds::find(&mut conn, build.id.as_str()).await));
    assert!(not_found(&releases::find(&mut conn, release.id.as_str()).await));
    assert!(build_configs::by_stack(&mut conn, &sample.stack.id).await.unwrap().is_none());
    assert!(routes::get(&mut conn, &sample.stack.id).await.unwrap().is_none());
}

async fn the_journal_of_a_rollout_keeps_its_order(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let deployment = sample::store_deployments(&test.db, &sample.stack, 1).await.remove(0);
    let entry = |n| JournalEntry {
        id: new_id(),
        deployment_id: deployment.id.clone(),
        n,
        label: "go".into(),
        effect: Effect::Stop { release: new_id(), name: format!("c{n}") },
        state: JournalState::Intent,
        error: None,
        intended_at: 1,
        done_at: None,
    };
    let mut entries: Vec<JournalEntry> = (1..=20).map(entry).collect();
    let (new, second) = (entries.clone(), vec![entry(20)]);
    test.db.write(move |tx| Box::pin(async move { rollout_steps::append(tx, &new).await })).await.unwrap();
    let raced =
        test.db.write(move |tx| Box::pin(async move { rollout_steps::append(tx, &second).await })).await;
    assert!(conflict(&raced), "two drivers of one rollout: {raced:?}");
    let (done, failed) = (entries[0].id.clone(), entries[1].id.clone());
    test.db
        .write(move |tx| {
            Box::pin(async move {
                rollout_steps::mark_done(tx, &done, 7).await?;
                rollout_steps::mark_failed(tx, &failed, "no such container", 8).await
            })
        })
        .await
        .unwrap();
    (entries[0].state, entries[0].done_at) = (JournalState::Done, Some(7));
    (entries[1].state, entries[1].done_at) = (JournalState::Failed, Some(8));
    entries[1].error = Some("no such container".into());
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(rollout_steps::list(&mut conn, &deployment.id).await.unwrap(), entries);
    assert_eq!(rollout_steps::list_open(&mut conn, &deployment.id).await.unwrap(), entries[2..]);
    assert_eq!(rollout_steps::next_n(&mut conn, &deployment.id).await.unwrap(), 21);
    assert_eq!(rollout_steps::next_n(&mut conn, &new_id()).await.unwrap(), 1);
}

async fn a_route_counts_its_versions(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let mut conn = test.db.read().await.unwrap();
    let id = sample.stack.id.clone();
    assert!(routes::get(&mut conn, &id).await.unwrap().is_none());
    for version in 1..=3 {
        let weights = vec![Weight { release: new_id(), percent: 100 }];
        let (stack, new) = (id.clone(), weights.clone());
        let route = test
            .db
            .write(move |tx| Box::pin(async move { routes::set(tx, &stack, &new, 9).await }))
            .await
            .unwrap();
        assert_eq!((route.version, &route.weights), (version, &weights));
        assert_eq!(routes::get(&mut conn, &id).await.unwrap(), Some(route));
    }
}

async fn a_token_records_its_use_once_a_minute(test: TestDb) {
    let new = Token {
        id: new_id(),
        seq: 0,
        name: "ci".into(),
        prefix: "wl_abc".into(),
        hash: "ff".into(),
        created_at: 1,
        last_used_at: None,
        expires_at: Some(9),
        revoked_at: None,
    };
    let token =
        test.db.write(move |tx| Box::pin(async move { tokens::insert(tx, new).await })).await.unwrap();
    let id = token.id.clone();
    let touched = test
        .db
        .write(move |tx| {
            Box::pin(async move {
                let mut touched = Vec::new();
                for at in [1_000_000, 1_059_999, 1_060_000] {
                    touched.push(tokens::touch_used(tx, &id, at).await?);
                }
                tokens::revoke(tx, &id, 5).await?;
                tokens::revoke(tx, &id, 6).await?;
                Ok(touched)
            })
        })
        .await
        .unwrap();
    assert_eq!(touched, [true, false, true]);
    let mut conn = test.db.read().await.unwrap();
    let stored = tokens::by_hash(&mut conn, "ff").await.unwrap().unwrap();
    assert_eq!((stored.revoked_at, stored.last_used_at), (Some(5), Some(1_060_000)));
    assert!(!tokens::is_touch_due(&stored, 1_060_001) && tokens::is_touch_due(&token, 0));
    assert!(tokens::by_hash(&mut conn, "fe").await.unwrap().is_none());
    assert_eq!(tokens::list(&mut conn, PageRequest::first(5)).await.unwrap().items, [stored]);
}

async fn pages_follow_each_other_without_gap_or_overlap(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let other = sample::store(&test.db, "other").await;
    let mut wanted = Vec::new();
    for _ in 0..7 {
        wanted.push(sample::store_deployments(&test.db, &sample.stack, 1).await.remove(0).seq);
        sample::store_deployments(&test.db, &other.stack, 1).await;
    }
    wanted.reverse();
    let mut conn = test.db.read().await.unwrap();
    let (mut seen, mut before, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = PageRequest::new(before, Some(3));
        let page = deployments::list_by_stack(&mut conn, &sample.stack.id, page).await.unwrap();
        seen.extend(page.items.iter().map(|deployment| deployment.seq));
        (before, pages) = (page.next, pages + 1);
        if before.is_none() {
            break;
        }
    }
    assert_eq!((seen, pages), (wanted, 3));
    let all = deployments::list(&mut conn, PageRequest::first(14)).await.unwrap();
    assert_eq!((all.items.len(), all.next), (14, None), "a last page that is full has no next one");
}

async fn events_are_read_from_a_cursor_and_pruned(test: TestDb) {
    let stack: Id = new_id();
    let mine = stack.clone();
    test.db
        .write(move |tx| {
            Box::pin(async move {
                for n in 0..10 {
                    events::append(tx, sample::event((n % 2 == 0).then_some(&mine))).await?;
                }
                Ok(())
            })
        })
        .await
        .unwrap();
    let mut conn = test.db.read().await.unwrap();
    let numbers = |events: Vec<windlass::domain::event::Event>| -> Vec<i64> {
        events.iter().map(|event| event.seq).collect()
    };
    assert_eq!(numbers(events::list_after(&mut conn, 4, 3, None).await.unwrap()), [5, 6, 7]);
    assert_eq!(numbers(events::list_after(&mut conn, 4, 9, Some(&stack)).await.unwrap()), [5, 7, 9]);
    let pruned =
        test.db.write(|tx| Box::pin(async move { events::prune(tx, now() + 1, 4).await })).await.unwrap();
    assert_eq!(pruned, 4);
    assert_eq!(events::list_after(&mut conn, 0, 99, None).await.unwrap().len(), 6);
    assert_eq!(events::latest_seq(&mut conn).await.unwrap(), 10, "a cursor stays valid");
}
