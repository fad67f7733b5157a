//! Each function meets each fault at each of its requests.

use futures_util::future::join_all;
use windlass::error::Result;
use windlass::plugins::Target;
use windlass_tests::vendors::circleci::{CONFIG, CircleCi};
use windlass_tests::vendors::fault::Fault;
use windlass_tests::vendors::rig::{Rig, Said, may_have_acted};

use crate::{JOB, NAME, bench, spec, trigger};

const FUNCTIONS: [&str; 8] = [
    "test-connection",
    "create-job",
    "trigger-job",
    "get-job-status",
    "get-build-status",
    "get-build-logs",
    "cancel-build",
    "list-artifacts",
];

struct Case {
    circleci: CircleCi,
    target: Target,
    function: &'static str,
    nth: usize,
    fault: Fault,
}

/// A server with two workflows that run; the fault is to come.
async fn prepared(function: &'static str, nth: usize, fault: Fault) -> Case {
    let (circleci, target) = bench().await;
    circleci.world().workflow("a", "running");
    circleci.world().workflow("b", "on_hold");
    circleci.fake.forget();
    Case { circleci, target, function, nth, fault }
}

async fn call(rig: &Rig, case: &Case) -> Result<()> {
    let (plugins, target) = (&rig.plugins, &case.target);
    let build = case.circleci.world().pipelines[0].id.clone();
    match case.function {
        "test-connection" => plugins.provider_test(NAME, target).await.map(drop),
        "create-job" => plugins.provider_create_job(NAME, target, &spec(CONFIG)).await.map(drop),
        "trigger-job" => plugins.provider_trigger(NAME, target, JOB, &trigger()).await.map(drop),
        "get-job-status" => plugins.provider_job_status(NAME, target, JOB).await.map(drop),
        "get-build-status" => plugins.provider_build_status(NAME, target, JOB, &build).await.map(drop),
        "get-build-logs" => plugins.provider_build_logs(NAME, target, JOB, &build, None).await.map(drop),
        "cancel-build" => plugins.provider_cancel(NAME, target, JOB, &build).await,
        "list-artifacts" => plugins.provider_artifacts(NAME, target, JOB, &build).await.map(drop),
        other => panic!("{other} is no function"),
    }
}

/// How many requests it sends where all goes well.
async fn requests(rig: &Rig, function: &'static str) -> usize {
    let case = prepared(function, 0, Fault::Timeout).await;
    call(rig, &case).await.unwrap_or_else(|error| panic!("{function}: {error}"));
    case.circleci.fake.seen().len()
}

/// Where it makes no difference to the function what the answer was.
fn may_succeed(function: &str, request: &str, fault: Fault) -> bool {
    let stops = request.starts_with("POST") && request.ends_with("/cancel");
    match fault {
        // Without a configuration CircleCI is to judge the parameters.
        Fault::Status(404) => stops || (function == "trigger-job" && request.ends_with("/config")),
        // It has ended meanwhile.
        Fault::Status(409) => stops,
        // Nobody reads the body.
        Fault::Malformed => stops,
        _ => false,
    }
}

async fn check(rig: &Rig, said: &[Said], case: &Case) {
    let (_, said) = said.iter().rfind(|(base, _)| *base == case.circleci.fake.url).expect("it was recorded");
    let seen = case.circleci.fake.seen();
    let changes = |at: usize| seen[at].method != "GET";
    let request = format!("{} {}", seen[case.nth].method, seen[case.nth].target);
    let context = format!("{}, request {} ({request}), {:?}", case.function, case.nth, case.fault);
    match said {
        Ok(_) => assert!(
            may_succeed(case.function, &request, case.fault),
            "{context}: it claims to have succeeded"
        ),
        Err(failed) => {
            // Parameters that are sent without their types are refused, which is a fault of its own.
            failed.expect_advice(case.fault, &context);
            let acted = (0..case.nth).any(changes) || (changes(case.nth) && may_have_acted(case.fault));
            assert_eq!(failed.sent, acted, "{context}: {failed:?}");
            if case.function == "trigger-job" {
                assert_eq!(
                    case.circleci.world().pipelines.len() > 1,
                    acted && case.fault.has_effect(),
                    "{context}"
                );
            }
        }
    }
    case.circleci.fake.forget();
    if case.function != "trigger-job"
        && let Err(error) = call(rig, case).await
    {
        panic!("{context}: and again: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_at_each_request_is_the_typed_failure_and_the_call_can_be_made_again() {
    let rig = Rig::start(NAME).await;
    for function in FUNCTIONS {
        for nth in 0..requests(&rig, function).await {
            for fault in Fault::ALL.into_iter().filter(|fault| *fault != Fault::Timeout) {
                rig.said();
                let case = prepared(function, nth, fault).await;
                case.circleci.fake.fail_at(nth, fault);
                let _ = call(&rig, &case).await;
                let said = rig.said();
                check(&rig, &said, &case).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_is_given_up_and_the_call_can_be_made_again() {
    let rig = Rig::start(NAME).await;
    let mut cases = Vec::new();
    for function in FUNCTIONS {
        for nth in 0..requests(&rig, function).await {
            let case = prepared(function, nth, Fault::Timeout).await;
            case.circleci.fake.fail_at(nth, Fault::Timeout);
            cases.push(case);
        }
    }
    rig.said();
    // All wait at the same time.
    join_all(cases.iter().map(|case| call(&rig, case))).await;
    let said = rig.said();
    for case in &cases {
        check(&rig, &said, case).await;
    }
}
