//! A job from its creation to its end.

use serde_json::json;
use windlass::domain::ci::CiStatus;
use windlass_tests::vendors::jenkins::{PASSWORD, VERSION};
use windlass_tests::vendors::rig::target;

use crate::{Bench, NAME, SCRIPT, rig, spec, trigger};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_lives_from_its_creation_to_its_end() {
    let rig = rig().await;
    let plugins = &rig.plugins;
    let Bench { jenkins, target } = Bench::start().await;
    let account = plugins.provider_test(NAME, &target).await.unwrap();
    assert_eq!((account.name.as_str(), account.server_version.as_str()), ("admin", VERSION));

    let job = plugins.provider_create_job(NAME, &target, &spec("app")).await.unwrap();
    assert_eq!((job.id.as_str(), job.buildable, &job.last_build), ("team/app", true, &None));
    assert!(jenkins.world().items["team"].is_folder);
    assert!(
        jenkins.world().items["team/app"]
            .config
            .contains("stage(&apos;a &lt;b&gt; &amp; &quot;c&quot;&apos;)")
    );

    let queued = plugins.provider_trigger(NAME, &target, &job.id, &trigger("key-1")).await.unwrap();
    assert_eq!((queued.id.as_str(), queued.status), ("queue-143", CiStatus::Pending));
    let status =
        async |build: &str| plugins.provider_build_status(NAME, &target, &job.id, build).await.unwrap();
    assert_eq!(status(&queued.id).await.status, CiStatus::Pending);

    let number = jenkins.world().start_next();
    let sent = jenkins.world().build("team/app", number).parameters.clone();
    assert!(sent.contains(&("TARGET".to_owned(), "x y&z=ü".to_owned())), "{sent:?}");
    let running = status(&queued.id).await;
    assert_eq!((running.id.as_str(), running.number.as_str(), running.status), ("1", "1", CiStatus::Running));

    let logs = async |cursor: Option<&str>| {
        plugins.provider_build_logs(NAME, &target, &job.id, "1", cursor).await.unwrap()
    };
    jenkins.world().build("team/app", 1).write("first line\nhalf a");
    let first = logs(None).await;
    assert_eq!((first.text.as_str(), first.complete), ("first line\n", false));
    jenkins.world().build("team/app", 1).write(" line\n");
    jenkins.world().build("team/app", 1).artifacts.insert("out/a b.bin".into(), vec![7; 5 << 20]);
    jenkins.world().build("team/app", 1).finish("SUCCESS");
    let second = logs(Some(&first.cursor)).await;
    assert_eq!((second.text.as_str(), second.complete), ("half a line\nFinished: SUCCESS\n", true));

    let ended = status("1").await;
    assert_eq!(ended.status, CiStatus::Success);
    assert!(ended.finished_at > ended.started_at && ended.url.unwrap().ends_with("/job/team/job/app/1/"));
    // The queue forgets, and the build is found by where it came from.
    jenkins.world().forget_queue();
    assert_eq!(status(&queued.id).await.id, "1");

    let found = plugins.provider_artifacts(NAME, &target, &job.id, "1").await.unwrap();
    assert_eq!(found[0].path, "out/a b.bin");
    let (mut bytes, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let which = (job.id.as_str(), "1", found[0].id.as_str());
        let piece = plugins.provider_artifact(NAME, &target, which, cursor.as_deref()).await.unwrap();
        bytes.extend(piece.bytes);
        cursor = piece.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(bytes, vec![7; 5 << 20]);

    plugins.provider_delete_job(NAME, &target, &job.id).await.unwrap();
    plugins.provider_delete_job(NAME, &target, &job.id).await.unwrap();
    let gone = plugins.provider_job_status(NAME, &target, &job.id).await.unwrap_err();
    assert!(gone.to_string().contains("no-such-job"), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_goes_with_a_crumb_and_its_session_and_a_token_without() {
    let rig = rig().await;
    let Bench { jenkins, target: with_token } = Bench::start().await;
    let with_password = target(&jenkins.fake.url, "basic", PASSWORD, json!({}));
    for (target, crumbs) in [(&with_token, 0), (&with_password, 1)] {
        jenkins.fake.forget();
        rig.plugins.provider_create_job(NAME, target, &spec("app")).await.unwrap();
        rig.plugins.provider_trigger(NAME, target, "team/app", &trigger("k")).await.unwrap();
        let seen = jenkins.fake.seen();
        assert_eq!(seen.iter().filter(|seen| seen.path() == "/crumbIssuer/api/json").count(), crumbs);
        for seen in seen.iter().filter(|seen| seen.method == "POST") {
            assert_eq!(seen.header("jenkins-crumb").is_some(), crumbs == 1);
        }
    }
    // A server that wants none is served as well.
    jenkins.world().crumbs = false;
    rig.plugins.provider_delete_job(NAME, &with_password, "team/app").await.unwrap();
    let fresh = target(&jenkins.fake.url.replace("127.0.0.1", "localhost"), "basic", PASSWORD, json!({}));
    rig.plugins.provider_create_job(NAME, &fresh, &spec("other")).await.unwrap();

    jenkins.world().crumbs = true;
    let wrong = target(&jenkins.fake.url, "basic", "admin:not-the-password", json!({}));
    let refused = rig.plugins.provider_test(NAME, &wrong).await;
    assert_eq!(rig.last(&refused).unwrap_err().advice, "auth-required");
    let refused = rig.plugins.provider_cancel(NAME, &wrong, "team/other", "1").await;
    assert_eq!(rig.last(&refused).unwrap_err().advice, "auth-required");
}

#[tokio::test(flavor = "multi_thread")]
async fn making_it_again_changes_it_and_keeps_what_people_decided() {
    let rig = rig().await;
    let (Bench { jenkins, target }, job) = Bench::with_job(&rig.plugins).await;
    jenkins.world().items.get_mut("team/app").unwrap().disabled = true;
    let mut changed = spec("app");
    changed.pipeline[0].1 = "node { echo 'new' }".into();
    let again = rig.plugins.provider_create_job(NAME, &target, &changed).await.unwrap();
    assert_eq!((again.id == job.id, again.buildable), (true, false));
    let config = jenkins.world().items["team/app"].config.clone();
    assert!(config.contains("echo &apos;new&apos;") && !config.contains("stage("), "{config}");

    let refused = rig.plugins.provider_trigger(NAME, &target, &job.id, &trigger("k")).await;
    let failed = rig.last(&refused).unwrap_err();
    assert_eq!((failed.code.as_str(), failed.sent), ("job-disabled", false));

    jenkins.world().put("team/old", "hudson.model.FreeStyleProject");
    let refused = rig.plugins.provider_create_job(NAME, &target, &spec("old")).await;
    assert_eq!(rig.last(&refused).unwrap_err().code, "invalid-job");
    assert_eq!(jenkins.world().items["team/old"].config, "<project/>");
    assert!(SCRIPT.contains("stage"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_attempt_starts_no_second_build_and_another_key_does() {
    let rig = rig().await;
    let (Bench { jenkins, target }, job) = Bench::with_job(&rig.plugins).await;
    let start = async |key: &str| {
        rig.plugins.provider_trigger(NAME, &target, &job.id, &trigger(key)).await.unwrap().id
    };
    let first = start("key-1").await;
    assert_eq!(start("key-1").await, first);
    let other = start("key-2").await;
    assert_ne!(other, first);
    jenkins.world().start_next();
    assert_eq!(start("key-1").await, "1");
    assert_eq!(jenkins.world().queue.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_gets_harder_each_time_and_empties_the_queue() {
    let rig = rig().await;
    let (Bench { jenkins, target }, job) = Bench::with_job(&rig.plugins).await;
    let queued = rig.plugins.provider_trigger(NAME, &target, &job.id, &trigger("a")).await.unwrap();
    rig.plugins.provider_cancel(NAME, &target, &job.id, &queued.id).await.unwrap();
    let status = async |build: &str| {
        rig.plugins.provider_build_status(NAME, &target, &job.id, build).await.unwrap().status
    };
    assert_eq!(status(&queued.id).await, CiStatus::Cancelled);
    rig.plugins.provider_trigger(NAME, &target, &job.id, &trigger("b")).await.unwrap();
    let number = jenkins.world().start_next();
    jenkins.world().build("team/app", number).stubborn = 2;
    jenkins.fake.forget();
    for _ in 0..3 {
        assert_eq!(status("1").await, CiStatus::Running);
        rig.plugins.provider_cancel(NAME, &target, &job.id, "1").await.unwrap();
    }
    assert_eq!(status("1").await, CiStatus::Cancelled);
    rig.plugins.provider_cancel(NAME, &target, &job.id, "1").await.unwrap();
    let posts: Vec<String> =
        jenkins.fake.trace().into_iter().filter(|line| line.starts_with("POST")).collect();
    let wanted = ["stop", "term", "kill"].map(|verb| format!("POST /job/team/job/app/1/{verb}"));
    assert_eq!(posts, wanted);
}
