//! Providers, jobs, builds, and which deployment waits for what.

use serde_json::{Map, json};
use windlass::{
    domain::{
        Id,
        ci::{CiBuild, CiJob, CiStatus},
        cicd::{
            CicdBuild, CicdJob, CicdProvider, JobParams, Mapping, Origin, StackCi, StackCiSettings, Start,
        },
        page::PageRequest,
        stack::Stack,
    },
    error::Error,
    store::{
        Tx, ci_builds, cicd_jobs, cicd_providers, deployment_cicd_mappings as mappings, new_id, now,
        stack_ci, stacks,
    },
};
use windlass_tests::{database::TestDb, on_both_databases, sample};

on_both_databases!(
    what_is_stored_comes_back,
    a_job_that_two_rows_mean_becomes_one,
    a_build_is_known_to_a_job_once_and_goes_with_it,
    a_provider_that_a_stack_needs_stays,
    a_look_that_is_due_is_taken_once,
    what_may_be_ours_or_is_another_jobs_is_known,
);

fn job(provider: &CicdProvider, external: &str) -> CicdJob {
    CicdJob {
        id: new_id(),
        seq: 0,
        provider_id: provider.id.clone(),
        external_id: external.into(),
        name: "web".into(),
        description: Some("a \u{1F6A2}".into()),
        parameters: Map::from_iter([("TARGET".to_owned(), json!("qa"))]),
        trigger_token: None,
        trigger_url: None,
        job_url: None,
        status: None,
        last_build_number: None,
        last_synced_at: None,
        spec: JobParams { name: "web".into(), committed: true, ..JobParams::default() },
        made_at: None,
        look_at: None,
        creator_id: None,
        team_id: None,
        created_at: now(),
        updated_at: now(),
    }
}

fn build(job: &CicdJob, external: Option<&str>) -> CicdBuild {
    CicdBuild {
        id: new_id(),
        seq: 0,
        job_id: job.id.clone(),
        deployment_id: None,
        external_id: external.map(str::to_owned),
        number: String::new(),
        status: CiStatus::Pending,
        status_word: None,
        url: None,
        ref_name: Some("main".into()),
        parameters: job.parameters.clone(),
        origin: Origin::Api,
        attempt: 1,
        start: Start::None,
        cancel_requested: false,
        hinted_at: None,
        deadline_at: now() + 1000,
        log_cursor: None,
        log_complete: false,
        trouble: None,
        trouble_since: None,
        error: None,
        started_at: None,
        finished_at: None,
        settled_at: None,
        timeout_secs: 600,
        retries: 2,
        failover: None,
        successor_id: None,
        created_at: now(),
        updated_at: now(),
    }
}

fn assigned(stack: &Stack, provider: &CicdProvider, job: Option<&Id>) -> StackCi {
    let settings: StackCiSettings =
        serde_json::from_value(json!({ "job": { "committed": true }, "retries": 2 })).unwrap();
    StackCi {
        stack_id: stack.id.clone(),
        provider_id: provider.id.clone(),
        job_id: job.cloned(),
        settings,
        created_at: 1,
        updated_at: 2,
    }
}

async fn stored(tx: &mut Tx, external: &str) -> (CicdProvider, CicdJob) {
    let provider = cicd_providers::insert(tx, sample::provider(external)).await.unwrap();
    let job = cicd_jobs::insert(tx, job(&provider, external)).await.unwrap();
    (provider, job)
}

