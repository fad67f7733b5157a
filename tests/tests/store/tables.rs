//! Every table: what goes in comes out, what must not happen is refused, lists page.

use serde_json::json;
use windlass::{
    domain::{
        Id,
        access::{Limit, Reach, Role},
        admission::{PluginRecord, PluginState},
        page::PageRequest,
        plugin::PluginKind,
        release::ReleaseState,
        rollout::Weight,
        token::{Token, TokenKind},
    },
    error::Error,
    store::{
        build_configs, builds, deployments, events, new_id, now, plugins, projects, releases, repositories,
        routes, stacks, tokens,
    },
};
use windlass_tests::{database::TestDb, on_both_databases, sample};

on_both_databases!(
    a_stack_is_found_by_id_number_and_name,
    names_are_taken_once,
    a_repository_and_a_build_configuration_come_back_as_they_were,
    deleting_a_stack_deletes_what_hangs_on_it,
    a_route_counts_its_versions,
    a_token_records_its_use_once_a_minute,
    a_plugin_is_saved_over_itself_and_listed_by_name,
    a_stack_that_needs_a_plugin_is_found_by_what_it_needs_it_for,
    pages_follow_each_other_without_gap_or_overlap,
    events_are_read_from_a_cursor_and_pruned,
);

async fn a_plugin_is_saved_over_itself_and_listed_by_name(test: TestDb) {
    let record = PluginRecord {
        name: "mine".into(),
        digest: Some("ab".repeat(32)),
        source: "path:./mine.wasm".into(),
        state: PluginState::Enabled,
        last_good_digest: None,
        granted: vec!["http:self".into()],
        reason: None,
        installed: false,
        created_at: 1,
        updated_at: 1,
    };
    let changed = PluginRecord {
        digest: None,
        state: PluginState::AwaitingApproval,
        last_good_digest: record.digest.clone(),
        granted: Vec::new(),
        reason: Some("it asks for \0 more".into()),
        installed: true,
        created_at: 9,
        updated_at: 2,
        ..record.clone()
    };
    let other = PluginRecord { name: "another".into(), state: PluginState::Quarantined, ..record.clone() };
    for saved in [record.clone(), other.clone(), record.clone()] {
        test.db.write(move |tx| Box::pin(async move { plugins::save(tx, &saved).await })).await.unwrap();
    }
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(plugins::list(&mut conn).await.unwrap(), [other, record]);
    let update = changed.clone();
    test.db.write(move |tx| Box::pin(async move { plugins::save(tx, &update).await })).await.unwrap();
    let expected =
        PluginRecord { created_at: 1, reason: Some("it asks for \u{fffd} more".into()), ..changed };
    assert_eq!(plugins::find_opt(&mut conn, "mine").await.unwrap(), Some(expected));
    assert_eq!(plugins::find_opt(&mut conn, "nothing").await.unwrap(), None);
    drop(conn);
    for _ in 0..2 {
        test.db.write(|tx| Box::pin(async move { plugins::delete(tx, "mine").await })).await.unwrap();
    }
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(plugins::find_opt(&mut conn, "mine").await.unwrap(), None);
    assert_eq!(plugins::list(&mut conn).await.unwrap().len(), 1);
}

async fn a_stack_that_needs_a_plugin_is_found_by_what_it_needs_it_for(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let (strategy, forge) = (sample.stack.strategy.clone(), sample.repository.provider.clone());
    let config = sample::build_config(&sample.stack, Some(&sample.repository));
    let planner = config.settings.build_type.replace('_', "-");
    test.db.write(move |tx| Box::pin(async move { build_configs::insert(tx, &config).await })).await.unwrap();
    let mut conn = test.db.read().await.unwrap();
    for kind in PluginKind::ALL {
        for plugin in [strategy.as_str(), planner.as_str(), forge.as_str()] {
            let is_needed = match kind {
                PluginKind::DeploymentStrategy => plugin == strategy,
                PluginKind::BuildPlanner => plugin == planner,
                PluginKind::GitForge => plugin == forge,
                _ => false,
            };
            let found = stacks::using(&mut conn, plugin, kind).await.unwrap();
            assert_eq!(
                found.map(|stack| stack.name),
                is_needed.then(|| "web".to_owned()),
                "{kind:?} {plugin}"
            );
        }
    }
}

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
    repository.commit_status = false;
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
                let log = sample::log("logs/build-1");
                deployments::set_logs(tx, &known.id, Some(&log), None).await?;
                builds::set_log_kept(tx, &build.id, &log).await?;
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
    let log = sample::log("logs/build-1");
    assert_eq!(deployments::logs(&mut conn, &deployment.id).await.unwrap(), (Some(log.clone()), None));
    assert_eq!(builds::find(&mut conn, build.id.as_str()).await.unwrap().log_size, 700);
    assert_eq!(builds::log_kept(&mut conn, &build.id).await.unwrap(), Some(log));
    let id = sample.stack.id.clone();
    test.db.write(move |tx| Box::pin(async move { stacks::delete(tx, &id).await })).await.unwrap();
    assert!(not_found(&deployments::find(&mut conn, deployment.id.as_str()).await));
    assert!(not_found(&builds::find(&mut conn, build.id.as_str()).await));
    assert!(not_found(&releases::find(&mut conn, release.id.as_str()).await));
    assert!(build_configs::by_stack(&mut conn, &sample.stack.id).await.unwrap().is_none());
    assert!(routes::get(&mut conn, &sample.stack.id).await.unwrap().is_none());
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
        user_id: None,
        kind: TokenKind::Api,
        limit: Limit { role: Some(Role::Deployer), team: None, project: None },
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
    assert_eq!(tokens::list(&mut conn, PageRequest::first(5), None).await.unwrap().items, [stored]);
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
    let all = deployments::list(&mut conn, PageRequest::first(14), &Reach::EVERYTHING).await.unwrap();
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
    assert_eq!(
        numbers(events::list_after(&mut conn, 4, 3, None, &Reach::EVERYTHING).await.unwrap()),
        [5, 6, 7]
    );
    assert_eq!(
        numbers(events::list_after(&mut conn, 4, 9, Some(&stack), &Reach::EVERYTHING).await.unwrap()),
        [5, 7, 9]
    );
    let pruned =
        test.db.write(|tx| Box::pin(async move { events::prune(tx, now() + 1, 4).await })).await.unwrap();
    assert_eq!(pruned, 4);
    assert_eq!(events::list_after(&mut conn, 0, 99, None, &Reach::EVERYTHING).await.unwrap().len(), 6);
    assert_eq!(events::latest_seq(&mut conn).await.unwrap(), 10, "a cursor stays valid");
}
