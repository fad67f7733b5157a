//! Each function meets each fault at each of its requests.

use futures_util::future::join_all;
use windlass::error::Result;
use windlass_tests::vendors::fault::Fault;
use windlass_tests::vendors::rig::{Rig, Said, may_have_acted};

use crate::{Bench, NAME, rig, spec, trigger};

const FUNCTIONS: [&str; 10] = [
    "test-connection",
    "create-job",
    "trigger-job",
    "get-job-status",
    "get-build-status",
    "get-build-logs",
    "cancel-build",
    "delete-job",
    "list-artifacts",
    "read-artifact",
];

/// A server with a job and a build that runs, about which nothing was said yet.
async fn prepared(rig: &Rig) -> Bench {
    let (bench, job) = Bench::with_job(&rig.plugins).await;
    rig.plugins.provider_trigger(NAME, &bench.target, &job.id, &trigger("before")).await.unwrap();
    let number = bench.jenkins.world().start_next();
    let mut world = bench.jenkins.world();
    let build = world.build("team/app", number);
    build.write("a line\n");
    build.artifacts.insert("a.txt".into(), b"content".to_vec());
    drop(world);
    bench.jenkins.fake.forget();
    rig.said();
    bench
}

async fn call(rig: &Rig, bench: &Bench, function: &str) -> Result<()> {
    let (plugins, target, job) = (&rig.plugins, &bench.target, "team/app");
    match function {
        "test-connection" => plugins.provider_test(NAME, target).await.map(drop),
        "create-job" => {
            let mut spec = spec("new");
            spec.folder = Some("team/sub".into());
            plugins.provider_create_job(NAME, target, &spec).await.map(drop)
        }
        "trigger-job" => plugins.provider_trigger(NAME, target, job, &trigger("key-1")).await.map(drop),
        "get-job-status" => plugins.provider_job_status(NAME, target, job).await.map(drop),
        "get-build-status" => plugins.provider_build_status(NAME, target, job, "queue-143").await.map(drop),
        "get-build-logs" => plugins.provider_build_logs(NAME, target, job, "1", None).await.map(drop),
        "cancel-build" => plugins.provider_cancel(NAME, target, job, "1").await,
        "delete-job" => plugins.provider_delete_job(NAME, target, job).await,
        "list-artifacts" => plugins.provider_artifacts(NAME, target, job, "1").await.map(drop),
        "read-artifact" => plugins.provider_artifact(NAME, target, (job, "1", "a.txt"), None).await.map(drop),
        other => panic!("{other} is no function"),
    }
}

/// How many requests it sends where all goes well.
async fn requests(rig: &Rig, function: &str) -> usize {
    let bench = prepared(rig).await;
    call(rig, &bench, function).await.unwrap_or_else(|error| panic!("{function}: {error}"));
    bench.jenkins.fake.seen().len()
}

/// Where it makes no difference to the function what the answer was.
fn may_succeed(function: &str, request: &str, fault: Fault) -> bool {
    // Jenkins leads on from there to the build's page, which is of no interest.
    let stops = function == "cancel-build" && (request.ends_with("/stop") || request.ends_with("/app/1/"));
    let changes = !request.starts_with("GET");
    match fault {
        // What is not there need not be deleted, stopped or taken for another one.
        Fault::Status(404) => true,
        // Nobody reads the body.
        Fault::Malformed => {
            let tail = function == "cancel-build" && request.contains("progressiveText");
            changes || stops || tail || request.contains("/artifact/")
        }
        Fault::Redirect => stops,
        _ => false,
    }
}

async fn one(
    rig: &Rig,
    function: &'static str,
    nth: usize,
    fault: Fault,
) -> (Bench, &'static str, usize, Fault) {
    let bench = prepared(rig).await;
    bench.jenkins.fake.fail_at(nth, fault);
    let _ = call(rig, &bench, function).await;
    (bench, function, nth, fault)
}

/// Checks what was said, and that the call can be made again.
async fn check(
    rig: &Rig,
    said: &[Said],
    (bench, function, nth, fault): &(Bench, &'static str, usize, Fault),
) {
    let (_, said) = said.iter().rfind(|(base, _)| *base == bench.jenkins.fake.url).expect("it was recorded");
    let seen = bench.jenkins.fake.seen();
    let changes = |at: usize| seen[at].method != "GET";
    let request = format!("{} {}", seen[*nth].method, seen[*nth].target);
    let context = format!("{function}, request {nth} ({request}), {fault:?}");
    match said {
        Ok(_) => assert!(may_succeed(function, &request, *fault), "{context}: it claims to have succeeded"),
        Err(failed) => {
            failed.expect_advice(*fault, &context);
            // Jenkins leads on after it has stopped a build, so a refusal may be that of the page.
            let leads_on = *function == "cancel-build";
            let acted = (0..*nth).any(changes) || (changes(*nth) && (may_have_acted(*fault) || leads_on));
            assert_eq!(failed.sent, acted, "{context}: {failed:?}");
        }
    }
    bench.jenkins.fake.forget();
    if let Err(error) = call(rig, bench, function).await {
        panic!("{context}: and again: {error}");
    }
    if *function == "trigger-job" {
        // Whatever happened to the first attempt, there is one build before, and one of this key.
        assert_eq!(bench.jenkins.world().queue.len(), 2, "{context}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_at_each_request_is_the_typed_failure_and_the_call_can_be_made_again() {
    let rig = rig().await;
    for function in FUNCTIONS {
        for nth in 0..requests(&rig, function).await {
            for fault in Fault::ALL.into_iter().filter(|fault| *fault != Fault::Timeout) {
                rig.said();
                let case = one(&rig, function, nth, fault).await;
                let said = rig.said();
                check(&rig, &said, &case).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_is_given_up_and_the_call_can_be_made_again() {
    let rig = rig().await;
    let mut cases = Vec::new();
    for function in FUNCTIONS {
        for nth in 0..requests(&rig, function).await {
            cases.push((function, nth));
        }
    }
    rig.said();
    // All wait at the same time.
    let cases = join_all(cases.into_iter().map(|(function, nth)| late(&rig, function, nth))).await;
    let said = rig.said();
    for case in &cases {
        check(&rig, &said, case).await;
    }
}

/// As `one`, without throwing away what others have said meanwhile.
async fn late(rig: &Rig, function: &'static str, nth: usize) -> (Bench, &'static str, usize, Fault) {
    let (bench, job) = Bench::with_job(&rig.plugins).await;
    rig.plugins.provider_trigger(NAME, &bench.target, &job.id, &trigger("before")).await.unwrap();
    bench.jenkins.world().start_next();
    bench.jenkins.world().build("team/app", 1).write("a line\n");
    bench.jenkins.world().build("team/app", 1).artifacts.insert("a.txt".into(), b"content".to_vec());
    bench.jenkins.fake.fail_at(nth, Fault::Timeout);
    let _ = call(rig, &bench, function).await;
    (bench, function, nth, Fault::Timeout)
}
