//! A provider or a forge whose other side fails, natively: the rule of the suite in `cargo test`.

use super::trials::{Ended, Trials};
use crate::forge::{
    CommitStatus, Deployment, DeploymentState, Deployments, Hook, PullRequests, Repositories, State, Status,
    WebhookAdmin,
};
use crate::http::{Request, answering};
use crate::provider::{Artifacts, JobSpec, PipelineFile, Provider, Trigger};
use crate::{Connection, Failure};

/// As it names a repository by its full name.
const REPOSITORY: &str = "group/app";

/// Makes each call of a provider with an other side that fails, at each request in each way.
///
/// # Panics
/// If a call ends with anything but a failure that fits.
pub fn provider_in_trouble<P: Provider>(on: &Connection) {
    let spec = || JobSpec {
        name: "job".to_owned(),
        description: String::new(),
        folder: None,
        repository_url: "https://forge.example/group/app.git".to_owned(),
        branch: "main".to_owned(),
        pipeline: vec![PipelineFile { path: "pipeline.yml".to_owned(), content: "steps: []\n".to_owned() }],
        parameters: Vec::new(),
        extras: Vec::new(),
    };
    let trigger = || Trigger {
        ref_name: Some("main".to_owned()),
        parameters: Vec::new(),
        idempotency_key: "key-1".to_owned(),
        extras: Vec::new(),
    };
    expect_good([
        tried("test-connection", |_, _| P::test_connection(on.clone()).map(|_| true)),
        tried("create-job", |_, _| P::create_job(on.clone(), spec()).map(|_| true)),
        tried("trigger-job", |job, _| P::trigger_job(on.clone(), job, trigger()).map(|_| true)),
        tried("get-job-status", |job, _| P::get_job_status(on.clone(), job).map(|_| true)),
        tried("get-build-status", |job, build| P::get_build_status(on.clone(), job, build).map(|_| true)),
        tried("get-build-logs", |job, build| {
            P::get_build_logs(on.clone(), job, build, None).map(|chunk| !chunk.text.is_empty())
        }),
        tried("cancel-build", |job, build| P::cancel_build(on.clone(), job, build).map(|()| true)),
        tried("delete-job", |job, _| P::delete_job(on.clone(), job).map(|()| true)),
    ]);
}

/// As [`provider_in_trouble`], for its artifacts.
///
/// # Panics
/// As there.
pub fn artifacts_in_trouble<P: Artifacts>(on: &Connection) {
    expect_good([
        tried("list-artifacts", |job, build| P::list_artifacts(on.clone(), job, build).map(|_| true)),
        tried("read-artifact", |job, build| {
            P::read_artifact(on.clone(), job, build, "7", None).map(|chunk| !chunk.bytes.is_empty())
        }),
    ]);
}

/// As [`provider_in_trouble`], for a forge's deployments: one that is new, and one that the forge knows.
///
/// # Panics
/// As there.
pub fn deployments_in_trouble<F: Deployments>(on: &Connection) {
    let deployment = |id: Option<&str>| Deployment {
        repository: REPOSITORY.to_owned(),
        commit: "67b56589a45103f891bdee7c0546e5d40bc02001".to_owned(),
        ref_name: "main".to_owned(),
        is_tag: false,
        environment: "app".to_owned(),
        transient: false,
        key: "0190f7c2-7a3b-7c4d-8e5f-0123456789ab".to_owned(),
        id: id.map(str::to_owned),
        state: DeploymentState::Success,
        description: "Deployed".to_owned(),
        url: Some("https://app.example/".to_owned()),
        log_url: None,
        extras: Vec::new(),
    };
    expect_good([None, Some("7")].map(|id| {
        tried("set-deployment", |_, _| F::set_deployment(on.clone(), deployment(id)).map(|_| true))
    }));
}

/// As [`provider_in_trouble`], for a forge that can do all else that a forge may.
///
/// # Panics
/// As there.
pub fn forge_in_trouble<F: Repositories + WebhookAdmin + CommitStatus + PullRequests>(on: &Connection) {
    let hook = || Hook {
        repository: REPOSITORY.to_owned(),
        url: "https://windlass.example/hook".to_owned(),
        secret_placeholder: "windlass-secret".to_owned(),
        extras: Vec::new(),
    };
    let status = || Status {
        repository: REPOSITORY.to_owned(),
        commit: "67b56589a45103f891bdee7c0546e5d40bc02001".to_owned(),
        state: State::Success,
        context: "windlass/app".to_owned(),
        description: "Deployed".to_owned(),
        url: None,
        extras: Vec::new(),
    };
    expect_good([
        tried("get-default-branch", |_, _| F::get_default_branch(on.clone(), REPOSITORY).map(|_| true)),
        tried("get-repository-details", |_, _| {
            F::get_repository_details(on.clone(), REPOSITORY).map(|_| true)
        }),
        tried("register", |_, _| F::register(on.clone(), hook()).map(|_| true)),
        tried("unregister", |_, _| F::unregister(on.clone(), REPOSITORY, "7").map(|()| true)),
        tried("set-commit-status", |_, _| F::set_commit_status(on.clone(), status()).map(|()| true)),
        tried("list-open", |_, _| F::list_open(on.clone(), REPOSITORY, None).map(|_| true)),
        tried("get-pull-request", |_, _| F::get_pull_request(on.clone(), REPOSITORY, 7).map(|_| true)),
        tried("set-comment", |_, _| {
            F::set_comment(on.clone(), REPOSITORY, 7, "preview", "Look").map(|()| true)
        }),
    ]);
}

/// Makes one call in all trials; `work` says whether its answer says anything.
fn tried(call: &str, work: impl Fn(&str, &str) -> Result<bool, Failure>) -> Result<(), String> {
    run(Trials::of(call), work)
}

/// Goes through all trials of a call. The error is the first thing that is wrong.
pub(super) fn run(
    mut trials: Trials,
    work: impl Fn(&str, &str) -> Result<bool, Failure>,
) -> Result<(), String> {
    while let Some(trial) = trials.next() {
        let other_side = trial.clone();
        let answer = move |request: &Request| other_side.answer(&request.method, &request.path);
        let ending = match answering(answer, || work(trial.job(), trial.build())) {
            Ok(says_something) => Ended::Answer { says_something },
            Err(failure) => Ended::Failure(failure.disposition, failure.code),
        };
        trials.tell(&trial, ending);
    }
    trials.result().map(|_| ())
}

/// Says of each call what is wrong with it.
#[track_caller]
fn expect_good<const N: usize>(calls: [Result<(), String>; N]) {
    let wrong: Vec<String> = calls.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
