//! Everything goes wrong once: each request of each function of GitHub's and GitLab's providers fails in each way, and each
//! time the plugin's own answer says what happened, whether to try again, and whether something may have begun.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use serde_json::Value;
use windlass::plugins::Target;
use windlass_tests::vendors::bench::{Bench, spec, target, trigger};
use windlass_tests::vendors::fake::{Fake, Seen};
use windlass_tests::vendors::fault::Fault;
use windlass_tests::vendors::github::{self, GitHub};
use windlass_tests::vendors::gitlab::{self, GitLab};

const WORKFLOW: &str = "run-name: ${{ inputs.windlass_run }}
on: { workflow_dispatch: { inputs: { windlass_run: {} } } }
jobs: {}
";
const PIPELINE: &str = "job:\n  script: [make]\n";
const FUNCTIONS: [&str; 8] = ["test", "create", "trigger", "job", "build", "logs", "cancel", "delete"];

/// A vendor's server and how it is called.
trait Vendor {
    const NAME: &'static str;
    const JOB: &'static str;
    const BUILD: &'static str;

    async fn start() -> Self;
    fn fake(&self) -> &Fake;
    fn token() -> &'static str;
    fn spec() -> windlass::domain::ci::CiJobSpec;
    /// Lets the newest build begin, with a job that has a log or has had its chance.
    fn begin(&self);
    /// How many builds have begun.
    fn builds(&self) -> usize;
    /// Whether the vendor only reads, although the method says otherwise; or may do without an answer.
    fn is_harmless(seen: &Seen) -> bool;
    fn can_do_without(seen: &Seen, status: u16) -> bool;
}

impl Vendor for GitHub {
    const NAME: &'static str = "github";
    const JOB: &'static str = "octo/app/deploy.yml";
    const BUILD: &'static str = "901";

    async fn start() -> Self {
        Self::start().await
    }

    fn fake(&self) -> &Fake {
        &self.fake
    }

    fn token() -> &'static str {
        github::TOKEN
    }

    fn spec() -> windlass::domain::ci::CiJobSpec {
        spec("https://github.com/octo/app.git", ".github/workflows/deploy.yml", WORKFLOW)
    }

    fn begin(&self) {
        self.on_run(|run| {
            (run.jobs[0].status, run.jobs[0].conclusion) = ("completed".into(), Some("cancelled".into()));
            run.jobs[0].log = None;
        });
    }

    fn builds(&self) -> usize {
        self.world().runs.len()
    }

    fn is_harmless(_: &Seen) -> bool {
        false
    }

    fn can_do_without(seen: &Seen, status: u16) -> bool {
        // A file or a workflow that is not there is made; what cannot be cancelled may have ended; a log may come late.
        let looked_for = ["/contents/", "/workflows/", "/logs"];
        let is_looked_for = looked_for.iter().any(|part| seen.path().contains(part));
        status == 404 && (is_looked_for || seen.path() == "/repos/octo/app")
            || status == 409 && seen.path().ends_with("/cancel")
    }
}

impl Vendor for GitLab {
    const NAME: &'static str = "gitlab";
    const JOB: &'static str = "group/sub/app";
    const BUILD: &'static str = "301";

    async fn start() -> Self {
        Self::start().await
    }

    fn fake(&self) -> &Fake {
        &self.fake
    }

    fn token() -> &'static str {
        gitlab::TOKEN
    }

    fn spec() -> windlass::domain::ci::CiJobSpec {
        spec("https://gitlab.example/group/sub/app.git", ".gitlab-ci.yml", PIPELINE)
    }

    fn begin(&self) {
        self.on_pipeline(|pipeline| {
            (pipeline.status, pipeline.jobs[0].status) = ("running".into(), "running".into());
            pipeline.jobs[0].trace = "it begins\n".into();
        });
    }

    fn builds(&self) -> usize {
        self.world().pipelines.len()
    }

    fn is_harmless(seen: &Seen) -> bool {
        seen.path().ends_with("/ci/lint")
    }

    fn can_do_without(seen: &Seen, status: u16) -> bool {
        let path = seen.path();
        path.ends_with("/self") && status < 405
            || path.ends_with("/variables") && matches!(status, 403 | 404)
            || status == 404
                && (path.contains("/files/") || path.ends_with("/trace") || path.ends_with("app"))
    }
}

