//! Starting, following and stopping builds.

use windlass_sdk::http::{Error, Response};
use windlass_sdk::provider::{Artifacts, BuildStatus, Provider, Trigger};

use super::{Line, advice, connection, ok, scripted, status, trigger, with_headers};
use crate::{Jenkins, convert};

const JOB: &str = r#"{"_class":"org.jenkinsci.plugins.workflow.job.WorkflowJob","color":"blue","buildable":true,
    "property":[{},{"parameterDefinitions":[
        {"name":"TARGET","type":"ChoiceParameterDefinition","choices":["staging","production"]},
        {"name":"DRY_RUN","type":"BooleanParameterDefinition"},
        {"name":"NOTE","type":"StringParameterDefinition"},
        {"name":"FILE","type":"FileParameterDefinition"},
        {"name":"BRANCH","type":"StringParameterDefinition"},
        {"name":"WINDLASS_KEY","type":"StringParameterDefinition"}]}],
    "actions":[{},null],
    "builds":[{"number":6,"building":false,"result":"SUCCESS","actions":[{},{"parameters":[
        {"name":"WINDLASS_KEY","value":"key-0"},{"name":"DRY_RUN","value":true},{"name":"SECRET"}]}]}]}"#;
const SENT: &str = "POST /job/app/buildWithParameters?delay=0sec";

