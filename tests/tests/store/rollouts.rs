//! Builds, deployments and the journal of a rollout: state machines and fences in SQL.

use serde_json::json;
use windlass::{
    domain::{
        Id,
        approval::{Approval, ApprovalState},
        build::BuildStatus,
        deployment::DeploymentStatus,
        event::{EventKind, NewEvent},
        rollout::{Effect, JournalEntry, JournalState},
    },
    error::Error,
    store::{approvals, builds, deployments, events, new_id, now, releases, rollout_steps},
};
use windlass_tests::{database::TestDb, on_both_databases, sample};

on_both_databases!(
    a_build_moves_only_along_its_states,
    a_deployment_moves_only_along_its_states,
    a_rollout_is_saved_by_its_latest_owner_only,
    an_abort_is_asked_for_once_and_survives_saving,
    a_rollback_finds_the_last_good_deployment_of_another_release,
    the_journal_of_a_rollout_keeps_its_order,
    what_its_steps_were_called_is_found_among_the_events,
    a_question_is_answered_once_and_ends_with_the_next_one,
    a_paused_rollout_gets_its_time_back,
);

fn conflict<T>(outcome: &Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::Conflict(_)))
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
    assert_eq!(builds::list_nonterminal(&mut conn).await.unwrap(), std::slice::from_ref(&build));
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

async fn what_its_steps_were_called_is_found_among_the_events(test: TestDb) {
    let (stack, deployment) = (new_id(), new_id());
    let step = |kind, subject: &Id, data| NewEvent {
        kind,
        stack_id: Some(stack.clone()),
        subject_id: Some(subject.clone()),
        data,
    };
    let told = [
        step(EventKind::DeploymentStep, &deployment, json!({ "label": "one" })),
        step(EventKind::DeploymentStep, &new_id(), json!({ "label": "another deployment's" })),
        step(EventKind::DeploymentStatus, &deployment, json!({ "label": "no step" })),
        step(EventKind::DeploymentStep, &deployment, json!({ "progress": 5 })),
        step(EventKind::DeploymentStep, &deployment, json!({ "label": "two" })),
    ];
    let begun = now();
    let append = test.db.write(move |tx| {
        let told = told.clone();
        Box::pin(async move {
            for event in told {
                events::append(tx, event).await?;
            }
            Ok(())
        })
    });
    append.await.unwrap();
    let mut conn = test.db.read().await.unwrap();
    for (span, most, wanted) in [
        ((begun, now()), 10, &["one", "two"][..]),
        ((begun, now()), 2, &["two"]),
        ((begun - 10, begun - 1), 10, &[]),
        ((now() + 60_000, now() + 70_000), 10, &[]),
    ] {
        let found = events::step_labels(&mut conn, &stack, &deployment, span, most).await.unwrap();
        let labels: Vec<&str> = found.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, wanted, "{span:?}, at most {most}");
    }
}

fn question(deployment: &Id, prompt: &str, asked_at: i64) -> Approval {
    Approval {
        id: new_id(),
        deployment_id: deployment.clone(),
        prompt: prompt.into(),
        plan_hash: "abc".into(),
        state: ApprovalState::Open,
        asked_at,
        expires_at: asked_at + 1000,
        decided_at: None,
        decided_by: None,
        comment: None,
    }
}

async fn a_question_is_answered_once_and_ends_with_the_next_one(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let id = sample::store_deployments(&test.db, &sample.stack, 1).await.remove(0).id;
    let (first, second) = (question(&id, "May it go on?", 10), question(&id, "And now?", 20));
    let (one, two) = (first.clone(), second.clone());
    let answers = test
        .db
        .write(move |tx| {
            Box::pin(async move {
                approvals::insert(tx, &one).await?;
                approvals::insert(tx, &two).await?;
                let (yes, no) = (ApprovalState::Approved, ApprovalState::Rejected);
                let late = approvals::decide(tx, &one.id, yes, "ada", None, 30).await?;
                let first = approvals::decide(tx, &two.id, no, "ada", Some("not \"now\""), 31).await?;
                let again = approvals::decide(tx, &two.id, yes, "bob", None, 32).await?;
                let closed =
                    approvals::close_open(tx, &two.deployment_id, ApprovalState::Expired, 33).await?;
                Ok([late, first, again, closed])
            })
        })
        .await
        .unwrap();
    assert_eq!(answers, [false, true, false, false]);
    let known = approvals::list(&mut test.db.read().await.unwrap(), &id).await.unwrap();
    let withdrawn = Approval { state: ApprovalState::Withdrawn, decided_at: Some(20), ..first };
    let rejected = Approval {
        state: ApprovalState::Rejected,
        decided_at: Some(31),
        decided_by: Some("ada".into()),
        comment: Some("not \"now\"".into()),
        ..second
    };
    assert_eq!(known, [withdrawn, rejected]);
}

async fn a_paused_rollout_gets_its_time_back(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let mut deployment = sample::store_deployments(&test.db, &sample.stack, 1).await.remove(0);
    deployment.rollout.deadline_at = Some(1000);
    let id = deployment.id.clone();
    let changes = test
        .db
        .write(move |tx| {
            Box::pin(async move {
                deployments::save_rollout(tx, &deployment, 1).await?;
                let mut changes = vec![deployments::pause(tx, &deployment.id, 100).await?];
                changes.push(deployments::pause(tx, &deployment.id, 150).await?);
                changes.push(deployments::resume(tx, &deployment.id, 400).await?);
                changes.push(deployments::resume(tx, &deployment.id, 500).await?);
                // Who wants it to end does not want it to wait.
                deployments::pause(tx, &deployment.id, 600).await?;
                deployments::request_abort(tx, &deployment.id).await?;
                changes.push(deployments::pause(tx, &deployment.id, 700).await?);
                Ok(changes)
            })
        })
        .await
        .unwrap();
    assert_eq!(changes, [true, false, true, false, false]);
    let row = deployments::find(&mut test.db.read().await.unwrap(), id.as_str()).await.unwrap().rollout;
    assert_eq!((row.deadline_at, row.paused_at, row.abort_requested), (Some(1300), None, true));
}