/// Calls one function; what came of it is in the recording.
async fn call(
    bench: &Bench,
    name: &str,
    on: &Target,
    function: &str,
    spec: &windlass::domain::ci::CiJobSpec,
    at: (&str, &str),
) {
    let (plugins, (job, build)) = (&bench.plugins, at);
    match function {
        "test" => drop(plugins.provider_test(name, on).await),
        "create" => drop(plugins.provider_create_job(name, on, spec).await),
        "trigger" => drop(plugins.provider_trigger(name, on, job, &trigger("key-1", &[])).await),
        "job" => drop(plugins.provider_job_status(name, on, job).await),
        "build" => drop(plugins.provider_build_status(name, on, job, build).await),
        "logs" => drop(plugins.provider_build_logs(name, on, job, build, None).await),
        "cancel" => drop(plugins.provider_cancel(name, on, job, build).await),
        _ => drop(plugins.provider_delete_job(name, on, job).await),
    }
}

/// A server on which the function has something to do.
async fn prepared<V: Vendor>(bench: &Bench, function: &str) -> (V, Target) {
    let server = V::start().await;
    let on = target(&server.fake().url, V::token());
    if function != "create" {
        bench.plugins.provider_create_job(V::NAME, &on, &V::spec()).await.unwrap();
    }
    // An earlier build of somebody else's, so that there is one to be told from ours.
    let needs_build = matches!(function, "job" | "build" | "logs" | "cancel" | "trigger");
    if needs_build {
        bench.plugins.provider_trigger(V::NAME, &on, V::JOB, &trigger("key-0", &[])).await.unwrap();
    }
    if function == "logs" {
        server.begin();
    }
    (server, on)
}

/// The answer that the plugin itself gave.
fn answer(bench: &mut Bench, what: &str) -> Value {
    let recording = bench.last_recording();
    let output = recording.output.unwrap_or_else(|| panic!("{what}: no answer: {:?}", recording.error));
    serde_json::from_str(&output).unwrap()
}