async fn what_is_stored_comes_back(test: TestDb) {
    let stack = sample::store(&test.db, "web").await.stack;
    let deployment = sample::store_deployments(&test.db, &stack, 1).await.remove(0);
    let write = test.db.write(move |tx| {
        Box::pin(async move {
            let (mut provider, mut job) = stored(tx, "a/b").await;
            assert_eq!(cicd_providers::find(tx, "a/b").await?, provider);
            assert_eq!(cicd_providers::find(tx, "1").await?, provider);
            assert_eq!(cicd_jobs::find(tx, job.id.as_str()).await?, job);
            provider.health.unwell(5, "it\0fails".into(), false, None);
            cicd_providers::set_health(tx, &provider.id, &provider.health).await?;
            assert_eq!(cicd_providers::find(tx, "1").await?.health.failing_since, Some(5));
            // A change that was begun before a credential was replaced does not undo that.
            let replaced = Some("x2:1:other:other".to_owned());
            cicd_providers::set_credentials(tx, &provider.id, replaced.clone()).await?;
            cicd_providers::update(tx, &provider).await?;
            assert_eq!(cicd_providers::find(tx, "1").await?.credentials, replaced);
            cicd_jobs::set_status(tx, &job.id, CiStatus::Running, "7", 9).await?;
            cicd_jobs::set_status(tx, &job.id, CiStatus::Success, "", 9).await?;
            job = cicd_jobs::find(tx, "1").await?;
            assert_eq!((job.status, job.last_build_number.as_deref()), (Some(CiStatus::Success), Some("7")));

            let mut build = ci_builds::insert(
                tx,
                CicdBuild { deployment_id: Some(deployment.id.clone()), ..build(&job, None) },
            )
            .await?;
            build.learn(&CiBuild {
                id: "queue-1".into(),
                number: "7".into(),
                status: CiStatus::Unknown,
                status_word: Some("ODD".into()),
                url: Some("https://ci.example/7".into()),
                started_at: Some(3),
                finished_at: None,
                poll_after_secs: None,
            });
            ci_builds::update(tx, &build).await?;
            ci_builds::set_trouble(tx, &build.id, Some("gone"), 11).await?;
            ci_builds::set_trouble(tx, &build.id, Some("still gone"), 12).await?;
            ci_builds::set_log(tx, &build.id, "40", true, Some(13)).await?;
            assert!(ci_builds::request_cancel(tx, &build.id, 14, 15).await?);
            assert!(!ci_builds::request_cancel(tx, &build.id, 14, 15).await?);
            let wanted = CicdBuild {
                trouble: Some("still gone".into()),
                trouble_since: Some(11),
                log_cursor: Some("40".into()),
                log_complete: true,
                cancel_requested: true,
                hinted_at: Some(14),
                deadline_at: 15,
                updated_at: 14,
                ..build
            };
            assert_eq!(ci_builds::hold(tx, &wanted.id).await?, wanted);
            assert_eq!(ci_builds::list_by_deployment(tx, &deployment.id).await?, [wanted]);
            assert_eq!(ci_builds::count(tx).await?, [("anvil".to_owned(), CiStatus::Unknown, 1)]);

            let mapping = Mapping {
                id: new_id(),
                deployment_id: deployment.id.clone(),
                cicd_job_id: job.id.clone(),
                parameters: job.parameters.clone(),
                build_number: None,
                build_url: None,
                created_at: 1,
                updated_at: 1,
            };
            mappings::insert(tx, &mapping).await?;
            mappings::set_build(tx, &deployment.id, "7", Some("https://ci.example/7"), 2).await?;
            mappings::set_build(tx, &deployment.id, "", None, 3).await?;
            let kept = mappings::by_deployment(tx, &deployment.id).await?.unwrap();
            assert_eq!((kept.build_number.as_deref(), kept.updated_at), (Some("7"), 3));
            Ok(())
        })
    });
    write.await.unwrap();
}

async fn a_job_that_two_rows_mean_becomes_one(test: TestDb) {
    let stack = sample::store(&test.db, "web").await.stack;
    let write = test.db.write(move |tx| {
        Box::pin(async move {
            let (provider, first) = stored(tx, "a/b").await;
            let second = cicd_jobs::insert(tx, job(&provider, "not made yet")).await?;
            stack_ci::put(tx, &assigned(&stack, &provider, Some(&second.id))).await?;
            let build = ci_builds::insert(tx, build(&second, None)).await?;
            let said = CiJob {
                id: "a/b".into(),
                name: "b".into(),
                url: Some("https://ci.example/a/b".into()),
                trigger_url: None,
                buildable: true,
                last_build: None,
            };
            assert_eq!(cicd_jobs::made(tx, &second, &said, 5).await?, first.id);
            assert_eq!(ci_builds::find(tx, build.id.as_str()).await?.job_id, first.id);
            assert_eq!(stack_ci::find_opt(tx, &stack.id).await?.unwrap().job_id, Some(first.id.clone()));
            assert_eq!(cicd_jobs::find_id(tx, second.id.as_str()).await?, None);
            assert_eq!(cicd_jobs::find(tx, first.id.as_str()).await?.made_at, Some(5));
            Ok(())
        })
    });
    write.await.unwrap();
}

async fn a_build_is_known_to_a_job_once_and_goes_with_it(test: TestDb) {
    let write = test.db.write(|tx| {
        Box::pin(async move {
            let (_, job) = stored(tx, "a").await;
            let first = ci_builds::insert(tx, build(&job, Some("7"))).await?;
            // Those without a name are not alike.
            ci_builds::insert(tx, build(&job, None)).await?;
            ci_builds::insert(tx, build(&job, None)).await?;
            assert_eq!(ci_builds::find_external(tx, &job.id, "7").await?, Some(first));
            assert_eq!(ci_builds::list_by_job(tx, &job.id, PageRequest::first(2)).await?.items.len(), 2);
            assert_eq!(ci_builds::list_open(tx).await?.len(), 3);
            Ok(job)
        })
    });
    let job = write.await.unwrap();
    let again = job.clone();
    let twice = test
        .db
        .write(move |tx| Box::pin(async move { ci_builds::insert(tx, build(&again, Some("7"))).await }));
    assert!(matches!(twice.await, Err(Error::Conflict(_))));
    let delete = test.db.write(move |tx| {
        Box::pin(async move {
            cicd_jobs::delete(tx, &job.id).await?;
            ci_builds::list_open(tx).await
        })
    });
    assert!(delete.await.unwrap().is_empty());
}