fn queue() -> Line {
    (
        "GET /queue/api/json",
        ok(r#"{"items":[{"id":8,"actions":[{"parameters":[{"name":"WINDLASS_KEY","value":"key-8"}]}]}]}"#),
    )
}

fn job() -> Line {
    ("GET /job/app/api/json", ok(JOB))
}

fn created(location: &str) -> Result<Response, Error> {
    with_headers(201, "", &[("location", location)])
}

fn started(build: &str) -> Result<Response, Error> {
    ok(build)
}

#[test]
fn every_result_has_its_counterpart_and_others_keep_their_word() {
    for (word, wanted) in [
        ("SUCCESS", BuildStatus::Success),
        ("FAILURE", BuildStatus::Failure),
        ("UNSTABLE", BuildStatus::Failure),
        ("ABORTED", BuildStatus::Cancelled),
        ("NOT_BUILT", BuildStatus::Cancelled),
        ("PURPLE", BuildStatus::Other("PURPLE".to_owned())),
    ] {
        assert_eq!(convert::result(word), wanted);
        let body =
            format!(r#"{{"number":7,"building":false,"result":"{word}","timestamp":1000,"duration":500}}"#);
        let lines = vec![("GET /job/app/7/api/json", started(&body))];
        let (build, _) = scripted(lines, || Jenkins::get_build_status(connection(), "app", "7"));
        let build = build.expect("it is there");
        assert_eq!((build.status, build.started, build.finished), (wanted, Some(1000), Some(1500)));
        assert_eq!(build.extras, [("result".to_owned(), word.to_owned())]);
    }
    let lines = vec![("GET /job/app/7/api/json", ok(r#"{"number":7,"building":false,"result":null}"#))];
    let (build, _) = scripted(lines, || Jenkins::get_build_status(connection(), "app", "7"));
    assert!(matches!(build.expect("it is there").status, BuildStatus::Other(_)));
}

#[test]
fn a_build_is_started_with_checked_parameters_and_its_key() {
    let lines = vec![job(), queue(), (SENT, created("http://other.name:8080/jenkins/queue/item/143/"))];
    let parameters = [("TARGET", "staging"), ("DRY_RUN", "true"), ("NOTE", "a b&c=d\nü")];
    let wanted = Trigger { ref_name: Some("feature/x".to_owned()), ..trigger(&parameters) };
    let (build, requests) = scripted(lines, || Jenkins::trigger_job(connection(), "app", wanted));
    let build = build.expect("it is started");
    assert_eq!(
        (build.id.as_str(), build.status, build.number.as_str()),
        ("queue-143", BuildStatus::Pending, "")
    );
    assert_eq!(
        String::from_utf8_lossy(&requests[2].body),
        "TARGET=staging&DRY_RUN=true&NOTE=a%20b%26c%3Dd%0A%C3%BC&BRANCH=feature%2Fx&WINDLASS_KEY=key-1"
    );
}

#[test]
fn a_second_attempt_finds_the_build_of_the_first() {
    let with = |key: &str| Trigger { idempotency_key: key.to_owned(), ..trigger(&[]) };
    let (build, _) = scripted(vec![job()], || Jenkins::trigger_job(connection(), "app", with("key-0")));
    assert_eq!(build.expect("it has ended").id, "6");
    let (build, _) =
        scripted(vec![job(), queue()], || Jenkins::trigger_job(connection(), "app", with("key-8")));
    assert_eq!(build.expect("it waits").id, "queue-8");
}

#[test]
fn parameters_that_the_job_does_not_take_are_refused_before_anything_is_sent() {
    for (parameters, words) in [
        (&[("TARGTE", "staging")][..], "did you mean `TARGET`"),
        (&[("TARGET", "moon")], "staging, production"),
        (&[("DRY_RUN", "yes")], "true or false"),
        (&[("FILE", "x")], "is a file"),
        (&[("utterly-different", "x")], "it takes TARGET"),
    ] {
        let work = || Jenkins::trigger_job(connection(), "app", trigger(parameters));
        let (answer, _) = scripted(vec![job()], work);
        let failure = answer.expect_err("it is refused");
        assert_eq!((failure.code.as_str(), failure.request_sent), ("invalid-parameters", false));
        assert!(failure.message.contains(words), "{}", failure.message);
    }
}

#[test]
fn a_job_without_parameters_is_built_plainly_and_knows_no_branches() {
    let plain = r#"{"color":"blue","buildable":true}"#;
    let lines = vec![
        ("GET /job/app/api/json", ok(plain)),
        ("POST /job/app/build?delay=0sec", created("/queue/item/9")),
    ];
    let (build, _) = scripted(lines, || Jenkins::trigger_job(connection(), "app", trigger(&[])));
    assert_eq!(build.expect("it is started").id, "queue-9");
    let wanted = Trigger { ref_name: Some("x".to_owned()), ..trigger(&[]) };
    let lines = vec![("GET /job/app/api/json", ok(plain))];
    let (answer, _) = scripted(lines, || Jenkins::trigger_job(connection(), "app", wanted));
    assert!(answer.expect_err("it builds one branch").message.contains("`ref_parameter`"));
}

#[test]
fn a_disabled_job_is_told_before_and_after() {
    let disabled = JOB.replace("\"buildable\":true", "\"buildable\":false");
    let lines = vec![("GET /job/app/api/json", ok(&disabled))];
    let (answer, _) = scripted(lines, || Jenkins::trigger_job(connection(), "app", trigger(&[])));
    assert_eq!(answer.expect_err("it is disabled").code, "job-disabled");
    let lines = vec![job(), queue(), (SENT, status(409, "app is not buildable"))];
    let (answer, _) = scripted(lines, || Jenkins::trigger_job(connection(), "app", trigger(&[])));
    let failure = answer.expect_err("it is disabled");
    assert_eq!((failure.code.as_str(), failure.request_sent), ("job-disabled", false));
}

#[test]
fn whether_a_build_may_have_begun_is_right_for_each_answer() {
    let refused_redirect = "a redirect was refused: http://x is neither the connection's origin nor …";
    for (answer, code, what, sent) in [
        (Err(Error::Timeout), "timeout", "retry", true),
        (Err(Error::Connect("refused; nothing was sent".to_owned())), "connect", "retry", false),
        (Err(Error::Connect("the connection broke off".to_owned())), "connect", "retry", true),
        (
            Err(Error::Denied("the manifest asks for no permission".to_owned())),
            "request-denied",
            "permanent",
            false,
        ),
        (Err(Error::Denied(refused_redirect.to_owned())), "redirect-refused", "permanent", true),
        (Err(Error::TooLarge), "too-large", "permanent", true),
        (status(401, ""), "status-401", "auth-required", false),
        (status(403, ""), "status-403", "auth-required", false),
        (status(404, ""), "no-such-job", "permanent", false),
        (status(422, ""), "invalid-parameters", "permanent", false),
        (with_headers(429, "", &[("retry-after", "7")]), "status-429", "rate-limited", false),
        (status(500, "Oops"), "status-500", "retry", true),
        (status(503, ""), "status-503", "retry", true),
        // Jenkins' queue refused it, and led on to the job's page.
        (ok("<html>"), "no-queue-item", "permanent", true),
        (created("/elsewhere"), "no-queue-item", "permanent", true),
    ] {
        let lines = vec![job(), queue(), (SENT, answer)];
        let (answer, _) = scripted(lines, || Jenkins::trigger_job(connection(), "app", trigger(&[])));
        let failure = answer.expect_err(code);
        assert_eq!((failure.code.as_str(), advice(&failure), failure.request_sent), (code, what, sent));
    }
}

#[test]
fn before_the_build_is_asked_for_no_failure_claims_that_it_was() {
    for answer in [Err(Error::Timeout), status(500, ""), ok("<html>"), ok("{\"color\":"), status(503, "")] {
        let lines = vec![("GET /job/app/api/json", answer)];
        let (answer, _) = scripted(lines, || Jenkins::trigger_job(connection(), "app", trigger(&[])));
        assert!(!answer.expect_err("nothing is known").request_sent);
    }
}

#[test]
fn a_build_is_followed_out_of_the_queue() {
    let ask = |lines| scripted(lines, || Jenkins::get_build_status(connection(), "app", "queue-143")).0;
    let waiting = r#"{"id":143,"why":"Waiting for next available executor","cancelled":false}"#;
    let build = ask(vec![("GET /queue/item/143/api/json", ok(waiting))]).expect("it waits");
    assert_eq!((build.id.as_str(), build.status), ("queue-143", BuildStatus::Pending));
    assert_eq!(build.extras[0].1, "Waiting for next available executor");

    let cancelled = r#"{"id":143,"cancelled":true,"executable":null}"#;
    let build = ask(vec![("GET /queue/item/143/api/json", ok(cancelled))]).expect("it was cancelled");
    assert_eq!(build.status, BuildStatus::Cancelled);

    let running =
        r#"{"number":7,"queueId":143,"building":true,"result":null,"timestamp":5,"url":"http://x/7/"}"#;
    let left = r#"{"id":143,"cancelled":false,"executable":{"number":7,"url":"http://x/7/"}}"#;
    let lines = vec![("GET /queue/item/143/api/json", ok(left)), ("GET /job/app/7/api/json", ok(running))];
    let build = ask(lines).expect("it runs");
    assert_eq!((build.id.as_str(), build.status, build.finished), ("7", BuildStatus::Running, None));

    // Five minutes later the item is gone.
    let lines = |builds: &str| {
        vec![
            ("GET /queue/item/143/api/json", status(404, "")),
            ("GET /job/app/api/json", ok(&format!("{{\"builds\":[{builds}]}}"))),
        ]
    };
    assert_eq!(ask(lines(running)).expect("it is found").number, "7");
    assert_eq!(ask(lines("")).expect_err("it never began").code, "no-such-build");
}

#[test]
fn stopping_begins_softly_and_takes_what_jenkins_offers_then() {
    for (log, verb) in [
        ("[Pipeline] sh\n", "POST /job/app/7/stop"),
        ("Aborted by me\nClick here to forcibly terminate running steps\n", "POST /job/app/7/term"),
        (
            "Click here to forcibly terminate running steps\nClick here to forcibly kill entire build\n",
            "POST /job/app/7/kill",
        ),
    ] {
        let lines = vec![
            ("GET /job/app/7/api/json", ok(r#"{"number":7,"building":true}"#)),
            ("GET /job/app/7/logText/progressiveText?start=0", ok(log)),
            // What Jenkins leads on to may be out of reach; the request was served.
            (verb, Err(Error::Denied("a redirect was refused: …".to_owned()))),
        ];
        let (answer, _) = scripted(lines, || Jenkins::cancel_build(connection(), "app", "7"));
        assert_eq!(answer, Ok(()));
    }
    let lines = vec![("GET /job/app/7/api/json", ok(r#"{"number":7,"building":false,"result":"SUCCESS"}"#))];
    assert_eq!(scripted(lines, || Jenkins::cancel_build(connection(), "app", "7")).0, Ok(()));
}

#[test]
fn a_waiting_build_leaves_the_queue_or_is_stopped_if_it_began_meanwhile() {
    let item = |more: &str| ok(&format!("{{\"id\":9,\"cancelled\":false{more}}}"));
    let asked = ("POST /queue/cancelItem?id=9", status(404, ""));
    let lines = vec![
        ("GET /queue/item/9/api/json", item("")),
        asked.clone(),
        ("GET /queue/item/9/api/json", ok(r#"{"id":9,"cancelled":true}"#)),
    ];
    assert_eq!(scripted(lines, || Jenkins::cancel_build(connection(), "app", "queue-9")).0, Ok(()));
    let lines = vec![
        ("GET /queue/item/9/api/json", item("")),
        asked,
        ("GET /queue/item/9/api/json", item(",\"executable\":{\"number\":7}")),
        ("GET /job/app/7/api/json", ok(r#"{"number":7,"building":true}"#)),
        ("GET /job/app/7/logText/progressiveText?start=0", ok("")),
        ("POST /job/app/7/stop", ok("")),
    ];
    assert_eq!(scripted(lines, || Jenkins::cancel_build(connection(), "app", "queue-9")).0, Ok(()));
    let lines = vec![
        ("GET /queue/item/9/api/json", item("")),
        (
            "POST /queue/cancelItem?id=9",
            with_headers(403, "", &[("x-required-permission", "hudson.model.Item.Cancel")]),
        ),
        ("GET /queue/item/9/api/json", item("")),
    ];
    let (answer, _) = scripted(lines, || Jenkins::cancel_build(connection(), "app", "queue-9"));
    assert!(answer.expect_err("it may not").message.contains("Item.Cancel"));
}

fn log(body: impl Into<Vec<u8>>, size: &str, more: bool) -> Result<Response, Error> {
    let mut response = Response::new(200, body);
    response.headers.push(("x-text-size".to_owned(), size.to_owned()));
    response.headers.extend(more.then(|| ("x-more-data".to_owned(), "true".to_owned())));
    Ok(response)
}

#[test]
fn the_log_goes_on_where_jenkins_says_whatever_its_text_is_long() {
    let read = |lines, cursor: Option<&'static str>| {
        scripted(lines, || Jenkins::get_build_logs(connection(), "app", "7", cursor))
            .0
            .expect("there is a log")
    };
    let chunk = read(vec![("GET /job/app/7/logText/progressiveText?start=0", log("a\n", "400", true))], None);
    assert_eq!((chunk.text.as_str(), chunk.cursor.as_str(), chunk.complete), ("a\n", "400", false));
    let chunk =
        read(vec![("GET /job/app/7/logText/progressiveText?start=400", log("", "400", true))], Some("400"));
    assert_eq!((chunk.text.as_str(), chunk.cursor.as_str(), chunk.complete), ("", "400", false));
    let chunk =
        read(vec![("GET /job/app/7/logText/progressiveText?start=400", log("b", "401", false))], Some("400"));
    assert!(chunk.complete);
}

#[test]
fn a_long_log_comes_in_pieces_that_lose_nothing() {
    let whole = "é".repeat(3 << 19);
    let (mut read, mut cursor, mut pieces) = (String::new(), None::<String>, 0);
    loop {
        let lines =
            vec![("GET /job/app/7/logText/progressiveText?start=0", log(whole.clone(), "9999", false))];
        let work = || Jenkins::get_build_logs(connection(), "app", "7", cursor.as_deref());
        let chunk = scripted(lines, work).0.expect("there is a log");
        assert!(chunk.text.len() <= 1 << 20);
        read.push_str(&chunk.text);
        pieces += 1;
        if chunk.complete {
            assert_eq!(chunk.cursor, "9999");
            break;
        }
        cursor = Some(chunk.cursor);
    }
    assert_eq!((read == whole, pieces), (true, 3));
}

#[test]
fn a_log_that_the_host_cannot_take_at_once_has_a_gap_that_it_tells() {
    let lines = vec![("GET /job/app/7/logText/progressiveText?start=10", Err(Error::TooLarge))];
    let (chunk, _) = scripted(lines, || Jenkins::get_build_logs(connection(), "app", "7", Some("10")));
    let chunk = chunk.expect("it goes on");
    assert!(chunk.text.contains("Left out: 6 MiB") && !chunk.complete);
    assert_eq!(chunk.cursor, (10 + (6 << 20)).to_string());
}

#[test]
fn a_log_that_is_not_there_yet_and_one_that_is_gone_are_told_apart() {
    let read = |build: &str| {
        let lines = vec![
            ("GET /job/app/7/logText/progressiveText?start=0", log("", "0", true)),
            ("GET /job/app/7/api/json", ok(build)),
        ];
        scripted(lines, || Jenkins::get_build_logs(connection(), "app", "7", None)).0
    };
    let chunk = read(r#"{"number":7,"building":true}"#).expect("it is to come");
    assert_eq!((chunk.cursor.as_str(), chunk.complete), ("0", false));
    let failure = read(r#"{"number":7,"building":false,"result":"SUCCESS"}"#).expect_err("it is gone");
    assert_eq!(failure.code, "log-gone");
    let lines = vec![("GET /queue/item/9/api/json", ok(r#"{"id":9,"cancelled":true}"#))];
    let (chunk, _) = scripted(lines, || Jenkins::get_build_logs(connection(), "app", "queue-9", None));
    assert!(chunk.expect("it never wrote").complete);
    let (answer, _) = scripted(Vec::new(), || Jenkins::get_build_logs(connection(), "app", "7", Some("x")));
    assert_eq!(answer.expect_err("it is no cursor").code, "invalid-cursor");
}

#[test]
fn artifacts_are_listed_and_read_in_pieces() {
    let listed = r#"{"number":7,"artifacts":[{"relativePath":"out/a b.txt"},{"relativePath":"../../x"}]}"#;
    let lines = vec![("GET /job/app/7/api/json", ok(listed))];
    let (found, _) = scripted(lines, || Jenkins::list_artifacts(connection(), "app", "7"));
    assert_eq!(found.expect("two")[0].id, "out/a b.txt");
    let whole = vec![b'x'; (4 << 20) + 3];
    let read = |cursor| {
        let lines = vec![("GET /job/app/7/artifact/out/a%20b.txt", Ok(Response::new(200, whole.clone())))];
        let work = || Jenkins::read_artifact(connection(), "app", "7", "out/a b.txt", cursor);
        scripted(lines, work).0.expect("it is there")
    };
    let first = read(None);
    assert_eq!((first.bytes.len(), first.cursor.as_deref()), (4 << 20, Some("4194304")));
    let second = read(Some("4194304"));
    assert_eq!((second.bytes.len(), second.cursor), (3, None));
    let lines = vec![("GET /job/app/7/artifact/gone", status(404, ""))];
    let (answer, _) = scripted(lines, || Jenkins::read_artifact(connection(), "app", "7", "gone", None));
    assert_eq!(answer.expect_err("it is gone").code, "artifact-gone");
}