async fn fails_in_every_way<V: Vendor>() {
    let mut bench = Bench::start().await;
    let mut tried = 0;
    for function in FUNCTIONS {
        let (server, on) = prepared::<V>(&bench, function).await;
        server.fake().forget();
        call(&bench, V::NAME, &on, function, &V::spec(), (V::JOB, V::BUILD)).await;
        let requests = server.fake().seen();
        let good = answer(&mut bench, function);
        assert!(good.get("ok").is_some() && !requests.is_empty(), "{} {function}: {good}", V::NAME);
        for nth in 0..requests.len() {
            for fault in Fault::ALL.into_iter().filter(|fault| *fault != Fault::Timeout) {
                let (server, on) = prepared::<V>(&bench, function).await;
                let before = server.builds();
                server.fake().fail_at(nth, fault);
                call(&bench, V::NAME, &on, function, &V::spec(), (V::JOB, V::BUILD)).await;
                let seen = server.fake().seen();
                let what =
                    format!("{} {function}: {fault:?} at {} {}", V::NAME, seen[nth].method, seen[nth].target);
                check::<V>(&what, &answer(&mut bench, &what), &seen, nth, fault);
                if function == "trigger" {
                    // Tried again with the same key, there is one build.
                    server.fake().forget();
                    bench
                        .plugins
                        .provider_trigger(V::NAME, &on, V::JOB, &trigger("key-1", &[]))
                        .await
                        .unwrap();
                    assert_eq!(server.builds(), before + 1, "{what}");
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 150, "{tried}");
}

/// The typed answer to one fault.
fn check<V: Vendor>(what: &str, answer: &Value, seen: &[Seen], nth: usize, fault: Fault) {
    let status = match fault {
        Fault::Status(status) => Some(status),
        _ => None,
    };
    let Some(failure) = answer.get("err") else {
        let may = status.is_some_and(|status| V::can_do_without(&seen[nth], status));
        // A log is text, whatever it says.
        let is_log = fault == Fault::Malformed
            && (seen[nth].path().ends_with("/trace") || seen[nth].path().ends_with("/logs"));
        // Nobody reads what a commit or the wish to cancel is answered with.
        let is_unread = fault == Fault::Malformed && is_write::<V>(&seen[nth]);
        assert!(may || is_log || is_unread, "{what} was taken for good: {answer}");
        return;
    };
    let disposition = failure["disposition"].to_string();
    let code = failure["code"].as_str().unwrap();
    let wanted: &[&str] = match fault {
        Fault::Status(401 | 403) => &["auth-required"],
        Fault::Status(404 | 422) => &["permanent"],
        Fault::Status(409) => &["permanent", "retry"],
        Fault::Status(_) | Fault::HalfABody | Fault::Timeout => &["retry"],
        Fault::TooManyRequests => &["rate-limited"],
        Fault::Malformed | Fault::Redirect => &["permanent"],
    };
    assert!(wanted.iter().any(|word| disposition.contains(word)), "{what}: {failure}");
    match fault {
        Fault::TooManyRequests => assert!(disposition.contains('7'), "{what}: {failure}"),
        Fault::Malformed => assert_eq!(code, "malformed-response", "{what}: {failure}"),
        Fault::Redirect => assert_eq!(code, "request-denied", "{what}: {failure}"),
        Fault::Status(401 | 403 | 500) => assert_eq!(code, format!("status-{}", status.unwrap()), "{what}"),
        _ => {}
    }
    let earlier = seen[..nth].iter().any(is_write::<V>);
    let this = is_write::<V>(&seen[nth])
        && (fault.has_effect() || matches!(fault, Fault::Status(500..) | Fault::Redirect));
    assert_eq!(failure["request-sent"], earlier || this, "{what}: {failure}");
    let message = failure["message"].as_str().unwrap();
    assert!(message.len() > 20 && !message.contains(V::token()), "{what}: {message}");
}

fn is_write<V: Vendor>(seen: &Seen) -> bool {
    seen.method != "GET" && !V::is_harmless(seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn github_fails_in_every_way_and_says_so() {
    fails_in_every_way::<GitHub>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gitlab_fails_in_every_way_and_says_so() {
    fails_in_every_way::<GitLab>().await;
}

/// The start of a build hangs after the vendor has begun with it.
async fn hangs<V: Vendor>() {
    let mut bench = Bench::start().await;
    let (other, on) = prepared::<V>(&bench, "trigger").await;
    other.fake().forget();
    bench.plugins.provider_trigger(V::NAME, &on, V::JOB, &trigger("key-1", &[])).await.unwrap();
    let start = other.fake().seen().iter().position(|seen| seen.method == "POST").unwrap();
    let (server, on) = prepared::<V>(&bench, "trigger").await;
    for (nth, sent) in [(start - 1, false), (start, true)] {
        server.fake().fail_at(nth, Fault::Timeout);
        bench.plugins.provider_trigger(V::NAME, &on, V::JOB, &trigger("key-1", &[])).await.unwrap_err();
        let failure = answer(&mut bench, "the hanging start")["err"].clone();
        assert_eq!(
            (&failure["code"], &failure["request-sent"]),
            (&"timeout".into(), &sent.into()),
            "{failure}"
        );
        assert!(failure["disposition"].to_string().contains("retry"));
    }
    let before = server.builds();
    server.fake().forget();
    bench.plugins.provider_trigger(V::NAME, &on, V::JOB, &trigger("key-1", &[])).await.unwrap();
    assert_eq!(server.builds(), before, "the one that hung had begun, and is found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_hangs_is_told_from_one_that_never_began() {
    tokio::join!(hangs::<GitHub>(), hangs::<GitLab>());
}