async fn a_look_that_is_due_is_taken_once(test: TestDb) {
    let write = test.db.write(|tx| {
        Box::pin(async move {
            let (provider, row) = stored(tx, "a").await;
            let said = CiJob {
                id: "a".into(),
                name: "a".into(),
                url: None,
                trigger_url: None,
                buildable: true,
                last_build: None,
            };
            cicd_jobs::made(tx, &row, &said, 5).await?;
            assert_eq!(cicd_jobs::list_due(tx, now(), 5, 2).await?, [], "it is not watched");
            let spec = JobParams { watch: true, ..row.spec.clone() };
            cicd_jobs::made(tx, &CicdJob { spec, ..row.clone() }, &said, 5).await?;
            cicd_jobs::look_by(tx, &row.id, 7).await?;
            cicd_jobs::look_by(tx, &row.id, 9).await?;
            assert_eq!(cicd_jobs::list_due(tx, 6, 5, 2).await?, []);
            let due = cicd_jobs::list_due(tx, 7, 5, 2).await?.remove(0);
            assert!(cicd_jobs::claim_look(tx, &due, Some(70)).await?);
            assert!(!cicd_jobs::claim_look(tx, &due, Some(700)).await?);
            let due = cicd_jobs::list_due(tx, 70, 5, 2).await?.remove(0);
            assert!(cicd_jobs::claim_look(tx, &due, None).await?);
            assert_eq!(cicd_jobs::find(tx, row.id.as_str()).await?.look_at, None);
            // A provider with many leaves room for others.
            for name in ["b", "c", "d"] {
                let more = cicd_jobs::insert(tx, job(&provider, name)).await?;
                let spec = JobParams { watch: true, ..more.spec.clone() };
                let said = CiJob { id: name.into(), ..said.clone() };
                cicd_jobs::made(tx, &CicdJob { spec, ..more.clone() }, &said, 5).await?;
                cicd_jobs::look_by(tx, &more.id, 7).await?;
            }
            assert_eq!(cicd_jobs::list_due(tx, 7, 5, 2).await?.len(), 2);
            assert_eq!(cicd_jobs::list_due(tx, 7, 5, 5).await?.len(), 3);
            Ok(())
        })
    });
    write.await.unwrap();
}

async fn what_may_be_ours_or_is_another_jobs_is_known(test: TestDb) {
    let write = test.db.write(|tx| {
        Box::pin(async move {
            let (provider, first) = stored(tx, "a").await;
            let second = cicd_jobs::insert(tx, job(&provider, "b")).await?;
            let url = "https://ci.example/7";
            let known = CicdBuild {
                number: "7".into(),
                url: Some(url.into()),
                start: Start::Known,
                ..build(&first, Some("7"))
            };
            ci_builds::insert(tx, known).await?;
            assert!(!ci_builds::may_be_ours(tx, &second).await?);
            assert!(ci_builds::is_elsewhere(tx, &second, "7", url).await?);
            assert!(!ci_builds::is_elsewhere(tx, &second, "7", "https://ci.example/b/7").await?);
            // What is just being started may be anybody's; what was started and has no number, its own job's.
            let waiting = ci_builds::insert(tx, build(&first, None)).await?;
            assert!(!ci_builds::may_be_ours(tx, &first).await?, "nothing was sent");
            ci_builds::update(tx, &CicdBuild { start: Start::Known, ..waiting.clone() }).await?;
            assert!(ci_builds::may_be_ours(tx, &first).await?);
            assert!(!ci_builds::may_be_ours(tx, &second).await?);
            ci_builds::update(tx, &CicdBuild { start: Start::Sent, ..waiting }).await?;
            assert!(ci_builds::may_be_ours(tx, &second).await?);
            Ok(())
        })
    });
    write.await.unwrap();
}

async fn a_provider_that_a_stack_needs_stays(test: TestDb) {
    let stack = sample::store(&test.db, "web").await.stack;
    let id = stack.id.clone();
    let write = test.db.write(move |tx| {
        Box::pin(async move {
            let (provider, job) = stored(tx, "a").await;
            let row = assigned(&stack, &provider, Some(&job.id));
            stack_ci::put(tx, &row).await?;
            let changed = StackCi { updated_at: 3, job_id: None, ..row };
            stack_ci::put(tx, &changed).await?;
            assert_eq!(stack_ci::by_provider(tx, &provider.id).await?, Some(changed));
            Ok(provider.id)
        })
    });
    let provider = write.await.unwrap();
    let needed = provider.clone();
    let refused = test.db.write(move |tx| Box::pin(async move { cicd_providers::delete(tx, &needed).await }));
    assert!(matches!(refused.await, Err(Error::Conflict(_))));
    let free = test.db.write(move |tx| {
        Box::pin(async move {
            stacks::delete(tx, &id).await?;
            cicd_providers::delete(tx, &provider).await
        })
    });
    free.await.unwrap();
}
